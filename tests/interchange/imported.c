#include "tests/interchange/imported.h"

#include "core/rng.h"
#include "tests/support/allclose.h"
#include "tests/support/check.h"
#include "tests/support/files.h"
#include "tests/support/fixture.h"
#include "tests/support/sample.h"
#include "tests/support/tiny_lm.h"

#include <string.h>

void make_trained_model(TrainedModel *model, int variant)
{
    const TransformerLMConfig config = tiny_lm_config(variant);
    Rng rng = rng_seeded((uint64_t)variant + 1);
    assert_ok(trained_model_create(model, &config, "tiny"));
    transformer_lm_initialise(&model->lm, &rng);
    /* Gains begin at 1. Random ones show when two are exchanged. */
    for (size_t i = 0; i < model->parameters.count; i++) {
        const Tensor value = model->parameters.items[i].value;
        for (size_t k = 0; value.rank == 1 && k < value.shape[0]; k++)
            value.data[k] = 0.5F + (float)rng_uniform(&rng);
    }
}

void assert_same_model(const TrainedModel *actual, const TrainedModel *expected)
{
    assert_same_config(&actual->lm.config, &expected->lm.config);
    ck_assert_uint_eq(actual->parameters.count, expected->parameters.count);
    for (size_t i = 0; i < actual->parameters.count; i++) {
        const Parameter *a = &actual->parameters.items[i], *b = &expected->parameters.items[i];
        ck_assert_str_eq(a->name, b->name);
        ck_assert_msg(memcmp(a->value.data, b->value.data, tensor_count(b->value) * sizeof(float)) == 0,
                      "%s has other numbers", a->name);
    }
}

void assert_fixture_logits(const TrainedModel *model, const char *name)
{
    Fixture fixture;
    Arena scratch;
    fixture_open(&fixture, "interchange/logits");
    const TokenTensor ids = fixture_tokens(&fixture, "ids");
    const Tensor expected = fixture_tensor(&fixture, name), logits = fixture_output_like(&fixture, expected);
    assert_ok(arena_init(&scratch, transformer_lm_forward_scratch(&model->lm, ids.shape[0], ids.shape[1])));
    assert_ok(transformer_lm_forward(logits, &model->lm, ids, &scratch));
    assert_allclose_tensor(name, logits, expected, 0, 1e-5);
    arena_deinit(&scratch);
    fixture_close(&fixture);
}

const char *write_text(const char *name, const char *text)
{
    const char *path = temp_path(name);
    write_file(path, text, strlen(text));
    return path;
}
