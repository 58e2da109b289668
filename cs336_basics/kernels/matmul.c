#include "kernels/matmul.h"

#include "core/parallel.h"
#include "kernels/isa.h"
#include "kernels/matmul_table.h"

#include <assert.h>

/*
 * Blocks: BLOCK_DEPTH words of panels, one or two steps of k each, at a time, so that the panel of B under the
 * micro-kernel stays near the first cache level; about BLOCK_ROWS rows of A, which one thread keeps in its second
 * level; BLOCK_COLUMNS columns of B, which all threads share in the third. Deep blocks, because C is read and written
 * once for each.
 */
enum {
    BLOCK_DEPTH = 512,
    BLOCK_ROWS = 168,
    BLOCK_COLUMNS = 2048,
    FEW_ROWS = 16, /* which are multiplied without packing */
    CACHE_LINE_FLOATS = 16,
    WORK_A_THREAD = 500000,   /* multiply-adds below which another thread costs more than it gains, */
    NUMBERS_A_THREAD = 64000, /* unless the matrices are so large that reading them takes longer */
    EVEN_TILES = 8,           /* blocks of at least so many tiles differ little in size */
};

typedef struct {
    Matrix c;
    ConstMatrix a, b;
    size_t m, n, k;
    float alpha, beta;
} Product;

/* What a product may use: threads, room for two blocks of B (for all threads) and one of A (for this one). */
typedef struct {
    const MatmulTable *kernel;
    int threads;
    size_t b_columns; /* of one of the two */
    float *b_panels, *a_panels;
} Workspace;

enum { BLOCKS_OF_B = 2, B_PANELS_FLOATS = BLOCKS_OF_B * BLOCK_DEPTH * BLOCK_COLUMNS };

static const MatmulTable *const tables[ISA_COUNT] = ISA_TABLES(matmul);

