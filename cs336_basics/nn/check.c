#include "nn/check.h"

Status nn_check_same_shape_of(const char *function, const char *name, Tensor t, const char *other_name, Tensor other)
{
    if (tensor_same_shape(t, other))
        return CS336_OK;
    return status_fail(CS336_ESHAPE, "%s: %s is %s, %s is %s", function, name, tensor_shape_text(t), other_name,
                       tensor_shape_text(other));
}

Status nn_check_last_of(const char *function, const char *name, Tensor t, Tensor like, size_t last)
{
    Tensor expected = like;
    expected.shape[expected.rank - 1] = last;
    if (tensor_same_shape(t, expected))
        return CS336_OK;
    return status_fail(CS336_ESHAPE, "%s: %s is %s, expected %s", function, name, tensor_shape_text(t),
                       tensor_shape_text(expected));
}

Status nn_check_rows_contiguous_of(const char *function, const char *name, Tensor t)
{
    if (tensor_rows_contiguous(t))
        return CS336_OK;
    return status_fail(CS336_ESHAPE, "%s: rows of %s are not contiguous", function, name);
}

Status nn_check_written_of(const char *function, const char *name, Tensor t)
{
    for (int i = 0; i < t.rank; i++)
        if (t.shape[i] > 1 && t.stride[i] == 0)
            return status_fail(CS336_ESHAPE, "%s: %s repeats dimension %d, and is written", function, name, i);
    return CS336_OK;
}

Status nn_check_ids_of(const char *function, const char *name, TokenTensor ids, const char *other_name, Tensor t)
{
    if (tokens_fit_rows(ids, t))
        return CS336_OK;
    return status_fail(CS336_ESHAPE, "%s: %s are %s, %s is %s", function, name, shape_text(ids.rank, ids.shape),
                       other_name, tensor_shape_text(t));
}
