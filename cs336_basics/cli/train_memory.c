#include "cli/train_memory.h"

#include "cli/model_options.h"
#include "core/memory.h"
#include "distributed/ranks.h"

#include <stdio.h>

/* An option and its value. */
typedef struct {
    const char *name;
    size_t value;
} SizeOption;

/* Returns the size that is the most times its default: the one to make smaller if a run does not fit the machine. */
static SizeOption largest_size(const TrainerConfig *config)
{
    const TransformerLMConfig *model = &config->model;
    const ModelOptions defaults = MODEL_OPTIONS_DEFAULT;
    const struct {
        SizeOption option;
        size_t usual;
    } sizes[] = {
        {{"--batch-size", config->batch_size}, TRAIN_DEFAULT_BATCH_SIZE},
        {{"--context-length", model->context_length}, defaults.context_length},
        {{"--d-model", model->d_model}, defaults.d_model},
        {{"--num-layers", model->num_layers}, defaults.num_layers},
        {{"--d-ff", model->d_ff}, 4 * defaults.d_model},
        {{"--vocab-size", model->vocab_size}, defaults.vocab_size},
    };
    size_t largest = 0;
    for (size_t i = 1; i < sizeof sizes / sizeof *sizes; i++)
        if ((double)sizes[i].option.value / (double)sizes[i].usual >
            (double)sizes[largest].option.value / (double)sizes[largest].usual)
            largest = i;
    return sizes[largest].option;
}

/*
 * Returns the smallest number of pieces with which a step fits the machine; 0 if one sequence does not fit. The whole
 * batch, whose gradients would share memory, does not.
 */
static size_t pieces_that_fit(const TrainerConfig *config, double machine)
{
    const size_t part = config->batch_size / (size_t)ranks_count(); /* of each rank */
    size_t rows; /* of a piece: the largest divisor of the batch size that fits */
    if (account_largest_batch_measured(&rows, &config->model, config->model.context_length, machine, false) ||
        rows == 0)
        return 0;
    rows = rows < part ? rows : part;
    while (part % rows != 0)
        rows--;
    return part / rows;
}

AccountRanks train_ranks(const TrainerConfig *config)
{
    return (AccountRanks){.count = (size_t)ranks_count(),
                          .on_host = (size_t)ranks_on_own_host(),
                          .tokens = memory_product(trainer_piece_size(config), config->model.context_length),
                          .shard_optimizer = config->shard_optimizer};
}

Status train_check_memory(const TrainerConfig *config)
{
    AccountMemory needed;
    const AccountRanks ranks = train_ranks(config);
    const double machine = (double)memory_machine() / ranks_on_own_host(); /* this rank's part */
    const Status s = account_memory_measured(&needed, &config->model, trainer_piece_size(config),
                                             config->model.context_length, trainer_shares_memory(config));
    const double before = s ? 0 : needed.total;
    if (!s)
        account_memory_of_rank(&needed, &config->model, &ranks);
    if (s || machine == 0 || needed.total <= machine)
        return s;
    const SizeOption size = largest_size(config);
    const size_t pieces = pieces_that_fit(config, machine + before - needed.total);
    char hint[96] = "";
    if (pieces)
        snprintf(hint, sizeof hint, "--grad-accum %zu, which computes each batch in pieces, or ", pieces);
    char each[48] = "";
    if (ranks_on_own_host() > 1)
        snprintf(each, sizeof each, " for each of %d ranks on it", ranks_on_own_host());
    return status_fail(CS336_ENOMEM,
                       "the run needs %.4g GB of memory, this machine has %.4g GB%s; try %sa smaller %s than %zu",
                       needed.total / 1e9, machine / 1e9, each, hint, size.name, size.value);
}
