#include "interchange/config_file.h"

#include <math.h>
#include <string.h>

Status config_file_open(ConfigFile *file, const char *path)
{
    *file = (ConfigFile){.path = path};
    file->status = json_read(&file->object, path);
    if (!file->status && !json_is_object(file->object))
        file->status = status_fail(CS336_EFORMAT, "%s: expected a JSON object", path);
    if (file->status)
        config_file_close(file);
    return file->status;
}

void config_file_close(ConfigFile *file)
{
    json_decref(file->object);
    file->object = NULL;
}

/* Returns the value of a setting; NULL if it is missing or null, or after a failure. */
static const json_t *find(const ConfigFile *file, const char *key)
{
    const json_t *value = file->status ? NULL : json_object_get(file->object, key);
    return json_is_null(value) ? NULL : value;
}

/* Notes that a setting is not what it should be, unless it is right. Returns whether it is. */
static bool expect(ConfigFile *file, bool right, const char *key, const char *expected)
{
    if (!right)
        file->status = status_fail(CS336_EFORMAT, "%s: %s is not %s", file->path, key, expected);
    return right;
}

bool config_file_size(ConfigFile *file, size_t *size, const char *key)
{
    const json_t *value = find(file, key);
    const json_int_t number = json_integer_value(value);
    if (!value || !expect(file, json_is_integer(value) && number >= 1, key, "a whole number from 1 on"))
        return false;
    *size = (size_t)number;
    return true;
}

bool config_file_float(ConfigFile *file, float *number, const char *key)
{
    const json_t *value = find(file, key);
    const float narrow = (float)json_number_value(value);
    if (!value || !expect(file, json_is_number(value) && isfinite(narrow), key, "a number"))
        return false;
    *number = narrow;
    return true;
}

bool config_file_flag(ConfigFile *file, bool *flag, const char *key)
{
    const json_t *value = find(file, key);
    if (!value || !expect(file, json_is_boolean(value), key, "true or false"))
        return false;
    *flag = json_is_true(value);
    return true;
}

bool config_file_text(ConfigFile *file, const char **text, const char *key)
{
    const json_t *value = find(file, key);
    if (!value || !expect(file, json_is_string(value), key, "a text"))
        return false;
    *text = json_string_value(value);
    return true;
}

bool config_file_name(ConfigFile *file, int *index, const char *key, const char *const *names)
{
    const char *text;
    if (!config_file_text(file, &text, key))
        return false;
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], text) == 0) {
            *index = i;
            return true;
        }
    }
    file->status =
        status_fail(CS336_EFORMAT, "%s: %s is \"%s\", which this program does not know", file->path, key, text);
    return false;
}
