#include "accounting/flops.h"
#include "accounting/memory.h"
#include "accounting/parameters.h"
#include "accounting/preset.h"
#include "core/memory.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/tiny_lm.h"

#include <string.h>

enum { GPT2_SMALL, GPT2_MEDIUM, GPT2_LARGE, GPT2_XL, PRESETS };

/* A small model whose sizes all differ, in all variants of norm, position and feed-forward network. */
enum { VARIANTS = TINY_LM_VARIANTS };

static TransformerLMConfig variant(int i)
{
    TransformerLMConfig config = tiny_lm_config(i);
    config.vocab_size = 37;
    config.context_length = 11;
    return config;
}

START_TEST(test_presets)
{
    const char *const names[] = {"gpt2-small", "gpt2-medium", "gpt2-large", "gpt2-xl"};
    for (size_t i = 0; i < PRESETS; i++) {
        ck_assert_str_eq(account_preset_names[i], names[i]);
        const TransformerLMConfig config = account_preset(i);
        test_label("%s", account_preset_names[i]);
        ck_assert_uint_eq(config.vocab_size, 50257);
        ck_assert_uint_eq(config.context_length, 1024);
        ck_assert_uint_eq(config.d_model / config.num_heads, 64);
        ck_assert_int_eq(config.ffn, FFN_SWIGLU);
        ck_assert_int_eq(config.norm, NORM_PRE);
        ck_assert_int_eq(config.position, POSITION_ROPE);
    }
    test_label_end();
    ck_assert_ptr_null(account_preset_names[PRESETS]);
}
END_TEST

/*
 * 2 V d + L (4 d^2 + 3 d d_ff + 2 d) + d. XL by hand: embeddings 2 * 50257 * 1600 = 160 822 400; a layer
 * 4 * 1600^2 = 10 240 000, 3 * 1600 * 4288 = 20 582 400, 2 * 1600 = 3 200; 48 of them 1 479 628 800; last norm 1 600.
 */
START_TEST(test_parameters_of_the_presets)
{
    const size_t expected[PRESETS] = {162148608, 406539264, 833591040, 1640452800};
    for (size_t i = 0; i < PRESETS; i++) {
        const TransformerLMConfig config = account_preset(i);
        test_label("%s", account_preset_names[i]);
        ck_assert_double_eq(account_parameters(&config).total, (double)expected[i]);
    }
    test_label_end();
    const TransformerLMConfig xl = account_preset(GPT2_XL);
    const AccountParameters p = account_parameters(&xl);
    ck_assert_double_eq(p.token_embeddings, 80411200);
    ck_assert_double_eq(p.lm_head, 80411200);
    ck_assert_double_eq(p.attention, 48 * (size_t)10240000);
    ck_assert_double_eq(p.feed_forward, 48 * (size_t)20582400);
    ck_assert_double_eq(p.norms, 48 * (size_t)3200 + 1600);
}
END_TEST

/* The matrix products of a forward pass, counted one by one. */
static double product(size_t m, size_t k, size_t n)
{
    return 2 * (double)m * (double)k * (double)n;
}

static AccountFlops count_products(const TransformerLMConfig *c, size_t batch, size_t seq)
{
    AccountFlops f = {0};
    const size_t d_k = c->d_model / c->num_heads;
    for (size_t b = 0; b < batch; b++) {
        for (size_t layer = 0; layer < c->num_layers; layer++) {
            for (int i = 0; i < 3; i++)
                f.qkv_projections += product(seq, c->d_model, c->d_model);
            for (size_t head = 0; head < c->num_heads; head++) {
                f.attention_scores += product(seq, d_k, seq);
                f.attention_values += product(seq, seq, d_k);
            }
            f.output_projection += product(seq, c->d_model, c->d_model);
            f.feed_forward += product(seq, c->d_model, c->d_ff) + product(seq, c->d_ff, c->d_model);
            if (c->ffn == FFN_SWIGLU)
                f.feed_forward += product(seq, c->d_model, c->d_ff);
        }
        f.lm_head += product(seq, c->d_model, c->vocab_size);
    }
    f.total =
        f.qkv_projections + f.attention_scores + f.attention_values + f.output_projection + f.feed_forward + f.lm_head;
    return f;
}

