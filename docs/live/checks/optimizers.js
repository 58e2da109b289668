(async box => {
    /* The surfaces once more, and what the optimizers do on them, in double, with the gradient by central differences. */
    const surfaces = [
        ([x, y]) => 0.1 * x * x + 5 * y * y,
        ([x, y]) => 0.1 * (x + y) ** 2 / 2 + 5 * (y - x) ** 2 / 2,
        ([x, y]) => (1 - x) ** 2 + 10 * (y - x * x) ** 2,
        ([x, y]) => x * x / 2 + (y * y - 1) ** 2 / 4,
    ];
    const gradient = (f, w) => [0, 1].map(k => {
        const moved = h => f(w.map((value, i) => value + (i === k ? h : 0)));
        return (moved(1e-5) - moved(-1e-5)) / 2e-5;
    });
    function sgd(f, w, steps, lr) {
        for (let t = 0; t < steps; t++) {
            const g = gradient(f, w);
            w = w.map((value, i) => value - lr / Math.sqrt(t + 1) * g[i]);
        }
        return w;
    }
    function adamw(f, w, steps, { lr, beta1, beta2, decay }) {
        let m = [0, 0], v = [0, 0];
        for (let t = 1; t <= steps; t++) {
            const g = gradient(f, w);
            m = m.map((value, i) => beta1 * value + (1 - beta1) * g[i]);
            v = v.map((value, i) => beta2 * value + (1 - beta2) * g[i] ** 2);
            w = w.map((value, i) => value * (1 - lr * decay) -
                lr * m[i] / (1 - beta1 ** t) / (Math.sqrt(v[i] / (1 - beta2 ** t)) + 1e-8));
        }
        return w;
    }

    /* The loss and both weights in the sentence about an optimizer. */
    const sentence = name => Array.from(box.querySelectorAll(".live-report output"), o => o.textContent).find(text => text.startsWith(name));
    function reported(name) {
        const found = sentence(name).match(/loss (\S+) after (\d+) steps?, at \S+ = (\S+), \S+ = (\S+)$/);
        expect(found, `no loss and no weights in "${sentence(name)}"`);
        return found.slice(1).map(shownNumber);
    }
    function compare(name, f, w, steps, what) {
        const [loss, after, ...weights] = reported(name);
        expect(after === steps, `${what}: ${name} is shown after ${after} steps, expected ${steps}`);
        w.forEach((value, i) => expect(Math.abs(value - weights[i]) < 0.0055, `${what}: ${name}'s weight ${i} is ${weights[i]}, expected ${value}`));
        expect(Math.abs(loss - f(w)) <= 0.01 * f(w) + 1e-6, `${what}: ${name}'s loss is ${loss}, expected ${f(w)}`);
    }

    /* All surfaces: the losses from which the contours are drawn, and both paths. */
    const starts = [[-1.8, 1], [-1.8, -0.4], [-1.2, 1.6], [-1.5, 0.01]], rates = [0.18, 0.18, 0.05, 0.1], usual = { lr: 0.1, beta1: 0.9, beta2: 0.999, decay: 0 };
    for (const [surface, f] of surfaces.entries()) {
        setControl(box, "surface", surface);
        const [grid, n, left, right, bottom, top] = lastCall("live_surface");
        grid.forEach((value, i) => {
            const at = [left + i % n / (n - 1) * (right - left), bottom + Math.floor(i / n) / (n - 1) * (top - bottom)];
            expect(Math.abs(value - f(at)) < 1e-9, `surface ${surface}: the loss at (${at}) is ${value}, expected ${f(at)}`);
        });
        for (const steps of [0, 1, 40]) {
            setControl(box, "steps", steps);
            compare("SGD", f, sgd(f, starts[surface], steps, rates[surface]), steps, "surface " + surface);
            compare("AdamW", f, adamw(f, starts[surface], steps, usual), steps, "surface " + surface);
        }
    }
    expect(Math.abs(reported("AdamW")[3]) > 0.9 && Math.abs(reported("SGD")[3]) < 0.1, "AdamW does not leave the saddle before SGD");

    /* What the chapter says about the other valleys. */
    setControl(box, "surface", 1);
    setControl(box, "steps", 60);
    expect(reported("AdamW")[0] > reported("SGD")[0], "AdamW is further than SGD on the turned valley");
    setControl(box, "surface", 0);
    setControl(box, "learning rate, SGD", 0);
    expect(sentence("SGD").startsWith("SGD diverged"), "SGD with the rate 1 has not diverged on the long valley");

    /* Other rates on the curved valley, and a dot where the path ends. */
    setControl(box, "surface", 2);
    setControl(box, "learning rate, AdamW", -0.5);
    setControl(box, "\u03B2\u2081", 1);
    setControl(box, "\u03B2\u2082", 3);
    setControl(box, "weight decay", 0.5);
    setControl(box, "steps", 60);
    const w = adamw(surfaces[2], starts[2], 60, { lr: 0.32, beta1: 0.5, beta2: 0.95, decay: 0.5 });
    compare("AdamW", surfaces[2], w, 60, "other rates");
    const dot = box.querySelector("circle.live-fill-1"), plot = box.querySelector("svg.live-surface");
    expect(Math.abs(dot.getAttribute("cx") - plot.X(w[0])) < 2 && Math.abs(dot.getAttribute("cy") - plot.Y(w[1])) < 2, "the large dot is not where the path ends");
    expect(box.querySelectorAll(".live-contours path").length > 5, "the surface has no contours");

    /* The buttons. */
    press(box, "back to step 0");
    compare("SGD", surfaces[2], starts[2], 0, "back to step 0");
    expect(control(box, "back to step 0").disabled && !control(box, "one step").disabled, "at step 0, one can go back or not go on");
    press(box, "one step");
    expect(/after 1 step, at/.test(sentence("SGD")), "after one step the figure says " + sentence("SGD"));
    press(box, "back to step 0");
    for (let i = 0; i < 3; i++) press(box, "one step");
    compare("SGD", surfaces[2], sgd(surfaces[2], starts[2], 3, 0.05), 3, "step");
    setControl(box, "steps", 190);
    press(box, "run");
    await until(() => reported("SGD")[1] === 200, "run to show all steps");
    expect(control(box, "one step").disabled && !control(box, "back to step 0").disabled, "at the last step, one can go on or not back");

    /* A click sets the start. */
    const corner = plot.getBoundingClientRect(), scale = corner.width / plot.viewBox.baseVal.width;
    plot.dispatchEvent(new MouseEvent("click", { clientX: corner.x + scale * plot.X(0.5), clientY: corner.y + scale * plot.Y(-0.5) }));
    press(box, "back to step 0");
    const clicked = reported("AdamW"); /* a pixel is 0.012 wide */
    expect(Math.abs(clicked[2] - 0.5) < 0.021 && Math.abs(clicked[3] + 0.5) < 0.021, `a click at (0.5, -0.5) starts at (${clicked[2]}, ${clicked[3]})`);

    /* A rate that is too large. */
    setControl(box, "steps", 200);
    setControl(box, "learning rate, SGD", 0);
    expect(/^SGD diverged: after step \d+ /.test(sentence("SGD")), "SGD with the rate 1 has not diverged");
    expect(reported("AdamW")[1] === 200, "AdamW does not go on when SGD has diverged");

    /* After extreme settings, all is as it was at first; another surface keeps the settings of AdamW. */
    for (const [name, value] of [["weight decay", 1], ["learning rate, AdamW", 0.5], ["\u03B2\u2081", 0], ["\u03B2\u2082", 0], ["start \u03B8\u2081", 2]]) setControl(box, name, value);
    setControl(box, "surface", 0);
    expect(control(box, "weight decay").value === "1", "another surface takes back the weight decay");
    press(box, "start and settings as at first");
    setControl(box, "steps", 40);
    compare("SGD", surfaces[0], sgd(surfaces[0], starts[0], 40, 0.18), 40, "as at first");
    compare("AdamW", surfaces[0], adamw(surfaces[0], starts[0], 40, usual), 40, "as at first");
    const ticks = Array.from(box.querySelectorAll(".live-plot")[1].querySelectorAll("text"), e => e.textContent).filter(text => /^[\d.]*e/.test(text));
    expect(ticks.length > 3 && ticks.every(text => /^1e\u2212?\d+$/.test(text)), "the ticks of the losses are " + ticks);
})
