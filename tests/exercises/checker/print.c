#define _POSIX_C_SOURCE 200809L
#include "tests/exercises/checker/print.h"

#include "tests/exercises/checker/diagnose.h"
#include "tokenizer/unicode.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MOST_ROWS = 12,    /* rows of a matrix that are printed */
    MOST_COLUMNS = 10, /* numbers of a row */
    LABEL_COLUMNS = 26,
    MOST_TEXT = 2000,         /* bytes of a text in quotes */
    ROOM_FOR_A_CHARACTER = 6, /* "\\xFF", the quote, and the zero byte */
};

static int rank_of(const TrialArray *a)
{
    return a->block ? a->tensor.rank : a->ids.data ? a->ids.rank : a->mask.data ? a->mask.rank : 1;
}

static const size_t *shape_of(const TrialArray *a)
{
    return a->block ? a->tensor.shape : a->ids.data ? a->ids.shape : a->mask.data ? a->mask.shape : &a->count;
}

void print_element(char *text, size_t size, const TrialArray *array, size_t index)
{
    const int rank = rank_of(array);
    size_t position[TENSOR_MAX_RANK];
    for (int d = rank - 1; d >= 0; d--) {
        position[d] = index % shape_of(array)[d];
        index /= shape_of(array)[d];
    }
    size_t length = (size_t)snprintf(text, size, "%s[", array->name);
    for (int d = 0; d < rank && length < size; d++)
        length += (size_t)snprintf(text + length, size - length, "%s%zu", d ? ", " : "", position[d]);
    if (length < size)
        snprintf(text + length, size - length, "]");
}

void print_verdict(bool good, const char *word, const char *format, ...)
{
    const bool colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    printf("  %s%-6s%s ", colour ? good ? "\033[32m" : "\033[31m" : "", word, colour ? "\033[0m" : "");
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

/* Prints numbers as rows of a matrix. A star marks a number that differs from `right`. */
static void print_matrix(const char *label, const double *numbers, const double *right, const TrialArray *array,
                         Tolerance tolerance)
{
    const size_t columns = array->count ? shape_of(array)[rank_of(array) - 1] : 0;
    const size_t rows = columns ? array->count / columns : 0;
    const size_t within = rank_of(array) > 2 ? shape_of(array)[rank_of(array) - 2] : 0;
    for (size_t i = 0; i < rows && i < MOST_ROWS; i++) {
        if (within && i && i % within == 0)
            putchar('\n');
        if (i == 0 && strlen(label) > LABEL_COLUMNS)
            printf("  %s\n", label); /* on a line of its own, so that the columns stay in line */
        printf("  %-*s", LABEL_COLUMNS, i == 0 && strlen(label) <= LABEL_COLUMNS ? label : "");
        for (size_t j = 0; j < columns && j < MOST_COLUMNS; j++) {
            char cell[32];
            const size_t at = i * columns + j;
            const bool differs = right && compare_numbers(&numbers[at], &right[at], 1, tolerance).wrong;
            snprintf(cell, sizeof cell, "%.5g%s", numbers[at], differs ? "*" : "");
            printf(" %-10s", cell);
        }
        puts(columns > MOST_COLUMNS ? " ..." : "");
    }
    if (rows > MOST_ROWS)
        printf("  %-*s ...\n", LABEL_COLUMNS, "");
    if (rows == 0)
        printf("  %-*s (empty)\n", LABEL_COLUMNS, label);
}

/* The numbers of an input, whatever they are, as double. */
static double *input_numbers(const TrialArray *a)
{
    double *numbers = calloc(a->count + 1, sizeof *numbers);
    if (!numbers)
        exit(2);
    for (size_t i = 0; i < a->count; i++)
        numbers[i] = a->text       ? (double)a->bytes.bytes[i]
                     : a->ids.data ? (double)a->ids.data[i]
                                   : (double)a->mask.data[i];
    return numbers;
}

/* Writes a text in quotes: control characters as C writes them, and bytes that are no UTF-8 as \xNN. */
void print_quoted(char *quoted, size_t size, const double *bytes, size_t count)
{
    size_t length = (size_t)snprintf(quoted, size, "\"");
    for (size_t i = 0, used; i < count && length + ROOM_FOR_A_CHARACTER < size; i += used) {
        uint8_t next[4];
        const size_t left = count - i < sizeof next ? count - i : sizeof next;
        for (size_t k = 0; k < left; k++)
            next[k] = (uint8_t)bytes[i + k];
        const Utf8Character c = utf8_decode(next, left);
        const bool shown = c.status == UTF8_VALID && c.code_point >= ' ' && c.code_point != 127;
        used = shown ? c.length : 1;
        if (shown)
            length += (size_t)snprintf(quoted + length, size - length, "%.*s", (int)used, (const char *)next);
        else if (next[0] == '\n')
            length += (size_t)snprintf(quoted + length, size - length, "\\n");
        else
            length += (size_t)snprintf(quoted + length, size - length, "\\x%02X", (unsigned)next[0]);
    }
    snprintf(quoted + length, size - length, "\"");
}

static void print_text(const char *label, const double *bytes, size_t count)
{
    char quoted[MOST_TEXT];
    print_quoted(quoted, sizeof quoted, bytes, count);
    printf("  %-*s %s\n", LABEL_COLUMNS, label, quoted);
}

/* Prints an array: as a text, or as a matrix in which a star marks what differs. */
static void print_result(const char *label, const double *numbers, size_t count, bool yours, const TrialArray *a,
                         Tolerance tolerance)
{
    TrialArray shaped = *a;
    shaped.count = count;
    if (a->text)
        print_text(label, numbers, count);
    else
        print_matrix(label, numbers, yours && count == a->count ? a->answer : NULL, &shaped, tolerance);
}

void print_case(Trial *t, const Run *run, Tolerance tolerance)
{
    for (size_t i = 0; i < t->array_count; i++) {
        const TrialArray *a = &t->arrays[i];
        char label[128];
        const char *shape = a->role == TRIAL_RESULT || a->text ? "" : shape_text(rank_of(a), shape_of(a));
        snprintf(label, sizeof label, "%s %s", a->name, shape);
        if (a->role == TRIAL_INPUT || a->role == TRIAL_CHANGED) {
            double *numbers = a->block ? NULL : input_numbers(a);
            print_result(label, a->block ? trial_doubles(t, a->tensor) : numbers, a->count, false, a, tolerance);
            free(numbers);
        }
        if (a->role == TRIAL_INPUT || !a->answer)
            continue;
        if (run->end == RUN_FINISHED) {
            snprintf(label, sizeof label, "%s %s  yours", a->name, shape);
            print_result(label, run->arrays[i].numbers, run->arrays[i].count, true, a, tolerance);
        }
        snprintf(label, sizeof label, "%s %s  right", a->name, shape);
        print_result(label, a->answer, a->count, false, a, tolerance);
    }
}
