"""Learning a vocabulary from text: tokenizer/learn/bpe_train_inputs.h."""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Dict, List, Optional, Sequence, Tuple, Union

from . import _library as c
from ._arguments import Path, SpecialTokens, natural, path_list, special_bytes, text_field as field_of
from ._library import lib
from ._names import value_of
from ._threads import interruptible


def train_bpe(
    path: Union[Path, Sequence[Path]],
    vocab_size: int,
    special_tokens: Optional[SpecialTokens] = (),
    pattern: str = "gpt2",
    text_field: Optional[str] = None,
) -> Tuple[Dict[int, bytes], List[Tuple[bytes, bytes]]]:
    """Learns a byte-level byte-pair encoding, as the course's problem train_bpe asks.

    path            a text file, or several that are one corpus; also .gz and .zst, and "-" is standard input
    vocab_size      entries of the vocabulary: special tokens, the 256 bytes, merges. A text with too few pairs gives
                    fewer
    special_tokens  texts that are one token each and are never merged with their neighbours. They get the lowest ids
    pattern         how text is split into pre-tokens: "gpt2", the course's, or "gpt4". The Tokenizer needs the same
    text_field      the files are JSON Lines: each line is an object, and its field of this name a document. After each
                    document comes <|endoftext|>, or the first special token if others are given only. It is a special
                    token also if none is given

    Returns the vocabulary, the bytes of each token by id, and the merges in the order in which they were learned.
    """
    paths, special = path_list(path), special_bytes(special_tokens)
    field = field_of(text_field, special, paths)
    if field.name is not None and not special:
        special = [field.ending]
    split_by = value_of("pattern_names", pattern, "pattern")
    size = natural("vocab_size", vocab_size, 2**31)
    views = c.byte_strings(special)

    def learn(stop: ctypes.c_int) -> Tuple[Dict[int, bytes], List[Tuple[bytes, bytes]]]:
        model = c.BPEModel()
        config = c.BPETrainConfig(
            vocab_size=size,
            special_tokens=views,
            special_count=len(views),
            pattern=split_by,
            stop=ctypes.addressof(stop),
        )
        try:
            with c.input_texts(paths, field) as texts:
                lib.bpe_train_inputs(byref(model), None, byref(texts), byref(config))
            return c.model_tokens(model)
        finally:
            lib.bpe_model_deinit(byref(model))

    return interruptible(learn)
