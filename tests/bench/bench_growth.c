/* Measures how time and memory grow: of attention with the sequence, and of a training step with the batch. */
#include "tests/bench/bench.h"
#include "tests/bench/chart.h"
#include "tests/bench/report.h"
#include "tests/bench/work.h"

#include <math.h>
#include <stdio.h>

/* Times one head of 64 numbers, forward and backward. */
static BenchResult sdpa_time(const char *name, size_t length)
{
    if (!bench_selected(name))
        return (BenchResult){NAN, NAN, NAN};
    const SdpaShape shape = {1, 1, length, 64};
    BenchQuestion question = bench_question(&bench_torch, "sdpa both 1 1 %zu 64", length);
    SdpaWork work;
    sdpa_work_init(&work, shape, true);
    const BenchResult result = bench_row(&(BenchRow){.name = name,
                                                     BENCH_MILLISECONDS,
                                                     .ours = {.run = sdpa_work_run, .context = &work},
                                                     .peers = {{"PyTorch", bench_ask, &question}},
                                                     .limit = BENCH_FMA,
                                                     .amount = sdpa_operations(shape, true),
                                                     .rounds = 1});
    sdpa_work_deinit(&work);
    return result;
}

static BenchResult step_speed(const char *name, size_t batch)
{
    if (!bench_selected(name))
        return (BenchResult){NAN, NAN, NAN};
    BenchQuestion question = bench_question(&bench_torch, "step sdpa float32 %zu", batch);
    StepWork work;
    bench_require(step_work_init(&work, batch, DTYPE_FLOAT32));
    const BenchResult result =
        bench_row(&(BenchRow){.name = name,
                              .unit = "tokens/s",
                              .scale = (double)(batch * work.trainer.config.model.context_length),
                              .rate = true,
                              .ours = {.run = step_work_run, .context = &work},
                              .peers = {{"PyTorch", bench_ask, &question}},
                              .limit = BENCH_FMA,
                              .amount = step_operations(batch),
                              .rounds = 2});
    step_work_deinit(&work);
    return result;
}

static BenchResult peak(const char *name, BenchQuestion ours, BenchQuestion torch)
{
    return bench_row(&(BenchRow){.name = name,
                                 BENCH_MEGABYTES,
                                 .ours = {.run = bench_ask_peak, .context = &ours},
                                 .peers = {{"PyTorch", bench_ask_peak, &torch}},
                                 .rounds = 1});
}

static BenchResult sdpa_peak(const char *name, size_t length)
{
    return peak(name, bench_question(&bench_ours_in_a_child, "sdpa both 1 1 %zu 64", length),
                bench_question(&bench_torch, "sdpa both 1 1 %zu 64", length));
}

static BenchResult step_peak(const char *name, size_t batch)
{
    return peak(name, bench_question(&bench_ours_in_a_child, "step float32 %zu", batch),
                bench_question(&bench_torch, "step sdpa float32 %zu", batch));
}

/* Measures a row "growth NAME X" for each x, and adds its figures to a curve. */
static void grow(ChartCurve *curve, const char *name, const size_t *x, size_t count,
                 BenchResult (*measure)(const char *name, size_t x))
{
    for (size_t i = 0; i < count; i++) {
        char row[80];
        snprintf(row, sizeof row, "growth %s %zu", name, x[i]);
        const BenchResult result = measure(row, x[i]);
        chart_add(curve, (double)x[i], result.ours, result.peer);
    }
}

void bench_growth(void)
{
    static const size_t lengths[] = {256, 1024, 4096, 16384, 65536}, batches[] = {1, 2, 4, 8, 16, 32};
    const size_t length_count = sizeof lengths / sizeof *lengths, batch_count = sizeof batches / sizeof *batches;
    ChartCurve time = {.x = "sequence length", .y = "ms, forward and backward, one head of 64", .log_y = true},
               memory = {.x = "sequence length", .y = "MB, peak of the process", .log_y = true};
    grow(&time, "sdpa time, length", lengths, length_count, sdpa_time);
    grow(&memory, "sdpa memory, length", lengths, length_count, sdpa_peak);
    bench_require(
        chart_curves(report_path("growth_sdpa.svg"), "Causal attention", (const ChartCurve *[]){&time, &memory}, 2));

    ChartCurve speed = {.x = "batch of sequences of 256", .y = "tokens a second"},
               step_memory = {.x = "batch of sequences of 256", .y = "MB, peak of the process"};
    grow(&speed, "step speed, batch", batches, batch_count, step_speed);
    grow(&step_memory, "step memory, batch", batches, batch_count, step_peak);
    bench_require(chart_curves(report_path("growth_step.svg"), "Training step of the reference model",
                               (const ChartCurve *[]){&speed, &step_memory}, 2));
}
