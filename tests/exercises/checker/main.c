/*
 * Checks one exercise of the coursework. The learner's functions are linked in place of ours. tests/exercises/learn.sh
 * calls this program; a learner calls `make learn EX=...`.
 *
 *     checker check EXERCISE FILE TESTS BONUS    prints what is right and what is wrong; see the exit statuses below
 *     checker brief EXERCISE FILE TESTS BONUS    prints one line: the mistake's name or "-", a tab, what is wrong
 *     checker full EXERCISE FILE TESTS BONUS     the same, and bonus tests are required
 *     checker todo EXERCISE FILE TESTS BONUS     runs all tests, and prints those that do not fail
 *     checker separation EXERCISE                proves that no two answers of the exercise can be confused
 *     checker mistakes EXERCISE                  prints the name and the text of each known mistake
 *
 * TESTS and BONUS are names separated by commas, "-" for none; FILE is the learner's, as the compiler saw its name.
 */
#define _POSIX_C_SOURCE 200809L
#include "tests/exercises/checker/diagnose.h"
#include "tests/exercises/checker/exercise.h"
#include "tests/exercises/checker/explain.h"
#include "tests/exercises/checker/print.h"
#include "tests/exercises/checker/run.h"
#include "tests/exercises/checker/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PASSED = 0, NOT_PASSED = 1, WRONG_USAGE = 2 }; /* exit statuses; EXIT_TODO is another */

enum {
    MOST_DIAGNOSES = 3,
    TEXT_BEFORE = 12, /* bytes of a text that are shown before the first that differs */
    TEXT_BEHIND = 12, /* bytes that are shown from there on */
};

static const Exercise *const EXERCISE_LIST[] = {
#define ENTRY(id) &exercise_##id,
    EXERCISES(ENTRY)
#undef ENTRY
};

static const Exercise *find_exercise(const char *id)
{
    for (size_t i = 0; i < sizeof EXERCISE_LIST / sizeof *EXERCISE_LIST; i++)
        if (strcmp(EXERCISE_LIST[i]->id, id) == 0)
            return EXERCISE_LIST[i];
    return NULL;
}

/* One check: what is printed of it, and what came out. */
typedef struct {
    const Exercise *exercise;
    const char *program, *file;
    bool full;        /* bonus tests are required, too */
    bool brief;       /* print one line at the end, and nothing else */
    Run *runs;        /* one for each case */
    size_t wrong;     /* cases and tests that are required and failed */
    char first[1200]; /* the first of them, for the brief line */
} Checker;

static void count_wrong(Checker *c, const char *where, const char *what)
{
    if (c->wrong++ == 0)
        snprintf(c->first, sizeof c->first, "%s: %s", where, what);
    for (char *end; (end = strchr(c->first, '\n'));)
        *end = ' '; /* the brief line is one line */
}

/* ---- cases ---- */

/* Shows two texts around the first byte that differs. */
static void describe_text(char *text, size_t size, const TrialArray *a, const RunArray *yours, size_t first)
{
    char left[128], right[128];
    const size_t begin = first > TEXT_BEFORE ? first - TEXT_BEFORE : 0, most = TEXT_BEFORE + TEXT_BEHIND;
    const size_t mine = yours->count - begin, other = a->count - begin;
    print_quoted(left, sizeof left, yours->numbers + begin, mine < most ? mine : most);
    print_quoted(right, sizeof right, a->answer + begin, other < most ? other : most);
    snprintf(text, size, "%s: from byte %zu on, yours is %s, right is %s", a->name, begin, left, right);
}

/* Says what is wrong with an array; false if nothing is. */
static bool array_is_wrong(char *text, size_t size, const TrialArray *a, const RunArray *yours, Tolerance tolerance)
{
    char element[128];
    if (a->role == TRIAL_INPUT) {
        snprintf(text, size, "the function changes its input %s", a->name);
        return yours->changed;
    }
    if (yours->gaps_changed) {
        snprintf(text, size, "the function writes between the rows of %s: use its strides, or at()", a->name);
        return true;
    }
    if (!a->answer)
        return false;
    const Difference d = compare_array(a, yours, tolerance);
    if (d.wrong == 0)
        return false;
    if (a->text) {
        describe_text(text, size, a, yours, d.first);
        return true;
    }
    if (describe_numbers(text, size, a, yours, tolerance))
        return true;
    print_element(element, sizeof element, a, d.worst);
    snprintf(text, size, "%zu of %zu numbers of %s differ, most of all %s: yours %.7g, right %.7g", d.wrong, a->count,
             a->name, element, yours->numbers[d.worst], a->answer[d.worst]);
    return true;
}

