#define _XOPEN_SOURCE 700
#include "core/status.h"
#include "tests/suites.h"
#include "tests/support/files.h"
#include "tests/support/program.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* What `make official` says when something is missing. Each of these runs ends before anything is copied to build/. */

enum { TEXT_BYTES = 2048 /* of a path or a message */ };

#define CLONE "a clone of the repository stanford-cs336/assignment1-basics on GitHub"

/* Runs the script from the repository's directory, and expects one line of errors. */
CS336_PRINTF_LIKE(3, 4)
static void assert_refused(const char *course, const char *python, const char *format, ...)
{
    char *root = realpath(".", NULL), line[3 * TEXT_BYTES], errors[2 * TEXT_BYTES];
    ck_assert_ptr_nonnull(root);
    snprintf(line, sizeof line, "cd '%s' && tests/official/run.sh build/cs336 build/libcs336.so '%s' '%s'", root,
             course, python);
    free(root);
    const int length = snprintf(errors, sizeof errors, "official: ");
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(errors + length, sizeof errors - (size_t)length, format, arguments);
    va_end(arguments);
    assert_shell_fails(1, errors, line);
    ck_assert_str_eq(shell_output, "");
}

/* Makes a program that answers as Python does to the script's two questions: what it cannot read, what it lacks. */
static void make_python(char path[TEXT_BYTES], const char *unread, const char *absent)
{
    const int code = shell("printf '%%s\\n' '#!/bin/sh' 'if [ \"$1\" = - ]; then printf \"%s\"; else echo \"%s\"; fi' "
                           ">python && chmod +x python",
                           unread, absent);
    ck_assert_int_eq(code, 0);
    snprintf(path, TEXT_BYTES, "%s", temp_path("python"));
}

START_TEST(test_official_says_where_the_course_comes_from)
{
    assert_refused("", "python3", "COURSE is not set; make official COURSE=dir, where dir is " CLONE);
    assert_refused("/nowhere/course", "python3",
                   "COURSE is '/nowhere/course', and there is no such directory; it should be " CLONE);
    assert_refused("docs", "python3", "COURSE is 'docs', which has no tests/conftest.py; it should be " CLONE);
}
END_TEST

START_TEST(test_official_says_what_python_lacks)
{
    char course[TEXT_BYTES], python[TEXT_BYTES];
    ck_assert_int_eq(shell("mkdir -p tests/fixtures && touch tests/conftest.py tests/adapters.py "
                           "tests/fixtures/gpt2_vocab.json"),
                     0);
    snprintf(course, sizeof course, "%s", temp_path("."));
    assert_refused(course, "/nowhere/python", "there is no program '/nowhere/python'; PYTHON= names a Python >= 3.12");
    make_python(python, "Python 3.9, which cannot read tests/conftest.py", "");
    assert_refused(course, python,
                   "PYTHON is '%s': Python 3.9, which cannot read tests/conftest.py; this edition of the course needs "
                   "Python >= 3.12",
                   python);
    make_python(python, "", "torch einops");
    assert_refused(course, python,
                   "PYTHON is '%s', which has no torch einops: pip install torch einops, or PYTHON= names another",
                   python);
    /* The directory of the fixtures, which `make test` reads, names the same clone. */
    snprintf(course, sizeof course, "%s", temp_path("tests/fixtures"));
    assert_refused(course, python,
                   "PYTHON is '%s', which has no torch einops: pip install torch einops, or PYTHON= names another",
                   python);
}
END_TEST

const TestCase official_tests[] = {
    TEST(test_official_says_where_the_course_comes_from, "official"),
    TEST(test_official_says_what_python_lacks, "official"),
    {0},
};
