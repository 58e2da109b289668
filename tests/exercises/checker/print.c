#define _POSIX_C_SOURCE 200809L
#include "tests/exercises/checker/print.h"

#include "tests/exercises/checker/diagnose.h"

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
        numbers[i] = a->ids.data ? (double)a->ids.data[i] : a->mask.data ? (double)a->mask.data[i] : 0;
    return numbers;
}

/* Prints a text in quotes, its line ends and other control characters as C writes them. */
static void print_text(const char *label, const double *bytes, size_t count)
{
    printf("  %-*s \"", LABEL_COLUMNS, label);
    for (size_t i = 0; i < count; i++) {
        const int c = (int)bytes[i];
        if (c == '\n')
            fputs("\\n", stdout);
        else if (c < ' ' || c == 127)
            printf("\\x%02x", (unsigned)c);
        else
            putchar(c);
    }
    puts("\"");
}

/* Prints a result or an output: as a text, or as a matrix in which a star marks what differs. */
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
        const char *shape = a->role == TRIAL_RESULT ? "" : shape_text(rank_of(a), shape_of(a));
        snprintf(label, sizeof label, "%s %s", a->name, shape);
        if (a->role == TRIAL_INPUT || a->role == TRIAL_CHANGED) {
            double *numbers = a->block ? NULL : input_numbers(a);
            print_matrix(label, a->block ? trial_doubles(t, a->tensor) : numbers, NULL, a, tolerance);
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
