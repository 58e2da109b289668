/* Section 4.1: five scores on sliders, and their softmax at a temperature. */
"use strict";

live.figure("softmax", (box, lib) => {
    const scores = Float32Array.of(2, 1, -1, 0.5, -3), n = scores.length;
    const y = new Float32Array(n), sums = new Float32Array(n);
    const bars = Array.from({ length: n }, () => live.element("span", { class: "live-bar" }));
    const values = Array.from({ length: n }, () => live.element("output", {}));

    function update() {
        scores.forEach((score, i) => { sums[i] = score + added.value; });
        lib.call("live_softmax", y, sums, n, temperature.value);
        for (let i = 0; i < n; i++) {
            bars[i].style.width = 100 * y[i] + "%";
            values[i].textContent = live.number(y[i], 4);
        }
        sum.textContent = live.number(y.reduce((a, b) => a + b, 0), 4);
        read.textContent = "[" + Array.from(sums, x => live.number(x, 1)).join(", ") + "]";
    }

    const sliders = Array.from(scores, (score, i) =>
        live.slider("x" + "\u2080\u2081\u2082\u2083\u2084"[i], { min: -10, max: 10, step: 0.1, value: score, show: v => live.number(v, 1) },
            value => { scores[i] = value; update(); }));
    for (const slider of sliders) {
        const name = slider.querySelector("span");
        name.replaceChildren(...live.subscripts(name.textContent));
    }
    const temperature = live.slider("temperature", { min: 0.1, max: 5, step: 0.1, value: 1, show: v => live.number(v, 1) }, update);
    const sum = live.element("output", {});
    /* A number of its own, so that the differences of the scores stay, whatever is added. */
    const added = live.slider("added to all scores", { min: -100, max: 100, step: 1, value: 0, show: v => live.number(v, 0) }, update);
    const read = live.element("output", {});

    box.append(
        live.element("div", { class: "live-softmax" },
            ...sliders.flatMap((slider, i) => [slider, live.element("span", { class: "live-track" }, bars[i]), values[i]])),
        live.row(temperature, added),
        live.row(live.element("span", {}, "softmax reads the scores ", read)),
        live.row(live.element("span", {}, "sum of the probabilities ", sum)));
    update();
});
