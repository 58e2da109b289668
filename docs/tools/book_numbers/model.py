"""Chapter 5: the model."""
import math
import random

from .common import matmul, number, softmax, table, transpose, vector

EPS = 1e-5


def norm(row):
    """RMSNorm with gains of 1, and the factor 1 / r."""
    s = 1 / math.sqrt(sum(x * x for x in row) / len(row) + EPS)
    return [x * s for x in row], s


def norm_backward(grad, row, s):
    dot = sum(g * x for g, x in zip(grad, row))
    return [s * g - s ** 3 / len(row) * x * dot for g, x in zip(grad, row)]


def add(a, b):
    return [x + y for x, y in zip(a, b)]


def scale(row, factor):
    return [factor * x for x in row]


def rms(row):
    return math.sqrt(sum(x * x for x in row) / len(row))


# ---- the block by hand: the checker's first case, where MHA(u) = 0.5 u and FFN(u) = -u ----

X, GRAD_Y = [3, 4], [1, 0]


def block():
    normed1, s1 = norm(X)
    z = add(X, scale(normed1, 0.5))
    normed2, s2 = norm(z)
    return normed1, s1, z, normed2, s2, add(z, scale(normed2, -1))


def numbers_block():
    normed1, _, z, normed2, _, y = block()
    return (["one token, d_model = 2; MHA(u) = 0.5 u, FFN(u) = -u, gains 1"]
            + table("x (1, 2)", [X]) + table("norm1(x)", [normed1]) + table("MHA(norm1(x))", [scale(normed1, 0.5)])
            + table("z = x + MHA(norm1(x))", [z]) + table("norm2(z)", [normed2])
            + table("FFN(norm2(z))", [scale(normed2, -1)]) + table("y = z + FFN(norm2(z))", [y]))


def numbers_block_backward():
    _, s1, z, _, s2, _ = block()
    of_norm2 = norm_backward(scale(GRAD_Y, -1), z, s2)
    grad_z = add(GRAD_Y, of_norm2)
    of_norm1 = norm_backward(scale(grad_z, 0.5), X, s1)
    return (table("grad_y", [GRAD_Y]) + table("through FFN: -grad_y", [scale(GRAD_Y, -1)])
            + table("through norm2", [of_norm2]) + table("grad_z = grad_y + that", [grad_z])
            + table("through MHA: 0.5 grad_z", [scale(grad_z, 0.5)]) + table("through norm1", [of_norm1])
            + table("grad_x = grad_z + that", [add(grad_z, of_norm1)]))


# ---- how deep stacks behave at the start: one token, random weights as the model's ----

WIDTH, HIDDEN = 16, 43
DEPTHS = [1, 4, 12, 48]
KINDS = [("no residual, no norm", False, None), ("no residual, pre-norm", False, "pre"),
         ("residual, no norm", True, None), ("residual, post-norm", True, "post"), ("residual, pre-norm", True, "pre")]


def matrix(rng, d_out, d_in):
    sigma = math.sqrt(2 / (d_out + d_in))
    return [[rng.gauss(0, sigma) for _ in range(d_in)] for _ in range(d_out)]


def times(w, x):
    return [sum(a * b for a, b in zip(row, x)) for row in w]


def attention_branch(rng):
    """A single token attends to itself, so attention is W_O W_V u. Returns the branch: u -> output, backward pass."""
    v, o = matrix(rng, WIDTH, WIDTH), matrix(rng, WIDTH, WIDTH)
    v_t, o_t = transpose(v), transpose(o)
    return lambda u: (times(o, times(v, u)), lambda g: times(v_t, times(o_t, g)))


def feed_forward_branch(rng):
    w1, w3, w2 = matrix(rng, HIDDEN, WIDTH), matrix(rng, HIDDEN, WIDTH), matrix(rng, WIDTH, HIDDEN)
    w1_t, w3_t, w2_t = transpose(w1), transpose(w3), transpose(w2)

    def branch(u):
        up, gate = times(w1, u), times(w3, u)
        p = [1 / (1 + math.exp(-min(max(x, -700), 700))) for x in up]

        def backward(g):
            h = times(w2_t, g)
            grad_up = [a * b * (q + x * q * (1 - q)) for a, b, q, x in zip(h, gate, p, up)]
            grad_gate = [a * x * q for a, x, q in zip(h, up, p)]
            return add(times(w1_t, grad_up), times(w3_t, grad_gate))

        return times(w2, [x * q * b for x, q, b in zip(up, p, gate)]), backward

    return branch


