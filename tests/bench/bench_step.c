/* Times training steps of the reference model beside PyTorch and llm.c, and AdamW alone. */
#include "core/memory.h"
#include "optim/adamw.h"
#include "tests/bench/bench.h"
#include "tests/bench/llmc.h"
#include "tests/bench/work.h"

enum { BATCH = 8 };

/* Returns a row in tokens a second. The caller adds the peers. */
static BenchRow step_row(const char *name, StepWork *work)
{
    return (BenchRow){.name = name,
                      .unit = "tokens/s",
                      .scale = BATCH * (double)work->trainer.config.model.context_length,
                      .rate = true,
                      .ours = {.run = step_work_run, .context = work},
                      .limit = BENCH_FMA,
                      .amount = step_operations(BATCH)};
}

static void beside_torch(const char *name, DType dtype)
{
    if (!bench_selected(name))
        return;
    const char *torch_dtype = dtype == DTYPE_FLOAT32 ? "float32" : "bfloat16";
    BenchQuestion sdpa = bench_question(&bench_torch, "step sdpa %s %d", torch_dtype, BATCH),
                  compiled = bench_question(&bench_torch, "step compile float32 %d", BATCH);
    StepWork work;
    bench_require(step_work_init(&work, BATCH, dtype));
    BenchRow row = step_row(name, &work);
    row.peers[0] = (BenchSide){dtype == DTYPE_FLOAT32 ? "PyTorch" : "PyTorch autocast", bench_ask, &sdpa};
    if (dtype == DTYPE_FLOAT32)
        row.peers[1] = (BenchSide){"PyTorch compile", bench_ask, &compiled};
    else
        row.limit = BENCH_BF16;
    bench_row(&row);
    step_work_deinit(&work);
}

/* llm.c validates on five batches before it trains, so it has only one turn. Ours has three runs in its one turn. */
static double best_of_three(void *work)
{
    double best = step_work_run(work);
    for (int i = 1; i < 3; i++) {
        const double seconds = step_work_run(work);
        best = seconds < best ? seconds : best;
    }
    return best;
}

static void beside_llmc(void)
{
    const char *name = "step float32 batch 8 against llm.c";
    if (!bench_selected(name))
        return;
    StepWork work;
    bench_require(step_work_init(&work, BATCH, DTYPE_FLOAT32));
    BenchRow row = step_row(name, &work);
    row.ours.run = best_of_three;
    row.peers[0] = (BenchSide){"llm.c", llmc_step, NULL};
    row.rounds = 1;
    bench_row(&row);
    step_work_deinit(&work);
}

/* ---- AdamW ---- */

static double adamw_run(void *context)
{
    const ParameterList *list = context;
    const AdamWConfig config = {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1};
    const double start = bench_now();
    const Status s = adamw_step(*list, 1, &config);
    return s ? bench_failed("%s", status_message()) : bench_now() - start;
}

static void adamw_row(void)
{
    const char *name = "adamw 22M parameters";
    if (!bench_selected(name))
        return;
    const size_t n = 22000000;
    Parameter parameter = {.name = "weight",
                           .value = tensor(bench_numbers(n), n),
                           .grad = tensor(bench_numbers(n), n),
                           .first_moment = tensor(bench_numbers(n), n),
                           .second_moment = tensor(bench_numbers(n), n)};
    for (size_t i = 0; i < n; i++)
        parameter.second_moment.data[i] *= parameter.second_moment.data[i];
    ParameterList list = {&parameter, 1};
    BenchQuestion question = bench_question(&bench_torch, "adamw %zu", n);
    bench_row(&(BenchRow){.name = name,
                          BENCH_MILLISECONDS,
                          .ours = {.run = adamw_run, .context = &list},
                          .peers = {{"PyTorch fused", bench_ask, &question}},
                          .limit = BENCH_BANDWIDTH,
                          .amount = 7.0 * sizeof(float) * (double)n}); /* four arrays are read, three written */
    memory_release(parameter.value.data);
    memory_release(parameter.grad.data);
    memory_release(parameter.first_moment.data);
    memory_release(parameter.second_moment.data);
}

void bench_step(void)
{
    beside_torch("step float32 batch 8", DTYPE_FLOAT32);
    beside_torch("step bf16 batch 8", DTYPE_BF16);
    beside_llmc();
    adamw_row();
}
