"""Writes tests/fixtures/tokens/*.npy with NumPy, for tests/data/test_token_file.c.

Each file that can be read holds the ids 0, 7, 14, ..., 63; the others are of kinds that token files refuse.
"""

import pathlib

import numpy as np
from numpy.lib import format

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "tokens"
FOLDER.mkdir(parents=True, exist_ok=True)
IDS = np.arange(0, 70, 7)


def write(name, array, version):
    with open(FOLDER / name, "wb") as file:
        format.write_array(file, array, version=version)


write("u2_v1.npy", IDS.astype("<u2"), (1, 0))
write("u4_v1.npy", IDS.astype("<u4"), (1, 0))
write("u2_v2.npy", IDS.astype("<u2"), (2, 0))
write("u4_v3.npy", IDS.astype("<u4"), (3, 0))
write("i4.npy", IDS.astype("<i4"), (1, 0))
write("i8.npy", IDS.astype("<i8"), (1, 0))
write("big_endian.npy", IDS.astype(">u2"), (1, 0))
write("two_dimensions.npy", IDS.astype("<u2").reshape(2, 5), (1, 0))
write("fortran.npy", np.asfortranarray(IDS.astype("<u2").reshape(2, 5)), (1, 0))
write("scalar.npy", np.array(7, dtype="<u2"), (1, 0))
write("none.npy", IDS[:0].astype("<u2"), (1, 0))
