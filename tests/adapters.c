#include "tests/adapters.h"

#include "core/arena.h"
#include "core/memory.h"
#include "data/batch.h"
#include "nn/embedding.h"
#include "nn/feed_forward.h"
#include "nn/functional.h"
#include "nn/linear.h"
#include "nn/mha.h"
#include "nn/rmsnorm.h"
#include "nn/rope.h"
#include "nn/transformer_block.h"
#include "nn/transformer_lm.h"
#include "optim/adamw.h"
#include "optim/clip.h"
#include "optim/schedule.h"
#include "tokenizer/encode/encoder.h"
#include "tokenizer/learn/bpe_train.h"
#include "tokenizer/split/pretokenize.h"
#include "tokenizer/split/special_tokens.h"
#include "train/checkpoint.h"

#include <stdio.h>
#include <string.h>

/* ---- Modules ---- */

Status run_linear(Tensor output, size_t d_in, size_t d_out, Tensor weights, Tensor in_features)
{
    const Linear linear = {.weight = weights};
    (void)d_in, (void)d_out;
    return linear_forward(output, in_features, &linear);
}

Status run_embedding(Tensor output, size_t vocab_size, size_t d_model, Tensor weights, TokenTensor token_ids)
{
    const Embedding embedding = {.weight = weights};
    (void)vocab_size, (void)d_model;
    return embedding_forward(output, token_ids, &embedding);
}

Status run_swiglu(Tensor output, size_t d_model, size_t d_ff, Tensor w1_weight, Tensor w2_weight, Tensor w3_weight,
                  Tensor in_features)
{
    const FeedForward ffn = {.w1 = {.weight = w1_weight}, .w2 = {.weight = w2_weight}, .w3 = {.weight = w3_weight}};
    Arena scratch;
    (void)d_model, (void)d_ff;
    Status s = arena_init(&scratch, feed_forward_scratch(in_features, &ffn, false));
    if (!s)
        s = feed_forward_forward(output, NULL, in_features, &ffn, &scratch);
    arena_deinit(&scratch);
    return s;
}

Status run_scaled_dot_product_attention(Tensor output, Tensor Q, Tensor K, Tensor V, MaskTensor mask)
{
    const AttentionMask where = {.kind = mask.data ? ATTEND_WHERE : ATTEND_ALL, .where = mask};
    return scaled_dot_product_attention_forward(output, (Tensor){0}, Q, K, V, where);
}

/* Makes RoPE's tables in an arena of their own. The caller calls arena_deinit(), also after a failure. */
static Status make_rope(RoPE *rope, Arena *arena, float theta, size_t d_k, size_t max_seq_len)
{
    Arena measure = {0};
    *arena = (Arena){0};
    Status s = rope_bind(rope, &measure, theta, d_k, max_seq_len);
    if (!s)
        s = arena_init(arena, measure.peak);
    if (!s)
        s = rope_bind(rope, arena, theta, d_k, max_seq_len);
    return s;
}

Status run_rope(Tensor output, size_t d_k, float theta, size_t max_seq_len, Tensor in_query_or_key,
                TokenTensor token_positions)
{
    RoPE rope;
    Arena tables;
    Status s = make_rope(&rope, &tables, theta, d_k, max_seq_len);
    if (!s)
        s = rope_forward(output, in_query_or_key, token_positions, &rope);
    arena_deinit(&tables);
    return s;
}

static Status run_mha(Tensor output, size_t num_heads, Tensor q, Tensor k, Tensor v, Tensor o, Tensor x,
                      const RoPE *rope, TokenTensor positions)
{
    const MultiHeadSelfAttention mha = {.num_heads = num_heads,
                                        .q_proj = {.weight = q},
                                        .k_proj = {.weight = k},
                                        .v_proj = {.weight = v},
                                        .output_proj = {.weight = o}};
    Arena scratch;
    Status s = arena_init(&scratch, mha_scratch(x, num_heads));
    if (!s)
        s = mha_forward(output, NULL, x, &mha, rope, positions, &scratch);
    arena_deinit(&scratch);
    return s;
}

Status run_multihead_self_attention(Tensor output, size_t d_model, size_t num_heads, Tensor q_proj_weight,
                                    Tensor k_proj_weight, Tensor v_proj_weight, Tensor o_proj_weight,
                                    Tensor in_features)
{
    (void)d_model;
    return run_mha(output, num_heads, q_proj_weight, k_proj_weight, v_proj_weight, o_proj_weight, in_features, NULL,
                   (TokenTensor){0});
}

