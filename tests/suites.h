/**
 * @file
 * @brief Every table of tests: the course's seven suites first, then what the course does not test.
 */
#ifndef CS336_TESTS_SUITES_H
#define CS336_TESTS_SUITES_H

#include "tests/support/suite.h"

#define SUITES(X) X(core)

#define DECLARE(name) extern const TestCase name##_tests[];
SUITES(DECLARE)
#undef DECLARE

#endif
