"""The page of several machines: its tables come from docs/tools/distributed_cost.py and distributed_measured.json."""
import json
import math

import distributed_cost
from distributed_cost import MODELS, Costs, hidden_share, predict, wire_bytes

from .common import BLUE, GREEN, ORANGE, chart

MEASURED = json.loads((distributed_cost.HERE / "distributed_measured.json").read_text(encoding="utf-8"))
COSTS = Costs.of(MEASURED)
REFERENCE = MODELS["reference"]
PROCESSORS = MEASURED["machine"]["processors"]
STEPS = MEASURED["steps"] + MEASURED["small_steps"] + MEASURED["crowded"]


def rate_of(bits):
    return "no limit" if bits == 0 else f"{bits / 1e9:g} Gbit/s" if bits >= 1e9 else f"{bits / 1e6:g} Mbit/s"


def predicted(row):
    return predict(REFERENCE, COSTS, row["hosts"], row["bits"], row["batch"], min(1.0, PROCESSORS / row["hosts"]))


def crowded(hosts):
    return "*" if hosts > PROCESSORS else ""


# ---- parameters ----

def numbers_parameters():
    rows = [("products of the reference model, for a token", f"{COSTS.token * 1e3:.3f} ms", "two processes, batches of 4 and 16"),
            ("clipping and AdamW, for a parameter", f"{COSTS.update * 1e9:.2f} ns", "the same"),
            ("a small transfer", f"{COSTS.latency * 1e6:.0f} us", "two hosts, no limit"),
            ("one more message", f"{COSTS.message * 1e6:.1f} us", "the same, 64 under way"),
            ("share of a link's bits that are gradients", f"{100 * COSTS.efficiency:.0f} %", "two hosts, 1 Gbit/s"),
            ("a number without a limit", f"{COSTS.copy * 1e9:.1f} ns", "two hosts, no limit"),
            ("... of a processor, taken from backward", f"{COSTS.cpu * 1e9:.1f} ns", "the same")]
    machine = MEASURED["machine"]
    return ([f"{what:<46}{value:>10}   {where}" for what, value, where in rows] +
            [f"{machine['cpu']}: {machine['processors']} processors; {machine['runs']}"])


# ---- steps ----

def numbers_exchange():
    lines = [f"{'hosts':<7}{'link':<13}{'MB each way':>12}{'measured, s':>13}{'predicted, s':>14}"]
    for row in MEASURED["exchange"]:
        size = wire_bytes(row["ranks"], row["numbers"])
        wire = size * 8 / (COSTS.efficiency * row["bits"]) if row["bits"] else 0.0
        copy = row["numbers"] * COSTS.copy * max(1.0, row["ranks"] / PROCESSORS)
        lines.append(f"{str(row['ranks']) + crowded(row['ranks']):<7}{rate_of(row['bits']):<13}{size / 1e6:>12.1f}"
                     f"{row['seconds']:>13.2f}{max(wire, copy):>14.2f}")
    return lines + ["* more hosts than processors"]


def numbers_steps():
    lines = [f"{'':<32}{'------ step, s -------':>23}{'-- waited, s --':>17}{'hidden of what can':>20}",
             f"{'hosts':<7}{'sequences':<11}{'link':<14}{'measured':>11}{'predicted':>12}{'meas.':>9}{'pred.':>8}{'measured':>20}"]
    one = next(row for row in MEASURED["compute"] if row["processes"] == 1 and row["batch"] == 16)
    alone = predict(REFERENCE, COSTS, 1, 0, one["batch"])
    lines.append(f"{1:<7}{one['batch']:<11}{'-':<14}{one['seconds']:>11.2f}{alone.seconds:>12.2f}{'-':>9}{'-':>8}{'-':>20}")
    for row in STEPS:
        step = predicted(row)
        alone = next((other["seconds"] for other in MEASURED["exchange"] if other["numbers"] == REFERENCE.parameters
                      and (other["ranks"], other["rate"]) == (row["hosts"], row["rate"])), step.alone)
        hidden = hidden_share(alone, step.can_hide * min(1.0, alone / step.alone), row["waited"])
        lines.append(f"{str(row['hosts']) + crowded(row['hosts']):<7}{row['batch']:<11}{rate_of(row['bits']):<14}"
                     f"{row['seconds']:>11.2f}{step.seconds:>12.2f}{row['waited']:>9.2f}{step.waited:>8.2f}{100 * hidden:>18.0f} %")
    return lines + ["* more hosts than processors: each has a part of one"]


