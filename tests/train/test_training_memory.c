/* Tests where the gradients of a step have their memory: shared with activations, or their own, summed over pieces. */
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/tiny_lm.h"
#include "tests/support/tiny_training.h"

#include <math.h>
#include <string.h>

/* ---- gradients in the memory of activations ---- */

/* Fills the scratch with NaN: a gradient that is not cleared, or an activation that was overwritten, gives NaN. */
static void poison(Trainer *t)
{
    memset(t->scratch.base, 0xFF, t->scratch.capacity);
}

static void assert_same_steps(const TrainerConfig *sharing, const TrainerConfig *keeping)
{
    TinyTraining shared, kept;
    ck_assert(trainer_shares_memory(sharing) && !trainer_shares_memory(keeping));
    assert_ok(tiny_training_init(&shared, sharing));
    assert_ok(tiny_training_init(&kept, keeping));
    shared.trainer.measure_norms = kept.trainer.measure_norms = true;
    for (size_t step = 1; step <= 3; step++) {
        float loss, kept_loss;
        double norm, kept_norm, val_loss, kept_val_loss;
        poison(&shared.trainer);
        assert_ok(trainer_step(&shared.trainer, &loss, &norm));
        assert_ok(trainer_step(&kept.trainer, &kept_loss, &kept_norm));
        ck_assert_float_eq(loss, kept_loss);
        ck_assert_double_eq(norm, kept_norm);
        for (size_t i = 0; i < sharing->model.num_layers; i++) {
            ck_assert_double_eq(shared.trainer.norms.outputs[i], kept.trainer.norms.outputs[i]);
            ck_assert_double_eq(shared.trainer.norms.gradients[i], kept.trainer.norms.gradients[i]);
        }
        for (size_t i = 0; i < kept.trainer.parameters.count; i++) {
            const Parameter *a = &shared.trainer.parameters.items[i], *e = &kept.trainer.parameters.items[i];
            assert_allclose_tensor(a->name, a->value, e->value, 0, 0);
            assert_allclose_tensor(a->name, a->first_moment, e->first_moment, 0, 0);
            assert_allclose_tensor(a->name, a->second_moment, e->second_moment, 0, 0);
        }
        /* A validation takes its scratch where the gradients were. */
        assert_ok(trainer_validate(&shared.trainer, &val_loss, NULL));
        assert_ok(trainer_validate(&kept.trainer, &kept_val_loss, NULL));
        ck_assert_double_eq(val_loss, kept_val_loss);
    }
    ck_assert_uint_eq(shared.trainer.scratch.peak, shared.trainer.scratch.capacity);
    ck_assert_uint_eq(shared.trainer.scratch.used_at_end, 0);
    ck_assert_uint_lt(shared.trainer.memory.capacity + shared.trainer.scratch.capacity,
                      kept.trainer.memory.capacity + kept.trainer.scratch.capacity);
    tiny_training_deinit(&shared);
    tiny_training_deinit(&kept);
}

/* The same losses, weights and moments, bit by bit: with more activations than gradients, and with fewer. */
START_TEST(test_gradients_share_memory_or_not)
{
    for (int variant = 0; variant < TINY_LM_VARIANTS; variant++)
        for (size_t batch = 1; batch <= 9; batch += 8) {
            TrainerConfig sharing = tiny_training_config();
            sharing.model = tiny_lm_config(variant);
            sharing.model.context_length = batch == 1 ? 2 : 8;
            sharing.batch_size = batch;
            sharing.log_norms = true;
            TrainerConfig keeping = sharing;
            keeping.keep_gradients = true;
            test_label("%s, batch %zu", variant_text(&sharing.model), batch);
            assert_same_steps(&sharing, &keeping);
        }
    test_label_end();
}
END_TEST

