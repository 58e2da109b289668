#include "tests/suites.h"

const TestCase functional_tests[] = {
    {0},
};
