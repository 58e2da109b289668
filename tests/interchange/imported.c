#include "tests/interchange/imported.h"

#include "core/file.h"
#include "core/memory.h"
#include "core/rng.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/allclose.h"
#include "tests/support/check.h"
#include "tests/support/files.h"
#include "tests/support/fixture.h"
#include "tests/support/sample.h"
#include "tests/support/tiny_lm.h"

#include <stdio.h>
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

Arrays arrays_of(const TrainedModel *model)
{
    Arrays arrays = {.count = 0};
    for (size_t i = 0; i < model->parameters.count; i++) {
        const Parameter *p = &model->parameters.items[i];
        SafetensorsEntry *entry = &arrays.entries[arrays.count++];
        *entry =
            (SafetensorsEntry){.name = p->name, .type = SAFETENSORS_F32, .rank = p->value.rank, .data = p->value.data};
        memcpy(entry->shape, p->value.shape, sizeof entry->shape);
    }
    return arrays;
}

SafetensorsEntry *array_of(Arrays *arrays, const char *name)
{
    for (size_t i = 0; i < arrays->count; i++)
        if (strcmp(arrays->entries[i].name, name) == 0)
            return &arrays->entries[i];
    ck_abort_msg("no array %s", name);
}

void remove_array(Arrays *arrays, const char *name)
{
    *array_of(arrays, name) = arrays->entries[arrays->count - 1];
    arrays->count--;
}

const char *write_state(const Arrays *arrays, const SafetensorsText *metadata, size_t metadata_count)
{
    const char *path = temp_path("state.safetensors");
    assert_ok(safetensors_write(path, arrays->entries, arrays->count, metadata, metadata_count));
    return path;
}

const char *write_state_of(const Arrays *arrays, const TransformerLMConfig *config)
{
    ModelConfigText text;
    SafetensorsText metadata[MODEL_CONFIG_KEYS];
    char keys[MODEL_CONFIG_KEYS][64];
    model_config_text(&text, config);
    for (size_t i = 0; i < text.count; i++) {
        snprintf(keys[i], sizeof keys[i], "config.%s", text.pairs[i].key);
        metadata[i] = (SafetensorsText){keys[i], text.pairs[i].value};
    }
    return write_state(arrays, metadata, text.count);
}

void assert_variations_are_refused_or_read(const char *file, size_t header, const char *path,
                                           const ImportOptions *options)
{
    static FuzzVariation variation;
    static uint8_t bytes[1 << 16];
    LoadedFile whole;
    assert_ok(file_load(&whole, file));
    memory_set_limit(memory_in_use() + (64 << 20));
    for (uint64_t seed = 0; seed < 2000; seed++) {
        TrainedModel model;
        ImportNotes notes;
        test_label("seed %d", (int)seed);
        const size_t varied = header && seed % 4 ? header : whole.size;
        fuzz_vary(&variation, (ByteString){whole.data, varied}, seed);
        ck_assert_uint_lt(variation.length + whole.size, sizeof bytes);
        memcpy(bytes, variation.bytes, variation.length);
        memcpy(bytes + variation.length, whole.data + varied, whole.size - varied);
        write_file(file, bytes, variation.length + whole.size - varied);
        const Status s = import_model(&model, &notes, path, options);
        if (s)
            fuzz_check_failure(s);
        trained_model_deinit(&model);
    }
    memory_set_limit(0);
    file_unload(&whole);
}

const char *write_text(const char *name, const char *text)
{
    const char *path = temp_path(name);
    write_file(path, text, strlen(text));
    return path;
}
