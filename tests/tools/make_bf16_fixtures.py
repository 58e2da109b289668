"""Writes tests/fixtures/bf16.safetensors: PyTorch's rounding to bfloat16, and a linear map whose operands are rounded.

Run from the project's root with torch, numpy and safetensors installed:

    python tests/tools/make_bf16_fixtures.py

Inputs, the weight and the output gradient come from the integer hash of hash_weights.py, which the C tests compute too.
As under torch.autocast every operand of a product is rounded; unlike there the products are computed in double from
what is rounded, and results are not rounded to bfloat16 again.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).parent))
from hash_weights import hash_integers, hash_normal  # noqa: E402

SEED = 7
OUTPUT = Path("tests/fixtures/bf16.safetensors")


def rounded(name, shape):
    return torch.tensor(hash_normal(name, SEED, shape)).bfloat16().double()


# Any bits at all, and lower halves about the middle.
bits = np.concatenate([
    hash_integers("bf16.bits", SEED, 6000, 1 << 32),
    hash_integers("bf16.upper", SEED, 6000, 1 << 16) << 16 | 0x7FFF + hash_integers("bf16.lower", SEED, 6000, 3),
]).astype(np.uint32).view(np.float32)
x, weight, grad_y = rounded("bf16.x", (3, 7, 37)), rounded("bf16.weight", (19, 37)), rounded("bf16.grad_y", (3, 7, 19))
results = {
    "bits": bits,
    "rounded": torch.tensor(bits).bfloat16().float(),
    "linear.y": x @ weight.T,
    "linear.grad_x": grad_y @ weight,
    "linear.grad_weight": grad_y.flatten(0, 1).T @ x.flatten(0, 1),
}
save_file({name: np.ascontiguousarray(np.asarray(a), dtype=np.float32) for name, a in results.items()}, OUTPUT)
print(f"{OUTPUT}: {len(results)} arrays, {OUTPUT.stat().st_size} bytes, torch {torch.__version__}")
