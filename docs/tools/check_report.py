#!/usr/bin/env python3
"""Checks the page that `cs336 report` writes. `make docs-check` calls it.

1. The page's data are the numbers of the runs' logs, which this file reads with its own few lines.
2. In headless Chromium, the page loads without an error, can be read in light and dark, and fits a phone. The values at
   the cursor equal those of the logs, with mouse, keyboard and finger; the curves lie where the axes say; scales,
   smoothing, quantities, switches and sorting work.

usage: check_report.py [PROGRAM]    Each error is one line. The exit status is 1 if there is one.
Only the standard library is used. Without Chromium the second part is left out.
"""
import decimal
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import browser
import token_files
from check_docs import DESKTOP, PHONE, ROOT, TOOLS, errors, fail, report_events
from check_inspect import Page

NAME = "report.html"
HARM = "<img src=x onerror=alert(1)>&"  # the name of a run, which must stay text
RUNS = {  # in the order of the page
    HARM: ["--lr", "3e-2", "--norm", "post"],
    "lr-0.001": ["--lr", "1e-3", "--stop-at", "60"],
    "lr-0.01": ["--lr", "1e-2"],
    "lr-1000": ["--lr", "1e3"],
}
STEPS, DIVERGED = 90, 3  # of a run; index of the run that diverges
FIRST_LOSS = 7  # more than ln 300, where all runs begin: losses far above it are outside of the picture


# ---- runs and their page ----

def make_page(program, folder):
    def run(*arguments, code=0):
        done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True)
        if done.returncode != code:
            sys.exit(f"check_report.py: {done.stderr.strip()}")

    run("story", "--stories", "30", "--seed", "1", "--output", "text.txt")
    token_files.make(run, ".", {"train": "text.txt"}, 300)
    for index, (name, options) in enumerate(RUNS.items()):
        run("train", "--train", "train.bin", "--val", "train.bin", "--out", f"runs/{name}", "--vocab-size", "300",
            "--context-length", "16", "--d-model", "16", "--num-layers", "1", "--num-heads", "1", "--batch-size", "2", "--steps",
            str(STEPS), "--log-every", "3", "--val-every", "20", "--val-batches", "1", *options, code=int(index == DIVERGED))
    runs = [folder / "runs" / name for name in RUNS]
    with open(runs[1] / "log.jsonl", "a", encoding="utf-8") as log:
        log.write('{"step":63,"tok')  # a run that is still training
    with open(runs[DIVERGED] / "log.jsonl", "w", encoding="utf-8") as log:
        for step, loss in ((3, 5.75), (6, 1.5e18), (9, 6.5), (12, None), (15, 6.25), (18, 6)):
            log.write(json.dumps({"step": step, "tokens": 32 * step, "seconds": step / 100, "train_loss": loss, "lr": 1000, "unknown": None}) + "\n")
    (runs[DIVERGED] / "result.json").write_text('{"status": "diverged", "step": 18, "message": "step 12: the loss is inf"}')
    (runs[0] / "sample.txt").write_text("Once upon <b>a</b> time\n" + HARM, encoding="utf-8")
    (runs[2] / "sample.txt").write_text("word" * 60, encoding="utf-8")
    (folder / "runs" / "experiment.json").write_text(json.dumps({"title": "T " + HARM, "question": "Q " + HARM}))
    run("report", "runs", "--output", NAME)


