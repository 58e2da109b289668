/* The Transformer block: PyTorch's values and gradients, central differences, decoding. */
#include "core/parallel.h"
#include "nn/transformer_block.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/reference_layers.h"
#include "tests/support/sample.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const TokenTensor NO_POSITIONS = {0};
static const Tensor NOT_WANTED = {0};

enum { MEMORY = 1 << 16 };

enum { BATCH = 2, SEQ = 5, D = 8, HEADS = 2, FF = 12, COUNT = BATCH * SEQ * D };
enum { WEIGHTS = 9 };

static const char *const WEIGHT_NAMES[WEIGHTS] = {"attn.q_proj.weight",      "attn.k_proj.weight", "attn.v_proj.weight",
                                                  "attn.output_proj.weight", "ln1.weight",         "ln2.weight",
                                                  "ffn.w1.weight",           "ffn.w2.weight",      "ffn.w3.weight"};

typedef struct {
    const char *name;
    TransformerLMConfig config;
    Sample x, grad_y, weights[WEIGHTS];
    double *wide[WEIGHTS];
    ReferenceWeights reference;
    TransformerBlock block;
    RoPE rope;
    Arena memory;
} BlockProblem;

/* Lists the views of a block's weights in the order of WEIGHT_NAMES. */
static void list_weights(Tensor *views[WEIGHTS], TransformerBlock *b)
{
    Tensor *const all[WEIGHTS] = {&b->attn.q_proj.weight,      &b->attn.k_proj.weight, &b->attn.v_proj.weight,
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
        p->weights[i] = sample(name, 1, 0.3, D);
    else if (i == 7)
        p->weights[i] = sample(name, 0, 0.3, D, FF);
    else if (i > 5)
        p->weights[i] = sample(name, 0, 0.3, FF, D);
    else
        p->weights[i] = sample(name, 0, 0.3, D, D);
    p->wide[i] = p->weights[i].wide;
    return gain && p->config.norm == NORM_NONE ? NOT_WANTED : p->weights[i].value;
}

static BlockProblem *block_problem(NormPlacement norm)
{
    static const char *const names[] = {"block_pre", "block_post", "block_none"};
    static BlockProblem problem;
    BlockProblem *p = &problem;
    char name[32];
    *p = (BlockProblem){.memory = arena_of(MEMORY), .block.norm = norm, .block.attn.num_heads = HEADS};
    p->config = (TransformerLMConfig){
        .d_model = D, .num_heads = HEADS, .d_ff = FF, .rope_theta = 1e4F, .norm_eps = 1e-5F, .norm = norm};
    p->name = names[norm];
    snprintf(name, sizeof name, "%s.x", p->name);
    p->x = sample(name, 0, 1, BATCH, SEQ, D);
    snprintf(name, sizeof name, "%s.grad_y", p->name);
    p->grad_y = sample(name, 0, 1, BATCH, SEQ, D);
    Tensor *views[WEIGHTS];
    list_weights(views, &p->block);
    for (size_t i = 0; i < WEIGHTS; i++)
        *views[i] = weight_sample(p, i);
    p->block.ln1.eps = p->block.ln2.eps = 1e-5F;
    p->reference = (ReferenceWeights){WEIGHTS, WEIGHT_NAMES, p->wide};
    assert_ok(rope_bind(&p->rope, &p->memory, 1e4F, D / HEADS, SEQ));
    return p;
}

static TransformerBlock block_zeros(const TransformerBlock *block)
{
    TransformerBlock zeros = *block;
    Tensor *views[WEIGHTS];
    list_weights(views, &zeros);
    for (size_t i = 0; i < WEIGHTS; i++)
        if (views[i]->data)
            *views[i] = filled_like(0, *views[i]);
    return zeros;
}

static double block_loss(void *context)
{
    const BlockProblem *p = context;
    double y[COUNT];
    reference_block(y, p->x.wide, &p->reference, "", BATCH, SEQ, &p->config);
    return reference_dot(y, p->grad_y.wide, COUNT);
}

static Status block_forward_and_backward(BlockProblem *p, Tensor y, Tensor grad_x, TransformerBlock *grad,
                                         Tensor grad_y, Arena *scratch)
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

/* Returns an arena with enough scratch for each of the passes. */
static Arena scratch_of(const BlockProblem *p)
{
    const size_t infer = transformer_block_scratch(p->x.value, &p->block, false);
    const size_t train = transformer_block_scratch(p->x.value, &p->block, true);
    return arena_of(infer > train ? infer : train);
}

static void check_block(NormPlacement norm)
{
    BlockProblem *p = block_problem(norm);
    Arena scratch = scratch_of(p);
    const Tensor y = filled_like(NAN, p->x.value), grad_x = filled_like(NAN, p->x.value);
    TransformerBlock grad = block_zeros(&p->block);
    assert_ok(block_forward_and_backward(p, y, grad_x, &grad, p->grad_y.value, &scratch));
    assert_pytorch(y, p->name, "y");
    assert_pytorch(grad_x, p->name, "grad_x");
    assert_differences("grad_x", grad_x, p->x, block_loss, p);
    Tensor *views[WEIGHTS];
    list_weights(views, &grad);
    for (size_t i = 0; i < WEIGHTS; i++)
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
        test_label("%s", p->name);
        Arena scratch = scratch_of(p);
        const Tensor y = filled_like(NAN, p->x.value), grad_x = filled_like(NAN, p->x.value);
        TransformerBlock grad = block_zeros(&p->block);
        tensor_copy(grad_x, p->grad_y.value);
        assert_ok(block_forward_and_backward(p, y, grad_x, &grad, grad_x, &scratch));
        assert_pytorch(grad_x, p->name, "grad_x");
        assert_pytorch(grad.attn.q_proj.weight, p->name, "grad_attn.q_proj.weight");
        arena_deinit(&scratch);
        arena_deinit(&p->memory);
    }
}
END_TEST

