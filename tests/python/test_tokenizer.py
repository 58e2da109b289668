"""Text to ids and back from Python."""

import json
import mmap
import unittest
import warnings

import numpy as np

import cs336
from cs336._arguments import text_view
from support import END, PATTERN, TEXTS, TemporaryFiles, plain_encode, program, words

SPECIAL = [END]
LONG = words(300000)  # more than 1 MiB, so that several threads encode it


class TokenizerCase(TemporaryFiles):
    """Tests with a tokenizer that was learned from a text, and with its files."""

    @classmethod
    def setUpClass(cls):
        cls.folder_of_class = TemporaryFiles()
        cls.folder_of_class.setUp()
        cls.addClassCleanup(cls.folder_of_class.doCleanups)
        text = cls.folder_of_class.write("text.txt", words(20000) + "".join(TEXTS) * 5)
        cls.vocab, cls.merges = cs336.train_bpe(text, 700, SPECIAL)
        cls.tokenizer = cs336.Tokenizer(cls.vocab, cls.merges, SPECIAL)
        cls.files = [cls.folder_of_class.folder / name for name in ("vocab.json", "merges.txt")]
        cls.tokenizer.save(*cls.files)

    def plain(self, text):
        return plain_encode(self.vocab, self.merges, SPECIAL, text)


class Encoding(TokenizerCase):
    def test_ids_are_those_of_plain_bpe(self):
        for text in [*TEXTS, words(2000, seed=2)]:
            with self.subTest(text=text[:40]):
                ids = self.tokenizer.encode(text)
                self.assertEqual(ids.dtype, np.int32)
                self.assertEqual(ids.tolist(), self.plain(text))

    def test_a_longer_special_token_wins(self):
        tokenizer = cs336.Tokenizer(self.vocab, self.merges, [END, END + END])
        ids = tokenizer.encode(f"a{END}{END}b{END}")
        self.assertEqual([tokenizer.token(i) for i in ids.tolist()], [b"a", (END + END).encode(), b"b", END.encode()])
        self.assertEqual(tokenizer.vocab_size, self.tokenizer.vocab_size + 1)
        self.assertEqual(tokenizer.find(END + END), self.tokenizer.vocab_size)

    def test_every_kind_of_bytes_is_read_where_it_is(self):
        data = "Grüße aus Köln, Grüße".encode() + b"\xff\x00\xc3"
        path = self.write("data", data)
        expected = self.tokenizer.encode(data).tolist()
        self.assertEqual(self.tokenizer.decode_bytes(expected), data)
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            kinds = [bytearray(data), memoryview(data), np.frombuffer(data, np.uint8), np.memmap(path, np.uint8, "r")]
            for text in [*kinds, memoryview(mapped)]:
                with self.subTest(kind=type(text).__name__):
                    self.assertEqual(self.tokenizer.encode(text).tolist(), expected)
                if isinstance(text, memoryview):
                    text.release()

    def test_memory_stays_where_it_is_while_c_may_read_it(self):
        """Another thread must not move the bytes of a bytearray meanwhile."""
        data = bytearray(b"text")
        view = text_view(data)
        with self.assertRaises(BufferError):
            data.extend(b"more")
        del view
        data.extend(b"more")

    def test_long_texts_give_the_same_ids_with_any_threads(self):
        self.assertGreater(len(LONG.encode()), 1 << 20)
        expected = list(self.tokenizer.encode_iterable(LONG.splitlines(keepends=True)))
        self.addCleanup(cs336.set_threads, 0)
        for threads in (1, 3):
            cs336.set_threads(threads)
            self.assertEqual(cs336.threads(), threads)
            self.assertEqual(self.tokenizer.encode(LONG).tolist(), expected)
        self.assertEqual(self.tokenizer.decode(expected), LONG)

    def test_streams_may_be_cut_anywhere(self):
        text = "".join(TEXTS)
        expected = self.plain(text)
        data = text.encode()
        for size in (1, 3, 50):
            pieces = [data[i : i + size] for i in range(0, len(data), size)]
            self.assertEqual(list(self.tokenizer.encode_iterable(pieces)), expected)
        self.assertEqual(list(self.tokenizer.encode_iterable([])), [])
        self.assertEqual(list(self.tokenizer.encode_iterable(iter([text]))), expected)

    def test_a_stream_that_is_left_early_is_freed(self):
        stream = self.tokenizer.encode_iterable([words(800)])
        self.assertIsInstance(next(stream), int)
        stream.close()

    def test_a_failing_source_ends_the_stream_with_its_error(self):
        def texts():
            yield "a text"
            raise RuntimeError("no more")

        with self.assertRaisesRegex(RuntimeError, "no more"):
            list(self.tokenizer.encode_iterable(texts()))

    def test_wrong_texts_are_refused(self):
        for text in (None, 7, ["a"]):
            with self.assertRaisesRegex(TypeError, "expected str or bytes"):
                self.tokenizer.encode(text)
        with self.assertRaises(UnicodeEncodeError):
            self.tokenizer.encode("\ud800")


