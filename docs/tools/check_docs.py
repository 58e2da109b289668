#!/usr/bin/env python3
"""Checks the pages that `make docs` has built, and the numbers in the chapters. `make docs-check` calls it.

1. Every link, anchor, picture and script of every page exists; nothing is loaded from a server; no path of this machine
   is in a page.
2. In headless Chromium, the chapters and 20 pages of the reference load without an error, show their formulas, fit a
   phone, can be read in light and dark, and the search finds sections.
3. The figures can be read on light and dark pages, and the chapters hold the numbers that write_numbers.py computes.

usage: check_docs.py [HTML_DIRECTORY]    Each error is one line. The exit status is 1 if there is one.
Only the standard library is used. Without Chromium the second part is left out.
"""
import collections
import html
import json
import pathlib
import re
import subprocess
import sys
import time
import urllib.parse

import browser
import check_live
import figure_contrast

TOOLS = pathlib.Path(__file__).resolve().parent
ROOT = TOOLS.parent.parent
REFERENCE_PAGES = 20
PHONE, DESKTOP = (420, 800), (1300, 900)

errors = collections.OrderedDict()  # message -> the pages that have it


def fail(page, message):
    errors.setdefault(message, []).append(str(page))


# ---- 1: links, anchors and what is loaded ----

TAG = re.compile(r"<([a-zA-Z][\w-]*)((?:\s[^<>]*)?)>")
ATTRIBUTE = re.compile(r"""([\w:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
SCRIPT_OR_COMMENT = re.compile(r"(<script\b[^>]*>).*?</script>|<!--.*?-->", re.S)
FORMULA = re.compile(r"\\\(.*?\\\)|\\\[.*?\\\]", re.S)
NO_FORMULAS = re.compile(r"<(pre|code)\b.*?</\1>|<div class=\"fragment\">.*?<!-- fragment -->", re.S)
LINK_IN_SCRIPT = re.compile(r"""["']((?:\.\./)*[\w.-]+\.html(?:#[\w.%-]+)?)["']""")
URL_IN_STYLE = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""")
# Attributes that load a file, by element. A link from <a> only leads there.
LOADS = {("script", "src"), ("img", "src"), ("iframe", "src"), ("object", "data"), ("source", "src"), ("link", "href"),
         ("image", "xlink:href"), ("image", "href"), ("embed", "src"), ("use", "href"), ("use", "xlink:href")}
LINKS = {"href", "src", "data", "xlink:href"}


def spellings_of_root():
    """The clone's folder as it is in text, in a URL, and as Doxygen writes it into names of files and anchors."""
    parts = ROOT.parts[1:]
    if len(parts) < 2:
        return []  # a name like /src occurs in text
    mangled = [part.replace("_", "__").replace(".", "_8") for part in parts]
    return [str(ROOT), urllib.parse.quote(str(ROOT)), "_2".join(mangled), "__".join(parts),
            "_".join(parts), "_".join(re.sub(r"\W", "_", part) for part in parts)]


class Site:
    """All pages, with the anchors that each has and the links that it holds."""

    def __init__(self, directory):
        self.directory = directory
        self.anchors = {}
        self.links = []  # (page, target)
        self.files = {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}
        self.own = sorted(name for name in self.files if not name.startswith("mathjax/") and name != "doxygen.svg")
        self.root = spellings_of_root()
        for name in self.own:
            if name.endswith((".html", ".svg")):
                self.read_page(name)
            elif name.endswith(".js"):
                self.links += [(name, link) for link in LINK_IN_SCRIPT.findall(self.text(name))]
            elif name.endswith(".css"):
                for match in URL_IN_STYLE.findall(self.text(name)):
                    self.add_load(name, match[0] or match[1])

    def text(self, name):
        return (self.directory / name).read_text(encoding="utf-8", errors="replace")

    def add_load(self, page, target):
        if re.match(r"(https?:)?//", target):
            fail(page, f"loads {target} from a server; the pages must work without a network")
        elif not target.startswith("data:"):
            self.links.append((page, target))

    def read_page(self, name):
        text = self.text(name)
        for root in self.root:
            if root in text or root in name:
                fail(name, f"names the folder of this clone ({root}); a page must not depend on where it was built")
                break
        broken = re.search(r"\S*&[lr]squo;\S*`|`\S*&[lr]squo;", NO_FORMULAS.sub("", text))
        if broken:
            fail(name, f"shows a ` of code that Doxygen has taken for a quotation mark: {broken.group()}")
        anchors = self.anchors[name] = set()
        for tag, attributes in TAG.findall(SCRIPT_OR_COMMENT.sub(r"\1", text)):
            tag = tag.lower()
            for key, double, single in ATTRIBUTE.findall(attributes):
                value = html.unescape(double or single)
                if key == "id" or key == "name" and tag == "a":
                    anchors.add(value)
                elif (tag, key) in LOADS:
                    self.add_load(name, value)
                elif key in LINKS:
                    self.links.append((name, value))

    def check_links(self):
        checked = 0
        for page, link in self.links:
            target, _, anchor = link.partition("#")
            if re.match(r"[a-zA-Z][\w+.-]*:|//", target):
                if target.startswith("file:"):
                    fail(page, f"link to {link}: expected a link relative to the page")
                continue
            checked += 1
            path = urllib.parse.unquote(target.partition("?")[0])
            path = self.resolve(page, path) if path else page
            if path not in self.files:
                fail(page, f"link to {link}: there is no such file")
            elif anchor and path in self.anchors and urllib.parse.unquote(anchor) not in self.anchors[path]:
                fail(page, f"link to {link}: {path} has no such anchor")
        return checked

    def resolve(self, page, path):
        """The path from the site's folder on, of a link on a page."""
        parts = page.split("/")[:-1]
        for part in path.split("/"):
            if part == "..":
                parts = parts[:-1] if parts else ["outside"]
            elif part not in ("", "."):
                parts.append(part)
        return "/".join(parts)


MARKUP = re.compile(r"&lt;/?(?:br|tt|em|code|sup|sub|nav)\b|&amp;(?:quot|lt|gt|amp);|(?:^|\s)[@\\](?:ref|(?:sub)*section|subpage|"
                    r"(?:end)?(?:code|verbatim|htmlonly))\b|\\f[$\[\]]|\{\{|\*\*\w|\]\(", re.M)


def check_markup(site, page):
    """Markup that the reader would see, because Doxygen did not understand it."""
    text = SCRIPT_OR_COMMENT.sub("", NO_FORMULAS.sub("", site.text(page).partition('<div class="contents">')[2]))
    text = FORMULA.sub("", re.sub(r"<[a-zA-Z/][^<>]*>", "", text))
    for match in MARKUP.finditer(text):
        fail(page, f"shows markup: {' '.join(text[max(0, match.start() - 20):match.end() + 20].split())}")


# ---- 2: in the browser ----

def chapters():
    """The names of the chapters' pages, in the order of the book."""
    names = ["index"]
    for line in (ROOT / "docs/book/contents.txt").read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            names.append(pathlib.PurePosixPath(line.split()[0]).stem.lower())
    return [name + ".html" for name in names]


def reference_pages(site, left_out):
    """One of each kind, and headers from the first to the last."""
    kinds = ["functional_8h.html", "functional_8c_source.html", "structTensor.html", "files.html", "annotated.html",
             "globals_func.html"]
    headers = [name for name in site.own if name.endswith("_8h.html") and "/" not in name and name not in kinds + left_out]
    count = REFERENCE_PAGES - len(kinds)
    return kinds + [headers[i * len(headers) // count] for i in range(min(count, len(headers)))]


def formulas_in(text):
    """How many formulas the source of a page holds."""
    return len(FORMULA.findall(SCRIPT_OR_COMMENT.sub("", NO_FORMULAS.sub("", text))))


def report_events(page, events):
    """Reports what the console printed and what did not load."""
    urls = {}
    for event in events:
        name, params = event["method"], event["params"]
        if name == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            text = details.get("exception", {}).get("description") or details["text"]
            fail(page, "exception: " + text.splitlines()[0])
        elif name == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            values = [str(argument.get("value", argument.get("description", ""))) for argument in params["args"]]
            fail(page, f"console {params['type']}: {' '.join(values)[:200]}")
        elif name == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            fail(page, f"console {params['entry']['level']}: {params['entry']['text'][:200]}")
        elif name == "Network.requestWillBeSent":
            url = urls[params["requestId"]] = params["request"]["url"]
            if url.startswith("http"):
                fail(page, f"asks a server for {url}")
        elif name == "Network.loadingFailed" and not params.get("canceled"):
            url = urls.get(params["requestId"], "a file")
            fail(page, f"{url.rpartition('/')[2]} does not load: {params['errorText']}")


def check_page(chromium, checks, site, page):
    """Loads a page as a phone does, and looks at it in light, in dark, and on a wide screen. Counts its formulas."""
    chromium.set_colours("light")
    chromium.set_width(*PHONE)
    chromium.open((site.directory / page).as_uri())
    # Colours that fade would be read half way.
    chromium.evaluate("document.head.insertAdjacentHTML('beforeend', '<style>*{transition:none!important}</style>')")
    math = chromium.evaluate(f"window.docsCheck = {checks}; docsCheck.mathReady()")
    chromium.evaluate("typeof live === 'undefined' || live.ready")
    result = chromium.evaluate("({formulas: typeof MathJax === 'undefined' ? {good: 0, errors: []} : docsCheck.formulas(),"
                               " light: docsCheck.contrast(), wide: docsCheck.tooWide(), plots: docsCheck.plotTexts()})")
    chromium.set_colours("dark")
    result["dark"] = chromium.evaluate("docsCheck.contrast()")
    if "doxygen-awesome.css" in site.files and not chromium.evaluate("docsCheck.isDark()"):
        fail(page, "dark: the page stays light")
    chromium.set_width(*DESKTOP)
    wide, plots = chromium.evaluate("[docsCheck.tooWide(), docsCheck.plotTexts()]")

    for message in result["formulas"]["errors"]:
        fail(page, message)
    expected = formulas_in(site.text(page))
    if math != "ready" and expected:
        fail(page, f"{expected} formulas, and MathJax is {math}")
    elif expected != result["formulas"]["good"] + len(result["formulas"]["errors"]):
        fail(page, f"{expected} formulas in the source, but {result['formulas']['good']} are typeset")
    for scheme in ("light", "dark"):
        for message in result[scheme]["errors"]:
            fail(page, f"{scheme}: {message}; expected 4.5")
    for message in [result["wide"], wide] + result["plots"] + plots:
        if message:
            fail(page, message)
    report_events(page, chromium.take_events())
    return result["formulas"]["good"]


def check_search(chromium, site):
    """Looks for the title of a section of each chapter with the keyboard, and opens it."""
    page = "index.html"
    index = re.sub(r"^.*?var bookIndex = |;\s*$", "", site.text("search_index.js"), flags=re.S)
    results = "Array.from(document.querySelectorAll('#book-results a'), a => a.getAttribute('href'))"
    hidden = "document.getElementById('book-results').hidden"
    searches = 0
    for chapter, sections in json.loads(index):
        anchor, title, _ = sections[len(sections) // 2]
        expected = chapter + ("#" + anchor if anchor else "")
        chromium.open((site.directory / page).as_uri())
        chromium.press("/", "/")
        chromium.evaluate("new Promise(r => { const t = setInterval(() => { if (typeof bookIndex !== 'undefined') "
                          "{ clearInterval(t); r(); } }, 5); })")
        chromium.call("Input.insertText", text=title)
        found = chromium.evaluate(results)
        searches += 1
        if expected not in found[:3]:
            fail(page, f'search for "{title}": found {", ".join(found[:3]) or "nothing"}; expected {expected}')
            continue
        if not chromium.evaluate("!!document.querySelector('#book-results mark')"):
            fail(page, f'search for "{title}": no word is marked')
        chromium.press("Escape")
        if not chromium.evaluate(hidden):
            fail(page, "search: Esc does not close the list")
        chromium.call("Input.insertText", text=" ")
        for _ in range(found.index(expected)):
            chromium.press("ArrowDown")
        chromium.take_events()
        chromium.press("Enter")
        if expected.partition("#")[0] != page:
            try:
                chromium.wait_for("Page.loadEventFired", 10)
            except browser.BrowserError:
                pass  # the page below is then the old one
        at = chromium.evaluate("location.href").rpartition("/")[2]
        if at != expected:
            fail(page, f'search for "{title}": Enter opens {at}; expected {expected}')
        report_events(page, chromium.take_events())
    return searches


def check_rendered(site):
    """The second part, and a line that says what it checked."""
    program = browser.find()
    if not program:
        return ("no Chromium, so console, formulas, widths, contrast and search are not checked (make deps installs it)")
    pages = chapters()
    pages += reference_pages(site, pages)
    checks = (TOOLS / "page_checks.js").read_text(encoding="utf-8")
    chromium = browser.Browser(program)
    try:
        formulas = 0
        for page in filter(site.files.__contains__, pages):
            formulas += check_page(chromium, checks, site, page)
        searches = check_search(chromium, site) if "search_index.js" in site.files else 0
        figures = check_live.check(chromium, site, pages, fail, report_events)
    except browser.BrowserError as error:
        fail("Chromium", str(error))
        return "the check in Chromium did not end"
    finally:
        chromium.close()
    return f"{len(pages)} pages rendered in light and dark, {PHONE[0]} and {DESKTOP[0]} px wide, {formulas} formulas, {searches} searches; {figures}"


# ---- 3: numbers ----

def check_numbers():
    done = subprocess.run([sys.executable, TOOLS / "write_numbers.py", "--check"], capture_output=True, text=True)
    lines = (done.stdout + done.stderr).strip().splitlines()
    if done.returncode:
        for line in lines:
            fail("docs/tools/write_numbers.py", line)
        return "the numbers of the chapters are not those that write_numbers.py computes"
    return lines[-1]


def main():
    if len(sys.argv) > 2:
        sys.exit(__doc__.strip())
    directory = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/docs/html").resolve()
    if not (directory / "index.html").exists():
        sys.exit(f"docs-check: no pages in {directory}; `make docs` builds them")
    start = time.monotonic()
    site = Site(directory)
    checked = site.check_links()
    for page in chapters():
        if page in site.files:
            check_markup(site, page)
        else:
            fail(page, "there is no such page, but docs/book/contents.txt names it")
    for message in figure_contrast.errors():
        fail("docs", message)
    summary = [f"{len(site.anchors)} pages and pictures, {checked} links and anchors", check_rendered(site), check_numbers()]
    for message, pages in errors.items():
        more = f" (and {len(pages) - 1} more pages)" if len(pages) > 1 else ""
        print(f"{pages[0]}: {message}{more}")
    for line in summary:
        print("docs-check:", line)
    print(f"docs-check: {len(errors)} errors, {time.monotonic() - start:.0f} s")
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
