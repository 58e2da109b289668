(async box => {
    const text = () => control(box, "Text to train on");
    const write = value => setControl(box, "Text to train on", value);
    const chips = e => Array.from(e.querySelectorAll(".live-chip"), chip => chip.textContent);
    const rows = caption => Array.from(Array.from(box.querySelectorAll("table")).find(t => t.caption.textContent.startsWith(caption)).tBodies[0].rows);
    const words = () => rows("Words").map(tr => [Number(tr.cells[0].textContent), chips(tr).join(" ")]);
    const pairs = () => rows("Pairs").map(tr => [Number(tr.cells[0].textContent), chips(tr).join(" ")]);
    const merges = () => Array.from(box.querySelectorAll("ol li"), li => chips(li)).reverse();
    const why = () => box.querySelector(".live-bpe-why").textContent;
    const same = (a, b, what) => expect(JSON.stringify(a) === JSON.stringify(b), `${what}: ${JSON.stringify(a)}, expected ${JSON.stringify(b)}`);

    /* Training as the handout defines it: all pairs of all words are counted again for each merge. */
    const key = list => list.map(b => String.fromCharCode(b)).join("");
    function bruteForce(value, limit) {
        const split = value.match(/'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu) || [];
        const lists = split.map(word => Array.from(new TextEncoder().encode(word), b => key([b])));
        const learned = [];
        while (learned.length < limit) {
            const counts = new Map();
            for (const list of lists)
                for (let i = 0; i + 1 < list.length; i++) {
                    const pair = JSON.stringify([list[i], list[i + 1]]);
                    counts.set(pair, (counts.get(pair) || 0) + 1);
                }
            const better = (a, b) => a[1] - b[1] || (a[0][0] > b[0][0]) - (a[0][0] < b[0][0]) || (a[0][1] > b[0][1]) - (a[0][1] < b[0][1]);
            const all = Array.from(counts, ([pair, n]) => [JSON.parse(pair), n]);
            if (!all.length) break;
            const [best, n] = all.reduce((a, b) => better(b, a) > 0 ? b : a);
            learned.push([...best, n]);
            for (const list of lists)
                for (let i = 0; i + 1 < list.length; i++)
                    if (list[i] === best[0] && list[i + 1] === best[1]) list.splice(i, 2, best[0] + best[1]);
        }
        return learned;
    }
    /* A byte string as the figure shows it: characters, and \xNN for bytes that are none. */
    function shown(string) {
        const bytes = Uint8Array.from(string, c => c.charCodeAt(0));
        try {
            return live.visible(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
        } catch {
            return null; /* of several bytes: only the library's rule says how they are shown */
        }
    }
    function compare(value, limit) {
        write(value);
        const expected = bruteForce(value, limit);
        while (merges().length < limit && !control(box, "next merge").disabled) {
            const winner = pairs()[0];
            press(box, "next merge");
            const merge = merges().pop();
            same(merge.slice(0, 2).join(" "), winner[1], "the merge of the library, and the pair that was counted most often");
            const [left, right, count] = expected[merges().length - 1];
            same(winner[0], count, "count of merge " + merges().length + " of " + value.slice(0, 20));
            const said = box.querySelector("ol li").textContent;
            expect(said.includes(`id ${255 + merges().length}, ${count} time`), `the list says "${said}" of a merge of ${count}`);
            [left, right, left + right].forEach((token, i) =>
                expect(shown(token) === null || merge[i] === shown(token), `merge ${merges().length}: "${merge[i]}", expected "${shown(token)}"`));
        }
        same(merges().length, expected.length, "number of merges of " + value.slice(0, 20));
    }

    /* The handout's example, with the merges that the handout gives. */
    same(words().map(w => w.join(" ")), ["6 n e w e s t", "5 l o w", "3 w i d e s t", "2 l o w e r"], "words before the first merge");
    same(pairs().slice(0, 3), [[9, "s t"], [9, "e s"], [8, "w e"]], "pairs before the first merge");
    expect(why().startsWith("A tie: (s, t) and (e, s) occur 9 times"), "the figure does not say that two pairs tie: " + why());
    expect(box.querySelectorAll(".live-bpe-next").length === 2, "the pair (s, t) is not marked in two words");
    press(box, "next merge");
    press(box, "10 merges");
    press(box, "10 merges");
    same(merges().map(m => m.slice(0, 2).join(" ")), ["s t", "e st", "o w", "l ow", "w est", "n e", "ne west", "w i", "wi d", "wid est", "low e", "lowe r"], "merges");
    same(words().map(w => w.join(" ")), ["6 newest", "5 low", "3 widest", "2 lower"], "words after the last merge");
    expect(why().startsWith("No pair is left"), "the figure does not say that no pair is left: " + why());
    press(box, "back");
    same(words()[3], [2, "lowe r"], "a word after back");
    press(box, "start again");
    same(merges(), [], "merges after start again");

    compare("aaaa aaaaa banana bananas", 30);
    compare("I'll say: it's 2023, it'll be 2024!  na\u00EFve caf\u00E9s \u4E2D\u6587 \u4E2D\u56FD \u{1F643}\u{1F642}\n\n\t\u0007 end", 60);
    write("ab cd");
    expect(why().startsWith("A tie: (c, d) and 2 others occur once each."), "of pairs that occur once the figure says: " + why());

    /* What the reader may not expect. */
    const remark = () => box.querySelector("[role=status]").textContent;
    expect(remark() === "", "a short text has the remark " + remark());
    write("a<|endoftext|>b");
    expect(remark().startsWith("<|endoftext|> is a text like any other"), "of a special token the figure says: " + remark());
    expect(Number(text().maxLength) === 20000 && control(box, "Text to train on, up to 20 000 characters"), "the limit of the text is not in its name");
    write("ab ".repeat(7000).slice(0, 20000));
    expect(remark().startsWith("The text is full with 20 000 characters."), "of a text that is cut the figure says: " + remark());
    write("");
    expect(why().startsWith("The text is empty") && control(box, "next merge").disabled, "an empty text can be trained on");
    setControl(box, "Example", "handout");
    expect(text().value.startsWith("low\nlow"), "the example does not come back");
})
