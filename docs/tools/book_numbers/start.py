"""Chapter 0: how long the course's main run takes. Speeds are read from docs/performance.md, which measured them."""
import functools
import pathlib
import re

from .common import account, part_of

DOCS = pathlib.Path(__file__).resolve().parents[2]
CORES = (2, 8, 16)
# The reference model, and the course's two runs in tokens.
CONTEXT, D_MODEL, LAYERS, D_FF = 256, 512, 4, 1344
TINYSTORIES_VOCABULARY, OWT_VOCABULARY = 10000, 32000
MAIN_RUN, SMALL_RUN = 327.68e6, 40.96e6
TINYSTORIES_BYTES, OWT_BYTES = 2.2e9, 11.9e9
# Bytes per token, from docs/tokenizer_experiments.md: A on TinyStories, B on mixed text in place of OpenWebText.
TINYSTORIES_BYTES_PER_TOKEN, OWT_BYTES_PER_TOKEN = 4.137, 3.804

# Seconds of processor time (user) of `cs336 train --threads 1 --steps N` on an AMD EPYC of family 25, model 17 (Zen 4),
# for N = 1 and 4, batch 32 x 256. Such time does not count what other programs used.
OLDER_SERVER = {"float32": (13.39, 40.81), "bf16": (7.54, 23.50)}


@functools.lru_cache(maxsize=None)
def measured():
    """Tokens per second: one thread and two in float32, and two with bf16."""
    text = (DOCS / "performance.md").read_text(encoding="utf-8")
    rows = {name: re.search(rf"\| {name} for \S+(?: \S+)? \| (\d+) tokens/s \| (\d+) tokens/s", text)
            for name in ("two threads", "bf16")}
    one, two = map(float, rows["two threads"].groups())
    return one, two, float(rows["bf16"].group(2)) / float(rows["bf16"].group(1))


def speeds(cores):
    """Tokens per second in float32: if a part of the work never becomes parallel, and if each core adds as at two."""
    one, two, _ = measured()
    serial = 2 * one / two - 1  # Amdahl's law: two / one = 1 / (serial + (1 - serial) / 2)
    return one / (serial + (1 - serial) / cores), two / 2 * cores


def flops_per_token(vocabulary):
    """Of the matrix products, forward and backward; cs336 account prints the same number."""
    layer = 2 * D_MODEL * 4 * D_MODEL + 2 * 2 * CONTEXT * D_MODEL + 3 * 2 * D_MODEL * D_FF
    return 3 * (LAYERS * layer + 2 * D_MODEL * vocabulary)


def between(low, high, form):
    return form(low) if form(low) == form(high) else f"{form(low)} to {form(high)}"


def hours(tokens, rates, faster=1.0):
    return between(tokens / rates[1] / faster / 3600, tokens / rates[0] / faster / 3600, lambda h: f"{h:.1f}")


def numbers_speed():
    one, two, bf16 = measured()
    lines = [f"measured   1 core: {one:.0f} tokens/s, 2 cores: {two:.0f} tokens/s; bf16 is {bf16:.2f} times as fast",
             f"           {two * flops_per_token(TINYSTORIES_VOCABULARY) / 1e9:.0f} GFLOP/s in matrix products on 2 cores", "",
             f"{'cores':>5}{'tokens/s, float32':>22}{'tokens/s, bf16':>20}"]
    for cores in CORES:
        low, high = speeds(cores)
        thousands = lambda x: f"{x / 1000:.1f} K"
        lines.append(f"{cores:>5}{between(low, high, thousands):>22}{between(low * bf16, high * bf16, thousands):>20}")
    return lines


