/* Self-attention and the Transformer block: PyTorch's values and gradients, central differences, decoding. */
#include "core/memory.h"
#include "nn/transformer_block.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/reference_layers.h"
#include "tests/support/sample.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const TokenTensor NO_POSITIONS = {0};
static const Tensor NOT_WANTED = {0};

enum { MEMORY = 1 << 16 };

static Arena arena_of(size_t bytes)
{
    Arena arena;
    assert_ok(arena_init(&arena, bytes));
    return arena;
}

/* ---- causal multi-head self-attention ---- */

enum { BATCH = 2, SEQ = 7, D = 12, HEADS = 3, COUNT = BATCH * SEQ * D, MAX_SEQ = 40 };

typedef struct {
    const char *name;
    double theta;
    TokenTensor positions;
    Sample x, q, k, v, output, grad_y;
    MultiHeadSelfAttention mha;
    RoPE tables;
    Arena memory;
} AttentionProblem;

static AttentionProblem attention_problem(const char *layer, double theta)
{
#define NAMED(what) (snprintf(name, sizeof name, "%s.%s", layer, what), name)
    char name[64];
    AttentionProblem p = {.name = layer, .theta = theta, .memory = arena_of(MEMORY)};
    p.x = sample(NAMED("x"), 0, 1, BATCH, SEQ, D);
    p.q = sample(NAMED("q"), 0, 0.3, D, D);
    p.k = sample(NAMED("k"), 0, 0.3, D, D);
    p.v = sample(NAMED("v"), 0, 0.3, D, D);
    p.output = sample(NAMED("output"), 0, 0.3, D, D);
    p.grad_y = sample(NAMED("grad_y"), 0, 1, BATCH, SEQ, D);
    p.mha = (MultiHeadSelfAttention){HEADS, {p.q.value}, {p.k.value}, {p.v.value}, {p.output.value}};
    if (theta > 0)
        assert_ok(rope_bind(&p.tables, &p.memory, (float)theta, D / HEADS, MAX_SEQ));
    return p;
#undef NAMED
}

static AttentionProblem problem_with_positions(void)
{
    AttentionProblem p = attention_problem("mha_positions", 100);
    p.positions = sample_ids("mha_positions.positions", MAX_SEQ, BATCH, SEQ);
    return p;
}

static const RoPE *rope_of(const AttentionProblem *p)
{
    return p->theta > 0 ? &p->tables : NULL;
}

/* q, k and v one after the other in memory, as in a model, or each for itself. */
static MultiHeadSelfAttention attention_zeros(bool together)
{
    const Tensor all = filled(0, 3 * D, D);
    MultiHeadSelfAttention zeros = {HEADS, {filled(0, D, D)}, {filled(0, D, D)}, {filled(0, D, D)}, {filled(0, D, D)}};
    if (together) {
        zeros.q_proj.weight = tensor_slice(all, 0, 0, D);
        zeros.k_proj.weight = tensor_slice(all, 0, D, D);
        zeros.v_proj.weight = tensor_slice(all, 0, 2 * D, D);
    }
    return zeros;
}

static MultiHeadSelfAttention together(const MultiHeadSelfAttention *mha)
{
    const MultiHeadSelfAttention copy = attention_zeros(true);
    tensor_copy(copy.q_proj.weight, mha->q_proj.weight);
    tensor_copy(copy.k_proj.weight, mha->k_proj.weight);
    tensor_copy(copy.v_proj.weight, mha->v_proj.weight);
    tensor_copy(copy.output_proj.weight, mha->output_proj.weight);
    return copy;
}

static double attention_loss(void *context)
{
    const AttentionProblem *p = context;
    double y[COUNT];
    reference_mha(y, p->x.wide, p->q.wide, p->k.wide, p->v.wide, p->output.wide, p->positions.data,
                  (ReferenceAttention){BATCH, SEQ, D, HEADS, p->theta});
    return reference_dot(y, p->grad_y.wide, COUNT);
}

