"""Arguments of a wrong type: each is one error that names the argument, or it works."""

import array
import copy
import datetime
import decimal
import pickle
import unittest

import numpy as np

import cs336
from support import END
from test_model import ModelCase

# One value of each kind. A call gets those that are none of its own.
NUMBERS = {"whole number": 5, "large number": 10**30, "negative": -1, "fraction": 1.5, "true": True, "numpy": np.int32(4)}
TEXTS = {"text": "text", "bytes": b"ab", "bytearray": bytearray(b"xx"), "memory": memoryview(b"xx")}
LISTS = {
    "mixed": ["a", 1], "nested": [[1], [2, 3]], "tuple": (1, None), "dictionary": {1: 2}, "set": {"a"}, "ids": np.arange(3),
    "int32": np.arange(3, dtype=np.int32), "one number": np.array(1), "array": array.array("i", [1, 2]), "of None": [None],
}  # fmt: skip
OTHERS = {
    "None": None, "object": object(), "decimal": decimal.Decimal(1), "date": np.datetime64("2020"), "time": datetime.time(),
}  # fmt: skip
ALL = {**NUMBERS, **TEXTS, **LISTS, **OTHERS}


class Arguments(ModelCase):
    def assert_refused(self, name, call, values):
        """Each value must be a TypeError or a ValueError that begins with, or has, the name of the argument."""
        for kind, value in values.items():
            with self.subTest(argument=name, value=kind), self.assertRaises((TypeError, ValueError)) as raised:
                call(value)
            self.assertRegex(str(raised.exception), rf"\b{name}\b.* (is|has) |{name}.*expected|argument '{name}'")

    def without(self, *kinds):
        return {kind: value for kind, value in ALL.items() if kind not in kinds}

    def test_paths(self):
        text, none = self.folder / "text.txt", self.folder / "none"
        wrong = self.without("text", "bytes")
        for name, call in (
            ("path", lambda value: cs336.Tokenizer.from_file(value)),
            ("vocab", lambda value: cs336.Tokenizer.from_files(value, self.files[1])),
            ("merges", lambda value: cs336.Tokenizer.from_files(self.files[0], value)),
            ("vocab", lambda value: self.tokenizer.save(value, none)),
            ("path", lambda value: self.tokenizer.save(value)),
            ("path", lambda value: self.tokenizer.encode_file(value, none)),
            ("output", lambda value: self.tokenizer.encode_file(text, value)),
            ("path", lambda value: cs336.Model.load(value)),
        ):
            self.assert_refused(name, call, wrong)
        self.assert_refused("merges", lambda value: self.tokenizer.save(none, value), self.without("text", "bytes", "None"))
        self.assert_refused("path", lambda value: cs336.train_bpe(value, 300), self.without("text", "bytes", "set"))
        self.assert_refused("path", lambda value: cs336.train_bpe(value, 300), {"no files": [], "no file": iter([])})
        self.assertFalse(none.exists())
        for paths in ([text], (text,), iter([text]), np.array([str(text)])):
            self.assertEqual(cs336.train_bpe(paths, 320, [END]), cs336.train_bpe(text, 320, [END]))

    def test_special_tokens(self):
        vocab, merges = cs336.train_bpe(self.folder / "text.txt", 300)
        wrong = {**self.without("None"), "numbers": [1, 2], "none": [None]}
        for call in (
            lambda value: cs336.train_bpe(self.folder / "text.txt", 300, value),
            lambda value: cs336.Tokenizer(vocab, merges, value),
            lambda value: cs336.Tokenizer.from_files(*self.files, value),
            lambda value: cs336.Tokenizer.from_file(self.files[0], value),
        ):
            self.assert_refused("special_tokens", call, wrong)
        for special in (None, [], ()):
            self.assertEqual(cs336.train_bpe(self.folder / "text.txt", 300, special), (vocab, merges))
            self.assertEqual(cs336.Tokenizer(vocab, merges, special).vocab_size, 300)
        self.assertEqual(cs336.Tokenizer(vocab, merges, (b"<x>", "<y>")).find("<y>"), 301)

    def test_vocabularies_and_merges(self):
        vocab, merges = cs336.train_bpe(self.folder / "text.txt", 300)
        self.assert_refused("vocab", lambda value: cs336.Tokenizer(value, []), ALL)
        self.assert_refused("merges", lambda value: cs336.Tokenizer(vocab, value), ALL)
        for wrong in ({**vocab, 300: "text"}, {**vocab, 300: 7}, {**vocab, "300": b"a"}, {**vocab, 300.5: b"a"}):
            self.assert_refused("vocab", lambda value: cs336.Tokenizer(value, []), {"entry": wrong})
        for wrong in (["th"], [("t", "h")], [(b"t", 1)], [(b"t",)], [(b"t", b"h", b"e")]):
            self.assert_refused(r"merges\[0\]", lambda value: cs336.Tokenizer(vocab, value), {"pair": wrong})
        numbered = {np.int64(index): token for index, token in vocab.items()}
        tokenizer = cs336.Tokenizer(numbered, (list(pair) for pair in merges))
        self.assertEqual(tokenizer.encode("ba ke").tolist(), cs336.Tokenizer(vocab, merges).encode("ba ke").tolist())

    def test_a_merge_comes_once(self):
        """So say the readers of merges.txt and tokenizer.json too."""
        vocab, merges = cs336.train_bpe(self.folder / "text.txt", 300)
        with self.assertRaisesRegex(ValueError, rf"merges\[{len(merges)}\]: the merge .* comes a second time"):
            cs336.Tokenizer(vocab, [*merges, merges[3]])

    def test_names_and_numbers(self):
        text = self.folder / "text.txt"
        ids = self.folder / "none"
        no_numbers = self.without("whole number", "true", "numpy", "one number")
        tokenizer, model = self.tokenizer, self.model
        for name, call, wrong in (
            ("pattern", lambda value: cs336.train_bpe(text, 300, pattern=value), ALL),
            ("pattern", lambda value: cs336.Tokenizer.from_files(*self.files, pattern=value), ALL),
            ("pattern", lambda value: cs336.Tokenizer.from_file(self.files[0], pattern=value), self.without("None")),
            ("text_field", lambda value: cs336.train_bpe(text, 300, text_field=value), self.without("None", "text")),
            ("text_field", lambda value: tokenizer.encode_file(text, ids, value), self.without("None", "text")),
            ("vocab_size", lambda value: cs336.train_bpe(text, value), no_numbers),
            ("set_threads", cs336.set_threads, no_numbers),
            ("count", tokenizer.has_token, {k: v for k, v in no_numbers.items() if k != "None"}),
            ("token", tokenizer.find, self.without("text", "bytes")),
            ("errors", lambda value: tokenizer.decode([1], value), self.without("text")),
        ):
            self.assert_refused(name, call, wrong)
        for name in ("max_tokens", "top_k", "seed", "stop_token"):
            wrong = {k: v for k, v in no_numbers.items() if k != "None" or name != "stop_token"}
            self.assert_refused(name, lambda value: model.stream([1], **{name: value}), wrong)
        self.assert_refused("stop_token", lambda value: model.stream([1], stop_token=value), {"no id": 330})
        for name in ("temperature", "top_p"):
            wrong = {k: v for k, v in ALL.items() if k not in NUMBERS or k == "negative"}
            self.assert_refused(name, lambda value: model.stream([1], **{name: value}), wrong)
        self.assert_refused("drawable", lambda value: model.stream([1], drawable=value), self.without("None"))
        self.assert_refused("tokenizer", lambda value: model.generate_text(value, "a"), ALL)
        self.assert_refused("prompt", lambda value: model.generate_text(tokenizer, value), self.without("text"))
        with self.assertRaisesRegex(TypeError, r"Model.load\(path\)"):
            cs336.Model("checkpoint.safetensors")

    def test_ids(self):
        wrong = self.without("tuple", "ids", "int32", "array", "memory")
        for name, call in (
            ("ids", self.tokenizer.decode), ("ids", self.tokenizer.decode_bytes), ("ids", self.model.logits),
            ("prompt", self.model.stream), ("prompt", self.model.generate),
        ):  # fmt: skip
            self.assert_refused(name, call, wrong)
            for value in ([1.5], [None], [True], 5, np.array(5), 10**30, ["a"], np.zeros(2), {1}, None):
                with self.subTest(argument=name, value=value), self.assertRaisesRegex(TypeError, rf"\b{name}\b.*expected"):
                    call(value)
            with self.assertRaisesRegex(ValueError, "has a number that is not in"):
                call([10**30])

    def test_texts(self):
        """Only bytes are bytes: the memory of an array of ids is no text."""
        wrong = {**self.without("text", "bytes", "bytearray", "memory"), "two dimensions": np.zeros((2, 2), np.uint8)}
        self.assert_refused("text", self.tokenizer.encode, {**wrong, "true or false": np.ones(3, bool), "byte": np.uint8(7)})
        self.assert_refused("text", lambda value: list(self.tokenizer.encode_iterable([value])), wrong)
        for value in (None, 5, b"bytes", bytearray(b"a"), memoryview(b"a"), np.array(1)):
            with self.assertRaisesRegex(TypeError, "texts is .*expected an iterable of texts"):
                self.tokenizer.encode_iterable(value)
        data = "ba ke ti".encode()
        gaps = np.frombuffer(bytes(byte for pair in zip(data, data) for byte in pair), np.uint8)[::2]
        for text in (data, gaps, memoryview(gaps), gaps[::-1][::-1], np.array(list(data), np.uint8), array.array("B", data)):
            self.assertEqual(self.tokenizer.encode(text).tolist(), self.tokenizer.encode(data).tolist())
        self.assertEqual(self.tokenizer.encode(np.frombuffer(data, np.uint8)[::-1]).tolist(), self.tokenizer.encode(data[::-1]).tolist())
        texts = np.array(["ba ke", " ti"])
        self.assertEqual(list(self.tokenizer.encode_iterable(texts)), self.tokenizer.encode(data).tolist())


class Copies(ModelCase):
    """A Tokenizer never changes, so a copy is itself. What C holds cannot be copied, nor sent to another process."""

    def test_a_copy_of_a_tokenizer_is_itself(self):
        for copied in (copy.copy(self.tokenizer), copy.deepcopy(self.tokenizer), copy.deepcopy([self.tokenizer])[0]):
            self.assertIs(copied, self.tokenizer)

    def test_other_copies_are_refused(self):
        for call, value, message in (
            (copy.copy, self.model, "copied"), (copy.deepcopy, self.model, "copied"), (pickle.dumps, self.model, "pickled"),
            (copy.deepcopy, {"model": self.model}, "copied"), (pickle.dumps, self.tokenizer, "Tokenizer cannot be pickled"),
        ):  # fmt: skip
            with self.assertRaisesRegex(TypeError, message):
                call(value)


if __name__ == "__main__":
    unittest.main()
