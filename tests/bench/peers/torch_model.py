"""The course's Transformer LM in PyTorch, as one writes it for speed: one product for query, key and value, one for gate
and up, PyTorch's own attention and RMSNorm. The benchmarks and the training beside ours use it.
"""
import torch
from torch import nn
from torch.nn import functional as F


def linear(d_in, d_out):
    return nn.Linear(d_in, d_out, bias=False)


def rotate(x, cosine, sine):
    """RoPE: rotates each pair of neighbours by the angle of its position. x (..., positions, d_head)."""
    pairs = x.unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling():  # it joins these operations into one loop, and does not do so with complex numbers
        first, second = pairs.unbind(-1)
        return torch.stack((first * cosine - second * sine, first * sine + second * cosine), -1).flatten(-2)
    return torch.view_as_real(torch.view_as_complex(pairs) * torch.complex(cosine, sine)).flatten(-2)


class Attention(nn.Module):
    def __init__(self, d_model, heads):
        super().__init__()
        self.heads = heads
        self.query_key_value, self.output = linear(d_model, 3 * d_model), linear(d_model, d_model)

    def forward(self, x, cosine, sine):
        q, k, v = self.query_key_value(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(rotate(q, cosine, sine), rotate(k, cosine, sine), v, is_causal=True)
        return self.output(attended.transpose(1, 2).flatten(-2))


class FeedForward(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        self.gate_up, self.down = linear(d_model, 2 * d_ff), linear(d_ff, d_model)

    def forward(self, x):
        gate, up = self.gate_up(x).chunk(2, -1)
        return self.down(F.silu(gate) * up)


class Layer(nn.Module):
    def __init__(self, d_model, heads, d_ff, eps):
        super().__init__()
        self.attention, self.feed_forward = Attention(d_model, heads), FeedForward(d_model, d_ff)
        self.norm1, self.norm2 = nn.RMSNorm(d_model, eps), nn.RMSNorm(d_model, eps)

    def forward(self, x, cosine, sine):
        x = x + self.attention(self.norm1(x), cosine, sine)
        return x + self.feed_forward(self.norm2(x))


class Model(nn.Module):
    """Computes the logits (batch, context, vocabulary) of ids (batch, context). Every batch must have the full context,
    because the tables of RoPE have a row for each of its positions."""

    def __init__(self, vocab, context, d_model, layers, heads, d_ff, theta=1e4, eps=1e-5):
        super().__init__()
        self.embedding, self.lm_head = nn.Embedding(vocab, d_model), linear(d_model, vocab)
        self.layers = nn.ModuleList(Layer(d_model, heads, d_ff, eps) for _ in range(layers))
        self.norm = nn.RMSNorm(d_model, eps)
        # In float64: a rate that is rounded to float32 gives a late position an angle that is off by 1e-5.
        rates = theta ** (-torch.arange(0, d_model // heads, 2, dtype=torch.float64) / (d_model // heads))
        angles = torch.arange(context)[:, None] * rates
        self.register_buffer("cosine", angles.cos().float())
        self.register_buffer("sine", angles.sin().float())

    def forward(self, ids):
        x = self.embedding(ids)
        for layer in self.layers:
            x = layer(x, self.cosine, self.sine)
        return self.lm_head(self.norm(x))