START_TEST(test_flops_are_those_of_the_products)
{
    for (int i = 0; i < VARIANTS; i++) {
        const TransformerLMConfig config = variant(i);
        test_label("%s", variant_text(&config));
        const AccountFlops f = account_forward_flops(&config, 5, 7), e = count_products(&config, 5, 7);
        ck_assert_double_eq(f.qkv_projections, e.qkv_projections);
        ck_assert_double_eq(f.attention_scores, e.attention_scores);
        ck_assert_double_eq(f.attention_values, e.attention_values);
        ck_assert_double_eq(f.output_projection, e.output_projection);
        ck_assert_double_eq(f.feed_forward, e.feed_forward);
        ck_assert_double_eq(f.lm_head, e.lm_head);
        ck_assert_double_eq(f.total, e.total);
        ck_assert_double_eq(account_training_flops(&config, 5, 7), 3 * e.total);
    }
}
END_TEST

/*
 * L (8 T d^2 + 4 T^2 d + 6 T d d_ff) + 2 T d V. XL by hand, T = 1024: a layer 20 971 520 000 + 6 710 886 400 +
 * 42 152 755 200; 48 of them 3 352 087 756 800; lm_head 164 682 137 600.
 */
START_TEST(test_flops_of_the_presets)
{
    const double expected[PRESETS] = {291648307200, 830172299264, 1768530903040, 3516769894400};
    for (size_t i = 0; i < PRESETS; i++) {
        const TransformerLMConfig config = account_preset(i);
        test_label("%s", account_preset_names[i]);
        ck_assert_double_eq(account_forward_flops(&config, 1, 1024).total, expected[i]);
    }
    test_label_end();
    const TransformerLMConfig xl = account_preset(GPT2_XL);
    const AccountFlops longer = account_forward_flops(&xl, 1, 16384);
    ck_assert_double_eq(longer.total, 133577729638400);
    ck_assert_double_eq(longer.attention_scores, 256 * account_forward_flops(&xl, 1, 1024).attention_scores);
}
END_TEST

/* 400 000 steps of 1024 sequences: 4.096e8 * 3 * 3.5167698944e12 FLOPs, over 0.5 * 495e12 FLOP/s and 3600 s. */
START_TEST(test_hours_of_the_course_run)
{
    const TransformerLMConfig xl = account_preset(GPT2_XL);
    const double step = account_training_flops(&xl, 1024, 1024);
    ck_assert_double_eq_tol(account_hours(400000 * step, 495e12, 0.5), 4850.06, 0.01);
    ck_assert_double_eq(account_adamw_flops(1640452800), 14 * 1640452800.0);
    /* MFU: a machine that does 1000 tokens a second at 6e9 FLOPs each uses 6 of its 12 TFLOP/s. */
    ck_assert_double_eq(account_mfu(6e9, 1000, 12e12), 0.5);
}
END_TEST

/* The numbers that are kept for the backward pass, tensor by tensor. */
static double saved_numbers(const TransformerLMConfig *c, size_t batch, size_t seq)
{
    const double rows = (double)(batch * seq), d = (double)c->d_model, d_ff = (double)c->d_ff;
    const double scores = (double)(batch * c->num_heads * seq * seq), logits = rows * (double)c->vocab_size;
    double numbers = 0;
    for (size_t layer = 0; layer < c->num_layers; layer++) {
        if (c->norm != NORM_NONE)
            numbers += rows * d + rows * d;
        const double query = rows * d, key = rows * d, value = rows * d, softmax = scores;
        const double attended = rows * d, projected = rows * d;
        numbers += query + key + value + scores + softmax + attended + projected;
        const double up = rows * d_ff, silu = rows * d_ff, gate = rows * d_ff, product_of_both = rows * d_ff;
        numbers += up + silu + rows * d;
        if (c->ffn == FFN_SWIGLU)
            numbers += gate + product_of_both;
    }
    if (c->norm != NORM_NONE)
        numbers += rows * d;
    return numbers + logits + logits;
}

START_TEST(test_memory_expression)
{
    for (int i = 0; i < VARIANTS; i++) {
        const TransformerLMConfig config = variant(i);
        test_label("%s", variant_text(&config));
        const AccountMemory m = account_memory_expression(&config, 5, 7);
        const double parameters = account_parameters(&config).total;
        ck_assert_double_eq(m.parameters, 4 * parameters);
        ck_assert_double_eq(m.gradients, 4 * parameters);
        ck_assert_double_eq(m.optimizer_state, 8 * parameters);
        ck_assert_double_eq(m.activations, 4 * saved_numbers(&config, 5, 7));
        ck_assert_double_eq(m.total, 16 * parameters + 4 * saved_numbers(&config, 5, 7));
    }
}
END_TEST

