#include "cli/options_config.h"

#include "cli/commands.h"
#include "core/json.h"
#include "core/memory.h"
#include "distributed/ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The longest start of a message, "FILE: KEY": a path and the name of an option. */
enum { ORIGIN_BYTES = 4096 + 64 };

/* Returns the table's OPTION_CONFIG(), or NULL. */
static const Option *config_option(const OptionTable *table)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->options[i].type == OPTION_IS_CONFIG)
            return &table->options[i];
    return NULL;
}

/* True if the key is the option's name with `_` for `-`. */
static bool is_key_of(const char *key, const Option *option)
{
    const char *name = option->name;
    if (option->type == OPTION_IS_HEADING)
        return false;
    for (; *key && *name; key++, name++)
        if (*key != (*name == '-' ? '_' : *name))
            return false;
    return *key == *name; /* both at their end */
}

static const Option *find_key(const OptionTable *table, const char *key)
{
    for (size_t i = 0; i < table->count; i++)
        if (is_key_of(key, &table->options[i]))
            return &table->options[i];
    return NULL;
}

/* True if only the command line may give the option: the file itself, and those that the table's author has excluded.
 */
static bool is_excluded(const Option *config, const Option *option)
{
    for (size_t i = 0; config->choices && config->choices[i]; i++)
        if (strcmp(config->choices[i], option->name) == 0)
            return true;
    return option == config;
}

/* ---- values ---- */

static const char *name_of_type(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        break;
    }
    return "null";
}

/* Names the JSON values that an option takes, for messages. */
static const char *expected_type(OptionType type)
{
    switch (type) {
    case OPTION_IS_FLAG:
        return "true or false";
    case OPTION_IS_TEXTS:
        return "a string or an array of strings";
    case OPTION_IS_SIZE:
    case OPTION_IS_INTEGER:
        return "a whole number";
    case OPTION_IS_NUMBER:
        return "a number";
    case OPTION_IS_TEXT:
    case OPTION_IS_CHOICE:
    case OPTION_IS_CONFIG:
    case OPTION_IS_HEADING:
        break;
    }
    return "a string";
}

/* True if the option can take a value of this JSON type. A whole number that is not one fails later, by its text. */
static bool has_expected_type(OptionType type, const json_t *value)
{
    switch (type) {
    case OPTION_IS_FLAG:
        return json_is_boolean(value);
    case OPTION_IS_SIZE:
    case OPTION_IS_INTEGER:
    case OPTION_IS_NUMBER:
        return json_is_number(value);
    case OPTION_IS_TEXTS:
        return json_is_string(value) || json_is_array(value);
    case OPTION_IS_TEXT:
    case OPTION_IS_CHOICE:
    case OPTION_IS_CONFIG:
    case OPTION_IS_HEADING:
        break;
    }
    return json_is_string(value);
}

enum { NUMBER_BYTES = 32 }; /* "-1.7976931348623157e+308" needs 25 */

/* Writes a number as the shortest text from which strtod() reads the same number: "0.1", not "0.10000000000000001". */
static void number_text(char text[NUMBER_BYTES], const json_t *value)
{
    enum { ALWAYS_EXACT = 17 }; /* significant digits that identify every double */
    if (json_is_integer(value)) {
        snprintf(text, NUMBER_BYTES, "%lld", (long long)json_integer_value(value));
        return;
    }
    for (int digits = 1; digits <= ALWAYS_EXACT; digits++) {
        snprintf(text, NUMBER_BYTES, "%.*g", digits, json_real_value(value));
        if (strtod(text, NULL) == json_real_value(value))
            return;
    }
}

