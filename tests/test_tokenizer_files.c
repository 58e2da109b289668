#include "tests/suites.h"

const TestCase tokenizer_files_tests[] = {
    {0},
};
