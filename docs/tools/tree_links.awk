# Mends the navigation tree: a value of an enumeration without a comment of its own has no anchor on its page, but Doxygen
# links to it. usage: awk -v html=DIRECTORY -f tree_links.awk FILE.js
#
# A tree (linear_8h.js) gets the link to the enumeration in its place. The index (navtreeindex0.js), which says where in
# the tree a link is, loses the entry. navtreedata.js has the first entry of each index, and is mended after them.

function page(file,    line, text) {
    if (!(file in pages)) {
        text = ""
        while ((getline line < (html "/" file)) > 0)
            text = text line
        close(html "/" file)
        pages[file] = text
    }
    return pages[file]
}

# The first link of an index: its third line begins with it.
function first_of(index_file,    line, i) {
    for (i = 0; i < 3; i++)
        getline line < (html "/" index_file)
    close(html "/" index_file)
    split(line, parts, "\"")
    return parts[2]
}

/NAVTREEINDEX =/ { indices = 0 }
{
    # The anchor of an enumeration is "a" and 32 hexadecimal digits; that of a value has 33 more characters.
    if (match($0, /"[A-Za-z0-9_-]+\.html#a[0-9a-f]+"/) && RLENGTH > 66) {
        link = substr($0, RSTART + 1, RLENGTH - 2)
        cut = index(link, "#")
        anchor = substr(link, cut + 1)
        if (length(anchor) == 66 && !index(page(substr(link, 1, cut - 1)), "id=\"" anchor "\"")) {
            if (FILENAME ~ /navtreeindex/)
                next
            mended = FILENAME ~ /navtreedata/ ? first_of("navtreeindex" indices ".js") : substr(link, 1, cut + 33)
            $0 = substr($0, 1, RSTART) mended substr($0, RSTART + RLENGTH - 1)
        }
    }
    indices += /^"/
    print
}
