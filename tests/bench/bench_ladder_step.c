/* Times each optimisation of the training step and of decoding beside the code without it: docs/performance.md. */
#include "core/arena.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "kernels/matmul.h"
#include "kernels/vecmath.h"
#include "nn/functional.h"
#include "nn/linear.h"
#include "nn/linear_cross_entropy.h"
#include "optim/adamw.h"
#include "optim/clip.h"
#include "tests/bench/bench.h"
#include "tests/bench/ladder.h"
#include "tests/bench/work.h"

#include <math.h>
#include <stdio.h>

/* The reference model, a batch of 8 x 256 tokens. */
enum { ROWS = 2048, D_MODEL = 512, D_FF = 1344, VOCAB = 10000 };

/* Returns the largest difference of two arrays. Both sides of a row must compute the same. */
static double difference(const float *x, const float *y, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)x[i] - (double)y[i]));
    return most;
}

/* ---- linear maps of the same input: separate products, or one product ---- */

enum { MOST_MAPS = 3 };

typedef struct {
    size_t count, d_out;
    Linear map, grad;                         /* all maps as one, (count * d_out, D_MODEL) */
    Linear maps[MOST_MAPS], grads[MOST_MAPS]; /* each map: some rows of the one above */
    Tensor x, grad_x;                         /* (ROWS, D_MODEL) */
    Tensor y, grad_y;                         /* (ROWS, count * d_out) */
} Maps;

static double apart(void *context)
{
    Maps *x = context;
    const double start = bench_now();
    for (size_t i = 0; i < x->count; i++)
        bench_require(linear_forward(tensor_slice(x->y, -1, i * x->d_out, x->d_out), x->x, &x->maps[i]));
    for (size_t i = 0; i < x->count; i++)
        bench_require((i == 0 ? linear_backward : linear_backward_add)(
            x->grad_x, &x->grads[i], tensor_slice(x->grad_y, -1, i * x->d_out, x->d_out), x->x, &x->maps[i]));
    return bench_now() - start;
}

static double joined(void *context)
{
    Maps *x = context;
    const double start = bench_now();
    bench_require(linear_forward(x->y, x->x, &x->map));
    bench_require(linear_backward(x->grad_x, &x->grad, x->grad_y, x->x, &x->map));
    return bench_now() - start;
}

static Tensor random_rows(size_t rows, size_t columns)
{
    return tensor(bench_numbers(rows * columns), rows, columns);
}

static void maps_row(const char *name, size_t count, size_t d_out)
{
    if (!bench_selected(name))
        return;
    const size_t width = count * d_out;
    Maps x = {.count = count,
              .d_out = d_out,
              .map.weight = random_rows(width, D_MODEL),
              .grad.weight = random_rows(width, D_MODEL),
              .x = random_rows(ROWS, D_MODEL),
              .grad_x = random_rows(ROWS, D_MODEL),
              .y = random_rows(ROWS, width),
              .grad_y = random_rows(ROWS, width)};
    for (size_t i = 0; i < count; i++) {
        x.maps[i].weight = tensor_slice(x.map.weight, 0, i * d_out, d_out);
        x.grads[i].weight = tensor_slice(x.grad.weight, 0, i * d_out, d_out);
    }
    bench_row(&(BenchRow){.name = name,
                          BENCH_MILLISECONDS,
                          .ours = {.run = joined, .context = &x},
                          .peers = {{"apart", apart, &x}},
                          .limit = BENCH_FMA,
                          .amount = 3 * 2.0 * ROWS * D_MODEL * (double)width});
    const Tensor *const all[] = {&x.map.weight, &x.grad.weight, &x.x, &x.grad_x, &x.y, &x.grad_y};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        memory_release(all[i]->data);
}

/* ---- the loss: logits of all tokens, or of a chunk at a time ---- */

typedef struct {
    Linear lm_head, grad;
    Tensor x, grad_x;
    TokenTensor targets;
    float loss;
} Loss;