/*
 * XL at 1024: a sequence keeps 48 (1024 (8 * 1600 + 4 * 4288) + 2 * 25 * 1024^2) + 1024 (1600 + 2 * 50257) =
 * 4 093 347 840 numbers, 16.37 GB; parameters, gradients and moments take 26.25 GB. 80 GB hold 3.28 sequences.
 */
START_TEST(test_largest_batch)
{
    const TransformerLMConfig xl = account_preset(GPT2_XL);
    ck_assert_double_eq(account_memory_expression(&xl, 1, 1024).activations, 4 * 4093347840.0);
    ck_assert_uint_eq(account_largest_batch(&xl, 1024, 80e9), 3);
    ck_assert_uint_eq(account_largest_batch(&xl, 1024, 26e9), 0);
    const double exactly_two = account_memory_expression(&xl, 2, 1024).total;
    ck_assert_uint_eq(account_largest_batch(&xl, 1024, exactly_two), 2);
    ck_assert_uint_eq(account_largest_batch(&xl, 1024, exactly_two - 1), 1);
}
END_TEST

/* The accounts agree with a real model: with the sizes of its tensors, and of the arenas that training allocates. */
START_TEST(test_accounting_of_real_models)
{
    for (int i = 0; i < VARIANTS; i++) {
        const TransformerLMConfig config = variant(i);
        test_label("%s", variant_text(&config));
        TinyLM tiny;
        tiny_lm_init(&tiny, &config, 1);
        Arena names;
        assert_ok(arena_init(&names, 1 << 16));
        ParameterList list;
        assert_ok(transformer_lm_parameters(&list, &names, &tiny.lm, NULL, NULL, NULL));
        size_t numbers = 0;
        for (size_t j = 0; j < list.count; j++)
            numbers += tensor_count(list.items[j].value);
        ck_assert_double_eq(account_parameters(&config).total, (double)numbers);
        ck_assert_double_eq(account_parameters(&config).total, (double)transformer_lm_parameter_count(&config));

        AccountMemory memory;
        assert_ok(account_memory_measured(&memory, &config, 5, 7, false));
        Arena weights = {0};
        TransformerLM lm;
        assert_ok(transformer_lm_bind(&lm, &weights, &config));
        ck_assert_double_eq(memory.parameters, (double)weights.peak);
        ck_assert_double_eq(memory.gradients, (double)weights.peak);
        ck_assert_double_eq(memory.optimizer_state, 2 * (double)weights.peak);
        ck_assert_double_eq(memory.activations, (double)transformer_lm_loss_scratch(&tiny.lm, 5, 7, true));
        ck_assert_double_eq(memory.shared, 0);
        ck_assert_double_eq(memory.total, 4 * (double)weights.peak + memory.activations);
        /* Gradients in the memory of activations. */
        AccountMemory sharing;
        assert_ok(account_memory_measured(&sharing, &config, 5, 7, true));
        ck_assert_double_eq(sharing.activations, memory.activations);
        ck_assert_double_gt(sharing.shared, 0);
        ck_assert_double_eq(sharing.total, memory.total - sharing.shared);
        ck_assert_double_eq(sharing.total, 3 * (double)weights.peak +
                                               (double)transformer_lm_loss_and_gradients_memory(&tiny.lm, 5, 7));
        arena_deinit(&names);
        tiny_lm_deinit(&tiny);
    }
}
END_TEST

/* With ranks only the moments and the buffers differ. Four buffers of 2 MiB go out and as many come in. A model of two
   buckets has no more buffers than it has numbers. */
