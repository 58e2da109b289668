/*
 * Trains a model of GPT-2-small's size (162 million parameters) in float32 beside PyTorch: tokens a second, and the
 * peak memory of a whole process. The rows are measured only if K selects them, because both sides together take 10 GB.
 */
#include "tests/bench/bench.h"
#include "tests/bench/work.h"

#include <stdlib.h>

enum { BATCH = 2, CONTEXT = 1024 };

static BenchProcess torch_gpt2 = {.name = "PyTorch",
                                  .line = "exec \"${CS336_PYTHON:-python3}\" tests/bench/peers/torch_gpt2_peer.py"};

void bench_gpt2(void)
{
    const char *selection = getenv("K");
    if (!selection || !*selection)
        return;
    /* Ours is a child, too, so that its process ends with its memory. */
    BenchQuestion ours = bench_question(&bench_ours_in_a_child, "gpt2 %d", BATCH),
                  torch = bench_question(&torch_gpt2, "step %d", BATCH);
    bench_row(&(BenchRow){.name = "gpt2 step float32 2x1024",
                          .unit = "tokens/s",
                          .scale = BATCH * CONTEXT,
                          .rate = true,
                          .ours = {.run = bench_ask, .context = &ours},
                          .peers = {{"PyTorch", bench_ask, &torch}},
                          .rounds = 2});
    bench_row(&(BenchRow){.name = "gpt2 memory float32 2x1024",
                          BENCH_MEGABYTES,
                          .ours = {.run = bench_ask_peak, .context = &ours},
                          .peers = {{"PyTorch", bench_ask_peak, &torch}},
                          .rounds = 1});
}
