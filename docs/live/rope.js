/* Section 3.4: the pairs of a query and a key as points on dials, turned by their positions, and the score by distance. */
"use strict";

(() => {
    const D_K = 8, PAIRS = D_K / 2, REACH = 40; /* positions on the sliders are 0 ... REACH */
    const VECTORS = {
        same: [[1, 0, 1, 0, 1, 0, 1, 0], [1, 0, 1, 0, 1, 0, 1, 0]],
        different: [[1, 0.5, -0.5, 1, 1, -1, 0.5, 0.5], [0.5, 1, 1, 0.5, 1, 0, -0.5, 1]],
    };
    const SHIFTS = [0, 1, 10, 1000];

    /* What the library makes of q at position m and k at position n. */
    function compute(lib, q, k, m, n, theta) {
        const r = { q: new Float32Array(D_K), k: new Float32Array(D_K), score: new Float32Array(1), parts: new Float32Array(PAIRS),
                    frequencies: new Float32Array(PAIRS) };
        lib.call("live_rope", r.q, r.k, r.score, r.parts, r.frequencies, q, k, D_K, m, n, theta);
        return r;
    }

    /* An arrow from the centre of a dial to the point (a, b). Pictures count y downwards. */
    function arrow(a, b, series, before) {
        const length = Math.hypot(a, b), g = live.shape("g", { class: "live-arrow live-line-" + series + (before ? " live-before" : "") });
        g.append(live.shape("line", { x1: 0, y1: 0, x2: a, y2: -b }));
        if (before || length < 0.05) return g;
        const tip = (along, aside) => `${(a * along - b * aside) / length} ${-(b * along + a * aside) / length}`;
        g.append(live.shape("path", { d: `M${tip(length - 0.16, 0.09)}L${a} ${-b}L${tip(length - 0.16, -0.09)}` }));
        return g;
    }

    /* The dial of one pair: a button that chooses it, with the pair of q and k before and after the rotation. */
    function dial(pair, choose) {
        const picture = live.shape("svg", { viewBox: "-1.12 -1.12 2.24 2.24", "aria-hidden": "true" });
        const lines = Array.from({ length: 3 }, () => live.element("span", {}));
        const button = live.element("button", { type: "button", class: "live-dial", onclick: choose },
            live.element("strong", {}, "pair " + pair), picture, ...lines);
        button.show = (q, k, r, length, distance) => {
            const at = v => [v[2 * pair] / length, v[2 * pair + 1] / length];
            const frequency = r.frequencies[pair];
            picture.replaceChildren(live.shape("circle", { r: 1, class: "live-circle" }),
                live.shape("path", { d: "M-1 0H1M0 -1V1", class: "live-circle" }),
                arrow(...at(q), 1, true), arrow(...at(k), 2, true), arrow(...at(r.q), 1), arrow(...at(r.k), 2));
            lines[0].textContent = "\u03c9 = " + Number(frequency.toPrecision(3));
            lines[1].textContent = "(m \u2212 n) \u03c9 = " + live.number(distance * frequency, 3);
            lines[2].textContent = "part " + live.number(r.parts[pair], 4);
        };
        return button;
    }

    function legend() {
        const entry = (series, before, text) => live.element("span", {}, live.shape("svg", { viewBox: "0 -0.3 1 0.6", class: "live-key" },
            arrow(1, 0, series, before)), " " + text);
        return live.row(entry(1, false, "query, rotated"), entry(1, true, "query, before"),
            entry(2, false, "key, rotated"), entry(2, true, "key, before"));
    }

    /* The rows of the table: the same q and k with both positions moved by the same amount. */
    function shiftTable() {
        const table = live.matrix("The score q\u2032\u00b7k\u2032 when both positions move", SHIFTS.length, 4, {
            rowLabels: SHIFTS.map(by => by ? "both + " + by : "as above"),
            columnLabels: ["m", "n", "m \u2212 n", "score"] });
        table.showShifts = (m, n, scores) => scores.forEach((score, i) => {
            [m + SHIFTS[i], n + SHIFTS[i], m - n].forEach((x, j) => { table.cells[4 * i + j].textContent = live.number(x, 0); });
            table.cells[4 * i + 3].textContent = live.number(score, 4);
        });
        return table;
    }

    /* The score and one pair's part of it against the distance. The dot follows the sliders. */
    function scorePlot(lib) {
        const distances = Array.from({ length: 2 * REACH + 1 }, (_, i) => i - REACH);
        const scores = new Float32Array(distances.length), parts = new Float32Array(PAIRS * distances.length);
        const plot = live.plot({ label: "the score and the part of the chosen pair against the distance", xLabel: "distance m \u2212 n",
            yLabel: "score q\u2032\u00b7k\u2032", x: [-REACH, REACH], y: [-1, 1],
            height: 270 });
        plot.compute = (q, k, theta) => {
            lib.call("live_rope_scores", scores, parts, q, k, D_K, REACH, theta);
            const all = [...scores, ...parts], low = Math.min(...all), high = Math.max(...all), space = (high - low) / 20;
            plot.range(null, [low - space, high + 7 * space]); /* the names of the curves stand above them */
        };
        plot.show = (pair, distance, score) => {
            plot.clear();
            plot.line(distances, parts.filter((_, i) => i % PAIRS === pair), { series: 3, text: "part of pair " + pair });
            plot.line(distances, scores, { series: 4, text: "score, all pairs" });
            plot.draw(live.shape("circle", { cx: plot.X(distance), cy: plot.Y(score), r: 6, class: "live-fill-4 live-now" }));
        };
        return plot;
    }

    live.figure("rope", (box, lib) => {
        let q, k, pair = 1;
        const position = (name, value) => live.slider(name, { min: 0, max: REACH, step: 1, value }, update);
        const m = position("query position m", 5), n = position("key position n", 2);
        const theta = live.slider("theta", { min: 1, max: 5, step: 0.25, value: 4, show: e => String(Math.round(10 ** e)) }, recompute);
        const vectors = live.choice("q and k", [["same", "the same"], ["different", "different"]], "same", setVectors);
        const dials = Array.from({ length: PAIRS }, (_, i) => dial(i, () => { pair = i; update(); }));
        const limits = live.element("p", { class: "live-note" });
        const plot = scorePlot(lib), table = shiftTable();
        const moves = [-10, -1, 1, 10].map(by => {
            const button = live.button("move both " + (by > 0 ? "+" : "\u2212") + Math.abs(by), () => {
                m.set(m.value + by);
                n.set(n.value + by);
                update();
            });
            button.fits = () => Math.min(m.value, n.value) + by >= 0 && Math.max(m.value, n.value) + by <= REACH;
            return button;
        });

        function setVectors(name) {
            [q, k] = VECTORS[name].map(v => Float32Array.from(v));
            recompute();
        }

        function recompute() {
            plot.compute(q, k, 10 ** theta.value);
            update();
        }

        function update() {
            const results = SHIFTS.map(by => compute(lib, q, k, m.value + by, n.value + by, 10 ** theta.value)), r = results[0];
            const lengths = [q, k].flatMap(v => Array.from({ length: PAIRS }, (_, i) => Math.hypot(v[2 * i], v[2 * i + 1])));
            dials.forEach((d, i) => {
                d.show(q, k, r, Math.max(...lengths), m.value - n.value);
                d.setAttribute("aria-pressed", i === pair);
            });
            plot.show(pair, m.value - n.value, r.score[0]);
            table.showShifts(m.value, n.value, results.map(result => result.score[0]));
            moves.forEach(button => { button.disabled = !button.fits(); });
            const off = moves.filter(button => !button.fits()).map(button => button.textContent.replace("move both ", ""));
            limits.textContent = `The sliders go from 0 to ${REACH}.` +
                (off.length ? ` From m = ${m.value} and n = ${n.value}, ${off.join(", ").replace(/, ([^,]*)$/, " and $1")} would lead beyond them.` : "");
        }

        box.append(live.row(m, n), live.row(theta, vectors), live.row(...moves), limits, legend(),
            live.element("div", { class: "live-dials" }, ...dials),
            live.element("p", { class: "live-note" },
                "Each dial is one pair of the 8 numbers. It turns by \u03c9 at each position. The score is the sum of the four parts. Press a dial to see its part below."),
            plot, table);
        setVectors("same");
    });
})();
