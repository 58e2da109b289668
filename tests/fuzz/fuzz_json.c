/*
 * JSON, and the files of a run that are JSON: the first byte chooses the reader. What json_parse() accepts is written
 * and read again as an equal value. A log and a config.json with any contents are refused with a message, or read.
 */
#define _POSIX_C_SOURCE 200809L
#include "core/json.h"
#include "core/memory.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/files.h"
#include "train/run_config.h"
#include "train/run_log.h"

#include <stdlib.h>
#include <string.h>

static void check_refused(Status s)
{
    fuzz_check_failure(s);
    FUZZ_CHECK(s == CS336_EFORMAT, "status %d: %s", (int)s, status_message());
}

static void parse(ByteString text)
{
    json_t *value = NULL, *again = NULL;
    const Status s = json_parse(&value, (const char *)text.bytes, text.length, "input");
    if (s) {
        FUZZ_CHECK(!value, "a value from a text that is refused");
        check_refused(s);
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

/* A log with these contents, opened to resume at a step. */
static void open_log(ByteString text, size_t step)
{
    const char *path = fuzz_file("log.jsonl", text);
    RunLog log = {0};
    double seconds = 0;
    const Status s = run_log_open(&log, &seconds, path, step);
    if (s)
        check_refused(s);
    else
        FUZZ_OK(run_log_append(&log, &(RunLogEntry){.step = step + 1, .seconds = seconds}));
    run_log_close(&log);
    if (s)
        return;
    /* All lines that are left are those up to the step, so the log can be opened again there. */
    FUZZ_OK(run_log_open(&log, &seconds, path, step + 1));
    run_log_close(&log);
}

static void compare_config(ByteString text)
{
    const TrainerConfig config = {0};
    RunConfigComparison comparison;
    const Status s = run_config_compare(&comparison, fuzz_file("config.json", text), &config);
    if (s)
        check_refused(s);
    FUZZ_CHECK(memchr(comparison.differences, '\0', sizeof comparison.differences), "differences without an end");
}

void fuzz_json(const uint8_t *data, size_t size)
{
    const size_t before = memory_in_use();
    FuzzInput input = {data, data + size};
    switch (fuzz_below(&input, 4)) {
    case 0:
        open_log(fuzz_rest(&input), 0);
        break;
    case 1:
        open_log(fuzz_rest(&input), 3);
        break;
    case 2:
        compare_config(fuzz_rest(&input));
        break;
    default:
        parse(fuzz_rest(&input));
    }
    FUZZ_CHECK(memory_in_use() == before, "memory is left over");
}
