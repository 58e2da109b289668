"""The experiments of docs/experiments: trains their runs, and makes the tables and pictures of docs/book/experiments.md.

`cs336 experiment` trains what is missing in build/experiments/, so complete runs are not trained again. CS336_DATA names
the folder with the texts (data if it is not set); docs/book/experiments.md says how to make them.
"""
import functools
import json
import os
import pathlib
import re
import subprocess
import sys

from book_numbers.common import BLUE, GREEN, GREY, ORANGE, PURPLE, chart, markdown_table

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
FILES = TOP / "docs" / "experiments"
NAMES = sorted(path.stem for path in FILES.glob("*.json"))
COLOURS = [BLUE, ORANGE, GREEN, PURPLE, GREY]
DASHES = "6 4"


# ---- runs ----

class Run:
    """A run of an experiment: its name, its settings (all as text), how it ended, and its log."""

    def __init__(self, directory, name):
        self.name, self.directory = name, directory / name
        self.result = json.loads((self.directory / "result.json").read_text())
        self.settings, self.status = self.result["settings"], self.result["status"]
        log = self.directory / "log.jsonl"
        self.log = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def __getitem__(self, key):
        return self.settings[key]

    def parameters(self):
        """The number of parameters, as the run printed it."""
        return re.search(r"^size +(\S+ \S*) ?parameters", (self.directory / "output.txt").read_text(), re.M).group(1).strip()

    def validation(self):
        """The validation loss at the end, and how the run ended if it is not complete."""
        if self.status == "refused":
            return "does not fit into memory"
        loss = self.result.get("val_loss")
        if loss is None:
            return self.status
        return f"{loss:.3f}" + ("" if self.status == "complete" else f", {self.status}")


