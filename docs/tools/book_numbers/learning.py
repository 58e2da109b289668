"""Chapter 6: learning."""
import math
import random
import struct
from decimal import Decimal

from .common import (BLUE, GREEN, ORANGE, PURPLE, account, chart, matmul, number, part_of, softmax, table, transpose,
                     vector)

# Two tokens and a vocabulary of three. It is also the first case that the checker prints.
LOGITS = [[2, 1, -1], [0, 0, 0]]
TARGETS = [0, 2]

def float32(x):
    return struct.unpack("f", struct.pack("f", x))[0]


# exp() and log() of the C library differ in the last bit from machine to machine. Where such a bit would be printed, as
# in the error of a difference, these are rounded correctly instead.
def exact_exp(x):
    return float(Decimal(x).exp())


def exact_log(x):
    return float(Decimal(x).ln())


def log_sum_exp(row):
    m = max(row)
    return m + exact_log(sum(exact_exp(x - m) for x in row))


def cross_entropy(logits):
    return sum(log_sum_exp(row) - row[t] for row, t in zip(logits, TARGETS)) / len(logits)


def cross_entropy_gradient(logits):
    return [[(exact_exp(x - log_sum_exp(row)) - (j == t)) / len(logits) for j, x in enumerate(row)]
            for row, t in zip(logits, TARGETS)]


def short(x):
    """Two digits and an exponent."""
    return f"{x:.1e}".replace("e-0", "e-").replace("e+0", "e")


# ---- 6.1, 6.2: log-sum-exp and cross-entropy ----

def numbers_log_sum_exp():
    x = LOGITS[0]
    e = [math.exp(v - max(x)) for v in x]
    more = [v + 1000 for v in x]
    return [f"x           = {vector(x)}", f"m           = {max(x)}",
            f"e^(x-m)     = {vector(e)}     sum {number(sum(e))}",
            f"l           = {max(x)} + log {number(sum(e))} = {number(log_sum_exp(x))}", "",
            f"x + 1000    = {vector(more)}     e^1002 is infinite",
            f"l           = {max(more)} + log {number(sum(e))} = {number(log_sum_exp(more))}", "",
            f"backward: dL/dl = 3 gives dL/dx = 3 softmax(x) = {vector([3 * p for p in softmax(x)])}, which sum to 3"]


def numbers_cross_entropy():
    ls = [[log_sum_exp(row)] for row in LOGITS]
    losses = [[log_sum_exp(row) - row[t]] for row, t in zip(LOGITS, TARGETS)]
    mean = cross_entropy(LOGITS)
    return (table("logits x (2, 3)", LOGITS) + [f"targets t (2)             {TARGETS[0]:>9}{TARGETS[1]:>9}"]
            + table("l (2, 1)", ls) + table("l - x_t", losses) + [f"{'L, their mean':<26}{number(mean):>9}"]
            + [f"{'perplexity e^L':<26}{number(math.exp(mean)):>9}", ""]
            + table("softmax(x)", [softmax(row) for row in LOGITS])
            + table("(softmax(x) - onehot) / 2", cross_entropy_gradient(LOGITS)) + [""]
            + ["In each row the target's logit has a negative gradient: a step against it makes the target likelier.",
               "Each row sums to 0."])


def numbers_perplexity():
    rows = [(math.log(10000), "a uniform guess among 10000 tokens, log 10000"), (2.0, "course: target of the run on a laptop"),
            (1.8, "course: reached there"), (1.45, "course: the reference model's target"), (0.0, "always right")]
    return [f"{'loss':>8}{'perplexity':>13}"] + [f"{l:>8.4g}{math.exp(l):>13.5g}   {what}".rstrip() for l, what in rows]


def numbers_rounding():
    lines = [f"{'target logit':>14}{'p in float32':>16}{'-log p':>12}{'l - x_t':>12}"]
    for x in (-1, -50, -100, -104, -2000):
        row = [x, 0, 0]
        p = float32(math.exp(x - log_sum_exp(row)))
        lines.append(f"{x:>14}{p:>16.4g}{-math.log(p) if p else math.inf:>12.6g}{log_sum_exp(row) - x:>12.6g}")
    return lines + ["The row's other two logits are 0. Numbers below 1e-38 lose digits in float32, and those below 7e-46",
                    "are 0."]


# ---- 6.3: the chain rule ----

X = [[1, 1], [1, -1]]
W = [[1, 1], [0.5, 0.5], [-0.5, -0.5]]


def chain_loss(weight):
    return cross_entropy(matmul(X, transpose(weight)))


