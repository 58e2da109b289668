"""Chapter 2: numbers in C. The numbers are what the examples of numbers_in_c.c print."""
import functools
import math
import os
import pathlib
import struct
import subprocess
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[3]
# What the examples call, and what that needs. No external library is among it.
SOURCES = ["docs/tools/book_numbers/numbers_in_c.c", "cs336_basics/core/tensor.c", "cs336_basics/core/status.c",
           "cs336_basics/core/printable.c", "cs336_basics/core/utf8.c", "cs336_basics/core/arena.c",
           "cs336_basics/core/memory.c", "cs336_basics/core/parallel.c", "cs336_basics/nn/check.c"]
# -ffp-contract=off: a product and a sum that become one instruction are rounded once instead of twice.
FLAGS = ["-std=c11", "-O1", "-ffp-contract=off", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror",
         "-Wno-unknown-pragmas", "-Ics336_basics", "-I.", "-pthread"]


@functools.lru_cache(maxsize=None)
def printed():
    """What each example prints, by its name."""
    with tempfile.TemporaryDirectory() as directory:
        program = os.path.join(directory, "numbers_in_c")
        subprocess.run([*os.environ.get("CC", "cc").split(), *FLAGS, *SOURCES, "-lm", "-o", program], cwd=TOP, check=True)
        return {name: subprocess.run([program, name], check=True, capture_output=True, text=True).stdout.splitlines()
                for name in ("pointers", "row-major", "views", "loops", "rounding", "special", "sizes", "failing", "scratch")}


def numbers_pointers():
    return printed()["pointers"]


def numbers_row_major():
    return printed()["row-major"]


def numbers_views():
    return printed()["views"]


def numbers_loops():
    return printed()["loops"]


def numbers_rounding():
    return printed()["rounding"]


def numbers_special():
    return printed()["special"]


def numbers_sizes():
    return printed()["sizes"]


def numbers_failing():
    return printed()["failing"]


def numbers_scratch():
    return printed()["scratch"]


def following(x):
    """The next larger float32 after a positive one: its 32 bits, read as an integer, plus 1."""
    bits = struct.unpack("<I", struct.pack("<f", x))[0]
    return struct.unpack("<f", struct.pack("<I", bits + 1))[0]


def numbers_spacing():
    lines = [f"{'x':>12}{'distance to the next float32':>32}{'as a share of x':>18}"]
    for x in (0.001, 1.0, 1000.0, 16777216.0):
        x = struct.unpack("<f", struct.pack("<f", x))[0]
        gap = following(x) - x
        lines.append(f"{x:>12.8g}{gap:>32.3g}{gap / x:>18.2g}")
    return lines


def numbers_strides():
    """Strides of contiguous tensors: the product of the extents behind."""
    lines = [f"{'shape':<18}{'stride':<26}{'offset of the last number':>26}"]
    for shape in ((6,), (2, 3), (4, 12, 64), (4, 8, 256, 64)):
        stride = [math.prod(shape[d + 1:]) for d in range(len(shape))]
        last = sum((n - 1) * s for n, s in zip(shape, stride))
        lines.append(f"{'(' + ', '.join(map(str, shape)) + ')':<18}{'(' + ', '.join(map(str, stride)) + ')':<26}{last:>26}")
    return lines
