#include "tests/suites.h"
#include "tests/support/files.h"
#include "tests/support/program.h"
#include "tests/support/terminal.h"

#include <string.h>

#define TRAIN                                                                                                      \
    "printf 'the cat the cat<|x|>a' >text; cs336 train-bpe --input text --vocab-size 265 --special-token '<|x|>' " \
    "--vocab "                                                                                                     \
    "v.json --merges m.txt >said"
#define FILES " --vocab v.json --merges m.txt --special-token '<|x|>' "

/* ---- several inputs ---- */

/* No token crosses from one file to the next: neither "the" and " cat", nor "<" and "|x|>", are joined. */
START_TEST(test_each_input_is_a_separate_text)
{
    assert_shell_ok(TRAIN);
    assert_shell_ok("printf 'a the' >1; printf ' cat<' >2; printf '|x|><|x|>' >3; for i in 1 2 3; do cs336 encode" FILES
                    "--input $i --output $i.ids; done >said; cat ?.ids >each.ids");
    assert_shell_ok("cs336 encode" FILES "--input 1 --input 2 --input 3 --output all.ids && cmp all.ids each.ids");
    assert_prints("19 bytes, ");
    assert_shell_ok("cs336 encode" FILES "--input 1 2 3 --output all.ids && cmp all.ids each.ids");
    assert_shell_ok("cat 2 | cs336 encode" FILES "--input 1 - 3 --output all.ids && cmp all.ids each.ids");
    assert_shell_ok("cat 1 2 3 >123; cs336 encode" FILES "--input 123 --output one.ids; ! cmp -s one.ids each.ids");
}
END_TEST

/* The file has more than two chunks, so that several threads get work. */
START_TEST(test_ids_of_a_file_do_not_depend_on_threads)
{
    assert_shell_ok(TRAIN "; yes 'the cat, a cat <|x|> the hat' | head -60000 >long");
    assert_shell_ok("for n in 1 2 5; do cs336 encode" FILES "--input long --output $n.ids --threads $n; done >said");
    assert_shell_ok("test -s 1.ids && cmp 1.ids 2.ids && cmp 1.ids 5.ids");
}
END_TEST

START_TEST(test_encode_reports_bad_inputs)
{
    static const struct {
        int code;
        const char *line, *message;
    } cases[] = {
        {2, "cs336 encode --vocab v.json --merges m.txt --input text",
         "cs336 encode: --output or --pretty is missing; see cs336 encode --help"},
        {2, "cs336 encode --vocab v.json --merges m.txt --input text --pretty --output -",
         "cs336 encode: --pretty and --output - both write to standard output; see cs336 encode --help"},
        {2, "cs336 encode --vocab v.json --merges m.txt --input text '' --output x",
         "cs336 encode: --input: the value is empty, expected FILE; see cs336 encode --help"},
        {2, "cs336 encode --vocab v.json m.txt --input text --output x",
         "cs336 encode: unexpected argument \"m.txt\"; see cs336 encode --help"},
        {2, "cs336 encode --vocab v.json --merges m.txt --input $(yes text | head -4097) --output x",
         "cs336 encode: --input: too many values, expected at most 4096; see cs336 encode --help"},
        {2, "cs336 encode --vocab v.json --merges m.txt --input text --output x --threads few",
         "cs336 encode: --threads: \"few\" is not a whole number; see cs336 encode --help"},
        {1, "cs336 encode --vocab v.json --merges m.txt --input text none --output x",
         "cs336 encode: none: cannot read: No such file or directory"},
        {1, "cs336 encode --vocab v.json --merges m.txt --input text other --output other",
         "cs336 encode: other: cannot write: it is also the input"},
        {1, "echo a | cs336 encode --vocab v.json --merges m.txt --input - text - --output x",
         "cs336 encode: standard input: can be read only once, given 2 times"},
    };
    assert_shell_ok(TRAIN "; echo a >other");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_shell_fails(cases[i].code, cases[i].message, cases[i].line);
    ck_assert_int_ne(shell("ls x*"), 0);
}
END_TEST

/* ---- --pretty ---- */

static void assert_pretty(const char *text, size_t length, const char *expected)
{
    write_file(temp_path("shown"), text, length);
    ck_assert_int_eq(shell("cs336 encode" FILES "--input shown --pretty"), 0);
    ck_assert_str_eq(shell_output, expected);
    ck_assert_ptr_nonnull(strstr(shell_errors, " bytes per token"));
}

/* U+2502 between tokens, U+21B5 for a line feed; U+2192 is a tab. */
#define BAR "\xE2\x94\x82"
#define RETURN "\xE2\x86\xB5"

START_TEST(test_pretty_without_colours_puts_a_line_between_tokens)
{
    assert_shell_ok(TRAIN);
    assert_pretty("the cat<|x|>a", 13, "the" BAR " cat" BAR "<|x|>" BAR "a\n");
    assert_pretty("the\n\nthe\ta", 10, "the" BAR RETURN "\n" BAR RETURN "\n" BAR "the" BAR "\xE2\x86\x92" BAR "a\n");
    assert_pretty("\xE4\xB8\xAD\x1B[1m\xFF", 8,
                  "\\xE4" BAR "\\xB8" BAR "\\xAD" BAR "\\x1B" BAR "[" BAR "1" BAR "m" BAR "\\xFF\n");
    assert_pretty("a\n", 2, "a" BAR RETURN "\n");
    assert_shell_ok("cs336 encode" FILES "--input shown text --pretty 2>said");
    ck_assert_str_eq(shell_output, "a" BAR RETURN "\nthe" BAR " cat" BAR " the" BAR " cat" BAR "<|x|>" BAR "a\n");
}
END_TEST

