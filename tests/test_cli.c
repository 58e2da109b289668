#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tests/support/program.h"

#include <stdio.h>
#include <string.h>

/* ---- the command line itself ---- */

START_TEST(test_help_lists_the_commands)
{
    const char *const commands[] = {"story", "train", "generate", "account"};
    char line[64];
    assert_shell_ok("cs336 --help");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        snprintf(line, sizeof line, "\n  %s ", commands[i]);
        ck_assert_ptr_nonnull(strstr(shell_output, line));
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        snprintf(line, sizeof line, "cs336 %s --help", commands[i]);
        assert_shell_ok(line);
        snprintf(line, sizeof line, "Usage: cs336 %s", commands[i]);
        ck_assert(strncmp(shell_output, line, strlen(line)) == 0);
    }
}
END_TEST

START_TEST(test_version)
{
    assert_shell_ok("cs336 --version");
    ck_assert(strncmp(shell_output, "cs336 ", 6) == 0);
}
END_TEST

START_TEST(test_no_command)
{
    ck_assert_int_eq(shell("cs336"), 2);
    ck_assert(strncmp(shell_errors, "Usage: cs336 COMMAND", 20) == 0);
    assert_shell_fails(2, "cs336: unknown command \"frobnicate\"; cs336 --help lists the commands", "cs336 frobnicate");
}
END_TEST

START_TEST(test_bad_usage)
{
    static const struct {
        const char *arguments, *message;
    } cases[] = {
        {"account --frobnicate", "unknown option --frobnicate"},
        {"account --frobnicate=3", "unknown option --frobnicate"},
        {"account --d-mode 3", "unknown option --d-mode"},
        {"account 3", "unexpected argument \"3\""},
        {"account --d-model", "--d-model needs a value (N)"},
        {"account --d-model --d-ff 3", "--d-model needs a value (N)"},
        {"account --d-model=", "--d-model: \"\" is not a whole number"},
        {"account --d-model -3", "--d-model: \"-3\" is not a whole number"},
        {"account --d-model 3x", "--d-model: \"3x\" is not a whole number"},
        {"account --d-model 99999999999999999999", "--d-model: \"99999999999999999999\" is not a whole number"},
        {"account --d-model 0", "--d-model: 0 is too small, at least 1"},
        {"account --mfu half", "--mfu: \"half\" is not a number"},
        {"account --mfu nan", "--mfu: \"nan\" is not a number"},
        {"account --mfu 0.5x", "--mfu: \"0.5x\" is not a number"},
        {"account --mfu 1.5", "--mfu: 1.5 is not between 1e-06 and 1"},
        {"account --norm both", "--norm: \"both\" is not one of pre|post|none"},
        {"account --preset gpt3", "--preset: \"gpt3\" is not one of gpt2-small, gpt2-medium, gpt2-large, gpt2-xl"},
        {"train --train x", "--out DIR is missing"},
        {"train --resume=yes", "--resume takes no value"},
        {"generate --vocab v --merges m", "--checkpoint FILE is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256], message[256];
        const int length = (int)strcspn(cases[i].arguments, " ");
        snprintf(line, sizeof line, "cs336 %s", cases[i].arguments);
        snprintf(message, sizeof message, "cs336 %.*s: %s; see cs336 %.*s --help", length, cases[i].arguments,
                 cases[i].message, length, cases[i].arguments);
        assert_shell_fails(2, message, line);
        ck_assert_str_eq(shell_output, "");
    }
}
END_TEST

START_TEST(test_full_standard_output)
{
    if (shell("test -c /dev/full")) {
        test_skip("no /dev/full");
        return;
    }
    ck_assert_int_eq(shell("cs336 account >/dev/full"), 1);
    ck_assert_ptr_nonnull(strstr(shell_errors, "cannot write to standard output: No space left on device"));
}
END_TEST

/* ---- account ---- */

static void assert_prints(const char *text)
{
    ck_assert_msg(strstr(shell_output, text) != NULL, "no \"%s\" in:\n%s", text, shell_output);
}

START_TEST(test_account_prints_the_course_numbers)
{
    assert_shell_ok("cs336 account --preset gpt2-xl");
    assert_prints("48 layers, d_model 1600, 25 heads, d_ff 4288");
    assert_prints("1640452800 numbers, 6.56 GB as float32");
    assert_prints("3.51677e+12");
    assert_prints("495 TFLOP/s");
    assert_prints("4850 hours");
    assert_shell_ok("cs336 account --preset gpt2-xl --context-length 16384");
    assert_prints("1.33578e+14");
    assert_shell_ok("cs336 account --preset=gpt2-small --peak-tflops=0.1 --batch-size=4 --steps 10");
    assert_prints("162148608 numbers");
    assert_prints("A run of 10 steps of 4 sequences: 41.0 K tokens");
}
END_TEST

START_TEST(test_account_any_configuration)
{
    assert_shell_ok("cs336 account --vocab-size 10000 --d-model 512 --num-layers 4 --num-heads 16");
    assert_prints("vocabulary 10000, context 256, 4 layers, d_model 512, 16 heads, d_ff 1344; "
                  "norm pre, position rope, ffn swiglu");
    assert_shell_ok("cs336 account --d-model 512 --ffn silu --norm none --position none");
    assert_prints("d_ff 2048; norm none, position none, ffn silu");
    assert_shell_fails(1, "cs336 account: transformer_lm_check: num_heads 3 does not divide d_model 16",
                       "cs336 account --d-model 16 --num-heads 3");
}
END_TEST

const TestCase cli_tests[] = {
    TEST(test_help_lists_the_commands, "cli"),
    TEST(test_version, "cli"),
    TEST(test_no_command, "cli"),
    TEST(test_bad_usage, "cli"),
    TEST(test_full_standard_output, "cli"),
    TEST(test_account_prints_the_course_numbers, "transformer_accounting"),
    TEST(test_account_any_configuration, "transformer_accounting"),
    {0},
};
