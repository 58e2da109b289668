/* Times causal scaled dot-product attention in float32 beside PyTorch and the FMA peak. */
#include "core/parallel.h"
#include "tests/bench/bench.h"
#include "tests/bench/work.h"

#include <stdio.h>

/* The reference model's heads, GPT-2's, and a long context. */
static const SdpaShape shapes[] = {{8, 16, 256, 32}, {4, 12, 1024, 64}, {1, 8, 4096, 64}};

static void sdpa_row(SdpaShape s, bool backward)
{
    char name[80];
    snprintf(name, sizeof name, "sdpa %s %zux%zux%zux%zu", backward ? "forward+backward" : "forward", s.batch, s.heads,
             s.length, s.d);
    if (!bench_selected(name))
        return;
    BenchQuestion question = bench_question(&bench_torch, "sdpa %s %zu %zu %zu %zu", backward ? "both" : "forward",
                                            s.batch, s.heads, s.length, s.d);
    SdpaWork work;
    sdpa_work_init(&work, s, backward);
    bench_row(&(BenchRow){.name = name,
                          BENCH_MILLISECONDS,
                          .ours = {.run = sdpa_work_run, .context = &work},
                          .peers = {{"PyTorch", bench_ask, &question}},
                          .limit = BENCH_FMA,
                          .amount = sdpa_operations(s, backward)});
    sdpa_work_deinit(&work);
}

void bench_sdpa(void)
{
    for (int backward = 0; backward < 2; backward++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            sdpa_row(shapes[i], backward != 0);
}
