#define _POSIX_C_SOURCE 200809L
#include "train/trainer.h"

#include "core/json.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "data/batch.h"
#include "optim/clip.h"
#include "train/checkpoint.h"
#include "train/model_checkpoint.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Generators under the run's seed. */
enum { STREAM_WEIGHTS, STREAM_BATCHES, STREAM_VALIDATION };

/* ---- setting up ---- */

Status trainer_check(const TrainerConfig *config)
{
    const CosineSchedule *schedule = &config->schedule;
    const AdamWConfig *adamw = &config->adamw;
    const Status s = transformer_lm_check(&config->model);
    if (s)
        return s;
    if (config->batch_size == 0 || config->steps == 0 || config->log_every == 0)
        return status_fail(CS336_ERANGE, "trainer_check: batch_size %zu, steps %zu, log_every %zu: expected at least 1",
                           config->batch_size, config->steps, config->log_every);
    if (schedule->warmup_steps > schedule->decay_steps)
        return status_fail(CS336_ERANGE, "trainer_check: warm-up of %zu steps is longer than the decay's %zu",
                           schedule->warmup_steps, schedule->decay_steps);
    if (!(schedule->max_lr >= 0 && isfinite(schedule->max_lr) && schedule->min_lr >= 0 &&
          schedule->min_lr <= schedule->max_lr))
        return status_fail(CS336_ERANGE, "trainer_check: learning rates %g to %g, expected 0 <= minimum <= maximum",
                           schedule->min_lr, schedule->max_lr);
    if (!(adamw->beta1 >= 0 && adamw->beta1 < 1 && adamw->beta2 >= 0 && adamw->beta2 < 1))
        return status_fail(CS336_ERANGE, "trainer_check: betas %g and %g, expected 0 <= beta < 1", adamw->beta1,
                           adamw->beta2);
    if (!(adamw->eps > 0 && isfinite(adamw->eps) && adamw->weight_decay >= 0 && isfinite(adamw->weight_decay)))
        return status_fail(CS336_ERANGE, "trainer_check: eps %g, weight decay %g, expected eps > 0 and decay >= 0",
                           adamw->eps, adamw->weight_decay);
    if (!(config->max_grad_norm >= 0))
        return status_fail(CS336_ERANGE, "trainer_check: max_grad_norm %g, expected at least 0", config->max_grad_norm);
    return CS336_OK;
}

static Status bind(Trainer *trainer, Arena *arena)
{
    const TransformerLMConfig *model = &trainer->config.model;
    const size_t tokens = trainer->config.batch_size * model->context_length, mark = arena_mark(arena);
    Status s = transformer_lm_bind(&trainer->lm, arena, model);
    s = s ? s : transformer_lm_bind(&trainer->grad, arena, model);
    s = s ? s : transformer_lm_bind(&trainer->first_moment, arena, model);
    s = s ? s : transformer_lm_bind(&trainer->second_moment, arena, model);
    s = s ? s : transformer_lm_bind_rope(&trainer->lm, arena);
    s = s ? s
          : transformer_lm_parameters(&trainer->parameters, arena, &trainer->lm, &trainer->grad, &trainer->first_moment,
                                      &trainer->second_moment);
    trainer->inputs = arena_take(arena, tokens * sizeof *trainer->inputs);
    trainer->targets = arena_take(arena, tokens * sizeof *trainer->targets);
    return s ? s : arena_keep(arena, mark);
}

static Status allocate(Trainer *trainer)
{
    Arena measure = {0};
    Status s = bind(trainer, &measure);
    if (!s)
        s = arena_init(&trainer->memory, measure.peak);
    if (!s)
        s = bind(trainer, &trainer->memory);
    if (!s)
        s = arena_init(&trainer->scratch, transformer_lm_loss_scratch(&trainer->lm, trainer->config.batch_size,
                                                                      trainer->config.model.context_length, true));
    return s;
}

/* All ids, once and before the first step: a run must not end hours later at the first bad window. */
static Status check_ids(Trainer *trainer, const TokenFile *file)
{
    const size_t room = trainer->config.batch_size * trainer->config.model.context_length;
    Status s = CS336_OK;
    for (size_t start = 0; !s && start < file->count; start += room) {
        const size_t left = file->count - start;
        s = token_file_read(trainer->inputs, file, start, left < room ? left : room);
    }
    return s;
}

