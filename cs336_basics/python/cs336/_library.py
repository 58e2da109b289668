"""The C library libcs336, called from Python through ctypes.

This module is the only place that knows C's structs and functions. It computes nothing: it finds the library, describes
structs and functions to ctypes, turns C's error messages into exceptions, and lets C read and write the memory of numpy
arrays, without copies.

- `lib.softmax_forward(...)` calls the C function of that name. A function that returns a Status raises an exception
  instead of returning an error (see `check`).
- `tensor()`, `tokens()` and `mask()` make views of numpy arrays. C gets the address of the array's numbers. The view
  keeps the array alive, but a copy of the view in a field of another struct does not: the caller then keeps the array.
- ctypes releases the GIL while a C function runs, so other Python threads go on.
- Python sees a Ctrl-C only when the C function has returned.

tests/tools/check_python_layout.py compares every struct and every function below with the headers.
"""

import contextlib
import ctypes
import os
import pathlib
import re
import sys
from ctypes import POINTER, byref, c_bool, c_char_p, c_double, c_float, c_int, c_int32, c_size_t, c_ssize_t, c_uint, c_uint64
from ctypes import c_void_p

import numpy as np

# ---- the library's file ----------------------------------------------------------------------------------------------

_HERE = pathlib.Path(__file__).resolve().parent
_NAME = "libcs336.dylib" if sys.platform == "darwin" else "libcs336.so"


def _find_library() -> str:
    """Returns the path of the library: that in CS336_LIBRARY, else the installed package's own copy, else what `make`
    has built in the checkout that this file lies in."""
    named = os.environ.get("CS336_LIBRARY")
    if named:
        if not os.path.isfile(named):
            raise ImportError(f"cs336: CS336_LIBRARY names {named!r}, which is no file; `make` builds build/{_NAME}")
        return named
    places = [_HERE / _NAME]
    if len(_HERE.parents) > 2:
        places.append(_HERE.parents[2] / "build" / _NAME)
    for place in places:
        if place.is_file():
            return str(place)
    raise ImportError(
        f"cs336: found no {_NAME}, looked for {' and '.join(str(place) for place in places)}; "
        f"run `make` in the checkout, or set CS336_LIBRARY to the library's path"
    )


# ---- structs: the fields of C, in the same order, with the same names ------------------------------------------------

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

# ---- functions: the declarations of C --------------------------------------------------------------------------------