Status run_multihead_self_attention_with_rope(Tensor output, size_t d_model, size_t num_heads, size_t max_seq_len,
                                              float theta, Tensor q_proj_weight, Tensor k_proj_weight,
                                              Tensor v_proj_weight, Tensor o_proj_weight, Tensor in_features,
                                              TokenTensor token_positions)
{
    RoPE rope;
    Arena tables;
    Status s = make_rope(&rope, &tables, theta, d_model / num_heads, max_seq_len);
    if (!s)
        s = run_mha(output, num_heads, q_proj_weight, k_proj_weight, v_proj_weight, o_proj_weight, in_features, &rope,
                    token_positions);
    arena_deinit(&tables);
    return s;
}

/* Returns a weight of the state dict, or a tensor without data, which every layer refuses. */
static Tensor find_weight(StateDict weights, const char *name)
{
    for (size_t i = 0; i < weights.count; i++)
        if (strcmp(weights.items[i].name, name) == 0)
            return weights.items[i].value;
    return (Tensor){0};
}

static Status check_weights(const char *function, StateDict weights, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!find_weight(weights, names[i]).data)
            return status_fail(CS336_EFORMAT, "%s: no weight \"%s\"", function, names[i]);
    return CS336_OK;
}

Status run_transformer_block(Tensor output, size_t d_model, size_t num_heads, size_t d_ff, size_t max_seq_len,
                             float theta, StateDict weights, Tensor in_features)
{
    static const char *const names[] = {"attn.q_proj.weight",      "attn.k_proj.weight", "attn.v_proj.weight",
                                        "attn.output_proj.weight", "ln1.weight",         "ffn.w1.weight",
                                        "ffn.w2.weight",           "ffn.w3.weight",      "ln2.weight"};
    const TransformerBlock block = {
        .norm = NORM_PRE,
        .attn = {.num_heads = num_heads,
                 .q_proj = {.weight = find_weight(weights, "attn.q_proj.weight")},
                 .k_proj = {.weight = find_weight(weights, "attn.k_proj.weight")},
                 .v_proj = {.weight = find_weight(weights, "attn.v_proj.weight")},
                 .output_proj = {.weight = find_weight(weights, "attn.output_proj.weight")}},
        .ln1 = {.weight = find_weight(weights, "ln1.weight"), .eps = 1e-5F},
        .ln2 = {.weight = find_weight(weights, "ln2.weight"), .eps = 1e-5F},
        .ffn = {.w1 = {.weight = find_weight(weights, "ffn.w1.weight")},
                .w2 = {.weight = find_weight(weights, "ffn.w2.weight")},
                .w3 = {.weight = find_weight(weights, "ffn.w3.weight")}},
    };
    RoPE rope;
    Arena tables = {0}, scratch = {0};
    (void)d_ff;
    Status s = check_weights("run_transformer_block", weights, names, sizeof names / sizeof *names);
    if (!s)
        s = make_rope(&rope, &tables, theta, d_model / num_heads, max_seq_len);
    if (!s)
        s = arena_init(&scratch, transformer_block_scratch(in_features, &block, false));
    if (!s)
        s = transformer_block_forward(output, NULL, in_features, &block, &rope, (TokenTensor){0}, &scratch);
    arena_deinit(&scratch);
    arena_deinit(&tables);
    return s;
}

/* Binds the model, its tables and its list of names. */
static Status bind_lm(TransformerLM *lm, ParameterList *list, Arena *arena, const TransformerLMConfig *config)
{
    Status s = transformer_lm_bind(lm, arena, config);
    if (!s)
        s = transformer_lm_bind_rope(lm, arena);
    if (!s)
        s = transformer_lm_parameters(list, arena, lm, NULL, NULL, NULL);
    return s;
}

static Status copy_weights(ParameterList list, StateDict weights)
{
    Status s = CS336_OK;
    for (size_t i = 0; i < list.count && !s; i++) {
        const Tensor value = find_weight(weights, list.items[i].name);
        s = check_weights("run_transformer_lm", weights, &list.items[i].name, 1);
        if (!s && !tensor_same_shape(value, list.items[i].value))
            s = status_fail(CS336_ESHAPE, "run_transformer_lm: %s is %s, expected %s", list.items[i].name,
                            tensor_shape_text(value), tensor_shape_text(list.items[i].value));
        if (!s)
            tensor_copy(list.items[i].value, value);
    }
    return s;
}

