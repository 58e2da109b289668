"""Small matrices as lists of rows, how they are printed, tables, and line plots: what the chapters' numbers share."""
import math
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[3]

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


def markdown_table(head, rows):
    """The lines of a Markdown table, all columns but the first aligned to the right."""
    return ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)] + ["| " + " | ".join(row) + " |" for row in rows]


# ---- the program ----

def account(*arguments):
    """The lines that `cs336 account` prints. `make numbers` and `make docs-check` build the program first."""
    program = TOP / "build" / "cs336"
    if not program.exists():
        sys.exit("build/cs336: no such program, expected the one that `make` builds")
    return subprocess.run([program, "account", *arguments], capture_output=True, text=True, check=True).stdout.splitlines()


def part_of(lines, title):
    """The lines of the part that begins with this title; parts are separated by empty lines."""
    first = next(i for i, line in enumerate(lines) if line.startswith(title))
    return lines[first:(lines + [""]).index("", first)]


# ---- plots ----

# Each colour has a contrast of at least 4.5 on white. On a dark page, the second of each pair takes its place.
GREY, BLUE, ORANGE, GREEN, PURPLE = "#757575", "#4472a8", "#b85c00", "#2e8049", "#8a5fb0"
IN_THE_DARK = {GREY: "#949494", BLUE: "#6495d0", ORANGE: "#d9822b", GREEN: "#4fae70", PURPLE: "#a983d4"}
GRID = "#80808040"


def svg(width, height):
    """The beginning of a picture, whose text is grey. The page that shows it decides between light and dark. Without
    color-scheme, a browser would put the picture on white in a dark page."""
    dark = "".join(f'[fill="{light}"]{{fill:{colour}}}[stroke="{light}"]{{stroke:{colour}}}'
                   for light, colour in IN_THE_DARK.items())
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'font-family="sans-serif" font-size="13" fill="{GREY}">\n'
            f'<style>:root {{ color-scheme: light dark }} @media (prefers-color-scheme: dark) {{ {dark} }}</style>')


def plot(path, title, xlabel, ylabel, ticks, curves, ymax):
    """A line plot with a logarithmic x axis. curves: (label, colour, [(x, y), ...])."""
    left, top, width, height = 60, 36, 520, 260
    lo, hi = math.log(ticks[0]), math.log(ticks[-1])
    px = lambda x: left + (math.log(x) - lo) / (hi - lo) * width
    py = lambda y: top + height - y / ymax * height
    out = [svg(640, 350),
           f'<text x="{left}" y="20" font-size="14">{title}</text>']
    for x in ticks:
        out.append(f'<line x1="{px(x):.1f}" x2="{px(x):.1f}" y1="{top}" y2="{top + height}" stroke="{GRID}"/>'
                   f'<text x="{px(x):.1f}" y="{top + height + 18}" text-anchor="middle">{x}</text>')
    for k in range(6):
        y = ymax * k / 5
        out.append(f'<line x1="{left}" x2="{left + width}" y1="{py(y):.1f}" y2="{py(y):.1f}" stroke="{GRID}"/>'
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


def chart(path, title, xlabel, ylabel, xaxis, yaxis, curves, room=60, dots=()):
    """A line plot. An axis is (values of its ticks, True if it is logarithmic).
    curves: (label, colour, points, (x, y) of the label), and a pattern of dashes if the line has some.
    room: pixels to the right of the last tick. dots: (colour, points), drawn as dots."""
    left, top, width, height = 70, 36, 570 - room, 260

    def position(value, axis):
        ticks, logarithmic = axis
        scale = math.log if logarithmic else float
        return (scale(value) - scale(ticks[0])) / (scale(ticks[-1]) - scale(ticks[0]))

    px = lambda x: left + position(x, xaxis) * width
    py = lambda y: top + height - position(y, yaxis) * height
    tick = lambda v: f"{v:.0e}".replace("e-0", "e-").replace("e+0", "e") if v and (v < 1e-3 or v >= 1e5) else f"{v:g}"
    out = [svg(640, 350),
           f'<text x="{left}" y="20" font-size="14">{title}</text>']
    for x in xaxis[0]:
        out.append(f'<line x1="{px(x):.1f}" x2="{px(x):.1f}" y1="{top}" y2="{top + height}" stroke="{GRID}"/>'
                   f'<text x="{px(x):.1f}" y="{top + height + 18}" text-anchor="middle">{tick(x)}</text>')
    for y in yaxis[0]:
        out.append(f'<line x1="{left}" x2="{left + width}" y1="{py(y):.1f}" y2="{py(y):.1f}" stroke="{GRID}"/>'
                   f'<text x="{left - 8}" y="{py(y) + 4:.1f}" text-anchor="end">{tick(y)}</text>')
    out.append(f'<text x="{left + width / 2}" y="{top + height + 40}" text-anchor="middle">{xlabel}</text>')
    out.append(f'<text x="14" y="{top + height / 2}" text-anchor="middle" '
               f'transform="rotate(-90 14 {top + height / 2})">{ylabel}</text>')
    for label, colour, points, (x, y), *dashes in curves:
        text = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in points)
        dashed = f' stroke-dasharray="{dashes[0]}"' if dashes and dashes[0] else ""
        out.append(f'<polyline points="{text}" fill="none" stroke="{colour}" stroke-width="2.5"{dashed}/>')
        out.append(f'<text x="{px(x):.1f}" y="{py(y):.1f}" fill="{colour}">{label}</text>')
    for colour, points in dots:
        out += [f'<circle cx="{px(x):.1f}" cy="{py(y):.1f}" r="4.5" fill="{colour}"/>' for x, y in points]
    out.append("</svg>")
    return path, "\n".join(out) + "\n"
