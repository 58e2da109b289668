"""Checks the figures that run (docs/live/): in Chromium, and against the native library. check_docs.py calls it.

The check of a figure, live/checks/NAME.js, uses the figure as a reader does. Each call of the library that the page makes
meanwhile is recorded, and made again here with the same functions compiled for this computer. All arrays must then be
equal to 1e-5.
"""
import ctypes
import json
import math
import os
import pathlib
import re
import time

TOOLS = pathlib.Path(__file__).resolve().parent
LIVE = TOOLS.parent / "live"
NATIVE = TOOLS.parent.parent / "build/live/liblive.so"
TOLERANCE = 1e-5
ARRAYS = {"Float32Array": ctypes.c_float, "Float64Array": ctypes.c_double, "Int32Array": ctypes.c_int32, "Uint8Array": ctypes.c_uint8}
NUMBERS = {"int": ctypes.c_int, "size_t": ctypes.c_size_t, "double": ctypes.c_double, "float": ctypes.c_float,
           "uint32_t": ctypes.c_uint32, "int32_t": ctypes.c_int32, "bool": ctypes.c_bool}
DECLARATION = re.compile(r"^LIVE (live_\w+)\(([^)]*)\)", re.M)


def declarations():
    """The types of the arguments of each function in live/*.c."""
    found = {}
    for path in LIVE.glob("*.c"):
        for name, arguments in DECLARATION.findall(path.read_text(encoding="utf-8")):
            words = [re.sub(r"\w+$", "", argument.strip()).replace("const", "").strip() for argument in arguments.split(",")]
            found[name] = [ctypes.c_void_p if "*" in word else NUMBERS[word] for word in words if word != "void"]
    return found


class Native:
    """The figures' functions, compiled for this computer."""

    def __init__(self):
        os.environ["CS336_ISA"] = "portable"  # sums in the same order as in the page
        os.environ["OMP_NUM_THREADS"] = "1"  # as the page; threads that wait for one another are slow on a busy computer
        self.library = ctypes.CDLL(str(NATIVE))
        self.library.live_message.restype = ctypes.c_char_p
        self.types = declarations()

    def repeat(self, call):
        """Makes a recorded call again, and returns what differs, "" if nothing does."""
        name = call["name"]
        if name not in self.types:
            return f"{name}() is not declared in docs/live/*.c"
        values = [(ARRAYS[v["type"]] * max(1, len(v["values"])))(*map(number, v["values"])) if isinstance(v, dict) else v
                  for v in call["before"]]
        function = getattr(self.library, name)
        function.argtypes = self.types[name]
        if function(*values):
            return f"{name}() fails in the native library: {self.library.live_message().decode()}"
        for k, (ours, after) in enumerate(zip(values, call["after"])):
            for i, x in enumerate(after["values"] if isinstance(after, dict) else []):
                if not equal(number(x), ours[i]):
                    return f"{name}(): number {i} of argument {k} is {x} in the page, {ours[i]} in the native library"
        return ""


def number(x):
    """JSON has no infinity and no NaN: the page's list has them as text."""
    return float(x) if isinstance(x, str) else x


def equal(a, b):
    return a == b or (math.isnan(a) and math.isnan(b)) or abs(a - b) <= TOLERANCE * max(1, abs(b))


def figures_by_page(site, pages):
    found = {}
    for page in pages:
        names = re.findall(r'data-live="([\w-]+)"', site.text(page)) if page in site.files else []
        if names:
            found[page] = names
    return found


RECORD = "window.liveCalls = [];"
TAKE_CALLS = "JSON.stringify(window.liveCalls.splice(0), (k, v) => typeof v === 'number' && !Number.isFinite(v) ? String(v) : v)"


def check_figure(chromium, page, name, fail, native):
    """Runs the check of one figure, and returns the number of calls compared."""
    check = LIVE / "checks" / f"{name}.js"
    if not check.exists():
        fail(page, f"figure {name}: there is no docs/live/checks/{name}.js")
        return 0
    tools = (LIVE / "checks/tools.js").read_text(encoding="utf-8")
    try:
        chromium.evaluate("(async () => {" + tools + "\nawait (" + check.read_text(encoding="utf-8").strip().rstrip(";") +
                          f")(document.querySelector('[data-live=\"{name}\"]'));}})()")
    except Exception as error:  # what the check throws
        fail(page, f"figure {name}: {str(error).splitlines()[0]}")
    for message in chromium.evaluate(f"({(TOOLS / 'page_checks.js').read_text(encoding='utf-8')}).plotTexts()"):
        fail(page, f"figure {name}, after its check: {message}")
    calls = json.loads(chromium.evaluate(TAKE_CALLS))
    for call in calls if native else []:
        difference = native.repeat(call)
        if difference:
            fail(page, f"figure {name}: {difference}")
            break
    return len(calls)


def check(chromium, site, pages, fail, report_events):
    """Checks all figures, and returns a line that says what was checked."""
    found = figures_by_page(site, pages)
    if not any(name.startswith("live/cs336") for name in site.files):
        return "figures do not run in these pages, because make docs found no emcc (make deps installs it)"
    native = Native() if NATIVE.exists() else None
    calls = count = 0
    start = time.monotonic()
    script = chromium.call("Page.addScriptToEvaluateOnNewDocument", source=RECORD)["identifier"]
    for page, names in found.items():
        chromium.open((site.directory / page).as_uri())
        chromium.evaluate("live.ready")
        for name in names:
            calls += check_figure(chromium, page, name, fail, native)
            count += 1
        report_events(page, chromium.take_events())
    chromium.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
    compared = "equal to the native library's" if native else "not compared, because there is no build/live/liblive.so"
    return f"{count} figures run, {calls} calls {compared}, {time.monotonic() - start:.0f} s"
