#include "tests/suites.h"

const TestCase token_file_tests[] = {
    {0},
};
