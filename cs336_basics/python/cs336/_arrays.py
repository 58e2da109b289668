"""numpy arrays and C's tensors, each as a view of the other's memory, without copies.

`tensor()`, `tokens()` and `mask()` make views of numpy arrays. C gets the address of the array's numbers. The view keeps
the array alive, but a copy of the view in a field of another struct does not: the caller then keeps the array.
"""

import ctypes
from ctypes import byref, c_float

import numpy as np

from ._loading import lib
from ._structs import TENSOR_MAX_RANK, MaskTensor, Tensor, TokenList, TokenTensor


def _view(kind, array, dtype, name: str, writable: bool):
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} is {type(array).__name__}, expected a numpy array of {np.dtype(dtype)}")
    if array.dtype != dtype:  # another byte order is another dtype
        raise ValueError(f"{name} has the dtype {array.dtype}, expected {np.dtype(dtype)}")
    if array.ndim > TENSOR_MAX_RANK:
        raise ValueError(f"{name} has {array.ndim} dimensions, expected at most {TENSOR_MAX_RANK}")
    size = array.itemsize
    if not array.flags.aligned or any(stride % size for stride in array.strides):
        raise ValueError(f"{name} is not aligned: each number must begin at a multiple of {size} bytes")
    if writable and not array.flags.writeable:
        raise ValueError(f"{name} is read-only, and C would write to it")
    view = kind(data=array.__array_interface__["data"][0], rank=array.ndim)
    view.shape[: array.ndim] = array.shape
    view.stride[: array.ndim] = [stride // size for stride in array.strides]
    view.owner = array
    return view


def tensor(array: np.ndarray, name: str = "array", writable: bool = False) -> Tensor:
    """Returns the view of a float32 array, with any strides. `writable`: C will write to it."""
    return _view(Tensor, array, np.float32, name, writable)


def tokens(array: np.ndarray, name: str = "ids") -> TokenTensor:
    """Returns the view of an int32 array; `token_ids` makes one of other integers."""
    return _view(TokenTensor, array, np.int32, name, False)


def mask(array: np.ndarray, name: str = "mask") -> MaskTensor:
    """Returns the view of a bool array."""
    return _view(MaskTensor, array, np.bool_, name, False)


def token_ids(values, name: str = "ids") -> np.ndarray:
    """Returns integers as a contiguous int32 array. Such an array is returned itself; others are copied. A number that is
    no int32 is a ValueError, other values and one number alone are a TypeError."""
    if values is None or isinstance(values, (str, bytes, bytearray)):
        raise TypeError(f"{name} is {type(values).__name__}, expected integers")
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name} has rows of different lengths, expected an array of integers") from None
    if array.size == 0:
        return np.zeros(array.shape, np.int32)
    large = array.dtype == object and all(type(value) is int for value in array.flat)
    if array.dtype.kind not in "iu" and not large:
        raise TypeError(f"{name} has the dtype {array.dtype}, expected integers")
    if array.ndim == 0:
        raise TypeError(f"{name} is one number, expected a list or an array of integers")
    bounds = np.iinfo(np.int32)
    if array.dtype != np.int32 and (array.min() < bounds.min or array.max() > bounds.max):
        raise ValueError(f"{name} has a number that is not in [{bounds.min}, {bounds.max}]")
    return np.ascontiguousarray(array, np.int32)


def address(array: np.ndarray) -> int:
    """Returns the address of a contiguous array's first number, for a pointer argument. The caller keeps the array."""
    if not array.flags.c_contiguous:
        raise ValueError("the array is not contiguous")
    return array.__array_interface__["data"][0]


class _Memory:
    """Memory of C as numpy's array interface. An array made from it keeps the object, and so the owner, alive."""

    def __init__(self, data, shape, strides, typestr, owner, release=None):
        layout = {"shape": shape, "strides": strides, "typestr": typestr, "version": 3}
        self.__array_interface__ = {"data": (data, False), **layout}
        self._owner, self._release = owner, release

    def __del__(self):
        if self._release:
            self._release(byref(self._owner))


def tensor_array(view: Tensor, owner) -> np.ndarray:
    """Returns the numpy array of a Tensor in C's memory. The array keeps `owner`, whose memory it is, alive."""
    shape, size = tuple(view.shape[: view.rank]), ctypes.sizeof(c_float)
    strides = tuple(stride * size for stride in view.stride[: view.rank])
    return np.asarray(_Memory(view.data, shape, strides, np.dtype(np.float32).str, owner))


def take_ids(ids: TokenList) -> np.ndarray:
    """Returns the ids of a list as an int32 array, without a copy. From then on the array owns them: they are freed
    with it, and the list is empty."""
    owned = TokenList(ids.ids, ids.count, ids.capacity)
    ids.ids, ids.count, ids.capacity = None, 0, 0
    if not owned.count:
        lib.token_list_deinit(byref(owned))
        return np.empty(0, np.int32)
    return np.asarray(
        _Memory(owned.ids, (owned.count,), None, np.dtype(np.int32).str, owned, lib.token_list_deinit)
    )
