#include "train/trainer_checkpoint.h"

#include "core/memory.h"
#include "train/checkpoint.h"
#include "train/model_checkpoint.h"

#include <stdio.h>
#include <string.h>

enum { RUN_KEYS = MODEL_CONFIG_KEYS + 2 }; /* at most: the model's keys, batch_size and seed */

/* The memory that a Checkpoint points to while it is saved or loaded. */
typedef struct {
    ModelConfigText model;
    char batch_size[32], seed[32];
    SafetensorsText pairs[RUN_KEYS];
    CheckpointRng rng;
} RunState;

/*
 * Describes the trainer's state as a Checkpoint. Its configuration has the settings that resuming may not change: the
 * model, the batch size and the seed. Optimizer settings may change, so they are only in config.json.
 */
static Checkpoint checkpoint_of(const Trainer *trainer, RunState *state, Rng *batches)
{
    model_config_text(&state->model, &trainer->config.model);
    const size_t count = state->model.count;
    memcpy(state->pairs, state->model.pairs, count * sizeof *state->pairs);
    snprintf(state->batch_size, sizeof state->batch_size, "%zu", trainer->config.batch_size);
    snprintf(state->seed, sizeof state->seed, "%llu", (unsigned long long)trainer->config.seed);
    state->pairs[count] = (SafetensorsText){.key = "batch_size", .value = state->batch_size};
    state->pairs[count + 1] = (SafetensorsText){.key = "seed", .value = state->seed};
    state->rng = (CheckpointRng){.name = "batches", .rng = batches};
    return (Checkpoint){.parameters = trainer->parameters,
                        .iteration = trainer->step,
                        .generators = &state->rng,
                        .generator_count = 1,
                        .config = state->pairs,
                        .config_count = count + 2};
}

Status trainer_save_moments(const Trainer *trainer, const char *path, const SafetensorsSource *moments)
{
    RunState state;
    Rng batches = trainer->batches;
    Checkpoint checkpoint = checkpoint_of(trainer, &state, &batches);
    checkpoint.moments = moments;
    return checkpoint_save(path, &checkpoint);
}

Status trainer_save(const Trainer *trainer, const char *path)
{
    return trainer_save_moments(trainer, path, NULL);
}

/* An untied model has no key to compare: see model_config_text(). */
static Status check_untied(const CheckpointFile *file, const TransformerLMConfig *config)
{
    const char *tied = checkpoint_config(file, "tie_embeddings");
    if (config->tie_embeddings || !tied || strcmp(tied, "false") == 0)
        return CS336_OK;
    return status_fail(CS336_EFORMAT, "%s: tie_embeddings is %s, expected false", file->tensors.path, tied);
}

Status trainer_restore(Trainer *trainer, const char *path)
{
    RunState state;
    CheckpointFile file;
    Checkpoint checkpoint = checkpoint_of(trainer, &state, &trainer->batches);
    Status s = checkpoint_open(&file, path);
    if (s)
        return s;
    s = check_untied(&file, &trainer->config.model);
    if (!s)
        s = checkpoint_read(&checkpoint, &file);
    if (!s)
        trainer->step = checkpoint.iteration;
    checkpoint_close(&file);
    return s;
}

/* Checks that the file has the trainer's model. */
static Status check_same_model(const CheckpointFile *file, const TransformerLMConfig *model)
{
    TransformerLMConfig config;
    const Status s = model_config_read(&config, file);
    if (s)
        return s;
    config.context_length = model->context_length;
    config.dtype = model->dtype;
    const ModelConfigDifference difference = model_config_difference(&config, model);
    return difference.key ? status_fail(CS336_EFORMAT, "%s: %s is %s, expected %s", file->tensors.path, difference.key,
                                        difference.value, difference.expected)
                          : CS336_OK;
}

Status trainer_load_weights(Trainer *trainer, const char *path)
{
    CheckpointFile file;
    Status s = checkpoint_open(&file, path);
    if (s)
        return s;
    s = check_same_model(&file, &trainer->config.model);
    /* A list of the values without moments: checkpoint_read() then skips those of the file. */
    const size_t count = trainer->parameters.count;
    Parameter *values = s ? NULL : memory_allocate(count * sizeof *values);
    if (!s && !values)
        s = status_fail(CS336_ENOMEM, "%s: no memory for %zu parameters", path, count);
    for (size_t i = 0; values && i < count; i++)
        values[i] = (Parameter){.name = trainer->parameters.items[i].name, .value = trainer->parameters.items[i].value};
    if (!s)
        s = checkpoint_read(&(Checkpoint){.parameters = {values, count}}, &file);
    memory_release(values);
    checkpoint_close(&file);
    return s;
}
