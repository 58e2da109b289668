#!/usr/bin/env python3
"""Takes the pictures of the figures that run, docs/figures/live/NAME.png. `make live-pictures` calls it after `make docs`.

GitHub, and pages that were built without emcc, show them in place of the figures.

usage: live_pictures.py HTML_DIRECTORY [NAME...]    --new: makes empty pictures for figures that have none, so that the
                                                    pages can be built
"""
import base64
import pathlib
import re
import sys

import browser

DOCS = pathlib.Path(__file__).resolve().parent.parent
PICTURES = DOCS / "figures/live"
EMPTY = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==")
WIDTH = 720


def figures():
    """The figures' names with the page of each."""
    return {name: path.stem.lower() + ".html" for path in sorted(DOCS.glob("**/*.md"))
            for name in re.findall(r"^<!-- live (\S+) -->$", path.read_text(encoding="utf-8"), re.M)}


def take(chromium, page, name):
    chromium.open(page.as_uri())
    chromium.evaluate("live.ready")
    chromium.evaluate(f"window.shoot = document.querySelector('[data-live=\"{name}\"]'); shoot.style.width = '{WIDTH}px';"
                      "shoot.style.position = 'fixed'; shoot.style.inset = '0 auto auto 0'; shoot.style.zIndex = 99999; shoot.style.margin = 0;"
                      "shoot.style.background = 'var(--live-back)'; document.body.append(shoot);"
                      "document.querySelectorAll('body > *').forEach(e => { if (e !== shoot) e.style.display = 'none'; })")
    chromium.evaluate("window.liveShow && liveShow(shoot)")
    chromium.wait_for_frame()
    box = chromium.evaluate("(({x, y, width, height}) => ({x, y, width, height, scale: 1.5}))(shoot.getBoundingClientRect())")
    data = chromium.call("Page.captureScreenshot", format="png", clip=box, captureBeyondViewport=True)["data"]
    (PICTURES / f"{name}.png").write_bytes(base64.b64decode(data))


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    PICTURES.mkdir(exist_ok=True)
    if sys.argv[1] == "--new":
        for name in figures():
            if not (PICTURES / f"{name}.png").exists():
                (PICTURES / f"{name}.png").write_bytes(EMPTY)
        return
    site, wanted = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    program = browser.find()
    if not program:
        sys.exit("live_pictures.py: needs Chromium, which is not here (make deps installs it)")
    chromium = browser.Browser(program, timeout=120)  # a figure may train a model for its picture
    try:
        chromium.set_colours("light")
        chromium.set_width(1300, 1400)
        for name, page in figures().items():
            if not wanted or name in wanted:
                take(chromium, site / page, name)
                print(f"docs/figures/live/{name}.png")
    finally:
        chromium.close()


if __name__ == "__main__":
    main()
