"""Files of ids for scripts that train a model: a tokenizer is learned from a text, and texts are encoded with it."""
import json
import pathlib

END = "<|endoftext|>"


def make(run, folder, texts, vocab_size):
    """Learns FOLDER/tokenizer.json from the first of `texts`, a dictionary from names to paths, and encodes each of them to
    FOLDER/NAME.bin. `run` is called with the arguments of each `cs336` command."""
    tokenizer = ("--tokenizer", f"{folder}/tokenizer.json")
    run("train-bpe", "--input", str(next(iter(texts.values()))), "--vocab-size", str(vocab_size), "--special-token", END, *tokenizer)
    for name, path in texts.items():
        run("encode", *tokenizer, "--input", str(path), "--output", f"{folder}/{name}.bin")


def vocab_size_of(ids):
    """Returns the size of the vocabulary of a file of ids. A short text gives fewer tokens than were asked for."""
    return json.loads(pathlib.Path(f"{ids}.json").read_text(encoding="utf-8"))["vocab_size"]
