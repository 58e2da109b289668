#include "tests/suites.h"

const TestCase kernels_tests[] = {
    {0},
};
