#!/bin/sh
# Runs the course's own test suite, unmodified, over libcs336. Called by `make official`.
# usage: run.sh PROGRAM LIBRARY COURSE PYTHON [PYTEST ARGUMENTS]
#   PROGRAM, LIBRARY  ours: build/cs336 and build/libcs336.so
#   COURSE            a clone of the course's repository, or its tests/fixtures, which `make test` reads too
#   PYTHON            a Python with torch and what else the course's tests import
# The course's directory is only read. Its tests are copied to build/official/course, adapters.py there is replaced by
# ours, and pytest runs in that copy.
set -eu
program=$1 library=$2 course=$3 python=$4
shift 4
here=tests/official
work=build/official

fail() {
    echo "official: $*" >&2
    exit 1
}

# What is missing, in one line.
repository='the repository stanford-cs336/assignment1-basics on GitHub'
[ -n "$course" ] || fail "COURSE is not set; make official COURSE=dir, where dir is a clone of $repository"
[ -d "$course" ] || fail "COURSE is '$course', and there is no such directory; it should be a clone of $repository"
[ -d "$course/tests" ] || [ ! -f "$course/../conftest.py" ] || course=$course/../..
for file in tests/conftest.py tests/adapters.py tests/fixtures/gpt2_vocab.json; do
    [ -f "$course/$file" ] || fail "COURSE is '$course', which has no $file; it should be a clone of $repository"
done
command -v "$python" >/dev/null 2>&1 || fail "there is no program '$python'; PYTHON= names a Python >= 3.12"
unread=$("$python" - "$course" <<'PY' 2>/dev/null || echo 'no Python'
import ast, glob, os, sys
for path in sorted(glob.glob(os.path.join(sys.argv[1], "tests", "*.py"))):
    try:
        with open(path, encoding="utf-8") as file:
            ast.parse(file.read())
    except SyntaxError:
        print(f"Python {sys.version_info[0]}.{sys.version_info[1]}, which cannot read tests/{os.path.basename(path)}")
        break
PY
)
[ -z "$unread" ] || fail "PYTHON is '$python': $unread; this edition of the course needs Python >= 3.12"
absent=$("$python" -c 'import importlib.util as u
print(" ".join(n for n in "torch numpy pytest einops psutil tiktoken".split() if not u.find_spec(n)))')
[ -z "$absent" ] || fail "PYTHON is '$python', which has no $absent: pip install $absent, or PYTHON= names another"

# The copy.
rm -rf "$work/course"
mkdir -p "$work/course"
cp -R "$course/tests" "$work/course/tests"
chmod -R u+w "$work/course/tests"
find "$work/course/tests" -name __pycache__ -prune -exec rm -rf {} +
[ ! -f "$course/pyproject.toml" ] || cp "$course/pyproject.toml" "$work/course/"

# The fixtures that this copy lacks, and their snapshots by PyTorch.
export PYTHONDONTWRITEBYTECODE=1 CS336_LIBRARY="$PWD/$library"
export PYTHONPATH="$PWD/$here:$PWD/cs336_basics/python${PYTHONPATH:+:$PYTHONPATH}"
export TIKTOKEN_CACHE_DIR="$PWD/$work/tiktoken"
run_pytest() {
    (cd "$work/course" && "$python" -m pytest -p plugin -p no:cacheprovider -q "$@")
}
"$python" "$here/make_missing.py" "$work/course/tests" "$program"
"$python" "$here/tiktoken_cache.py" "$work/course/tests/fixtures" "$TIKTOKEN_CACHE_DIR"
if grep -qx model.pt "$work/course/replaced"; then
    cp "$here/torch_adapters.py" "$work/course/tests/adapters.py"
    OFFICIAL_RECORD=1 run_pytest tests/test_model.py >"$work/record.txt" 2>&1 || {
        cat "$work/record.txt" >&2
        fail "PyTorch's own operations do not pass the course's test_model.py, so no snapshot can be made with them"
    }
fi

cp "$here/adapters.py" "$work/course/tests/adapters.py"
code=0
run_pytest "$@" || code=$?

# What the course does not ask of the adapters; -k selects among the course's tests only.
[ $# -gt 0 ] || run_pytest -p no:plugin ../../../tests/official/test_adapters.py || code=1
exit $code
