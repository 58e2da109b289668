"""Whether weights go between this program, PyTorch and transformers unchanged. `make interchange` calls it.

usage: check_weights.py PROGRAM DIRECTORY
CS336_PYTHON names the python3 that can import torch, safetensors and transformers.

- A model that is trained here for 50 steps, exported as a state dict, loads into the model of docs/interchange.md by
  load_state_dict(strict=True); exported as a Llama, into transformers' LlamaForCausalLM. All three give the same logits.
- What PyTorch and transformers save is imported, and gives the same logits here.
- What was exported and imported again has the same bytes.

The program prints no logits, but `cs336 evaluate --per-token` prints the loss of each token, which is the logarithm of the
sum of all exponentials of the logits minus one of them. So all logits take part, and the losses of some windows are
compared. tests/interchange compares whole logits with those that a script has saved.
"""

import json
import pathlib
import subprocess
import sys

MISSING = "check_weights.py: this python3 has no {}; CS336_PYTHON names one that has torch, safetensors and transformers"
try:
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import LlamaConfig, LlamaForCausalLM, logging
except ImportError as error:
    sys.exit(MISSING.format(error.name))

from page_model import page_model  # noqa: E402

logging.disable_progress_bar()
TOLERANCE = 1e-4
WINDOWS, CONTEXT = 8, 32
MODEL = f"--vocab-size 300 --context-length {CONTEXT} --d-model 32 --num-layers 2 --num-heads 4 --batch-size 4".split()


class Check:
    """Runs the program in a directory, and counts what differs."""

    def __init__(self, program, directory):
        self.program, self.directory, self.failed = str(pathlib.Path(program).resolve()), directory, 0

    def run(self, *arguments):
        done = subprocess.run([self.program, *map(str, arguments)], cwd=self.directory, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"check_weights.py: cs336 {' '.join(map(str, arguments))}: {done.stderr.strip()}")

    def losses(self, checkpoint):
        """The loss of each token but the first of each window, as the program computes it: (WINDOWS, CONTEXT - 1)."""
        rows = []
        for i in range(WINDOWS):
            self.run("evaluate", "--checkpoint", checkpoint, "--tokens", f"window-{i}.bin", "--per-token", "losses.jsonl")
            lines = (self.directory / "losses.jsonl").read_text().splitlines()
            rows.append([json.loads(line)["loss"] for line in lines])
        return torch.tensor(rows, dtype=torch.float64)

    def expect(self, what, ours, logits, ids):
        """Compares our losses with those of logits (WINDOWS, CONTEXT, vocab_size)."""
        theirs = torch.nn.functional.cross_entropy(logits[:, :-1].double().flatten(0, 1), ids[:, 1:].flatten(),
                                                   reduction="none").view(ours.shape)
        worst = (ours - theirs).abs().max().item()
        self.report(worst <= TOLERANCE, f"{what}: the losses of {theirs.numel()} tokens differ by at most {worst:.1e}")

    def report(self, right, text):
        print(("ok      " if right else "WRONG   ") + text)
        self.failed += not right


def make_run(check):
    """Makes a text, its tokenizer and its ids; returns the ids of some windows (WINDOWS, CONTEXT)."""
    check.run("story", "--stories", 60, "--seed", 1, "--output", "text.txt")
    check.run("train-bpe", "--input", "text.txt", "--vocab-size", 300, "--special-token", "<|endoftext|>", "--vocab",
              "vocab.json", "--merges", "merges.txt")
    check.run("encode", "--vocab", "vocab.json", "--merges", "merges.txt", "--special-token", "<|endoftext|>", "--input",
              "text.txt", "--output", "train.bin")
    data = (check.directory / "train.bin").read_bytes()[: 2 * WINDOWS * CONTEXT]
    for i in range(WINDOWS):
        (check.directory / f"window-{i}.bin").write_bytes(data[2 * CONTEXT * i : 2 * CONTEXT * (i + 1)])
    return torch.frombuffer(bytearray(data), dtype=torch.int16).long().view(WINDOWS, CONTEXT)


