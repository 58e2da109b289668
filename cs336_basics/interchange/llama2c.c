#include "interchange/llama2c.h"

#include "core/file.h"
#include "core/plural.h"
#include "core/weight_form.h"
#include "interchange/import_forms.h"
#include "interchange/model_settings.h"
#include "interchange/weights.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "numbers are used as they are in the file, in little-endian order; this machine is big-endian"
#endif

#define LENGTH(table) (sizeof(table) / sizeof *(table))

/* What run.c computes with; the file does not say it. */
#define ROPE_THETA 10000.0F
#define NORM_EPS 1e-5F

/* The beginning of the file. */
typedef struct {
    int32_t dim, hidden_dim, n_layers, n_heads, n_kv_heads;
    int32_t vocab_size; /* negative: the LM head has a matrix of its own */
    int32_t seq_len;
} Header;

/* The weights of a layer in the order of the file. */
static const struct {
    size_t offset;   /* bytes from the start of TransformerBlock to the weight's Tensor */
    bool key_values; /* it has rows for n_kv_heads heads only */
} in_layers[] = {
    {offsetof(TransformerBlock, ln1.weight), false},
    {offsetof(TransformerBlock, attn.q_proj.weight), false},
    {offsetof(TransformerBlock, attn.k_proj.weight), true},
    {offsetof(TransformerBlock, attn.v_proj.weight), true},
    {offsetof(TransformerBlock, attn.output_proj.weight), false},
    {offsetof(TransformerBlock, ln2.weight), false},
    {offsetof(TransformerBlock, ffn.w1.weight), false},
    {offsetof(TransformerBlock, ffn.w2.weight), false},
    {offsetof(TransformerBlock, ffn.w3.weight), false},
};

static Tensor layer_weight(const TransformerLM *lm, size_t layer, size_t index)
{
    return *(const Tensor *)(const void *)((const unsigned char *)&lm->layers[layer] + in_layers[index].offset);
}

/* ---- the header ---- */

static Status check_sizes(const Header *h, const char *path)
{
    const struct {
        const char *name;
        int32_t value;
    } sizes[] = {{"dim", h->dim},         {"hidden_dim", h->hidden_dim}, {"n_layers", h->n_layers},
                 {"n_heads", h->n_heads}, {"n_kv_heads", h->n_kv_heads}, {"seq_len", h->seq_len}};
    for (size_t i = 0; i < LENGTH(sizes); i++)
        if (sizes[i].value <= 0)
            return status_fail(CS336_EFORMAT, "%s: %s is %d in the header of llama2.c's format, expected 1 or more",
                               path, sizes[i].name, (int)sizes[i].value);
    if (h->vocab_size == 0 || h->vocab_size == INT32_MIN)
        return status_fail(CS336_EFORMAT, "%s: vocab_size is %d in the header of llama2.c's format", path,
                           (int)h->vocab_size);
    if (h->n_heads % h->n_kv_heads != 0)
        return status_fail(CS336_EFORMAT, "%s: n_kv_heads %d does not divide n_heads %d", path, (int)h->n_kv_heads,
                           (int)h->n_heads);
    return CS336_OK;
}

static TransformerLMConfig config_of(const Header *h)
{
    return (TransformerLMConfig){
        .vocab_size = (size_t)(h->vocab_size < 0 ? -h->vocab_size : h->vocab_size),
        .context_length = (size_t)h->seq_len,
        .d_model = (size_t)h->dim,
        .num_layers = (size_t)h->n_layers,
        .num_heads = (size_t)h->n_heads,
        .d_ff = (size_t)h->hidden_dim,
        .rope_theta = ROPE_THETA,
        .norm_eps = NORM_EPS,
        .tie_embeddings = h->vocab_size > 0,
    };
}

/* Returns the bytes of a file with this header. A double holds them exactly up to 2^53, and does not overflow. */
static double file_bytes(const Header *h)
{
    const double dim = h->dim, head = dim / h->n_heads, key_values = head * h->n_kv_heads;
    const double embeddings = (h->vocab_size < 0 ? -2 * (double)h->vocab_size : h->vocab_size) * dim;
    const double layer = 2 * dim + 2 * dim * dim + 2 * dim * key_values + 3 * dim * h->hidden_dim;
    const double numbers = embeddings + h->n_layers * layer + dim + h->seq_len * head;
    return (double)sizeof *h + numbers * (double)sizeof(float);
}

