#include "tests/support/compare_ids.h"

#include "tests/support/check.h"

Status compare_ids(void *context, const int32_t *ids, size_t count)
{
    IdComparison *comparison = context;
    const TokenList *expected = comparison->expected;
    for (size_t i = 0; i < count; i++, comparison->count++) {
        if (comparison->count < expected->count && expected->ids[comparison->count] == ids[i])
            continue;
        if (comparison->wrong++ == 0) {
            comparison->first = comparison->count;
            comparison->first_id = ids[i];
        }
    }
    return CS336_OK;
}

void assert_ids_equal(const IdComparison *comparison)
{
    const TokenList *expected = comparison->expected;
    if (comparison->wrong && comparison->first < expected->count)
        ck_abort_msg("%zu of %zu ids are wrong; the first at [%zu]: %d, expected %d", comparison->wrong,
                     comparison->count, comparison->first, comparison->first_id, expected->ids[comparison->first]);
    ck_assert_msg(comparison->count == expected->count, "%zu ids, expected %zu", comparison->count, expected->count);
}
