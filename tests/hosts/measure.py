#!/usr/bin/env python3
"""Measures what docs/tools/distributed_cost.py predicts from, and the steps that it is compared with.

Called by `make MPI=1 hosts-measure`, as root, on a machine that does nothing else.
usage: measure.py PROGRAM MEASURE_RANKS [PART ...]    parts: compute, exchange, steps, small_steps, crowded, tokenizer;
without one, all of them, a quarter of an hour

Each part replaces its figures in docs/tools/distributed_measured.json. The hosts are network namespaces of this machine
(with_hosts.sh), so that they share its processors: one rank with one thread on each host, and more hosts than processors
are marked as oversubscribed in the book. Only the standard library is used.
"""
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import statistics
import struct
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
WITH_HOSTS = TOP / "tests/hosts/with_hosts.sh"
RESULT = TOP / "docs/tools/distributed_measured.json"
WORK = TOP / "build/hosts-measure"
CONTEXT, VOCABULARY, PARAMETERS = 256, 10000, 22696448  # the reference model: the defaults of `cs336 train`

# rate: bits per second for the model, 0 without a limit
RATES = {"100mbit": 1e8, "300mbit": 3e8, "1gbit": 1e9, "10gbit": 1e10, "any": 0}
EXCHANGES = [(2, "100mbit"), (2, "1gbit"), (2, "10gbit"), (2, "any"), (4, "1gbit"), (4, "any"), (8, "1gbit")]
STEPS = [(2, rate, 32) for rate in RATES]
SMALL_STEPS = [(2, rate, 8) for rate in ("100mbit", "1gbit", "any")]
CROWDED_STEPS = [(4, "1gbit", 32), (4, "any", 32), (8, "1gbit", 32)]  # more hosts than processors

os.environ.update(OMP_WAIT_POLICY="passive", CS336_HOSTS_SLOTS="1")


def run(*command):
    """Runs a command. Returns what it printed."""
    result = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            encoding="utf-8", errors="replace")
    if result.returncode:
        sys.exit(f"measure.py: this command failed: {shlex.join(str(word) for word in command)}\n{result.stdout}")
    return result.stdout


def train_command(program, out, batch, steps, threads=1):
    return [str(program), "train", "--train", str(WORK / "ids.bin"), "--out", str(out), "--overwrite", "--batch-size",
            str(batch), "--steps", str(steps), "--log-every", "1", "--threads", str(threads)]