START_TEST(test_pretty_with_an_output_file)
{
    assert_shell_ok(TRAIN);
    assert_shell_ok(
        "cs336 encode" FILES "--input text --output ids && cs336 encode" FILES
        "--input text --output both --pretty >shown 2>said && cmp ids both && grep -q 'tokens of 2 bytes' said && "
        "grep -q cat shown");
}
END_TEST

/* Each token has a background colour, which ends before a line feed. */
START_TEST(test_pretty_on_a_terminal_is_coloured)
{
    assert_shell_ok(TRAIN "; printf 'the cat\\n<|x|>' >shown");
    ck_assert_int_eq(terminal_run("exec \"$program\" encode" FILES "--input shown --pretty", NULL, NULL), 0);
    assert_prints("\033[38;5;16;48;5;195mthe\033[0m\033[38;5;16;48;5;229m cat\033[0m\033[38;5;16;48;5;225m" RETURN
                  "\033[0m\r\n\033[1;7m<|x|>\033[0m\r\n");
    ck_assert_int_eq(terminal_run("NO_COLOR=1 exec \"$program\" encode" FILES "--input shown --pretty", NULL, NULL), 0);
    assert_prints("the" BAR " cat" BAR RETURN "\r\n" BAR "<|x|>\r\n");
    ck_assert_int_eq(terminal_run("TERM=dumb exec \"$program\" encode" FILES "--input shown --pretty", NULL, NULL), 0);
    assert_prints("the" BAR " cat");
    ck_assert_int_eq(terminal_run("NO_COLOR= exec \"$program\" encode" FILES "--input shown --pretty", NULL, NULL), 0);
    assert_prints("\033[1;7m<|x|>\033[0m");
}
END_TEST

/* ---- progress ---- */

START_TEST(test_encode_shows_progress_and_ctrl_c_leaves_nothing)
{
    assert_shell_ok(
        "cs336 story --stories 12000 --output text && cs336 train-bpe --input text --vocab-size 1000 --vocab "
        "v.json --merges m.txt >said 2>&1");
    const int code =
        terminal_run("exec \"$program\" encode --input $(yes text | head -4000) --output ids" FILES, " left", "\003");
    ck_assert_msg(code == 1, "exit code %d: %s", code, shell_output);
    assert_prints(" MB, ");
    assert_prints(" MB/s, ");
    assert_prints("cs336 encode: interrupted\r\n");
    ck_assert_int_ne(shell("ls ids*"), 0);
}
END_TEST

START_TEST(test_encode_of_a_stream_shows_bytes_and_speed)
{
    assert_shell_ok(TRAIN "; cs336 story --stories 3000 --output long");
    ck_assert_int_eq(
        terminal_run("{ cat long; sleep 1.2; cat long; } | \"$program\" encode --input - --output ids" FILES, NULL,
                     NULL),
        0);
    assert_prints("cs336 encode: ");
    assert_prints(" MB/s");
    ck_assert_ptr_null(strstr(shell_output, " left"));
    assert_prints(" tokens of 2 bytes");
}
END_TEST

/* One of something: no ending of a plural. */
START_TEST(test_counts_of_one_are_singular)
{
    static const struct {
        const char *line, *printed;
    } cases[] = {
        {"printf x >one; cs336 encode --input one --output id" FILES, "1 byte, 1 token of 2 bytes, "},
        {"cs336 decode --input id --output back" FILES, "1 token, 1 byte of text, "},
        {"cs336 encode --input text --output ids" FILES
         ">said; cs336 train --train ids --vocab-size 263 --context-length 1 --d-model 8 --num-layers 1 --num-heads 1 "
         "--batch-size 1 --steps 1 --overwrite --out run",
         ", context 1, 1 layer, d_model 8, 1 head, "},
        {"cs336 train --train ids --vocab-size 263 --context-length 1 --d-model 8 --num-layers 1 --num-heads 1 "
         "--batch-size 1 --steps 1 --overwrite --out run",
         "\nrun      1 step of 1 x 1 token, 1 in all\n"},
        {"cs336 generate --checkpoint run/checkpoint.safetensors --prompt t --max-tokens 1 --logprobs" FILES,
         "  sum of 1 token\n"},
    };
    assert_shell_ok(TRAIN);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_shell_ok(cases[i].line);
        assert_prints(cases[i].printed);
    }
}
END_TEST

const TestCase cli_encode_tests[] = {
    TEST(test_each_input_is_a_separate_text, "cli"),
    TEST(test_ids_of_a_file_do_not_depend_on_threads, "cli"),
    TEST(test_encode_reports_bad_inputs, "cli"),
    TEST(test_pretty_without_colours_puts_a_line_between_tokens, "cli"),
    TEST(test_pretty_with_an_output_file, "cli"),
    TEST(test_counts_of_one_are_singular, "cli"),
    TEST_UNLESS(test_pretty_on_a_terminal_is_coloured, "cli", no_terminal),
    TEST_UNLESS(test_encode_shows_progress_and_ctrl_c_leaves_nothing, "cli", no_terminal),
    TEST_UNLESS(test_encode_of_a_stream_shows_bytes_and_speed, "cli", no_terminal),
    {0},
};
