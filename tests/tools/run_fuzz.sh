#!/bin/sh
# Builds the fuzz targets of tests/fuzz with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer, and runs them.
# Called by `make fuzz`. usage: run_fuzz.sh [TARGET] [MINUTES]
# Inputs that reach new code are kept in build/fuzz/TARGET/corpus, those that show a fault in build/fuzz/TARGET.
# Ends with 1 if a target found a fault.
set -u
minutes=${2:-10} clang=${CLANG:-clang} failed=0 folder=build/fuzz
seconds=$(awk -v m="$minutes" 'BEGIN {s = m * 60; print s < 1 ? 1 : int(s)}')
all=$(sed -n 's/^ *X(\([a-z0-9_]*\)).*/\1/p' tests/fuzz/fuzz.h)
targets=${1:-$all}
for target in $targets; do
    if [ ! -f "tests/fuzz/fuzz_$target.c" ]; then
        echo "make fuzz: no target \"$target\"; there are: $(echo $all)" >&2
        exit 2
    fi
done

mkdir -p $folder
trial='int LLVMFuzzerTestOneInput(const unsigned char *data, unsigned long size) {return data && size > 99;}'
if ! echo "$trial" | $clang -fsanitize=fuzzer,address,undefined -x c - -o $folder/trial 2>$folder/trial.log; then
    echo "skipped: $clang cannot link -fsanitize=fuzzer,address,undefined (Debian: packages clang and" \
        "libclang-rt-VERSION-dev); CLANG=name tries another compiler"
    exit 0
fi
rm -f $folder/trial $folder/trial.log

$MAKE BUILD=fuzz CC="$clang" OPENMP=0 OPTIMIZE=-O2 CPPFLAGS="${CPPFLAGS-} -DCS336_INSTRUMENTED" \
    SANITIZE='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer' \
    $folder/run_fuzz || exit 1

# The targets write small files thousands of times a second. /dev/shm is in memory.
parent=${TMPDIR:-/tmp}
[ -d /dev/shm ] && [ -w /dev/shm ] && parent=/dev/shm
TMPDIR=$(mktemp -d "$parent/cs336_fuzz_XXXXXX") || exit 1
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 130' INT TERM

for target in $targets; do
    mkdir -p $folder/$target/corpus
    ln -sf run_fuzz "$folder/fuzz_$target"
    log=$folder/$target/log
    # The target keeps its tokenizers, and the search for leaks would walk through them again and again.
    leaks=1 longest=4096
    [ "$target" = encode ] && leaks=0 longest=400
    # A run may take 20 s, a thousand times the usual: a machine that does much else is slow.
    "$folder/fuzz_$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=$longest \
        -detect_leaks=$leaks -print_final_stats=1 -artifact_prefix=$folder/$target/ $folder/$target/corpus "tests/fuzz/corpus/$target" >$log 2>&1
    code=$?
    runs=$(awk '/^stat::number_of_executed_units/ {print $2}' $log)
    rate=$(awk '/^stat::average_exec_per_sec/ {print $2}' $log)
    if [ $code = 0 ]; then
        printf '%-12s %9d runs, %6d a second, no fault\n' "$target" "$runs" "$rate"
        continue
    fi
    failed=1
    echo "$target: a fault, at the end of $log:"
    grep -E 'SUMMARY|ERROR|runtime error|\.c:[0-9]+:' $log | head -5
    input=$(sed -n 's/.*Test unit written to \(.*\)/\1/p' $log | tail -1)
    echo "To see it again:  $folder/fuzz_$target ${input:-INPUT}"
    echo "To keep it:       cp ${input:-INPUT} tests/fuzz/corpus/$target/NAME-OF-THE-FAULT, and make test K=fuzz_$target"
done
exit $failed
