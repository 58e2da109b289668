/*
 * Checkpoints. The first byte chooses: the rest is the file; or it is the checkpoint of a tiny model, in which choices
 * replace some metadata and some shapes. A model that is loaded has the configuration of the file. A load that fails
 * changes nothing.
 */
#include "core/memory.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/files.h"
#include "tests/support/tiny_lm.h"
#include "train/checkpoint.h"
#include "train/model_checkpoint.h"

#include <stdio.h>
#include <string.h>

enum {
    MOST_ARRAYS = 24,  /* the tiny model has 12 */
    MOST_TEXTS = 24,   /* entries of the metadata */
    LONGEST_TEXT = 64, /* bytes of a value */
    NUMBERS = 1024,    /* room for the largest array */
    MEMORY = 64 << 20  /* bytes that a load may take: the tiny model needs less than 1 MiB */
};

/* The checkpoint that choices vary. */
static TinyLM tiny;
static Parameter parameter_memory[MOST_ARRAYS];
static ParameterList parameters = {.items = parameter_memory};
static float numbers[NUMBERS];

static const TransformerLMConfig *tiny_config(void)
{
    static TransformerLMConfig config;
    config = tiny_lm_config(0);
    config.num_layers = 1;
    config.dtype = DTYPE_FLOAT32;
    return &config;
}

static void make_tiny(void)
{
    static Arena arena;
    ParameterList list = {0};
    tiny_lm_init(&tiny, tiny_config(), 1);
    FUZZ_OK(arena_init(&arena, 1 << 16));
    FUZZ_OK(transformer_lm_parameters(&list, &arena, &tiny.lm, NULL, NULL, NULL));
    FUZZ_CHECK(list.count <= MOST_ARRAYS, "%zu arrays", list.count);
    memcpy(parameter_memory, list.items, list.count * sizeof *list.items);
    parameters.count = list.count;
}

/* ---- the file ---- */

/* Returns a value for a key of the metadata, in its own static buffer: mostly an edge of a number's range. */
static const char *choose_value(FuzzInput *input, size_t index)
{
    static char texts[MOST_TEXTS][LONGEST_TEXT];
    static const char *const edges[] = {"0",          "-1",   "1.5",   "1",       "2147483647", "2147483648",
                                        "4294967296", "12",   "",      "1e30",    "1e-50",      "1000000000000",
                                        "nan",        "inf",  "none",  "swiglu",  "bf16",       "18446744073709551615",
                                        " 12",        "0x10", "012",   "12 ",     "+12",        "18446744073709551616",
                                        "24",         "100",  "65536", "3000000", "pre",        "9223372036854775808",
                                        "true"};
    const size_t choice = fuzz_byte(input);
    if (choice < 192)
        return edges[choice % (sizeof edges / sizeof *edges)];
    const ByteString bytes = fuzz_bytes(input, choice - 192 < LONGEST_TEXT ? choice - 192 : LONGEST_TEXT - 1);
    char *text = texts[index];
    if (bytes.length)
        memcpy(text, bytes.bytes, bytes.length);
    text[bytes.length] = '\0';
    return text;
}

