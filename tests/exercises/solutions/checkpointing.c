/*
 * Checkpoints in a plain format: numbers as they are in memory, so the file can be read on machines of the same kind.
 *
 *     iteration                                     one size_t
 *     name and number of elements                   for each parameter: one Record,
 *     value, first moment, second moment            and count floats each
 *
 * Loading goes through the file twice. The first time it only checks, so that a file that is cut short or belongs to
 * another model changes nothing.
 */
#include "tests/adapters.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { ARRAYS = 3 };

typedef struct {
    char name[200];
    size_t count;
} Record;

static float *array_of(const Parameter *p, size_t array)
{
    return array == 0 ? p->value.data : array == 1 ? p->first_moment.data : p->second_moment.data;
}

Status run_save_checkpoint(ParameterList parameters, size_t iteration, const char *out)
{
    FILE *file = fopen(out, "wb");
    if (!file)
        return status_fail(CS336_EIO, "run_save_checkpoint: cannot write %s: %s", out, strerror(errno));
    fwrite(&iteration, sizeof iteration, 1, file);
    for (size_t i = 0; i < parameters.count; i++) {
        const Parameter *p = &parameters.items[i];
        Record record = {.count = tensor_count(p->value)};
        snprintf(record.name, sizeof record.name, "%s", p->name);
        fwrite(&record, sizeof record, 1, file);
        for (size_t array = 0; array < ARRAYS; array++)
            fwrite(array_of(p, array), sizeof(float), record.count, file);
    }

    /* ferror() tells whether any fwrite() failed; fclose() writes what is still in the buffer. */
    const bool failed = ferror(file) != 0;
    if (fclose(file) != 0 || failed)
        return status_fail(CS336_EIO, "run_save_checkpoint: cannot write %s: %s", out, strerror(errno));
    return CS336_OK;
}

/* Finds the parameter by its name, and reads its arrays; or only checks that they are there. */
static Status read_parameter(const Parameter *p, bool check_only, FILE *file, const char *src)
{
    Record record = {.count = 0};
    fseek(file, sizeof(size_t), SEEK_SET);
    do {
        fseek(file, (long)(ARRAYS * record.count * sizeof(float)), SEEK_CUR); /* over the arrays of another one */
        if (fread(&record, sizeof record, 1, file) != 1)
            return status_fail(CS336_EFORMAT, "run_load_checkpoint: %s has no parameter %s", src, p->name);
    } while (strncmp(record.name, p->name, sizeof record.name) != 0);
    if (record.count != tensor_count(p->value))
        return status_fail(CS336_ESHAPE, "run_load_checkpoint: %s: %s has %zu elements, expected %zu", src, p->name,
                           record.count, tensor_count(p->value));

    for (size_t array = 0; array < ARRAYS; array++)
        for (size_t i = 0; i < record.count; i++) {
            float number;
            if (fread(&number, sizeof number, 1, file) != 1)
                return status_fail(CS336_EFORMAT, "run_load_checkpoint: %s ends inside of %s", src, p->name);
            if (!check_only)
                array_of(p, array)[i] = number;
        }
    return CS336_OK;
}

Status run_load_checkpoint(size_t *iteration, const char *src, ParameterList parameters)
{
    size_t saved;
    Status s = CS336_OK;
    FILE *file = fopen(src, "rb");
    if (!file)
        return status_fail(CS336_EIO, "run_load_checkpoint: cannot read %s: %s", src, strerror(errno));
    if (fread(&saved, sizeof saved, 1, file) != 1)
        s = status_fail(CS336_EFORMAT, "run_load_checkpoint: %s has no iteration", src);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; !s && i < parameters.count; i++)
            s = read_parameter(&parameters.items[i], pass == 0, file, src);
    if (!s)
        *iteration = saved;
    fclose(file);
    return s;
}
