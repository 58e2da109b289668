#include "tests/suites.h"

const TestCase files_tests[] = {
    {0},
};
