/* Section 1.3: the training of BPE, merge by merge, on the reader's text. */
"use strict";

live.figure("bpe", (box, lib) => {
    const LONGEST = 20000; /* characters of the text */
    const SPECIAL = "<|endoftext|>";
    const SLOT = 0, BYTES = 256, WORDS_SHOWN = 40, PAIRS_SHOWN = 12;
    const examples = {
        handout: "low low low low low lower lower widest widest widest newest newest newest newest newest newest".replace(/ /g, "\n"),
        sentence: "She sells sea shells by the sea shore. The shells she sells are sea shells, I'm sure.",
        scripts: "na\u00efve na\u00efvet\u00e9 caf\u00e9 caf\u00e9s \u4e2d\u6587 \u4e2d\u56fd \u4e2d\u95f4 \ud83d\ude43\ud83d\ude42\ud83d\ude43",
        repeated: "aaaa aaaaa banana bananas",
    };
    let bytes, tokens, merges, state;

    /* Trains with as many merges as the list has, plus one if `more`, and reads words and pairs. */
    function train(more) {
        const numbers = new Int32Array(4);
        lib.call("live_tokenizer_train", SLOT, bytes, bytes.length, BYTES + merges.length + more, false, numbers);
        if (more && numbers[1] > merges.length) addMerge(numbers[1]);
        const n = Math.max(1, bytes.length), count = new Int32Array(1), counts = new Int32Array(n), ends = new Int32Array(n), ids = new Int32Array(n);
        const found = new Int32Array(1), pairs = new Int32Array(3 * n);
        lib.call("live_bpe_words", SLOT, bytes, bytes.length, count, counts, ends, ids);
        lib.call("live_bpe_pairs", SLOT, count[0], counts, ends, ids, found, pairs);
        state = {
            words: Array.from({ length: count[0] }, (_, i) => ({ count: counts[i], ids: Array.from(ids.subarray(i ? ends[i - 1] : 0, ends[i])) })),
            pairs: Array.from({ length: found[0] }, (_, i) => ({ left: pairs[3 * i], right: pairs[3 * i + 1], count: pairs[3 * i + 2] })),
        };
    }

    /* Adds the latest of `count` merges to the list, and the text of its token. */
    function addMerge(count) {
        const triples = new Int32Array(3 * count);
        lib.call("live_tokenizer_merges", SLOT, triples, count);
        const [left, right, merged] = triples.subarray(3 * count - 3);
        merges.push({ left, right, merged, count: state.pairs[0].count });
        if (merged >= tokens.length) tokens.push(...live.tokenTexts(lib, SLOT, merged, 1, 4 * bytes.length + 64));
    }

    function begin() {
        bytes = live.utf8(text.value);
        merges = [];
        train(0);
        tokens = live.tokenTexts(lib, SLOT, 0, BYTES, 4 * BYTES);
        show();
    }

    function advance(steps) {
        for (let i = 0; i < steps && state.pairs.length; i++) train(1);
        show();
    }

    function back() {
        merges.pop();
        train(0);
        show();
    }

    const name = id => live.visible(tokens[id].text);
    const pairName = pair => "(" + name(pair.left) + ", " + name(pair.right) + ")";
    const plural = (n, noun) => n + " " + noun + (n === 1 ? "" : "s");

    function chip(id, classes = "") {
        const colour = id < BYTES ? "" : " live-tint-" + (1 + id % 6);
        return live.element("span", { class: "live-chip" + colour + classes }, name(id));
    }

    /* The tokens of a word, with the pair that is merged next in a frame. */
    function chips(ids) {
        const winner = state.pairs[0], list = [];
        for (let i = 0; i < ids.length; i++)
            if (winner && ids[i] === winner.left && ids[i + 1] === winner.right)
                list.push(live.element("span", { class: "live-bpe-next" }, chip(ids[i]), chip(ids[++i])));
            else list.push(chip(ids[i]));
        return live.element("span", { class: "live-chips" }, ...list);
    }

    function tableRow(...cells) {
        return live.element("tr", {}, ...cells.map(cell => live.element("td", {}, cell)));
    }

    function showWords() {
        /* A word of one byte has no pair. */
        const long = state.words.filter(word => word.ids.length > 1 || tokens[word.ids[0]].bytes > 1);
        const short = state.words.filter(word => !long.includes(word));
        words.body.replaceChildren(...long.slice(0, WORDS_SHOWN).map(word => tableRow(String(word.count), chips(word.ids))));
        const notes = [];
        if (long.length > WORDS_SHOWN) notes.push("and " + plural(long.length - WORDS_SHOWN, "rarer word"));
        if (short.length) notes.push("not listed: " + plural(short.length, "word") + " of one byte, without pairs (" +
            short.slice(0, 5).map(word => name(word.ids[0])).join(" ") + (short.length > 5 ? " \u2026)" : ")"));
        words.note.textContent = notes.join("; ");
    }

    function showPairs() {
        pairs.body.replaceChildren(...state.pairs.slice(0, PAIRS_SHOWN).map((pair, i) => {
            const tr = tableRow(String(pair.count), live.element("span", { class: "live-chips" }, chip(pair.left), chip(pair.right)),
                i ? (pair.count === state.pairs[0].count ? "as often" : "") : "merged next");
            tr.className = i ? "" : "live-bpe-winner";
            return tr;
        }));
        const more = state.pairs.length - PAIRS_SHOWN;
        pairs.note.textContent = more > 0 ? "and " + plural(more, "more pair") : "";
    }

    /* Says which pair wins, and why. */
    function reason() {
        const [best, second] = state.pairs;
        if (!state.words.length) return "The text is empty. Type something to train on.";
        if (!best) return "No pair is left: every word is one token. Training ends here.";
        if (!second || second.count < best.count) return pairName(best) + " occurs most often, " + (best.count === 1 ? "once" : plural(best.count, "time")) + ". It is merged next.";
        const tied = state.pairs.filter(pair => pair.count === best.count).length;
        const often = best.count === 1 ? "once" : plural(best.count, "time");
        return "A tie: " + pairName(best) + " and " + (tied === 2 ? pairName(second) : (tied - 1) + " others") + " occur " + often + " each. The greater pair is merged next, compared byte by byte: " + pairName(best) + ".";
    }

    /* What the text area and the training do with the text that the reader may not expect. */
    function remarks() {
        const said = [];
        if (text.value.length >= LONGEST) said.push("The text is full with 20 000 characters. What comes after them is left out.");
        if (text.value.includes(SPECIAL)) said.push(SPECIAL + " is a text like any other here, because this training was given no special tokens. " +
            "In section 1.6 it is one token.");
        return said.join(" ");
    }

    function show() {
        remark.textContent = remarks();
        showWords();
        showPairs();
        why.textContent = reason();
        const total = state.words.reduce((sum, word) => sum + word.count * word.ids.length, 0);
        numbers.textContent = plural(merges.length, "merge") + ", vocabulary of " + (BYTES + merges.length) + " tokens; the text: " +
            plural(bytes.length, "byte") + ", " + plural(total, "token");
        list.replaceChildren(...merges.map(merge => live.element("li", {}, chip(merge.left), " + ", chip(merge.right), " \u2192 ", chip(merge.merged),
            " id " + merge.merged + ", " + plural(merge.count, "time"))).reverse());
        list.start = merges.length;
        none.hidden = merges.length > 0;
        next.disabled = ten.disabled = !state.pairs.length;
        previous.disabled = again.disabled = !merges.length;
    }

    /* A table with its name and a note below it. */
    function table(caption, ...heads) {
        const body = live.element("tbody", {}), note = live.element("p", { class: "live-note" });
        const head = live.element("thead", {}, live.element("tr", {}, ...heads.map(h => live.element("th", { scope: "col" }, h))));
        const frame = live.element("div", { class: "live-scroll live-bpe-scroll", tabindex: 0, role: "region", "aria-label": caption },
            live.element("table", { class: "live-matrix" }, live.element("caption", {}, caption), head, body));
        return { body, note, panel: live.element("div", {}, frame, note) };
    }

    const text = live.textArea("Text to train on, up to 20 000 characters", { value: examples.handout, rows: 4, longest: LONGEST }, begin);
    const remark = live.element("p", { class: "live-note", role: "status" });
    const example = live.choice("Example", [["handout", "the handout's words, one a line"], ["sentence", "a sentence"],
        ["scripts", "other characters"], ["repeated", "repeated letters"]], "handout", key => { text.value = examples[key]; begin(); });
    const next = live.button("next merge", () => advance(1)), ten = live.button("10 merges", () => advance(10));
    const previous = live.button("back", back), again = live.button("start again", begin);
    const numbers = live.element("output", {}), why = live.element("output", { class: "live-bpe-why" });
    const words = table("Words and their tokens", "count", "tokens; framed: the next pair"), pairs = table("Pairs of neighbours", "count", "pair", "");
    const list = live.element("ol", { reversed: true, tabindex: 0, "aria-label": "Merges, the latest first" });
    const none = live.element("p", { class: "live-note" }, "None yet. Each byte is a token.");

    box.classList.add("live-bpe");
    box.append(example, text, remark, live.row(next, ten, previous, again), live.element("p", { class: "live-note" }, numbers), why,
        live.element("div", { class: "live-bpe-tables" }, words.panel, pairs.panel,
            live.element("div", {}, live.element("div", { class: "live-bpe-title" }, "Merges, the latest first"), none, list)));
    begin();
});
