#!/usr/bin/env python3
"""Checks the page that `cs336 inspect` writes. `make docs-check` calls it.

1. The weights and probabilities on the page equal those of a forward pass in double precision, which this file computes
   from the checkpoint with its own loops.
2. In headless Chromium, the page loads without an error, can be read in light and dark, and fits a phone. Heads and
   layers can be chosen; tokens answer to mouse, keyboard and touch; the numbers shown are those of the forward pass.

usage: check_inspect.py [PROGRAM]    Each error is one line. The exit status is 1 if there is one.
Only the standard library is used. Without Chromium the second part is left out.
"""
import array
import json
import math
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import time

import browser
import token_files
from check_docs import DESKTOP, PHONE, ROOT, TOOLS, errors, fail, report_events

PROMPT = "Once upon a time <b>&\n\u2603"
MODELS = {  # the course's model, and one with every variant
    "course": ["--d-ff", "24"],
    "variant": ["--norm", "post", "--position", "none", "--ffn", "silu", "--d-ff", "24"],
}
LAYERS, HEADS, D_MODEL = 2, 3, 12


# ---- a model and its page ----

def make_pages(program, folder):
    """Trains each model for a few steps, and writes its page."""
    def run(*arguments):
        done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"check_inspect.py: {done.stderr.strip()}")

    run("story", "--stories", "30", "--seed", "1", "--output", "text.txt")
    (folder / "prompt.txt").write_text(PROMPT, encoding="utf-8")
    token_files.make(run, ".", {"train": "text.txt", "prompt": "prompt.txt"}, 300)
    for name, options in MODELS.items():
        run("train", "--train", "train.bin", "--out", name, "--vocab-size", "300", "--context-length", "32", "--d-model",
            str(D_MODEL), "--num-layers", str(LAYERS), "--num-heads", str(HEADS), "--batch-size", "2", "--steps", "20", "--lr",
            "3e-2", *options)
        run("inspect", "--checkpoint", f"{name}/checkpoint.safetensors", "--tokenizer", "tokenizer.json", "--prompt", PROMPT, "--output",
            f"{name}.html")


