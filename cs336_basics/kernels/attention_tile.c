#include "kernels/attention_tile.h"

#include "kernels/attention_table.h"
#include "kernels/isa.h"

static const AttentionTable *const tables[ISA_COUNT] = ISA_TABLES(attention);

size_t attention_width(size_t depth)
{
    return (depth + ATTENTION_BLOCK - 1) / ATTENTION_BLOCK * ATTENTION_BLOCK;
}

void attention_pack_columns(float *panels, const float *from, ptrdiff_t stride, size_t count, size_t depth, float scale)
{
    tables[isa_in_use()]->pack_columns(panels, from, stride, count, depth, scale);
}

bool attention_pack_rows(float *rows, const float *from, ptrdiff_t stride, size_t count, size_t depth)
{
    return tables[isa_in_use()]->pack_rows(rows, from, stride, count, depth);
}

void attention_unpack_rows(float *to, ptrdiff_t stride, const float *rows, const float *factor, size_t count,
                           size_t depth)
{
    tables[isa_in_use()]->unpack_rows(to, stride, rows, factor, count, depth);
}

bool attention_sees_nothing(const AttentionTile *tile)
{
    const ptrdiff_t rows = (ptrdiff_t)tile->rows, columns = (ptrdiff_t)tile->columns;
    if (columns + tile->last <= 0 || tile->first >= rows || !tile->where)
        return columns + tile->last <= 0 || tile->first >= rows;
    const bool rows_are_dense = tile->column_step == 1;
    const ptrdiff_t lines = rows_are_dense ? rows : columns, length = rows_are_dense ? columns : rows;
    const ptrdiff_t line_step = rows_are_dense ? tile->row_step : tile->column_step;
    const ptrdiff_t step = rows_are_dense ? tile->column_step : tile->row_step;
    for (ptrdiff_t line = 0; line < lines; line++) {
        bool any = false;
        for (ptrdiff_t i = 0; i < length; i++)
            any |= tile->where[line * line_step + i * step];
        if (any)
            return false;
    }
    return true;
}

void attention_scores(float *score, const float *rows, const float *columns, size_t depth, const AttentionTile *tile)
{
    tables[isa_in_use()]->scores(score, rows, columns, depth, tile);
}

void attention_hide(float *score, float hidden, const AttentionTile *tile)
{
    tables[isa_in_use()]->hide(score, hidden, tile);
}

void attention_softmax(float *score, float *maximum, float *sum, float *shrink, const AttentionTile *tile)
{
    tables[isa_in_use()]->softmax(score, maximum, sum, shrink, tile);
}

void attention_add_to_columns(float *out, const float *shrink, const float *p, const float *rows, size_t depth,
                              bool finite, const AttentionTile *tile)
{
    tables[isa_in_use()]->add_to_columns(out, shrink, p, rows, depth, finite, tile);
}

void attention_add_to_rows(float *out, const float *p, const float *columns, size_t depth, bool finite,
                           const AttentionTile *tile)
{
    tables[isa_in_use()]->add_to_rows(out, p, columns, depth, finite, tile);
}

void attention_probabilities(float *p, const float *rows, const float *columns, size_t depth, const float *log_sum_exp,
                             const AttentionTile *tile)
{
    tables[isa_in_use()]->probabilities(p, rows, columns, depth, log_sum_exp, tile);
}

void attention_score_gradients(float *grad, const float *rows, const float *columns, size_t depth, const float *p,
                               const float *delta, float scale, const AttentionTile *tile)
{
    tables[isa_in_use()]->score_gradients(grad, rows, columns, depth, p, delta, scale, tile);
}
