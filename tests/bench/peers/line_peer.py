"""What the benchmarks' peers have in common: one request a line on standard input, one answer a line on standard output.

tests/bench/process.h is the other end. An answer is a number, or "error WHY"; the first line is "ready", or "absent"
where the library is not installed.
"""
import resource
import sys


def absent():
    print("absent")
    sys.exit()


def serve(answer):
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            print(f"{answer(line.rstrip(chr(10))):.9g}", flush=True)
        except Exception as error:  # whatever it is, the bench shows it in the row
            print("error", " ".join(f"{type(error).__name__}: {error}".split())[:150], flush=True)


def peak():
    """Bytes: the most memory that this process has had."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