def read_checkpoint(path):
    """The configuration, and each weight as a list of rows (a list of numbers if it has one dimension)."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    weights = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        numbers = array.array("f", data[begin:end])
        if sys.byteorder == "big":
            numbers.byteswap()
        columns = entry["shape"][-1]
        rows = [list(numbers[i:i + columns]) for i in range(0, len(numbers), columns)]
        weights[name] = rows if len(entry["shape"]) == 2 else rows[0]
    return {key.removeprefix("config."): value for key, value in header["__metadata__"].items()}, weights


# ---- the forward pass, as the handout writes it ----

def linear(x, weight):
    return [[sum(a * b for a, b in zip(row, w)) for w in weight] for row in x]


def add(x, y):
    return [[a + b for a, b in zip(*rows)] for rows in zip(x, y)]


def rmsnorm(x, gain, eps):
    return [[v / math.sqrt(sum(u * u for u in row) / len(row) + eps) * g for v, g in zip(row, gain)] for row in x]


def rope(x, theta):
    rotated = []
    for position, row in enumerate(x):
        out = []
        for i in range(0, len(row), 2):
            angle = position / theta ** (i / len(row))
            out += [row[i] * math.cos(angle) - row[i + 1] * math.sin(angle), row[i] * math.sin(angle) + row[i + 1] * math.cos(angle)]
        rotated.append(out)
    return rotated


def softmax(scores):
    powers = [math.exp(s - max(scores)) for s in scores]
    return [p / sum(powers) for p in powers]


def attention(x, weights, prefix, config):
    """The output, and the weights [head][query][key] with the keys up to the query."""
    query, key, value = (linear(x, weights[f"{prefix}attn.{name}_proj.weight"]) for name in "qkv")
    d_k = D_MODEL // HEADS
    outputs, maps = [[] for _ in x], []
    for head in range(HEADS):
        q, k, v = ([row[head * d_k:(head + 1) * d_k] for row in rows] for rows in (query, key, value))
        if config["position"] == "rope":
            q, k = rope(q, float(config["rope_theta"])), rope(k, float(config["rope_theta"]))
        maps.append([softmax([sum(a * b for a, b in zip(q[i], k[j])) / math.sqrt(d_k) for j in range(i + 1)])
                     for i in range(len(x))])
        for i, row in enumerate(maps[-1]):
            outputs[i] += [sum(p * v[j][n] for j, p in enumerate(row)) for n in range(d_k)]
    return linear(outputs, weights[prefix + "attn.output_proj.weight"]), maps


def feed_forward(x, weights, prefix):
    hidden = [[v / (1 + math.exp(-v)) for v in row] for row in linear(x, weights[prefix + "ffn.w1.weight"])]
    if prefix + "ffn.w3.weight" in weights:
        gate = linear(x, weights[prefix + "ffn.w3.weight"])
        hidden = [[a * b for a, b in zip(*rows)] for rows in zip(hidden, gate)]
    return linear(hidden, weights[prefix + "ffn.w2.weight"])


def forward(config, weights, ids):
    """The attention weights [layer][head][query][key <= query], and the probabilities of the next token."""
    eps, place = float(config["norm_eps"]), config["norm"]
    x, maps = [weights["token_embeddings.weight"][i] for i in ids], []
    for layer in range(LAYERS):
        prefix = f"layers.{layer}."

        def norm(rows, name, when):
            return rmsnorm(rows, weights[f"{prefix}{name}.weight"], eps) if place == when else rows

        branch, heads = attention(norm(x, "ln1", "pre"), weights, prefix, config)
        maps.append(heads)
        z = norm(add(x, branch), "ln1", "post")
        x = norm(add(z, feed_forward(norm(z, "ln2", "pre"), weights, prefix)), "ln2", "post")
    if place != "none":
        x = rmsnorm(x, weights["ln_final.weight"], eps)
    return maps, softmax(linear(x[-1:], weights["lm_head.weight"])[0])


# ---- 1: the data of the page ----

def differ(page, what, actual, expected, tolerance=1e-5):
    if not abs(actual - expected) <= tolerance:
        fail(page, f"{what} is {actual}, expected {expected:.7f}")


def check_data(name, folder):
    """Compares all numbers of a page with the forward pass, which it returns."""
    config, weights = read_checkpoint(folder / name / "checkpoint.safetensors")
    ids = struct.unpack(f"<{len((folder / 'prompt.bin').read_bytes()) // 2}H", (folder / "prompt.bin").read_bytes())
    maps, probabilities = forward(config, weights, ids)
    text = (folder / (name + ".html")).read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="attention-data">(.*?)</script>', text, re.S)[1])
    flat = [w for heads in maps for rows in heads for row in rows for w in row]
    if (data["layers"], data["heads"], len(data["tokens"]), len(data["millionths"])) != (LAYERS, HEADS, len(ids), len(flat) + 1):
        fail(name + ".html", "layers, heads, tokens or weights have another number")
    for i, expected in enumerate(flat):
        differ(name + ".html", f"weight {i}", data["millionths"][i] / 1e6, expected)
    for next_token, expected in zip(data["next"], sorted(probabilities, reverse=True)):
        differ(name + ".html", "probability of the next token", next_token["probability"], expected)
    return maps, len(flat)


# ---- 2: in the browser ----

PIXELS = """(map => {
    const copy = document.createElement("canvas"), context = copy.getContext("2d", {willReadFrequently: true});
    copy.width = map.width, copy.height = map.height;
    context.drawImage(map, 0, 0);
    return Array.from(context.getImageData(0, 0, map.width, map.height).data);
})(document.querySelectorAll("%s")[%d])"""
MIDDLE = """(e => { e.scrollIntoView({block: "center"}); const b = e.getBoundingClientRect();
                   return [b.left + b.width * %f, b.top + b.height * %f]; })(document.querySelectorAll("%s")[%d])"""


class Page:
    """A page in the browser, with a mouse, a keyboard and a finger."""

    def __init__(self, chromium, name):
        self.chromium, self.name = chromium, name

    def place(self, selector, index=0, x=0.5, y=0.5):
        return self.chromium.evaluate(MIDDLE % (x, y, selector, index))

    def point(self, *place, **where):
        x, y = self.place(*place, **where)
        self.chromium.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, *place):
        self.point(*place)
        x, y = self.place(*place)
        for kind in ("mousePressed", "mouseReleased"):
            self.chromium.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def tap(self, *place):
        x, y = self.place(*place)
        self.chromium.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.chromium.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def texts(self, selector):
        return self.chromium.evaluate(f"Array.from(document.querySelectorAll('{selector}'), e => e.textContent)")

    def labels(self, selector):
        return self.chromium.evaluate(f"Array.from(document.querySelectorAll('{selector}'), e => e.getAttribute('aria-label'))")

    def chosen(self, selector):
        return self.chromium.evaluate(f"Array.from(document.querySelectorAll('{selector}')).findIndex("
                                      "e => e.getAttribute('aria-pressed') === 'true')")

    def pixels(self, selector, index=0):
        """Red, green, blue and opacity of each pixel of a canvas."""
        return self.chromium.evaluate(PIXELS % (selector, index))

    def expect(self, what, actual, expected):
        if actual != expected:
            fail(self.name, f"{what}: {actual}, expected {expected}")

    def check_query(self, how, maps, layer, head, query):
        """The numbers under the tokens, those that a screen reader says, and those of the small maps."""
        self.expect(how + ": chosen layer", self.chosen(".av-layer"), layer)
        self.expect(how + ": chosen head", self.chosen(".av-head"), head)
        self.expect(how + ": chosen token", self.chosen(".av-token"), query)
        row, shown = maps[layer][head][query], self.texts(".av-token .av-number")
        self.expect(how + ": hidden keys", shown[query + 1:], ["\u2013"] * (len(shown) - query - 1))
        said = [label.rpartition(" ")[2] for label in self.labels(".av-token")]
        for key, expected in enumerate(row):
            differ(self.name, f"{how}: the number of token {key}", float(shown[key]), expected, 0.000501)
            differ(self.name, f"{how}: the label of token {key}", float(said[key]), expected)
        differ(self.name, how + ": the sum of all weights", sum(map(float, said[:query + 1])), 1, 1e-5 * len(row))
        for other, number in enumerate(self.texts(".av-head .av-number")):
            differ(self.name, f"{how}: the number of head {other}", float(number), max(maps[layer][other][query]), 0.000501)

    def check_maps(self, how, maps, layer, head):
        """The opacity of each pixel is the square root of its weight's share of the largest one of its query."""
        for selector, index, rows in [(".av-map", 0, maps[layer][head])] + [(".av-small", i, maps[layer][i]) for i in range(HEADS)]:
            expected = [255 * math.sqrt(w / max(row)) for i, row in enumerate(rows) for w in row + [0] * (len(rows) - 1 - i)]
            actual = self.pixels(selector, index)[3::4]
            if len(actual) != len(expected) or any(abs(a - b) > 1 for a, b in zip(actual, expected)):
                fail(self.name, f"{how}: the map {selector} {index} does not show the weights")

    def check_cell(self, how, maps, layer, head, query, key):
        text = self.texts(".av-readout")[0]
        begin = f"Layer {layer}, head {head}: query {query} "
        if not text.startswith(begin) or f" to key {key} " not in text:
            fail(self.name, f"{how}: the line says {text!r}, expected {begin}... to key {key}")
        elif key <= query:
            differ(self.name, how, float(text.rpartition(" ")[2]), maps[layer][head][query][key])
        else:
            self.expect(how, text.rpartition(": ")[2], "hidden by the causal mask")


