/**
 * @file
 * @brief Checks of shapes and strides, with one wording each, for every function in nn/.
 *
 * - Each check returns CS336_OK, or CS336_ESHAPE after recording "FUNCTION: what is wrong" for status_message().
 * - The macros put the name of the function (`__func__`) and of the variables into the message. The functions, which
 * end in _of, take these names as arguments: for a helper that checks on behalf of its caller.
 * - Several checks are joined with ||, which stops at the first that fails:
 *
 * @code
 * if (nn_check_same_shape(y, x) || nn_check_rows_contiguous(x) || nn_check_rows_contiguous(y))
 *     return CS336_ESHAPE;
 * @endcode
 */
#ifndef CS336_NN_CHECK_H
#define CS336_NN_CHECK_H

#include "core/api.h"
#include "core/status.h"
#include "core/tensor.h"

CS336_INTERNAL_BEGIN

/** @brief Checks that two tensors have the same shape; fails with "FUNCTION: y is (2, 3), x is (3, 2)". */
#define nn_check_same_shape(t, other) nn_check_same_shape_of(__func__, #t, (t), #other, (other))
/** @brief nn_check_same_shape() with the names as arguments. */
CS336_MUST_CHECK Status nn_check_same_shape_of(const char *function, const char *name, Tensor t, const char *other_name,
                                               Tensor other);

/**
 * @brief Checks that @p t has the leading dimensions of @p like and the last extent @p last; fails with "FUNCTION: t is
 * (2), expected (2, 1)".
 */
#define nn_check_last(t, like, last) nn_check_last_of(__func__, #t, (t), (like), (last))
/** @brief nn_check_last() with the names as arguments. */
CS336_MUST_CHECK Status nn_check_last_of(const char *function, const char *name, Tensor t, Tensor like, size_t last);

/**
 * @brief Checks that the numbers of each row are adjacent in memory; fails with "FUNCTION: rows of x are not
 * contiguous".
 */
#define nn_check_rows_contiguous(t) nn_check_rows_contiguous_of(__func__, #t, (t))
/** @brief nn_check_rows_contiguous() with the names as arguments. */
CS336_MUST_CHECK Status nn_check_rows_contiguous_of(const char *function, const char *name, Tensor t);

/**
 * @brief Checks that no dimension of a result repeats by a stride of 0; fails with "FUNCTION: y repeats dimension 0,
 * and is written".
 *
 * Otherwise several indices would write the same element, and threads would race.
 */
CS336_MUST_CHECK Status nn_check_written_of(const char *function, const char *name, Tensor t);

/** @brief Checks that there is one id for each row of @p t; fails with "FUNCTION: ids are (2, 3), t is (3, 2, 8)". */
#define nn_check_ids(ids, t) nn_check_ids_of(__func__, #ids, (ids), #t, (t))
/** @brief nn_check_ids() with the names as arguments. */
CS336_MUST_CHECK Status nn_check_ids_of(const char *function, const char *name, TokenTensor ids, const char *other_name,
                                        Tensor t);

CS336_INTERNAL_END

#endif