static double all_logits(void *context)
{
    Loss *x = context;
    Tensor logits = random_rows(ROWS, VOCAB), log_sum_exp = random_rows(ROWS, 1);
    const double start = bench_now();
    bench_require(linear_forward(logits, x->x, &x->lm_head));
    bench_require(cross_entropy_forward(&x->loss, log_sum_exp, logits, x->targets));
    bench_require(cross_entropy_backward(logits, log_sum_exp, logits, x->targets));
    bench_require(linear_backward(x->grad_x, &x->grad, logits, x->x, &x->lm_head));
    const double end = bench_now();
    memory_release(logits.data);
    memory_release(log_sum_exp.data);
    return end - start;
}

static double in_chunks(void *context)
{
    Loss *x = context;
    Arena scratch;
    bench_require(arena_init(&scratch, linear_cross_entropy_scratch(x->x, &x->lm_head)));
    const double start = bench_now();
    bench_require(linear_cross_entropy(&x->loss, x->grad_x, &x->grad, x->x, x->targets, &x->lm_head, &scratch));
    const double end = bench_now();
    arena_deinit(&scratch);
    return end - start;
}

/* Returns the peak memory of a run. The workspace of the threads is included. */
static double bytes_of(BenchRun *run, void *context)
{
    parallel_release();
    memory_reset_peak();
    const size_t before = memory_in_use();
    run(context);
    return (double)(memory_peak() - before);
}

static double bytes_of_all_logits(void *context)
{
    return bytes_of(all_logits, context);
}

static double bytes_of_chunks(void *context)
{
    return bytes_of(in_chunks, context);
}

/* True if both ways give the same loss and gradient. */
static bool same_loss(Loss *x)
{
    const size_t n = ROWS * D_MODEL;
    bool same = true;
    in_chunks(x);
    const float loss = x->loss;
    float *grad_x = memory_allocate(n * sizeof *grad_x);
    if (!grad_x)
        bench_require(status_fail(CS336_ENOMEM, "no memory for a gradient"));
    tensor_copy(tensor(grad_x, ROWS, D_MODEL), x->grad_x);
    all_logits(x);
    same = fabsf(loss - x->loss) <= 1e-5f * loss && difference(grad_x, x->grad_x.data, n) <= 1e-7;
    memory_release(grad_x);
    return same;
}

static double other_loss(void *context)
{
    (void)context;
    return bench_failed("the chunks give another loss");
}

static void loss_rows(void)
{
    const char *time = "ladder step loss in chunks", *memory = "ladder step loss in chunks memory";
    if (!bench_selected(time) && !bench_selected(memory))
        return;
    static int32_t ids[ROWS];
    for (size_t i = 0; i < ROWS; i++)
        ids[i] = (int32_t)(i * 7919 % VOCAB);
    Loss x = {.lm_head.weight = random_rows(VOCAB, D_MODEL),
              .grad.weight = random_rows(VOCAB, D_MODEL),
              .x = random_rows(ROWS, D_MODEL),
              .grad_x = random_rows(ROWS, D_MODEL),
              .targets = tokens(ids, ROWS)};
    const bool same = same_loss(&x);
    bench_row(&(BenchRow){.name = time,
                          BENCH_MILLISECONDS,
                          .ours = {.run = same ? in_chunks : other_loss, .context = &x},
                          .peers = {{"all logits", all_logits, &x}},
                          .limit = BENCH_FMA,
                          .amount = 3 * 2.0 * ROWS * D_MODEL * VOCAB});
    bench_row(&(BenchRow){.name = memory,
                          .unit = "MB",
                          .scale = 1e-6,
                          .ours = {.run = bytes_of_chunks, .context = &x},
                          .peers = {{"all logits", bytes_of_all_logits, &x}},
                          .rounds = 1});
    const Tensor *const all[] = {&x.lm_head.weight, &x.grad.weight, &x.x, &x.grad_x};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        memory_release(all[i]->data);
}

/* ---- SwiGLU: function by function over all rows, or row by row ---- */

