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

import hash_weights

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
    """Whether Unicode 3.2 and today's tables put the character into the same class: so does every `regex`."""
    old = unicodedata.ucd_3_2_0.category(c)
    now = "L" if regex.match(r"\p{L}", c) else "N" if regex.match(r"\p{N}", c) else ""
    return old not in ("Cn", "Cs") and now == (old[0] if old[0] in "LN" else "")


def fragment(rnd: random.Random, wide: list[str]) -> bytes:
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
    pretokens = [m.group() for m in SPLIT.finditer(decoded)]  # \p{N} nor \s, as U+FFFD
    assert "".join(pretokens) == decoded
    return [len(pretoken.encode("utf-8", errors="surrogateescape")) for pretoken in pretokens]


def make_pretokens() -> None:
    rnd = random.Random(336)
    wide = [chr(c) for c in range(0x80, 0x110000) if stable(chr(c))]
    latin = [c for c in wide if ord(c) < 0x3000]
    strings = [c.encode() for c in SPACES + NO_SPACES + CONTRACTIONS]
    strings += [a.encode() + b.encode() + c for a in SPACES for b in ("", " ", "\n") for c in (b"", b"x", b"\xff")]
    for trial in range(1600):
        strings.append(b"".join(fragment(rnd, latin if trial % 2 else wide) for _ in range(rnd.randint(1, 9))))
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


# ---- GPT-2's byte alphabet and its files ------------------------------------------------------------------------

PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
OTHERS = [b for b in range(256) if b not in PRINTABLE]
CHARACTER = {b: chr(b) for b in PRINTABLE} | {b: chr(256 + i) for i, b in enumerate(OTHERS)}
BYTE = {c: b for b, c in CHARACTER.items()}


def spell(token: bytes) -> str:
    return "".join(CHARACTER[b] for b in token)


def write_model(name: str, vocab: list[bytes], merges: list[tuple[bytes, bytes]]) -> None:
    entries = {spell(token): i for i, token in enumerate(vocab)}
    write(name + "vocab.json", json.dumps(entries, ensure_ascii=False, indent=0) + "\n")
    write(name + "merges.txt", "".join(f"{spell(a)} {spell(b)}\n" for a, b in merges))


# ---- a plain BPE trainer: all pairs are counted again before each merge -------------------------------------------

def merge_word(word: tuple[bytes, ...], pair: tuple[bytes, bytes]) -> tuple[bytes, ...]:
    out, i = [], 0
    while i < len(word):
        if word[i:i + 2] == pair:
            out.append(word[i] + word[i + 1])
            i += 2
        else:
            out.append(word[i])
            i += 1
    return tuple(out)


def train(text: str, vocab_size: int) -> tuple[list[bytes], list[tuple[bytes, bytes]]]:
    counts = collections.Counter(m.group().encode() for segment in text.split(EOT) for m in SPLIT.finditer(segment))
    words = {tuple(word[i:i + 1] for i in range(len(word))): count for word, count in counts.items()}
    vocab = [EOT.encode()] + [bytes([b]) for b in PRINTABLE + OTHERS]
    merges = []
    while len(vocab) < vocab_size:
        pairs = collections.Counter()
        for word, count in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += count
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        vocab.append(best[0] + best[1])
        words = {merge_word(word, best): count for word, count in words.items()}
    return vocab, merges


# ---- the 5 MB text, word by word from a hash, as tests/support/corpus.c makes it ----------------------------------

CORPUS_BYTES = 5_000_000
SYLLABLES = ("the lo mi an re so ta ver in co el dra be un ki mor st ou pa ing sha ze qui nth").split()
FOREIGN = "größe naïve Σίσυφος привет 東京 café 안녕 ça".split()
SUFFIXES = ["'s", "'t", "'ll", "'re"]
ENDINGS = [".\n", "\n\n", ".\n" + EOT + "\n", "! ", "? ", "; ", " (", ") ", ", ", ", ", ". ", ". ", ". "]