/* Reads the header and checks it, and with it the size of the file. */
static Status read_header(Header *h, TransformerLMConfig *config, const FileReader *file)
{
    if (file->size < sizeof *h)
        return status_fail(CS336_EFORMAT,
                           "%s: %zu byte%s, expected a model of llama2.c, which begins with %zu: cut short", file->path,
                           file->size, plural(file->size), sizeof *h);
    Status s = file_read_at(file, h, sizeof *h, 0);
    if (s)
        return s;
    if (h->dim == LLAMA2C_LATER_VERSIONS)
        return status_fail(
            CS336_EFORMAT,
            "%s: version %d of llama2.c's format, expected its first format; llama2.c's export.py writes "
            "that with --version 0",
            file->path, (int)h->hidden_dim);
    s = check_sizes(h, file->path);
    if (s)
        return s;
    *config = config_of(h);
    s = transformer_lm_check(config);
    if (s)
        return status_fail(s, "%s: %s", file->path, status_message());
    if ((double)file->size != file_bytes(h))
        return status_fail(CS336_EFORMAT,
                           "%s: %zu byte%s, but the sizes in its header are those of a model of llama2.c with %.0f: "
                           "damaged, or another kind of file",
                           file->path, file->size, plural(file->size), file_bytes(h));
    return CS336_OK;
}

bool llama2c_detect(const char *path)
{
    FileReader file;
    Header h;
    if (file_open(&file, path))
        return false;
    const bool read = file.size >= sizeof h && file_read_at(&file, &h, sizeof h, 0) == CS336_OK;
    file_close(&file);
    return read && weight_form_is_llama2c((const uint8_t *)&h, sizeof h);
}

/* ---- in ---- */

/* Reads the numbers at *offset, the first of a weight, and moves *offset behind them. */
static Status read_numbers(float *numbers, size_t count, const FileReader *file, size_t *offset)
{
    const Status s = file_read_at(file, numbers, count * sizeof *numbers, *offset);
    *offset += count * sizeof *numbers;
    return s;
}

/*
 * Copies the rows of the heads of keys or values, which are the first rows of the weight, to the heads that share them:
 * head h shares head h / group. It begins with the last head, so that no rows are overwritten before they are copied.
 */
static void repeat_heads(Tensor weight, size_t num_heads, size_t group)
{
    const size_t numbers = tensor_count(weight) / num_heads; /* of one head */
    for (size_t h = num_heads; h-- > 0;)
        memmove(weight.data + h * numbers, weight.data + h / group * numbers, numbers * sizeof *weight.data);
}

static Status read_layers(const TransformerLM *lm, const Header *h, const FileReader *file, size_t *offset)
{
    const size_t num_heads = (size_t)h->n_heads, group = num_heads / (size_t)h->n_kv_heads;
    Status s = CS336_OK;
    for (size_t i = 0; i < LENGTH(in_layers); i++)
        for (size_t layer = 0; !s && layer < lm->config.num_layers; layer++) {
            const Tensor weight = layer_weight(lm, layer, i);
            const bool shared = in_layers[i].key_values && group > 1;
            s = read_numbers(weight.data, tensor_count(weight) / (shared ? group : 1), file, offset);
            if (!s && shared)
                repeat_heads(weight, num_heads, group);
        }
    return s;
}

static Status read_weights(const TransformerLM *lm, const Header *h, const FileReader *file)
{
    const Tensor embeddings = lm->token_embeddings.weight, gains = lm->ln_final.weight, head = lm->lm_head.weight;
    size_t offset = sizeof *h;
    Status s = read_numbers(embeddings.data, tensor_count(embeddings), file, &offset);
    if (!s)
        s = read_layers(lm, h, file, &offset);
    if (!s)
        s = read_numbers(gains.data, tensor_count(gains), file, &offset);
    /* Both tables of RoPE are skipped: ours are computed in double precision, for the context that was chosen. */
    offset += (size_t)h->seq_len * (lm->config.d_model / lm->config.num_heads) * sizeof(float);
    if (!s && !lm->config.tie_embeddings)
        s = read_numbers(head.data, tensor_count(head), file, &offset);
    return s;
}

/* Checks that the options agree with the header and with run.c, and takes the context that they choose. */
static Status apply_options(TransformerLMConfig *config, const ImportOptions *options, const char *path)
{
    static const char *const fixed[] = {"rope_theta", "norm_eps", "norm", "position"};
    ModelSettings settings = {.path = path};
    for (size_t i = 0; i < LENGTH(fixed); i++)
        model_settings_add(&settings, fixed[i], config, "llama2.c's format");
    model_settings_add(&settings, "num_heads", config, "its header");
    model_settings_add(&settings, "context_length", config, "its header");
    model_settings_add_options(&settings, options);
    config->context_length = settings.config.context_length;
    return settings.status;
}

