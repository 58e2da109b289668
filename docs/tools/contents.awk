# The order of the book for page.awk. Variable: contents, the path of contents.txt, which explains its own form.

BEGIN {
    while ((getline entry < contents) > 0) {
        entry_line++
        if (entry ~ /^#/ || entry !~ /[^ ]/)
            continue
        match(entry, /^ */)
        add_page(substr(entry, RLENGTH + 1), RLENGTH)
    }
    close(contents)
}

# The pages are numbered from 1 on in reading order: pages[i] is the file, page_title[i], and page_parent[i], 0 if none.
function add_page(entry, indent,    path, line) {
    path = entry
    sub(/  .*/, "", path)
    page_count++
    pages[page_count] = path
    page_indent[page_count] = indent
    if (path != entry) {
        page_title[page_count] = substr(entry, length(path) + 1)
        sub(/^ +/, "", page_title[page_count])
        page_has_title[page_count] = 1
    }
    if ((getline line < path) < 0) {
        print contents ":" entry_line ": no file " path > "/dev/stderr"
        failed = 1
        exit 1
    }
    close(path)
    if (!page_has_title[page_count]) {
        sub(/^# */, "", line)
        sub(/ *\{#[^}]*\}$/, "", line)
        page_title[page_count] = line
    }
    for (page_parent[page_count] = page_count - 1; page_indent[page_parent[page_count]] >= indent && page_parent[page_count];)
        page_parent[page_count]--
}

# The number of the page of this file, 0 if contents.txt does not have it.
function page_number(path,    i) {
    for (i = page_count; i > 0 && pages[i] != path; i--)
        ;
    return i
}

# Prints the pages of `parent` as a list. Doxygen's tree has them in the order of the \subpage commands; a page may be
# the subpage of one page only, so that deeper ones are plain links here.
function print_pages(parent, command, margin,    i) {
    for (i = 1; i <= page_count; i++)
        if (page_parent[i] == parent) {
            print margin "- " command " " page_name(pages[i]) " \"" page_title[i] "\""
            print_pages(i, "@ref", margin "  ")
        }
}

function print_neighbour(i, class, arrow) {
    if (i == 0)
        print "<a class=\"" class "\" href=\"index.html\">" arrow "</a>"
    else
        print "<a class=\"" class "\" href=\"" page_name(pages[i]) ".html\">" arrow " " page_title[i] "</a>"
}

# Prints the end of page i: its subpages, and the links to the previous page, the contents and the next page.
function print_end_of_page(i,    j, has_pages) {
    for (j = 1; j <= page_count; j++)
        has_pages = has_pages || page_parent[j] == i
    if (has_pages) {
        print "\nMore on this:\n"
        print_pages(i, "@subpage", "")
    }
    print "\n@htmlonly"
    print "<nav class=\"book-order\" aria-label=\"Order of the book\">"
    if (i > 1)
        print_neighbour(i - 1, "book-previous", "←")
    print_neighbour(0, "book-contents", "Contents")
    if (i < page_count)
        print_neighbour(i + 1, "book-next", "→")
    print "</nav>"
    print "@endhtmlonly"
}