def numbers_hours():
    bf16 = measured()[2]
    more = flops_per_token(OWT_VOCABULARY) / flops_per_token(TINYSTORIES_VOCABULARY)
    runs = (("low-resource, 40.96 M tokens", SMALL_RUN, 1), ("TinyStories, 327.68 M tokens", MAIN_RUN, 1),
            ("OpenWebText, 327.68 M tokens", MAIN_RUN, more))
    lines = [f"{'hours':<32}" + "".join(f"{f'{cores} cores':>16}" for cores in CORES)]
    for dtype, faster in (("float32", 1), ("bf16", bf16)):
        for name, tokens, work in runs:
            lines.append(f"{name + ', ' + dtype:<39}"[:39] + "".join(
                f"{hours(tokens * work, speeds(cores), faster):>{9 if cores == 2 else 16}}" for cores in CORES))
    lines += ["", f"a token of OpenWebText costs {more:.2f} times as much, because of the larger vocabulary"]
    return lines


def numbers_files():
    lines = [f"{'':<14}{'text':>9}{'bytes per token':>18}{'tokens':>11}{'file of ids':>14}"]
    for name, size, per_token in (("TinyStories", TINYSTORIES_BYTES, TINYSTORIES_BYTES_PER_TOKEN),
                                  ("OpenWebText", OWT_BYTES, OWT_BYTES_PER_TOKEN)):
        tokens = size / per_token
        lines.append(f"{name:<14}{f'{size / 1e9:.1f} GB':>9}{per_token:>18.2f}{f'{tokens / 1e6:.0f} M':>11}{f'{2 * tokens / 1e9:.1f} GB':>14}")
    return lines + ["", f"The main run reads {MAIN_RUN / 1e6:.2f} M tokens, "
                    f"{100 * MAIN_RUN / (TINYSTORIES_BYTES / TINYSTORIES_BYTES_PER_TOKEN):.0f} % of what TinyStories has."]


def numbers_per_byte():
    lines = [f"{'':<42}{'nats per token':>15}{'nats per byte':>15}"]
    for name, loss in (("the course's goal for the main run", 1.45), ("the course's goal for the low-resource run", 2.00)):
        lines.append(f"{name:<42}{loss:>15.2f}{loss / TINYSTORIES_BYTES_PER_TOKEN:>15.3f}")
    return lines


def numbers_budget():
    _, two, bf16 = measured()
    flops = 1.5 * 3600 * 495e12 * 0.5
    cpu = two * flops_per_token(TINYSTORIES_VOCABULARY)
    owt = two * flops_per_token(TINYSTORIES_VOCABULARY) / flops_per_token(OWT_VOCABULARY)
    lines = [f"1.5 hours of an H100 (495 TFLOP/s) at 50 %: {flops:.2g} FLOPs",
             f"the same on 2 cores at {cpu / 1e9:.0f} GFLOP/s: {flops / cpu / 86400:.0f} days", "",
             "1.5 hours on 2 cores, vocabulary 32 000:"]
    for dtype, rate in (("float32", owt), ("bf16", owt * bf16)):
        tokens = rate * 5400
        lines.append(f"  {dtype:<8} {tokens / 1e6:.1f} M tokens, {tokens / (32 * 256):.0f} steps of 32 x 256")
    return lines


def numbers_older():
    one, _, bf16 = measured()
    lines = []
    for dtype, rate in (("float32", one), ("bf16", one * bf16)):
        first, last = OLDER_SERVER[dtype]
        seconds, tokens = last - first, 3 * 32 * CONTEXT
        lines.append(f"{dtype:<8} {tokens} tokens in {seconds:.1f} s: {tokens / seconds:.0f} tokens/s on one core, "
                     f"{100 * tokens / seconds / rate:.0f} % of the table's speed")
    return lines


def numbers_memory():
    lines = [f"{'run':<36}{'memory':>9}"]
    for name, vocabulary in (("reference model", TINYSTORIES_VOCABULARY), ("vocabulary 32 000", OWT_VOCABULARY)):
        for batch in (32, 128):
            printed = part_of(account("--vocab-size", str(vocabulary), "--batch-size", str(batch)), "Bytes of training")
            total = next(line for line in printed if line.startswith("  total")).split()
            lines.append(f"{f'{name}, batch {batch}':<36}{' '.join(total[-2:]) + 'B':>9}")
    return lines