def corpus_word(bits: int) -> str:
    """A word and what follows it: fields of a 64-bit number choose both."""
    kind, ending = bits & 31, bits >> 5 & 63
    if kind == 0:
        word = str(bits >> 32 & 1023)
    elif kind == 1:
        word = FOREIGN[bits >> 32 & 7]
    else:
        count = (1, 1, 1, 2, 2, 2, 2, 3)[bits >> 11 & 7]
        draws = [bits >> 16 + 8 * i & 255 for i in range(count)]
        word = "".join(SYLLABLES[x * x * len(SYLLABLES) >> 16] for x in draws)  # the first ones are frequent
        if kind == 2:
            word += SUFFIXES[bits >> 48 & 3]
        if kind == 3:
            word = word.capitalize()
    return word + (ENDINGS[ending] if ending < len(ENDINGS) else " ")


def corpus() -> bytes:
    out, length, index = [], 0, 0
    while length < CORPUS_BYTES:
        for bits in hash_weights._bits("corpus", index, 1 << 16).tolist():
            word = corpus_word(bits).encode()
            out.append(word)
            length += len(word)
            if length >= CORPUS_BYTES:
                break
        index += 1
    return b"".join(out)


def fnv1a(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return value


def make_corpus_model() -> None:
    text = corpus()
    write("corpus.txt", f"{len(text)} {fnv1a(text)}\n")
    write_model("corpus_", *train(text.decode(), 1000))


# ---- a small vocabulary of our own, and ids by tiktoken -----------------------------------------------------------

TEXTS = ["address.txt", "german.txt", "story.txt", "trailing_newlines.txt", "double_newlines.txt"]
COURSE_TEXTS = {"address.txt": "address.txt", "german.txt": "german.txt", "story.txt": "tinystories_sample.txt",
                "trailing_newlines.txt": "special_token_trailing_newlines.txt",
                "double_newlines.txt": "special_token_double_newlines_non_whitespace.txt"}
INLINE = {"empty": "", "character": "s", "unicode_character": "🙃", "ascii": "Hello, how are you?",
          "unicode": "Héllò hôw are ü? 🙃", "special": f"Héllò hôw {EOT}{EOT} are ü? 🙃{EOT}"}


def read_model(vocab_path: str) -> dict[bytes, int]:
    return {bytes(BYTE[c] for c in token): i for token, i in json.loads(read(vocab_path)).items()}


def id_lines(name: str, vocab: dict[bytes, int], texts: dict[str, str]) -> list[str]:
    """Ids of each text, without special tokens and with <|endoftext|> as one: a line each."""
    special = {EOT: vocab[EOT.encode()]}
    ranks = {token: i for token, i in vocab.items() if token != EOT.encode()}
    encoding = tiktoken.Encoding(name, pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=special)
    lines = []
    for key, text in texts.items():
        for way, ids in ("plain", encoding.encode_ordinary(text)), ("special", encoding.encode(text, allowed_special="all")):
            assert encoding.decode(ids) == text
            lines.append(" ".join([f"{name}/{way}/{key}", *map(str, ids)]))
    return lines


def make_ids(course: str | None) -> None:
    texts = {name: read(os.path.join(OUT, name)) for name in TEXTS}
    # not the other short texts: their characters shall be split between tokens
    write("train.txt", "\n".join([*texts.values(), *["Hello, how are you?"] * 10]))
    vocab, merges = train(read(os.path.join(OUT, "train.txt")), 900)
    write_model("", vocab, merges)
    lines = id_lines("own", {token: i for i, token in enumerate(vocab)}, INLINE | texts)
    if course:
        texts = {name: read(os.path.join(course, theirs)) for name, theirs in COURSE_TEXTS.items()}
        lines += id_lines("course", read_model(os.path.join(course, "gpt2_vocab.json")), INLINE | texts)
    else:  # keep what an earlier run with the course's files has made
        lines += [line for line in read(os.path.join(OUT, "ids.txt")).split("\n") if line.startswith("course/")]
    write("ids.txt", "\n".join(lines) + "\n")


def main() -> None:
    os.makedirs(OUT, exist_ok=True)
    make_pretokens()
    make_replaced()
    make_ids(sys.argv[1] if len(sys.argv) > 1 else None)
    make_corpus_model()


if __name__ == "__main__":
    main()
