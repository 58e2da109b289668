/* What all figures share: the library as a module, controls, coloured tables and plots.
 *
 * A figure is a file NAME.js that registers a function:
 *
 *     live.figure("NAME", (box, lib) => { ... });
 *
 * `box` is the empty element of the page in which the figure builds itself, and lib.call() runs the library. The page has
 * <div class="live" data-live="NAME">, which holds a picture of the figure until the library is there.
 */
"use strict";

const live = (() => {
    const figures = {};

    /* ---- the library ---- */

    /* The call of one exported function. An array among the arguments is copied into the library's memory before the
     * call, and back into the same array after it. */
    function callIn(module, name, values) {
        const copies = [];
        try {
            const plain = values.map(value => {
                if (!ArrayBuffer.isView(value)) return value;
                const address = module._malloc(Math.max(value.byteLength, 16));
                if (!address) throw new Error(name + ": no memory for " + value.byteLength + " bytes");
                copies.push([value, address]);
                new Uint8Array(module.HEAPU8.buffer, address, value.byteLength).set(bytesOf(value));
                return address;
            });
            const status = module["_" + name](...plain);
            if (status) throw new Error(module.UTF8ToString(module._live_message()));
            for (const [value, address] of copies)
                bytesOf(value).set(new Uint8Array(module.HEAPU8.buffer, address, value.byteLength));
        } finally {
            for (const [, address] of copies) module._free(address);
        }
    }

    function bytesOf(array) {
        return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    }

    /* `make docs-check` sets liveCalls to a list, and makes each call of the list again with the native library. */
    function record(name, values, run) {
        if (!window.liveCalls) return run();
        const before = values.map(describe);
        const result = run();
        const note = () => window.liveCalls.push({ name, before, after: values.map(describe) });
        return result instanceof Promise ? result.then(note) : note();
    }

    function describe(value) {
        return ArrayBuffer.isView(value) ? { type: value.constructor.name, values: Array.from(value) } : value;
    }

    /* The library in this page, for short calls: call(name, ...arguments). */
    let inPage = null;
    function library() {
        inPage = inPage || createCS336().then(module => ({
            call(name, ...values) { record(name, values, () => callIn(module, name, values)); },
        }));
        return inPage;
    }

    /* The library in a worker, for long calls: call() returns a promise, and the page stays responsive. A page from a
     * file may not load a worker's script, so the script is put together here, from the text of the functions. */
    function worker() {
        const serve = () => {
            const module = createCS336();
            onmessage = async event => {
                const { id, name, values } = event.data;
                try {
                    callIn(await module, name, values);
                    postMessage({ id, values });
                } catch (error) {
                    postMessage({ id, error: error.message });
                }
            };
        };
        const script = "var _scriptDir; const createCS336 = " + createCS336 + ";\n" + bytesOf + "\n" + callIn + "\n(" + serve + ")();";
        const thread = new Worker(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
        const waiting = new Map();
        let next = 0;
        thread.onmessage = event => {
            const { id, values, error } = event.data;
            const { resolve, reject, own } = waiting.get(id);
            waiting.delete(id);
            if (error) return reject(new Error(error));
            values.forEach((value, i) => { if (ArrayBuffer.isView(value)) own[i].set(value); });
            resolve();
        };
        return {
            call(name, ...values) {
                return record(name, values, () => new Promise((resolve, reject) => {
                    waiting.set(next, { resolve, reject, own: values });
                    thread.postMessage({ id: next++, name, values });
                }));
            },
            stop() { thread.terminate(); },
        };
    }

    /* ---- elements and controls ---- */

    /* element("p", {class: "note"}, "text", child): attributes that start with "on" are event handlers. */
    function element(tag, attributes, ...children) {
        const e = document.createElement(tag);
        set(e, attributes);
        e.append(...children);
        return e;
    }

    function shape(tag, attributes, ...children) { /* an element of an SVG */
        const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
        set(e, attributes);
        e.append(...children);
        return e;
    }

    function set(e, attributes) {
        for (const [key, value] of Object.entries(attributes || {}))
            if (key.startsWith("on")) e.addEventListener(key.slice(2), value);
            else if (value !== false && value !== undefined) e.setAttribute(key, value === true ? "" : value);
    }

    /* A slider with its name and its value. `change(value)` runs at each move. The result has .value and .set(value). */
    function slider(name, { min, max, step, value, show = String }, change) {
        const input = element("input", { type: "range", min, max, step, value, "aria-label": name });
        const output = element("output", {}, show(value));
        const control = element("label", { class: "live-slider" }, element("span", {}, name), input, output);
        const update = () => {
            output.textContent = show(Number(input.value));
            input.setAttribute("aria-valuetext", output.textContent); /* what a screen reader says */
        };
        update();
        input.addEventListener("input", () => { update(); change(Number(input.value)); });
        Object.defineProperty(control, "value", { get: () => Number(input.value) });
        control.set = v => { input.value = v; update(); };
        return control;
    }

    /* A button. While its .disabled is true, pressing it does nothing. The attribute is aria-disabled: the browser takes
     * the focus from a button with the attribute "disabled", and a reader without a mouse would lose the place. */
    function button(text, press) {
        const e = element("button", { type: "button", onclick: () => { if (!e.disabled) press(); } }, text);
        Object.defineProperty(e, "disabled", {
            get: () => e.getAttribute("aria-disabled") === "true",
            set: off => e.setAttribute("aria-disabled", Boolean(off)),
        });
        return e;
    }

    function checkbox(text, checked, change) {
        const input = element("input", { type: "checkbox", checked, onchange: () => change(input.checked) });
        return element("label", { class: "live-check" }, input, text);
    }

    /* One of several choices: `options` are [value, text] pairs. */
    function choice(name, options, value, change) {
        const select = element("select", { onchange: () => change(select.value), "aria-label": name },
            ...options.map(([v, text]) => element("option", { value: v, selected: String(v) === String(value) }, text)));
        return element("label", { class: "live-choice" }, element("span", {}, name), select);
    }

    function row(...children) {
        return element("div", { class: "live-row" }, ...children);
    }

    /* ---- numbers ---- */

    function number(x, digits = 3) {
        if (Number.isNaN(x)) return "nan";
        if (!Number.isFinite(x)) return x > 0 ? "inf" : "\u2212inf";
        return (x < 0 && Number(x.toFixed(digits)) !== 0 ? "\u2212" : "") + Math.abs(x).toFixed(digits);
    }

    /* The background of a cell: blue for positive numbers, orange for negative ones, stronger for larger ones. The
     * strongest is half transparent, so that text on it can be read in light and dark. */
    function heat(x, largest) {
        const share = largest > 0 && Number.isFinite(x) ? Math.min(Math.abs(x) / largest, 1) : 0;
        return "rgba(" + (x < 0 ? "230, 120, 20" : "30, 120, 220") + ", " + (0.5 * share).toFixed(3) + ")";
    }

    /* A coloured table of numbers with its name, and with labels of rows and columns if they are given.
     * `cell(i, j, td)` may change each cell. The result has .show(values), with values in C order. */
    function matrix(name, rows, columns, { rowLabels, columnLabels, digits = 3, largest, cell } = {}) {
        const cells = [];
        const body = element("tbody", {});
        for (let i = 0; i < rows; i++) {
            const tr = element("tr", {}, ...(rowLabels ? [element("th", { scope: "row" }, rowLabels[i])] : []));
            for (let j = 0; j < columns; j++) {
                const td = element("td", {});
                if (cell) cell(i, j, td);
                cells.push(td);
                tr.append(td);
            }
            body.append(tr);
        }
        const head = columnLabels ? [element("thead", {}, element("tr", {}, ...(rowLabels ? [element("td", {})] : []),
            ...columnLabels.map(label => element("th", { scope: "col" }, label))))] : [];
        const table = element("table", { class: "live-matrix" }, element("caption", {}, name), ...head, body);
        const scroll = element("div", { class: "live-scroll" }, table);
        scroll.cells = cells;
        scroll.show = values => {
            const finite = Array.from(values, Math.abs).filter(Number.isFinite);
            const top = largest || Math.max(1e-9, ...finite);
            cells.forEach((td, k) => {
                td.textContent = number(values[k], digits);
                td.style.backgroundColor = heat(values[k], top);
            });
        };
        return scroll;
    }

    /* ---- plots ---- */

    /* Round numbers between low and high, for the ticks of an axis. */
    function ticks(low, high, count) {
        const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
        const step = [1, 2, 5, 10].map(k => k * power).find(s => s >= raw * 0.999);
        const list = [];
        for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) list.push(k * step);
        return list;
    }

    function short(v) {
        return String(Number(v.toPrecision(6)));
    }

    /* The width of a plot in its own units: as wanted, or what a narrow page has room for, so that a unit is about a pixel
     * and the letters stay 13 pixels high. A figure's frame and the page's margins take PLOT_MARGINS pixels. */
    const PLOT_MARGINS = 66;
    function plotWidth(wanted) {
        return Math.min(wanted, Math.max(240, document.documentElement.clientWidth - PLOT_MARGINS));
    }

    /* A plot with axes, at most as high as wide. Options: xLabel, yLabel, x: [low, high], y: [low, high], width, height, and xTick, yTick, which
     * write the number of a tick. The result has
     *   .clear()                                      removes what was drawn
     *   .line(xs, ys, {series: 1, text, points: false})  draws a curve in the colour of its series, 1 to 6
     *   .draw(shape)                                  adds an own SVG shape; .X(x) and .Y(y) give its coordinates
     *   .range(x, y)                                  changes the ranges of the axes
     *   .area                                         {x, y, width, height} inside of the axes */
    function plot({ label, xLabel = "", yLabel = "", x, y, width = 640, height = 300, xTick = short, yTick = short }) {
        const left = 62, right = 24, top = 12, bottom = 44; /* right: half of a number of 6 digits below the end of the axis */
        width = plotWidth(width);
        height = Math.min(height, width);
        const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, class: "live-plot", role: "img", "aria-label": label });
        const axes = shape("g", {}), content = shape("g", {}), legend = shape("g", {});
        svg.append(axes, content, legend);
        const X = v => left + (v - x[0]) / (x[1] - x[0]) * (width - left - right);
        const Y = v => height - bottom - (v - y[0]) / (y[1] - y[0]) * (height - top - bottom);
        const text = (at, attributes) => shape("text", attributes, at);
        let entries = 0;

        function drawAxes() {
            axes.replaceChildren();
            for (const v of ticks(x[0], x[1], 6)) {
                axes.append(shape("line", { x1: X(v), x2: X(v), y1: top, y2: height - bottom, class: "live-grid" }));
                axes.append(text(xTick(v), { x: X(v), y: height - bottom + 16, "text-anchor": "middle" }));
            }
            for (const v of ticks(y[0], y[1], 5)) {
                axes.append(shape("line", { x1: left, x2: width - right, y1: Y(v), y2: Y(v), class: "live-grid" }));
                axes.append(text(yTick(v), { x: left - 7, y: Y(v) + 4, "text-anchor": "end" }));
            }
            axes.append(text(xLabel, { x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle" }));
            axes.append(text(yLabel, { transform: `translate(13 ${(top + height - bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }));
        }

        svg.X = X;
        svg.Y = Y;
        svg.area = { x: left, y: top, width: width - left - right, height: height - top - bottom };
        svg.range = (newX, newY) => { x = newX || x; y = newY || y; drawAxes(); };
        svg.clear = () => { content.replaceChildren(); legend.replaceChildren(); entries = 0; };
        svg.draw = what => { content.append(what); return what; };
        svg.line = (xs, ys, { series = 1, text: name, points = false } = {}) => {
            const parts = [];
            let pen = "M";
            for (let i = 0; i < xs.length; i++) {
                if (!Number.isFinite(ys[i])) { pen = "M"; continue; }
                parts.push(pen + X(xs[i]).toFixed(1) + " " + Y(ys[i]).toFixed(1));
                pen = "L";
                if (points) content.append(shape("circle", { cx: X(xs[i]), cy: Y(ys[i]), r: 3, class: "live-fill-" + series }));
            }
            content.append(shape("path", { d: parts.join(""), class: "live-line live-line-" + series }));
            if (!name) return;
            const at = top + 14 + 17 * entries++;
            legend.append(shape("line", { x1: width - right - 30, x2: width - right - 8, y1: at - 4, y2: at - 4, class: "live-line live-line-" + series }));
            legend.append(text(name, { x: width - right - 36, y: at, "text-anchor": "end" }));
        };
        drawAxes();
        return svg;
    }

    /* ---- texts and tokens ---- */

    function textArea(name, { value, rows = 4, longest = 10000 }, change) {
        const area = element("textarea", { rows, maxlength: longest, "aria-label": name, spellcheck: "false", oninput: () => change(area.value) });
        area.value = value;
        const control = element("label", { class: "live-text" }, element("span", {}, name), area);
        Object.defineProperty(control, "value", { get: () => area.value, set: text => { area.value = text; } });
        return control;
    }

    /* The bytes of a text as the library reads it. */
    function utf8(text) {
        return new TextEncoder().encode(text);
    }

    /* Tokens first to first + count - 1 of a slot (tokenizer.h): {text, bytes}, what to show and how many bytes it stands
     * for. Bytes that are no character are shown as \xNN. `room`: for the bytes of all texts together. */
    function tokenTexts(lib, slot, first, count, room) {
        const text = new Uint8Array(room), ends = new Int32Array(count), lengths = new Int32Array(count);
        lib.call("live_tokenizer_shown", slot, first, count, text, room, ends, lengths);
        const decoder = new TextDecoder();
        return Array.from(ends, (end, i) => ({ text: decoder.decode(text.subarray(i ? ends[i - 1] : 0, end)), bytes: lengths[i] }));
    }

    /* A token's text with signs for what one cannot see: blanks and line ends. */
    function visible(text) {
        return text.replace(/ /g, "\u2423").replace(/\n/g, "\u21B5");
    }

    /* The parts of a text, its subscript digits as elements: many fonts draw the character of a subscript 0 like an o. */
    function subscripts(text) {
        return text.split(/([\u2080-\u2089])/).map(part =>
            /^[\u2080-\u2089]$/.test(part) ? element("sub", {}, String(part.charCodeAt(0) - 0x2080)) : part);
    }

    /* ---- start ---- */

    function figure(name, build) {
        figures[name] = build;
    }

    /* Replaces the pictures by the figures. live.ready is resolved when all have been built. */
    async function start() {
        const boxes = Array.from(document.querySelectorAll(".live[data-live]"));
        if (!boxes.length) return;
        let lib;
        try {
            lib = await library();
        } catch (error) {
            boxes.forEach(box => say(box, "The figure cannot run in this browser: " + error.message));
            return;
        }
        for (const box of boxes) {
            const name = box.dataset.live;
            const inner = element("div", { class: "live-figure" });
            try {
                await figures[name](inner, lib);
                box.replaceChildren(inner);
                box.classList.add("live-runs");
            } catch (error) {
                say(box, "The figure " + name + " does not work: " + error.message);
                console.error(error);
            }
        }
    }

    function say(box, text) {
        box.append(element("p", { class: "live-note" }, text));
    }

    const ready = new Promise(resolve => {
        const go = () => start().then(resolve);
        if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", go);
        else go();
    });

    return { figure, library, worker, ready, element, shape, slider, button, checkbox, choice, row, number, heat, matrix, plot, plotWidth, textArea, utf8, tokenTexts, visible, subscripts };
})();
