/* Section 7.5: twelve tokens, their probabilities before and after top-p, and how often each is drawn. */
"use strict";

{
    const TOKENS = ["little", "girl", "boy", "big", "young", "cat", "dog", "old", "bear", "fox", "tiny", "house"];
    const PRESETS = {
        "flat": [0.5, 0.4, 0.4, 0.3, 0.3, 0.2, 0.2, 0.1, 0, 0, -0.1, -0.2],
        "peaked": [5, 2, 1.8, 1.2, 1, 0.6, 0.5, 0.2, 0, -0.5, -1, -1.5],
        "two camps": [3, 2.9, 2.7, 2.6, -0.2, -0.3, -0.4, -0.4, -0.5, -0.6, -0.7, -0.8],
    };
    const DRAWS = 1000;

    /* A cell with a probability as a number and as a bar behind it. */
    function show(cell, probability, text) {
        const percent = (100 * probability).toFixed(2) + "%";
        cell.textContent = text ?? live.number(probability, 3);
        cell.style.setProperty("--share", percent);
    }

    /* One sentence: which tokens remain, and why exactly these. */
    function explain(before, after, temperature, topP) {
        const kept = TOKENS.map((_, i) => i).filter(i => after[i] > 0).sort((a, b) => before[b] - before[a] || a - b);
        const names = kept.map(i => TOKENS[i]).join(", ");
        if (temperature === 0) return `Temperature 0 always takes the largest logit: ${names}.`;
        if (kept.length === TOKENS.length) return `All ${TOKENS.length} tokens remain.`;
        const sum = kept.reduce((total, i) => total + before[i], 0), last = before[kept[kept.length - 1]];
        const [remain, together] = kept.length > 1 ? ["tokens remain", "Together they"] : ["tokens remains", "Alone it"];
        return `${kept.length} of ${TOKENS.length} ${remain}: ${names}. ${together} had ${live.number(sum, 3)}, which reaches ` +
            `top-p = ${live.number(topP, 2)}.` + (kept.length > 1 ? ` Without ${TOKENS[kept[kept.length - 1]]} they would have ${live.number(sum - last, 3)}.` : "");
    }

    /* The table: a row of slider and three cells for each token. */
    function makeTable(sliders) {
        const cells = TOKENS.map(() => ["before", "after", "drawn"].map(series => live.element("td", { class: "live-share live-share-" + series })));
        const head = ["token and logit", "before", "after", "drawn"].map(text => live.element("th", { scope: "col" }, text));
        const table = live.element("table", { class: "live-top-p" }, live.element("thead", {}, live.element("tr", {}, ...head)),
            live.element("tbody", {}, ...sliders.map((slider, i) =>
                live.element("tr", {}, live.element("th", { scope: "row" }, slider), ...cells[i]))));
        return { table, cells };
    }

    live.figure("top_p", (box, lib) => {
        const n = TOKENS.length, logits = Float32Array.from(PRESETS["two camps"]);
        const before = new Float64Array(n), after = new Float64Array(n), counts = new Int32Array(n);
        let seed = 1;
        const sliders = TOKENS.map((token, i) => live.slider(token, { min: -6, max: 6, step: 0.1, value: logits[i], show: v => live.number(v, 1) },
            value => { logits[i] = value; update(); }));
        const temperature = live.slider("temperature", { min: 0, max: 3, step: 0.05, value: 1, show: v => live.number(v, 2) }, update);
        const topP = live.slider("top-p", { min: 0, max: 1, step: 0.01, value: 0.9, show: v => live.number(v, 2) }, update);
        const { table, cells } = makeTable(sliders);
        const sentence = live.element("output", {}), drawn = live.element("output", {});

        function update() {
            lib.call("live_top_p", before, logits, n, temperature.value, 1);
            lib.call("live_top_p", after, logits, n, temperature.value, topP.value);
            cells.forEach(([beforeCell, afterCell], i) => {
                show(beforeCell, before[i]);
                show(afterCell, after[i], after[i] > 0 ? undefined : "cut");
            });
            sentence.textContent = explain(before, after, temperature.value, topP.value);
            draw();
        }
        function draw() {
            lib.call("live_samples", counts, logits, n, temperature.value, topP.value, DRAWS, seed);
            cells.forEach(([, , cell], i) => show(cell, counts[i] / DRAWS));
            const off = Math.max(...Array.from(counts, (count, i) => Math.abs(count / DRAWS - after[i])));
            drawn.textContent = `Seed ${seed}: no share is further than ${live.number(off, 3)} from its probability.`;
        }
        const presets = Object.entries(PRESETS).map(([name, values]) => live.button(name, () => {
            logits.set(values);
            sliders.forEach((slider, i) => slider.set(values[i]));
            update();
        }));

        box.append(
            live.element("p", { class: "live-report" }, "\u201COnce upon a time, there was a \u2026\u201D: the probability of each next token before and after top-p, and its share of 1000 samples."),
            live.row(live.element("span", {}, "logits"), ...presets), live.row(temperature, topP), table,
            live.element("p", { class: "live-report live-top-p-why" }, sentence),
            live.row(live.button(`draw ${DRAWS} other samples`, () => { seed++; draw(); }), drawn));
        update();
    });
}
