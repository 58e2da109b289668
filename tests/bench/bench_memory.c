/* Measures the peak memory of a whole process, program and libraries included; a fresh one for each figure. */
#include "tests/bench/bench.h"
#include "tests/bench/work.h"

#include <stdio.h>

static void memory_row(const char *name, const char *ours, const char *torch)
{
    BenchQuestion our_question = bench_question(&bench_ours_in_a_child, "%s", ours),
                  torch_question = bench_question(&bench_torch, "%s", torch);
    bench_row(&(BenchRow){.name = name,
                          BENCH_MEGABYTES,
                          .ours = {.run = bench_ask_peak, .context = &our_question},
                          .peers = {{"PyTorch", bench_ask_peak, &torch_question}},
                          .rounds = 1});
}

void bench_memory(void)
{
    memory_row("memory step float32 batch 8", "step float32 8", "step sdpa float32 8");
    memory_row("memory step float32 batch 32", "step float32 32", "step sdpa float32 32");
    memory_row("memory step bf16 batch 8", "step bfloat16 8", "step sdpa bfloat16 8");
    memory_row("memory sdpa forward+backward 1x1x65536x64", "sdpa both 1 1 65536 64", "sdpa both 1 1 65536 64");
}
