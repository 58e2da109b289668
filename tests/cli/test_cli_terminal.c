/* Names and texts that a terminal would obey are shown safely, and reach files and pipes byte by byte. */
#include "tests/cli/tiny_tokenizer.h"
#include "tests/suites.h"
#include "tests/support/files.h"
#include "tests/support/program.h"
#include "tests/support/terminal.h"

#include <stdio.h>
#include <string.h>

/* An escape sequence, a line feed, U+202E (text from right to left), U+0085 in UTF-8, and a byte that is no UTF-8. */
#define EVIL "e\x1B[31m\n\xE2\x80\xAE\xC2\x85\xFF"
#define HARMLESS "e\\x1B[31m\\x0A\\xE2\\x80\\xAE\\xC2\\x85\\xFF"

START_TEST(test_no_text_of_others_reaches_the_terminal)
{
    static const struct {
        int code;
        const char *line, *message;
    } cases[] = {
        {2, "cs336 \"$evil\"", "cs336: unknown command \"" HARMLESS "\"; cs336 --help lists the commands"},
        {2, "cs336 account \"$evil\"", "cs336 account: unexpected argument \"" HARMLESS "\"; see cs336 account --help"},
        {2, "cs336 account --\"$evil\"", "cs336 account: unknown option --" HARMLESS "; see cs336 account --help"},
        {2, "cs336 account --mfu \"$evil\"",
         "cs336 account: --mfu: \"" HARMLESS "\" is not a number; see cs336 account --help"},
        {2, "cs336 account --norm \"$evil\"",
         "cs336 account: --norm: \"" HARMLESS "\" is not one of pre|post|none; see cs336 account --help"},
        {1, "cs336 encode --vocab \"$evil\" --merges m.txt --input text --output x",
         "cs336 encode: " HARMLESS ": No such file or directory; expected a file, for example from cs336 train-bpe"},
        {1, "cs336 encode --input \"$evil\" --output x" FILES,
         "cs336 encode: " HARMLESS ": cannot read: No such file or directory"},
        {1, "cs336 train --train text --out \"$evil\" --resume " MODEL,
         "cs336 train: " HARMLESS "/checkpoint.safetensors: No such file or directory; to begin a run, leave out "
         "--resume"},
        {1, "printf '{\"\\033[31m\": 0.5}' >bad; cs336 encode --vocab bad --merges m.txt --input text --output x",
         "cs336 encode: bad:1: the id of \"\\x1B[31m\" is not a whole number from 0 on"},
        {1, "cs336 export-tokenizer --special-token \"$evil\" --output x" FILES,
         "cs336 export-tokenizer: tokenizer.json: special token \"" HARMLESS "\" is not UTF-8"},
    };
    assert_shell_ok(TRAIN_BPE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[512];
        snprintf(line, sizeof line, "evil='%s'; %s", EVIL, cases[i].line);
        test_label("%s", cases[i].line);
        if (i == 8) /* the parser's own message quotes the text before ours can */
            ck_assert_int_eq(shell("%s", line), 1);
        else
            assert_shell_fails(cases[i].code, cases[i].message, line);
        for (const char *c = shell_errors; *c; c++)
            ck_assert_msg(*c == '\n' || (unsigned char)*c >= ' ', "control character in: %s", shell_errors);
    }
    test_label_end();
}
END_TEST

START_TEST(test_an_environment_variable_is_shown_safely)
{
    ck_assert_int_eq(shell("CS336_ISA='%s' cs336 account >said", EVIL), 0);
    ck_assert_ptr_nonnull(strstr(shell_errors, "cs336: CS336_ISA: unknown value \"" HARMLESS "\", expected "));
}
END_TEST

/* Reports on standard output have names of files too. */
START_TEST(test_reports_show_names_of_files_safely)
{
    assert_shell_ok(TRAIN_BPE);
    ck_assert_int_eq(shell("evil='%s'; cp text \"$evil\" && cp v.json \"v$evil\" && cs336 tokenizer-report --vocab "
                           "\"v$evil\" --merges m.txt --input \"$evil\"",
                           EVIL),
                     0);
    assert_prints("A  v" HARMLESS ", m.txt: 263 tokens");
    assert_prints("\n" HARMLESS " ");
    ck_assert_ptr_null(strchr(shell_output, '\x1B'));
    ck_assert_int_eq(
        shell("evil='%s'; cs336 encode --input text --output \"$evil.bin\"" SPECIAL
              " >said; yes ' the cat' | head -100 >many && cs336 encode --input many --output \"$evil.bin\"" SPECIAL
              ">said && cs336 train --train \"$evil.bin\" --out \"$evil run\" --steps 1 " MODEL,
              EVIL),
        0);
    assert_prints(" tokens in " HARMLESS ".bin\n");
    assert_prints(HARMLESS " run/checkpoint.safetensors is ready for cs336 generate");
    ck_assert_ptr_null(strchr(shell_output, '\x1B'));
}
END_TEST

