#include "kernels/attention.h"

#include "kernels/isa.h"

const AttentionKernels *attention_kernels(void)
{
    static const AttentionKernels *const tables[ISA_COUNT] = ISA_TABLES(attention);
    return tables[isa_in_use()];
}

const AttentionKernels *attention_bf16_kernels(void)
{
    static const AttentionKernels *const tables[ISA_COUNT] = {
        [ISA_PORTABLE] = &attention_bf16_portable,
#if defined(__x86_64__)
        [ISA_AVX2] = &attention_bf16_avx2,
        [ISA_AVX512] = &attention_bf16_avx512,
        [ISA_AVX512_BF16] = &attention_bf16_avx512_bf16,
        [ISA_AMX] = &attention_bf16_amx,
#endif
        [ISA_AMX_EMULATED] = &attention_bf16_amx_emulated,
    };
    return tables[isa_in_use()];
}

size_t attention_width(size_t depth)
{
    return (depth + ATTENTION_WIDEST_PANEL - 1) / ATTENTION_WIDEST_PANEL * ATTENTION_WIDEST_PANEL;
}

PackedRows packed_rows_from(PackedRows rows, size_t row)
{
    rows.data += row * attention_width(rows.depth);
    return rows;
}

PackedColumns packed_columns_from(PackedColumns columns, size_t column)
{
    columns.data += column * attention_width(columns.depth);
    return columns;
}

bool score_block_is_hidden(const ScoreBlock *block)
{
    const ptrdiff_t rows = (ptrdiff_t)block->rows, columns = (ptrdiff_t)block->columns;
    /* The band ends above the block, or begins below it. */
    if (columns + block->band_last <= 0 || block->band_first >= rows)
        return true;
    if (!block->mask)
        return false;
    /* Look for a true element, along the dimension in which the mask is contiguous. */
    const bool contiguous_rows = block->column_stride == 1;
    const ptrdiff_t lines = contiguous_rows ? rows : columns, length = contiguous_rows ? columns : rows;
    const ptrdiff_t line_stride = contiguous_rows ? block->row_stride : block->column_stride;
    const ptrdiff_t stride = contiguous_rows ? block->column_stride : block->row_stride;
    for (ptrdiff_t line = 0; line < lines; line++) {
        bool any = false;
        for (ptrdiff_t i = 0; i < length; i++)
            any |= block->mask[line * line_stride + i * stride];
        if (any)
            return false;
    }
    return true;
}
