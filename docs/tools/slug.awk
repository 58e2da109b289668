# GitHub's anchor of a title: lower case, blanks as dashes, no other punctuation.
function slug(title) {
    title = tolower(title)
    gsub(/[^a-z0-9 _-]/, "", title)
    gsub(/ /, "-", title)
    return title
}
