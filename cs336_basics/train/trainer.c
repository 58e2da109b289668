#include "train/trainer.h"

#include "core/memory.h"
#include "core/parallel.h"
#include "core/plural.h"
#include "data/batch.h"
#include "distributed/gradient_exchange.h"
#include "distributed/ranks.h"
#include "optim/clip.h"
#include "train/optimizer_shard.h"

#include <math.h>

/* One independent random generator for each purpose, all from the run's seed. Checkpoints depend on these numbers. */
enum { STREAM_WEIGHTS, STREAM_BATCHES, STREAM_VALIDATION };

/* ---- setting up ---- */

Status trainer_check(const TrainerConfig *config)
{
    const CosineSchedule *schedule = &config->schedule;
    const AdamWConfig *adamw = &config->adamw;
    const Status s = transformer_lm_check(&config->model);
    if (s)
        return s;
    /* Counts of steps and the schedule. */
    if (config->batch_size == 0 || config->steps == 0 || config->log_every == 0)
        return status_fail(CS336_ERANGE, "trainer_check: batch_size %zu, steps %zu, log_every %zu: expected at least 1",
                           config->batch_size, config->steps, config->log_every);
    if (config->batch_size % trainer_pieces(config) != 0 && ranks_count() == 1)
        return status_fail(CS336_ERANGE, "trainer_check: grad_accum %zu does not divide batch_size %zu",
                           config->grad_accum, config->batch_size);
    if (config->batch_size % trainer_pieces(config) != 0)
        return status_fail(CS336_ERANGE, "trainer_check: %d ranks cannot share batch_size %zu in %zu pieces each",
                           ranks_count(), config->batch_size, config->grad_accum ? config->grad_accum : 1);
    if (schedule->warmup_steps > schedule->decay_steps)
        return status_fail(CS336_ERANGE, "trainer_check: warm-up of %zu step%s is longer than the decay's %zu",
                           schedule->warmup_steps, plural(schedule->warmup_steps), schedule->decay_steps);
    if (!(schedule->max_lr >= 0 && isfinite(schedule->max_lr) && schedule->min_lr >= 0 &&
          schedule->min_lr <= schedule->max_lr))
        return status_fail(CS336_ERANGE, "trainer_check: learning rates %g to %g, expected 0 <= minimum <= maximum",
                           schedule->min_lr, schedule->max_lr);
    /* The optimizer. */
    if (!(adamw->beta1 >= 0 && adamw->beta1 < 1 && adamw->beta2 >= 0 && adamw->beta2 < 1))
        return status_fail(CS336_ERANGE, "trainer_check: betas %g and %g, expected 0 <= beta < 1", adamw->beta1,
                           adamw->beta2);
    /* The update computes in float32: there 1e-50 is 0, and 1e39 is infinite. */
    if (!((float)adamw->eps > 0 && isfinite((float)adamw->eps) && adamw->weight_decay >= 0 &&
          isfinite((float)adamw->weight_decay)))
        return status_fail(CS336_ERANGE,
                           "trainer_check: eps %g, weight decay %g, expected eps > 0 and decay >= 0 in float32",
                           adamw->eps, adamw->weight_decay);
    if (!(config->max_grad_norm >= 0))
        return status_fail(CS336_ERANGE, "trainer_check: max_grad_norm %g, expected at least 0", config->max_grad_norm);
    return CS336_OK;
}

/* Returns the number of pieces in which a rank computes its part of a batch. */
static size_t own_pieces(const TrainerConfig *config)
{
    return config->grad_accum ? config->grad_accum : 1;
}

size_t trainer_pieces(const TrainerConfig *config)
{
    return memory_product((size_t)ranks_count(), own_pieces(config));
}

size_t trainer_piece_size(const TrainerConfig *config)
{
    return config->batch_size / trainer_pieces(config);
}

bool trainer_shares_memory(const TrainerConfig *config)
{
    return !config->keep_gradients && own_pieces(config) == 1;
}

/* True if each rank keeps only its share of the moments. */
static bool shares_moments(const TrainerConfig *config)
{
    return config->shard_optimizer && ranks_count() > 1;
}

