"""Makes tests/fixtures/course.safetensors and optim.safetensors: what the course's suites expect, from PyTorch.

Usage, in the project's top directory:

    python3 -m venv build/venv && build/venv/bin/pip install torch numpy safetensors
    build/venv/bin/python tests/tools/make_fixtures.py

- Inputs have the course's seeds, shapes and distributions. They come from torch's generator, which C does not have, so
  these few kilobytes are stored; weights come from hash_weights (seed 336) and are not.
- The oracle's modules are written out plainly below and computed in float64, then rounded to float32. Where the course
  compares with a PyTorch function or optimizer directly, that one is called, in float32.
- Of the (4, 12, 10000) logits, 500 columns are stored, with the log-sum-exp of each row and its product with a fixed
  random vector: a single wrong logit changes the latter.
"""

import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

from hash_weights import hash_integers, hash_normal, hash_weights, transformer_lm_weights

SEED = 336
BATCH, QUERIES, KEYS, HEADS, D_MODEL, D_FF, LAYERS, VOCAB, THETA = 4, 12, 16, 4, 64, 128, 3, 10_000, 1e4
COLUMNS = 500
FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"


# ---- The oracle: plain PyTorch ----


def attention(q, k, v, mask):
    """softmax(q k^T / sqrt(d_k)) v; a query without any key gets zeros."""
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    probabilities = torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=-1)
    return torch.nan_to_num(probabilities) @ v


def rope(x, positions, theta=THETA):
    """x as complex numbers (x_2k, x_2k+1), multiplied by exp(i position theta^(-2k / d))."""
    d = x.shape[-1]
    rate = theta ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angle = positions.to(torch.float64).unsqueeze(-1) * rate
    turned = torch.view_as_complex(x.reshape(*x.shape[:-1], d // 2, 2).contiguous()) * torch.polar(
        torch.ones_like(angle), angle
    )
    return torch.view_as_real(turned).reshape(x.shape)


def rmsnorm(x, gain, eps=1e-5):
    return x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + eps) * gain


def swiglu(x, w1, w2, w3):
    return (F.silu(x @ w1.T) * (x @ w3.T)) @ w2.T


def self_attention(x, weights, positions=None, prefix="attn."):
    """Causal, HEADS heads; RoPE when positions, shaped (seq) or (batch, seq), are given."""
    seq = x.shape[-2]

    def heads(name):
        projected = x @ weights[f"{prefix}{name}_proj.weight"].T
        return projected.unflatten(-1, (HEADS, -1)).transpose(-2, -3)

    q, k, v = heads("q"), heads("k"), heads("v")
    if positions is not None:
        head_positions = positions.unsqueeze(-2)
        q, k = rope(q, head_positions), rope(k, head_positions)
    causal = torch.ones(seq, seq, dtype=torch.bool).tril()
    joined = attention(q, k, v, causal).transpose(-2, -3).flatten(-2)
    return joined @ weights[f"{prefix}output_proj.weight"].T


def block(x, weights):
    z = x + self_attention(rmsnorm(x, weights["ln1.weight"]), weights, torch.arange(x.shape[-2]))
    h = rmsnorm(z, weights["ln2.weight"])
    return z + swiglu(h, weights["ffn.w1.weight"], weights["ffn.w2.weight"], weights["ffn.w3.weight"])


def below(weights, prefix):
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def language_model(ids, weights):
    x = weights["token_embeddings.weight"][ids]
    for layer in range(LAYERS):
        x = block(x, below(weights, f"layers.{layer}."))
    return rmsnorm(x, weights["ln_final.weight"]) @ weights["lm_head.weight"].T


# ---- Fixtures ----


def drawn(seed, draw, *arguments):
    torch.manual_seed(seed)
    return draw(*arguments)


