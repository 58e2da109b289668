(async box => {
    /* The formula of the chapter once more. */
    function expected(t, { max, min, warmup, end }) {
        if (t < warmup) return max * t / warmup;
        return t > end ? min : min + (max - min) * (1 + Math.cos(Math.PI * (t - warmup) / Math.max(1, end - warmup))) / 2;
    }
    const sentence = () => box.querySelector(".live-report output").textContent;
    const value = name => Number(control(box, name).value);

    /* What is said about a step, and the dot on the curve. */
    function check(t, schedule, part) {
        setControl(box, "look at step t", t);
        const rate = expected(t, schedule), shown = Number(sentence().match(/learning rate is (.*?)\.( |$)/)[1]);
        expect(Math.abs(shown - rate) <= 0.0051 * rate, `the rate of step ${t} is shown as ${shown}, expected ${rate}`);
        expect(sentence().startsWith(`Step ${t} is ${part}.`), `step ${t} is not ${part}: ${sentence()}`);
        const plot = box.querySelector("svg"), dot = plot.querySelector("circle");
        expect(Math.abs(dot.getAttribute("cx") - plot.X(t)) < 0.1 && Math.abs(dot.getAttribute("cy") - plot.Y(rate)) < 0.5, "the dot is not at step " + t);
    }

    const first = { max: 0.001, min: 0.0001, warmup: 250, end: 5000 };
    check(0, first, "in the warm-up");
    check(240, first, "in the warm-up");
    check(250, first, "on the cosine");
    check(2000, first, "on the cosine");
    check(5000, first, "on the cosine");
    check(5010, first, "after the cosine");

    /* Every point of the curve. */
    const [rates, steps] = lastCall("live_schedule");
    expectShown(Array.from(rates), Array.from(steps, t => expected(t, first)), 9, "rates");
    const call = window.liveCalls.filter(c => c.name === "live_schedule").slice(-2)[0].after;
    expect(call[1].values.length > 200, "the curve has too few points");
    expectShown(call[0].values, call[1].values.map(t => expected(t, first)), 9, "rates of the curve");

    /* A run that ends before the cosine; borders that push each other. */
    setControl(box, "total steps", 3000);
    expect(sentence().endsWith("The run ends before the cosine does."), "it is not said that the run ends before the cosine");
    expect(value("look at step t") === 3000, "the step is beyond the end of the run");
    setControl(box, "warm-up ends", 6000);
    expect(value("cosine ends") === 6000, "the cosine ends before the warm-up");
    setControl(box, "cosine ends", 1000);
    expect(value("warm-up ends") === 1000, "the warm-up ends after the cosine");
    setControl(box, "minimum", 0.0015);
    expect(value("maximum") === 0.0015, "the maximum is below the minimum");
    setControl(box, "maximum", 0.0005);
    expect(value("minimum") === 0.0005, "the minimum is above the maximum");
    setControl(box, "minimum", 0);
    check(1000, { max: 0.0005, min: 0, warmup: 1000, end: 1000 }, "on the cosine");
    check(1010, { max: 0.0005, min: 0, warmup: 1000, end: 1000 }, "after the cosine");

    /* The longest run: check_live.py sees whether the number at the end of the axis is cut. */
    setControl(box, "total steps", 10000);
})
