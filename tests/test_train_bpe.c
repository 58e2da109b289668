#include "tests/suites.h"

const TestCase train_bpe_tests[] = {
    {0},
};
