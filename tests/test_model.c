#include "tests/suites.h"

const TestCase model_tests[] = {
    {0},
};
