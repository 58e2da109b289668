#!/usr/bin/env python3
"""Writes search_index.js, in which search.js looks for the words that a reader types.

It reads the pages that Doxygen made of the chapters, because they hold the final text and the anchors of the sections.
The index is a script and not JSON, because a page from file:// may load a script but may not fetch a file.

usage: search_index.py HTML_DIRECTORY PAGE ...    PAGE is a name without .html, in the order of the book
"""
import html.parser
import json
import pathlib
import re
import sys

HEADINGS = ("h1", "h2", "h3", "h4")
# The text of these is no text of the book.
LEFT_OUT = ("script", "style", "nav", "svg")
# A blank separates what stands in different blocks and cells.
BLOCKS = ("p", "div", "li", "td", "th", "tr", "br", "pre", "blockquote", "dd", "dt") + HEADINGS


class Chapter(html.parser.HTMLParser):
    """Cuts a page into sections. Each section is [anchor, title, text]; the first one is the page itself."""

    def __init__(self):
        super().__init__()
        self.sections = [["", "", ""]]
        self.inside = None  # "title" of the page, "heading" of a section, "text", or None before the content begins
        self.skipped = 0

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        css = attributes.get("class", "").split()
        if tag in LEFT_OUT or self.skipped:
            self.skipped += tag in LEFT_OUT
        elif "title" in css and tag == "div":
            self.inside = "title"
        elif "contents" in css:
            self.inside = "text"
        elif tag in HEADINGS and self.inside == "text":
            self.inside = "heading"
            self.sections.append(["", "", ""])
        elif self.inside == "heading" and "anchor" in css:
            self.sections[-1][0] = attributes.get("id", "")
        elif tag in BLOCKS and self.inside == "text":
            self.sections[-1][2] += " "

    def handle_endtag(self, tag):
        if tag in LEFT_OUT and self.skipped:
            self.skipped -= 1
        elif tag in HEADINGS and self.inside == "heading":
            self.inside = "text"
        elif tag == "div" and self.inside == "title":
            self.inside = None

    def handle_data(self, data):
        if not self.skipped and self.inside:
            self.sections[-1][2 if self.inside == "text" else 1] += data

    def error(self, message):
        raise ValueError(message)


def plain(text):
    """Text on one line. Formulas stay as TeX, without what Doxygen writes around them."""
    return " ".join(re.sub(r"\\[()\[\]]", "", text).split())


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__.strip())
    directory = pathlib.Path(sys.argv[1])
    pages = []
    for name in sys.argv[2:]:
        chapter = Chapter()
        chapter.feed((directory / f"{name}.html").read_text(encoding="utf-8"))
        sections = [[anchor, plain(title), plain(text)] for anchor, title, text in chapter.sections]
        pages.append([f"{name}.html", [section for section in sections if section[1] or section[2]]])
    index = json.dumps(pages, ensure_ascii=False, separators=(",", ":"))
    (directory / "search_index.js").write_text(
        f"/* Made by docs/tools/search_index.py: [page, [[anchor, title, text], ...]] */\nvar bookIndex = {index};\n",
        encoding="utf-8")


if __name__ == "__main__":
    main()