class Decoding(TokenizerCase):
    def test_decoding_is_that_of_python(self):
        for text in [*TEXTS, LONG[:5000]]:
            self.assertEqual(self.tokenizer.decode(self.tokenizer.encode(text)), text)
        halves = self.tokenizer.find(b"\xf0"), self.tokenizer.find(b"\x9f")
        self.assertEqual(self.tokenizer.decode(halves), b"\xf0\x9f".decode(errors="replace"))
        self.assertEqual(self.tokenizer.decode(halves, errors="ignore"), "")
        with self.assertRaises(UnicodeDecodeError):
            self.tokenizer.decode(halves, errors="strict")

    def test_every_kind_of_ids_is_read(self):
        ids = self.tokenizer.encode("the cat")
        for kind in (list, tuple, np.uint16, np.int64, np.uint32):
            other = ids.astype(kind) if isinstance(kind, type) and issubclass(kind, np.generic) else kind(ids)
            self.assertEqual(self.tokenizer.decode(other), "the cat")
        self.assertEqual(self.tokenizer.decode(np.repeat(ids, 2)[::2]), "the cat")
        self.assertEqual(self.tokenizer.decode([]), "")

    def test_wrong_ids_are_refused(self):
        size = self.tokenizer.vocab_size
        with self.assertRaisesRegex(ValueError, f"id {size} at position 1, expected below the vocabulary size {size}"):
            self.tokenizer.decode([0, size])
        for ids in ([-1], [2**31], [2**64 - 1], np.array([2**32 + 1], np.uint64)):
            with self.assertRaises(ValueError):
                self.tokenizer.decode(ids)
        with self.assertRaisesRegex(TypeError, "expected integers"):
            self.tokenizer.decode([0.5])
        with self.assertRaisesRegex(ValueError, "dimensions"):
            self.tokenizer.decode([[1, 2]])

    def test_tokens_are_found(self):
        self.assertEqual(self.tokenizer.vocab_size, len(self.vocab))
        for index, token in self.vocab.items():
            self.assertEqual(self.tokenizer.token(index), token)
            self.assertEqual(self.tokenizer.find(token), index)
        self.assertIsNone(self.tokenizer.find("no such token"))


