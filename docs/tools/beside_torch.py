#!/usr/bin/env python3
"""Trains a model with `cs336 train`, and the same model in PyTorch (tests/bench/peers/torch_training.py).
`make beside-torch` calls it.

1. Both train 200 steps from the same weights and batches. Each step's loss and gradient norm must be equal to 1e-5 of
   itself; otherwise the script fails.
2. Each trains for the same time with two threads, one after the other. The validation losses go into a table and a
   picture, and both runs into a page of `cs336 report`, in build/beside-torch/.

How long part 2 takes: 50 steps measure how long a step and a validation take. The number of steps is what fits into the
time, less 3 % for a machine that slows down, and the schedule of learning rates ends with the last step. Both follow the
same rule. PyTorch runs with torch.compile if that works here and is faster. The time is the clock's, with validations.
Validations beyond the time do not count. In PyTorch's favour: compiling is not counted, and it saves no weights.

The model has 3.3 million parameters. Two cores train it on about 8 million tokens in 20 minutes, three times through the
2.5 million tokens of 10 MB of TinyStories. A larger model would still be far from its best loss when the time is up. A
smaller one would read the same text ten times and begin to learn it by heart. The table says how often each run has read
the text; and if a run's last validation loss is not its lowest, it overfits.

usage: beside_torch.py TEXT VALIDATION [MINUTES]    texts with <|endoftext|> between documents; 20 minutes unless given,
                                                    0: part 1 only. 20 minutes are also written into docs/
CS336_PYTHON names the python3 that can import torch.
"""
import functools
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys

import token_files
from book_numbers.common import BLUE, ORANGE, chart, markdown_table

TOP = pathlib.Path(__file__).resolve().parents[2]
OUT = pathlib.Path("build/beside-torch")
PROGRAM, PEER = "build/cs336", "tests/bench/peers/torch_training.py"
PYTHON = os.environ.get("CS336_PYTHON") or "python3"
FIGURE, PAGE = "beside_torch.svg", TOP / "docs" / "book" / "experiments.md"
BLOCK = re.compile(r"(<!-- beside-torch -->\n)(.*?)(<!-- end -->)", re.S)

THREADS, VOCABULARY, DOCUMENTED_MINUTES = 2, 4096, 20
EQUAL_STEPS, PROBE_STEPS, MARGIN = 200, 50, 0.97
MODEL = {"context-length": 256, "d-model": 192, "num-layers": 4, "num-heads": 6, "batch-size": 16, "lr": 2e-3,
         "val-batches": 20, "checkpoint-every": 0, "threads": THREADS}


def fail(text):
    sys.exit("beside_torch.py: " + text)


# ---- runs ----

def run(*command, may_fail=False):
    """Runs a command in the top folder. Returns what it printed, or None if it failed and may fail."""
    result = subprocess.run([str(word) for word in command], cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            encoding="utf-8", errors="replace")
    if result.returncode and not may_fail:
        fail(f"this command failed: {' '.join(map(str, command))}\n{result.stdout}")
    return None if result.returncode else result.stdout


