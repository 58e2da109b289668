#!/bin/sh
# Draws docs/figures/ladder.svg from build/bench/bench.jsonl after `make bench K='ladder matmul'`. Needs gnuplot.
set -eu
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
sed -n 's/.*"name":"ladder matmul 1024x1024x1024 \([^"]*\)","ours":\([0-9.]*\),.*"limit":\([0-9.]*\).*/"\1"\t\2\t\3/p' \
    "${1:-build/bench/bench.jsonl}" > "$rows"
[ -s "$rows" ] || { echo "ladder_figure.sh: no rows of the ladder" >&2; exit 1; }
gnuplot <<END
set terminal svg size 760,300 font "sans-serif,12" background "white"
set output "${2:-docs/figures/ladder.svg}"
set datafile separator "\t"
set xrange [0.3:1200]
set logscale x
set yrange [*:*] reverse
set xlabel "GFLOP/s, 1024 x 1024 x 1024"
set border 3
set tics nomirror out
set key off
set errorbars 0
plot "$rows" using (0.3):0:(0.3):2:(\$0-0.35):(\$0+0.35):ytic(1) with boxxyerror fill solid 0.8 noborder linecolor "#4472a8", \
     "" using (700):0:(sprintf("%.3g", \$2)) with labels left, \
     "" using 3:0:(0):(0):(\$0-0.45):(\$0+0.45) with xyerrorbars pointtype 0 linewidth 2 linecolor "#c0504d"
END
