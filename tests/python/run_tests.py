"""Runs the tests of this folder. Called by `make python`.

The variable K selects the tests with this text in their name. CK_VERBOSITY=verbose prints each test.
"""

import os
import pathlib
import sys
import unittest

loader = unittest.TestLoader()
selected = os.environ.get("K")
if selected:
    loader.testNamePatterns = [f"*{selected}*"]
suite = loader.discover(str(pathlib.Path(__file__).parent))
if suite.countTestCases() == 0:
    sys.exit(f"make python: no test has {selected!r} in its name")
result = unittest.TextTestRunner(verbosity=2 if os.environ.get("CK_VERBOSITY") == "verbose" else 1).run(suite)
for test, reason in result.skipped:
    print(f"skipped: {test.id()}: {reason}")
sys.exit(not result.wasSuccessful())
