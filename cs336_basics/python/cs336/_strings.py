"""Python's bytes, texts and paths as C takes them."""

import ctypes
import os
from ctypes import c_char_p, c_void_p

from ._structs import ByteString


def byte_string(data: bytes) -> ByteString:
    """Returns the view of a bytes object, without a copy. The view keeps the object alive."""
    if not isinstance(data, bytes):  # c_char_p would take a number for an address
        raise TypeError(f"expected bytes, not {type(data).__name__}")
    view = ByteString(ctypes.cast(c_char_p(data), c_void_p).value, len(data))
    view.owner = data
    return view


def byte_strings(texts) -> ctypes.Array:
    """Returns an array of views of bytes objects, which it keeps alive; for `const ByteString *`."""
    texts = list(texts)
    views = (ByteString * len(texts))(*[byte_string(text) for text in texts])
    views.owner = texts
    return views


def view_bytes(view) -> bytes:
    """Returns a copy of the bytes of a ByteString or a ByteList."""
    return ctypes.string_at(view.bytes, view.length) if view.length else b""


def path_bytes(path, name: str = "path") -> bytes:
    """Returns a path as C takes it: bytes of the file system's encoding, without a zero byte."""
    try:
        encoded = os.fsencode(path)
    except TypeError:
        raise TypeError(f"{name} is {type(path).__name__}, expected a path") from None
    if b"\0" in encoded:
        raise ValueError(f"{name}: the path {path!r} has a zero byte")
    return encoded