/* Sets the configuration, iteration and the state of a generator, of which choices replace or remove some. */
static size_t choose_metadata(SafetensorsText *texts, const ModelConfigText *config, FuzzInput *input)
{
    static const SafetensorsText others[] = {
        {"iteration", "20"}, {"rng.batches", "1 2"}, {"config.tie_embeddings", "false"}};
    static char keys[MODEL_CONFIG_KEYS][64];
    size_t count = 0;
    for (size_t i = 0; i < config->count; i++) {
        snprintf(keys[i], sizeof keys[i], "config.%s", config->pairs[i].key);
        texts[count++] = (SafetensorsText){.key = keys[i], .value = config->pairs[i].value};
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        texts[count++] = others[i];
    for (size_t changes = fuzz_below(input, 4); changes > 0 && count > 0; changes--) {
        const size_t i = fuzz_below(input, count);
        if (fuzz_below(input, 16) == 0)
            texts[i] = texts[--count];
        else
            texts[i].value = choose_value(input, i);
    }
    return count;
}

static size_t choose_arrays(SafetensorsEntry *entries, FuzzInput *input)
{
    size_t count = parameters.count;
    for (size_t i = 0; i < count; i++) {
        const Tensor *value = &parameters.items[i].value;
        entries[i] = (SafetensorsEntry){
            .name = parameters.items[i].name, .type = SAFETENSORS_F32, .rank = value->rank, .data = numbers};
        memcpy(entries[i].shape, value->shape, sizeof entries[i].shape);
    }
    for (size_t changes = fuzz_below(input, 8); changes > 4 && count > 0; changes--) {
        SafetensorsEntry *entry = &entries[fuzz_below(input, count)];
        switch (fuzz_below(input, 4)) {
        case 0:
            *entry = entries[--count];
            break;
        case 1:
            entry->type = SAFETENSORS_I32;
            break;
        case 2:
            entry->shape[0] = fuzz_below(input, 16);
            break;
        default:
            entry->name = "another.weight";
        }
    }
    return count;
}

static const char *make_file(FuzzInput *input)
{
    SafetensorsEntry entries[MOST_ARRAYS];
    SafetensorsText texts[MOST_TEXTS];
    ModelConfigText config;
    if (fuzz_below(input, 8) == 0)
        return fuzz_file("checkpoint.safetensors", fuzz_rest(input));
    model_config_text(&config, tiny_config());
    const size_t text_count = choose_metadata(texts, &config, input), count = choose_arrays(entries, input);
    const char *path = temp_path("checkpoint.safetensors");
    const Status s = safetensors_write(path, entries, count, texts, text_count);
    if (s) { /* a value is not UTF-8, or a name is there twice */
        fuzz_check_failure(s);
        return NULL;
    }
    return path;
}

/* ---- loading ---- */

/* A model of the file's own configuration. */
static void load_model(const char *path)
{
    TrainedModel model;
    memory_set_limit(memory_in_use() + MEMORY);
    const Status s = trained_model_load(&model, path);
    memory_set_limit(0);
    if (s)
        fuzz_check_failure(s);
    else
        FUZZ_OK(transformer_lm_check(&model.lm.config));
    trained_model_deinit(&model);
}

/* The state of a run whose model is there. */
static void load_run(const char *path)
{
    Rng rng = {.seed = 7, .counter = 8};
    const CheckpointRng generator = {.name = "batches", .rng = &rng};
    Checkpoint checkpoint = {.parameters = parameters, .iteration = 9, .generators = &generator, .generator_count = 1};
    float *weight = parameters.items[0].value.data;
    *weight = 1;
    const Status s = checkpoint_load(&checkpoint, path);
    if (!s) {
        FUZZ_CHECK(*weight == 0, "the weight was not loaded");
        return;
    }
    fuzz_check_failure(s);
    FUZZ_CHECK(*weight == 1 && rng.seed == 7 && rng.counter == 8 && checkpoint.iteration == 9,
               "a load that failed has changed something: %s", status_message());
}

/* Without changes the file is loaded. Otherwise the target would test nothing but the first check. */
static void check_unchanged(void)
{
    static const uint8_t none[] = {1, 0, 0};
    FuzzInput input = {none, none + sizeof none};
    TrainedModel model;
    FUZZ_OK(trained_model_load(&model, make_file(&input)));
    trained_model_deinit(&model);
}

void fuzz_checkpoint(const uint8_t *data, size_t size)
{
    if (!parameters.count)
        make_tiny();
    if (size == 0) /* no choice: the checkpoint as it is */
        check_unchanged();
    const size_t before = memory_in_use();
    FuzzInput input = {data, data + size};
    const char *path = make_file(&input);
    if (path) {
        load_model(path);
        load_run(path);
    }
    FUZZ_CHECK(memory_in_use() == before, "memory is left over");
}
