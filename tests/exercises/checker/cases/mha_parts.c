#include "tests/exercises/checker/cases/mha_parts.h"

#include "tests/support/reference.h"

#include <math.h>
#include <string.h>

enum { MAX_POSITIONS = 32 };

/* ---- inputs ---- */

RoPE rope_tables_of(Trial *t, double theta, size_t d_k, size_t positions)
{
    const size_t pairs = d_k / 2;
    float *cosine = trial_memory(t, positions * pairs * sizeof *cosine);
    float *sine = trial_memory(t, positions * pairs * sizeof *sine);
    for (size_t i = 0; i < positions * pairs; i++) {
        const double angle = (double)(i / pairs) * pow(theta, -2 * (double)(i % pairs) / (double)d_k);
        cosine[i] = (float)cos(angle);
        sine[i] = (float)sin(angle);
    }
    return (RoPE){.cosine = tensor(cosine, positions, pairs), .sine = tensor(sine, positions, pairs)};
}

void mha_bind(Trial *t, MhaProblem *p)
{
    const ReferenceAttention n = p->sizes;
    p->mha = (MultiHeadSelfAttention){.num_heads = n.heads,
                                      .q_proj.weight = p->weights[Q_PROJ],
                                      .k_proj.weight = p->weights[K_PROJ],
                                      .v_proj.weight = p->weights[V_PROJ],
                                      .output_proj.weight = p->weights[OUTPUT_PROJ]};
    if (n.theta > 0) {
        p->tables = rope_tables_of(t, n.theta, n.d_model / n.heads, MAX_POSITIONS);
        p->rope = &p->tables;
    }
}

void mha_inputs(Trial *t, MhaProblem *p)
{
    static const char *const NAMES[] = {"q_proj", "k_proj", "v_proj", "output_proj"};
    const ReferenceAttention n = p->sizes;
    const double sigma = 1.5 / sqrt((double)n.d_model); /* scores of a few units */
    p->x = trial_random(t, "x", 1, n.batch, n.seq, n.d_model);
    for (int i = 0; i < PROJECTIONS; i++)
        p->weights[i] = trial_random(t, NAMES[i], sigma, n.d_model, n.d_model);
    mha_bind(t, p);
}

/* ---- heads ---- */

typedef enum { COLUMNS_SIDE_BY_SIDE, COLUMNS_INTERLEAVED, ROWS_NOT_TRANSPOSED } Layout;

/* Where number i of head h and token s is in the (seq, d_model) numbers of one sequence. */
static size_t place(ReferenceAttention n, Layout layout, size_t h, size_t s, size_t i)
{
    const size_t d_k = n.d_model / n.heads;
    if (layout == ROWS_NOT_TRANSPOSED) /* as if these numbers were (heads, seq, d_k) */
        return (h * n.seq + s) * d_k + i;
    return s * n.d_model + (layout == COLUMNS_INTERLEAVED ? i * n.heads + h : h * d_k + i);
}

/* Copies to the heads, or from them if they are the source. */
static void copy_heads(double *destination, const double *source, ReferenceAttention n, Layout layout, bool join)
{
    const size_t d_k = n.d_model / n.heads;
    for (size_t b = 0; b < n.batch; b++)
        for (size_t h = 0; h < n.heads; h++)
            for (size_t s = 0; s < n.seq; s++)
                for (size_t i = 0; i < d_k; i++) {
                    const size_t split = ((b * n.heads + h) * n.seq + s) * d_k + i;
                    const size_t joined = b * n.seq * n.d_model + place(n, layout, h, s, i);
                    destination[join ? joined : split] = source[join ? split : joined];
                }
}

void heads_split(double *heads, const double *joined, ReferenceAttention n)
{
    copy_heads(heads, joined, n, COLUMNS_SIDE_BY_SIDE, false);
}

void heads_join(double *joined, const double *heads, ReferenceAttention n)
{
    copy_heads(joined, heads, n, COLUMNS_SIDE_BY_SIDE, true);
}

void heads_rotate(double *heads, const int32_t *positions, ReferenceAttention n, int sign)
{
    const size_t d_k = n.d_model / n.heads;
    for (size_t row = 0; row < n.batch * n.heads * n.seq; row++) {
        const size_t b = row / (n.heads * n.seq), s = row % n.seq;
        const int32_t position = sign * (positions ? positions[b * n.seq + s] : (int32_t)s);
        reference_rope(heads + row * d_k, heads + row * d_k, &position, 1, d_k, n.theta);
    }
}