Status run_transformer_lm(Tensor output, size_t vocab_size, size_t context_length, size_t d_model, size_t num_layers,
                          size_t num_heads, size_t d_ff, float rope_theta, StateDict weights, TokenTensor in_indices)
{
    const TransformerLMConfig config = {.vocab_size = vocab_size,
                                        .context_length = context_length,
                                        .d_model = d_model,
                                        .num_layers = num_layers,
                                        .num_heads = num_heads,
                                        .d_ff = d_ff,
                                        .rope_theta = rope_theta,
                                        .norm_eps = 1e-5F};
    TransformerLM lm;
    ParameterList list;
    Arena measure = {0}, arena = {0}, scratch = {0};
    Status s = bind_lm(&lm, &list, &measure, &config);
    if (!s)
        s = arena_init(&arena, measure.peak);
    if (!s)
        s = bind_lm(&lm, &list, &arena, &config);
    if (!s)
        s = copy_weights(list, weights);
    if (!s)
        s = arena_init(&scratch, transformer_lm_forward_scratch(&lm, in_indices.shape[0], in_indices.shape[1]));
    if (!s)
        s = transformer_lm_forward(output, &lm, in_indices, &scratch);
    arena_deinit(&scratch);
    arena_deinit(&arena);
    return s;
}

Status run_rmsnorm(Tensor output, size_t d_model, float eps, Tensor weights, Tensor in_features)
{
    const RMSNorm norm = {.weight = weights, .eps = eps};
    (void)d_model;
    return rmsnorm_forward(output, (Tensor){0}, in_features, &norm);
}

Status run_silu(Tensor output, Tensor in_features)
{
    return silu_forward(output, in_features);
}

/* ---- Losses and gradients ---- */

Status run_softmax(Tensor output, Tensor in_features, int dim)
{
    return softmax_forward(output, in_features, dim);
}

Status run_cross_entropy(float *loss, Tensor inputs, TokenTensor targets)
{
    return cross_entropy_forward(loss, (Tensor){0}, inputs, targets);
}

Status run_gradient_clipping(ParameterList parameters, double max_l2_norm)
{
    return clip_gradients(NULL, parameters, max_l2_norm);
}

/* ---- Optimizer ---- */

Status run_adamw(ParameterList parameters, size_t step, double lr, double beta1, double beta2, double eps,
                 double weight_decay)
{
    const AdamWConfig config = {.lr = lr, .beta1 = beta1, .beta2 = beta2, .eps = eps, .weight_decay = weight_decay};
    return adamw_step(parameters, step, &config);
}

double run_get_lr_cosine_schedule(size_t it, double max_learning_rate, double min_learning_rate, size_t warmup_iters,
                                  size_t cosine_cycle_iters)
{
    const CosineSchedule schedule = {.max_lr = max_learning_rate,
                                     .min_lr = min_learning_rate,
                                     .warmup_steps = warmup_iters,
                                     .decay_steps = cosine_cycle_iters};
    return cosine_schedule_lr(&schedule, it);
}

/* ---- Checkpoints ---- */

Status run_save_checkpoint(ParameterList parameters, size_t iteration, const char *out)
{
    return checkpoint_save(out, &(Checkpoint){.parameters = parameters, .iteration = iteration});
}

Status run_load_checkpoint(size_t *iteration, const char *src, ParameterList parameters)
{
    Checkpoint checkpoint = {.parameters = parameters};
    const Status s = checkpoint_load(&checkpoint, src);
    if (!s)
        *iteration = checkpoint.iteration;
    return s;
}

/* ---- Data ---- */

Status run_get_batch(int32_t *inputs, int32_t *targets, const int32_t *dataset, size_t count, size_t batch_size,
                     size_t context_length, const char *device, uint64_t seed)
{
    const TokenFile tokens = token_file_view(dataset, count, INT32_MAX);
    Rng rng = rng_seeded(seed);
    return get_batch(inputs, targets, &tokens, batch_size, context_length, device, &rng);
}

/* ---- Tokenizer ---- */

/* Appends the pre-tokens of one segment. */
static Status append_pretokens(TextRangeList *ranges, ByteString text, size_t begin, size_t end)
{
    const uint8_t *ends[PRETOKENS_PER_GROUP];
    Pretokenizer p;
    Status s = CS336_OK;
    pretokenizer_begin(&p, PATTERN_GPT2);
    pretokenizer_feed(&p, text.bytes + begin, end - begin, true);
    for (size_t count; !s && (count = pretokenizer_next(&p, ends, PRETOKENS_PER_GROUP)) > 0;)
        for (size_t i = 0; !s && i < count; i++) {
            const size_t next = (size_t)(ends[i] - text.bytes);
            s = text_range_list_append(ranges, begin, next, false);
            begin = next;
        }
    return s;
}

Status run_pretokenize(TextRangeList *ranges, ByteString text, const ByteString *special_tokens, size_t special_count)
{
    SpecialTokens special;
    Status s = special_tokens_init(&special, special_tokens, NULL, special_count);
    if (s)
        return s;
    for (size_t begin = 0; !s && begin < text.length;) {
        const SpecialMatch match = special_tokens_find(&special, text.bytes, text.length, begin, true);
        s = append_pretokens(ranges, text, begin, match.begin);
        begin = match.begin;
        if (!s && match.index >= 0) {
            const size_t length = special.tokens[match.index].length;
            s = text_range_list_append(ranges, begin, begin + length, true);
            begin += length;
        }
    }
    special_tokens_deinit(&special);
    return s;
}

