#!/usr/bin/env python3
"""Trains the small models of the book's tables again, and writes their losses into the chapters. `make runs` calls it.

A chapter of docs/book/ holds blocks of this form; what is between the two comments is replaced by the lines that
runs_NAME() below returns:

    <!-- runs NAME -->
    <!-- end -->

Tables of settings come from `cs336 train` on the files of `make demo`. Tables of mistakes come from `make story`: a
textbook solution gets one patch of tests/exercises/wrong/, and trains or writes in place of the right function. The
stories that the chapters quote are told again, too (STORIES); a quote that is not in its story is an error. What other
commands print is in transcripts.py. Tables that are called like a file of docs/experiments are in experiments.py.

usage: write_runs.py [NAME ...]    names of tables, "experiments", "stories", or "transcripts" and chapters after it
                                   (transcripts fast); without a name, all of them (two hours on two processors, which
                                   should do nothing else)
The losses are the same for any number of threads. Another instruction set rounds differently, and changes last digits.
"""
import concurrent.futures
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import experiments
import transcripts
from book_numbers.common import markdown_table

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
BOOK = TOP / "docs" / "book"
EXERCISES = pathlib.Path("tests/exercises")
OUT = pathlib.Path("build/runs")
BLOCK = re.compile(r"(<!-- runs (\S+) -->\n)(.*?)(<!-- end -->)", re.S)


# ---- the demo's model with other settings ----

def run(*command, may_fail=False):
    """Runs a command in the top folder. Returns what it printed."""
    result = subprocess.run(command, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            encoding="utf-8", errors="replace")
    if result.returncode and not may_fail:
        sys.exit(f"write_runs.py: this command failed: {' '.join(command)}\n{result.stdout}")
    return result.stdout


@functools.lru_cache(maxsize=None)
def train(steps, *options):
    """Trains the demo's model. Returns the lines of its log, and the text of its failure if it diverged."""
    demo, out = "build/demo", OUT / f"{os.getpid()}{''.join(options)}--steps{steps}"
    print(" ".join(("train", *options, "--steps", str(steps))), flush=True)
    settings = ["--vocab-size", "2048", "--d-model", "96", "--num-heads", "4", "--batch-size", "8", "--beta2", "0.98",
                "--log-every", str(min(steps, 100)), "--val-every", "500", "--val-batches", "20"]
    printed = run("build/cs336", "train", "--train", demo + "/train.bin", "--val", demo + "/valid.bin", "--out", str(out),
                  "--overwrite", "--threads", "1", "--steps", str(steps), *settings, *options, may_fail=True)
    failure = re.search(r"cs336 train: (step (\d+): the loss is (\S+) and .*)", printed)
    log = [json.loads(line) for line in (TOP / out / "log.jsonl").read_text().splitlines()]
    shutil.rmtree(TOP / out)
    if not log and not failure:
        sys.exit("write_runs.py: cs336 train has failed:\n" + printed)
    return log, failure


def at_once(function, calls):
    """Calls a function with each of these lists of arguments, as many at a time as there are processors."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda arguments: function(*arguments), calls))


def losses_of(variants):
    """A row of losses for each variant (name, options of train): while it trains, and on validation text with two seeds."""
    logs = at_once(train, [(500, *seed, "--num-layers", "4", "--lr", "6e-3", *options)
                           for _, *options in variants for seed in ((), ("--seed", "2"))])
    rows = []
    for (name, *_), (log, _), (other, _) in zip(variants, logs[::2], logs[1::2]):
        rows.append([name] + [f"{line['train_loss']:.3f}" for line in log]
                    + [f"{log[-1]['val_loss']:.3f}", f"{other[-1]['val_loss']:.3f}"])
    return markdown_table(["loss", "step 100", "200", "300", "400", "500", "validation", "with `--seed 2`"], rows)


def runs_gate():
    return losses_of([("SwiGLU",), ("SiLU, no gate", "--ffn", "silu")])


def runs_positions():
    return losses_of([("RoPE",), ("no positions", "--position", "none")])


def runs_norms():
    rates, depths = ("6e-4", "6e-3", "2e-2"), ("4", "8", "12")
    norms = {"pre": (), "post": ("--norm", "post"), "none": ("--norm", "none")}
    calls = [(500, "--num-layers", "4", "--lr", rate, *options) for options in norms.values() for rate in rates]
    calls += [(1, "--num-layers", depth, "--lr", "6e-3", *options) for options in norms.values() for depth in depths]
    results = dict(zip(calls, at_once(train, calls)))
    rows = []
    for norm, options in norms.items():
        row = [norm]
        for rate in rates:
            log, failure = results[500, "--num-layers", "4", "--lr", rate, *options]
            row.append(f"diverges in step {failure.group(2)}" if failure else f"{log[-1]['val_loss']:.3f}")
        for depth in depths:
            log, failure = results[1, "--num-layers", depth, "--lr", "6e-3", *options]
            loss = float(failure.group(3)) if failure else log[0]["train_loss"]
            power = 0 if loss != loss else int(f"{loss:e}".partition("e")[2])
            row.append("NaN" if loss != loss else f"{loss:.3g}" if power < 6 else rf"${loss / 10 ** power:.1f} \cdot 10^{{{power}}}$")
        rows.append(row)
    return markdown_table(["norm", "rate 6e-4", "rate 6e-3", "rate 2e-2", "untrained, 4 layers", "8", "12"], rows)


# ---- one mistake in a function ----

@functools.lru_cache(maxsize=None)
def story(exercise, mistake, *options):
    """Returns what `make story` prints if one function has one mistake. No mistake: the textbook solution."""
    student = OUT / "student" / "-".join((str(os.getpid()), exercise, mistake, *options))
    shutil.rmtree(TOP / student, ignore_errors=True)
    (TOP / student).mkdir(parents=True)
    shutil.copy(TOP / EXERCISES / "solutions" / f"{exercise}.c", TOP / student)
    if mistake:
        run("patch", str(student / f"{exercise}.c"), str(EXERCISES / "wrong" / exercise / f"{mistake}.patch"))
    print(" ".join(("story", exercise, mistake or "right", *options)), flush=True)
    return run("make", "story", f"EX={exercise}", f"STUDENT={student}", *options, may_fail=True)


def learned(exercise, mistake, steps):
    """Trains the story's model. Returns its losses by step, and the text after the prompt."""
    printed = story(exercise, mistake, "TRAIN=1", f"STEPS={steps}", "MINUTES=60")
    losses = {int(step): float(loss) for step, loss in re.findall(r"^ +(\d+) +(\S+) +\S+$", printed, re.M)}
    text = re.search(r"^== The story of your model\nOnce upon a time(.*)", printed, re.M)
    if steps not in losses or not text:
        sys.exit(f"write_runs.py: make story has failed for {exercise}, {mistake}:\n{printed}")
    return losses, text.group(1)


