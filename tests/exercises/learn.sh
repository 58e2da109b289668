#!/bin/sh
# The coursework, as `make learn`, `make hint`, `make solution` and `make reset` call it (exercises.mk).
# usage: learn.sh status | check EX | watch EX | hint EX | solution EX [FORCE] | reset EX | self-check [EX]
#
# Environment: STUDENT, the learner's folder; WORK, for objects and programs; CC, STUDENT_CFLAGS, CHECKER_LINK, NM.
# Progress is kept in $STUDENT/.progress: "passed EXERCISE", "sum EXERCISE CHECKSUM" of the file that passed, and
# "hint EXERCISE NUMBER", how many hints were given.
set -u
here=tests/exercises
table=$here/exercises.tsv
progress=$STUDENT/.progress
export OMP_WAIT_POLICY=passive # threads that wait do not use a processor: two checks run at a time

fail() { echo "make ${command:-learn}: $*" >&2; exit 2; }
[ -n "$STUDENT" ] || fail "STUDENT is empty: expected the folder of your files, such as STUDENT=student"

# ---- the table and the learner's files ----

exercises() { awk -F'\t' '!/^(#|id\t)/ {print $1}' "$table"; }
column() { awk -F'\t' -v id="$1" -v n="$2" '$1 == id {print $n}' "$table"; } # exercise, number
problem() { column "$1" 2; }
points() { column "$1" 3; }
points_text() {
    case $(points "$1") in
    -) echo 'no points' ;;
    1) echo '1 point' ;;
    *) echo "$(points "$1") points" ;;
    esac
}
headers() { column "$1" 4 | tr ',' '\n' | sed '/^tests\//!s|^|cs336_basics/|'; }
known() { # exercise: ends the script if there is no such exercise
    [ -n "$1" ] || fail "which exercise? EX=softmax; \`make learn\` lists them"
    [ -n "$(column "$1" 1)" ] && return
    of_problem=$(awk -F'\t' -v problem="$1" '!/^#/ && index($2, problem) {printf " %s", $1}' "$table")
    fail "no exercise \"$1\"${of_problem:+; those of the problem are:$of_problem}; \`make learn\` lists all"
}