/* Takes everything except the scratch from the arena. Called to measure, then to bind. */
static Status bind(Trainer *trainer, Arena *arena)
{
    const TransformerLMConfig *model = &trainer->config.model;
    const size_t tokens = memory_product(trainer_piece_size(&trainer->config), model->context_length);
    const size_t mark = arena_mark(arena);
    Status s = transformer_lm_bind(&trainer->lm, arena, model);
    if (!s)
        s = trainer_shares_memory(&trainer->config) ? transformer_lm_bind_missing(&trainer->grad, arena, model)
                                                    : transformer_lm_bind(&trainer->grad, arena, model);
    const bool shard = shares_moments(&trainer->config);
    s = s || shard ? s : transformer_lm_bind(&trainer->first_moment, arena, model);
    s = s || shard ? s : transformer_lm_bind(&trainer->second_moment, arena, model);
    s = s ? s : transformer_lm_bind_rope(&trainer->lm, arena);
    s = s ? s
          : transformer_lm_parameters(&trainer->parameters, arena, &trainer->lm, &trainer->grad,
                                      shard ? NULL : &trainer->first_moment, shard ? NULL : &trainer->second_moment);
    if (!s && trainer->config.log_norms)
        s = layer_norms_bind(&trainer->norms, arena, model->num_layers);
    trainer->inputs = arena_take(arena, memory_product(tokens, sizeof *trainer->inputs));
    trainer->targets = arena_take(arena, memory_product(tokens, sizeof *trainer->targets));
    return s ? s : arena_keep(arena, mark);
}

/* Returns the bytes of scratch for the steps and the validations. */
static size_t scratch_bytes(const Trainer *trainer)
{
    const size_t rows = trainer_piece_size(&trainer->config), context = trainer->config.model.context_length;
    const size_t validation = transformer_lm_loss_scratch(&trainer->lm, rows, context, false);
    const size_t step = trainer_shares_memory(&trainer->config)
                            ? transformer_lm_loss_and_gradients_memory(&trainer->lm, rows, context)
                            : transformer_lm_loss_scratch(&trainer->lm, rows, context, true);
    return step > validation ? step : validation;
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
        s = arena_init(&trainer->scratch, scratch_bytes(trainer));
    if (!s && ranks_count() > 1)
        s = gradient_exchange_create(&trainer->exchange, trainer->parameters, shares_moments(&trainer->config));
    if (!s && shares_moments(&trainer->config))
        s = optimizer_shard_create(&trainer->shard, trainer->parameters, trainer->exchange);
    return s;
}

/* The gains of RMSNorm are the only parameters with one dimension. */
static void exempt_norms_from_decay(ParameterList parameters)
{
    for (size_t i = 0; i < parameters.count; i++)
        parameters.items[i].no_decay = parameters.items[i].value.rank == 1;
}

Status trainer_init(Trainer *trainer, const TrainerConfig *config, const TokenFile *train, const TokenFile *val)
{
    *trainer = (Trainer){.config = *config, .train = train, .val = config->val_batches ? val : NULL};
    /* The configuration, the lengths of the files, and their ids. */
    Status s = trainer_check(config);
    if (!s)
        s = token_file_check_context(train, config->model.context_length);
    if (!s && trainer->val)
        s = token_file_check_context(val, config->model.context_length);
    if (!s)
        s = token_file_check_ids(train);
    if (!s && trainer->val)
        s = token_file_check_ids(val);
    if (!s)
        s = allocate(trainer);
    if (s) {
        trainer_deinit(trainer);
        return s;
    }
    if (config->no_decay_norms)
        exempt_norms_from_decay(trainer->parameters);
    /* Initial weights, and the generator of batches. */
    Rng weights = rng_stream(config->seed, STREAM_WEIGHTS);
    transformer_lm_initialise(&trainer->lm, &weights);
    trainer->batches = rng_stream(config->seed, STREAM_BATCHES);
    return CS336_OK;
}

size_t trainer_bytes(const Trainer *trainer)
{
    const size_t numbers = transformer_lm_parameter_count(&trainer->config.model);
    return trainer->memory.capacity + trainer->scratch.capacity +
           gradient_exchange_bytes(numbers, (size_t)ranks_count()) +
           (trainer->shard ? trainer->shard->memory.capacity : 0);
}

void trainer_deinit(Trainer *trainer)
{
    optimizer_shard_destroy(trainer->shard);
    gradient_exchange_destroy(trainer->exchange);
    arena_deinit(&trainer->memory);
    arena_deinit(&trainer->scratch);
    *trainer = (Trainer){0};
}

