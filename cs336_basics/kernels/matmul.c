#include "kernels/matmul.h"

Status matmul_reserve(void)
{
    return CS336_OK;
}

void matmul(Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k, float alpha, float beta)
{
#pragma omp parallel for
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            float sum = 0;
            for (size_t l = 0; l < k; l++)
                sum += a.data[(ptrdiff_t)i * a.row_stride + (ptrdiff_t)l * a.column_stride] *
                       b.data[(ptrdiff_t)l * b.row_stride + (ptrdiff_t)j * b.column_stride];
            float *out = &c.data[(ptrdiff_t)i * c.row_stride + (ptrdiff_t)j * c.column_stride];
            *out = alpha * sum + (beta == 0 ? 0 : beta * *out);
        }
}

void matmul_batched(Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k, float alpha, float beta,
                    size_t batch, ptrdiff_t c_step, ptrdiff_t a_step, ptrdiff_t b_step)
{
    for (size_t i = 0; i < batch; i++) {
        matmul(c, a, b, m, n, k, alpha, beta);
        c.data += c_step, a.data += a_step, b.data += b_step;
    }
}
