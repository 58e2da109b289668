#!/bin/sh
# Runs `make story`: decides which of the learner's exercises are linked, has them linked, and runs both programs.
# usage: story.sh TABLE DIRECTORY YOURS REFERENCE, with MAKE, STUDENT and STORY_IDS (the
# exercises that a story can call) in the environment, and the options PROMPT, TOKENS, SEED, EX, FORCE, TRAIN, STEPS and MINUTES
set -eu
table=$1 out=$2 yours=$3/yours reference=$4/reference
prompt=${PROMPT-Once upon a time} tokens=${TOKENS:-150} steps=${STEPS:-250} minutes=${MINUTES:-2}
# A model that was trained for a few hundred steps repeats itself if it always takes the likeliest token.
mode=tell seed=${SEED:-0}
[ "${TRAIN:-}" != 1 ] || mode=train seed=${SEED:-1}

fail() { echo "make story: $*" >&2; exit 1; }
whole() { # name, value, smallest
    case $2 in
    '' | *[!0-9]* | ??????*) fail "$1=$2: expected a whole number from $3 to 99999" ;;
    esac
    [ "$2" -ge "$3" ] || fail "$1=$2: expected a whole number from $3 to 99999"
}
whole TOKENS "$tokens" 1
whole SEED "$seed" 0
whole STEPS "$steps" 1
whole MINUTES "$minutes" 1

exercises=$STORY_IDS
all=$(awk -F'\t' '!/^(#|id\t)/ {print $1}' "$table")
contains() { # word, list
    printf '%s\n' $2 | grep -qxF "$1"
}
passed=$(sed -n 's/^passed //p' "$STUDENT/.progress" 2>/dev/null || :)
forced=''
if [ "${FORCE:-}" = 1 ] || [ "${EX:-}" = all ]; then
    for id in $exercises; do
        [ ! -f "$STUDENT/$id.c" ] || grep -q TODO "$STUDENT/$id.c" || forced="$forced $id"
    done
elif [ -n "${EX:-}" ]; then
    forced=$(echo "$EX" | tr ',' ' ')
    for id in $forced; do
        contains "$id" "$all" || fail "EX=$id: no such exercise; make learn lists them"
        contains "$id" "$exercises" || fail "EX=$id: a story does not call this exercise"
    done
fi

linked='' unused='' left_out=''
for id in $all; do # in the order of the table
    if ! contains "$id" "$passed" && ! contains "$id" "$forced"; then
        # A file that is written but not passed is left out; the learner should know.
        [ ! -f "$STUDENT/$id.c" ] || grep -q TODO "$STUDENT/$id.c" || ! contains "$id" "$exercises" || left_out="$left_out $id"
        continue
    fi
    if ! contains "$id" "$exercises"; then
        unused="$unused $id"
    elif [ ! -f "$STUDENT/$id.c" ]; then
        fail "$STUDENT/$id.c: no such file, expected your functions of the exercise $id; make learn writes a new one"
    else
        linked="$linked $id"
    fi
done
[ -n "$linked" ] || fail 'no exercise is passed whose functions a story calls; make learn says which is next, and EX=softmax links yours in any case'

$MAKE YOURS="${linked# }" story-programs || fail 'your functions could not be compiled or linked: see above'

if [ "$(echo $linked)" = "$(echo $exercises)" ]; then
    echo "Yours: all $(echo $exercises | wc -w) exercises whose functions a story calls."
else
    echo "Yours:$linked. The textbook solutions stand in for all other exercises."
fi
[ -z "$left_out" ] || echo "Left out, because not passed:$left_out. To see what they do: make story EX=$(echo $left_out | tr ' ' ',')"
[ -z "$unused" ] || echo "A story does not call:$unused."
"$reference" reference $mode "$out" "$prompt" "$tokens" "$seed" "$steps" "$minutes" || fail 'the reference failed: see above'
status=0
"$yours" yours $mode "$out" "$prompt" "$tokens" "$seed" "$steps" "$minutes" || status=$?
[ $status -le 1 ] || [ $status -eq 141 ] || echo "make story: your program ended with status $status" >&2
[ $status -eq 0 ] || exit 1
