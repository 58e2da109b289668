#include "tests/suites.h"

const TestCase training_tests[] = {
    {0},
};
