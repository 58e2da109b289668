"""Chapter 3: layers."""
import math
import random
import struct

from .common import BLUE, GRID, ORANGE, matmul, number, svg, table, transpose, vector


def float32(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def flat(rows):
    return [x for row in rows for x in row]


# ---- linear and embedding ----

X = [[1, 2, 3], [0, 1, -1]]
W = [[1, 0, 2], [-1, 1, 0], [0, 3, 1]]
GRAD_Y = [[1, 0, 0], [2, -1, 1]]


def numbers_linear():
    return (table("x (2, 3)", X) + table("W (3, 3)", W) + table("y = x W^T (2, 3)", matmul(X, transpose(W))) + [""]
            + [f"y[0][0] = {' + '.join(f'{x}*{w}' for x, w in zip(X[0], W[0]))} = {matmul(X, transpose(W))[0][0]}"])


def numbers_linear_backward():
    return (table("grad_y (2, 3)", GRAD_Y) + table("grad_x = grad_y W", matmul(GRAD_Y, W))
            + table("grad_W = grad_y^T x", matmul(transpose(GRAD_Y), X)) + [""]
            + ["The first row of x moves the loss only through its first output: its gradient is the first row of W."])


def root_mean_square(row):
    return math.sqrt(sum(x * x for x in row) / len(row))


def truncated_normal(rng):
    while True:
        z = rng.gauss(0, 1)
        if abs(z) <= 3:
            return z


def numbers_initialisation(d=64, vectors=8):
    variances = [("1", 1), ("2 / (d_in + d_out)", 2 / (d + d)), ("1 / d^2", 1 / d ** 2)]
    lines = [f"{'maps':>6}" + "".join(f"{name:>22}" for name, _ in variances)]
    rows = {}
    for name, variance in variances:
        rng = random.Random(336)
        xs = [[rng.gauss(0, 1) for _ in range(d)] for _ in range(vectors)]
        for maps in range(1, 17):
            weight = [[math.sqrt(variance) * truncated_normal(rng) for _ in range(d)] for _ in range(d)]
            xs = matmul(xs, transpose(weight))
            rows[name, maps] = root_mean_square(flat(xs))
    for maps in (1, 4, 16):
        lines.append(f"{maps:>6}" + "".join(f"{rows[name, maps]:>22.2g}" for name, _ in variances))
    density = math.exp(-4.5) / math.sqrt(2 * math.pi)
    left = 1 - 6 * density / math.erf(3 / math.sqrt(2))
    return lines + ["root mean square of the outputs, for d_in = d_out = 64 and inputs of root mean square 1",
                    f"the cut at 3 sigma leaves {100 * left:.1f} % of the variance"]


TABLE = [[1, 2], [3, 4], [5, 6]]
IDS = [2, 0, 2]


def numbers_embedding():
    one_hot = [[1 if i == token else 0 for i in range(3)] for token in IDS]
    return (table("weight (3, 2)", TABLE) + [f"ids = {vector(IDS)}"] + table("y (3, 2)", [TABLE[i] for i in IDS]) + [""]
            + table("one-hot rows (3, 3)", one_hot) + table("one-hot times weight", matmul(one_hot, TABLE)))


def numbers_embedding_backward():
    grad_y = [[1, 10], [2, 20], [3, 30]]
    grad = [[0, 0] for _ in TABLE]
    for token, row in zip(IDS, grad_y):
        grad[token] = [a + b for a, b in zip(grad[token], row)]
    return ([f"ids = {vector(IDS)}"] + table("grad_y (3, 2)", grad_y) + table("grad_weight (3, 2)", grad) + [""]
            + ["Id 2 occurs twice: its row has the sum. Id 1 does not occur: its row stays as it was."])


# ---- RMSNorm ----

EPS = 1e-5
NORM_X = [[3, 4], [1, -1]]
GAIN = [1, 2]


def inverse_rms(row, eps=EPS):
    return 1 / math.sqrt(sum(x * x for x in row) / len(row) + eps)


def rmsnorm(row, gain=None):
    s = inverse_rms(row)
    return [x * s * g for x, g in zip(row, gain or [1] * len(row))]


def layernorm(row):
    mean = sum(row) / len(row)
    return rmsnorm([x - mean for x in row])


def numbers_rmsnorm():
    return (table("x (2, 2)", NORM_X) + table("gain (2)", [GAIN])
            + table("mean of squares (2, 1)", [[sum(x * x for x in row) / 2] for row in NORM_X])
            + table("r (2, 1)", [[1 / inverse_rms(row)] for row in NORM_X])
            + table("x / r (2, 2)", [rmsnorm(row) for row in NORM_X])
            + table("y = x / r * gain", [rmsnorm(row, GAIN) for row in NORM_X]))


def numbers_layernorm():
    lines = [f"{'x':<18}{'RMSNorm':<30}LayerNorm"]
    for row in ([1, 2, 3], [10, 20, 30], [11, 12, 13], [5, 5, 5]):
        lines.append(f"{vector(row):<18}{vector(rmsnorm(row)):<30}{vector(layernorm(row))}")
    return lines


def numbers_eps():
    lines = [f"{'rms of x':>10}{'rms of y':>12}{'1 / r':>10}"]
    for rms in (1, 0.1, 0.01, 0.001, 0):
        lines.append(f"{rms:>10g}{root_mean_square(rmsnorm([rms, -rms])):>12.4g}{inverse_rms([rms, -rms]):>10.4g}")
    return lines


def rmsnorm_backward(x, grad_y, gain, eps=EPS):
    s = inverse_rms(x, eps)
    h = [g * k for g, k in zip(grad_y, gain)]
    dot = sum(a * b for a, b in zip(h, x))
    return s, h, dot, [s * a - s ** 3 / len(x) * b * dot for a, b in zip(h, x)]


def numbers_rmsnorm_backward():
    grad_y = [[1, 0], [1, 1]]
    parts = [rmsnorm_backward(x, g, GAIN) for x, g in zip(NORM_X, grad_y)]
    gain = [sum(g[i] * x[i] * p[0] for x, g, p in zip(NORM_X, grad_y, parts)) for i in range(2)]
    along = [abs(sum(a * b for a, b in zip(x, p[3]))) for x, p in zip(NORM_X, parts)]
    return (table("grad_y (2, 2)", grad_y) + table("s = 1 / r (2, 1)", [[p[0]] for p in parts])
            + table("h = grad_y * gain", [p[1] for p in parts]) + table("sum_j h_j x_j (2, 1)", [[p[2]] for p in parts])
            + table("grad_x (2, 2)", [p[3] for p in parts]) + table("grad_gain (2)", [gain]) + [""]
            + [f"sum_i x_i grad_x_i is below {10.0 ** math.ceil(math.log10(max(along))):g} in both rows: no gradient points along x"])


# ---- feed-forward ----

def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def silu(x):
    return x * sigmoid(x)


def silu_slope(x):
    p = sigmoid(x)
    return p + x * p * (1 - p)


def numbers_silu():
    x = [-4, -2, -1, 0, 1, 2, 4]
    return (table("x", [x], 12) + table("sigmoid(x)", [[sigmoid(v) for v in x]], 12)
            + table("silu(x)", [[silu(v) for v in x]], 12) + table("relu(x)", [[max(v, 0) for v in x]], 12)
            + table("silu'(x)", [[silu_slope(v) for v in x]], 12))


def figure_silu():
    """SiLU and ReLU, and their slopes, on linear axes."""
    def curve(f, px, py):
        return " ".join(f"{px(i / 10):.1f},{py(f(i / 10)):.1f}" for i in range(-60, 61))

    out = [svg(640, 300)]
    relu, step = (lambda x: max(x, 0)), (lambda x: 0 if x < 0 else 1)
    for left, title, low, high, ticks, curves in ((40, "the function", -1, 6, range(-1, 7),
                                                   [("ReLU", ORANGE, relu), ("SiLU", BLUE, silu)]),
                                                  (360, "its slope", -0.2, 1.2, [0, 0.5, 1],
                                                   [("ReLU", ORANGE, step), ("SiLU", BLUE, silu_slope)])):
        top, width, height = 40, 250, 210
        px = lambda x, left=left: left + (x + 6) / 12 * width
        py = lambda y, low=low, high=high: top + height - (y - low) / (high - low) * height
        out.append(f'<text x="{left}" y="22" font-size="14">{title}</text>')
        for x in range(-6, 7, 2):
            out.append(f'<line x1="{px(x):.1f}" x2="{px(x):.1f}" y1="{top}" y2="{top + height}" stroke="{GRID}"/>'
                       f'<text x="{px(x):.1f}" y="{top + height + 18}" text-anchor="middle">{x}</text>')
        for y in ticks:
            out.append(f'<line x1="{left}" x2="{left + width}" y1="{py(y):.1f}" y2="{py(y):.1f}" stroke="{GRID}"/>'
                       f'<text x="{left - 6}" y="{py(y) + 4:.1f}" text-anchor="end">{y:g}</text>')
        for i, (label, colour, f) in enumerate(curves):
            out.append(f'<polyline points="{curve(f, px, py)}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
                       f'<text x="{left + 10}" y="{top + 20 + 18 * i}" fill="{colour}">{label}</text>')
        out.append(f'<text x="{left + width / 2}" y="{top + height + 38}" text-anchor="middle">x</text>')
    return "layers_silu.svg", "\n".join(out + ["</svg>"]) + "\n"


FFN_X, W1, W3, W2 = [[1, 2]], [[1, 0], [0, 1], [1, -1]], [[1, 1], [2, 0], [0, 1]], [[1, 0, 1], [0, 1, 0]]


def numbers_swiglu():
    up, gate = matmul(FFN_X, transpose(W1)), matmul(FFN_X, transpose(W3))
    activated = [[silu(u) for u in up[0]]]
    hidden = [[s * g for s, g in zip(activated[0], gate[0])]]
    return (table("x (1, 2)", FFN_X) + table("W1 (3, 2)", W1) + table("W3 (3, 2)", W3) + table("W2 (2, 3)", W2) + [""]
            + table("up = W1 x (1, 3)", up) + table("silu(up)", activated) + table("gate = W3 x (1, 3)", gate)
            + table("hidden = silu(up) * gate", hidden) + table("y = W2 hidden (1, 2)", matmul(hidden, transpose(W2))))


def numbers_swiglu_backward():
    up, gate = matmul(FFN_X, transpose(W1))[0], matmul(FFN_X, transpose(W3))[0]
    grad_y = [[1, 0]]
    grad_hidden = matmul(grad_y, W2)
    grad_up = [[d * g * silu_slope(u) for d, g, u in zip(grad_hidden[0], gate, up)]]
    grad_gate = [[d * silu(u) for d, u in zip(grad_hidden[0], up)]]
    of_up, of_gate = matmul(grad_up, W1), matmul(grad_gate, W3)
    return (table("grad_y (1, 2)", grad_y) + table("grad_hidden = grad_y W2", grad_hidden)
            + table("silu'(up)", [[silu_slope(u) for u in up]])
            + table("grad_up", grad_up) + table("grad_gate", grad_gate)
            + table("grad_up W1", of_up) + table("grad_gate W3", of_gate)
            + table("grad_x, their sum", [[a + b for a, b in zip(of_up[0], of_gate[0])]]))


def rounded_d_ff(d_model):
    """As default_d_ff() in cli/model_options.c."""
    return max(64, 64 * ((8 * d_model + 96) // 192))


def numbers_widths():
    lines = [f"{'d_model':>8}{'8/3 d_model':>14}{'d_ff':>8}{'3 d_model d_ff':>17}{'2 d_model 4 d_model':>22}{'ratio':>9}"]
    for d in (96, 512, 768, 1024, 1280, 1600):
        three, two = 3 * d * rounded_d_ff(d), 2 * d * 4 * d
        lines.append(f"{d:>8}{8 * d / 3:>14.1f}{rounded_d_ff(d):>8}{three:>17}{two:>22}{three / two:>9.3f}")
    return lines


# ---- RoPE ----

def frequencies(d_k, theta=10000):
    return [theta ** (-2 * k / d_k) for k in range(d_k // 2)]


def rotated(row, position, sign=1):
    out = []
    for k, w in enumerate(frequencies(len(row))):
        c, s = math.cos(position * w), sign * math.sin(position * w)
        a, b = row[2 * k], row[2 * k + 1]
        out += [a * c - b * s, a * s + b * c]
    return out


ROPE_X = [1, 0, 0, 1]


def numbers_rope():
    lines = ["x = [1, 0, 0, 1] at each position, theta = 10000: the pairs are (1, 0) and (0, 1)", "",
             f"{'position':>8}{'angles':>16}   y"]
    for position in range(3):
        angles = [position * w for w in frequencies(4)]
        lines.append(f"{position:>8}{number(angles[0]):>10}{number(angles[1]):>6}"
                     f"   {''.join(f'{number(v):>9}' for v in rotated(ROPE_X, position))}")
    return lines


def numbers_relative():
    q, k = [1, 2, 3, 4], [2, 0, 1, -1]
    lines = [f"q = {vector(q)}, k = {vector(k)}", "", f"{'position of q':>14}{'of k':>8}{'distance':>10}{'dot product':>13}"]
    for m, n in ((0, 0), (7, 7), (5, 2), (105, 102), (1005, 1002), (2, 5)):
        score = sum(a * b for a, b in zip(rotated(q, m), rotated(k, n)))
        lines.append(f"{m:>14}{n:>8}{m - n:>10}{number(score):>13}")
    return lines


def numbers_wavelengths():
    lines = [f"{'pair':>6}{'angle at each step':>22}{'tokens in a full turn':>24}"]
    w = frequencies(32)
    for k in (0, 1, 2, 4, 8, 12, 15):
        lines.append(f"{k:>6}{w[k]:>22.6f}{2 * math.pi / w[k]:>24.1f}")
    return lines


def numbers_angles():
    lines = [f"{'position':>10}{'cos, in double':>18}{'cos of a float32 angle':>25}{'error':>11}"]
    w = 10000 ** (-2 / 64)
    for position in (10, 1000, 100000):
        exact = math.cos(position * w)
        single = math.cos(float32(position * float32(w)))
        lines.append(f"{position:>10}{exact:>18.6f}{single:>25.6f}{abs(single - exact):>11.0e}")
    return lines


def numbers_rope_backward():
    g = rotated(ROPE_X, 2)
    return [f"y at position 2            {''.join(f'{number(v):>9}' for v in g)}",
            f"turned back by the same    {''.join(f'{number(v):>9}' for v in rotated(g, 2, -1))}"]


def figure_rope():
    """A dial for each pair of a head of 8 numbers, with the same point at positions 0 to 7."""
    out = [svg(640, 220)]
    for k, w in enumerate(frequencies(8)):
        x, y, r = 85 + 157 * k, 105, 56
        out.append(f'<circle cx="{x}" cy="{y}" r="{r}" fill="none" stroke="{GRID}"/>'
                   f'<text x="{x}" y="22" text-anchor="middle" font-size="14">pair {k}</text>'
                   f'<text x="{x}" y="208" text-anchor="middle">{number(w)} rad a step</text>')
        for position in range(7, -1, -1):
            px, py = x + r * math.cos(position * w), y - r * math.sin(position * w)
            colour = ORANGE if position == 0 else BLUE
            out.append(f'<line x1="{x}" y1="{y}" x2="{px:.1f}" y2="{py:.1f}" stroke="{colour}" stroke-opacity="0.5"/>'
                       f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{colour}"/>')
            if k == 0 or (k == 1 and position in (0, 7)):
                lx, ly = x + (r + 14) * math.cos(position * w), y - (r + 14) * math.sin(position * w)
                out.append(f'<text x="{lx:.1f}" y="{ly + 4:.1f}" text-anchor="middle" font-size="12">{position}</text>')
    return "layers_rope.svg", "\n".join(out + ["</svg>"]) + "\n"
