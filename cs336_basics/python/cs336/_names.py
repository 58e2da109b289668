"""The names of the values of C's enums, which C has as lists of texts that end with NULL."""

from __future__ import annotations

import ctypes
from typing import List

from ._library import lib


def names(symbol: str) -> List[str]:
    """Returns the texts of a list such as norm_names, in the order of the enum."""
    texts: List[str] = []
    while True:
        text = (ctypes.c_char_p * (len(texts) + 1)).in_dll(lib, symbol)[len(texts)]
        if text is None:
            return texts
        texts.append(text.decode())


def value_of(symbol: str, name: str, what: str) -> int:
    """Returns the value of an enum that a name stands for."""
    known = names(symbol)
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"{what} is {name!r}, expected {' or '.join(map(repr, known))}")
    return known.index(name)