def loss_text(loss):
    return f"{loss:.3f}" if loss < 10 else f"{loss:#.4g}".rstrip(".")


def mistakes_table(mistakes, steps):
    """A row with the losses after 50 steps and at the end, for each mistake (name, exercise, patch)."""
    results = at_once(learned, [(exercise, mistake, steps) for _, exercise, mistake in mistakes])
    rows = [[name, loss_text(losses[50]), loss_text(losses[steps])] for (name, *_), (losses, _) in zip(mistakes, results)]
    return markdown_table(["mistake", "50 steps", f"{steps} steps"], rows)


MISTAKES = [
    ("none", "adamw", ""),
    ("AdamW: no bias correction", "adamw", "without_bias_correction"),
    (r"AdamW: the moments are sums, without $1 - \beta$", "adamw", "moments_are_sums"),
    ("gradient of the loss: sum for mean", "cross_entropy_backward", "sum_for_mean"),
    ("gradient of the loss: the target's 1 is missing", "cross_entropy_backward", "without_target"),
    ("gradient of the loss: the 1 is not divided by $N$", "cross_entropy_backward", "target_not_divided"),
    ("gradient of the loss: opposite sign", "cross_entropy_backward", "sign_exchanged"),
    ("AdamW: no square root", "adamw", "without_square_root")]


def runs_mistakes():
    return mistakes_table(MISTAKES, 250)


def runs_gradients():
    return mistakes_table([
        ("none", "transformer_lm_loss", ""),
        ("the residual path around attention is lost (5.2)", "transformer_block_backward", "attention_residual_lost"),
        ("the embeddings learn nothing", "transformer_lm_loss", "embeddings_left_out"),
        ("the only layer learns nothing", "transformer_lm_loss", "first_layer_left_out")], 100)


def runs_loops():
    loops = [("right", ""), ("gradients never cleared", "gradients_never_cleared"),
             ("gradients cleared before the update", "cleared_before_the_update"),
             ("the rate is always the largest", "constant_rate"), ("one batch for all steps", "one_batch_for_all"),
             ("the targets are the inputs", "targets_are_the_inputs")]
    results = at_once(learned, [("training_together", mistake, 100) for _, mistake in loops])
    rows = []
    for (name, _), (losses, text) in zip(loops, results):
        sentence = text.partition(".")[0] + "."
        text = sentence if len(sentence) <= 40 else text[:30].rpartition(" ")[0] + " ..."
        rows.append([name, loss_text(losses[50]), loss_text(losses[100]), text.strip().replace("|", "\\|")])
    lines = markdown_table(["loop", "step 50", "step 100", 'then it writes "Once upon a time" and'], rows)
    return [lines[0], "|---|---:|---:|---|"] + lines[2:]


# ---- stories that the chapters quote ----