static const MatmulTable *const bf16_tables[ISA_COUNT] = {
    [ISA_PORTABLE] = &matmul_bf16_portable,
#if defined(__x86_64__)
    [ISA_AVX2] = &matmul_bf16_avx2,
    [ISA_AVX512] = &matmul_bf16_avx512,
    [ISA_AVX512_BF16] = &matmul_bf16_avx512_bf16,
#endif
};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t divide_up(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

static const float *element(ConstMatrix a, size_t i, size_t j)
{
    return a.data + (ptrdiff_t)i * a.row_stride + (ptrdiff_t)j * a.column_stride;
}

static ConstMatrix transposed(ConstMatrix a)
{
    return (ConstMatrix){a.data, a.column_stride, a.row_stride};
}

static ConstMatrix part(ConstMatrix a, size_t i, size_t j)
{
    a.data = element(a, i, j);
    return a;
}

static int useful_threads(size_t m, size_t n, size_t k)
{
    const double work = (double)m * (double)n * (double)k / WORK_A_THREAD;
    const double reading = (double)(m + n) * (double)k / NUMBERS_A_THREAD;
    const double most = 1 + (work > reading ? work : reading);
    const int threads = parallel_threads();
    return most < threads ? (int)most : threads;
}

/* ---- blocks ---- */

/* One block of B, and how the columns of C that belong to it are cut into pieces of whole tiles for the threads. */
typedef struct {
    size_t first_column, columns, first_step, steps, words;
    size_t row_tiles, row_blocks, column_tiles, column_blocks;
    float *panels;
} Block;

/*
 * As many row blocks as threads, or a multiple, while these stay even; otherwise threads divide the columns as well
 * (few rows: decoding, or the gradient of a narrow weight).
 */
static void cut(Block *block, const Product *p, const Workspace *w)
{
    const size_t threads = (size_t)w->threads;
    block->row_tiles = divide_up(p->m, w->kernel->tile_rows);
    block->column_tiles = divide_up(block->columns, w->kernel->tile_columns);
    const size_t blocks = divide_up(block->row_tiles, BLOCK_ROWS / w->kernel->tile_rows);
    const size_t even = divide_up(blocks, threads) * threads;
    const int by_rows = block->row_tiles / even >= EVEN_TILES;
    block->row_blocks = by_rows ? even : blocks;
    block->column_blocks = by_rows ? 1 : smaller(threads, block->column_tiles);
}

static void multiply_piece(const Product *p, const Workspace *w, const Block *block, size_t piece, float *a_panels)
{
    const size_t row = piece / block->column_blocks, column = piece % block->column_blocks;
    const size_t i = row * block->row_tiles / block->row_blocks * w->kernel->tile_rows;
    const size_t i_end = (row + 1) * block->row_tiles / block->row_blocks * w->kernel->tile_rows;
    const size_t j = column * block->column_tiles / block->column_blocks * w->kernel->tile_columns;
    const size_t j_end = (column + 1) * block->column_tiles / block->column_blocks * w->kernel->tile_columns;
    const size_t rows = smaller(i_end, p->m) - i, columns = smaller(j_end, block->columns) - j;
    const Matrix c = {p->c.data + (ptrdiff_t)i * p->c.row_stride +
                          (ptrdiff_t)(block->first_column + j) * p->c.column_stride,
                      p->c.row_stride, p->c.column_stride};
    w->kernel->pack_a(a_panels, part(p->a, i, block->first_step), rows, block->steps);
    w->kernel->multiply(c, a_panels, block->panels + j * block->words, rows, columns, block->words, p->alpha,
                        block->first_step == 0 ? p->beta : 1);
}

/*
 * Two blocks of B take turns, so that a thread that is done may pack the next while others still read this one: the
 * loop over pieces does not wait at its end, and the loop that packs the next block waits for all to have left both.
 */
static void multiply_blocks(const Product *p, const Workspace *w)
{
    const size_t tile = w->kernel->tile_columns, depth = BLOCK_DEPTH * w->kernel->word_steps;
#pragma omp parallel num_threads(w->threads) if (w->threads > 1)
    {
        float *a_panels = w->threads > 1 ? parallel_private() : w->a_panels;
        Block block = {.panels = w->b_panels};
        for (; block.first_column < p->n; block.first_column += w->b_columns) {
            block.columns = smaller(w->b_columns, p->n - block.first_column);
            cut(&block, p, w);
            /* Once also for k == 0, where C becomes beta C. */
            for (block.first_step = 0; block.first_step < p->k || block.first_step == 0; block.first_step += depth) {
                block.steps = smaller(depth, p->k - block.first_step);
                block.words = divide_up(block.steps, w->kernel->word_steps);
#pragma omp for schedule(static)
                for (size_t j = 0; j < block.columns; j += tile)
                    w->kernel->pack_b(block.panels + j * block.words,
                                      part(transposed(p->b), block.first_column + j, block.first_step),
                                      smaller(tile, block.columns - j), block.steps);
#pragma omp for schedule(dynamic) nowait
                for (size_t piece = 0; piece < block.row_blocks * block.column_blocks; piece++)
                    multiply_piece(p, w, &block, piece, a_panels);
                block.panels = w->b_panels + (block.panels == w->b_panels ? w->b_columns * BLOCK_DEPTH : 0);
            }
        }
    }
}

/* ---- few rows times a matrix: packing would cost as much as the product ---- */

/* Of the columns of c, for each thread: equal shares, but for whole cache lines. */
static size_t share_of_columns(size_t n, const Workspace *w)
{
    return divide_up(divide_up(n, (size_t)w->threads), CACHE_LINE_FLOATS) * CACHE_LINE_FLOATS;
}

/* The rows of b^T are contiguous, and those of a are or fit the workspace. 0, and nothing done, where it is not so. */
static int multiply_few_rows(const Product *p, const Workspace *w)
{
    const ConstMatrix rows = transposed(p->b);
    ConstMatrix a = p->a;
    if (p->m > FEW_ROWS || rows.column_stride != 1)
        return 0;
    if (a.column_stride != 1) {
        if (p->k > BLOCKS_OF_B * BLOCK_DEPTH * w->b_columns / p->m)
            return 0;
        for (size_t i = 0; i < p->m; i++)
            for (size_t j = 0; j < p->k; j++)
                w->b_panels[i * p->k + j] = *element(p->a, i, j);
        a = (ConstMatrix){w->b_panels, (ptrdiff_t)p->k, 1};
    }
    const size_t share = share_of_columns(p->n, w);
#pragma omp parallel for schedule(static) num_threads(w->threads) if (w->threads > 1)
    for (size_t j = 0; j < p->n; j += share) {
        const Matrix c = {p->c.data + (ptrdiff_t)j * p->c.column_stride, p->c.row_stride, p->c.column_stride};
        w->kernel->dot_rows(c, a, part(rows, j, 0), p->m, smaller(share, p->n - j), p->k, p->alpha, p->beta);
    }
    return 1;
}

/* One row, and the rows of b are contiguous: c^T = b^T a^T takes its columns one after the other. 0: it is not so. */
static int multiply_one_row(const Product *p, const Workspace *w)
{
    const ConstMatrix columns = transposed(p->b);
    const size_t n = p->n;
    if (p->m != 1 || columns.row_stride != 1)
        return 0;
    const size_t block = smaller(share_of_columns(n, w), MATVEC_COLUMNS);
#pragma omp parallel for schedule(static) num_threads(w->threads) if (w->threads > 1)
    for (size_t i = 0; i < n; i += block)
        w->kernel->add_columns(p->c.data + (ptrdiff_t)i * p->c.column_stride, p->c.column_stride, part(columns, i, 0),
                               p->a.data, p->a.column_stride, smaller(block, n - i), p->k, p->alpha, p->beta);
    return 1;
}

/* ---- every product ---- */

/* C^T = B^T A^T */
static Product transposed_product(const Product *p)
{
    return (Product){{p->c.data, p->c.column_stride, p->c.row_stride},
                     transposed(p->b),
                     transposed(p->a),
                     p->n,
                     p->m,
                     p->k,
                     p->alpha,
                     p->beta};
}

static void multiply(const Product *p, const Workspace *w)
{
    if (p->m == 0 || p->n == 0)
        return;
    const Product t = transposed_product(p);
    if (w->kernel->dot_rows && p->k > 0 &&
        (multiply_few_rows(p, w) || multiply_few_rows(&t, w) || multiply_one_row(p, w) || multiply_one_row(&t, w)))
        return;
    /* Tiles are stored along rows: a C whose columns are contiguous is computed as its transpose. */
    multiply_blocks(p->c.row_stride == 1 && p->c.column_stride != 1 ? &t : p, w);
}

Status matmul_reserve(void)
{
    return parallel_reserve((B_PANELS_FLOATS + PANEL_OVERRUN) * sizeof(float),
                            (BLOCK_ROWS * BLOCK_DEPTH + PANEL_OVERRUN) * sizeof(float));
}

static void multiply_by(const MatmulTable *kernel, const Product *p)
{
    assert(parallel_shared() && "matmul_reserve() comes first");
    const Workspace w = {kernel, useful_threads(p->m, p->n, p->k), BLOCK_COLUMNS, parallel_shared(),
                         parallel_private()};
    multiply(p, &w);
}

void matmul(Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k, float alpha, float beta)
{
    multiply_by(tables[isa_in_use()], &(Product){c, a, b, m, n, k, alpha, beta});
}

void matmul_bf16(Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k, float alpha, float beta)
{
    multiply_by(bf16_tables[isa_in_use()], &(Product){c, a, b, m, n, k, alpha, beta});
}

bool matmul_bf16_is_emulated(void)
{
    return bf16_tables[isa_in_use()]->word_steps == 1;
}

void matmul_batched(Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k, float alpha, float beta,
                    size_t batch, ptrdiff_t c_step, ptrdiff_t a_step, ptrdiff_t b_step)
{
    assert(parallel_shared() && "matmul_reserve() comes first");
    const MatmulTable *kernel = tables[isa_in_use()];
    const Product first = {c, a, b, m, n, k, alpha, beta};
    const int threads = useful_threads(batch * m, n, k);
    /* Many products: each on one thread, with that thread's part of the room for panels of B. */
    const size_t b_columns = BLOCK_COLUMNS / (size_t)threads / kernel->tile_columns * kernel->tile_columns;
    const int together = batch < (size_t)threads || b_columns == 0;
#pragma omp parallel for schedule(static) num_threads(threads) if (!together && threads > 1)
    for (size_t i = 0; i < batch; i++) {
        Product p = first;
        p.c.data += (ptrdiff_t)i * c_step;
        p.a.data += (ptrdiff_t)i * a_step;
        p.b.data += (ptrdiff_t)i * b_step;
        Workspace w = {kernel, 1, b_columns, (float *)parallel_shared(), parallel_private()};
        if (together) {
            w.threads = useful_threads(m, n, k);
            w.b_columns = BLOCK_COLUMNS;
        } else {
            w.b_panels += (size_t)parallel_thread() * BLOCKS_OF_B * BLOCK_DEPTH * b_columns;
        }
        multiply(&p, &w);
    }
}
