"""A plugin of pytest for the course's suite. run.sh loads it with `-p plugin`.

- It finds the tests that read a fixture which make_missing.py has made, and reports them apart at the end.
- With OFFICIAL_RECORD=1, which goes with torch_adapters.py, a test that reads the weights of make_missing.py saves its
  snapshot in place of comparing it. All other tests compare with the course's snapshots.

The file `replaced` beside the tests has the name of each fixture that was made, one a line.
"""

import inspect
import os
import pathlib

import numpy as np
import pytest

RECORD = os.environ.get("OFFICIAL_RECORD") == "1"
WEIGHTS, TEXT = "model.pt", "tinystories_sample_5M.txt"
_replaced: dict[str, list[str]] = {}  # by fixture: the tests that have read it
_outcomes: dict[str, str] = {}  # by test: "passed", "failed", "xfailed", ...


def _made() -> set[str]:
    path = pathlib.Path("replaced")
    return set(path.read_text().split()) if path.exists() else set()


def _reads(item: pytest.Function) -> str | None:
    """Returns the made fixture that a test reads, or None."""
    made = _made()
    if WEIGHTS in made and "ts_state_dict" in item.fixturenames:
        return WEIGHTS
    return TEXT if TEXT in made and TEXT in inspect.getsource(item.function) else None


@pytest.hookimpl(trylast=True)  # after `-k` has taken items away
def pytest_collection_modifyitems(items):
    for item in items:
        fixture = _reads(item)
        if fixture:
            _replaced.setdefault(fixture, []).append(item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    if not (RECORD and _reads(item) == WEIGHTS):
        return (yield)
    snapshot = item.funcargs["numpy_snapshot"]
    snapshot.assert_match = lambda actual, **tolerances: np.savez(snapshot._get_snapshot_path(item.name), array=actual)
    return (yield)


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        expected = {"skipped": "xfailed", "passed": "xpassed"} if hasattr(report, "wasxfail") else {}
        _outcomes[report.nodeid] = expected.get(report.outcome, report.outcome)


def pytest_terminal_summary(terminalreporter):
    write = terminalreporter.write_line
    for fixture, tests in _replaced.items():
        write(f"{len(tests)} tests ran on a replaced fixture, {fixture}, which this copy of the course lacks:")
        for test in tests:
            write(f"  {_outcomes.get(test, 'not run'):8} {test}")
    ours = sum(len(tests) for tests in _replaced.values())
    write(f"{len(_outcomes) - ours} tests ran on the course's own fixtures")
