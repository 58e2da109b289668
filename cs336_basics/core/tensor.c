#include "core/tensor.h"

#include "core/parallel.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Sets the shape and the strides of a row-major view. */
static void fill_shape(int rank, const size_t *extents, size_t *shape, ptrdiff_t *stride)
{
    assert(rank >= 1 && rank <= TENSOR_MAX_RANK);
    size_t count = 1; /* an absurd product wraps around, which is defined for unsigned; the arena refuses it later */
    for (int i = rank - 1; i >= 0; i--) {
        shape[i] = extents[i];
        stride[i] = (ptrdiff_t)count;
        count *= extents[i];
    }
}

Tensor tensor_of(float *data, int rank, const size_t *shape)
{
    Tensor t = {.data = data, .rank = rank};
    fill_shape(rank, shape, t.shape, t.stride);
    return t;
}

TokenTensor tokens_of(const int32_t *data, int rank, const size_t *shape)
{
    TokenTensor t = {.data = data, .rank = rank};
    fill_shape(rank, shape, t.shape, t.stride);
    return t;
}

MaskTensor mask_of(const bool *data, int rank, const size_t *shape)
{
    MaskTensor t = {.data = data, .rank = rank};
    fill_shape(rank, shape, t.shape, t.stride);
    return t;
}

static int dimension_index(int rank, int dimension)
{
    const int i = dimension < 0 ? rank + dimension : dimension;
    assert(i >= 0 && i < rank);
    return i;
}

static size_t product(int rank, const size_t *shape)
{
    size_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= shape[i];
    return count;
}

/* Returns the distance from the first element to the one at a row-major index over the first `rank` dimensions. */
static ptrdiff_t offset_at(int rank, const size_t *shape, const ptrdiff_t *stride, size_t index)
{
    ptrdiff_t offset = 0;
    for (int i = rank - 1; i >= 0; i--) {
        offset += (ptrdiff_t)(index % shape[i]) * stride[i];
        index /= shape[i];
    }
    return offset;
}

size_t tensor_extent(Tensor t, int dimension)
{
    return t.shape[dimension_index(t.rank, dimension)];
}

size_t tensor_count(Tensor t)
{
    return product(t.rank, t.shape);
}

size_t tensor_rows(Tensor t)
{
    return product(t.rank - 1, t.shape);
}

float *tensor_row(Tensor t, size_t row)
{
    return t.data + offset_at(t.rank - 1, t.shape, t.stride, row);
}

bool tensor_same_shape(Tensor a, Tensor b)
{
    return tensor_same_leading(a, b, 0);
}

bool tensor_same_leading(Tensor a, Tensor b, int trailing)
{
    if (a.rank != b.rank)
        return false;
    for (int i = 0; i < a.rank - trailing; i++)
        if (a.shape[i] != b.shape[i])
            return false;
    return true;
}

bool tensor_rows_contiguous(Tensor t)
{
    return t.stride[t.rank - 1] == 1 || t.shape[t.rank - 1] == 1;
}

bool tensor_contiguous(Tensor t)
{
    ptrdiff_t stride = 1;
    for (int i = t.rank - 1; i >= 0; i--) {
        if (t.shape[i] != 1 && t.stride[i] != stride)
            return false;
        stride *= (ptrdiff_t)t.shape[i];
    }
    return true;
}

Tensor tensor_transpose(Tensor t, int a, int b)
{
    const int i = dimension_index(t.rank, a), j = dimension_index(t.rank, b);
    Tensor view = t;
    view.shape[i] = t.shape[j], view.stride[i] = t.stride[j];
    view.shape[j] = t.shape[i], view.stride[j] = t.stride[i];
    return view;
}

Tensor tensor_slice(Tensor t, int dimension, size_t start, size_t length)
{
    const int i = dimension_index(t.rank, dimension);
    assert(start + length <= t.shape[i]);
    if (t.data)
        t.data += (ptrdiff_t)start * t.stride[i];
    t.shape[i] = length;
    return t;
}

Tensor tensor_select(Tensor t, int dimension, size_t index)
{
    const int i = dimension_index(t.rank, dimension);
    assert(t.rank > 1);
    t = tensor_slice(t, i, index, 1);
    t.rank--;
    memmove(t.shape + i, t.shape + i + 1, (size_t)(t.rank - i) * sizeof *t.shape);
    memmove(t.stride + i, t.stride + i + 1, (size_t)(t.rank - i) * sizeof *t.stride);
    return t;
}

static void insert(int *rank, size_t *shape, ptrdiff_t *stride, int dimension)
{
    const int i = dimension < 0 ? *rank + dimension : dimension;
    assert(*rank < TENSOR_MAX_RANK && i >= 0 && i <= *rank);
    memmove(shape + i + 1, shape + i, (size_t)(*rank - i) * sizeof *shape);
    memmove(stride + i + 1, stride + i, (size_t)(*rank - i) * sizeof *stride);
    shape[i] = 1;
    stride[i] = 0;
    ++*rank;
}

Tensor tensor_insert(Tensor t, int dimension)
{
    insert(&t.rank, t.shape, t.stride, dimension);
    return t;
}

TokenTensor tokens_insert(TokenTensor t, int dimension)
{
    insert(&t.rank, t.shape, t.stride, dimension);
    return t;
}

Tensor tensor_split(Tensor t, int dimension, size_t count)
{
    const int i = dimension_index(t.rank, dimension);
    assert(count > 0 && t.shape[i] % count == 0);
    t = tensor_insert(t, i);
    const size_t extent = t.shape[i + 1] / count;
    t.shape[i] = count;
    t.stride[i] = (ptrdiff_t)extent * t.stride[i + 1];
    t.shape[i + 1] = extent;
    return t;
}

