#include "tests/suites.h"

const TestCase story_tests[] = {
    {0},
};
