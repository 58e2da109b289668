"""PyTorch as a line peer of the benchmarks (line_peer.py). It answers these requests:

    threads N                      use N threads; 0
    sdpa forward|both B H T D [DTYPE]  seconds of causal attention, forward or forward and backward, DTYPE as below
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
    from torch_model import Model
except ImportError:
    absent()

VOCAB, CONTEXT, D_MODEL, LAYERS, HEADS, D_FF = 10000, 256, 512, 4, 16, 1344  # the reference model


# ---- requests: each function returns a function that does one run ----


def sdpa(what, batch, heads, length, d, dtype="float32"):
    shape, dtype = (int(batch), int(heads), int(length), int(d)), getattr(torch, dtype)
    q, k, v = (torch.randn(shape, dtype=dtype, requires_grad=what == "both") for _ in range(3))
    grad = torch.randn(shape, dtype=dtype)

    def run():
        output = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        if what == "both":
            torch.autograd.grad(output, (q, k, v), grad)
    return run


def step(mode, dtype, batch):
    torch.manual_seed(0)
    model = Model(VOCAB, CONTEXT, D_MODEL, LAYERS, HEADS, D_FF)
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
