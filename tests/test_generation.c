#include "tests/suites.h"

const TestCase generation_tests[] = {
    {0},
};
