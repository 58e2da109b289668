"""Writes tests/fixtures/llama2c: two tiny models in llama2.c's format, and their logits by PyTorch.

Run from the project's root with torch, numpy and safetensors installed:

    python tests/tools/make_llama2c_fixture.py

grouped.bin has two heads of keys and values for six heads, and ties the LM head to the embeddings; separate.bin has a
head of keys and values for each head, and a matrix for the LM head. The logits are computed from the definition of the
model, in double precision, and neither by our code nor by llama2.c's: RoPE multiplies complex numbers, and each head
picks the keys and values of its group.
"""

import struct
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

OUTPUT = Path("tests/fixtures/llama2c")
MODELS = {
    "grouped": dict(dim=24, hidden_dim=20, n_layers=2, n_heads=6, n_kv_heads=2, vocab_size=29, seq_len=11),
    "separate": dict(dim=12, hidden_dim=16, n_layers=3, n_heads=3, n_kv_heads=3, vocab_size=-23, seq_len=9),
}


def make_weights(c):
    """Returns the weights by name, in the order of the file: those of layers as (n_layers, ...)."""
    generator = torch.Generator().manual_seed(336)
    dim, hidden, layers, vocab = c["dim"], c["hidden_dim"], c["n_layers"], abs(c["vocab_size"])
    kv_dim = dim // c["n_heads"] * c["n_kv_heads"]
    shapes = {
        "embedding": (vocab, dim), "rms_att": (layers, dim), "wq": (layers, dim, dim), "wk": (layers, kv_dim, dim),
        "wv": (layers, kv_dim, dim), "wo": (layers, dim, dim), "rms_ffn": (layers, dim), "w1": (layers, hidden, dim),
        "w2": (layers, dim, hidden), "w3": (layers, hidden, dim), "rms_final": (dim,), "classifier": (vocab, dim),
    }
    weights = {}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=generator)
        weights[name] = 1 + 0.2 * noise if name.startswith("rms") else noise * 1.5 / shape[-1] ** 0.5
    return weights


def rotations(c):
    """Returns e^(i position theta^(-2k / head size)), (seq_len, head size / 2)."""
    head = c["dim"] // c["n_heads"]
    frequencies = 10000.0 ** (-torch.arange(0, head, 2, dtype=torch.float64) / head)
    angles = torch.arange(c["seq_len"], dtype=torch.float64)[:, None] * frequencies
    return torch.polar(torch.ones_like(angles), angles)


def rotate(x, turn):
    """x (heads, seq, head size): neighbours are the real and the imaginary part of a number, which is multiplied."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * turn[: x.shape[1]]).flatten(-2)


def norm(x, gain):
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * gain


def logits(ids, c, weights):
    w = {name: value.double() for name, value in weights.items()}
    head, heads, kv_heads = c["dim"] // c["n_heads"], c["n_heads"], c["n_kv_heads"]
    group_of = torch.arange(heads) // (heads // kv_heads)
    turn = rotations(c)
    x = w["embedding"][ids]
    for layer in range(c["n_layers"]):
        h = norm(x, w["rms_att"][layer])
        q, k, v = ((h @ w[name][layer].T).unflatten(-1, (-1, head)).transpose(0, 1) for name in ("wq", "wk", "wv"))
        q, k, v = rotate(q, turn), rotate(k, turn)[group_of], v[group_of]
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + mixed.transpose(0, 1).flatten(1) @ w["wo"][layer].T
        h = norm(x, w["rms_ffn"][layer])
        x = x + (F.silu(h @ w["w1"][layer].T) * (h @ w["w3"][layer].T)) @ w["w2"][layer].T
    return norm(x, w["rms_final"]) @ w["embedding" if c["vocab_size"] > 0 else "classifier"].T


def write(path, c, weights):
    turn = rotations(c)
    arrays = {**weights, "cosine": turn.real, "sine": turn.imag}
    arrays["classifier"] = arrays.pop("classifier")  # behind the tables
    if c["vocab_size"] > 0:
        del arrays["classifier"]
    numbers = np.concatenate([a.to(torch.float32).numpy().ravel() for a in arrays.values()])
    path.write_bytes(struct.pack("7i", *c.values()) + numbers.astype("<f4").tobytes())


OUTPUT.mkdir(exist_ok=True)
expected = {}
for model, config in MODELS.items():
    model_weights = make_weights(config)
    write(OUTPUT / f"{model}.bin", config, model_weights)
    model_ids = torch.randint(abs(config["vocab_size"]), (config["seq_len"],),
                              generator=torch.Generator().manual_seed(1))
    expected[f"{model}.ids"] = model_ids.numpy().astype(np.int32)
    expected[f"{model}.logits"] = logits(model_ids, config, model_weights).float().numpy()
save_file(expected, OUTPUT / "logits.safetensors")
for path in sorted(OUTPUT.iterdir()):
    print(f"{path}: {path.stat().st_size} bytes")
print(f"torch {torch.__version__}")