static Status check_numbers(const TrainedModel *model, const char *path)
{
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < model->parameters.count; i++)
        s = weights_check_finite(model->parameters.items[i].value, path, model->parameters.items[i].name);
    return s;
}

Status llama2c_import(TrainedModel *model, ImportNotes *notes, const char *path, const ImportOptions *options)
{
    FileReader file = {0};
    Header h;
    TransformerLMConfig config;
    *model = (TrainedModel){0};
    *notes = (ImportNotes){.form = IMPORT_LLAMA2C};
    Status s = file_open(&file, path);
    if (!s)
        s = read_header(&h, &config, &file);
    if (!s)
        s = apply_options(&config, options, path);
    if (!s)
        s = trained_model_create(model, &config, path);
    if (!s)
        s = read_weights(&model->lm, &h, &file);
    if (!s)
        s = check_numbers(model, path);
    file_close(&file);
    if (s) {
        trained_model_deinit(model);
        return s;
    }
    notes->arrays = model->parameters.count;
    if (h.n_kv_heads < h.n_heads)
        notes->grouped_key_value_heads = (size_t)h.n_kv_heads;
    return CS336_OK;
}

/* ---- out ---- */

/* Says why run.c cannot compute a model, if it cannot. */
static Status check_computable(const TransformerLMConfig *c, const char *path)
{
    const char *cannot = "llama2.c cannot compute this model";
    if (c->norm != NORM_PRE)
        return status_fail(CS336_ERANGE, "%s: %s: its norm is \"%s\", llama2.c's is \"%s\"", path, cannot,
                           norm_names[c->norm], norm_names[NORM_PRE]);
    if (c->position != POSITION_ROPE)
        return status_fail(CS336_ERANGE, "%s: %s: its position is \"%s\", llama2.c's is \"%s\"", path, cannot,
                           position_names[c->position], position_names[POSITION_ROPE]);
    if (c->ffn != FFN_SWIGLU)
        return status_fail(CS336_ERANGE, "%s: %s: its ffn is \"%s\", llama2.c's is \"%s\"", path, cannot,
                           ffn_names[c->ffn], ffn_names[FFN_SWIGLU]);
    if (c->rope_theta != ROPE_THETA)
        return status_fail(CS336_ERANGE, "%s: %s: its rope_theta is %g, llama2.c's is %g", path, cannot,
                           (double)c->rope_theta, (double)ROPE_THETA);
    if (c->norm_eps != NORM_EPS)
        return status_fail(CS336_ERANGE, "%s: %s: its norm_eps is %g, llama2.c's is %g", path, cannot,
                           (double)c->norm_eps, (double)NORM_EPS);
    if (c->d_ff > INT32_MAX)
        return status_fail(CS336_ERANGE, "%s: %s: its d_ff is %zu, llama2.c's is at most %d", path, cannot, c->d_ff,
                           INT32_MAX);
    return CS336_OK;
}

static Header header_of(const TransformerLMConfig *c)
{
    const int32_t vocab_size = (int32_t)c->vocab_size, num_heads = (int32_t)c->num_heads;
    return (Header){.dim = (int32_t)c->d_model,
                    .hidden_dim = (int32_t)c->d_ff,
                    .n_layers = (int32_t)c->num_layers,
                    .n_heads = num_heads,
                    .n_kv_heads = num_heads,
                    .vocab_size = c->tie_embeddings ? vocab_size : -vocab_size,
                    .seq_len = (int32_t)c->context_length};
}

static Status write_tensor(FileWriter *writer, Tensor t)
{
    return file_write(writer, t.data, tensor_count(t) * sizeof *t.data);
}

static Status write_weights(FileWriter *writer, const TransformerLM *lm)
{
    Status s = write_tensor(writer, lm->token_embeddings.weight);
    for (size_t i = 0; i < LENGTH(in_layers); i++)
        for (size_t layer = 0; !s && layer < lm->config.num_layers; layer++)
            s = write_tensor(writer, layer_weight(lm, layer, i));
    if (!s)
        s = write_tensor(writer, lm->ln_final.weight);
    if (!s)
        s = write_tensor(writer, lm->rope.cosine);
    if (!s)
        s = write_tensor(writer, lm->rope.sine);
    if (!s && !lm->config.tie_embeddings)
        s = write_tensor(writer, lm->lm_head.weight);
    return s;
}

Status llama2c_write(const char *path, const TransformerLM *lm)
{
    FileWriter writer = {0};
    const Header h = header_of(&lm->config);
    Status s = check_computable(&lm->config, path);
    if (!s)
        s = file_create(&writer, path);
    if (!s)
        s = file_write(&writer, &h, sizeof h);
    if (!s)
        s = write_weights(&writer, lm);
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    return s;
}
