#include "tests/suites.h"

const TestCase accounting_tests[] = {
    {0},
};
