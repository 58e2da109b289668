"""Trains our model in PyTorch: the same initial weights, batches, schedule and validation windows as `cs336 train`.

usage: torch_training.py DIR --init CHECKPOINT [--threads N] [--compile] [--compare RUN]

DIR holds config.json, as `cs336 train` writes it. The script writes log.jsonl beside it, with the keys of our log, so
that `cs336 report` shows both. CHECKPOINT has the initial weights: a run of one step with --lr 0 and the same seed saves
them, because a rate of 0 changes no weight. Batches are drawn as core/rng.h and data/batch.h say.

--compile   use torch.compile. It compiles before the clock starts.
--compare   then compare each line with that of RUN's log.jsonl, and fail if a training loss, a validation loss or a
            gradient norm differs by more than 1e-5 of itself. Then this script clips with an exact norm: that of
            PyTorch's clip_grad_norm_ is up to 1e-5 off, and 30 clipped steps have made a difference of 8.5e-5 of it

The clock of the log's `seconds` includes validations, as ours does. Nothing is saved, where ours saves the best weights.
"""
import argparse
import json
import math
import pathlib
import sys
import time

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError:
    sys.exit(f"torch_training.py: {sys.executable} has no PyTorch; CS336_PYTHON names a python3 that can import torch")

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import rng_reference
from torch_model import Model

TOLERANCE = 1e-5
STREAM_BATCHES, STREAM_VALIDATION = 1, 2  # of train/trainer.c
LIKE_OURS = {"norm": "pre", "position": "rope", "ffn": "swiglu", "dtype": "float32", "tie_embeddings": False,
             "grad_accum": 1, "overfit_one_batch": False, "no_decay_norms": False}


# ---- what ours wrote ----

def read_config(directory):
    config = json.loads((directory / "config.json").read_text())
    for key, value in LIKE_OURS.items():
        if config.get(key, value) != value:
            sys.exit(f"torch_training.py: {directory}/config.json: {key} is {config[key]}, expected {value}")
    return config


