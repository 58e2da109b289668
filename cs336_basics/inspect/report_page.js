"use strict";

/*
 * The script of cs336 report. It draws the curves of the page's runs into #report, and makes the table of runs sortable.
 *
 * The page's data, in #report-data:
 * runs[].name, runs[].diverged
 * runs[].axes    {step, tokens, seconds}: the numbers of the log's lines that the page has; empty if the log lacks them
 * runs[].curves  [{name, at, values}]: values[i] stands in line at[i]; null is NaN or infinity in the log
 */
(function () {
    const SVG = "http://www.w3.org/2000/svg", COLOURS = 8, MARGIN = { left: 58, right: 14, top: 12, bottom: 40 };
    const DASHES = ["", "7 4", "2 3", "10 3 2 3", "14 4"]; /* 8 colours and 5 dashes make 40 different curves */
    const MARKERS = 60; /* a curve of validation losses with more points than that has no dots */

    const runs = JSON.parse(document.getElementById("report-data").textContent).runs;
    const state = { quantity: "", axis: "step", log: { x: false, y: false }, smoothing: 0, cursor: null, hidden: new Set() };
    const parts = {}; /* the elements that change */
    let view = null; /* what was drawn last: curves, scales, unit */

    function make(tag, name, text) {
        const node = document.createElement(tag);
        if (name) node.className = name;
        if (text !== undefined) node.textContent = text;
        if (tag === "button") node.type = "button";
        return node;
    }

    function draw(tag, attributes, text) {
        const node = document.createElementNS(SVG, tag);
        for (const key in attributes) node.setAttribute(key, attributes[key]);
        if (text !== undefined) node.textContent = text;
        return node;
    }

    /* ---- numbers as text ---- */

    function short(x) {
        const sizes = [[1e9, "G"], [1e6, "M"], [1e3, "k"]];
        if (Math.abs(x) >= 1e12) return power(x, 4);
        for (const [size, letter] of sizes) if (Math.abs(x) >= size) return Number((x / size).toPrecision(4)) + letter;
        return String(Number(x.toPrecision(4)));
    }

    /* With at most so many digits, as 2.5e18. */
    function power(x, digits) {
        return Number(x.toPrecision(digits)).toExponential().replace("+", "");
    }

    /* A value of the log: at most six digits, so that columns stay narrow. */
    function exact(x) {
        if (x === null || x === undefined) return "\u2013";
        return Math.abs(x) >= 1e9 ? power(x, 6) : String(Number(x.toPrecision(6)));
    }

    /* The wall clock in a unit that suits the longest run. */
    function unitOf(axis, longest) {
        if (axis !== "seconds") return { name: axis === "step" ? "steps" : axis, size: 1 };
        return longest < 300 ? { name: "seconds", size: 1 } : longest < 3 * 3600 ? { name: "minutes", size: 60 } : { name: "hours", size: 3600 };
    }

    /* ---- curves ---- */

    const isLoss = name => name === "train_loss" || name === "val_loss";

    function quantities() {
        const names = new Set();
        runs.forEach(run => run.curves.forEach(curve => {
            if (curve.values.some(value => value !== null)) names.add(isLoss(curve.name) ? "loss" : curve.name);
        }));
        return Array.from(names).sort((a, b) => (b === "loss") - (a === "loss"));
    }

    /* An exponential moving average whose weights sum to 1 from the first point on (as Adam corrects its moments). */
    function smooth(values, weight) {
        let sum = 0, total = 0;
        return values.map(value => {
            if (value === null) return null;
            sum = weight * sum + (1 - weight) * value;
            total = weight * total + (1 - weight);
            return sum / total;
        });
    }

    /* The curves of the chosen quantity, as lists of x and y. */
    function curvesOf(run) {
        const axis = run.axes[state.axis];
        if (!axis.length) return [];
        return run.curves.filter(curve => state.quantity === "loss" ? isLoss(curve.name) : curve.name === state.quantity).map(curve => {
            const validation = curve.name === "val_loss";
            return {
                validation, x: curve.at.map(i => axis[i]), y: curve.values,
                smooth: !validation && state.smoothing > 0 ? smooth(curve.values, state.smoothing) : null
            };
        });
    }

    function nearest(curve, x) {
        let best = -1;
        curve.x.forEach((at, i) => {
            if (at !== null && (best < 0 || Math.abs(at - x) < Math.abs(curve.x[best] - x))) best = i;
        });
        return best;
    }

    /* ---- scales ---- */

    function linearTicks(low, high, count) {
        const raw = (high - low) / count, power = Math.pow(10, Math.floor(Math.log10(raw)));
        const step = [1, 2, 5, 10].find(m => m * power >= raw) * power, ticks = [];
        for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) ticks.push(i * step);
        return ticks;
    }

    function logTicks(low, high, count) {
        const decades = Math.log10(high / low), ticks = [];
        if (decades < 1) return linearTicks(low, high, count).filter(tick => tick > 0);
        const factors = decades < 2.5 ? [1, 2, 5] : [1], skip = Math.ceil(decades / count);
        for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
            if (e % skip === 0) factors.forEach(f => ticks.push(f * Math.pow(10, e)));
        return ticks.filter(tick => tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9));
    }

    /* A scale from numbers to pixels, begin for the smallest number. */
    function makeScale(low, high, log, begin, end) {
        if (!(high > low)) [low, high] = log ? [low / 2, low * 2] : [low - 0.5, low + 0.5];
        const to = log ? Math.log : x => x, a = to(low), b = to(high);
        return { low, high, log, pixel: x => begin + (to(x) - a) / (b - a) * (end - begin), shows: x => x !== null && (!log || x > 0) };
    }

    function rangeOf(lists, log) {
        let low = Infinity, high = -Infinity;
        lists.forEach(list => list.forEach(x => {
            if (x === null || (log && x <= 0)) return;
            low = Math.min(low, x);
            high = Math.max(high, x);
        }));
        return low > high ? [1, 2] : [low, high];
    }

    /* The median of the first training losses; without training losses, of the first validation losses. */
    function firstLoss(curves) {
        const firsts = validation => curves.filter(c => c.validation === validation).map(c => c.y.find(y => y !== null)).filter(y => y !== undefined);
        const list = (firsts(false).length ? firsts(false) : firsts(true)).sort((a, b) => a - b);
        return list[Math.floor((list.length - 1) / 2)];
    }

    /* A run that diverges would press all other curves of the loss flat. So on a linear scale the picture ends a quarter
     * above the first loss, if the curves go far beyond. */
    function yRange(curves) {
        const [low, high] = rangeOf(curves.map(c => c.y), state.log.y);
        const first = firstLoss(curves);
        const cut = state.quantity === "loss" && !state.log.y && high > 3 * first;
        if (state.log.y) return { low: low, high: high, cut: null };
        const top = cut ? 1.25 * first : high, space = 0.04 * (top - low);
        return { low: low - space, high: top + space, cut: cut ? high : null };
    }

    /* ---- the picture ---- */

    function pathOf(curve, values, x, y) {
        let text = "", pen = false;
        values.forEach((value, i) => {
            const shown = x.shows(curve.x[i]) && y.shows(value);
            if (shown) text += (pen ? "L" : "M") + x.pixel(curve.x[i]).toFixed(1) + " " + Math.max(-1e4, y.pixel(value)).toFixed(1);
            pen = shown;
        });
        return text;
    }

    const styleOf = index => ({ class: "rp-run-" + index % COLOURS, "stroke-dasharray": DASHES[index % DASHES.length] });

    function drawCurve(group, item, curve, x, y) {
        const style = styleOf(item.index), line = values => draw("path", Object.assign({ d: pathOf(curve, values, x, y), fill: "none" }, style));
        if (curve.smooth) {
            const raw = line(curve.y);
            raw.classList.add("rp-raw");
            group.append(raw);
        }
        const path = line(curve.smooth || curve.y);
        path.classList.add(curve.validation ? "rp-validation" : "rp-training");
        group.append(path);
        if (curve.y.filter(v => v !== null).length > (curve.validation ? MARKERS : 1)) return;
        curve.y.forEach((value, i) => {
            if (!x.shows(curve.x[i]) || !y.shows(value)) return;
            group.append(draw("circle", { cx: x.pixel(curve.x[i]), cy: Math.max(-1e4, y.pixel(value)), r: 3, class: style.class + " rp-dot" }));
        });
    }

    /* A cross where a run diverged: at its last number. */
    function drawEnd(svg, item, x, y) {
        const curve = item.curves[0];
        if (!item.run.diverged || !curve) return;
        let last = curve.y.length - 1;
        while (last >= 0 && !(y.shows(curve.y[last]) && x.shows(curve.x[last]))) last--;
        if (last < 0) return;
        const px = x.pixel(curve.x[last]), py = Math.max(MARGIN.top, y.pixel(curve.y[last]));
        svg.append(draw("path", { d: `M${px - 5} ${py - 5}l10 10m0 -10l-10 10`, class: "rp-end rp-run-" + item.index % COLOURS }));
    }

    function drawAxes(svg, x, y, unit, width, height) {
        const xTicks = x.log ? logTicks(x.low / unit.size, x.high / unit.size, width / 80) : linearTicks(x.low / unit.size, x.high / unit.size, width / 80);
        xTicks.forEach(tick => {
            const px = x.pixel(tick * unit.size);
            svg.append(draw("line", { x1: px, x2: px, y1: MARGIN.top, y2: height - MARGIN.bottom, class: "rp-grid" }),
                draw("text", { x: px, y: height - MARGIN.bottom + 16, "text-anchor": "middle" }, short(tick)));
        });
        (y.log ? logTicks : linearTicks)(y.low, y.high, height / 50).forEach(tick => {
            const py = y.pixel(tick);
            svg.append(draw("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: py, y2: py, class: "rp-grid" }),
                draw("text", { x: MARGIN.left - 6, y: py + 4, "text-anchor": "end" }, short(tick)));
        });
        svg.append(draw("text", { x: (MARGIN.left + width - MARGIN.right) / 2, y: height - 6, "text-anchor": "middle" }, unit.name));
    }

    function drawPicture() {
        const width = Math.max(parts.frame.clientWidth, 200), height = Math.round(Math.min(Math.max(0.5 * width, 260), 460));
        const items = runs.map((run, index) => ({ run, index, curves: state.hidden.has(index) ? [] : curvesOf(run) }));
        const all = items.flatMap(item => item.curves), [xLow, xHigh] = rangeOf(all.map(c => c.x), state.log.x), range = yRange(all);
        const unit = unitOf(state.axis, xHigh), svg = parts.svg;
        const x = makeScale(state.log.x ? xLow : Math.min(xLow, 0), xHigh, state.log.x, MARGIN.left, width - MARGIN.right);
        const y = makeScale(range.low, range.high, state.log.y, height - MARGIN.bottom, MARGIN.top);
        svg.replaceChildren();
        svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
        svg.setAttribute("height", height);
        drawAxes(svg, x, y, unit, width, height);
        const clip = draw("clipPath", { id: "rp-clip" }), group = draw("g", { "clip-path": "url(#rp-clip)" });
        clip.append(draw("rect", { x: MARGIN.left - 4, y: MARGIN.top - 4, width: width - MARGIN.left - MARGIN.right + 8, height: height - MARGIN.top - MARGIN.bottom + 8 }));
        items.forEach(item => item.curves.forEach(curve => drawCurve(group, item, curve, x, y)));
        svg.append(clip, group);
        items.forEach(item => drawEnd(svg, item, x, y));
        parts.cursor = draw("g", { class: "rp-cursor" });
        svg.append(parts.cursor);
        parts.cut.textContent = range.cut === null ? "" :
            "The curves go up to " + short(range.cut) + ". The picture ends where the others can be told apart; the logarithmic scale shows all.";
        view = { items, x, y, unit, width, height };
        drawCursor();
    }

    /* ---- the values at the cursor ---- */

    /* The index that a row shows of a curve: the point nearest to the cursor, or the last one. */
    function chosen(curve) {
        return state.cursor === null ? curve.y.length - 1 : nearest(curve, state.cursor);
    }

    function place(curve, i) {
        return short(curve.x[i] / view.unit.size);
    }

    function drawRow(row, item) {
        const training = item.curves.find(c => !c.validation), validation = item.curves.find(c => c.validation);
        const main = training || validation, at = main ? chosen(main) : -1;
        row.x.textContent = at < 0 ? "\u2013" : place(main, at);
        row.training.textContent = training && at >= 0 ? exact(training.y[at]) + (training.smooth ? " (" + exact(training.smooth[at]) + ")" : "") : "\u2013";
        const v = validation ? chosen(validation) : -1;
        row.validation.textContent = v < 0 ? "\u2013" : exact(validation.y[v]) + (main.x[at] === validation.x[v] ? "" : " at\u00a0" + place(validation, v));
        row.button.setAttribute("aria-pressed", String(!state.hidden.has(item.index)));
    }

    function drawDots(item) {
        item.curves.forEach(curve => {
            const i = chosen(curve), value = i < 0 ? null : (curve.smooth || curve.y)[i];
            if (i < 0 || !view.y.shows(value) || !view.x.shows(curve.x[i])) return;
            const py = view.y.pixel(value);
            if (py >= MARGIN.top - 4)
                parts.cursor.append(draw("circle", { cx: view.x.pixel(curve.x[i]), cy: py, r: 4.5, class: "rp-dot rp-run-" + item.index % COLOURS }));
        });
    }

    function drawCursor() {
        parts.cursor.replaceChildren();
        view.items.forEach((item, i) => drawRow(parts.rows[i], item));
        const loss = state.quantity === "loss";
        parts.heads[1].textContent = view.unit.name;
        parts.heads[2].textContent = loss ? "training loss" : state.quantity;
        parts.heads[2].append(state.smoothing > 0 ? " (smoothed)" : "");
        parts.table.classList.toggle("rp-one", !loss || !runs.some(run => run.curves.some(curve => curve.name === "val_loss")));
        parts.note.hidden = !loss;
        if (state.cursor === null) {
            parts.readout.textContent = "Last values. Point into the picture, or use the arrow keys in it, for others.";
            return;
        }
        const px = view.x.pixel(state.cursor);
        parts.cursor.append(draw("line", { x1: px, x2: px, y1: MARGIN.top, y2: view.height - MARGIN.bottom, class: "rp-line" }));
        view.items.forEach(drawDots);
        parts.readout.textContent = "Values nearest to " + short(state.cursor / view.unit.size) + " " + view.unit.name + ":";
    }

    /* All x of the visible curves that can be drawn, ascending, each once. */
    function stops() {
        const xs = new Set();
        view.items.forEach(item => item.curves.forEach(curve => curve.x.forEach(x => { if (view.x.shows(x)) xs.add(x); })));
        return Array.from(xs).sort((a, b) => a - b);
    }

    function point(event) {
        const px = (event.clientX - parts.svg.getBoundingClientRect().left) * view.width / parts.svg.clientWidth;
        let best = null;
        stops().forEach(x => {
            if (best === null || Math.abs(view.x.pixel(x) - px) < Math.abs(view.x.pixel(best) - px)) best = x;
        });
        state.cursor = best;
        drawCursor();
    }

    function moveCursor(event) {
        const xs = stops(), now = state.cursor === null ? xs.length : xs.indexOf(state.cursor);
        const to = { ArrowLeft: now - 1, ArrowRight: now + 1, PageUp: now + 10, PageDown: now - 10, Home: 0, End: xs.length - 1 }[event.key];
        if (event.key === "Escape") state.cursor = null;
        else if (to !== undefined && xs.length) state.cursor = xs[Math.min(Math.max(to, 0), xs.length - 1)];
        else return;
        event.preventDefault();
        drawCursor();
    }

    /* ---- controls ---- */

    function buttons(label, choices, isChosen, choose) {
        const box = make("div", "rp-group");
        box.setAttribute("role", "group");
        box.setAttribute("aria-label", label);
        box.append(make("span", "rp-label", label));
        const list = choices.map(([value, text, possible]) => {
            const button = make("button", "", text);
            button.disabled = possible === false;
            button.addEventListener("click", () => {
                choose(value);
                refresh();
                drawPicture();
            });
            box.append(button);
            return button;
        });
        const refresh = () => list.forEach((button, i) => button.setAttribute("aria-pressed", String(isChosen(choices[i][0]))));
        refresh();
        return box;
    }

    const has = axis => runs.some(run => run.axes[axis].some(x => x > 0));

    function makeQuantity(names) {
        const box = make("label", "rp-group"), select = make("select");
        box.append(make("span", "rp-label", "quantity"), select);
        names.forEach(name => select.append(new Option(name, name)));
        select.addEventListener("change", () => {
            state.quantity = select.value;
            state.cursor = null;
            drawPicture();
        });
        return box;
    }

    function makeSmoothing() {
        const box = make("label", "rp-group"), slider = make("input"), number = make("output", "", "0");
        Object.assign(slider, { type: "range", min: "0", max: "0.99", step: "0.01", value: "0" });
        slider.addEventListener("input", () => {
            state.smoothing = Number(slider.value);
            number.textContent = slider.value;
            drawPicture();
        });
        box.append(make("span", "rp-label", "smoothing"), slider, number);
        return box;
    }

    function makeControls(names) {
        const box = make("div", "rp-controls");
        const scale = key => buttons(key === "x" ? "x scale" : "y scale", [[false, "linear"], [true, "log"]], value => state.log[key] === value, value => { state.log[key] = value; });
        box.append(makeQuantity(names),
            buttons("against", [["step", "steps"], ["tokens", "tokens", has("tokens")], ["seconds", "wall clock", has("seconds")]],
                axis => state.axis === axis, axis => {
                    state.axis = axis;
                    state.cursor = null;
                }),
            scale("y"), scale("x"), makeSmoothing());
        return box;
    }

    /* A piece of the run's line, beside its name. */
    function swatch(index) {
        const svg = draw("svg", { width: 30, height: 10, class: "rp-swatch", "aria-hidden": "true" });
        svg.append(draw("line", Object.assign({ x1: 0, x2: 30, y1: 5, y2: 5 }, styleOf(index))));
        return svg;
    }

    function makeRow(run, index) {
        const line = make("tr"), head = make("th"), row = { button: make("button", "rp-name"), x: make("td"), training: make("td"), validation: make("td", "rp-second") };
        row.button.append(swatch(index), make("span", "", run.name));
        row.button.addEventListener("click", () => {
            if (!state.hidden.delete(index)) state.hidden.add(index);
            drawPicture();
        });
        head.scope = "row";
        head.append(row.button);
        line.append(head, row.x, row.training, row.validation);
        parts.table.tBodies[0].append(line);
        return row;
    }

    function makeLegend() {
        const scroll = make("div", "rp-scroll"), head = make("tr");
        parts.table = make("table", "rp-legend");
        parts.heads = ["run", "", "", "validation loss"].map((text, i) => {
            const cell = make("th", i === 3 ? "rp-second" : "", text);
            cell.scope = "col";
            head.append(cell);
            return cell;
        });
        parts.table.createTHead().append(head);
        parts.table.createTBody();
        parts.rows = runs.map(makeRow);
        scroll.append(parts.table);
        const box = make("div");
        if (runs.length > 1)
            box.append(buttons("runs", [["all", "show all"], ["none", "hide all"]], () => false, which => {
                state.hidden = new Set(which === "all" ? [] : runs.keys());
            }));
        box.append(scroll);
        box.querySelectorAll(".rp-group button").forEach(button => button.removeAttribute("aria-pressed"));
        return box;
    }

    function makePicture() {
        parts.frame = make("div", "rp-frame");
        parts.svg = draw("svg", { class: "rp-plot", tabindex: "0", role: "img", "aria-label": "curves of the runs; the left and right arrow keys move a cursor, and the table below has the values there" });
        parts.svg.addEventListener("pointermove", point);
        parts.svg.addEventListener("pointerdown", point);
        parts.svg.addEventListener("pointerleave", event => {
            if (event.pointerType !== "mouse") return;
            state.cursor = null;
            drawCursor();
        });
        parts.svg.addEventListener("keydown", moveCursor);
        parts.frame.append(parts.svg);
        return parts.frame;
    }

    function build(root) {
        const names = quantities();
        if (!names.length) {
            root.replaceChildren(make("p", "", "The logs have no line yet, so there is no curve."));
            return;
        }
        state.quantity = names[0];
        parts.cut = make("p", "rp-note");
        parts.readout = make("p", "rp-readout");
        parts.readout.setAttribute("aria-live", "polite");
        parts.note = make("p", "rp-note", "Thin lines: training loss of single batches. Thick lines with dots: validation loss. A cross: the run diverged.");
        const left = make("div", "rp-left"), right = make("div", "rp-right");
        left.append(makePicture(), parts.note, parts.cut);
        right.append(parts.readout, makeLegend());
        const box = make("div", "rp-view");
        box.append(left, right);
        root.replaceChildren(makeControls(names), box);
        let width = 0;
        new ResizeObserver(() => {
            if (parts.frame.clientWidth === width) return;
            width = parts.frame.clientWidth;
            drawPicture();
        }).observe(parts.frame);
        drawPicture();
    }

    /* ---- the table of runs ---- */

    /* Returns what a cell is sorted by: a number if it is one. */
    function keyOf(cell) {
        const text = cell.dataset.value === undefined ? cell.textContent.trim() : cell.dataset.value;
        return text === "-" || text === "" ? null : isNaN(Number(text)) ? text : Number(text);
    }

    /* Missing values come last in both directions, numbers before texts. */
    function compare(a, b, sign) {
        if (a === null || b === null) return (a === null) - (b === null);
        if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
        return sign * (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
    }

    function makeSortable(table) {
        const heads = Array.from(table.tHead.rows[0].cells), body = table.tBodies[0];
        heads.forEach((head, column) => {
            const button = make("button", "", head.textContent);
            button.addEventListener("click", () => {
                const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
                heads.forEach(other => other.removeAttribute("aria-sort"));
                head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
                body.append(...Array.from(body.rows).sort((a, b) => compare(keyOf(a.cells[column]), keyOf(b.cells[column]), sign)));
            });
            head.replaceChildren(button);
        });
        Array.from(body.rows).forEach(row => row.cells[0].prepend(swatch(Number(row.dataset.run)), " "));
    }

    build(document.getElementById("report"));
    makeSortable(document.getElementById("report-runs"));
})();
