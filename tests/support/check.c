#include "tests/support/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In this file the name means Check's own function. */
#undef _ck_assert_failed

enum {
    LABEL_BYTES = 256,
    /* Check refuses a message of more than 4096 bytes (its variable CK_MAX_MSG_SIZE), with the label and what it adds
       itself: the test then ends without any message. */
    MESSAGE_BYTES = 4096 - 2 * LABEL_BYTES
};

static const char *noted_file; /* NULL: no place is noted */
static int noted_line;
static char label[LABEL_BYTES];

static int is_helper(const char *file)
{
    return strstr(file, "tests/support/") != NULL;
}

void test_here(const char *file, int line)
{
    noted_file = file;
    noted_line = line;
}

void test_label(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(label, sizeof label, format, arguments);
    va_end(arguments);
}

void test_label_end(void)
{
    *label = '\0';
}

void test_failed(const char *file, int line, const char *expression, const char *format, ...)
{
    static char message[MESSAGE_BYTES];
    if (format) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(message, sizeof message, format, arguments);
        va_end(arguments);
    } else {
        snprintf(message, sizeof message, "%s", expression);
    }
    if (noted_file && is_helper(file)) {
        file = noted_file;
        line = noted_line;
    }
    _ck_assert_failed(file, line, expression, "%s%s%s", label, *label ? ": " : "", message);
    abort(); /* not reached: Check ends the test's process, or jumps out of the test */
}
