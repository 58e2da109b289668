#include "tests/support/tiny_lm.h"

#include "core/parallel.h"
#include "tests/support/allclose.h"
#include "tests/support/check.h"

#include <stdio.h>
#include <string.h>

TransformerLMConfig tiny_lm_config(int variant)
{
    return (TransformerLMConfig){.vocab_size = 13,
                                 .context_length = 8,
                                 .d_model = 12,
                                 .num_layers = 3,
                                 .num_heads = 2,
                                 .d_ff = 20,
                                 .rope_theta = 1e4F,
                                 .norm_eps = 1e-5F,
                                 .norm = (NormPlacement)(variant % 3),
                                 .position = (PositionKind)(variant / 3 % 2),
                                 .ffn = (FeedForwardKind)(variant / 6 % 2),
                                 .tie_embeddings = variant / 12 == 1};
}

const char *variant_text(const TransformerLMConfig *config)
{
    static const char *const norms[] = {[NORM_PRE] = "pre", [NORM_POST] = "post", [NORM_NONE] = "none"};
    static const char *const positions[] = {[POSITION_ROPE] = "rope", [POSITION_NONE] = "none"};
    static const char *const kinds[] = {[FFN_SWIGLU] = "swiglu", [FFN_SILU] = "silu"};
    static char text[64];
    snprintf(text, sizeof text, "norm %s, position %s, ffn %s%s", norms[config->norm], positions[config->position],
             kinds[config->ffn], config->tie_embeddings ? ", tied" : "");
    return text;
}

void assert_same_config(const TransformerLMConfig *actual, const TransformerLMConfig *expected)
{
    const TransformerLMConfig *both[] = {actual, expected};
    double fields[2][13];
    for (size_t i = 0; i < 2; i++) {
        const TransformerLMConfig *c = both[i];
        const double all[13] = {(double)c->vocab_size,
                                (double)c->context_length,
                                (double)c->d_model,
                                (double)c->num_layers,
                                (double)c->num_heads,
                                (double)c->d_ff,
                                (double)c->rope_theta,
                                (double)c->norm_eps,
                                c->norm,
                                c->position,
                                c->ffn,
                                c->dtype,
                                c->tie_embeddings};
        memcpy(fields[i], all, sizeof all);
    }
    for (size_t i = 0; i < 13; i++)
        ck_assert_msg(fields[0][i] == fields[1][i], "field %zu of the configuration is %g, expected %g", i,
                      fields[0][i], fields[1][i]);
}

static Status bind(TinyLM *tiny, Arena *arena, const TransformerLMConfig *config)
{
    const Status s = transformer_lm_bind(&tiny->lm, arena, config);
    return s ? s : transformer_lm_bind_rope(&tiny->lm, arena);
}

void tiny_lm_init(TinyLM *tiny, const TransformerLMConfig *config, uint64_t seed)
{
    *tiny = (TinyLM){0};
    parallel_set_threads(1);
    Arena measure = {0};
    assert_ok(bind(tiny, &measure, config));
    assert_ok(arena_init(&tiny->memory, measure.peak));
    assert_ok(bind(tiny, &tiny->memory, config));
    Rng rng = rng_seeded(seed);
    transformer_lm_initialise(&tiny->lm, &rng);
}

void tiny_lm_deinit(TinyLM *tiny)
{
    arena_deinit(&tiny->memory);
}
