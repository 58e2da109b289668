#!/bin/sh
# Kills training at random moments, stops it by every signal and by broken pipes, and counts how often the work survived.
# Called by `make torture`. usage: torture_runs.sh PROGRAM DIRECTORY [ROUNDS]
# Ends with 1 if any row is not 100 %.
set -u
program=$(cd "$(dirname "$1")" && pwd)/$(basename "$1") directory=$2 rounds=${3:-100} failed=0
export OMP_WAIT_POLICY=passive
rm -rf "$directory" && mkdir -p "$directory" && cd "$directory" || exit 1
"$program" story --stories 300 --output text.txt >log &&
    "$program" train-bpe --input text.txt --vocab-size 300 --vocab vocab.json --merges merges.txt >log &&
    "$program" encode --vocab vocab.json --merges merges.txt --input text.txt --output train.bin >log || exit 1

model="--train train.bin --vocab-size 300 --context-length 16 --d-model 16 --num-layers 2 --num-heads 2 --batch-size 2"
short="train $model --val train.bin --val-every 3 --val-batches 2 --steps 400 --log-every 5 --checkpoint-every 2 --keep 3"
endless="train $model --threads 1 --steps 2000000 --checkpoint-every 0 --log-every 1"

row() { # name, number that survived, number of rounds
    printf '%-68s %3d of %3d\n' "$1" "$2" "$3"
    [ "$2" = "$3" ] || failed=1
}
random_pause() { # 0.000 to 0.299 seconds
    sleep "$(awk -v seed="$1" 'BEGIN {srand(seed); printf "0.%03d", rand() * 300}')"
}

# kill -9 at a random moment, three times for each run, with one and two threads. The resumed run must end in the same
# checkpoint and the same best one as a run without a kill, and leave no temporary file.
"$program" $short --threads 1 --out whole >log || exit 1
ls whole >whole.files
same=0 best=0 clean=0 kills=0
for round in $(seq "$rounds"); do
    rm -rf run
    start=
    for kill in 1 2 3; do
        "$program" $short --threads $((round % 2 + 1)) --out run $start >log 2>&1 &
        random_pause $((10 * round + kill))
        kill -9 $! 2>log && kills=$((kills + 1))
        wait $! 2>log
        if [ -e run/checkpoint.safetensors ]; then start=--resume; else start=--overwrite; fi
    done 2>log
    "$program" $short --out run $start >log 2>&1
    cmp -s run/checkpoint.safetensors whole/checkpoint.safetensors && same=$((same + 1))
    cmp -s run/best.safetensors whole/best.safetensors && best=$((best + 1))
    ls run | cmp -s - whole.files && clean=$((clean + 1))
done
row "killed $kills times: same checkpoint as an uninterrupted run" $same "$rounds"
row "killed $kills times: same best checkpoint" $best "$rounds"
row "killed $kills times: no file left over" $clean "$rounds"

# A run that overwrites an old one is killed in its first 300 ms. It must not leave a mixture of both.
"$program" train $model --steps 6 --log-every 1 --out old >log
kept=0
for round in $(seq $((3 * rounds))); do
    rm -rf run && cp -r old run
    "$program" $endless --seed 2 --out run --overwrite >log 2>&1 &
    sleep "$(awk -v n="$round" 'BEGIN {srand(n); printf "0.%04d", rand() * 300}')"
    kill -9 $! 2>log
    wait $! 2>log
    # Either the old run is untouched, or its checkpoint is gone.
    if diff -r old run >log || ! cmp -s old/checkpoint.safetensors run/checkpoint.safetensors; then
        kept=$((kept + 1))
    fi
done 2>log
row "overwriting run killed at once: never a mixture of two runs" $kept $((3 * rounds))

# Ctrl-C sends SIGINT to all processes of a pipeline, its process group. setsid makes a group that the test can signal.
# A shell makes its background processes ignore SIGINT, and what is ignored stays ignored: so the pipeline is in the
# foreground, with the number of its group in a file, and the signal comes from the background.
saved=0 pipelines=$((rounds * 2 / 5))
if ! command -v setsid >log; then
    echo 'Ctrl-C while the output is piped into tee: skipped, no program setsid (macOS)'
    pipelines=0
elif sh -c 'kill -INT $$; :' 2>log; then
    echo 'Ctrl-C while the output is piped into tee: skipped, SIGINT is ignored here'
    pipelines=0
fi
for round in $(seq $pipelines); do
    rm -rf run
    {
        until [ -s run/log.jsonl ]; do sleep 0.01; done
        random_pause "$round"
        kill -INT -"$(cat group)"
    } 2>log &
    setsid -w sh -c "trap : INT; echo \$\$ >group; '$program' $endless --out run | tee tee.log >tee.out" 2>log
    wait
    [ -s run/checkpoint.safetensors ] && saved=$((saved + 1))
done 2>log
row 'Ctrl-C while the output is piped into tee: saved' $saved $pipelines

# The reader of a pipe ends at once: writing to the pipe fails, but training goes on.
saved=0
for round in $(seq $((rounds * 2 / 5))); do
    rm -rf run
    "$program" train $model --threads 1 --steps 300 --log-every 1 --out run 2>log | true
    [ -s run/checkpoint.safetensors ] && saved=$((saved + 1))
done
row 'output piped into a program that ends: run to its end' $saved $((rounds * 2 / 5))

# Every signal that asks a process to end. test_interrupted_training_saves does the same with SIGINT.
saved=0
for signal in TERM USR1 USR2 ALRM VTALRM PROF XCPU; do
    rm -rf run
    "$program" $endless --out run >log 2>&1 &
    until [ -s run/log.jsonl ]; do sleep 0.01; done
    kill -$signal $! && wait $! && [ -s run/checkpoint.safetensors ] && saved=$((saved + 1))
done 2>log
row 'TERM, USR1, USR2, ALRM, VTALRM, PROF, XCPU: saved' $saved 7
exit $failed
