"""The tokenizer and the language model of this repository, computed in C, for Python and numpy.

    import cs336

    vocab, merges = cs336.train_bpe("text.txt", 4096, ["<|endoftext|>"])
    tokenizer = cs336.Tokenizer(vocab, merges, ["<|endoftext|>"])
    ids = tokenizer.encode("Once upon a time")            # numpy array of int32
    text = tokenizer.decode(ids)

    model = cs336.Model.load("run/checkpoint.safetensors")
    logits = model.logits(ids)                            # numpy array of float32, (positions, vocab_size)
    print(model.generate_text(tokenizer, "Once upon a time"))

- Arrays go in and out without copies, where their type is C's: int32 ids, float32 numbers.
- Python's global lock (GIL) is released while C computes. Several Python threads may use one Tokenizer or one Model.
- Files of text may be compressed (.gz, .zst), pipes, and with `text_field` JSON Lines.
- An error of C is an exception with C's message: ValueError for a wrong number, shape or file format, OSError for a file
  that cannot be read or written, MemoryError. A value of a wrong type is a TypeError.
- Ctrl-C ends learning, encoding and generation within a fraction of a second, but a call that waits for a pipe waits on.
  `Model.logits` first computes to its end.
"""

from ._threads import set_threads, threads
from ._version import __version__
from .bpe import train_bpe
from .model import Model, ModelConfig
from .tokenizer import Tokenizer

__all__ = ["Model", "ModelConfig", "Tokenizer", "__version__", "set_threads", "threads", "train_bpe"]
