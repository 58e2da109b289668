"""Chapter 7: running."""
import math

from .common import matmul, number, softmax, table, transpose, vector

# ---- batches ----

MASK = 2 ** 64 - 1
GOLDEN = 0x9e3779b97f4a7c15


def mix(x):
    """As mix() in core/rng.c."""
    x = ((x ^ (x >> 30)) * 0xbf58476d1ce4e5b9) & MASK
    x = ((x ^ (x >> 27)) * 0x94d049bb133111eb) & MASK
    return x ^ (x >> 31)


class Rng:
    """rng_seeded() of core/rng.c: the same bits."""

    def __init__(self, seed):
        self.seed, self.counter = mix(mix((seed + GOLDEN) & MASK)), 0

    def bits(self):
        self.counter += 1
        return mix((mix(self.seed ^ (self.counter * GOLDEN & MASK)) + self.seed) & MASK)

    def below(self, bound):
        bits = self.bits()
        while bits < (2 ** 64 - bound) % bound:
            bits = self.bits()
        return bits % bound


IDS = list(range(50, 60))


def numbers_batch(batch=3, context=4):
    rng = Rng(2)
    starts = [rng.below(len(IDS) - context) for _ in range(batch)]
    lines = [f"ids      {' '.join(str(i) for i in IDS)}", f"n = {len(IDS)}, m = {context}: a start is one of 0, ..., {len(IDS) - context - 1}",
             f"{'start':>6}   {'inputs':<16}targets"]
    for s in starts:
        row, target = IDS[s:s + context], IDS[s + 1:s + 1 + context]
        lines.append(f"{s:>6}   {' '.join(str(i) for i in row):<16}{' '.join(str(i) for i in target)}")
    return lines


def numbers_seen(count=200_000, context=256):
    """How much of a file random windows have seen: the formula, and a count."""
    rng, seen, drawn = Rng(1), bytearray(count), 0
    lines = [f"{'tokens drawn / tokens of the file':>34}{'seen, 1 - e^-c':>18}{'counted':>10}"]
    for c in (0.21, 0.62, 1):
        while drawn < c * count:
            start = rng.below(count - context)
            seen[start:start + context] = b"\1" * context
            drawn += context
        lines.append(f"{c:>34}{f'{100 * (1 - math.exp(-c)):.0f} %':>18}{f'{100 * sum(seen) / count:.0f} %':>10}")
    return lines + [f"counted: windows of {context} from a file of {count} tokens"]


# ---- the training loop: the checker's first case ----

TABLE = [[3, 4], [4, -3], [0, 2]]


def numbers_loop(lr=0.1):
    inputs, targets = [0, 1, 2], [1, 2, 0]
    x = [TABLE[i] for i in inputs]
    normed = [[v / math.sqrt(sum(a * a for a in row) / 2 + 1e-5) for v in row] for row in x]
    p = [[1 / 3] * 3 for _ in inputs]
    grad_logits = [[(q - (j == t)) / 3 for j, q in enumerate(row)] for row, t in zip(p, targets)]
    grad = matmul(transpose(grad_logits), normed)
    size = math.sqrt(sum(g * g for row in grad for g in row))
    head = [[-lr * (1 if g > 0 else -1) for g in row] for row in grad]
    logits = matmul(normed, transpose(head))
    after = -sum(math.log(softmax(row)[t]) for row, t in zip(logits, targets)) / 3
    return ([f"inputs {vector(inputs)}, targets {vector(targets)}; lm_head is 0, so all logits are 0",
             f"loss                 log 3 = {number(math.log(3))}"]
            + table("gradient of lm_head (3, 2)", grad)
            + [f"its norm             {number(size)}, below 1: nothing is clipped"]
            + table("lm_head after the step", head)
            + [f"The first step of AdamW moves each number by the learning rate, {lr}, against its gradient (section 6.6).",
               f"On the same tokens, the loss is then {number(after)}."])


# ---- decoding ----

LOGITS = [1, 2, -1, 0]


def numbers_temperature():
    lines = [f"{'logits':<18}" + "".join(f"{number(x):>9}" for x in LOGITS)]
    for t in (0.25, 0.5, 1, 2):
        lines.append(f"{f'temperature {t}':<18}" + "".join(f"{x:>9.4f}" for x in softmax([v / t for v in LOGITS])))
    return lines


def numbers_top_p(p=0.8):
    q = softmax(LOGITS)
    order = sorted(range(len(q)), key=lambda i: (-q[i], i))
    lines = [f"{'token':>6}{'q':>9}{'sum so far':>12}   kept?{'probability':>14}"]
    kept, sums, total = [], [], 0.0
    for i in order:
        if total < p:
            kept.append(i)
        total += q[i]
        sums.append(total)
    weight = sum(q[i] for i in kept)
    for i, total in zip(order, sums):
        lines.append(f"{i:>6}{q[i]:>9.4f}{total:>12.4f}   {'yes' if i in kept else 'no':<5}{q[i] / weight if i in kept else 0:>14.4f}")
    first = q[order[0]] / weight
    return lines + [f"The first token alone has {q[order[0]]:.4f} < {p}. With the second it is {sums[1]:.4f}, which reaches {p}.",
                    f"Their probabilities are divided by {weight:.4f}, so that they sum to 1.",
                    f"Draw u from [0, 1): below {first:.4f} it is token {order[0]}, else token {order[1]}."]


def numbers_window(capacity=6):
    """A window of 6 tokens: what it holds, and how many tokens the model computes with a cache."""
    lines, window, computed = [f"{'token':<8}{'window':<16}{'computed, cached':>18}{'without a cache':>18}"], "", 0
    for text in ["abc"] + list("defghij"):
        for c in text:
            if len(window) == capacity:
                window, computed = window[capacity - capacity // 2:], 0
            window += c
        lines.append(f"{text:<8}{' '.join(window):<16}{len(window) - computed:>18}{len(window):>18}")
        computed = len(window)
    return lines + ["abc is the prompt. At g and j the window is full and keeps its last half, def and ghi. These tokens",
                    "move to other positions, so their keys and values are computed again.",
                    f"From 4 tokens to a full window of 256: {sum(range(4, 257))} tokens are computed without a cache, 256 with it."]
