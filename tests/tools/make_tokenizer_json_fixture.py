"""tests/fixtures/tokenizer/tokenizer.json: what Hugging Face's `tokenizers` saves for our vocab.json and merges.txt.

Needs: pip install tokenizers. Each merge is one text here, as in files of all releases, not an array of two.
"""

import json
import os

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "tokenizer")
SPECIAL = ["<|endoftext|>", '<| é "\\\n|>']  # the first is in vocab.json


def main() -> None:
    model = models.BPE.from_file(os.path.join(OUT, "vocab.json"), os.path.join(OUT, "merges.txt"))
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL])
    saved = json.loads(tokenizer.to_str())
    vocab = saved["model"]["vocab"]
    for token in saved["added_tokens"]:  # what was added is not in the model's vocabulary; in ours it may be
        vocab[token["content"]] = token["id"]
    saved["model"]["merges"] = [pair if isinstance(pair, str) else " ".join(pair) for pair in saved["model"]["merges"]]
    with open(os.path.join(OUT, "tokenizer.json"), "w", encoding="utf-8", newline="") as f:
        json.dump(saved, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
