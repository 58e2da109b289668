/*
 * The parameters of a model: their names, order in memory, shapes and initial values. The passes are in
 * transformer_lm.c.
 */
#include "core/memory.h"
#include "core/parallel.h"
#include "kernels/normal.h"
#include "nn/transformer_lm.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* A role decides the shape and the initial values. */
typedef enum { TABLE, SQUARE, GAIN, UP, GATE, DOWN, HEAD } Role;

typedef struct {
    const char *name;
    Role role;
    size_t offset; /* bytes from the start of TransformerBlock, or of TransformerLM, to the parameter's Tensor */
} Entry;

/*
 * In memory order. q, k and v follow one another, and so do w1 and w3: linear_forward_all() computes the three, or the
 * two, in one product.
 */
static const Entry before_layers[] = {
    {"token_embeddings.weight", TABLE, offsetof(TransformerLM, token_embeddings.weight)},
};
static const Entry in_layer[] = {
    {"attn.q_proj.weight", SQUARE, offsetof(TransformerBlock, attn.q_proj.weight)},
    {"attn.k_proj.weight", SQUARE, offsetof(TransformerBlock, attn.k_proj.weight)},
    {"attn.v_proj.weight", SQUARE, offsetof(TransformerBlock, attn.v_proj.weight)},
    {"attn.output_proj.weight", SQUARE, offsetof(TransformerBlock, attn.output_proj.weight)},
    {"ln1.weight", GAIN, offsetof(TransformerBlock, ln1.weight)},
    {"ln2.weight", GAIN, offsetof(TransformerBlock, ln2.weight)},
    {"ffn.w1.weight", UP, offsetof(TransformerBlock, ffn.w1.weight)},
    {"ffn.w3.weight", GATE, offsetof(TransformerBlock, ffn.w3.weight)},
    {"ffn.w2.weight", DOWN, offsetof(TransformerBlock, ffn.w2.weight)},
};
static const Entry after_layers[] = {
    {"ln_final.weight", GAIN, offsetof(TransformerLM, ln_final.weight)},
    {"lm_head.weight", HEAD, offsetof(TransformerLM, lm_head.weight)},
};
#define LENGTH(table) (sizeof(table) / sizeof *(table))

/* Sets the shape and returns the rank, or 0 if the configuration has no such parameter. */
static int shape_of(size_t shape[2], Role role, const TransformerLMConfig *config)
{
    const size_t d = config->d_model, d_ff = config->d_ff;
    switch (role) {
    case GAIN:
        shape[0] = d;
        return config->norm == NORM_NONE ? 0 : 1;
    case TABLE:
    case HEAD:
        shape[0] = config->vocab_size, shape[1] = d;
        return role == HEAD && config->tie_embeddings ? 0 : 2;
    case SQUARE:
        shape[0] = d, shape[1] = d;
        return 2;
    case DOWN:
        shape[0] = d, shape[1] = d_ff;
        return 2;
    case UP:
    case GATE:
        shape[0] = d_ff, shape[1] = d;
        return role == GATE && config->ffn != FFN_SWIGLU ? 0 : 2;
    }
    return 0;
}

/*
 * An iterator over the parameters that a configuration has, in memory order:
 *
 *     for (Walk walk = {.config = config}; next_parameter(&walk);)
 *         walk.entry, walk.rank and walk.shape describe a parameter
 */
typedef struct {
    const TransformerLMConfig *config;
    size_t index;   /* of the next entry, counting those of every layer */
    size_t layer;   /* number of the layer, if in_layers */
    bool in_layers; /* the entry is one of in_layer[] */
    const Entry *entry;
    int rank;
    size_t shape[2];
} Walk;

/* Goes on to the next parameter that the configuration has; false after the last. */
static bool next_parameter(Walk *walk)
{
    const size_t in_all_layers = LENGTH(in_layer) * walk->config->num_layers;
    do {
        size_t i = walk->index++;
        walk->in_layers = false;
        if (i < LENGTH(before_layers)) {
            walk->entry = &before_layers[i];
        } else if ((i -= LENGTH(before_layers)) < in_all_layers) {
            walk->in_layers = true;
            walk->layer = i / LENGTH(in_layer);
            walk->entry = &in_layer[i % LENGTH(in_layer)];
        } else if ((i -= in_all_layers) < LENGTH(after_layers)) {
            walk->entry = &after_layers[i];
        } else {
            return false;
        }
        walk->rank = shape_of(walk->shape, walk->entry->role, walk->config);
    } while (walk->rank == 0);
    return true;
}

