#!/usr/bin/env python3
"""Trains a reference model again, and says whether its losses lie in the band that other seeds have drawn.

    demo          the model of `make demo`, on stories from a small grammar
    tinystories   a model of the same size, on the first 10 MB of TinyStories; CS336_DATA names the folder of the texts

docs/reference/NAME.jsonl is the log of seed 1, and docs/reference/NAME.json holds the losses of all seeds, which draw the
band: at each step from their smallest to their largest loss, and as far again to both sides.

usage: reference.py NAME            trains seed 1 and compares; exit status 1 if a loss lies outside the band
       reference.py NAME --run DIR  compares a run that is already there
       reference.py NAME --write N  trains the seeds 1 to N and writes both files of docs/reference
"""
import functools
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import token_files

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
REFERENCE = TOP / "docs" / "reference"
OUT = "build/reference"
NAMES = ("demo", "tinystories")
STEPS = 1500
TINYSTORIES = ["--vocab-size", "2048", "--d-model", "96", "--num-layers", "4", "--num-heads", "4", "--beta2", "0.98",
               "--log-every", "100", "--context-length", "128", "--batch-size", "16", "--lr", "1e-2",
               "--val-every", "100", "--val-batches", "20"]
LOSSES = ("train_loss", "val_loss")


def run(*command):
    """Runs a command in the top folder. Returns its output, which is not shown unless it fails."""
    result = subprocess.run(command, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace")
    if result.returncode:
        sys.exit(f"reference.py: this command failed: {' '.join(command)}\n{result.stdout}")
    return result.stdout


def options_of_demo(printed):
    """Returns the options of `cs336 train` that `make demo` printed, without the files, the steps and the floor."""
    words = shlex.split(re.search(r"^\$ (\S+ train .*)$", printed, re.M).group(1))
    options = words[words.index("--vocab-size"):words.index("--loss-floor")]
    steps = options.index("--steps")
    return options[:steps] + options[steps + 2:]


def prepare(name):
    """Makes the token files. Returns their folder and the options of the model and its training."""
    if name == "demo":
        return "build/demo", options_of_demo(run("make", "demo", "DEMO_STEPS=1"))
    texts, out = pathlib.Path(os.environ.get("CS336_DATA") or "data"), f"{OUT}/{name}-data"
    parts = {part: texts / f"tinystories_{part}.txt" for part in ("train", "valid")}
    for path in parts.values():
        if not (TOP / path).exists():
            sys.exit(f"{path}: no such file; docs/book/start.md, section 0.4, says how to make it")
    (TOP / out).mkdir(parents=True, exist_ok=True)
    token_files.make(functools.partial(run, "build/cs336"), out, parts, 2048)
    return out, TINYSTORIES


def complete(options):
    return [*options, "--steps", str(STEPS), "--checkpoint-every", "0"]


def train(name, data, options, seed):
    """Trains the model. Returns the folder of the run."""
    out = f"{OUT}/{name}-seed-{seed}"
    command = ["build/cs336", "train", "--train", f"{data}/train.bin", "--val", f"{data}/valid.bin", "--out", out, "--overwrite",
               *complete(options), "--seed", str(seed)]
    print(" ".join(command), flush=True)
    if subprocess.run(command, cwd=TOP, stdout=subprocess.DEVNULL).returncode:  # the live line stays visible
        sys.exit(f"reference.py: this command failed: {' '.join(command)}")
    return TOP / out


def losses_of(directory):
    """Returns the losses of a run: {step: {"train_loss": ..., "val_loss": ...}}."""
    log = directory / "log.jsonl"
    if not log.exists():
        sys.exit(f"{log}: no such file, expected the log of a run of `cs336 train`")
    lines = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    return {line["step"]: {key: line[key] for key in LOSSES if key in line} for line in lines}


def band(logs, step, key):
    """The lowest and the highest loss that is normal at this step."""
    losses = [log[str(step)][key] for log in logs.values()]
    beyond = max(losses) - min(losses)
    return min(losses) - beyond, max(losses) + beyond


def compare(name, directory):
    """Prints the run's losses beside the band. Returns how many lie outside."""
    reference = json.loads((REFERENCE / f"{name}.json").read_text(encoding="utf-8"))["losses"]
    run_losses, outside, compared = losses_of(directory), 0, 0
    print(f"{'step':>6}   {'loss':<10} {'of this run':>11}   {'band of ' + str(len(reference)) + ' seeds':<18}")
    for step in map(int, reference["1"]):
        for key in LOSSES:
            if key not in reference["1"][str(step)]:
                continue
            low, high = band(reference, step, key)
            loss = run_losses.get(step, {}).get(key)
            if loss is None:
                sys.exit(f"{directory / 'log.jsonl'}: no {key} of step {step}; expected the steps of docs/reference/{name}.jsonl")
            inside = low <= loss <= high
            outside, compared = outside + (not inside), compared + 1
            words = {"train_loss": "training", "val_loss": "validation"}[key]
            print(f"{step:6}   {words:<10} {loss:11.4f}   {low:.4f} to {high:.4f}{'' if inside else '   OUTSIDE'}")
    print(f"{compared - outside} of {compared} losses lie in the band" + ("" if not outside else
          "; a change of the model, the data or the optimizer, or a fault, has moved the curve"))
    return outside


def write(name, seeds):
    data, options = prepare(name)
    runs = {seed: train(name, data, options, seed) for seed in range(1, seeds + 1)}
    REFERENCE.mkdir(exist_ok=True)
    (REFERENCE / f"{name}.jsonl").write_text((runs[1] / "log.jsonl").read_text(encoding="utf-8"), encoding="utf-8")
    losses = {str(seed): {str(step): entry for step, entry in losses_of(path).items()} for seed, path in runs.items()}
    text = ",\n".join(f'  "{seed}": {json.dumps(entries)}' for seed, entries in losses.items())
    (REFERENCE / f"{name}.json").write_text(f'{{"options": {json.dumps(" ".join(complete(options)))},\n "losses": {{\n{text}\n}}}}\n', encoding="utf-8")


def main():
    arguments = sys.argv[1:]
    if not arguments or arguments[0] not in NAMES or len(arguments) not in (1, 3) or arguments[1:2] not in ([], ["--run"], ["--write"]):
        sys.exit("usage: reference.py demo|tinystories [--run DIR | --write N]")
    name, mode = arguments[0], arguments[1] if len(arguments) > 1 else ""
    if mode == "--write":
        write(name, int(arguments[2]))
    else:
        directory = pathlib.Path(arguments[2]) if mode else train(name, *prepare(name), 1)
        sys.exit(1 if compare(name, directory) else 0)


if __name__ == "__main__":
    main()