/* Stores one value of the file, as options_store() stores that of an argument. */
static int store(const OptionTable *table, const Option *option, const char *origin, const json_t *value)
{
    char number[NUMBER_BYTES];
    if (!has_expected_type(option->type, value))
        return options_bad_usage(table, "%s is %s, expected %s", origin, name_of_type(value),
                                 expected_type(option->type));
    if (option->type == OPTION_IS_FLAG) {
        *option->target.flag = json_is_true(value);
        return OPTIONS_PARSED;
    }
    if (json_is_string(value))
        return options_store(table, option, origin, json_string_value(value));
    if (json_is_number(value)) {
        number_text(number, value);
        return options_store(table, option, origin, number);
    }
    int done = OPTIONS_PARSED;
    for (size_t i = 0; done == OPTIONS_PARSED && i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        done = json_is_string(item)
                   ? options_store(table, option, origin, json_string_value(item))
                   : options_bad_usage(table, "%s has %s in its array, expected strings", origin, name_of_type(item));
    }
    return done;
}

/* ---- the file ---- */

/* Under mpirun rank 0 reads the file for all ranks, because another host may not have it. */
static Status read_object(json_t **object, const char *path)
{
    Status s = ranks_follow_first(ranks_own() == 0 ? json_read(object, path) : CS336_OK);
    if (s || ranks_count() == 1)
        return s;
    char *text = ranks_own() == 0 ? json_dumps(*object, JSON_ENCODE_ANY) : NULL;
    size_t bytes = text ? strlen(text) : 0;
    ranks_broadcast(&bytes, sizeof bytes);
    char *copy = memory_allocate(bytes);
    if (!bytes || !copy)
        s = status_fail(CS336_ENOMEM, "%s: no memory to give it to %d ranks", path, ranks_count());
    s = ranks_agree(s);
    if (!s && text)
        memcpy(copy, text, bytes);
    if (!s)
        ranks_broadcast(copy, bytes);
    if (!s && ranks_own() != 0)
        s = json_parse(object, copy, bytes, path);
    free(text); /* from json_dumps() */
    memory_release(copy);
    return ranks_agree(s);
}

static int store_key(const OptionTable *table, const Option *config, const char *key, const json_t *value, int argc,
                     char **argv)
{
    const char *path = config->target.config->path;
    const Option *option = find_key(table, key);
    char origin[ORIGIN_BYTES];
    if (strcmp(key, "ranks") == 0) /* for people: config.json records it, and mpirun decides it */
        return OPTIONS_PARSED;
    if (!option)
        return options_bad_usage(table, "%s: unknown key \"%s\", expected the name of an option, with _ for -", path,
                                 key);
    if (is_excluded(config, option))
        return options_bad_usage(table, "%s: %s: give --%s on the command line, a file cannot give it", path, key,
                                 option->name);
    if (options_is_given(option, argc, argv))
        return OPTIONS_PARSED;
    snprintf(origin, sizeof origin, "%s: %s", path, key);
    return store(table, option, origin, value);
}

int options_config_read(const OptionTable *table, int argc, char **argv)
{
    const Option *config = config_option(table);
    if (!config || !config->target.config->path)
        return OPTIONS_PARSED;
    const char *path = config->target.config->path;
    json_t *object = NULL;
    Status s = read_object(&object, path);
    if (!s && !json_is_object(object))
        s = status_fail(CS336_EFORMAT, "%s is %s, expected a JSON object of options", path, name_of_type(object));
    config->target.config->object = object;
    if (s) {
        options_bad_usage(table, "%s", status_message());
        return EXIT_BAD_INPUT;
    }
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (store_key(table, config, key, value, argc, argv) != OPTIONS_PARSED)
            return EXIT_BAD_INPUT;
    }
    return OPTIONS_PARSED;
}

bool options_config_gives(const OptionTable *table, const Option *option)
{
    const Option *config = config_option(table);
    const char *key;
    json_t *value;
    if (!config)
        return false;
    json_object_foreach(config->target.config->object, key, value)
    {
        if (is_key_of(key, option))
            return true;
    }
    return false;
}

void options_config_deinit(OptionsConfig *config)
{
    json_decref(config->object);
    *config = (OptionsConfig){0};
}