/* Gradients are given back, so a step that fails is followed by steps like any others. */
START_TEST(test_sharing_step_fails_and_goes_on)
{
    const TrainerConfig config = tiny_training_config();
    TinyTraining failing, other;
    float loss, other_loss;
    double norm, other_norm;
    assert_ok(tiny_training_init(&failing, &config));
    assert_ok(tiny_training_init(&other, &config));
    Tensor gain = failing.trainer.lm.ln_final.weight;
    const float before = gain.data[0];
    gain.data[0] = INFINITY;
    ck_assert_int_eq(trainer_step(&failing.trainer, &loss, &norm), CS336_ERANGE);
    ck_assert_uint_eq(failing.trainer.scratch.used_at_end, 0);
    gain.data[0] = before;
    failing.trainer.batches = other.trainer.batches;
    poison(&failing.trainer);
    assert_ok(trainer_step(&failing.trainer, &loss, &norm));
    assert_ok(trainer_step(&other.trainer, &other_loss, &other_norm));
    ck_assert_float_eq(loss, other_loss);
    ck_assert_double_eq(norm, other_norm);
    tiny_training_deinit(&failing);
    tiny_training_deinit(&other);
}
END_TEST

/* ---- gradient accumulation ---- */

enum { ACCUM_BATCH = 12 };

/* A larger eps than usual: AdamW divides by a gradient's size, which would enlarge the rounding of tiny gradients. */
static TrainerConfig accum_config(size_t grad_accum)
{
    TrainerConfig config = tiny_training_config();
    config.batch_size = ACCUM_BATCH;
    config.grad_accum = grad_accum;
    config.adamw.eps = 1e-4;
    return config;
}

static void assert_same_numbers(const char *what, size_t step, const Trainer *actual, const Trainer *expected)
{
    for (size_t i = 0; i < actual->parameters.count; i++) {
        const Parameter *a = &actual->parameters.items[i], *e = &expected->parameters.items[i];
        test_label("%s, step %zu", what, step);
        assert_allclose_tensor(a->name, a->value, e->value, 1e-5, 1e-5);
        assert_allclose_tensor(a->name, a->first_moment, e->first_moment, 1e-5, 1e-5);
        assert_allclose_tensor(a->name, a->second_moment, e->second_moment, 1e-5, 1e-5);
    }
    test_label_end();
}

/* The gradients themselves are compared through the first moment, which is 0.1 g after the first step. */
START_TEST(test_accumulated_batch_equals_the_whole_batch)
{
    static const size_t pieces[] = {2, 3, 4, 6, 12};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        const TrainerConfig one = accum_config(0), many = accum_config(pieces[i]);
        TinyTraining whole, cut;
        assert_ok(tiny_training_init(&whole, &one));
        assert_ok(tiny_training_init(&cut, &many));
        for (size_t step = 1; step <= 6; step++) {
            float loss, cut_loss;
            double norm, cut_norm, val_loss, cut_val_loss;
            assert_ok(trainer_step(&whole.trainer, &loss, &norm));
            assert_ok(trainer_step(&cut.trainer, &cut_loss, &cut_norm));
            ck_assert_float_eq_tol(cut_loss, loss, 1e-5F);
            ck_assert_double_eq_tol(cut_norm, norm, 1e-5);
            ck_assert_uint_eq(cut.trainer.batches.counter, whole.trainer.batches.counter);
            assert_same_numbers("pieces", step, &cut.trainer, &whole.trainer);
            assert_ok(trainer_validate(&whole.trainer, &val_loss, NULL));
            assert_ok(trainer_validate(&cut.trainer, &cut_val_loss, NULL));
            ck_assert_double_eq_tol(cut_val_loss, val_loss, 1e-5);
        }
        tiny_training_deinit(&whole);
        tiny_training_deinit(&cut);
    }
}
END_TEST

/* The activations take no more memory than those of a batch as large as one piece. */
START_TEST(test_accumulation_needs_the_memory_of_one_piece)
{
    TrainerConfig small = accum_config(0), cut = accum_config(4);
    small.batch_size = ACCUM_BATCH / 4;
    small.keep_gradients = true;
    TinyTraining one, many;
    assert_ok(tiny_training_init(&one, &small));
    assert_ok(tiny_training_init(&many, &cut));
    ck_assert_uint_eq(many.trainer.scratch.capacity, one.trainer.scratch.capacity);
    tiny_training_deinit(&one);
    tiny_training_deinit(&many);
}
END_TEST

const TestCase training_memory_tests[] = {
    TEST(test_gradients_share_memory_or_not, "training_together"),
    TEST(test_sharing_step_fails_and_goes_on, "training_together"),
    TEST(test_accumulated_batch_equals_the_whole_batch, "training_together"),
    TEST(test_accumulation_needs_the_memory_of_one_piece, "training_together"),
    {0},
};
