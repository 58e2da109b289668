#include "tests/support/small_model.h"

#include "tests/support/allclose.h"
#include "tests/support/hash_weights.h"
#include "tests/support/sample.h"

TransformerLMConfig small_config(void)
{
    return (TransformerLMConfig){.vocab_size = 40,
                                 .context_length = 16,
                                 .d_model = 16,
                                 .num_layers = 2,
                                 .num_heads = 2,
                                 .d_ff = 24,
                                 .rope_theta = 1e4F,
                                 .norm_eps = 1e-5F};
}

static void bind(SmallModel *m, Arena *arena, const TransformerLMConfig *config)
{
    TransformerLM *const all[] = {&m->value, &m->grad, &m->first, &m->second};
    for (size_t i = 0; i < 4; i++)
        assert_ok(transformer_lm_bind(all[i], arena, config));
    assert_ok(transformer_lm_bind_rope(&m->value, arena));
    assert_ok(transformer_lm_parameters(&m->parameters, arena, &m->value, &m->grad, &m->first, &m->second));
}

void small_model_init(SmallModel *model, const TransformerLMConfig *config, size_t batch, size_t seq)
{
    Arena measure = {0};
    *model = (SmallModel){.batch = batch, .seq = seq};
    bind(model, &measure, config);
    assert_ok(arena_init(&model->memory, measure.peak));
    bind(model, &model->memory, config);
    hash_parameters(model->parameters, SAMPLE_SEED);
    const size_t loss = transformer_lm_loss_scratch(&model->value, batch, seq, true);
    const size_t logits = transformer_lm_forward_scratch(&model->value, batch, seq);
    assert_ok(arena_init(&model->scratch, loss > logits ? loss : logits));
}

void small_model_deinit(SmallModel *model)
{
    arena_deinit(&model->scratch);
    arena_deinit(&model->memory);
}

void small_model_batch(const SmallModel *model, const char *name, TokenTensor *ids, TokenTensor *targets)
{
    const TokenTensor rows = sample_ids(name, (uint32_t)model->value.config.vocab_size, model->batch, model->seq + 1);
    *ids = *targets = rows;
    ids->shape[1] = targets->shape[1] = model->seq;
    targets->data++;
}

ReferenceWeights small_model_widen(const SmallModel *model)
{
    const size_t count = model->parameters.count;
    const char **names = (const char **)(void *)sample_doubles(count);
    double **values = (double **)(void *)sample_doubles(count);
    for (size_t i = 0; i < count; i++) {
        names[i] = model->parameters.items[i].name;
        values[i] = sample_doubles(tensor_count(model->parameters.items[i].value));
        reference_widen(values[i], model->parameters.items[i].value);
    }
    return (ReferenceWeights){count, names, values};
}
