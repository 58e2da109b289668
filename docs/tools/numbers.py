#!/usr/bin/env python3
"""Computes the numbers and plots of the book, and writes them into its chapters.

A chapter holds blocks of this form; what is between the two comments is replaced:

    <!-- numbers NAME -->
    <!-- end -->

usage: numbers.py [--check]    --check changes nothing, and fails if a chapter holds other numbers
Only the standard library is used. Each function below makes the lines of the block of its name.
"""
import math
import pathlib
import random
import re
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
FIGURES = TOP / "figures"


# ---- small matrices ----

def matmul(a, b):
    return [[sum(x * y for x, y in zip(row, column)) for column in zip(*b)] for row in a]


def transpose(a):
    return [list(column) for column in zip(*a)]


def scaled(a, factor):
    return [[factor * x for x in row] for row in a]


def softmax(row):
    m = max(row)
    if m == -math.inf:
        return [0.0] * len(row)
    e = [math.exp(x - m) for x in row]
    return [x / sum(e) for x in e]


def number(x):
    if x == -math.inf:
        return "-inf"
    text = f"{x:.4f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def vector(row):
    return "[" + ", ".join(number(x) for x in row) + "]"


def table(name, rows, width=26):
    """A matrix with its name in front of the first row."""
    lines = []
    for i, row in enumerate(rows):
        lines.append(f"{name if i == 0 else '':<{width}}" + "".join(f"{number(x):>9}" for x in row))
    return lines


# ---- plots ----