# Each stands here as in its header, without attributes. To call another function of the library, add its declaration,
# and the structs of its arguments above.
DECLARATIONS = """
const char *status_message(void);
Status arena_init(Arena *arena, size_t capacity);
void arena_deinit(Arena *arena);
void parallel_set_threads(int threads);
int parallel_threads(void);
void memory_give_back(void);
size_t memory_in_use(void);
const char *cs336_version(void);

Status softmax_forward(Tensor y, Tensor x, int dimension);
Status silu_forward(Tensor y, Tensor x);
Status cross_entropy_forward(float *loss, Tensor log_sum_exp, Tensor logits, TokenTensor targets);
Status scaled_dot_product_attention_forward(Tensor output, Tensor log_sum_exp, Tensor query, Tensor key,
                                            Tensor value, AttentionMask mask);
Status linear_forward(Tensor y, Tensor x, const Linear *linear);
Status embedding_forward(Tensor y, TokenTensor ids, const Embedding *embedding);
Status rmsnorm_forward(Tensor y, Tensor inverse_rms, Tensor x, const RMSNorm *norm);
Status rope_bind(RoPE *rope, Arena *arena, float theta, size_t d_k, size_t max_seq_len);
Status rope_forward(Tensor y, Tensor x, TokenTensor positions, const RoPE *rope);
size_t feed_forward_scratch(Tensor x, const FeedForward *ffn, bool saving);
Status feed_forward_forward(Tensor y, FeedForwardSaved *saved, Tensor x, const FeedForward *ffn, Arena *scratch);
size_t mha_scratch(Tensor x, size_t num_heads);
Status mha_forward(Tensor y, MultiHeadSelfAttentionSaved *saved, Tensor x, const MultiHeadSelfAttention *mha,
                   const RoPE *rope, TokenTensor positions, Arena *scratch);
size_t transformer_block_scratch(Tensor x, const TransformerBlock *block, bool saving);
Status transformer_block_forward(Tensor y, TransformerBlockSaved *saved, Tensor x, const TransformerBlock *block,
                                 const RoPE *rope, TokenTensor positions, Arena *scratch);
size_t transformer_lm_forward_scratch(const TransformerLM *lm, size_t batch, size_t seq);
Status transformer_lm_forward(Tensor logits, const TransformerLM *lm, TokenTensor ids, Arena *scratch);

Status clip_gradients(double *norm, ParameterList parameters, double max_norm);
Status adamw_step(ParameterList parameters, size_t step, const AdamWConfig *config);
double cosine_schedule_lr(const CosineSchedule *schedule, size_t step);

Rng rng_seeded(uint64_t seed);
TokenFile token_file_view(const int32_t *ids, size_t count, size_t vocab_size);
Status token_file_open(TokenFile *tokens, const char *path, size_t vocab_size);
Status token_file_read(int32_t *ids, const TokenFile *tokens, size_t start, size_t count);
void token_file_close(TokenFile *tokens);
Status get_batch(int32_t *inputs, int32_t *targets, const TokenFile *tokens, size_t batch_size,
                 size_t context_length, const char *device, Rng *rng);

Status checkpoint_save(const char *path, const Checkpoint *checkpoint);
Status checkpoint_open(CheckpointFile *file, const char *path);
const char *checkpoint_config(const CheckpointFile *file, const char *key);
Status checkpoint_read(Checkpoint *checkpoint, const CheckpointFile *file);
void checkpoint_close(CheckpointFile *file);
Status trained_model_create(TrainedModel *model, const TransformerLMConfig *config, const char *path);
Status trained_model_load(TrainedModel *model, const char *path);
Status trained_model_save(const char *path, const TrainedModel *model);
void trained_model_deinit(TrainedModel *model);

Status sample_check(const SampleConfig *config);
Status draw_token(int32_t *token, Tensor logits, const bool *drawable, const SampleConfig *config, Rng *rng,
                  Arena *scratch);
Status decoder_init(Decoder *decoder, const TransformerLM *lm, bool cached);
void decoder_deinit(Decoder *decoder);
Status decoder_feed(Decoder *decoder, const int32_t *ids, size_t count);

Status bpe_model_add_token(BPEModel *model, ByteString token);
Status bpe_model_add_merge(BPEModel *model, BPEMerge merge);
ByteString bpe_model_token(const BPEModel *model, int32_t id);
Status bpe_model_read(BPEModel *model, const char *vocab_path, const char *merges_path,
                      const ByteString *special_tokens, size_t special_count);
Status bpe_model_write(const BPEModel *model, const char *vocab_path, const char *merges_path);
void bpe_model_deinit(BPEModel *model);
Status bpe_train(BPEModel *model, BPETrainStats *stats, const ByteString *texts, size_t text_count,
                 const BPETrainConfig *config);
Status bpe_train_files(BPEModel *model, BPETrainStats *stats, const char *const *paths, size_t path_count,
                       const BPETrainConfig *config);
Status tokenizer_create(Tokenizer **tokenizer, const BPEModel *model, const ByteString *special_tokens,
                        size_t special_count);
Status tokenizer_load(Tokenizer **tokenizer, const char *vocab_path, const char *merges_path,
                      const ByteString *special_tokens, size_t special_count);
Status tokenizer_load_file(Tokenizer **tokenizer, const char *path, int pattern, const ByteString *special_tokens,
                           size_t special_count);
void tokenizer_destroy(Tokenizer *tokenizer);
size_t tokenizer_vocab_size(const Tokenizer *tokenizer);
ByteString tokenizer_token(const Tokenizer *tokenizer, int32_t id);
int32_t tokenizer_find(const Tokenizer *tokenizer, ByteString token);
size_t tokenizer_find_tokens(bool *has_token, size_t count, const Tokenizer *tokenizer);
Status tokenizer_encode(const Tokenizer *tokenizer, TokenList *ids, ByteString text);
Status tokenizer_decode(const Tokenizer *tokenizer, ByteList *text, const int32_t *ids, size_t count);
Status tokenizer_decode_replace(const Tokenizer *tokenizer, ByteList *text, const int32_t *ids, size_t count);
Status encoder_create(Encoder **encoder, const Tokenizer *tokenizer, TokenSink *sink, void *context);
Status encoder_create_small(Encoder **encoder, const Tokenizer *tokenizer, size_t cache_bytes, TokenSink *sink,
                            void *context);
Status encoder_feed(Encoder *encoder, const uint8_t *bytes, size_t length);
Status encoder_finish(Encoder *encoder);
void encoder_destroy(Encoder *encoder);
Status encode_text(const Tokenizer *tokenizer, ByteString text, TokenSink *sink, void *context,
                   const EncodeConfig *config);
Status encode_file(const Tokenizer *tokenizer, const char *path, TokenSink *sink, void *context,
                   const EncodeConfig *config);
Status token_writer_create(TokenWriter *writer, const char *path, size_t vocab_size);
Status token_writer_sink(void *writer, const int32_t *ids, size_t count);
Status token_writer_commit(TokenWriter *writer);
void token_writer_abandon(TokenWriter *writer);
Status token_list_sink(void *list, const int32_t *ids, size_t count);
void token_list_deinit(TokenList *list);
void byte_list_deinit(ByteList *list);
"""

