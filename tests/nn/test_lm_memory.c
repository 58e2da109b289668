/* The memory of the whole model: its scratch, and gradients that lie where activations were. */
#include "nn/transformer_lm.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/sample.h"
#include "tests/support/small_model.h"
#include "tests/support/tiny_lm.h"

#include <math.h>
#include <string.h>

typedef struct {
    SmallModel *m;
    bool with_gradients;
} LossRun;

static Status run_loss(void *context, Arena *scratch)
{
    const LossRun *run = context;
    TokenTensor ids, targets;
    float loss;
    small_model_batch(run->m, "many", &ids, &targets);
    return transformer_lm_loss(&loss, run->with_gradients ? &run->m->grad : NULL, &run->m->value, ids, targets, NULL,
                               scratch);
}

static Status run_forward(void *context, Arena *scratch)
{
    const SmallModel *m = context;
    TokenTensor ids, targets;
    small_model_batch(m, "many", &ids, &targets);
    return transformer_lm_forward(filled(NAN, m->batch, m->seq, m->value.config.vocab_size), &m->value, ids, scratch);
}

START_TEST(test_lm_takes_exactly_its_scratch)
{
    for (int norm = NORM_PRE; norm <= NORM_NONE; norm++)
        for (size_t vocab = 8; vocab <= 800; vocab *= 100) {
            SmallModel m;
            TransformerLMConfig config = small_config();
            config.norm = (NormPlacement)norm;
            config.vocab_size = vocab;
            test_label("%s, vocabulary %zu", variant_text(&config), vocab);
            small_model_init(&m, &config, 2, 9);
            assert_scratch(transformer_lm_forward_scratch(&m.value, 2, 9), run_forward, &m);
            assert_scratch(transformer_lm_loss_scratch(&m.value, 2, 9, false), run_loss, &(LossRun){&m, false});
            assert_scratch(transformer_lm_loss_scratch(&m.value, 2, 9, true), run_loss, &(LossRun){&m, true});
            small_model_deinit(&m);
        }
}
END_TEST

/* The gradients are those of transformer_lm_loss(), although each part of the memory held something else before. */
static Status run_loss_and_gradients(void *context, Arena *arena)
{
    SmallModel *m = context;
    TokenTensor ids, targets;
    TransformerLM grad;
    float loss, expected;
    Arena layers = arena_of(m->value.config.num_layers * sizeof *grad.layers);
    small_model_batch(m, "many", &ids, &targets);
    parameters_zero_grad(m->parameters);
    assert_ok(transformer_lm_loss(&expected, &m->grad, &m->value, ids, targets, NULL, &m->scratch));
    assert_ok(transformer_lm_bind_missing(&grad, &layers, &m->value.config));
    memset(arena->base, 0xFF, arena->capacity); /* NaN */
    const Status s = transformer_lm_loss_and_gradients(&loss, &grad, &m->value, ids, targets, NULL, arena);
    if (!s) {
        ParameterList list;
        Arena names = arena_of(1 << 16);
        assert_ok(transformer_lm_parameters(&list, &names, &m->value, NULL, NULL, NULL));
        transformer_lm_list_gradients(list, &grad);
        ck_assert_uint_eq(list.count, m->parameters.count);
        ck_assert_float_eq(loss, expected);
        for (size_t i = 0; i < list.count; i++)
            assert_allclose_tensor(list.items[i].name, list.items[i].grad, m->parameters.items[i].grad, 0, 0);
        ck_assert(grad.lm_head.weight.data == grad.token_embeddings.weight.data || !m->value.config.tie_embeddings);
        arena_deinit(&names);
    }
    ck_assert(s == CS336_OK || arena->used_at_end == 0);
    arena_release_end(arena);
    arena_deinit(&layers);
    return s;
}

START_TEST(test_lm_gradients_in_shared_memory)
{
    static const struct {
        size_t batch, seq, vocab;
    } sizes[] = {{1, 1, 13}, {2, 8, 13}, {9, 8, 13}, {2, 8, 800}};
    for (int variant = 0; variant < TINY_LM_VARIANTS; variant++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            SmallModel m;
            TransformerLMConfig config = tiny_lm_config(variant);
            config.vocab_size = sizes[i].vocab;
            test_label("%s, vocabulary %zu, batch %zu", variant_text(&config), config.vocab_size, sizes[i].batch);
            small_model_init(&m, &config, sizes[i].batch, sizes[i].seq);
            const size_t bytes = transformer_lm_loss_and_gradients_memory(&m.value, m.batch, m.seq);
            assert_scratch(bytes, run_loss_and_gradients, &m);
            /* No less than the gradients and one hidden state, and less than both apart. */
            Arena gradients = {0};
            assert_ok(transformer_lm_bind(&(TransformerLM){0}, &gradients, &config));
            const size_t apart = gradients.peak + transformer_lm_loss_scratch(&m.value, m.batch, m.seq, true);
            ck_assert_uint_gt(bytes, transformer_lm_parameter_count(&config) * sizeof(float));
            ck_assert_uint_lt(bytes, apart);
            small_model_deinit(&m);
        }
    test_label_end();
}
END_TEST

START_TEST(test_lm_loss_never_holds_all_logits)
{
    enum { VOCAB = 3000, BATCH = 512, SEQ = 16 };
    SmallModel m;
    TransformerLMConfig config = small_config();
    config.vocab_size = VOCAB;
    small_model_init(&m, &config, 1, 1);
    const size_t all = (size_t)BATCH * SEQ * VOCAB * sizeof(float);
    const size_t taken = transformer_lm_loss_scratch(&m.value, BATCH, SEQ, true);
    config.vocab_size = 8;
    small_model_deinit(&m);
    small_model_init(&m, &config, 1, 1);
    const size_t without = transformer_lm_loss_scratch(&m.value, BATCH, SEQ, true);
    ck_assert_uint_lt(taken - without, all / 4);
    small_model_deinit(&m);
}
END_TEST

const TestCase lm_memory_tests[] = {
    TEST(test_lm_takes_exactly_its_scratch, "transformer_lm"),
    TEST(test_lm_gradients_in_shared_memory, "transformer_lm"),
    TEST(test_lm_loss_never_holds_all_logits, "transformer_lm"),
    {0},
};
