"""Learning a vocabulary from Python."""

import unittest

import cs336
from support import END, TemporaryFiles, plain_train, words


class Learning(TemporaryFiles):
    def test_vocabulary_and_merges_are_those_of_plain_bpe(self):
        text = words(600)
        path = self.write("text.txt", text)
        for special, size in [([], 300), ([END], 330), ([END, "ö", "<|x|>"], 300)]:
            with self.subTest(special=special):
                self.assertEqual(cs336.train_bpe(path, size, special), plain_train(text, size, special))

    def test_several_files_are_one_corpus(self):
        """No pre-token reaches from one file into the next: "a" and "b" are never neighbours."""
        paths = [self.write("1", "xy a"), self.write("2", "b xy xy")]
        vocab, merges = cs336.train_bpe(paths, 400)
        self.assertEqual(merges[0], (b"x", b"y"))
        self.assertNotIn((b"a", b"b"), merges)
        self.assertEqual(len(vocab), 256 + len(merges))

    def test_threads_do_not_change_the_result(self):
        path = self.write("text.txt", words(40000))
        results = []
        for threads in (1, 3):
            cs336.set_threads(threads)
            self.addCleanup(cs336.set_threads, 0)
            results.append(cs336.train_bpe(path, 400, [END]))
        self.assertEqual(*results)

    def test_errors_have_the_message_of_c(self):
        path = self.write("text.txt", "a text")
        with self.assertRaisesRegex(ValueError, "vocab"):
            cs336.train_bpe(path, 100)
        with self.assertRaisesRegex(ValueError, "vocab_size is -1"):
            cs336.train_bpe(path, -1)
        with self.assertRaisesRegex(ValueError, "special token"):
            cs336.train_bpe(path, 300, [""])
        with self.assertRaisesRegex(OSError, "none.txt: .*No such file"):
            cs336.train_bpe(self.folder / "none.txt", 300)
        with self.assertRaisesRegex(TypeError, "special_tokens is the text"):
            cs336.train_bpe(path, 300, END)
        with self.assertRaises(TypeError):
            cs336.train_bpe(path, 300.5)
        with self.assertRaisesRegex(ValueError, "zero byte"):
            cs336.train_bpe("te\0xt", 300)


if __name__ == "__main__":
    unittest.main()
