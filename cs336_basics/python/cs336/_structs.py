"""C's structs and constants, described to ctypes: the fields of each in the order and with the names of its header.

To pass another struct, add it here. tests/tools/check_python_layout.py compares sizes, offsets and types with the headers.
"""

import ctypes
from ctypes import POINTER, c_bool, c_char_p, c_double, c_float, c_int, c_int32, c_size_t, c_ssize_t, c_uint, c_uint64
from ctypes import c_void_p

TENSOR_MAX_RANK = 8  # core/tensor.h


class Tensor(ctypes.Structure):
    """A view of float32 numbers. Strides count numbers, not bytes."""

    _fields_ = [
        ("data", c_void_p),
        ("rank", c_int),
        ("shape", c_size_t * TENSOR_MAX_RANK),
        ("stride", c_ssize_t * TENSOR_MAX_RANK),
    ]


class TokenTensor(ctypes.Structure):
    """A view of int32 token ids or positions."""

    _fields_ = Tensor._fields_


class MaskTensor(ctypes.Structure):
    """A view of booleans."""

    _fields_ = Tensor._fields_


class Arena(ctypes.Structure):
    """An allocation from which C functions take scratch memory: see `arena`."""

    _fields_ = [
        ("base", c_void_p),
        ("capacity", c_size_t),
        ("used", c_size_t),
        ("used_at_end", c_size_t),
        ("peak", c_size_t),
        ("refused", c_size_t),
        ("reported", c_bool),
    ]


class Parameter(ctypes.Structure):
    """A trainable tensor with its gradient and AdamW's moments. A view without data says that there is none."""

    _fields_ = [
        ("name", c_char_p),
        ("value", Tensor),
        ("grad", Tensor),
        ("first_moment", Tensor),
        ("second_moment", Tensor),
        ("no_decay", c_bool),
    ]


class ParameterList(ctypes.Structure):
    _fields_ = [("items", POINTER(Parameter)), ("count", c_size_t)]


class Linear(ctypes.Structure):
    _fields_ = [("weight", Tensor), ("dtype", c_int)]


class Embedding(ctypes.Structure):
    _fields_ = [("weight", Tensor)]


class RMSNorm(ctypes.Structure):
    _fields_ = [("weight", Tensor), ("eps", c_float)]


class RoPE(ctypes.Structure):
    _fields_ = [("cosine", Tensor), ("sine", Tensor)]


class FeedForward(ctypes.Structure):
    _fields_ = [("w1", Linear), ("w2", Linear), ("w3", Linear)]


class MultiHeadSelfAttention(ctypes.Structure):
    _fields_ = [
        ("num_heads", c_size_t),
        ("q_proj", Linear),
        ("k_proj", Linear),
        ("v_proj", Linear),
        ("output_proj", Linear),
    ]


class TransformerBlock(ctypes.Structure):
    _fields_ = [
        ("norm", c_int),
        ("attn", MultiHeadSelfAttention),
        ("ln1", RMSNorm),
        ("ln2", RMSNorm),
        ("ffn", FeedForward),
    ]


class TransformerLMConfig(ctypes.Structure):
    """Sizes and variants of a model. The variants that are 0 are those of the course."""

    _fields_ = [
        ("vocab_size", c_size_t),
        ("context_length", c_size_t),
        ("d_model", c_size_t),
        ("num_layers", c_size_t),
        ("num_heads", c_size_t),
        ("d_ff", c_size_t),
        ("rope_theta", c_float),
        ("norm_eps", c_float),
        ("norm", c_int),
        ("position", c_int),
        ("ffn", c_int),
        ("dtype", c_int),
        ("tie_embeddings", c_bool),
    ]


class TransformerLM(ctypes.Structure):
    _fields_ = [
        ("config", TransformerLMConfig),
        ("token_embeddings", Embedding),
        ("layers", POINTER(TransformerBlock)),
        ("ln_final", RMSNorm),
        ("lm_head", Linear),
        ("rope", RoPE),
    ]