def run_experiment(name):
    """Trains what is missing. Returns the experiment's runs, in their order in the file."""
    file, out = FILES / f"{name}.json", TOP / "build" / "experiments" / name
    print(f"experiment {name}", flush=True)
    command = ["build/cs336", "experiment", str(file.relative_to(TOP)), "--data", os.environ.get("CS336_DATA") or "data"]
    if subprocess.run(command, cwd=TOP).returncode:
        sys.exit(f"experiments.py: this command failed: {' '.join(command)}")
    listed = subprocess.run(command[:3] + ["--list"], cwd=TOP, stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout
    names = [line.split()[0] for line in listed.splitlines() if line and (out / line.split()[0] / "result.json").exists()]
    return [Run(out, name) for name in names]


# ---- pictures ----

def spread(ys, distance, lowest):
    """Moves the heights of labels apart, so that no two are closer than the distance and none is too low; their order
    stays."""
    order = sorted(range(len(ys)), key=lambda i: ys[i])
    placed = list(ys)
    for _ in range(200):
        for low, high in zip(order, order[1:]):
            missing = distance - (placed[high] - placed[low])
            if missing > 1e-9:
                placed[low] -= missing / 2
                placed[high] += missing / 2
        placed = [max(y, lowest) for y in placed]
    return placed


def picture(name, title, runs, look, xlabel, x, xticks, yticks, room):
    """Draws the validation losses of the runs. look(run) is the label, the colour and the dashes of a curve.
    Losses above the last tick are drawn there."""
    drawn = []
    for run in runs:
        points = [(x(line), min(line["val_loss"], yticks[-1])) for line in run.log if "val_loss" in line]
        if points:
            drawn.append((look(run), points))
    pixel = (yticks[-1] - yticks[0]) / 260
    heights = spread([points[-1][1] for _, points in drawn], 15 * pixel, yticks[0] + 8 * pixel)
    beside = xticks[0][-1] + 8 * (xticks[0][-1] - xticks[0][0]) / (570 - room)
    curves = [(label, colour, points, (beside, height - 4 * pixel), dashes)
              for ((label, colour, dashes), points), height in zip(drawn, heights)]
    path, text = chart(f"experiment_{name}.svg", title, xlabel, "validation loss", xticks, (yticks, False), curves, room)
    (TOP / "docs" / "figures" / path).write_text(text, encoding="utf-8")


def by_step(name, title, runs, look, yticks, room=110):
    picture(name, title, runs, look, "step", lambda line: line["step"], ([0, 100, 200, 300, 400], False), yticks, room)


# ---- tables ----

def pivot(runs, row, rows_are, column, heads):
    """The final validation losses: a row for each value of a setting, a column for each value of another one."""
    values = list(dict.fromkeys(run[row] for run in runs))
    found = {(run[row], run[column]): run.validation() for run in runs}
    return markdown_table([rows_are, *heads.values()], [[value, *(found[value, key] for key in heads)] for value in values])


def colour_of(runs, key):
    values = list(dict.fromkeys(run[key] for run in runs))
    return lambda run: COLOURS[values.index(run[key]) % len(COLOURS)]


def learning_rate(runs):
    dashes = {run.name: DASHES if i >= len(COLOURS) else "" for i, run in enumerate(runs)}
    colour = colour_of(runs, "lr")
    by_step("learning_rate", "Eight learning rates", runs, lambda run: (f"rate {run['lr']}", colour(run), dashes[run.name]),
            yticks=[3, 4, 5, 6, 7, 8])
    return markdown_table(["rate", "training loss", "validation loss"],
                 [[run["lr"], f"{run.result['train_loss']:.3f}", run.validation()] for run in runs])


def batch_size(runs):
    dashes = {run.name: DASHES if i >= len(COLOURS) else "" for i, run in enumerate(runs)}
    colour = colour_of(runs, "batch_size")
    picture("batch_size", "Seven batch sizes, the same number of tokens", runs,
            lambda run: (f"batch {run['batch_size']}", colour(run), dashes[run.name]), "tokens, in thousands",
            lambda line: line["tokens"] / 1000, ([0, 300, 600, 900, 1200], False), [3, 4, 5, 6, 7, 8], 110)
    rows = []
    for run in runs:
        done = run.status != "refused"
        rows.append([run["batch_size"], run["steps"], run["lr"], run.validation(),
                     f"{run.result['tokens_per_second'] / 1000:.1f} K" if done else "-",
                     f"{run.result['seconds']:.0f} s" if done else "-"])
    return markdown_table(["batch", "steps", "rate", "validation loss", "tokens/s", "time"], rows)


def norm_ablation(name, title, runs, other):
    colour = colour_of(runs, "lr")
    words = {"pre": "pre-norm", other: "no norm" if other == "none" else "post-norm"}
    by_step(name, title, runs, lambda run: (f"{run['lr']} {words[run['norm']]}", colour(run), "" if run["norm"] == "pre" else DASHES),
            room=135, yticks=[3, 4, 5, 6, 7, 8])
    return pivot(runs, "lr", "rate", "norm", words)


def layer_norm_ablation(runs):
    return norm_ablation("layer_norm_ablation", "With and without RMSNorm", runs, "none")


def pre_norm_ablation(runs):
    return norm_ablation("pre_norm_ablation", "RMSNorm before and after each sub-layer", runs, "post")


def two_seeds(name, title, runs, key, words):
    colour = colour_of(runs, key)
    by_step(name, title, runs, lambda run: (f"{words[run[key]]}, seed {run['seed']}", colour(run), "" if run["seed"] == "1" else DASHES),
            yticks=[3, 3.5, 4, 4.5, 5, 5.5, 6])
    return pivot(runs, "seed", "seed", key, words)


def no_pos_emb(runs):
    return two_seeds("no_pos_emb", "With and without position information", runs, "position",
                     {"rope": "RoPE", "none": "NoPE"})


def swiglu_ablation(runs):
    return two_seeds("swiglu_ablation", "Feed-forward networks of the same size", runs, "ffn", {"swiglu": "SwiGLU", "silu": "SiLU"})


def learning_rate_tuning(runs):
    return markdown_table(["rate", "first loss", "loss after 10 steps"],
                 [[run["lr"], f"{run.log[0]['train_loss']:.1f}",
                   f"{run.result['train_loss']:.3g}" + ("" if run.status == "complete" else f", {run.status}")] for run in runs])


def normal(runs, steps):
    """A row for each model: the validation losses of its two seeds at these steps."""
    rows = []
    for one, two in zip(runs[::2], runs[1::2]):
        losses = [{line["step"]: line["val_loss"] for line in run.log if "val_loss" in line} for run in (one, two)]
        rows.append([f"{one['d_model']}, {one['num_layers']}", one.parameters(),
                     *(", ".join(f"{loss[step]:.2f}" for loss in losses) if step in losses[0] else "-" for step in steps),
                     f"{one.result['train_loss']:.2f}, {two.result['train_loss']:.2f}"])
    return markdown_table(["`d_model`, layers", "parameters", *(f"step {step}" for step in steps), "training loss"], rows)


def normal_tinystories(runs):
    return normal(runs, (50, 100, 200, 400, 800))


def normal_shakespeare(runs):
    return normal(runs, (250, 500, 1000, 2000))


def normal_reference():
    """The validation losses of the seeds of docs/reference: the lowest and the highest. Trains nothing."""
    rows = []
    for name, words in (("demo", "demo: stories from a small grammar"), ("tinystories", "TinyStories, this page's text")):
        logs = json.loads((TOP / "docs" / "reference" / f"{name}.json").read_text(encoding="utf-8"))["losses"].values()
        cells = [[log[step]["val_loss"] for log in logs] for step in ("500", "1000", "1500")]
        rows.append([words, str(len(logs)), *(f"{min(losses):.3f} to {max(losses):.3f}" for losses in cells)])
    return markdown_table(["text", "seeds", "step 500", "step 1000", "step 1500"], rows)


def lines_of(name):
    """Runs an experiment, writes its picture, and returns the lines of its table."""
    return globals()[name](run_experiment(name))


TABLES = {**{name: functools.partial(lines_of, name) for name in NAMES}, "normal_reference": normal_reference}
