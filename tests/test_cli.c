#include "tests/suites.h"

const TestCase cli_tests[] = {
    {0},
};
