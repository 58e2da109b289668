"""PyTorch as a line peer of bench_gpt2.c (line_peer.py): training of a model of GPT-2-small's size. It answers:

    threads N    use N threads; 0
    step B       seconds of one training step in float32 on B sequences of 1024 tokens
    peak         bytes: the most memory that this process has had

The model is written for PyTorch's best: its own RMSNorm, attention and AdamW, which are fused, one product for query,
key and value, and one for both halves of SwiGLU. It has no RoPE, which would only cost it time and memory.
"""
import time

from line_peer import absent, peak, serve

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError:
    absent()

VOCAB, CONTEXT, D_MODEL, LAYERS, HEADS, D_FF = 50257, 1024, 768, 12, 12, 2048


def linear(d_in, d_out):
    return nn.Linear(d_in, d_out, bias=False)


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.RMSNorm(D_MODEL, 1e-5), nn.RMSNorm(D_MODEL, 1e-5)
        self.qkv, self.output = linear(D_MODEL, 3 * D_MODEL), linear(D_MODEL, D_MODEL)
        self.up, self.down = linear(D_MODEL, 2 * D_FF), linear(D_FF, D_MODEL)

    def forward(self, x):
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.output(attended.transpose(1, 2).flatten(-2))
        gate, up = self.up(self.norm2(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Training:
    def __init__(self):
        self.model = nn.Sequential(nn.Embedding(VOCAB, D_MODEL), *(Layer() for _ in range(LAYERS)),
                                   nn.RMSNorm(D_MODEL, 1e-5), linear(D_MODEL, VOCAB))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 1e-3, weight_decay=0.1, fused=True)

    def step(self, batch):
        ids = torch.randint(VOCAB, (batch, CONTEXT + 1))
        loss = F.cross_entropy(self.model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()


training = None


def answer(request):
    global training
    word, *numbers = request.split()
    if word == "peak":
        return peak()
    if word == "threads":
        torch.set_num_threads(int(numbers[0]))
        return 0
    batch = int(numbers[0])
    if not training:
        training = Training()
        training.step(batch)  # not timed: it makes the moments, and its memory causes page faults
    start = time.perf_counter()
    training.step(batch)
    return time.perf_counter() - start


serve(answer)
