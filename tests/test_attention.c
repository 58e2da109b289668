#include "tests/suites.h"

const TestCase attention_tests[] = {
    {0},
};
