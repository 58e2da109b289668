#include "tests/suites.h"
#include "tests/support/files.h"
#include "tests/support/program.h"
#include "tests/support/terminal.h"

#include <stdio.h>
#include <string.h>

/* Tokenizer A has no merges, B has one: "ab". */
#define TRAIN                                                                                                \
    "printf abab >text; cs336 train-bpe --input text --vocab-size 256 --vocab a.json --merges a.txt >said; " \
    "cs336 train-bpe --input text --vocab-size 257 --vocab b.json --merges b.txt >said; echo >>a.txt; echo >>text"
#define BOTH "cs336 tokenizer-report --vocab a.json b.json --merges a.txt b.txt "

/* Reads the two numbers of the row that begins with label. */
static void read_row(const char *label, double *a, double *b)
{
    const char *row = strstr(shell_output, label);
    ck_assert_msg(row != NULL, "no row \"%s\" in:\n%s", label, shell_output);
    ck_assert_msg(sscanf(row + strlen(label), "%lf %lf", a, b) == 2, "no two numbers in: %s", row);
}

/* "abab\n" is 5 tokens of A and 3 of B, "xyz" is 3 of both. */
START_TEST(test_report_compares_two_tokenizers_on_two_files)
{
    assert_shell_ok(TRAIN "; printf xyz >other");
    assert_shell_ok(BOTH "--input text other");
    assert_prints("A  a.json, a.txt: 256 tokens, ids of 2 bytes\nB  b.json, b.txt: 257 tokens, ids of 2 bytes\n");
    assert_prints("\nbytes per token                     MB           A           B\n"
                  "text                             0.000       1.000       1.667\n"
                  "other                            0.000       1.000       1.000\n"
                  "all                              0.000       1.000       1.333\n");
    assert_prints("\nGB of its ids                                 1650        1238\n"
                  "tokens never used                              250         252\n"
                  "  % of the vocabulary                         97.7        98.1\n"
                  "bytes without a token                            0           0\n");
    assert_prints("\n      id   bytes        uses  longest tokens of B\n"
                  "     256       2           2  \"ab\"\n"
                  "       0       1           0  \"!\"\n");
    assert_prints("\nnever used of A: \"!\" \"\\\"\" \"#\" \"$\" \"%\" \"&\" \"'\" \"(\" ...\n"
                  "\nnever used of B: \"!\" ");
}
END_TEST

START_TEST(test_report_of_one_tokenizer_and_standard_input)
{
    assert_shell_ok(TRAIN);
    assert_shell_ok(
        "printf 'a\\033b<|x|>' | cs336 tokenizer-report --vocab b.json --merges b.txt --special-token '<|x|>' "
        "--input -");
    assert_prints("A  b.json, b.txt: 258 tokens, ids of 2 bytes\n");
    assert_prints("\n-                                0.000       2.000\n\n");
    assert_prints("     257       5           1  \"<|x|>\"\n");
    ck_assert_ptr_null(strstr(shell_output, "all  "));
}
END_TEST

/* The hours are those of 825 GB at the printed speed, up to rounding. */
START_TEST(test_report_prints_the_time_for_the_pile)
{
    double speed[2], hours[2], percent[2];
    assert_shell_ok(TRAIN "; cs336 story --stories 3000 --output long");
    assert_shell_ok(BOTH "--input long");
    read_row("MB/s ", &speed[0], &speed[1]);
    read_row("hours for the Pile, 825 GB ", &hours[0], &hours[1]);
    read_row("  % of the vocabulary ", &percent[0], &percent[1]);
    for (int i = 0; i < 2; i++) {
        test_label("tokenizer %d", i);
        ck_assert_double_gt(speed[i], 0);
        ck_assert_double_ge(hours[i], 825e9 / ((speed[i] + 0.051) * 1e6) / 3600 - 0.006);
        ck_assert_double_le(hours[i], 825e9 / ((speed[i] - 0.051) * 1e6) / 3600 + 0.006);
        ck_assert(percent[i] > 0 && percent[i] < 100);
    }
}
END_TEST

