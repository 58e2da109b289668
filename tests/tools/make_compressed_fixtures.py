"""Writes tests/fixtures/compressed with Python's gzip, bz2, lzma, zipfile and tarfile, and with the program zstd.

text.txt is the text; first.txt and second.txt are its two halves, for files of two members or frames. table.parquet has
the text in its column "text"; it is written if pyarrow is installed. The files are for tests/core/test_input_stream.c
and tests/cli/test_cli_texts.c.
"""

import bz2
import gzip
import io
import lzma
import pathlib
import struct
import subprocess
import tarfile
import zipfile

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "compressed"
FOLDER.mkdir(parents=True, exist_ok=True)
WORDS = "the quick brown fox jumps over a lazy dog; it's 12 o'clock, naïve café 東京 \U0001f600".split(" ")
LINES = [" ".join(WORDS[(i * k) % len(WORDS)] for k in range(1, 9)) for i in range(1, 31)]
FIRST = ("\n".join(LINES[:15]) + "\n").encode()
SECOND = ("\n".join(LINES[15:]) + "\n").encode()
TEXT = FIRST + SECOND


def write(name, data):
    (FOLDER / name).write_bytes(data)


def zstd(data, *options):
    return subprocess.run(["zstd", "-q", "-c", *options], input=data, stdout=subprocess.PIPE, check=True).stdout


def tar(data):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        member = tarfile.TarInfo("text.txt")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def zipped(data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("text.txt"), data)
    return file.getvalue()


def named_gzip(data):
    """A member whose header has all optional fields: FEXTRA, FNAME, FCOMMENT and FHCRC (RFC 1952)."""
    import zlib

    header = b"\x1f\x8b\x08\x1e" + bytes(6) + struct.pack("<H", 4) + b"ab\0\0" + b"text.txt\0" + b"a comment\0"
    header += struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    return header + gzip.compress(data, mtime=0)[10:]


write("text.txt", TEXT)
write("first.txt", FIRST)
write("second.txt", SECOND)
write("one.gz", gzip.compress(TEXT, mtime=0))
write("two.gz", gzip.compress(FIRST, mtime=0) + gzip.compress(SECOND, mtime=0))
write("padded.gz", gzip.compress(TEXT, mtime=0) + bytes(100))
write("named.gz", named_gzip(TEXT))
write("empty.gz", gzip.compress(b"", mtime=0))
write("twice.gz", gzip.compress(gzip.compress(TEXT, mtime=0), mtime=0))
write("archive.tar.gz", gzip.compress(tar(TEXT), mtime=0))
write("one.zst", zstd(TEXT))
write("two.zst", zstd(FIRST) + zstd(SECOND))
write("skipped.zst", b"\x5a\x2a\x4d\x18" + struct.pack("<I", 5) + b"12345" + zstd(TEXT))
write("empty.zst", zstd(b""))
# An empty frame whose window has 2 GiB: magic, no content size, window descriptor, a last block of no bytes (RFC 8878).
write("wide.zst", b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([(31 - 10) << 3]) + b"\x01\x00\x00")
write("text.bz2", bz2.compress(TEXT))
write("text.xz", lzma.compress(TEXT))
write("text.zip", zipped(TEXT))
write("text.tar", tar(b"a text")[:1024])
try:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"text": TEXT.decode().splitlines()})
    pyarrow.parquet.write_table(table, FOLDER / "table.parquet", compression="none")
except ImportError:
    print("table.parquet is not written: no pyarrow")
