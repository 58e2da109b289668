#include "tests/suites.h"

const TestCase optimizer_tests[] = {
    {0},
};
