#!/bin/sh
# The whole pipeline, from text to generated text. Called by `make demo`.
# usage: demo.sh PROGRAM DIRECTORY STEPS [TEXT]
# Without TEXT it writes the embedded story corpus, whose exact entropy is the floor of any model's loss.
set -eu
cs336=$1 out=$2 steps=$3 text=${4-}
eot='<|endoftext|>' stories=30000 held_stories=500

say() { printf '\n== %s\n' "$*"; }
exec 3>&1 # descriptor 3 is the terminal, even while a command's standard output goes to a file
run() { # prints the command as a user can type it, then runs it
    printf '$ %s' "$cs336" >&3
    for word; do
        case $word in
        *[!A-Za-z0-9_./=-]* | '') printf " '%s'" "$(printf %s "$word" | sed "s/'/'\\\\''/g")" ;;
        *) printf ' %s' "$word" ;;
        esac
    done >&3
    printf '\n' >&3
    "$cs336" "$@"
}

fail() { echo "make demo: $*" >&2; exit 1; }

case $steps in
'' | *[!0-9]* | 0* | ??????????*) fail "DEMO_STEPS=$steps: expected a whole number from 1 to 999999999" ;;
esac
if [ -n "$text" ]; then
    [ -f "$text" ] && [ -r "$text" ] || fail "$text: cannot read this file; usage: make demo TEXT=file.txt"
    bytes=$(($(wc -c <"$text")))
    [ $bytes -ge 40000 ] || fail "$text: $bytes bytes are too few to learn from, expected at least 40000"
fi
mkdir -p "$out"

if [ -z "$text" ]; then
    say 'Text: stories from a small grammar'
    run story --stories $stories --seed 1 --output "$out/train.txt"
    run story --stories $held_stories --seed 2 --output "$out/valid.txt"
    run story --entropy >"$out/entropy.txt"
    cat "$out/entropy.txt"
    vocabulary=2048 prompt='Once upon a time'
else
    say "Text: $text, its last twentieth kept for validation"
    head -c $((bytes - bytes / 20)) "$text" >"$out/train.txt"
    tail -c $((bytes / 20)) "$text" >"$out/valid.txt"
    vocabulary=2048 prompt=$(tr -s '[:space:]' ' ' <"$out/valid.txt" | cut -d ' ' -f 2-6 | head -c 80)
fi

say 'Tokenizer: the most frequent pairs of bytes become tokens'
run train-bpe --input "$out/train.txt" --vocab-size $vocabulary --special-token "$eot" \
    --tokenizer "$out/tokenizer.json"
for split in train valid; do
    run encode --tokenizer "$out/tokenizer.json" --input "$out/$split.txt" --output "$out/$split.bin"
done
# A short text may hold fewer pairs than were asked for; the file beside the ids has the size of their vocabulary.
vocabulary=$(sed 's/.*"vocab_size":\([0-9]*\).*/\1/' "$out/train.bin.json")

say 'Training: a small Transformer learns to predict the next token'
set -- --train "$out/train.bin" --val "$out/valid.bin" --out "$out/run" --overwrite --vocab-size $vocabulary --context-length 256 \
    --d-model 96 --num-layers 4 --num-heads 4 --batch-size 8 --steps "$steps" --lr 6e-3 --beta2 0.98 \
    --log-every 100 --val-every 500 --val-batches 20
if [ -z "$text" ]; then
    tokens=$(($(wc -c <"$out/valid.bin") / 2))
    set -- "$@" --loss-floor "$(awk -v stories=$held_stories -v tokens=$tokens \
        '/^entropy per story/ {printf "%.4f", $4 * stories / tokens}' "$out/entropy.txt")"
fi
run train "$@"

say 'Text again: the model continues a prompt'
run generate --checkpoint "$out/run/checkpoint.safetensors" --tokenizer "$out/tokenizer.json" "--prompt=$prompt" \
    --seed 1 >"$out/story.txt"
cat "$out/story.txt"
