#include "kernels/matmul.h"

#include "core/parallel.h"
#include "kernels/isa.h"

#include <assert.h>

enum {
    /* Blocks. Each is sized for a cache level, with AVX-512's register tile of 14 x 32 floats as the example. */
    BLOCK_DEPTH = 512,    /* floats of a row of a panel: a panel of B is then 64 KiB, near the size of L1; with a
                             smaller depth, C would be read and written more often, once for each block of k */
    BLOCK_ROWS = 168,     /* rows of A, at most: 12 register tiles; 336 KiB, packed by one thread into its L2 */
    BLOCK_COLUMNS = 2048, /* columns of B: 4 MiB, packed by all threads into the shared L3 */
    BLOCKS_OF_B = 2,      /* double buffering: threads multiply with one while others pack the next */
    B_PANELS_FLOATS = BLOCKS_OF_B * (BLOCK_DEPTH * BLOCK_COLUMNS + PANEL_OVERRUN), /* room for both buffers */

    /* Threads. */
    FMAS_PER_THREAD = 500000,   /* multiply-adds, 5 to 10 us: a thread with less to do costs more than it gains */
    NUMBERS_PER_THREAD = 64000, /* numbers of A and B, 256 KB: to read them from memory takes about as long */
    EVEN_TILES = 8, /* register tiles, at least, in the height of a chunk if rows are divided evenly: heights
                       differ by one tile, and so the chunks' times by at most 1/8 */

    LEAST_SPLIT_DEPTH = 4,  /* terms of a sum, at least, for products of parts in tiles: with fewer, the rounding of
                               those  products counts more than the rounding of the sum */
    CACHE_LINE_FLOATS = 16, /* floats in 64 bytes: threads write whole lines, to avoid false sharing */
};

/* The arguments of matmul(): C = alpha A B + beta C. */
typedef struct {
    const MatmulKernels *kernels;
    Matrix c;
    ConstMatrix a, b;
    size_t m, n, k;
    float alpha, beta;
    int threads;
} Product;

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

/* Returns the submatrix that begins at (i, j). */
static ConstMatrix submatrix(ConstMatrix a, size_t i, size_t j)
{
    a.data = element(a, i, j);
    return a;
}

static Matrix submatrix_of_c(const Product *p, size_t i, size_t j)
{
    Matrix c = p->c;
    c.data += (ptrdiff_t)i * c.row_stride + (ptrdiff_t)j * c.column_stride;
    return c;
}

/*
 * Returns the number of threads that a product is worth. Either its multiply-adds or the numbers that it reads take the
 * time: the greater need counts.
 */
static int useful_threads(size_t m, size_t n, size_t k)
{
    const double fmas = (double)m * (double)n * (double)k / FMAS_PER_THREAD;
    const double numbers = (double)(m + n) * (double)k / NUMBERS_PER_THREAD;
    const double most = 1 + (fmas > numbers ? fmas : numbers);
    const int threads = parallel_threads();
    return most < threads ? (int)most : threads;
}

/* ---- blocks ---- */

/* Returns the numbers along k of a block of B, at most: those whose steps fill BLOCK_DEPTH floats. */
static size_t block_depth(const MatmulKernels *kernels)
{
    return (BLOCK_DEPTH - kernels->extra_floats) / kernels->step_floats * kernels->step_depth;
}

/* Returns the floats of the first block of B, which is the largest. The second buffer begins behind it, so that small
   products touch few pages of memory. */
static size_t buffer_floats(const MatmulKernels *kernels, size_t n, size_t k)
{
    const size_t steps = divide_up(smaller(block_depth(kernels), k), kernels->step_depth);
    const size_t panels = divide_up(smaller(BLOCK_COLUMNS, n), kernels->tile_columns);
    return panels * kernels->tile_columns * (steps * kernels->step_floats + kernels->extra_floats) + PANEL_OVERRUN;
}

