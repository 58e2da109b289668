#include "tests/support/compare_ids.h"

#include <check.h>

Status compare_ids(void *context, const int32_t *ids, size_t count)
{
    IdComparison *x = context;
    for (size_t i = 0; i < count; i++, x->count++)
        x->wrong += x->count >= x->expected->count || x->expected->ids[x->count] != ids[i];
    return CS336_OK;
}

void assert_ids_equal(const IdComparison *comparison)
{
    ck_assert_uint_eq(comparison->count, comparison->expected->count);
    ck_assert_uint_eq(comparison->wrong, 0);
}
