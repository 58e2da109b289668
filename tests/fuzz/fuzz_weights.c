/*
 * Weights of other programs. The first byte chooses what the rest is: a file of weights, the index of several files,
 * the config.json of a Llama beside its weights, or one beside a state dict. An import that succeeds gives a model that
 * can exist; one that fails leaves nothing.
 */
#include "core/memory.h"
#include "core/safetensors.h"
#include "interchange/import.h"
#include "interchange/llama.h"
#include "interchange/state_dict.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/files.h"
#include "tests/support/tiny_lm.h"

#include <string.h>

enum { MEMORY = 64 << 20 /* bytes that an import may take: the tiny model needs less than 1 MiB */ };

static const ImportOptions none = IMPORT_OPTIONS_NONE;

/* Writes the state dict of a model without metadata, as Python does. */
static void write_plain(const char *path, const TrainedModel *model)
{
    static SafetensorsEntry entries[16];
    FUZZ_CHECK(model->parameters.count <= 16, "%zu parameters", model->parameters.count);
    for (size_t i = 0; i < model->parameters.count; i++) {
        const Parameter *p = &model->parameters.items[i];
        entries[i] =
            (SafetensorsEntry){.name = p->name, .type = SAFETENSORS_F32, .rank = p->value.rank, .data = p->value.data};
        memcpy(entries[i].shape, p->value.shape, sizeof entries[i].shape);
    }
    FUZZ_OK(safetensors_write(path, entries, model->parameters.count, NULL, 0));
}

/* Writes the weights that the inputs describe, once. */
static void make_weights(void)
{
    TransformerLMConfig config = tiny_lm_config(0);
    TrainedModel model;
    config.num_layers = 1;
    FUZZ_OK(trained_model_create(&model, &config, "tiny"));
    (void)temp_directory("plain");
    (void)temp_directory("parts");
    FUZZ_OK(llama_export(temp_path("llama"), &model, LLAMA_NO_TOKEN));
    FUZZ_OK(state_dict_export(temp_path("parts/one.safetensors"), &model));
    write_plain(temp_path("plain/model.safetensors"), &model);
    trained_model_deinit(&model);
}

void fuzz_weights(const uint8_t *data, size_t size)
{
    static const char *const files[] = {"weights.safetensors", "parts/index.json", "llama/config.json",
                                        "plain/config.json"};
    static const char *const inputs[] = {"weights.safetensors", "parts/index.json", "llama", "plain"};
    static bool made;
    if (!made)
        make_weights();
    made = true;
    const size_t before = memory_in_use();
    FuzzInput input = {data, data + size};
    const size_t choice = fuzz_below(&input, 4);
    TrainedModel model;
    ImportNotes notes;
    (void)fuzz_file(files[choice], fuzz_rest(&input));
    memory_set_limit(memory_in_use() + MEMORY);
    const Status s = import_model(&model, &notes, temp_path(inputs[choice]), &none);
    memory_set_limit(0);
    if (s)
        fuzz_check_failure(s);
    else
        FUZZ_OK(transformer_lm_check(&model.lm.config));
    trained_model_deinit(&model);
    FUZZ_CHECK(memory_in_use() == before, "memory is left over");
}
