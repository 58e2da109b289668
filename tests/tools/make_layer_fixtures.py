"""Writes tests/fixtures/layers.safetensors: PyTorch's outputs and gradients for every layer and the whole model.

Run from the project's root with torch, numpy and safetensors installed:

    python tests/tools/make_layer_fixtures.py

Inputs, weights and output gradients come from the integer hash of hash_weights.py, which the C tests compute too, so
only outputs are stored. Gradients are computed in double from the same float32 numbers and rounded once; the loss curve
of the 50 AdamW steps is PyTorch's own in float32.
"""

import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).parent))
from hash_weights import hash_integers, hash_normal, transformer_lm_weights  # noqa: E402

SEED = 7
OUTPUT = Path("tests/fixtures/layers.safetensors")
results = {}


def leaf(name, shape, mean=0.0, sigma=1.0):
    """A double tensor of the hash's float32 numbers that wants a gradient."""
    return torch.tensor(hash_normal(name, SEED, shape, mean, sigma), dtype=torch.float64, requires_grad=True)


def record(prefix, y, leaves):
    """Stores y and the gradient of sum(grad_y * y) with respect to every leaf."""
    grad_y = torch.tensor(hash_normal(f"{prefix}.grad_y", SEED, tuple(y.shape)), dtype=torch.float64)
    gradients = torch.autograd.grad((grad_y * y).sum(), list(leaves.values()))
    store(f"{prefix}.y", y)
    for name, gradient in zip(leaves, gradients):
        store(f"{prefix}.grad_{name}", gradient)


def store(name, tensor):
    results[name] = np.ascontiguousarray(tensor.detach().numpy().astype(np.float32))


def rms_norm(x, gain, eps=1e-5):
    return F.rms_norm(x, (x.shape[-1],), gain, eps)


def rope(x, positions, theta):
    """Rotates pairs as complex numbers; positions broadcast over leading dimensions."""
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2).contiguous())
    frequency = theta ** (-torch.arange(0, x.shape[-1], 2, dtype=x.dtype) / x.shape[-1])
    angle = positions.to(x.dtype)[..., None] * frequency
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angle), angle)).reshape(x.shape)


def attention(x, w, heads, theta=None, positions=None):
    """Causal self-attention; w holds q, k, v, output."""
    split = lambda t: t.unflatten(-1, (heads, -1)).transpose(-3, -2)
    q, k, v = (split(F.linear(x, w[name])) for name in ("q", "k", "v"))
    if theta is not None:
        if positions is None:
            positions = torch.arange(x.shape[-2])
        if positions.ndim > 1:
            positions = positions[..., None, :]
        q, k = rope(q, positions, theta), rope(k, positions, theta)
    attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return F.linear(attended.transpose(-3, -2).flatten(-2), w["output"])


def feed_forward(x, w1, w2, w3=None):
    hidden = F.silu(F.linear(x, w1))
    return F.linear(hidden if w3 is None else hidden * F.linear(x, w3), w2)


def block(x, w, heads, theta, norm="pre"):
    """One layer by the state dict's names."""
    attn = lambda t: attention(t, {n: w[f"attn.{n}_proj.weight"] for n in ("q", "k", "v", "output")}, heads, theta)
    ffn = lambda t: feed_forward(t, w["ffn.w1.weight"], w["ffn.w2.weight"], w.get("ffn.w3.weight"))
    if norm == "pre":
        z = x + attn(rms_norm(x, w["ln1.weight"]))
        return z + ffn(rms_norm(z, w["ln2.weight"]))
    if norm == "post":
        z = rms_norm(x + attn(x), w["ln1.weight"])
        return rms_norm(z + ffn(z), w["ln2.weight"])
    z = x + attn(x)
    return z + ffn(z)


def language_model(ids, w, layers, heads, theta, norm="pre"):
    x = F.embedding(ids, w["token_embeddings.weight"])
    for layer in range(layers):
        prefix = f"layers.{layer}."
        x = block(x, {n[len(prefix):]: t for n, t in w.items() if n.startswith(prefix)}, heads, theta, norm)
    if norm != "none":
        x = rms_norm(x, w["ln_final.weight"])
    return F.linear(x, w["lm_head.weight"])


