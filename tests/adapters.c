#include "tests/adapters.h"

#include "core/memory.h"
#include "nn/rmsnorm.h"
#include "tokenizer/bpe_train.h"
#include "tokenizer/tokenizer.h"

/* ---- Modules ---- */

Status run_rmsnorm(Tensor output, size_t d_model, float eps, Tensor weights, Tensor in_features)
{
    const RMSNorm norm = {.weight = weights, .eps = eps};
    (void)d_model;
    return rmsnorm_forward(output, (Tensor){0}, in_features, &norm);
}

/* ---- Losses and gradients ---- */

/* ---- Optimizer ---- */

/* ---- Checkpoints ---- */

/* ---- Data ---- */

/* ---- Tokenizer ---- */

/* The product's merges are by id: each part is looked up, and so is what they make. */
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

Status run_encode_iterable(const Tokenizer *tokenizer, NextPiece *next, void *pieces, TakeIds *take, void *taker)
{
    Encoder *encoder;
    Status s = encoder_create(&encoder, tokenizer, take, taker);
    for (ByteString piece; !s && (piece = next(pieces)).length > 0;)
        s = encoder_feed(encoder, piece.bytes, piece.length);
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
