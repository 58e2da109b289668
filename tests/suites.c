#include "tests/suites.h"

const TestSuite test_suites[] = {
#define ENTRY(name) {#name, name##_tests},
    SUITES(ENTRY)
#undef ENTRY
        {NULL, NULL},
};