def check_views(page, checks):
    """Light and dark, on a phone and on a wide screen."""
    for width, scheme in ((PHONE, "light"), (DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "dark")):
        page.chromium.set_colours(scheme)
        page.chromium.set_width(*width)
        result = page.chromium.evaluate(f"(c => [c.contrast().errors, c.tooWide(), c.isDark()])({checks})")
        for message in result[0] + ([result[1]] if result[1] else []):
            fail(page.name, f"{scheme}, {width[0]} px: {message}")
        page.expect(scheme + ": the page is dark", result[2], scheme == "dark")
        # The first weight is 1, so its pixel has the page's accent colour.
        accent = page.chromium.evaluate("getComputedStyle(document.querySelector('.av-map')).color")
        page.expect(scheme + ": colour of a weight of 1", f"rgb({', '.join(map(str, page.pixels('.av-map')[:3]))})", accent)


def check_use(page, maps):
    """Chooses layers, heads, tokens and cells with mouse, keyboard and finger."""
    chromium, last = page.chromium, len(maps[0][0]) - 1
    chromium.set_width(*DESKTOP)
    page.check_query("at first", maps, 0, 0, last)
    page.check_maps("at first", maps, 0, 0)
    page.click(".av-layer", 1)
    page.check_query("after choosing a layer", maps, 1, 0, last)
    page.check_maps("after choosing a layer", maps, 1, 0)
    page.click(".av-head", 2)
    page.check_query("after choosing a head", maps, 1, 2, last)
    page.check_maps("after choosing a head", maps, 1, 2)
    page.point(".av-token", 3)
    page.check_query("pointing at token 3", maps, 1, 2, 3)
    page.click(".av-token", 4)
    page.check_query("clicking token 4", maps, 1, 2, 4)
    chromium.press("ArrowRight")
    page.check_query("ArrowRight", maps, 1, 2, 5)
    chromium.press("Home")
    page.check_query("Home", maps, 1, 2, 0)

    n = last + 1
    page.point(".av-map", 0, x=2.5 / n, y=6.5 / n)
    page.check_cell("pointing at a cell", maps, 1, 2, 6, 2)
    page.point(".av-map", 0, x=7.5 / n, y=6.5 / n)
    page.check_cell("pointing at a hidden cell", maps, 1, 2, 6, 7)
    page.point(".av-map", 0, x=2.5 / n, y=6.5 / n)
    chromium.evaluate("document.querySelector('.av-map').focus()")
    chromium.press("ArrowDown")
    chromium.press("ArrowLeft")
    page.check_cell("ArrowDown and ArrowLeft", maps, 1, 2, 7, 1)

    chromium.set_width(*PHONE)
    chromium.call("Emulation.setTouchEmulationEnabled", enabled=True)
    page.tap(".av-head", 1)
    page.tap(".av-token", 2)
    page.check_query("tapping", maps, 1, 1, 2)
    chromium.call("Emulation.setTouchEmulationEnabled", enabled=False)