def course_inputs():
    return {
        "q": drawn(1, torch.randn, BATCH, QUERIES, D_MODEL),
        "k": drawn(2, torch.randn, BATCH, KEYS, D_MODEL),
        "v": drawn(3, torch.randn, BATCH, KEYS, D_MODEL),
        "in_embeddings": drawn(4, torch.randn, BATCH, QUERIES, D_MODEL),
        "mask": drawn(5, torch.randn, BATCH, QUERIES, KEYS) > 0.5,
        "in_indices": drawn(6, torch.randint, 0, VOCAB, (BATCH, QUERIES)),
        "small_inputs": torch.round(drawn(7, torch.rand, 3, 5) * 4096) / 4096,  # x + 100 is then exact
        "class_logits": drawn(8, torch.rand, 2, 4, 5),
        "class_targets": drawn(9, torch.randint, 0, 5, (2, 4)),
        "positions": torch.from_numpy(hash_integers("positions", SEED, (BATCH, QUERIES), QUERIES)),
    }


def logits_of(ids, weights, name):
    logits = language_model(ids, weights)
    columns = torch.from_numpy(hash_integers("columns", SEED, (COLUMNS,), VOCAB))
    probe = torch.from_numpy(hash_normal("probe", SEED, (VOCAB,))).double()
    return {
        f"{name}.columns": logits[..., columns].float(),
        f"{name}.log_sum_exp": torch.logsumexp(logits, dim=-1),
        f"{name}.probe": logits @ probe,
    }


def course_model(inputs):
    weights = {
        name: torch.from_numpy(value).double()
        for name, value in transformer_lm_weights(SEED, VOCAB, D_MODEL, LAYERS, D_FF).items()
    }
    layer0 = below(weights, "layers.0.")
    x, positions = inputs["in_embeddings"].double(), inputs["positions"]
    ffn = [layer0[f"ffn.{name}.weight"] for name in ("w1", "w2", "w3")]
    gain = weights["layers.1.ln1.weight"]
    expected = {
        "linear": x @ ffn[0].T,
        "embedding": weights["token_embeddings.weight"][inputs["in_indices"]],
        "swiglu": swiglu(x, *ffn),
        "attention": attention(*(inputs[name].double() for name in "qkv"), inputs["mask"]),
        "attention.unmasked": attention(
            *(inputs[name].double() for name in "qkv"), torch.ones(QUERIES, KEYS, dtype=torch.bool)
        ),
        "mha": self_attention(x, layer0),
        "mha_rope": self_attention(x, layer0, torch.arange(QUERIES)),
        "mha_rope.positions": self_attention(x, layer0, positions),
        "rope": rope(x, torch.arange(QUERIES)),
        "rope.positions": rope(x, positions),
        "block": block(x, layer0),
        "rmsnorm": rmsnorm(x, gain),
        "rmsnorm.tiny": rmsnorm((inputs["in_embeddings"] / 1024).double(), gain),
    }
    ids = inputs["in_indices"]
    return (
        {name: value.float() for name, value in expected.items()}
        | logits_of(ids, weights, "lm")
        | logits_of(ids[:, : QUERIES // 2], weights, "lm_truncated")
    )


def course_functions(inputs):
    x, logits, targets = inputs["small_inputs"], inputs["class_logits"].flatten(0, 1), inputs["class_targets"].flatten()
    return {
        "softmax": torch.softmax(x, dim=-1),
        "softmax.columns": torch.softmax(x, dim=0),
        "silu": F.silu(x),
        "cross_entropy": F.cross_entropy(logits, targets).reshape(1),
        "cross_entropy.large": F.cross_entropy(1000 * logits, targets).reshape(1),
    }


def clipped_gradients():
    """Six (5, 5) tensors, the last one frozen: the course's gradients of a sum, and others that differ."""
    result = {}
    for name, make in (
        ("ones", lambda i: torch.ones(5, 5)),
        ("varied", lambda i: torch.from_numpy(hash_normal(f"gradient.{i}", SEED, (5, 5)))),
    ):
        parameters = [torch.nn.Parameter(torch.zeros(5, 5), requires_grad=i < 5) for i in range(6)]
        for i, parameter in enumerate(parameters[:5]):
            parameter.grad = make(i)
        torch.nn.utils.clip_grad_norm_(parameters, 1e-2)
        result[f"clip.{name}"] = torch.stack([parameter.grad for parameter in parameters[:5]])
    return result


def schedule():
    """Rates of 25 iterations in float64, checked against PyTorch's own schedulers where both are defined."""
    highest, lowest, warmup, cycle = 1.0, 0.1, 7, 21
    rates = []
    for it in range(25):
        if it < warmup:
            rates.append(highest * it / warmup)
        elif it <= cycle:
            rates.append(lowest + (highest - lowest) * math.cos(math.pi * (it - warmup) / (cycle - warmup) / 2) ** 2)
        else:
            rates.append(lowest)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=highest)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, cycle - warmup, eta_min=lowest)
    for it in range(warmup, cycle + 1):
        assert math.isclose(rates[it], optimizer.param_groups[0]["lr"], rel_tol=1e-12), it
        optimizer.step()
        cosine.step()
    return torch.tensor(rates, dtype=torch.float64)


