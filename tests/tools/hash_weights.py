"""Arrays made by an integer hash, bit-equal to those of tests/support/hash_weights.c.

Weights depend on names, seed and shape only; every fixture made from them says in its script which seed it took.
"""

import numpy as np

GOLDEN = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1
SUM_MEAN = 131070
SUM_DEVIATION = 37837.22723720648


def _bits(name: str, seed: int, count: int) -> np.ndarray:
    base = 0xCBF29CE484222325
    for byte in name.encode():
        base = (base ^ byte) * 0x100000001B3 & MASK
    base = (base + seed * GOLDEN) & MASK
    with np.errstate(over="ignore"):
        z = np.uint64(base) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def hash_normal(name: str, seed: int, shape, mean: float = 0.0, sigma: float = 1.0) -> np.ndarray:
    """float32 array of mean + sigma * near-normal."""
    bits = _bits(name, seed, int(np.prod(shape)))
    total = sum((bits >> np.uint64(shift) & np.uint64(0xFFFF)).astype(np.int64) for shift in (0, 16, 32, 48))
    noise = ((total - SUM_MEAN).astype(np.float64) * (sigma / SUM_DEVIATION)).astype(np.float32)
    return (np.float32(mean) + noise).reshape(shape)


def hash_integers(name: str, seed: int, shape, bound: int) -> np.ndarray:
    """int64 array of integers in [0, bound)."""
    high = _bits(name, seed, int(np.prod(shape))) >> np.uint64(32)
    return (high * np.uint64(bound) >> np.uint64(32)).astype(np.int64).reshape(shape)


def hash_weights(name: str, seed: int, shape) -> np.ndarray:
    """A model's weight by its state-dict name; the rule stands in tests/support/hash_weights.h."""
    mean, sigma = 0.0, 0.1
    if "ln" in name:
        mean = 1.0
    elif name == "token_embeddings.weight":
        sigma = 1.0
    elif len(shape) == 2:
        sigma = float(np.sqrt(2 / (shape[0] + shape[1])))
    return hash_normal(name, seed, shape, mean, sigma)


def transformer_lm_shapes(vocab_size, d_model, num_layers, d_ff, norm=True, gated=True) -> dict:
    """Names and shapes of the course's state dict."""
    shapes = {"token_embeddings.weight": (vocab_size, d_model)}
    for layer in range(num_layers):
        prefix = f"layers.{layer}."
        for projection in ("q", "k", "v", "output"):
            shapes[f"{prefix}attn.{projection}_proj.weight"] = (d_model, d_model)
        shapes[f"{prefix}ffn.w1.weight"] = (d_ff, d_model)
        shapes[f"{prefix}ffn.w2.weight"] = (d_model, d_ff)
        if gated:
            shapes[f"{prefix}ffn.w3.weight"] = (d_ff, d_model)
        if norm:
            shapes[f"{prefix}ln1.weight"] = (d_model,)
            shapes[f"{prefix}ln2.weight"] = (d_model,)
    if norm:
        shapes["ln_final.weight"] = (d_model,)
    shapes["lm_head.weight"] = (vocab_size, d_model)
    return shapes


def transformer_lm_weights(seed, *sizes, **variants) -> dict:
    """The whole state dict; weights depend on names, so the order does not matter."""
    shapes = transformer_lm_shapes(*sizes, **variants)
    return {name: hash_weights(name, seed, shape) for name, shape in shapes.items()}
