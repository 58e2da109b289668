/* Section 6.6: the paths of SGD and AdamW on the loss of two weights, step by step. */
"use strict";

{
    const STEPS = 200;       /* the longest path */
    const FAR = 1000;        /* a path ends where a weight is larger than this: it has diverged */
    const LEAST_LOSS = 1e-8; /* the lowest loss of the plot, whose axis is logarithmic */
    const GRID = 101;        /* points along each side from which the contours are drawn */

    /* The order is that of the surfaces in optimizers.c. `sgd` is a rate with which SGD does not diverge. */
    const SURFACES = [
        { name: "long valley", formula: "0.1 \u03B8\u2081\u00B2 + 5 \u03B8\u2082\u00B2", y: [-2, 2], start: [-1.8, 1], sgd: 0.18, minima: [[0, 0]] },
        { name: "long valley, turned", formula: "2.55 (\u03B8\u2081\u00B2 + \u03B8\u2082\u00B2) \u2212 4.9 \u03B8\u2081\u03B8\u2082", y: [-2, 2], start: [-1.8, -0.4], sgd: 0.18, minima: [[0, 0]] },
        { name: "curved valley", formula: "(1 \u2212 \u03B8\u2081)\u00B2 + 10 (\u03B8\u2082 \u2212 \u03B8\u2081\u00B2)\u00B2", y: [-1, 3], start: [-1.2, 1.6], sgd: 0.05, minima: [[1, 1]] },
        { name: "saddle", formula: "\u00BD \u03B8\u2081\u00B2 + \u00BC (\u03B8\u2082\u00B2 \u2212 1)\u00B2", y: [-2, 2], start: [-1.5, 0.01], sgd: 0.1, minima: [[0, 1], [0, -1]] },
    ];
    const X_RANGE = [-2, 2];
    const BETA1 = [0, 0.5, 0.8, 0.9, 0.95, 0.99], BETA2 = [0, 0.5, 0.9, 0.95, 0.99, 0.999];

    const ADAMW = { lr: 0.1, beta1: 0.9, beta2: 0.999, decay: 0 }; /* at first, and after "as at first" */

    /* ---- what the library computes ---- */

    function losses(lib, surface, points) {
        const loss = new Float64Array(points.length / 2);
        lib.call("live_losses", loss, points, loss.length, surface);
        return loss;
    }

    /* The path of an optimizer: its points, their losses, and whether it diverged. step(weights, t) takes step t = 0, 1, ... */
    function pathOf(lib, surface, start, step) {
        const weights = Float32Array.from(start), points = [...weights];
        let diverged = false;
        for (let t = 0; t < STEPS && !diverged; t++) {
            step(weights, t);
            points.push(...weights);
            diverged = !weights.every(w => Math.abs(w) <= FAR);
        }
        return { points, loss: losses(lib, surface, Float32Array.from(points)), diverged, last: points.length / 2 - 1 };
    }

    function sgdPath(lib, surface, start, lr) {
        return pathOf(lib, surface, start, (weights, t) => lib.call("live_sgd_step", weights, surface, t, lr));
    }

    function adamwPath(lib, surface, start, { lr, beta1, beta2, decay }) {
        const first = new Float32Array(2), second = new Float32Array(2);
        return pathOf(lib, surface, start, (weights, t) =>
            lib.call("live_adamw_step", weights, first, second, surface, t + 1, lr, beta1, beta2, decay));
    }

    /* ---- the surface as contours ---- */

    /* Line segments along which the surface has the value `level`: in each cell of the grid, from one edge that crosses
     * the level to another. */
    function contour(values, level, X, Y) {
        const parts = [];
        const at = (i, j) => values[i * GRID + j];
        for (let i = 0; i + 1 < GRID; i++)
            for (let j = 0; j + 1 < GRID; j++) {
                const below = (at(i, j) < level) + (at(i, j + 1) < level) + (at(i + 1, j + 1) < level) + (at(i + 1, j) < level);
                if (below % 4 === 0) continue;
                const corners = [[i, j], [i, j + 1], [i + 1, j + 1], [i + 1, j]], crossings = [];
                corners.forEach(([i0, j0], k) => {
                    const [i1, j1] = corners[(k + 1) % 4], a = at(i0, j0) - level, b = at(i1, j1) - level;
                    if ((a < 0) === (b < 0)) return;
                    const share = a / (a - b);
                    crossings.push(X(j0 + share * (j1 - j0)).toFixed(1) + " " + Y(i0 + share * (i1 - i0)).toFixed(1));
                });
                for (let k = 0; k + 1 < crossings.length; k += 2) parts.push("M" + crossings[k] + "L" + crossings[k + 1]);
            }
        return parts.join("");
    }

    /* A plot of the surface: .show(surface) draws contours and minima, .paths the lines of the optimizers. */
    function surfacePlot(lib, place) {
        const plot = live.plot({
            label: "The loss as contours over the two weights, with the paths of both optimizers. A click sets the start.",
            xLabel: "weight \u03B8\u2081", yLabel: "weight \u03B8\u2082", x: X_RANGE, y: [-2, 2], width: 420, height: 410,
        });
        const clip = live.shape("clipPath", { id: "live-optimizers-clip" }, live.shape("rect", plot.area));
        const contours = plot.draw(live.shape("g", { class: "live-contours" }));
        const paths = live.shape("g", {}), minima = live.shape("g", {});
        plot.classList.add("live-surface");
        plot.draw(clip);
        plot.draw(live.shape("g", { "clip-path": "url(#live-optimizers-clip)" }, paths));
        plot.draw(minima);
        let y = [-2, 2];

        plot.paths = paths;
        plot.show = surface => {
            y = SURFACES[surface].y;
            plot.range(X_RANGE, y);
            const along = ([low, high], k) => low + k / (GRID - 1) * (high - low);
            const values = new Float64Array(GRID * GRID);
            lib.call("live_surface", values, GRID, ...X_RANGE, ...y, surface);
            const top = Math.max(...values);
            contours.replaceChildren(...Array.from({ length: 10 }, (_, k) => live.shape("path", {
                /* The fourth power puts more lines near the bottom, where the paths end. */
                d: contour(values, top * ((k + 2) / 12) ** 4, j => plot.X(along(X_RANGE, j)), i => plot.Y(along(y, i))),
            })));
            minima.replaceChildren(...SURFACES[surface].minima.map(([x0, y0]) => live.shape("text", {
                x: plot.X(x0), y: plot.Y(y0) + 6, "text-anchor": "middle", class: "live-minimum",
            }, "+")));
        };
        const put = event => {
            const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(plot.getScreenCTM().inverse());
            const value = (p, scale, [low, high]) => low + (p - scale(low)) / (scale(high) - scale(low)) * (high - low);
            const weights = [value(at.x, plot.X, X_RANGE), value(at.y, plot.Y, y)];
            if (Math.abs(weights[0]) <= 2 && weights[1] >= y[0] && weights[1] <= y[1]) place(weights);
        };
        plot.addEventListener("click", put);
        plot.addEventListener("pointermove", event => { if (event.pointerType === "mouse" && event.buttons === 1) put(event); });
        return plot;
    }

    /* Draws the first t steps of a path: a line, a dot for each step, and a large dot at the end. */
    function drawPath(plot, path, t, series) {
        const points = [];
        for (let i = 0; i <= Math.min(t, path.last); i++) {
            const x = plot.X(path.points[2 * i]), y = plot.Y(path.points[2 * i + 1]);
            if (Number.isFinite(x) && Number.isFinite(y)) points.push(x.toFixed(1) + " " + y.toFixed(1));
        }
        const [x, y] = points[points.length - 1].split(" ");
        plot.paths.append(
            live.shape("path", { d: "M" + points.join("L"), class: "live-line live-line-" + series }),
            live.shape("path", { d: points.map(p => "M" + p + "h0").join(""), class: "live-steps live-line-" + series }),
            live.shape("circle", { cx: x, cy: y, r: 5, class: "live-fill-" + series }));
    }

    /* ---- the losses ---- */

    function lossPlot() {
        return live.plot({
            label: "The loss of both optimizers after each step", xLabel: "step", yLabel: "loss", x: [0, STEPS], y: [-5, 1],
            width: 420, height: 410, yTick: v => "1e" + live.number(v, 0), /* in one form: 0.000001 and 1e-8 are hard to compare */
        });
    }

    function drawLosses(plot, paths, t) {
        const log = loss => Math.log10(Math.max(loss, LEAST_LOSS));
        /* The axis ends at about 10 times the first loss, because the loss of a path that diverges has no end. */
        const low = Math.min(...paths.flatMap(path => Array.from(path.loss).filter(Number.isFinite)).map(log));
        const high = Math.ceil(log(10 * paths[0].loss[0]));
        plot.range(null, [Math.min(Math.floor(low), high - 5), high]);
        plot.clear();
        paths.forEach((path, k) => {
            const shown = Array.from(path.loss.slice(0, t + 1), loss => Math.min(high, log(loss)));
            plot.line(shown.map((_, i) => i), shown, { series: k ? 1 : 2, text: k ? "AdamW" : "SGD" });
        });
    }

    function report(name, path, t) {
        const i = Math.min(t, path.last), at = k => live.number(path.points[2 * i + k], 2);
        if (path.diverged && t >= path.last)
            return `${name} diverged: after step ${path.last} a weight is larger than ${FAR}.`;
        return `${name}: loss ${Number(path.loss[i].toPrecision(3))} after ${i} step${i === 1 ? "" : "s"}, at \u03B8\u2081 = ${at(0)}, \u03B8\u2082 = ${at(1)}`;
    }

    /* ---- controls ---- */

    /* Rates are on a logarithmic slider, whose value is an exponent of 10. */
    const rate = exponent => Number((10 ** exponent).toPrecision(2));

    function makeControls(change) {
        const rateSlider = (name, low, high) => live.slider(name, { min: low, max: high, step: 0.05, value: -1, show: v => String(rate(v)) }, change);
        const listSlider = (name, list, value) => live.slider(name, { min: 0, max: list.length - 1, step: 1, value: list.indexOf(value), show: i => String(list[i]) }, change);
        const startSlider = name => live.slider(name, { min: -2, max: 2, step: 0.01, value: 0, show: v => live.number(v, 2) }, change);
        return {
            startX: startSlider("start \u03B8\u2081"),
            startY: startSlider("start \u03B8\u2082"),
            sgd: rateSlider("learning rate, SGD", -3, 0.5),
            adamw: rateSlider("learning rate, AdamW", -3, 0.5),
            beta1: listSlider("\u03B2\u2081, AdamW", BETA1, ADAMW.beta1),
            beta2: listSlider("\u03B2\u2082, AdamW", BETA2, ADAMW.beta2),
            decay: live.slider("weight decay \u03BB", { min: 0, max: 1, step: 0.05, value: 0, show: v => live.number(v, 2) }, change),
        };
    }

    function setRange(slider, [min, max]) {
        Object.assign(slider.querySelector("input"), { min, max });
    }

    live.figure("optimizers", (box, lib) => {
        let surface = 0, paths, frame = 0;
        const controls = makeControls(change);
        const steps = live.slider("steps", { min: 0, max: STEPS, step: 1, value: 100 }, goTo);
        const plot = surfacePlot(lib, ([x, y]) => {
            controls.startX.set(x);
            controls.startY.set(y);
            change();
        });
        const loss = lossPlot();
        const formula = live.element("span", {}), sgdReport = live.element("output", {}), adamwReport = live.element("output", {});
        const run = live.button("run", () => frame ? stop() : start());
        const one = live.button("one step", () => goTo(Math.min(STEPS, steps.value + 1)));
        const back = live.button("back to step 0", () => goTo(0));

        function change() {
            const at = [controls.startX.value, controls.startY.value];
            paths = [sgdPath(lib, surface, at, rate(controls.sgd.value)), adamwPath(lib, surface, at, {
                lr: rate(controls.adamw.value), beta1: BETA1[controls.beta1.value], beta2: BETA2[controls.beta2.value], decay: controls.decay.value,
            })];
            draw();
        }
        function draw() {
            const t = steps.value;
            one.disabled = t === STEPS;
            back.disabled = t === 0;
            plot.paths.replaceChildren();
            paths.forEach((path, k) => drawPath(plot, path, t, k ? 1 : 2));
            plot.paths.append(live.shape("circle", { cx: plot.X(controls.startX.value), cy: plot.Y(controls.startY.value), r: 5, class: "live-start" }));
            drawLosses(loss, paths, t);
            sgdReport.textContent = report("SGD", paths[0], t);
            adamwReport.textContent = report("AdamW", paths[1], t);
        }
        function choose(index) {
            surface = Number(index);
            const chosen = SURFACES[surface];
            formula.textContent = "loss = " + chosen.formula;
            setRange(controls.startY, chosen.y);
            controls.startX.set(chosen.start[0]);
            controls.startY.set(chosen.start[1]);
            controls.sgd.set(Math.log10(chosen.sgd));
            plot.show(surface);
            change();
        }
        /* The start and both optimizers as the figure began, on the chosen surface. */
        function restore() {
            controls.adamw.set(Math.log10(ADAMW.lr));
            controls.beta1.set(BETA1.indexOf(ADAMW.beta1));
            controls.beta2.set(BETA2.indexOf(ADAMW.beta2));
            controls.decay.set(ADAMW.decay);
            choose(surface);
        }
        /* Shows the steps one after the other in 4 seconds, or the last at once if the reader wants no animation. */
        function start() {
            const first = steps.value < STEPS ? steps.value : 0;
            const speed = window.matchMedia("(prefers-reduced-motion: reduce)").matches ? Infinity : STEPS / 4000;
            let begin = null;
            const next = now => {
                begin = begin ?? now;
                const t = Math.min(STEPS, first + (now > begin ? Math.floor((now - begin) * speed) : 0));
                steps.set(t);
                draw();
                if (t < STEPS) frame = requestAnimationFrame(next);
                else stop();
            };
            run.textContent = "pause";
            frame = requestAnimationFrame(next);
        }
        function stop() {
            cancelAnimationFrame(frame);
            frame = 0;
            run.textContent = "run";
        }
        function goTo(t) {
            stop();
            steps.set(t);
            draw();
        }

        box.append(
            live.row(live.choice("surface", SURFACES.map(({ name }, i) => [i, name]), 0, choose), formula),
            live.row(steps, one, run, back),
            live.element("div", { class: "live-side" }, plot, loss),
            live.element("p", { class: "live-report live-key-2" }, sgdReport),
            live.element("p", { class: "live-report live-key-1" }, adamwReport),
            live.element("p", { class: "live-report" }, "Each grey line joins points of equal loss. \u25CB is the start: click or tap on the surface to move it, or use the sliders. + is a minimum."),
            live.element("div", { class: "live-controls" }, ...Object.values(controls)),
            live.row(live.button("start and settings as at first", restore)));
        choose(0);
    });
}
