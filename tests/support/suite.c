#define _POSIX_C_SOURCE 200809L
#include "tests/support/suite.h"

#include "tests/support/kernels.h"

#include <stdlib.h>
#include <unistd.h>

int test_is_instrumented(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(CS336_INSTRUMENTED)
    return 1;
#else
    return getenv("CS336_VALGRIND") != NULL || test_is_emulated();
#endif
}

Isa last_isa_of_tests(void)
{
    return test_is_instrumented() ? ISA_AMX : ISA_AMX_EMULATED;
}

int test_is_emulated(void)
{
    return getenv("CS336_EMULATED") != NULL;
}

const char *timing_means_nothing(void)
{
    if (test_is_emulated())
        return "a time means nothing where each instruction is emulated";
    return test_is_instrumented() ? "a time limit means nothing in an instrumented build" : NULL;
}

const char *too_long_to_emulate(void)
{
    return test_is_emulated() ? "takes minutes where each instruction is emulated" : NULL;
}

const char *no_full_device(void)
{
    return access("/dev/full", W_OK) == 0 ? NULL : "no /dev/full";
}

const char *no_file_size_limit(void)
{
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
    return "ThreadSanitizer itself does not survive a limit on file sizes";
#endif
#endif
    return NULL;
}
