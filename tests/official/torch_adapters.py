"""The course's functions by PyTorch's own operations: the oracle for snapshots that are made again.

The public copies of the course lack the file of the weights that nine tests use. `make official` then runs these tests
with other weights (make_missing.py), so their snapshots must be made again. This file stands in place of
tests/adapters.py while the course's own tests are run for that purpose, and plugin.py saves what they would compare.
Nothing of libcs336 is called here. Tests that need no weights run too, against the snapshots of the course, which shows
that these functions are the course's.
"""

import torch
import torch.nn.functional as F

EPS = 1e-5


def run_linear(d_in, d_out, weights, in_features):
    return F.linear(in_features, weights)


def run_embedding(vocab_size, d_model, weights, token_ids):
    return F.embedding(token_ids, weights)


def run_silu(in_features):
    return F.silu(in_features)


def run_swiglu(d_model, d_ff, w1_weight, w2_weight, w3_weight, in_features):
    hidden = F.silu(F.linear(in_features, w1_weight)) * F.linear(in_features, w3_weight)
    return F.linear(hidden, w2_weight)


def run_rmsnorm(d_model, eps, weights, in_features):
    return F.rms_norm(in_features, (d_model,), weights, eps)


def run_scaled_dot_product_attention(Q, K, V, mask=None):
    return F.scaled_dot_product_attention(Q, K, V, attn_mask=mask)


def run_rope(d_k, theta, max_seq_len, in_query_or_key, token_positions):
    """Multiplies the complex numbers (x[2k], x[2k + 1]) by e^(i position / theta^(2k / d_k))."""
    frequencies = theta ** (-torch.arange(0, d_k, 2, dtype=torch.float64) / d_k)
    angles = token_positions[..., None].to(torch.float64) * frequencies
    turns = torch.polar(torch.ones_like(angles), angles)
    pairs = torch.view_as_complex(in_query_or_key.to(torch.float64).unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * turns).flatten(-2).to(in_query_or_key.dtype)


def _attention(num_heads, q, k, v, o, x, rotate):
    heads = [F.linear(x, weight).unflatten(-1, (num_heads, -1)).transpose(-3, -2) for weight in (q, k, v)]
    attended = F.scaled_dot_product_attention(rotate(heads[0]), rotate(heads[1]), heads[2], is_causal=True)
    return F.linear(attended.transpose(-3, -2).flatten(-2), o)


def run_multihead_self_attention(
    d_model, num_heads, q_proj_weight, k_proj_weight, v_proj_weight, o_proj_weight, in_features
):
    weights = q_proj_weight, k_proj_weight, v_proj_weight, o_proj_weight
    return _attention(num_heads, *weights, in_features, lambda heads: heads)


def run_multihead_self_attention_with_rope(
    d_model,
    num_heads,
    max_seq_len,
    theta,
    q_proj_weight,
    k_proj_weight,
    v_proj_weight,
    o_proj_weight,
    in_features,
    token_positions=None,
):
    if token_positions is None:
        token_positions = torch.arange(in_features.shape[-2])

    def rotate(heads):
        return run_rope(d_model // num_heads, theta, max_seq_len, heads, token_positions)

    weights = q_proj_weight, k_proj_weight, v_proj_weight, o_proj_weight
    return _attention(num_heads, *weights, in_features, rotate)


def run_transformer_block(d_model, num_heads, d_ff, max_seq_len, theta, weights, in_features):
    attention = [weights[f"attn.{name}_proj.weight"] for name in ("q", "k", "v", "output")]
    network = [weights[f"ffn.{name}.weight"] for name in ("w1", "w2", "w3")]
    normed = run_rmsnorm(d_model, EPS, weights["ln1.weight"], in_features)
    x = in_features + run_multihead_self_attention_with_rope(
        d_model, num_heads, max_seq_len, theta, *attention, normed
    )
    return x + run_swiglu(d_model, d_ff, *network, run_rmsnorm(d_model, EPS, weights["ln2.weight"], x))


def run_transformer_lm(
    vocab_size, context_length, d_model, num_layers, num_heads, d_ff, rope_theta, weights, in_indices
):
    x = F.embedding(in_indices, weights["token_embeddings.weight"])
    for layer in range(num_layers):
        prefix = f"layers.{layer}."
        own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        x = run_transformer_block(d_model, num_heads, d_ff, context_length, rope_theta, own, x)
    return F.linear(run_rmsnorm(d_model, EPS, weights["ln_final.weight"], x), weights["lm_head.weight"])
