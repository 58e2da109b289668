"""Fixtures of the tokenizer suites, in tests/fixtures/tokenizer.

usage: make_tokenizer_fixtures.py [COURSE]     COURSE: a directory with the course's own text fixtures

Oracles: `regex` for pre-tokens, Python itself for malformed UTF-8, tiktoken for ids, and the plain trainer below, which
recounts every pair at every step. Needs: pip install regex tiktoken. Texts are written here; outputs are committed.
"""

import collections
import json
import os
import random
import sys
import unicodedata

import regex
import tiktoken

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "tokenizer")
PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
SPLIT = regex.compile(PATTERN)
EOT = "<|endoftext|>"


def write(name: str, text: str) -> None:
    with open(os.path.join(OUT, name), "w", encoding="utf-8", newline="") as f:
        f.write(text)


def read(path: str) -> str:
    with open(path, encoding="utf-8", newline="") as f:
        return f.read()


# ---- pre-tokens: one string a line, in hexadecimal, then the length of each pre-token -----------------------------

SPACES = [chr(c) for c in [*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F,
                           0x205F, 0x3000]]
NO_SPACES = ["\x1c", "\x1d", "\x1e", "\x1f", "\u200b", "\ufeff", "\u180e", "\x00", "\x7f"]
CONTRACTIONS = ["'s", "'t", "'d", "'m", "'ll", "'ve", "'re", "'l", "'v", "'r", "'", "''", "'S", "'LL", "'x", "'le"]
MALFORMED = [b"\x80", b"\xbf", b"\xc0\xaf", b"\xe4", b"\xe4\xb8", b"\xf0\x9f", b"\xf0\x9f\x98", b"\xed\xa0\x80",
             b"\xf4\x90\x80\x80", b"\xff", b"\xc3"]


def stable(c: str) -> bool:
    """Whether Unicode 3.2 and today's tables put the character into the same class: so does every utf8proc."""
    old = unicodedata.ucd_3_2_0.category(c)
    now = "L" if regex.match(r"\p{L}", c) else "N" if regex.match(r"\p{N}", c) else ""
    return old not in ("Cn", "Cs") and now == (old[0] if old[0] in "LN" else "")


def pieces(rnd: random.Random, wide: list[str]) -> bytes:
    kind = rnd.randrange(9)
    choice = {0: "abcXYZ", 1: "0123789", 2: ".,!?-\"()[]#<|>_", 3: " \n\t\r "}.get(kind)
    if choice:
        return rnd.choice(choice).encode() * rnd.choice([1, 1, 1, 2, 3])
    if kind == 4:
        return rnd.choice(SPACES).encode() * rnd.choice([1, 1, 2])
    if kind == 5:
        return rnd.choice(CONTRACTIONS).encode()
    if kind == 6:
        return rnd.choice(NO_SPACES).encode()
    if kind == 7:
        return rnd.choice(MALFORMED) if rnd.random() < 0.3 else b" "
    return rnd.choice(wide).encode()


def pretoken_lengths(text: bytes) -> list[int]:
    decoded = text.decode("utf-8", errors="surrogateescape")  # a malformed byte is one lone surrogate: neither \p{L},
    parts = [m.group() for m in SPLIT.finditer(decoded)]  # \p{N} nor \s, as U+FFFD
    assert "".join(parts) == decoded
    return [len(part.encode("utf-8", errors="surrogateescape")) for part in parts]


def make_pretokens() -> None:
    rnd = random.Random(336)
    wide = [chr(c) for c in range(0x80, 0x110000) if stable(chr(c))]
    latin = [c for c in wide if ord(c) < 0x3000]
    strings = [c.encode() for c in SPACES + NO_SPACES + CONTRACTIONS]
    strings += [a.encode() + b.encode() + c for a in SPACES for b in ("", " ", "\n") for c in (b"", b"x", b"\xff")]
    for trial in range(1600):
        strings.append(b"".join(pieces(rnd, latin if trial % 2 else wide) for _ in range(rnd.randint(1, 9))))
    lines = [text.hex() + " " + " ".join(map(str, pretoken_lengths(text))) for text in dict.fromkeys(strings) if text]
    write("pretokens.txt", "\n".join(lines) + "\n")


# ---- malformed UTF-8: bytes and what errors="replace" makes of them, in hexadecimal -------------------------------

def make_replaced() -> None:
    rnd = random.Random(2)
    edges = [0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE,
             0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF]
    strings = [bytes([a, b]) for a in edges for b in edges]
    strings += [bytes(rnd.choice(edges[7:]) if rnd.random() < 0.8 else rnd.randrange(256)
                      for _ in range(rnd.randint(3, 9))) for _ in range(2500)]
    lines = [text.hex() + " " + text.decode("utf-8", errors="replace").encode().hex() for text in strings]
    write("replaced.txt", "\n".join(lines) + "\n")


def main() -> None:
    os.makedirs(OUT, exist_ok=True)
    make_pretokens()
    make_replaced()


if __name__ == "__main__":
    main()