/* Says what is wrong with a run of a case; false if nothing is. */
static bool case_is_wrong(char *text, size_t size, const Trial *t, const Run *run, Tolerance tolerance)
{
    if (t->fails && run->end <= RUN_REFUSED && run->end != RUN_TODO) {
        snprintf(text, size, "expected an error, but the function returned CS336_OK");
        return run->end == RUN_FINISHED;
    }
    if (run->end != RUN_FINISHED) {
        snprintf(text, size, "%s", run->what);
        return true;
    }
    for (size_t i = 0; i < t->array_count; i++)
        if (array_is_wrong(text, size, &t->arrays[i], &run->arrays[i], tolerance))
            return true;
    if (run->differs)
        snprintf(text, size,
                 "called again with the same inputs, the function gives other results: it keeps something "
                 "from the call before, or reads what was never written");
    else if (run->scratch_kept)
        snprintf(text, size, "the function keeps %zu bytes of scratch: arena_release(scratch, mark) gives them back",
                 run->scratch_kept);
    return run->differs || run->scratch_kept;
}

static void check_case(Checker *c, size_t i)
{
    char text[1024];
    const Case *what = &c->exercise->cases[i];
    const Tolerance tolerance = tolerance_of(c->exercise, what);
    Run *run = &c->runs[i];
    run_case(run, what, c->file);
    Trial *t = make_answer(what, 0);
    if (i == 0 && !c->brief && run->end != RUN_TODO) {
        printf("By hand: %s\n", t->call);
        print_case(t, run, tolerance);
    }
    const bool wrong = case_is_wrong(text, sizeof text, t, run, tolerance);
    if (wrong && !what->optional)
        count_wrong(c, what->what, text);
    if (!c->brief && (i > 0 || run->end != RUN_TODO)) {
        if (!wrong)
            print_verdict(true, "ok", "%s", what->what);
        else
            print_verdict(false, what->optional ? "later" : "WRONG", "%s: %s%s", what->what, text,
                          what->optional ? " (not needed to pass; the backward pass needs it)" : "");
        if (*run->printed && (i == 0 || wrong))
            printf("  Your code printed:\n%s\n", run->printed);
    }
    free_answer(t);
}

/* ---- tests ---- */

/* Runs the named tests. Bonus tests are not required. Stops after one that does not end. */
static void check_tests(Checker *c, const char *names, bool bonus)
{
    char list[4096];
    TestReport report;
    snprintf(list, sizeof list, "%s", strcmp(names, "-") == 0 ? "" : names);
    for (char *rest = list, *name; (name = strtok_r(rest, ",", &rest));) {
        if (c->brief && c->wrong)
            return; /* one test that fails is enough for a line */
        if (!run_test(&report, name, c->file)) {
            fprintf(stderr, "checker: %s: no such test\n", name);
            exit(WRONG_USAGE);
        }
        if (!report.passed && !report.skipped && (!bonus || c->full))
            count_wrong(c, name, report.what);
        if (c->brief)
            continue;
        const char *owner = report.of_course ? " (the course's)" : bonus ? " (bonus)" : "";
        if (report.passed)
            print_verdict(true, "pass", "%s%s", name, owner);
        else
            print_verdict(false, report.skipped ? "skip" : "FAIL", "%s%s: %s", name, owner, report.what);
        fflush(stdout);
        if (report.endless) {
            puts("The other tests wait until this one ends.");
            return;
        }
    }
}

/* ---- verdict ---- */

static void print_diagnosis(Checker *c)
{
    Diagnosis found[MOST_DIAGNOSES];
    const size_t count = c->brief ? 0 : recognise(found, MOST_DIAGNOSES, c->exercise, c->runs);
    for (size_t i = 0; i < count; i++) {
        const char *unit = c->exercise->unit ? c->exercise->unit : "numbers";
        if (found[i].numbers == 1)
            printf("Diagnosis: the number of the wrong case is that of %s.\n", found[i].mistake->text);
        else
            printf("Diagnosis: all %zu %s of %zu wrong case%s are those of %s.\n", found[i].numbers, unit,
                   found[i].cases, found[i].cases == 1 ? "" : "s", found[i].mistake->text);
        if (found[i].other)
            printf("  Or they are those of %s. The cases that tell the two apart are wrong for another reason.\n",
                   found[i].other->text);
    }
    if (count && found[count - 1].left)
        printf("  %zu other case%s wrong, too, but with numbers of no known mistake.\n", found[count - 1].left,
               found[count - 1].left == 1 ? " is" : "s are");
}

