#!/usr/bin/env python3
"""Measures whether text and lines of the figures, docs/figures/*.svg, can be read on light and on dark pages.

Text needs a contrast of 4.5, lines and marks need 3 (WCAG 2). The backgrounds are white, GitHub's dark page and that of
the built book, or the rectangle that covers the whole figure. Translucent colours, such as those of a grid, are left out.

usage: figure_contrast.py    Each error is one line. check_docs.py calls errors().
"""
import pathlib
import re
import sys
import xml.etree.ElementTree

FIGURES = pathlib.Path(__file__).resolve().parent.parent / "figures"
BACKGROUNDS = {"light": ["#ffffff"], "dark": ["#0d1117", "#1c1d1f"]}
TEXT, LINE = 4.5, 3
NAMES = {"black": "#000000", "white": "#ffffff"}


def channels(colour):
    """[r, g, b] of #rrggbb, of rgb(r, g, b) or of a name; None for none, currentColor and translucent colours."""
    colour = NAMES.get(colour, colour)
    if re.fullmatch(r"#[0-9a-f]{6}", colour):
        return [int(colour[i:i + 2], 16) for i in (1, 3, 5)]
    numbers = re.fullmatch(r"rgb\( *(\d+), *(\d+), *(\d+)\)", colour)
    return [int(x) for x in numbers.groups()] if numbers else None


def luminance(colour):
    linear = [x / 255 / 12.92 if x <= 10 else ((x / 255 + 0.055) / 1.055) ** 2.4 for x in channels(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def parts(element, inherited):
    """Yields (what it is, its colour) for each text and each line of the tree that is opaque."""
    style = {**inherited, **{key: element.get(key) for key in ("fill", "stroke", "class") if element.get(key)}}
    tag = element.tag.partition("}")[2]
    if tag in ("defs", "style", "title", "desc") or style.get("class") == "gridline":
        return
    if tag in ("text", "tspan"):
        yield "text", style.get("fill", "black")
    elif tag in ("path", "line", "polyline", "circle", "rect") and not element.get("stroke-opacity"):
        for key in ("fill", "stroke"):
            if style.get(key, "none") != "none" and not (key == "fill" and element.get("fill-opacity")):
                yield "line", style[key]
    for child in element:
        yield from parts(child, style)


def errors():
    found = []
    for path in sorted(FIGURES.glob("*.svg")):
        text = path.read_text(encoding="utf-8")
        root = xml.etree.ElementTree.fromstring(text)
        own = re.search(r'<rect x="0(?:\.5)?" y="0(?:\.5)?" width="\d+" height="\d+"[^>]*? fill="(#\w+)"', text)
        if "prefers-color-scheme" in text and "color-scheme: light dark" not in text:
            found.append(f"figures/{path.name}: has colours for the dark, expected `:root {{ color-scheme: light dark }}` too; "
                         "without it a browser puts the figure on white")
        in_the_dark = dict(re.findall(r'\[fill="(#\w+)"\]\{fill:(#\w+)\}', text))
        for scheme, backgrounds in BACKGROUNDS.items():
            for kind, colour in sorted(set(parts(root, {}))):
                shown = in_the_dark.get(colour, colour) if scheme == "dark" else colour
                for back in [own.group(1)] if own else backgrounds:
                    needed = TEXT if kind == "text" else LINE
                    if channels(shown) and shown != back and contrast(shown, back) < needed:
                        found.append(f"figures/{path.name}: {kind} in {shown} on {back} has a contrast of "
                                     f"{contrast(shown, back):.2f}, expected at least {needed}")
    return found


if __name__ == "__main__":
    sys.exit("\n".join(errors()) or 0)