START_TEST(test_accounting_of_a_rank)
{
    const TransformerLMConfig xl = account_preset(GPT2_XL);
    const AccountRanks alone = {.count = 1, .on_host = 1, .tokens = 2048, .shard_optimizer = true};
    AccountRanks ranks = {.count = 8, .on_host = 1, .tokens = 2048};
    AccountMemory whole, rank;
    assert_ok(account_memory_measured(&whole, &xl, 2, 1024, true));
    rank = whole;
    account_memory_of_rank(&rank, &xl, &alone);
    ck_assert_mem_eq(&rank, &whole, sizeof rank);
    account_memory_of_rank(&rank, &xl, &ranks);
    ck_assert_double_eq_tol(rank.exchange, 8 * 2097152 + account_rank_bytes(&xl, &ranks), 1024);
    ck_assert_double_eq_tol(rank.total, whole.total + rank.exchange, 1);
    rank = whole;
    ranks.shard_optimizer = true;
    account_memory_of_rank(&rank, &xl, &ranks);
    ck_assert_double_eq_tol(rank.optimizer_state, account_parameters(&xl).total, 1e-3 * whole.optimizer_state);
    ck_assert_double_eq_tol(rank.total, whole.total + rank.exchange + rank.optimizer_state - whole.optimizer_state, 1);
    TransformerLMConfig small = xl;
    small.num_layers = 1;
    small.d_model = 32;
    small.d_ff = 64;
    small.num_heads = 2;
    small.vocab_size = 10000;
    ranks = (AccountRanks){.count = 8, .on_host = 1, .tokens = 128};
    assert_ok(account_memory_measured(&rank, &small, 2, 64, true));
    account_memory_of_rank(&rank, &small, &ranks);
    ck_assert_double_eq_tol(rank.exchange, 8 * account_parameters(&small).total + account_rank_bytes(&small, &ranks),
                            1024);
}
END_TEST

/* What a rank takes beside tensors and buffers: 13.6 MB, and what products write of their workspace. Vectors store a
   number in 4 bytes, AMX in up to 6 and a bit. */
START_TEST(test_accounting_of_a_ranks_workspace)
{
    enum { PROGRAM = 13600000, UNBOUND = 3400000, NUMBER = sizeof(float) };
    TransformerLMConfig config = account_preset(GPT2_XL);
    AccountRanks ranks = {.count = 8, .on_host = 1, .tokens = 2048};
    /* Two blocks of 512 x 2048 numbers. */
    ck_assert_double_eq_tol(account_rank_bytes(&config, &ranks), PROGRAM + 2.0 * 512 * 2048 * NUMBER, 600000);
    /* No machine has so many processors: mpirun does not bind these ranks. */
    const double bound = account_rank_bytes(&config, &ranks);
    ranks.on_host = 1 << 30;
    ck_assert_double_eq(account_rank_bytes(&config, &ranks), bound + UNBOUND);
    ranks.on_host = 1;
    config.d_model = 32;
    config.num_heads = 2;
    const struct {
        size_t d_ff, vocab_size, tokens;
        double numbers; /* that the product with the largest blocks writes to the workspace */
    } cases[] = {
        {64, 10000, 128, 2.0 * 32 * 2048},   /* logits: the sums have 32 terms, two of the blocks are full */
        {1500, 300, 2048, 2.0 * 512 * 1504}, /* the gradient of W2: sums over all tokens */
        {64, 10000, 16, 2.0 * 512 * 32},     /* so few tokens that the logits need none: the gradient of their x */
        {1500, 300, 100, 100.0 * 1504},      /* the same, of few tokens */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_label("case %zu", i);
        config.d_ff = cases[i].d_ff;
        config.vocab_size = cases[i].vocab_size;
        ranks.tokens = cases[i].tokens;
        const double workspace = account_rank_bytes(&config, &ranks) - PROGRAM;
        ck_assert_double_ge(workspace, NUMBER * cases[i].numbers);
        ck_assert_double_le(workspace, NUMBER * cases[i].numbers * 1.6);
    }
    test_label_end();
}
END_TEST

static void check_largest_batch(const TransformerLMConfig *config, bool share)
{
    AccountMemory fits, fails;
    size_t batch;
    assert_ok(account_largest_batch_measured(&batch, config, 7, 1e6, share));
    ck_assert_uint_gt(batch, 0);
    assert_ok(account_memory_measured(&fits, config, batch, 7, share));
    assert_ok(account_memory_measured(&fails, config, batch + 1, 7, share));
    ck_assert(fits.total <= 1e6 && fails.total > 1e6);
    assert_ok(account_largest_batch_measured(&batch, config, 7, 100, share));
    ck_assert_uint_eq(batch, 0);
}

START_TEST(test_largest_batch_measured)
{
    for (int i = 0; i < VARIANTS; i++) {
        const TransformerLMConfig config = variant(i);
        test_label("%s", variant_text(&config));
        check_largest_batch(&config, false);
        check_largest_batch(&config, true);
    }
}
END_TEST

