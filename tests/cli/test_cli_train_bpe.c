#include "tests/suites.h"
#include "tests/support/files.h"
#include "tests/support/program.h"
#include "tests/support/terminal.h"

#include <stdio.h>
#include <string.h>

#define FILES " --vocab v.json --merges m.txt "

static void assert_listing(const char *names)
{
    assert_shell_ok("ls");
    ck_assert_str_eq(shell_output, names);
}

/* Four pre-tokens, three of them distinct: "ab", " ab", "\n" and "ab". */
START_TEST(test_train_bpe_prints_its_counts)
{
    write_file(temp_path("text"), "ab ab\nab", 8);
    assert_shell_ok("cs336 train-bpe --input text --vocab-size 300" FILES);
    double megabytes, seconds, speed, memory;
    char token[32];
    unsigned tokens, merges, pretokens, distinct;
    const int read = sscanf(shell_output,
                            "%u tokens (%u merges) from %lf MB: %u pre-tokens, %u of them distinct\n"
                            "%lf s (%lf MB/s), peak memory %lf MB, longest token %31[^\n]\n",
                            &tokens, &merges, &megabytes, &pretokens, &distinct, &seconds, &speed, &memory, token);
    ck_assert_msg(read == 9, "%d numbers in: %s", read, shell_output);
    ck_assert_uint_eq(tokens, 258);
    ck_assert_uint_eq(merges, 2);
    ck_assert_uint_eq(pretokens, 4);
    ck_assert_uint_eq(distinct, 3);
    ck_assert_str_eq(token, "\" ab\"");
    ck_assert(memory >= 1 && memory < 1e5);
}
END_TEST

/* The printed peak memory grows with the number of distinct words. */
START_TEST(test_peak_memory_grows_with_the_words)
{
    double small = 0, large = 0;
    const char *line;
    assert_shell_ok("echo a >text; cs336 train-bpe --input text --vocab-size 300" FILES);
    ck_assert_ptr_nonnull(line = strstr(shell_output, "peak memory "));
    ck_assert_int_eq(sscanf(line, "peak memory %lf MB", &small), 1);
    assert_shell_ok("i=0; while [ $i -lt 40000 ]; do echo \"word$i$i$i$i$i$i\"; i=$((i + 1)); done | tr 0-9 a-j >text; "
                    "cs336 train-bpe --input text --vocab-size 300" FILES);
    ck_assert_ptr_nonnull(line = strstr(shell_output, "peak memory "));
    ck_assert_int_eq(sscanf(line, "peak memory %lf MB", &large), 1);
    ck_assert_msg(large > small + 1, "%.0f MB for 40000 words, %.0f MB for one", large, small);
}
END_TEST

START_TEST(test_train_bpe_on_many_files_is_training_on_one_corpus)
{
    assert_shell_ok(
        "cs336 story --stories 30 --seed 1 --output text1; cs336 story --stories 30 --seed 2 --output text2; "
        "cat text1 text2 >both");
    assert_shell_ok("cs336 train-bpe --input both --vocab-size 400 --special-token '<|endoftext|>'" FILES);
    assert_shell_ok("cs336 train-bpe --input text? --vocab-size 400 --special-token '<|endoftext|>' --vocab v2.json "
                    "--merges m2.txt");
    assert_shell_ok("cs336 train-bpe --input text1 --input text2 --vocab-size 400 --special-token '<|endoftext|>' "
                    "--vocab v3.json --merges m3.txt");
    assert_shell_ok("cmp v.json v2.json && cmp m.txt m2.txt && cmp v.json v3.json && cmp m.txt m3.txt");
}
END_TEST

/* An output that cannot be written is reported before the work, not after it. */
START_TEST(test_train_bpe_checks_its_outputs_first)
{
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"cs336 train-bpe --input text --vocab-size 1 --vocab none/x --merges y",
         "cs336 train-bpe: none/x: cannot write: No such file or directory"},
        {"cs336 train-bpe --input text --vocab-size 1 --vocab x --merges .",
         "cs336 train-bpe: .: cannot write: Is a directory"},
        {"cs336 train-bpe --input text --vocab-size 1 --vocab x --merges y --tokenizer none/z",
         "cs336 train-bpe: none/z: cannot write: No such file or directory"},
        {"cs336 train-bpe --input text --vocab-size 1 --vocab x --merges y --tokenizer text",
         "cs336 train-bpe: text: cannot write: it is also the input"},
        {"cs336 train-bpe --input text --vocab-size 1 --vocab x --merges y --tokenizer x",
         "cs336 train-bpe: x: cannot write: it is also the vocabulary"},
        {"cs336 train-bpe --input text --vocab-size 1 --vocab x --merges y --tokenizer y",
         "cs336 train-bpe: y: cannot write: it is also the list of merges"},
        {"cs336 train-bpe --input text --vocab-size 300 --vocab x --merges y --tokenizer z --special-token "
         "'\xC4\xA0'",
         "cs336 train-bpe: tokenizer.json: special token \"\xC4\xA0\" is what byte 0x20 is written as, and both would "
         "get one id; vocab.json and merges.txt give it an id of its own: --vocab and --merges in place of "
         "--tokenizer"},
    };
    write_file(temp_path("text"), "ab ab\nab", 8);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_shell_fails(1, cases[i].message, cases[i].line);
    ck_assert_int_eq(shell("ls | grep '^[xyz]'"), 1);
}
END_TEST

