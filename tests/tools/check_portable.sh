#!/bin/sh
# Looks for what macOS lacks in makefiles, scripts and C, and fails if it finds any. Called by `make format-check`.
# Each line of the table: where (make, sh or c), an extended regular expression, what is wrong with it there. A line that tests
# for a program by `command -v` may name it.
set -u
table='
make|\$\(file |the make of macOS is 3.81: print to a file in a recipe
make|^[^#	]*[A-Za-z_ ]!=|make 3.81 has no !=: use $(shell ...)
make|^\.ONESHELL|make 3.81 has no .ONESHELL: join the lines by && or backslashes
make|^[^#	=]*&:|make 3.81 knows no grouped targets
make|::=|make 3.81 knows := only
make|\$\(shell command -v [^>]*$|make 3.81 runs this without a shell: use $(call program_path,NAME)
make|\$\((let|intcmp) |make 3.81 has no such function
sh|(^|[^[:alnum:]_.-])sed (-[a-zA-Z]*[irz])|sed of macOS: -i needs a suffix, -r is -E, there is no -z
sh|(^|[^[:alnum:]_])readlink -f|readlink of macOS 12 has no -f: cd there and pwd
sh|(^|[^[:alnum:]_])realpath |macOS 12 has no realpath: cd there and pwd
sh|(^|[^[:alnum:]_])timeout [0-9]|macOS has no timeout
sh|(^|[^[:alnum:]_])(nproc|tac|shuf|numfmt|stdbuf|md5sum|sha256sum)( |$)|macOS has no such program; nproc is getconf _NPROCESSORS_ONLN
sh|(^|[^[:alnum:]_])stat (-c|--)|stat of macOS has other options: use wc -c, ls or test
sh|(^|[^[:alnum:]_])date (-d|--)|date of macOS has other options
sh|mktemp --|mktemp of macOS has no long options
sh|xargs (-r|--)|xargs of macOS has no -r, and needs none
sh|grep -[a-zA-Z]*P|grep of macOS has no -P
sh|sort -[a-zA-Z]*V|sort of macOS 12 has no -V
sh|find .*-(printf|regextype)|find of macOS has no such test
sh|objcopy|macOS has no objcopy: edit the assembly, as tests/exercises/own_functions.awk does
sh|\$\(?LD\)? -[a-z]*r( |$)|ld -r of macOS makes hidden symbols local: use $(AR)
sh|-Wl,(--wrap|--version-script|--defsym)|the linker of macOS has no such option: rename a call by -D
sh|-fsemantic-interposition|clang for macOS has no such option: a weak function is not inlined
sh|(mapfile|readarray|declare -A|\$\{[A-Za-z_]+(,,|\^\^))|sh is bash 3.2 on macOS
c|(pthread_barrier_[a-z]*|qsort_r|memfd_create|fallocate|mremap|pipe2|accept4|epoll_[a-z0-9]*|eventfd|timerfd_[a-z]*|clock_nanosleep|sem_init|strchrnul|memrchr) *\(|macOS has no such function
c|__attribute__ *\(\( *(__)?alias|objects of macOS have no aliases
c|(O_TMPFILE|MAP_POPULATE|program_invocation_name)|only Linux and glibc have this
'
makefiles=$(find Makefile tests docs \( -name '*.mk' -o -name Makefile \) -type f)
scripts=$(find tests docs -name '*.sh' -type f ! -name check_portable.sh)
# The tests of commands are lines of sh in C.
sources=$(find cs336_basics tests docs -name '*.[ch]' -type f)
lines_of_sh=$(find tests/cli -name '*.c' -type f)

found=$(printf '%s\n' "$table" | sed '/^$/d' | while IFS= read -r row; do
    kind=${row%%|*} rest=${row#*|}
    expression=${rest%|*} reason=${rest##*|}
    case $kind in
    make) files=$makefiles ;;
    sh) files="$scripts $makefiles $lines_of_sh" ;;
    c) files=$sources ;;
    esac
    grep -nE -e "$expression" $files /dev/null | grep -vE '^[^:]*:[0-9]*:[[:space:]]*#|command -v [a-z]* >/dev/null; then' | while IFS= read -r line; do
        printf '%s\n    %s\n' "$line" "$reason"
    done
done)
if [ -n "$found" ]; then
    printf '%s\n' "$found"
    exit 1
fi