# A sink that is written in Python. C prints nothing of an exception in it: catch the exception, and return a status.
TokenSink = ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(c_int32), c_size_t)

_VALUES = {
    "Status": c_int,
    "bool": c_bool,
    "int": c_int,
    "float": c_float,
    "double": c_double,
    "size_t": c_size_t,
    "int32_t": c_int32,
    "uint64_t": c_uint64,
    "void": None,
    **STRUCTS,
}


def _ctype(text: str):
    """Returns the ctypes type of a C type such as "const Tensor *".

    A pointer to a struct of this module is typed. Every other pointer is an address: an integer, a byref(), an array, a
    function or None."""
    base = text.replace("const", "").replace("*", "").strip()
    stars = text.count("*")
    if stars == 0:
        return _VALUES[base]
    if stars == 1 and base == "char":
        return c_char_p
    return POINTER(STRUCTS[base]) if stars == 1 and base in STRUCTS else c_void_p


def signatures(declarations: str = DECLARATIONS):
    """Yields name, result and arguments of each declaration as C text: "arena_init", "Status", ["Arena *"]."""
    for declaration in " ".join(declarations.split()).split(";")[:-1]:
        result, name, arguments = re.fullmatch(r"(.+?[ *])(\w+)\((.*)\)", declaration.strip()).groups()
        named = [argument.strip() for argument in arguments.split(",") if argument != "void"]
        yield name, result.strip(), [re.fullmatch(r"(.+?[ *])\w+", argument)[1].strip() for argument in named]


# ---- errors ----------------------------------------------------------------------------------------------------------

_EXCEPTIONS = {
    CONSTANTS["CS336_ENOMEM"]: MemoryError,
    CONSTANTS["CS336_EIO"]: OSError,
    CONSTANTS["CS336_EINTERRUPTED"]: KeyboardInterrupt,
}


def check(status: int) -> None:
    """Raises C's message if a status is not CS336_OK: MemoryError for CS336_ENOMEM, OSError for CS336_EIO,
    KeyboardInterrupt for CS336_EINTERRUPTED, and ValueError for a wrong shape, number or file format."""
    if status:
        raise _EXCEPTIONS.get(status, ValueError)(lib.status_message().decode("utf-8", "replace"))


