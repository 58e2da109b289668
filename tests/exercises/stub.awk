# Makes the file that a learner starts from: each function's contract and declaration from its header, with a body that
# says TODO. Files: exercises.tsv, then all headers. Variables: id (the exercise), file (what will be written).

function trim(text) { gsub(/^[ \t]+|[ \t]+$/, "", text); return text }
function path(header) { return header ~ /^tests\// ? header : "cs336_basics/" header }

FNR == 1 { files++ }

# The table: the row of the exercise, and the headers of what it needs.
files == 1 {
    if (/^#/ || /^id\t/)
        next
    split($0, column, "\t")
    header_of[column[1]] = column[4]
    functions_of[column[1]] = column[5]
    if (column[1] == id) {
        problem = column[2]; points = column[3]; headers = column[4]; functions = column[5]; needs = column[6]
    }
    next
}

# Headers, line by line.
{ line[FILENAME, FNR] = $0; last[FILENAME] = FNR; names[FILENAME] = 1 }

# Finds the line of `pattern` in a file, 0 if there is none.
function find(file, pattern,    i) {
    for (i = 1; i <= last[file]; i++)
        if (line[file, i] ~ pattern && line[file, i] !~ /^ \*|^\/|^#|^ /)
            return i
    return 0
}

# Prints a function of a header: its comment, its declaration as a definition, and the body. Remembers its words.
function print_stub(header, name,    at, first, i, text, skipped) {
    at = find(header, "(^|[ *])" name "\\(")
    if (!at)
        return 0
    for (first = at; first > 1 && line[header, first - 1] ~ /^(\/\*\*| \*)/; first--)
        ;
    stubs = stubs "\n"
    skipped = 0
    for (i = first; i < at; i++) { # how the library does it is not part of the contract
        if (line[header, i] ~ /^ \* @par In this library/)
            skipped = 1
        else if (line[header, i] ~ /^ (\* @|\*\/)/)
            skipped = 0
        if (!skipped)
            stubs = stubs line[header, i] "\n"
    }
    text = ""
    for (i = at; i <= last[header]; i++) {
        text = text line[header, i] "\n"
        if (line[header, i] ~ /;$/)
            break
    }
    words = words " " text
    if (sub(/CS336_MUST_CHECK /, "", text)) # the lines that follow stay aligned
        gsub(/\n                 /, "\n", text)
    sub(/;\n$/, "\n", text)
    stubs = stubs text "{\n    TODO();\n}\n"
    return 1
}

# A type's definition as lines of a comment.
function print_type(type,    file, end, first, i, text) {
    for (file in names) {
        end = find(file, "^([}] |typedef enum [{].*[}] )" type ";")
        if (!end)
            continue
        for (first = end; line[file, first] !~ /^typedef/; first--)
            ;
        types = types " *\n"
        for (i = first; i <= end; i++) {
            text = line[file, i]
            sub(/\/\*.*/, "", text)
            words = words " " text # the types of its fields come next
            text = line[file, i]
            gsub(/\/\*\*<?|\*\//, "//", text)
            sub(/\/\/[ ]*$/, "", text)
            types = types " *     " trim_end(text) "\n"
        }
        return
    }
}
function trim_end(text) { sub(/[ \t]+$/, "", text); return text }

END {
    if (functions == "") {
        print "stub.awk: no exercise " id > "/dev/stderr"
        exit 1
    }
    split(headers, header, ",")
    count = split(functions, name, ",")
    for (i = 1; i <= count; i++)
        if (!((1 in header && print_stub(path(header[1]), name[i])) || (2 in header && print_stub(path(header[2]), name[i])))) {
            print "stub.awk: " headers " does not declare " name[i] > "/dev/stderr"
            exit 1
        }

    # The types of the parameters and of their fields, but for those that learn.h explains.
    split("Tensor TokenTensor MaskTensor Arena Status Rng", known, " ")
    for (i in known)
        seen[known[i]] = 1
    for (depth = 0; depth < 3; depth++) {
        gsub(/[^A-Za-z0-9_]+/, " ", words)
        word_count = split(words, word, " ")
        words = ""
        for (i = 1; i <= word_count; i++)
            if (word[i] ~ /^[A-Z][A-Za-z]*[a-z]/ && !(word[i] in seen)) {
                seen[word[i]] = 1
                print_type(word[i])
            }
    }

    printf "/*\n * Exercise %s%s", id, problem == id ? "" : ", of problem " problem
    print points == "-" ? " (no points)." : " (" points (points == 1 ? " point)." : " points).")
    print " *"
    print " *     make learn EX=" id "    checks this file"
    print " *     make hint EX=" id "     gives a hint"
    print " *"
    print " * Tensors, rows and numbers in C: tests/exercises/learn.h, a table of one line for each PyTorch expression."
    print " * To pass, the results must be right. Errors of the caller (@retval) are tested by bonus tests only."
    if (needs != "-") {
        need_count = split(needs, need, ",")
        print " *"
        print " * You may call these functions. They are ours here; what you write yourself replaces them in `make story`:"
        for (i = 1; i <= need_count; i++) {
            text = functions_of[need[i]]
            gsub(/,/, "(), ", text)
            print " *     " text "()"
        }
    }
    # The exercises of the tokenizer decode UTF-8, and those that call run_pretokenize() count or look up what it finds.
    about_text = id == "pretokenizer" || needs ~ /(^|,)pretokenizer(,|$)/
    if (about_text && needs != "-")
        print " *\n * A hash map, as Python's dict: tests/exercises/map.h."
    for (i = 1; i <= last[path(header[1])]; i++)
        if (line[path(header[1]), i] ~ /_bind_saved\(/ && line[path(header[1]), i] !~ /^ /) {
            text = ""
            do
                text = text " *     " line[path(header[1]), i] "\n"
            while (line[path(header[1]), i++] !~ /;$/)
            sub(/CS336_MUST_CHECK /, "", text)
            gsub(/\n \*      +/, "\n *         ", text)
            printf " *\n * Ours as well, to take the tensors of `saved` from an arena:\n%s", text
        }
    if (types != "")
        printf " *\n * The types:\n%s", types
    print " */"
    print "#include \"tests/exercises/learn.h\""
    include(headers)
    for (i = 1; needs != "-" && i <= need_count; i++)
        include(header_of[need[i]])
    if (about_text)
        include("tokenizer/unicode.h")
    if (about_text && needs != "-")
        include("tests/exercises/map.h")
    print ""
    print "#include <math.h>"
    printf "%s", stubs
}

function include(list,    part, n, i) {
    n = split(list, part, ",")
    for (i = 1; i <= n; i++)
        if (!(part[i] in included)) {
            included[part[i]] = 1
            print "#include \"" part[i] "\""
        }
}
