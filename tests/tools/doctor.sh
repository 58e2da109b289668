#!/bin/sh
# Prints which tools and libraries are installed, and what each missing one is for. Called by `make doctor` with the
# compiler and the OpenMP flags.
compiler=$1 openmp=$2 missing=0

row() { printf '  %-15s %-9s %s\n' "$1" "$2" "$3"; }
# no: optional; MISSING: the main job needs it
absent() { # name, what for, no|MISSING
    row "$1" "$3" "$2"
    [ "$3" = no ] || missing=1
}
program() {
    if command -v "$1" >/dev/null 2>&1; then row "$1" yes "$("$1" --version 2>&1 | grep -m1 '[0-9]\.[0-9]')"; else absent "$@"; fi
}
library() {
    if pkg-config --exists "$1" 2>/dev/null; then row "$1" yes "$(pkg-config --modversion "$1")"; else absent "$@"; fi
}

echo 'For the main job (make demo):'
program "$compiler" 'a C11 compiler: nothing builds without it' MISSING
program pkg-config 'finds the libraries' MISSING
library jansson 'JSON: vocabularies, configurations, checkpoints' MISSING
library zlib 'reads .gz texts (package zlib1g-dev)' no
library libzstd 'reads .zst texts (package libzstd-dev)' no
library ompi-c 'MPI=1: training and tokenizing by several processes or machines under mpirun (package libopenmpi-dev)' no
if [ -n "$openmp" ]; then row OpenMP yes "$openmp"; else absent OpenMP 'more than one thread' no; fi
# The CPU's matrix unit: /proc/cpuinfo shows it if the kernel can save its registers, and the kernel permits each process.
if ! grep -qw amx_bf16 /proc/cpuinfo 2>/dev/null; then row AMX no 'a matrix unit: matrix products several times as fast'
else
    asks=$(mktemp)
    printf '#include <sys/syscall.h>\n#include <unistd.h>\nint main(void) { return syscall(SYS_arch_prctl, 0x1023, 18) != 0; }\n' |
        "$compiler" -x c -D_DEFAULT_SOURCE - -o "$asks" 2>/dev/null
    if "$asks"; then row AMX yes 'the matrix unit'
    else row AMX refused 'the CPU has it, but its system does not let programs use it'; fi
    rm -f "$asks"
fi
echo 'For the tests (make test):'
library check 'the test suites' no
echo 'Optional:'
program clang 'a second compiler; make tsan, make fuzz' no
program valgrind 'make valgrind' no
program aarch64-linux-gnu-gcc 'make arm, make bench-arm (package gcc-aarch64-linux-gnu)' no
program qemu-aarch64 'make arm, make bench-arm (package qemu-user)' no
program ip 'make hosts: several hosts on this machine (package iproute2)' no
program doxygen 'make docs' no
program dot 'include graphs in the documentation (Graphviz)' no
program python3 'search over the chapters, make docs-check, make numbers' no
# folders of pages' parts: where Debian installs them, or a user
files() { # name, what for, folder
    for folder in /usr/share/$3 /usr/local/share/$3; do
        if [ -d "$folder" ]; then row "$1" yes "$folder"; return; fi
    done
    absent "$1" "$2" no
}
files libjs-mathjax 'formulas in the documentation; without it they are shown as TeX' javascript/mathjax
files doxygen-awesome 'light and dark pages that fit a phone (package doxygen-awesome-css)' doxygen-awesome-css
for chromium in chromium chromium-browser google-chrome; do command -v $chromium >/dev/null 2>&1 && break; done
program $chromium 'make docs-check: formulas, widths, colours and search as a browser shows them' no
program emcc 'make docs: figures that run in the page; without it they are pictures' no
program clang-format 'make format, make format-check' no
program clang-tidy 'make lint' no
program cppcheck 'make lint' no
if python3 -c 'import numpy, pip' 2>/dev/null; then row numpy yes 'make python, and the Python package cs336'
else absent numpy 'make python, and the Python package cs336 (numpy and pip; PYTHON= may name another python3)' no; fi
if python3 -c 'import torch, safetensors' 2>/dev/null; then row PyTorch yes 'fixtures can be made again'
else absent PyTorch 'making the test fixtures again (they are in the repository)' no; fi
echo 'For the benchmarks (make bench; docs/benchmarks.md):'
program gnuplot 'the charts' no
peer() { # name, what it needs, where it is or nothing
    if [ -n "$3" ]; then row "$1" yes "$3"; else absent "$1" "$2" no; fi
}
executable() { if [ -x "$1" ]; then echo "$1"; fi; }
python=${CS336_PYTHON:-python3}
peer PyTorch 'CS336_PYTHON: a python3 that can import torch' \
    "$("$python" -c 'import torch; print(torch.__version__)' 2>/dev/null)"
if [ -n "$CS336_OPENBLAS" ]; then openblas=$(ls "$CS336_OPENBLAS" 2>/dev/null)
else openblas=$(ldconfig -p 2>/dev/null | sed -n 's/.*libopenblas.so.0 .*=> //p' | head -1); fi
module() { # name, what for
    peer "$1" "CS336_PYTHON: a python3 that can import it; $2" \
        "$("$python" -c "from importlib.metadata import version; print(version('$1'))" 2>/dev/null)"
}
module tokenizers 'two tests compare our files and ids with it'
for name in einops psutil pytest; do module $name 'make official, with PyTorch, tiktoken and a clone of the course'; done
module transformers 'make interchange opens our models with it, and its models here'
for name in gigabpe rustbpe gigatoken tokie tiktoken; do module $name "a peer of make bench K='bpe'"; done
peer OpenBLAS 'CS336_OPENBLAS: libopenblas.so' "$openblas"
peer llm.c 'CS336_LLMC: its train_gpt2, built for B = 8, T = 256' "$(executable "$CS336_LLMC")"
peer llama2.c 'CS336_LLAMA2: its run' "$(executable "$CS336_LLAMA2")"
if [ $missing = 0 ]; then echo 'Everything for the main job is here.'
else echo 'The main job needs what is MISSING: make deps installs it.'; exit 1; fi
