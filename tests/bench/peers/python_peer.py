"""The Python package cs336 as a line peer of bench_python.c (line_peer.py): `python_peer.py DIRECTORY`.

DIRECTORY holds gpt2_vocab.json and gpt2_merges.txt. It answers these requests with seconds:

    threads N       use N threads; 0
    bytes PATH      encodes the text of a file, which is in memory as bytes
    str PATH        the same as a str, without the documents' ends, as the peers in bpe_encode_peer.py have it
    documents PATH  encodes each document of the text by a call of its own
    file PATH       encodes the file to a file of ids
"""
import os
import sys
import tempfile
import time

from line_peer import absent, serve

try:
    import cs336
except ImportError as error:
    print(f"bench: {error}", file=sys.stderr)
    absent()

SEPARATOR = "<|endoftext|>"


def timed(work, *arguments):
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


class Answers:
    def __init__(self, directory):
        files = [os.path.join(directory, name) for name in ("gpt2_vocab.json", "gpt2_merges.txt")]
        self.tokenizer = cs336.Tokenizer.from_files(*files, [SEPARATOR])
        self.path, self.text, self.documents = None, b"", []

    def __call__(self, request):
        kind, _, path = request.partition(" ")
        if kind == "threads":
            cs336.set_threads(int(path))
            return 0
        if path != self.path:
            with open(path, "rb") as file:
                self.path, self.text = path, file.read()
            self.documents = self.text.decode(errors="replace").split(SEPARATOR)
        return getattr(self, "time_" + kind)(path)

    def time_bytes(self, path):
        return timed(self.tokenizer.encode, self.text)

    def time_str(self, path):
        return timed(self.tokenizer.encode, "".join(self.documents))

    def time_documents(self, path):
        return timed(lambda: [self.tokenizer.encode(document) for document in self.documents])

    def time_file(self, path):
        with tempfile.TemporaryDirectory() as folder:
            return timed(self.tokenizer.encode_file, path, os.path.join(folder, "ids.bin"))


serve(Answers(sys.argv[1]))
