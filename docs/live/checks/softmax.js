(async box => {
    const shown = () => Array.from(box.querySelectorAll(".live-softmax > output"), o => shownNumber(o.textContent));
    const y = () => lastCall("live_softmax")[0];
    expectShown(shown(), y(), 4, "probabilities");
    const before = shown();
    press(box, "all scores +");
    expectShown(shown(), before, 4, "probabilities after a constant was added to all scores");
    setControl(box, "x\u2080", 10);
    setControl(box, "temperature", 0.1);
    expectShown(shown(), [1, 0, 0, 0, 0], 4, "probabilities of one large score");
    setControl(box, "temperature", 5);
    expectShown(shown(), y(), 4, "probabilities at temperature 5");
    expect(parseFloat(box.querySelector(".live-bar").style.width) > 50, "the first bar does not show the first probability");
})
