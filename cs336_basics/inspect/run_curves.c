#include "inspect/run_curves.h"

#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "tokenizer/buffers.h"
#include "train/checkpoint.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_DEPTH = 4,   /* objects and arrays inside each other; --log-norms needs three */
    NAME_BYTES = 256 /* of a key with the names on the way; a longer one is cut */
};

/* A log that is being read. */
typedef struct {
    RunCurves *curves;
    const char *path;
    size_t number;    /* of the line, from 1, for messages */
    size_t next;      /* the curve after the latest one: lines usually name their keys in the same order */
    double last_step; /* of the line before */
} Reader;

/* Returns the curve of a name, which becomes the last one if no line has had it. NULL after a failure. */
static Curve *find_or_add(Reader *reader, const char *name, Status *status)
{
    RunCurves *all = reader->curves;
    for (size_t i = 0; i < all->count; i++) {
        const size_t index = (reader->next + i) % all->count;
        if (strcmp(all->curves[index].name, name) == 0) {
            reader->next = index + 1;
            return &all->curves[index];
        }
    }
    if (all->count == RUN_CURVES_MAX) {
        *status = status_fail(CS336_EFORMAT, "%s: line %zu has one more quantity, expected at most %d", reader->path,
                              reader->number, RUN_CURVES_MAX);
        return NULL;
    }
    *status = array_reserve(&all->curves, &all->capacity, all->count + 1, sizeof *all->curves);
    char *copy = *status ? NULL : memory_copy_text(name);
    if (!copy) {
        *status = status_fail(CS336_ENOMEM, "%s: no memory for the curves", reader->path);
        return NULL;
    }
    all->curves[all->count] = (Curve){.name = copy};
    reader->next = all->count + 1;
    return &all->curves[all->count++];
}

static Status add_number(Reader *reader, const char *name, double value)
{
    Status s = CS336_OK;
    Curve *curve = find_or_add(reader, name, &s);
    /* Two keys such as "a.b" and "b" inside "a" share a curve, and a long key is cut: the line's last number counts. */
    if (!s && curve->count && curve->points[curve->count - 1].line == reader->curves->summary.lines) {
        curve->points[curve->count - 1].value = value;
        return CS336_OK;
    }
    if (!s)
        s = array_reserve(&curve->points, &curve->capacity, curve->count + 1, sizeof *curve->points);
    if (!s)
        curve->points[curve->count++] = (CurvePoint){.line = reader->curves->summary.lines, .value = value};
    return s;
}

static Status add_value(Reader *reader, const char *name, const json_t *value, int depth);

/* Adds the numbers of an object or array; `name` is its own key, or "" for the line itself. */
static Status add_inner(Reader *reader, const char *name, const json_t *outer, int depth)
{
    char inner[NAME_BYTES];
    const char *dot = *name ? "." : "", *key;
    json_t *value;
    size_t index;
    Status s = CS336_OK;
    if (depth == MAX_DEPTH)
        return CS336_OK;
    json_array_foreach(outer, index, value)
    {
        snprintf(inner, sizeof inner, "%s%s%zu", name, dot, index);
        if (!s)
            s = add_value(reader, inner, value, depth + 1);
    }
    json_object_foreach((json_t *)outer, key, value)
    {
        snprintf(inner, sizeof inner, "%s%s%s", name, dot, key);
        if (!s)
            s = add_value(reader, inner, value, depth + 1);
    }
    return s;
}

static Status add_value(Reader *reader, const char *name, const json_t *value, int depth)
{
    if (json_is_number(value))
        return add_number(reader, name, json_number_value(value));
    if (json_is_null(value))
        return add_number(reader, name, (double)NAN);
    return add_inner(reader, name, value, depth);
}

/* Adds the numbers of a line. CS336_EFORMAT means that the line is damaged; *damaged then is true. */
static Status add_line(Reader *reader, const char *text, size_t bytes, bool *damaged)
{
    json_t *object = NULL;
    Status s = json_parse(&object, text, bytes, reader->path);
    const json_t *value = json_object_get(object, "step");
    const double step = json_is_integer(value) ? (double)json_integer_value(value) : -1;
    *damaged = s != CS336_ENOMEM && (s || step < 0 || step > CHECKPOINT_MAX_ITERATION);
    if (*damaged)
        s = status_fail(CS336_EFORMAT, "%s: line %zu is not a JSON object with a step", reader->path, reader->number);
    if (!s && step < reader->last_step)
        s = status_fail(CS336_EFORMAT, "%s: line %zu has step %.0f, expected at least the %.0f of the line before",
                        reader->path, reader->number, step, reader->last_step);
    reader->next = 0;
    if (!s)
        s = add_inner(reader, "", object, 0);
    if (!s) {
        run_summary_add(&reader->curves->summary, object);
        reader->last_step = step;
    }
    json_decref(object);
    return s;
}