/* Returns the address of the parameter's view in a model. */
static Tensor *view_of(const Walk *walk, TransformerLM *lm)
{
    unsigned char *owner = walk->in_layers ? (unsigned char *)&lm->layers[walk->layer] : (unsigned char *)lm;
    return (Tensor *)(void *)(owner + walk->entry->offset);
}

static Status check_sizes(const TransformerLMConfig *c)
{
    const struct {
        const char *name;
        size_t value, most;
    } sizes[] = {{"vocab_size", c->vocab_size, TRANSFORMER_LM_MAX_SIZE},
                 {"context_length", c->context_length, TRANSFORMER_LM_MAX_CONTEXT},
                 {"d_model", c->d_model, TRANSFORMER_LM_MAX_SIZE},
                 {"num_layers", c->num_layers, TRANSFORMER_LM_MAX_LAYERS},
                 {"num_heads", c->num_heads, TRANSFORMER_LM_MAX_SIZE},
                 {"d_ff", c->d_ff, TRANSFORMER_LM_MAX_D_FF}};
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        if (sizes[i].value == 0)
            return status_fail(CS336_ESHAPE, "%s is 0", sizes[i].name);
        if (sizes[i].value > sizes[i].most)
            return status_fail(CS336_ERANGE, "%s is %zu, expected at most %zu", sizes[i].name, sizes[i].value,
                               sizes[i].most);
    }
    if (c->d_model % c->num_heads != 0)
        return status_fail(CS336_ESHAPE, "num_heads %zu does not divide d_model %zu", c->num_heads, c->d_model);
    if (c->position == POSITION_ROPE && c->d_model / c->num_heads % 2 != 0)
        return status_fail(CS336_ESHAPE, "d_model / num_heads is %zu, expected an even number for RoPE",
                           c->d_model / c->num_heads);
    return CS336_OK;
}

Status transformer_lm_check(const TransformerLMConfig *config)
{
    /* The kinds are enums, whose values come from files and options. */
    const struct {
        const char *name;
        int value, last;
    } kinds[] = {{"norm", (int)config->norm, NORM_NONE},
                 {"position", (int)config->position, POSITION_NONE},
                 {"ffn", (int)config->ffn, FFN_SILU},
                 {"dtype", (int)config->dtype, DTYPE_BF16X3}};
    for (size_t i = 0; i < LENGTH(kinds); i++)
        if (kinds[i].value < 0 || kinds[i].value > kinds[i].last)
            return status_fail(CS336_ERANGE, "%s is %d, the last kind is %d", kinds[i].name, kinds[i].value,
                               kinds[i].last);
    const Status s = check_sizes(config);
    if (s)
        return s;
    /* The numbers that the chosen kinds read. */
    const struct {
        const char *name;
        bool read;
        double value, least, most;
    } numbers[] = {{"rope_theta", config->position == POSITION_ROPE, (double)config->rope_theta,
                    TRANSFORMER_LM_MIN_ROPE_THETA, TRANSFORMER_LM_MAX_ROPE_THETA},
                   {"norm_eps", config->norm != NORM_NONE, (double)config->norm_eps, TRANSFORMER_LM_MIN_NORM_EPS,
                    TRANSFORMER_LM_MAX_NORM_EPS}};
    for (size_t i = 0; i < LENGTH(numbers); i++) {
        const float least = (float)numbers[i].least, most = (float)numbers[i].most;
        if (numbers[i].read && !(numbers[i].value >= (double)least && numbers[i].value <= (double)most))
            return status_fail(CS336_ERANGE, "%s is %g, expected %g to %g", numbers[i].name, numbers[i].value,
                               numbers[i].least, numbers[i].most);
    }
    return CS336_OK;
}

size_t transformer_lm_parameter_count(const TransformerLMConfig *config)
{
    size_t count = 0;
    for (Walk walk = {.config = config}; next_parameter(&walk);) {
        const size_t more = walk.rank == 1 ? walk.shape[0] : memory_product(walk.shape[0], walk.shape[1]);
        count = more < SIZE_MAX - count ? count + more : SIZE_MAX;
    }
    return count;
}

static void set_dtype(TransformerLM *lm, DType dtype)
{
    lm->lm_head.dtype = dtype;
    for (size_t i = 0; lm->layers && i < lm->config.num_layers; i++) {
        MultiHeadSelfAttention *attn = &lm->layers[i].attn;
        FeedForward *ffn = &lm->layers[i].ffn;
        attn->q_proj.dtype = attn->k_proj.dtype = attn->v_proj.dtype = attn->output_proj.dtype = dtype;
        ffn->w1.dtype = ffn->w2.dtype = ffn->w3.dtype = dtype;
    }
}