def numbers_chain():
    logits = matmul(X, transpose(W))
    grad_logits = cross_entropy_gradient(logits)
    grad_weight = matmul(transpose(grad_logits), X)
    moved = [[W[0][0] + 0.001] + W[0][1:]] + W[1:]
    return (["forward, from the top to the bottom:"] + table("x (2, 2)", X) + table("W (3, 2)", W)
            + table("z = x W^T (2, 3)", logits) + [f"{'L = cross-entropy(z)':<26}{number(chain_loss(W)):>9}", ""]
            + ["backward, the same lines from the bottom to the top:"]
            + table("dL/dz (2, 3)", grad_logits) + table("dL/dW = (dL/dz)^T x", grad_weight)
            + table("dL/dx = dL/dz W", matmul(grad_logits, W)) + [""]
            + ["The weight W[0][0] multiplies x[0][0] and x[1][0]. Its gradient is the sum over both rows:",
               f"    {grad_logits[0][0]:.4f} * {X[0][0]} + {grad_logits[1][0]:.4f} * {X[1][0]} = {grad_weight[0][0]:.4f}",
               "A check by hand: W[0][0] grows by 0.001.",
               f"    L was {chain_loss(W):.8f} and becomes {chain_loss(moved):.8f}",
               f"    the difference, divided by 0.001, is {(chain_loss(moved) - chain_loss(W)) / 0.001:.4f}; 6.4 says why not exactly {grad_weight[0][0]:.4f}"])


# ---- 6.4: the error of a difference ----

def cross_entropy_float32(logits):
    """What the textbook solution computes: float32 numbers, sums in double."""
    total = 0.0
    for row, t in zip(logits, TARGETS):
        m = max(row)
        terms = sum(float32(exact_exp(float32(x - m))) for x in row)
        total += float32(m + exact_log(terms)) - row[t]
    return float32(total / len(logits))


def difference(loss, points, h, rounded=float):
    """sum_k c_k loss(x + k h) / h for each logit x, where points are the pairs (k, c_k)."""
    gradient = []
    for i, row in enumerate(LOGITS):
        for j, x in enumerate(row):
            total = 0.0
            for k, c in points:
                moved = [list(map(float, r)) for r in LOGITS]
                moved[i][j] = rounded(x + k * h)
                total += c * loss(moved)
            gradient.append(total / h)
    return gradient


ONE_SIDED = [(1, 1), (0, -1)]
CENTRAL = [(1, 1 / 2), (-1, -1 / 2)]
FOUR_POINTS = [(-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12)]


def error(loss, points, h, rounded=float):
    """The largest error of any number of the gradient, divided by the largest number of the gradient."""
    exact = [g for row in cross_entropy_gradient(LOGITS) for g in row]
    return max(abs(d - g) for d, g in zip(difference(loss, points, h, rounded), exact)) / max(map(abs, exact))


METHODS = [("one side, double", ORANGE, cross_entropy, ONE_SIDED, float),
           ("central, double", BLUE, cross_entropy, CENTRAL, float),
           ("central, float32", PURPLE, cross_entropy_float32, CENTRAL, float32),
           ("4 points, float32", GREEN, cross_entropy_float32, FOUR_POINTS, float32)]


def numbers_differences():
    lines = [f"{'h':>8}" + "".join(f"{name:>20}" for name, *_ in METHODS)]
    for h in [1e-1, 2e-2, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12]:
        errors = [error(loss, points, h, rounded) if h >= 1e-7 or rounded is float else None
                  for _, _, loss, points, rounded in METHODS]
        text = f"{h:g}".replace("e-0", "e-")
        lines.append(f"{text:>8}" + "".join(f"{'' if e is None else short(e):>20}" for e in errors).rstrip())
    return lines + ["largest error of the six numbers, divided by the largest gradient"]


def figure_differences():
    hs = [10 ** (-k / 2) for k in range(1, 25)]
    places = {"one side, double": (3e-8, 6e-6), "central, double": (3e-5, 1.2e-12),
              "central, float32": (2e-6, 0.3), "4 points, float32": (1.2e-2, 4e-8)}
    curves = []
    for name, colour, loss, points, rounded in METHODS:
        errors = [(h, error(loss, points, h, rounded)) for h in hs if rounded is float or 1e-7 < h]
        curves.append((name, colour, [(h, min(max(e, 1e-13), 10)) for h, e in errors], places[name]))
    return chart("learning_differences.svg", "Relative error of a difference", "step h", "error, relative to the gradient",
                 ([10.0 ** k for k in range(-12, 1, 2)], True), ([10.0 ** k for k in range(-13, 2, 2)], True), curves)


