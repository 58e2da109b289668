#include "tests/suites.h"

const TestCase optim_tests[] = {
    {0},
};