class TrainedModel(ctypes.Structure):
    """A model for inference, which owns its weights: train/model_checkpoint.h."""

    _fields_ = [
        ("lm", TransformerLM),
        ("parameters", ParameterList),
        ("iteration", c_size_t),
        ("memory", Arena),
    ]


class AttentionMask(ctypes.Structure):
    """Which keys a query sees: ATTEND_ALL, ATTEND_CAUSAL, or ATTEND_WHERE the mask is true."""

    _fields_ = [("kind", c_int), ("where", MaskTensor)]


class AdamWConfig(ctypes.Structure):
    _fields_ = [
        ("lr", c_double),
        ("beta1", c_double),
        ("beta2", c_double),
        ("eps", c_double),
        ("weight_decay", c_double),
    ]


class CosineSchedule(ctypes.Structure):
    _fields_ = [
        ("max_lr", c_double),
        ("min_lr", c_double),
        ("warmup_steps", c_size_t),
        ("decay_steps", c_size_t),
    ]


class Rng(ctypes.Structure):
    """A random generator: the seed selects the sequence, the counter says how many numbers are drawn."""

    _fields_ = [("seed", c_uint64), ("counter", c_uint64)]


class CheckpointRng(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("rng", POINTER(Rng))]


class SafetensorsText(ctypes.Structure):
    _fields_ = [("key", c_char_p), ("value", c_char_p)]


class Checkpoint(ctypes.Structure):
    _fields_ = [
        ("parameters", ParameterList),
        ("iteration", c_size_t),
        ("generators", POINTER(CheckpointRng)),
        ("generator_count", c_size_t),
        ("config", POINTER(SafetensorsText)),
        ("config_count", c_size_t),
        ("moments", c_void_p),
    ]


class FileReader(ctypes.Structure):
    _fields_ = [("descriptor", c_int), ("path", c_char_p), ("size", c_size_t)]


class SafetensorsFile(ctypes.Structure):
    _fields_ = [
        ("file", FileReader),
        ("path", c_char_p),
        ("header", c_void_p),
        ("entries", c_void_p),
        ("by_name", c_void_p),
        ("count", c_size_t),
    ]


class CheckpointFile(ctypes.Structure):
    """An open checkpoint; checkpoint_close() closes it."""

    _fields_ = [("tensors", SafetensorsFile)]


class TokenFile(ctypes.Structure):
    """Token ids in a file, or in an array of the caller."""

    _fields_ = [
        ("file", FileReader),
        ("path", c_char_p),
        ("memory", c_void_p),
        ("offset", c_size_t),
        ("count", c_size_t),
        ("width", c_size_t),
        ("vocab_size", c_size_t),
        ("source_size", c_size_t),
    ]


class ByteString(ctypes.Structure):
    """A view of bytes that somebody else owns: see `byte_string`."""

    _fields_ = [("bytes", c_void_p), ("length", c_size_t)]


class ByteList(ctypes.Structure):
    """Bytes that C has allocated; byte_list_deinit() frees them."""

    _fields_ = [("bytes", c_void_p), ("length", c_size_t), ("capacity", c_size_t)]


class TokenList(ctypes.Structure):
    """Token ids that C has allocated; token_list_deinit() frees them."""

    _fields_ = [("ids", c_void_p), ("count", c_size_t), ("capacity", c_size_t)]


class BPEMerge(ctypes.Structure):
    _fields_ = [("left", c_int32), ("right", c_int32), ("merged", c_int32)]


class BPESpecial(ctypes.Structure):
    _fields_ = [("id", c_int32), ("kind", c_int), ("late", c_bool)]


class TextTable(ctypes.Structure):
    _fields_ = [
        ("bytes", ByteList),
        ("ends", POINTER(c_size_t)),
        ("count", c_size_t),
        ("capacity", c_size_t),
        ("slots", POINTER(c_int32)),
        ("slot_count", c_size_t),
    ]


