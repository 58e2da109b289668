#!/bin/sh
# Lets every allocation and every write of every command fail in turn, then runs the commands on a disk that fills up,
# and counts how often no work was lost. Called by `make torture`.
# usage: torture_faults.sh PROGRAM FAULTY DIRECTORY [ROUNDS]
# FAULTY is tests/torture/faulty_cs336.c. Ends with 1 if any row is not 100 %.
#
# A command that fails must end with exit code 1 and a message, and leave all files as they were, or complete. A
# training run that fails must be resumed to the same checkpoint as a run without a fault, and an experiment goes on when
# it is started again.
set -u
absolute() { echo "$(cd "$(dirname "$1")" && pwd)/$(basename "$1")"; }
program=$(absolute "$1") faulty=$(absolute "$2") directory=$3 rounds=${4:-100} failed=0
# A command that hangs fails after a minute. Without timeout (macOS) the script hangs with it.
limited() { if command -v timeout >/dev/null; then timeout 60 "$@"; else "$@"; fi; }
# Mounts of a private mount namespace are gone when this script ends, however it ends.
if [ -z "${CS336_OWN_MOUNTS-}" ] && [ "$(id -u)" = 0 ] && unshare --mount true 2>/dev/null; then
    CS336_OWN_MOUNTS=1 exec unshare --mount "$0" "$@"
fi
most=$([ "$rounds" -ge 100 ] && echo 2000 || echo $((rounds * 2))) # faults of a kind in a command
export OMP_WAIT_POLICY=passive
rm -rf "$directory" && mkdir -p "$directory" && cd "$directory" || exit 1

model="--train train.bin --vocab-size 300 --context-length 16 --d-model 16 --num-layers 2 --num-heads 2 --batch-size 2"
training="train --config settings.json $model --steps 6 --log-every 1 --checkpoint-every 2 --keep 2 --out run"
files="--vocab vocab.json --merges merges.txt"
experiment="experiment e.json --data . --out experiment"
mkdir case && cd case && {
    "$program" story --stories 300 --output text.txt
    "$program" train-bpe --input text.txt --vocab-size 300 --vocab vocab.json --merges merges.txt
    "$program" encode $files --input text.txt --output train.bin
    gzip -c text.txt >text.gz
    awk '{ gsub(/["\\]/, "\\\\&"); print "{\"text\": \"" $0 "\"}" }' text.txt >text.jsonl
    echo '{"val": "train.bin", "val_every": 3, "val_batches": 1}' >settings.json
    "$program" $training && mv run/checkpoint.safetensors . &&
        mkdir first && mv run/log.jsonl run/config.json first && rm -r run &&
        "$program" export --checkpoint checkpoint.safetensors --weights-only weights.safetensors
} >../log 2>&1 && cd .. || exit 1
cat >case/e.json <<'END'
{"title": "Two rates", "tokens": {"train": "train.bin", "vocab": "vocab.json", "merges": "merges.txt"},
 "common": {"vocab_size": 300, "context_length": 16, "d_model": 16, "num_layers": 1, "num_heads": 2, "batch_size": 2,
            "steps": 4, "checkpoint_every": 2},
 "vary": {"lr": [0.001, 0.01]}, "sample": {"prompt": "the", "max_tokens": 4}}
END
# Some outputs exist already, with other contents: a command that fails leaves these.
for old in o.txt o.json o.bin; do echo old >case/$old; done

