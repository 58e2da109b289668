#include "tests/exercises/checker/cases/mha_gradients.h"

#include "tests/support/reference.h"

#include <math.h>
#include <string.h>

/* ---- the mistakes, in double precision ---- */

/* grad_x += grad_y W, grad_W += grad_y^T x, for a W of d x d. */
static void linear_gradients(double *grad_x, double *grad_weight, const double *grad_y, const double *x,
                             const double *weight, size_t rows, size_t d)
{
    for (size_t n = 0; n < rows; n++)
        for (size_t o = 0; o < d; o++)
            for (size_t i = 0; i < d; i++) {
                grad_x[n * d + i] += grad_y[n * d + o] * weight[o * d + i];
                grad_weight[o * d + i] += grad_y[n * d + o] * x[n * d + i];
            }
}

/* One query i of one head, whose first row is `first`. The gradients of key and value are sums. */
static void attention_row(double *const grad[3], const double *const qkv[3], const double *grad_o, const double *o,
                          double log_sum_exp, size_t first, size_t i, size_t keys, size_t d_k)
{
    const size_t row = (first + i) * d_k;
    const double scale = 1 / sqrt((double)d_k), delta = reference_dot(grad_o + row, o + row, d_k);
    for (size_t j = 0; j < keys; j++) {
        const size_t key = (first + j) * d_k;
        const double p = exp(scale * reference_dot(qkv[Q_PROJ] + row, qkv[K_PROJ] + key, d_k) - log_sum_exp);
        const double grad_score = scale * p * (reference_dot(grad_o + row, qkv[V_PROJ] + key, d_k) - delta);
        for (size_t c = 0; c < d_k; c++) {
            grad[Q_PROJ][row + c] += grad_score * qkv[K_PROJ][key + c];
            grad[K_PROJ][key + c] += grad_score * qkv[Q_PROJ][row + c];
            grad[V_PROJ][key + c] += p * grad_o[row + c];
        }
    }
}

static void rotate_back(double *heads, int projection, const MhaProblem *p, int mistake)
{
    const bool value = projection == V_PROJ && mistake != BACKWARD_VALUE_ROTATED_BACK;
    const bool key = projection == K_PROJ && mistake == BACKWARD_KEY_NOT_ROTATED_BACK;
    if (p->rope && !value && !key && mistake != BACKWARD_NOT_ROTATED_BACK)
        heads_rotate(heads, mistake == BACKWARD_POSITIONS_IGNORED ? NULL : p->in_full, p->sizes,
                     mistake == BACKWARD_ROTATED_FORWARDS ? 1 : -1);
}

/* From the gradient of attended to those of query, key and value, all of them (batch, seq, d_model). */
static void attention_gradients(Trial *t, double *const grads[3], const double *grad_attended, const MhaGradients *a,
                                const MhaProblem *p, int mistake)
{
    const ReferenceAttention n = p->sizes;
    const size_t d_k = n.d_model / n.heads, bytes = n.batch * n.seq * n.d_model * sizeof(double);
    const double *joined[] = {a->saved.query, a->saved.key, a->saved.value, grad_attended, a->saved.attended};
    double *heads[5], *grad_heads[3]; /* of the joined ones; of the first three */
    for (int i = 0; i < 5; i++)
        heads_split(heads[i] = trial_memory(t, bytes), joined[i], n);
    for (int i = 0; i < 3; i++)
        grad_heads[i] = trial_memory(t, bytes);
    const double *const qkv[] = {heads[0], heads[1], heads[2]};
    for (size_t row = 0; row < n.batch * n.heads * n.seq; row++) {
        const size_t i = row % n.seq, keys = mistake == BACKWARD_SEES_THE_FUTURE ? n.seq : i + 1;
        attention_row(grad_heads, qkv, heads[3], heads[4], a->saved.log_sum_exp[row], row - i, i, keys, d_k);
    }
    for (int i = 0; i < 3; i++) {
        rotate_back(grad_heads[i], i, p, mistake);
        heads_join(grads[i], grad_heads[i], n);
    }
}

/* All gradients. Those of the outputs hold what was there before, or 0. */
void mha_wrong_gradients(Trial *t, const MhaGradients *a, const MhaProblem *p, int mistake)
{
    const size_t d = p->sizes.d_model, rows = p->sizes.batch * p->sizes.seq, bytes = rows * d * sizeof(double);
    double *grad_attended = trial_memory(t, bytes), *grads[3];
    linear_gradients(grad_attended, a->grad_weights[OUTPUT_PROJ], a->grad_y,
                     mistake == BACKWARD_OUTPUT_PROJ_OF_THE_VALUE ? a->saved.value : a->saved.attended,
                     a->weights[OUTPUT_PROJ], rows, d);
    for (int i = 0; i < 3; i++)
        grads[i] = trial_memory(t, bytes);
    attention_gradients(t, grads, mistake == BACKWARD_WITHOUT_OUTPUT_PROJ ? a->grad_y : grad_attended, a, p, mistake);
    double *elsewhere = trial_memory(t, bytes);
    for (int i = 0; i < 3; i++) {
        const bool left_out = (mistake == BACKWARD_GRAD_X_OF_THE_VALUE_ONLY && i != V_PROJ) ||
                              (mistake == BACKWARD_GRAD_X_WITHOUT_THE_KEY && i == K_PROJ);
        linear_gradients(left_out ? elsewhere : a->grad_x, a->grad_weights[i], grads[i], a->x, a->weights[i], rows, d);
    }
}

/* ---- the right answer: central differences of the reference ---- */

typedef struct {
    double *x, *weights[PROJECTIONS], *y;
    const double *grad_y;
    const MhaProblem *problem;
} Loss;

static double loss(void *context)
{
    const Loss *l = context;
    const ReferenceAttention n = l->problem->sizes;
    reference_mha(l->y, l->x, l->weights[Q_PROJ], l->weights[K_PROJ], l->weights[V_PROJ], l->weights[OUTPUT_PROJ],
                  l->problem->in_full, n);
    return reference_dot(l->y, l->grad_y, n.batch * n.seq * n.d_model);
}

static double *copy_of(Trial *t, Tensor tensor)
{
    const size_t bytes = tensor_count(tensor) * sizeof(double);
    return memcpy(trial_memory(t, bytes), trial_doubles(t, tensor), bytes);
}

void mha_central_differences(Trial *t, const MhaGradients *a, const MhaProblem *p)
{
    const double step = 1e-4;
    const size_t count = tensor_count(p->x), d = p->sizes.d_model;
    Loss l = {.x = copy_of(t, p->x), .y = trial_memory(t, count * sizeof(double)), .grad_y = a->grad_y, .problem = p};
    double *gradient = trial_memory(t, d * d * sizeof *gradient);
    for (int i = 0; i < PROJECTIONS; i++)
        l.weights[i] = copy_of(t, p->weights[i]);
    central_difference(a->grad_x, l.x, count, step, loss, &l);
    for (int i = 0; i < PROJECTIONS; i++) {
        central_difference(gradient, l.weights[i], d * d, step, loss, &l);
        for (size_t k = 0; k < d * d; k++)
            a->grad_weights[i][k] += gradient[k];
    }
}
