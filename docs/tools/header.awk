# Doxygen reads the library's headers through this filter. It adds the links from the code to the book: to the comment
# of a file, its chapter; to the comment of a function that an exercise asks for, its section and its exercise.
# The book says where that is: a section explains the functions of the exercise whose box it holds.

BEGIN {
    table = "tests/exercises/exercises.tsv"
    while ((getline row < table) > 0) {
        if (row ~ /^#/ || row ~ /^id\t/)
            continue
        split(row, column, "\t")
        count = split(column[5], name, ",")
        for (i = 1; i <= count; i++)
            exercise_of[name[i]] = column[1]
        chapters[column[9]] = 1
    }
    close(table)
    for (chapter in chapters)
        read_chapter(chapter)
}

# Remembers, for each exercise, the heading above its box.
function read_chapter(path,    line, page, heading) {
    page = path
    sub(/.*\//, "", page)
    sub(/\.md$/, "", page)
    while ((getline line < path) > 0) {
        if (line ~ /^##+ /) {
            heading = line
            sub(/^#+ +/, "", heading)
        } else if (match(line, /^\{\{exercise [a-z_]+\}\}$/)) {
            line = substr(line, 12, length(line) - 13)
            section_of[line] = "@ref " page "-" slug(heading) " \"" heading "\""
        }
    }
    close(path)
}

# The chapter of a header.
function chapter_of(path,    page, line) {
    page = path ~ /\/nn\/(functional|attention|mha)|\/inspect\// ? "attention" : path ~ /\/nn\/transformer|\/accounting\// ? "model" : \
        path ~ /\/nn\// ? "layers" : path ~ /\/(tokenizer|story)\// ? "text" : path ~ /\/optim\// ? "learning" : \
        path ~ /\/(data|train|generate)\// ? "running" : path ~ /\/kernels\// ? "fast" : path ~ /\/core\// ? "numbers_in_c" : \
        path ~ /\/cli\// ? "start" : ""
    return page != "" && (getline line < ("docs/book/" page ".md")) > 0 ? page : ""
}

FNR == 1 { ours = FILENAME ~ /cs336_basics\// }
!ours { print; next }

# A comment is held back until the line after it tells whose it is.
/^\/\*\*/ {
    if (waiting)
        print_comment("")
    comment = ""
    open = 1
}
open {
    comment = comment $0 "\n"
    if ($0 ~ /\*\/ *$/) {
        open = 0
        waiting = 1
        if (comment ~ /\* @file/) {
            page = chapter_of(FILENAME)
            print_comment(page == "" ? "" : "The book explains it in @ref " page ".")
        }
    }
    next
}
waiting {
    word = $0
    sub(/\(.*/, "", word)
    sub(/.*[ *]/, "", word)
    id = exercise_of[word]
    print_comment(id == "" || !(id in section_of) ? "" : section_of[id] ". Exercise `" id "`: `make learn EX=" id "`.")
}
{ print }
END { if (waiting || open) printf "%s", comment }

function print_comment(text) {
    waiting = 0
    if (text != "" && comment ~ /\n \*\/\n$/)
        sub(/\n \*\/\n$/, "\n * @par In the book\n * " text "\n */\n", comment)
    printf "%s", comment
}
