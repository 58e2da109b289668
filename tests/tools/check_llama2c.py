"""Holds `cs336 export --llama2c` and `cs336 import` beside llama2.c's own program, run.c.

    CS336_LLAMA2=llama2.c/run LLAMA2C=stories260K python3 tests/tools/check_llama2c.py build/cs336

Needs nothing but Python; `make interchange` runs it. A model that is trained here for some steps must give run.c the ids that it gives us, when the
most probable token is always taken. If LLAMA2C names the directory of stories260K.bin and tok512.bin, llama2.c's
smallest trained model, then the text must be the same byte by byte, too.
"""

import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = Path(sys.argv[1]).resolve()
BOS = 1  # run.c begins a text with this id, and ends it when it is drawn


def ours(*arguments):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True)
    if done.returncode:
        sys.exit(f"cs336 {' '.join(map(str, arguments))}: {done.stderr.decode()}")
    return done.stdout


def theirs(run, model, tokenizer, count):
    """Returns what run.c writes when it draws `count` tokens, always the most probable one."""
    return subprocess.run([run, model, "-z", tokenizer, "-t", "0", "-n", str(count)], capture_output=True,
                          check=True).stdout


def write_ids_as_text(path, vocab_size):
    """Writes a tokenizer for run.c whose tokens are their ids, so that its text is the list of what it draws."""
    tokens = [f"{id} ".encode() for id in range(vocab_size)]
    path.write_bytes(struct.pack("i", max(map(len, tokens))) +
                     b"".join(struct.pack("fi", 0, len(token)) + token for token in tokens))


def until_bos(ids):
    return ids[:ids.index(BOS)] if BOS in ids else ids


def same(what, mine, expected):
    if mine != expected:
        at = next((i for i, (a, b) in enumerate(zip(mine, expected)) if a != b), min(len(mine), len(expected)))
        sys.exit(f"{what}: differs from run.c at {at}:\n  cs336  {mine[at:at + 40]}\n  run.c  {expected[at:at + 40]}")
    print(f"{what}: {len(mine)} equal")


def check_trained(run, directory, *options):
    """Trains, exports and compares the ids of a whole context."""
    context, vocab_size = 96, 300
    text, tokenizer = directory / "text", ["--vocab", directory / "v.json", "--merges", directory / "m.txt"]
    ours("story", "--stories", 300, "--output", text)
    ours("train-bpe", "--input", text, "--vocab-size", vocab_size, "--special-token", "<|endoftext|>", *tokenizer)
    ours("encode", *tokenizer, "--special-token", "<|endoftext|>", "--input", text, "--output", directory / "ids")
    ours("train", "--train", directory / "ids", "--vocab-size", vocab_size, "--context-length", context, "--d-model", 48,
         "--num-layers", 2, "--num-heads", 4, "--batch-size", 4, "--steps", 60, "--out", directory / "run",
         "--overwrite", *options)
    checkpoint = directory / "run" / "checkpoint.safetensors"
    ours("export", "--checkpoint", checkpoint, "--llama2c", directory / "model.bin")
    ours("import", directory / "model.bin", "--output", directory / "again.safetensors")
    write_ids_as_text(directory / "ids.bin", vocab_size)
    expected = theirs(run, directory / "model.bin", directory / "ids.bin", context).split()
    for model in checkpoint, directory / "again.safetensors":
        mine = ours("generate", "--checkpoint", model, *tokenizer, "--prompt-ids", BOS, "--temperature", 0,
                    "--stop", "", "--ids", "--max-tokens", context).split()
        same(f"ids of {model.name} {' '.join(options)}", until_bos([int(id) for id in mine]), [int(id) for id in expected])


def check_stories(run, files, directory):
    model, tokenizer = files / "stories260K.bin", files / "tok512.bin"
    checkpoint = directory / "stories.safetensors"
    ours("import", model, "--output", checkpoint)
    generate = ["generate", "--checkpoint", checkpoint, "--tokenizer", tokenizer, "--temperature", 0]
    same("bytes of stories260K", ours(*generate, "--max-tokens", 400), theirs(run, model, tokenizer, 400))
    write_ids_as_text(directory / "ids.bin", 512)
    mine = [int(id) for id in ours(*generate, "--max-tokens", 400, "--ids").split()]
    same("ids of stories260K", until_bos(mine),
         [int(id) for id in theirs(run, model, directory / "ids.bin", 400).split()])


def main():
    run = os.environ.get("CS336_LLAMA2")
    if not run or not os.access(run, os.X_OK):
        print("llama2.c: not checked: CS336_LLAMA2 names its program run (git clone https://github.com/karpathy/llama2.c "
              "&& make -C llama2.c run)")
        return
    run = Path(run).resolve()
    with tempfile.TemporaryDirectory() as name:
        check_trained(run, Path(name))
        check_trained(run, Path(name), "--tie-embeddings")
        files = os.environ.get("LLAMA2C")
        if files:
            check_stories(run, Path(files).resolve(), Path(name))
        else:
            print("stories260K: not checked: LLAMA2C names the directory of stories260K.bin and tok512.bin")


main()
