"""tests/fixtures/tokenizer/files-*: tokenizers in one file, of Hugging Face's `tokenizers` and of tiktoken.

files-cases.json has texts with the ids that the two libraries give. Needs: pip install tokenizers tiktoken

- files-bytelevel.json: ByteLevel with GPT-2's pattern; merges as arrays; ids with holes; added tokens in the vocabulary
  and beside it, and one that is not special.
- files-split.json: a Split with GPT-4's pattern as in Llama 3's file, ignore_merges, a post-processor; merges as texts.
- files-late.json: added tokens that overlap, of which some are "normalized"; no merges.
- files-gpt2.tiktoken: ranks that skip two ids, and a token that is made from a part of higher rank.
- files-whole.tiktoken: the same, and a token that no joins lead to.
"""

import base64
import json
import os
import random

import tiktoken
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "tokenizer")
EOT = "<|endoftext|>"
GPT2 = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
GPT4 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+")
CORPUS = (" the thing then the 2024 2024's caf\u00e9 caf\u00e9s a whole world isn't 'tis\n\n\n\tthe the\r\n  \u4e2d\u6587 xyq"
          " \u00fcber \u00fcber 100000 10000") * 20
TEXTS = ["", " ", "the thing", "The thing isn't 2024's, IT'S 123456!", "  the\n\n\n\tthe  \n  x", "caf\u00e9\u00e9 \u4e2d\u6587\u4e2d",
         "xyzq xyz yz xy", " zigzag zigzag a zigzag zigzags", f"the{EOT} the{EOT}{EOT}\n", "a <|pad|>b<|vocab|>c", "  two  blanks   ",
         "\U0001f642\U0001f642 \u00fcber?!\r\n\r\nend 'll 'LL \u2003x"]


def train() -> dict:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=320, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator([CORPUS], trainer)
    saved = json.loads(tokenizer.to_str())
    saved["model"]["merges"] = [pair if isinstance(pair, list) else pair.split(" ") for pair in saved["model"]["merges"]]
    return saved


def added(content: str, token_id: int, special: bool = True, normalized: bool = False) -> dict:
    return {"id": token_id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": normalized, "special": special}


def write(name: str, text: str) -> None:
    with open(os.path.join(OUT, name), "w", encoding="utf-8", newline="") as f:
        f.write(text)


def write_json(name: str, saved: dict) -> Tokenizer:
    text = json.dumps(saved, ensure_ascii=False, separators=(",", ":")) + "\n"
    write(name, text)
    return Tokenizer.from_str(text)


def byte_level() -> tuple[str, Tokenizer]:
    saved = train()
    model = saved["model"]
    model["vocab"] = {token: i if i < 256 else i + 100 for token, i in model["vocab"].items()}
    model["vocab"]["<|vocab|>"] = 257  # one of the holes
    end = len(model["vocab"])  # `tokenizers` counts entries: so these are ids of holes too
    saved["added_tokens"] = [added("<|vocab|>", 257), added(EOT, end), added("  ", end + 1, special=False)]
    return "files-bytelevel.json", write_json("files-bytelevel.json", saved)


def split() -> tuple[str, Tokenizer]:
    saved = train()
    model = saved["model"]
    end = max(model["vocab"].values())
    model["vocab"]["\u0120zigzag"] = end + 1
    model["merges"] = [" ".join(pair) for pair in model["merges"]]
    model["ignore_merges"] = True
    saved["added_tokens"] = [added(EOT, end + 2)]
    saved["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": GPT4}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}
    begin = {"SpecialToken": {"id": EOT, "type_id": 0}}
    saved["post_processor"] = {"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
        {"type": "TemplateProcessing", "single": [begin, {"Sequence": {"id": "A", "type_id": 0}}],
         "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
         "special_tokens": {EOT: {"id": EOT, "ids": [end + 2], "tokens": [EOT]}}}]}
    return "files-split.json", write_json("files-split.json", saved)


def late() -> tuple[str, Tokenizer]:
    saved = train()
    saved["model"]["merges"] = []
    saved["model"]["vocab"] = {token: i for token, i in saved["model"]["vocab"].items() if i < 256}
    texts = {"bc": False, "ab": True, "abcab": True, "ca b": False, "ca": True, "b ca": True, "aa": False, "a bc": True}
    saved["added_tokens"] = [added(text, 256 + i, i % 2 == 0, normalized)
                             for i, (text, normalized) in enumerate(texts.items())]
    return "files-late.json", write_json("files-late.json", saved)


def late_texts() -> list[str]:
    rng = random.Random(1)
    return ["".join(rng.choice("aabbcc ") for _ in range(rng.randrange(1, 30))) for _ in range(300)]


def ranks() -> dict[bytes, int]:
    """The trained vocabulary with rank 0 and 270 left out, and irregular tokens at the end."""
    characters = {v: k for k, v in zip(range(256), byte_characters())}
    tokens = sorted(train()["model"]["vocab"].items(), key=lambda item: item[1])
    found = {bytes(characters[c] for c in token): i + 1 + (i >= 269) for token, i in tokens}
    end = max(found.values())
    return {**found, b"xyz": end + 1, b"yz": end + 2}


def byte_characters() -> list[str]:
    """GPT-2's alphabet, by byte."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in shown]
    return [chr(b) if b in shown else chr(256 + others.index(b)) for b in range(256)]


def write_ranks(name: str, found: dict[bytes, int]) -> None:
    write(name, "".join(f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in found.items()))


def main() -> None:
    cases = []
    for name, tokenizer in (byte_level(), split()):
        cases.append({"file": name, "pattern": "file", "special": [], "texts": [
            {"text": text, "ids": tokenizer.encode(text, add_special_tokens=False).ids} for text in TEXTS]})
    name, tokenizer = late()
    cases.append({"file": name, "pattern": "file", "special": [], "texts": [
        {"text": text, "ids": tokenizer.encode(text, add_special_tokens=False).ids} for text in late_texts()]})
    special = {EOT: 0, "<|pad|>": 270}
    regular = ranks()
    whole = {**regular, b" zigzag": max(regular.values()) + 1}
    for name, found in (("files-gpt2.tiktoken", regular), ("files-whole.tiktoken", whole)):
        write_ranks(name, found)
        for pattern, regex in (("gpt2", GPT2), ("gpt4", GPT4)):
            encoding = tiktoken.Encoding(name, pat_str=regex, mergeable_ranks=found, special_tokens=special)
            cases.append({"file": name, "pattern": pattern, "special": list(special), "texts": [
                {"text": text, "ids": encoding.encode(text, allowed_special="all")} for text in TEXTS]})
    write("files-cases.json", json.dumps(cases, ensure_ascii=False, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