/* ---- steps ---- */

/* The functions of a step's GradientObserver, whose context is the trainer. */
static void note_output(void *context, size_t layer, Tensor output)
{
    layer_norms_add_output(&((Trainer *)context)->norms, layer, output);
}

static void note_gradient(void *context, Tensor grad)
{
    gradient_exchange_ready(((Trainer *)context)->exchange, grad);
}

/* Draws a piece of a batch from the file and computes its loss; unless grad is NULL, also its gradients. */
static Status loss_of_piece(Trainer *trainer, float *loss, TransformerLM *grad, const TokenFile *file, Rng *rng,
                            const GradientObserver *observer)
{
    const size_t rows = trainer_piece_size(&trainer->config), context = trainer->config.model.context_length;
    const TokenTensor inputs = tokens(trainer->inputs, rows, context);
    const TokenTensor targets = tokens(trainer->targets, rows, context);
    const bool shared = grad && trainer_shares_memory(&trainer->config);
    const Status s = get_batch(trainer->inputs, trainer->targets, file, rows, context, "cpu", rng);
    return s ? s
             : (shared ? transformer_lm_loss_and_gradients : transformer_lm_loss)(loss, grad, &trainer->lm, inputs,
                                                                                  targets, observer, &trainer->scratch);
}

/*
 * Computes the mean loss of this rank's part of a batch, piece by piece; drawn in pieces and parts, the windows are
 * those of the whole batch. Unless grad is NULL, grad becomes the sum of the gradients of the pieces' mean losses.
 * Summed over all ranks, that is the gradient of the batch's mean loss times trainer_pieces().
 */
static Status loss_of_part(Trainer *trainer, double *loss, TransformerLM *grad, const TokenFile *file, Rng *rng,
                           bool measure)
{
    const TrainerConfig *config = &trainer->config;
    const size_t pieces = own_pieces(config), part = pieces * trainer_piece_size(config);
    const size_t before = (size_t)ranks_own() * part, after = config->batch_size - before - part;
    GradientObserver observer = {.output = measure ? note_output : NULL, .context = trainer};
    double sum = 0;
    Status s = CS336_OK;
    skip_batch(file, before, config->model.context_length, rng);
    for (size_t i = 0; !s && i < pieces; i++) {
        float piece_loss = 0;
        /* The gradients of all pieces are complete in the last one. */
        observer.ready = trainer->exchange && i + 1 == pieces ? note_gradient : NULL;
        s = loss_of_piece(trainer, &piece_loss, grad, file, rng, grad ? &observer : NULL);
        sum += (double)piece_loss;
    }
    skip_batch(file, after, config->model.context_length, rng);
    *loss = sum / (double)pieces;
    return s;
}

/*
 * Computes the loss of a batch, its gradients times trainer_pieces(), and the norm of the gradients. With several ranks
 * the gradients become those of the whole batch meanwhile, and a rank that fails makes all fail.
 */
static Status gradients_of_batch(Trainer *trainer, double *loss, double *grad_norm, Rng *batches, bool measure)
{
    const bool shared = trainer_shares_memory(&trainer->config);
    if (trainer->exchange)
        gradient_exchange_begin(trainer->exchange);
    Status s = loss_of_part(trainer, loss, &trainer->grad, trainer->train, batches, measure);
    if (!s && shared)
        transformer_lm_list_gradients(trainer->parameters, &trainer->grad);
    if (trainer->exchange) {
        const ExchangeResult result = gradient_exchange_finish(trainer->exchange, s != CS336_OK);
        double sums[] = {*loss, result.sum_of_squares, s != CS336_OK};
        ranks_sum(sums, sizeof sums / sizeof *sums);
        *loss = sums[0] / ranks_count();
        *grad_norm = sqrt(sums[1]);
        trainer->exchange_seconds = result.seconds;
        trainer->exchange_wait_seconds = result.waited;
        s = sums[2] > 0 ? ranks_agree(s) : CS336_OK;
    } else if (!s) {
        s = gradient_norm(grad_norm, trainer->parameters);
    }
    *grad_norm /= (double)trainer_pieces(&trainer->config);
    return s;
}

/* Measures the norms of the layers. With shares of the optimizer this rank has only the gradients of its pieces. */
static void measure_layers(Trainer *trainer, double grad_factor)
{
    if (trainer->shard)
        optimizer_shard_follow(trainer->shard, trainer->parameters);
    layer_norms_finish(&trainer->norms, trainer->shard ? trainer->shard->pieces : trainer->parameters,
                       trainer->shard != NULL, grad_factor);
}