/* Forward, then backward with exactly the promised scratch. */
static void run_attention(Tensor y, Tensor grad_x, MultiHeadSelfAttention *grad, const MultiHeadSelfAttention *mha,
                          AttentionProblem *p)
{
    Arena scratch = arena_of(mha_scratch(p->x.value, HEADS));
    const size_t mark = arena_mark(&p->memory);
    MultiHeadSelfAttentionSaved saved;
    assert_ok(mha_bind_saved(&saved, &p->memory, p->x.value, HEADS));
    assert_ok(mha_forward(y, &saved, p->x.value, mha, rope_of(p), p->positions, &scratch));
    assert_ok(mha_backward(grad_x, grad, p->grad_y.value, &saved, p->x.value, mha, rope_of(p), p->positions, &scratch));
    ck_assert_uint_eq(scratch.used, 0);
    arena_release(&p->memory, mark);
    arena_deinit(&scratch);
}

static void check_with_pytorch(AttentionProblem *p, const MultiHeadSelfAttention *mha, bool grads_together)
{
    const Tensor y = filled_like(NAN, p->x.value), grad_x = filled_like(NAN, p->x.value);
    MultiHeadSelfAttention grad = attention_zeros(grads_together);
    run_attention(y, grad_x, &grad, mha, p);
    assert_pytorch(y, p->name, "y");
    assert_pytorch(grad_x, p->name, "grad_x");
    assert_pytorch(grad.q_proj.weight, p->name, "grad_q");
    assert_pytorch(grad.k_proj.weight, p->name, "grad_k");
    assert_pytorch(grad.v_proj.weight, p->name, "grad_v");
    assert_pytorch(grad.output_proj.weight, p->name, "grad_output");
}

static void check_attention(AttentionProblem *p)
{
    const MultiHeadSelfAttention neighbours = together(&p->mha);
    check_with_pytorch(p, &p->mha, false);
    check_with_pytorch(p, &neighbours, false);
    check_with_pytorch(p, &neighbours, true);

    const Tensor y = filled_like(NAN, p->x.value), grad_x = filled_like(NAN, p->x.value);
    MultiHeadSelfAttention grad = attention_zeros(true);
    run_attention(y, grad_x, &grad, &neighbours, p);
    assert_differences("grad_x", grad_x, p->x, attention_loss, p);
    assert_differences("grad_q", grad.q_proj.weight, p->q, attention_loss, p);
    assert_differences("grad_k", grad.k_proj.weight, p->k, attention_loss, p);
    assert_differences("grad_v", grad.v_proj.weight, p->v, attention_loss, p);
    assert_differences("grad_output", grad.output_proj.weight, p->output, attention_loss, p);
    arena_deinit(&p->memory);
}

START_TEST(test_mha_gradients)
{
    AttentionProblem p = attention_problem("mha", 0);
    check_attention(&p);
}
END_TEST

START_TEST(test_mha_with_rope_gradients)
{
    AttentionProblem p = attention_problem("mha_rope", 1e4);
    check_attention(&p);
}
END_TEST

START_TEST(test_mha_with_positions_gradients)
{
    AttentionProblem p = problem_with_positions();
    check_attention(&p);
}
END_TEST

START_TEST(test_mha_skips_what_is_not_wanted)
{
    AttentionProblem p = attention_problem("mha_rope", 1e4);
    MultiHeadSelfAttention frozen = {HEADS, {NOT_WANTED}, {NOT_WANTED}, {NOT_WANTED}, {NOT_WANTED}};
    MultiHeadSelfAttention grad = attention_zeros(true), only_k = frozen;
    only_k.k_proj.weight = filled(0, D, D);
    const Tensor y = filled_like(NAN, p.x.value), grad_x = filled_like(NAN, p.x.value);
    const MultiHeadSelfAttention neighbours = together(&p.mha);
    run_attention(y, grad_x, &frozen, &neighbours, &p);
    assert_pytorch(grad_x, "mha_rope", "grad_x");
    run_attention(y, NOT_WANTED, &grad, &neighbours, &p);
    assert_pytorch(grad.q_proj.weight, "mha_rope", "grad_q");
    run_attention(y, grad_x, &only_k, &neighbours, &p);
    assert_pytorch(grad_x, "mha_rope", "grad_x");
    assert_pytorch(only_k.k_proj.weight, "mha_rope", "grad_k");
    arena_deinit(&p.memory);
}
END_TEST