Status transformer_lm_bind_missing(TransformerLM *lm, Arena *arena, const TransformerLMConfig *config)
{
    const Status s = transformer_lm_check(config);
    if (s)
        return s;
    const size_t mark = arena_mark(arena);
    *lm = (TransformerLM){.config = *config, .ln_final.eps = config->norm_eps};
    lm->layers = arena_take(arena, config->num_layers * sizeof *lm->layers);
    for (size_t i = 0; lm->layers && i < config->num_layers; i++)
        lm->layers[i] = (TransformerBlock){.norm = config->norm,
                                           .attn.num_heads = config->num_heads,
                                           .ln1.eps = config->norm_eps,
                                           .ln2.eps = config->norm_eps};
    set_dtype(lm, config->dtype);
    return arena_keep(arena, mark);
}

Status transformer_lm_bind(TransformerLM *lm, Arena *arena, const TransformerLMConfig *config)
{
    const size_t mark = arena_mark(arena);
    const Status s = transformer_lm_bind_missing(lm, arena, config);
    if (s)
        return s;
    /* One tensor for each parameter, in memory order. */
    for (Walk walk = {.config = config}; next_parameter(&walk);) {
        const Tensor view = arena_tensor_of(arena, walk.rank, walk.shape);
        if (lm->layers) /* not when measuring, nor after a failure */
            *view_of(&walk, lm) = view;
    }
    if (config->tie_embeddings)
        lm->lm_head.weight = lm->token_embeddings.weight;
    return arena_keep(arena, mark);
}

/* Sets a contiguous tensor to 0 with all threads. */
static void clear(Tensor t)
{
    enum { CHUNK = 1 << 16 }; /* numbers, 256 KB: long enough that a thread rarely asks for the next */
    const size_t count = tensor_count(t);
#pragma omp parallel for num_threads(parallel_threads_for(count))
    for (size_t first = 0; first < count; first += CHUNK)
        memset(t.data + first, 0, (count - first < CHUNK ? count - first : CHUNK) * sizeof *t.data);
}

/* Takes the gradients of a table's entries from the end of the arena. owner: what the offsets count from; or NULL. */
static void take_entries(void *owner, const Entry *entries, size_t count, const TransformerLMConfig *config,
                         Arena *arena)
{
    for (size_t i = count; i-- > 0;) {
        size_t shape[2];
        const int rank = shape_of(shape, entries[i].role, config);
        if (rank == 0)
            continue;
        const Tensor grad = arena_tensor_at_end(arena, rank, shape);
        if (grad.data)
            clear(grad);
        if (owner)
            *(Tensor *)(void *)((unsigned char *)owner + entries[i].offset) = grad;
    }
}

Status transformer_lm_take_gradients(TransformerLM *grad, size_t part, Arena *arena)
{
    const TransformerLMConfig *config = &grad->config;
    const size_t head = config->num_layers + 1;
    const bool tied = config->tie_embeddings;
    if (part > 0 && part < head)
        take_entries(grad->layers ? &grad->layers[part - 1] : NULL, in_layer, LENGTH(in_layer), config, arena);
    if (part == (tied ? head : 0))
        take_entries(grad, before_layers, LENGTH(before_layers), config, arena);
    if (part == head)
        take_entries(grad, after_layers, LENGTH(after_layers), config, arena);
    if (part == head && tied)
        grad->lm_head.weight = grad->token_embeddings.weight;
    return arena_status(arena);
}

Status transformer_lm_bind_rope(TransformerLM *lm, Arena *arena)
{
    const TransformerLMConfig *c = &lm->config;
    lm->rope = (RoPE){0};
    return c->position == POSITION_ROPE
               ? rope_bind(&lm->rope, arena, c->rope_theta, c->d_model / c->num_heads, c->context_length)
               : CS336_OK;
}

/*
 * The variance of the initial values of a weight.
 *
 * Tied embeddings need one of their own. After 150 steps on stories (2 layers, d_model 96, vocabulary 1024), the
 * validation loss is 2.8 with 1 / d_model. It is 3.6 with the 1 of embeddings, because the first loss is 75, and 3.7
 * with that of lm_head, because the embeddings are then small beside what the layers add to the residual stream.
 */