def read_checkpoint(path):
    """Returns the weights of a safetensors file by name. Moments are left out."""
    data = bytearray(pathlib.Path(path).read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    entries = json.loads(data[8:start])
    return {name: torch.frombuffer(data, dtype=torch.float32, count=math.prod(entry["shape"]),
                                   offset=start + entry["data_offsets"][0]).view(entry["shape"])
            for name, entry in entries.items() if not name.startswith(("__metadata__", "optimizer."))}


def load_weights(model, weights):
    """Gives the model our weights, of which it has some joined in one matrix."""
    joined = {"embedding": ["token_embeddings"], "norm": ["ln_final"], "lm_head": ["lm_head"]}
    for i in range(len(model.layers)):
        layer = f"layers.{i}."
        joined[layer + "norm1"], joined[layer + "norm2"] = [layer + "ln1"], [layer + "ln2"]
        joined[layer + "attention.query_key_value"] = [f"{layer}attn.{name}_proj" for name in "qkv"]
        joined[layer + "attention.output"] = [layer + "attn.output_proj"]
        joined[layer + "feed_forward.gate_up"] = [layer + "ffn.w1", layer + "ffn.w3"]
        joined[layer + "feed_forward.down"] = [layer + "ffn.w2"]
    state = {name + ".weight": torch.cat([weights[part + ".weight"] for part in parts]) for name, parts in joined.items()}
    missing = model.load_state_dict(state, strict=False).missing_keys
    if set(missing) != {"cosine", "sine"}:
        sys.exit(f"torch_training.py: the checkpoint lacks {', '.join(missing)}")


def read_tokens(path, vocab_size):
    """Reads a raw file of ids: data/token_file.h."""
    data = bytearray(pathlib.Path(path).read_bytes())
    if data.startswith(b"\x93NUMPY"):
        sys.exit(f"torch_training.py: {path}: an .npy file, expected raw ids from cs336 encode")
    return torch.frombuffer(data, dtype=torch.uint16 if vocab_size <= 65536 else torch.int32).to(torch.int64)


# ---- training ----

def windows(tokens, config, generator):
    """Draws a batch: inputs and targets (batch, context)."""
    context = config["context_length"]
    starts = [rng_reference.below(generator, len(tokens) - context) for _ in range(config["batch_size"])]
    ids = tokens[torch.tensor(starts)[:, None] + torch.arange(context + 1)]
    return ids[:, :-1], ids[:, 1:]


def learning_rate(config, step):
    warmup, decay, most, least = (config[key] for key in ("warmup_steps", "decay_steps", "lr", "min_lr"))
    if step < warmup:
        return step / warmup * most
    if step > decay:
        return least
    progress = (step - warmup) / (decay - warmup) if decay > warmup else 0
    return least + 0.5 * (1 + math.cos(math.pi * progress)) * (most - least)


class Training:
    def __init__(self, config, checkpoint, compiled):
        self.config = config
        self.model = Model(config["vocab_size"], config["context_length"], config["d_model"], config["num_layers"],
                           config["num_heads"], config["d_ff"], config["rope_theta"], config["norm_eps"])
        load_weights(self.model, read_checkpoint(checkpoint))
        self.logits = torch.compile(self.model) if compiled else self.model
        self.optimizer = torch.optim.AdamW(self.model.parameters(), config["lr"], (config["beta1"], config["beta2"]),
                                           config["eps"], config["weight_decay"], fused=True)
        self.tokens = read_tokens(config["train"], config["vocab_size"])
        self.held_out = read_tokens(config["val"], config["vocab_size"]) if "val" in config else None
        self.batches = rng_reference.bits(config["seed"], STREAM_BATCHES)

    def loss(self, inputs, targets):
        return F.cross_entropy(self.logits(inputs).flatten(0, 1), targets.flatten())

    def warm_up(self):
        """Computes what a step and a validation compute, without an update: torch.compile compiles then."""
        batch = windows(self.tokens, self.config, rng_reference.bits(self.config["seed"], STREAM_BATCHES))
        self.loss(*batch).backward()
        self.optimizer.zero_grad()
        with torch.no_grad():
            self.loss(*batch)

    def clip_exactly(self):
        """Clips as clip_grad_norm_ does, and returns the norm of all gradients. It sums the squares in float64, as ours
        does. PyTorch sums them in float32, and its norm is up to 1e-5 off."""
        gradients = [parameter.grad for parameter in self.model.parameters()]
        norm = math.sqrt(sum(gradient.double().square().sum().item() for gradient in gradients))
        most = self.config["max_grad_norm"] or math.inf
        if norm > most:
            for gradient in gradients:
                gradient.mul_(most / (norm + 1e-6))
        return norm

    def clip(self):
        return nn.utils.clip_grad_norm_(self.model.parameters(), self.config["max_grad_norm"] or math.inf).item()

    def step(self, number, exact):
        """Returns the loss before the update, and the norm of the gradients before they are clipped."""
        loss = self.loss(*windows(self.tokens, self.config, self.batches))
        self.optimizer.zero_grad()
        loss.backward()
        norm = self.clip_exactly() if exact else self.clip()
        self.optimizer.param_groups[0]["lr"] = learning_rate(self.config, number)
        self.optimizer.step()
        return loss.item(), norm

    @torch.no_grad()
    def validate(self):
        generator = rng_reference.bits(self.config["seed"], STREAM_VALIDATION)
        count = self.config["val_batches"]
        return sum(self.loss(*windows(self.held_out, self.config, generator)).item() for _ in range(count)) / count


def train(training, log, exact):
    """Trains, and writes a line of the log wherever ours writes one."""
    config = training.config
    batch_tokens = config["batch_size"] * config["context_length"]
    start, step_seconds, step_tokens = time.perf_counter(), 0, 0
    for step in range(1, config["steps"] + 1):
        step_start = time.perf_counter()
        loss, norm = training.step(step, exact)
        step_seconds += time.perf_counter() - step_start
        step_tokens += batch_tokens
        last = step == config["steps"]
        validates = training.held_out is not None and (last or (config["val_every"] and step % config["val_every"] == 0))
        if not (last or validates or step % config["log_every"] == 0):
            continue
        line = {"step": step, "tokens": step * batch_tokens, "seconds": 0, "train_loss": loss}
        if validates:
            line["val_loss"] = training.validate()
        line.update(seconds=time.perf_counter() - start, lr=learning_rate(config, step), grad_norm=norm,
                    tokens_per_second=step_tokens / step_seconds, mfu=None)
        log.write(json.dumps(line) + "\n")
        log.flush()
        step_seconds = step_tokens = 0


# ---- comparing ----

def relative_difference(a, b):
    if a is None or b is None or not (math.isfinite(a) and math.isfinite(b)):
        return math.inf
    return abs(a - b) / abs(b) if a != b else 0.0


def compare(directory, ours):
    """Prints the largest relative differences of the two logs. Returns True if none is beyond the tolerance."""
    logs = [[json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()] for run in (directory, ours)]
    if [(line["step"], sorted(line)) for line in logs[0]] != [(line["step"], sorted(line)) for line in logs[1]]:
        print(f"{directory}/log.jsonl and {ours}/log.jsonl have lines of different steps or with different keys")
        return False
    equal = True
    for key in ("train_loss", "val_loss", "grad_norm", "lr"):
        # A number that is not finite is null in our log. It equals nothing.
        differences = [(relative_difference(a[key], b[key]), a["step"]) for a, b in zip(*logs) if key in b]
        if differences:
            largest, step = max(differences)
            print(f"{key:10}  {len(differences):4} values, largest relative difference {largest:.1e}, in step {step}")
            equal = equal and largest <= TOLERANCE
    print(f"PyTorch and ours are {'equal' if equal else 'NOT equal'} to {TOLERANCE:g}")
    return equal


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--init", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--compare", type=pathlib.Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    training = Training(read_config(options.directory), options.init, options.compile)
    training.warm_up()
    with open(options.directory / "log.jsonl", "w", encoding="utf-8") as log:
        train(training, log, exact=bool(options.compare))
    if options.compare and not compare(options.directory, options.compare):
        sys.exit(1)


if __name__ == "__main__":
    main()
