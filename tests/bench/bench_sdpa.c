/* Times causal scaled dot-product attention, float32 and bf16, beside PyTorch and the peaks. */
#include "core/parallel.h"
#include "tests/bench/bench.h"
#include "tests/bench/work.h"

#include <stdio.h>

/* The reference model's heads, GPT-2's, and a long context. */
static const SdpaShape shapes[] = {{8, 16, 256, 32}, {4, 12, 1024, 64}, {1, 8, 4096, 64}};

/* With bf16, PyTorch's tensors are bfloat16. Ours are float32, as in our models, and rounded when they are packed. */
static void sdpa_row(SdpaShape s, bool bf16, bool backward)
{
    char name[80];
    snprintf(name, sizeof name, "sdpa%s %s %zux%zux%zux%zu", bf16 ? " bf16" : "",
             backward ? "forward+backward" : "forward", s.batch, s.heads, s.length, s.d);
    if (!bench_selected(name))
        return;
    BenchQuestion question = bench_question(&bench_torch, "sdpa %s %zu %zu %zu %zu %s", backward ? "both" : "forward",
                                            s.batch, s.heads, s.length, s.d, bf16 ? "bfloat16" : "float32");
    SdpaWork work;
    sdpa_work_init(&work, s, backward);
    work.bf16 = bf16;
    bench_row(&(BenchRow){.name = name,
                          BENCH_MILLISECONDS,
                          .ours = {.run = sdpa_work_run, .context = &work},
                          .peers = {{bf16 ? "PyTorch bfloat16" : "PyTorch", bench_ask, &question}},
                          .limit = bf16 ? BENCH_BF16 : BENCH_FMA,
                          .amount = sdpa_operations(s, backward)});
    sdpa_work_deinit(&work);
}

void bench_sdpa(void)
{
    for (int bf16 = 0; bf16 < 2; bf16++)
        for (int backward = 0; backward < 2; backward++)
            for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
                sdpa_row(shapes[i], bf16 != 0, backward != 0);
}
