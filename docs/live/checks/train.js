(async box => {
    const output = name => Array.from(box.querySelectorAll(".live-train-numbers div")).find(d => d.textContent.startsWith(name)).querySelector("output").textContent;
    const losses = () => window.liveCalls.filter(c => c.name === "live_train_steps").flatMap(c => c.after[0].values);
    const idle = () => !control(box, "Start again").disabled;
    const step = () => parseInt(output("step"), 10);
    const ready = () => control(box, "Start").textContent === "Start" && !control(box, "Start").disabled;

    /* A text that is too short is refused. */
    setControl(box, "text", "own");
    expect(box.textContent.includes("The text is empty. The small model needs at least 512 tokens"), "the figure does not say that the text is empty");
    setControl(box, "your text", "too short");
    expect(control(box, "Start").disabled, "a text of 9 bytes can be trained on");
    expect(/The text has 9 bytes, \d tokens: too short\./.test(box.textContent), "the figure does not say that the text is too short");

    /* How long a text must be depends on the model, and on the tokenizer, whose merges make this text of 2.7 kB short. */
    setControl(box, "your text", Array.from({ length: 200 }, (_, i) => "sentence " + i + "\n").join(""));
    expect(control(box, "Start").disabled === false, "a text of 2.7 kB is refused for the small model");
    setControl(box, "model", "medium");
    expect(control(box, "Start").disabled && box.textContent.includes("The medium model needs at least 1,024 tokens"), "a text of too few tokens is accepted for the medium model");
    setControl(box, "text", "stories");

    /* Another model brings its learning rate, but does not change a rate that the reader chose. */
    expect(control(box, "learning rate").value === "0.003", "the medium model begins with the rate " + control(box, "learning rate").value);
    setControl(box, "learning rate", 0.1);
    setControl(box, "model", "small");
    expect(control(box, "learning rate").value === "0.1", "another model changes the rate that was chosen");
    expect(box.textContent.includes("rises to 0.1 in the first 50 steps, and then falls along a cosine to 0.01."), "the figure does not say how the rate changes");

    /* Stop works while the run is prepared, and the button keeps the focus. */
    const main = control(box, "Start");
    main.focus();
    main.click();
    expect(main.textContent === "Stop" && !main.disabled, "the run cannot be stopped while it is prepared");
    expect(document.activeElement === main, "Start loses the focus");
    main.click();
    expect(main.disabled, "Stop can be pressed twice");
    await until(ready, "the stop of the preparation");
    expect(output("step") === "\u2013" && losses().length === 0, "a run that was stopped in its preparation makes steps");

    /* 50 steps of the tiny model, without a stop. */
    setControl(box, "amount", 100);
    setControl(box, "vocabulary", 256);
    setControl(box, "model", "tiny");
    setControl(box, "learning rate", 0.01);
    setControl(box, "steps", 50);
    setControl(box, "a text every", 25);
    press(box, "Start");
    await until(() => step() === 50 && idle(), "50 steps");
    const whole = losses(), mean = part => part.reduce((a, b) => a + b, 0) / part.length;
    expect(whole.length === 50, whole.length + " losses, expected 50");
    expect(Math.abs(whole[0] - Math.log(257)) < 1.5, "the first loss is " + whole[0] + ", expected about ln 257 = 5.55");
    expect(mean(whole.slice(-5)) < whole[0] - 1.5, "50 steps changed the loss from " + whole[0] + " to " + mean(whole.slice(-5)) + ", expected 1.5 less");
    expectShown([shownNumber(output("validation loss"))], [lastCall("live_train_validate")[0][0]], 3, "validation loss");
    const [, exponent, choices] = box.textContent.match(/evenly among e([\d.]+) = ([\d.]+) tokens/);
    expect(Math.exp(exponent).toFixed(1) === choices, `e^${exponent} = ${choices} is shown, expected ${Math.exp(exponent).toFixed(1)}`);
    expect(box.querySelector(".live-plot path.live-line-1").getAttribute("d").length > 100, "there is no curve of the loss");

    /* What it writes. */
    const samples = () => Array.from(box.querySelectorAll(".live-train-samples p"), p => p.textContent);
    expect(samples().length === 3, samples().length + " texts, expected 3: at steps 0, 25 and 50");
    setControl(box, "prompt", "The cat");
    press(box, "Write now");
    await until(() => samples().length === 4, "another text");
    expect(samples()[0].startsWith("The cat") && samples()[0].length > 20, "the text on top does not continue the prompt");

    /* Where it looks: the rows of each head sum to 1, and the viewer shows one of them. */
    const [weights, , probabilities, , ids] = lastCall("live_train_attention"), n = ids.length;
    for (let row = 0; row < 2 * n; row++) {
        const sum = weights.slice(row * n, (row + 1) * n).reduce((a, b) => a + b, 0);
        expect(Math.abs(sum - 1) < 1e-5, "row " + row + " of the attention weights sums to " + sum);
    }
    expect(probabilities.every((p, i) => p > 0 && p <= 1 && (i === 0 || p <= probabilities[i - 1])), "the next tokens are not sorted");
    const shown = Array.from(box.querySelectorAll(".av-token .av-number"), e => e.textContent);
    expectShown(shown.map(Number), weights.slice((n - 1) * n, n * n), 3, "weights of the last query");

    /* The same run, stopped and continued, has the same losses. */
    const before = losses().length, again = control(box, "Start again");
    again.focus();
    again.click();
    await until(() => losses().length > before, "the first steps");
    await new Promise(done => requestAnimationFrame(() => setTimeout(done))); /* a disabled element loses the focus in the next frame */
    expect(again.disabled && document.activeElement === again, "Start again loses the focus while it cannot be pressed");
    press(box, "Stop");
    await until(idle, "the stop");
    const stopped = step();
    expect(stopped > 0 && stopped < 50, "the run stopped at step " + stopped + ", expected between 0 and 50");
    expect(output("step") === stopped + " of 50", "a run that is stopped has " + output("step"));

    /* Other settings are for the next run, and the page says so. */
    const pending = () => Array.from(box.querySelectorAll(".live-note")).find(e => e.textContent.startsWith("You changed the settings"));
    expect(pending().hidden, "the page says that settings have changed, but none has");
    setControl(box, "model", "small");
    expect(!pending().hidden && pending().textContent.includes("Go on"), "the page does not say that Go on keeps the settings");
    setControl(box, "model", "tiny");
    expect(pending().hidden, "the page says that settings have changed, but they are as before");
    press(box, "Go on");
    await until(() => step() === 50 && idle(), "the end of the run");
    const halves = losses().slice(before);
    expect(halves.length === 50 && halves.every((loss, i) => loss === whole[i]), "stopped and continued, the run has other losses");

    /* A run that cannot begin: its message, and nothing of the run before. BPE makes one token of many letters. */
    setControl(box, "vocabulary", 512);
    setControl(box, "text", "own");
    setControl(box, "your text", "x".repeat(20000));
    press(box, "Start again");
    await until(ready, "the message");
    press(box, "Write now"); /* it is disabled: nothing happens, and the message stays */
    await new Promise(done => setTimeout(done, 50));
    expect(/the text has \d+ tokens, expected at least 256/.test(box.textContent), "the page does not say why the run cannot begin");
    expect(output("step") === "\u2013" && output("validation loss") === "\u2013" && samples().length === 0 && !box.querySelector(".av-token") &&
        !box.querySelector(".live-plot path") && !box.textContent.includes("The heads after step"), "numbers of the run before stay");
})
