"""Writes tests/fixtures/interchange: weights that Python saved, in each form that cs336 import reads, and their logits.

Run from the project's root with torch, transformers and safetensors installed:

    python tests/tools/make_interchange_fixtures.py

- f32, bf16, f16, sharded: the model of docs/interchange.md, saved as people save it. bf16 has the prefix of
  torch.compile(), f16 that of a wrapper, and neither has metadata.
- tied: the same with tied embeddings, saved by save_model(), which keeps one of the two names.
- llama: transformers' own LlamaForCausalLM with grouped heads and tied embeddings, by save_pretrained().
- widening: numbers of other types and PyTorch's float() of them.
- logits: what each model computes from the same ids, in float32.
"""

import json
import pathlib
import shutil

import numpy as np
import torch
from safetensors.torch import save_file, save_model
from transformers import LlamaConfig, LlamaForCausalLM

from page_model import page_model

OUTPUT = pathlib.Path("tests/fixtures/interchange")
SIZES = {"vocab_size": 40, "d_model": 16, "num_layers": 2, "num_heads": 2, "d_ff": 24}
IDS = torch.randint(40, (2, 9), generator=torch.Generator().manual_seed(1))


def randomise(model, seed):
    """Gives every parameter numbers that make logits of size 1, norms too, whose gains would otherwise all be 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            noise = torch.randn(p.shape, generator=generator)
            p.copy_(1 + 0.2 * noise if p.dim() == 1 else noise / p.shape[1] ** 0.5)
    return model.eval()


def logits_of(model):
    with torch.no_grad():
        result = model(IDS)
    return getattr(result, "logits", result).contiguous()


def make_state_dicts(logits):
    names = page_model()
    model = randomise(names["TransformerLM"](**SIZES), 2)
    state = {key: value.clone() for key, value in model.state_dict().items()}  # the model is overwritten below
    save_file(state, OUTPUT / "f32.safetensors")
    logits["f32"] = logits_of(model)
    for name, dtype, prefix in (("bf16", torch.bfloat16, "_orig_mod."), ("f16", torch.float16, "model.")):
        narrow = {key: value.to(dtype) for key, value in state.items()}
        save_file({prefix + key: value for key, value in narrow.items()}, OUTPUT / f"{name}.safetensors")
        model.load_state_dict({key: value.float() for key, value in narrow.items()})
        logits[name] = logits_of(model)
    tied = randomise(names["TransformerLM"](**SIZES, tied=True), 3)
    save_model(tied, str(OUTPUT / "tied.safetensors"))
    logits["tied"] = logits_of(tied)
    make_shards(state)


def make_shards(state):
    """Two files and their index, in the form that transformers writes."""
    directory = OUTPUT / "sharded"
    directory.mkdir()
    keys = sorted(state)
    shards = {f"model-{i + 1:05d}-of-00002.safetensors": keys[i::2] for i in range(2)}
    for shard, part in shards.items():
        save_file({key: state[key] for key in part}, directory / shard, metadata={"format": "pt"})
    index = {"metadata": {"total_size": sum(value.nbytes for value in state.values())},
             "weight_map": {key: shard for shard, part in shards.items() for key in part}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")


def make_llama(logits):
    config = LlamaConfig(vocab_size=40, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-6, tie_word_embeddings=True,
                         rope_parameters={"rope_type": "default", "rope_theta": 5000.0}, bos_token_id=0, eos_token_id=0)
    model = randomise(LlamaForCausalLM(config), 4)
    model.save_pretrained(OUTPUT / "llama")
    (OUTPUT / "llama" / "generation_config.json").unlink(missing_ok=True)
    logits["llama"] = logits_of(model)


def make_widening(arrays):
    """Every kind of half and bfloat16: zeros, subnormals, infinities, NaN, and any bits; and doubles about the middle of two
    float32 numbers, beyond the range, and among the subnormals."""
    rng = np.random.default_rng(5)
    for name, dtype in (("f16", torch.float16), ("bf16", torch.bfloat16)):
        edges = [0, 1, 2, 0x3FF, 0x400, 0x7BFF, 0x7C00, 0x7C01, 0x7E00, 0x7F, 0x80, 0x7F7F, 0x7F80, 0x7F81, 0x7FC0]
        bits = np.concatenate([np.array([b | s for b in edges for s in (0, 0x8000)]), rng.integers(0, 1 << 16, 600)])
        arrays[name] = torch.from_numpy(bits.astype(np.uint16).view(np.int16).copy()).view(dtype)
        arrays[name + ".expected"] = arrays[name].float()
    singles = rng.integers(0, 1 << 32, 300, dtype=np.uint64).astype(np.uint32).view(np.float32)
    singles = singles[np.isfinite(singles)].astype(np.float64)
    middles = (singles + np.nextafter(singles.astype(np.float32), np.float32(np.inf)).astype(np.float64)) / 2
    edges = [0.0, -0.0, 1e39, -1e39, 3.4028235677973366e38, 3.4028235677973362e38, 1e-45, 7e-46, 7.1e-46, 1e-320, np.inf, np.nan]
    doubles = np.concatenate([edges, singles, middles, np.nextafter(middles, np.inf), np.nextafter(middles, -np.inf)])
    arrays["f64"] = torch.from_numpy(doubles)
    arrays["f64.expected"] = arrays["f64"].float()


def main():
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    logits, widening = {}, {}
    make_state_dicts(logits)
    make_llama(logits)
    make_widening(widening)
    save_file({"ids": IDS.int(), **logits}, OUTPUT / "logits.safetensors")
    save_file(widening, OUTPUT / "widening.safetensors")
    files = [path for path in OUTPUT.rglob("*") if path.is_file()]
    print(f"{OUTPUT}: {len(files)} files, {sum(path.stat().st_size for path in files)} bytes, torch {torch.__version__}")


if __name__ == "__main__":
    main()
