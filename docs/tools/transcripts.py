"""The outputs of commands that the book shows: runs the commands again, and writes the numbers that they print now.

A chapter holds blocks of this form. The fence is ```console, whose lines with "$ " are the commands; or ```sh with the
commands, followed by ```text with what they print:

    <!-- transcript NAME -->
    <!-- end -->

Output may be shortened: by a line "...", by " ..." at the end of a line, or by lines that are left out. What is shown
must be printed, in this order; only its numbers may differ, and they are replaced. A line that is not printed is an
error. All blocks of a chapter run one after the other in the same shell, after `make` in a copy of the project of their
own. BEFORE has what a reader does between two blocks, such as writing a function.
"""
import os
import pathlib
import re
import shutil
import subprocess

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
COPIES = TOP / "build" / "runs" / "transcripts"
BLOCK = re.compile(r"(<!-- transcript (\S+) -->\n)(.*?)(<!-- end -->)", re.S)
FENCE = re.compile(r"```(\w*)\n(.*?)```\n", re.S)
NUMBER = r"(?:0x[0-9a-f]+|\b[0-9a-f]{40,}\b|(?<![A-Za-z_\d])\d[\d.]*(?:e[-+]?\d+)?(?<!\.))"

# Texts that a block needs, and that are not part of the project. CS336_DATA names the folder where they are.
TEXTS = ("tinystories_train.txt", "tinystories_valid.txt", "shakespeare.txt", "mixed.txt")

# Shell commands before a block: what the reader has done by then.
BEFORE = {
    "roofline": "export OMP_NUM_THREADS=1",
    "softmax_first": "body 'sum += expf(*at(x, i, j));' student/softmax.c",
    "softmax_again": "make -s reset EX=softmax >/dev/null; body 'sum += expf(*at(x, i, j) - max);' student/softmax.c",
    "sanitizer": "block 'malloc(3 * sizeof *x)' >wrong.c; export ASAN_OPTIONS=strip_path_prefix=$PWD/",
    "softmax_outside": "make -s learn >/dev/null; CHAPTER=docs/book/start.md body 'expf(*at(x, i, j) - max);' student/softmax.c; "
                       "sed -i 's/j < columns(x)/j <= columns(x)/' student/softmax.c",
    "ids": "make -s demo >/dev/null"}
FUNCTIONS = r"""
make -s >/dev/null
block() { # prints the ```c block of the chapter that contains a text
    awk -v text="$1" '/^```c$/ {on = 1; lines = ""; next} /^```$/ {if (on && index(lines, text)) printf "%s", lines; on = 0}
        on {lines = lines $0 "\n"}' "$CHAPTER"
}
body() { # writes it into an exercise's file, in place of TODO();
    block "$1" >body.txt
    sed -i -e '/TODO();/{r body.txt' -e 'd}' "$2"
}
"""


def commands_of(text):
    """Returns the commands of a block."""
    fences = FENCE.findall(text)
    if fences and fences[0][0] == "console":
        return "\n".join(line[2:] for line in fences[0][1].splitlines() if line.startswith("$ "))
    return fences[0][1]


def span_of_output(text):
    """Returns where the shown output of a block begins and ends."""
    last = list(FENCE.finditer(text))[-1]
    return last.start(2), last.end(2)


def copy_project(copy):
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    files = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, stdout=subprocess.PIPE, check=True).stdout
    for name in filter(None, files.decode().split("\0")):
        if (TOP / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / name, copy / name)
    data = pathlib.Path(os.environ.get("CS336_DATA", ""))
    for name in TEXTS:
        if os.environ.get("CS336_DATA") and (data / name).exists():
            (copy / name).symlink_to((data / name).resolve())


