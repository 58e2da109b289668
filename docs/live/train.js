/* The training page: the reader trains a small Transformer in a worker, reads what it writes, and sees its heads.
 * Needs cs336_basics/inspect/attention_viewer. */
"use strict";

(() => {
    const MODELS = { /* context length, d_model, layers, heads, d_ff */
        tiny: [32, 32, 1, 2, 64],
        small: [64, 64, 2, 4, 192],
        medium: [128, 128, 4, 4, 320],
    };
    const RATES = { tiny: 0.01, small: 0.01, medium: 0.003 }; /* a good learning rate of each, measured on the stories */
    const SEPARATOR = "<|endoftext|>"; /* STORY_SEPARATOR of story/story.h */
    const SLOT = 0, SEED = 1, SAMPLE_TOKENS = 100, TOP_P = 0.95, LIKELIEST = 8;
    const LONGEST = 4e6; /* bytes of the reader's text */
    const COUNT_SLOT = 1; /* of the page's own library, where a short text is counted before a run */
    const COUNTED = 16;  /* bytes per token: a text of more bytes than that has enough tokens, unless it repeats itself a lot */
    const CALL_MILLISECONDS = 120; /* a call makes about as many steps as fit: Stop waits for its end */

    const HEADS_NOTE = "\u201cShow the heads\u201d shows where each attention head looks, also while the model trains. When training stops, they are shown by themselves.";

    const say = (f, text) => { f.message.textContent = text; };
    const bytesText = n => n < 1000 ? n + (n === 1 ? " byte" : " bytes") : n < 999500 ? (n / 1000).toFixed(n < 10000 ? 1 : 0) + " kB" : (n / 1e6).toFixed(1) + " MB";

    function short(n) { /* 43104 -> 43.1 K */
        const [power, unit] = n >= 1e9 ? [1e9, " G"] : n >= 1e6 ? [1e6, " M"] : n >= 1e3 ? [1e3, " K"] : [1, ""];
        return (n / power).toFixed(n / power < 10 && unit ? 2 : n / power < 100 && unit ? 1 : 0) + unit;
    }

    function duration(seconds) {
        return seconds < 90 ? Math.ceil(seconds) + " s" : Math.round(seconds / 60) + " min";
    }

    /* ---- the text ---- */

    async function stories(f) {
        const text = new Uint8Array(Number(f.size.value) * 1000), length = new Int32Array(1);
        await f.worker.call("live_stories", text, text.length, SEED, 0, length);
        return text.slice(0, length[0]);
    }

    function ownText(f) {
        return f.file || new TextEncoder().encode(f.area.value);
    }

    const hasSeparator = text => new TextDecoder().decode(text).includes(SEPARATOR);
    const vocabularySize = (f, special) => Math.max(f.vocabulary.value, 256 + special);

    /* The tokens of a text with the tokenizer that a run would train on it. Short texts take some milliseconds. */
    function countTokens(f, lib, text) {
        const special = hasSeparator(text), numbers = new Int32Array(4), ids = new Int32Array(text.length), count = new Int32Array(1);
        lib.call("live_tokenizer_train", COUNT_SLOT, text, text.length, vocabularySize(f, special), special, numbers);
        lib.call("live_tokenizer_encode", COUNT_SLOT, text, text.length, ids, count);
        return count[0];
    }

    /* Says how long the reader's text is, and finds out whether that is enough for the model. */
    function showOwn(f, lib) {
        const own = f.text.value === "own", fewest = costs(f, lib)[3], text = own ? ownText(f) : new Uint8Array(0), bytes = text.length;
        const tokens = bytes && bytes < COUNTED * fewest ? countTokens(f, lib, text) : 0;
        f.tooShort = own && (bytes === 0 || (tokens > 0 && tokens < fewest));
        f.own.hidden = !own;
        f.amount.hidden = own;
        const what = f.file ? "The file" : "The text", needs = `The ${f.model.value} model needs at least ${fewest.toLocaleString("en")} tokens; 100 kB and more are better.`;
        f.ownNote.textContent = bytes === 0 ? `${what} is empty. ${needs}`
            : `${what} has ${bytesText(Math.min(bytes, LONGEST))}${bytes > LONGEST ? " and more, of which these are used" : ""}` +
                (tokens ? `, ${tokens.toLocaleString("en")} ${tokens === 1 ? "token" : "tokens"}` : "") + (f.tooShort ? `: too short. ${needs}` : ".");
    }

    async function openFile(f, file) {
        f.file = file ? new Uint8Array(await file.slice(0, LONGEST + 1).arrayBuffer()) : null;
    }

    /* ---- the model ---- */

    function settings(f) {
        const own = f.text.value === "own";
        return { model: MODELS[f.model.value], batch: Number(f.batch.value), steps: Number(f.steps.value), rate: Number(f.rate.value),
            vocabulary: f.vocabulary.value, text: own ? f.file || f.area.value : Number(f.size.value), name: f.model.value };
    }

    /* What the library says of the chosen model: parameters, FLOPs of a step (products, AdamW), the fewest tokens of a text. */
    function costs(f, lib) {
        const { model, batch } = settings(f), sizes = new Float64Array(4);
        lib.call("live_train_size", sizes, Int32Array.of(Math.max(f.vocabulary.value, 257), ...model), batch);
        return sizes;
    }

    /* A run keeps the settings with which it began. Says so when those of the page have become others. */
    function showPending(f) {
        const run = f.run, chosen = settings(f), other = Boolean(run) && Object.keys(chosen).some(key => chosen[key] !== run.settings[key]);
        f.pending.hidden = f.busy || !other;
        f.pending.textContent = "You changed the settings. \u201cStart again\u201d begins a run with them" +
            (run && !isFinished(run) ? "; \u201cGo on\u201d continues the run below with its own." : ".");
    }

    /* After a change of the settings. */
    function showSettings(f, lib) {
        showSize(f, lib);
        showOwn(f, lib);
        showPhase(f);
    }

    /* Says what the model costs. The speed is known when some steps were made. */
    function showSize(f, lib) {
        const { model, batch, steps, rate } = settings(f), sizes = costs(f, lib), warmup = Math.floor(steps / 20);
        const [context, d, layers, heads] = model, flops = sizes[1] + sizes[2], good = RATES[f.model.value];
        f.schedule.textContent = `The learning rate rises to ${rate} in the first ${warmup} steps, and then falls along a cosine to ${Number((rate / 10).toPrecision(3))}.` +
            (rate === good ? "" : ` For this model, ${good} is a good rate.`);
        f.sizes.textContent = `${short(sizes[0])} parameters: ${layers} layer${layers > 1 ? "s" : ""}, d_model ${d}, ${heads} heads, context ${context}. ` +
            `A step reads ${batch} \u00d7 ${context} tokens and takes ${short(flops)}FLOPs; the run, ${short(steps * flops)}FLOPs` +
            (f.speed ? `: about ${duration(steps * flops / f.speed)} at the speed measured in this page.` : ".");
    }

    /* ---- the loss ---- */

    /* Means of neighbouring steps, so that a curve has at most 250 points. */
    function thin(values) {
        const width = Math.ceil(values.length / 250), xs = [], ys = [];
        for (let i = 0; i < values.length; i += width) {
            const part = values.slice(i, i + width);
            xs.push(i + (part.length + 1) / 2);
            ys.push(part.reduce((a, b) => a + b, 0) / part.length);
        }
        return [xs, ys];
    }

    function level(plot, steps, y, text, below) {
        plot.draw(live.shape("line", { x1: plot.X(0), x2: plot.X(steps), y1: plot.Y(y), y2: plot.Y(y), class: "live-train-level" }));
        plot.draw(live.shape("text", { x: plot.X(steps) - 4, y: plot.Y(y) + (below ? 15 : -5), "text-anchor": "end" }, text));
    }

    function drawLoss(f, run) {
        const top = 1.25 * run.even, inside = y => Math.min(y, top);
        const [xs, ys] = thin(run.losses);
        f.plot.range([0, run.steps], [0, top]);
        f.plot.clear();
        level(f.plot, run.steps, run.even, `untrained: ln ${run.vocab} = ${live.number(run.even, 2)}`, true);
        if (run.floor) level(f.plot, run.steps, run.floor, `a perfect model of the stories: ${live.number(run.floor, 2)}`, false);
        f.plot.line(xs, ys.map(inside), { series: 1, text: "training" });
        f.plot.line(run.validations.map(v => v[0]), run.validations.map(v => inside(v[1])), { series: 2, text: "validation", points: true });
    }

    function showNumbers(f, run) {
        const recent = run.losses.slice(-20), mean = recent.reduce((a, b) => a + b, 0) / recent.length;
        const [, loss] = run.validations[run.validations.length - 1], left = (run.steps - run.step) * run.seconds / run.step;
        const shown = live.number(loss, 3), choices = live.number(Math.exp(Number(shown)), 1); /* of the digits that are shown */
        f.step.textContent = `${run.step} of ${run.steps}` + (f.going && run.step && run.step < run.steps ? `, ${duration(left)} left` : "");
        f.tokensPerSecond.textContent = run.step ? Math.round(run.step * run.batch * run.context / run.seconds).toLocaleString("en") : "\u2013";
        f.trainLoss.textContent = run.step ? live.number(mean, 3) : "\u2013";
        f.valLoss.textContent = shown;
        f.bits.textContent = live.number(loss / Math.LN2 / run.bytesPerToken, 3);
        f.meaning.replaceChildren(
            `A validation loss of ${shown} means that the model is as unsure about the next token as if it chose `,
            "evenly among e", live.element("sup", {}, shown), ` = ${choices} tokens; an untrained ` +
            `model chooses among all ${run.vocab}. A token has ${live.number(run.bytesPerToken, 2)} bytes on average, so that is ${f.bits.textContent} bits per byte.`);
        drawLoss(f, run);
    }

    /* Removes what the page shows of a run. */
    function forget(f) {
        f.run = null;
        for (const e of [f.samples, f.viewer, f.meaning, f.corpus]) e.replaceChildren();
        for (const output of [f.step, f.tokensPerSecond, f.trainLoss, f.valLoss, f.bits]) output.textContent = "\u2013";
        f.plot.clear();
        f.lookNote.textContent = HEADS_NOTE;
    }

    /* ---- the run ---- */

    /* Text, tokenizer and model of a run. Returns null if the reader presses Stop: no call can be broken off, but the next
     * one is not made. */
    async function prepare(f) {
        const chosen = settings(f), { model, batch, steps, rate } = chosen, own = f.text.value === "own";
        const text = own ? ownText(f).slice(0, LONGEST) : await stories(f);
        const special = hasSeparator(text);
        const numbers = new Int32Array(4), ids = new Int32Array(text.length), count = new Int32Array(1), floor = new Float64Array(1);
        say(f, "Training the tokenizer on " + bytesText(text.length) + " \u2026");
        await f.worker.call("live_tokenizer_train", SLOT, text, text.length, vocabularySize(f, special), special, numbers);
        if (!f.going) return null;
        await f.worker.call("live_tokenizer_encode", SLOT, text, text.length, ids, count);
        if (!f.going) return null;
        const shape = Int32Array.of(numbers[0], ...model);
        await f.worker.call("live_train_start", ids.slice(0, count[0]), count[0], shape, batch, steps, rate, SEED);
        if (!own) await f.worker.call("live_train_floor", floor);
        const bytesPerToken = text.length / count[0];
        f.corpus.textContent = `This run: the ${chosen.name} model, batch size ${batch}, learning rate ${rate}, a vocabulary of ${numbers[0]}. ` +
            `${bytesText(text.length)} of text are ${count[0].toLocaleString("en")} tokens; the last tenth is for validation.`;
        return { alive: true, settings: chosen, model, batch, steps, context: model[0], layers: model[2], heads: model[3], special, bytesPerToken,
            vocab: numbers[0], even: Math.log(numbers[0]), floor: floor[0] * bytesPerToken,
            step: 0, seconds: 0, chunk: 1, draws: 0, losses: [], validations: [] };
    }

    async function validate(f, run) {
        const loss = new Float64Array(1);
        await f.worker.call("live_train_validate", loss);
        run.validations.push([run.step, loss[0]]);
    }

    /* Makes some steps in one call: until a validation or a sample is due, or as long as a call may take. */
    async function someSteps(f, run, sampleEvery) {
        const until = every => every ? every - run.step % every : run.steps;
        const count = Math.min(run.chunk, run.steps - run.step, until(run.valEvery), until(sampleEvery));
        const losses = new Float32Array(count), start = performance.now();
        await f.worker.call("live_train_steps", losses, count);
        const milliseconds = performance.now() - start;
        run.step += count;
        run.seconds += milliseconds / 1000;
        run.losses.push(...losses);
        run.chunk = Math.max(1, Math.min(64, Math.round(count * CALL_MILLISECONDS / Math.max(milliseconds, 1))));
    }

    async function train(f, run) {
        run.valEvery = Math.max(1, Math.round(run.steps / 20));
        showPhase(f);
        while (f.going && run.step < run.steps) {
            const sampleEvery = Number(f.every.value);
            await someSteps(f, run, sampleEvery);
            const last = run.step === run.steps;
            if (last || run.step % run.valEvery === 0) await validate(f, run);
            showNumbers(f, run);
            if (sampleEvery && (last || run.step % sampleEvery === 0)) await sample(f, run);
        }
        f.going = false;
        showNumbers(f, run);
        showPhase(f);
    }

    /* Each button's work. Only one runs at a time; an error is shown, and the reader may start again. */
    async function work(f, lib, action) {
        if (f.busy) return;
        f.busy = f.going = true;
        say(f, "");
        showPhase(f);
        try {
            await action();
            const run = f.run, flops = new Float64Array(3);
            if (run && run.step) {
                lib.call("live_train_size", flops, Int32Array.of(run.vocab, ...run.model), run.batch);
                f.speed = run.step * (flops[1] + flops[2]) / run.seconds;
            }
            say(f, "");
        } catch (error) {
            if (f.run) f.run.alive = false;
            say(f, error.message);
        }
        f.busy = f.going = false;
        showSettings(f, lib);
    }

    async function start(f) {
        forget(f);
        showPhase(f);
        const run = f.run = await prepare(f);
        if (!run) return forget(f);
        await validate(f, run);
        showNumbers(f, run);
        if (f.going && Number(f.every.value)) await sample(f, run);
        if (f.going) say(f, "");
        await goOn(f);
    }

    async function goOn(f) {
        await train(f, f.run);
        await showHeads(f, f.run);
    }

    function isFinished(run) {
        return !run.alive || run.step === run.steps;
    }

    function showPhase(f) {
        const run = f.run;
        f.main.textContent = f.going ? "Stop" : run ? "Go on" : "Start";
        f.main.disabled = !f.going && (f.busy || (run ? isFinished(run) : f.tooShort));
        f.again.disabled = !run || f.busy || f.tooShort;
        for (const control of f.settings.querySelectorAll("input, select, textarea")) control.disabled = f.busy;
        for (const control of [f.write, f.look]) control.disabled = !(run && run.alive);
        showPending(f);
    }

    /* The worker's call ends first: up to 2 seconds while it trains a tokenizer, CALL_MILLISECONDS while it trains the model. */
    function stop(f) {
        f.going = false;
        say(f, "Stopping \u2026");
        showPhase(f);
    }

    /* ---- what the model can do ---- */

    async function encodePrompt(f, run, text) {
        const bytes = new TextEncoder().encode(text || (run.special ? SEPARATOR + "\n" : "\n"));
        const ids = new Int32Array(bytes.length), count = new Int32Array(1);
        await f.worker.call("live_tokenizer_encode", SLOT, bytes, bytes.length, ids, count);
        return ids.slice(0, count[0]);
    }

    /* Lets the model continue the prompt; the newest text is on top. */
    async function sample(f, run) {
        const prompt = f.prompt.value, ids = await encodePrompt(f, run, prompt);
        const out = new Int32Array(SAMPLE_TOKENS), count = new Int32Array(1), length = new Int32Array(1);
        const stop = run.special ? 0 : -1;
        await f.worker.call("live_train_sample", out, count, SAMPLE_TOKENS, ids, ids.length, stop, f.temperature.value, TOP_P, run.draws++);
        const text = new Uint8Array(SAMPLE_TOKENS * 256);
        await f.worker.call("live_tokenizer_decode", SLOT, out, count[0], text, text.length, length);
        const ended = count[0] < SAMPLE_TOKENS ? [live.element("span", { class: "live-train-end" }, "(the story ends)")] : [];
        f.samples.prepend(live.element("li", {}, live.element("span", { class: "live-train-step" }, "step " + run.step),
            live.element("p", {}, live.element("b", {}, prompt), new TextDecoder().decode(text.slice(0, length[0])), ...ended)));
    }

    async function labels(f, ids) {
        const text = new Uint8Array(ids.length * 1024 + 16), ends = new Int32Array(ids.length);
        await f.worker.call("live_train_labels", SLOT, ids, ids.length, text, text.length, ends);
        return Array.from(ends, (end, i) => new TextDecoder().decode(text.slice(i ? ends[i - 1] : 0, end)));
    }

    async function showHeads(f, run) {
        const all = await encodePrompt(f, run, f.look_prompt.value), ids = all.slice(-run.context), n = ids.length;
        const weights = new Float32Array(run.layers * run.heads * n * n);
        const next = new Int32Array(LIKELIEST), probabilities = new Float64Array(LIKELIEST);
        await f.worker.call("live_train_attention", weights, next, probabilities, LIKELIEST, ids, n);
        const names = await labels(f, Int32Array.of(...ids, ...next));
        attentionViewer(f.viewer, { tokens: names.slice(0, n), layers: run.layers, heads: run.heads, weights,
            next: names.slice(n).map((token, i) => ({ token, probability: probabilities[i] })) });
        f.lookNote.textContent = `The heads after step ${run.step}.` +
            (all.length > n ? ` The prompt has ${all.length} tokens; the model sees the last ${n}.` : "");
    }

    /* Runs beside the training: the worker makes one call after the other. */
    async function beside(f, action) {
        try {
            await action(f, f.run);
        } catch (error) {
            say(f, error.message);
        }
    }

    /* ---- the controls ---- */

    function buildSettings(f, lib) {
        const changed = () => showSettings(f, lib);
        const select = (name, options, value, change = changed) => {
            const label = live.choice(name, options, value, change);
            return [label, label.querySelector("select")];
        };
        let textLabel, modelLabel, batchLabel, rateLabel, stepsLabel;
        [textLabel, f.text] = select("text", [["stories", "the library's stories"], ["own", "my own text"]], "stories");
        [f.amount, f.size] = select("amount", [[100, "100 kB"], [300, "300 kB"], [1000, "1 MB"], [3000, "3 MB"]], 1000);
        [modelLabel, f.model] = select("model", Object.keys(MODELS).map(name => [name, name]), "small", () => {
            if (!f.rateChosen) f.rate.value = RATES[f.model.value];
            changed();
        });
        [batchLabel, f.batch] = select("batch size", [4, 8, 16, 32].map(n => [n, n]), 8);
        [rateLabel, f.rate] = select("learning rate", [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1].map(x => [x, x]), RATES.small, () => {
            f.rateChosen = Number(f.rate.value) !== RATES[f.model.value]; /* another model does not change what the reader chose */
            changed();
        });
        [stepsLabel, f.steps] = select("steps", [50, 100, 300, 1000, 3000, 10000].map(n => [n, n]), 1000);
        f.vocabulary = live.slider("vocabulary",
            { min: 256, max: 1000, step: 8, value: 512, show: v => v === 256 ? "256 (bytes)" : v + " tokens" }, changed);
        const typed = () => { f.file = null; changed(); };
        f.area = live.element("textarea", { rows: 5, "aria-label": "your text", placeholder: "Paste your text here", oninput: typed });
        f.ownNote = live.element("p", { class: "live-note" });
        const file = live.element("input", { type: "file", class: "live-train-file", onchange: () => openFile(f, file.files[0]).then(changed) });
        f.own = live.element("div", {}, f.area,
            live.row(live.element("label", { class: "live-choice" }, live.element("span", {}, "or a file"), file)), f.ownNote);
        [f.sizes, f.schedule] = [0, 1].map(() => live.element("p", { class: "live-note" }));
        f.settings = live.element("div", {}, live.row(textLabel, f.amount, f.vocabulary), f.own,
            live.row(modelLabel, batchLabel, rateLabel, stepsLabel), f.sizes, f.schedule);
    }

    function buildProgress(f, lib) {
        const number = name => {
            const output = live.element("output", {}, "\u2013");
            return [live.element("div", {}, live.element("span", {}, name), output), output];
        };
        const boxes = ["step", "tokens per second", "training loss", "validation loss", "bits per byte"].map(number);
        [f.step, f.tokensPerSecond, f.trainLoss, f.valLoss, f.bits] = boxes.map(b => b[1]);
        f.main = live.button("Start", () => {
            if (f.going) stop(f);
            else work(f, lib, () => f.run ? goOn(f) : start(f));
        });
        f.again = live.button("Start again", () => work(f, lib, () => start(f)));
        f.message = live.element("span", { role: "status" });
        f.pending = live.element("p", { class: "live-note", role: "status" });
        f.corpus = live.element("p", { class: "live-note" });
        f.meaning = live.element("p", { class: "live-note" });
        f.plot = live.plot({ label: "training and validation loss by step", xLabel: "step", yLabel: "loss (nats per token)",
            x: [0, 1000], y: [0, 8] });
        const numbers = live.element("div", { class: "live-train-numbers" }, ...boxes.map(b => b[0]));
        return [live.row(f.main, f.again, f.message), f.pending, numbers, f.plot, f.meaning, f.corpus];
    }

    function buildAbilities(f) {
        const input = (name, value) => live.element("input", { type: "text", value, "aria-label": name, class: "live-train-prompt" });
        const label = (name, e) => live.element("label", { class: "live-choice live-train-wide" }, live.element("span", {}, name), e);
        f.prompt = input("prompt", "Once upon a time");
        f.temperature = live.slider("temperature", { min: 0, max: 2, step: 0.1, value: 0.8, show: v => live.number(v, 1) }, () => {});
        const every = live.choice("a text every", [[0, "never"], ...[25, 50, 100, 500].map(n => [n, n + " steps"])], 100, () => {});
        f.every = every.querySelector("select");
        f.write = live.button("Write now", () => beside(f, sample));
        f.samples = live.element("ol", { class: "live-train-samples", reversed: true, tabindex: 0, "aria-label": "what the model wrote" });
        f.look_prompt = input("text for the heads", "Once upon a time, there was a little girl named Lily.");
        f.look = live.button("Show the heads", () => beside(f, showHeads));
        f.lookNote = live.element("p", { class: "live-note" }, HEADS_NOTE);
        f.viewer = live.element("div", {});
        const title = text => live.element("p", { class: "live-train-title" }, text);
        return [title("What it writes"), live.row(label("prompt", f.prompt), f.temperature, every, f.write), f.samples,
            title("Where its heads look"), live.row(label("text", f.look_prompt), f.look), f.lookNote, f.viewer];
    }

    live.figure("train", (box, lib) => {
        const f = { worker: live.worker(), run: null, busy: false, going: false, file: null, tooShort: false, rateChosen: false, speed: 0 };
        const title = text => live.element("p", { class: "live-train-title" }, text);
        buildSettings(f, lib);
        const progress = buildProgress(f, lib);
        box.append(title("Text and model"), f.settings, title("Training"), ...progress, ...buildAbilities(f));
        showSettings(f, lib);
        /* For the picture of the figure: a short run, and the heads without the large map. */
        window.liveShow = async () => {
            f.steps.value = 300;
            await work(f, lib, () => start(f));
            const large = box.querySelector(".av-large");
            for (const e of [large.previousElementSibling, large]) e.remove();
        };
    });
})();
