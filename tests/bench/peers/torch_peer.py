"""PyTorch as a line peer of the benchmarks (line_peer.py). It answers these requests:

    threads N                      use N threads; 0
    sdpa forward|both B H T D      seconds of causal attention in float32, forward or forward and backward
    step sdpa|compile DTYPE B      seconds of one training step of the reference model, DTYPE float32 or bfloat16 (autocast)
    adamw N                        seconds of one fused AdamW step over N numbers
    matmul bfloat16 FORM M N K     seconds of one product, forms as in bench_matmul.c
    peak                           bytes: the most memory that this process has had
"""
import logging
import time
import warnings

from line_peer import absent, peak, serve

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError:
    absent()

VOCAB, CONTEXT, D_MODEL, LAYERS, HEADS, D_FF = 10000, 256, 512, 4, 16, 1344
D_HEAD = D_MODEL // HEADS


# ---- the reference model ----


def linear(d_in, d_out):
    return nn.Linear(d_in, d_out, bias=False)


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(D_MODEL))

    def forward(self, x):
        return self.gain * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5))


def rotate(x, cosine, sine):
    """RoPE: rotates each pair of neighbours by the angle of its position."""
    first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((first * cosine - second * sine, first * sine + second * cosine), -1).flatten(-2)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key, self.value = linear(D_MODEL, D_MODEL), linear(D_MODEL, D_MODEL), linear(D_MODEL, D_MODEL)
        self.output = linear(D_MODEL, D_MODEL)

    def forward(self, x, cosine, sine):
        q, k, v = (project(x).unflatten(-1, (HEADS, D_HEAD)).transpose(1, 2)
                   for project in (self.query, self.key, self.value))
        attended = F.scaled_dot_product_attention(rotate(q, cosine, sine), rotate(k, cosine, sine), v, is_causal=True)
        return self.output(attended.transpose(1, 2).flatten(-2))


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate, self.up, self.down = linear(D_MODEL, D_FF), linear(D_MODEL, D_FF), linear(D_FF, D_MODEL)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.feed_forward, self.norms = Attention(), FeedForward(), nn.ModuleList([Norm(), Norm()])

    def forward(self, x, cosine, sine):
        x = x + self.attention(self.norms[0](x), cosine, sine)
        return x + self.feed_forward(self.norms[1](x))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.norm, self.lm_head = nn.Embedding(VOCAB, D_MODEL), Norm(), linear(D_MODEL, VOCAB)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        rates = 1e4 ** (-torch.arange(0, D_HEAD, 2) / D_HEAD)
        angles = torch.arange(CONTEXT)[:, None] * rates
        self.register_buffer("cosine", angles.cos())
        self.register_buffer("sine", angles.sin())

    def forward(self, ids):
        x = self.embedding(ids)
        for layer in self.layers:
            x = layer(x, self.cosine, self.sine)
        return self.lm_head(self.norm(x))


# ---- requests: each function returns a function that does one run ----


def sdpa(what, batch, heads, length, d):
    shape = int(batch), int(heads), int(length), int(d)
    q, k, v = (torch.randn(shape, requires_grad=what == "both") for _ in range(3))
    grad = torch.randn(shape)

    def run():
        output = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        if what == "both":
            torch.autograd.grad(output, (q, k, v), grad)
    return run


def step(mode, dtype, batch):
    torch.manual_seed(0)
    model = Model()
    forward = torch.compile(model) if mode == "compile" else model
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.1, fused=True)
    text = torch.randint(VOCAB, (100000,))

    def run():
        starts = torch.randint(len(text) - CONTEXT, (int(batch), 1))
        window = text[starts + torch.arange(CONTEXT + 1)]
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            loss = F.cross_entropy(forward(window[:, :-1]).flatten(0, 1), window[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()
    return run


def adamw(count):
    weight = nn.Parameter(torch.randn(int(count)))
    weight.grad = torch.randn(int(count))
    optimizer = torch.optim.AdamW([weight], 1e-3, weight_decay=0.1, fused=True)
    return optimizer.step


def matmul(dtype, form, m, n, k):
    m, n, k, dtype = int(m), int(n), int(k), getattr(torch, dtype)
    a = torch.randn(m, k, dtype=dtype) if form[0] == "N" else torch.randn(k, m, dtype=dtype).t()
    b = torch.randn(k, n, dtype=dtype) if form[1] == "N" else torch.randn(n, k, dtype=dtype).t()
    return lambda: torch.mm(a, b)


# ---- answers ----


class Answers:
    request, run = "", None

    def timed(self, request):
        """The first run of each request is not timed: it warms up or compiles."""
        if request != self.request:
            self.request, self.run = "", None
            kind, *arguments = request.split()
            prepared = {"sdpa": sdpa, "step": step, "adamw": adamw, "matmul": matmul}[kind](*arguments)
            prepared()
            self.request, self.run = request, prepared
        start = time.perf_counter()
        self.run()
        return time.perf_counter() - start

    def __call__(self, request):
        if request == "peak":
            return peak()
        if request.startswith("threads "):
            torch.set_num_threads(int(request.split()[1]))
            return 0
        return self.timed(request)


def main():
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    serve(Answers())


main()
