"""What callers pass, checked before C gets it. A wrong type is one TypeError that names the argument, its type and what
was expected: ctypes would say less, and would take some of them, such as a number where an address is expected."""

from __future__ import annotations

import ctypes
import numbers
import operator
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Dict, List, Optional, Tuple, Union

import numpy as np
import numpy.typing as npt

from . import _library as c
from ._library import lib

Path = Union[str, "os.PathLike[str]"]
Text = Union[str, bytes, bytearray, memoryview, npt.NDArray[np.uint8]]
SpecialTokens = Sequence[Union[str, bytes]]


def kind(value: Any) -> str:
    """Returns the type of a value, for a message."""
    if isinstance(value, np.ndarray):
        return f"a numpy array of {value.dtype} in {value.ndim} dimension{'s' if value.ndim != 1 else ''}"
    if isinstance(value, memoryview):
        return f"a memoryview of the format {value.format!r}"
    return "None" if value is None else type(value).__name__


# ---- numbers ---------------------------------------------------------------------------------------------------------


def integer(name: str, value: Any) -> int:
    """Returns a whole number, also one of numpy."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {kind(value)}, expected a whole number") from None


def natural(name: str, value: Any, bound: int) -> int:
    """Returns a whole number from 0 to below `bound`, for an unsigned number of C, which would wrap around."""
    number = integer(name, value)
    if not 0 <= number < bound:
        raise ValueError(f"{name} is {number}, expected a whole number from 0 to {bound - 1}")
    return number


def real(name: str, value: Any) -> float:
    """Returns a number as a float."""
    if not isinstance(value, numbers.Real):
        raise TypeError(f"{name} is {kind(value)}, expected a number")
    return float(value)


# ---- texts -----------------------------------------------------------------------------------------------------------


def text_view(text: Any, name: str = "text") -> c.ByteString:
    """Returns a view of the bytes of a text, which it keeps alive. They are read where they are, but for a str, which is
    encoded, and for bytes that do not follow each other in memory, which are copied.

    Bytes are only what says so. The memory of an array of int32, for example, is no text: they are ids.
    """
    if isinstance(text, str):
        text = text.encode()
    if isinstance(text, bytes):
        return c.byte_string(text)
    try:
        memory = None if isinstance(text, np.generic) else memoryview(text)  # numpy's numbers have memory too
    except (TypeError, ValueError, BufferError):
        memory = None
    if memory is None or memory.ndim != 1 or memory.format not in ("B", "c"):
        raise TypeError(f"{name} is {kind(text)}, expected str or bytes")
    if not memory.c_contiguous:
        return c.byte_string(memory.tobytes())
    array = np.frombuffer(memory, np.uint8)
    view = c.ByteString(c.address(array), array.size)
    view.owner = array
    return view


def utf8(name: str, text: Any) -> bytes:
    """Returns a short text, such as a token, as bytes."""
    if not isinstance(text, (str, bytes)):
        raise TypeError(f"{name} is {kind(text)}, expected str or bytes")
    return text.encode() if isinstance(text, str) else text


def special_bytes(special_tokens: Optional[SpecialTokens]) -> List[bytes]:
    """Returns the texts of special tokens as UTF-8. Their order decides about ids, so a set is refused."""
    if special_tokens is None:
        return []
    if isinstance(special_tokens, (str, bytes)):
        raise TypeError(f"special_tokens is the text {special_tokens!r}, expected a list of texts")
    if not isinstance(special_tokens, Sequence):
        raise TypeError(f"special_tokens is {kind(special_tokens)}, expected a list of texts")
    return [utf8(f"special_tokens[{i}]", text) for i, text in enumerate(special_tokens)]


def items(values: Any) -> Optional[List[Any]]:
    """Returns what an iterable has, or None if it is none, such as an array without dimensions."""
    try:
        return list(values)
    except TypeError:
        if isinstance(values, Iterator):  # its own error
            raise
        return None


# ---- vocabularies ----------------------------------------------------------------------------------------------------


def vocabulary(vocab: Any, merges: Any) -> Tuple[Dict[int, bytes], List[Tuple[bytes, bytes]]]:
    """Returns a vocabulary and merges whose types are right."""
    if not isinstance(vocab, Mapping):
        raise TypeError(f"vocab is {kind(vocab)}, expected a dictionary that has the bytes of each token by id")
    for token_id, token in vocab.items():
        if not isinstance(token, bytes):
            raise TypeError(f"vocab[{token_id!r}] is {kind(token)}, expected bytes")
        if not isinstance(token_id, numbers.Integral):
            raise TypeError(f"vocab has the id {token_id!r}, expected a whole number")
    pairs = None if isinstance(merges, (str, bytes, Mapping)) else items(merges)
    if pairs is None:
        raise TypeError(f"merges is {kind(merges)}, expected a list of pairs of bytes")
    for i, pair in enumerate(pairs):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not all(isinstance(part, bytes) for part in pair):
            raise TypeError(f"merges[{i}] is {pair!r}, expected a pair of bytes")
    return dict(vocab), [(left, right) for left, right in pairs]


# ---- files -----------------------------------------------------------------------------------------------------------


def path_list(paths: Any) -> List[bytes]:
    """Returns one path or several as C takes them."""
    if isinstance(paths, (str, bytes, os.PathLike)):
        return [c.path_bytes(paths)]
    several = items(paths)
    if several is None:
        raise TypeError(f"path is {kind(paths)}, expected a path or a list of paths")
    if not several:
        raise ValueError("path is an empty list, expected at least one file")
    return [c.path_bytes(path, f"path[{i}]") for i, path in enumerate(several)]


def text_field(name: Any, special: List[bytes], paths: List[bytes]) -> c.TextField:
    """Returns how documents are found in files: their field and what is put after each. Without a field, files that are
    named as JSON Lines are warned of."""
    if name is None:
        for path in filter(lib.text_is_named_json_lines, paths):
            warnings.warn(
                f"{os.fsdecode(path)} is read as plain text, with the JSON around its documents; text_field=NAME reads the "
                "documents alone",
                stacklevel=3,
            )
        return c.TextField()
    if not isinstance(name, str):
        raise TypeError(f"text_field is {kind(name)}, expected the name of a field")
    if not name:
        raise ValueError("text_field is empty, expected the name of a field")
    if any(b"\0" in text for text in [name.encode(), *special]):
        raise ValueError("text_field and the special tokens beside it may have no zero byte")
    tokens = (ctypes.c_char_p * len(special))(*special)
    return c.TextField(name=name.encode(), ending=lib.text_field_ending(tokens, len(special)))
