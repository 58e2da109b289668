/* Section 1.6: the reader's text in tokens, by a tokenizer that is trained in the page on stories. */
"use strict";

live.figure("tokenizer", (box, lib) => {
    const LONGEST = 10000; /* characters of the text */
    const FULL = 1, CHOSEN = 2; /* slots: the tokenizer of the largest vocabulary, and that of the slider */
    const STORY_BYTES = 300000, SMALLEST = 257, LARGEST = 2000; /* 257: the bytes and the special token */
    const PLOT_WIDTH = live.plotWidth(640);
    const SIZES = [257, 270, 290, 320, 360, 420, 500, 600, 750, 900, 1100, 1300, 1500, 1750, 2000];
    const stories = new Uint8Array(STORY_BYTES);
    let corpus, vocabulary, merges, bytes, keys = [], ids, active = -1;

    /* ---- the library ---- */

    function train(slot, size) {
        const numbers = new Int32Array(4);
        lib.call("live_tokenizer_train", slot, corpus, corpus.length, size, true, numbers);
        return numbers;
    }

    /* Trains the largest vocabulary. The smaller ones begin with the same tokens. */
    function begin() {
        const length = new Int32Array(1);
        lib.call("live_stories", stories, STORY_BYTES, 1, 0, length);
        corpus = stories.slice(0, length[0]);
        const [size, count] = train(FULL, LARGEST);
        vocabulary = live.tokenTexts(lib, FULL, 0, size, 64 * size);
        merges = new Int32Array(3 * count);
        lib.call("live_tokenizer_merges", FULL, merges, count);
        train(CHOSEN, vocabularySize.value);
    }

    function encode() {
        bytes = live.utf8(text.value);
        const list = new Int32Array(bytes.length), count = new Int32Array(1);
        lib.call("live_tokenizer_encode", CHOSEN, bytes, bytes.length, list, count);
        ids = list.subarray(0, count[0]);
    }

    /* The offsets at which pre-tokens begin. */
    function pretokenBegins() {
        const ends = new Int32Array(bytes.length), count = new Int32Array(1);
        lib.call("live_tokenizer_pretokens", CHOSEN, bytes, bytes.length, ends, count);
        return new Set([0, ...ends.subarray(0, count[0])]);
    }

    /* ---- the coloured text ---- */

    /* A token's piece of the text. A line end is shown by a sign and made. */
    function piece(key) {
        const token = live.element("span", { role: "option", "aria-selected": "false" }, vocabulary[key >> 1].text.replace(/\n/g, "\u21B5\n"));
        if (key & 1) token.className = "live-token-first";
        return token;
    }

    /* Changes only the tokens between the first and the last one that differ, so that typing in a long text stays fast. */
    function showTokens() {
        const begins = pretokenBegins(), fresh = new Array(ids.length);
        let offset = 0, first = 0, same = 0;
        for (let i = 0; i < ids.length; i++) {
            fresh[i] = 2 * ids[i] + begins.has(offset);
            offset += vocabulary[ids[i]].bytes;
        }
        select(-1);
        const shorter = Math.min(fresh.length, keys.length);
        while (first < shorter && fresh[first] === keys[first]) first++;
        while (same < shorter - first && fresh[fresh.length - 1 - same] === keys[keys.length - 1 - same]) same++;
        const range = document.createRange();
        range.setStart(tokens, first);
        range.setEnd(tokens, keys.length - same);
        range.deleteContents();
        const added = document.createDocumentFragment();
        for (let i = first; i < fresh.length - same; i++) added.append(piece(fresh[i]));
        tokens.insertBefore(added, tokens.children[first] || null);
        keys = fresh;
    }

    function hex(bytes) {
        return Array.from(bytes, b => b.toString(16).toUpperCase().padStart(2, "0")).join(" ");
    }

    const quoted = id => "\u201C" + live.visible(vocabulary[id].text) + "\u201D";

    /* What is known of token i of the text. */
    function describe(i) {
        if (i < 0) return "Point at a token, tap it, or press the arrow keys there, to see its id.";
        const id = ids[i], token = new Uint8Array(256), length = new Int32Array(1);
        lib.call("live_tokenizer_token", CHOSEN, id, token, token.length, length);
        const k = id - SMALLEST;
        const origin = id === 0 ? "the special token" : k < 0 ? "a byte, in the vocabulary from the start" :
            "merge " + (k + 1) + ": " + quoted(merges[3 * k]) + " + " + quoted(merges[3 * k + 1]);
        return "Token " + (i + 1) + " of " + ids.length + ": id " + id + ", " + quoted(id) + ", bytes " + hex(token.subarray(0, length[0])) + "; " + origin;
    }

    /* Marks token i of the text, or none if i is -1. */
    function select(i) {
        const before = tokens.children[active];
        if (before) {
            before.setAttribute("aria-selected", "false");
            before.removeAttribute("id");
        }
        active = i;
        const token = tokens.children[i];
        if (token) {
            token.id = "live-tokenizer-active";
            token.setAttribute("aria-selected", "true");
            tokens.setAttribute("aria-activedescendant", token.id);
        } else tokens.removeAttribute("aria-activedescendant");
        detail.textContent = describe(token ? i : -1);
    }

    function pointed(event) {
        const token = event.target.closest("[role=option]");
        if (token && token !== tokens.children[active]) select(Array.prototype.indexOf.call(tokens.children, token));
    }

    function moved(event) {
        const to = { ArrowRight: active + 1, ArrowDown: active + 1, ArrowLeft: active - 1, ArrowUp: active - 1, Home: 0, End: ids.length - 1 }[event.key];
        if (to === undefined || !ids.length) return;
        event.preventDefault();
        select(Math.max(0, Math.min(ids.length - 1, to)));
        tokens.children[active].scrollIntoView({ block: "nearest" });
    }

    /* ---- numbers ---- */

    function showNumbers() {
        const values = [Array.from(text.value).length, bytes.length, ids.length, ids.length ? live.number(bytes.length / ids.length, 2) : "\u2013"];
        numbers.forEach((output, i) => {
            output.textContent = values[i];
            names[i].textContent = values[i] === 1 ? NAMES[i].replace(/s$/, "") : NAMES[i];
        });
        full.textContent = text.value.length < LONGEST ? "" : "The text is full with 10 000 characters. What comes after them is left out.";
    }

    /* The tokens of the same text for each size of the vocabulary. */
    function showCurve() {
        const counts = new Int32Array(SIZES.length);
        lib.call("live_tokenizer_counts", FULL, bytes, bytes.length, Int32Array.from(SIZES), counts, SIZES.length);
        plot.clear();
        plot.range(null, [0, Math.max(10, ...counts) * 1.05]);
        plot.line(SIZES, counts, { points: true });
        showMark();
    }

    function showMark() {
        if (mark) mark.remove();
        const x = plot.X(vocabularySize.value), y = Math.max(12, plot.Y(ids.length));
        mark = plot.draw(live.shape("g", {}, live.shape("circle", { cx: x, cy: y, r: 6, class: "live-fill-2" }),
            live.shape("text", { x: Math.min(x + 10, PLOT_WIDTH - 130), y: y - 9 }, "here: " + ids.length + (ids.length === 1 ? " token" : " tokens"))));
    }

    /* ---- controls ---- */

    let mark = null, curveTimer = 0, frame = 0;

    function changed() {
        encode();
        showTokens();
        showNumbers();
        clearTimeout(curveTimer);
        curveTimer = setTimeout(showCurve, 150); /* once the reader pauses: it makes a tokenizer for each size */
    }

    /* A slider that is dragged reports more often than the screen is drawn. */
    function resized() {
        if (frame) return;
        frame = requestAnimationFrame(() => {
            frame = 0;
            train(CHOSEN, vocabularySize.value);
            encode();
            showTokens();
            showNumbers();
            showMark();
        });
    }

    const text = live.textArea("Your text, up to 10 000 characters", { value: "Once upon a time, there was a little girl named Lily. She loved to play " +
        "outside. One day, she learned about photosynthesis.\nZo\u00EB said: \"Gr\u00FC\u00DFe! \uD83D\uDE43 1234\"<|endoftext|>", rows: 4, longest: LONGEST }, changed);
    const full = live.element("p", { class: "live-note", role: "status" });
    const vocabularySize = live.slider("vocabulary size", { min: SMALLEST, max: LARGEST, step: 1, value: 1000 }, resized);
    const borders = live.checkbox("borders of pre-tokens", false, on => tokens.classList.toggle("live-borders", on));
    const tokens = live.element("div", { class: "live-tokens", role: "listbox", tabindex: 0, "aria-label": "The text in tokens",
        onpointerover: pointed, onclick: pointed, onkeydown: moved });
    tokens.addEventListener("focus", () => { if (active < 0 && ids.length) select(0); });
    const detail = live.element("output", { class: "live-token-detail" });
    const numbers = Array.from({ length: 4 }, () => live.element("output", {}));
    const NAMES = ["characters", "bytes", "tokens", "bytes per token"], names = NAMES.map(name => live.element("span", {}, name));
    const named = names.map((name, i) => live.element("span", { class: "live-number" }, numbers[i], name));
    const plot = live.plot({ label: "How many tokens the text has, against the size of the vocabulary", xLabel: "tokens in the vocabulary",
        yLabel: "tokens of your text", x: [200, 2000], y: [0, 10], width: PLOT_WIDTH, height: 230 });

    box.classList.add("live-tokenizer");
    begin();
    box.append(text, full, live.row(vocabularySize, borders), live.row(...named), tokens, detail, plot,
        live.element("p", { class: "live-note" }, "The library trains the tokenizer in this page, on " + Math.round(corpus.length / 1000) +
            " kB of stories, each time you move the slider."));
    changed();
    clearTimeout(curveTimer);
    showCurve();
});
