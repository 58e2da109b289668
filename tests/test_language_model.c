#include "tests/suites.h"

const TestCase language_model_tests[] = {
    {0},
};
