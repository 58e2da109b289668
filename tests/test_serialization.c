#include "tests/suites.h"

const TestCase serialization_tests[] = {
    {0},
};
