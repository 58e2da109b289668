#include "tests/suites.h"

const TestCase tokenizer_tests[] = {
    {0},
};
