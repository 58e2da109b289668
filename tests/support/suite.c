#include "tests/support/suite.h"

#include <stdio.h>
#include <stdlib.h>

void test_skip(const char *reason)
{
    printf("skipped: %s\n", reason);
    fflush(stdout);
}

int test_is_instrumented(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(CS336_INSTRUMENTED)
    return 1;
#else
    return getenv("CS336_VALGRIND") != NULL;
#endif
}
