"""Compares the structs and functions that the Python package declares (cs336_basics/python/cs336) with the headers.

`make interface` calls it.

usage: check_python_layout.py CC

The C compiler compares. It gets all headers, and after them
- each declaration of _declarations.py once more: a second declaration with other types is an error in C;
- for each struct of _structs.py and each field an assertion with the size and the offset that ctypes has computed.
A check that cannot fail is worth nothing. So the same is done with a field, a field's type, a declaration and a
constant that are wrong on purpose, and the compiler must refuse each.
"""

import ctypes
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "cs336_basics" / "python"))

from cs336 import _library  # noqa: E402

# The C types that a field of a ctypes type may have. An enum is an int or an unsigned int, and size_t and uint64_t are
# unsigned long or unsigned long long, as the compiler decides.
C_TYPES = {
    ctypes.c_int: ("int", "unsigned int"),
    ctypes.c_bool: ("bool",),
    ctypes.c_float: ("float",),
    ctypes.c_double: ("double",),
    ctypes.c_size_t: ("unsigned int", "unsigned long", "unsigned long long"),
    ctypes.c_ssize_t: ("int", "long", "long long"),
}


def struct_assertions(name, struct):
    """Yields assertions about the size of a struct, and about offset, size and kind of each field."""
    yield f'_Static_assert(sizeof({name}) == {ctypes.sizeof(struct)}, "{name}: size");'
    for field, kind in struct._fields_:
        here = getattr(struct, field)
        text = f"{name}.{field}"
        yield f'_Static_assert(offsetof({name}, {field}) == {here.offset}, "{text}: offset");'
        yield f'_Static_assert(sizeof((({name} *)0)->{field}) == {here.size}, "{text}: size");'
        if kind in C_TYPES:
            kinds = ", ".join(f"{c_type}: 1" for c_type in C_TYPES[kind])
            yield f'_Static_assert(_Generic((({name} *)0)->{field}, {kinds}, default: 0), "{text}: type");'
        elif issubclass(kind, ctypes.Structure):
            yield f'_Static_assert(_Generic((({name} *)0)->{field}, {kind.__name__}: 1, default: 0), "{text}: type");'


def program(structs, declarations, constants):
    """Returns the C program that compiles only if Python and the headers agree."""
    headers = sorted((ROOT / "cs336_basics").glob("**/*.h"))
    public = [header for header in headers if "CS336_API_BEGIN" in header.read_text() and header.name != "api.h"]
    lines = [f'#include "{header.relative_to(ROOT / "cs336_basics")}"' for header in public]
    lines.append(declarations)
    for name, struct in structs.items():
        lines += struct_assertions(name, struct)
    lines += [f'_Static_assert({name} == {value}, "{name}");' for name, value in constants.items()]
    return "\n".join(lines) + "\n"


def compiles(compiler, text):
    command = [*compiler.split(), "-std=c11", "-fsyntax-only", f"-I{ROOT}/cs336_basics", "-x", "c", "-"]
    return subprocess.run(command, input=text, text=True, capture_output=True)


def wrong_copies():
    """Yields what is wrong, and structs, declarations and constants with it."""

    class Swapped(ctypes.Structure):
        _fields_ = [_library.Arena._fields_[1], _library.Arena._fields_[0], *_library.Arena._fields_[2:]]

    class Retyped(ctypes.Structure):
        _fields_ = [("weight", _library.Tensor), ("eps", ctypes.c_int)]

    structs, declarations, constants = _library.STRUCTS, _library.DECLARATIONS, _library.CONSTANTS
    yield "two fields of Arena in the other order", {**structs, "Arena": Swapped}, declarations, constants
    yield "RMSNorm.eps as an int", {**structs, "RMSNorm": Retyped}, declarations, constants
    fewer = declarations.replace("Tensor x, int dimension", "Tensor x")
    yield "softmax_forward() without its dimension", structs, fewer, constants
    yield "CS336_EIO as 3", structs, declarations, {**constants, "CS336_EIO": 3}


def main():
    compiler = sys.argv[1]
    right = compiles(compiler, program(_library.STRUCTS, _library.DECLARATIONS, _library.CONSTANTS))
    if right.returncode:
        sys.exit(f"_structs.py and _declarations.py of cs336_basics/python/cs336 differ from the headers:\n{right.stderr}")
    for what, *wrong in wrong_copies():
        if compiles(compiler, program(*wrong)).returncode == 0:
            sys.exit(f"check_python_layout.py does not notice {what}")
    count = len(list(_library.signatures()))
    print(f"Python knows {len(_library.STRUCTS)} structs and {count} functions as the headers have them")


main()