def step_of(out, batch):
    """The median step of a run without its first: seconds, seconds of the exchange, and those that the step waited."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()][1:]
    middle = lambda key, of: statistics.median(of(line[key]) for line in lines if key in line) if key in lines[0] else 0
    return {"seconds": middle("tokens_per_second", lambda speed: batch * CONTEXT / speed),
            "exchange": middle("exchange_seconds", float), "waited": middle("exchange_wait_seconds", float)}


def measure_compute(program):
    """Steps of processes that do not know of each other: `processes` at a time, with `threads` each."""
    rows = []
    for processes, threads, batch in ((1, 1, 4), (1, 1, 16), (2, 1, 4), (2, 1, 16), (1, 2, 8), (1, 2, 32)):
        outs = [WORK / f"alone{number}" for number in range(processes)]
        running = []
        try:
            running += [subprocess.Popen(train_command(program, out, batch, 5, threads), stdout=subprocess.DEVNULL) for out in outs]
            if any([process.wait() for process in running]):
                sys.exit("measure.py: cs336 train failed")
        finally:
            for process in running:
                process.kill()
        seconds = statistics.mean(step_of(out, batch)["seconds"] for out in outs)
        rows.append({"processes": processes, "threads": threads, "batch": batch, "seconds": round(seconds, 4)})
        print(rows[-1], flush=True)
    return rows


def measure_exchange(measure_ranks):
    rows = []
    for hosts, rate in EXCHANGES:
        numbers = PARAMETERS // 4 if RATES[rate] == 1e8 else PARAMETERS
        printed = run(WITH_HOSTS, hosts, rate, "mpirun", "-q", "-n", hosts, measure_ranks, numbers)
        rows.append({"rate": rate, "bits": RATES[rate], **json.loads(printed.splitlines()[-1])})
        print(rows[-1], flush=True)
    return rows


def measure_steps(program, steps):
    rows = []
    for hosts, rate, batch in steps:
        out = WORK / "hosts"
        run(WITH_HOSTS, hosts, rate, "mpirun", "-q", "-n", hosts, *train_command(program, out, batch, 5))
        rows.append({"hosts": hosts, "rate": rate, "bits": RATES[rate], "batch": batch,
                     **{key: round(value, 4) for key, value in step_of(out, batch).items()}})
        print(rows[-1], flush=True)
    return rows


def measure_tokenizer(program):
    """Training a vocabulary of 32 000 on the beginning of the text CS336_TEXT, and encoding it; one process, one thread."""
    text = pathlib.Path(os.environ.get("CS336_TEXT", ""))
    if not text.is_file():
        sys.exit("measure.py: the part tokenizer needs a text of 40 MB or more, named by CS336_TEXT")
    tokenizer, part, rows = WORK / "tokenizer.json", WORK / "text", []
    # The last text is the one before, five times: no new words, so that the rest of the time is that of counting.
    for megabytes, times in ((1, 1), (4, 1), (10, 1), (40, 1), (40, 5)):
        part.write_bytes(text.read_bytes()[:megabytes * 10 ** 6] * times)
        printed = [run(program, "train-bpe", "--threads", 1, "--input", part, "--vocab-size", 32000, "--special-token",
                       "<|endoftext|>", "--tokenizer", tokenizer) for _ in range(3)]
        words = int(re.search(r"(\d+) of them distinct", printed[0]).group(1))
        seconds = min(float(re.search(r"^([\d.]+) s ", text, re.M).group(1)) for text in printed)
        memory = int(re.search(r"peak memory (\d+) MB", printed[0]).group(1))
        rows.append({"bytes": part.stat().st_size, "times": times, "words": words, "seconds": seconds, "memory_mb": memory})
        print(rows[-1], flush=True)
    printed = [run(program, "encode", "--threads", 1, "--tokenizer", tokenizer, "--input", part, "--output", WORK / "ids")
               for _ in range(3)]
    rows.append({"encode_mb_per_second": max(float(re.search(r"([\d.]+) MB/s", text).group(1)) for text in printed),
                 "bytes_per_token": float(re.search(r"([\d.]+) bytes per token", printed[0]).group(1))})
    print(rows[-1], flush=True)
    return rows


def machine(program):
    """Which CPU and which instruction set."""
    printed = run(*train_command(program, WORK / "machine", 1, 1))
    cpu = dict(re.findall(r"^(model name|cpu family|model)\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M))
    return {"cpu": f"{cpu.get('model name', '')}, family {cpu.get('cpu family')}, model {cpu.get('model')}",
            "processors": os.cpu_count(), "runs": re.search(r"^machine +(.*)$", printed, re.M).group(1)}


def written(measured):
    """JSON with one row of figures a line."""
    rows = lambda part: "[\n" + ",\n".join("  " + json.dumps(row) for row in part) + "\n ]"
    return "{\n" + ",\n".join(f' {json.dumps(name)}: {json.dumps(part) if isinstance(part, dict) else rows(part)}'
                              for name, part in measured.items()) + "\n}\n"


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    program, measure_ranks, parts = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve(), sys.argv[3:]
    functions = {"compute": lambda: measure_compute(program), "exchange": lambda: measure_exchange(measure_ranks),
                 "steps": lambda: measure_steps(program, STEPS),
                 "small_steps": lambda: measure_steps(program, SMALL_STEPS), "crowded": lambda: measure_steps(program, CROWDED_STEPS),
                 "tokenizer": lambda: measure_tokenizer(program)}
    if not set(parts) <= set(functions):
        sys.exit(f"measure.py: the parts are {', '.join(functions)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("measure.py: ended by a signal"))
    WORK.mkdir(parents=True, exist_ok=True)
    draw = random.Random(1)
    (WORK / "ids.bin").write_bytes(struct.pack("<200000H", *(draw.randrange(VOCABULARY) for _ in range(200000))))
    measured = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    measured["machine"] = machine(program)
    for part in parts or functions:
        measured[part] = functions[part]()
        RESULT.write_text(written(measured), encoding="utf-8")
    shutil.rmtree(WORK)
    print(f"{RESULT.relative_to(TOP)}: written; `make numbers` writes what follows from it into the book")


if __name__ == "__main__":
    main()