def run_branch(branch, x, residual, placement):
    """One branch with its norm and residual: its output, and its backward pass."""
    u, s = norm(x) if placement == "pre" else (x, None)
    out, of_branch = branch(u)
    total = add(x, out) if residual else out
    y, s_post = norm(total) if placement == "post" else (total, None)

    def backward(g):
        if placement == "post":
            g = norm_backward(g, total, s_post)
        through = norm_backward(of_branch(g), x, s) if placement == "pre" else of_branch(g)
        return add(g, through) if residual else through

    return y, backward


def measure(depth, residual, placement, seed):
    """Root mean square of x_L, and the length of the gradient at x_0 divided by that after the final norm."""
    rng = random.Random(seed)
    branches = [make(rng) for _ in range(depth) for make in (attention_branch, feed_forward_branch)]
    x, grad = ([rng.gauss(0, 1) for _ in range(WIDTH)] for _ in range(2))
    passes, arrived = [], rms(grad)
    for branch in branches:
        x, backward = run_branch(branch, x, residual, placement)
        passes.append(backward)
        if not rms(x) < 1e100:
            return math.inf, math.inf
    size = rms(x)
    if placement == "pre":
        grad = norm_backward(grad, x, norm(x)[1])
    for backward in reversed(passes):
        grad = backward(grad)
    return size, rms(grad) / arrived


def mean_of(values):
    """The geometric mean."""
    if max(values) == math.inf:
        return math.inf
    return math.exp(sum(math.log(max(v, 1e-300)) for v in values) / len(values))


def short(x):
    return "overflow" if x == math.inf else "0" if x < 1e-45 else f"{x:.2g}"


def numbers_depth(seeds=3):
    lines = [f"{'':<24}{'size of x_L':^36}{'gradient at x_0':^36}",
             f"{'layers':<24}" + "".join(f"{d:>9}" for d in DEPTHS + DEPTHS)]
    for name, residual, placement in KINDS:
        measured = [[measure(d, residual, placement, seed) for seed in range(seeds)] for d in DEPTHS]
        lines.append(f"{name:<24}" + "".join(f"{short(mean_of([m[part] for m in runs])):>9}"
                                             for part in (0, 1) for runs in measured))
    return lines + ["size: root mean square; that of x_0 is 1. gradient: its length, divided by that of the gradient",
                    "at the output. 0: below the smallest number of float32."]


# ---- the language model by hand: the checker's first cases; the layer has zeros only, so it passes x on ----

EMBEDDINGS, HEAD = [[3, 4], [4, -3], [0, 2]], [[1, 0], [0, 1], [1, 1]]


def numbers_lm():
    ids = [0, 1, 2]
    x = [EMBEDDINGS[i] for i in ids]
    normed = [norm(row)[0] for row in x]
    logits = matmul(normed, transpose(HEAD))
    return ([f"ids = {vector(ids)}; each is its own row of the embeddings, and the layer passes it on"]
            + table("x_1 = x_0 (3, 2)", x) + table("norm(x_1) (3, 2)", normed) + table("lm_head (3, 2)", HEAD)
            + table("logits (3, 3)", logits)
            + [f"Row 0 predicts what follows token 0: {vector(softmax(logits[0]))}, so token 2 is the likeliest."])


def numbers_lm_loss():
    ids, targets = [0, 1], [1, 2]
    x = [EMBEDDINGS[i] for i in ids]
    normed = [norm(row) for row in x]
    logits = matmul([n for n, _ in normed], transpose(HEAD))
    p = [softmax(row) for row in logits]
    loss = -sum(math.log(row[t]) for row, t in zip(p, targets)) / 2
    grad_logits = [[(q - (j == t)) / 2 for j, q in enumerate(row)] for row, t in zip(p, targets)]
    grad_normed = matmul(grad_logits, HEAD)
    grad_x = [norm_backward(g, row, s) for g, row, (_, s) in zip(grad_normed, x, normed)]
    return ([f"ids = {vector(ids)}, targets = {vector(targets)}; the logits are the first two rows of those above",
             f"{'loss':<26}{number(loss):>9}"]
            + table("grad logits", grad_logits) + table("grad lm_head", matmul(transpose(grad_logits), [n for n, _ in normed]))
            + table("grad x_1 = grad x_0", grad_x)
            + ["The gradient of x_0 goes to rows 0 and 1 of the embeddings. Row 2 has none: token 2 is no input here."])


