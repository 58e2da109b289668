#!/bin/sh
# Builds the book and the reference into build/docs/html, which works from the disk, without a network.
# usage: make_docs.sh [CS336.JS]    the library as WebAssembly, for the figures that run
set -eu
wasm=${1-}
out=build/docs
pages=$out/pages
rm -rf "$out/html" "$pages"
mkdir -p "$pages"

# ---- chapters ----
for chapter in README.md docs/*.md docs/book/*.md; do
    [ -e "$chapter" ] || continue
    awk -v table=tests/exercises/exercises.tsv -v contents=docs/book/contents.txt -v live=${wasm:+1} -f docs/tools/contents.awk -f docs/tools/slug.awk -f docs/tools/page.awk "$chapter" >"$pages/$(basename "$chapter")" || exit 1
done

# ---- what is optional ----
say() { echo "make docs: $*" >&2; }
first_of() { for path; do [ -e "$path" ] && { echo "$path"; return; }; done; return 0; }
settings=
set_to() { settings="$settings
$1 = $2"; }
command -v dot >/dev/null || {
    set_to HAVE_DOT NO
    say 'no Graphviz, so no include graphs (make deps installs it)'
}
awesome=$(first_of /usr/share/doxygen-awesome-css /usr/local/share/doxygen-awesome-css)
if [ -n "$awesome" ]; then
    set_to HTML_EXTRA_STYLESHEET "$awesome/doxygen-awesome.css $awesome/doxygen-awesome-sidebar-only.css $awesome/doxygen-awesome-sidebar-only-darkmode-toggle.css docs/tools/book.css"
    set_to HTML_EXTRA_FILES "$awesome/doxygen-awesome-darkmode-toggle.js $awesome/doxygen-awesome-fragment-copy-button.js docs/tools/book.js docs/tools/search.js"
else
    set_to HTML_EXTRA_STYLESHEET docs/tools/book.css
    set_to HTML_EXTRA_FILES "docs/tools/book.js docs/tools/search.js"
    say 'no doxygen-awesome-css, so the pages look plain (make deps installs it)'
fi
[ -n "$wasm" ] || say 'no emcc, so figures are pictures that do not run (make deps installs emscripten)'
mathjax=$(first_of /usr/share/javascript/mathjax)
[ -n "$mathjax" ] || say 'no MathJax, so formulas are shown as TeX (make deps installs libjs-mathjax)'

# Doxygen's own header of a page, and our scripts at its end.
scripts='<script type="text/javascript" src="$relpath^book.js"></script><script type="text/javascript" src="$relpath^search.js"></script>'
[ -z "$awesome" ] || scripts='<script type="text/javascript" src="$relpath^doxygen-awesome-darkmode-toggle.js"></script><script type="text/javascript" src="$relpath^doxygen-awesome-fragment-copy-button.js"></script>'$scripts
doxygen -w html "$out/header.html" "$out/footer.html" "$out/style.css" 2>/dev/null
awk -v scripts="$scripts" '$0 == "</head>" {print scripts} {print}' "$out/header.html" >"$out/header.new"
mv "$out/header.new" "$out/header.html"

# ---- pages ----
{ cat docs/Doxyfile; printf '%s\n' "$settings"; } | doxygen - || true
# Every warning is an error, but that names in sources and tests need no comment: only the library's headers must have
# one for each name.
if grep -vE '((tests/|\.c:).*is not documented|^ )' "$out/warnings" >"$out/errors"; then
    cat "$out/errors" >&2
    exit 1
fi

# ---- formulas: the part of MathJax that turns TeX into SVG ----
if [ -n "$mathjax" ]; then
    to=$out/html/mathjax
    for part in MathJax.js extensions/tex2jax.js extensions/MathEvents.js extensions/TeX jax/input/TeX jax/element/mml \
        jax/output/SVG/autoload jax/output/SVG/config.js jax/output/SVG/jax.js jax/output/SVG/fonts/TeX; do
        mkdir -p "$to/$(dirname $part)"
        cp -R "$mathjax/$part" "$to/$part"
    done
fi

# ---- figures that run ----
if [ -n "$wasm" ]; then
    mkdir "$out/html/live"
    cp "$wasm" docs/live/*.js docs/live/*.css cs336_basics/inspect/attention_viewer.* "$out/html/live"
fi

# ---- files that README.md links to as they are ----
mkdir -p "$out/html/docs/experiments"
cp docs/experiments/*.json "$out/html/docs/experiments"

# ---- links to source files ----
# In a chapter a link names a file of the repository. Its page is named after the file, with as many folders in front
# as the name needs to be unique.
grep -lE 'href="(cs336_basics|tests)/' "$out"/html/*.html | while read -r page; do
    awk -v html="$out/html" -f docs/tools/file_links.awk "$page" >"$page.new" || exit 1
    mv "$page.new" "$page"
done

for tree in "$out"/html/*_8h.js "$out"/html/navtreeindex*.js "$out"/html/navtreedata.js; do
    awk -v html="$out/html" -f docs/tools/tree_links.awk "$tree" >"$tree.new"
    mv "$tree.new" "$tree"
done

# ---- full-text search over the chapters ----
if command -v python3 >/dev/null; then
    chapters=$(sed -n 's/^ *\([^ #][^ ]*\)\.md.*/\1/p' docs/book/contents.txt | sed 's/.*\///' | tr '[:upper:]' '[:lower:]')
    python3 docs/tools/search_index.py "$out/html" index $chapters || exit 1
else
    rm "$out/html/search.js"
    say 'no python3, so no search over the chapters'
fi
echo "$out/html/index.html"