def read_logs(folder):
    """The lines of each log as dictionaries, without one that has no end."""
    return [[json.loads(line) for line in (folder / "runs" / name / "log.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
            for name in RUNS]


# ---- 1: the data of the page ----

def check_data(folder, logs):
    """Compares each curve with its log. Returns the number of values."""
    text, count = (folder / NAME).read_text(encoding="utf-8"), 0
    if re.search(r"<img|<b>a</b>", text):
        fail(NAME, "a text of a run is HTML on the page")
    for cell in ("diverged in step 12", f"step 60 of {STEPS}", "complete"):
        if f"<td class=\"rp-text rp-status\">{cell}</td>" not in text:
            fail(NAME, f"no status {cell!r} in the table")
    data = json.loads(re.search(r'id="report-data">(.*?)</script>', text, re.S)[1])
    if [run["name"] for run in data["runs"]] != list(RUNS):
        fail(NAME, f"other runs: {[run['name'] for run in data['runs']]}")
    for run, log in zip(data["runs"], logs):
        shown = {curve["name"]: [(run["axes"]["step"][at], value) for at, value in zip(curve["at"], curve["values"])]
                 for curve in run["curves"]}
        keys = {key for line in log for key in line} - {"step", "tokens", "seconds"}
        expected = {key: [(line["step"], line[key]) for line in log if key in line] for key in keys}
        for axis in ("tokens", "seconds"):
            shown[axis] = list(zip(run["axes"]["step"], run["axes"][axis]))
            expected[axis] = [(line["step"], line[axis]) for line in log]
        if shown != expected:
            fail(NAME, f"{run['name']}: the numbers are not those of the log")
        count += sum(map(len, expected.values()))
    return count


# ---- 2: in the browser ----

def parse(text):
    """A number of the page: 1.5k, 12M, and a dash for none."""
    match = re.fullmatch(r"(-?[\d.]+(?:e[+-]?\d+)?)([kMG]?)", text)
    return float(match[1]) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[match[2]] if match else None


PICTURE = """(svg => ({
    ticks: Array.from(svg.querySelectorAll("text"), t => [t.getAttribute("text-anchor"), Number(t.getAttribute("x")), Number(t.getAttribute("y")), t.textContent]),
    paths: Array.from(svg.querySelectorAll("g path"), p => [p.getAttribute("class"), p.getAttribute("d")]),
    end: Array.from(svg.querySelectorAll(".rp-end"), p => p.getAttribute("class")),
    width: svg.viewBox.baseVal.width}))(document.querySelector(".rp-plot"))"""
ROWS = """Array.from(document.querySelectorAll(".rp-legend tbody tr"), row => Array.from(row.cells, cell => cell.textContent))"""
CHOOSE = """(e => { e.value = %s; e.dispatchEvent(new Event(%s)); })(document.querySelector(%s))"""


class ReportPage(Page):
    def __init__(self, chromium, logs):
        super().__init__(chromium, NAME)
        self.logs = logs

    def choose(self, selector, value, event):
        self.chromium.evaluate(CHOOSE % (json.dumps(value), json.dumps(event), json.dumps(selector)))

    def press_button(self, text):
        labels = self.texts(".rp-controls button, .rp-right .rp-group button")
        self.chromium.evaluate("document.querySelectorAll('.rp-controls button, .rp-right .rp-group button')"
                               f"[{labels.index(text)}].click()")

    def cursor(self):
        """Where the line under the picture says that the cursor is; None without one."""
        match = re.fullmatch(r"Values nearest to (\S+) \w+:", self.texts(".rp-readout")[0])
        return parse(match[1]) if match else None

    def check_values(self, how, axis="step", first="train_loss", second="val_loss", hidden=(), smoothing=0):
        """Compares each row with the line of the log that is nearest to the cursor, or with the last line."""
        at = self.cursor()
        for index, (row, log) in enumerate(zip(self.chromium.evaluate(ROWS), self.logs)):
            what = f"{how}: {row[0]}"
            if index in hidden:
                self.expect(what, row[1:], ["\u2013"] * 3)
                continue
            for column, key in ((2, first), (3, second)):
                lines = [line for line in log if key in line]
                if not lines:
                    self.expect(f"{what}: {key}", row[column], "\u2013")
                    continue
                # The page names places with four digits.
                distances = [abs(line[axis] - at) if at is not None else len(lines) - i for i, line in enumerate(lines)]
                best = [i for i, d in enumerate(distances) if d <= min(distances) * (1 + 1e-9) + 1e-3 * (at or 0)]
                text = row[column].split("\u00a0")[0].removesuffix(" at")
                accepted = [self.shown(lines, i, key, smoothing if column == 2 else 0) for i in best]
                if text not in accepted:
                    fail(NAME, f"{what}: {key} is {row[column]}, expected {' or '.join(accepted)}")

    @staticmethod
    def shown(lines, index, key, smoothing):
        """The text of a value: six digits, and the smoothed value in parentheses."""
        def text(x):
            return "\u2013" if x is None else format_six(x)
        if not smoothing:
            return text(lines[index][key])
        total = weights = 0
        for line in lines[:index + 1]:
            if line[key] is not None:
                total = smoothing * total + (1 - smoothing) * line[key]
                weights = smoothing * weights + 1 - smoothing
        value = lines[index][key]
        return f"{text(value)} ({text(value if value is None else total / weights)})"

    def check_curves(self, how, log_y=False, log_x=False, key="train_loss"):
        """Each point of a curve lies where the ticks of the axes say that its number is."""
        picture = self.chromium.evaluate(PICTURE)
        y = scale([(parse(text), ty - 4) for anchor, _, ty, text in picture["ticks"] if anchor == "end"], log_y)
        x = scale([(parse(text), tx) for anchor, tx, _, text in picture["ticks"] if anchor == "middle" and parse(text) is not None], log_x)
        if "NaN" in json.dumps(picture) or "undefined" in json.dumps(picture):
            fail(NAME, how + ": the picture has coordinates that are no numbers")
        for index, log in enumerate(self.logs):
            paths = [d for name, d in picture["paths"] if f"rp-run-{index} " in name + " " and "rp-training" in name]
            self.expect(f"{how}: curves of run {index}", len(paths), 1)
            points = [tuple(map(float, p.split())) for p in re.findall(r"[ML]([^ML]+)", paths[0])] if paths else []
            lines = [line for line in log if line.get(key) is not None]
            self.expect(f"{how}: points of run {index}", len(points), len(lines))
            values = [line.get(key) for line in log]
            pieces = sum(b is not None and a is None for a, b in zip([None] + values, values))
            self.expect(f"{how}: pieces of the curve of run {index}", paths[0].count("M") if paths else 0, pieces)
            for (px, py), line in zip(points, lines):
                if py > -9999 and abs(py - y(line[key])) > 0.7 + 0.001 * abs(py) or abs(px - x(line["step"])) > 0.7:
                    fail(NAME, f"{how}: step {line['step']} of run {index} is at ({px}, {py}), "
                               f"expected ({x(line['step']):.1f}, {y(line[key]):.1f})")


def format_six(x):
    """A number with at most six digits, as JavaScript writes it; from 1e9 on as 2.5e9."""
    value = float(f"{x:.6g}")
    if value and not 1e-6 <= abs(value) < 1e9:
        mantissa, exponent = f"{value:.5e}".split("e")
        return mantissa.rstrip("0").rstrip(".") + "e" + str(int(exponent))
    return format(decimal.Decimal(repr(value)), "f").removesuffix(".0")


def scale(ticks, log):
    """The function from numbers to pixels that goes through the first and the last tick."""
    to = math.log if log else float
    (a, pa), (b, pb) = ticks[0], ticks[-1]
    return lambda value: pa + (to(value) - to(a)) / (to(b) - to(a)) * (pb - pa)


def check_cursor(page):
    """The values at the cursor, with mouse and keyboard, on each axis."""
    page.check_values("at first")
    for axis, button in (("tokens", "tokens"), ("seconds", "wall clock"), ("step", "steps")):
        page.press_button(button)
        page.check_values(f"against {axis}, without a cursor", axis)
        for part in (0.2, 0.5, 0.9):
            page.point(".rp-plot", 0, x=part)
            if page.cursor() is None:
                fail(NAME, f"against {axis}: no cursor after pointing into the picture")
            page.check_values(f"against {axis}, pointing at {part}", axis)
    width = page.chromium.evaluate(PICTURE)["width"]
    page.point(".rp-plot", 0, x=0.5)
    expected = (width / 2 - 58) / (width - 72) * STEPS  # the margins of the picture
    if abs(page.cursor() - expected) > 2:
        fail(NAME, f"the cursor in the middle is at step {page.cursor()}, expected {expected:.1f}")

    page.point("h1", 0)
    page.expect("outside of the picture: cursor", page.cursor(), None)
    page.chromium.evaluate("document.querySelector('.rp-plot').focus()")
    steps = sorted({line["step"] for log in page.logs for line in log})
    for key, expected in (("Home", steps[0]), ("ArrowRight", steps[1]), ("ArrowRight", steps[2]), ("ArrowLeft", steps[1]),
                          ("PageUp", steps[11]), ("PageDown", steps[1]), ("End", steps[-1]), ("Escape", None)):
        page.chromium.press(key)
        page.expect(f"after {key}: cursor", page.cursor(), expected)
        page.check_values(f"after {key}")


def check_scales(page):
    page.press_button("log")  # the first of the two: the y scale
    page.check_curves("y log", log_y=True)
    page.expect("y log: what is cut", page.texts(".rp-left .rp-note")[-1], "")
    page.chromium.evaluate("document.querySelectorAll('.rp-controls [aria-label=\"x scale\"] button')[1].click()")
    page.check_curves("both log", log_y=True, log_x=True)
    page.chromium.evaluate("document.querySelectorAll('.rp-controls [aria-label$=scale] button')[0].click()")
    page.chromium.evaluate("document.querySelectorAll('.rp-controls [aria-label=\"x scale\"] button')[0].click()")
    page.check_curves("linear")
    ticks = [parse(text) for anchor, _, _, text in page.chromium.evaluate(PICTURE)["ticks"] if anchor == "end"]
    page.expect("linear: the largest loss is outside of the picture", max(ticks) < 1.5 * FIRST_LOSS, True)
    if not page.texts(".rp-left .rp-note")[-1].startswith("The curves go up to 1.5e18."):
        fail(NAME, "linear: no word about the loss that is outside of the picture")
    page.expect("crosses", page.chromium.evaluate(PICTURE)["end"], [f"rp-end rp-run-{DIVERGED}"])


def check_switches(page):
    """Smoothing, quantities, and runs that are switched off."""
    page.choose(".rp-controls input", "0.9", "input")
    page.check_values("smoothed", smoothing=0.9)
    page.chromium.evaluate("document.querySelector('.rp-plot').focus()")
    page.chromium.press("Home")
    page.check_values("smoothed, first step", smoothing=0.9)
    page.choose(".rp-controls input", "0", "input")
    page.chromium.evaluate("document.querySelector('.rp-plot').focus()")
    page.chromium.press("Escape")

    names = page.chromium.evaluate("Array.from(document.querySelectorAll('.rp-controls option'), o => o.value)")
    page.expect("quantities", sorted(names), sorted({"loss"} | {k for log in page.logs for line in log for k in line}
                                                   - {"step", "tokens", "seconds", "train_loss", "val_loss", "unknown"}))
    for name in names[1:]:
        page.choose(".rp-controls select", name, "change")
        page.check_values(name, first=name, second="none of them")
        page.expect(name + ": heading", page.texts(".rp-legend thead th")[2], name)
    page.choose(".rp-controls select", "loss", "change")

    paths = len(page.chromium.evaluate(PICTURE)["paths"])
    page.click(".rp-name", 1)
    page.check_values("a run switched off", hidden=[1])
    page.expect("a run switched off: pressed", page.chromium.evaluate(
        "Array.from(document.querySelectorAll('.rp-name'), e => e.getAttribute('aria-pressed'))"), ["true", "false", "true", "true"])
    page.expect("a run switched off: curves", len(page.chromium.evaluate(PICTURE)["paths"]), paths - 2)
    page.click(".rp-name", 1)
    page.expect("switched on again: curves", len(page.chromium.evaluate(PICTURE)["paths"]), paths)
    page.press_button("hide all")
    page.check_values("all switched off", hidden=range(len(RUNS)))
    page.press_button("show all")
    page.check_values("all switched on")
    looks = {tuple(page.chromium.evaluate(
        "(e => [getComputedStyle(e).stroke, e.getAttribute('stroke-dasharray')])"
        f"(document.querySelectorAll('.rp-legend line')[{i}])")) for i in range(len(RUNS))}
    page.expect("lines that differ in colour and dashes", len({a for a, _ in looks}) + len({b for _, b in looks}), 2 * len(RUNS))


def check_sorting(page):
    heads = page.texts("#report-runs thead th")
    column = heads.index("final validation loss")
    losses = {name: next((line["val_loss"] for line in reversed(log) if "val_loss" in line), None) for name, log in zip(RUNS, page.logs)}
    known = sorted((name for name in RUNS if losses[name] is not None), key=losses.get)
    missing = [name for name in RUNS if losses[name] is None]
    for order in (known + missing, known[::-1] + missing):
        page.click("#report-runs thead button", column)
        page.expect("sorted by validation loss", [text.strip() for text in page.texts("#report-runs tbody th")], order)
    page.click("#report-runs thead button", heads.index("lr"))
    page.expect("sorted by lr", page.texts("#report-runs tbody tr td:nth-child(%d)" % (heads.index("lr") + 1)),
                ["0.001", "0.01", "0.03", "1000"])
    page.click("#report-runs thead button", 0)
    page.expect("sorted by name", [text.strip() for text in page.texts("#report-runs tbody th")], list(RUNS))


def check_views(page, checks):
    """Light and dark, on a phone and on a wide screen; a finger on the phone."""
    for width, scheme in ((PHONE, "light"), (DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "dark")):
        page.chromium.set_colours(scheme)
        page.chromium.set_width(*width)
        page.chromium.wait_for_frame()
        result = page.chromium.evaluate(f"(c => [c.contrast().errors, c.tooWide(), c.isDark()])({checks})")
        for message in result[0] + ([result[1]] if result[1] else []):
            fail(page.name, f"{scheme}, {width[0]} px: {message}")
        page.expect(scheme + ": the page is dark", result[2], scheme == "dark")
        page.check_curves(f"{scheme}, {width[0]} px")
        picture = page.chromium.evaluate("(b => [b.left, b.right])(document.querySelector('.rp-plot').getBoundingClientRect())")
        if picture[0] < 0 or picture[1] > width[0]:
            fail(page.name, f"{width[0]} px: the picture is from {picture[0]} to {picture[1]}")
    page.chromium.call("Emulation.setTouchEmulationEnabled", enabled=True)
    page.tap(".rp-plot", 0)
    if page.cursor() is None:
        fail(page.name, "tapping sets no cursor")
    page.check_values("after tapping")
    page.tap(".rp-name", 2)
    page.check_values("after tapping a run", hidden=[2])
    page.tap(".rp-name", 2)
    page.chromium.call("Emulation.setTouchEmulationEnabled", enabled=False)


def check_rendered(folder, logs):
    program = browser.find()
    if not program:
        return "no Chromium, so the page of cs336 report is not opened (make deps installs it)"
    checks = (TOOLS / "page_checks.js").read_text(encoding="utf-8")
    chromium = browser.Browser(program)
    page = ReportPage(chromium, logs)
    try:
        chromium.set_width(*DESKTOP)
        chromium.open((folder / NAME).as_uri())
        if page.texts("h1") == ["T " + HARM] and len(page.texts(".rp-legend tbody tr")) == len(RUNS):
            check_cursor(page)
            check_scales(page)
            check_switches(page)
            check_sorting(page)
            check_views(page, checks)
        else:
            fail(NAME, "the script did not draw the runs")
        page.expect("samples", page.texts(".rp-samples pre"), ["Once upon <b>a</b> time\n" + HARM, "word" * 60])
        report_events(NAME, chromium.take_events())
    except browser.BrowserError as error:
        fail("Chromium", str(error))
        return "the check in Chromium did not end"
    finally:
        chromium.close()
    return "the page of cs336 report used with mouse, keyboard and finger, in light and dark, on a phone and a wide screen"


def main():
    program = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/cs336").resolve()
    if not program.exists():
        print("docs-check: no build/cs336, so the page of cs336 report is not checked (make builds it)")
        return
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="check-report-") as name:
        folder = pathlib.Path(name)
        make_page(program, folder)
        logs = read_logs(folder)
        summary = [f"{check_data(folder, logs)} numbers of the page equal those of the logs", check_rendered(folder, logs)]
    for message, pages in errors.items():
        print(f"{pages[0]}: {message}")
    for line in summary:
        print("docs-check:", line)
    print(f"docs-check: {len(errors)} errors of cs336 report, {time.monotonic() - start:.0f} s")
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
