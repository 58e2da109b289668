/* Section 6.7: warm-up, cosine and the constant end as a curve. */
"use strict";

{
    const HIGHEST = 0.002;  /* the top of the plot */
    const LONGEST = 10000;  /* steps at most */
    const POINTS = 200;     /* of the curve */

    const short = rate => String(Number(rate.toPrecision(3)));

    function phase(step, warmup, end) {
        if (step < warmup) return "in the warm-up";
        return step <= end ? "on the cosine" : "after the cosine";
    }

    /* Names the three parts above the curve, where there is room for it. */
    function drawParts(plot, borders) {
        const names = ["warm-up", "cosine", "minimum"];
        names.forEach((name, k) => {
            const from = plot.X(borders[k]), to = plot.X(borders[k + 1]);
            if (k > 0 && from < plot.X(borders[3]))
                plot.draw(live.shape("line", { x1: from, x2: from, y1: plot.Y(0), y2: plot.Y(HIGHEST), class: "live-border" }));
            if (to - from > 8 * name.length)
                plot.draw(live.shape("text", { x: (from + to) / 2, y: plot.Y(HIGHEST) + 16, "text-anchor": "middle" }, name));
        });
    }

    function makeControls(change) {
        const rate = (name, value, low, keep) => live.slider(name, { min: low, max: HIGHEST, step: 0.0001, value, show: short }, v => { keep(v); change(); });
        const steps = (name, value, low, keep) => live.slider(name, { min: low, max: LONGEST, step: 50, value }, v => { keep(v); change(); });
        const controls = {
            /* The minimum is at most the maximum, and the cosine does not end before it begins. */
            highest: rate("maximum", 0.001, 0.0001, v => { if (controls.lowest.value > v) controls.lowest.set(v); }),
            lowest: rate("minimum", 0.0001, 0, v => { if (controls.highest.value < v) controls.highest.set(v); }),
            warmup: steps("warm-up ends, T_w", 250, 0, v => { if (controls.end.value < v) controls.end.set(v); }),
            end: steps("cosine ends, T_c", 5000, 0, v => { if (controls.warmup.value > v) controls.warmup.set(v); }),
            total: steps("total steps", 6000, 500, () => {}),
            step: live.slider("look at step t", { min: 0, max: LONGEST, step: 10, value: 1500 }, change),
        };
        return controls;
    }

    live.figure("schedule", (box, lib) => {
        const plot = live.plot({
            label: "The learning rate of each step", xLabel: "step t", yLabel: "learning rate", x: [0, 6000], y: [0, HIGHEST], width: 420, height: 310,
        });
        const sentence = live.element("output", {});
        const controls = makeControls(update);

        function rates(steps) {
            const result = new Float64Array(steps.length);
            lib.call("live_schedule", result, Int32Array.from(steps), steps.length, controls.highest.value, controls.lowest.value,
                controls.warmup.value, controls.end.value);
            return result;
        }
        function update() {
            const total = controls.total.value, warmup = controls.warmup.value, end = controls.end.value;
            const input = controls.step.querySelector("input");
            input.max = total;
            controls.step.set(Math.min(controls.step.value, total));
            const step = controls.step.value;
            const steps = Array.from({ length: POINTS + 1 }, (_, i) => Math.round(i * total / POINTS));
            const corners = [warmup, end, end + 1].filter(t => t <= total);
            const all = [...steps, ...corners].sort((a, b) => a - b);
            const curve = rates(all), [here] = rates([step]);
            plot.range([0, total], null);
            plot.clear();
            drawParts(plot, [0, warmup, end, total].map(t => Math.min(t, total)));
            plot.draw(live.shape("line", { x1: plot.X(step), x2: plot.X(step), y1: plot.Y(0), y2: plot.Y(here), class: "live-marker" }));
            plot.line(all, curve, { series: 1 });
            plot.draw(live.shape("circle", { cx: plot.X(step), cy: plot.Y(here), r: 6, class: "live-fill-2" }));
            sentence.textContent = `Step ${step} is ${phase(step, warmup, end)}. Its learning rate is ${short(here)}.` +
                (end > total ? " The run ends before the cosine does." : "");
        }

        box.append(live.element("div", { class: "live-side" }, plot, live.element("div", { class: "live-controls" }, ...Object.values(controls))),
            live.element("p", { class: "live-report live-key-2" }, sentence));
        update();
    });
}
