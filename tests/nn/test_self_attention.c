/* Causal multi-head self-attention: PyTorch's values and gradients, central differences, decoding. */
#include "nn/mha.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/reference_layers.h"
#include "tests/support/sample.h"

#include <math.h>
#include <stdio.h>

static const TokenTensor NO_POSITIONS = {0};
static const Tensor NOT_WANTED = {0};

enum { MEMORY = 1 << 16 };

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
    p.mha = (MultiHeadSelfAttention){
        HEADS, {.weight = p.q.value}, {.weight = p.k.value}, {.weight = p.v.value}, {.weight = p.output.value}};
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

/* The weights of q, k and v are adjacent in memory, as in a model, or in three tensors. */
static MultiHeadSelfAttention attention_zeros(bool together)
{
    const Tensor all = filled(0, 3 * D, D);
    MultiHeadSelfAttention zeros = {HEADS,
                                    {.weight = filled(0, D, D)},
                                    {.weight = filled(0, D, D)},
                                    {.weight = filled(0, D, D)},
                                    {.weight = filled(0, D, D)}};
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

/* Runs forward and backward with exactly the scratch that the functions ask for. */
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
    test_label("separate weights");
    check_with_pytorch(p, &p->mha, false);
    test_label("adjacent weights");
    check_with_pytorch(p, &neighbours, false);
    test_label("adjacent weights and gradients");
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
    MultiHeadSelfAttention frozen = {
        HEADS, {.weight = NOT_WANTED}, {.weight = NOT_WANTED}, {.weight = NOT_WANTED}, {.weight = NOT_WANTED}};
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
        test_label("positions %s", shape_text(forms[i].rank, forms[i].shape));
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
    test_label("%s, %zu tokens at a time", p->name, chunk);
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

START_TEST(test_mha_decode_equals_forward)
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
    assert_fails(mha_decode(y, &cache, x, &p.mha, &p.tables, &tiny), CS336_ENOMEM,
                 "arena_take: 2016 bytes asked for, 64 of 64 left");
    assert_fails(mha_decode(y, &cache, tensor(x.data, D), &p.mha, &p.tables, &scratch), CS336_ESHAPE,
                 "mha_decode: x is (12), expected (..., seq, d_model) of rank 2 to 7");
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
                 "mha_forward: positions are (4), x is (2, 7, 12)");
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
    assert_fails(mha_backward(y, &grad, y, &saved, tensor(x.data, D), &p.mha, NULL, NO_POSITIONS, &scratch),
                 CS336_ESHAPE, "mha_backward: x is (12), expected (..., seq, d_model) of rank 2 to 7");
    assert_fails(mha_bind_saved(&saved, &scratch, tensor(x.data, D), HEADS), CS336_ESHAPE,
                 "mha_bind_saved: x is (12), expected (..., seq, d_model) of rank 2 to 7");
    assert_fails(mha_bind_saved(&saved, &scratch, x, 0), CS336_ESHAPE,
                 "mha_bind_saved: num_heads 0 does not divide d_model 12");
    assert_fails(mha_bind_saved(&saved, &tiny, x, HEADS), CS336_ENOMEM,
                 "arena_take: 2016 bytes asked for, 64 of 64 left");
    arena_deinit(&tiny);
    arena_deinit(&scratch);
    arena_deinit(&p.memory);
}
END_TEST

const TestCase self_attention_tests[] = {
    TEST(test_mha_gradients, "multihead_self_attention"),
    TEST(test_mha_with_rope_gradients, "multihead_self_attention"),
    TEST(test_mha_with_positions_gradients, "multihead_self_attention"),
    TEST(test_mha_skips_what_is_not_wanted, "multihead_self_attention"),
    TEST(test_mha_takes_exactly_its_scratch, "multihead_self_attention"),
    TEST(test_mha_reads_and_writes_strided_views, "multihead_self_attention"),
    TEST(test_mha_positions_broadcast, "multihead_self_attention"),
    TEST(test_mha_of_any_leading_dimensions, "multihead_self_attention"),
    TEST(test_mha_decode_equals_forward, "decoding"),
    TEST(test_mha_decode_names_what_does_not_fit, "decoding"),
    TEST(test_mha_names_what_does_not_fit, "multihead_self_attention"),
    {0},
};
