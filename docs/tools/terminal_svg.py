#!/usr/bin/env python3
"""Draws the terminal of README.md, docs/figures/demo.svg, from what `make demo` printed.

usage: make demo | docs/tools/terminal_svg.py > docs/figures/demo.svg

The picture has the lines that KEPT names, four of the steps, and the whole story. "..." stands for what is left out: other
lines, the end of long commands, and the speed, which depends on the machine.
"""
import re
import sys
import textwrap
import xml.sax.saxutils

COLUMNS = 96
CHARACTER, LINE, MARGIN, BAR = 8.0, 18, 16, 30  # pixels: width of a character, height of a line, margin, title bar
KEPT = [r"== ", r"\$ \S+ (story --stories|train-bpe|train|generate) ", r"\d+ tokens \(", r"floor  +\d+\.\d+ nats per token"]
STORY = "== Text again"
STEPS = 4
# A dark window reads well on a light and on a dark page. Each colour has a contrast of 6 and more on the first one.
WINDOW, TEXT, HEADING, COMMAND, LEFT_OUT = "#1e2127", "#d7dce2", "#7fc8f8", "#a8d98a", "#9aa3ad"


def chosen(printed):
    """The lines of the picture, as (colour, text)."""
    steps = [i for i, line in enumerate(printed) if line.startswith("step ")]
    shown = {steps[max(0, len(steps) * k // (STEPS - 1) - 1)] for k in range(STEPS)} if steps else set()
    lines, story, command = [(COMMAND, "$ make demo")], False, ""
    for i, line in enumerate(printed):
        story = story or line.startswith(STORY)
        keep = i in shown or story or any(re.match(pattern, line) for pattern in KEPT)
        kind = line.split(" ")[2] if line.startswith("$ ") else ""
        if not line.strip():
            continue
        if not keep or (kind and kind == command):
            if lines[-1][1] != "...":
                lines.append((LEFT_OUT, "..."))
            continue
        command = kind or command
        line = re.sub(r"  [\d.]+ ?[KMG]? tokens/s.*", "  ...", line)
        if kind:
            lines.append((COMMAND, line if len(line) <= COLUMNS else line[:COLUMNS - 4].rsplit(" ", 1)[0] + " ..."))
        else:
            colour = HEADING if line.startswith("== ") else TEXT
            lines += [(colour, part) for part in textwrap.wrap(line, COLUMNS, drop_whitespace=True) or [""]]
    return lines


def spaced(lines):
    """(y, colour, text) with half a line in front of each heading."""
    y, placed = BAR + MARGIN, []
    for colour, text in lines:
        y += LINE // 2 if colour == HEADING else 0
        placed.append((y, colour, text))
        y += LINE
    return placed, y + MARGIN - LINE // 2


def svg(lines):
    placed, height = spaced(lines)
    width = round(COLUMNS * CHARACTER + 2 * MARGIN)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
           'font-family="ui-monospace, Menlo, Consolas, \'DejaVu Sans Mono\', \'Liberation Mono\', monospace" font-size="13">',
           "<title>A terminal in which make demo trains a model and the model writes a story</title>",
           f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8" fill="{WINDOW}" stroke="#80808080"/>']
    for i, colour in enumerate(("#ff5f56", "#ffbd2e", "#27c93f")):
        out.append(f'<circle cx="{MARGIN + 6 + 20 * i}" cy="{BAR // 2 + 2}" r="6" fill="{colour}"/>')
    for y, colour, text in placed:
        # textLength keeps the columns of the terminal, whichever font the reader has.
        out.append(f'<text x="{MARGIN}" y="{y + 4}" fill="{colour}" xml:space="preserve" textLength="{len(text) * CHARACTER:g}" '
                   f'lengthAdjust="spacingAndGlyphs">{xml.sax.saxutils.escape(text)}</text>')
    return "\n".join(out + ["</svg>"]) + "\n"


def main():
    if len(sys.argv) > 1:
        sys.exit(__doc__.strip())
    printed = sys.stdin.read().splitlines()
    if not any(line.startswith(STORY) for line in printed):
        sys.exit("terminal_svg.py: expected the output of `make demo` on standard input, to its end")
    sys.stdout.write(svg(chosen(printed)))


if __name__ == "__main__":
    main()
