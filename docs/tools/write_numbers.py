#!/usr/bin/env python3
"""Computes the numbers and plots of the book, and writes them into its chapters.

The chapter book/NAME.md, or the page NAME.md, holds blocks of this form; what is between the two comments is replaced by the
lines that numbers_BLOCK() in book_numbers/NAME.py returns:

    <!-- numbers BLOCK -->
    <!-- end -->

A function figure_...() there returns a file name and the text of an SVG file, for figures/.

usage: write_numbers.py [--check]    --check changes nothing, and fails if a chapter holds other numbers
Only the standard library is used.
"""
import importlib
import pathlib
import re
import sys

TOOLS = pathlib.Path(__file__).resolve().parent
TOP = TOOLS.parent
NUMBERS = TOOLS / "book_numbers"
sys.path.insert(0, str(TOOLS))

# ---- writing ----

BLOCK = re.compile(r"(<!-- numbers (\S+) -->\n)(.*?)(<!-- end -->)", re.S)


def module_of(path):
    """book_numbers/NAME.py, which computes the numbers of NAME.md; None if there is none."""
    return importlib.import_module("book_numbers." + path.stem) if (NUMBERS / f"{path.stem}.py").exists() else None


def filled(path):
    """The text of a chapter with its numbers computed."""
    chapter = module_of(path)

    def block(match):
        function = getattr(chapter, "numbers_" + match.group(2).replace("-", "_"), None)
        if not function:
            sys.exit(f"{path}: no numbers called {match.group(2)}")
        return match.group(1) + "```text\n" + "\n".join(function()) + "\n```\n" + match.group(4)

    return BLOCK.sub(block, path.read_text(encoding="utf-8"))


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit("usage: write_numbers.py [--check]")
    chapters = sorted((TOP / "book").glob("*.md")) + sorted(TOP.glob("*.md"))
    files = [(path, filled(path)) for path in chapters]
    for module in filter(None, map(module_of, chapters)):
        for name in sorted(dir(module)):
            if name.startswith("figure_"):
                figure, text = getattr(module, name)()
                files.append((TOP / "figures" / figure, text))
    stale = [path for path, text in files if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path, text in files:
        if path in stale and not check:
            path.write_text(text, encoding="utf-8")
    for path in stale:
        print(f"{path.relative_to(TOP.parent)}: {'holds other numbers than write_numbers.py computes' if check else 'written'}")
    if check and stale:
        sys.exit("run `make numbers` and look at what changes")
    print(f"{len(files)} chapters and figures hold the numbers that write_numbers.py computes")


if __name__ == "__main__":
    main()
