"""Threads, Ctrl-C and memory."""

import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
import unittest

import numpy as np

import cs336
from cs336 import _library
from cs336._threads import interruptible
from support import END, TEXTS, status_in_fork, words
from test_model import ModelCase
from test_tokenizer import LONG, TokenizerCase


def in_threads(works):
    """Runs functions at the same time and returns their results."""
    results = [None] * len(works)

    def run(i):
        results[i] = works[i]()

    workers = [threading.Thread(target=run, args=(i,)) for i in range(len(works))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return results


class Threads(TokenizerCase):
    def test_threads_encode_at_the_same_time(self):
        texts = [words(3000, seed=seed) for seed in range(4)] + [LONG]
        expected = [self.tokenizer.encode(text).tolist() for text in texts]

        def work(text):
            return [self.tokenizer.encode(text).tolist() for _ in range(5)]

        for got, ids in zip(in_threads([lambda text=text: work(text) for text in texts]), expected):
            self.assertEqual(got, [ids] * 5)

    def test_python_goes_on_while_c_computes(self):
        """The main thread counts while another one encodes. With the GIL held, it would count nothing until the end."""
        text = LONG * 10
        done, begun = threading.Event(), threading.Event()

        def encode():
            begun.set()
            self.tokenizer.encode(text)
            done.set()

        cs336.set_threads(1)
        self.addCleanup(cs336.set_threads, 0)
        worker = threading.Thread(target=encode)
        worker.start()
        begun.wait()
        count = 0
        while not done.is_set():
            time.sleep(0.001)
            count += 1
        worker.join()
        self.assertGreater(count, 20)

    def test_errors_belong_to_their_thread(self):
        """C keeps the message of the latest error for each thread."""

        def fail(token):
            messages = set()
            for _ in range(200):
                try:
                    self.tokenizer.decode([token])
                except ValueError as error:
                    messages.add(str(error).split(",")[0])
            return messages

        numbers = 100001, 100002, 100003
        for messages, number in zip(in_threads([lambda n=n: fail(n) for n in numbers]), numbers):
            self.assertEqual(messages, {f"tokenizer_decode: id {number} at position 0"})


class Interrupts(TokenizerCase):
    def interrupted(self, line, began):
        """Runs a line of Python, sends SIGINT when began() is true, and returns what the process printed."""
        # A shell starts commands in the background with SIGINT ignored, and Python then leaves it ignored.
        code = "import cs336, signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        code += f"print('begun', flush=True)\n{line}\nprint('finished', flush=True)\n"
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(process.stdout.readline(), "begun\n")
        while not began() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=60)
        self.assertEqual(output, "")
        self.assertIn("KeyboardInterrupt", error)

    def test_ctrl_c_ends_learning(self):
        """Learning a million tokens from these random words would take minutes."""
        letters = bytes(32 if byte < 16 else 97 + byte % 26 for byte in range(256))
        text = self.write("text", random.Random(1).randbytes(16 << 20).translate(letters))
        begin = time.monotonic()
        line = f"cs336.train_bpe({str(text)!r}, 1000000)"
        self.interrupted(line, lambda: time.monotonic() - begin > 1)

    def test_ctrl_c_ends_encoding_and_leaves_no_file(self):
        text, ids = self.write("text", LONG * 50), self.folder / "ids"
        line = f"t = cs336.Tokenizer.from_files(*{[str(path) for path in self.files]!r})\n"
        line += f"cs336.set_threads(1)\nt.encode_file({str(text)!r}, {str(ids)!r})"
        self.interrupted(line, lambda: len(list(self.folder.iterdir())) > 1)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["text"])

    def test_an_interrupted_call_waits_for_c(self):
        """The exception comes once the work has seen the flag and ended, also after a second Ctrl-C."""
        ended = []

        def work(stop):
            main = threading.main_thread().ident
            signal.pthread_kill(main, signal.SIGINT)
            while not stop.value:
                time.sleep(0.001)
            time.sleep(0.05)  # until the main thread waits again
            signal.pthread_kill(main, signal.SIGINT)
            time.sleep(0.05)
            ended.append(True)

        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        with self.assertRaises(KeyboardInterrupt):
            interruptible(work)
        self.assertEqual(ended, [True])

    def test_a_forked_process_has_a_second_thread_of_its_own(self):
        ids = self.tokenizer.encode(LONG)
        self.assertEqual(status_in_fork(lambda: np.array_equal(self.tokenizer.encode(LONG), ids)), 0)

    def test_exceptions_and_results_come_through(self):
        self.assertEqual(interruptible(lambda stop: 7), 7)
        with self.assertRaisesRegex(ZeroDivisionError, "division"):
            interruptible(lambda stop: 1 / 0)
        self.assertEqual(in_threads([lambda: interruptible(lambda stop: threading.current_thread().name)])[0][:7], "Thread-")


def resident_bytes():
    """Returns the memory of this process without what malloc keeps for later, or 0 where the system has no /proc."""
    _library.lib.memory_give_back()
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


class Memory(TokenizerCase):
    def assert_nothing_is_lost(self, work, calls, allowed):
        """Runs work() again and again. C must have as many bytes as before, and the process hardly more."""
        for _ in range(calls // 10):
            work()
        gc.collect()
        in_use, resident = _library.lib.memory_in_use(), resident_bytes()
        for _ in range(calls):
            work()
        gc.collect()
        self.assertEqual(_library.lib.memory_in_use(), in_use)
        self.assertLess(resident_bytes() - resident, allowed)

    def test_ten_thousand_calls_lose_no_memory(self):
        def work():
            for text in TEXTS:
                self.tokenizer.decode(self.tokenizer.encode(text))
            for call in (lambda: self.tokenizer.decode([-1]), lambda: self.tokenizer.encode(None)):
                try:
                    call()
                except (TypeError, ValueError):
                    pass

        self.assert_nothing_is_lost(work, 10000, 2 << 20)

    def test_streams_long_texts_and_tokenizers_lose_no_memory(self):
        ids = self.folder / "ids"
        source = self.write("text", LONG[:3000])

        def work():
            tokenizer = cs336.Tokenizer.from_files(*self.files, [END])
            next(tokenizer.encode_iterable([LONG[:3000]]))
            tokenizer.encode(LONG)
            tokenizer.encode_file(source, ids)
            try:
                cs336.Tokenizer({0: b"a"}, [])
            except ValueError:
                pass

        self.assert_nothing_is_lost(work, 40, 8 << 20)

    def test_arrays_own_their_ids(self):
        ids = self.tokenizer.encode(LONG)
        kept = ids[5:10]
        expected = kept.tolist()
        del ids
        gc.collect()
        self.tokenizer.encode(LONG[::-1])  # would take the memory, if it were free
        self.assertEqual(kept.tolist(), expected)


class MemoryOfModels(ModelCase):
    def test_models_lose_no_memory(self):
        def work():
            model = cs336.Model.load(self.checkpoint("course"))
            model.logits(np.arange(24))
            model.generate([1], max_tokens=3)
            next(model.stream([1]))
            del model.weights["lm_head.weight"]
            try:
                model.logits([400])
            except ValueError:
                pass

        Memory.assert_nothing_is_lost(self, work, 200, 4 << 20)


if __name__ == "__main__":
    unittest.main()