def numbers_one_host():
    rows = {(row["processes"], row["threads"], row["batch"]): row["seconds"] for row in MEASURED["compute"]}
    two = next(row["seconds"] for row in MEASURED["steps"] if row["rate"] == "any")
    tokens = 32 * REFERENCE.context
    return [f"{'one process, two threads, 32 sequences':<58}{rows[1, 2, 32]:>7.2f} s a step{tokens / rows[1, 2, 32]:>7.0f} tokens/s",
            f"{'two processes that exchange nothing, 16 sequences each':<58}{rows[2, 1, 16]:>7.2f} s a step{tokens / rows[2, 1, 16]:>7.0f} tokens/s",
            f"{'two ranks, no limit, 32 sequences':<58}{two:>7.2f} s a step{tokens / two:>7.0f} tokens/s"]


def figure_distributed():
    """The step of two hosts against the bandwidth, predicted (lines) and measured (dots)."""
    ticks = [0.05, 0.1, 0.3, 1, 3, 10]
    curves, dots = [], []
    for batch, colour, label in ((32, BLUE, (1.2, 8.6)), (8, GREEN, (1.2, 2.4))):
        points = [(10 ** (k / 20), predict(REFERENCE, COSTS, 2, 10 ** (k / 20) * 1e9, batch).seconds) for k in range(-26, 21)]
        curves.append((f"{batch} sequences, predicted", colour, points, label))
        dots.append((colour, [(row["bits"] / 1e9, row["seconds"]) for row in STEPS
                              if row["hosts"] == 2 and row["batch"] == batch and row["bits"]]))
    wire = [(x, wire_bytes(2, REFERENCE.parameters) * 8 / (COSTS.efficiency * x * 1e9)) for x in (0.05, 0.1, 0.3, 1)]
    curves.append(("the bytes alone", ORANGE, wire, (0.056, 5.5), "4 4"))
    return chart("distributed.svg", "A training step on two hosts, measured (dots) and predicted", "Gbit/s of each link", "seconds",
                 (ticks, True), ([0, 4, 8, 12, 16, 20], False), curves, dots=dots)


# ---- further than here ----

def numbers_far():
    lines = [f"{'model, sequences of a step':<27}{'hosts':>6}{'proc.':>6}{'compute':>9}{'exchange':>10}{'waited':>8}{'step, s':>9}"
             f"{'efficiency':>12}   limit"]
    for name, sequences in (("gpt2-small", 512), ("1.3b", 512)):
        model = MODELS[name]
        for hosts, processors in ((2, 2), (64, 2), (64, 64)):
            step = predict(model, COSTS, hosts, 1e11, sequences, processors)
            wire = wire_bytes(hosts, model.parameters) * 8 / (COSTS.efficiency * 1e11)
            reason = "the link" if wire > 0.9 * step.alone else "copies"
            lines.append(f"{name + f', {sequences} x {model.context}':<27}{hosts:>6}{processors:>6}{step.compute:>9.1f}{step.alone:>10.2f}"
                         f"{step.waited:>8.2f}{step.seconds:>9.1f}{100 * step.efficiency:>10.0f} %   {reason}")
    return lines


