"""Whether Hugging Face's `tokenizers` reads our files and gives our ids. Called by the tests with their own files.

usage: check_tokenizers.py VOCAB MERGES TOKENIZER_JSON TEXT IDS SPECIAL...     IDS: raw little-endian uint16
"""

import sys

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers


def is_decoded(token: str) -> bool:
    """Whether their decoder gives a special token back: it takes "é", all of whose characters stand for bytes, for E9."""
    alphabet = set(pre_tokenizers.ByteLevel.alphabet())
    return token.isascii() or not all(character in alphabet for character in token)


def check(name: str, tokenizer: Tokenizer, text: str, ids: list[int], special: list[str]) -> None:
    theirs = tokenizer.encode(text).ids
    if theirs != ids:
        index = next((i for i, (a, b) in enumerate(zip(theirs, ids)) if a != b), min(len(theirs), len(ids)))
        sys.exit(f"{name}: {len(theirs)} ids of tokenizers, {len(ids)} of ours, they differ from index {index} on")
    if all(map(is_decoded, special)) and tokenizer.decode(ids, skip_special_tokens=False) != text:
        sys.exit(f"{name}: the text does not come back")


def main() -> None:
    vocab, merges, tokenizer_json, text_path, ids_path, *special = sys.argv[1:]
    with open(text_path, encoding="utf-8", newline="") as f:
        text = f.read()
    with open(ids_path, "rb") as f:
        data = f.read()
    ids = [int.from_bytes(data[i:i + 2], "little") for i in range(0, len(data), 2)]
    check(tokenizer_json, Tokenizer.from_file(tokenizer_json), text, ids, special)
    pair = Tokenizer(models.BPE.from_file(vocab, merges))
    pair.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pair.decoder = decoders.ByteLevel()
    pair.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    check(merges, pair, text, ids, special)
    print(f"{len(ids)} ids agree")


if __name__ == "__main__":
    main()