static Status infer_attention(void *context, Arena *scratch)
{
    const AttentionProblem *p = context;
    const Tensor y = filled_like(NAN, p->x.value);
    const Status s = mha_forward(y, NULL, p->x.value, &p->mha, rope_of(p), p->positions, scratch);
    if (!s)
        assert_pytorch(y, p->name, "y");
    return s;
}

static Status back_attention(void *context, Arena *scratch)
{
    AttentionProblem *p = context;
    const Tensor y = filled_like(NAN, p->x.value);
    MultiHeadSelfAttention grad = attention_zeros(true);
    MultiHeadSelfAttentionSaved saved;
    const size_t mark = arena_mark(&p->memory);
    assert_ok(mha_bind_saved(&saved, &p->memory, p->x.value, HEADS));
    assert_ok(mha_forward(y, &saved, p->x.value, &p->mha, rope_of(p), p->positions, scratch));
    const Status s =
        mha_backward(y, &grad, p->grad_y.value, &saved, p->x.value, &p->mha, rope_of(p), p->positions, scratch);
    arena_release(&p->memory, mark);
    return s;
}

START_TEST(test_mha_takes_exactly_its_scratch)
{
    AttentionProblem p = problem_with_positions();
    assert_scratch(mha_scratch(p.x.value, HEADS), infer_attention, &p);
    assert_scratch(mha_scratch(p.x.value, HEADS), back_attention, &p);
    arena_deinit(&p.memory);
}
END_TEST

START_TEST(test_mha_reads_and_writes_strided_views)
{
    AttentionProblem p = problem_with_positions();
    Arena scratch = arena_of(mha_scratch(p.x.value, HEADS));
    const Tensor x = tensor_slice(filled(NAN, BATCH, SEQ + 2, D + 4), -1, 4, D);
    const Tensor in = tensor_slice(x, 1, 1, SEQ), y = filled_like(NAN, p.x.value);
    const Tensor out = tensor_transpose(filled(NAN, SEQ, BATCH, D), 0, 1);
    tensor_copy(in, p.x.value);
    assert_ok(mha_forward(out, NULL, in, &p.mha, rope_of(&p), p.positions, &scratch));
    tensor_copy(y, out);
    assert_pytorch(y, p.name, "y");
    arena_deinit(&scratch);
    arena_deinit(&p.memory);
}
END_TEST

START_TEST(test_mha_positions_broadcast)
{
    AttentionProblem p = attention_problem("mha_rope", 1e4);
    Arena scratch = arena_of(mha_scratch(p.x.value, HEADS));
    const int32_t counted[] = {0, 1, 2, 3, 4, 5, 6};
    const TokenTensor forms[] = {tokens(counted, SEQ), tokens(counted, 1, SEQ), NO_POSITIONS};
    for (size_t i = 0; i < 3; i++) {
        const Tensor y = filled_like(NAN, p.x.value);
        assert_ok(mha_forward(y, NULL, p.x.value, &p.mha, &p.tables, forms[i], &scratch));
        assert_pytorch(y, p.name, "y");
    }
    arena_deinit(&scratch);
    arena_deinit(&p.memory);
}
END_TEST

START_TEST(test_mha_of_any_leading_dimensions)
{
    AttentionProblem p = attention_problem("mha_rope", 1e4);
    Arena scratch = arena_of(mha_scratch(p.x.value, HEADS));
    const Tensor y = filled_like(NAN, p.x.value);
    for (size_t i = 0; i < BATCH; i++)
        assert_ok(mha_forward(tensor_select(y, 0, i), NULL, tensor_select(p.x.value, 0, i), &p.mha, &p.tables,
                              NO_POSITIONS, &scratch));
    assert_pytorch(y, p.name, "y");
    tensor_fill(y, NAN);
    assert_ok(mha_forward(tensor_reshape(y, 2, 1, SEQ, D), NULL, tensor_reshape(p.x.value, 2, 1, SEQ, D), &p.mha,
                          &p.tables, NO_POSITIONS, &scratch));
    assert_pytorch(y, p.name, "y");
    arena_deinit(&scratch);
    arena_deinit(&p.memory);
}
END_TEST