def make_small_layers():
    x, weight = leaf("linear.x", (2, 3, 5)), leaf("linear.weight", (4, 5))
    record("linear", F.linear(x, weight), {"x": x, "weight": weight})

    ids = torch.tensor(hash_integers("embedding.ids", SEED, (3, 7), 11))
    weight = leaf("embedding.weight", (11, 6))
    record("embedding", F.embedding(ids, weight), {"weight": weight})

    x, weight = leaf("rmsnorm.x", (2, 3, 10)), leaf("rmsnorm.weight", (10,), 1.0, 0.3)
    record("rmsnorm", rms_norm(x, weight), {"x": x, "weight": weight})

    x = leaf("rope.x", (2, 3, 5, 8))
    positions = torch.tensor(hash_integers("rope.positions", SEED, (2, 1, 5), 50))
    record("rope", rope(x, positions, 10000.0), {"x": x})

    for name, gated in (("swiglu", True), ("silu_ffn", False)):
        x = leaf(f"{name}.x", (2, 3, 6))
        w1, w2 = leaf(f"{name}.w1", (10, 6), sigma=0.5), leaf(f"{name}.w2", (6, 10), sigma=0.5)
        leaves = {"x": x, "w1": w1, "w2": w2}
        if gated:
            leaves["w3"] = leaf(f"{name}.w3", (10, 6), sigma=0.5)
        record(name, feed_forward(x, w1, w2, leaves.get("w3")), leaves)


def make_attention_layers():
    for name, theta, positions in (
        ("mha", None, None),
        ("mha_rope", 10000.0, None),
        ("mha_positions", 100.0, torch.tensor(hash_integers("mha_positions.positions", SEED, (2, 7), 40))),
    ):
        leaves = {"x": leaf(f"{name}.x", (2, 7, 12))}
        for projection in ("q", "k", "v", "output"):
            leaves[projection] = leaf(f"{name}.{projection}", (12, 12), sigma=0.3)
        record(name, attention(leaves["x"], leaves, 3, theta, positions), leaves)

    shapes = {f"attn.{p}_proj.weight": (8, 8) for p in ("q", "k", "v", "output")}
    shapes |= {"ln1.weight": (8,), "ln2.weight": (8,)}
    shapes |= {"ffn.w1.weight": (12, 8), "ffn.w2.weight": (8, 12), "ffn.w3.weight": (12, 8)}
    for norm in ("pre", "post", "none"):
        prefix = f"block_{norm}"
        leaves = {"x": leaf(f"{prefix}.x", (2, 5, 8))}
        for name, shape in shapes.items():
            gain = len(shape) == 1
            if gain and norm == "none":
                continue
            leaves[name] = leaf(f"{prefix}.{name}", shape, 1.0 if gain else 0.0, 0.3)
        record(prefix, block(leaves["x"], leaves, 2, 10000.0, norm), leaves)


SIZES = (40, 16, 2, 24)  # vocabulary, d_model, layers, d_ff
HEADS, THETA, BATCH, SEQ = 2, 10000.0, 3, 10


def model_weights(dtype):
    weights = transformer_lm_weights(SEED, *SIZES)
    return {name: torch.tensor(array, dtype=dtype, requires_grad=True) for name, array in weights.items()}


def model_batch(name):
    """ids and targets: a row of SEQ + 1 hashed ids, and the same shifted by one."""
    rows = torch.tensor(hash_integers(name, SEED, (BATCH, SEQ + 1), SIZES[0]))
    return rows[:, :-1], rows[:, 1:]


def model_loss(weights, ids, targets):
    logits = language_model(ids, weights, SIZES[2], HEADS, THETA)
    return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def record_model(prefix, weights, leaves):
    """Stores logits and loss, and the gradient of the loss with respect to every leaf."""
    logits, loss = model_loss(weights, *model_batch("lm.batch"))
    store(f"{prefix}.logits", logits)
    store(f"{prefix}.loss", loss[None])
    for name, gradient in zip(leaves, torch.autograd.grad(loss, list(leaves.values()))):
        store(f"{prefix}.grad_{name}", gradient)


def make_tied_language_model():
    """One matrix is embedding and head, as after `lm_head.weight = token_embeddings.weight` of two modules."""
    weights = model_weights(torch.float64)
    del weights["lm_head.weight"]
    record_model("lm_tied", weights | {"lm_head.weight": weights["token_embeddings.weight"]}, weights)


def make_language_model():
    weights = model_weights(torch.float64)
    record_model("lm", weights, weights)

    weights = model_weights(torch.float32)
    optimizer = torch.optim.AdamW(weights.values(), lr=3e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    curve = []
    for step in range(50):
        optimizer.zero_grad()
        loss = model_loss(weights, *model_batch(f"lm.batch{step % 5}"))[1]
        loss.backward()
        optimizer.step()
        curve.append(loss.item())
    results["lm.curve"] = np.array(curve, dtype=np.float32)


if __name__ == "__main__":
    make_small_layers()
    make_attention_layers()
    make_language_model()
    make_tied_language_model()
    save_file(results, OUTPUT)
    assert math.isfinite(sum(float(array.sum()) for array in results.values()))
    print(f"{OUTPUT}: {len(results)} arrays, {OUTPUT.stat().st_size} bytes; torch {torch.__version__}")