/* The note about a separator is for a run that begins: an error of the options stands alone. */
START_TEST(test_train_bpe_says_what_is_wrong_without_a_note)
{
    write_file(temp_path("text"), "a<|endoftext|>b", 15);
    assert_shell_fails(
        1, "cs336 train-bpe: bpe_train: vocabulary of 200, expected 256 to 2147483647: 256 bytes and 0 special tokens",
        "cs336 train-bpe --input text --vocab-size 200" FILES);
    ck_assert_int_eq(shell("cs336 train-bpe --input text --vocab-size 300" FILES), 0);
    ck_assert_ptr_nonnull(strstr(shell_errors, "the text has <|endoftext|>, which is learned from like other text"));
}
END_TEST

/* ---- tokenizer.json ---- */

START_TEST(test_tokenizer_json_is_the_same_from_training_and_from_files)
{
    write_file(temp_path("text"), "ab ab<|x|>\nab", 13);
    assert_shell_ok("cs336 train-bpe --input text --vocab-size 300 --special-token '<|x|>' --tokenizer t.json" FILES);
    assert_shell_ok("cs336 export-tokenizer --special-token '<|x|>' --output later.json" FILES
                    "&& cmp t.json later.json");
    ck_assert_int_eq(shell("cs336 train-bpe --input text --vocab-size 300 --special-token '<|x|>' --tokenizer - " FILES
                           ">out 2>said; cmp out t.json && grep -q 'longest token' said"),
                     0);
    assert_shell_ok("cs336 export-tokenizer --special-token '<|x|>' --output -" FILES "| cmp - t.json");
}
END_TEST

START_TEST(test_tokenizer_json_command_rejects_bad_input)
{
    static const struct {
        int code;
        const char *line, *message;
    } cases[] = {
        {2, "cs336 export-tokenizer" FILES,
         "cs336 export-tokenizer: --output FILE is missing; see cs336 export-tokenizer --help"},
        {1, "cs336 export-tokenizer --vocab none --merges m.txt --output x",
         "cs336 export-tokenizer: none: No such file or directory; expected a file, for example from cs336 train-bpe"},
        {1, "cs336 export-tokenizer --vocab v.json --merges none --output x",
         "cs336 export-tokenizer: none: No such file or directory; expected a file, for example from cs336 train-bpe"},
        {1, "cs336 export-tokenizer --output v.json" FILES,
         "cs336 export-tokenizer: v.json: cannot write: it is also the vocabulary"},
        {1, "cs336 export-tokenizer --output m.txt" FILES,
         "cs336 export-tokenizer: m.txt: cannot write: it is also the list of merges"},
        {1, "cs336 export-tokenizer --output none/x" FILES,
         "cs336 export-tokenizer: none/x: cannot write: No such file or directory"},
        {1, "cs336 export-tokenizer --vocab v.json --merges v.json --output x",
         "cs336 export-tokenizer: v.json: this is JSON, as vocab.json is, expected merges.txt: two tokens with a blank "
         "between them in each line"},
        {1, "cs336 export-tokenizer --output x --special-token \"$(printf '\\377')\"" FILES,
         "cs336 export-tokenizer: tokenizer.json: special token \"\\xFF\" is not UTF-8"},
    };
    write_file(temp_path("text"), "ab ab\nab", 8);
    assert_shell_ok("cs336 train-bpe --input text --vocab-size 300" FILES);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_shell_fails(cases[i].code, cases[i].message, cases[i].line);
    ck_assert_int_ne(shell("ls x*"), 0);
}
END_TEST

/* ---- patterns ---- */

