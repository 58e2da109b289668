# In an HTML page, turns links to files of this repository into links to the pages that Doxygen made of them.
# usage: awk -v html=DIRECTORY -f file_links.awk PAGE.html. Fails if a file has no page.
#
# Doxygen names the page of nn/linear.h "linear_8h.html", and that of core/memory.h "core_2memory_8h.html", because
# there is another memory.h. A header has a page with its contracts; the page of its text is NAME_source.html.

function escaped(path) {
    gsub(/_/, "__", path)
    gsub(/\./, "_8", path)
    gsub(/\//, "_2", path)
    gsub(/-/, "-", path)
    return path
}
function exists(file,    line, found) {
    found = (getline line < file) >= 0
    close(file)
    return found
}

function page_of(path,    part, i, n, name, tail, end) {
    n = split(path, part, "/")
    for (i = 1; i <= n; i++) { # the longest name first
        tail = part[i]
        for (end = i + 1; end <= n; end++)
            tail = tail "/" part[end]
        name = escaped(tail)
        if (path ~ /\.h$/ && exists(html "/" name ".html"))
            return name ".html"
        if (exists(html "/" name "_source.html"))
            return name "_source.html"
    }
    print FILENAME ": no page of " path > "/dev/stderr"
    failed = 1
    return path
}

{
    rest = $0
    line = ""
    while (match(rest, /href="(cs336_basics|tests)\/[^"]*"/)) {
        path = substr(rest, RSTART + 6, RLENGTH - 7)
        line = line substr(rest, 1, RSTART - 1) "href=\"" page_of(path) "\""
        rest = substr(rest, RSTART + RLENGTH)
    }
    print line rest
}
END { exit failed }
