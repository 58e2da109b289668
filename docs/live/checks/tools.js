/* What the checks of the figures share. check_live.py runs checks/NAME.js in the page of the figure NAME: its value is an
 * async function of the figure's element. It uses the controls as a reader does, and throws an Error if the page does not
 * show what it should. The calls that the page makes meanwhile are made again with the native library. */
"use strict";

function expect(condition, message) {
    if (!condition) throw new Error(message);
}

/* The control whose name starts with `name`: a slider, a choice, a checkbox or a button. */
function control(box, name) {
    const found = Array.from(box.querySelectorAll("input, select, textarea, button")).find(e =>
        (e.getAttribute("aria-label") || e.closest("label")?.textContent || e.textContent).trim().startsWith(name));
    expect(found, "there is no control called " + name);
    return found;
}

function setControl(box, name, value) {
    const input = control(box, name);
    if (input.type === "checkbox") {
        if (input.checked !== value) input.click();
        return;
    }
    input.value = value;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.dispatchEvent(new Event("change", { bubbles: true }));
}

function press(box, name) {
    control(box, name).click();
}

/* The numbers in the cells of the table whose caption starts with `name`. */
function tableNumbers(box, name) {
    const caption = Array.from(box.querySelectorAll("caption")).find(c => c.textContent.trim().startsWith(name));
    expect(caption, "there is no table called " + name);
    return Array.from(caption.closest("table").querySelectorAll("tbody td"), td => shownNumber(td.textContent));
}

function shownNumber(text) {
    const plain = text.trim().replace("\u2212", "-");
    return plain === "inf" ? Infinity : plain === "-inf" ? -Infinity : plain === "" ? NaN : Number(plain);
}

/* The result of the last call of a function: its arguments after the call. */
function lastCall(name) {
    const call = window.liveCalls.filter(c => c.name === name).pop();
    expect(call, name + "() was not called");
    return call.after.map(value => value.values || value);
}

/* What the page shows, rounded to `digits`, is `numbers`. */
function expectShown(shown, numbers, digits, what) {
    expect(shown.length === numbers.length, `${what}: ${shown.length} numbers are shown, expected ${numbers.length}`);
    shown.forEach((value, i) => expect(value === numbers[i] || Math.abs(value - numbers[i]) <= 0.5001 * 10 ** -digits,
        `${what}: number ${i} is shown as ${value}, expected ${numbers[i]}`));
}

/* Waits until condition() is true. */
async function until(condition, what, seconds = 20) {
    for (let i = 0; i < seconds * 50; i++) {
        if (condition()) return;
        await new Promise(done => setTimeout(done, 20));
    }
    throw new Error("waited " + seconds + " seconds for " + what);
}