/* ---- the forward pass ---- */

static bool is_rotated(int projection, const MhaProblem *p, int mistake)
{
    if (!p->rope || mistake == MHA_WITHOUT_ROPE || (projection == K_PROJ && mistake == MHA_KEYS_NOT_ROTATED))
        return false;
    return projection != V_PROJ || mistake == MHA_ROTATES_VALUES;
}

/* Which weight makes the query, the key or the value. */
static int weight_of(int projection, int mistake)
{
    if (mistake == MHA_QUERY_AND_KEY_EXCHANGED && projection != V_PROJ)
        return projection == Q_PROJ ? K_PROJ : Q_PROJ;
    return mistake == MHA_VALUE_OF_THE_KEY && projection == V_PROJ ? K_PROJ : projection;
}

/* The heads as they are split. Without the transpose, (batch, seq, heads, d_k) is read as (batch, heads, seq, d_k):
 * each token is a sequence of its heads. */
static ReferenceAttention split_sizes(ReferenceAttention n, int mistake)
{
    if (mistake == MHA_HEADS_WITHOUT_TRANSPOSE)
        return (ReferenceAttention){n.batch * n.seq, n.heads, n.d_model / n.heads, 1, n.theta};
    if (mistake == MHA_ONE_HEAD)
        n.heads = 1;
    return n;
}

static const int32_t *positions_of(const MhaProblem *p, int mistake)
{
    return mistake == MHA_POSITIONS_IGNORED || mistake == MHA_HEADS_WITHOUT_TRANSPOSE ? NULL : p->in_full;
}

void mha_in_double(Trial *t, double *y, MhaSaved *saved, const MhaProblem *p, int mistake)
{
    const size_t rows = p->sizes.batch * p->sizes.seq, d_model = p->sizes.d_model,
                 bytes = rows * d_model * sizeof(double);
    const ReferenceAttention n = split_sizes(p->sizes, mistake);
    const Layout layout = mistake == MHA_HEADS_INTERLEAVED ? COLUMNS_INTERLEAVED : COLUMNS_SIDE_BY_SIDE;

    /* query, key, value = Wq x, Wk x, Wv x; query, key = RoPE(query), RoPE(key) */
    double *joined[3], *heads[3];
    for (int i = 0; i < 3; i++) {
        joined[i] = trial_memory(t, bytes);
        heads[i] = trial_memory(t, bytes);
        const double *weight = trial_doubles(t, p->weights[weight_of(i, mistake)]);
        reference_linear(joined[i], trial_doubles(t, p->x), weight, rows, d_model, d_model);
        copy_heads(heads[i], joined[i], n, layout, false);
        if (is_rotated(i, p, mistake))
            heads_rotate(heads[i], positions_of(p, mistake), n, 1);
        copy_heads(joined[i], heads[i], n, layout, true);
    }

    /* attended = SDPA(query, key, value) */
    const AttentionSizes each = {n.batch * n.heads, n.seq, n.seq, n.d_model / n.heads, n.d_model / n.heads};
    bool *visible = trial_memory(t, each.batch * n.seq * n.seq * sizeof *visible);
    double *attended = trial_memory(t, bytes), *heads_attended = trial_memory(t, bytes);
    double *log_sum_exp = trial_memory(t, each.batch * n.seq * sizeof *log_sum_exp);
    reference_causal(visible, each);
    if (mistake == MHA_SEES_THE_FUTURE)
        memset(visible, true, each.batch * n.seq * n.seq * sizeof *visible);
    reference_attention(heads_attended, log_sum_exp, heads[0], heads[1], heads[2], visible, each);
    copy_heads(attended, heads_attended, n, mistake == MHA_JOINED_WITHOUT_TRANSPOSE ? ROWS_NOT_TRANSPOSED : layout,
               true);
    *saved = (MhaSaved){joined[0], joined[1], joined[2], attended, log_sum_exp};

    /* y = Wo attended */
    if (mistake == MHA_WITHOUT_OUTPUT_PROJ)
        memcpy(y, attended, bytes);
    else
        reference_linear(y, attended, trial_doubles(t, p->weights[OUTPUT_PROJ]), rows, d_model, d_model);
}
