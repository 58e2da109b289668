/* The figure of section 3.4: a query and a key, rotated by their positions. */
#include "live.h"

#include "nn/linear.h"
#include "nn/rope.h"

#include <math.h>

/* Makes the tables for positions 0 ... last. The caller frees the arena. */
static Status make_tables(RoPE *rope, Arena *arena, double theta, int d_k, int last)
{
    const size_t width = (size_t)d_k, length = (size_t)last + 1;
    Arena measure = {0};
    Status s = rope_bind(rope, &measure, (float)theta, width, length);
    if (!s)
        s = arena_init(arena, measure.peak);
    if (!s)
        s = rope_bind(rope, arena, (float)theta, width, length);
    return s;
}

/* product = a . b, for rows of n numbers */
static Status dot(float *product, float *a, float *b, size_t n)
{
    const Linear map = {.weight = tensor(b, 1, n)};
    return linear_forward(tensor(product, 1, 1), tensor(a, 1, n), &map);
}

static Status rotate(float *y, float *x, int d_k, int position, const RoPE *rope)
{
    const int32_t positions[] = {position};
    return rope_forward(tensor(y, 1, (size_t)d_k), tensor(x, 1, (size_t)d_k), tokens(positions, 1), rope);
}

/* Rotates q to y at position m and k to z at position n. score = y . z, and parts are the same for each pair. */
static Status score_at(float *y, float *z, float *score, float *parts, float *q, float *k, int d_k, int m, int n,
                       const RoPE *rope)
{
    Status s = rotate(y, q, d_k, m, rope);
    if (!s)
        s = rotate(z, k, d_k, n, rope);
    if (!s)
        s = dot(score, y, z, (size_t)d_k);
    for (int pair = 0; !s && pair < d_k / 2; pair++)
        s = dot(parts + pair, y + 2 * pair, z + 2 * pair, 2);
    return s;
}

/*
 * y, z (d_k), score (1), parts (d_k / 2)   see score_at()
 * frequencies (d_k / 2)                    the angle of each pair at position 1, read from the tables
 */
LIVE live_rope(float *y, float *z, float *score, float *parts, float *frequencies, float *q, float *k, int d_k, int m,
               int n, double theta)
{
    Arena arena = {0};
    RoPE rope;
    const int last = m > n ? m : n;
    Status s = make_tables(&rope, &arena, theta, d_k, last > 1 ? last : 1);
    if (!s)
        s = score_at(y, z, score, parts, q, k, d_k, m, n, &rope);
    for (int pair = 0; !s && pair < d_k / 2; pair++)
        frequencies[pair] = atan2f(tensor_row(rope.sine, 1)[pair], tensor_row(rope.cosine, 1)[pair]);
    arena_deinit(&arena);
    return s;
}

/* The scores at distances -reach ... reach, and the part of each pair: scores (2 reach + 1), parts (.., d_k / 2). */
LIVE live_rope_scores(float *scores, float *parts, float *q, float *k, int d_k, int reach, double theta)
{
    enum { WIDEST = 64 };
    float y[WIDEST], z[WIDEST];
    if (d_k > WIDEST)
        return status_fail(CS336_ERANGE, "%s: d_k is %d, expected at most %d", __func__, d_k, WIDEST);
    Arena arena = {0};
    RoPE rope;
    Status s = make_tables(&rope, &arena, theta, d_k, 2 * reach);
    for (int m = 0; !s && m <= 2 * reach; m++)
        s = score_at(y, z, scores + m, parts + m * (d_k / 2), q, k, d_k, m, reach, &rope);
    arena_deinit(&arena);
    return s;
}
