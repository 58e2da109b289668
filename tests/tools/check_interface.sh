#!/bin/sh
# Checks what a host program sees of the library. Called by `make interface`.
# usage: check_interface.sh CC CXX SHARED_LIBRARY STATIC_LIBRARY LDFLAGS PYTHON
# 1. Every header compiles alone, as C and, where there is a C++ compiler, as C++.
# 2. The shared library exports the functions between CS336_API_BEGIN and CS336_API_END, and no others.
# 3. Training steps, learning a vocabulary and encoding link without jansson.
# 4. Python's copies of structs and functions are those of the headers, where there is a Python with numpy.
set -eu
cc=$1 cxx=$2 shared=$3 static=$4 flags=$5 python=$6
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wrong=0

# Kernels and their vectors are compiled only by NAME_portable.c, NAME_avx2.c, ..., which say how wide a vector is.
headers=$(find cs336_basics -name '*.h' ! -name '*_kernel.h' ! -name vector.h ! -name tile.h ! -name byte_group.h | sort)
count=0
for header in $headers; do
    count=$((count + 1))
    include=${header#cs336_basics/}
    printf '#include "%s"\n#include "%s"\n' "$include" "$include" >"$work/one.c"
    $cc -std=c11 -Wall -Wextra -Werror -Ics336_basics -fsyntax-only "$work/one.c" || wrong=1
done
echo "$count headers compile alone as C"

if $cxx --version >/dev/null 2>&1; then # may be several words, such as ccache g++
    for header in $headers; do
        printf '#include "%s"\n' "${header#cs336_basics/}"
    done >"$work/all.cpp"
    $cxx -std=c++17 -Wall -Wextra -Werror -Ics336_basics -fsyntax-only "$work/all.cpp" || wrong=1
    echo "$count headers compile together as C++"
else
    echo "skipped: no C++ compiler ($cxx): headers were not compiled as C++"
fi

# Names that a header declares between the two macros, as the compiler sees them.
grep -lE '^CS336_API_BEGIN' $headers | while read -r header; do
    printf '#include "%s"\n' "${header#cs336_basics/}"
done >"$work/api.c"
nm -g "$shared" 2>/dev/null | awk '$2 ~ /^[TDBR]$/ {print $3}' | sed 's/^_//' | sort >"$work/exported.nm" || true
nm -D --defined-only "$shared" 2>/dev/null | awk '$2 ~ /^[TDBR]$/ {print $3}' | sort >"$work/exported"
[ -s "$work/exported" ] || cp "$work/exported.nm" "$work/exported"
for header in $(grep -lE '^CS336_API_BEGIN' $headers); do
    sed -n '/^CS336_API_BEGIN/,/^CS336_API_END/p' "$header"
done >"$work/declared"
while read -r name; do
    grep -qw "$name" "$work/declared" || { echo "exported, but in no public header: $name"; wrong=1; }
done <"$work/exported"
echo "$(wc -l <"$work/exported") names exported"

# Only these three pages of work may be called without a JSON library beside them.
cat >"$work/no_json.c" <<'C'
#include "tokenizer/encode/encoder.h"
#include "tokenizer/learn/bpe_train.h"
#include "train/trainer.h"
int main(void)
{
    void (*volatile used[])(void) = {(void (*)(void))trainer_step, (void (*)(void))trainer_init,
                                     (void (*)(void))bpe_train, (void (*)(void))tokenizer_encode,
                                     (void (*)(void))encoder_feed};
    return used[0] == 0;
}
C
if $cc -std=c11 -Ics336_basics "$work/no_json.c" "$static" $flags -lm -o "$work/no_json"; then
    echo 'training steps, learning and encoding link without jansson'
else
    wrong=1
fi

if "$python" -c 'import numpy' 2>/dev/null; then
    CS336_LIBRARY=$PWD/$shared PYTHONDONTWRITEBYTECODE=1 "$python" tests/tools/check_python_layout.py "$cc" || wrong=1
else
    echo "skipped: $python has no numpy: Python's copies of structs and functions were not compared; PYTHON= names another"
fi
exit $wrong
