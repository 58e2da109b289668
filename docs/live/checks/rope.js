(async box => {
    /* The oracle: the formula of the chapter for each pair, in double precision. */
    const rotated = (x, position, theta) => x.map((_, i) => {
        const angle = position * theta ** (-2 * Math.floor(i / 2) / x.length), a = x[i & ~1], b = x[i | 1];
        return i % 2 ? a * Math.sin(angle) + b * Math.cos(angle) : a * Math.cos(angle) - b * Math.sin(angle);
    });
    const partsOf = (q, k, m, n, theta) => {
        const y = rotated(q, m, theta), z = rotated(k, n, theta);
        return [0, 2, 4, 6].map(i => y[i] * z[i] + y[i + 1] * z[i + 1]);
    };
    const SAME = [[1, 0, 1, 0, 1, 0, 1, 0], [1, 0, 1, 0, 1, 0, 1, 0]];
    const DIFFERENT = [[1, 0.5, -0.5, 1, 1, -1, 0.5, 0.5], [0.5, 1, 1, 0.5, 1, 0, -0.5, 1]];
    const total = parts => parts.reduce((a, b) => a + b);
    const table = () => tableNumbers(box, "The score q\u2032\u00b7k\u2032 when both");
    const shownParts = () => Array.from(box.querySelectorAll(".live-dial > span:last-child"), e => shownNumber(e.textContent.replace("part", "")));
    const dot = () => { const c = box.querySelector(".live-now"); return [Number(c.getAttribute("cx")), Number(c.getAttribute("cy"))]; };

    function compare(what, [q, k], m, n, theta) {
        const parts = partsOf(q, k, m, n, theta);
        shownParts().forEach((x, i) => expect(Math.abs(x - parts[i]) < 1e-4, `${what}: part ${i} is shown as ${x}, expected ${parts[i]}`));
        [0, 1, 10, 1000].forEach((by, i) => {
            const [, , distance, score] = table().slice(4 * i, 4 * i + 4);
            expect(distance === m - n && Math.abs(score - total(parts)) < 2e-4,
                `${what}, both + ${by}: distance ${distance} and score ${score} are shown, expected ${m - n} and ${total(parts)}`);
        });
        const ends = Array.from(box.querySelectorAll(".live-dial"), d => Array.from(d.querySelectorAll("line"), l => [Number(l.getAttribute("x2")), -Number(l.getAttribute("y2"))]));
        const longest = Math.max(...[q, k].flatMap(v => [0, 2, 4, 6].map(i => Math.hypot(v[i], v[i + 1]))));
        [q, k, rotated(q, m, theta), rotated(k, n, theta)].forEach((v, which) => ends.forEach((lines, i) =>
            expect(Math.hypot(lines[which][0] - v[2 * i] / longest, lines[which][1] - v[2 * i + 1] / longest) < 1e-4, `${what}: arrow ${which} of pair ${i} ends at ${lines[which]}`)));
    }

    compare("at first", SAME, 5, 2, 1e4);
    const before = dot();
    press(box, "move both +10");
    compare("both moved", SAME, 15, 12, 1e4);
    expect(Math.hypot(dot()[0] - before[0], dot()[1] - before[1]) < 0.01, "the dot of the plot moves when both positions do");
    setControl(box, "query position m", 0);
    expect(control(box, "move both \u22121").disabled && !control(box, "move both +1").disabled, "a button can move a position below 0, or none can move");
    compare("the query before the key", SAME, 0, 12, 1e4);
    const limits = () => box.querySelector(".live-note").textContent;
    expect(limits().includes("From m = 0 and n = 12, \u221210 and \u22121 would lead beyond"), "of two buttons that are off the figure says: " + limits());
    setControl(box, "query position m", 40);
    setControl(box, "key position n", 0);
    expect(limits().includes("From m = 40 and n = 0, \u221210, \u22121, +1 and +10 would lead beyond"), "of four buttons that are off the figure says: " + limits());
    setControl(box, "query position m", 0);
    setControl(box, "key position n", 12);
    setControl(box, "theta", 2);
    compare("theta 100", SAME, 0, 12, 100);
    setControl(box, "q and k", "different");
    compare("different vectors", DIFFERENT, 0, 12, 100);
    press(box, "pair 2");
    expect(control(box, "pair 2").getAttribute("aria-pressed") === "true", "pair 2 is not chosen");
    expect(box.querySelector(".live-plot").textContent.includes("part of pair 2"), "the plot does not show the part of pair 2");

    const [scores, parts] = lastCall("live_rope_scores");
    for (const distance of [-40, -7, 0, 1, 40]) {
        const expected = partsOf(...DIFFERENT, Math.max(distance, 0), Math.max(-distance, 0), 100), at = distance + 40;
        expect(Math.abs(scores[at] - total(expected)) < 1e-4, `the curve at distance ${distance} is ${scores[at]}, expected ${total(expected)}`);
        expect(Math.abs(parts[4 * at + 2] - expected[2]) < 1e-4, `the part of pair 2 at distance ${distance} is ${parts[4 * at + 2]}, expected ${expected[2]}`);
    }
})
