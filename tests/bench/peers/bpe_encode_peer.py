"""BPE encoders as line peers of the benchmarks (line_peer.py): `bpe_encode_peer.py NAME DIRECTORY`.

NAME is gigatoken, tokie, tiktoken or tokenizers; DIRECTORY holds GPT-2's gpt2_vocab.json and gpt2_merges.txt. A peer answers these
requests with seconds:

    threads N      0; each library chooses its threads itself
    cold PATH      encodes the text as one string, with a fresh encoder
    warm PATH      encodes the same text again
    file PATH      encodes the file with all threads, with a fresh encoder
    decode PATH    decodes the ids of the text
    documents PATH encodes each document of the text by a call of its own

Documents are joined without <|endoftext|>, so the peers have slightly less to do.
"""
import json
import os
import sys
import tempfile
import time

from line_peer import absent, serve

PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
SEPARATOR = "<|endoftext|>"


def timed(work, *arguments):
    start = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - start, result


def hugging_face(directory):
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    path = [os.path.join(directory, name) for name in ("gpt2_vocab.json", "gpt2_merges.txt")]
    tokenizer = Tokenizer(models.BPE.from_file(*path))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(SEPARATOR, special=True, normalized=False)])
    return tokenizer


class Gigatoken:
    def __init__(self, directory):
        import gigatoken
        self.library, self.model = gigatoken, hugging_face(directory)
        self.kept, self.path = None, None

    def cold(self, path, text):
        fresh = self.library.Tokenizer(self.model)
        seconds, _ = timed(fresh.encode, text)
        self.kept, self.path = fresh, path
        return seconds

    def warm(self, path, text):
        if self.path != path:
            self.cold(path, text)
        return timed(self.kept.encode, text)[0]

    def file(self, path, text):
        fresh = self.library.Tokenizer(self.model)
        return timed(fresh.encode_files, self.library.TextFileSource([path], separator=SEPARATOR.encode()))[0]


class Tokie:
    def __init__(self, directory):
        import tokie
        saved = os.path.join(tempfile.mkdtemp(), "tokenizer.json")
        hugging_face(directory).save(saved)
        self.tokenizer = tokie.Tokenizer.from_json(saved)

    def cold(self, path, text):
        return timed(self.tokenizer.encode, text)[0]


class Tokenizers:
    def __init__(self, directory):
        self.tokenizer = hugging_face(directory)

    def cold(self, path, text):
        return timed(self.tokenizer.encode, text)[0]

    def documents(self, path, documents):
        return timed(lambda: [self.tokenizer.encode(document) for document in documents])[0]


class Tiktoken:
    def __init__(self, directory):
        import tiktoken
        printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
        others = [b for b in range(256) if b not in printable]
        byte_of = {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(others)}
        with open(os.path.join(directory, "gpt2_vocab.json"), encoding="utf-8") as file:
            vocab = json.load(file)
        ranks = {bytes(byte_of[c] for c in token): i for token, i in vocab.items() if token != SEPARATOR}
        self.encoding = tiktoken.Encoding("gpt2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})
        self.path, self.ids = None, None

    def cold(self, path, text):
        seconds, self.ids = timed(self.encoding.encode_ordinary, text)
        self.path = path
        return seconds

    def documents(self, path, documents):
        return timed(lambda: [self.encoding.encode_ordinary(document) for document in documents])[0]

    def decode(self, path, text):
        if self.path != path:
            self.cold(path, text)
        return timed(self.encoding.decode, self.ids)[0]


class Answers:
    def __init__(self, peer):
        self.peer, self.path, self.text, self.documents = peer, None, "", []

    def __call__(self, request):
        kind, _, path = request.partition(" ")
        if kind == "threads":
            return 0
        if path != self.path:
            with open(path, encoding="utf-8", errors="replace", newline="") as file:
                self.documents = file.read().split(SEPARATOR)
                self.path, self.text = path, "".join(self.documents)
        return getattr(self.peer, kind)(path, self.documents if kind == "documents" else self.text)


def main():
    try:
        peer = {"gigatoken": Gigatoken, "tokie": Tokie, "tiktoken": Tiktoken, "tokenizers": Tokenizers}[sys.argv[1]](sys.argv[2])
    except ImportError:
        absent()
    serve(Answers(peer))


main()
