#!/bin/sh
# Checks `make story`, with the textbook solutions as the learner's functions and with wrong ones made of them.
# usage: check_story.sh TABLE DIRECTORY, with MAKE in the environment
set -u
table=$1 students=$2/check checks=0 wrong=0
unset PROMPT TOKENS SEED EX FORCE TRAIN STEPS MINUTES STUDENT
mkdir -p "$students" || exit 1

ok() { # description, command ...: the command must succeed
    description=$1
    shift
    checks=$((checks + 1))
    "$@" >/dev/null && return
    wrong=$((wrong + 1))
    printf 'story-check: %s\n' "$description" >&2
    printf '%s\n' "$report" | sed 's/^/    /' >&2
}
story() { # student, options ...: sets report and status
    student=$students/$1
    shift
    report=$($MAKE --no-print-directory STUDENT="$student" "$@" story 2>&1)
    status=$?
}
says() { printf '%s\n' "$report" | grep -qE -e "$1"; }
lacks() { ! says "$1"; }
succeeds() { [ $status -eq 0 ]; }
fails() { [ $status -ne 0 ]; }
below() { # number, bound
    awk -v x="$1" -v bound="$2" 'BEGIN {exit !(x != "" && x + 0 < bound + 0)}'
}
copy() { # file, sed command ...: a student's file, which must differ from the solution
    mkdir -p "$students/$1"
    sed "$3" "tests/exercises/solutions/$2.c" >"$students/$1/$2.c.new"
    ! cmp -s "$students/$1/$2.c.new" "tests/exercises/solutions/$2.c" || {
        echo "story-check: $1: the line that should change is not in solutions/$2.c" >&2
        exit 1
    }
    # Make compiles again only what differs.
    cmp -s "$students/$1/$2.c.new" "$students/$1/$2.c" || cp "$students/$1/$2.c.new" "$students/$1/$2.c"
    rm "$students/$1/$2.c.new"
}

# No exercise is passed.
mkdir -p "$students/nothing"
story nothing
ok 'without a passed exercise, it says so' says 'no exercise is passed .* make learn'
ok 'without a passed exercise, it fails' fails

# All solutions, each passed.
mkdir -p "$students/all"
for file in tests/exercises/solutions/*.c; do
    cmp -s "$file" "$students/all/${file##*/}" || cp "$file" "$students/all/"
done
awk -F'\t' '!/^(#|id\t)/ {print "passed " $1}' "$table" >"$students/all/.progress"
story all TOKENS=100
ok 'all solutions: it succeeds' succeeds
ok "all solutions: the reference's story" says '^Both stories are equal: .* differ by at most [0-9.]+e-0[5-9]\.'
for function in linear_forward embedding_forward rmsnorm_forward softmax_forward silu_forward feed_forward_forward rope_bind \
    rope_forward scaled_dot_product_attention_forward mha_forward transformer_block_forward transformer_lm_forward \
    sample_candidates sample_token generate; do
    ok "all solutions: $function is called" says "^$function +[1-9]"
done
story all SEED=7 TOKENS=40
ok "all solutions, tokens drawn at random: the reference's story" says '^Both stories are equal: 40 tokens'

# Training: the same losses.
story all TRAIN=1 STEPS=12 TOKENS=5
ok 'training: it succeeds' succeeds
ok 'training: the losses agree' says '^The losses agree: '
ok "training: the reference's losses to 1e-3" \
    below "$(printf '%s\n' "$report" | sed -n 's/^The losses agree: they differ by at most \([^ ]*\) .*/\1/p')" 1e-3
for function in linear_backward cross_entropy_forward transformer_lm_loss clip_gradients adamw_step get_batch train_together; do
    ok "training: $function is called" says "^$function +[1-9]"
done

copy uncorrected adamw 's#m\[i\] / correction1#m[i]#'
story uncorrected EX=adamw TRAIN=1 STEPS=12 TOKENS=5
ok 'AdamW without bias correction: the losses part' says '^The losses part at step'

# Wrong attention parts from the reference, and only it is linked.
copy no_scale sdpa 's| / sqrtf((float)d_k)||'
story no_scale FORCE=1 TOKENS=60
ok 'attention without scale: the logits differ' says 'the logits differ|There the logits differ by up to'
ok 'attention without scale: not the same story' lacks '^Both stories are equal'
ok 'attention without scale: its calls are counted' says '^scaled_dot_product_attention_forward +[1-9]'
ok "attention without scale: no other function is the learner's" lacks '^linear_forward'
copy inverted sdpa 's#ATTEND_ALL || j + queries <=#ATTEND_ALL || j + queries >#'
story inverted EX=sdpa TOKENS=30
ok 'attention with an inverted mask: the stories part' says '^The stories part at word'

# What fails is told with the function's name.
copy failing silu 's|^    return CS336_OK;|    return status_fail(CS336_ERANGE, "nothing works");|'
story failing EX=silu TOKENS=5
ok "a failure: the learner's function and message" says 'your silu_forward failed: nothing works'
ok 'a failure: it fails' fails
copy nan rmsnorm 's|^    return CS336_OK;|    *at(y, 0, 0) = NAN; return CS336_OK;|'
story nan EX=rmsnorm TOKENS=5
ok 'NaN: told with the function' says 'the first NaN .* came from rmsnorm_forward, in its call 1'
copy leaving softmax 's|^    return CS336_OK;|    extern void exit(int); exit(9);|'
story leaving EX=softmax TOKENS=5
ok 'exit(): told with the function' says 'your softmax_forward ended the program'
copy crashing softmax 's|^    return CS336_OK;|    y.data = NULL; *(volatile float *)y.data = 0; return CS336_OK;|'
story crashing EX=softmax TOKENS=5
ok 'a crash: told with the function' says 'the program crashed in your softmax_forward'

[ $wrong -eq 0 ] || exit 1
echo "make story: $checks checks passed"