def log_of(name):
    return [json.loads(line) for line in (TOP / OUT / name / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def train_ours(name, settings):
    """Trains with our program. Returns the log."""
    print(f"ours: {name}, {settings['steps']} steps", flush=True)
    options = [word for key, value in settings.items() for word in ("--" + key, value)]
    run(PROGRAM, "train", "--train", OUT / "train.bin", "--val", OUT / "valid.bin", "--out", OUT / name, "--overwrite", *options)
    return log_of(name)


def train_torch(name, like, form, changes, *options, may_fail=False):
    """Trains in PyTorch with the configuration of one of our runs and these changes. Returns the log, or None."""
    config = {**json.loads((TOP / OUT / like / "config.json").read_text(encoding="utf-8")), **changes, "framework": form}
    print(f"{form}: {name}, {config['steps']} steps", flush=True)
    shutil.rmtree(TOP / OUT / name, ignore_errors=True)
    (TOP / OUT / name).mkdir()
    (TOP / OUT / name / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    compiled = ["--compile"] if form == "torch.compile" else []
    printed = run(PYTHON, PEER, OUT / name, "--init", OUT / "initial" / "checkpoint.safetensors", "--threads", THREADS,
                  *compiled, *options, may_fail=may_fail)
    if printed and "--compare" in options:
        print(printed, end="", flush=True)
    return None if printed is None else log_of(name)


def prepare(text, validation):
    """Learns the tokens, encodes both texts, and saves the initial weights. Returns the settings of all runs."""
    (TOP / OUT).mkdir(parents=True, exist_ok=True)
    token_files.make(functools.partial(run, PROGRAM), OUT, {"train": text, "valid": validation}, VOCABULARY)
    settings = {"vocab-size": token_files.vocab_size_of(TOP / OUT / "train.bin"), **MODEL}
    # A step with a rate of 0 changes no weight, so its checkpoint has the initial weights.
    train_ours("initial", {**settings, "steps": 1, "lr": 0, "val-batches": 1})
    return settings


# ---- part 1: the same numbers ----

def check_equal(settings):
    train_ours("equal-ours", {**settings, "steps": EQUAL_STEPS, "log-every": 1, "val-every": 50})
    train_torch("equal-torch", "equal-ours", "PyTorch", {}, "--compare", OUT / "equal-ours")


# ---- part 2: the same time ----

def costs(log):
    """Returns the seconds of a step and of a validation, from a run that validates after its last step only. The steps
    up to the first line do not count, because everything is slower at first."""
    later = list(zip(log, log[1:]))
    step = sum((b["tokens"] - a["tokens"]) / b["tokens_per_second"] for a, b in later) / (log[-1]["step"] - log[0]["step"])
    a, b = later[-1]
    return step, max(0, b["seconds"] - a["seconds"] - (b["tokens"] - a["tokens"]) / b["tokens_per_second"])


def plan(log, minutes):
    """Returns the number of steps, and the steps from one validation to the next."""
    step, validation = costs(log)
    validations = max(2, round(2 * minutes))
    steps = int((MARGIN * 60 * minutes - validations * validation) / step)
    if steps < 2 * validations:
        fail(f"{minutes:g} minutes are not enough: a step takes {step:.2g} s and a validation {validation:.2g} s")
    return steps, math.ceil(steps / validations)


def fastest_form():
    """Returns how PyTorch is fastest here, and the log of the 50 steps that show it."""
    logs = {}
    for form in ("PyTorch", "torch.compile"):
        logs[form] = train_torch("probe-" + form, "probe-ours", form, {}, may_fail=form == "torch.compile")
        print(f"  {logs[form][-1]['tokens_per_second']:.0f} tokens/s" if logs[form] else "  does not work here")
    best = min(filter(logs.get, logs), key=lambda form: costs(logs[form])[0])
    return best, logs[best]


def race(settings, minutes):
    """Trains both for the same time. Returns (name, log) of each."""
    probe = train_ours("probe-ours", {**settings, "steps": PROBE_STEPS, "val-every": 0, "log-every": 10})
    form, torch_probe = fastest_form()
    steps, val_every = plan(probe, minutes)
    ours = train_ours("ours", {**settings, "steps": steps, "val-every": val_every})
    steps, val_every = plan(torch_probe, minutes)
    # The warm-up is a twentieth of the steps, as for ours.
    theirs = train_torch("torch", "ours", form, {"steps": steps, "decay_steps": steps, "warmup_steps": steps // 20,
                                                 "val_every": val_every})
    return [("ours", ours), (form, theirs)]


def validations(log, minutes):
    """Returns the lines of the log with the validations that ended within the time."""
    within = [line for line in log if "val_loss" in line and line["seconds"] <= 60 * minutes]
    return within or fail(f"no validation ended within {minutes:g} minutes: the machine has slowed down since the first "
                          f"{PROBE_STEPS} steps")


def table(runs, minutes):
    """The result as lines of Markdown."""
    text = json.loads((TOP / OUT / "train.bin.json").read_text(encoding="utf-8"))["tokens"]
    rows = []
    for name, log in runs:
        within = validations(log, minutes)
        last = within[-1]
        before = [line["train_loss"] for line in log if line["step"] <= last["step"]][-20:]
        speed = log[-1]["tokens"] / sum((b["tokens"] - a["tokens"]) / b["tokens_per_second"]
                                        for a, b in zip([{"tokens": 0}] + log, log))
        rows.append([name, f"{speed:.0f}", str(last["step"]), f"{last['seconds'] / 60:.2f}", f"{last['tokens'] / 1e6:.2f} M",
                     f"{last['tokens'] / text:.2f}", f"{last['val_loss']:.4f}",
                     f"{min(line['val_loss'] for line in within):.4f}", f"{sum(before) / len(before):.4f}"])
    return markdown_table(["", "tokens/s", "steps", "minutes", "tokens", "times through the text", "validation loss",
                           "its lowest", "training loss"], rows)


def figure(runs, minutes):
    """The validation losses against the time, as (file name, SVG)."""
    curves = [[(line["seconds"] / 60, line["val_loss"]) for line in validations(log, minutes)] for _, log in runs]
    losses = [loss for curve in curves for _, loss in curve]
    low, high = math.floor(2 * min(losses)) / 2, math.ceil(2 * max(losses)) / 2
    ticks = [low + 0.5 * i for i in range(round(2 * (high - low)) + 1)]
    described = []
    for (name, _), curve, colour, shift in zip(runs, curves, (BLUE, ORANGE), (-0.08, 0.06)):
        x, y = curve[len(curve) // 2]
        described.append((name, colour, curve, (x, y + shift * (high - low))))
    return chart(FIGURE, f"The same model in the same {minutes:g} minutes of two cores", "minutes, with validations",
                 "validation loss", ([minutes * i / 5 for i in range(6)], False), (ticks, False), described)


def write(runs, minutes):
    lines = table(runs, minutes)
    name, picture = figure(runs, minutes)
    (TOP / OUT / name).write_text(picture, encoding="utf-8")
    print("\n".join(lines))
    run(PROGRAM, "report", OUT / "ours", OUT / "torch", "--output", OUT / "report.html", "--title", "Ours and PyTorch")
    print(f"{OUT / name} and {OUT / 'report.html'} show both runs")
    if minutes == DOCUMENTED_MINUTES:
        (TOP / "docs" / "figures" / name).write_text(picture, encoding="utf-8")
        print(f"docs/figures/{name} is written")
        page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
        filled = BLOCK.sub(lambda block: block[1] + "\n".join(lines) + "\n" + block[3], page)
        if filled != page:
            PAGE.write_text(filled, encoding="utf-8")
            print(f"{PAGE.relative_to(TOP)} is written")


def main():
    if len(sys.argv) not in (3, 4) or not all(sys.argv[1:3]):
        fail("which texts? usage: make beside-torch TEXT=train.txt VALID=valid.txt [MINUTES=20]")
    text, validation, given = (sys.argv + [""])[1:4]
    if given and not re.fullmatch(r"\d{1,4}(\.\d+)?", given):
        fail(f"MINUTES={given}: expected a number from 0 to 9999")
    minutes = float(given) if given else DOCUMENTED_MINUTES
    for path in (text, validation):
        if not os.path.isfile(TOP / path):
            fail(f"{path}: there is no such file")
    if run(PYTHON, "-c", "import torch", may_fail=True) is None:
        fail(f"{PYTHON} has no PyTorch; CS336_PYTHON names a python3 that can import torch")
    settings = prepare(text, validation)
    check_equal(settings)
    if minutes:
        write(race(settings, minutes), minutes)


if __name__ == "__main__":
    main()
