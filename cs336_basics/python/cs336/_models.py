"""Scratch memory, lists of parameters, input files and vocabularies, made for C and freed again."""

import contextlib
import ctypes
from collections.abc import Iterable
from ctypes import byref

from ._loading import lib
from ._strings import byte_string, view_bytes
from ._structs import Arena, BPEMerge, BPEModel, InputTexts, Parameter, ParameterList, TextField


@contextlib.contextmanager
def arena(capacity: int):
    """Yields an arena of so many bytes, and frees it at the end of the `with` block."""
    memory = Arena()
    lib.arena_init(byref(memory), capacity)
    try:
        yield memory
    finally:
        lib.arena_deinit(byref(memory))


def parameter_list(parameters) -> ParameterList:
    """Returns the list of some Parameter structs, and keeps them alive."""
    items = (Parameter * len(parameters))(*parameters)
    views = ParameterList(items, len(parameters))
    views.owner = (items, list(parameters))
    return views


@contextlib.contextmanager
def input_texts(paths: list[bytes], field: TextField):
    """Yields the texts of files, and closes them at the end of the `with` block."""
    texts, strings = InputTexts(), (ctypes.c_char_p * len(paths))(*paths)
    try:
        lib.input_texts_begin(byref(texts), strings, len(paths), field)
        yield texts
    finally:
        lib.input_texts_end(byref(texts))


@contextlib.contextmanager
def bpe_model(vocab: dict[int, bytes], merges: list[tuple[bytes, bytes]], special: Iterable[bytes] = ()):
    """Yields the BPEModel of a vocabulary, whose ids are 0 to n - 1 in any order, and of its merges by rank.

    special: which tokens are special; a byte, or a token that a merge makes, is an ordinary one. The model is freed at the
    end of the `with` block. C's merges are ids, so each pair is looked up: the lowest id with these bytes."""
    if sorted(vocab) != list(range(len(vocab))):
        raise ValueError(f"vocab has {len(vocab)} tokens, but their ids are not 0 to {len(vocab) - 1}")
    ids = {vocab[index]: index for index in reversed(range(len(vocab)))}
    model = BPEModel()
    try:
        merged = {left + right for left, right in merges}
        own = {token for token in special if len(token) > 1 and token not in merged}
        for index in range(len(vocab)):
            first = vocab[index] in own and ids[vocab[index]] == index
            add = lib.bpe_model_add_special if first else lib.bpe_model_add_token
            add(byref(model), byte_string(vocab[index]))
        ranks: dict[tuple[bytes, bytes], int] = {}
        for rank, (left, right) in enumerate(merges):
            if ranks.setdefault((left, right), rank) != rank:  # as the readers of merges.txt and tokenizer.json say
                raise ValueError(f"merges[{rank}]: the merge {(left, right)!r} comes a second time")
            for token in (left, right, left + right):
                if token not in ids:
                    raise ValueError(f"merge {(left, right)!r}: the vocabulary has no token {token!r}")
            lib.bpe_model_add_merge(byref(model), BPEMerge(ids[left], ids[right], ids[left + right]))
        yield model
    finally:
        lib.bpe_model_deinit(byref(model))


def model_tokens(model: BPEModel) -> tuple[dict[int, bytes], list[tuple[bytes, bytes]]]:
    """Returns a model as the course has it: the tokens' bytes by id, and the merges as pairs of bytes by rank."""
    vocab = {index: view_bytes(lib.bpe_model_token(byref(model), index)) for index in range(model.vocab_size)}
    merges = [(vocab[merge.left], vocab[merge.right]) for merge in model.merges[: model.merge_count]]
    return vocab, merges
