"""Chapter 4: attention."""
import math
import random

from .common import BLUE, ORANGE, matmul, number, plot, scaled, softmax, table, transpose, vector

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
    return plot("attention_scale.svg", "The largest of 16 attention weights", "width of a head, d_k",
                "largest weight, mean of 2000 queries", SCALE_WIDTHS,
                [("without the factor", ORANGE, without), ("with 1/sqrt(d_k)", BLUE, with_it)], 1)


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