Status trainer_init(Trainer *trainer, const TrainerConfig *config, const TokenFile *train, const TokenFile *val)
{
    *trainer = (Trainer){.config = *config, .train = train, .val = config->val_batches ? val : NULL};
    Status s = trainer_check(config);
    if (!s)
        s = token_file_check_context(train, config->model.context_length);
    if (!s && trainer->val)
        s = token_file_check_context(val, config->model.context_length);
    if (!s)
        s = allocate(trainer);
    if (!s)
        s = check_ids(trainer, train);
    if (!s && trainer->val)
        s = check_ids(trainer, val);
    if (s) {
        trainer_deinit(trainer);
        return s;
    }
    Rng weights = rng_stream(config->seed, STREAM_WEIGHTS);
    transformer_lm_initialise(&trainer->lm, &weights);
    trainer->batches = rng_stream(config->seed, STREAM_BATCHES);
    return CS336_OK;
}

void trainer_deinit(Trainer *trainer)
{
    arena_deinit(&trainer->memory);
    arena_deinit(&trainer->scratch);
    *trainer = (Trainer){0};
}

/* ---- steps ---- */

static Status loss_of_batch(Trainer *trainer, float *loss, TransformerLM *grad, const TokenFile *file, Rng *rng)
{
    const size_t batch = trainer->config.batch_size, context = trainer->config.model.context_length;
    const Status s = get_batch(trainer->inputs, trainer->targets, file, batch, context, "cpu", rng);
    if (s)
        return s;
    return transformer_lm_loss(loss, grad, &trainer->lm, tokens(trainer->inputs, batch, context),
                               tokens(trainer->targets, batch, context), NULL, &trainer->scratch);
}

Status trainer_step(Trainer *trainer, float *loss, double *grad_norm)
{
    const TrainerConfig *config = &trainer->config;
    const size_t step = trainer->step + 1;
    AdamWConfig adamw = config->adamw;
    adamw.lr = cosine_schedule_lr(&config->schedule, step);
    Status s = loss_of_batch(trainer, loss, &trainer->grad, trainer->train, &trainer->batches);
    if (!s)
        s = gradient_norm(grad_norm, trainer->parameters);
    if (!s && !(isfinite(*loss) && isfinite(*grad_norm)))
        s = status_fail(CS336_ERANGE,
                        "step %zu: the loss is %g and the gradient's norm %g; a lower learning rate may help", step,
                        (double)*loss, *grad_norm);
    const double max_norm = config->max_grad_norm > 0 ? config->max_grad_norm : INFINITY;
    if (!s)
        s = adamw_step_and_clear(trainer->parameters, clip_factor(*grad_norm, max_norm), step, &adamw);
    if (s)
        parameters_zero_grad(trainer->parameters);
    else
        trainer->step = step;
    return s;
}

Status trainer_validate(Trainer *trainer, double *loss)
{
    Rng rng = rng_stream(trainer->config.seed, STREAM_VALIDATION);
    double sum = 0;
    for (size_t i = 0; i < trainer->config.val_batches; i++) {
        float of_batch;
        const Status s = loss_of_batch(trainer, &of_batch, NULL, trainer->val, &rng);
        if (s)
            return s;
        sum += (double)of_batch;
    }
    *loss = sum / (double)trainer->config.val_batches;
    return CS336_OK;
}

/* ---- saving and restoring ---- */

enum { RUN_KEYS = MODEL_CONFIG_KEYS + 2 };

typedef struct {
    ModelConfigText model;
    char batch_size[32], seed[32];
    SafetensorsText pairs[RUN_KEYS];
    CheckpointRng rng;
} RunState;

static Checkpoint describe(const Trainer *trainer, RunState *state, Rng *batches)
{
    model_config_text(&state->model, &trainer->config.model);
    memcpy(state->pairs, state->model.pairs, sizeof state->model.pairs);
    snprintf(state->batch_size, sizeof state->batch_size, "%zu", trainer->config.batch_size);
    snprintf(state->seed, sizeof state->seed, "%llu", (unsigned long long)trainer->config.seed);
    state->pairs[MODEL_CONFIG_KEYS] = (SafetensorsText){.key = "batch_size", .value = state->batch_size};
    state->pairs[MODEL_CONFIG_KEYS + 1] = (SafetensorsText){.key = "seed", .value = state->seed};
    state->rng = (CheckpointRng){.name = "batches", .rng = batches};
    return (Checkpoint){.parameters = trainer->parameters,
                        .iteration = trainer->step,
                        .generators = &state->rng,
                        .generator_count = 1,
                        .config = state->pairs,
                        .config_count = RUN_KEYS};
}

