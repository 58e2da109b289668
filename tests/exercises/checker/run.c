#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "tests/exercises/checker/run.h"

#include "tests/exercises/checker/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CASE_SECONDS = 5,          /* a textbook loop needs a few milliseconds for a case */
    MAX_NUMBERS = 1 << 20,     /* numbers of all outputs of a case */
    MAX_FILE_BYTES = 64 << 20, /* of each file that a case or a test writes; the largest of a test has 5 MB */
    REPORT_BYTES = 256 << 10,  /* a sanitizer's report of endless recursion is long */
};

/* The sanitizer's runtime has these functions. Without a sanitizer they are missing, and NULL. */
#if defined(__GNUC__)
__attribute__((weak)) void __sanitizer_print_stack_trace(void);
__attribute__((weak)) int __lsan_do_recoverable_leak_check(void);
/* The end of a process must not look for leaks: run_leak_check() does, once. The runtime looks for this function, so it
 * must be visible outside the program. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "leak_check_at_exit=0:allocator_may_return_null=1:detect_stack_use_after_return=0:print_legend=0";
}
/* An error inside at() or row() needs a stack trace, which names the learner's line that called it. */
__attribute__((visibility("default"))) const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
    return "print_stacktrace=1";
}
#endif

/* Memory that the child shares with the checker. */
typedef struct {
    bool finished;       /* the first call; the numbers are its */
    bool repeated;       /* the second call ended, too */
    bool differs;        /* it gave other results */
    size_t scratch_kept; /* bytes */
    size_t printed;      /* bytes that the first call printed */
    Status status;
    char message[TRIAL_TEXT];
    RunArray arrays[TRIAL_ARRAYS];
    size_t first[TRIAL_ARRAYS]; /* of each array's numbers */
    size_t used;                /* numbers of all arrays */
    double numbers[MAX_NUMBERS];
} Shared;

static void die(const char *what)
{
    fprintf(stderr, "checker: %s: %s\n", what, strerror(errno));
    exit(2);
}

static Shared *shared_memory(void)
{
    static Shared *shared;
    if (!shared) {
        shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (shared == MAP_FAILED)
            die("no shared memory");
    }
    return shared;
}

static void stop_endless(int signal_number)
{
    (void)signal_number;
    if (__sanitizer_print_stack_trace)
        __sanitizer_print_stack_trace();
    _exit(EXIT_ENDLESS);
}

void run_limit(unsigned seconds)
{
    signal(SIGPROF, stop_endless);
    signal(SIGALRM, stop_endless);
    setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = (time_t)seconds}, NULL);
    alarm(RUN_WAITS * seconds);
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && (limit.rlim_max == RLIM_INFINITY || limit.rlim_max > MAX_FILE_BYTES)) {
        limit.rlim_cur = MAX_FILE_BYTES;
        setrlimit(RLIMIT_FSIZE, &limit);
    }
}

int run_capture(void)
{
    char name[] = "/tmp/cs336-learn-XXXXXX";
    const int file = mkstemp(name);
    if (file < 0)
        die(name);
    unlink(name);
    return file;
}