typedef struct {
    Tensor up, gate, grad;                              /* (ROWS, D_FF); grad is the gradient of hidden */
    Tensor silu, hidden, grad_silu, grad_up, grad_gate; /* results that one function passes to the next */
} SwiGLU;

/* Computes y = a b, element by element. */
static void multiply(Tensor y, Tensor a, Tensor b)
{
#pragma omp parallel for
    for (size_t i = 0; i < (size_t)ROWS * D_FF; i++)
        y.data[i] = a.data[i] * b.data[i];
}

static double by_functions(void *context)
{
    const SwiGLU *x = context;
    const double start = bench_now();
    bench_require(silu_forward(x->silu, x->up));
    multiply(x->hidden, x->silu, x->gate);
    multiply(x->grad_gate, x->grad, x->silu);
    multiply(x->grad_silu, x->grad, x->gate);
    bench_require(silu_backward(x->grad_up, x->grad_silu, x->up));
    return bench_now() - start;
}

/* Works as the layer does: backward overwrites up and gate by their gradients, and grad by the hidden numbers. */
static double by_rows(void *context)
{
    const SwiGLU *x = context;
    const double start = bench_now();
#pragma omp parallel for
    for (size_t row = 0; row < ROWS; row++)
        vecmath()->swiglu(tensor_row(x->hidden, row), tensor_row(x->up, row), tensor_row(x->gate, row), D_FF);
#pragma omp parallel for
    for (size_t row = 0; row < ROWS; row++) {
        float *up = tensor_row(x->up, row), *gate = tensor_row(x->gate, row), *grad = tensor_row(x->grad, row);
        vecmath()->swiglu_backward(up, gate, grad, grad, up, gate, D_FF);
    }
    return bench_now() - start;
}

static void swiglu_row(void)
{
    const char *name = "ladder step SwiGLU row by row";
    if (!bench_selected(name))
        return;
    Tensor t[8];
    for (int i = 0; i < 8; i++)
        t[i] = random_rows(ROWS, D_FF);
    SwiGLU x = {t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7]};
    bench_row(&(BenchRow){.name = name,
                          BENCH_MILLISECONDS,
                          .ours = {.run = by_rows, .context = &x},
                          .peers = {{"by functions", by_functions, &x}}});
    for (int i = 0; i < 8; i++)
        memory_release(t[i].data);
}

/* ---- the optimizer: one pass each for clipping, AdamW and clearing, or two passes for all ---- */

enum { PARAMETERS = 22700000 }; /* of the reference model */

static const AdamWConfig adamw = {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1};

typedef struct {
    ParameterList list; /* one parameter; every run starts from the same gradient */
    Tensor grad;
} Optimizer;

static double in_passes(void *context)
{
    const Optimizer *x = context;
    tensor_copy(x->list.items->grad, x->grad);
    const double start = bench_now();
    bench_require(clip_gradients(NULL, x->list, 1));
    bench_require(adamw_step(x->list, 1, &adamw));
    parameters_zero_grad(x->list);
    return bench_now() - start;
}

static double in_two_passes(void *context)
{
    const Optimizer *x = context;
    double norm;
    tensor_copy(x->list.items->grad, x->grad);
    const double start = bench_now();
    bench_require(gradient_norm(&norm, x->list));
    bench_require(adamw_step_and_clear(x->list, clip_factor(norm, 1), 1, &adamw));
    return bench_now() - start;
}

static void optimizer_row(void)
{
    const char *name = "ladder step optimizer in two passes";
    if (!bench_selected(name))
        return;
    Tensor t[5];
    for (int i = 0; i < 5; i++)
        t[i] = tensor(bench_numbers(PARAMETERS), PARAMETERS);
    for (size_t i = 0; i < PARAMETERS; i++)
        t[3].data[i] *= t[3].data[i]; /* a second moment is an average of squares, so not negative */
    Parameter parameter = {.name = "weight", .value = t[0], .grad = t[1], .first_moment = t[2], .second_moment = t[3]};
    Optimizer x = {{&parameter, 1}, t[4]};
    bench_row(&(BenchRow){.name = name,
                          BENCH_MILLISECONDS,
                          .ours = {.run = in_two_passes, .context = &x},
                          .peers = {{"pass by pass", in_passes, &x}},
                          .limit = BENCH_BANDWIDTH,
                          .amount = 9.0 * sizeof(float) *
                                    PARAMETERS}); /* the norm reads one array; AdamW reads and writes four */
    for (int i = 0; i < 5; i++)
        memory_release(t[i].data);
}

