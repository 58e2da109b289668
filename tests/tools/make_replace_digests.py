"""Writes tests/fixtures/tokenizer/replaced_digests.txt: what Python's errors="replace" makes of a million byte strings.

Both sides draw the strings from the same generator (tests/tokenizer/test_replace.c), so that only digests need to be kept: one of
each thousand strings. Usage: make_replace_digests.py
"""
import pathlib

BATCHES, STRINGS, LONGEST = 1000, 1000, 12
WORD = (1 << 64) - 1
# Bytes that begin, continue and border on characters. A range is drawn first, then a byte of it.
RANGES = [(0x00, 0xFF), (0x00, 0x7F), (0x80, 0xBF), (0x80, 0xBF), (0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF5),
          (0x8F, 0x90), (0x9F, 0xA0), (0xE0, 0xE0), (0xED, 0xED), (0xF4, 0xF4)]


class Generator:
    """xorshift64*"""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def below(self, n: int) -> int:
        self.state ^= self.state >> 12
        self.state ^= self.state << 25 & WORD
        self.state ^= self.state >> 27
        return ((self.state * 0x2545F4914F6CDD1D & WORD) >> 33) % n


def string(generator: Generator) -> bytes:
    length = generator.below(LONGEST + 1)
    made = bytearray()
    for _ in range(length):
        low, high = RANGES[generator.below(len(RANGES))]
        made.append(low + generator.below(high - low + 1))
    return bytes(made)


def main() -> None:
    generator, lines = Generator(1), []
    for _ in range(BATCHES):
        digest = 0xCBF29CE484222325  # FNV-1a; 0xFF, which is in no text, ends each string
        for _ in range(STRINGS):
            for byte in string(generator).decode("utf-8", errors="replace").encode("utf-8") + b"\xff":
                digest = (digest ^ byte) * 0x100000001B3 & WORD
        lines.append(digest.to_bytes(8, "big").hex())
    path = pathlib.Path(__file__).parent.parent / "fixtures" / "tokenizer" / "replaced_digests.txt"
    path.write_text("\n".join(lines) + "\n")


main()
