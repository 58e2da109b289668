/* Full-text search over the chapters. Doxygen's own box finds names of the code; this one finds words in the text.
   The index (search_index.py) is loaded when the box is first used. / focuses the box, the arrows choose a result, Enter
   opens it, Esc closes the list. */
(function () {
    "use strict";

    var MOST = 20; /* results shown: more than anybody reads, and few enough to be built at each key */
    var BEFORE = 40, AFTER = 110; /* characters of context: two lines of the list */

    var form, box, list, chosen = -1;

    function element(tag, attributes, text) {
        var made = document.createElement(tag);
        for (var name in attributes) made.setAttribute(name, attributes[name]);
        if (text) made.textContent = text;
        return made;
    }

    /* ---- searching ---- */

    function words(query) {
        return query.toLowerCase().split(/\s+/).filter(function (word) { return word; });
    }

    /* Where `word` is in the text from `at` on: at the begin of a word, so that "arm" does not find "warm". */
    function indexOfWord(text, word, at) {
        var place = text.indexOf(word, at || 0);
        while (place > 0 && /[a-z0-9]/.test(text[place - 1]) && /[a-z0-9]/.test(word[0])) place = text.indexOf(word, place + 1);
        return place;
    }

    function count(text, word) {
        for (var sum = 0, at = indexOfWord(text, word); at >= 0; at = indexOfWord(text, word, at + word.length)) sum++;
        return sum;
    }

    /* Every section, as { url, page, title, text } and the same in lower case. Made once. */
    var all = null;
    function sections() {
        if (all || typeof bookIndex === "undefined") return all || [];
        all = [];
        bookIndex.forEach(function (page) {
            var pageTitle = page[1][0][1];
            page[1].forEach(function (section) {
                all.push({
                    url: page[0] + (section[0] ? "#" + section[0] : ""), page: section[1] === pageTitle ? "" : pageTitle,
                    title: section[1], text: section[2],
                    lowerTitle: section[1].toLowerCase(), lowerText: section[2].toLowerCase()
                });
            });
        });
        return all;
    }

    /* The sections that have every word, the best first. A rare word weighs more than a frequent one, a word in the title
       as much as ten in the text, and words that follow each other as in the query count once more. */
    function search(query) {
        var wanted = words(query), phrase = wanted.join(" ");
        if (!wanted.length) return [];
        var found = sections().filter(function (section) {
            return wanted.every(function (word) {
                return indexOfWord(section.lowerTitle, word) >= 0 || indexOfWord(section.lowerText, word) >= 0;
            });
        });
        var weights = wanted.map(function (word) {
            var having = sections().filter(function (section) { return indexOfWord(section.lowerText, word) >= 0; });
            return 0.1 + Math.log((1 + sections().length) / (1 + having.length));
        });
        var scores = new Map();
        found.forEach(function (section) {
            var sum = 0;
            wanted.forEach(function (word, i) {
                sum += weights[i] * (10 * (indexOfWord(section.lowerTitle, word) >= 0) + Math.log(1 + count(section.lowerText, word)));
            });
            var inTitle = indexOfWord(section.lowerTitle, phrase) >= 0, inText = indexOfWord(section.lowerText, phrase) >= 0;
            scores.set(section, sum * (1 + inTitle + inText));
        });
        /* Array.sort is stable: sections of equal value stay in the order of the book. */
        return found.sort(function (a, b) { return scores.get(b) - scores.get(a); }).slice(0, MOST);
    }

    /* ---- showing ---- */

    /* Appends text to `parent`, with each wanted word in a <mark>. */
    function appendMarked(parent, text, wanted) {
        var lower = text.toLowerCase(), at = 0;
        while (at < text.length) {
            var next = text.length, length = 0;
            wanted.forEach(function (word) {
                var place = indexOfWord(lower, word, at);
                if (place >= 0 && (place < next || (place === next && word.length > length))) {
                    next = place;
                    length = word.length;
                }
            });
            parent.appendChild(document.createTextNode(text.slice(at, next)));
            if (length) parent.appendChild(element("mark", {}, text.slice(next, next + length)));
            at = next + length;
        }
    }

    /* The part of the text around the whole phrase, or else around the first word that the text has. */
    function context(text, wanted) {
        var lower = text.toLowerCase(), at = indexOfWord(lower, wanted.join(" "));
        for (var i = 0; at < 0 && i < wanted.length; i++) at = indexOfWord(lower, wanted[i]);
        var begin = Math.max(0, at - BEFORE), end = Math.min(text.length, Math.max(at, 0) + AFTER);
        while (begin > 0 && text[begin - 1] !== " ") begin--;
        while (end < text.length && text[end] !== " ") end++;
        return (begin > 0 ? "… " : "") + text.slice(begin, end) + (end < text.length ? " …" : "");
    }

    function show() {
        var results = search(box.value), wanted = words(box.value);
        list.textContent = "";
        results.forEach(function (result, i) {
            var item = element("a", { role: "option", id: "book-result-" + i, href: result.url, tabindex: "-1" });
            var title = element("span", { "class": "book-result-title" });
            appendMarked(title, result.title, wanted);
            item.appendChild(title);
            if (result.page) item.appendChild(element("span", { "class": "book-result-page" }, result.page));
            var line = element("span", { "class": "book-result-text" });
            appendMarked(line, context(result.text, wanted), wanted);
            item.appendChild(line);
            item.addEventListener("click", close);
            list.appendChild(item);
        });
        if (wanted.length && !results.length)
            list.appendChild(element("p", {}, "No section of the book has these words."));
        choose(results.length ? 0 : -1);
        wanted.length ? open() : close();
    }

    function open() {
        var place = form.getBoundingClientRect();
        list.style.top = place.bottom + 4 + "px";
        list.style.maxHeight = window.innerHeight - place.bottom - 16 + "px";
        list.hidden = false;
        box.setAttribute("aria-expanded", "true");
    }

    function close() {
        list.hidden = true;
        box.setAttribute("aria-expanded", "false");
    }

    function choose(i) {
        var items = list.querySelectorAll("a");
        if (items[chosen]) items[chosen].removeAttribute("aria-selected");
        chosen = items.length ? (i + items.length) % items.length : -1;
        box.removeAttribute("aria-activedescendant");
        if (chosen < 0) return;
        items[chosen].setAttribute("aria-selected", "true");
        items[chosen].scrollIntoView({ block: "nearest" });
        box.setAttribute("aria-activedescendant", items[chosen].id);
    }

    /* ---- keys ---- */

    function keyInBox(event) {
        if (event.key === "ArrowDown" || event.key === "ArrowUp") choose(chosen + (event.key === "ArrowDown" ? 1 : -1));
        else if (event.key === "Enter" && chosen >= 0 && !list.hidden) list.querySelectorAll("a")[chosen].click();
        else if (event.key === "Escape") {
            if (list.hidden) box.blur();
            close();
        } else return;
        event.preventDefault();
        event.stopPropagation(); /* Doxygen listens to the same keys */
    }

    function keyInPage(event) {
        var target = event.target;
        if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
        if (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.isContentEditable) return;
        event.preventDefault();
        box.focus();
        box.select();
    }

    function loadIndex() {
        if (document.getElementById("book-index")) return;
        var script = element("script", { id: "book-index", src: "search_index.js" });
        script.onload = function () { if (box.value) show(); };
        document.head.appendChild(script);
    }

    /* Says what Doxygen's own box is for. Doxygen makes it some time after the page is ready; its label is its value. */
    function renameOtherBox(tries) {
        var names = document.getElementById("MSearchField");
        if (names && typeof searchBox !== "undefined") {
            if (names.value === searchBox.searchLabel) names.value = "Search names in the code";
            searchBox.searchLabel = "Search names in the code";
        } else if (tries > 0) setTimeout(renameOtherBox, 50, tries - 1);
    }

    document.addEventListener("DOMContentLoaded", function () {
        var top = document.getElementById("top");
        if (!top) return;
        form = element("form", { id: "book-search", role: "search" });
        box = element("input", {
            id: "book-search-box", type: "search", placeholder: "Search the book   /", autocomplete: "off",
            "aria-label": "Search the book", role: "combobox", "aria-expanded": "false",
            "aria-controls": "book-results", "aria-autocomplete": "list"
        });
        list = element("div", { id: "book-results", role: "listbox", "aria-label": "Sections found" });
        list.hidden = true;
        form.appendChild(box);
        top.insertBefore(form, document.getElementById("titlearea").nextSibling);
        document.body.appendChild(list);
        form.addEventListener("submit", function (event) { event.preventDefault(); });
        box.addEventListener("focus", loadIndex);
        box.addEventListener("focus", function () { if (box.value) show(); });
        box.addEventListener("input", show);
        box.addEventListener("keydown", keyInBox);
        document.addEventListener("keydown", keyInPage);
        renameOtherBox(100);
        document.addEventListener("pointerdown", function (event) {
            if (!list.contains(event.target) && !form.contains(event.target)) close();
        });
        window.addEventListener("resize", function () { if (!list.hidden) open(); });
    });
})();