static void check_leaks(Checker *c)
{
    char leak[1024];
    if (c->wrong == 0 && run_finds_leak(leak, sizeof leak, c->program, c->exercise, c->file)) {
        if (!c->brief) {
            puts("Memory:");
            print_verdict(false, "LEAK", "%s", leak);
        }
        count_wrong(c, "memory", leak);
    }
}

static int check(Checker *c, const char *tests, const char *bonus)
{
    size_t cases = 0;
    c->runs = calloc(EXERCISE_CASES, sizeof *c->runs);
    if (!c->runs)
        return WRONG_USAGE;
    for (size_t i = 0; i < EXERCISE_CASES; i++)
        c->runs[i].end = RUN_BROKE; /* a case that is not run has no numbers */
    check_case(c, 0);
    int status = NOT_PASSED;
    if (c->runs[0].end == RUN_TODO) {
        printf("%s\n", c->runs[0].what);
        status = EXIT_TODO;
    } else if (c->runs[0].end >= RUN_BROKE) {
        if (!c->brief)
            puts("The tests and the other cases wait until this one ends properly.");
    } else {
        if (!c->brief)
            puts("Tests:");
        check_tests(c, tests, false);
        if (!c->brief && c->exercise->cases[1].what)
            puts("Edges:");
        for (cases = 1; c->exercise->cases[cases].what && c->runs[cases - 1].end != RUN_ENDLESS; cases++)
            check_case(c, cases);
        if (c->exercise->cases[cases].what && !c->brief)
            puts("The other cases wait until this one ends.");
        check_leaks(c);
        if (!c->brief && strcmp(bonus, "-") != 0 && c->wrong == 0)
            puts("Bonus: callers, edges, error messages; not needed to pass.");
        if (c->wrong == 0)
            check_tests(c, bonus, true);
        print_diagnosis(c);
        status = c->wrong == 0 ? PASSED : NOT_PASSED;
    }
    if (c->brief && status != EXIT_TODO) {
        Diagnosis found;
        const bool known = recognise(&found, 1, c->exercise, c->runs) == 1;
        printf("%s\t%s\n", known ? found.mistake->name : "-", c->wrong ? c->first : "right");
    }
    for (size_t i = 0; i < EXERCISE_CASES; i++)
        run_deinit(&c->runs[i]);
    free(c->runs);
    return status;
}

/* Prints the tests that pass although no function is written: they would say nothing about a learner's function. */
static int check_todo(const char *file, const char *const *lists, size_t count)
{
    int status = PASSED;
    for (size_t i = 0; i < count; i++) {
        char list[4096];
        TestReport report;
        snprintf(list, sizeof list, "%s", strcmp(lists[i], "-") == 0 ? "" : lists[i]);
        for (char *rest = list, *name; (name = strtok_r(rest, ",", &rest));)
            if (!run_test(&report, name, file) || (report.passed && !report.skipped)) {
                printf("%s ", name);
                status = NOT_PASSED;
            }
    }
    return status;
}

static int print_mistakes(const Exercise *exercise)
{
    for (const Mistake *m = exercise->mistakes; m->id; m++)
        printf("%s\t%s\t%s\n", exercise->id, m->name, m->text);
    return PASSED;
}

int main(int argc, char **argv)
{
    const Exercise *exercise = argc > 2 ? find_exercise(argv[2]) : NULL;
    if (argc < 3) {
        fputs("usage: checker check|brief EXERCISE FILE TESTS BONUS, checker separation|mistakes EXERCISE\n", stderr);
        return WRONG_USAGE;
    }
    if (!exercise) {
        fprintf(stderr, "checker: no exercise \"%s\"\n", argv[2]);
        return WRONG_USAGE;
    }
    if (strcmp(argv[1], "--leaks") == 0)
        run_leak_check(exercise);
    if (strcmp(argv[1], "separation") == 0)
        return separation_holds(exercise) ? PASSED : NOT_PASSED;
    if (strcmp(argv[1], "mistakes") == 0)
        return print_mistakes(exercise);
    if (argc != 6) {
        fprintf(stderr, "checker: %d arguments, expected 5\n", argc - 1);
        return WRONG_USAGE;
    }
    if (strcmp(argv[1], "todo") == 0)
        return check_todo(argv[3], (const char *const *)argv + 4, 2);
    Checker c = {.exercise = exercise, .program = argv[0], .file = argv[3], .full = strcmp(argv[1], "full") == 0};
    c.brief = c.full || strcmp(argv[1], "brief") == 0;
    return check(&c, argv[4], argv[5]);
}
