#include "tests/suites.h"

const TestCase layers_tests[] = {
    {0},
};
