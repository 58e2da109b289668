"""Writes tests/fixtures/functional.safetensors and attention.safetensors: PyTorch's outputs and gradients.

Run from the project's root with torch, numpy and safetensors installed:

    python tests/tools/make_functional_fixtures.py

Inputs come from the integer hash of hash_weights.py, which the C tests compute too, so only outputs are stored. PyTorch
computes in double from the same float32 numbers; results are rounded once.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).parent))
from hash_weights import hash_integers, hash_normal  # noqa: E402

SEED = 7
FIXTURES = Path("tests/fixtures")


def leaf(name, shape, sigma=1.0):
    """A double tensor of the hash's float32 numbers that wants a gradient."""
    return torch.tensor(hash_normal(name, SEED, shape, 0.0, sigma), dtype=torch.float64, requires_grad=True)


def single(tensor):
    return np.ascontiguousarray(tensor.detach().numpy().astype(np.float32))


def record(results, prefix, y, leaves, grad_name="grad_y"):
    """Stores y and the gradient of sum(grad_y * y) with respect to every leaf."""
    grad_y = torch.tensor(hash_normal(grad_name, SEED, tuple(y.shape)), dtype=torch.float64)
    gradients = torch.autograd.grad((grad_y * y).sum(), list(leaves.values()))
    results[f"{prefix}.y"] = single(y)
    for name, gradient in zip(leaves, gradients):
        results[f"{prefix}.grad_{name}"] = single(gradient)


def functional():
    results = {}
    for dimension in range(3):
        x = leaf("x", (3, 5, 7), 2.0)
        record(results, f"softmax.{dimension}", torch.softmax(x, dimension), {"x": x})
    x = leaf("x", (3, 5, 7), 2.0)
    record(results, "log_sum_exp", torch.logsumexp(x, -1, keepdim=True), {"x": x})
    x = leaf("x", (4, 300), 4.0)
    record(results, "silu", F.silu(x), {"x": x})
    for factor in (1, 1000):
        numbers = np.float32(factor) * hash_normal("logits", SEED, (2, 3, 50), 0.0, 3.0)
        logits = torch.tensor(numbers, dtype=torch.float64, requires_grad=True)
        targets = torch.tensor(hash_integers("targets", SEED, (2, 3), 50))
        loss = F.cross_entropy(logits.reshape(-1, 50), targets.reshape(-1))
        results[f"cross_entropy.{factor}.loss"] = single(loss.reshape(1))
        (gradient,) = torch.autograd.grad(loss, logits)
        results[f"cross_entropy.{factor}.grad_logits"] = single(gradient)
    save_file(results, FIXTURES / "functional.safetensors")


def attention_case(results, name, leading, queries, keys, d_k, d_v, mask):
    query, key = leaf("query", (*leading, queries, d_k)), leaf("key", (*leading, keys, d_k))
    value = leaf("value", (*leading, keys, d_v))
    output = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    record(results, name, output, {"query": query, "key": key, "value": value}, "grad_output")


def attention():
    """Names and sizes stand again in tests/nn/test_attention.c."""
    results = {}
    attention_case(results, "all", (2, 1, 2, 1), 5, 9, 4, 6, None)
    attention_case(results, "causal", (2,), 70, 70, 16, 16, torch.ones(70, 70, dtype=torch.bool).tril())
    attention_case(results, "decoding", (1, 2), 3, 140, 8, 8, torch.ones(3, 140, dtype=torch.bool).tril(140 - 3))
    where = torch.tensor(hash_integers("mask", SEED, (2, 1, 20, 130), 100) < 30)
    assert where.any(-1).all()
    attention_case(results, "where", (2, 2), 20, 130, 12, 5, where)
    save_file(results, FIXTURES / "attention.safetensors")


functional()
attention()
