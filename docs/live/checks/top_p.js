(async box => {
    const rows = () => Array.from(box.querySelectorAll(".live-top-p tbody tr"));
    const column = k => rows().map(tr => tr.querySelectorAll("td")[k].textContent).map(text => text === "cut" ? 0 : shownNumber(text));
    const logits = () => rows().map(tr => Number(tr.querySelector("input").value));

    /* Softmax with temperature, then the likeliest tokens one by one until their sum reaches p. */
    function expected(temperature, p) {
        const x = logits(), top = Math.max(...x), order = x.map((_, i) => i).sort((a, b) => x[b] - x[a] || a - b);
        const weights = x.map((value, i) => temperature > 0 ? Math.exp((value - top) / temperature) : Number(i === order[0]));
        const sum = weights.reduce((a, b) => a + b), before = weights.map(w => w / sum), kept = [];
        for (let reached = 0; kept.length < x.length && (kept.length === 0 || reached < p); reached += before[kept[kept.length - 1]]) kept.push(order[kept.length]);
        const keptSum = kept.reduce((total, i) => total + before[i], 0);
        return { before, after: before.map((q, i) => kept.includes(i) ? q / keptSum : 0), kept: p < 1 ? kept.length : x.length };
    }
    function check(what, temperature, p) {
        setControl(box, "temperature", temperature);
        setControl(box, "top-p", p);
        const { before, after, kept } = expected(temperature, p);
        expectShown(column(0), before, 3, what + ", before");
        expectShown(column(1), after, 3, what + ", after");
        const text = box.querySelector(".live-top-p-why").textContent;
        if (temperature > 0) expect(text.startsWith(kept === 12 ? "All 12 tokens remain" : kept + " of 12 tokens remain"), `${what}: ${kept} tokens remain, but the page says: ${text}`);
        checkSamples(what, after);
    }
    /* Each share of 1000 is within 5 standard deviations of its probability. */
    function checkSamples(what, probabilities) {
        const shares = column(2);
        expect(Math.abs(shares.reduce((a, b) => a + b) - 1) < 1e-9, what + ": the shares do not sum to 1");
        shares.forEach((share, i) => expect(Math.abs(share - probabilities[i]) <= 5 * Math.sqrt(probabilities[i] * (1 - probabilities[i]) / 1000) + 1e-4,
            `${what}: the share of token ${i} is ${share}, its probability ${probabilities[i]}`));
    }

    for (const preset of ["flat", "peaked", "two camps"]) {
        press(box, preset);
        for (const [temperature, p] of [[1, 0.9], [0.5, 0.6], [2, 0.95], [3, 1], [1, 0]])
            check(`${preset}, temperature ${temperature}, top-p ${p}`, temperature, p);
    }
    check("temperature 0", 0, 0.9);
    expect(column(1)[0] === 1 && column(2)[0] === 1, "temperature 0 does not always take the likeliest token");

    /* One slider, and its bar. */
    setControl(box, "house", 6);
    check("a logit of 6", 1, 0.9);
    const cell = rows()[11].querySelectorAll("td")[0];
    expect(Math.abs(parseFloat(cell.style.getPropertyValue("--share")) - 100 * expected(1, 0.9).before[11]) < 0.1, "the bar does not show the probability");

    /* Other samples: another seed, the same distribution. */
    check("before other samples", 1.5, 0.95);
    const samples = column(2).join();
    press(box, "draw");
    expect(column(2).join() !== samples, "another seed draws the same samples");
    checkSamples("other samples", expected(1.5, 0.95).after);
    press(box, "two camps");
})
