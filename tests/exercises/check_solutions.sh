#!/bin/sh
# Proves that the textbook solutions are right, and that the tests test them. For each exercise of the table:
#   1. its functions come from the solution: in the linked program they are no longer weak symbols;
#   2. every test of the row passes with the solution in place of our functions;
#   3. every test of the row fails when these functions only say TODO, so each of them calls the solution.
# All solutions together are checked in the same way, but for 3. Last, a function that our own code calls inside one file
# must be replaced there as well.
# usage: check_solutions.sh TABLE DIRECTORY NM; make solutions-check has linked the programs
set -u
table=$1 programs=$2 nm=$3
export OMP_WAIT_POLICY=passive

# Runs one test, selected by its full name, and prints Check's report.
run() { # program, test
    K=$2 CK_RUN_CASE=$2 "$1" 2>&1
}
passes() {
    report=$(run "$1" "$2")
    printf '%s\n' "$report" | grep -q '^100%: Checks: 1,'
}
fails() {
    report=$(run "$1" "$2")
    printf '%s\n' "$report" | grep -q '^0%: Checks: 1,'
}
column() { # number, exercise ...: the words of that column of these rows
    number=$1
    shift
    for exercise; do
        awk -F'\t' -v id="$exercise" -v n="$number" '$1 == id && $n != "-" {gsub(",", " ", $n); print $n}' "$table"
    done
}

# Checks one exercise, or "all" of them together. Prints a line and, below it, what is wrong.
check() { # name, exercise ...
    name=$1 wrong='' count=0
    shift
    functions=$(column 5 "$@")
    for function in $functions; do
        # The linker turns hidden symbols, those of the tests, into local ones: t instead of T. Weak is w or W.
        "$nm" "$programs/$name/solved" | grep -q " [Tt] $function\$" ||
            wrong="$wrong
  $function is not the solution's"
    done
    for test in $(for n in 7 8; do column $n "$@"; done | tr ' ' '\n' | awk '!seen[$0]++'); do
        count=$((count + 1))
        passes "$programs/$name/solved" "$test" || wrong="$wrong
  $test does not pass: $(printf '%s\n' "$report" | grep -E ':[FE]:' | tail -1)"
        [ "$name" = all ] || fails "$programs/$name/todo" "$test" || wrong="$wrong
  $test does not fail with functions that say TODO"
    done
    [ "$count" -gt 0 ] || wrong="$wrong
  no tests"
    [ "$name" = all ] && functions="all $(echo $functions | wc -w) functions"
    printf '%-27s %3d tests   %s%s\n' "$name" "$count" "$(echo $functions)" "$wrong"
    [ -z "$wrong" ]
}

exercises=$(awk -F'\t' '!/^(#|id\t)/ {print $1}' "$table")
if [ $# -eq 4 ]; then # the script's call of itself, below
    if [ "$4" = all ]; then set -- all $exercises; else set -- "$4" "$4"; fi
    check "$@" >"$programs/$1/report"
    exit
fi

# As many exercises at a time as there are processors; reports in the order of the table.
printf '%s\n' all $exercises | xargs -P "$(getconf _NPROCESSORS_ONLN)" -I '{}' "$0" "$table" "$programs" "$nm" '{}'
status=$?
for name in $exercises all; do cat "$programs/$name/report"; done
fails "$programs/inside/todo" test_gradient_clipping || {
    echo 'inside: clip_gradients() does not reach a clip_factor() that says TODO: calls inside a file are not replaced'
    status=1
}
[ "$status" -eq 0 ] && echo "$(echo $exercises | wc -w) solutions are right, alone and all together"
