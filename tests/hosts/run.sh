#!/bin/sh
# Runs the commands of several ranks on two and three hosts (with_hosts.sh), between which there is only TCP, and compares
# their files with those of one process. Called by `make MPI=1 hosts`, as root. usage: run.sh PROGRAM DIRECTORY
# Ends with 1 if a check failed.
set -u
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1
tools=$(cd "$(dirname "$0")" && pwd)
program=$(cd "$(dirname "$1")" && pwd)/$(basename "$1") directory=$2 checks=0 failed=0
rm -rf "$directory" && mkdir -p "$directory" && cd "$directory" || exit 2
"$tools/with_hosts.sh" 2 any true || exit 2 # says what is missing

check() { # name, command ...
    name=$1
    shift
    checks=$((checks + 1))
    if "$@" >check.log 2>&1; then
        printf '%-68s ok\n' "$name"
    else
        printf '%-68s FAILED\n' "$name"
        sed 's/^/    /' check.log | tail -12
        failed=$((failed + 1))
    fi
}
# Runs the program by one rank on each host. The variable $disk in the arguments is what CS336_HOSTS_DISK says there, and
# a last line of sh may follow: what comes after the program has ended.
on_hosts() { # hosts, rate, line of sh with "$ranks" where the program is to run
    hosts=$1 rate=$2
    "$tools/with_hosts.sh" "$hosts" "$rate" sh -c "disk=\$CS336_HOSTS_DISK ranks='mpirun -q -n $hosts $program'; $3"
}
losses_agree() { # two logs; each training loss may differ by 1e-5 of itself
    sed 's/.*"train_loss": *\([0-9.e+-]*\).*/\1/' "$1" >losses.1 && sed 's/.*"train_loss": *\([0-9.e+-]*\).*/\1/' "$2" >losses.2 &&
        paste losses.1 losses.2 | awk 'NF != 2 || ($1 - $2) ^ 2 > (1e-5 * $1) ^ 2 { print "step " NR ": " $0; bad = 1 }
            END { exit bad || NR < 20 }'
}

# ---- the files of one process ----
model='--vocab-size 400 --context-length 32 --d-model 64 --num-layers 2 --num-heads 4 --batch-size 12'
short="$model --steps 30 --log-every 1"
{
    "$program" story --stories 3000 --output text.txt &&
        "$program" train-bpe --input text.txt --vocab-size 400 --special-token '<|endoftext|>' --tokenizer one.json &&
        "$program" encode --tokenizer one.json --input text.txt --output one.bin &&
        "$program" train --train one.bin --val one.bin --val-batches 2 --out one $short
} >one.log 2>&1 || { cat one.log; exit 1; }

# ---- the same on several hosts ----
bpe_equals() { # hosts
    on_hosts "$1" any "\$ranks train-bpe --input text.txt --vocab-size 400 --special-token '<|endoftext|>' --tokenizer hosts$1.json" &&
        cmp one.json "hosts$1.json"
}
encode_equals() { # hosts; the output is on the first host's disk, which the others do not see
    on_hosts "$1" any "\$ranks encode --tokenizer one.json --input text.txt --output \$disk/ids.bin && cp \$disk/ids.bin hosts$1.bin" &&
        cmp one.bin "hosts$1.bin"
}
train_agrees() { # hosts
    on_hosts "$1" any "\$ranks train --train one.bin --val one.bin --val-batches 2 --out \$disk/run $short && cp -r \$disk/run hosts$1" &&
        losses_agree one/log.jsonl "hosts$1/log.jsonl"
}
train_is_the_same_with_two_threads() { # hosts, after train_agrees
    on_hosts "$1" any "\$ranks train --train one.bin --val one.bin --val-batches 2 --out threads$1 $short --threads 2" &&
        cmp "hosts$1/checkpoint.safetensors" "threads$1/checkpoint.safetensors"
}
for hosts in 2 3; do
    check "$hosts hosts: train-bpe writes the bytes of one process" bpe_equals $hosts
    check "$hosts hosts: encode writes the bytes of one process" encode_equals $hosts
    check "$hosts hosts: 30 losses of train agree to 1e-5" train_agrees $hosts
    check "$hosts hosts: the same checkpoint with two threads" train_is_the_same_with_two_threads $hosts
done

# ---- what is missing on one host ----
missing_is_named() { # the file is on the disk of host1 only
    on_hosts 2 any "cp one.bin one.bin.json \$disk/ && \$ranks train --train \$disk/one.bin --out missing $short" 2>missing.log
    code=$?
    cat missing.log
    [ $code -ne 0 ] && [ ! -e missing/checkpoint.safetensors ] && grep -q 'rank 1 on host2.*one.bin' missing.log &&
        [ "$(wc -l <missing.log)" -eq 1 ]
}
check 'a token file that host2 lacks: one line names host and file' missing_is_named

# ---- a link that is lost ----
link_is_noticed() { # within 30 s; then the run goes on from its checkpoint
    endless="train --train one.bin --out lost $model --log-every 1"
    rm -rf lost
    on_hosts 2 any "\$ranks $endless --steps 2000000 --checkpoint-every 50 >lost.out 2>lost.log & run=\$!
        seconds=0
        until [ -s lost/checkpoint.safetensors ] || [ \$((seconds += 1)) -gt 60 ]; do sleep 1; done
        ip -n switch link set port2 down; date +%s >lost.begin
        { sleep 60; kill -9 \$run; } &
        wait \$run; code=\$?; date +%s >lost.end; exit \$code"
    code=$? seconds=$(($(cat lost.end) - $(cat lost.begin)))
    echo "the run ended with code $code, $seconds s after the link was lost; its last lines:"
    tail -3 lost.log
    [ $code -ne 0 ] && [ $seconds -le 30 ] && tail -1 lost.log | grep -q 'host2' || return 1
    echo "$seconds" >lost.seconds
    steps=$(sed -n '$s/.*"step": *\([0-9]*\).*/\1/p' lost/log.jsonl)
    "$program" $endless --steps 2000000 --stop-at $((steps + 1)) --resume
}
check 'host2 loses its link: the run ends within 30 s, and resumes' link_is_noticed
[ ! -e lost.seconds ] || echo "    after $(cat lost.seconds) s: $(tail -1 lost.log)"

# ---- a step against the bandwidth ----
wider='--vocab-size 400 --context-length 64 --d-model 256 --num-layers 4 --num-heads 4 --batch-size 16'
step_milliseconds() { # rate
    on_hosts 2 "$1" "\$ranks train --train one.bin --out \$disk/run $wider --steps 12 --log-every 4 && cp \$disk/run/log.jsonl step.jsonl" >step.log 2>&1 || return 1
    sed -n '$s/.*"tokens_per_second": *\([0-9.e+-]*\).*/\1/p' step.jsonl | awk '{ printf "%d", 16 * 64 / $1 * 1000 }'
}
slower_links_take_longer() {
    fast=$(step_milliseconds any) middle=$(step_milliseconds 500mbit) slow=$(step_milliseconds 50mbit)
    echo "    a step of 3.4 million parameters: $fast ms without a limit, $middle ms at 500 Mbit/s, $slow ms at 50 Mbit/s" | tee step.line
    # 13.5 MB go in either direction in each step: 2.2 s at 50 Mbit/s.
    [ "$slow" -gt 2000 ] && [ "$slow" -gt "$middle" ]
}
check 'a step takes at least what its bytes take at 50 Mbit/s' slower_links_take_longer
[ ! -e step.line ] || cat step.line

echo "hosts: $((checks - failed)) of $checks"
[ $failed = 0 ]
