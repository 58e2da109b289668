#!/bin/sh
# Lists every #include of cs336_basics that points upwards, from a folder to one above it (see the end of README.md), and
# fails if there is one. usage: check_arrows.sh [FOLDER]   a tree to look at instead of cs336_basics
cd "${1:-cs336_basics}" || exit 2

grep -rHnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' --include='*.[ch]' . | awk -F'"' '
BEGIN {
    level["core"] = 0
    level["kernels"] = 1
    level["nn"] = level["optim"] = level["data"] = level["tokenizer"] = 2
    level["train"] = level["generate"] = level["accounting"] = 3
    level["cli"] = 4
}
{
    split($1, position, ":") # file, line
    source = position[1]
    sub(/^\.\//, "", source)
    split(source, source_path, "/")
    if (split($2, target_path, "/") < 2)
        target_path[1] = source_path[1] # a header beside its source
    folder = source_path[1]
    included = target_path[1]
    count++
    reason = ""
    if (!(folder in level))
        reason = "the folder " folder " has no level in check_arrows.sh"
    else if (!(included in level))
        reason = "the folder " included " has no level in check_arrows.sh"
    else if (folder != included && level[folder] <= level[included])
        reason = folder " may not include " included
    if (reason != "") {
        print "cs336_basics/" source ":" position[2] ": #include \"" $2 "\": " reason
        wrong++
    }
}
END {
    print count + 0 " includes, " wrong + 0 " against the arrows"
    exit wrong > 0 || count == 0
}'