void run_read(int file, char *text, size_t size)
{
    const off_t end = lseek(file, 0, SEEK_END), most = (off_t)size - 1;
    size_t length = 0;
    ssize_t got;
    lseek(file, 0, SEEK_SET);
    while (length + 1 < size && (got = read(file, text + length, size - 1 - length)) > 0) {
        length += (size_t)got;
        if (end > most && length > size / 2) { /* the second half is for the end */
            length = size / 2;
            lseek(file, end - (most - (off_t)length), SEEK_SET);
            break;
        }
    }
    while (length + 1 < size && (got = read(file, text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = 0;
}

/* ---- in the child ---- */

static bool same_bits(const float *a, const float *b, size_t count)
{
    return count == 0 || memcmp(a, b, count * sizeof *a) == 0;
}

/* Looks at one tensor after the call: its numbers, and whether anything else in its block was written. */
static void record_tensor(RunArray *record, double *numbers, const TrialArray *array)
{
    Tensor after = array->tensor, before = array->tensor;
    before.data = array->before;
    record->block = array->block;
    record->block_bytes = array->block_count * sizeof *array->block;
    if (array->role == TRIAL_INPUT) {
        record->changed = !same_bits(array->block, array->before, array->block_count);
        return;
    }
    const size_t columns = array->count ? tensor_extent(after, -1) : 1;
    const ptrdiff_t step = after.stride[after.rank - 1];
    for (size_t i = 0; i < array->count; i++) {
        float *now = tensor_row(after, i / columns) + (ptrdiff_t)(i % columns) * step;
        float *was = tensor_row(before, i / columns) + (ptrdiff_t)(i % columns) * step;
        const bool unwritten = array->role == TRIAL_OUTPUT && same_bits(now, was, 1);
        numbers[i] = unwritten ? trial_unwritten() : (double)*now;
        record->unwritten += unwritten;
        *was = *now; /* what still differs afterwards lies in the gaps */
    }
    record->gaps_changed = memcmp(array->block, array->before, record->block_bytes) != 0;
}

static void record(Shared *shared, const Trial *t)
{
    size_t used = 0;
    for (size_t i = 0; i < t->array_count; i++) {
        const TrialArray *array = &t->arrays[i];
        RunArray *record = &shared->arrays[i];
        record->count = array->role == TRIAL_INPUT ? 0 : array->result ? array->result_count : array->count;
        shared->first[i] = used;
        if (used + record->count > MAX_NUMBERS) {
            fputs("checker: the outputs of a case are too large\n", stderr);
            exit(2);
        }
        if (array->block)
            record_tensor(record, shared->numbers + used, array);
        else if (record->count)
            memcpy(shared->numbers + used, array->result, record->count * sizeof *array->result);
        used += record->count;
    }
    shared->used = used;
    shared->scratch_kept = t->scratch_kept;
    shared->status = t->status;
    snprintf(shared->message, sizeof shared->message, "%s", t->status ? status_message() : "");
    shared->finished = true;
}

/* Tells where the tensors are before the call: a crash leaves no time for it. */
static void note_blocks(const Trial *t)
{
    for (size_t i = 0; i < t->array_count; i++)
        shared_memory()->arrays[i].block =
            t->arrays[i].block ? (const void *)t->arrays[i].block : t->arrays[i].bytes.bytes;
}

/* True if two runs of a case have the same results, bit by bit. */
static bool same_results(const Trial *a, const Trial *b)
{
    bool same = a->status == b->status && a->array_count == b->array_count;
    for (size_t i = 0; same && i < a->array_count; i++) {
        const TrialArray *x = &a->arrays[i], *y = &b->arrays[i];
        if (x->block)
            same = x->block_count == y->block_count && same_bits(x->block, y->block, x->block_count);
        else if (x->result)
            same = x->result_count == y->result_count &&
                   (!x->result_count || memcmp(x->result, y->result, x->result_count * sizeof *x->result) == 0);
    }
    return same;
}

/* Calls the function of a case. */
static Trial *try_once(const Case *c)
{
    Trial *t = calloc(1, sizeof *t);
    if (!t)
        die("no memory");
    run_limit(CASE_SECONDS);
    t->calls = true;
    t->before_call = note_blocks;
    c->run(t);
    run_limit(0);
    return t;
}

/* A function that keeps something between calls may be right the first time only, so it is called twice. */
_Noreturn static void run_child(Shared *shared, const Case *c, int output)
{
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    Trial *first = try_once(c);
    fflush(NULL);
    const off_t printed = lseek(output, 0, SEEK_CUR);
    shared->printed = printed > 0 ? (size_t)printed : 0;
    record(shared, first);
    if (!first->status)
        shared->differs = !same_results(first, try_once(c));
    shared->repeated = true;
    fflush(NULL);
    _exit(0);
}

/* ---- in the checker ---- */

/* An overflow's report ends with the bounds of the memory beside which it happened. Names the array if we know it. */
static void name_array(char *what, size_t size, const char *text, const Shared *shared, const Trial *t)
{
    const char *bracket = strstr(text, "byte region [");
    if (!bracket)
        return;
    const uintptr_t address = (uintptr_t)strtoull(bracket + strlen("byte region ["), NULL, 16);
    for (size_t i = 0; i < t->array_count; i++)
        if ((uintptr_t)shared->arrays[i].block == address) {
            const size_t length = strlen(what);
            snprintf(what + length, size - length, ": just outside %s%s%s", t->arrays[i].name,
                     t->arrays[i].block ? " " : "", t->arrays[i].block ? tensor_shape_text(t->arrays[i].tensor) : "");
        }
}

/* Says why the process did not come to its end. */
static void say_how_it_ended(Run *run, const Shared *shared, const Trial *t, const char *text, int wait_status,
                             const char *file)
{
    char why[sizeof run->what - 32];
    explain(why, sizeof why, text, wait_status, file);
    snprintf(run->what, sizeof run->what, "%s%s", shared->finished ? "in a second call: " : "", why);
    run->end = strncmp(run->what, "TODO: ", 6) == 0                                 ? RUN_TODO
               : WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == EXIT_ENDLESS ? RUN_ENDLESS
                                                                                    : RUN_BROKE;
    if (strstr(text, "heap-buffer-overflow"))
        name_array(run->what, sizeof run->what, text, shared, t);
}

static void say_status(Run *run, const Shared *shared)
{
    run->end = RUN_REFUSED;
    if ((int)shared->status < 0 || shared->status > CS336_EINTERRUPTED)
        snprintf(run->what, sizeof run->what,
                 "returned %d, which is no Status: does the function end with return CS336_OK?", (int)shared->status);
    else
        snprintf(run->what, sizeof run->what, "returned an error: %s",
                 *shared->message ? shared->message : "(without a message)");
}

void run_deinit(Run *run)
{
    free(run->numbers);
    *run = (Run){0};
}

void run_case(Run *run, const Case *c, const char *file)
{
    static char text[REPORT_BYTES];
    Shared *shared = shared_memory();
    memset(shared, 0, offsetof(Shared, numbers));
    *run = (Run){.end = RUN_FINISHED};

    const int output = run_capture();
    fflush(NULL);
    const pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child == 0)
        run_child(shared, c, output);
    int wait_status;
    while (waitpid(child, &wait_status, 0) < 0 && errno == EINTR)
        ;
    run_read(output, text, sizeof text);
    close(output);

    /* The same arrays as in the child, to name them. */
    Trial *t = calloc(1, sizeof *t);
    if (!t)
        die("no memory");
    c->run(t);
    if (!shared->finished || !shared->repeated)
        say_how_it_ended(run, shared, t, text, wait_status, file);
    else {
        const size_t most = sizeof run->printed - 1, printed = shared->printed < most ? shared->printed : most;
        snprintf(run->printed, sizeof run->printed, "%.*s", (int)printed, text);
        run->differs = shared->differs;
        run->scratch_kept = shared->scratch_kept;
        if (shared->status)
            say_status(run, shared);
    }
    run->numbers = malloc((shared->used + 1) * sizeof *run->numbers);
    if (!run->numbers)
        die("no memory");
    memcpy(run->numbers, shared->numbers, shared->used * sizeof *run->numbers);
    for (size_t i = 0; i < t->array_count; i++) {
        run->arrays[i] = shared->arrays[i];
        run->arrays[i].numbers = t->arrays[i].role == TRIAL_INPUT ? NULL : run->numbers + shared->first[i];
    }
    trial_deinit(t);
    free(t);
}

/* ---- leaks ---- */

_Noreturn void run_leak_check(const Exercise *exercise)
{
    for (const Case *c = exercise->cases; c->what; c++) {
        Trial *t = calloc(1, sizeof *t);
        if (!t)
            die("no memory");
        t->calls = true;
        c->run(t);
        trial_deinit(t);
        free(t);
    }
    _exit(__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check() ? 1 : 0);
}

bool run_finds_leak(char *what, size_t size, const char *program, const Exercise *exercise, const char *file)
{
    static char text[REPORT_BYTES];
    const int output = run_capture();
    fflush(NULL);
    const pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child == 0) {
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
        /* The slow unwinder finds the learner's line through library functions, too. */
        setenv("ASAN_OPTIONS", "fast_unwind_on_malloc=0", 1);
        execl(program, program, "--leaks", exercise->id, (char *)NULL);
        _exit(3);
    }
    int wait_status;
    while (waitpid(child, &wait_status, 0) < 0 && errno == EINTR)
        ;
    run_read(output, text, sizeof text);
    close(output);
    char place[512] = "";
    if (!strstr(text, "detected memory leaks"))
        return false;
    if (!explain_place(place, sizeof place, text, file))
        return false; /* a leak that is not the learner's */
    snprintf(what, size, "%s: the memory that is taken here is never freed", place);
    return true;
}
