#include "tests/suites.h"

const TestCase bpe_tests[] = {
    {0},
};
