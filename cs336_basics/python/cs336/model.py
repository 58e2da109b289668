"""A trained Transformer language model: nn/transformer_lm.h, train/model_checkpoint.h and generate/."""

from __future__ import annotations

import ctypes
import dataclasses
import math
from ctypes import byref
from typing import TYPE_CHECKING, Any, Dict, Iterator, Optional, TypedDict

import numpy as np
import numpy.typing as npt

from . import _library as c
from ._arguments import Path, kind, natural, real
from ._library import lib
from ._names import names
from .tokenizer import Tokenizer

if TYPE_CHECKING:
    from typing_extensions import Unpack

DOCUMENT_END = "<|endoftext|>"  # the token between documents


class StreamOptions(TypedDict, total=False):
    """The options of `Model.stream`, for type checkers."""

    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    seed: int
    stop_token: Optional[int]
    drawable: Optional[npt.ArrayLike]


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Sizes and variants of a model."""

    vocab_size: int  # logits of a position; token ids are below it
    context_length: int  # the longest sequence
    d_model: int
    num_layers: int
    num_heads: int
    d_ff: int
    rope_theta: float
    norm_eps: float
    norm: str  # "pre", "post" or "none"
    position: str  # "rope" or "none"
    ffn: str  # "swiglu" or "silu"
    tie_embeddings: bool  # one matrix is both token_embeddings.weight and lm_head.weight


class _Weights:
    """A model of C. The arrays of its weights keep this object alive."""

    def __init__(self, path: bytes) -> None:
        self.model = c.TrainedModel()
        lib.trained_model_load(byref(self.model), path)

    def __del__(self, deinit: Any = lib.trained_model_deinit) -> None:
        deinit(byref(self.model))


class Model:
    """A model for inference, in float32; `Model.load` makes it. Any number of threads may use a Model at the same time."""

    def __init__(self, weights: _Weights) -> None:
        if not isinstance(weights, _Weights):
            raise TypeError("a Model is made by Model.load(path)")
        self._weights = weights
        self._lm = byref(weights.model.lm)

    @classmethod
    def load(cls, path: Path) -> Model:
        """Loads the weights of a checkpoint of `cs336 train`."""
        return cls(_Weights(c.path_bytes(path)))

    def __reduce__(self) -> Any:
        """Refuses copy.copy(), copy.deepcopy() and pickle."""
        raise TypeError(
            "a Model can be neither copied nor pickled, because C holds its weights: load it once more with Model.load(path)"
        )

    @property
    def config(self) -> ModelConfig:
        """Sizes and variants, from the checkpoint."""
        config = self._weights.model.lm.config
        fields: Dict[str, Any] = {
            field.name: getattr(config, field.name) for field in dataclasses.fields(ModelConfig)
        }
        for kind in ("norm", "position", "ffn"):
            fields[kind] = names(f"{kind}_names")[fields[kind]]
        return ModelConfig(**fields)

    @property
    def iteration(self) -> int:
        """Training steps that the checkpoint has behind it."""
        return int(self._weights.model.iteration)

    @property
    def weights(self) -> Dict[str, npt.NDArray[np.float32]]:
        """The weights by PyTorch's state-dict names. They are the model's own memory: writing to one changes the model."""
        parameters = self._weights.model.parameters
        return {
            item.name.decode(): c.tensor_array(item.value, self._weights)
            for item in parameters.items[: parameters.count]
        }

    def logits(self, ids: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Returns the logits of the next token at every position.

        ids  (..., seq), each below vocab_size; seq is 1 to context_length
        Returns (..., seq, vocab_size).
        """
        array = _some_ids(ids, "ids")
        logits = np.empty((*array.shape, self.config.vocab_size), np.float32)
        sequences, length = math.prod(array.shape[:-1]), array.shape[-1]
        with c.arena(lib.transformer_lm_forward_scratch(self._lm, sequences, length)) as scratch:
            lib.transformer_lm_forward(c.tensor(logits, "logits", True), self._lm, c.tokens(array), byref(scratch))
        return logits

    # ---- generation ----

    def stream(
        self,
        prompt: npt.ArrayLike,
        *,
        max_tokens: int = 256,
        temperature: float = 0.8,
        top_p: float = 0.95,
        top_k: int = 0,
        seed: int = 1,
        stop_token: Optional[int] = None,
        drawable: Optional[npt.ArrayLike] = None,
    ) -> Iterator[int]:
        """Yields the tokens that follow a prompt, each as soon as it is drawn. The defaults are those of `cs336
        generate`, which draws the same tokens.

        prompt       ids, at least one
        max_tokens   tokens to generate at most
        temperature  divides the logits; 0: always the most probable token
        top_p        draw only from the most probable tokens that together have this probability
        top_k        draw only from so many most probable tokens, before top_p; 0: from all
        seed         of the random numbers
        stop_token   id that ends the text and is not part of it; None: none
        drawable     by id, vocab_size booleans: only ids that are True are drawn, for a model may have ids without a token
                     (`Tokenizer.has_token`); None: all
        """
        first = _some_ids(prompt, "prompt")
        if first.ndim != 1:
            raise ValueError(f"prompt has {first.ndim} dimensions, expected 1")
        sample = c.SampleConfig(
            temperature=real("temperature", temperature), top_p=real("top_p", top_p), top_k=natural("top_k", top_k, 2**63)
        )
        lib.sample_check(byref(sample))
        vocab_size = self.config.vocab_size
        try:
            mask = np.full(vocab_size, True) if drawable is None else np.ascontiguousarray(drawable)
        except ValueError:
            raise ValueError("drawable has rows of different lengths, expected one boolean for each id") from None
        count = np.count_nonzero(mask)
        if mask.dtype != np.bool_ or mask.shape != (vocab_size,) or count == 0:
            raise ValueError(
                f"drawable has {count} ids, the shape {mask.shape} and the dtype {mask.dtype}, expected at least one "
                f"id, ({vocab_size},) and bool"
            )
        if stop_token is not None:
            stop_token = natural("stop_token", stop_token, vocab_size)
        rng = lib.rng_seeded(natural("seed", seed, 2**64))
        return self._draw(first, natural("max_tokens", max_tokens, 2**63), sample, mask, stop_token, rng)

    def _draw(
        self,
        fed: npt.NDArray[np.int32],
        max_tokens: int,
        sample: Any,
        drawable: npt.NDArray[np.bool_],
        stop_token: Optional[int],
        rng: Any,
    ) -> Iterator[int]:
        """Does what generate() of generate/decode.h does, and yields instead of calling a receiver."""
        decoder, token = c.Decoder(), ctypes.c_int32()
        # A window that is no longer than the text: its caches are all that a model with a long context_length needs.
        lm = c.TransformerLM.from_buffer_copy(self._weights.model.lm)
        lm.config.context_length = min(lm.config.context_length, fed.size + max_tokens)
        lib.decoder_init(byref(decoder), byref(lm), True)
        try:
            for _ in range(max_tokens):
                lib.decoder_feed(byref(decoder), c.address(fed), fed.size)
                logits = c.Tensor(data=decoder.logits.data, rank=1)
                logits.shape[0], logits.stride[0] = drawable.size, 1
                mask = c.address(drawable)
                lib.draw_token(byref(token), logits, mask, byref(sample), byref(rng), byref(decoder.memory))
                if token.value == stop_token:
                    break
                yield token.value
                fed = np.array([token.value], np.int32)
        finally:
            lib.decoder_deinit(byref(decoder))

    def generate(self, prompt: npt.ArrayLike, **options: Unpack[StreamOptions]) -> npt.NDArray[np.int32]:
        """Returns the tokens that follow a prompt; prompt and options as for `stream`."""
        return np.fromiter(self.stream(prompt, **options), np.int32)

    def generate_text(
        self, tokenizer: Tokenizer, prompt: str = "", **options: Unpack[StreamOptions]
    ) -> str:
        """Returns the text that follows a prompt. It ends with the token between documents (`Tokenizer.document_end`) if
        the vocabulary has one, and without a prompt it begins after one, as a new document. Options as for `stream`."""
        if not isinstance(tokenizer, Tokenizer):
            raise TypeError(f"tokenizer is {kind(tokenizer)}, expected a Tokenizer")
        if not isinstance(prompt, str):
            raise TypeError(f"prompt is {kind(prompt)}, expected str; generate() takes ids")
        if tokenizer.vocab_size > self.config.vocab_size:
            raise ValueError(f"the tokenizer has {tokenizer.vocab_size} tokens, the model {self.config.vocab_size} ids")
        end: Optional[int] = tokenizer.document_end
        if not prompt and end is None:
            raise ValueError(f"prompt is empty, and the vocabulary has no {DOCUMENT_END} to start a document with")
        ids = tokenizer.encode(prompt) if prompt else np.array([end], np.int32)
        chosen: StreamOptions = {"stop_token": end, "drawable": tokenizer.has_token(self.config.vocab_size)}
        chosen.update(options)
        return tokenizer._decode_after(int(ids[-1]), self.generate(ids, **chosen)).decode("utf-8", "replace")


def _some_ids(values: npt.ArrayLike, name: str) -> npt.NDArray[np.int32]:
    """Returns ids as an array with at least one dimension and one id: C's functions take no less."""
    ids = c.token_ids(values, name)
    if ids.size == 0:
        raise ValueError(f"{name} has the shape {ids.shape}, expected at least one id in one dimension")
    return ids
