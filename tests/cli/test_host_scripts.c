#define _XOPEN_SOURCE 700
#include "tests/suites.h"
#include "tests/support/program.h"
#include "tests/support/python.h"

#include <stdio.h>
#include <stdlib.h>

/* What the scripts for several hosts say of arguments that make no sense: one line, before any host is made. */

static const char *no_python(void)
{
    char line[1024];
    snprintf(line, sizeof line, "'%s' -c '' >/dev/null 2>&1", python_command());
    return system(line) == 0 ? NULL : "no python3";
}

/* Runs a line of sh in the repository's directory, and expects one line of errors. */
static void assert_refused(int code, const char *message, const char *line)
{
    char *root = realpath(".", NULL), whole[2048];
    ck_assert_ptr_nonnull(root);
    snprintf(whole, sizeof whole, "cd '%s' && %s", root, line);
    free(root);
    assert_shell_fails(code, message, whole);
    ck_assert_str_eq(shell_output, "");
}

START_TEST(test_with_hosts_says_which_argument_is_wrong)
{
#define USAGE "usage: with_hosts.sh COUNT RATE COMMAND ..., where COUNT is 1 to 9 and RATE such as 1gbit, or any"
    static const struct {
        const char *arguments, *message;
    } cases[] = {
        {"2 1gbit", USAGE},
        {"10 1gbit true", "10 hosts; " USAGE},
        {"2 1xgbit true", "the rate 1xgbit; " USAGE},
        {"2 1..5gbit true", "the rate 1..5gbit; " USAGE},
        {"2 1.mbit true", "the rate 1.mbit; " USAGE},
        {"2 '1 gbit' true", "the rate 1 gbit; " USAGE},
        {"2 0gbit true", "the rate 0gbit; " USAGE},
        {"2 1gbits true", "the rate 1gbits; " USAGE},
        {"2 10000gbit true", "the rate 10000gbit is too large; " USAGE},
        {"2 100000mbit true", "the rate 100000mbit is too large; " USAGE},
    };
    char line[256], message[512];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(line, sizeof line, "tests/hosts/with_hosts.sh %s", cases[i].arguments);
        snprintf(message, sizeof message, "with_hosts.sh: %s", cases[i].message);
        assert_refused(2, message, line);
    }
    assert_refused(2, "with_hosts.sh: CS336_HOSTS_SLOTS is 1x, expected a number from 1 on",
                   "CS336_HOSTS_SLOTS=1x tests/hosts/with_hosts.sh 2 1.5gbit true");
#undef USAGE
}
END_TEST

START_TEST(test_the_cost_model_says_which_number_is_wrong)
{
    static const struct {
        const char *arguments, *message;
    } cases[] = {
        {"2 0 32", "a bandwidth of 0 Gbit/s, expected a number above 0"},
        {"2 nan 32", "a bandwidth of nan Gbit/s, expected a number above 0"},
        {"3 1 32", "32 sequences, expected a multiple of 3: the hosts share them equally"},
        {"2 1 0", "0 sequences, expected a multiple of 2: the hosts share them equally"},
        {"0 1 32", "0 hosts, expected at least 1"},
        {"2 1 32 --processors 0", "0 processors of each host, expected a number above 0"},
        {"2 1 32 --measured none.json", "none.json: no such file, expected what tests/hosts/measure.py writes"},
    };
    char line[1024], message[512];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(line, sizeof line, "'%s' docs/tools/distributed_cost.py %s", python_command(), cases[i].arguments);
        snprintf(message, sizeof message, "distributed_cost.py: %s", cases[i].message);
        assert_refused(1, message, line);
    }
}
END_TEST

const TestCase host_scripts_tests[] = {
    TEST(test_with_hosts_says_which_argument_is_wrong, "host_scripts"),
    TEST_UNLESS(test_the_cost_model_says_which_number_is_wrong, "host_scripts", no_python),
    {0},
};