/* ---- decoding from a cache ---- */

static KeyValueCache cache_of(size_t heads, size_t capacity, size_t d_k)
{
    return (KeyValueCache){filled(NAN, BATCH, heads, capacity, d_k), filled(NAN, BATCH, heads, capacity, d_k), 0};
}

static void decode_in_chunks(AttentionProblem *p, size_t chunk)
{
    KeyValueCache cache = cache_of(HEADS, SEQ, D / HEADS);
    const Tensor y = filled_like(NAN, p->x.value);
    Arena scratch = arena_of(mha_scratch(p->x.value, HEADS));
    for (size_t first = 0; first < SEQ; first += chunk) {
        const size_t n = first + chunk < SEQ ? chunk : SEQ - first;
        assert_ok(mha_decode(tensor_slice(y, 1, first, n), &cache, tensor_slice(p->x.value, 1, first, n), &p->mha,
                             rope_of(p), &scratch));
        ck_assert_uint_eq(cache.length, first + n);
        ck_assert_uint_eq(scratch.used, 0);
    }
    assert_pytorch(y, p->name, "y");
    arena_deinit(&scratch);
}

START_TEST(test_mha_decodes_as_it_goes_forward)
{
    AttentionProblem rotated = attention_problem("mha_rope", 1e4), plain = attention_problem("mha", 0);
    for (size_t chunk = 1; chunk <= SEQ; chunk++) {
        decode_in_chunks(&rotated, chunk);
        decode_in_chunks(&plain, chunk);
    }
    arena_deinit(&rotated.memory);
    arena_deinit(&plain.memory);
}
END_TEST

START_TEST(test_mha_decode_names_what_does_not_fit)
{
    AttentionProblem p = attention_problem("mha_rope", 1e4);
    Arena scratch = arena_of(mha_scratch(p.x.value, HEADS)), tiny = arena_of(64);
    const Tensor y = filled_like(0, p.x.value), x = p.x.value;
    KeyValueCache cache = cache_of(HEADS, 9, 4), narrow = cache_of(HEADS, 9, 5), flat = cache_of(HEADS, 50, 4);
    assert_fails(mha_decode(y, &narrow, x, &p.mha, &p.tables, &scratch), CS336_ESHAPE,
                 "mha_decode: cache is (2, 3, 9, 5) and (2, 3, 9, 5), x is (2, 7, 12) with 3 heads");
    cache.value = filled(0, 3, 9, 4);
    assert_fails(mha_decode(y, &cache, x, &p.mha, &p.tables, &scratch), CS336_ESHAPE,
                 "mha_decode: cache is (2, 3, 9, 4) and (3, 9, 4), x is (2, 7, 12) with 3 heads");
    cache = cache_of(HEADS, 9, 4);
    cache.length = 3;
    assert_fails(mha_decode(y, &cache, x, &p.mha, &p.tables, &scratch), CS336_ESHAPE,
                 "mha_decode: cache holds 3 of 9 rows, 7 more do not fit");
    flat.length = 34;
    assert_fails(mha_decode(y, &flat, x, &p.mha, &p.tables, &scratch), CS336_ERANGE,
                 "mha_decode: position 40 is not in [0, 40)");
    cache.length = 0;
    ck_assert_int_eq(mha_decode(y, &cache, x, &p.mha, &p.tables, &tiny), CS336_ENOMEM);
    ck_assert_uint_eq(cache.length, 0);
    p.mha.num_heads = 5;
    assert_fails(mha_decode(y, &cache, x, &p.mha, &p.tables, &scratch), CS336_ESHAPE,
                 "mha_decode: num_heads 5 does not divide d_model 12");
    arena_deinit(&tiny);
    arena_deinit(&scratch);
    arena_deinit(&p.memory);
}
END_TEST