static Status block_infer_in(void *context, Arena *scratch)
{
    const BlockProblem *p = context;
    const Tensor y = filled_like(NAN, p->x.value);
    const Status s = transformer_block_forward(y, NULL, p->x.value, &p->block, &p->rope, NO_POSITIONS, scratch);
    if (!s)
        assert_pytorch(y, p->name, "y");
    return s;
}

static Status block_forward_in(void *context, Arena *scratch)
{
    BlockProblem *p = context;
    const size_t mark = arena_mark(&p->memory);
    TransformerBlockSaved saved;
    assert_ok(transformer_block_bind_saved(&saved, &p->memory, p->x.value, &p->block));
    const Status s = transformer_block_forward(filled_like(NAN, p->x.value), &saved, p->x.value, &p->block, &p->rope,
                                               NO_POSITIONS, scratch);
    arena_release(&p->memory, mark);
    return s;
}

static Status block_backward_in(void *context, Arena *scratch)
{
    BlockProblem *p = context;
    TransformerBlock grad = block_zeros(&p->block);
    const Tensor y = filled_like(NAN, p->x.value);
    return block_forward_and_backward(p, y, y, &grad, p->grad_y.value, scratch);
}

START_TEST(test_block_takes_exactly_its_scratch)
{
    for (int norm = NORM_PRE; norm <= NORM_NONE; norm++) {
        BlockProblem *p = block_problem((NormPlacement)norm);
        test_label("%s", p->name);
        assert_scratch(transformer_block_scratch(p->x.value, &p->block, false), block_infer_in, p);
        assert_scratch(transformer_block_saving_scratch(p->x.value, &p->block), block_forward_in, p);
        assert_scratch(transformer_block_scratch(p->x.value, &p->block, true), block_backward_in, p);
        arena_deinit(&p->memory);
    }
}
END_TEST

static KeyValueCache cache_of_all(void)
{
    return (KeyValueCache){filled(NAN, BATCH, HEADS, SEQ, D / HEADS), filled(NAN, BATCH, HEADS, SEQ, D / HEADS), 0};
}

