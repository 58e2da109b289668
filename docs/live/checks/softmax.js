(async box => {
    const shown = () => Array.from(box.querySelectorAll(".live-softmax > output"), o => shownNumber(o.textContent));
    const y = () => lastCall("live_softmax")[0];
    expectShown(shown(), y(), 4, "probabilities");
    const before = shown();
    for (const constant of [1, 9, 100, -100, 0]) {
        setControl(box, "added to all scores", constant);
        const [, read] = lastCall("live_softmax");
        expectShown(read, [2, 1, -1, 0.5, -3].map(score => score + constant), 4, "scores after adding " + constant);
        expectShown(shown(), before, 4, "probabilities after adding " + constant + " to all scores");
        const said = "[" + read.map(score => live.number(score, 1)).join(", ") + "]";
        expect(box.textContent.includes(said), "the figure does not say that softmax reads " + said);
    }
    setControl(box, "x\u2080", 10);
    setControl(box, "temperature", 0.1);
    expectShown(shown(), [1, 0, 0, 0, 0], 4, "probabilities of one large score");
    setControl(box, "temperature", 5);
    expectShown(shown(), y(), 4, "probabilities at temperature 5");
    expect(parseFloat(box.querySelector(".live-bar").style.width) > 50, "the first bar does not show the first probability");
})
