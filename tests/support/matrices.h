/**
 * @file
 * @brief Checks matrix products against their definition, for matrices of every layout.
 */
#ifndef CS336_TESTS_SUPPORT_MATRICES_H
#define CS336_TESTS_SUPPORT_MATRICES_H

#include "kernels/matmul.h"

typedef enum {
    ROW_MAJOR,
    COLUMN_MAJOR,
    PADDED_ROWS,
    STRIDED_BOTH_WAYS,
    ROWS_BACKWARD,
    COLUMNS_BACKWARD,
    COLUMN_MAJOR_BACKWARD,
    OUTPUT_LAYOUTS,
    ROWS_REPEATED = OUTPUT_LAYOUTS,
    COLUMNS_REPEATED,
    INPUT_LAYOUTS,
} Layout;

/** @brief A matrix. Its storage has more numbers than the matrix: a product must not write these. */
typedef struct {
    Matrix view;
    size_t rows, columns, count;
    float *storage;
} TestMatrix;

/** @brief Makes a matrix of random numbers. The caller frees its storage. */
TestMatrix test_matrix(Layout layout, size_t rows, size_t columns);

float *test_matrix_element(const TestMatrix *p, size_t i, size_t j);
ConstMatrix test_matrix_input(const TestMatrix *p);

/** @brief Sets the number of threads, and reserves the workspace for them, filled with NaN. */
void reserve_for(int threads);

/**
 * @brief A product to test. operand() is how it rounds each number before it multiplies. `loss` bounds what it leaves
 * out of each product of two numbers, beside their product.
 */
typedef struct {
    const char *name;
    void (*multiply)(Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k, float alpha, float beta);
    double (*operand)(float x);
    double loss;
} MatrixProduct;

extern const MatrixProduct IN_FLOAT32, IN_BFLOAT16, IN_BF16X3;

/** @brief Computes alpha A B in double precision, and for each element the sum of |terms|; both (m, n), contiguous. */
void product_by_definition(double *c, double *magnitude, const MatrixProduct *product, const TestMatrix *a,
                           const TestMatrix *b, float alpha);

/** @brief Checks one product of random numbers, and that nothing beside C in its storage is written. */
void assert_product(const MatrixProduct *product, Layout c_layout, Layout a_layout, Layout b_layout, size_t m, size_t n,
                    size_t k, float alpha, float beta);

typedef struct {
    size_t m, n, k;
} ProductShape;

/** @brief Checks, on every ISA, every @p step -th combination of a shape with the layouts of A, B and C. */
void assert_layouts(const MatrixProduct *product, const ProductShape *shapes, size_t count, int step);

/** @brief Checks random shapes below 90 in random layouts, on every ISA. */
void assert_random_shapes(const MatrixProduct *product, int rounds);

/** @brief Checks each shape in the first @p forms of: row-major, A transposed, B transposed, all three transposed. */
void assert_forms(const MatrixProduct *product, const ProductShape *shapes, size_t count, int forms);

/**
 * @brief Checks, on every ISA, that NaN and infinities in A and B come out where the definition puts them.
 *
 * special[i] is written somewhere into A, and special[count - 1 - i] into B.
 */
void assert_special_numbers(const MatrixProduct *product, const ProductShape *shapes, size_t shape_count,
                            const volatile float *special, size_t count);

#endif