def run_blocks(path, blocks):
    """Runs the blocks (name, text) of a chapter. Returns what each printed."""
    copy = COPIES / path.stem
    copy_project(copy)
    script = FUNCTIONS
    for number, (name, text) in enumerate(blocks):
        script += f"{BEFORE.get(name, '')}\necho '== block {number}'\n{commands_of(text)}\necho '== end'\n"
    environment = dict(os.environ, PATH=f"{copy / 'build'}:{os.environ['PATH']}", CHAPTER=str(path), COLUMNS="100")
    print(f"transcripts of {path.relative_to(TOP)}: {len(blocks)} blocks", flush=True)
    printed = subprocess.run(["bash", "-c", script], cwd=copy, env=environment, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, encoding="utf-8", errors="replace").stdout
    (copy.parent / f"{path.stem}.txt").write_text(printed, encoding="utf-8")
    return [printed.partition(f"== block {number}\n")[2].partition("== end\n")[0] for number in range(len(blocks))]


def pattern_of(word):
    """A word with any numbers in place of its own."""
    return re.compile("".join(f"({NUMBER})" if i % 2 else re.escape(piece)
                              for i, piece in enumerate(re.split(f"({NUMBER})", word))))


def find(kept, words, start):
    """Returns where these words stand next to each other in the output, at `start` or later, and -1 if nowhere.

    The first number of a line, such as a step, mostly says which line it is: where it is equal goes first."""
    patterns = [pattern_of(word) for word in kept]
    first = next((i for i, word in enumerate(kept) if re.search(NUMBER, word)), 0)
    found = [at for at in range(start, len(words) - len(kept) + 1)
             if all(pattern.fullmatch(word) for pattern, word in zip(patterns, words[at:]))]
    return next((at for at in found if words[at + first] == kept[first]), found[0] if found else -1)


def line_with_new_numbers(line, words):
    """Puts the words of the output in place of those of the line, and keeps right-aligned columns aligned."""
    result, end = "", 0
    for match, word in zip(re.finditer(r"\S+", line), words):
        space = line[end:match.start()]
        missing = len(word) - len(match.group())
        if len(space) > 1 and result.strip():
            space = " " * max(1, len(space) - missing)
        result, end = result + space + word, match.end()
    return result + line[end:]


def rewrite(shown, printed):
    """Returns the shown lines with the numbers that are printed now, and the lines that are not printed."""
    words, at, lines, missing = printed.split(), 0, [], []
    for line in shown.splitlines():
        kept = line.split()
        if line.startswith("$ ") or kept in ([], ["..."]):
            lines.append(line)
            continue
        if kept[-1] == "...":
            kept.pop()
        found = find(kept, words, at)
        if found < 0:
            missing.append(line)
            lines.append(line)
            continue
        lines.append(line_with_new_numbers(line, words[found:found + len(kept)]))
        at = found + len(kept)
    return "".join(line + "\n" for line in lines), missing


def needs(text, copy):
    """Returns the first text that a block needs and that is not here."""
    return next((name for name in TEXTS if name in text and not (copy / name).exists()), None)


def write_transcripts(paths):
    """Runs all blocks of these chapters again and writes what they print. Returns a line for each error."""
    errors = []
    for path in paths:
        text = path.read_text(encoding="utf-8")
        blocks = [(match.group(2), match.group(3)) for match in BLOCK.finditer(text)]
        if not blocks:
            continue
        outputs = run_blocks(path, blocks)
        new = path.read_text(encoding="utf-8")
        for (name, block), printed in zip(blocks, outputs):
            lacking = needs(block, COPIES / path.stem)
            if lacking:
                print(f"{path.relative_to(TOP)}: {name} is left as it is: it needs {lacking}; CS336_DATA names its folder")
                continue
            begin, end = span_of_output(block)
            lines, missing = rewrite(block[begin:end], printed)
            errors += [f'{path.relative_to(TOP)}: {name} does not print "{line}"' for line in missing]
            new = new.replace(block, block[:begin] + lines + block[end:])
        print(f"{path.relative_to(TOP)}: {'as before' if new == text else 'written'}", flush=True)
        path.write_text(new, encoding="utf-8")
    return errors