def plot(path, title, xlabel, ylabel, ticks, curves, ymax):
    """A line plot with a logarithmic x axis. curves: (label, colour, [(x, y), ...]). Grey reads well on light and dark."""
    left, top, width, height = 60, 36, 520, 260
    lo, hi = math.log(ticks[0]), math.log(ticks[-1])
    px = lambda x: left + (math.log(x) - lo) / (hi - lo) * width
    py = lambda y: top + height - y / ymax * height
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 350" width="640" height="350" '
           'font-family="sans-serif" font-size="13" fill="#808080">',
           f'<text x="{left}" y="20" font-size="14">{title}</text>']
    for x in ticks:
        out.append(f'<line x1="{px(x):.1f}" x2="{px(x):.1f}" y1="{top}" y2="{top + height}" stroke="#80808040"/>'
                   f'<text x="{px(x):.1f}" y="{top + height + 18}" text-anchor="middle">{x}</text>')
    for k in range(6):
        y = ymax * k / 5
        out.append(f'<line x1="{left}" x2="{left + width}" y1="{py(y):.1f}" y2="{py(y):.1f}" stroke="#80808040"/>'
                   f'<text x="{left - 8}" y="{py(y) + 4:.1f}" text-anchor="end">{y:g}</text>')
    out.append(f'<text x="{left + width / 2}" y="{top + height + 40}" text-anchor="middle">{xlabel}</text>')
    out.append(f'<text x="16" y="{top + height / 2}" text-anchor="middle" '
               f'transform="rotate(-90 16 {top + height / 2})">{ylabel}</text>')
    for label, colour, points in curves:
        path_text = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in points)
        out.append(f'<polyline points="{path_text}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        x, y = points[-1]
        out.append(f'<text x="{px(x) - 6:.1f}" y="{py(y) - 10:.1f}" text-anchor="end" fill="{colour}">{label}</text>')
    out.append("</svg>")
    return path, "\n".join(out) + "\n"


# ---- chapter 4: attention ----

QUERY = [[1, 0, 0], [0, 2, 0]]
KEY = [[1, 0, 0], [0, 1, 0]]
VALUE = [[10, 0], [0, 20]]


def numbers_softmax():
    x = [2, 1, -1]
    m, shifted = max(x), [v - max(x) for v in x]
    e = [math.exp(v) for v in shifted]
    more = [v + 100 for v in x]
    gradient = [y * (g - sum(a * b for a, b in zip([1, 0, 0], softmax(x)))) for y, g in zip(softmax(x), [1, 0, 0])]
    return [f"x        = {vector(x)}", f"m        = {m}", f"e^(x-m)  = {vector(e)}     sum {number(sum(e))}",
            f"y        = {vector(softmax(x))}", "",
            f"x + 100  = {vector(more)}     e^102 is infinite in float32",
            f"e^(x-m)  = {vector([math.exp(v - max(more)) for v in more])}     the same differences, the same y", "",
            f"backward: g = [1, 0, 0] gives {vector(gradient)}, which sum to 0"]


def attention():
    d_k = len(QUERY[0])
    scores = scaled(matmul(QUERY, transpose(KEY)), 1 / math.sqrt(d_k))
    weights = [softmax(row) for row in scores]
    return scores, weights, matmul(weights, VALUE)


def numbers_attention():
    scores, weights, output = attention()
    return (table("Q (2, 3)", QUERY) + table("K (2, 3)", KEY) + table("V (2, 2)", VALUE) + [""]
            + table("Q K^T", matmul(QUERY, transpose(KEY))) + table("S = Q K^T / sqrt(3)", scores)
            + table("P = softmax(S)", weights) + table("O = P V", output) + [""]
            + ["The first query points along the first key, and takes more of its value: 6.4 of 10.",
               "The second query is twice as long. Its scores are farther apart, and it takes 76 % of the second value."])


def measure_scale(d_k, scale, rounds=2000, keys=16):
    """Standard deviation of the scores, mean of the largest weight, mean slope p (1 - p) of the largest weight."""
    rng = random.Random(336)
    squares = largest = slope = 0.0
    for _ in range(rounds):
        # The score of a random query and a random key, without the loop over d_k where that is the same distribution:
        # given the query, each score is normal with the query's length as deviation.
        length = math.sqrt(sum(rng.gauss(0, 1) ** 2 for _ in range(d_k)))
        s = [rng.gauss(0, 1) * length * scale for _ in range(keys)]
        p = max(softmax(s))
        squares += sum(x * x for x in s) / keys
        largest += p
        slope += p * (1 - p)
    return math.sqrt(squares / rounds), largest / rounds, slope / rounds


SCALE_WIDTHS = [1, 4, 16, 64, 256]


def numbers_scale():
    lines = [f"{'':>6}{'without the factor':>32}{'with 1/sqrt(d_k)':>36}",
             f"{'d_k':>6}{'deviation':>12}{'largest p':>11}{'slope':>9}{'deviation':>18}{'largest p':>11}{'slope':>9}"]
    for d_k in SCALE_WIDTHS:
        without, scaled_by = measure_scale(d_k, 1), measure_scale(d_k, 1 / math.sqrt(d_k))
        lines.append(f"{d_k:>6}{without[0]:>12.2f}{without[1]:>11.3f}{without[2]:>9.3f}"
                     f"{scaled_by[0]:>18.2f}{scaled_by[1]:>11.3f}{scaled_by[2]:>9.3f}")
    lines.append("deviation: of the scores; slope: p (1 - p) of the largest weight p, which every gradient contains")
    return lines


def figure_scale():
    without = [(d, measure_scale(d, 1)[1]) for d in SCALE_WIDTHS]
    with_it = [(d, measure_scale(d, 1 / math.sqrt(d))[1]) for d in SCALE_WIDTHS]
    return plot(FIGURES / "attention_scale.svg", "The largest of 16 attention weights", "width of a head, d_k",
                "largest weight, mean of 2000 queries", SCALE_WIDTHS,
                [("without the factor", "#d9822b", without), ("with 1/sqrt(d_k)", "#4472a8", with_it)], 1)


def numbers_causal():
    scores = [[0 if j <= i else -math.inf for j in range(3)] for i in range(3)]
    return table("scores, masked", scores) + table("weights", [softmax(row) for row in scores])


def numbers_backward():
    _, weights, output = attention()
    grad_output = [[1, 0], [0, 0]]
    grad_value = matmul(transpose(weights), grad_output)
    grad_weights = matmul(grad_output, transpose(VALUE))
    delta = [[sum(a * b for a, b in zip(g, o))] for g, o in zip(grad_output, output)]
    grad_scores = [[p * (g - d[0]) for p, g in zip(ps, gs)] for ps, gs, d in zip(weights, grad_weights, delta)]
    factor = 1 / math.sqrt(3)
    return (table("dO", grad_output) + table("dV = P^T dO", grad_value) + table("dP = dO V^T", grad_weights)
            + table("delta_i = dO_i . O_i", delta) + table("dS = P (dP - delta)", grad_scores)
            + table("dQ = dS K / sqrt(3)", scaled(matmul(grad_scores, KEY), factor))
            + table("dK = dS^T Q / sqrt(3)", scaled(matmul(transpose(grad_scores), QUERY), factor)) + [""]
            + ["Only the first query has a gradient, since only its output is in the loss. It wants to be more like",
               "the first key and less like the second: that would bring more of the value 10."])


def numbers_online():
    scores, values = [2, 1, 4, 3], [1, 2, 3, 4]
    lines = [f"{'block':<18}{'m':>8}{'f':>9}{'Z':>9}{'O':>9}"]
    m, z, o = -math.inf, 0.0, 0.0
    for begin in (0, 2):
        block = list(zip(scores, values))[begin:begin + 2]
        greater = max([m] + [s for s, _ in block])
        f = math.exp(m - greater) if m > -math.inf else 0.0
        z = f * z + sum(math.exp(s - greater) for s, _ in block)
        o = f * o + sum(math.exp(s - greater) * v for s, v in block)
        m = greater
        lines.append(f"{'scores ' + ', '.join(str(s) for s, _ in block):<18}{number(m):>8}{number(f):>9}{number(z):>9}{number(o):>9}")
    whole = sum(p * v for p, v in zip(softmax(scores), values))
    return lines + [f"O / Z = {number(o / z)}, and with all scores at once sum_j p_j v_j = {number(whole)}",
                    f"m + log Z = {number(m + math.log(z))}"]


def numbers_memory():
    lines = [f"{'tokens':>8}{'scores of one head, float32':>30}"]
    for n in (256, 1024, 4096, 16384, 65536):
        size = 4.0 * n * n
        unit = "KiB"
        size /= 1024
        for larger in ("MiB", "GiB"):
            if size >= 1024:
                size /= 1024
                unit = larger
        lines.append(f"{n:>8}{f'{size:g} {unit}':>30}")
    return lines


# ---- writing ----

BLOCK = re.compile(r"(<!-- numbers (\S+) -->\n)(.*?)(<!-- end -->)", re.S)


def filled(path):
    """The text of a chapter with its numbers computed."""
    def block(match):
        function = globals().get("numbers_" + match.group(2).replace("-", "_"))
        if not function:
            sys.exit(f"{path}: no numbers called {match.group(2)}")
        return match.group(1) + "```text\n" + "\n".join(function()) + "\n```\n" + match.group(4)

    return BLOCK.sub(block, path.read_text(encoding="utf-8"))


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit("usage: numbers.py [--check]")
    files = [(path, filled(path)) for path in sorted((TOP / "book").glob("*.md"))]
    files += [value() for name, value in sorted(globals().items()) if name.startswith("figure_")]
    stale = [path for path, text in files if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path, text in files:
        if path in stale and not check:
            path.write_text(text, encoding="utf-8")
    for path in stale:
        print(f"{path.relative_to(TOP.parent)}: {'holds other numbers than numbers.py computes' if check else 'written'}")
    if check and stale:
        sys.exit("run `make numbers` and look at what changes")
    print(f"{len(files)} chapters and figures hold the numbers that numbers.py computes")


if __name__ == "__main__":
    main()