row() { # name, number that survived, number of rounds
    printf '%-68s %3d of %3d\n' "$1" "$2" "$3"
    [ "$2" = "$3" ] || failed=1
}
tell() { # keeps what did not survive, for whoever looks for the cause
    echo "$*" >>faults.log
    cat said >>faults.log
}
restore() {
    rm -rf work && cp -r case work
}
# True if what is in work/ after exit code $1 is right.
survived() {
    case $1 in
    0) diff -rq work after >diff.log ;;
    1) grep -q '^cs336' said && { diff -rq work case >diff.log || diff -rq work after >diff.log; } ;;
    *) false ;;
    esac
}
# True if a run that ended with exit code $1 can be resumed to the end.
resumed() {
    [ "$1" -le 1 ] && [ -s said -o "$1" = 0 ] || return 1
    if [ -e work/run/checkpoint.safetensors ]; then start=--resume; else start=--overwrite; fi
    (cd work && "$program" $training $start >../resume.log 2>&1)
    # An older checkpoint that could not be written is not there. There is no other file less or more.
    cmp -s work/run/checkpoint.safetensors after/run/checkpoint.safetensors &&
        ls work/run | grep -v '^checkpoint-step-[0-9]*.safetensors$' | cmp -s - after.files
}
# True if an experiment that ended with exit code $1 goes on to the same runs when it is started again.
continued() {
    [ "$1" -le 1 ] && [ -s said -o "$1" = 0 ] || return 1
    (cd work && "$program" $experiment >../resume.log 2>&1) || return 1
    for file in lr-0.001/checkpoint.safetensors lr-0.01/checkpoint.safetensors lr-0.001/sample.txt lr-0.01/sample.txt; do
        cmp -s work/experiment/$file after/experiment/$file || return 1
    done
}
# Fails each allocation, or each write, of a command.
faults() { # kind, column of the counts, judge, command ...
    kind=$1 judge=$3
    total=$(cut -d ' ' -f "$2" counts) kept=0 tried=0
    shift 3
    step=$(((total + most - 1) / most)) n=1
    [ $step -ge 1 ] || step=1
    while [ $n -le "$total" ]; do
        restore
        (cd work && limited env "CS336_FAIL_$kind=$n" "$faulty" "$@" >../out 2>../said)
        code=$?
        tried=$((tried + 1))
        if $judge $code; then kept=$((kept + 1)); else tell "$kind $n of $total, exit code $code: $*"; fi
        n=$((n + step))
    done
    some=$([ $step = 1 ] && echo each || echo "one in $step")
    [ "$tried" = 0 ] || row "$1: $some of $total $(echo "${kind}S" | tr A-Z a-z) fails" $kept $tried
}
each() { # judge, command ...
    judge=$1
    shift
    restore
    if ! (cd work && CS336_COUNT=../counts "$faulty" "$@" >../out 2>../said); then
        tell "without a fault: $*"
        failed=1
        return
    fi
    rm -rf after && mv work after && [ ! -d after/run ] || ls after/run | grep -v ^checkpoint-step >after.files
    faults ALLOCATION 1 $judge "$@"
    faults WRITE 2 $judge "$@"
    disk $judge "$@"
}

# ---- a small disk ----

# 4 MB hold all inputs and outputs, so that a run can be resumed when the disk has room again.
mkdir disk
if mount -t tmpfs -o size=4m tmpfs disk 2>mount.log; then small=tmpfs; else small=limit; fi
# Runs a command with 0, 1, 2, ... free pages on a tmpfs, its standard output too; or with a limit on the size of files.
disk() { # judge, command ...
    judge=$1 kept=0 tried=0 pages=0 code=1
    shift
    while [ $code != 0 ] && [ $pages -le 200 ]; do
        if [ $small = tmpfs ]; then
            rm -rf disk/* work
            cp -r case disk/work && ln -s disk/work work
            cat /dev/zero >disk/filler 2>fill.log
            truncate -s "-$((pages * 4096))" disk/filler
            (cd work/ && limited "$program" "$@" >../out 2>../../said)
            code=$?
            rm disk/filler disk/out
        else
            restore
            (trap '' XFSZ; cd work && ulimit -f $((pages * 8)) && limited "$program" "$@" >../out 2>../said)
            code=$?
        fi
        tried=$((tried + 1))
        if $judge $code; then kept=$((kept + 1)); else tell "$small of $pages pages, exit code $code: $*"; fi
        pages=$((pages + 1 + pages * 3 / rounds))
    done
    rm -rf work disk/work
    row "$1: a full disk ($small), with more and more room" $kept $tried
}
[ $small = tmpfs ] || echo 'skipped: a full disk: cannot mount a tmpfs here; a limit on the size of files stands in'

each survived story --stories 100 --output o.txt
each survived train-bpe --input text.txt --vocab-size 280 --special-token '<|endoftext|>' --vocab o.json --merges o.txt
each survived encode $files --input text.txt --output o.bin
each survived encode $files --special-token '<|x|>' --text-field text --input text.jsonl --output o.bin
if (cd case && "$program" encode $files --input text.gz --output ../gz.bin) >log 2>&1; then # built with zlib
    each survived train-bpe --input text.gz --vocab-size 280 --special-token '<|endoftext|>' --vocab o.json --merges o.txt
    each survived encode $files --input text.gz --output o.bin
fi
each survived decode $files --input train.bin --output o.txt
each survived export-tokenizer $files --output o.json
each survived tokenizer-report $files --input text.txt
each survived generate $files --checkpoint checkpoint.safetensors --prompt 'The cat' --max-tokens 20
each survived evaluate $files --checkpoint checkpoint.safetensors --input merges.txt --per-token o.json
each survived inspect $files --checkpoint checkpoint.safetensors --prompt 'The cat' --output o.txt
each survived export --checkpoint checkpoint.safetensors --weights-only o.bin
each survived export --checkpoint checkpoint.safetensors --llama llama
each survived import weights.safetensors --output o.bin
each survived report first --output o.txt
each survived account --vocab-size 300
each resumed $training
each continued $experiment
[ $failed = 0 ] || echo "what did not survive: $directory/faults.log"
exit $failed
