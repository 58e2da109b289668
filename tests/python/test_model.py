"""A trained model from Python."""

import base64
import gc
import pathlib
import re
import struct
import tempfile
import threading
import unittest

import numpy as np

import cs336
from cs336 import _library
from support import END, plain_logits, program, status_in_fork, words

VARIANTS = {
    "course": [],
    "ablated": ["--norm", "post", "--position", "none", "--ffn", "silu"],
    "tied": ["--tie-embeddings", "--norm", "none", "--rope-theta", "100"],
}


class ModelCase(unittest.TestCase):
    """Tests with models that the program has trained for a few steps, and with their tokenizer."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        text = cls.folder / "text.txt"
        text.write_text(words(20000))
        vocab, merges = cs336.train_bpe(text, 320, [END])
        cls.tokenizer = cs336.Tokenizer(vocab, merges, [END])
        cls.files = cls.folder / "vocab.json", cls.folder / "merges.txt"
        cls.tokenizer.save(*cls.files)
        cls.tokenizer.encode_file(text, cls.folder / "ids.bin")
        cls.models = {name: cls.train(name, options) for name, options in VARIANTS.items()}
        cls.model = cls.models["course"]

    @classmethod
    def train(cls, name, options):
        program(
            "train", "--train", cls.folder / "ids.bin", "--out", cls.folder / name, "--vocab-size", 330, "--context-length", 24,
            "--d-model", 32, "--num-layers", 2, "--num-heads", 4, "--d-ff", 48, "--steps", 60, "--batch-size", 8,
            "--lr", "0.01", *options,
        )  # fmt: skip
        return cs336.Model.load(cls.checkpoint(name))

    @classmethod
    def checkpoint(cls, name):
        return cls.folder / name / "checkpoint.safetensors"

    def ids(self, *shape):
        return np.random.default_rng(3).integers(0, 330, shape)


class Logits(ModelCase):
    def test_logits_are_those_of_a_plain_transformer(self):
        for name, model in self.models.items():
            for shape in [(1,), (24,), (3, 7), (2, 2, 5)]:
                with self.subTest(model=name, shape=shape):
                    ids = self.ids(*shape)
                    logits = model.logits(ids)
                    self.assertEqual((logits.dtype, logits.shape), (np.float32, (*shape, 330)))
                    expected = plain_logits(model.weights, model.config, ids)
                    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
                    self.assertGreater(expected.std(), 0.1)  # logits that say something

    def test_ids_of_every_kind(self):
        ids = self.ids(4, 6)
        expected = self.model.logits(ids)
        for other in (ids.astype(np.int32), ids.tolist(), ids.astype(np.uint16), np.asfortranarray(ids.astype(np.int32))):
            np.testing.assert_array_equal(self.model.logits(other), expected)

    def test_a_forked_process_computes_the_same(self):
        """OpenMP's threads stay in the parent, where the first call has started them."""
        ids = self.ids(8, 24)
        expected = self.model.logits(ids)
        self.assertEqual(status_in_fork(lambda: np.array_equal(self.model.logits(ids), expected)), 0)

    def test_config_is_that_of_the_run(self):
        config = self.models["ablated"].config
        self.assertEqual((config.norm, config.position, config.ffn, config.tie_embeddings), ("post", "none", "silu", False))
        config = self.models["tied"].config
        self.assertEqual((config.norm, config.position, config.ffn, config.tie_embeddings), ("none", "rope", "swiglu", True))
        self.assertEqual((config.vocab_size, config.context_length, config.d_model, config.d_ff), (330, 24, 32, 48))
        self.assertEqual((config.num_layers, config.num_heads, config.rope_theta), (2, 4, 100))
        self.assertEqual(self.model.iteration, 60)

    def test_weights_are_the_memory_of_the_model(self):
        model = cs336.Model.load(str(self.checkpoint("course")))
        ids = self.ids(5)
        before = model.logits(ids)
        head = model.weights["lm_head.weight"]
        self.assertEqual((head.shape, head.dtype), ((330, 32), np.float32))
        head *= 2
        np.testing.assert_allclose(model.logits(ids), 2 * before, rtol=1e-5, atol=1e-5)
        gc.collect()  # what other tests have left
        in_use = _library.lib.memory_in_use()
        del model
        gc.collect()
        self.assertEqual(_library.lib.memory_in_use(), in_use)  # the array keeps the model's memory
        del head
        gc.collect()
        self.assertLess(_library.lib.memory_in_use(), in_use)

    def test_wrong_ids_are_refused(self):
        for ids, message in [
            ([], "expected at least one id"),
            (np.zeros((2, 0), int), "expected at least one id"),
            ([0, 330], "330"),
            ([-1], "-1"),
            ([0] * 25, "context_length|25"),
            (np.zeros((1,) * 8, int), "dimensions"),
        ]:
            with self.subTest(message=message), self.assertRaisesRegex(ValueError, message):
                self.model.logits(ids)
        for ids in (3, [0.5]):
            with self.subTest(ids=ids), self.assertRaisesRegex(TypeError, "expected .*integers"):
                self.model.logits(ids)

    def test_files_that_are_no_checkpoints_are_refused(self):
        with self.assertRaisesRegex(OSError, "none"):
            cs336.Model.load(self.folder / "none")
        with self.assertRaisesRegex(ValueError, "vocab.json"):
            cs336.Model.load(self.files[0])

    def test_threads_may_share_a_model(self):
        inputs = [np.random.default_rng(seed).integers(0, 330, (4, 24)) for seed in range(4)]
        expected = [self.model.logits(ids) for ids in inputs]
        wrong = []

        def work(ids, logits):
            for _ in range(20):
                if not np.array_equal(self.model.logits(ids), logits):
                    wrong.append(ids)

        workers = [threading.Thread(target=work, args=pair) for pair in zip(inputs, expected)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertEqual(wrong, [])


class Generation(ModelCase):
    def test_greedy_tokens_have_the_largest_logits(self):
        prompt = self.ids(5)
        tokens = self.model.generate(prompt, temperature=0, max_tokens=15)
        self.assertEqual((tokens.dtype, tokens.shape), (np.int32, (15,)))
        text = list(prompt)
        for token in tokens:
            logits = plain_logits(self.model.weights, self.model.config, np.array(text))[-1]
            self.assertLess(logits.max() - logits[token], 1e-4)
            text.append(token)

    def test_texts_are_those_of_the_program(self):
        options = {"seed": 7, "temperature": 1.3, "top_p": 0.9, "top_k": 40, "max_tokens": 60}
        flags = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", value)]
        for prompt, chosen, given in [("ba ke", options, flags), ("ba ke", {}, []), ("", {"seed": 3}, ["--seed", 3])]:
            with self.subTest(prompt=prompt, options=chosen):
                printed = program(
                    "generate", "--checkpoint", self.checkpoint("course"), "--vocab", self.files[0], "--merges", self.files[1],
                    *(["--prompt", prompt] if prompt else []), *given,
                )  # fmt: skip
                text = self.model.generate_text(self.tokenizer, prompt, **chosen)
                self.assertEqual(prompt + text + "\n", printed.decode(errors="replace"))

    def test_a_tokenizer_of_llama2c_begins_and_ends_a_text_with_id_1(self):
        """It cannot encode. As in the program, the blank behind id 1 is no part of the text."""
        texts = [b"<unk>", b"\n<s>\n", b"\n</s>\n", *(b"<0x%02X>" % byte for byte in range(256))]
        texts += [b" " + syllable for syllable in (b"ba", b"ke", b"ti", b"lo")] * 17
        path = self.folder / "tokenizer.bin"
        records = (struct.pack("<fi", 0, len(text)) + text for text in texts)
        path.write_bytes(struct.pack("<i", max(map(len, texts))) + b"".join(records))
        tokenizer = cs336.Tokenizer.from_file(path)
        self.assertEqual((tokenizer.document_end, tokenizer.vocab_size), (1, 327))
        without_blank = 0
        for seed in range(1, 21):
            options = {"temperature": 5, "top_p": 1, "max_tokens": 40, "seed": seed}
            flags = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", value)]
            printed = program("generate", "--checkpoint", self.checkpoint("course"), "--tokenizer", path, *flags)
            text = self.model.generate_text(tokenizer, **options)
            self.assertEqual(text + "\n", printed.decode(errors="replace"))
            ids = self.model.generate([1], stop_token=1, drawable=tokenizer.has_token(330), **options)
            without_blank += tokenizer.decode(ids) == " " + text
        self.assertGreater(without_blank, 0)
        with self.assertRaisesRegex(ValueError, "decode"):
            self.model.generate_text(tokenizer, "ba")

    def test_the_seed_decides(self):
        texts = [self.model.generate([1, 2], seed=seed, temperature=1).tolist() for seed in (1, 1, 2)]
        self.assertEqual(texts[0], texts[1])
        self.assertNotEqual(texts[0], texts[2])

    def test_a_stop_token_ends_the_text(self):
        tokens = self.model.generate([1, 2], temperature=0, max_tokens=20).tolist()
        stop = tokens[3]
        ended = self.model.generate([1, 2], temperature=0, max_tokens=20, stop_token=stop).tolist()
        self.assertEqual(ended, tokens[: tokens.index(stop)])

    def test_only_drawable_ids_are_drawn(self):
        some = np.isin(np.arange(330), [3, 17, 200, 201, 329])
        for drawable in (some, some.tolist()):
            tokens = self.model.generate([1], temperature=50, top_p=1, max_tokens=300, drawable=drawable)
            self.assertEqual(set(tokens.tolist()), {3, 17, 200, 201, 329})
            greedy = self.model.generate([1], temperature=0, max_tokens=20, drawable=drawable)
            self.assertLessEqual(set(greedy.tolist()), {3, 17, 200, 201, 329})

    def test_text_has_only_ids_of_the_tokenizer(self):
        """The model has 330 ids. Ids of a vocabulary with holes are shifted by one from 100 on: 100 and 281 up are holes."""
        ranks = self.folder / "holes.tiktoken"
        lines = [f"{base64.b64encode(bytes([i])).decode()} {i + (i >= 100)}" for i in range(256)]
        lines += [f"{base64.b64encode(b'b' * (i - 254)).decode()} {i + 1}" for i in range(256, 280)]
        ranks.write_text("\n".join(lines) + "\n")
        holes = cs336.Tokenizer.from_file(ranks, pattern="gpt2")
        has_token = holes.has_token(330)
        self.assertEqual(np.flatnonzero(~has_token).tolist(), [100, *range(281, 330)])
        self.assertEqual(np.flatnonzero(~holes.has_token()).tolist(), [100])
        # Without the mask, ids without a token are drawn, and decoding them is an error.
        options = {"temperature": 50, "top_p": 1, "max_tokens": 2000}
        self.assertIn(100, self.model.generate(holes.encode("b"), **options))
        with self.assertRaisesRegex(ValueError, "id 100 at position .* has no token"):
            holes.decode([1, 100])
        drawn = self.model.generate(holes.encode("b"), drawable=has_token, **options)
        self.assertEqual(set(drawn.tolist()), set(np.flatnonzero(has_token).tolist()))
        self.assertEqual(self.model.generate_text(holes, "b", **options), holes.decode(drawn))

    def test_tokens_come_one_by_one(self):
        stream = self.model.stream([1, 2], temperature=0, max_tokens=10)
        first = [next(stream), next(stream)]
        stream.close()
        self.assertEqual(first, self.model.generate([1, 2], temperature=0, max_tokens=2).tolist())
        self.assertEqual(self.model.generate([1], max_tokens=0).tolist(), [])

    def test_wrong_options_are_refused(self):
        for options, message in [
            ({"max_tokens": -1}, "max_tokens is -1"),
            ({"temperature": -1.0}, "temperature"),
            ({"temperature": float("nan")}, "temperature"),
            ({"top_p": 1.5}, "top_p"),
            ({"top_k": -3}, "top_k is -3"),
            ({"seed": -1}, "seed is -1"),
            ({"seed": 2**64}, "seed is"),
            ({"drawable": [True]}, r"expected at least one id, \(330,\) and bool"),
            ({"drawable": np.full(330, False)}, "drawable has 0 ids"),
            ({"drawable": np.full(330, 1)}, "the dtype int64"),
        ]:
            with self.subTest(options=options), self.assertRaisesRegex(ValueError, message):
                self.model.stream([1], **options)
        for prompt, message in [([], "at least one id"), ([[1]], "2 dimensions"), ([330], "330")]:
            with self.subTest(prompt=prompt), self.assertRaisesRegex(ValueError, message):
                self.model.generate(prompt)
        with self.assertRaises(TypeError):
            self.model.stream([1], max_tokens=1.5)

    def test_tokenizers_that_do_not_fit_are_refused(self):
        larger = cs336.Tokenizer.from_files(*self.files, [f"<{i}>" for i in range(11)])
        with self.assertRaisesRegex(ValueError, "the tokenizer has 331 tokens, the model 330 ids"):
            self.model.generate_text(larger, "a")
        vocab = {i: bytes([i]) for i in range(256)}
        with self.assertRaisesRegex(ValueError, re.escape(f"no {END}")):
            self.model.generate_text(cs336.Tokenizer(vocab, []))


if __name__ == "__main__":
    unittest.main()