AGAIN = """(() => { const e = document.getElementById("attention"), w = [];
    for (let i = 0; i < %d * %d; i++) w.push(1, 0, 0.25, 0.75);
    attentionViewer(e, {tokens: ["a", "b"], layers: %d, heads: %d, weights: w}); })()"""


def check_again(page):
    """Other data replace what is shown; the chosen layer and head stay if they exist, and so does the focus."""
    page.click(".av-layer", 1)
    page.click(".av-head", 2)
    page.chromium.evaluate(AGAIN % (3, 4, 3, 4))
    page.expect("other data: layer and head", [page.chosen(".av-layer"), page.chosen(".av-head")], [1, 2])
    page.expect("other data: numbers", page.texts(".av-token .av-number"), ["0.250", "0.750"])
    page.expect("other data: viewers", len(page.texts(".attention-viewer")), 1)
    page.chromium.evaluate("document.querySelectorAll('.av-token')[0].focus()")
    page.chromium.evaluate(AGAIN % (1, 4, 1, 4))
    page.expect("fewer layers: layer and head", [page.chosen(".av-layer"), page.chosen(".av-head")], [0, 2])
    page.chromium.evaluate(AGAIN % (1, 4, 1, 4))
    page.expect("the same tokens: chosen token", page.chosen(".av-token"), 0)
    page.chromium.evaluate("document.querySelectorAll('.av-token')[1].focus()")
    page.chromium.evaluate(AGAIN % (1, 4, 1, 4))
    page.expect("the same tokens: focus", page.chromium.evaluate(
        "document.activeElement === document.querySelectorAll('.av-token')[1]"), True)
    page.chromium.evaluate("attentionViewer(document.getElementById('attention'), {tokens: [], layers: 0, heads: 0, weights: []})")
    page.expect("no tokens: viewers", len(page.texts(".attention-viewer")), 0)