START_TEST(test_mha_names_what_does_not_fit)
{
    AttentionProblem p = attention_problem("mha_rope", 1e4);
    Arena scratch = arena_of(mha_scratch(p.x.value, HEADS)), tiny = arena_of(64);
    const Tensor x = p.x.value, y = filled_like(0, x);
    const int32_t positions[] = {0, 1, 2, 3, 40, 5, 6, 7};
    MultiHeadSelfAttentionSaved saved = {0};
    MultiHeadSelfAttention grad = attention_zeros(false), odd = p.mha;
    assert_fails(mha_forward(y, NULL, x, &p.mha, &p.tables, tokens(positions, SEQ), &scratch), CS336_ERANGE,
                 "rope_forward: position 40 is not in [0, 40)");
    assert_fails(mha_forward(y, NULL, x, &p.mha, &p.tables, tokens(positions, 4), &scratch), CS336_ESHAPE,
                 "rope_forward: positions are (4), x is (2, 3, 7, 4)");
    assert_fails(mha_forward(y, NULL, tensor(x.data, D), &p.mha, NULL, NO_POSITIONS, &scratch), CS336_ESHAPE,
                 "mha_forward: x is (12), expected (..., seq, d_model) of rank 2 to 7");
    assert_fails(mha_forward(filled(0, 7, 2, D), NULL, x, &p.mha, NULL, NO_POSITIONS, &scratch), CS336_ESHAPE,
                 "linear_forward: y is (7, 2, 12), x is (2, 7, 12), weight is (12, 12)");
    ck_assert_uint_eq(scratch.used, 0);
    odd.num_heads = 5;
    assert_fails(mha_forward(y, NULL, x, &odd, NULL, NO_POSITIONS, &scratch), CS336_ESHAPE,
                 "mha_forward: num_heads 5 does not divide d_model 12");
    assert_fails(mha_backward(y, &grad, y, &saved, x, &odd, NULL, NO_POSITIONS, &scratch), CS336_ESHAPE,
                 "mha_backward: num_heads 5 does not divide d_model 12");
    assert_fails(mha_bind_saved(&saved, &scratch, x, 0), CS336_ESHAPE,
                 "mha_bind_saved: num_heads 0 does not divide d_model 12");
    assert_fails(mha_bind_saved(&saved, &tiny, x, HEADS), CS336_ENOMEM,
                 "arena_take: 2016 bytes asked for, 64 of 64 left");
    arena_deinit(&tiny);
    arena_deinit(&scratch);
    arena_deinit(&p.memory);
}
END_TEST

/* ---- the block ---- */

enum { BLOCK_SEQ = 5, BLOCK_D = 8, BLOCK_HEADS = 2, BLOCK_FF = 12, BLOCK_COUNT = BATCH * BLOCK_SEQ * BLOCK_D };
enum { BLOCK_WEIGHTS = 9 };

static const char *const WEIGHT_NAMES[BLOCK_WEIGHTS] = {
    "attn.q_proj.weight",      "attn.k_proj.weight", "attn.v_proj.weight",
    "attn.output_proj.weight", "ln1.weight",         "ln2.weight",
    "ffn.w1.weight",           "ffn.w2.weight",      "ffn.w3.weight"};

typedef struct {
    const char *name;
    TransformerLMConfig config;
    Sample x, grad_y, weights[BLOCK_WEIGHTS];
    double *wide[BLOCK_WEIGHTS];
    ReferenceWeights reference;
    TransformerBlock block;
    RoPE rope;
    Arena memory;
} BlockProblem;

/* The views of a block's weights in the order of WEIGHT_NAMES. */
static void list_weights(Tensor *views[BLOCK_WEIGHTS], TransformerBlock *b)
{
    Tensor *const all[BLOCK_WEIGHTS] = {&b->attn.q_proj.weight,      &b->attn.k_proj.weight, &b->attn.v_proj.weight,
                                        &b->attn.output_proj.weight, &b->ln1.weight,         &b->ln2.weight,
                                        &b->ffn.w1.weight,           &b->ffn.w2.weight,      &b->ffn.w3.weight};
    memcpy(views, all, sizeof all);
}

