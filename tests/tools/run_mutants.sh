#!/bin/sh
# Mutation testing: tests the tests. Each tests/mutants/*.patch is a plausible wrong solution of one problem. Its line
# "Test: NAME" names the course test that must fail with it. usage: run_mutants.sh [substring of a patch's name]
# PART=1/3 takes the first of every three.
set -u
export OMP_WAIT_POLICY=passive # as in `make test`: threads that wait leave the processor to others
tree=build/mutants selection=${1-} part=${PART:-1/1} number=0 caught=0 survived=0
echo "$part" | grep -qxE '[1-9][0-9]*/[1-9][0-9]*' || { echo "run_mutants: PART is \"$part\", expected such as 1/3" >&2; exit 2; }

rm -rf "$tree" && mkdir -p "$tree" || exit 1
cp -R Makefile cs336_basics tests "$tree" && mkdir "$tree/docs" && cp -R docs/live docs/experiments "$tree/docs" || exit 1
make -C "$tree" -j2 all build/release/run_tests >"$tree/log" 2>&1 || { tail -20 "$tree/log"; exit 1; }
right=right # the programs of the right sources, below $tree
mkdir "$tree/$right" && cp "$tree/build/release/run_tests" "$tree/build/cs336" "$tree/$right" || exit 1

# True if a test passes with the right sources.
passed=' '
passes() { # test
    case $passed in *" $1 "*) return 0 ;; esac
    (cd "$tree" && K=$1 CS336=$right/cs336 $right/run_tests >log 2>&1) && passed="$passed$1 "
}

# Apply each patch to a copy of the sources, build, run its test, and undo the patch.
for patch in tests/mutants/*"$selection"*.patch; do
    [ -e "$patch" ] || { echo "run_mutants: no patch's name contains \"$selection\"" >&2; exit 2; }
    number=$((number + 1))
    [ $((number % ${part#*/})) -eq $((${part%/*} % ${part#*/})) ] || continue
    name=$(basename "$patch" .patch) test=$(sed -n 's/^Test: //p' "$patch")
    passes "$test" || { tail "$tree/log"; echo "run_mutants: $test must pass before a wrong solution can make it fail" >&2; exit 1; }
    if ! patch -s -p1 -d "$tree" <"$patch"; then
        verdict='DOES NOT APPLY'
    elif ! make -C "$tree" -j2 all build/release/run_tests >"$tree/log" 2>&1; then
        verdict='DOES NOT COMPILE'
    elif ! (cd "$tree" && K=$test CS336=build/cs336 build/release/run_tests >log 2>&1; [ $? -ne 2 ]); then
        verdict='NAMES NO TEST'
    elif ! grep -qE ":[FE]:$test:$test:" "$tree/log"; then
        verdict=SURVIVED
    else
        verdict=caught
    fi
    printf '%-9s %-48s %s\n' "$verdict" "$name" "$test"
    if [ "$verdict" = caught ]; then caught=$((caught + 1)); else survived=$((survived + 1)); fi
    patch -s -R -p1 -d "$tree" <"$patch" 2>/dev/null
done
echo "$caught wrong solutions caught, $survived not"
[ "$survived" -eq 0 ]