# ---- shapes and accounting ----

REFERENCE = {"V": 10000, "T": 256, "n": 4, "d": 512, "h": 16, "f": 1344}
SIZES = {"small": (12, 768, 2048), "medium": (24, 1024, 2752), "large": (36, 1280, 3392), "XL": (48, 1600, 4288)}
VOCABULARY, CONTEXT = 50257, 1024


def numbers_shapes(batch=32):
    v, t, n, d, h, f = (REFERENCE[k] for k in "VTndhf")
    rows = [("ids", (batch, t), 0), ("x_0 = embed(ids)", (batch, t, d), v * d),
            ("in each layer:", None, 0), ("  norm1(x)", (batch, t, d), d), ("  q, k, v", (batch, h, t, d // h), 3 * d * d),
            ("  attention", (batch, h, t, d // h), 0), ("  z = x + W_O attention", (batch, t, d), d * d),
            ("  norm2(z)", (batch, t, d), d), ("  up, gate, hidden", (batch, t, f), 2 * d * f),
            ("  y = z + W_2 hidden", (batch, t, d), d * f), ("norm(x_4)", (batch, t, d), d),
            ("logits", (batch, t, v), v * d)]
    lines = [f"{'step':<26}{'shape':>20}{'numbers':>12}{'parameters':>12}"]
    layer = sum(p for name, _, p in rows if name.startswith("  "))
    for name, shape, parameters in rows:
        if shape is None:
            lines.append(name)
            continue
        text = "(" + ", ".join(str(s) for s in shape) + ")"
        lines.append(f"{name:<26}{text:>20}{math.prod(shape):>12}{parameters or '':>12}")
    total = 2 * v * d + d + n * layer
    return lines + [f"parameters of a layer {layer}, of all {n} layers and the rest {total}"]


def flops(n, d, f, context=CONTEXT, vocabulary=VOCABULARY):
    """FLOPs of the matrix products of a forward pass over one sequence, by part."""
    t = context
    return {"query, key, value": n * 6 * t * d * d, "scores Q K^T": n * 2 * t * t * d, "values P V": n * 2 * t * t * d,
            "output projection": n * 2 * t * d * d, "feed-forward": n * 6 * t * d * f, "lm_head": 2 * t * d * vocabulary}


def numbers_products():
    n, d, f = SIZES["XL"]
    t, h = CONTEXT, 25
    products = [("query, key, value", f"3 x ({t}, {d}) ({d}, {d})", "6 L T d^2"),
                ("scores Q K^T", f"{h} x ({t}, {d // h}) ({d // h}, {t})", "2 L T^2 d"),
                ("values P V", f"{h} x ({t}, {t}) ({t}, {d // h})", "2 L T^2 d"),
                ("output projection", f"({t}, {d}) ({d}, {d})", "2 L T d^2"),
                ("feed-forward", f"3 x ({t}, {d}) ({d}, {f})", "6 L T d d_ff"),
                ("lm_head", f"({t}, {d}) ({d}, {VOCABULARY})", "2 T d V")]
    parts = flops(n, d, f)
    lines = [f"{'part':<20}{'products of GPT-2 XL':<32}{'FLOPs':<14}{'of all layers':>14}"]
    for name, shapes, formula in products:
        lines.append(f"{name:<20}{shapes:<32}{formula:<14}{parts[name] / 1e9:>12.1f} G")
    return lines + [f"{'total':<66}{sum(parts.values()) / 1e12:>12.2f} T"]


def numbers_shares():
    names = list(flops(1, 1, 1))
    columns = [(name, flops(*size)) for name, size in SIZES.items()] + [("XL, 16384", flops(*SIZES["XL"], context=16384))]
    lines = [f"{'share of the FLOPs, %':<26}" + "".join(f"{name:>11}" for name, _ in columns)]
    for name in names:
        lines.append(f"{name:<26}" + "".join(f"{100 * parts[name] / sum(parts.values()):>11.1f}" for _, parts in columns))
    return lines + [f"{'forward, one sequence':<26}"
                    + "".join(f"{sum(parts.values()) / 1e12:>9.3g} T" for _, parts in columns)]