make_stub() { # exercise, file
    awk -v id="$1" -f $here/stub.awk "$table" cs336_basics/*/*.h cs336_basics/*/*/*.h tests/*.h $here/*.h >"$2.$$" && mv "$2.$$" "$2"
}
make_stubs() { # each file that is missing; nothing that exists is touched
    made=0
    mkdir -p "$STUDENT" || exit 1
    for id in $(exercises); do
        [ -e "$STUDENT/$id.c" ] && continue
        make_stub "$id" "$STUDENT/$id.c" || exit 1
        made=$((made + 1))
    done
    [ "$made" -eq 0 ] || echo "$made files to write were made in $STUDENT/."
    touch "$progress"
}

sum_of() { cksum <"$STUDENT/$1.c" | tr -s ' ' -; }
passed() { grep -qx "passed $1" "$progress"; }
record() { # a line of .progress in place of those that begin with the given words: "passed softmax" "passed softmax"
    # A file of its own for each process: two checks may end at the same time.
    { { grep -Ev "^$1( |\$)" "$progress"; [ -z "$2" ] || echo "$2"; } >"$progress.$$" && mv "$progress.$$" "$progress"; } ||
        echo "make learn: $progress cannot be written, so this result is not kept." >&2
}
begun() { ! grep -q 'TODO();' "$STUDENT/$1.c"; }
next_exercise() { # [exercise]: the first after it that is not passed, or the first of all
    from=${1-$(for id in $(exercises); do passed "$id" && echo "$id"; done | tail -1)}
    from=${from:-tokenizer} # linear, which comes then, is the easiest in C
    later=$(exercises | sed "1,/^$from\$/d")
    for id in $later $(exercises) extra $later $(exercises); do
        # The handout asks for no written backward pass. These come when all else is done.
        case $id in
        extra) extra=1 ;;
        *_backward) [ -z "${extra-}" ] || passed "$id" || { echo "$id"; return; } ;;
        *) passed "$id" || { echo "$id"; return; } ;;
        esac
    done
}
sum_points() { # exercise ...
    for id; do points "$id"; done | awk '{sum += $1} END {print sum + 0}'
}

# ---- make learn ----

show_next() { # [exercise that was just passed]
    next=$(next_exercise "$@")
    if [ -z "$next" ]; then
        echo 'Every exercise is passed. make story lets your functions write a story; make learn EX=all grades them.'
        return
    fi
    echo "Next: $next, of problem $(problem "$next") ($(points_text "$next"))."
    echo "  read    $(column "$next" 9)"
    echo "  read    $(headers "$next" | tr '\n' ' ')(the contract of the function is also in your file)"
    echo "  write   $STUDENT/$next.c"
    echo "  check   make learn EX=$next          each time you save: make learn EX=$next WATCH=1"
    echo "  stuck?  make hint EX=$next"
    [ -s "$progress" ] || echo 'You may take them in any order: make learn EX=softmax, for example.'
}

status() {
    make_stubs
    done_ids=$(for id in $(exercises); do passed "$id" && echo "$id"; done)
    echo "$(sum_points $done_ids) of $(sum_points $(exercises)) points, $(echo $done_ids | wc -w | tr -d ' ') of $(exercises | wc -l | tr -d ' ') exercises passed."
    echo
    for id in $(exercises); do
        state=
        begun "$id" && state='begun'
        passed "$id" && state='passed'
        passed "$id" && ! grep -qx "sum $id $(sum_of "$id")" "$progress" && state='passed, changed since: check again'
        printf '  %-28s %3s  %-7s %s\n' "$id" "$(points "$id")" "$state" "$(column "$id" 6 | sed 's/^-$//; s/,/, /g; s/^./calls &/')"
    done
    echo
    show_next
}

# ---- checking ----

# Compiles a file. Prints what is wrong, and returns non-zero.
compile() { # file, object, function ...
    file=$1 object=$2
    shift 2
    mkdir -p "$(dirname "$object")"
    { [ -f "$file" ] && [ -r "$file" ]; } || { echo "$file is not a file that can be read."; return 1; }
    $CC $STUDENT_CFLAGS -S "$file" -o "$object.all.s" || { echo "$file does not compile: begin with the first error above."; return 1; }
    awk -v functions="$*" -f $here/own_functions.awk "$object.all.s" >"$object.s" && $CC -c "$object.s" -o "$object" || return 1
    # A function that the file does not define would be ours, and pass.
    for function; do
        $NM "$object" | grep -q " T _\{0,1\}$function\$" || { echo "$file does not define $function()."; return 1; }
    done
}
# Compiles a file and links the checker over it. Prints what is wrong, and returns non-zero.
build() { # file, object, program, function ...
    program=$3 object=$2
    compile "$1" "$2" $(shift 3; echo "$@") || return 1
    # shellcheck disable=SC2086
    $CC "$object" ${with-} $CHECKER_LINK -o "$program" || {
        echo "$file does not link: it calls a function that is defined nowhere, see above."
        return 1
    }
}
functions() { column "$1" 5 | tr ',' ' '; }

check_one() { # exercise: prints the whole report, and records the result
    id=$1
    start=$(date +%s)
    echo "$STUDENT/$id.c: $id, of problem $(problem "$id") ($(points_text "$id"))"
    # A backward pass is compared with finite differences of the learner's own forward pass, if that is passed.
    forward=${id%_backward} with=
    if [ "$forward" != "$id" ] && passed "$forward" &&
        compile "$STUDENT/$forward.c" "$WORK/student/$id.forward.o" $(functions "$forward") >/dev/null 2>&1; then
        with=$WORK/student/$id.forward.o
        echo "Finite differences are those of your $STUDENT/$forward.c."
    fi
    build "$STUDENT/$id.c" "$WORK/student/$id.o" "$WORK/student/$id" $(functions "$id") || { record "passed $id" ''; return 1; }
    "$WORK/student/$id" check "$id" "$STUDENT/$id.c" "$(column "$id" 7)" "$(column "$id" 8)"
    result=$?
    echo
    case $result in
    0)
        record "passed $id" "passed $id"
        record "sum $id" "sum $id $(sum_of "$id")"
        echo "$id is passed ($(points_text "$id")). The textbook solution: make solution EX=$id"
        show_next "$id"
        ;;
    9)
        record "passed $id" ''
        echo "Write this function in $STUDENT/$id.c, in place of TODO(), and check again. A hint: make hint EX=$id"
        ;;
    *)
        record "passed $id" ''
        echo "Not yet. A hint: make hint EX=$id"
        ;;
    esac
    [ $(($(date +%s) - start)) -lt 10 ] || echo "(The check took $(($(date +%s) - start)) s.)"
    return $result
}

# The grade: every exercise alone, in one line each.
brief() { # exercise, file, object, bonus: prints "STATUS\tMISTAKE\tWHAT"
    build "$2" "$3" "${3%.o}" $(functions "$1") >"$3.log" 2>&1 || { printf '1\t-\t%s\n' "$(tail -1 "$3.log")"; return; }
    mode=brief
    [ "$4" = - ] || mode=full
    line=$("${3%.o}" $mode "$1" "$2" "$(column "$1" 7)" "$4" 2>&1)
    printf '%d\t%s\n' $? "$(printf '%s' "$line" | tail -1)"
}
grade_one() { brief "$1" "$STUDENT/$1.c" "$WORK/student/$1.o" - >"$WORK/student/$1.grade"; }
grade() {
    mkdir -p "$WORK/student"
    exercises | xargs -P "$(getconf _NPROCESSORS_ONLN)" -I '{}' "$0" grade-one '{}'
    right=
    for id in $(exercises); do
        IFS='	' read -r result mistake what <"$WORK/student/$id.grade"
        case $result in
        0) right="$right $id" what=passed; record "passed $id" "passed $id"; record "sum $id" "sum $id $(sum_of "$id")" ;;
        9) record "passed $id" '' ;;
        *) record "passed $id" ''; what="wrong: $what" ;;
        esac
        printf '  %-28s %3s  %s\n' "$id" "$(points "$id")" "$what"
    done
    echo
    echo "$(sum_points $right) of $(sum_points $(exercises)) points, $(echo $right | wc -w | tr -d ' ') of $(exercises | wc -l | tr -d ' ') exercises passed."
    [ "$(echo $right | wc -w)" -eq "$(exercises | wc -l)" ]
}

# Gives this process a folder of its own for objects and programs: two checks may run at the same time.
own_work() {
    WORK=$WORK/check.$$
    export WORK
    # A compiler that Ctrl-C has just ended may still write a file.
    trap 'rm -rf "$WORK" 2>/dev/null || { sleep 1; rm -rf "$WORK"; }' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

check() {
    make_stubs
    own_work
    if [ "$1" = all ]; then grade; else known "$1" && check_one "$1"; fi
}

watch() {
    make_stubs
    own_work
    [ "$1" != all ] || fail 'WATCH=1 needs one exercise: EX=softmax'
    known "$1"
    before=
    while :; do
        now=$(cksum <"$STUDENT/$1.c" 2>/dev/null)
        if [ -n "$now" ] && [ "$now" != "$before" ]; then
            before=$now
            check_one "$1"
            echo
            echo "--- $(date +%H:%M:%S), waiting for a change of $STUDENT/$1.c (Ctrl-C ends) ---"
        fi
        sleep 0.3 2>/dev/null || sleep 1
    done
}

# ---- hints, solutions, a fresh start ----

hint() {
    known "$1"
    make_stubs
    number=$(sed -n "s/^hint $1 \([123]\)\$/\1/p" "$progress" | tail -1)
    number=$((${number:-0} + 1))
    if [ "$number" -gt 3 ]; then
        echo "There are three hints for $1; here they are again. The textbook solution: make solution EX=$1 FORCE=1"
        cat "$here/hints/$1.txt"
        return
    fi
    record "hint $1" "hint $1 $number"
    echo "Hint $number of 3 for $1:"
    echo
    awk -v n="$number" 'BEGIN {at = 1} /^---$/ {at++; next} at == n' "$here/hints/$1.txt"
}

solution() {
    known "$1"
    make_stubs
    passed "$1" || [ -n "${2-}" ] ||
        fail "$1 is not passed yet, so its solution stays hidden; FORCE=1 shows it; \`make hint EX=$1\` gives a part of it"
    cat "$here/solutions/$1.c"
    echo
    echo "/* The fast one: $(headers "$1" | sed 's/\.h$/.c/' | tr '\n' ' ')and the files that its header names. */"
}

