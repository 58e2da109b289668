"""The version of the library that is loaded."""

from ._library import lib

__version__: str = lib.cs336_version().decode()
