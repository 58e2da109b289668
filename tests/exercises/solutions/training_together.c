/*
 * The training loop. Each step in PyTorch and here:
 *
 *     x, y = get_batch(data)                     get_batch()
 *     optimizer.zero_grad()                      parameters_zero_grad()
 *     loss = cross_entropy(model(x), y)          transformer_lm_loss() computes the loss
 *     loss.backward()                                and adds its gradients to `grad`
 *     clip_grad_norm_(parameters, max_norm)      clip_gradients()
 *     group["lr"] = schedule(t)                  cosine_schedule_lr()
 *     optimizer.step()                           adamw_step()
 */
#include "tests/exercises/training.h"

#include "data/batch.h"
#include "optim/clip.h"

Status train_together(float *losses, const TrainTogetherMemory *memory, const TokenFile *data,
                      const TrainTogetherConfig *config, Rng *rng)
{
    const size_t batch = config->batch_size, context = memory->lm->config.context_length;
    const TokenTensor inputs = tokens(memory->inputs, batch, context);
    const TokenTensor targets = tokens(memory->targets, batch, context);
    AdamWConfig adamw = config->adamw;
    Status s = CS336_OK;

    for (size_t t = 1; !s && t <= config->steps; t++) {
        s = get_batch(memory->inputs, memory->targets, data, batch, context, "cpu", rng);

        /* Loss and gradients. The gradients of the step before are still there, so they are cleared first. */
        parameters_zero_grad(memory->parameters);
        if (!s)
            s = transformer_lm_loss(&losses[t - 1], memory->grad, memory->lm, inputs, targets, NULL, memory->scratch);
        if (!s)
            s = clip_gradients(NULL, memory->parameters, config->max_grad_norm);

        /* Update the weights. */
        adamw.lr = cosine_schedule_lr(&config->schedule, t);
        if (!s)
            s = adamw_step(memory->parameters, t, &adamw);
    }
    return s;
}
