/* Section 4.1: five scores on sliders, and their softmax at a temperature. */
"use strict";

live.figure("softmax", (box, lib) => {
    const scores = Float32Array.of(2, 1, -1, 0.5, -3), n = scores.length;
    const y = new Float32Array(n);
    const bars = Array.from({ length: n }, () => live.element("span", { class: "live-bar" }));
    const values = Array.from({ length: n }, () => live.element("output", {}));

    function update() {
        lib.call("live_softmax", y, scores, n, temperature.value);
        for (let i = 0; i < n; i++) {
            bars[i].style.width = 100 * y[i] + "%";
            values[i].textContent = live.number(y[i], 4);
        }
        sum.textContent = live.number(y.reduce((a, b) => a + b, 0), 4);
    }

    const sliders = Array.from(scores, (score, i) =>
        live.slider("x" + "\u2080\u2081\u2082\u2083\u2084"[i], { min: -10, max: 10, step: 0.1, value: score, show: v => live.number(v, 1) },
            value => { scores[i] = value; update(); }));
    const temperature = live.slider("temperature", { min: 0.1, max: 5, step: 0.1, value: 1, show: v => live.number(v, 1) }, update);
    const sum = live.element("output", {});
    const shift = amount => live.button((amount > 0 ? "all scores +" : "all scores \u2212") + Math.abs(amount), () => {
        for (let i = 0; i < n; i++) {
            scores[i] = Math.min(10, Math.max(-10, scores[i] + amount));
            sliders[i].set(scores[i]);
        }
        update();
    });

    box.append(
        live.element("div", { class: "live-softmax" },
            ...sliders.flatMap((slider, i) => [slider, live.element("span", { class: "live-track" }, bars[i]), values[i]])),
        live.row(temperature, live.element("span", {}, "sum of the probabilities ", sum)),
        live.row(shift(1), shift(-1)));
    update();
});