Tensor tensor_with_last(Tensor t, size_t extent)
{
    t.shape[t.rank - 1] = extent;
    return t;
}

Tensor tensor_reshape_of(Tensor t, int rank, const size_t *shape)
{
    assert(tensor_contiguous(t) && product(rank, shape) == tensor_count(t));
    return tensor_of(t.data, rank, shape);
}

void tensor_copy(Tensor destination, Tensor source)
{
    assert(tensor_same_shape(destination, source));
    const size_t rows = tensor_rows(source), n = tensor_extent(source, -1);
    const ptrdiff_t out_step = destination.stride[source.rank - 1], in_step = source.stride[source.rank - 1];
    for (size_t row = 0; row < rows; row++) {
        float *out = tensor_row(destination, row);
        const float *in = tensor_row(source, row);
        if (out_step == 1 && in_step == 1)
            memcpy(out, in, n * sizeof(float));
        else
            for (size_t i = 0; i < n; i++)
                out[(ptrdiff_t)i * out_step] = in[(ptrdiff_t)i * in_step];
    }
}

void tensor_fill(Tensor t, float value)
{
    const size_t rows = tensor_rows(t), n = tensor_extent(t, -1);
    const ptrdiff_t step = t.stride[t.rank - 1];
    for (size_t row = 0; row < rows; row++) {
        float *out = tensor_row(t, row);
        for (size_t i = 0; i < n; i++)
            out[(ptrdiff_t)i * step] = value;
    }
}

/* Chunks of a tensor, each summed by one thread. Their number is fixed, and so the order of additions is fixed too. */
enum { SUM_CHUNKS = 64 };

double tensor_row_sum_of_squares(const float *row, size_t count)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < count; i++)
        sum += (double)row[i] * (double)row[i];
    return sum;
}

double tensor_sum_of_squares(Tensor t)
{
    const size_t count = tensor_count(t), each = (count + SUM_CHUNKS - 1) / SUM_CHUNKS;
    double chunk_sum[SUM_CHUNKS], sum = 0;
    assert(tensor_contiguous(t));
#pragma omp parallel for num_threads(parallel_threads_for(count))
    for (size_t chunk = 0; chunk < SUM_CHUNKS; chunk++) {
        const size_t first = chunk * each < count ? chunk * each : count, left = count - first;
        chunk_sum[chunk] = tensor_row_sum_of_squares(t.data + first, left < each ? left : each);
    }
    /* The chunks' sums are added in order. */
    for (size_t chunk = 0; chunk < SUM_CHUNKS; chunk++)
        sum += chunk_sum[chunk];
    return sum;
}

size_t tokens_count(TokenTensor t)
{
    return product(t.rank, t.shape);
}

int32_t tokens_at(TokenTensor t, size_t index)
{
    return t.data[offset_at(t.rank, t.shape, t.stride, index)];
}

bool tokens_fit_rows(TokenTensor ids, Tensor t)
{
    bool fit = ids.rank == t.rank - 1;
    for (int i = 0; fit && i < ids.rank; i++)
        fit = ids.shape[i] == t.shape[i];
    return fit;
}

Status tokens_check(const char *function, const char *name, TokenTensor ids, size_t bound)
{
    const size_t count = tokens_count(ids);
    for (size_t i = 0; i < count; i++) {
        const int32_t id = tokens_at(ids, i);
        if (id >= 0 && (size_t)id < bound)
            continue;
        /* The row-major index i as one index for each dimension: 7 of (2, 5) is (1, 2). */
        size_t index[TENSOR_MAX_RANK] = {0}, rest = i;
        for (int k = ids.rank - 1; k >= 0; k--) {
            index[k] = rest % ids.shape[k];
            rest /= ids.shape[k];
        }
        return status_fail(CS336_ERANGE, "%s: %s %d at %s is not in [0, %zu)", function, name, (int)id,
                           shape_text(ids.rank, index), bound);
    }
    return CS336_OK;
}

static bool broadcast(int *rank, size_t *shape, ptrdiff_t *stride, int new_rank, const size_t *new_shape)
{
    assert(new_rank <= TENSOR_MAX_RANK);
    const int added = new_rank - *rank;
    if (added < 0)
        return false;
    for (int i = 0; i < *rank; i++)
        if (shape[i] != new_shape[added + i] && shape[i] != 1)
            return false;
    /* From the last dimension to the first, so that no stride is overwritten before it moves. */
    for (int i = new_rank - 1; i >= 0; i--) {
        const bool repeats = i < added || (shape[i - added] == 1 && new_shape[i] != 1);
        stride[i] = repeats ? 0 : stride[i - added];
    }
    memcpy(shape, new_shape, (size_t)new_rank * sizeof *shape);
    *rank = new_rank;
    return true;
}

bool tokens_broadcast(TokenTensor *t, int rank, const size_t *shape)
{
    return broadcast(&t->rank, t->shape, t->stride, rank, shape);
}

bool mask_broadcast(MaskTensor *t, int rank, const size_t *shape)
{
    return broadcast(&t->rank, t->shape, t->stride, rank, shape);
}

const char *shape_text(int rank, const size_t *shape)
{
    static _Thread_local char buffers[4][192];
    static _Thread_local unsigned next;
    char *text = buffers[next++ % 4];
    size_t used = 0;
    for (int i = 0; i < rank; i++)
        used += (size_t)snprintf(text + used, sizeof buffers[0] - used, "%s%zu", i ? ", " : "(", shape[i]);
    snprintf(text + used, sizeof buffers[0] - used, rank ? ")" : "()");
    return text;
}

const char *tensor_shape_text(Tensor t)
{
    return shape_text(t.rank, t.shape);
}
