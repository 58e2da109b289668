"""The C library libcs336, called from Python through ctypes.

These modules are the only ones that know how C's memory looks, and they compute nothing:

- _structs.py: C's structs and constants, described to ctypes
- _declarations.py: the functions that Python calls
- _loading.py: finds and loads the library; `lib.NAME(...)` calls a function, and its errors become exceptions
- _arrays.py: numpy arrays as C's tensors and back, without copies
- _strings.py: bytes, texts and paths
- _models.py: scratch memory, lists of parameters, input files, vocabularies

This module has all their names in one place: `from . import _library as c`.
"""

from ._arrays import *
from ._declarations import *
from ._loading import *
from ._models import *
from ._strings import *
from ._structs import *
