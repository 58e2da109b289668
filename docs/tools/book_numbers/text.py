"""Chapter 1: text. A plain BPE in Python, which counts all pairs anew for each merge, computes the examples."""
import collections
import pathlib
import re
import unicodedata

from .common import BLUE, GREEN, ORANGE, plot

TOP = pathlib.Path(__file__).resolve().parents[3]
WORDS = {"low": 5, "lower": 2, "widest": 3, "newest": 6}  # the handout's example
SPECIAL = "<|endoftext|>"


def hexadecimal(data):
    return " ".join(f"{b:02X}" for b in data)


def quoted(parts):
    return " ".join('"' + p.replace("\n", "\\n") + '"' for p in parts)


# ---- BPE ----

def merged(tokens, pair):
    """The tokens with the pair joined wherever it stands, from left to right."""
    result, i = [], 0
    while i < len(tokens):
        found = tuple(tokens[i:i + 2]) == pair
        result.append(tokens[i] + tokens[i + 1] if found else tokens[i])
        i += 2 if found else 1
    return result


def count_pairs(words):
    counts = collections.Counter()
    for tokens, count in words:
        for pair in zip(tokens, tokens[1:]):
            counts[pair] += count
    return counts


def single_bytes(word):
    return [bytes([b]) for b in word]


def train(word_counts, most):
    """Yields for each merge: the pair, the counts of all pairs before it, and the words after it."""
    words = [(single_bytes(word), count) for word, count in word_counts.items()]
    for _ in range(most):
        counts = count_pairs(words)
        if not counts:
            return
        pair = max(counts, key=lambda p: (counts[p], p))
        words = [(merged(tokens, pair), count) for tokens, count in words]
        yield pair, counts, words


def handout_merges(most=12):
    return list(train({word.encode(): count for word, count in WORDS.items()}, most))


def encode(word, ranks):
    """Applies the merges by rank. Returns the tokens after each step."""
    steps = [single_bytes(word)]
    while True:
        pairs = [p for p in zip(steps[-1], steps[-1][1:]) if p in ranks]
        if not pairs:
            return steps
        steps.append(merged(steps[-1], min(pairs, key=ranks.get)))


def ranks_of(pairs):
    return {pair: rank for rank, pair in enumerate(pairs)}


def spelled(tokens):
    return " ".join(t.decode("utf-8", "replace") if t != b" " else '" "' for t in tokens)


# ---- pre-tokens ----

def pattern(text):
    """GPT-2's pattern for the characters of this text. Python's re has neither \\p{L} nor \\p{N}, so they are listed.

    Python's \\s has four control characters that White_Space does not have; no text here holds one of them.
    """
    kind = lambda k: "".join(re.escape(c) for c in sorted(set(text)) if unicodedata.category(c)[0] == k) or r"[^\s\S]"
    letters, numbers = kind("L"), kind("N")
    letters, numbers = (k if k.startswith("[") else f"[{k}]" for k in (letters, numbers))
    other = rf"(?:(?!{letters}|{numbers})\S)"
    return rf"'(?:[sdmt]|ll|ve|re)| ?{letters}+| ?{numbers}+| ?{other}+|\s+(?!\S)|\s+"


def pretokens(text, special=()):
    if special:
        parts = re.split("(" + "|".join(re.escape(s) for s in sorted(special, key=len, reverse=True)) + ")", text)
        return [p for part in parts for p in ([part] if part in special else pretokens(part))]
    return re.findall(pattern(text), text)


# ---- the sections ----

def numbers_null():
    text = "a" + chr(0) + "b"
    return [f"repr(chr(0))             {chr(0)!r}", f"print(chr(0))            writes the byte {hexadecimal(chr(0).encode())}, "
            "for which a terminal shows nothing",
            f"repr('a' + chr(0) + 'b') {text!r}     len {len(text)}", f"its bytes                {hexadecimal(text.encode())}"]


def numbers_utf8():
    lines = ["code point   bits of the code point    UTF-8 in binary                        UTF-8          character"]
    for c in "aß中🙃":
        data = c.encode()
        # The first byte of n > 1 has n ones and a zero before its bits, each other byte has 10.
        sizes = [7] if len(data) == 1 else [7 - len(data)] + [6] * (len(data) - 1)
        bits, groups = f"{ord(c):0{sum(sizes)}b}", []
        for size in sizes:
            groups.append(bits[:size])
            bits = bits[size:]
        lines.append(f"U+{ord(c):04X}".ljust(13) + " ".join(groups).ljust(26) + " ".join(f"{b:08b}" for b in data).ljust(39)
                     + hexadecimal(data).ljust(15) + c)
    return lines


