"""Makes the two fixtures of the course that public copies lack, if they are missing, for `make official`.

usage: make_missing.py TESTS CS336     TESTS: the copy of the course's tests; CS336: our program

- fixtures/ts_tests/model.pt: weights with the course's names and shapes, drawn by PyTorch. Snapshots that hang on them
  are made again by torch_adapters.py and plugin.py.
- fixtures/tinystories_sample_5M.txt: stories of `cs336 story`. The snapshot of test_train_bpe_special_tokens, if the
  edition has that test, is made again by the plain trainer below, which recounts every pair before every merge.

The name of each fixture that was made goes into the file `replaced` beside TESTS.
"""

import collections
import itertools
import json
import pathlib
import pickle
import re
import subprocess
import sys

import torch

SPECIAL = "<|endoftext|>"
TEXT_BYTES = 5_000_000
VOCAB_SIZE = 1000  # of test_train_bpe_special_tokens
# GPT-2's pattern for ASCII text, in which a letter is A-Z or a-z and a number is 0-9.
PATTERN = re.compile(r"'(?:[sdmt]|ll|ve|re)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+", re.ASCII)


def make_weights(path: pathlib.Path, config: dict) -> None:
    """Writes a state dict with embeddings of size 1, linear maps that keep the size of a row, and gains around 1."""
    torch.manual_seed(336)
    d_model, d_ff, vocab_size = config["d_model"], config["d_ff"], config["vocab_size"]

    def linear(d_out: int, d_in: int) -> torch.Tensor:
        return torch.randn(d_out, d_in) / d_in**0.5

    def gain() -> torch.Tensor:
        return 1 + 0.1 * torch.randn(d_model)

    weights = {"token_embeddings.weight": torch.randn(vocab_size, d_model)}
    for layer in range(config["num_layers"]):
        for name in ("q", "k", "v", "output"):
            weights[f"layers.{layer}.attn.{name}_proj.weight"] = linear(d_model, d_model)
        weights |= {f"layers.{layer}.{norm}.weight": gain() for norm in ("ln1", "ln2")}
        for name in ("w1", "w3"):
            weights[f"layers.{layer}.ffn.{name}.weight"] = linear(d_ff, d_model)
        weights[f"layers.{layer}.ffn.w2.weight"] = linear(d_model, d_ff)
    weights |= {"ln_final.weight": gain(), "lm_head.weight": linear(vocab_size, d_model)}
    torch.save(weights, path)


def make_text(path: pathlib.Path, program: str) -> str:
    """Writes as many whole stories as fit into TEXT_BYTES, and returns them."""
    subprocess.run([program, "story", "--stories", "40000", "--output", str(path)], check=True)
    text = path.read_text()
    if len(text) < TEXT_BYTES or not text.isascii():
        sys.exit(f"official: cs336 story wrote {len(text)} characters, expected {TEXT_BYTES} of ASCII")
    text = text[: text.rindex(SPECIAL, 0, TEXT_BYTES) + len(SPECIAL)] + "\n"
    path.write_text(text)
    return text


def merge_pair(tokens: list[bytes], pair: tuple[bytes, bytes]) -> list[bytes]:
    """Joins the pair wherever it stands, from left to right."""
    merged, index = [], 0
    while index < len(tokens):
        width = 2 if tuple(tokens[index : index + 2]) == pair else 1
        merged.append(b"".join(tokens[index : index + width]))
        index += width
    return merged


def plain_training(text: str) -> tuple[set[bytes], list[tuple[bytes, bytes]]]:
    """Learns merges as the handout defines them: of the most frequent pairs the lexicographically greatest."""
    counts = collections.Counter(word for segment in text.split(SPECIAL) for word in PATTERN.findall(segment))
    words = [([bytes([byte]) for byte in word.encode()], count) for word, count in counts.items()]
    vocab, merges = {SPECIAL.encode(), *(bytes([byte]) for byte in range(256))}, []
    while len(vocab) < VOCAB_SIZE:
        pairs = collections.Counter()
        for tokens, count in words:
            for pair in itertools.pairwise(tokens):
                pairs[pair] += count
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        words = [(merge_pair(tokens, best), count) for tokens, count in words if len(tokens) > 1]
        merges.append(best)
        vocab.add(b"".join(best))
    return vocab, merges


def main() -> None:
    tests, program = pathlib.Path(sys.argv[1]), sys.argv[2]
    weights = tests / "fixtures" / "ts_tests" / "model.pt"
    text = tests / "fixtures" / "tinystories_sample_5M.txt"
    snapshot = tests / "_snapshots" / "test_train_bpe_special_tokens.pkl"
    replaced = []
    if not weights.exists():
        make_weights(weights, json.loads((weights.parent / "model_config.json").read_text()))
        replaced.append(weights.name)
    if not text.exists():
        stories = make_text(text, program)
        replaced.append(text.name)
        if snapshot.exists():
            vocab, merges = plain_training(stories)
            expected = {"vocab_keys": set(range(len(vocab))), "vocab_values": vocab, "merges": merges}
            snapshot.write_bytes(pickle.dumps(expected))
    (tests.parent / "replaced").write_text("".join(f"{name}\n" for name in replaced))


main()
