# Makes a page for Doxygen from a chapter that reads well on GitHub. Variable: table, the path of exercises.tsv.
# It prints the page, and fails with a message if something that a chapter names does not exist. contents.awk adds the
# end of a page, with links to the previous and the next one.
#
#     # Title, ## Title          get anchors: the file's name, and the file's name with the title, as on GitHub
#     [text](other.md#title)     becomes a link to that page and section
#     $x^2$, $$x^2$$             become formulas, outside of `code`
#     {{code FILE NAME}}         becomes the text of a function, a type or a table in a file of this repository
#     {{comment FILE NAME}}      becomes the comment above it
#     {{exercise ID}}            becomes the box that says how to do an exercise
#     {{mistakes ID}}            becomes the list of its known mistakes, as the checker names them
#     {{contents}}               becomes the list of the pages of the book
#     <!-- live NAME -->         lets the figure docs/live/NAME.js take the place of the picture in the next line, if the
#                                variable live is 1; else a line below the picture says that it could run

BEGIN {
    while ((getline row < table) > 0) {
        if (row ~ /^#/ || row ~ /^id\t/)
            continue
        split(row, column, "\t")
        problem_of[column[1]] = column[2]; points_of[column[1]] = column[3]; header_of[column[1]] = column[4]
        functions_of[column[1]] = column[5]
    }
    close(table)
}

FNR == 1 {
    page = page_name(FILENAME); fenced = 0; title_seen = 0
    number = page_number(FILENAME)
    if (!number && page != "mainpage")
        die("this page is not in the reading order, " contents)
    if (page_has_title[number])
        $0 = "# " page_title[number]
}

# A link that goes on in the next line is joined, because Doxygen reads a link only if it is on one line.
held != "" {
    if (/^ *$|^ *[-*|>#`]/)
        print formulas(links(held))
    else {
        sub(/^ +/, "")
        $0 = held " " $0
    }
    held = ""
}

/^ *(```|~~~)/ { fenced = !fenced; print; next }
fenced || /^    [^ ]/ { print; next }

/^<!-- live .* -->$/ {
    live_name = $3
    if ((getline line < ("docs/live/" live_name ".js")) < 0)
        die("no figure docs/live/" live_name ".js")
    close("docs/live/" live_name ".js")
    if (getline <= 0 || $0 !~ /^!\[.*\]\(.*\)$/)
        die("expected the picture of the figure " live_name " in the line after <!-- live " live_name " -->")
    print_live(live_name, links($0))
    next
}

/^\{\{.*\}\}$/ {
    gsub(/^\{\{|\}\}$/, "")
    directive($0)
    next
}

/^#+ / {
    if ($0 !~ /\{#[^}]*\}$/) {
        title = $0
        sub(/^#+ +/, "", title)
        $0 = $0 " {#" (title_seen ? page "-" slug(title) : page) "}"
    }
    title_seen = 1
    print formulas(links($0))
    next
}

/\[[^\]]*$/ && !/^\|/ { held = $0; next }

{ print formulas(links($0)) }

function die(message) {
    print FILENAME ":" FNR ": " message > "/dev/stderr"
    failed = 1
    exit 1
}
END {
    if (held != "")
        print formulas(links(held))
    if (live_scripts)
        print_raw(live_scripts)
    if (!failed && number)
        print_end_of_page(number)
    exit failed
}

# docs/book/attention.md -> attention
function page_name(path) {
    sub(/.*\//, "", path)
    sub(/\.md$/, "", path)
    return tolower(path)
}

# Links to pages of this repository.
function links(text,    result, link, target) {
    result = ""
    while (match(text, /\]\([^)]*\)/)) {
        link = substr(text, RSTART + 2, RLENGTH - 3)
        result = result substr(text, 1, RSTART - 1)
        text = substr(text, RSTART + RLENGTH)
        target = link
        sub(/^(\.\.\/)+/, "", target) # files are named from the top of the repository on
        if (link ~ /^#/)
            link = "@ref " page "-" substr(link, 2)
        else if (link ~ /^[^:]*\.md$/)
            link = "@ref " page_name(link)
        else if (link ~ /^[^:]*\.md#/)
            link = "@ref " page_name(substr(link, 1, index(link, "#") - 1)) "-" substr(link, index(link, "#") + 1)
        else if (target ~ /^(cs336_basics|tests)\//) {
            if ((getline line < target) < 0)
                die("no file " target)
            close(target)
            link = target
        } else if (target ~ /^(docs\/)?figures\//) {
            sub(/^docs\//, "", target)
            link = target # Doxygen looks for pictures from docs/ on
        }
        result = result "](" link ")"
    }
    return result text
}

# $...$ and $$...$$ outside of `...` become formulas. A quotation mark of the text becomes &quot;, because Doxygen takes
# the text between two of them on a line as it is, with the formulas in it.
function formulas(text,    result, c, tag, i, two, end) {
    gsub(/<br>`/, "<br> `", text) # Doxygen does not see the element otherwise
    result = ""
    for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        end = c == "`" ? index(substr(text, i + 1), "`") : 0
        if (c == "<" || c == ">")
            tag = c == "<" && substr(text, i + 1, 1) ~ /[a-z]/
        if (end) {
            result = result code_span(substr(text, i + 1, end - 1))
            i += end
        } else if (c == "\"" && !tag)
            result = result "&quot;"
        else if (c == "$" && substr(text, i - 1, 1) != "\\") {
            two = substr(text, i + 1, 1) == "$"
            result = result (two ? (display ? "\\f]" : "\\f[") : "\\f$")
            if (two) {
                display = !display
                i++
            }
        } else
            result = result c
    }
    return result
}

# `code`. Doxygen drops a % in front of a word, does not see the end of code after a single quotation mark, and shows
# the \| of a table as it is. In <code> each of them can be escaped, and -- must be.
function code_span(code) {
    if (code !~ /["'%]|\\\|/)
        return "`" code "`"
    gsub(/[\\@"%#&<>]|--/, "\\\\&", code)
    gsub(/\\\\\|/, "\\|", code)
    return "<code>" code "</code>"
}

function directive(text,    word) {
    split(text, word, " ")
    if (word[1] == "code")
        print_code(word[2], word[3])
    else if (word[1] == "comment")
        print_comment(word[2], word[3])
    else if (word[1] == "exercise")
        print_exercise(word[2])
    else if (word[1] == "mistakes")
        print_mistakes(word[2])
    else if (word[1] == "contents")
        print_pages(0, "@subpage", "")
    else
        die("unknown directive " word[1])
}

# The picture of a figure in the element that live.js looks for. The first figure of a page brings the scripts.
function print_live(name, picture) {
    if (!live) {
        print picture
        print "\n*This figure runs in the page if `make docs` finds emcc, which `make deps` installs.*"
        return
    }
    print_raw("<div class=\"live\" data-live=\"" name "\">")
    print picture
    print_raw("</div>")
    if (!live_scripts)
        live_scripts = "<link rel=\"stylesheet\" href=\"live/live.css\">" script("cs336") script("live")
    live_scripts = live_scripts needs("docs/live/" name ".js") script(name)
}
# The script and the style of the library that the comment at the top of a figure names: "Needs cs336_basics/DIRECTORY/FILE."
function needs(file,    line, part) {
    while ((getline line < file) > 0 && line !~ /^"use strict"/)
        if (match(line, /Needs cs336_basics\/[a-z_\/]+/)) {
            part = substr(line, RSTART + 6, RLENGTH - 6)
            sub(/.*\//, "", part)
            close(file)
            return "<link rel=\"stylesheet\" href=\"live/" part ".css\">" script(part)
        }
    close(file)
    return ""
}
function script(name) { return "<script src=\"live/" name ".js\"></script>" }
function print_raw(html) { print "\n\\htmlonly[block]" html "\\endhtmlonly\n" }

# Reads a file into lines[], and returns the line where `name` is defined.
function definition(file, name,    path, at, line, found) {
    path = file
    if ((getline line < path) < 0) {
        path = "cs336_basics/" file
        if ((getline line < path) < 0)
            die("no file " file)
    }
    count = 0
    do {
        lines[++count] = line
    } while ((getline line < path) > 0)
    close(path)
    for (at = 1; at <= count && !found; at++)
        if (lines[at] ~ ("(^|[ *])" name "(\\(|\\[| =| \\{|;)") && lines[at] ~ /^[a-zA-Z}#]/ && lines[at] !~ /;$/)
            found = at
        else if (lines[at] ~ ("^} " name ";"))
            for (found = at; lines[found] !~ /^typedef/; found--)
                ;
    if (!found)
        die("no definition of " name " in " path)
    return found
}

function print_code(file, name,    at) {
    at = definition(file, name)
    print "```c"
    do
        print lines[at]
    while (lines[at++] !~ /^}/ && at <= count)
    print "```"
}

function print_comment(file, name,    at, first, text) {
    at = definition(file, name)
    if (lines[at - 1] !~ /\*\/$/)
        die("no comment above " name " in " file)
    for (first = at - 1; lines[first] !~ /^\/\*/; first--)
        ;
    print "```text"
    for (; first < at; first++) {
        text = lines[first]
        sub(/^\/\*\*? ?/, "", text)
        sub(/^ \*\/?/, "", text)
        sub(/^ /, "", text)
        sub(/ *\*\/$/, "", text)
        if (text != "" || (first > 1 && first < at - 1))
            print text
    }
    print "```"
}

# The header of an exercise that declares a function. Its declaration is in signature, with the lines of a quotation.
function declared(headers, function_name,    header, n, i, path, line) {
    n = split(headers, header, ",")
    for (i = 1; i <= n; i++) {
        path = (header[i] ~ /^tests\// ? "" : "cs336_basics/") header[i]
        signature = ""
        while ((getline line < path) > 0 && signature !~ /;$/)
            if (signature != "" || (line ~ ("(^|[ *])" function_name "\\(") && line ~ /^[A-Za-z]/))
                signature = signature (signature == "" ? "> " : "\n> ") line
        close(path)
        if (sub(/CS336_MUST_CHECK /, "", signature)) # the lines that follow stay aligned
            gsub(/\n>                  /, "\n> ", signature)
        if (signature != "")
            return header[i]
    }
    die("no header of " headers " declares " function_name "()")
}

function print_exercise(id,    name, n, i, header, text, where) {
    if (!(id in functions_of))
        die("no exercise " id)
    n = split(functions_of[id], name, ",")
    for (i = 1; i <= n; i++) {
        header = declared(header_of[id], name[i])
        text = text signature "\n"
        if (index(where, "[" header "]") == 0)
            where = where (where == "" ? "" : " and ") "[" header "](" (header ~ /^tests\// ? "" : "cs336_basics/") header ")"
    }
    print "> **Do it** · exercise `" id "`, " (points_of[id] == "-" ? "no points" : points_of[id] (points_of[id] == 1 ? " point" : " points"))
    print ">"
    print "> Write " (n > 1 ? "these functions" : "this function") " in `student/" id ".c`. The contract is in your file and in " where "."
    print ">"
    print "> ```c"
    printf "%s", text
    print "> ```"
    print ">"
    print "> ```sh"
    print "> make learn EX=" id "    # checks it, and names the mistake"
    print "> make hint EX=" id "     # three hints, one more each time"
    print "> ```"
}

function print_mistakes(id,    command, patch, text, found) {
    command = "ls tests/exercises/wrong/" id "/*.patch 2>/dev/null"
    while ((command | getline patch) > 0) {
        getline text < patch
        close(patch)
        print "- " text
        found = 1
    }
    close(command)
    if (!found)
        die("no known mistakes of " id)
}
