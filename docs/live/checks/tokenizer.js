(async box => {
    const write = value => setControl(box, "Your text", value);
    const spans = () => Array.from(box.querySelectorAll(".live-tokens > span"));
    const ORDER = ["characters", "bytes", "tokens", "bytes per token"];
    const number = name => shownNumber(box.querySelectorAll(".live-number output")[ORDER.indexOf(name)].textContent);
    const detail = () => box.querySelector(".live-token-detail").textContent;
    const size = async value => {
        setControl(box, "vocabulary", value);
        await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    };
    /* The page shows as many tokens as it says, and their texts joined are the text. */
    function whole(value) {
        write(value);
        expect(spans().length === number("tokens"), `${spans().length} tokens are shown, the figure says ${number("tokens")}`);
        expect(number("bytes") === new TextEncoder().encode(value).length, "wrong number of bytes: " + number("bytes"));
        expect(number("characters") === Array.from(value).length, "wrong number of characters: " + number("characters"));
        if (value) expectShown([number("bytes per token")], [number("bytes") / number("tokens")], 2, "bytes per token");
        return spans().map(span => span.textContent);
    }

    const story = "Once upon a time, there was a little girl named Lily.\nShe lived near the forest.";
    await size(257);
    const bytes = whole(story);
    expect(bytes.length === story.length && bytes.join("") === story.replace("\n", "\u21B5\n"), "257 tokens: a byte is not a token");
    const pieces = whole("\u4E2D!<|endoftext|>");
    expect(pieces.join("|") === "\\xE4|\\xB8|\\xAD|!|<|endoftext|>", "pieces of a character are shown as " + pieces.join("|"));
    const lengths = [];
    for (const value of [400, 1000, 2000]) {
        await size(value);
        const tokens = whole(story);
        expect(tokens.join("") === story.replace("\n", "\u21B5\n"), value + " tokens: joined they are not the text");
        lengths.push(tokens.length);
    }
    expect(bytes.length > lengths[0] && lengths[0] > lengths[1] && lengths[1] >= lengths[2], "a larger vocabulary does not give fewer tokens: " + lengths);
    expect(spans()[1].textContent === " upon", "the second token is " + spans()[1].textContent);

    /* Decoding gives the text back, and the curve ends at the tokens that are shown. */
    const [, , , ids, count] = lastCall("live_tokenizer_encode");
    const out = new Uint8Array(200), length = new Int32Array(1);
    (await live.library()).call("live_tokenizer_decode", 2, Int32Array.from(ids), count[0], out, 200, length);
    expect(new TextDecoder().decode(out.subarray(0, length[0])) === story, "decoding does not give the text back");
    await until(() => window.liveCalls.some(call => call.name === "live_tokenizer_counts" && call.before[2] === story.length), "the curve");
    const counts = lastCall("live_tokenizer_counts")[4];
    expect(counts[0] === story.length && counts[counts.length - 1] === count[0], "the curve goes from " + counts[0] + " to " + counts[counts.length - 1] + " tokens");
    expect(counts.every((c, i) => !i || c <= counts[i - 1]), "the curve rises: " + counts);

    /* A token says its id and bytes, by keyboard and by pointer. */
    const list = box.querySelector(".live-tokens");
    list.focus();
    list.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
    expect(detail().includes(`Token 2 of ${count[0]}: id ${ids[1]}`) && detail().includes("20 75 70 6F 6E") && detail().includes(`merge ${ids[1] - 256}:`),
        "the second token says: " + detail());
    spans()[0].click();
    expect(detail().includes(`id ${ids[0]}, \u201COnce\u201D`), "the first token says: " + detail());

    /* Typing changes only the tokens around it. */
    const before = spans();
    write(story + " The");
    expect(spans()[0] === before[0] && spans()[before.length - 1] === before[before.length - 1], "typing at the end replaced the tokens before it");
    for (const value of ["aaaaaaaa", "aa", "aaaaa", "banana", "bananana", "\u00EBa\u00EB", "\u00EB", story]) {
        const tokens = whole(value);
        if (/^[\x00-\x7F]*$/.test(value)) expect(tokens.join("") === value.replace("\n", "\u21B5\n"), `after typing, "${tokens.join("|")}" is shown for "${value}"`);
    }
    setControl(box, "borders of pre-tokens", true);
    const mixed = "Zo\u00EB said \u201Cgr\u00FC\u00DFe\u201D, it's \u4E2D\u6587 2023\n\n  end";
    whole(mixed);
    const pretokens = mixed.match(/'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu).length;
    expect(box.querySelectorAll(".live-borders > .live-token-first").length === pretokens, "the borders of " + pretokens + " pre-tokens are not shown");
    setControl(box, "borders of pre-tokens", false);

    /* One of each. */
    whole("a");
    const named = () => box.querySelector(".live-number").parentElement.textContent;
    expect(named() === "1character1byte1token1.00bytes per token", "of one letter the figure says: " + named());
    await until(() => box.querySelector(".live-plot").textContent.includes("here: 1 token") && !box.querySelector(".live-plot").textContent.includes("here: 1 tokens"), "\"here: 1 token\" in the plot");

    /* A long text, and one that is cut. */
    const full = () => box.querySelector("[role=status]").textContent;
    whole(story.repeat(130).slice(0, 9999));
    expect(full() === "", "a text of 9999 characters is said to be full: " + full());
    whole(story.repeat(130).slice(0, 10000));
    expect(full().startsWith("The text is full with 10 000 characters."), "of a text that is cut the figure says: " + full());
    whole("");
})