def _check_result(result, _function, _arguments):
    check(result)


def _load() -> ctypes.CDLL:
    path = _find_library()
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(f"cs336: the library {path} cannot be loaded: {error}") from None
    for name, result, arguments in signatures():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise ImportError(f"cs336: {path} has no {name}(): it is of another version; run `make` again") from None
        function.restype = _ctype(result)
        function.argtypes = [_ctype(text) for text in arguments]
        if result == "Status":
            function.errcheck = _check_result
    return library


lib = _load()

# ---- numpy arrays as views, without copies ---------------------------------------------------------------------------


def _view(kind, array, dtype, name: str, writable: bool):
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} is {type(array).__name__}, expected a numpy array of {np.dtype(dtype)}")
    if array.dtype != dtype:  # another byte order is another dtype
        raise ValueError(f"{name} has the dtype {array.dtype}, expected {np.dtype(dtype)}")
    if array.ndim > TENSOR_MAX_RANK:
        raise ValueError(f"{name} has {array.ndim} dimensions, expected at most {TENSOR_MAX_RANK}")
    size = array.itemsize
    if not array.flags.aligned or any(stride % size for stride in array.strides):
        raise ValueError(f"{name} is not aligned: each number must begin at a multiple of {size} bytes")
    if writable and not array.flags.writeable:
        raise ValueError(f"{name} is read-only, and C would write to it")
    view = kind(data=array.__array_interface__["data"][0], rank=array.ndim)
    view.shape[: array.ndim] = array.shape
    view.stride[: array.ndim] = [stride // size for stride in array.strides]
    view.owner = array
    return view


def tensor(array: np.ndarray, name: str = "array", writable: bool = False) -> Tensor:
    """Returns the view of a float32 array, with any strides. `writable`: C will write to it."""
    return _view(Tensor, array, np.float32, name, writable)


def tokens(array: np.ndarray, name: str = "ids") -> TokenTensor:
    """Returns the view of an int32 array; `token_ids` makes one of other integers."""
    return _view(TokenTensor, array, np.int32, name, False)


def mask(array: np.ndarray, name: str = "mask") -> MaskTensor:
    """Returns the view of a bool array."""
    return _view(MaskTensor, array, np.bool_, name, False)


def token_ids(values, name: str = "ids") -> np.ndarray:
    """Returns integers as a contiguous int32 array. Such an array is returned itself; others are copied, and a number
    that is no int32 is a ValueError."""
    array = np.asarray(values)
    if array.size == 0:
        return np.zeros(array.shape, np.int32)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} has the dtype {array.dtype}, expected integers")
    bounds = np.iinfo(np.int32)
    if array.dtype != np.int32 and (array.min() < bounds.min or array.max() > bounds.max):
        raise ValueError(f"{name} has a number that is not in [{bounds.min}, {bounds.max}]")
    return np.ascontiguousarray(array, np.int32)


def address(array: np.ndarray) -> int:
    """Returns the address of a contiguous array's first number, for a pointer argument. The caller keeps the array."""
    if not array.flags.c_contiguous:
        raise ValueError("the array is not contiguous")
    return array.__array_interface__["data"][0]


class _Memory:
    """Memory of C as numpy's array interface. An array made from it keeps the object, and so the owner, alive."""

    def __init__(self, data, shape, strides, typestr, owner, release=None):
        layout = {"shape": shape, "strides": strides, "typestr": typestr, "version": 3}
        self.__array_interface__ = {"data": (data, False), **layout}
        self._owner, self._release = owner, release

    def __del__(self):
        if self._release:
            self._release(byref(self._owner))


def tensor_array(view: Tensor, owner) -> np.ndarray:
    """Returns the numpy array of a Tensor in C's memory. The array keeps `owner`, whose memory it is, alive."""
    shape, size = tuple(view.shape[: view.rank]), ctypes.sizeof(c_float)
    strides = tuple(stride * size for stride in view.stride[: view.rank])
    return np.asarray(_Memory(view.data, shape, strides, np.dtype(np.float32).str, owner))