START_TEST(test_block_decode_equals_forward)
{
    for (int norm = NORM_PRE; norm <= NORM_NONE; norm++) {
        BlockProblem *p = block_problem((NormPlacement)norm);
        test_label("%s", p->name);
        Arena scratch = scratch_of(p);
        KeyValueCache cache = cache_of_all();
        const Tensor y = filled_like(NAN, p->x.value);
        for (size_t first = 0; first < SEQ; first += 2) {
            const size_t n = first + 2 <= SEQ ? 2 : 1;
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
    const Tensor turned = tensor_transpose(filled(0, BATCH, D, SEQ), 1, 2);
    assert_fails(transformer_block_forward(flat, NULL, x, &p->block, &p->rope, NO_POSITIONS, &scratch), CS336_ESHAPE,
                 "transformer_block_forward: y is (10, 8), x is (2, 5, 8)");
    assert_fails(transformer_block_forward(y, NULL, turned, &p->block, &p->rope, NO_POSITIONS, &scratch), CS336_ESHAPE,
                 "transformer_block_forward: rows of x are not contiguous");
    assert_fails(transformer_block_decode(flat, &cache, x, &p->block, &p->rope, &scratch), CS336_ESHAPE,
                 "transformer_block_decode: y is (10, 8), x is (2, 5, 8)");
    assert_fails(transformer_block_backward(y, &grad, flat, &saved, x, &p->block, &p->rope, NO_POSITIONS, &scratch),
                 CS336_ESHAPE, "transformer_block_backward: grad_y is (10, 8), x is (2, 5, 8)");
    assert_fails(transformer_block_backward(flat, &grad, y, &saved, x, &p->block, &p->rope, NO_POSITIONS, &scratch),
                 CS336_ESHAPE, "transformer_block_backward: grad_x is (10, 8), x is (2, 5, 8)");
    assert_fails(transformer_block_decode(y, &cache, turned, &p->block, &p->rope, &scratch), CS336_ESHAPE,
                 "transformer_block_decode: rows of x are not contiguous");
    assert_fails(transformer_block_backward(y, &grad, turned, &saved, x, &p->block, &p->rope, NO_POSITIONS, &scratch),
                 CS336_ESHAPE, "transformer_block_backward: rows of grad_y are not contiguous");
    assert_fails(transformer_block_backward(turned, &grad, y, &saved, x, &p->block, &p->rope, NO_POSITIONS, &scratch),
                 CS336_ESHAPE, "transformer_block_backward: rows of grad_x are not contiguous");
    assert_fails(transformer_block_bind_saved(&saved, &scratch, x, &p->block), CS336_ENOMEM,
                 "arena_take: 320 bytes asked for, 64 of 64 left");
    ck_assert_uint_eq(scratch.used, 0);
    arena_deinit(&scratch);
    arena_deinit(&p->memory);
}
END_TEST

/* ---- without a workspace ---- */

typedef struct {
    const TransformerBlock *block;
    const RoPE *rope;
    Tensor x, y, wide;
    TransformerBlock grad;
    TransformerBlockSaved saved;
    KeyValueCache cache;
    Arena scratch;
    Status (*pass)(void *context);
} Pass;

static Status run_linear_forward(void *context)
{
    const Pass *p = context;
    return linear_forward(p->wide, p->x, &p->block->ffn.w1);
}

static Status run_linear_backward(void *context)
{
    Pass *p = context;
    return linear_backward(p->y, &p->grad.ffn.w1, p->wide, p->x, &p->block->ffn.w1);
}

static Status run_linear_backward_add(void *context)
{
    Pass *p = context;
    return linear_backward_add(p->y, &p->grad.ffn.w1, p->wide, p->x, &p->block->ffn.w1);
}

static Status run_ffn_forward(void *context)
{
    Pass *p = context;
    return feed_forward_forward(p->y, NULL, p->x, &p->block->ffn, &p->scratch);
}

static Status run_ffn_backward(void *context)
{
    Pass *p = context;
    return feed_forward_backward(p->y, &p->grad.ffn, p->x, &p->saved.ffn, p->x, &p->block->ffn, &p->scratch);
}

static Status run_mha_forward(void *context)
{
    Pass *p = context;
    return mha_forward(p->y, NULL, p->x, &p->block->attn, p->rope, NO_POSITIONS, &p->scratch);
}

static Status run_mha_backward(void *context)
{
    Pass *p = context;
    return mha_backward(p->y, &p->grad.attn, p->x, &p->saved.attn, p->x, &p->block->attn, p->rope, NO_POSITIONS,
                        &p->scratch);
}

static Status run_mha_decode(void *context)
{
    Pass *p = context;
    p->cache.length = 0;
    return mha_decode(p->y, &p->cache, p->x, &p->block->attn, p->rope, &p->scratch);
}

static Status run_block_forward(void *context)
{
    Pass *p = context;
    return transformer_block_forward(p->y, NULL, p->x, p->block, p->rope, NO_POSITIONS, &p->scratch);
}

static Status run_block_backward(void *context)
{
    Pass *p = context;
    return transformer_block_backward(p->y, &p->grad, p->x, &p->saved, p->x, p->block, p->rope, NO_POSITIONS,
                                      &p->scratch);
}

static Status run_block_decode(void *context)
{
    Pass *p = context;
    p->cache.length = 0;
    return transformer_block_decode(p->y, &p->cache, p->x, p->block, p->rope, &p->scratch);
}

static Status pass_afresh(void *context)
{
    Pass *p = context;
    parallel_release();
    const Status s = p->pass(p);
    ck_assert_uint_eq(p->scratch.used, 0);
    ck_assert_uint_eq(p->cache.length, s || (p->pass != run_mha_decode && p->pass != run_block_decode) ? 0 : SEQ);
    p->cache.length = 0;
    parallel_release();
    return s;
}

START_TEST(test_layers_without_a_workspace_say_so)
{
    static const struct {
        const char *name;
        Status (*run)(void *);
    } passes[] = {
        {"linear_forward", run_linear_forward},
        {"linear_backward", run_linear_backward},
        {"linear_backward_add", run_linear_backward_add},
        {"feed_forward_forward", run_ffn_forward},
        {"feed_forward_backward", run_ffn_backward},
        {"mha_forward", run_mha_forward},
        {"mha_backward", run_mha_backward},
        {"mha_decode", run_mha_decode},
        {"transformer_block_forward", run_block_forward},
        {"transformer_block_backward", run_block_backward},
        {"transformer_block_decode", run_block_decode},
    };
    BlockProblem *problem = block_problem(NORM_PRE);
    Pass p = {.block = &problem->block,
              .rope = &problem->rope,
              .x = problem->x.value,
              .y = filled_like(0, problem->x.value),
              .wide = filled(0, BATCH, SEQ, FF),
              .grad = block_zeros(&problem->block),
              .cache = cache_of_all(),
              .scratch = scratch_of(problem)};
    assert_ok(transformer_block_bind_saved(&p.saved, &problem->memory, p.x, p.block));
    assert_ok(transformer_block_forward(p.y, &p.saved, p.x, p.block, p.rope, NO_POSITIONS, &p.scratch));
    parallel_release();
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
        p.pass = passes[i].run;
        test_label("%s", passes[i].name);
        assert_allocation_failures_say(pass_afresh, &p, "parallel_reserve: no memory for *[0-9] bytes");
    }
    arena_deinit(&p.scratch);
    arena_deinit(&problem->memory);
}
END_TEST

START_TEST(test_block_names_positions_outside_the_tables)
{
    BlockProblem *p = block_problem(NORM_POST);
    Arena scratch = scratch_of(p);
    const int32_t positions[SEQ] = {0, 1, 2, 3, SEQ};
    assert_fails(transformer_block_forward(filled_like(0, p->x.value), NULL, p->x.value, &p->block, &p->rope,
                                           tokens(positions, SEQ), &scratch),
                 CS336_ERANGE, "rope_forward: position 5 is not in [0, 5)");
    TransformerBlock grad = block_zeros(&p->block);
    TransformerBlockSaved saved;
    const Tensor x = p->x.value, y = filled_like(0, x);
    assert_ok(transformer_block_bind_saved(&saved, &p->memory, x, &p->block));
    assert_ok(transformer_block_forward(y, &saved, x, &p->block, &p->rope, NO_POSITIONS, &scratch));
    assert_fails(
        transformer_block_backward(y, &grad, x, &saved, x, &p->block, &p->rope, tokens(positions, SEQ), &scratch),
        CS336_ERANGE, "rope_backward: position 5 is not in [0, 5)");
    assert_fails(
        mha_backward(y, &grad.attn, x, &saved.attn, x, &p->block.attn, &p->rope, tokens(positions, SEQ), &scratch),
        CS336_ERANGE, "rope_backward: position 5 is not in [0, 5)");
    KeyValueCache cache = {filled(0, BATCH, HEADS, 2 * SEQ, D / HEADS), filled(0, BATCH, HEADS, 2 * SEQ, D / HEADS), 2};
    assert_fails(transformer_block_decode(y, &cache, x, &p->block, &p->rope, &scratch), CS336_ERANGE,
                 "mha_decode: position 6 is not in [0, 5)");
    ck_assert_uint_eq(cache.length, 2);
    ck_assert_uint_eq(scratch.used, 0);
    arena_deinit(&scratch);
    arena_deinit(&p->memory);
}
END_TEST

const TestCase blocks_tests[] = {
    TEST(test_block_gradients_pre_norm, "transformer_block"),
    TEST(test_block_gradients_post_norm, "pre_norm_ablation"),
    TEST(test_block_gradients_no_norm, "layer_norm_ablation"),
    TEST(test_block_gradient_may_be_overwritten, "transformer_block"),
    TEST(test_block_takes_exactly_its_scratch, "transformer_block"),
    TEST(test_block_decode_equals_forward, "decoding"),
    TEST(test_layers_without_a_workspace_say_so, "transformer_block"),
    TEST(test_block_names_positions_outside_the_tables, "transformer_block"),
    TEST(test_block_names_the_shapes_that_differ, "transformer_block"),
    {0},
};
