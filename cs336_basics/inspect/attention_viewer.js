"use strict";

/*
 * attentionViewer(element, data) shows where each attention head looks. It replaces what is in `element`; called again,
 * it shows the other data and keeps the chosen layer and head if they exist.
 *
 * data.tokens   n strings, in a form that can be shown
 * data.layers, data.heads
 * data.weights  layers * heads * n * n numbers in the order (layer, head, query, key), as a Float32Array or an array
 * data.next     the likeliest next tokens, [{token, probability}]; may be absent
 */
const attentionViewer = (function () {
    const viewers = new WeakMap(); /* element -> its viewer */

    function make(tag, name, text) {
        const node = document.createElement(tag);
        node.className = name;
        if (text !== undefined) node.textContent = text;
        if (tag === "button") node.type = "button";
        return node;
    }

    function weight(v, head, query, key) {
        const n = v.data.tokens.length;
        return v.data.weights[((v.layer * v.data.heads + head) * n + query) * n + key];
    }

    /* The key that a query looks at most. */
    function strongest(v, head, query) {
        let best = 0;
        for (let key = 1; key <= query; key++)
            if (weight(v, head, query, key) > weight(v, head, query, best)) best = key;
        return best;
    }

    /* ---- maps ---- */

    /* The largest weight of a query has the full colour. With n keys the mean weight is 1 / n, so on one scale for all
     * queries a long prompt would be nearly blank. The square root keeps the small weights of a row apart. */
    function strength(w, largest) {
        return largest > 0 ? Math.sqrt(Math.min(Math.max(w / largest, 0), 1)) : 0;
    }

    /* Draws a head's (query, key) map, one pixel a weight; the browser scales it. */
    function paint(v, canvas, head) {
        const n = v.data.tokens.length, context = canvas.getContext("2d");
        const rgb = getComputedStyle(canvas).color.match(/[\d.]+/g).map(Number);
        canvas.width = canvas.height = n;
        canvas.style.imageRendering = n > canvas.clientWidth ? "auto" : "pixelated";
        const image = context.createImageData(n, n), first = (v.layer * v.data.heads + head) * n * n;
        for (let query = 0; query < n; query++) {
            const largest = weight(v, head, query, strongest(v, head, query));
            for (let i = query * n; i < (query + 1) * n; i++) {
                for (let c = 0; c < 3; c++) image.data[4 * i + c] = rgb[c];
                image.data[4 * i + 3] = Math.round(255 * strength(v.data.weights[first + i], largest));
            }
        }
        context.putImageData(image, 0, 0);
    }

    function drawMaps(v) {
        v.small.forEach((card, head) => paint(v, card.canvas, head));
        paint(v, v.map, v.head);
    }

    /* ---- what depends on the chosen query and key ---- */

    function name(v, index) {
        return index + " \u201c" + v.data.tokens[index] + "\u201d";
    }

    function drawTokens(v) {
        const largest = weight(v, v.head, v.query, strongest(v, v.head, v.query));
        v.tokens.forEach((token, key) => {
            const hidden = key > v.query, w = weight(v, v.head, v.query, key);
            token.bar.style.opacity = hidden ? 0 : strength(w, largest);
            token.number.textContent = hidden ? "\u2013" : w.toFixed(3);
            token.button.setAttribute("aria-pressed", String(key === v.query));
            token.button.setAttribute("aria-label", "token " + name(v, key) + ", weight " + (hidden ? "hidden" : w.toFixed(6)));
            token.button.tabIndex = key === v.query ? 0 : -1;
        });
    }

    function drawReadout(v) {
        const where = "Layer " + v.layer + ", head " + v.head + ": query " + name(v, v.query);
        const key = v.key === null ? strongest(v, v.head, v.query) : v.key, w = weight(v, v.head, v.query, key);
        v.readout.textContent = where + (v.key === null ? " looks most at key " : " to key ") + name(v, key) + ": " +
            (key > v.query ? "hidden by the causal mask" : w.toFixed(6));
        const cell = 100 / v.data.tokens.length;
        v.row.style.top = v.query * cell + "%";
        v.row.style.height = cell + "%";
        v.column.style.left = key * cell + "%";
        v.column.style.width = cell + "%";
    }

    function drawQuery(v) {
        v.small.forEach((card, head) => {
            const key = strongest(v, head, v.query);
            card.token.textContent = v.data.tokens[key];
            card.number.textContent = weight(v, head, v.query, key).toFixed(3);
            card.button.setAttribute("aria-pressed", String(head === v.head));
            card.button.setAttribute("aria-label", "head " + head + " looks most at key " + name(v, key) + ", weight " +
                weight(v, head, v.query, key).toFixed(6));
        });
        drawTokens(v);
        drawReadout(v);
    }

    function draw(v) {
        v.layerButtons.forEach((button, layer) => button.setAttribute("aria-pressed", String(layer === v.layer)));
        drawMaps(v);
        drawQuery(v);
    }

    function choose(v, query, key) {
        const last = v.data.tokens.length - 1;
        v.query = Math.min(Math.max(query, 0), last);
        v.key = key === null ? null : Math.min(Math.max(key, 0), last);
        drawQuery(v);
    }

    /* Scrolls the box of tokens, but not the page, until the chosen token can be seen, with the space around it. */
    function showToken(v) {
        const box = v.tokenBox, button = v.tokens[v.query].button, space = parseFloat(getComputedStyle(box).paddingTop);
        const top = button.offsetTop - box.offsetTop - space, bottom = top + button.offsetHeight + 2 * space;
        if (top < box.scrollTop) box.scrollTop = top;
        else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
    }

    /* ---- the parts ---- */

    function group(v, label, className) {
        const box = make("div", className);
        box.setAttribute("role", "group");
        box.setAttribute("aria-label", label);
        v.root.append(make("div", "av-title", label), box);
        return box;
    }

    function makeLayers(v) {
        const box = group(v, "Layer", "av-layers");
        v.layerButtons = Array.from({ length: v.data.layers }, (_, layer) => {
            const button = make("button", "av-layer", String(layer));
            button.addEventListener("click", () => { v.layer = layer; draw(v); });
            box.append(button);
            return button;
        });
    }

    /* All heads of the layer: a map, and the key that the chosen query looks at most. */
    function makeHeads(v) {
        const box = group(v, "Head: its map of weights, and what the chosen token looks at most", "av-heads");
        v.small = Array.from({ length: v.data.heads }, (_, head) => {
            const card = {
                button: make("button", "av-head"), canvas: make("canvas", "av-small"),
                token: make("span", "av-most"), number: make("span", "av-number")
            };
            card.button.append(make("span", "av-name", "head " + head), card.canvas, card.token, card.number);
            card.button.addEventListener("click", () => { v.head = head; draw(v); });
            box.append(card.button);
            return card;
        });
    }

    /* Only the chosen token can be reached with Tab; the arrow keys lead to the others. */
    function moveFocus(v, event) {
        const last = v.data.tokens.length - 1;
        const to = { ArrowLeft: v.query - 1, ArrowRight: v.query + 1, Home: 0, End: last }[event.key];
        if (to === undefined) return;
        event.preventDefault();
        v.tokens[Math.min(Math.max(to, 0), last)].button.focus();
    }

    function makeTokens(v) {
        const box = group(v, v.data.tokens.length + (v.data.tokens.length === 1 ? " token" : " tokens") + ": point at one, or choose it with the arrow keys, to see where it looks", "av-tokens");
        v.tokens = v.data.tokens.map((text, index) => {
            const token = { button: make("button", "av-token"), bar: make("span", "av-bar"), number: make("span", "av-number") };
            token.button.append(make("span", "av-text", text), token.bar, token.number);
            const select = () => choose(v, index, null);
            token.button.addEventListener("pointerenter", event => { if (event.pointerType === "mouse") select(); });
            token.button.addEventListener("focus", select);
            token.button.addEventListener("click", select);
            box.append(token.button);
            return token;
        });
        box.addEventListener("keydown", event => moveFocus(v, event));
        v.tokenBox = box;
    }

    function pointAt(v, event) {
        const box = v.map.getBoundingClientRect(), n = v.data.tokens.length;
        choose(v, Math.floor((event.clientY - box.top) / box.height * n), Math.floor((event.clientX - box.left) / box.width * n));
        showToken(v);
    }

    function moveCell(v, event) {
        const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
        if (!step) return;
        event.preventDefault();
        const key = v.key === null ? strongest(v, v.head, v.query) : v.key;
        choose(v, v.query + step[0], key + step[1]);
        showToken(v);
    }

    function makeMap(v) {
        const box = group(v, "Map of the chosen head: a row for each query, a column for each key", "av-large"), frame = make("div", "av-frame");
        v.map = make("canvas", "av-map");
        v.map.tabIndex = 0;
        v.map.setAttribute("role", "img");
        v.map.setAttribute("aria-label", "weights of the chosen head; the arrow keys move through them");
        v.row = make("div", "av-row");
        v.column = make("div", "av-column");
        v.readout = make("div", "av-readout");
        v.readout.setAttribute("aria-live", "polite");
        v.map.addEventListener("pointermove", event => pointAt(v, event));
        v.map.addEventListener("pointerdown", event => pointAt(v, event));
        v.map.addEventListener("keydown", event => moveCell(v, event));
        frame.append(v.map, v.row, v.column);
        const note = make("div", "av-note", "In each row, the largest weight has the full colour, and a weight of a quarter " +
            "of it has half. So compare colours within a row, and numbers between rows. The weights of a query sum to 1.");
        box.append(frame, v.readout, note);
    }

    function makeNext(v) {
        if (!v.data.next || !v.data.next.length) return;
        const box = group(v, "Likeliest next tokens, and their probabilities", "av-next");
        v.data.next.forEach(next => {
            const bar = make("span", "av-share");
            bar.style.width = 100 * next.probability + "%";
            const track = make("span", "av-track");
            track.append(bar);
            box.append(make("span", "av-text", next.token), track, make("span", "av-number", next.probability.toFixed(4)));
        });
    }

    function build(v) {
        v.root = make("div", "attention-viewer");
        v.element.replaceChildren(v.root);
        makeLayers(v);
        makeHeads(v);
        makeTokens(v);
        makeMap(v);
        makeNext(v);
    }

    /* ---- colours ---- */

    /* Maps are pixels, so they are drawn again when the page turns light or dark. */
    function redrawAll() {
        document.querySelectorAll(".attention-viewer").forEach(root => {
            const v = viewers.get(root.parentElement);
            if (v && v.root === root) drawMaps(v);
        });
    }

    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
    new MutationObserver(redrawAll).observe(document.documentElement, { attributes: true, attributeFilter: ["class", "style"] });

    return function (element, data) {
        const old = viewers.get(element), last = data.tokens.length - 1;
        const same = old && old.root.parentElement === element && old.data.tokens.join("\0") === data.tokens.join("\0");
        const v = {
            element: element, data: data, key: null,
            layer: old && old.layer < data.layers ? old.layer : 0,
            head: old && old.head < data.heads ? old.head : 0,
            query: same ? old.query : last
        };
        if (!data.tokens.length) {
            viewers.delete(element);
            element.replaceChildren();
            return;
        }
        viewers.set(element, v);
        /* A model that trains shows the same tokens again and again: the reader's focus stays where it was. */
        const focused = same && old.root.contains(document.activeElement);
        const index = focused ? Array.from(old.root.querySelectorAll("button, canvas")).indexOf(document.activeElement) : -1;
        build(v);
        draw(v);
        showToken(v);
        const again = index < 0 ? null : v.root.querySelectorAll("button, canvas")[index];
        if (again) again.focus({ preventScroll: true });
    };
})();