def numbers_encodings():
    lines = [f"{'characters':>10}{'UTF-8':>8}{'UTF-16':>8}{'UTF-32':>8}   text"]
    for text in ("hello", "grüße", "中文", "🙃"):
        sizes = [len(text.encode(e)) for e in ("utf-8", "utf-16-le", "utf-32-le")]
        lines.append(f"{len(text):>10}" + "".join(f"{n:>8}" for n in sizes) + f"   {text}")
    return lines


def numbers_wrong_decoder():
    good, bad = "né".encode(), bytes([0xC3, 0xC3])
    one_by_one = [bytes([b]).decode("utf-8", "replace") for b in good]
    try:
        bad.decode()
        error = "none"
    except UnicodeDecodeError as e:
        error = str(e)
    return [f"bytes of \"né\"         {hexadecimal(good)}", f"decoded together      {good.decode()}",
            f"decoded one by one    {' '.join(c if c != chr(0xFFFD) else 'U+FFFD' for c in one_by_one)}",
            f"{hexadecimal(bad)}                 {error}"]


def measured():
    """Figures of mixed.txt that other pages report: bytes, pre-tokens, distinct ones, bytes per token of tokenizer B."""
    report = (TOP / "docs/tokenizer_experiments.md").read_text(encoding="utf-8")
    megabytes, _, per_token = re.search(r"^mixed\.txt +([\d.]+) +([\d.]+) +([\d.]+)$", report, re.M).groups()
    counting = (TOP / "docs/tokenizer.md").read_text(encoding="utf-8")
    pretoken_count, distinct = re.search(r"^\| 40 MB \| ([\d ]+) \| ([\d ]+) \|", counting, re.M).groups()
    return (float(megabytes) * 1e6, int(pretoken_count.replace(" ", "")), int(distinct.replace(" ", "")), float(per_token))


def numbers_units():
    size, pretoken_count, distinct, per_token = measured()
    lines = [f"{'unit':<22}{'vocabulary':>11}{'tokens':>9}{'scores of a head':>18}    for 1000 bytes of mixed.txt"]
    for name, vocabulary, count in (("bytes", 256, 1000), ("BPE, tokenizer B", 32000, 1000 / per_token),
                                    ("whole words", distinct, 1000 * pretoken_count / size)):
        lines.append(f"{name:<22}{vocabulary:>11}{count:>9.0f}{round(count) ** 2:>18}"
                     + ("    and any other word is unknown" if name == "whole words" else ""))
    return lines


def numbers_merges():
    steps = handout_merges()
    lines = ["words   " + "   ".join(f"{w} {n}" for w, n in WORDS.items()),
             "pairs   " + "   ".join(f"{spelled(p)} {n}" for p, n in steps[0][1].most_common()), "",
             "merge  pair         count   as frequent     the words after it"]
    for i, (pair, counts, words) in enumerate(steps):
        ties = [p for p in counts if counts[p] == counts[pair] and p != pair]
        lines.append(f"{i + 1:>5}  ({', '.join(t.decode() for t in pair)})".ljust(20) + f"{counts[pair]:>5}   "
                     + (spelled(ties[0]) + (f" and {len(ties) - 1} more" if len(ties) > 1 else "") if ties else "").ljust(16)
                     + " | ".join(spelled(tokens) for tokens, _ in words))
    return lines


def numbers_pretokens():
    lines = []
    for text in ("some text that i'll pre-tokenize", "I'll go at 10pm.  Ok!", "x\n\ny", "grüße, 中文 2³"):
        lines += [quoted([text]), "    " + quoted(pretokens(text))]
    return lines


def numbers_special():
    text = f"The end. {SPECIAL}Once"
    overlapping = SPECIAL * 2
    return [quoted([text]), f"    no special token          {quoted(pretokens(text))}",
            f"    {SPECIAL:<26}{quoted(pretokens(text, [SPECIAL]))}", quoted([overlapping]),
            f"    {SPECIAL:<26}{quoted(pretokens(overlapping, [SPECIAL]))}",
            f"    ... and the doubled one   {quoted(pretokens(overlapping, [SPECIAL, overlapping]))}"]


def numbers_changes():
    steps = handout_merges()
    pair, before, words = steps[1]
    after = steps[2][1]
    lines = [f"merge 2, ({', '.join(t.decode() for t in pair)}): in 2 of the 4 words", f"{'pair':<14}{'before':>8}{'after':>8}"]
    for p in sorted(set(before) | set(after), key=lambda p: (before[p] == 0, p)):
        if before[p] != after[p]:
            lines.append(f"({', '.join(t.decode() for t in p)})".ljust(14) + f"{before[p]:>8}{after[p]:>8}")
    return lines + [f"The other {sum(before[p] == after[p] for p in before)} pairs keep their counts."]


