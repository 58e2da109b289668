#!/bin/sh
# Installs the Python package into build/python/site and tests it there. Called by `make python`.
# usage: [K=NAME] [CK_VERBOSITY=verbose] test_python.sh PYTHON
# pip's --target installs beside PYTHON's own packages without changing them, so the tests also find numpy, and the
# libraries that they compare with, in a PYTHON that is a virtual environment itself.
set -eu
python=$1 site=build/python/site
fail() {
    echo "make python: $1; PYTHON= names a python3 (3.9 or newer) with numpy and pip" >&2
    exit 1
}
command -v "$python" >/dev/null || fail "there is no $python"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' || fail "$("$python" --version) is too old"
"$python" -c 'import numpy' 2>/dev/null || fail "$python has no numpy"
"$python" -m pip --version >/dev/null 2>&1 || fail "$python has no pip"

rm -rf "$site"
"$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --target "$site" ./cs336_basics/python
echo "installed the package cs336 into $site"
PYTHONPATH=$(pwd)/$site PYTHONDONTWRITEBYTECODE=1 exec "$python" tests/python/run_tests.py