static Tensor weight_sample(BlockProblem *p, size_t i)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", p->name, WEIGHT_NAMES[i]);
    const bool gain = i == 4 || i == 5;
    if (gain)
        p->weights[i] = sample(name, 1, 0.3, BLOCK_D);
    else if (i == 7)
        p->weights[i] = sample(name, 0, 0.3, BLOCK_D, BLOCK_FF);
    else if (i > 5)
        p->weights[i] = sample(name, 0, 0.3, BLOCK_FF, BLOCK_D);
    else
        p->weights[i] = sample(name, 0, 0.3, BLOCK_D, BLOCK_D);
    p->wide[i] = p->weights[i].wide;
    return gain && p->config.norm == NORM_NONE ? NOT_WANTED : p->weights[i].value;
}

static BlockProblem *block_problem(NormPlacement norm)
{
    static const char *const names[] = {"block_pre", "block_post", "block_none"};
    static BlockProblem problem;
    BlockProblem *p = &problem;
    char name[32];
    *p = (BlockProblem){.memory = arena_of(MEMORY), .block.norm = norm, .block.attn.num_heads = BLOCK_HEADS};
    p->config = (TransformerLMConfig){.d_model = BLOCK_D,
                                      .num_heads = BLOCK_HEADS,
                                      .d_ff = BLOCK_FF,
                                      .rope_theta = 1e4F,
                                      .norm_eps = 1e-5F,
                                      .norm = norm};
    p->name = names[norm];
    snprintf(name, sizeof name, "%s.x", p->name);
    p->x = sample(name, 0, 1, BATCH, BLOCK_SEQ, BLOCK_D);
    snprintf(name, sizeof name, "%s.grad_y", p->name);
    p->grad_y = sample(name, 0, 1, BATCH, BLOCK_SEQ, BLOCK_D);
    Tensor *views[BLOCK_WEIGHTS];
    list_weights(views, &p->block);
    for (size_t i = 0; i < BLOCK_WEIGHTS; i++)
        *views[i] = weight_sample(p, i);
    p->block.ln1.eps = p->block.ln2.eps = 1e-5F;
    p->reference = (ReferenceWeights){BLOCK_WEIGHTS, WEIGHT_NAMES, p->wide};
    assert_ok(rope_bind(&p->rope, &p->memory, 1e4F, BLOCK_D / BLOCK_HEADS, BLOCK_SEQ));
    return p;
}

static TransformerBlock block_zeros(const TransformerBlock *block)
{
    TransformerBlock zeros = *block;
    Tensor *views[BLOCK_WEIGHTS];
    list_weights(views, &zeros);
    for (size_t i = 0; i < BLOCK_WEIGHTS; i++)
        if (views[i]->data)
            *views[i] = filled_like(0, *views[i]);
    return zeros;
}

static double block_loss(void *context)
{
    const BlockProblem *p = context;
    double y[BLOCK_COUNT];
    reference_block(y, p->x.wide, &p->reference, "", BATCH, BLOCK_SEQ, &p->config);
    return reference_dot(y, p->grad_y.wide, BLOCK_COUNT);
}

static Status block_there_and_back(BlockProblem *p, Tensor y, Tensor grad_x, TransformerBlock *grad, Tensor grad_y,
                                   Arena *scratch)
{
    const size_t mark = arena_mark(&p->memory);
    TransformerBlockSaved saved;
    assert_ok(transformer_block_bind_saved(&saved, &p->memory, p->x.value, &p->block));
    Status s = transformer_block_forward(y, &saved, p->x.value, &p->block, &p->rope, NO_POSITIONS, scratch);
    if (!s)
        s = transformer_block_backward(grad_x, grad, grad_y, &saved, p->x.value, &p->block, &p->rope, NO_POSITIONS,
                                       scratch);
    arena_release(&p->memory, mark);
    return s;
}

