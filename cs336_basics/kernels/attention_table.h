/* The functions behind attention_tile.h, one table for each instruction set. */
#ifndef CS336_KERNELS_ATTENTION_TABLE_H
#define CS336_KERNELS_ATTENTION_TABLE_H

#include "kernels/attention_tile.h"

typedef struct {
    void (*pack_columns)(float *panels, const float *from, ptrdiff_t stride, size_t count, size_t depth, float scale);
    bool (*pack_rows)(float *rows, const float *from, ptrdiff_t stride, size_t count, size_t depth);
    void (*unpack_rows)(float *to, ptrdiff_t stride, const float *rows, const float *factor, size_t count,
                        size_t depth);
    void (*scores)(float *score, const float *rows, const float *columns, size_t depth, const AttentionTile *tile);
    void (*hide)(float *score, float hidden, const AttentionTile *tile);
    void (*softmax)(float *score, float *maximum, float *sum, float *shrink, const AttentionTile *tile);
    void (*add_to_columns)(float *out, const float *shrink, const float *p, const float *rows, size_t depth,
                           bool finite, const AttentionTile *tile);
    void (*add_to_rows)(float *out, const float *p, const float *columns, size_t depth, bool finite,
                        const AttentionTile *tile);
    void (*probabilities)(float *p, const float *rows, const float *columns, size_t depth, const float *log_sum_exp,
                          const AttentionTile *tile);
    void (*score_gradients)(float *grad, const float *rows, const float *columns, size_t depth, const float *p,
                            const float *delta, float scale, const AttentionTile *tile);
} AttentionTable;

extern const AttentionTable attention_portable, attention_avx2, attention_avx512;

#endif