Status trainer_save(const Trainer *trainer, const char *path)
{
    RunState state;
    Rng batches = trainer->batches;
    const Checkpoint checkpoint = describe(trainer, &state, &batches);
    return checkpoint_save(path, &checkpoint);
}

Status trainer_restore(Trainer *trainer, const char *path)
{
    RunState state;
    Checkpoint checkpoint = describe(trainer, &state, &trainer->batches);
    const Status s = checkpoint_load(&checkpoint, path);
    if (!s)
        trainer->step = checkpoint.iteration;
    return s;
}

/* ---- config.json ---- */

static bool set_size(json_t *object, const char *key, size_t size)
{
    return json_object_set_new(object, key, json_integer((json_int_t)size)) == 0;
}

static bool set_number(json_t *object, const char *key, double number)
{
    return json_object_set_new(object, key, json_real(number)) == 0;
}

static bool set_name(json_t *object, const char *key, const char *name)
{
    return json_object_set_new(object, key, json_string(name)) == 0;
}

static json_t *config_object(const TrainerConfig *config)
{
    const TransformerLMConfig *model = &config->model;
    json_t *o = json_object();
    if (set_size(o, "vocab_size", model->vocab_size) && set_size(o, "context_length", model->context_length) &&
        set_size(o, "d_model", model->d_model) && set_size(o, "num_layers", model->num_layers) &&
        set_size(o, "num_heads", model->num_heads) && set_size(o, "d_ff", model->d_ff) &&
        set_number(o, "rope_theta", (double)model->rope_theta) && set_number(o, "norm_eps", (double)model->norm_eps) &&
        set_name(o, "norm", norm_names[model->norm]) && set_name(o, "position", position_names[model->position]) &&
        set_name(o, "ffn", ffn_names[model->ffn]) && set_name(o, "dtype", dtype_names[model->dtype]) &&
        set_size(o, "batch_size", config->batch_size) && set_size(o, "steps", config->steps) &&
        set_number(o, "lr", config->schedule.max_lr) && set_number(o, "min_lr", config->schedule.min_lr) &&
        set_size(o, "warmup_steps", config->schedule.warmup_steps) &&
        set_size(o, "decay_steps", config->schedule.decay_steps) && set_number(o, "beta1", config->adamw.beta1) &&
        set_number(o, "beta2", config->adamw.beta2) && set_number(o, "eps", config->adamw.eps) &&
        set_number(o, "weight_decay", config->adamw.weight_decay) &&
        set_number(o, "max_grad_norm", config->max_grad_norm) && set_size(o, "seed", (size_t)config->seed) &&
        set_size(o, "log_every", config->log_every) && set_size(o, "val_every", config->val_every) &&
        set_size(o, "val_batches", config->val_batches) && set_size(o, "checkpoint_every", config->checkpoint_every))
        return o;
    json_decref(o);
    return NULL;
}