/* Adds a merge to the model. The model's merges are ids, so both tokens and the merged token are looked up. */
static Status add_merge(BPEModel *model, const TokenIndex *index, MergePair pair)
{
    ByteList joint = {0};
    Status s = byte_list_append(&joint, pair.left.bytes, pair.left.length);
    if (!s)
        s = byte_list_append(&joint, pair.right.bytes, pair.right.length);
    const BPEMerge merge = {
        .left = token_index_find(index, pair.left),
        .right = token_index_find(index, pair.right),
        .merged = s ? -1 : token_index_find(index, (ByteString){.bytes = joint.bytes, .length = joint.length}),
    };
    byte_list_deinit(&joint);
    return s ? s : bpe_model_add_merge(model, merge);
}

Status get_tokenizer(Tokenizer **tokenizer, const ByteString *vocab, size_t vocab_size, const MergePair *merges,
                     size_t merge_count, const ByteString *special_tokens, size_t special_count)
{
    BPEModel model = {0};
    TokenIndex index = {0};
    Status s = CS336_OK;
    *tokenizer = NULL;
    for (size_t i = 0; !s && i < vocab_size; i++)
        s = bpe_model_add_token(&model, vocab[i]);
    if (!s)
        s = token_index_init(&index, &model);
    for (size_t i = 0; !s && i < merge_count; i++)
        s = add_merge(&model, &index, merges[i]);
    if (!s)
        s = tokenizer_create(tokenizer, &model, special_tokens, special_count);
    token_index_deinit(&index);
    bpe_model_deinit(&model);
    return s;
}

void release_tokenizer(Tokenizer *tokenizer)
{
    tokenizer_destroy(tokenizer);
}

Status run_encode(TokenList *ids, const Tokenizer *tokenizer, ByteString text)
{
    return tokenizer_encode(tokenizer, ids, text);
}

Status run_encode_iterable(const Tokenizer *tokenizer, NextChunk *next, void *chunks, TakeIds *take, void *taker)
{
    Encoder *encoder;
    Status s = encoder_create(&encoder, tokenizer, take, taker);
    for (ByteString chunk; !s && (chunk = next(chunks)).length > 0;)
        s = encoder_feed(encoder, chunk.bytes, chunk.length);
    if (!s)
        s = encoder_finish(encoder);
    encoder_destroy(encoder);
    return s;
}

Status run_decode(ByteList *text, const Tokenizer *tokenizer, const int32_t *ids, size_t count)
{
    return tokenizer_decode_replace(tokenizer, text, ids, count);
}

static Status view_model(TrainedBPE *trained, BPEModel *model)
{
    trained->storage = model;
    trained->vocab_size = model->vocab_size;
    trained->merge_count = model->merge_count;
    trained->vocab = memory_allocate(model->vocab_size * sizeof *trained->vocab);
    trained->merges = memory_allocate(model->merge_count * sizeof *trained->merges);
    if (!trained->vocab || !trained->merges)
        return status_fail(CS336_ENOMEM, "run_train_bpe: no memory");
    for (size_t i = 0; i < model->vocab_size; i++)
        trained->vocab[i] = bpe_model_token(model, (int32_t)i);
    for (size_t i = 0; i < model->merge_count; i++)
        trained->merges[i] = (MergePair){.left = bpe_model_token(model, model->merges[i].left),
                                         .right = bpe_model_token(model, model->merges[i].right)};
    return CS336_OK;
}

Status run_train_bpe(TrainedBPE *trained, const char *input_path, size_t vocab_size, const ByteString *special_tokens,
                     size_t special_count)
{
    *trained = (TrainedBPE){0};
    BPEModel *model = memory_allocate(sizeof *model);
    if (!model)
        return status_fail(CS336_ENOMEM, "run_train_bpe: no memory");
    const BPETrainConfig config = {
        .vocab_size = vocab_size, .special_tokens = special_tokens, .special_count = special_count};
    Status s = bpe_train_files(model, NULL, &input_path, 1, &config);
    if (!s)
        s = view_model(trained, model);
    else
        memory_release(model);
    if (s)
        release_trained_bpe(trained);
    return s;
}

void release_trained_bpe(TrainedBPE *trained)
{
    if (trained->storage)
        bpe_model_deinit(trained->storage);
    memory_release(trained->storage);
    memory_release(trained->vocab);
    memory_release(trained->merges);
    *trained = (TrainedBPE){0};
}
