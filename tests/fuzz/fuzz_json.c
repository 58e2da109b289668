/* JSON: what json_parse() accepts is written and read again as an equal value; the rest is refused with a message. */
#include "core/json.h"
#include "core/memory.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void parse(const char *text, size_t bytes)
{
    json_t *value = NULL, *again = NULL;
    const Status s = json_parse(&value, text, bytes, "input");
    if (s) {
        FUZZ_CHECK(!value, "a value from a text that is refused");
        fuzz_check_failure(s);
        FUZZ_CHECK(s == CS336_EFORMAT, "status %d: %s", (int)s, status_message());
        return;
    }
    char *written = json_dumps(value, JSON_REAL_PRECISION(17));
    FUZZ_CHECK(written, "a value that cannot be written");
    FUZZ_OK(json_parse(&again, written, strlen(written), "written"));
    FUZZ_CHECK(json_equal(value, again), "another value was read again");
    free(written);
    json_decref(value);
    json_decref(again);
}

void fuzz_json(const uint8_t *data, size_t size)
{
    const size_t before = memory_in_use();
    parse((const char *)data, size);
    FUZZ_CHECK(memory_in_use() == before, "memory is left over");
}
