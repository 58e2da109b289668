#include "tests/suites.h"

const TestCase pretokenize_tests[] = {
    {0},
};