class Files(TokenizerCase):
    def test_saved_files_give_the_same_ids(self):
        loaded = cs336.Tokenizer.from_files(*map(str, self.files), SPECIAL)
        text = "".join(TEXTS) + LONG[:3000]
        self.assertEqual(loaded.encode(text).tolist(), self.tokenizer.encode(text).tolist())
        self.assertEqual(json.loads(self.files[0].read_text())[END], loaded.find(END))

    def test_a_tokenizer_json_gives_the_same_ids(self):
        """The program writes it; its added tokens are special tokens without being named."""
        path = self.folder / "tokenizer.json"
        program(
            "export-tokenizer", "--vocab", self.files[0], "--merges", self.files[1], "--special-token", END,
            "--output", path,
        )  # fmt: skip
        loaded = cs336.Tokenizer.from_file(path)
        text = "".join(TEXTS)
        self.assertEqual(loaded.encode(text).tolist(), self.plain(text))
        with self.assertRaisesRegex(ValueError, "vocab.json"):
            cs336.Tokenizer.from_file(self.files[0])
        with self.assertRaisesRegex(OSError, "none"):
            cs336.Tokenizer.from_file(self.folder / "none")

    def test_save_writes_one_file_as_the_program_does(self):
        text = "".join(TEXTS)
        for name, options in (("t.json", {}), ("t.tiktoken", {"pattern": "gpt2", "special_tokens": [END]})):
            saved, theirs = self.folder / name, self.folder / ("theirs-" + name)
            self.tokenizer.save(saved)
            program(
                "export-tokenizer", "--vocab", self.files[0], "--merges", self.files[1], "--special-token", END,
                "--output", theirs,
            )  # fmt: skip
            self.assertEqual(saved.read_bytes(), theirs.read_bytes())
            loaded = cs336.Tokenizer.from_file(saved, **options)
            self.assertEqual(loaded.encode(text).tolist(), self.plain(text))
        with self.assertRaisesRegex(OSError, "none/t.json: cannot write"):
            self.tokenizer.save(self.folder / "none" / "t.json")
        with self.assertRaisesRegex(ValueError, "save: path is '-', expected the path of a file"):
            self.tokenizer.save("-")
        with self.assertRaisesRegex(ValueError, "is not UTF-8"):
            cs336.Tokenizer({i: bytes([i]) for i in range(256)}, [], [b"\xff\xfe"]).save(self.folder / "bad.json")
        self.assertFalse((self.folder / "bad.json").exists())

    def test_what_is_left_out_is_warned_of(self):
        path = self.folder / "t.json"
        self.tokenizer.save(path)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            cs336.Tokenizer.from_file(path)
        whole = json.loads(path.read_text())
        path.write_text(json.dumps({**whole, "decoder": None, "truncation": {}}))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loaded = cs336.Tokenizer.from_file(path)
        self.assertEqual(loaded.decode(loaded.encode("the cat")), "the cat")
        self.assertEqual([warning.filename for warning in caught], [__file__, __file__])
        self.assertRegex(str(caught[0].message), r"t\.json: its truncation of long texts is left out")
        self.assertRegex(str(caught[1].message), r"t\.json: it has no decoder")

    def test_the_pattern_decides(self):
        """GPT-4's pattern takes three digits at most, GPT-2's all of them."""
        text = self.write("digits", "12345 " * 20)
        for pattern, longest in (("gpt2", b"12345"), ("gpt4", b"123")):
            vocab, merges = cs336.train_bpe(text, 300, pattern=pattern)
            digits = [token for token in vocab.values() if token.isdigit()]
            self.assertEqual(max(digits, key=len), longest)
            tokenizer = cs336.Tokenizer(vocab, merges, pattern=pattern)
            files = self.folder / "v.json", self.folder / "m.txt"
            tokenizer.save(*files)
            loaded = cs336.Tokenizer.from_files(*files, pattern=pattern)
            for made in (tokenizer, loaded):
                self.assertEqual(made.token(made.encode("12345")[0]), longest)
        for call in (
            lambda: cs336.train_bpe(text, 300, pattern="gpt5"),
            lambda: cs336.Tokenizer(vocab, merges, pattern="gpt5"),
            lambda: cs336.Tokenizer.from_file("x", pattern="gpt5"),
        ):
            with self.assertRaisesRegex(ValueError, "pattern is 'gpt5', expected 'gpt2' or 'gpt4'"):
                call()

    def test_bad_files_are_refused(self):
        with self.assertRaisesRegex(OSError, "one: cannot be both the vocabulary and the list of merges"):
            self.tokenizer.save(self.folder / "one", self.folder / "one")
        self.assertFalse((self.folder / "one").exists())
        with self.assertRaisesRegex(OSError, "none.json: .*No such file"):
            cs336.Tokenizer.from_files(self.folder / "none.json", self.files[1])
        with self.assertRaisesRegex(ValueError, "vocab.json"):
            cs336.Tokenizer.from_files(self.write("vocab.json", '{"a": 7}'), self.files[1])

    def test_bad_vocabularies_are_refused(self):
        with self.assertRaisesRegex(ValueError, "ids are not 0 to"):
            cs336.Tokenizer({0: b"a", 2: b"b"}, [])
        with self.assertRaisesRegex(ValueError, "has no token b'zz'"):
            cs336.Tokenizer({i: bytes([i]) for i in range(256)}, [(b"z", b"z")])
        with self.assertRaises(ValueError):
            cs336.Tokenizer({0: b"a"}, [])  # bytes without a token

    def encode_by_program(self, source, output):
        program(
            "encode", "--vocab", self.files[0], "--merges", self.files[1], "--special-token", END,
            "--input", source, "--output", output,
        )  # fmt: skip

    def test_files_of_ids_have_the_bytes_of_the_program(self):
        self.addCleanup(cs336.set_threads, 0)
        texts = {"long": LONG, "short": "the cat", "empty": ""}
        for name, text in texts.items():
            source = self.write(name, text)
            for suffix in ("bin", "npy"):
                theirs, ours = (self.folder / f"{name}.{who}.{suffix}" for who in ("theirs", "ours"))
                self.encode_by_program(source, theirs)
                for threads in (1, 2):
                    cs336.set_threads(threads)
                    ids = self.tokenizer.encode_file(source, ours)
                    self.assertEqual(ours.read_bytes(), theirs.read_bytes())
                    self.assertEqual(ids.dtype, np.uint16)
                    self.assertEqual(ids.tolist(), self.tokenizer.encode(text).tolist())
                if suffix == "bin":
                    sidecars = [path.with_name(path.name + ".json").read_text() for path in (ours, theirs)]
                    self.assertEqual(*sidecars)

    def test_many_tokens_are_written_as_uint32(self):
        tokens = [bytes([i]) for i in range(256)] + [b"%d" % i for i in range(10, 65600)] + [b"zz"]
        tokenizer = cs336.Tokenizer(dict(enumerate(tokens)), [(b"z", b"z")])
        ids = tokenizer.encode_file(self.write("text", "azz"), self.folder / "ids")
        self.assertEqual((ids.dtype, ids.tolist()), (np.uint32, [ord("a"), len(tokens) - 1]))

    def test_failures_leave_nothing(self):
        source = self.write("text", "the cat")
        with self.assertRaisesRegex(OSError, "none: .*No such file"):
            self.tokenizer.encode_file(self.folder / "none", self.folder / "ids")
        with self.assertRaisesRegex(ValueError, "it is also the input"):
            self.tokenizer.encode_file(source, source)
        with self.assertRaises(OSError):
            self.tokenizer.encode_file(source, self.folder / "none" / "ids")
        with self.assertRaises(OSError):
            self.tokenizer.encode_file(source, self.folder)
        with self.assertRaisesRegex(ValueError, "expected the path of a file"):
            self.tokenizer.encode_file(source, "-")
        self.assertEqual([path.name for path in self.folder.iterdir()], ["text"])
        self.assertEqual(source.read_text(), "the cat")


