/* What check_docs.py asks each rendered page. The value of this file is an object of functions. */
(function () {
    "use strict";

    var OFTEN_ENOUGH = 4.5; /* WCAG 2.1, level AA, for text of normal size */
    var SMALLEST_TYPE = 11.5; /* pixels, of the text in plots */

    /* ---- formulas ---- */

    /* The first error inside of a typeset formula, or "". `node` belongs to MathJax's tree of MathML elements. */
    function mathError(node) {
        if (!node || !node.data) return "";
        if (node.type === "merror") {
            var text = node.data[0];
            while (text && text.data) text = text.data[0];
            return String(text || "merror");
        }
        for (var i = 0; i < node.data.length; i++) {
            var message = mathError(node.data[i]);
            if (message) return message;
        }
        return "";
    }

    /* Resolves when MathJax has typeset the page. */
    function mathReady() {
        return new Promise(function (resolve) {
            if (typeof MathJax === "undefined" || !MathJax.Hub) return resolve("absent");
            setTimeout(function () { resolve("late"); }, 20000);
            MathJax.Hub.Register.StartupHook("End", function () { MathJax.Hub.Queue(function () { resolve("ready"); }); });
        });
    }

    /* The number of formulas that can be seen, and what is wrong with others. */
    function formulas() {
        var good = 0, errors = [];
        document.querySelectorAll('script[type^="math/tex"]').forEach(function (script) {
            var jax = MathJax.Hub.getJaxFor(script);
            var frame = jax && document.getElementById(jax.inputID + "-Frame");
            var box = frame && frame.getBoundingClientRect();
            var message = jax ? mathError(jax.root) : "MathJax did not read it";
            if (!message && !(frame && frame.classList.contains("MathJax_SVG") && frame.querySelector("use, path, rect, text")))
                message = "it has no SVG";
            if (!message && script.textContent.trim() && !(box.width > 0 && box.height > 0)) message = "it has no size";
            if (message) errors.push("formula " + script.textContent.trim().slice(0, 60) + ": " + message);
            else good++;
        });
        return { good: good, errors: errors };
    }

    /* ---- contrast ---- */

    function channels(colour) { /* rgb(1, 2, 3), rgba(1, 2, 3, 0.5), color(srgb 0.1 0.2 0.3 / 0.5) */
        var number = (colour.match(/[\d.]+(e-\d+)?/g) || []).map(Number);
        if (colour.indexOf("color(srgb") === 0) number = number.slice(0, 3).map(function (c) { return 255 * c; }).concat(number.slice(3));
        return number.length < 3 ? [0, 0, 0, 0] : [number[0], number[1], number[2], number.length > 3 ? number[3] : 1];
    }

    function over(front, back) {
        var a = front[3];
        return [0, 1, 2].map(function (i) { return front[i] * a + back[i] * (1 - a); }).concat(1);
    }

    function luminance(colour) {
        var c = colour.slice(0, 3).map(function (x) {
            x /= 255;
            return x <= 0.04045 ? x / 12.92 : Math.pow((x + 0.055) / 1.055, 2.4);
        });
        return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2];
    }

    function ratio(a, b) {
        var x = luminance(a), y = luminance(b);
        return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
    }

    /* The colour behind an element: the backgrounds of its ancestors, one over the other. */
    function background(element) {
        var layers = [];
        for (var e = element; e; e = e.parentElement) layers.push(channels(getComputedStyle(e).backgroundColor));
        var dark = getComputedStyle(document.documentElement).colorScheme === "dark";
        return layers.reverse().reduce(function (back, front) { return over(front, back); }, dark ? [18, 18, 18, 1] : [255, 255, 255, 1]);
    }

    function opacity(element) {
        for (var product = 1; element; element = element.parentElement) product *= Number(getComputedStyle(element).opacity);
        return product;
    }

    function hasText(element) {
        return Array.prototype.some.call(element.childNodes, function (node) {
            return node.nodeType === Node.TEXT_NODE && /\S/.test(node.data);
        });
    }

    /* Text and formulas whose contrast is too low, one of each pair of colours. */
    function contrast() {
        var found = {}, checked = 0;
        function check(element, colour, text) {
            var back = background(element), front = channels(colour);
            front[3] *= opacity(element);
            var value = ratio(over(front, back), back);
            checked++;
            if (value >= OFTEN_ENOUGH) return;
            var key = colour + back;
            if (!found[key])
                found[key] = element.tagName.toLowerCase() + "." + (element.getAttribute("class") || "") + " \"" +
                    text.trim().replace(/\s+/g, " ").slice(0, 30) + "\": contrast " + value.toFixed(2) + ", " + colour + " on rgb(" +
                    back.slice(0, 3).map(Math.round).join(", ") + ")";
        }
        document.querySelectorAll("body *").forEach(function (element) {
            if (element.closest("svg, script, style") || !hasText(element) || !element.getClientRects().length) return;
            check(element, getComputedStyle(element).color, element.textContent);
        });
        document.querySelectorAll(".MathJax_SVG svg").forEach(function (svg) {
            var shape = svg.querySelector("use, path, rect, text");
            if (shape) check(svg, getComputedStyle(shape).fill, "formula");
        });
        return { checked: checked, errors: Object.keys(found).map(function (key) { return found[key]; }) };
    }

    /* True if the page is dark. */
    function isDark() {
        return luminance(background(document.body)) < 0.18;
    }

    /* ---- width ---- */

    /* What makes the page wider than the window, "" if nothing does. */
    function tooWide() {
        var page = document.scrollingElement, content = document.getElementById("doc-content");
        /* A phone zooms out until a page that is too wide fits the window; its screen stays as it is. */
        var limit = screen.width, wide = Math.max(page.scrollWidth, content ? content.scrollWidth : 0);
        if (wide <= limit) return "";
        /* The innermost element that sticks out. */
        var culprit = null;
        document.querySelectorAll("body *").forEach(function (e) {
            if (e.getBoundingClientRect().right > limit + 1 && !scrolls(e) && (!culprit || culprit.contains(e))) culprit = e;
        });
        return "is " + wide + " px wide on a screen of " + limit + " px" +
            (culprit ? ", because of " + culprit.tagName.toLowerCase() + "." + (culprit.getAttribute("class") || "") +
                " \"" + culprit.textContent.trim().replace(/\s+/g, " ").slice(0, 30) + "\"" : "");
    }

    /* True if an ancestor below the content scrolls the element sideways. */
    function scrolls(element) {
        for (var e = element.parentElement; e && e.id !== "doc-content"; e = e.parentElement)
            if (/auto|scroll|hidden/.test(getComputedStyle(e).overflowX)) return true;
        return false;
    }

    /* ---- plots ---- */

    /* The texts of plots that the picture's edge cuts, or that are too small to read. */
    function plotTexts() {
        var errors = [];
        document.querySelectorAll(".live-plot").forEach(function (plot) {
            var frame = plot.getBoundingClientRect(), scale = frame.width / plot.viewBox.baseVal.width;
            if (!frame.width) return;
            plot.querySelectorAll("text").forEach(function (text) {
                var box = text.getBoundingClientRect(), size = scale * parseFloat(getComputedStyle(text).fontSize);
                var name = "the plot \"" + plot.getAttribute("aria-label") + "\": its text \"" + text.textContent + "\" ";
                if (box.left < frame.left - 0.5 || box.right > frame.right + 0.5 || box.top < frame.top - 0.5 || box.bottom > frame.bottom + 0.5)
                    errors.push(name + "is cut at the edge");
                if (size < SMALLEST_TYPE) errors.push(name + "is " + size.toFixed(1) + " px high, expected " + SMALLEST_TYPE);
            });
        });
        return errors;
    }

    return { mathReady: mathReady, formulas: formulas, contrast: contrast, isDark: isDark, tooWide: tooWide, plotTexts: plotTexts };
})()