# ---- 6.5: SGD ----

def numbers_sgd():
    value, grad = [[1, 2, 3], [-1, 0, 0.5]], [[2, -2, 0], [4, 1, -8]]
    rate = 0.1 / math.sqrt(3 + 1)
    return (table("theta (2, 3)", value) + table("g (2, 3)", grad)
            + [f"{'rate = 0.1 / sqrt(3 + 1)':<26}{number(rate):>9}"]
            + table("theta - rate g", [[v - rate * g for v, g in zip(vs, gs)] for vs, gs in zip(value, grad)]))


RATES = [1, 10, 100, 1000]


def tuning_losses(lr, steps=10):
    """The handout's toy problem: the loss before each step, and after the last."""
    rng = random.Random(336)
    weights = [5 * rng.gauss(0, 1) for _ in range(100)]
    losses = []
    for t in range(steps + 1):
        losses.append(sum(w * w for w in weights) / len(weights))
        weights = [w - lr / math.sqrt(t + 1) * 2 * w / len(weights) for w in weights]
    return losses


def numbers_tuning():
    columns = [tuning_losses(lr) for lr in RATES]
    lines = [f"{'step':>6}" + "".join(f"{f'lr {lr}':>12}" for lr in RATES)]
    return lines + [f"{t:>6}" + "".join(f"{column[t]:>12.3g}" for column in columns) for t in range(11)]


# ---- 6.6: AdamW ----

class Adam:
    """One number of a parameter, in the order of PyTorch."""

    def __init__(self, theta, lr=0.1, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):
        self.theta, self.lr, self.beta1, self.beta2, self.eps, self.decay = theta, lr, beta1, beta2, eps, decay
        self.m = self.v = self.corrected_m = self.corrected_v = 0.0
        self.t = 0

    def step(self, g):
        self.t += 1
        self.theta -= self.lr * self.decay * self.theta
        self.m = self.beta1 * self.m + (1 - self.beta1) * g
        self.v = self.beta2 * self.v + (1 - self.beta2) * g * g
        self.corrected_m = self.m / (1 - self.beta1 ** self.t)
        self.corrected_v = self.v / (1 - self.beta2 ** self.t)
        self.theta -= self.lr * self.ratio()

    def ratio(self):
        """The step, in units of lr."""
        return self.corrected_m / (math.sqrt(self.corrected_v) + self.eps)


def numbers_adamw():
    values, grads = [1, 1, -1, 0.5], [2, -2, 0.5, 0]
    cells = [Adam(v, decay=0.1) for v in values]
    for cell, g in zip(cells, grads):
        cell.step(g)
    line = lambda name, numbers: table(name, [numbers], 30)
    return (line("theta", values) + line("g", grads) + line("theta - lr lambda theta", [v - 0.1 * 0.1 * v for v in values])
            + line("m = 0.9 m + 0.1 g", [c.m for c in cells]) + line("1000 v = 999 v + g^2", [1000 * c.v for c in cells])
            + line("m^ = m / (1 - 0.9)", [c.corrected_m for c in cells])
            + line("v^ = v / (1 - 0.999)", [c.corrected_v for c in cells])
            + line("m^ / (sqrt(v^) + eps)", [c.ratio() for c in cells]) + line("theta after the step", [c.theta for c in cells]))


def numbers_bias():
    lines = [f"{'t':>6}{'m':>9}{'v':>9}{'m^':>7}{'v^':>7}{'step, corrected':>19}{'step, not corrected':>22}"]
    cell = Adam(0)
    for t in range(1, 5001):
        cell.step(2)
        if t in (1, 2, 3, 10, 100, 1000, 5000):
            lines.append(f"{t:>6}{cell.m:>9.4f}{cell.v:>9.4f}{cell.corrected_m:>7.4g}{cell.corrected_v:>7.4g}"
                         f"{cell.ratio():>19.3f}{cell.m / (math.sqrt(cell.v) + cell.eps):>22.3f}")
    return lines + ["g = 2 in every step, beta1 = 0.9, beta2 = 0.999; steps in units of lr"]


def numbers_decay():
    lines = [f"{'gradient':>12}{'AdamW':>10}{'decay in the gradient':>25}"]
    for size in (0.01, 0.1, 1, 10):
        decoupled, coupled = Adam(1, lr=1e-3, decay=0.1), Adam(1, lr=1e-3)
        for t in range(1000):
            g = size if t % 2 else -size
            decoupled.step(g)
            coupled.step(g + 0.1 * coupled.theta)
        lines.append(f"{f'+- {size:g}':>12}{decoupled.theta:>10.3f}{coupled.theta:>25.3f}")
    return lines + ["a weight that began at 1, after 1000 steps with lr = 0.001 and lambda = 0.1"]


