"""Files in all forms that the program reads: Python reads the same, with the same results."""

import base64
import gzip
import json
import os
import pathlib
import subprocess
import sys
import unittest
import warnings

import cs336
from support import END, TemporaryFiles, program, try_program, words

TEXT = words(4000)
DOCUMENTS = [words(800, seed=seed) for seed in range(4)] + ["", "naïve \"東京\"\n"]


def lines_of(documents, field="text"):
    """Returns documents as JSON Lines, with other fields and an empty line."""
    return "\n\n".join(json.dumps({"id": i, field: text}) for i, text in enumerate(documents)) + "\n"


class Inputs(TemporaryFiles):
    def setUp(self):
        super().setUp()
        self.plain = self.write("plain", TEXT)
        self.vocab, self.merges = cs336.train_bpe(self.plain, 400, [END])
        self.tokenizer = cs336.Tokenizer(self.vocab, self.merges, [END])
        self.files = self.folder / "vocab.json", self.folder / "merges.txt"
        self.tokenizer.save(*self.files)

    def assert_trained_as_by_program(self, got, source, options):
        """Compares a vocabulary and merges with the files that the program writes."""
        theirs = self.folder / "theirs.json", self.folder / "theirs.txt"
        ours = self.folder / "ours.json", self.folder / "ours.txt"
        program("train-bpe", "--input", source, "--vocab-size", 400, "--vocab", theirs[0], "--merges", theirs[1], *options)
        special = [options[i + 1] for i, option in enumerate(options) if option == "--special-token"] or [END]
        cs336.Tokenizer(*got, special).save(*ours)
        for a, b in zip(ours, theirs):
            self.assertEqual(a.read_bytes(), b.read_bytes())

    def assert_encoded_as_by_program(self, tokenizer, source, options, **arguments):
        """Compares a file of ids with the one that the program writes."""
        theirs, ours = self.folder / "theirs.bin", self.folder / "ours.bin"
        files = "--vocab", self.files[0], "--merges", self.files[1]
        program("encode", *files, "--input", source, "--output", theirs, *options)
        ids = tokenizer.encode_file(source, ours, **arguments)
        self.assertEqual(ours.read_bytes(), theirs.read_bytes())
        return ids.tolist()

    def assert_same_as_plain(self, source):
        self.assertEqual(cs336.train_bpe(source, 400, [END]), (self.vocab, self.merges))
        ids = self.tokenizer.encode_file(source, self.folder / "ids")
        self.assertEqual(ids.tolist(), self.tokenizer.encode(TEXT).tolist())

    def test_gzip_is_read_as_its_text(self):
        compressed = self.write("text.gz", gzip.compress(TEXT.encode()))
        try:
            self.assert_same_as_plain(compressed)
        except ValueError as error:
            self.assertIn("without zlib", str(error))
            self.skipTest(str(error))
        several = [self.plain, compressed]
        self.assertEqual(cs336.train_bpe(several, 400, [END]), cs336.train_bpe([self.plain, self.plain], 400, [END]))

    def test_zstd_is_read_as_its_text(self):
        compressed = self.folder / "text.zst"
        try:
            subprocess.run(["zstd", "--quiet", self.plain, "-o", compressed], check=True)
            self.assert_same_as_plain(compressed)
        except FileNotFoundError:
            self.skipTest("there is no program zstd")
        except ValueError as error:
            self.assertIn("without libzstd", str(error))
            self.skipTest(str(error))

    def test_pipes_are_read_to_their_end(self):
        code = "import sys, cs336; print(cs336.train_bpe(sys.argv[1], 400, sys.argv[2:]))"
        for path in ("-", "/dev/stdin"):
            done = subprocess.run([sys.executable, "-c", code, path, END], input=TEXT.encode(), capture_output=True)
            self.assertEqual(done.stdout.decode().strip(), repr((self.vocab, self.merges)), done.stderr)

    def test_other_formats_are_refused_with_a_pipe(self):
        fixtures = pathlib.Path(__file__).parents[1] / "fixtures" / "compressed"
        for name, message in (("text.bz2", "bzip2 -dc"), ("table.parquet", "pandas"), ("text.tar", "tar -xOf")):
            for call in (
                lambda: cs336.train_bpe(fixtures / name, 400),
                lambda: self.tokenizer.encode_file(fixtures / name, self.folder / "none"),
            ):
                with self.subTest(name=name), self.assertRaisesRegex(ValueError, message):
                    call()
        self.assertFalse((self.folder / "none").exists())

    def test_json_lines_are_documents(self):
        """Each document is followed by <|endoftext|>, or by the first special token if others are named only."""
        source = self.write("documents.jsonl", lines_of(DOCUMENTS))
        for special, ending in (([], END), ([END], END), (["<|x|>", END], END), (["<|x|>", "<|y|>"], "<|x|>")):
            with self.subTest(special=special):
                options = [text for token in special for text in ("--special-token", token)] + ["--text-field", "text"]
                got = cs336.train_bpe(source, 400, special, text_field="text")
                text = self.write("text", "".join(document + ending for document in DOCUMENTS))
                self.assertEqual(got, cs336.train_bpe(text, 400, special or [END]))
                self.assert_trained_as_by_program(got, source, options)
                if special:
                    tokenizer = cs336.Tokenizer.from_files(*self.files, special)
                    ids = self.assert_encoded_as_by_program(tokenizer, source, options, text_field="text")
                    self.assertEqual(ids, tokenizer.encode(text.read_bytes()).tolist())

    def test_the_ending_must_be_a_special_token(self):
        source = self.write("documents.jsonl", lines_of(DOCUMENTS))
        vocab, merges = cs336.train_bpe(self.plain, 300)
        tokenizer = cs336.Tokenizer(vocab, merges)
        with self.assertRaisesRegex(ValueError, r"no special token <\|endoftext\|>, which text_field puts after"):
            tokenizer.encode_file(source, self.folder / "ids", text_field="text")
        self.assertFalse((self.folder / "ids").exists())

    def test_lines_that_are_no_documents_are_refused_with_their_number(self):
        for line, message in (('{"id": 1}', ':2: no field "text"'), ("[1]", ":2: begins with"), ('{"text": 1}', ":2: ")):
            source = self.write("bad", lines_of(["a"]).replace("\n\n", "\n").strip() + f"\n{line}\n")
            for call in (
                lambda: cs336.train_bpe(source, 400, text_field="text"),
                lambda: self.tokenizer.encode_file(source, self.folder / "none", text_field="text"),
            ):
                with self.subTest(line=line), self.assertRaisesRegex(ValueError, message):
                    call()
        self.assertFalse((self.folder / "none").exists())

    def test_an_empty_field_is_refused(self):
        with self.assertRaisesRegex(ValueError, "text_field is empty, expected the name of a field"):
            cs336.train_bpe(self.write("lines.jsonl", "{}"), 400, text_field="")

    def test_json_lines_without_a_field_are_warned_of(self):
        source, other = self.write("documents.jsonl", lines_of(DOCUMENTS)), self.write("documents", lines_of(DOCUMENTS))
        for call in (
            lambda path: cs336.train_bpe(path, 400),
            lambda path: self.tokenizer.encode_file(path, self.folder / "ids"),
        ):
            with self.assertWarnsRegex(UserWarning, "documents.jsonl is read as plain text.*text_field=NAME") as warned:
                call(source)
            self.assertEqual(os.path.basename(warned.filename), "test_inputs.py")
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                call(other)

    def test_messages_name_arguments_in_place_of_options(self):
        """The program says --pattern where Python says pattern=."""
        ranks = self.write("ranks", "".join(f"{line}\n" for line in self.rank_lines()))
        said = try_program("encode", "--tokenizer", ranks, "--input", self.plain, "--output", self.folder / "none")
        self.assertRegex(said, "give --pattern gpt2, or --pattern gpt4")
        with self.assertRaisesRegex(ValueError, 'give pattern="gpt2", or pattern="gpt4"'):
            cs336.Tokenizer.from_file(ranks)
        self.assertEqual(cs336.Tokenizer.from_file(ranks, pattern="gpt2").vocab_size, 257)
        for path in (self.files[0], self.write("merges", "#version: 0.2\n")):
            with self.assertRaisesRegex(ValueError, r"vocab= of from_files\(\)"):
                cs336.Tokenizer.from_file(path)
        program(
            "export-tokenizer", "--vocab", self.files[0], "--merges", self.files[1], "--special-token", END,
            "--output", self.folder / "tokenizer.json",
        )  # fmt: skip
        with self.assertRaisesRegex(ValueError, "its pattern is gpt2, not the gpt4 of pattern="):
            cs336.Tokenizer.from_file(self.folder / "tokenizer.json", pattern="gpt4")
        with self.assertRaisesRegex(ValueError, r"from_file\(\) reads a tokenizer.json"):
            cs336.Tokenizer.from_files(self.folder / "tokenizer.json", self.files[1])

    @staticmethod
    def rank_lines():
        for rank, token in enumerate([*(bytes([byte]) for byte in range(256)), b"ab"]):
            yield f"{base64.b64encode(token).decode()} {rank}"


if __name__ == "__main__":
    unittest.main()
