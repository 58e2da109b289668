"""Writes cs336_basics/tokenizer/unicode_classes.h, and what it is tested against, tests/fixtures/tokenizer/unicode_classes.txt.

The classes are those of GPT-2's pattern (letter, number, white space, other) in Unicode 16.0, the version of tiktoken's
regular expressions. The header is made from `regex`, whose Unicode may be later, with all characters that came after
16.0 left out; the fixture is what tiktoken itself matches. Needs: pip install regex tiktoken
"""

import os

import regex
import tiktoken

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
HEADER = os.path.join(ROOT, "cs336_basics", "tokenizer", "unicode_classes.h")
FIXTURE = os.path.join(ROOT, "tests", "fixtures", "tokenizer", "unicode_classes.txt")
PATTERNS = [r"\p{L}", r"\p{N}", r"\s"]  # classes 0, 1, 2 in the order of enum UnicodeClass; 3 is the rest
OTHER = 3
ASSIGNED_IN_16 = 154_998 + 137_468 + 65  # characters, for private use, control codes

CHARACTERS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def tiktoken_members(pattern: str) -> set[int]:
    """tiktoken skips what its pattern does not match: what is left of all characters is the class."""
    byte_ids = {bytes([b]): b for b in range(256)}
    encoding = tiktoken.Encoding("bytes", pat_str=pattern, mergeable_ranks=byte_ids, special_tokens={})
    members = set()
    for i in range(0, len(CHARACTERS), 4096):
        members.update(map(ord, bytes(encoding.encode_ordinary("".join(CHARACTERS[i:i + 4096]))).decode()))
    return members


def runs(members: set[int]) -> list[tuple[int, int]]:
    firsts = sorted(c for c in members if c - 1 not in members)
    lasts = sorted(c for c in members if c + 1 not in members)
    return list(zip(firsts, lasts))


def write_fixture(classes: list[set[int]]) -> None:
    lines = sorted((first, last, k) for k, members in enumerate(classes) for first, last in runs(members))
    with open(FIXTURE, "w", encoding="ascii") as f:
        f.writelines(f"{first} {last} {k}\n" for first, last, k in lines)


def write_header(classes: list[set[int]]) -> None:
    class_of = {c: k for k, members in enumerate(classes) for c in members}
    end = (max(class_of) | 255) + 1
    leaves: dict[tuple[int, ...], int] = {}
    index = []
    for start in range(0, end, 256):
        words = tuple(sum(class_of.get(start + 32 * w + i, OTHER) << 2 * i for i in range(32)) for w in range(8))
        index.append(leaves.setdefault(words, len(leaves)))
    assert len(leaves) <= 256
    rows = [", ".join(map(str, index[i:i + 24])) for i in range(0, len(index), 24)]
    words = [", ".join(f"0x{word:016x}" for word in leaf[half:half + 4]) for leaf in leaves for half in (0, 4)]
    with open(HEADER, "w", encoding="ascii") as f:
        f.write(f"""\
/*
 * Written by tests/tools/make_unicode_classes.py: the classes of Unicode 16.0 that tokenizer/unicode.h names, two bits
 * a code point. The table has two levels: each 256 code points have a leaf, and equal leaves are stored once. From
 * UNICODE_CLASSES_END on all code points are OTHER.
 */
#ifndef CS336_TOKENIZER_UNICODE_CLASSES_H
#define CS336_TOKENIZER_UNICODE_CLASSES_H

#include "core/api.h"

#include <stdint.h>

CS336_INTERNAL_BEGIN

/* clang-format off */
enum {{ UNICODE_CLASSES_END = 0x{end:X} }};

static const uint8_t unicode_leaf[UNICODE_CLASSES_END / 256] = {{
    {(","+chr(10)+"    ").join(rows)},
}};

static const uint64_t unicode_leaf_classes[{len(leaves)}][8] = {{
""")
        for i in range(0, len(words), 2):
            f.write(f"    {{{words[i]},\n     {words[i + 1]}}},\n")
        f.write("};\n/* clang-format on */\n\nCS336_INTERNAL_END\n\n#endif\n")


def main() -> None:
    assigned = tiktoken_members(r"\P{Cn}")
    assert len(assigned) == ASSIGNED_IN_16, f"tiktoken knows {len(assigned)} characters: not Unicode 16.0"
    theirs = [tiktoken_members(pattern) for pattern in PATTERNS]
    ours = [{ord(c) for c in CHARACTERS if regex.match(pattern, c)} & assigned for pattern in PATTERNS]
    for pattern, a, b in zip(PATTERNS, ours, theirs):
        assert a == b, f"regex and tiktoken differ in {pattern}: {sorted(a ^ b)[:9]}"
    write_header(ours)
    write_fixture(theirs)


if __name__ == "__main__":
    main()
