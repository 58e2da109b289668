"""Fixtures of GPT-4's pattern, in tests/fixtures/tokenizer: gpt4_*.

Oracles: `regex` for pre-tokens, which tiktoken and `tokenizers` must find too; the plain trainer of
make_tokenizer_fixtures.py; tiktoken for ids, and `tokenizers` for the ids of a model that ignores its merges.
Needs: pip install regex tiktoken tokenizers. Texts are written here; outputs are committed.
"""

import os
import random

import regex
import tiktoken
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

import make_tokenizer_fixtures as base

GPT4 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+")
TIKTOKEN_0_14 = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$"
                 r"|\s*[\r\n]|\s+(?!\S)|\s")
SPLIT = regex.compile(GPT4)

# ---- pre-tokens: one string a line, in hexadecimal, then the length of each pre-token -----------------------------

CONTRACTIONS = base.CONTRACTIONS + ["'S", "'T", "'D", "'M", "'Ll", "'lL", "'VE", "'Re", "'rE", "'\u017f", "'\u017fa",
                                    "'\u1e9e", "\u2019s", "'L", "'V"]
SPACES = ["\n", "\r", "\r\n", "\n\n", " ", "  ", "\t", "\u00a0", "\u2028", "\u0085", "\v", "\f", "\u3000"]


def fragment(rnd: random.Random, wide: list[str]) -> bytes:
    kind = rnd.randrange(5)
    if kind == 0:
        return rnd.choice(SPACES).encode() * rnd.choice([1, 1, 1, 2, 3])
    if kind == 1:
        return rnd.choice(CONTRACTIONS).encode()
    if kind == 2:
        return rnd.choice(["1", "12", "123", "1234", "\u0663", "\u00b2", "\u216b", "."]).encode()
    return base.fragment(rnd, wide)


def lengths(text: bytes) -> list[int]:
    decoded = text.decode("utf-8", errors="surrogateescape")  # a lone surrogate is of no class, as U+FFFD
    pretokens = [m.group() for m in SPLIT.finditer(decoded)]
    assert "".join(pretokens) == decoded
    return [len(pretoken.encode("utf-8", errors="surrogateescape")) for pretoken in pretokens]