def numbers_eps():
    lines = [f"{'t':>8}{'eps / sqrt(1 - beta2^t)':>26}{'step, PyTorch':>16}{'step, Algorithm 1':>20}"]
    for t in (1, 10, 100, 1000):
        effective = 1e-8 / math.sqrt(1 - 0.999 ** t)
        g = 1e-7
        lines.append(f"{t:>8}{short(effective):>26}{g / (g + 1e-8):>16.3f}{g / (g + effective):>20.3f}")
    return lines + ["g = 1e-7 in every step, eps = 1e-8, beta2 = 0.999; steps in units of lr"]


# ---- 6.7: the schedule ----

def schedule(t, largest, least, warmup, decay):
    if t < warmup:
        return t / warmup * largest
    if t > decay:
        return least
    return least + 0.5 * (1 + math.cos(math.pi * (t - warmup) / (decay - warmup))) * (largest - least)


def numbers_schedule():
    steps = range(8)
    return ["max 1, min 0.1, T_w = 2, T_c = 6", "", "t        " + "".join(f"{t:>8}" for t in steps),
            "rate     " + "".join(f"{number(schedule(t, 1, 0.1, 2, 6)):>8}" for t in steps)]


def numbers_noise():
    cells = [Adam(0) for _ in range(1000)]
    rng = random.Random(336)
    lines = [f"{'t':>6}{'size of a step':>18}"]
    for t in range(1, 101):
        for cell in cells:
            cell.step(rng.gauss(0, 1))
        if t in (1, 2, 3, 10, 30, 100):
            lines.append(f"{t:>6}{sum(abs(c.ratio()) for c in cells) / len(cells):>18.2f}")
    return lines + ["mean of 1000 weights whose gradients are normal noise, in units of lr; beta1 = 0.9, beta2 = 0.999"]


# ---- 6.8: clipping ----

def numbers_clipping():
    weight, bias, limit = [3, 0], [4], 2
    norm = math.sqrt(sum(g * g for g in weight + bias))
    factor = limit / (norm + 1e-6)
    clip = lambda gs: vector([factor * g for g in gs])
    return [f"gradients         {vector(weight)} and {vector(bias)}", f"norm              sqrt(3^2 + 0^2 + 4^2) = {number(norm)}",
            f"factor            2 / (5 + 1e-6) = {factor:.8f}", f"clipped           {clip(weight)} and {clip(bias)}, rounded",
            "each alone        [2, 0] and [2]: another direction"]


def numbers_spike():
    cells = {name: Adam(0, beta2=0.999) for name in ("not clipped", "clipped")}
    lines = [f"{'steps after it':>16}" + "".join(f"{name:>14}" for name in cells)]
    for t in range(1, 3002):
        for name, cell in cells.items():
            cell.step(100 if t == 1001 and name == "not clipped" else 1)
        if t - 1001 in (-1, 0, 10, 50, 100, 500, 1000, 2000):
            lines.append(f"{t - 1001:>16}" + "".join(f"{cell.ratio():>14.2f}" for cell in cells.values()))
    return lines + ["steps in units of lr; every gradient is 1, but that of step 1001 is 100, or 1 after clipping"]


# ---- 6.9: accounting ----

def numbers_accounting():
    vocab, length, layers, d, heads, d_ff = 50257, 1024, 48, 1600, 25, 4288
    parameters = 2 * vocab * d + layers * (4 * d * d + 3 * d * d_ff + 2 * d) + d
    scores = layers * 2 * heads * length ** 2
    activations = layers * length * (8 * d + 4 * d_ff) + scores + length * d + 2 * length * vocab
    fixed, each = 16 * parameters / 1e9, 4 * activations / 1e9
    return [f"P                     {parameters}", f"16 P                  {fixed:.2f} GB",
            f"A of one sequence     {activations}", f"4 A                   {each:.2f} GB, of which scores and softmax {4 * scores / 1e9:.2f} GB",
            f"batch B               {each:.2f} B + {fixed:.2f} GB",
            f"largest in 80 GB      {int((80 - fixed) // each)}: {fixed + 3 * each:.1f} GB, and one more would need {fixed + 4 * each:.1f} GB"]


def numbers_account_memory():
    return part_of(account("--preset", "gpt2-xl", "--batch-size", "3"), "Bytes of training")


def numbers_account_run():
    return part_of(account("--preset", "gpt2-xl"), "A run of")