static Status write_config(const char *path, const TrainerConfig *config)
{
    json_t *object = config_object(config);
    if (!object)
        return status_fail(CS336_ENOMEM, "%s: no memory for the configuration", path);
    FileWriter writer = {0};
    Status s = file_create(&writer, path);
    if (!s)
        s = json_write(&writer, object, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    if (!s)
        s = file_write(&writer, "\n", 1);
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    json_decref(object);
    return s;
}

/* ---- the run ---- */

typedef struct {
    Trainer *trainer;
    const TrainerObserver *observer;
    RunLog log;
    char *log_path, *checkpoint_path, *config_path;
    double began;                     /**< clock when this part of the run began */
    double before;                    /**< seconds of the parts before it */
    double step_seconds, step_tokens; /**< steps since the last line of the log */
} Run;

static double clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool due(size_t every, size_t step)
{
    return every && step % every == 0;
}

static Status path_in(char **path, const char *directory, const char *name)
{
    const size_t size = strlen(directory) + strlen(name) + 2;
    *path = memory_allocate(size);
    if (!*path)
        return status_fail(CS336_ENOMEM, "trainer_run: no memory for the path %s/%s", directory, name);
    snprintf(*path, size, "%s/%s", directory, name);
    return CS336_OK;
}

static Status begin(Run *run, const char *directory, bool resume)
{
    Trainer *trainer = run->trainer;
    Status s = path_in(&run->log_path, directory, "log.jsonl");
    if (!s)
        s = path_in(&run->checkpoint_path, directory, "checkpoint.safetensors");
    if (!s)
        s = path_in(&run->config_path, directory, "config.json");
    if (!s && resume)
        s = trainer_restore(trainer, run->checkpoint_path);
    if (!s)
        s = file_make_directory(directory);
    if (!s)
        s = run_log_open(&run->log, &run->before, run->log_path, trainer->step);
    if (!s)
        s = write_config(run->config_path, &trainer->config);
    /* A run that is killed before it saves must not be resumed from the checkpoint of the one before it. */
    if (!s && !resume && remove(run->checkpoint_path) != 0 && errno != ENOENT)
        s = status_fail(CS336_EIO, "%s: cannot remove: %s", run->checkpoint_path, strerror(errno));
    run->began = clock_seconds();
    return s;
}

/* One step with what belongs to it. The line is in the log before the checkpoint is written: should the run die in
   between, resuming cuts it off again, whereas a line that a checkpoint has passed would be missing for good. */
static Status advance(Run *run, RunLogEntry *entry)
{
    Trainer *trainer = run->trainer;
    const TrainerConfig *config = &trainer->config;
    const size_t batch_tokens = config->batch_size * config->model.context_length;
    const double start = clock_seconds();
    float loss;
    Status s = trainer_step(trainer, &loss, &entry->grad_norm);
    if (s)
        return s;
    run->step_seconds += clock_seconds() - start;
    run->step_tokens += (double)batch_tokens;
    const size_t step = trainer->step;
    const bool last = step == config->steps;
    const bool validate = config->val_batches && (last || due(config->val_every, step));
    const bool logged = last || validate || due(config->log_every, step);
    entry->val_loss = (double)NAN;
    if (validate)
        s = trainer_validate(trainer, &entry->val_loss);
    entry->step = step;
    entry->tokens = step * batch_tokens;
    entry->seconds = run->before + clock_seconds() - run->began;
    entry->train_loss = (double)loss;
    entry->lr = cosine_schedule_lr(&config->schedule, step);
    entry->tokens_per_second = run->step_tokens / run->step_seconds;
    if (!s && logged) {
        s = run_log_append(&run->log, entry);
        run->step_seconds = run->step_tokens = 0;
    }
    if (!s && run->observer && run->observer->step)
        run->observer->step(run->observer->context, entry, logged);
    return s;
}

static Status train(Run *run, RunLogEntry *entry)
{
    Trainer *trainer = run->trainer;
    const TrainerConfig *config = &trainer->config;
    const size_t end = config->stop_at && config->stop_at < config->steps ? config->stop_at : config->steps;
    const atomic_int *stop = run->observer ? run->observer->stop : NULL;
    Status s = CS336_OK;
    while (!s && trainer->step < end) {
        s = advance(run, entry);
        if (s)
            break;
        const bool stopping = parallel_stop_asked(stop) && trainer->step < end;
        if (stopping || trainer->step == end || due(config->checkpoint_every, trainer->step))
            s = trainer_save(trainer, run->checkpoint_path);
        if (!s && stopping)
            s = status_fail(CS336_EINTERRUPTED, "stopped after step %zu of %zu", trainer->step, config->steps);
    }
    return s;
}

Status trainer_run(Trainer *trainer, const char *directory, bool resume, const TrainerObserver *observer,
                   RunLogEntry *last)
{
    Run run = {.trainer = trainer, .observer = observer};
    Status s = begin(&run, directory, resume);
    *last = (RunLogEntry){.step = trainer->step, .val_loss = (double)NAN};
    if (!s)
        s = train(&run, last);
    run_log_close(&run.log);
    memory_release(run.log_path);
    memory_release(run.checkpoint_path);
    memory_release(run.config_path);
    return s;
}
