"use strict";

/* Reads the weights of the page, and shows them. The page holds only those that the causal mask lets through. */
(function () {
    const data = JSON.parse(document.getElementById("attention-data").textContent);
    const n = data.tokens.length, rows = data.layers * data.heads * n;
    const weights = new Float32Array(rows * n);
    for (let row = 0, next = 0; row < rows; row++)
        for (let key = 0; key <= row % n; key++) weights[row * n + key] = data.millionths[next++] / 1e6;
    attentionViewer(document.getElementById("attention"), {
        tokens: data.tokens, layers: data.layers, heads: data.heads, weights: weights, next: data.next
    });
})();
