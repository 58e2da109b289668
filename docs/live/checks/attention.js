(async box => {
    /* The oracle: the formula of the chapter, in double precision. A row without a seen key gives zeros. */
    const fields = name => Array.from(box.querySelectorAll(`input[aria-label^="${name}, row"]`), e => Number(e.value));
    const pressed = () => Array.from(box.querySelectorAll(".live-paint"), e => e.getAttribute("aria-pressed") === "true");
    function oracle(n, d_k, d_v, factor) {
        const Q = fields("Q"), K = fields("K"), V = fields("V"), hidden = pressed();
        const expected = { scores: [], masked: [], weights: [], output: [] };
        for (let i = 0; i < n; i++) {
            const s = Array.from({ length: n }, (_, j) => factor * [...Array(d_k).keys()].reduce((sum, c) => sum + Q[i * d_k + c] * K[j * d_k + c], 0));
            const e = s.map((x, j) => hidden[i * n + j] ? 0 : Math.exp(x)), sum = e.reduce((a, b) => a + b) || 1;
            expected.scores.push(...s);
            expected.masked.push(...s.map((x, j) => hidden[i * n + j] ? -Infinity : x));
            expected.weights.push(...e.map(x => x / sum));
            for (let c = 0; c < d_v; c++) expected.output.push(e.reduce((o, x, j) => o + x / sum * V[j * d_v + c], 0));
        }
        return expected;
    }
    function compare(what, n, factor) {
        const { scores, masked, weights, output } = oracle(n, 3, 2, factor);
        expectShown(tableNumbers(box, "1. Scores"), scores, 3, what + ": scores");
        expectShown(tableNumbers(box, "2. Masked"), masked, 3, what + ": masked scores");
        expectShown(tableNumbers(box, "3. Weights"), weights, 3, what + ": weights");
        expectShown(tableNumbers(box, "4. Output"), output, 3, what + ": output");
    }
    const sentence = () => box.querySelector(".live-sentence").textContent;
    const paint = (i, j) => control(box, `query ${i}, key ${j}:`);
    const third = 1 / Math.sqrt(3);

    compare("by hand", 2, third);
    expectShown(tableNumbers(box, "4. Output"), [6.4046, 7.1909, 2.3963, 15.2074], 3, "the numbers of the chapter");
    expect(sentence().startsWith("q\u2080 attends to k\u2080 (64 %) and k\u2081 (36 %)."), "the sentence is: " + sentence());
    setControl(box, "divide the scores", false);
    compare("by hand, without the factor", 2, 1);

    press(box, "lookup");
    setControl(box, "divide the scores", true);
    compare("lookup", 4, third);
    expectShown(tableNumbers(box, "4. Output"), [30, 31, 10, 11, 40, 41, 20, 21], 3, "the values that were looked up");
    setControl(box, "Q, row 0, column 1", "-3.5");
    setControl(box, "V, row 3, column 0", "7");
    compare("lookup, edited", 4, third);
    setControl(box, "V, row 3, column 0", "");
    expect(control(box, "V, row 3, column 0").value === "7", "an empty field does not go back to its number");

    press(box, "causal");
    compare("causal", 4, third);
    expect(pressed().map(Number).join("") === "0111001100010000", "the causal mask is " + pressed().map(Number).join(""));
    press(box, "explain query 2");
    expect(sentence().startsWith("q\u2082 attends to k\u2080 (48 %), k\u2082 (48 %) and k\u2081 (5 %); k\u2083 is hidden from it."), "the sentence is: " + sentence());

    /* By the keyboard, and by a drag. */
    paint(1, 0).click();
    paint(1, 1).focus();
    paint(1, 1).dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true }));
    expect(document.activeElement === paint(2, 1), "the arrow key does not move to the next query");
    const at = e => { const r = e.getBoundingClientRect(); return { bubbles: true, buttons: 1, clientX: r.x + r.width / 2, clientY: r.y + r.height / 2 }; };
    paint(3, 3).scrollIntoView({ block: "center" });
    paint(3, 0).dispatchEvent(new PointerEvent("pointerdown", at(paint(3, 0))));
    for (const j of [1, 2]) paint(3, 0).dispatchEvent(new PointerEvent("pointermove", at(paint(3, j))));
    paint(3, 0).dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
    expect(pressed().map(Number).join("") === "0111101100011110", "after painting, the mask is " + pressed().map(Number).join(""));
    compare("painted", 4, third);

    /* A query that sees no key: what the library gives, and that the figure says so. */
    paint(1, 1).click();
    compare("a query without a key", 4, third);
    const [, , softmax, weights, , logSumExp] = lastCall("live_attention");
    expect(softmax.slice(4, 8).every(Number.isNaN) && logSumExp[1] === -Infinity, "softmax_forward() of -inf alone is " + softmax.slice(4, 8));
    expectShown(softmax.filter((_, k) => k >> 2 !== 1), weights.filter((_, k) => k >> 2 !== 1), 6, "softmax_forward() beside the weights of attention");
    expect(sentence().startsWith("q\u2081 sees no key.") && sentence().includes("alone gives nan") && sentence().includes("[0.000, 0.000]"),
        "the sentence is: " + sentence());
    paint(1, 0).click();
    expect(!pressed()[4] && sentence().startsWith("q\u2081 attends to k\u2080 (100 %);"), "a hidden key does not come back: " + sentence());
    press(box, "no mask");
    expect(!pressed().includes(true), "there is a mask after \"no mask\"");
    compare("no mask", 4, third);
})
