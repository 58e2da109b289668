"""Writes tests/fixtures/python.safetensors with the format's own Python package, for tests/core/test_safetensors.c.

With a path as argument it reads that file instead and prints what it holds: `safetensors_write` against the package.
"""

import pathlib
import sys

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

FIXTURE = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "python.safetensors"

if len(sys.argv) > 1:
    with safe_open(sys.argv[1], framework="numpy") as file:
        print(file.metadata())
        for name in file.keys():
            array = file.get_tensor(name)
            print(name, array.dtype, array.shape, array.tolist())
else:
    save_file(
        {
            "layers.0.weight": np.arange(6, dtype=np.float32).reshape(2, 3) / 4 - 1,
            "ids": np.array([[1, -2], [3, 70000]], dtype=np.int64),
            "mask": np.array([True, False, True]),
            "step": np.array(7, dtype=np.int32),
            "nothing": np.zeros((0, 4), dtype=np.float32),
            "Größe": np.array([0.5], dtype=np.float64),
        },
        FIXTURE,
        metadata={"iteration": "12", "text": 'a "quoted"\nline'},
    )