def course_adamw():
    """The course's 1000 steps on a (2, 3) map, with every input and a few of the weights on the way."""
    torch.manual_seed(42)
    model = torch.nn.Linear(3, 2, bias=False)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-3, weight_decay=0.01, betas=(0.9, 0.999), eps=1e-8, foreach=False
    )
    result = {"adamw.start": model.weight.detach().clone()}
    inputs = []
    for step in range(1, 1001):
        x = torch.rand(3)
        inputs.append(x)
        loss = ((torch.stack([x[0] + x[1], -x[2]]) - model(x)) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step in (1, 10, 100, 1000):
            result[f"adamw.step{step}"] = model.weight.detach().clone()
    return result | {"adamw.inputs": torch.stack(inputs)}


def hashed_adamw():
    """1000 steps with gradients that do not depend on the weights, so that errors cannot heal; a changing rate."""
    weight = torch.nn.Parameter(torch.from_numpy(hash_weights("fc.weight", SEED, (5, 13))))
    optimizer = torch.optim.AdamW([weight], lr=1, weight_decay=0.1, betas=(0.8, 0.97), eps=1e-3, foreach=False)
    for step in range(1, 1001):
        weight.grad = torch.from_numpy(hash_normal("gradient", step, weight.shape, sigma=0.01))
        optimizer.param_groups[0]["lr"] = 1e-2 / step**0.5
        optimizer.step()
    state = optimizer.state[weight]
    return {"adamw.value": weight.detach(), "adamw.first": state["exp_avg"], "adamw.second": state["exp_avg_sq"]}


def hash_samples():
    return {
        "hash.lm_head.weight": torch.from_numpy(hash_weights("lm_head.weight", 7, (8, 16))),
        "hash.layers.0.ln1.weight": torch.from_numpy(hash_weights("layers.0.ln1.weight", 7, (16,))),
        "hash.fc.bias": torch.from_numpy(hash_weights("fc.bias", 7, (16,))),
        "hash.integers": torch.from_numpy(hash_integers("integers", 7, (64,), VOCAB)),
    }


def save(name, tensors):
    narrow = {torch.int64: torch.int32}
    arrays = {
        key: np.ascontiguousarray(value.detach().to(narrow.get(value.dtype, value.dtype)).numpy())
        for key, value in tensors.items()
    }
    path = FIXTURES / f"{name}.safetensors"
    save_file(arrays, path)
    print(f"{path.name}: {len(arrays)} arrays, {path.stat().st_size} bytes", file=sys.stderr)


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    FIXTURES.mkdir(exist_ok=True)
    inputs = course_inputs()
    save(
        "course",
        inputs
        | course_model(inputs)
        | course_functions(inputs)
        | clipped_gradients()
        | {"schedule": schedule()}
        | course_adamw(),
    )
    save("optim", hashed_adamw() | hash_samples())


if __name__ == "__main__":
    main()
