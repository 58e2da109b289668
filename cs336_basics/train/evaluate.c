#include "train/evaluate.h"

#include "core/arena.h"
#include "core/memory.h"
#include "core/plural.h"

#include <math.h>

/* The text, and how it is cut. */
typedef struct {
    const TransformerLM *lm;
    const TokenFile *tokens;
    size_t context, stride, batch_size;
    size_t predicted; /* ids to predict: all but the first */
} Text;

/* Windows of one shape, which the model computes together. */
typedef struct {
    size_t first;   /* position of the first id of the first window */
    size_t windows; /* number of windows */
    size_t length;  /* ids in each */
    size_t counted; /* predictions of each that count: the last ones */
} Batch;

/* Memory of a batch. */
typedef struct {
    int32_t *inputs;  /* (windows, length) */
    int32_t *targets; /* (windows, counted) the ids to predict */
    float *losses;    /* (windows, counted, 1) of the targets */
} Buffers;

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t evaluate_windows(size_t count, size_t context_length, size_t stride)
{
    const size_t predicted = count - 1;
    return predicted <= context_length ? 1 : 1 + (predicted - context_length + stride - 1) / stride;
}

/* Returns the batch whose first window is window k. */
static Batch batch_at(const Text *t, size_t k)
{
    const size_t first = k * t->stride, left = t->predicted - first;
    Batch batch = {.first = first, .windows = 1, .length = smaller(left, t->context)};
    batch.counted = k == 0 ? batch.length : batch.length - (t->context - t->stride);
    /* Windows of the whole context that follow have the same shape. Window 0 has another one if windows overlap. */
    if (left >= t->context && (k > 0 || t->stride == t->context))
        batch.windows = smaller(t->batch_size, 1 + (left - t->context) / t->stride);
    return batch;
}

static Status take(Buffers *buffers, Arena *arena, const Text *t)
{
    const size_t length = smaller(t->predicted, t->context), ids = memory_product(t->batch_size, length);
    buffers->inputs = arena_take(arena, memory_product(ids, sizeof *buffers->inputs));
    buffers->targets = arena_take(arena, memory_product(ids, sizeof *buffers->targets));
    buffers->losses = arena_take(arena, memory_product(ids, sizeof *buffers->losses));
    return arena_status(arena);
}

/* Allocates the buffers and the model's scratch. */
static Status allocate(Buffers *buffers, Arena *memory, const Text *t)
{
    Arena measure = {0};
    Status s = take(buffers, &measure, t);
    arena_expect(&measure, transformer_lm_loss_scratch(t->lm, t->batch_size, smaller(t->predicted, t->context), false));
    const size_t machine = memory_machine();
    if (machine && measure.peak > machine)
        return status_fail(CS336_ENOMEM,
                           "evaluate: a batch of %zu window%s needs %.4g GB of memory, this machine has %.4g GB",
                           t->batch_size, plural(t->batch_size), (double)measure.peak / 1e9, (double)machine / 1e9);
    if (!s)
        s = arena_init(memory, measure.peak);
    return s ? s : take(buffers, memory, t);
}

/* Computes the losses of a batch. Its targets follow one another in the text, also from one window to the next. */
static Status compute(const Buffers *b, const Text *t, const Batch *batch, Arena *scratch)
{
    const size_t first_target = batch->first + batch->length - batch->counted + 1;
    Status s = token_file_read(b->targets, t->tokens, first_target, batch->windows * batch->counted);
    for (size_t i = 0; !s && i < batch->windows; i++)
        s = token_file_read(b->inputs + i * batch->length, t->tokens, batch->first + i * t->stride, batch->length);
    if (s)
        return s;
    return transformer_lm_token_losses(tensor(b->losses, batch->windows, batch->counted, 1), t->lm,
                                       tokens(b->inputs, batch->windows, batch->length),
                                       tokens(b->targets, batch->windows, batch->counted), scratch);
}

static Status check(const TokenFile *tokens, size_t context, size_t stride, size_t batch_size)
{
    if (tokens->count < 2)
        return status_fail(CS336_ERANGE,
                           "evaluate: the text has %zu token%s, expected at least 2: the first one is not predicted",
                           tokens->count, plural(tokens->count));
    if (stride > context)
        return status_fail(CS336_ERANGE, "evaluate: a stride of %zu tokens, expected at most the context length %zu",
                           stride, context);
    return batch_size ? CS336_OK : status_fail(CS336_ERANGE, "evaluate: a batch of 0 windows, expected at least 1");
}

Status evaluate(double *loss, const TransformerLM *lm, const TokenFile *tokens, const EvaluateConfig *config,
                LossReceiver receiver)
{
    const size_t context = lm->config.context_length, stride = config->stride ? config->stride : context;
    Status s = check(tokens, context, stride, config->batch_size);
    if (s)
        return s;
    const size_t windows = evaluate_windows(tokens->count, context, stride);
    const Text text = {.lm = lm,
                       .tokens = tokens,
                       .context = context,
                       .stride = stride,
                       .batch_size = smaller(config->batch_size, windows),
                       .predicted = tokens->count - 1};
    Buffers buffers;
    Arena memory = {0};
    s = allocate(&buffers, &memory, &text);
    double sum = 0;
    for (size_t k = 0; !s && k < windows;) {
        const Batch batch = batch_at(&text, k);
        const size_t count = batch.windows * batch.counted;
        s = compute(&buffers, &text, &batch, &memory);
        for (size_t i = 0; !s && i < count; i++) {
            sum += (double)buffers.losses[i];
            if (!isfinite(buffers.losses[i]))
                s = status_fail(CS336_ERANGE,
                                "evaluate: the loss of the token at position %zu is %g, expected a finite number",
                                batch.first + batch.length - batch.counted + 1 + i, (double)buffers.losses[i]);
        }
        if (!s && receiver.losses)
            s = receiver.losses(receiver.context, buffers.losses, buffers.targets, count);
        k += batch.windows;
    }
    if (!s)
        *loss = sum / (double)text.predicted;
    arena_deinit(&memory);
    return s;
}