/* A block of B, and how the columns of C that belong to it are cut into chunks of whole register tiles. */
typedef struct {
    size_t first_column, columns;
    size_t first_k, depth; /* the terms first_k ... first_k + depth - 1 of the sums over k */
    size_t steps;          /* of packing: each takes step_depth of these numbers */
    size_t row_floats;     /* of a panel, for each of its rows or columns */
    size_t row_tiles, row_chunks, column_tiles, column_chunks;
    float *panels;
} Block;

/*
 * Cuts C into chunks. With many rows, the number of chunks is a multiple of the threads, so that all end together, and
 * a chunk has all columns. With few rows (text generation, the gradient of a narrow weight), threads divide the columns
 * as well.
 */
static void cut_into_chunks(Block *block, const Product *p)
{
    const size_t threads = (size_t)p->threads;
    block->row_tiles = divide_up(p->m, p->kernels->tile_rows);
    block->column_tiles = divide_up(block->columns, p->kernels->tile_columns);
    const size_t chunks = divide_up(block->row_tiles, BLOCK_ROWS / p->kernels->tile_rows);
    const size_t even = divide_up(chunks, threads) * threads;
    const bool by_rows = block->row_tiles / even >= EVEN_TILES;
    block->row_chunks = by_rows ? even : chunks;
    block->column_chunks = by_rows ? 1 : smaller(threads, block->column_tiles);
}

/* Computes one chunk of C: packs its block of A, and multiplies that by the chunk's columns of the block of B. */
static void multiply_chunk(const Product *p, const Block *block, size_t chunk, float *a_panels)
{
    const size_t tile_rows = p->kernels->tile_rows, tile_columns = p->kernels->tile_columns;
    /* Rows i ... i_end - 1 and columns j ... j_end - 1 of the block, at whole register tiles. */
    const size_t row = chunk / block->column_chunks, column = chunk % block->column_chunks;
    const size_t i = row * block->row_tiles / block->row_chunks * tile_rows;
    const size_t i_end = (row + 1) * block->row_tiles / block->row_chunks * tile_rows;
    const size_t j = column * block->column_tiles / block->column_chunks * tile_columns;
    const size_t j_end = (column + 1) * block->column_tiles / block->column_chunks * tile_columns;
    const size_t rows = smaller(i_end, p->m) - i, columns = smaller(j_end, block->columns) - j;
    /* C gets beta once, with the first block of k; later blocks add to it. */
    const float beta = block->first_k == 0 ? p->beta : 1;
    p->kernels->pack_a(a_panels, submatrix(p->a, i, block->first_k), rows, block->depth);
    p->kernels->multiply(submatrix_of_c(p, i, block->first_column + j), a_panels, block->panels + j * block->row_floats,
                         rows, columns, block->steps, p->alpha, beta);
}

/*
 * Double buffering: the loop over chunks does not wait at its end, so a thread that finds no chunk left packs the next
 * block of B while others still read this one. The packing loop does wait, which keeps all threads within two blocks.
 */
static void multiply_blocks(const Product *p)
{
    const MatmulKernels *kernels = p->kernels;
    const size_t tile_columns = kernels->tile_columns;
    const size_t depth = block_depth(kernels), second_buffer = buffer_floats(kernels, p->n, p->k);
    const ParallelWorkspace *workspace = parallel_workspace();
    float *const b_panels = parallel_shared(workspace);
#pragma omp parallel num_threads(p->threads) if (p->threads > 1)
    {
        float *a_panels = parallel_private(workspace);
        Block block = {.panels = b_panels};
        for (; block.first_column < p->n; block.first_column += BLOCK_COLUMNS) {
            block.columns = smaller(BLOCK_COLUMNS, p->n - block.first_column);
            cut_into_chunks(&block, p);
            /* This loop runs once also for k == 0, where C becomes beta C. */
            for (block.first_k = 0; block.first_k < p->k || block.first_k == 0; block.first_k += depth) {
                block.depth = smaller(depth, p->k - block.first_k);
                block.steps = divide_up(block.depth, kernels->step_depth);
                block.row_floats = block.steps * kernels->step_floats + kernels->extra_floats;
                /* Pack the block of B, panel by panel, and wait for all threads. */
#pragma omp for schedule(static)
                for (size_t j = 0; j < block.columns; j += tile_columns)
                    kernels->pack_b(block.panels + j * block.row_floats,
                                    submatrix(transposed(p->b), block.first_column + j, block.first_k),
                                    smaller(tile_columns, block.columns - j), block.depth);
                    /* Multiply, chunk by chunk, and do not wait. */
#pragma omp for schedule(dynamic) nowait
                for (size_t chunk = 0; chunk < block.row_chunks * block.column_chunks; chunk++)
                    multiply_chunk(p, &block, chunk, a_panels);
                /* The next block of B goes to the other buffer. */
                block.panels = b_panels + (block.panels == b_panels ? second_buffer : 0);
            }
        }
    }
}

