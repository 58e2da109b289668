"""The adapters of the course's test suite, over libcs336. `make official` puts this file in place of tests/adapters.py.

Each adapter passes PyTorch's tensors to the C function of the same purpose, through the ctypes layer of the Python
package, and C writes the result into a tensor that the adapter has made. The tokenizer and its training are the
package's. Everything that is computed is computed in C. These things stay in Python:

- Token ids and positions are int64 in PyTorch and int32 in C: `_ids` converts them.
- get_adamw_cls: the state of a torch.optim.Optimizer is a dictionary. Python keeps it; C updates weights and moments.
- run_save_checkpoint and run_load_checkpoint: the optimizer's groups and step counts, which no C struct has, are a text
  in the checkpoint. A file object such as BytesIO gets the bytes of a temporary file that C has written.
- get_tokenizer: a str becomes UTF-8 for C, and the bytes of C become a str.
- run_get_batch: PyTorch raises a RuntimeError for a device that does not exist, and C's error is a ValueError.

C reads and writes PyTorch's memory. Only token ids and the weights of the language model are copied.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from ctypes import byref, c_float

import cs336
import numpy as np
import torch
from cs336 import _library as c
from cs336._library import lib
from torch import Tensor

NORM_EPS = 1e-5  # the course's, in the blocks and the language model


def _view(tensor: Tensor, writable: bool = False) -> c.Tensor:
    """C's view of a tensor's numbers."""
    return c.tensor(tensor.detach().numpy(), writable=writable)


def _ids(ids: Tensor | None) -> c.TokenTensor:
    """C's view of an int32 copy of token ids or positions; a view without data for None."""
    return c.TokenTensor() if ids is None else c.tokens(c.token_ids(ids.numpy()))


def _linear(weight: Tensor) -> c.Linear:
    return c.Linear(weight=_view(weight))


# ---- modules ---------------------------------------------------------------------------------------------------------


def run_linear(d_in: int, d_out: int, weights: Tensor, in_features: Tensor) -> Tensor:
    output = torch.empty(*in_features.shape[:-1], d_out)
    lib.linear_forward(_view(output, True), _view(in_features), byref(_linear(weights)))
    return output


def run_embedding(vocab_size: int, d_model: int, weights: Tensor, token_ids: Tensor) -> Tensor:
    output = torch.empty(*token_ids.shape, d_model)
    lib.embedding_forward(_view(output, True), _ids(token_ids), byref(c.Embedding(weight=_view(weights))))
    return output


def run_swiglu(
    d_model: int, d_ff: int, w1_weight: Tensor, w2_weight: Tensor, w3_weight: Tensor, in_features: Tensor
) -> Tensor:
    output = torch.empty_like(in_features)
    x, ffn = _view(in_features), c.FeedForward(w1=_linear(w1_weight), w2=_linear(w2_weight), w3=_linear(w3_weight))
    with c.arena(lib.feed_forward_scratch(x, byref(ffn), False)) as scratch:
        lib.feed_forward_forward(_view(output, True), None, x, byref(ffn), byref(scratch))
    return output


def run_scaled_dot_product_attention(Q: Tensor, K: Tensor, V: Tensor, mask: Tensor | None = None) -> Tensor:
    output = torch.empty(*Q.shape[:-1], V.shape[-1])
    seen = c.AttentionMask(kind=c.CONSTANTS["ATTEND_ALL"])
    if mask is not None:
        seen = c.AttentionMask(kind=c.CONSTANTS["ATTEND_WHERE"], where=c.mask(mask.numpy()))
    lib.scaled_dot_product_attention_forward(
        _view(output, True), c.Tensor(), _view(Q), _view(K), _view(V), seen
    )
    return output


@contextlib.contextmanager
def _rope_tables(theta: float, d_k: int, max_seq_len: int) -> Iterator[c.RoPE]:
    rope, measure = c.RoPE(), c.Arena()
    lib.rope_bind(byref(rope), byref(measure), theta, d_k, max_seq_len)
    with c.arena(measure.peak) as tables:
        lib.rope_bind(byref(rope), byref(tables), theta, d_k, max_seq_len)
        yield rope


