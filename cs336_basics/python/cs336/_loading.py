"""Finds the shared library, loads it, and turns the errors of its functions into exceptions.

`lib.softmax_forward(...)` calls the C function of that name. A function that returns a Status raises an exception instead
of returning an error (see `check`). ctypes releases the GIL while a C function runs, so other Python threads go on.
"""

import ctypes
import os
import pathlib
import sys

from ._declarations import ctype, signatures
from ._structs import CONSTANTS

# ---- the library's file ----------------------------------------------------------------------------------------------

_HERE = pathlib.Path(__file__).resolve().parent
_NAME = "libcs336.dylib" if sys.platform == "darwin" else "libcs336.so"


def _find_library() -> str:
    """Returns the path of the library: that in CS336_LIBRARY, else the installed package's own copy, else what `make`
    has built in the checkout that this file lies in."""
    named = os.environ.get("CS336_LIBRARY")
    if named:
        if not os.path.isfile(named):
            raise ImportError(f"cs336: CS336_LIBRARY names {named!r}, which is no file; `make` builds build/{_NAME}")
        return named
    places = [_HERE / _NAME]
    if len(_HERE.parents) > 2:
        places.append(_HERE.parents[2] / "build" / _NAME)
    for place in places:
        if place.is_file():
            return str(place)
    raise ImportError(
        f"cs336: found no {_NAME}, looked for {' and '.join(str(place) for place in places)}; "
        f"run `make` in the checkout, or set CS336_LIBRARY to the library's path"
    )


# ---- errors ----------------------------------------------------------------------------------------------------------

_EXCEPTIONS = {
    CONSTANTS["CS336_ENOMEM"]: MemoryError,
    CONSTANTS["CS336_EIO"]: OSError,
    CONSTANTS["CS336_EINTERRUPTED"]: KeyboardInterrupt,
}

# C's messages may name an option of the program `cs336`. In Python it is an argument.
_OPTIONS = {
    "--pattern gpt2": 'pattern="gpt2"',
    "--pattern gpt4": 'pattern="gpt4"',
    "--pattern": "pattern=",
    "--special-token": "special_tokens=",
    "--vocab": "vocab= of from_files()",
    "--merges": "merges= of from_files()",
    "--tokenizer": "from_file()",
}


def message_of(text: str) -> str:
    """Returns a message of C as Python says it."""
    for option, argument in _OPTIONS.items():
        text = text.replace(option, argument)
    return text


def check(status: int) -> None:
    """Raises C's message if a status is not CS336_OK: MemoryError for CS336_ENOMEM, OSError for CS336_EIO,
    KeyboardInterrupt for CS336_EINTERRUPTED, and ValueError for a wrong shape, number or file format."""
    if status:
        raise _EXCEPTIONS.get(status, ValueError)(message_of(lib.status_message().decode("utf-8", "replace")))


def _check_result(result, _function, _arguments):
    check(result)


# ---- loading ---------------------------------------------------------------------------------------------------------


def _load() -> ctypes.CDLL:
    path = _find_library()
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(f"cs336: the library {path} cannot be loaded: {error}") from None
    for name, result, arguments in signatures():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise ImportError(f"cs336: {path} has no {name}(): it is of another version; run `make` again") from None
        function.restype = ctype(result)
        function.argtypes = [ctype(text) for text in arguments]
        if result == "Status":
            function.errcheck = _check_result
    return library


lib = _load()
