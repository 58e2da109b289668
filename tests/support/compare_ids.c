#include "tests/support/compare_ids.h"

#include <check.h>

Status compare_ids(void *context, const int32_t *ids, size_t count)
{
    IdComparison *comparison = context;
    for (size_t i = 0; i < count; i++, comparison->count++)
        comparison->wrong +=
            comparison->count >= comparison->expected->count || comparison->expected->ids[comparison->count] != ids[i];
    return CS336_OK;
}

void assert_ids_equal(const IdComparison *comparison)
{
    ck_assert_uint_eq(comparison->count, comparison->expected->count);
    ck_assert_uint_eq(comparison->wrong, 0);
}