/* A file name that is longer than the first column widens it in all rows. */
START_TEST(test_report_is_aligned_with_long_names)
{
    assert_shell_ok(TRAIN "; cp text a_name_that_is_longer_than_any_label; " BOTH
                          "--input text a_name_that_is_longer_than_any_label");
    size_t width = 0;
    for (const char *row = strstr(shell_output, "\nbytes per token") + 1; *row && *row != '\n';
         row = strchr(row, '\n') + 1) {
        const size_t length = strcspn(row, "\n");
        ck_assert_msg(!width || length == width, "%.*s", (int)length, row);
        width = length;
    }
}
END_TEST

START_TEST(test_report_rejects_bad_input)
{
    static const struct {
        int code;
        const char *line, *message;
    } cases[] = {
        {2, "cs336 tokenizer-report --vocab a.json --merges a.txt",
         "cs336 tokenizer-report: --input FILE is missing; see cs336 tokenizer-report --help"},
        {2, "cs336 tokenizer-report --vocab a.json b.json --merges a.txt --input text",
         "cs336 tokenizer-report: --vocab has 2 files, --merges has 1, expected one of each per tokenizer; see cs336 "
         "tokenizer-report --help"},
        {2, "cs336 tokenizer-report --vocab 1 2 3 4 5 6 7 8 9 --merges 1 2 3 4 5 6 7 8 9 --input text",
         "cs336 tokenizer-report: 9 tokenizers, expected at most 8; see cs336 tokenizer-report --help"},
        {1, "cs336 tokenizer-report --vocab none --merges a.txt --input text",
         "cs336 tokenizer-report: none: No such file or directory; expected a file, for example from cs336 train-bpe"},
        {1, "cs336 tokenizer-report --vocab a.json --merges a.txt --input text none",
         "cs336 tokenizer-report: none: cannot read: No such file or directory"},
        {1, "cs336 tokenizer-report --vocab a.json --merges a.txt --input empty",
         "cs336 tokenizer-report: empty: is empty, expected a text to measure"},
        {1, "cs336 tokenizer-report --vocab a.json --merges b.txt --input text",
         "cs336 tokenizer-report: b.txt:1: token \"a b\" is not in a.json"},
        {1, "echo a | " BOTH "--input -",
         "cs336 tokenizer-report: standard input: can be read only once, not by 2 tokenizers"},
    };
    assert_shell_ok(TRAIN "; : >empty");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_label("%s", cases[i].line);
        assert_shell_fails(cases[i].code, cases[i].message, cases[i].line);
        ck_assert_str_eq(shell_output, "");
    }
}
END_TEST

START_TEST(test_report_can_be_stopped)
{
    assert_shell_ok(TRAIN "; cs336 story --stories 12000 --output long");
    const int code =
        terminal_run("exec \"$program\" tokenizer-report --vocab b.json --merges b.txt --input $(yes long | "
                     "head -4000)",
                     " left", "\003");
    ck_assert_msg(code == 1, "exit code %d: %s", code, shell_output);
    assert_prints("cs336 tokenizer-report: interrupted\r\n");
}
END_TEST

const TestCase cli_report_tests[] = {
    TEST(test_report_compares_two_tokenizers_on_two_files, "tokenizer_experiments"),
    TEST(test_report_of_one_tokenizer_and_standard_input, "tokenizer_experiments"),
    TEST(test_report_prints_the_time_for_the_pile, "tokenizer_experiments"),
    TEST(test_report_is_aligned_with_long_names, "tokenizer_experiments"),
    TEST(test_report_rejects_bad_input, "tokenizer_experiments"),
    TEST_UNLESS(test_report_can_be_stopped, "tokenizer_experiments", no_terminal),
    {0},
};