def numbers_encode():
    pairs = [(b"t", b"h"), (b" ", b"c"), (b" ", b"a"), (b"th", b"e"), (b" a", b"t")]
    vocab = [b" ", b"a", b"c", b"e", b"h", b"t"] + [a + b for a, b in pairs]
    lines = ["vocabulary  " + "  ".join(f"{i} {quoted([t.decode()])}" for i, t in enumerate(vocab)),
             "merges      " + "  ".join(f"({quoted([a.decode()])}, {quoted([b.decode()])})" for a, b in pairs), ""]
    for word in pretokens("the cat ate"):
        steps = encode(word.encode(), ranks_of(pairs))
        shown = "   ->   ".join("[" + "|".join(t.decode() for t in step) + "]" for step in steps)
        lines.append(f"{quoted([word]):<8}{shown:<62}" + " ".join(str(vocab.index(t)) for t in steps[-1]))
    return lines


def numbers_lowest():
    pairs = [pair for pair, _, _ in handout_merges()]
    ranks, word = ranks_of(pairs), b"lowest"
    vocab = {bytes([b]) for b in word} | {a + b for a, b in pairs}
    longest, rest = [], word
    while rest:
        longest.append(max((t for t in vocab if rest.startswith(t)), key=len))
        rest = rest[len(longest[-1]):]
    left = single_bytes(word)
    while found := [i for i in range(len(left) - 1) if (left[i], left[i + 1]) in ranks]:
        left[found[0]:found[0] + 2] = [left[found[0]] + left[found[0] + 1]]
    return [f"{'merges by rank':<32}{'  ->  '.join(spelled(s) for s in encode(word, ranks))}",
            f"{'the longest token first':<32}{spelled(longest)}", f"{'the first merge from the left':<32}{spelled(left)}"]


def numbers_stream():
    lines = [f"{'so far':<14}{'its pre-tokens':<26}{'one more chunk':<18}{'all pre-tokens':<28}unchanged"]
    # A byte that is no character becomes a lone surrogate, which is neither letter nor number nor white space.
    characters = lambda data: data.decode("utf-8", "surrogateescape")
    escaped = lambda data: '"' + "".join(f"\\x{b:02X}" if b > 127 else "\\n" if b == 10 else chr(b) for b in data) + '"'
    parts_shown = lambda parts: " ".join(escaped(p.encode("utf-8", "surrogateescape")) for p in parts)
    for first, second in ((b"the c", b"at"), (b"it'l", b"l"), (b"a  ", b"b"), (b"a \n\xC2", b"\xA0"),
                          (b"so <|endof", b"text|>")):
        old, new = (pretokens(characters(data), [SPECIAL]) for data in (first, first + second))
        same = next(i for i, part in enumerate(old) if part != new[i])
        lines.append(f"{escaped(first):<14}{parts_shown(old):<26}{escaped(second):<18}{parts_shown(new):<28}{same} of {len(old)}")
    return lines


def numbers_decode():
    lines = [f"{'tokens':<24}{'joined, then decoded':<24}each token decoded"]
    visible = lambda text: " ".join("U+FFFD" if c == "\uFFFD" else c for c in text)
    for tokens in ([b"\xF0\x9F", b"\x99\x83"], [b"\xF0\x9F\x99"], [b"\xC3", b"\xC3"], [b"\xED\xA0\x80"]):
        lines.append(f"{' | '.join(hexadecimal(t) for t in tokens):<24}"
                     f"{visible(b''.join(tokens).decode('utf-8', 'replace')):<24}"
                     + visible("".join(t.decode("utf-8", "replace") for t in tokens)))
    return lines


def numbers_ids():
    ids = [9, 7, 1, 5, 10, 3]
    return [f"ids       {ids}", f"uint16    {hexadecimal(b''.join(i.to_bytes(2, 'little') for i in ids))}     {2 * len(ids)} bytes",
            f"uint32    {4 * len(ids)} bytes, and int64, NumPy's default, {8 * len(ids)} bytes"]


# ---- the figure ----

def figure_vocabulary():
    """Bytes per token against the size of the vocabulary, from the table in the chapter."""
    chapter = (TOP / "docs/book/text.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| ([\d.]+|–) \| ([\d.]+) \| ([\d.]+|–) \|$", chapter, re.M)
    curve = lambda column: [(int(row[0]), float(row[column])) for row in rows if row[column] != "–"]
    return plot("text_vocabulary.svg", "How much text a token stands for", "tokens in the vocabulary", "bytes per token",
                [int(row[0]) for row in rows],
                [("stories", ORANGE, curve(1)), ("mixed text", BLUE, curve(2)),
                 ("by the stories' merges", GREEN, curve(3))], 5)