static void check_block(NormPlacement norm)
{
    BlockProblem *p = block_problem(norm);
    Arena scratch = arena_of(transformer_block_scratch(p->x.value, &p->block));
    const Tensor y = filled_like(NAN, p->x.value), grad_x = filled_like(NAN, p->x.value);
    TransformerBlock grad = block_zeros(&p->block);
    assert_ok(block_there_and_back(p, y, grad_x, &grad, p->grad_y.value, &scratch));
    assert_pytorch(y, p->name, "y");
    assert_pytorch(grad_x, p->name, "grad_x");
    assert_differences("grad_x", grad_x, p->x, block_loss, p);
    Tensor *views[BLOCK_WEIGHTS];
    list_weights(views, &grad);
    for (size_t i = 0; i < BLOCK_WEIGHTS; i++)
        if (views[i]->data) {
            char name[64];
            snprintf(name, sizeof name, "grad_%s", WEIGHT_NAMES[i]);
            assert_pytorch(*views[i], p->name, name);
            assert_differences(name, *views[i], p->weights[i], block_loss, p);
        }
    arena_deinit(&scratch);
    arena_deinit(&p->memory);
}

START_TEST(test_block_gradients_pre_norm)
{
    check_block(NORM_PRE);
}
END_TEST

START_TEST(test_block_gradients_post_norm)
{
    check_block(NORM_POST);
}
END_TEST

START_TEST(test_block_gradients_no_norm)
{
    check_block(NORM_NONE);
}
END_TEST

START_TEST(test_block_gradient_may_be_overwritten)
{
    for (int norm = NORM_PRE; norm <= NORM_NONE; norm++) {
        BlockProblem *p = block_problem((NormPlacement)norm);
        Arena scratch = arena_of(transformer_block_scratch(p->x.value, &p->block));
        const Tensor y = filled_like(NAN, p->x.value), grad_x = filled_like(NAN, p->x.value);
        TransformerBlock grad = block_zeros(&p->block);
        tensor_copy(grad_x, p->grad_y.value);
        assert_ok(block_there_and_back(p, y, grad_x, &grad, grad_x, &scratch));
        assert_pytorch(grad_x, p->name, "grad_x");
        grad = block_zeros(&p->block);
        assert_ok(block_there_and_back(p, y, NOT_WANTED, &grad, p->grad_y.value, &scratch));
        assert_pytorch(grad.attn.q_proj.weight, p->name, "grad_attn.q_proj.weight");
        arena_deinit(&scratch);
        arena_deinit(&p->memory);
    }
}
END_TEST

static Status infer_block(void *context, Arena *scratch)
{
    const BlockProblem *p = context;
    const Tensor y = filled_like(NAN, p->x.value);
    const Status s = transformer_block_forward(y, NULL, p->x.value, &p->block, &p->rope, NO_POSITIONS, scratch);
    if (!s)
        assert_pytorch(y, p->name, "y");
    return s;
}

static Status back_block(void *context, Arena *scratch)
{
    BlockProblem *p = context;
    TransformerBlock grad = block_zeros(&p->block);
    const Tensor y = filled_like(NAN, p->x.value);
    return block_there_and_back(p, y, y, &grad, p->grad_y.value, scratch);
}

START_TEST(test_block_takes_exactly_its_scratch)
{
    for (int norm = NORM_PRE; norm <= NORM_NONE; norm++) {
        BlockProblem *p = block_problem((NormPlacement)norm);
        const size_t forward = transformer_block_forward_scratch(p->x.value, &p->block);
        const size_t backward = transformer_block_backward_scratch(p->x.value, &p->block);
        assert_scratch(forward, infer_block, p);
        assert_scratch(backward, back_block, p);
        ck_assert_uint_eq(transformer_block_scratch(p->x.value, &p->block), forward > backward ? forward : backward);
        arena_deinit(&p->memory);
    }
}
END_TEST

START_TEST(test_block_decodes_as_it_goes_forward)
{
    for (int norm = NORM_PRE; norm <= NORM_NONE; norm++) {
        BlockProblem *p = block_problem((NormPlacement)norm);
        Arena scratch = arena_of(transformer_block_scratch(p->x.value, &p->block));
        KeyValueCache cache = cache_of(BLOCK_HEADS, BLOCK_SEQ, BLOCK_D / BLOCK_HEADS);
        const Tensor y = filled_like(NAN, p->x.value);
        for (size_t first = 0; first < BLOCK_SEQ; first += 2) {
            const size_t n = first + 2 <= BLOCK_SEQ ? 2 : 1;
            assert_ok(transformer_block_decode(tensor_slice(y, 1, first, n), &cache,
                                               tensor_slice(p->x.value, 1, first, n), &p->block, &p->rope, &scratch));
            ck_assert_uint_eq(scratch.used, 0);
        }
        assert_pytorch(y, p->name, "y");
        arena_deinit(&scratch);
        arena_deinit(&p->memory);
    }
}
END_TEST

