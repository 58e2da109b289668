"""Carries tokenizers in and out through Hugging Face's `tokenizers` and tiktoken, and compares the ids of a text.

usage: check_tokenizer_files.py CS336 [COURSE]     COURSE: a clone of the course's repository, or its
                                                   tests/fixtures

A tokenizer is learned here, exported in each form, read by the other program, and its copy is read here again. With
COURSE the same is done with GPT-2's own vocabulary and the course's texts. Needs: pip install tokenizers tiktoken
"""

import base64
import os
import subprocess
import sys
import tempfile

import tiktoken
from tiktoken.load import load_tiktoken_bpe
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

EOT = "<|endoftext|>"
GPT2 = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
TEXT = (f"The cat's 2024 na\u00efve \u4e2d\u6587  \n\n\tcaf\u00e9{EOT}Once upon a time, there was a little girl named Lily.{EOT}"
        "\r\n she'd 100000 \U0001f642\U0001f642 ... [x] = {y: 'z'}   \n")


class Checker:
    def __init__(self, program: str, folder: str):
        self.program, self.folder, self.text = program, folder, TEXT

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def run(self, *arguments: str) -> None:
        done = subprocess.run([self.program, *arguments], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"cs336 {' '.join(arguments)}\n{done.stderr}")

    def ids(self, *tokenizer: str) -> list[int]:
        """Our ids of the text."""
        with open(self.path("text"), "w", encoding="utf-8", newline="") as f:
            f.write(self.text)
        self.run("encode", *tokenizer, "--input", self.path("text"), "--output", self.path("ids"))
        with open(self.path("ids"), "rb") as f:
            data = f.read()
        return [int.from_bytes(data[i:i + 2], "little") for i in range(0, len(data), 2)]

    def compare(self, what: str, ours: list[int], theirs: list[int]) -> None:
        if ours != theirs:
            index = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
            sys.exit(f"{what}: {len(ours)} ids, expected {len(theirs)}; they differ from index {index} on")
        print(f"{what}: {len(ours)} ids agree")

    def check(self, name: str, pair: list[str], vocab: str, merges: str) -> None:
        special = ["--special-token", EOT]
        ours = self.ids(*pair, *special)
        # vocab.json and merges.txt, read by tokenizers.
        theirs = Tokenizer(models.BPE.from_file(vocab, merges))
        theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        theirs.decoder = decoders.ByteLevel()
        theirs.add_special_tokens([AddedToken(EOT, special=True, normalized=False)])
        self.compare(f"{name}: vocab.json and merges.txt -> tokenizers", ours, theirs.encode(self.text).ids)
        # tokenizer.json, out and in.
        self.run("export-tokenizer", *pair, *special, "--output", self.path("t.json"))
        loaded = Tokenizer.from_file(self.path("t.json"))
        self.compare(f"{name}: tokenizer.json -> tokenizers", ours, loaded.encode(self.text).ids)
        if loaded.decode(ours, skip_special_tokens=False) != self.text:
            sys.exit(f"{name}: tokenizers decodes another text")
        for saved in (loaded, theirs):
            saved.save(self.path("saved.json"))
            self.compare(f"{name}: tokenizers -> tokenizer.json", self.ids("--tokenizer", self.path("saved.json")), ours)
        # A rank file, out and in.
        self.run("export-tokenizer", *pair, *special, "--output", self.path("t.tiktoken"))
        ranks = load_tiktoken_bpe(self.path("t.tiktoken"))
        end = theirs.token_to_id(EOT)
        encoding = tiktoken.Encoding(name, pat_str=GPT2, mergeable_ranks=ranks, special_tokens={EOT: end})
        self.compare(f"{name}: rank file -> tiktoken", ours, encoding.encode(self.text, allowed_special="all"))
        with open(self.path("saved.tiktoken"), "wb") as f:
            for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
                f.write(base64.b64encode(token) + b" " + str(rank).encode() + b"\n")
        for file in ("saved.tiktoken", "t.tiktoken"):
            back = self.ids("--tokenizer", self.path(file), "--pattern", "gpt2", *special)
            self.compare(f"{name}: tiktoken -> rank file", back, ours)
        # From one form into the other without vocab.json and merges.txt.
        self.run("export-tokenizer", "--tokenizer", self.path("t.tiktoken"), "--pattern", "gpt2", *special, "--output",
                 self.path("u.json"))
        self.compare(f"{name}: rank file -> tokenizer.json -> tokenizers",
                     Tokenizer.from_file(self.path("u.json")).encode(self.text).ids, ours)
        self.run("export-tokenizer", "--tokenizer", self.path("t.json"), "--output", self.path("u.tiktoken"))
        with open(self.path("t.tiktoken"), "rb") as a, open(self.path("u.tiktoken"), "rb") as b:
            if a.read() != b.read():
                sys.exit(f"{name}: tokenizer.json gives another rank file")


COURSE_FILES = ("gpt2_vocab.json", "gpt2_merges.txt", "address.txt", "german.txt")


def course_files(course: str) -> list[str]:
    """The paths of COURSE_FILES in a clone of the course's repository, or in its tests/fixtures."""
    fixtures = os.path.join(course, "tests", "fixtures")
    folder = fixtures if os.path.isdir(fixtures) else course
    paths = [os.path.join(folder, name) for name in COURSE_FILES]
    for path in paths:
        if not os.path.isfile(path):
            sys.exit(f"COURSE is '{course}', and there is no {path}; expected a clone of the course's repository "
                     "(stanford-cs336/assignment1-basics), or its tests/fixtures")
    return paths


def main() -> None:
    program, *course = sys.argv[1:]
    files = course_files(course[0]) if course else []
    os.environ.setdefault("TIKTOKEN_CACHE_DIR", "")  # the rank file is a local one that changes
    with tempfile.TemporaryDirectory() as folder:
        checker = Checker(os.path.abspath(program), folder)
        checker.run("story", "--stories", "300", "--output", checker.path("stories"))
        own = ["--vocab", checker.path("v.json"), "--merges", checker.path("m.txt")]
        checker.run("train-bpe", "--input", checker.path("stories"), "--vocab-size", "600", "--special-token", EOT,
                    "--tokenizer", checker.path("learned.json"), *own)
        checker.compare("learned: tokenizer.json", checker.ids("--tokenizer", checker.path("learned.json")),
                        checker.ids(*own, "--special-token", EOT))
        checker.check("learned", own, checker.path("v.json"), checker.path("m.txt"))
        if files:
            vocab, merges, *texts = files
            for path in texts:
                with open(path, encoding="utf-8", newline="") as f:
                    checker.text += f.read() + EOT
            checker.check("GPT-2", ["--vocab", vocab, "--merges", merges], vocab, merges)


if __name__ == "__main__":
    main()