reset() {
    known "$1"
    make_stubs
    number=1
    while [ -e "$STUDENT/$1.c.$number" ]; do number=$((number + 1)); done
    mv "$STUDENT/$1.c" "$STUDENT/$1.c.$number" && make_stub "$1" "$STUDENT/$1.c" && record "passed $1" '' &&
        record "hint $1" '' && echo "$STUDENT/$1.c is as it was in the beginning. Yours is kept in $STUDENT/$1.c.$number."
}

# ---- the coursework's own test ----

# Each of these checks one thing and prints a line; what is wrong begins with "WRONG".
check_stub() { # exercise
    dir=$WORK/stubs
    make_stub "$1" "$dir/$1.c" || { echo "WRONG $1: no stub"; return; }
    STUDENT_CFLAGS="$STUDENT_CFLAGS -Werror"
    brief "$1" "$dir/$1.c" "$dir/$1.o" - >"$dir/$1.out"
    first=$(functions "$1" | cut -d ' ' -f 1)
    IFS='	' read -r result what <"$dir/$1.out"
    [ "$result" = 9 ] || { echo "WRONG $1: its stub gives $result: $what"; return; }
    silent=$("$dir/$1" todo "$1" "$dir/$1.c" "$(column "$1" 7)" "$(column "$1" 8)") || { echo "WRONG $1: passes without $first: $silent"; return; }
    echo "stub $1"
}
check_solution() { # exercise [object of all solutions together]
    dir=$WORK/solutions
    if [ $# -eq 1 ]; then
        brief "$1" "$here/solutions/$1.c" "$dir/$1.o" "$(column "$1" 8)" >"$dir/$1.out"
    else
        line=$("$2" full "$1" "$here/solutions/$1.c" "$(column "$1" 7)" "$(column "$1" 8)" 2>&1)
        printf '%d\t%s\n' $? "$(printf '%s' "$line" | tail -1)" >"$dir/$1.out"
    fi
    IFS='	' read -r result mistake what <"$dir/$1.out"
    if [ "$result" = 0 ]; then echo "solution $1${2+ (with all others)}"; else echo "WRONG $1: its solution${2+, with all others,} gives $mistake $what"; fi
}
check_wrong() { # patch
    id=$(basename "$(dirname "$1")") name=$(basename "$1" .patch)
    dir=$WORK/wrong/$id.$name
    mkdir -p "$dir/$here/solutions"
    cp "$here/solutions/$id.c" "$dir/$here/solutions/"
    patch -s -p1 -d "$dir" <"$1" >"$dir/log" 2>&1 || { echo "WRONG $id $name: the patch does not apply"; return; }
    brief "$id" "$dir/$here/solutions/$id.c" "$dir/$id.o" "$(column "$id" 8)" >"$dir/out"
    IFS='	' read -r result mistake what <"$dir/out"
    expected=-
    grep -q "^$id	$name	" "$WORK/mistakes" && expected=$name
    if [ "$result" != 1 ]; then
        echo "WRONG $id $name: passes"
    elif [ "$mistake" != "$expected" ] && { [ "$expected" != - ] || [ "$mistake" != - ]; }; then
        echo "WRONG $id $name: recognised as $mistake: $what"
    elif [ "$expected" = - ]; then
        echo "caught $id $name: $what"
    else
        echo "recognised $id $name"
    fi
    rm -rf "$dir"
}
self_check() { # [exercise]
    selected=$(exercises | grep -x "${1:-.*}")
    [ -n "$selected" ] || fail "no exercise \"$1\""
    part=${PART:-1/1} # the first of every three wrong solutions: 1/3
    echo "$part" | grep -qxE '[1-9][0-9]*/[1-9][0-9]*' || fail "PART is \"$part\", expected such as 1/3"
    rm -rf "$WORK/wrong"
    mkdir -p "$WORK/stubs" "$WORK/solutions" "$WORK/wrong"
    set -- "$WORK/self-check"
    jobs=$(getconf _NPROCESSORS_ONLN)
    {
        echo "$selected" | xargs -P "$jobs" -I '{}' "$0" check-stub '{}'
        echo "$selected" | xargs -P "$jobs" -I '{}' "$0" check-solution '{}'
        all=$WORK/solutions/all
        # shellcheck disable=SC2046,SC2086
        if $CC $(echo "$selected" | sed "s|.*|$WORK/solutions/&.o|") $CHECKER_LINK -o "$all"; then
            echo "$selected" | xargs -P "$jobs" -I '{}' "$0" check-solution '{}' "$all"
            for id in $selected; do "$all" mistakes "$id"; done >"$WORK/mistakes"
            for id in $selected; do
                "$all" separation "$id" >"$WORK/separation" || sed 's/^/WRONG /' "$WORK/separation"
                [ "$("$all" mistakes "$id" | wc -l)" -ge 3 ] || echo "WRONG $id: fewer than three known mistakes"
                "$all" mistakes "$id" | while IFS='	' read -r _ name text; do
                    [ "$(head -1 "$here/wrong/$id/$name.patch" 2>&1)" = "$text" ] ||
                        echo "WRONG $id: the first line of $here/wrong/$id/$name.patch is not \"$text\""
                done
            done
            [ -n "${QUICK-}" ] || for id in $selected; do ls "$here/wrong/$id/"*.patch; done 2>/dev/null |
                awk -v k="${part%/*}" -v n="${part#*/}" 'NR % n == k % n' |
                xargs -P "$jobs" -I '{}' "$0" check-wrong '{}'
        else
            echo 'WRONG the solutions do not link together'
        fi
    } 2>&1 | tee "$1" | grep --line-buffered -v '^\(stub\|solution\|recognised\) '
    echo "$(grep -c '^stub ' "$1") stubs say TODO, $(grep -c '^solution ' "$1") checks of solutions pass," \
        "$(grep -c '^recognised ' "$1") wrong solutions are recognised, $(grep -c '^caught ' "$1") are caught by tests," \
        "$(grep -c '^WRONG ' "$1") wrong"
    ! grep -q '^WRONG ' "$1"
}

command=$1
shift
case $command in
status | check | watch | hint | solution | reset) "$command" "$@" ;;
self-check) self_check "$@" ;;
grade-one) grade_one "$@" ;;
check-stub) check_stub "$@" ;;
check-solution) check_solution "$@" ;;
check-wrong) check_wrong "$@" ;;
*) fail "no command $command" ;;
esac
