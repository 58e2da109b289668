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

    /* True if `word` begins at this place of the text, so that "arm" ranks "arms" above "warm". */
    function beginsWord(text, at) {
        return at === 0 || !/[a-z0-9]/.test(text[at - 1]);
    }

    /* How well a section answers: 0 if a word is missing. A word in the title weighs as much as ten in the text. */
    function score(title, text, wanted) {
        var sum = 0;
        for (var i = 0; i < wanted.length; i++) {
            var inTitle = title.indexOf(wanted[i]), inText = text.indexOf(wanted[i]);
            if (inTitle < 0 && inText < 0) return 0;
            if (inTitle >= 0) sum += beginsWord(title, inTitle) ? 10 : 3;
            if (inText >= 0) sum += Math.log(text.split(wanted[i]).length) + (beginsWord(text, inText) ? 1 : 0);
        }
        var phrase = wanted.join(" ");
        return sum + (title.indexOf(phrase) >= 0 ? 10 : 0) + (text.indexOf(phrase) >= 0 ? 5 : 0);
    }

    function search(query) {
        var wanted = words(query), found = [];
        if (!wanted.length || typeof bookIndex === "undefined") return found;
        bookIndex.forEach(function (page) {
            page[1].forEach(function (section) {
                var value = score(section[1].toLowerCase(), section[2].toLowerCase(), wanted);
                if (value > 0)
                    found.push({
                        score: value, title: section[1], text: section[2], wanted: wanted,
                        url: page[0] + (section[0] ? "#" + section[0] : ""),
                        page: page[1][0][1] === section[1] ? "" : page[1][0][1]
                    });
            });
        });
        /* Array.sort is stable: sections of equal value stay in the order of the book. */
        return found.sort(function (a, b) { return b.score - a.score; }).slice(0, MOST);
    }

    /* ---- showing ---- */

    /* Appends text to `parent`, with each wanted word in a <mark>. */
    function appendMarked(parent, text, wanted) {
        var lower = text.toLowerCase(), at = 0;
        while (at < text.length) {
            var next = text.length, length = 0;
            wanted.forEach(function (word) {
                var place = lower.indexOf(word, at);
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
        var lower = text.toLowerCase(), at = lower.indexOf(wanted.join(" "));
        for (var i = 0; at < 0 && i < wanted.length; i++) at = lower.indexOf(wanted[i]);
        var begin = Math.max(0, at - BEFORE), end = Math.min(text.length, Math.max(at, 0) + AFTER);
        while (begin > 0 && text[begin - 1] !== " ") begin--;
        while (end < text.length && text[end] !== " ") end++;
        return (begin > 0 ? "… " : "") + text.slice(begin, end) + (end < text.length ? " …" : "");
    }

    function show() {
        var results = search(box.value), asked = words(box.value).length > 0;
        list.textContent = "";
        results.forEach(function (result, i) {
            var item = element("a", { role: "option", id: "book-result-" + i, href: result.url, tabindex: "-1" });
            var title = element("span", { "class": "book-result-title" });
            appendMarked(title, result.title, result.wanted);
            item.appendChild(title);
            if (result.page) item.appendChild(element("span", { "class": "book-result-page" }, result.page));
            var line = element("span", { "class": "book-result-text" });
            appendMarked(line, context(result.text, result.wanted), result.wanted);
            item.appendChild(line);
            item.addEventListener("click", close);
            list.appendChild(item);
        });
        if (asked && !results.length)
            list.appendChild(element("p", {}, "No section of the book has these words."));
        choose(results.length ? 0 : -1);
        asked ? open() : close();
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
        document.addEventListener("pointerdown", function (event) {
            if (!list.contains(event.target) && !form.contains(event.target)) close();
        });
        window.addEventListener("resize", function () { if (!list.hidden) open(); });
    });
})();