/* GPT-2's pattern keeps all digits of a number together, GPT-4's three of them. */
START_TEST(test_train_bpe_learns_with_a_pattern)
{
    write_file(temp_path("text"), "12345\n12345\n", 12);
    assert_shell_ok("cs336 train-bpe --input text --vocab-size 300 --tokenizer t2.json");
    assert_prints("longest token \"12345\"");
    assert_shell_ok("cs336 train-bpe --input text --vocab-size 300 --pattern gpt2 --tokenizer same.json "
                    "&& cmp t2.json same.json");
    assert_shell_ok("cs336 train-bpe --input text --vocab-size 300 --pattern gpt4 --tokenizer t4.json");
    assert_prints("longest token \"123\"");
    assert_shell_fails(2, "cs336 train-bpe: --pattern: \"o200k\" is not one of gpt2|gpt4; see cs336 train-bpe --help",
                       "cs336 train-bpe --input text --vocab-size 300 --pattern o200k --tokenizer x.json");
}
END_TEST

/* tokenizer.json has the pattern; of the two other files the user has to know it, and is told so. */
START_TEST(test_a_pattern_goes_from_training_to_encoding)
{
    write_file(temp_path("text"), "IT'S 123456 (net).\n\n  x", 23);
    ck_assert_int_eq(shell("cs336 train-bpe --input text --vocab-size 300 --pattern gpt4 --tokenizer t.json" FILES), 0);
    ck_assert_str_eq(shell_errors, "note: v.json and m.txt do not name their pattern; read them with --pattern gpt4\n");
    assert_shell_ok("cs336 encode --tokenizer t.json --input text --output json.bin");
    assert_shell_ok("cs336 encode --pattern gpt4 --input text --output pair.bin" FILES "&& cmp json.bin pair.bin");
    ck_assert_int_ne(shell("cs336 encode --input text --output gpt2.bin" FILES "&& cmp json.bin gpt2.bin"), 0);
    assert_shell_ok("cs336 decode --tokenizer t.json --input json.bin --output back && cmp back text");
}
END_TEST

/* ---- progress and Ctrl-C ---- */

/* The same file 2000 times is a corpus that takes seconds on any machine. */
START_TEST(test_ctrl_c_on_a_terminal_ends_training_and_leaves_nothing)
{
    assert_shell_ok("cs336 story --stories 12000 --output text");
    const int code =
        terminal_run("exec \"$program\" train-bpe --input $(yes text | head -2000) --threads 1 --vocab-size "
                     "10000 --tokenizer t.json" FILES,
                     "MB counted, ", "\003");
    ck_assert_msg(code == 1, "exit code %d: %s", code, shell_output);
    assert_prints(" left, then the merges");
    assert_prints("cs336 train-bpe: interrupted after ");
    assert_listing("stderr\nstdout\ntext\n");
}
END_TEST

/* Whenever the signal comes, both files are there or neither, and no temporary file is left. */
START_TEST(test_a_signal_at_any_time_leaves_both_files_or_neither)
{
    assert_shell_ok(
        "cs336 story --stories 1000 --output text && cs336 train-bpe --input text --vocab-size 1000 --vocab whole "
        "--merges whole.txt >said 2>&1");
    for (int i = 0; i < 12; i++) {
        shell("\"$program\" train-bpe --input text --vocab-size 1000" FILES "& sleep 0.0%02d; kill -TERM $!; wait $!",
              4 * i);
        ck_assert_msg(
            shell("if [ -e v.json ]; then cmp v.json whole && cmp m.txt whole.txt; else ! [ -e m.txt ]; fi && "
                  "! ls v.json.* m.txt.* 2>none && rm -f v.json m.txt") == 0,
            "after %d ms: %s%s", 4 * i, shell_output, shell_errors);
    }
}
END_TEST

const TestCase cli_train_bpe_tests[] = {
    TEST(test_train_bpe_prints_its_counts, "cli"),
    TEST(test_peak_memory_grows_with_the_words, "cli"),
    TEST(test_train_bpe_on_many_files_is_training_on_one_corpus, "cli"),
    TEST(test_train_bpe_checks_its_outputs_first, "cli"),
    TEST(test_train_bpe_says_what_is_wrong_without_a_note, "cli"),
    TEST(test_tokenizer_json_is_the_same_from_training_and_from_files, "cli"),
    TEST(test_tokenizer_json_command_rejects_bad_input, "cli"),
    TEST(test_train_bpe_learns_with_a_pattern, "cli"),
    TEST(test_a_pattern_goes_from_training_to_encoding, "cli"),
    TEST_UNLESS(test_ctrl_c_on_a_terminal_ends_training_and_leaves_nothing, "cli", no_terminal),
    TEST(test_a_signal_at_any_time_leaves_both_files_or_neither, "cli"),
    {0},
};