/* ---- few rows times a matrix: packing would cost as much as the product ---- */

/* Returns the columns of C in each thread's chunk: an equal share, rounded up to whole cache lines. */
static size_t columns_per_thread(const Product *p)
{
    return divide_up(divide_up(p->n, (size_t)p->threads), CACHE_LINE_FLOATS) * CACHE_LINE_FLOATS;
}

/*
 * Multiplies at most MATMUL_FEW_ROWS rows by a B whose columns are contiguous. Returns false, and does nothing, if the
 * product is not of this form, or if A needs copying and does not fit the workspace.
 */
static bool multiply_few_rows(const Product *p)
{
    const ConstMatrix b_rows = transposed(p->b);
    ConstMatrix a = p->a;
    if (p->m > MATMUL_FEW_ROWS || b_rows.column_stride != 1)
        return false;
    /* The kernel wants contiguous rows of A. */
    if (a.column_stride != 1) {
        float *const copy = parallel_shared(parallel_workspace());
        if (p->k > B_PANELS_FLOATS / p->m)
            return false;
        for (size_t i = 0; i < p->m; i++)
            for (size_t j = 0; j < p->k; j++)
                copy[i * p->k + j] = *element(p->a, i, j);
        a = (ConstMatrix){copy, (ptrdiff_t)p->k, 1};
    }
    /* Each thread computes the same columns of all rows. */
    const size_t chunk = columns_per_thread(p);
#pragma omp parallel for schedule(static) num_threads(p->threads) if (p->threads > 1)
    for (size_t j = 0; j < p->n; j += chunk)
        p->kernels->dot_rows(submatrix_of_c(p, 0, j), a, submatrix(b_rows, j, 0), p->m, smaller(chunk, p->n - j), p->k,
                             p->alpha, p->beta);
    return true;
}

/*
 * Multiplies one row by a B whose rows are contiguous, as c^T = b^T a^T: the columns of b^T are added one after the
 * other. Returns false, and does nothing, if the product is not of this form.
 */
static bool multiply_one_row(const Product *p)
{
    const ConstMatrix columns = transposed(p->b);
    if (p->m != 1 || columns.row_stride != 1)
        return false;
    const size_t n = p->n, chunk = smaller(columns_per_thread(p), MATVEC_COLUMNS);
#pragma omp parallel for schedule(static) num_threads(p->threads) if (p->threads > 1)
    for (size_t i = 0; i < n; i += chunk)
        p->kernels->add_columns(submatrix_of_c(p, 0, i).data, p->c.column_stride, submatrix(columns, i, 0), p->a.data,
                                p->a.column_stride, smaller(chunk, n - i), p->k, p->alpha, p->beta);
    return true;
}

/* ---- every product ---- */

/* C^T = B^T A^T */
static Product transposed_product(const Product *p)
{
    Product t = *p;
    t.c = (Matrix){p->c.data, p->c.column_stride, p->c.row_stride};
    t.a = transposed(p->b);
    t.b = transposed(p->a);
    t.m = p->n;
    t.n = p->m;
    return t;
}

static void multiply(const Product *p)
{
    assert(parallel_shared(parallel_workspace()) && "matmul_reserve() comes first");
    if (p->m == 0 || p->n == 0)
        return;
    /* A few rows or columns of C need no packing. */
    const Product t = transposed_product(p);
    if (p->kernels->dot_rows && p->k > 0 &&
        (multiply_few_rows(p) || multiply_few_rows(&t) || multiply_one_row(p) || multiply_one_row(&t)))
        return;
    /* Register tiles are stored along rows: a C whose columns are contiguous is computed as its transpose. */
    multiply_blocks(p->c.row_stride == 1 && p->c.column_stride != 1 ? &t : p);
}