class Peers(TokenizerCase):
    """The same vocabulary in other libraries, where they are installed."""

    def test_ids_are_those_of_tiktoken(self):
        try:
            import tiktoken
        except ImportError:
            self.skipTest("tiktoken is not installed")
        pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
        ordinary = {token: index for index, token in self.vocab.items() if token != END.encode()}
        peer = tiktoken.Encoding("test", pat_str=pattern, mergeable_ranks=ordinary, special_tokens={END: self.tokenizer.find(END)})
        for text in [*TEXTS, LONG[:100000]]:
            self.assertEqual(self.tokenizer.encode(text).tolist(), peer.encode(text, allowed_special="all"))

    def test_ids_are_those_of_tokenizers(self):
        try:
            import tokenizers
        except ImportError:
            self.skipTest("tokenizers is not installed")
        peer = tokenizers.Tokenizer(tokenizers.models.BPE.from_file(*map(str, self.files)))
        peer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        peer.add_special_tokens([tokenizers.AddedToken(END, special=True, normalized=False)])
        for text in [*TEXTS, LONG[:100000]]:
            self.assertEqual(self.tokenizer.encode(text).tolist(), peer.encode(text).ids)

    def test_the_plain_pattern_is_that_of_regex(self):
        try:
            import regex
        except ImportError:
            self.skipTest("regex is not installed")
        import re

        pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
        for text in [*TEXTS, LONG[:100000]]:
            self.assertEqual(re.findall(PATTERN, text), regex.findall(pattern, text))


if __name__ == "__main__":
    unittest.main()
