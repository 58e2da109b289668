#include "train/layer_norms.h"

#include "distributed/ranks.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

Status layer_norms_bind(LayerNorms *norms, Arena *arena, size_t num_layers)
{
    const size_t mark = arena_mark(arena);
    double **const arrays[] = {&norms->outputs, &norms->weights, &norms->gradients, &norms->output_count};
    norms->num_layers = num_layers;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        *arrays[i] = arena_take(arena, num_layers * sizeof(double));
    return arena_keep(arena, mark);
}

void layer_norms_clear(LayerNorms *norms)
{
    for (size_t i = 0; i < norms->num_layers; i++)
        norms->outputs[i] = norms->weights[i] = norms->gradients[i] = norms->output_count[i] = 0;
}

void layer_norms_add_output(void *context, size_t layer, Tensor output)
{
    LayerNorms *norms = context;
    norms->outputs[layer] += tensor_sum_of_squares(output);
    norms->output_count[layer] += (double)tensor_count(output);
}

/* Reads the number of the layer from "layers.N.name". False if the parameter belongs to no layer. */
static bool layer_of(size_t *layer, const char *name)
{
    static const char prefix[] = "layers.";
    if (strncmp(name, prefix, sizeof prefix - 1) != 0)
        return false;
    *layer = strtoul(name + sizeof prefix - 1, NULL, 10);
    return true;
}

/* The sums over the parameters of a layer. */
typedef struct {
    double weights, /* of their squares */
        gradients,  /* of their squares */
        count;      /* of the numbers */
} LayerSums;

static LayerSums sums_of(size_t layer, ParameterList parameters)
{
    LayerSums sums = {0, 0, 0};
    size_t owner;
    for (size_t i = 0; i < parameters.count; i++) {
        const Parameter *p = &parameters.items[i];
        if (!layer_of(&owner, p->name) || owner != layer)
            continue;
        sums.weights += tensor_sum_of_squares(p->value);
        sums.gradients += tensor_sum_of_squares(p->grad);
        sums.count += (double)tensor_count(p->value);
    }
    return sums;
}

void layer_norms_finish(LayerNorms *norms, ParameterList parameters, bool shared, double grad_factor)
{
    ranks_sum(norms->outputs, norms->num_layers);
    ranks_sum(norms->output_count, norms->num_layers);
    for (size_t i = 0; i < norms->num_layers; i++) {
        LayerSums sums = sums_of(i, parameters);
        if (shared)
            ranks_sum((double *)&sums, sizeof sums / sizeof(double));
        norms->outputs[i] = sqrt(norms->outputs[i] / norms->output_count[i]);
        norms->weights[i] = sqrt(sums.weights / sums.count);
        norms->gradients[i] = grad_factor * sqrt(sums.gradients / sums.count);
    }
}