Status matmul_reserve(void)
{
    return parallel_reserve(B_PANELS_FLOATS * sizeof(float),
                            (BLOCK_ROWS * BLOCK_DEPTH + PANEL_OVERRUN) * sizeof(float));
}

static const MatmulKernels *float32_kernels(void)
{
    static const MatmulKernels *const tables[ISA_COUNT] = {
        [ISA_PORTABLE] = &matmul_portable,
#if defined(__x86_64__)
        [ISA_AVX2] = &matmul_avx2,
        [ISA_AVX512] = &matmul_avx512,
        [ISA_AVX512_BF16] = &matmul_avx512,
        [ISA_AMX] = &matmul_amx,
#endif
        [ISA_AMX_EMULATED] = &matmul_amx_emulated,
    };
    return tables[isa_in_use()];
}

size_t matmul_workspace_bytes(size_t n, size_t k)
{
    const MatmulKernels *kernels = float32_kernels();
    const size_t depth = block_depth(kernels);
    size_t floats = buffer_floats(kernels, n, k);
    /* The next block of B goes to the second buffer: the next terms of these columns, or else the next columns. */
    if (k > depth)
        floats += buffer_floats(kernels, n, k - depth);
    else if (n > BLOCK_COLUMNS)
        floats += buffer_floats(kernels, n - BLOCK_COLUMNS, k);
    return floats * sizeof(float);
}

void matmul(Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k, float alpha, float beta)
{
    /* Products of vectors, for sums of so few terms that the products of parts would round more often. */
    static const MatmulKernels *const vectors[ISA_COUNT] = ISA_TABLES(matmul);
    const MatmulKernels *kernels = k < LEAST_SPLIT_DEPTH ? vectors[isa_in_use()] : float32_kernels();
    multiply(&(Product){kernels, c, a, b, m, n, k, alpha, beta, useful_threads(m, n, k)});
}

static const MatmulKernels *bf16_kernels(void)
{
    static const MatmulKernels *const tables[ISA_COUNT] = {
        [ISA_PORTABLE] = &matmul_bf16_portable,
#if defined(__x86_64__)
        [ISA_AVX2] = &matmul_bf16_avx2,
        [ISA_AVX512] = &matmul_bf16_avx512,
        [ISA_AVX512_BF16] = &matmul_bf16_avx512_bf16,
        [ISA_AMX] = &matmul_bf16_amx,
#endif
        [ISA_AMX_EMULATED] = &matmul_bf16_amx_emulated,
    };
    return tables[isa_in_use()];
}

void matmul_bf16(Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k, float alpha, float beta)
{
    multiply(&(Product){bf16_kernels(), c, a, b, m, n, k, alpha, beta, useful_threads(m, n, k)});
}

bool matmul_bf16_is_emulated(void)
{
    return bf16_kernels()->step_depth == 1;
}

static const MatmulKernels *bf16x3_kernels(void)
{
    static const MatmulKernels *const tables[ISA_COUNT] = {
        [ISA_PORTABLE] = &matmul_bf16x3_portable,
#if defined(__x86_64__)
        [ISA_AVX2] = &matmul_bf16x3_avx2,
        [ISA_AVX512] = &matmul_bf16x3_avx512,
        [ISA_AVX512_BF16] = &matmul_bf16x3_avx512,
        [ISA_AMX] = &matmul_bf16x3_amx,
#endif
        [ISA_AMX_EMULATED] = &matmul_bf16x3_amx_emulated,
    };
    return tables[isa_in_use()];
}

void matmul_bf16x3(Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k, float alpha, float beta)
{
    multiply(&(Product){bf16x3_kernels(), c, a, b, m, n, k, alpha, beta, useful_threads(m, n, k)});
}

bool matmul_bf16x3_is_emulated(void)
{
    return bf16x3_kernels()->step_depth == 1;
}