def check_trained(check, ids, name, *options):
    """A model of ours in PyTorch and in transformers."""
    check.run("train", "--train", "train.bin", *MODEL, "--steps", 50, "--lr", "1e-2", "--seed", 3, "--out", name, "--overwrite",
              *options)
    checkpoint, weights, llama = f"{name}/checkpoint.safetensors", f"{name}.safetensors", f"{name}-llama"
    check.run("export", "--checkpoint", checkpoint, "--weights-only", weights)
    check.run("export", "--checkpoint", checkpoint, "--llama", llama, "--end-id", 0)
    ours = check.losses(checkpoint)
    with torch.no_grad():
        model = page_model()["load"](str(check.directory / weights))
        check.expect(f"{name}, load_state_dict(strict=True)", ours, model(ids), ids)
        hugging = LlamaForCausalLM.from_pretrained(check.directory / llama)
        check.expect(f"{name}, LlamaForCausalLM.from_pretrained", ours, hugging(ids).logits, ids)
    check.run("import", weights, "--output", "again.safetensors")
    check.run("import", llama, "--output", "again-llama.safetensors")
    for again in ("again.safetensors", "again-llama.safetensors"):
        before, after = (load_file(check.directory / path) for path in (checkpoint, again))
        same = all(torch.equal(before[key], after[key]) for key in after) and len(before) == 3 * len(after)
        check.report(same, f"{name}, exported and imported again ({again}): the same numbers")
    check_saved_again(check, ids, name, model, hugging, ours)


def check_saved_again(check, ids, name, model, hugging, ours):
    """The same weights as Python saves them."""
    state = model.state_dict()
    if name == "tied":
        del state["lm_head.weight"]
    save_file(state, check.directory / "state.safetensors")
    hugging.save_pretrained(check.directory / "saved-llama")
    check.run("import", "state.safetensors", "--num-heads", 4, "--rope-theta", model.layers[0].attn.theta, "--output",
              "state-in.safetensors")
    check.run("import", "saved-llama", "--output", "llama-in.safetensors")
    for path in ("state-in.safetensors", "llama-in.safetensors"):
        worst = (check.losses(path) - ours).abs().max().item()
        check.report(worst == 0, f"{name}, saved by Python and imported ({path}): the losses differ by {worst:.1e}")


def check_llama(check, ids, dtype, shard_size, heads):
    """A Llama of transformers here."""
    torch.manual_seed(7)
    config = LlamaConfig(vocab_size=300, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=6,
                         num_key_value_heads=heads, max_position_embeddings=64, tie_word_embeddings=heads == 2,
                         initializer_range=0.2)
    model = LlamaForCausalLM(config).to(dtype)
    name = f"random-{heads}-{str(dtype).removeprefix('torch.')}"
    model.save_pretrained(check.directory / name, max_shard_size=shard_size)
    check.run("import", name, "--output", name + ".safetensors")
    # The same weights in float32; model.float() would keep the frequencies of RoPE, which were rounded too.
    wide = LlamaForCausalLM.from_pretrained(check.directory / name, dtype=torch.float32)
    with torch.no_grad():
        check.expect(f"LlamaForCausalLM with {heads} heads of keys for 6, {dtype}, shards of {shard_size}",
                     check.losses(name + ".safetensors"), wide(ids).logits, ids)


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: check_weights.py PROGRAM DIRECTORY")
    directory = pathlib.Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    check = Check(sys.argv[1], directory)
    ids = make_run(check)
    check_trained(check, ids, "plain")
    check_trained(check, ids, "tied", "--tie-embeddings", "--rope-theta", "500")
    check_llama(check, ids, torch.float32, "5GB", 6)
    check_llama(check, ids, torch.bfloat16, "50KB", 2)
    check_llama(check, ids, torch.float16, "5GB", 3)
    sys.exit(1 if check.failed else 0)


if __name__ == "__main__":
    main()