/* Reads all lines. A damaged one is an error if a good one follows, or if there is no good one at all. */
static Status read_lines(Reader *reader, const char *text, size_t size)
{
    char first_damage[256] = "";
    for (const char *end; size && (end = memchr(text, '\n', size)) != NULL;) {
        const size_t bytes = (size_t)(end - text);
        bool damaged;
        reader->number++;
        const Status s = add_line(reader, text, bytes, &damaged);
        if (s && !damaged)
            return s;
        if (damaged && !*first_damage)
            snprintf(first_damage, sizeof first_damage, "%s", status_message());
        if (!damaged && *first_damage)
            return status_fail(CS336_EFORMAT, "%s", first_damage);
        text += bytes + 1;
        size -= bytes + 1;
    }
    if (*first_damage && reader->curves->summary.lines == 0)
        return status_fail(CS336_EFORMAT, "%s", first_damage);
    return CS336_OK;
}

Status run_curves_read(RunCurves *curves, const char *path)
{
    LoadedFile file = {0};
    Reader reader = {.curves = curves, .path = path};
    *curves = (RunCurves){.summary = run_summary_none()};
    Status s = file_load(&file, path);
    if (!s)
        s = read_lines(&reader, (const char *)file.data, file.size);
    file_unload(&file);
    if (s)
        run_curves_deinit(curves);
    return s;
}

const Curve *run_curves_find(const RunCurves *curves, const char *name)
{
    for (size_t i = 0; i < curves->count; i++)
        if (strcmp(curves->curves[i].name, name) == 0)
            return &curves->curves[i];
    return NULL;
}

double curve_at(const Curve *curve, size_t line)
{
    size_t low = 0, high = curve->count; /* the point is at low or after it, and before high */
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (curve->points[middle].line <= line)
            low = middle;
        else
            high = middle;
    }
    return curve->count && curve->points[low].line == line ? curve->points[low].value : (double)NAN;
}

/* Appends the point with this index, unless it is the one that was appended last. */
static size_t keep(CurvePoint *kept, size_t count, const Curve *curve, size_t index)
{
    if (count && kept[count - 1].line == curve->points[index].line)
        return count;
    kept[count] = curve->points[index];
    return count + 1;
}

size_t curve_thin(CurvePoint *kept, const Curve *curve, size_t stretches)
{
    const size_t points = curve->count;
    size_t count = 0;
    if (points <= 3 * stretches + 2) {
        if (points)
            memcpy(kept, curve->points, points * sizeof *kept);
        return points;
    }
    count = keep(kept, count, curve, 0);
    for (size_t i = 0; i < stretches; i++) {
        /* The stretch. points / stretches is at least 3, so that it is not empty. */
        const size_t begin = (size_t)((double)points * (double)i / (double)stretches),
                     end = (size_t)((double)points * (double)(i + 1) / (double)stretches);
        size_t chosen[3] = {begin, begin, SIZE_MAX}; /* smallest, largest, first NaN */
        for (size_t j = begin; j < end; j++) {
            const double value = curve->points[j].value;
            /* `!(a <= b)` is also true if the point so far is NaN: any number replaces it. */
            if (!isnan(value) && !(curve->points[chosen[0]].value <= value))
                chosen[0] = j;
            if (!isnan(value) && !(curve->points[chosen[1]].value >= value))
                chosen[1] = j;
            if (isnan(value) && chosen[2] == SIZE_MAX)
                chosen[2] = j;
        }
        /* In the order of the curve, each once. */
        for (size_t next = begin; next != SIZE_MAX;) {
            size_t index = SIZE_MAX;
            for (size_t k = 0; k < 3; k++)
                if (chosen[k] != SIZE_MAX && chosen[k] >= next && chosen[k] < index)
                    index = chosen[k];
            if (index != SIZE_MAX)
                count = keep(kept, count, curve, index);
            next = index == SIZE_MAX ? SIZE_MAX : index + 1;
        }
    }
    return keep(kept, count, curve, points - 1);
}

void run_curves_deinit(RunCurves *curves)
{
    for (size_t i = 0; i < curves->count; i++) {
        memory_release(curves->curves[i].name);
        memory_release(curves->curves[i].points);
    }
    memory_release(curves->curves);
    *curves = (RunCurves){0};
}