LONG = """(n => { const w = [];
    for (let i = 0; i < n * n; i++) w.push(i %% n > i / n ? 0 : 1 / (1 + Math.floor(i / n)));
    attentionViewer(document.getElementById("attention"), {tokens: Array(n).fill("abc"), layers: 1, heads: 1, weights: w}); })(%d)"""
FIRST_SEEN = """(box => { const top = box.getBoundingClientRect().top;
    return Array.from(box.children, e => e.getBoundingClientRect()).filter(e => e.bottom > top).every(e => e.top >= top); })(
    document.querySelector(".av-tokens"))"""


def check_long(page):
    """Many tokens, after none: the box begins with a whole row, and the map is not blank where each weight is small."""
    tokens = 250
    for width in (PHONE, DESKTOP):
        page.chromium.set_width(*width)
        page.chromium.evaluate(LONG % tokens)
        page.expect(f"many tokens, {width[0]} px: the box scrolls", page.chromium.evaluate(
            "document.querySelector('.av-tokens').scrollTop > 0"), True)
        page.expect(f"many tokens, {width[0]} px: the first row is whole", page.chromium.evaluate(FIRST_SEEN), True)
        opacities = page.pixels(".av-map")[3::4]
        page.expect("opacity of the smallest weights", [min(opacities[-tokens:]), opacities[tokens - 1]], [255, 0])
        page.expect("bars of the smallest weights", page.chromium.evaluate(
            "Array.from(document.querySelectorAll('.av-bar')).every(e => e.style.opacity === '1')"), True)


def check_rendered(folder, maps):
    program = browser.find()
    if not program:
        return "no Chromium, so the page of cs336 inspect is not opened (make deps installs it)"
    checks = (TOOLS / "page_checks.js").read_text(encoding="utf-8")
    chromium = browser.Browser(program)
    page = Page(chromium, "course.html")
    try:
        chromium.set_width(*DESKTOP)
        chromium.open((folder / page.name).as_uri())
        if len(page.texts(".av-token")) == len(maps[0][0]) and page.texts(".av-readout") != [""]:
            check_use(page, maps)
            check_views(page, checks)
            check_again(page)
            check_long(page)
        else:
            fail(page.name, "the viewer did not draw the tokens")
        report_events(page.name, chromium.take_events())
    except browser.BrowserError as error:
        fail("Chromium", str(error))
        return "the check in Chromium did not end"
    finally:
        chromium.close()
    return "the page of cs336 inspect used with mouse, keyboard and finger, in light and dark, on a phone and a wide screen"


def main():
    program = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/cs336").resolve()
    if not program.exists():
        print("docs-check: no build/cs336, so the page of cs336 inspect is not checked (make builds it)")
        return
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="check-inspect-") as name:
        folder = pathlib.Path(name)
        make_pages(program, folder)
        checked = {model: check_data(model, folder) for model in MODELS}
        summary = [f"{sum(count for _, count in checked.values())} attention weights equal those in double precision",
                   check_rendered(folder, checked["course"][0])]
    for message, pages in errors.items():
        print(f"{pages[0]}: {message}")
    for line in summary:
        print("docs-check:", line)
    print(f"docs-check: {len(errors)} errors of cs336 inspect, {time.monotonic() - start:.0f} s")
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
