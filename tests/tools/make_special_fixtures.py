"""tests/fixtures/tokenizer/special-*: vocabularies that Hugging Face's trainer made with special tokens beyond ASCII.

special-NAME.json and special-NAME.txt are its vocab.json and merges.txt. special-NAME.cases.json has the special tokens,
and texts with the ids and the decoded text of `tokenizers`. Needs: pip install tokenizers.
"""

import json
import os
import shutil
import tempfile

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "tokenizer")
CORPUS = " the the then \u00e9t\u00e9 a\u00e9a na\u00efve \u9c40 \u4e2d\u6587\n\n the caf\u00e9 \u9c40" * 20
SETS = {
    # Each has an entry of its own: in the byte alphabet none of these texts is a byte or a merge of the corpus.
    "own": ["<|endoftext|>", "<|\u00e9|>", "\u4e2d", "\U0001f642", "a b", "\u00e9a", " ", "\n", "\u0120x"],
    # Each is the entry of a byte or of a merge too.
    "shared": ["\u00e9", "\u0120", "\u0120the", "\u00c3\u00a9", "e"],
}
TEXTS = ["x%sy", "%s", "%s%s", "the %s then %s\n", "\u9c40%s\u00e9t\u00e9 ", "\u00ef%s\u4e2d\u6587"]


def train(special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=290, show_progress=False, special_tokens=[],
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    trainer.special_tokens = [AddedToken(text, special=True, normalized=False) for text in special]
    tokenizer.train_from_iterator([CORPUS], trainer)
    return tokenizer


def main() -> None:
    for name, special in SETS.items():
        tokenizer = train(special)
        with tempfile.TemporaryDirectory() as folder:
            tokenizer.model.save(folder)
            shutil.copyfile(os.path.join(folder, "vocab.json"), os.path.join(OUT, f"special-{name}.json"))
            shutil.copyfile(os.path.join(folder, "merges.txt"), os.path.join(OUT, f"special-{name}.txt"))
        cases = []
        for token in special:
            for pattern in TEXTS:
                text = pattern.replace("%s", token)
                ids = tokenizer.encode(text).ids
                cases.append({"text": text, "ids": ids,
                              "decoded": tokenizer.decode(ids, skip_special_tokens=False)})
        with open(os.path.join(OUT, f"special-{name}.cases.json"), "w", encoding="utf-8") as f:
            json.dump({"special": special, "cases": cases}, f, ensure_ascii=False, indent=1)
            f.write("\n")


if __name__ == "__main__":
    main()