def numbers_thread():
    bits = 8 * FLOATS_BOTH / COSTS.copy
    return [f"{'one thread sends and receives, adds and copies':<50}{1e-9 / COSTS.copy:>8.3f} billion numbers/s",
            f"{'which are, in each direction, with many hosts':<50}{bits / 1e9:>8.1f} Gbit/s"]


FLOATS_BOTH = 8  # bytes of a number that a host sends in an all-reduce of many hosts: 2 x 4


# ---- the Pile ----

def tokenizer_costs():
    """Seconds of counting a byte, of learning for a word; bytes of memory for a word; how words grow with the text."""
    rows, encode = MEASURED["tokenizer"][:-1], MEASURED["tokenizer"][-1]
    ten, forty = (next(row for row in rows if row["bytes"] >= size and row["times"] == 1) for size in (10e6, 40e6))
    repeated = next(row for row in rows if row["times"] > 1)
    count = (repeated["seconds"] - forty["seconds"]) / (repeated["bytes"] - forty["bytes"])
    words = forty["words"] - ten["words"]
    learn = (forty["seconds"] - ten["seconds"] - count * (forty["bytes"] - ten["bytes"])) / words
    memory = (forty["memory_mb"] - ten["memory_mb"]) * 1e6 / words
    exponent = math.log(forty["words"] / ten["words"]) / math.log(forty["bytes"] / ten["bytes"])
    return count, learn, memory, exponent, forty, encode


def numbers_pile():
    count, learn, memory, exponent, forty, encode = tokenizer_costs()
    pile, processors = 825e9, 64 * PROCESSORS
    word_bytes = 3.46e6 / 325868  # of mixed.txt's distinct words; on its way a word has 2 more, with its count
    words = lambda size: forty["words"] * (size / forty["bytes"]) ** exponent
    ids = 2 * pile / encode["bytes_per_token"]
    wire = lambda bits: ids * 63 / 64 * 8 / (COSTS.efficiency * bits)
    rows = [("counting, one processor", f"{pile * count / 60:.0f} minutes", f"{1e-6 / count:.0f} MB/s"),
            (f"counting, 64 hosts of {PROCESSORS}", f"{pile * count / processors:.0f} s", "each reads 12.9 GB from its disk"),
            ("distinct words in 12.9 GB, one host", f"{words(pile / 64) / 1e6:.0f} million", f"grow as the text to the power {exponent:.2f}"),
            ("distinct words in all", f"{words(pile) / 1e6:.0f} million", "the same, extrapolated from 40 MB"),
            ("words that go to rank 0", f"{words(pile) * (word_bytes + 2) / 1e9:.1f} GB", f"{word_bytes:.1f} bytes each, and about 2 for the count"),
            ("learning on rank 0", f"{words(pile) * learn:.0f} s", f"{learn * 1e6:.2f} us for a word"),
            ("memory of rank 0", f"{words(pile) * memory / 1e9:.0f} GB", f"{memory:.0f} bytes for a word"),
            ("cells of learning on rank 0", f"{words(pile) * (word_bytes + 1) / 1e9:.1f} billion", "a byte of a word each; at most 4.3 billion"),
            ("encoding, one processor", f"{pile / encode['encode_mb_per_second'] / 3.6e9:.1f} hours", f"{encode['encode_mb_per_second']:.0f} MB/s"),
            (f"encoding, 64 hosts of {PROCESSORS}", f"{pile / encode['encode_mb_per_second'] / 1e6 / processors:.0f} s", ""),
            ("ids that go to rank 0", f"{ids / 1e9:.0f} GB", f"{encode['bytes_per_token']:.2f} bytes of text for an id of 2 bytes"),
            ("... at 1 Gbit/s", f"{wire(1e9) / 60:.0f} minutes", "its own link carries all of them"),
            ("... at 100 Gbit/s", f"{wire(1e11):.0f} s", "")]
    return [f"{what:<38}{value:>14}   {why}".rstrip() for what, value, why in rows]