/*
 * Divides the gradients by the number of pieces, clips them and updates the weights, in one pass over the parameters.
 * It also sets accumulated gradients to 0. With shares of the optimizer each rank updates its part, and gets the
 * others.
 */
static Status update_weights(Trainer *trainer, double grad_factor, size_t step, const AdamWConfig *adamw)
{
    const bool shared = trainer_shares_memory(&trainer->config);
    if (!trainer->shard)
        return (shared ? adamw_step_scaled : adamw_step_and_clear)(trainer->parameters, grad_factor, step, adamw);
    optimizer_shard_follow(trainer->shard, trainer->parameters);
    const Status s = adamw_step_scaled(trainer->shard->pieces, grad_factor, step, adamw);
    if (s)
        return s;
    const double seconds = gradient_exchange_gather_values(trainer->exchange);
    trainer->exchange_seconds += seconds;
    trainer->exchange_wait_seconds += seconds;
    if (!shared)
        parameters_zero_grad(trainer->parameters);
    return CS336_OK;
}

/* Returns x. A NaN loses its sign: that of an x86 CPU has a minus, which printf() would show. */
static double plain_nan(double x)
{
    return isnan(x) ? (double)NAN : x;
}

Status trainer_step(Trainer *trainer, float *loss, double *grad_norm)
{
    const TrainerConfig *config = &trainer->config;
    const size_t step = trainer->step + 1;
    AdamWConfig adamw = config->adamw;
    adamw.lr = cosine_schedule_lr(&config->schedule, step);

    /* Loss and gradients of a batch. Only their norm is divided by the number of pieces here. */
    const double pieces = (double)trainer_pieces(config);
    Rng first_batch = rng_stream(config->seed, STREAM_BATCHES);
    Rng *batches = config->overfit_one_batch ? &first_batch : &trainer->batches;
    const Rng batches_before = *batches;
    const bool measure = trainer->measure_norms && config->log_norms;
    const bool shared = trainer_shares_memory(config);
    double batch_loss = 0;
    if (measure)
        layer_norms_clear(&trainer->norms);
    *grad_norm = 0;
    Status s = gradients_of_batch(trainer, &batch_loss, grad_norm, batches, measure);
    *loss = (float)batch_loss;
    if (!s && !(isfinite(*loss) && isfinite(*grad_norm)))
        s = status_fail(CS336_ERANGE,
                        "step %zu: the loss is %g and the gradient norm %g, expected finite numbers; a lower learning "
                        "rate may help",
                        step, plain_nan((double)*loss), plain_nan(*grad_norm));

    if (!s && measure)
        measure_layers(trainer, 1 / pieces);

    const double max_norm = config->max_grad_norm > 0 ? config->max_grad_norm : INFINITY;
    if (!s)
        s = update_weights(trainer, clip_factor(*grad_norm, max_norm) / pieces, step, &adamw);

    /* After a failure the weights are unchanged, but numbers are drawn, and some gradients may be computed. */
    if (s)
        *batches = batches_before;
    if (shared)
        arena_release_end(&trainer->scratch);
    else if (s)
        parameters_zero_grad(trainer->parameters);
    if (!s)
        trainer->step = step;
    return s;
}

Status trainer_validate(Trainer *trainer, double *loss, const atomic_int *stop)
{
    Rng rng = rng_stream(trainer->config.seed, STREAM_VALIDATION); /* the same windows each time */
    double sum = 0;
    bool left = false; /* the same on all ranks */
    Status s = CS336_OK;
    for (size_t i = 0; !left && i < trainer->config.val_batches; i++) {
        double part_loss = 0;
        left = ranks_any(s || parallel_stop_asked(stop));
        if (!left)
            s = loss_of_part(trainer, &part_loss, NULL, trainer->val, &rng, false);
        sum += (double)(float)part_loss;
    }
    s = ranks_agree(s);
    if (!s && left)
        s = status_fail(CS336_EINTERRUPTED, "trainer_validate: asked to stop");
    if (s)
        return s;
    ranks_sum(&sum, 1);
    *loss = sum / (double)(trainer->config.val_batches * (size_t)ranks_count());
    return CS336_OK;
}
