"""The loop of a line peer: it reads one request a line from standard input and answers on standard output.

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
    """Returns the peak memory of this process in bytes."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