START_TEST(test_block_names_the_shapes_that_differ)
{
    BlockProblem *p = block_problem(NORM_PRE);
    Arena scratch = arena_of(64);
    TransformerBlock grad = block_zeros(&p->block);
    TransformerBlockSaved saved = {0};
    KeyValueCache cache = {0};
    const Tensor x = p->x.value, flat = filled(0, 10, 8), y = filled_like(0, x);
    const Tensor turned = tensor_transpose(filled(0, BATCH, BLOCK_D, BLOCK_SEQ), 1, 2);
    assert_fails(transformer_block_forward(flat, NULL, x, &p->block, &p->rope, NO_POSITIONS, &scratch), CS336_ESHAPE,
                 "transformer_block_forward: y is (10, 8), x is (2, 5, 8)");
    assert_fails(transformer_block_forward(y, NULL, turned, &p->block, &p->rope, NO_POSITIONS, &scratch), CS336_ESHAPE,
                 "transformer_block_forward: rows of x and y must be contiguous");
    assert_fails(transformer_block_decode(flat, &cache, x, &p->block, &p->rope, &scratch), CS336_ESHAPE,
                 "transformer_block_decode: y is (10, 8), x is (2, 5, 8)");
    assert_fails(transformer_block_backward(y, &grad, flat, &saved, x, &p->block, &p->rope, NO_POSITIONS, &scratch),
                 CS336_ESHAPE, "transformer_block_backward: grad_y is (10, 8), x is (2, 5, 8)");
    assert_fails(transformer_block_backward(flat, &grad, y, &saved, x, &p->block, &p->rope, NO_POSITIONS, &scratch),
                 CS336_ESHAPE, "transformer_block_backward: grad_x is (10, 8), x is (2, 5, 8)");
    assert_fails(transformer_block_bind_saved(&saved, &scratch, x, &p->block), CS336_ENOMEM,
                 "arena_take: 320 bytes asked for, 64 of 64 left");
    ck_assert_uint_eq(scratch.used, 0);
    arena_deinit(&scratch);
    arena_deinit(&p->memory);
}
END_TEST

const TestCase blocks_tests[] = {
    TEST(test_mha_gradients, "multihead_self_attention"),
    TEST(test_mha_with_rope_gradients, "multihead_self_attention"),
    TEST(test_mha_with_positions_gradients, "multihead_self_attention"),
    TEST(test_mha_skips_what_is_not_wanted, "multihead_self_attention"),
    TEST(test_mha_takes_exactly_its_scratch, "multihead_self_attention"),
    TEST(test_mha_reads_and_writes_strided_views, "multihead_self_attention"),
    TEST(test_mha_positions_broadcast, "multihead_self_attention"),
    TEST(test_mha_of_any_leading_dimensions, "multihead_self_attention"),
    TEST(test_mha_decodes_as_it_goes_forward, "decoding"),
    TEST(test_mha_decode_names_what_does_not_fit, "decoding"),
    TEST(test_mha_names_what_does_not_fit, "multihead_self_attention"),
    TEST(test_block_gradients_pre_norm, "transformer_block"),
    TEST(test_block_gradients_post_norm, "pre_norm_ablation"),
    TEST(test_block_gradients_no_norm, "layer_norm_ablation"),
    TEST(test_block_gradient_may_be_overwritten, "transformer_block"),
    TEST(test_block_takes_exactly_its_scratch, "transformer_block"),
    TEST(test_block_decodes_as_it_goes_forward, "decoding"),
    TEST(test_block_names_the_shapes_that_differ, "transformer_block"),
    {0},
};
