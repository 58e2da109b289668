"""Learning a vocabulary from text: tokenizer/learn/bpe_train.h."""

from __future__ import annotations

import ctypes
import operator
import os
from ctypes import byref
from typing import Dict, List, Sequence, Tuple, Union

from . import _library as c
from ._library import lib
from ._names import value_of
from ._threads import interruptible

Path = Union[str, "os.PathLike[str]"]


def special_bytes(special_tokens: Sequence[Union[str, bytes]]) -> List[bytes]:
    """Returns the texts of special tokens as UTF-8."""
    if isinstance(special_tokens, (str, bytes)):
        raise TypeError(f"special_tokens is the text {special_tokens!r}, expected a list of texts")
    return [text.encode() if isinstance(text, str) else bytes(text) for text in special_tokens]


def train_bpe(
    path: Union[Path, Sequence[Path]],
    vocab_size: int,
    special_tokens: Sequence[Union[str, bytes]] = (),
    pattern: str = "gpt2",
) -> Tuple[Dict[int, bytes], List[Tuple[bytes, bytes]]]:
    """Learns a byte-level byte-pair encoding, as the course's problem train_bpe asks.

    path            a text file, or several that are one corpus
    vocab_size      entries of the vocabulary: special tokens, the 256 bytes, merges. A text with too few pairs gives
                    fewer
    special_tokens  texts that are one token each and are never merged with their neighbours. They get the lowest ids
    pattern         how text is split into pre-tokens: "gpt2", the course's, or "gpt4". The Tokenizer needs the same

    Returns the vocabulary, the bytes of each token by id, and the merges in the order in which they were learned.
    """
    paths = [c.path_bytes(p) for p in ([path] if isinstance(path, (str, bytes, os.PathLike)) else path)]
    special = c.byte_strings(special_bytes(special_tokens))
    split_by = value_of("pattern_names", pattern, "pattern")
    size = operator.index(vocab_size)
    if size < 0:
        raise ValueError(f"train_bpe: vocab_size is {size}, expected at least 256 and the special tokens")

    def learn(stop: ctypes.c_int) -> Tuple[Dict[int, bytes], List[Tuple[bytes, bytes]]]:
        model = c.BPEModel()
        config = c.BPETrainConfig(
            vocab_size=size,
            special_tokens=special,
            special_count=len(special),
            pattern=split_by,
            stop=ctypes.addressof(stop),
        )
        try:
            lib.bpe_train_files(
                byref(model), None, (ctypes.c_char_p * len(paths))(*paths), len(paths), byref(config)
            )
            return c.model_tokens(model)
        finally:
            lib.bpe_model_deinit(byref(model))

    return interruptible(learn)
