#!/bin/sh
# Makes the small model of `make story` and its tokenizer, from the embedded stories.
# usage: make_model.sh PROGRAM DIRECTORY
set -eu
cs336=$1 out=$2 eot='<|endoftext|>' vocabulary=1024

echo "make story: trains its small model first, once: half a minute on two free processors, up to a few minutes on busy ones"
mkdir -p "$out"
run() { # what the commands print is shown only if one fails
    "$cs336" "$@" >"$out/log.txt" 2>&1 || { cat "$out/log.txt" >&2; exit 1; }
}
run story --stories 12000 --seed 1 --output "$out/train.txt"
run train-bpe --input "$out/train.txt" --vocab-size $vocabulary --special-token "$eot" \
    --tokenizer "$out/tokenizer.json"
run encode --tokenizer "$out/tokenizer.json" --input "$out/train.txt" --output "$out/train.bin"
run train --train "$out/train.bin" --out "$out/run" --overwrite --vocab-size $vocabulary --context-length 128 \
    --d-model 64 --num-layers 2 --num-heads 4 --d-ff 192 --batch-size 16 --steps 1500 --lr 1e-2 --beta2 0.98 \
    --checkpoint-every 0
mv "$out/run/checkpoint.safetensors" "$out/model.safetensors"
rm -r "$out/run" "$out/train.txt" "$out/log.txt"
