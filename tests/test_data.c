#include "tests/suites.h"

const TestCase data_tests[] = {
    {0},
};
