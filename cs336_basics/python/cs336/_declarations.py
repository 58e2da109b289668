"""The C functions that Python calls, declared as in their headers, and what ctypes needs to know of each.

To call another function of the library, add its declaration, and the structs of its arguments in _structs.py.
tests/tools/check_python_layout.py compares the declarations with the headers.
"""

import ctypes
import re
from ctypes import POINTER, c_bool, c_char_p, c_double, c_float, c_int, c_int32, c_size_t, c_uint64, c_void_p

from ._structs import STRUCTS

# Each stands here as in its header, without attributes.
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
Status bpe_model_add_special(BPEModel *model, ByteString text);
Status bpe_model_add_merge(BPEModel *model, BPEMerge merge);
ByteString bpe_model_token(const BPEModel *model, int32_t id);
Status bpe_model_read(BPEModel *model, const char *vocab_path, const char *merges_path,
                      const ByteString *special_tokens, size_t special_count);
Status bpe_model_write(const BPEModel *model, const char *vocab_path, const char *merges_path);
Status tokenizer_file_write(FileWriter *writer, const BPEModel *model);
Status file_create(FileWriter *writer, const char *path);
Status file_commit(FileWriter *writer);
void file_abandon(FileWriter *writer);
const char *bpe_model_note(const BPEModel *model, size_t index);
void bpe_model_deinit(BPEModel *model);
Status bpe_train(BPEModel *model, BPETrainStats *stats, const ByteString *texts, size_t text_count,
                 const BPETrainConfig *config);
const char *text_field_ending(const char *const *special_tokens, size_t count);
bool text_is_named_json_lines(const char *path);
Status input_texts_begin(InputTexts *texts, const char *const *paths, size_t count, TextField field);
void input_texts_end(InputTexts *texts);
Status bpe_train_inputs(BPEModel *model, BPETrainStats *stats, const InputTexts *texts, const BPETrainConfig *config);
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
int32_t tokenizer_document_end(const Tokenizer *tokenizer);
size_t tokenizer_find_tokens(bool *has_token, size_t count, const Tokenizer *tokenizer);
Status tokenizer_encode(const Tokenizer *tokenizer, TokenList *ids, ByteString text);
Status tokenizer_decode_after(const Tokenizer *tokenizer, ByteList *text, int32_t previous, const int32_t *ids,
                              size_t count);
Status encoder_create(Encoder **encoder, const Tokenizer *tokenizer, TokenSink *sink, void *context);
Status encoder_create_small(Encoder **encoder, const Tokenizer *tokenizer, size_t cache_bytes, TokenSink *sink,
                            void *context);
Status encoder_feed(Encoder *encoder, const uint8_t *bytes, size_t length);
Status encoder_finish(Encoder *encoder);
void encoder_destroy(Encoder *encoder);
Status encode_text(const Tokenizer *tokenizer, ByteString text, TokenSink *sink, void *context,
                   const EncodeConfig *config);
Status encode_input(const Tokenizer *tokenizer, const InputText *text, TokenSink *sink, void *context,
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


def ctype(text: str):
    """Returns the ctypes type of a C type such as "const Tensor *".

    A pointer to a struct of _structs.py is typed. Every other pointer is an address: an integer, a byref(), an array, a
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