/* ---- the all_logits step ---- */

enum { BATCH = 8 };

static double by_one_thread(void *context)
{
    const int threads = parallel_threads();
    parallel_set_threads(1);
    const double seconds = step_work_run(context);
    parallel_set_threads(threads);
    return seconds;
}

static void whole_row(const char *name, DType dtype, BenchRun *run, const char *peer_name, BenchRun *peer)
{
    if (!bench_selected(name))
        return;
    StepWork ours, float32;
    bench_require(step_work_init(&ours, BATCH, dtype));
    bench_require(step_work_init(&float32, BATCH, DTYPE_FLOAT32));
    bench_row(&(BenchRow){.name = name,
                          .unit = "tokens/s",
                          .scale = ROWS,
                          .rate = true,
                          .ours = {.run = run, .context = &ours},
                          .peers = {{peer_name, peer, &float32}},
                          .limit = BENCH_FMA,
                          .amount = step_operations(BATCH)});
    step_work_deinit(&ours);
    step_work_deinit(&float32);
}

/* ---- decoding: one token's row times a weight ---- */

enum { TOKEN_D = 512, TOKEN_VOCAB = 32000, TILE = 8 };

typedef struct {
    float *weight, *x, *y, *work;
} Token;

static double unpacked(void *context)
{
    const Token *t = context;
    bench_require(matmul_reserve());
    const double start = bench_now();
    matmul((Matrix){t->y, TOKEN_VOCAB, 1}, (ConstMatrix){t->x, TOKEN_D, 1}, (ConstMatrix){t->weight, 1, TOKEN_D}, 1,
           TOKEN_VOCAB, TOKEN_D, 1, 0);
    return bench_now() - start;
}

/* The ladder's product. Its smallest register tile has eight rows, so seven rows are computed in vain. */
static double packed(void *context)
{
    const Token *t = context;
    const double start = bench_now();
    ladder_vectors()->blocks(t->y, t->x, t->weight, TILE, TOKEN_VOCAB, TOKEN_D, t->work);
    return bench_now() - start;
}

static void token_row(void)
{
    const char *name = "ladder decode rows without panels";
    if (!bench_selected(name))
        return;
    const size_t weights = (size_t)TOKEN_D * TOKEN_VOCAB;
    const size_t work = weights + (size_t)parallel_threads() * LADDER_BLOCK;
    Token token = {bench_numbers(weights), bench_numbers((size_t)TILE * TOKEN_D),
                   bench_numbers((size_t)TILE * TOKEN_VOCAB), bench_numbers(work)};
    bench_row(&(BenchRow){.name = name,
                          BENCH_MILLISECONDS,
                          .ours = {.run = unpacked, .context = &token},
                          .peers = {{"packed panels", packed, &token}},
                          .limit = BENCH_BANDWIDTH,
                          .amount = (double)sizeof(float) * (double)weights});
    memory_release(token.weight);
    memory_release(token.x);
    memory_release(token.y);
    memory_release(token.work);
}

void bench_ladder_step(void)
{
    maps_row("ladder step q, k, v as one product", 3, D_MODEL);
    maps_row("ladder step w1, w3 as one product", 2, D_FF);
    swiglu_row();
    loss_rows();
    optimizer_row();
    whole_row("ladder step all threads", DTYPE_FLOAT32, step_work_run, "one thread", by_one_thread);
    whole_row("ladder step bf16", DTYPE_BF16, step_work_run, "float32", step_work_run);
    token_row();
}