/* Text that is data reaches a pipe byte by byte. A terminal gets \xNN, also when a token ends inside a character. */
START_TEST(test_decode_is_safe_on_a_terminal_and_exact_in_a_pipe)
{
    static const char raw[] = "a\x1B[31m\r\n\tb\xE2\x80\xAE\xC3\xA9\xFF\xE4\xB8";
    assert_shell_ok(TRAIN_BPE);
    write_file(temp_path("raw"), raw, sizeof raw - 1);
    assert_shell_ok("cs336 encode --input raw --output ids" FILES ">said && cs336 decode --input ids --output - " FILES
                    "2>said | cmp - raw");
    ck_assert_int_eq(terminal_run("exec \"$program\" decode --input ids --output - " FILES, NULL, NULL), 0);
    assert_prints("a\\x1B[31m\\x0D\r\n\tb\\xE2\\x80\\xAE\xC3\xA9\\xFF\\xE4\\xB8");
    ck_assert_int_eq(terminal_run("exec \"$program\" encode --input raw --output - " FILES, NULL, NULL), 2);
    assert_prints("cs336 encode: --output - is a terminal, and ids are not text");
}
END_TEST

/* A model of random weights generates any bytes: 0x1B is one of them. */
START_TEST(test_generate_is_safe_on_a_terminal_and_exact_in_a_pipe)
{
#define GENERATE \
    "generate --checkpoint run/checkpoint.safetensors --max-tokens 60 --temperature 100 --stop '' --prompt "
    assert_shell_ok(TRAIN_BPE "; yes ' the cat' | head -100 >many; cs336 encode --input many --output many.bin" SPECIAL
                              ">said; cs336 train --train many.bin --out run --steps 1 --lr 0 --vocab-size 263 "
                              "--context-length 16 --d-model 16 --num-layers 1 --num-heads 2 --batch-size 2 >said");
    assert_shell_ok("p=$(printf 'a\\033[31m'); cs336 " GENERATE "\"$p\"" FILES ">out; head -c 6 out");
    ck_assert_str_eq(shell_output, "a\x1B[31m");
    ck_assert_int_eq(shell("LC_ALL=C tr -d '[:print:]\\n\\t' <out | head -c 2 | wc -c | grep -q 2"), 0);
    ck_assert_int_eq(terminal_run("p=$(printf 'a\\033[31m'); exec \"$program\" " GENERATE "\"$p\"" FILES, NULL, NULL),
                     0);
    assert_prints("a\\x1B[31m");
    for (const char *c = shell_output; *c; c++)
        ck_assert_msg(strchr("\r\n\t", *c) || (unsigned char)*c >= ' ', "a control character: %s", shell_output);
#undef GENERATE
}
END_TEST

/* A message keeps its reason, whatever the length of a name in it. */
START_TEST(test_a_long_name_keeps_the_reason)
{
    ck_assert_int_eq(
        shell("cs336 encode --output x --input $(head -c 5000 /dev/zero | tr '\\0' n) --vocab v --merges m"), 1);
    ck_assert_msg(strlen(shell_errors) < 540, "%s", shell_errors);
    ck_assert_int_eq(shell("cs336 account --norm $(head -c 5000 /dev/zero | tr '\\0' n)"), 2);
    ck_assert_ptr_nonnull(strstr(shell_errors, "nn ... nn"));
    ck_assert_ptr_nonnull(strstr(shell_errors, "n\" is not one of pre|post|none; see cs336 account --help\n"));
}
END_TEST

const TestCase cli_terminal_tests[] = {
    TEST(test_no_text_of_others_reaches_the_terminal, "cli"),
    TEST(test_an_environment_variable_is_shown_safely, "cli"),
    TEST(test_reports_show_names_of_files_safely, "cli"),
    TEST(test_decode_is_safe_on_a_terminal_and_exact_in_a_pipe, "cli"),
    TEST(test_generate_is_safe_on_a_terminal_and_exact_in_a_pipe, "cli"),
    TEST(test_a_long_name_keeps_the_reason, "cli"),
    {0},
};
