/* Section 4.2: queries, keys and values in cells, a mask painted on the scores, and each step from there to the output. */
"use strict";

(() => {
    const MOST = 99; /* what a cell may hold, with either sign */

    const EXAMPLES = [
        { name: "by hand", Q: [[1, 0, 0], [0, 2, 0]], K: [[1, 0, 0], [0, 1, 0]], V: [[10, 0], [0, 20]],
          note: "The numbers above. Each query points along one key." },
        { name: "lookup", Q: [[-6, 6, -6], [6, 6, 6], [-6, -6, 6], [6, -6, -6]], K: [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]],
          V: [[10, 11], [20, 21], [30, 31], [40, 41]],
          note: "Each query is six times one of the keys. Its score is far above the others, so attention returns one value, as a dictionary does." },
        { name: "causal", Q: [[2, 0, 0], [0, 2, 0], [2, 0, 0], [0, 0, 2]], K: [[2, 0, 0], [0, 2, 0], [2, 0, 0], [0, 0, 2]],
          V: [[10, 0], [0, 10], [20, 0], [0, 20]], causal: true,
          note: "Four tokens, and each has the same query as key. Tokens 0 and 2 are alike, but only token 2 may look back at the other." },
    ];

    const named = (letter, i) => letter + "\u2080\u2081\u2082\u2083"[i];
    const names = (letter, count) => Array.from({ length: count }, (_, i) => named(letter, i));
    const labels = (letter, count) => names(letter, count).map(name => live.element("span", {}, ...live.subscripts(name)));
    const list = words => words.length < 2 ? words.join("") : words.slice(0, -1).join(", ") + " and " + words[words.length - 1];
    const row = (values, i, columns) => Array.from(values.slice(i * columns, (i + 1) * columns));

    /* The figure's numbers, in C order. `seen` is 1 where a query sees a key. */
    function stateOf({ Q, K, V, causal }, scaled) {
        const state = { Q: Q.flat(), K: K.flat(), V: V.flat(), queries: Q.length, keys: K.length, d_k: K[0].length, d_v: V[0].length,
                        seen: new Uint8Array(Q.length * K.length), scaled, chosen: 0 };
        setMask(state, causal);
        return state;
    }

    function setMask({ seen, queries, keys }, causal) {
        seen.forEach((_, at) => { seen[at] = !causal || at % keys <= Math.floor(at / keys) + keys - queries ? 1 : 0; });
    }

    function compute(lib, s) {
        const pairs = () => new Float32Array(s.queries * s.keys);
        const r = { scores: pairs(), masked: pairs(), softmax: pairs(), weights: pairs(),
                    output: new Float32Array(s.queries * s.d_v), logSumExp: new Float32Array(s.queries) };
        lib.call("live_attention", r.scores, r.masked, r.softmax, r.weights, r.output, r.logSumExp,
            Float32Array.from(s.Q), Float32Array.from(s.K), Float32Array.from(s.V), s.seen,
            s.queries, s.keys, s.d_k, s.d_v, s.scaled ? 1 : 0);
        return r;
    }

    /* The number that a field holds: with a point or a comma, and either sign for minus. NaN: none, or one too large. */
    function parse(text) {
        const plain = text.trim().replace("\u2212", "-").replace(",", ".");
        const value = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(plain) ? Number(plain) : NaN;
        return Math.abs(value) <= MOST ? value : NaN;
    }

    /* A matrix of fields that write into `values`. While a field holds no number that is allowed, the number from before
     * is in force, and comes back when the reader leaves the field. `tell` is called with what is wrong, or with "". */
    function editable(title, values, columns, rowLabels, changed, tell) {
        const colour = () => fields.forEach((field, at) => {
            field.style.backgroundColor = live.heat(values[at], Math.max(...values.map(Math.abs)));
        });
        const fields = [];
        const table = live.matrix(title, values.length / columns, columns, { rowLabels, cell(i, j, td) {
            const at = i * columns + j;
            const name = `${title[0]}, row ${i}, column ${j}`;
            const field = live.element("input", { type: "text", autocomplete: "off", value: values[at], "aria-label": name });
            let before = values[at];
            const read = () => {
                const value = parse(field.value), wrong = Number.isNaN(value);
                values[at] = wrong ? before : value;
                field.setAttribute("aria-invalid", wrong);
                const what = field.value.trim() ? `\u201C${field.value}\u201D` : "an empty cell";
                tell(wrong ? `${name}: ${what} is no number from \u2212${MOST} to ${MOST}, so ${before} stays.` : "");
                colour();
                changed();
            };
            field.addEventListener("input", read);
            field.addEventListener("change", () => { /* what was wrong stays said */
                before = values[at];
                field.value = before;
                field.setAttribute("aria-invalid", "false");
            });
            field.addEventListener("keydown", event => {
                const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
                if (!step) return;
                event.preventDefault();
                field.value = Math.max(-MOST, Math.min(MOST, values[at] + step));
                read();
            });
            fields.push(field);
            td.append(field);
        } });
        colour();
        return table;
    }

    /* Where a key leads from cell `at` of `count`, in rows of `keys`. Undefined: the key does not move. */
    function target(event, at, keys, count) {
        const j = at % keys, all = event.ctrlKey || event.metaKey;
        return {
            ArrowUp: at >= keys ? at - keys : at, ArrowDown: at + keys < count ? at + keys : at,
            ArrowLeft: j > 0 ? at - 1 : at, ArrowRight: j < keys - 1 ? at + 1 : at,
            Home: all ? 0 : at - j, End: all ? count - 1 : at - j + keys - 1,
        }[event.key];
    }

    /* Paints the mask with mouse, pen or finger: write(at, value) is called for each cell that is pressed or dragged over.
     * A finger writes when it is lifted or has come to a second cell, because until then it may begin to scroll the page. */
    function paintByPointer(table, cells, seen, write) {
        let value = null, waiting = -1; /* what the drag writes, and the cell that it began on */
        const paint = at => {
            for (const cell of [waiting, at]) if (cell >= 0) write(cell, value);
            waiting = -1;
        };
        table.addEventListener("pointerdown", event => {
            const at = cells.indexOf(event.target);
            if (at < 0 || event.button) return;
            value = 1 - seen[at];
            waiting = at;
            if (event.pointerType !== "touch") paint(at);
        });
        table.addEventListener("pointermove", event => {
            if (!event.buttons) value = null;
            const at = value === null ? -1 : cells.indexOf(document.elementFromPoint(event.clientX, event.clientY));
            if (at >= 0 && at !== waiting) paint(at);
        });
        table.addEventListener("pointerup", () => {
            if (value !== null) paint(-1);
            value = null;
        });
        table.addEventListener("pointercancel", () => { /* the finger scrolls */
            value = null;
            waiting = -1;
        });
    }

    /* The scores, on which the mask is painted: by a press, a drag, or Space on the focused cell. Arrow keys, Home and End
     * move. */
    function paintable(state, rowLabels, changed) {
        const cells = [], { seen, keys } = state;
        const table = live.matrix("1. Scores", state.queries, keys, { rowLabels, columnLabels: labels("k", keys), cell(i, j, td) {
            const cell = live.element("button", { type: "button", class: "live-paint", tabindex: i + j ? -1 : 0 });
            cells.push(cell);
            td.append(cell);
        } });
        const write = (at, value) => {
            if (seen[at] === value) return;
            seen[at] = value;
            changed(Math.floor(at / keys));
        };
        paintByPointer(table, cells, seen, write);
        table.addEventListener("click", event => { /* 0: by the keyboard; presses are handled above */
            const at = cells.indexOf(event.target);
            if (at >= 0 && event.detail === 0) write(at, 1 - seen[at]);
        });
        table.addEventListener("keydown", event => {
            const at = cells.indexOf(event.target), to = target(event, at, keys, cells.length);
            if (at < 0 || to === undefined) return;
            event.preventDefault();
            cells.forEach((cell, k) => { cell.tabIndex = k === to ? 0 : -1; });
            cells[to].focus();
        });
        table.showScores = scores => cells.forEach((cell, at) => {
            const text = live.number(scores[at]);
            cell.textContent = text;
            cell.style.backgroundColor = live.heat(seen[at] ? scores[at] : 0, Math.max(1e-9, ...scores.map(Math.abs)));
            const place = `query ${Math.floor(at / keys)}, key ${at % keys}`;
            cell.setAttribute("aria-label", `${place}: score ${text}, ${seen[at] ? "seen" : "hidden"}`);
            cell.setAttribute("aria-pressed", seen[at] ? "false" : "true");
        });
        return table;
    }

    /* Buttons with the names of the queries, one set for each table. A press chooses the query that is explained. */
    function choosers(state, letter, choose) {
        return names(letter, state.queries).map((text, i) =>
            live.element("button", { type: "button", class: "live-name", "data-query": i, onclick: () => choose(i),
                "aria-label": `explain query ${i} (${text})` }, ...live.subscripts(text)));
    }

    /* Which keys the chosen query attends to, and how its output comes about. */
    function explain(s, r) {
        const i = s.chosen, q = named("q", i), o = named("o", i), weights = row(r.weights, i, s.keys), seen = row(s.seen, i, s.keys);
        const output = "[" + row(r.output, i, s.d_v).map(x => live.number(x)).join(", ") + "]";
        const rest = live.number(r.logSumExp[i]);
        const order = [...weights.keys()].filter(j => seen[j]).sort((a, b) => weights[b] - weights[a]);
        if (!order.length)
            return [`${q} sees no key.`,
                ` Softmax of a row of \u2212inf is 0 / 0: softmax_forward() alone gives ${live.number(r.softmax[i * s.keys])}. ` +
                `scaled_dot_product_attention_forward() gives such a query weights of 0, the output ${o} = ${output} and the log-sum-exp ${rest}.`];
        const percent = p => p < 0.01 ? "under 1 %" : p > 0.99 && p < 1 ? "over 99 %" : Math.round(100 * p) + " %";
        const hidden = names("k", s.keys).filter((_, j) => !seen[j]);
        const terms = [...order].sort((a, b) => a - b).map(j => live.number(weights[j]) + " " + named("v", j)).join(" + ");
        return [`${q} attends to ${list(order.map(j => `${named("k", j)} (${percent(weights[j])})`))}` +
            (hidden.length ? `; ${list(hidden)} ${hidden.length > 1 ? "are" : "is"} hidden from it.` : "."),
            ` ${o} = ${terms} = ${output}. The log-sum-exp of its scores is ${rest}.`];
    }

    function resultTables(s, choose) {
        return {
            masked: live.matrix("2. Masked scores", s.queries, s.keys, { columnLabels: labels("k", s.keys), rowLabels: choosers(s, "q", choose) }),
            weights: live.matrix("3. Weights P = softmax", s.queries, s.keys, { columnLabels: labels("k", s.keys), largest: 1, rowLabels: choosers(s, "q", choose) }),
            output: live.matrix("4. Output O = P V", s.queries, s.d_v, { rowLabels: choosers(s, "o", choose) }),
        };
    }

    live.figure("attention", (box, lib) => {
        const inputs = live.element("div", { class: "live-tables" }), results = live.element("div", { class: "live-tables" });
        const note = live.element("p", { class: "live-note" }), wrong = live.element("p", { class: "live-note live-wrong", role: "status" });
        const sentence = live.element("p", { class: "live-sentence", "aria-live": "polite" });
        let state, scores, tables;

        function update() {
            const r = compute(lib, state);
            scores.querySelector("caption").textContent = "1. Scores S = Q K\u1d40" + (state.scaled ? " / \u221a" + state.d_k : "");
            scores.showScores(r.scores);
            for (const name in tables) tables[name].show(r[name]);
            const [first, second] = explain(state, r);
            sentence.replaceChildren(live.element("strong", {}, ...live.subscripts(first)), ...live.subscripts(second));
            box.querySelectorAll(".live-name").forEach(button => {
                const chosen = Number(button.dataset.query) === state.chosen;
                button.setAttribute("aria-pressed", chosen);
                button.closest("tr").classList.toggle("live-chosen", chosen);
            });
        }

        const choose = i => { state.chosen = i; update(); };
        const tell = text => { wrong.textContent = text; };

        function show(example) {
            state = stateOf(example, scaling.querySelector("input").checked);
            scores = paintable(state, choosers(state, "q", choose), choose);
            tables = resultTables(state, choose);
            inputs.replaceChildren(
                editable("Q, the queries", state.Q, state.d_k, choosers(state, "q", choose), update, tell),
                editable("K, the keys", state.K, state.d_k, labels("k", state.keys), update, tell),
                editable("V, the values", state.V, state.d_v, labels("v", state.keys), update, tell));
            tell("");
            results.replaceChildren(scores, ...Object.values(tables));
            note.textContent = example.note;
            update();
        }

        const scaling = live.checkbox("divide the scores by \u221ad\u2096", true, value => { state.scaled = value; update(); });
        const mask = (text, causal) => live.button(text, () => { setMask(state, causal); update(); });
        box.append(
            live.row(live.element("span", {}, "Examples"), ...EXAMPLES.map(example => live.button(example.name, () => show(example)))),
            note, inputs, wrong,
            live.row(live.element("span", {}, "Mask"), mask("no mask", false), mask("causal mask", true), scaling),
            live.element("p", { class: "live-note" },
                `Each cell of Q, K and V takes a number from \u2212${MOST} to ${MOST}. Press a score, or drag over several (with a finger, ` +
                "sideways), to hide a key from a query. Press the name of a query to see what it does."),
            results, sentence);
        show(EXAMPLES[0]);
    });
})();