STORIES = [  # chapter, exercise, mistake, seed, what the chapter quotes
    ("layers", "rmsnorm", "", 0, "Once upon a time, there was a little girl named Lily."),
    ("layers", "rmsnorm", "without_gain", 0, "Once upon a time er named Pearab lived a of the lible."),
    ("layers", "rmsnorm", "mean_subtracted", 0, "Once upon a time, a little mouse named Pearl lived near the old castle."),
    ("layers", "silu", "relu", 0, "saidet"),
    ("layers", "silu", "relu", 0, "a strong paraver spea for joy"),
    ("layers", "feed_forward", "gates_exchanged", 0, "Once upon a time, a little girl named a strong pony. She was not very."),
    ("layers", "feed_forward", "without_gate", 0, "Once upon a timeriushad amongver star star fi"),
    ("layers", "rope", "turns_backwards", 0, "a time, there was a little girl named Arun. She lived near the green kite. Arun. Arun."),
    ("layers", "rope", "halves_for_pairs", 0, "a young girl bucket just as Nora went to spid of fog"),
    ("layers", "rope", "one_frequency_for_all", 0, "she was It was hidden listen visited Rupert drack."),
    ("attention", "sdpa", "mask_ignored", 0, "One day, Lily got a blue kite from her grandmother"),
    ("attention", "sdpa", "not_normalised", 0, "a little girl named Mia aong! Mia wished a teak"),
    ("attention", "sdpa", "without_scale", 0, "a little girl named Anna lived near the cave. More than anything, she wanted a blue kite."),
    ("model", "transformer_block", "no_first_residual", 0, "Once upon a timegeveve smiled smiled"),
    ("model", "transformer_block", "always_post_norm", 0, "there were two palsed anything"),
    ("model", "transformer_block", "residual_of_the_norm", 0, "there was a little boy named Tom. He lived near the forest."),
    ("model", "transformer_lm", "first_layer_every_time", 0, "Once upon a time Koloolooloolooloo"),
    ("model", "transformer_lm", "tied_head", 0, "Once upon a time time time time"),
    ("model", "transformer_lm", "without_final_norm", 0, "a little girl named Anna lived near the forest."),
    ("running", "decoding", "", 1, "a young girl named Willow lived near the jungle."),
    ("running", "decoding", "temperature_multiplies", 1, "a young mOn a tiny cakendletht everything.")]


def check_stories():
    """Returns a line for each quote that is not in its chapter or not in its story."""
    errors = []
    at_once(story, sorted({(exercise, mistake, f"SEED={seed}") for _, exercise, mistake, seed, _ in STORIES}))
    for chapter, exercise, mistake, seed, quote in STORIES:
        text = " ".join((BOOK / f"{chapter}.md").read_text(encoding="utf-8").split())
        told = story(exercise, mistake, f"SEED={seed}").partition("== Your story\n")[2].partition("== The reference's story")[0]
        for place, words in ((f"{chapter}.md", text), (f"the story of {exercise} {mistake}", " ".join(told.split()))):
            if quote not in words:
                errors.append(f'"{quote}" is not in {place}')
    return errors


# ---- the chapters ----

def main():
    chosen = sys.argv[1:]
    pages = sorted(BOOK.glob("*.md")) + sorted(BOOK.parent.glob("*.md"))
    chapters = {path.stem for path in pages}
    tables = {name[5:]: function for name, function in globals().items() if name.startswith("runs_")}
    tables.update(experiments.TABLES)
    known = set(tables) | {"stories", "transcripts"} | chapters
    if "experiments" in chosen and chosen[0] != "transcripts":
        chosen = [name for name in chosen if name != "experiments"] + list(experiments.TABLES)
    if not set(chosen) <= known:
        sys.exit(f"usage: write_runs.py [NAME ...], of {', '.join(sorted(known))}")
    if not chosen or not set(chosen) <= {"transcripts", *chapters, *experiments.TABLES}:
        if not (TOP / "build/demo/valid.bin").exists():
            run("make", "demo", "DEMO_STEPS=1")
        story("softmax", "", "TOKENS=1")  # compiles what all stories share
    for path in sorted(BOOK.glob("*.md")):
        for name in [match.group(2) for match in BLOCK.finditer(path.read_text(encoding="utf-8"))]:
            if name not in tables:
                sys.exit(f"{path}: no table called {name}")
            if chosen and name not in chosen:
                continue
            lines = "\n".join(tables[name]()) + "\n"
            old = path.read_text(encoding="utf-8")  # read again: the runs take minutes, and an editor may have saved
            new = BLOCK.sub(lambda m: m.group(1) + lines + m.group(4) if m.group(2) == name else m.group(0), old)
            path.write_text(new, encoding="utf-8")
            print(f"{path.relative_to(TOP)}: table {name}: {'as before' if new == old else 'written'}", flush=True)
    errors = check_stories() if not chosen or "stories" in chosen else []
    if not chosen or "transcripts" in chosen:
        errors += transcripts.write_transcripts([page for page in pages
                                                 if page.stem in chosen or not chapters & set(chosen)])
    if errors:
        sys.exit("\n".join(errors))


if __name__ == "__main__":
    main()