static double variance_of(Role role, Tensor weight, const TransformerLMConfig *config)
{
    if (role == TABLE)
        return config->tie_embeddings ? 1 / (double)config->d_model : 1;
    return 2 / ((double)weight.shape[0] + (double)weight.shape[1]);
}

void transformer_lm_initialise(TransformerLM *lm, Rng *rng)
{
    for (Walk walk = {.config = &lm->config}; next_parameter(&walk);) {
        const Tensor weight = *view_of(&walk, lm);
        if (walk.entry->role == GAIN) {
            tensor_fill(weight, 1);
            continue;
        }
        normal_truncated(rng, weight.data, tensor_count(weight),
                         sqrt(variance_of(walk.entry->role, weight, &lm->config)), 3);
    }
}

/* Takes the parameter's name from the arena: "lm_head.weight", or "layers.3.ln1.weight". */
static const char *take_name(Arena *arena, const Walk *walk)
{
    char prefix[32] = "";
    if (walk->in_layers)
        snprintf(prefix, sizeof prefix, "layers.%zu.", walk->layer);
    const int length = snprintf(NULL, 0, "%s%s", prefix, walk->entry->name);
    char *name = arena_take(arena, (size_t)length + 1);
    if (name)
        snprintf(name, (size_t)length + 1, "%s%s", prefix, walk->entry->name);
    return name;
}

/* Returns the parameter's view in a model, or a missing tensor without a model. */
static Tensor optional_view(const Walk *walk, const TransformerLM *lm)
{
    if (!lm)
        return (Tensor){0};
    TransformerLM copy = *lm;
    return *view_of(walk, &copy);
}

Status transformer_lm_parameters(ParameterList *list, Arena *arena, const TransformerLM *value,
                                 const TransformerLM *grad, const TransformerLM *first, const TransformerLM *second)
{
    const size_t mark = arena_mark(arena);
    *list = (ParameterList){0};
    for (Walk walk = {.config = &value->config}; next_parameter(&walk);)
        list->count++;
    list->items = arena_take(arena, list->count * sizeof *list->items);
    Walk walk = {.config = &value->config};
    for (size_t i = 0; next_parameter(&walk); i++) {
        const char *name = take_name(arena, &walk);
        if (list->items)
            list->items[i] = (Parameter){.name = name,
                                         .value = optional_view(&walk, value),
                                         .grad = optional_view(&walk, grad),
                                         .first_moment = optional_view(&walk, first),
                                         .second_moment = optional_view(&walk, second)};
    }
    const Status s = arena_keep(arena, mark);
    if (s)
        *list = (ParameterList){0};
    return s;
}

void transformer_lm_list_gradients(ParameterList list, const TransformerLM *grad)
{
    Walk walk = {.config = &grad->config};
    for (size_t i = 0; i < list.count && next_parameter(&walk); i++)
        list.items[i].grad = optional_view(&walk, grad);
}

/* ---- a model on the heap ---- */

/* The model comes first, so its address is also the address of the OwnedModel: transformer_lm_destroy() needs it. */
typedef struct {
    TransformerLM lm;
    Arena memory; /* of the parameters and the RoPE tables */
} OwnedModel;

static Status bind_with_rope(TransformerLM *lm, Arena *arena, const TransformerLMConfig *config)
{
    const Status s = transformer_lm_bind(lm, arena, config);
    return s ? s : transformer_lm_bind_rope(lm, arena);
}

Status transformer_lm_create(TransformerLM **lm, const TransformerLMConfig *config, uint64_t seed)
{
    OwnedModel *model = memory_allocate_zeroed(1, sizeof *model);
    *lm = NULL;
    if (!model)
        return status_fail(CS336_ENOMEM, "%s: no memory for a model", __func__);
    /* Measure, allocate, and bind again with memory. */
    Arena measure = {0};
    Status s = bind_with_rope(&model->lm, &measure, config);
    if (!s)
        s = arena_init(&model->memory, measure.peak);
    if (!s)
        s = bind_with_rope(&model->lm, &model->memory, config);
    if (s) {
        transformer_lm_destroy(&model->lm);
        return s;
    }
    Rng rng = rng_seeded(seed);
    transformer_lm_initialise(&model->lm, &rng);
    *lm = &model->lm;
    return CS336_OK;
}

void transformer_lm_destroy(TransformerLM *lm)
{
    OwnedModel *model = (OwnedModel *)lm;
    if (!model)
        return;
    arena_deinit(&model->memory);
    memory_release(model);
}
