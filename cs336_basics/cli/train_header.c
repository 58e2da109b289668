#include "cli/train_header.h"

#include "cli/model_options.h"
#include "cli/train_memory.h"
#include "core/parallel.h"
#include "core/plural.h"
#include "core/printable.h"
#include "distributed/ranks.h"
#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "kernels/peak.h"

#include <math.h>
#include <stdio.h>

enum { LABEL_COLUMNS = 9 }; /* each line begins with a label of this width, such as "size     " */

static void print_size(const Trainer *trainer)
{
    const AccountRanks ranks = train_ranks(&trainer->config);
    const double more = ranks.count == 1 ? 0 : account_rank_bytes(&trainer->config.model, &ranks);
    printf("size     %s parameters, %s %s\n",
           count_text((double)transformer_lm_parameter_count(&trainer->config.model)),
           bytes_text((double)trainer_bytes(trainer) + more).text,
           ranks_count() == 1 ? "with gradients, moments and activations"
                              : "for each rank with gradients, moments, activations, the exchange and MPI");
}

static void print_data(const TokenFile *train, const TokenFile *val, size_t vocab_size)
{
    printf("data     %s tokens in %s", count_text((double)train->count), printable(train->path).text);
    if (val)
        printf(", %s to validate", count_text((double)val->count));
    if (train->source_size && train->source_size < vocab_size)
        printf("\n         from a vocabulary of %zu tokens: the model never sees its ids %zu to %zu",
               train->source_size, train->source_size, vocab_size - 1);
    puts("");
}

static void print_run(const TrainerConfig *config)
{
    const double step_tokens = (double)config->batch_size * (double)config->model.context_length;
    printf("run      %zu step%s of %zu x %zu token%s, %s in all\n", config->steps, plural(config->steps),
           config->batch_size, config->model.context_length, plural(config->model.context_length),
           count_text((double)config->steps * step_tokens));
    if (config->grad_accum > 1)
        printf("         each step in %zu pieces of %zu sequence%s\n", config->grad_accum, trainer_piece_size(config),
               plural(trainer_piece_size(config)));
    if (config->overfit_one_batch)
        puts("         each step uses the first batch: the loss should go to about 0");
}

static void print_machine(void)
{
    printf("machine  ");
    if (ranks_count() > 1)
        printf("%d ranks on %d host%s, each ", ranks_count(), ranks_hosts(), plural((size_t)ranks_hosts()));
    printf("%d thread%s, %s%s\n", parallel_threads(), plural((size_t)parallel_threads()), isa_name(isa_in_use()),
           isa_matrix_unit_is_refused() ? "; the CPU has AMX, but its system does not let programs use it" : "");
}

/* Says which type products have, and if it gains nothing on this CPU. The product's speed is measured for it. */
static void print_dtype(DType dtype)
{
    const double slower = dtype == DTYPE_BF16 && !matmul_bf16_is_emulated() ? peak_time_of_bf16() : 0;
    if (dtype == DTYPE_BF16 && matmul_bf16_is_emulated())
        puts("dtype    bf16, emulated: without AVX512_BF16 or AMX it is no faster than float32");
    else if (slower > 1)
        printf("dtype    bf16, slower than float32 on this CPU: a product takes %.2f times as long\n", slower);
    else if (dtype == DTYPE_BF16X3 && matmul_bf16x3_is_emulated())
        puts("dtype    bf16x3, emulated: without AMX it is no faster than float32");
    else if (dtype != DTYPE_FLOAT32)
        printf("dtype    %s\n", dtype_names[dtype]);
}

void train_header_print(const Trainer *trainer, bool has_weights, double loss_floor)
{
    const TrainerConfig *config = &trainer->config;
    model_config_print("model", LABEL_COLUMNS, &config->model);
    if (has_weights)
        printf("weights  from %s\n", printable(config->init_from).text);
    print_size(trainer);
    print_data(trainer->train, trainer->val, config->model.vocab_size);
    print_run(config);
    print_machine();
    print_dtype(config->model.dtype);
    if (!isnan(loss_floor))
        printf("floor    %.4f nats per token: what a perfect model of the data would reach\n", loss_floor);
}
