#!/bin/sh
# Looks at every #include of cs336_basics and fails if one points upwards or sideways: from a folder to one above it or
# beside it, in the order of the folders at the end of README.md. The same holds inside tokenizer/, in the order of docs/tokenizer.md.
cd cs336_basics || exit 2

grep -rHnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' --include='*.[ch]' . | awk -F'"' '
BEGIN {
    level["core"] = 0
    level["kernels"] = 1
    level["distributed"] = 2
    level["nn"] = level["optim"] = level["data"] = level["tokenizer"] = level["story"] = 3
    level["train"] = level["generate"] = level["accounting"] = 4
    level["inspect"] = level["interchange"] = 5
    level["cli"] = 6

    # The folders of the tokenizer. The files beside them are shared by all.
    inner_level["tokenizer"] = 0
    inner_level["tokenizer/split"] = inner_level["tokenizer/files"] = 1
    inner_level["tokenizer/learn"] = inner_level["tokenizer/encode"] = 2
}

# The folder of a file, such as "core", "tokenizer/learn".
function folder_of(path) {
    sub(/\/?[^\/]*$/, "", path)
    return path
}

# Whether a file in `source` may include a header in `target`; if not, sets `reason`.
function may_include(source, target, levels) {
    if (!(source in levels) || !(target in levels)) {
        reason = (source in levels ? target : source) ": no such folder in check_arrows.sh"
        return 0
    }
    reason = source " may not include " target
    return source == target || levels[source] > levels[target]
}

{
    split($1, location, ":") # file, line
    sub(/^\.\//, "", location[1])
    source = folder_of(location[1])
    target = $2 ~ /\// ? folder_of($2) : source # a header beside its source
    split(source, source_path, "/")
    split(target, target_path, "/")
    count++
    if (!may_include(source_path[1], target_path[1], level) ||
        (source != target && source_path[1] == target_path[1] && !may_include(source, target, inner_level))) {
        print "cs336_basics/" location[1] ":" location[2] ": #include \"" $2 "\": " reason
        wrong++
    }
}
END {
    print count + 0 " includes, " wrong + 0 " against the arrows"
    exit wrong > 0 || count == 0
}'