def take_ids(ids: TokenList) -> np.ndarray:
    """Returns the ids of a list as an int32 array, without a copy. From then on the array owns them: they are freed
    with it, and the list is empty."""
    owned = TokenList(ids.ids, ids.count, ids.capacity)
    ids.ids, ids.count, ids.capacity = None, 0, 0
    if not owned.count:
        lib.token_list_deinit(byref(owned))
        return np.empty(0, np.int32)
    return np.asarray(
        _Memory(owned.ids, (owned.count,), None, np.dtype(np.int32).str, owned, lib.token_list_deinit)
    )


# ---- strings ---------------------------------------------------------------------------------------------------------


def byte_string(data: bytes) -> ByteString:
    """Returns the view of a bytes object, without a copy. The view keeps the object alive."""
    view = ByteString(ctypes.cast(c_char_p(data), c_void_p).value, len(data))
    view.owner = data
    return view


def byte_strings(texts) -> ctypes.Array:
    """Returns an array of views of bytes objects, which it keeps alive; for `const ByteString *`."""
    texts = [bytes(text) for text in texts]
    views = (ByteString * len(texts))(*[byte_string(text) for text in texts])
    views.owner = texts
    return views


def view_bytes(view) -> bytes:
    """Returns a copy of the bytes of a ByteString or a ByteList."""
    return ctypes.string_at(view.bytes, view.length) if view.length else b""


def path_bytes(path) -> bytes:
    """Returns a path as C takes it: bytes of the file system's encoding, without a zero byte."""
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise ValueError(f"the path {path!r} has a zero byte")
    return encoded


# ---- memory and models -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def arena(capacity: int):
    """Yields an arena of so many bytes, and frees it at the end of the `with` block."""
    memory = Arena()
    lib.arena_init(byref(memory), capacity)
    try:
        yield memory
    finally:
        lib.arena_deinit(byref(memory))


def parameter_list(parameters) -> ParameterList:
    """Returns the list of some Parameter structs, and keeps them alive."""
    items = (Parameter * len(parameters))(*parameters)
    views = ParameterList(items, len(parameters))
    views.owner = (items, list(parameters))
    return views


@contextlib.contextmanager
def bpe_model(vocab: dict[int, bytes], merges: list[tuple[bytes, bytes]]):
    """Yields the BPEModel of a vocabulary, whose ids are 0 to n - 1 in any order, and of its merges by rank.

    It is freed at the end of the `with` block. C's merges are ids, so each pair is looked up: the lowest id with these
    bytes."""
    if sorted(vocab) != list(range(len(vocab))):
        raise ValueError(f"vocab has {len(vocab)} tokens, but their ids are not 0 to {len(vocab) - 1}")
    ids = {vocab[index]: index for index in reversed(range(len(vocab)))}
    model = BPEModel()
    try:
        for index in range(len(vocab)):
            lib.bpe_model_add_token(byref(model), byte_string(vocab[index]))
        for left, right in merges:
            for token in (left, right, left + right):
                if token not in ids:
                    raise ValueError(f"merge {(left, right)!r}: the vocabulary has no token {token!r}")
            lib.bpe_model_add_merge(byref(model), BPEMerge(ids[left], ids[right], ids[left + right]))
        yield model
    finally:
        lib.bpe_model_deinit(byref(model))


def model_tokens(model: BPEModel) -> tuple[dict[int, bytes], list[tuple[bytes, bytes]]]:
    """Returns a model as the course has it: the tokens' bytes by id, and the merges as pairs of bytes by rank."""
    vocab = {index: view_bytes(lib.bpe_model_token(byref(model), index)) for index in range(model.vocab_size)}
    merges = [(vocab[merge.left], vocab[merge.right]) for merge in model.merges[: model.merge_count]]
    return vocab, merges