def _run_attention(num_heads, q, k, v, o, in_features, rope, positions) -> Tensor:
    output = torch.empty_like(in_features)
    x = _view(in_features)
    attention = c.MultiHeadSelfAttention(
        num_heads=num_heads, q_proj=_linear(q), k_proj=_linear(k), v_proj=_linear(v), output_proj=_linear(o)
    )
    with c.arena(lib.mha_scratch(x, num_heads)) as scratch:
        lib.mha_forward(
            _view(output, True), None, x, byref(attention), rope and byref(rope), positions, byref(scratch)
        )
    return output


def run_multihead_self_attention(
    d_model: int,
    num_heads: int,
    q_proj_weight: Tensor,
    k_proj_weight: Tensor,
    v_proj_weight: Tensor,
    o_proj_weight: Tensor,
    in_features: Tensor,
) -> Tensor:
    weights = q_proj_weight, k_proj_weight, v_proj_weight, o_proj_weight
    return _run_attention(num_heads, *weights, in_features, None, c.TokenTensor())


def run_multihead_self_attention_with_rope(
    d_model: int,
    num_heads: int,
    max_seq_len: int,
    theta: float,
    q_proj_weight: Tensor,
    k_proj_weight: Tensor,
    v_proj_weight: Tensor,
    o_proj_weight: Tensor,
    in_features: Tensor,
    token_positions: Tensor | None = None,
) -> Tensor:
    weights = q_proj_weight, k_proj_weight, v_proj_weight, o_proj_weight
    with _rope_tables(theta, d_model // num_heads, max_seq_len) as rope:
        return _run_attention(num_heads, *weights, in_features, rope, _ids(token_positions))


def run_rope(d_k: int, theta: float, max_seq_len: int, in_query_or_key: Tensor, token_positions: Tensor) -> Tensor:
    output = torch.empty_like(in_query_or_key)
    with _rope_tables(theta, d_k, max_seq_len) as rope:
        lib.rope_forward(_view(output, True), _view(in_query_or_key), _ids(token_positions), byref(rope))
    return output


def run_transformer_block(
    d_model: int,
    num_heads: int,
    d_ff: int,
    max_seq_len: int,
    theta: float,
    weights: dict[str, Tensor],
    in_features: Tensor,
) -> Tensor:
    linear = {name: _linear(weight) for name, weight in weights.items() if weight.ndim == 2}
    norm = {name: c.RMSNorm(weight=_view(weight), eps=NORM_EPS) for name, weight in weights.items() if weight.ndim == 1}
    block = c.TransformerBlock(
        norm=c.CONSTANTS["NORM_PRE"],
        attn=c.MultiHeadSelfAttention(
            num_heads=num_heads,
            q_proj=linear["attn.q_proj.weight"],
            k_proj=linear["attn.k_proj.weight"],
            v_proj=linear["attn.v_proj.weight"],
            output_proj=linear["attn.output_proj.weight"],
        ),
        ln1=norm["ln1.weight"],
        ln2=norm["ln2.weight"],
        ffn=c.FeedForward(w1=linear["ffn.w1.weight"], w2=linear["ffn.w2.weight"], w3=linear["ffn.w3.weight"]),
    )
    output = torch.empty_like(in_features)
    x = _view(in_features)
    with (
        _rope_tables(theta, d_model // num_heads, max_seq_len) as rope,
        c.arena(lib.transformer_block_scratch(x, byref(block), False)) as scratch,
    ):
        lib.transformer_block_forward(
            _view(output, True), None, x, byref(block), byref(rope), c.TokenTensor(), byref(scratch)
        )
    return output


def _fill_weights(model: c.TrainedModel, weights: dict[str, Tensor]) -> None:
    for parameter in model.parameters.items[: model.parameters.count]:
        name = parameter.name.decode()
        value = c.tensor_array(parameter.value, model)
        if tuple(weights[name].shape) != value.shape:
            raise ValueError(f"{name} has the shape {tuple(weights[name].shape)}, expected {value.shape}")
        value[...] = weights[name].detach().numpy()


def run_transformer_lm(
    vocab_size: int,
    context_length: int,
    d_model: int,
    num_layers: int,
    num_heads: int,
    d_ff: int,
    rope_theta: float,
    weights: dict[str, Tensor],
    in_indices: Tensor,
) -> Tensor:
    config = c.TransformerLMConfig(
        vocab_size=vocab_size,
        context_length=context_length,
        d_model=d_model,
        num_layers=num_layers,
        num_heads=num_heads,
        d_ff=d_ff,
        rope_theta=rope_theta,
        norm_eps=NORM_EPS,
    )
    output = torch.empty(*in_indices.shape, vocab_size)
    model = c.TrainedModel()
    lib.trained_model_create(byref(model), byref(config), b"the weights")
    try:
        _fill_weights(model, weights)
        with c.arena(lib.transformer_lm_forward_scratch(byref(model.lm), *in_indices.shape)) as scratch:
            lib.transformer_lm_forward(_view(output, True), byref(model.lm), _ids(in_indices), byref(scratch))
    finally:
        lib.trained_model_deinit(byref(model))
    return output


def run_rmsnorm(d_model: int, eps: float, weights: Tensor, in_features: Tensor) -> Tensor:
    output = torch.empty_like(in_features)
    norm = c.RMSNorm(weight=_view(weights), eps=eps)
    lib.rmsnorm_forward(_view(output, True), c.Tensor(), _view(in_features), byref(norm))
    return output


def run_silu(in_features: Tensor) -> Tensor:
    output = torch.empty_like(in_features)
    lib.silu_forward(_view(output, True), _view(in_features))
    return output


# ---- losses and gradients --------------------------------------------------------------------------------------------


def run_softmax(in_features: Tensor, dim: int) -> Tensor:
    output = torch.empty_like(in_features)
    lib.softmax_forward(_view(output, True), _view(in_features), dim)
    return output


def run_cross_entropy(inputs: Tensor, targets: Tensor) -> Tensor:
    loss = c_float()
    lib.cross_entropy_forward(byref(loss), c.Tensor(), _view(inputs), _ids(targets))
    return torch.tensor(loss.value)


def run_gradient_clipping(parameters: Iterable[torch.nn.Parameter], max_l2_norm: float) -> None:
    trained = [p for p in parameters if p.grad is not None]
    views = [c.Parameter(name=b"%d" % i, value=_view(p), grad=_view(p.grad, True)) for i, p in enumerate(trained)]
    lib.clip_gradients(None, c.parameter_list(views), max_l2_norm)


# ---- optimizer -------------------------------------------------------------------------------------------------------


class AdamW(torch.optim.Optimizer):
    """AdamW with C's step. The state of a parameter has the keys of PyTorch's AdamW; `step` is an int."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay})

    def add_state(self, parameter: torch.nn.Parameter, step: int = 0) -> dict:
        """Returns the new state of a parameter, with moments of 0."""
        moments = {key: torch.zeros_like(parameter) for key in ("exp_avg", "exp_avg_sq")}
        self.state[parameter].update(step=step, **moments)
        return self.state[parameter]

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            by_step: dict[int, list[c.Parameter]] = {}
            for p in filter(lambda p: p.grad is not None, group["params"]):
                state = self.state[p] or self.add_state(p)
                state["step"] += 1
                tensors = p, p.grad, state["exp_avg"], state["exp_avg_sq"]
                views = [_view(tensor, True) for tensor in tensors]
                by_step.setdefault(state["step"], []).append(c.Parameter(b"", *views))
            rates = c.AdamWConfig(group["lr"], *group["betas"], group["eps"], group["weight_decay"])
            for step, parameters in by_step.items():
                lib.adamw_step(c.parameter_list(parameters), step, byref(rates))
        return loss


def get_adamw_cls() -> type[torch.optim.Optimizer]:
    return AdamW


def run_get_lr_cosine_schedule(
    it: int, max_learning_rate: float, min_learning_rate: float, warmup_iters: int, cosine_cycle_iters: int
) -> float:
    schedule = c.CosineSchedule(max_learning_rate, min_learning_rate, warmup_iters, cosine_cycle_iters)
    return lib.cosine_schedule_lr(byref(schedule), it)


# ---- checkpoints -----------------------------------------------------------------------------------------------------


def _checkpoint_parameters(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> c.ParameterList:
    """Lists the model's state dict, and the moments of the parameters that the optimizer has a state of."""
    states = {name: optimizer.state.get(parameter) for name, parameter in model.named_parameters()}
    views = []
    for name, value in model.state_dict().items():
        parameter = c.Parameter(name=name.encode(), value=_view(value, True))
        if states.get(name):
            parameter.first_moment = _view(states[name]["exp_avg"], True)
            parameter.second_moment = _view(states[name]["exp_avg_sq"], True)
        views.append(parameter)
    return c.parameter_list(views)


def _is_path(file) -> bool:
    return isinstance(file, (str, os.PathLike))


def run_save_checkpoint(model: torch.nn.Module, optimizer: torch.optim.Optimizer, iteration: int, out) -> None:
    names = {parameter: name for name, parameter in model.named_parameters()}
    steps = {names[parameter]: state["step"] for parameter, state in optimizer.state.items()}
    text = json.dumps({"steps": steps, "param_groups": optimizer.state_dict()["param_groups"]})
    config = (c.SafetensorsText * 1)(c.SafetensorsText(b"optimizer", text.encode()))
    parameters = _checkpoint_parameters(model, optimizer)
    checkpoint = c.Checkpoint(parameters=parameters, iteration=iteration, config=config, config_count=1)
    if _is_path(out):
        lib.checkpoint_save(c.path_bytes(out), byref(checkpoint))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "checkpoint")
        lib.checkpoint_save(c.path_bytes(path), byref(checkpoint))
        with open(path, "rb") as file:
            shutil.copyfileobj(file, out)


def _read_checkpoint(path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    file, checkpoint, states = c.CheckpointFile(), c.Checkpoint(), dict(optimizer.state)
    lib.checkpoint_open(byref(file), c.path_bytes(path))
    try:
        text = lib.checkpoint_config(byref(file), b"optimizer")
        if text is None:
            raise ValueError(f"{path}: the checkpoint has no optimizer that run_save_checkpoint() wrote")
        saved = json.loads(text)
        optimizer.state.clear()
        for name, parameter in model.named_parameters():
            if name in saved["steps"]:
                optimizer.add_state(parameter, saved["steps"][name])
        parameters = _checkpoint_parameters(model, optimizer)
        checkpoint.parameters = parameters
        lib.checkpoint_read(byref(checkpoint), byref(file))
    except Exception:
        optimizer.state.clear()
        optimizer.state.update(states)
        raise
    finally:
        lib.checkpoint_close(byref(file))
    for group, restored in zip(optimizer.param_groups, saved["param_groups"], strict=True):
        tuples = {key: tuple(value) if isinstance(value, list) else value for key, value in restored.items()}
        group.update({key: value for key, value in tuples.items() if key != "params"})
    return checkpoint.iteration


def run_load_checkpoint(src, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    if _is_path(src):
        return _read_checkpoint(src, model, optimizer)
    with tempfile.NamedTemporaryFile() as file:
        shutil.copyfileobj(src, file)
        file.flush()
        return _read_checkpoint(file.name, model, optimizer)


# ---- data ------------------------------------------------------------------------------------------------------------

_batches = lib.rng_seeded(336)  # goes on from call to call, so that each batch is another


def run_get_batch(dataset: np.ndarray, batch_size: int, context_length: int, device: str) -> tuple[Tensor, Tensor]:
    ids = c.token_ids(dataset)
    tokens = lib.token_file_view(c.address(ids), ids.size, np.iinfo(np.int32).max)
    inputs, targets = np.empty((2, batch_size, context_length), np.int32)
    try:
        lib.get_batch(
            c.address(inputs),
            c.address(targets),
            byref(tokens),
            batch_size,
            context_length,
            device.encode(),
            byref(_batches),
        )
    except ValueError as error:
        raise RuntimeError(str(error)) from None
    return torch.from_numpy(inputs).long(), torch.from_numpy(targets).long()


# ---- tokenizer -------------------------------------------------------------------------------------------------------


class Tokenizer(cs336.Tokenizer):
    """The package's tokenizer. Its encode() returns a numpy array, and the tests compare with lists."""

    def encode(self, text: str) -> list[int]:
        return super().encode(text).tolist()


def get_tokenizer(
    vocab: dict[int, bytes], merges: list[tuple[bytes, bytes]], special_tokens: list[str] | None = None
) -> Tokenizer:
    return Tokenizer(vocab, merges, special_tokens)


def run_train_bpe(
    input_path: str | os.PathLike, vocab_size: int, special_tokens: list[str], **kwargs
) -> tuple[dict[int, bytes], list[tuple[bytes, bytes]]]:
    return cs336.train_bpe(input_path, vocab_size, special_tokens)