def tiktoken_lengths(pattern: str, text: str) -> list[int]:
    """Pre-tokens of tiktoken: with all substrings as tokens, each pre-token is one token."""
    data = text.encode()
    ranks = {bytes([b]): b for b in range(256)}
    for begin in range(len(data)):
        for end in range(begin + 2, len(data) + 1):
            ranks.setdefault(data[begin:end], len(ranks))
    encoding = tiktoken.Encoding("substrings", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return [len(encoding.decode_single_token_bytes(i)) for i in encoding.encode_ordinary(text)]


def tokenizers_lengths(text: str) -> list[int]:
    split = pre_tokenizers.Split(Regex(GPT4), behavior="isolated")
    return [len(piece.encode()) for piece, _ in split.pre_tokenize_str(text)]


def check_peers(text: bytes) -> None:
    """Both peers must find the same pre-tokens. tiktoken's own pattern may differ in one case (pretokenize_gpt4.c)."""
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        return
    expected = lengths(text)
    for name, theirs in ("tiktoken", tiktoken_lengths(GPT4, decoded)), ("tokenizers", tokenizers_lengths(decoded)):
        assert theirs == expected, f"{name}: {decoded!r} has pre-tokens of {theirs} bytes, expected {expected}"
    if not regex.search(r"[\r\n]\s*[^\S\r\n]\Z", decoded):  # a line end in the white space at the end, and not its last
        today = tiktoken_lengths(TIKTOKEN_0_14, decoded)
        assert today == expected, f"tiktoken 0.14: {decoded!r} has pre-tokens of {today} bytes, expected {expected}"


def make_pretokens() -> list[bytes]:
    rnd = random.Random(4)
    wide = [chr(c) for c in range(0x80, 0x110000) if base.stable(chr(c))]
    latin = [c for c in wide if ord(c) < 0x3000]
    strings = [c.encode() for c in base.SPACES + base.NO_SPACES + CONTRACTIONS]
    strings += [a.encode() + b.encode() + c for a in base.SPACES for b in ("", " ", "\n", "\r", "\t")
                for c in (b"", b"x", b".", b"1", b"\xff")]
    strings += [a + c.encode() + b for c in CONTRACTIONS for a in (b"x", b" ", b".", b"1", b"\n") for b in (b"", b"x")]
    for trial in range(1600):
        strings.append(b"".join(fragment(rnd, latin if trial % 2 else wide) for _ in range(rnd.randint(1, 9))))
    strings = [text for text in dict.fromkeys(strings) if text]
    for text in strings:
        check_peers(text)
    assert tiktoken_lengths(GPT4, "x\n ") == [1, 1, 1] and tiktoken_lengths(TIKTOKEN_0_14, "x\n ") == [1, 2]
    base.write("gpt4_pretokens.txt", "".join(f"{text.hex()} {' '.join(map(str, lengths(text)))}\n" for text in strings))
    return strings


# ---- a vocabulary learned with the pattern, and ids: one text a line, in hexadecimal, then its ids -----------------

VOCABULARY = 900
TEXTS = ["Hello, how are you?", "He'll say: \u201cI'LL come at 12:45, 1234567 times!\u201d\r\n\r\n  Yes.\n\n\tNo. ",
         "int main(void)\n{\n    return x->y[10000];\n}\n\n\n", "  \n  ", "\n\n", "\t\tIt'S 3.14159\u00a0km \n x", ""]


def learn() -> tuple[list[bytes], list[tuple[bytes, bytes]]]:
    base.SPLIT = SPLIT  # of train()
    vocab, merges = base.train(base.read(os.path.join(base.OUT, "train.txt")), VOCABULARY)
    base.write_model("gpt4_", vocab, merges)
    return vocab, merges


def some_texts(strings: list[bytes]) -> list[str]:
    valid = [text.decode() for text in strings[-1600:] if text.decode(errors="replace").encode() == text]
    return TEXTS + valid[:300]


def make_ids(vocab: list[bytes], texts: list[str]) -> None:
    ranks = {token: i for i, token in enumerate(vocab) if token != base.EOT.encode()}
    encoding = tiktoken.Encoding("own", pat_str=GPT4, mergeable_ranks=ranks, special_tokens={base.EOT: 0})
    lines = [" ".join([text.encode().hex(), *map(str, encoding.encode_ordinary(text))]) for text in texts if text]
    base.write("gpt4_ids.txt", "\n".join(lines) + "\n")


# ---- ignore_merges: first the tokens behind the vocabulary, to which no merges lead, then texts and ids -----------

def make_whole_ids(vocab: list[bytes], merges: list[tuple[bytes, bytes]], texts: list[str]) -> None:
    pretokens = {m.group().encode() for text in texts for m in SPLIT.finditer(text)}
    unreached = sorted(token for token in pretokens if 1 < len(token) and token not in vocab)
    added = unreached[::3] + [b"x" * 300]
    entries = {base.spell(token): i for i, token in enumerate(vocab + added)}
    model = models.BPE(entries, [(base.spell(a), base.spell(b)) for a, b in merges], ignore_merges=True)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(GPT4), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    texts = texts + ["x" * 299, "x" * 300, "x" * 301]
    lines = [token.hex() for token in added]
    lines += [" ".join([text.encode().hex(), *map(str, tokenizer.encode(text).ids)]) for text in texts if text]
    base.write("gpt4_whole_ids.txt", "\n".join(lines) + "\n")


def main() -> None:
    strings = make_pretokens()
    vocab, merges = learn()
    texts = some_texts(strings)
    make_ids(vocab, texts)
    make_whole_ids(vocab, merges, texts)


if __name__ == "__main__":
    main()
