#!/bin/sh
# Draws docs/figures/growth_bpe.svg from the rows of `make bench K='bpe growth'`. Needs gnuplot.
# usage: growth_figure.sh [BENCH.JSONL [OUTPUT.SVG]]
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rows() { # name of the measurement, file to write: lines of "megabytes ours peer"
    sed -n 's/.*"name":"bpe growth '"$1"', \([0-9]*\)[^"]*","ours":\([0-9.]*\),.*"peer":\([0-9.a-z]*\),.*/\1 \2 \3/p' \
        "$input" | sed 's/null/NaN/' > "$work/$2"
    [ -s "$work/$2" ] || { echo "growth_figure.sh: no rows 'bpe growth $1' in $input" >&2; exit 1; }
}
input=${1:-build/bench/bench.jsonl}
rows 'train time' time
rows 'train memory' train
rows 'encode speed' speed
rows 'encode memory' encode
rows 'train time, merges' merges
gnuplot <<END
set terminal svg size 860,600 font "sans-serif,12" background "white"
set output "${2:-docs/figures/growth_bpe.svg}"
set multiplot layout 2,2
set border 3 linecolor "#757575"
set tics nomirror out
set grid linecolor "#e3e3e3"
set key bottom right
set style line 1 linewidth 2 pointtype 7 pointsize 0.6 linecolor "#4472a8"
set style line 2 linewidth 2 pointtype 5 pointsize 0.6 linecolor "#b85c00"
set style line 4 linewidth 2 pointtype 9 pointsize 0.6 linecolor "#2e8049"
set style line 3 dashtype 2 linecolor "#757575"
set logscale x
set xrange [0.8:400]
set xtics (1, 3, 10, 30, 100, 300)
set xlabel "text, MB"
set title "Training, 10 000 merges"
set ylabel "seconds"
set logscale y
stats "$work/time" using (\$1 == 1 ? \$2 : 1/0) nooutput
plot "$work/time" with linespoints linestyle 1 title "training", \
     "$work/time" using 1:3 with linespoints linestyle 4 title "gigabpe", STATS_min * x linestyle 3 title "proportional to the text"
unset logscale y
set key top left
set title "Peak memory of the process"
set ylabel "MB"
set yrange [0:*]
plot "$work/train" with linespoints linestyle 1 title "training", \
     "$work/train" using 1:3 with linespoints linestyle 4 title "gigabpe", \
     "$work/encode" with linespoints linestyle 2 title "encoding"
set title "Encoding, one thread"
set ylabel "MB/s"
set key off
plot "$work/speed" with linespoints linestyle 1
set title "Training on 30 MB"
set ylabel "seconds"
set xlabel "merges, thousands"
set xrange [3:80]
set xtics (4, 8, 16, 32, 64)
set key on top left
plot "$work/merges" using (\$1 / 1000):2 with linespoints linestyle 1 title "training", \
     "" using (\$1 / 1000):3 with linespoints linestyle 4 title "gigabpe"
END
