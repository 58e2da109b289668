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
    expect(sentence().startsWith("q0 attends to k0 (64 %) and k1 (36 %)."), "the sentence is: " + sentence());
    setControl(box, "divide the scores", false);
    compare("by hand, without the factor", 2, 1);

    press(box, "lookup");
    setControl(box, "divide the scores", true);
    compare("lookup", 4, third);
    expectShown(tableNumbers(box, "4. Output"), [30, 31, 10, 11, 40, 41, 20, 21], 3, "the values that were looked up");
    setControl(box, "Q, row 0, column 1", "-3.5");
    setControl(box, "V, row 3, column 0", "7");
    compare("lookup, edited", 4, third);

    /* What is typed letter by letter: a number that is allowed, or the one from before, and a word about it. */
    const cell = () => control(box, "V, row 3, column 0"), wrong = () => box.querySelector(".live-wrong").textContent;
    const type = text => {
        for (let i = 0; i <= text.length; i++) {
            cell().value = text.slice(0, i);
            cell().dispatchEvent(new Event("input", { bubbles: true }));
        }
    };
    const leave = () => cell().dispatchEvent(new Event("change", { bubbles: true }));
    for (const text of ["", "1e99", "1000", "99999", "99.5", "-", "abc", "0x10", "1e"]) {
        type(text);
        expect(cell().getAttribute("aria-invalid") === "true", `"${text}" is taken for a number`);
        expect(lastCall("live_attention")[8][6] === 7, `while a cell holds "${text}", attention reads ${lastCall("live_attention")[8][6]}`);
        leave();
        expect(cell().value === "7" && cell().getAttribute("aria-invalid") === "false", `after "${text}" the cell holds ${cell().value}`);
        const name = text ? `\u201C${text}\u201D` : "an empty cell";
        expect(wrong() === `V, row 3, column 0: ${name} is no number from \u221299 to 99, so 7 stays.`, `of "${text}" the figure says "${wrong()}"`);
    }
    for (const [text, value] of [["1,5", 1.5], ["\u22122.25", -2.25], ["99", 99], [".5", 0.5], ["-1e1", -10], ["7", 7]]) {
        type(text);
        leave();
        expect(lastCall("live_attention")[8][6] === value && cell().value === String(value) && !wrong(), `"${text}" is read as ${cell().value}`);
    }
    cell().dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowUp", bubbles: true }));
    leave();
    compare("a cell after ArrowUp", 4, third);
    expect(cell().value === "8", "ArrowUp makes 7 to " + cell().value);
    setControl(box, "V, row 3, column 0", "7");

    press(box, "causal");
    compare("causal", 4, third);
    expect(pressed().map(Number).join("") === "0111001100010000", "the causal mask is " + pressed().map(Number).join(""));
    press(box, "explain query 2");
    expect(sentence().startsWith("q2 attends to k0 (48 %), k2 (48 %) and k1 (5 %); k3 is hidden from it."), "the sentence is: " + sentence());

    /* By the keyboard, and by a drag. */
    paint(1, 0).click();
    paint(1, 1).focus();
    paint(1, 1).dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true }));
    expect(document.activeElement === paint(2, 1), "the arrow key does not move to the next query");
    const key = (from, name, ctrlKey = false) => {
        from.focus();
        const event = new KeyboardEvent("keydown", { key: name, ctrlKey, bubbles: true, cancelable: true });
        from.dispatchEvent(event);
        expect(event.defaultPrevented, name + " in the scores scrolls the page");
        return document.activeElement;
    };
    expect(key(paint(2, 1), "Home") === paint(2, 0) && key(paint(2, 1), "End") === paint(2, 3), "Home or End do not lead to the ends of the row");
    expect(key(paint(2, 1), "Home", true) === paint(0, 0) && key(paint(2, 1), "End", true) === paint(3, 3), "Ctrl with Home or End does not lead to a corner");
    expect(key(paint(0, 1), "ArrowUp") === paint(0, 1), "ArrowUp leaves the scores");
    const at = e => { const r = e.getBoundingClientRect(); return { bubbles: true, buttons: 1, clientX: r.x + r.width / 2, clientY: r.y + r.height / 2 }; };
    paint(3, 3).scrollIntoView({ block: "center" });
    paint(3, 0).dispatchEvent(new PointerEvent("pointerdown", at(paint(3, 0))));
    for (const j of [1, 2]) paint(3, 0).dispatchEvent(new PointerEvent("pointermove", at(paint(3, j))));
    paint(3, 0).dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
    expect(pressed().map(Number).join("") === "0111101100011110", "after painting, the mask is " + pressed().map(Number).join(""));
    compare("painted", 4, third);

    /* A finger that begins to scroll paints nothing. One that taps, or moves sideways, does. */
    const finger = (name, e, more = {}) => paint(3, 0).dispatchEvent(new PointerEvent(name, { ...at(e), pointerType: "touch", ...more }));
    expect(getComputedStyle(paint(3, 0)).touchAction === "pan-y", "a finger on the scores cannot scroll the page");
    const painted = pressed().join();
    finger("pointerdown", paint(3, 0));
    finger("pointermove", paint(3, 0));
    finger("pointercancel", paint(3, 0));
    expect(pressed().join() === painted, "a finger that scrolls paints the mask");
    finger("pointerdown", paint(3, 0));
    finger("pointerup", paint(3, 0), { buttons: 0 });
    expect(!pressed()[12] && pressed()[13], "a tap does not show the key again");
    finger("pointerdown", paint(3, 0));
    finger("pointermove", paint(3, 3));
    finger("pointerup", paint(3, 3), { buttons: 0 });
    expect(pressed()[12] && pressed()[15], "a finger that moves sideways does not paint both cells");
    paint(3, 3).click();

    /* A query that sees no key: what the library gives, and that the figure says so. */
    paint(1, 1).click();
    compare("a query without a key", 4, third);
    const [, , softmax, weights, , logSumExp] = lastCall("live_attention");
    expect(softmax.slice(4, 8).every(Number.isNaN) && logSumExp[1] === -Infinity, "softmax_forward() of -inf alone is " + softmax.slice(4, 8));
    expectShown(softmax.filter((_, k) => k >> 2 !== 1), weights.filter((_, k) => k >> 2 !== 1), 6, "softmax_forward() beside the weights of attention");
    expect(sentence().startsWith("q1 sees no key.") && sentence().includes("alone gives nan") && sentence().includes("[0.000, 0.000]"),
        "the sentence is: " + sentence());
    paint(1, 0).click();
    expect(!pressed()[4] && sentence().startsWith("q1 attends to k0 (100 %);"), "a hidden key does not come back: " + sentence());
    press(box, "no mask");
    expect(!pressed().includes(true), "there is a mask after \"no mask\"");
    compare("no mask", 4, third);
})
