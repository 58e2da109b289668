/* Replays the inputs of each fuzz target, and some hundred variations of them. */
#define _POSIX_C_SOURCE 200809L
#include "tests/fuzz/fuzz.h"
#include "tests/suites.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_INPUTS = 256,    /* of a target */
    LONGEST_INPUT = 8192, /* bytes; what is longer is slow, and can be made shorter with -minimize_crash=1 */
    VARIATIONS = 400      /* of all inputs of a target */
};

typedef struct {
    uint8_t bytes[LONGEST_INPUT];
    size_t length;
    char name[256];
} Input;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const Input *)a)->name, ((const Input *)b)->name);
}

/* Reads tests/fuzz/corpus/TARGET in the order of the names, which is the same on every machine. */
static size_t read_inputs(Input *inputs, const char *target)
{
    char directory[64], path[512];
    size_t count = 0;
    snprintf(directory, sizeof directory, "tests/fuzz/corpus/%s", target);
    DIR *stream = opendir(directory);
    ck_assert_msg(stream != NULL, "cannot list %s", directory);
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        if (*entry->d_name == '.')
            continue;
        ck_assert_uint_lt(count, MOST_INPUTS);
        Input *input = &inputs[count++];
        snprintf(input->name, sizeof input->name, "%s", entry->d_name);
        snprintf(path, sizeof path, "%s/%s", directory, input->name);
        FILE *file = fopen(path, "rb");
        ck_assert_msg(file != NULL, "cannot read %s", path);
        input->length = fread(input->bytes, 1, sizeof input->bytes, file);
        ck_assert_msg(fgetc(file) == EOF, "%s has more than %d bytes", path, LONGEST_INPUT);
        fclose(file);
    }
    closedir(stream);
    ck_assert_msg(count > 0, "no input in %s", directory);
    qsort(inputs, count, sizeof *inputs, by_name);
    return count;
}

static void replay(const char *target, FuzzRun *run)
{
    static Input inputs[MOST_INPUTS];
    static FuzzVariation variation;
    const size_t count = read_inputs(inputs, target);
    for (size_t i = 0; i < count; i++) {
        test_label("corpus/%s/%s", target, inputs[i].name);
        run(inputs[i].bytes, inputs[i].length);
    }
    for (size_t seed = 0; seed < VARIATIONS; seed++) {
        const Input *input = &inputs[seed % count];
        test_label("corpus/%s/%s varied with seed %zu", target, input->name, seed);
        fuzz_vary(&variation, (ByteString){input->bytes, input->length}, seed);
        run(variation.bytes, variation.length);
    }
    test_label("no input");
    run((const uint8_t *)"", 0);
    test_label_end();
}

#define REPLAY(name)                \
    START_TEST(test_fuzz_##name)    \
    {                               \
        replay(#name, fuzz_##name); \
    }                               \
    END_TEST
FUZZ_TARGETS(REPLAY)

const TestCase fuzz_tests[] = {
#define LINE(name) TEST(test_fuzz_##name, "fuzz"),
    FUZZ_TARGETS(LINE)
#undef LINE
        {0},
};
