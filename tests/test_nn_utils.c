#include "tests/suites.h"

const TestCase nn_utils_tests[] = {
    {0},
};