/* The largest preset is measured without allocating its memory. */
START_TEST(test_measuring_takes_no_memory)
{
    const TransformerLMConfig xl = account_preset(GPT2_XL);
    AccountMemory memory;
    memory_reset_peak();
    const size_t before = memory_in_use();
    assert_ok(account_memory_measured(&memory, &xl, 64, 1024, true));
    ck_assert_uint_lt(memory_peak() - before, 1 << 20);
    ck_assert_uint_eq(memory_in_use(), before);
    ck_assert_double_gt(memory.parameters, 6.5e9);
    ck_assert_double_lt(memory.activations, account_memory_expression(&xl, 64, 1024).activations);
}
END_TEST

static Status measure(void *context)
{
    const TransformerLMConfig *config = context;
    AccountMemory memory;
    size_t batch;
    const Status s = account_memory_measured(&memory, config, 5, 7, true);
    return s ? s : account_largest_batch_measured(&batch, config, 7, 1e6, true);
}

/* 4 d^2 = 1.8e19 numbers in a layer: no size_t counts their bytes, so the measurement is the expression. */
START_TEST(test_accounting_of_sizes_that_no_machine_holds)
{
    TransformerLMConfig config = variant(0);
    config.d_model = INT32_MAX - 1;
    config.num_heads = 1;
    ck_assert_double_eq_tol(account_parameters(&config).attention / (double)config.num_layers, 4 * 4.611686009e18,
                            1e10);
    ck_assert(!account_is_measurable(&config, 1, 7));
    AccountMemory memory;
    assert_ok(account_memory_measured(&memory, &config, 5, 7, true));
    ck_assert_double_eq(memory.total, account_memory_expression(&config, 5, 7).total);
    size_t batch = 1;
    assert_ok(account_largest_batch_measured(&batch, &config, 7, 1e18, true));
    ck_assert_uint_eq(batch, 0);
    /* A tiny model with the greatest batch and context can be measured: 2^62 tokens cannot. */
    config = variant(0);
    ck_assert(account_is_measurable(&config, 5, 7));
    ck_assert(account_is_measurable(&config, 1, INT32_MAX));
    ck_assert(!account_is_measurable(&config, INT32_MAX, INT32_MAX));
}
END_TEST

START_TEST(test_accounting_errors)
{
    TransformerLMConfig config = variant(0);
    assert_allocation_failures_say(measure, &config, "account_memory_measured: no memory for 3 layers");
    memory_fail_at(1);
    AccountMemory memory;
    assert_fails(account_memory_measured(&memory, &config, 5, 7, true), CS336_ENOMEM,
                 "account_memory_measured: no memory for 3 layers");
    size_t batch;
    config.dtype = (DType)3;
    assert_fails(account_memory_measured(&memory, &config, 5, 7, true), CS336_ERANGE, "dtype is 3, the last kind is 2");
    assert_fails(account_largest_batch_measured(&batch, &config, 7, 1e6, true), CS336_ERANGE,
                 "dtype is 3, the last kind is 2");
    config.dtype = DTYPE_FLOAT32;
    memory_fail_at(1);
    assert_fails(account_largest_batch_measured(&batch, &config, 7, 1e6, true), CS336_ENOMEM,
                 "account_memory_measured: no memory for 3 layers");
    config.num_heads = 5;
    assert_fails(account_memory_measured(&memory, &config, 5, 7, true), CS336_ESHAPE,
                 "num_heads 5 does not divide d_model 12");
    assert_fails(account_largest_batch_measured(&batch, &config, 7, 1e6, true), CS336_ESHAPE,
                 "num_heads 5 does not divide d_model 12");
}
END_TEST

const TestCase accounting_tests[] = {
    TEST(test_presets, "transformer_accounting"),
    TEST(test_parameters_of_the_presets, "transformer_accounting"),
    TEST(test_flops_are_those_of_the_products, "transformer_accounting"),
    TEST(test_flops_of_the_presets, "transformer_accounting"),
    TEST(test_hours_of_the_course_run, "adamw_accounting"),
    TEST(test_memory_expression, "adamw_accounting"),
    TEST(test_largest_batch, "adamw_accounting"),
    TEST(test_accounting_of_real_models, "transformer_accounting"),
    TEST(test_accounting_of_a_rank, "adamw_accounting"),
    TEST(test_accounting_of_a_ranks_workspace, "adamw_accounting"),
    TEST(test_largest_batch_measured, "adamw_accounting"),
    TEST(test_measuring_takes_no_memory, "adamw_accounting"),
    TEST(test_accounting_of_sizes_that_no_machine_holds, "transformer_accounting"),
    TEST(test_accounting_errors, "adamw_accounting"),
    {0},
};
