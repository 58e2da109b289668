#define _POSIX_C_SOURCE 200809L
#include "tests/exercises/story/calls.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    NONE = -1,
    MAX_DEPTH = 64, /* calls inside calls: a generated token needs 6, and a learner's recursion may need some more */
};

static int active[MAX_DEPTH]; /* the functions that are running, the innermost last */
static size_t depth;
static int failed = NONE, wrote_nan = NONE;
static size_t nan_call;
static bool counting = true;
static char message[512];
static volatile sig_atomic_t watching;

static bool has_nan(Tensor t)
{
    if (!t.data)
        return false;
    const size_t rows = tensor_rows(t), columns = tensor_extent(t, -1);
    const ptrdiff_t stride = t.stride[t.rank - 1];
    for (size_t i = 0; i < rows; i++) {
        const float *row = tensor_row(t, i);
        int found = 0;
        for (size_t j = 0; j < columns; j++)
            found |= isnan(row[(ptrdiff_t)j * stride]);
        if (found)
            return true;
    }
    return false;
}

void calls_enter(size_t function)
{
    counted_functions[function].calls += counting;
    if (depth < MAX_DEPTH)
        active[depth] = (int)function;
    depth++;
}

void calls_leave(size_t function, Status s, const Tensor *output)
{
    depth--;
    /* The innermost function returns first, so the first failure and the first NaN are those of the function itself. */
    if (s && failed == NONE) {
        failed = (int)function;
        snprintf(message, sizeof message, "%s", status_message());
    }
    if (!s && output && wrote_nan == NONE && has_nan(*output)) {
        wrote_nan = (int)function;
        nan_call = counted_functions[function].calls;
    }
}

void calls_stop_counting(void)
{
    counting = false;
}

/* ---- crashes, endless loops and early ends ---- */

static const char *running(void)
{
    if (depth == 0 || depth > MAX_DEPTH)
        return NULL;
    return counted_functions[active[depth - 1]].name;
}

/* Writes to standard error by write(), which a signal handler may call, unlike printf(). */
static void tell(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        _exit(1);
}

static void on_signal(int signal_number)
{
    const char *function = running();
    tell("\nmake story: ");
    tell(signal_number == SIGALRM ? "the time limit has passed" : "the program crashed");
    tell(function ? " in your " : " outside your functions");
    tell(function ? function : "");
    tell(function ? "; `make learn` checks it alone and says where\n" : "\n");
    _exit(1);
}

/* A function that is not written yet may print TODO and call exit(). */
static void on_exit_inside(void)
{
    if (watching && running()) {
        tell("make story: your ");
        tell(running());
        tell(" ended the program\n");
        _exit(1);
    }
}

void calls_watch(unsigned seconds)
{
    static bool registered;
    const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], on_signal);
    if (!registered)
        registered = atexit(on_exit_inside) == 0;
    watching = 1;
    alarm(seconds);
}

void calls_unwatch(void)
{
    alarm(0);
    watching = 0;
}

/* ---- reports ---- */

void calls_print_failure(Status s)
{
    if (failed == NONE)
        fprintf(stderr, "make story: %s (status %d)\n", status_message(), (int)s);
    else
        fprintf(stderr, "make story: your %s failed: %s\n", counted_functions[failed].name,
                *message ? message : "it gave no message; status_fail() records one");
}

void calls_print_nan(void)
{
    if (wrote_nan != NONE)
        fprintf(stderr, "make story: the first NaN among your functions' results came from %s, in its call %zu\n",
                counted_functions[wrote_nan].name, nan_call);
}

enum { OF_SGD, OF_TRAINING, OF_CALLERS, REASONS };
static const char *const reasons[REASONS] = {
    "training uses AdamW",
    "only training can call them (make story TRAIN=1)",
    "the functions that could call them compute it themselves",
};

/* Returns why a function was not called, as far as its name tells. */
static const char *reason(const char *name, bool trained)
{
    static const char *const of_training[] = {
        "_backward",     "cross_entropy", "transformer_lm_loss", "adamw_step",         "sgd_step",
        "gradient_norm", "clip_",         "get_batch",           "cosine_schedule_lr", "train_together",
    };
    for (size_t i = 0; !trained && i < sizeof of_training / sizeof *of_training; i++)
        if (strstr(name, of_training[i]))
            return reasons[OF_TRAINING];
    if (strcmp(name, "sgd_step") == 0)
        return reasons[OF_SGD];
    return reasons[OF_CALLERS];
}

/* Prints the functions that were not called for this reason, in lines of up to about 100 characters. */
static void print_uncalled(const char *why, bool trained)
{
    int column = 0;
    for (const CountedFunction *f = counted_functions; f->name; f++) {
        if (f->calls || reason(f->name, trained) != why)
            continue;
        if (column == 0)
            printf("\nnot called, because %s:\n", why);
        else if (column > 70)
            printf(",\n");
        column = column > 70 ? 0 : column;
        column += printf(column ? ", %s" : "  %s", f->name);
    }
    if (column)
        putchar('\n');
}

void calls_print_table(bool trained)
{
    printf("\n%-40s %10s\n", "your function", "calls");
    for (const CountedFunction *f = counted_functions; f->name; f++)
        if (f->calls)
            printf("%-40s %10zu\n", f->name, f->calls);
    for (size_t i = 0; i < REASONS; i++)
        print_uncalled(reasons[i], trained);
}
