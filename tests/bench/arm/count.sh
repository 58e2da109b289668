#!/bin/sh
# Counts the instructions of the kernels on ARM with a plugin of QEMU. Called by `make bench-arm`.
# usage: count.sh PROGRAM HOST_CC [NAME], where PROGRAM is kernels.c of this folder, compiled for ARM. NAME selects by name.
# With V=1 the functions that execute more than a twentieth of the instructions follow each line.
set -eu
program=$1 cc=$2 selected=${3-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
folder=$(dirname "$0")
$cc -std=c11 -D_POSIX_C_SOURCE=200809L -O2 -Wall -Wextra -Werror -fPIC -shared "$folder/count_plugin.c" -o "$work/count.so"
count() { # name, rounds: writes $work/ROUNDS. QEMU reads the names of functions only when it logs, here to nowhere.
    OMP_NUM_THREADS=1 qemu-aarch64 -d plugin -D /dev/null -plugin "file=$work/count.so,counts=$work/$2" "$program" "$1" "$2"
}
qemu-aarch64 "$program" | grep -F "$selected" >"$work/works" || { echo "make bench-arm: no name contains \"$selected\"" >&2; exit 2; }
echo 'instructions for each:'
tab=$(printf '\t')
while IFS=$tab read -r name unit units; do
    count "$name" 1
    count "$name" 3
    awk -v name="$name" -v unit="$unit" -v units="$units" -v names="${V-}" '
        NR == FNR {before[$1] = $2; next}
        {rounds[$1] = ($2 - before[$1]) / 2}
        END {
            printf "%-28s %-13s %8.3f\n", name, unit, rounds["total"] / units
            for (f in rounds)
                if (names && f != "total" && rounds[f] > rounds["total"] / 20)
                    printf "    %-40s %8.3f\n", f, rounds[f] / units
        }' "$work/1" "$work/3"
done <"$work/works"