class BPEModel(ctypes.Structure):
    """A vocabulary and its merges; bpe_model_deinit() frees them. A zeroed struct is an empty model."""

    _fields_ = [
        ("vocab_size", c_size_t),
        ("merge_count", c_size_t),
        ("merges", POINTER(BPEMerge)),
        ("bytes", ByteList),
        ("ends", POINTER(c_size_t)),
        ("token_capacity", c_size_t),
        ("merge_capacity", c_size_t),
        ("specials", POINTER(BPESpecial)),
        ("special_count", c_size_t),
        ("special_capacity", c_size_t),
        ("special_texts", TextTable),
        ("pattern", c_int),
        ("decode_only", c_bool),
        ("ignore_merges", c_bool),
        ("left_out", c_uint),
    ]


class BPETrainConfig(ctypes.Structure):
    _fields_ = [
        ("vocab_size", c_size_t),
        ("special_tokens", POINTER(ByteString)),
        ("special_count", c_size_t),
        ("pattern", c_int),
        ("threads", c_int),
        ("progress", c_void_p),
        ("progress_context", c_void_p),
        ("stop", c_void_p),
    ]


class BPETrainStats(ctypes.Structure):
    _fields_ = [("bytes", c_size_t), ("pretokens", c_uint64), ("distinct_pretokens", c_size_t)]


class TextField(ctypes.Structure):
    """How documents are found in files: tokenizer/input_texts.h. A zeroed one: each file is a text."""

    _fields_ = [("name", c_char_p), ("ending", c_char_p)]


class InputTexts(ctypes.Structure):
    """The texts of files in any form that C reads; input_texts_end() closes them."""

    _fields_ = [
        ("items", c_void_p),
        ("count", c_size_t),
        ("total", c_size_t),
        ("has_streams", c_bool),
        ("has_plain", c_bool),
    ]


class FileWriter(ctypes.Structure):
    _fields_ = [("stream", c_void_p), ("path", c_void_p), ("temporary", c_void_p), ("target", c_void_p)]


class TokenWriter(ctypes.Structure):
    """A file of token ids that is being written: data/token_writer.h."""

    _fields_ = [
        ("ids", FileWriter),
        ("sidecar", FileWriter),
        ("npy", c_bool),
        ("vocab_size", c_size_t),
        ("count", c_size_t),
    ]


class SampleConfig(ctypes.Structure):
    _fields_ = [("temperature", c_double), ("top_p", c_double), ("top_k", c_size_t)]


class Decoder(ctypes.Structure):
    """A window of tokens and its cache: generate/decode.h."""

    _fields_ = [
        ("lm", POINTER(TransformerLM)),
        ("memory", Arena),
        ("caches", c_void_p),
        ("window", c_void_p),
        ("length", c_size_t),
        ("computed", c_size_t),
        ("logits", Tensor),
        ("all_logits", Tensor),
    ]


class EncodeConfig(ctypes.Structure):
    _fields_ = [
        ("threads", c_int),
        ("chunk_bytes", c_size_t),
        ("stop", c_void_p),
        ("progress", c_void_p),
        ("context", c_void_p),
        ("share", c_void_p),
    ]


STRUCTS = {
    name: value
    for name, value in list(globals().items())
    if isinstance(value, type) and issubclass(value, ctypes.Structure)
}

# Constants of the enums. CS336_OK is 0, and so is the first value of every other enum.
CONSTANTS = {
    "CS336_ESHAPE": 1,
    "CS336_ERANGE": 2,
    "CS336_ENOMEM": 3,
    "CS336_EIO": 4,
    "CS336_EFORMAT": 5,
    "CS336_EINTERRUPTED": 6,
    "ATTEND_ALL": 0,
    "ATTEND_CAUSAL": 1,
    "ATTEND_WHERE": 2,
    "NORM_PRE": 0,
    "POSITION_ROPE": 0,
    "FFN_SWIGLU": 0,
    "DTYPE_FLOAT32": 0,
    "PATTERN_UNKNOWN": -1,
    "TENSOR_MAX_RANK": TENSOR_MAX_RANK,
}
