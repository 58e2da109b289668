/*
 * config.json. The first byte chooses the reader; the rest of the input is the file.
 *
 * - The file of --config: it is refused with one line, or each key's value is in the option's target, unless the
 * command line gives the option too. The first byte also says which options the command line gives.
 * - The file with which a resumed run compares its settings: it is refused with a message, or read.
 */
#include "cli/commands.h"
#include "cli/options_config.h"
#include "core/json.h"
#include "core/memory.h"
#include "tests/fuzz/fuzz_command.h"
#include "tests/support/files.h"
#include "train/run_config.h"

#include <string.h>

/* ---- the file of --config ---- */

/* What the command line gives if its bit in the input's first byte is set. */
enum { GIVES_SIZE = 1, GIVES_TEXTS = 2, GIVES_CHOICE = 4, GIVES_REQUIRED = 8, IS_COMPARED = 16 };

static int command_line(char **argv, const char *path, unsigned given)
{
    static char command[] = "fuzz", config[] = "--config", size[] = "--size=7", texts[] = "--texts=one",
                choice[] = "--choice=green", required[] = "--required=9";
    int argc = 0;
    argv[argc++] = command;
    argv[argc++] = config;
    argv[argc++] = (char *)(uintptr_t)path;
    if (given & GIVES_SIZE)
        argv[argc++] = size;
    if (given & GIVES_TEXTS)
        argv[argc++] = texts;
    if (given & GIVES_CHOICE)
        argv[argc++] = choice;
    if (given & GIVES_REQUIRED)
        argv[argc++] = required;
    argv[argc] = NULL;
    return argc;
}

static void check_size(const json_t *object, const char *key, size_t actual)
{
    const json_t *value = json_object_get(object, key);
    FUZZ_CHECK(!value || (double)actual == json_number_value(value), "%s is %zu, the file says %.17g", key, actual,
               json_number_value(value));
}

static void check_text(const json_t *object, const char *key, const char *actual)
{
    const char *value = json_string_value(json_object_get(object, key));
    FUZZ_CHECK(!value || strcmp(value, actual) == 0, "%s is \"%s\", the file says \"%s\"", key, actual, value);
}

/* The file has one text, or an array of texts. */
static void check_texts(const json_t *object, const char *key, const TextList *actual)
{
    const json_t *value = json_object_get(object, key);
    const size_t count = json_is_array(value) ? json_array_size(value) : value != NULL;
    FUZZ_CHECK(actual->count == count, "%s has %zu texts, the file %zu", key, actual->count, count);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_is_array(value) ? json_array_get(value, i) : value);
        FUZZ_CHECK(text && strcmp(text, actual->items[i]) == 0, "text %zu of %s differs", i, key);
    }
}

/* Compares the targets with the file as jansson reads it. */
static void check_targets(const FuzzCommand *v, const char *path, unsigned given)
{
    json_t *object = NULL;
    FUZZ_OK(json_read(&object, path));
    const json_t *flag = json_object_get(object, "flag"), *number = json_object_get(object, "number"),
                 *integer = json_object_get(object, "integer");
    const char *choice = json_string_value(json_object_get(object, "choice"));
    FUZZ_CHECK(v->flag == json_is_true(flag), "the flag differs");
    FUZZ_CHECK(v->number == (number ? json_number_value(number) : 0), "the number is %.17g", v->number);
    FUZZ_CHECK(!json_is_integer(integer) || v->integer == json_integer_value(integer), "the integer differs");
    check_text(object, "file", v->file);
    check_text(object, "text", v->text);
    check_texts(object, "files", &v->files);
    check_size(object, "seed", v->seed);
    FUZZ_CHECK(!json_object_get(object, "threads") && v->threads == 0, "the file gives --threads");
    FUZZ_CHECK(!json_object_get(object, "config"), "the file gives --config");
    /* The command line wins. */
    if (given & GIVES_SIZE)
        FUZZ_CHECK(v->size == 7, "size %zu", v->size);
    else
        check_size(object, "size", v->size);
    if (given & GIVES_REQUIRED)
        FUZZ_CHECK(v->required == 9, "required %zu", v->required);
    else
        check_size(object, "required", v->required);
    if (given & GIVES_TEXTS)
        FUZZ_CHECK(v->texts.count == 1 && strcmp(v->texts.items[0], "one") == 0, "%zu texts", v->texts.count);
    else
        check_texts(object, "texts", &v->texts);
    const bool green = (given & GIVES_CHOICE) || (choice && strcmp(choice, "green") == 0);
    FUZZ_CHECK(v->choice == (green ? 1 : 0), "choice %d", v->choice);
    json_decref(object);
}

static void give_options(ByteString text, unsigned given)
{
    static FuzzCommand command;
    char *argv[8];
    const char *path = fuzz_file("config.json", text);
    const FuzzPrinted printed = fuzz_command_parse(&command, true, command_line(argv, path, given), argv);
    const size_t lines = printed.bytes.length;
    if (printed.code == OPTIONS_PARSED)
        check_targets(&command, path, given);
    else
        FUZZ_CHECK(memchr(printed.bytes.bytes, '\n', lines) == printed.bytes.bytes + lines - 1, "more than one line");
    options_config_deinit(&command.config);
}

/* ---- the file of the run that is resumed ---- */

static void compare_config(ByteString text)
{
    const TrainerConfig config = {0};
    RunConfigComparison comparison;
    const Status s = run_config_compare(&comparison, fuzz_file("config.json", text), &config, "train.bin", NULL);
    if (s) {
        fuzz_check_failure(s);
        FUZZ_CHECK(s == CS336_EFORMAT, "status %d: %s", (int)s, status_message());
    }
    FUZZ_CHECK(memchr(comparison.differences, '\0', sizeof comparison.differences), "differences without an end");
    memory_release(comparison.stored_init_from);
}

void fuzz_config(const uint8_t *data, size_t size)
{
    const size_t before = memory_in_use();
    FuzzInput input = {data, data + size};
    const unsigned given = fuzz_byte(&input);
    if (given & IS_COMPARED)
        compare_config(fuzz_rest(&input));
    else
        give_options(fuzz_rest(&input), given);
    FUZZ_CHECK(memory_in_use() == before, "memory is left over");
}
