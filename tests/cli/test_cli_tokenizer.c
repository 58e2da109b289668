#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tests/support/program.h"

#include <string.h>

#define TRAIN \
    "cs336 train-bpe --input text --vocab-size 300 --special-token '<|endoftext|>' --vocab v.json --merges m.txt"
#define FILES " --vocab v.json --merges m.txt --special-token '<|endoftext|>' "

/* Partly not UTF-8, with NUL bytes and without a newline at the end. */
static const char text[] = "the cat and the hat<|endoftext|>\n\nthe b\xFF\xFEt \0\0 and \xE4\xB8 the gr\xC3\xBC\xC3\x9F"
                           "e<|endoftext|> end";

static void write_text(void)
{
    write_file(temp_path("text"), text, sizeof text - 1);
}

START_TEST(test_text_to_ids_and_back)
{
    write_text();
    assert_shell_ok(TRAIN);
    assert_prints("283 tokens (26 merges)");
    assert_shell_ok("cs336 encode" FILES "--input text --output ids");
    assert_prints("tokens of 2 bytes");
    assert_shell_ok("cs336 decode" FILES "--input ids --output back");
    assert_file_holds(temp_path("back"), text, sizeof text - 1);
}
END_TEST

START_TEST(test_streams_give_the_same_ids_as_files)
{
    write_text();
    assert_shell_ok(TRAIN);
    assert_shell_ok("cs336 encode" FILES "--input text --output ids");
    ck_assert_int_eq(shell("cat text | cs336 encode" FILES "--input - --output - | cmp - ids"), 0);
    ck_assert_int_eq(shell("cat ids | cs336 decode" FILES "--input - --output - | cmp - text"), 0);
}
END_TEST

START_TEST(test_errors_replace_gives_utf8)
{
    static const char replaced[] = "a\xEF\xBF\xBD\xEF\xBF\xBD"
                                   "b\xEF\xBF\xBD";
    write_text();
    assert_shell_ok(TRAIN);
    write_file(temp_path("bad"),
               "a\xFF\xFE"
               "b\xE4\xB8",
               6);
    assert_shell_ok("cs336 encode" FILES "--input bad --output ids");
    assert_shell_ok("cs336 decode" FILES "--input ids --output back --errors replace");
    assert_file_holds(temp_path("back"), replaced, sizeof replaced - 1);
    assert_shell_ok("cs336 decode" FILES "--input ids --output back --errors keep");
    assert_file_holds(temp_path("back"),
                      "a\xFF\xFE"
                      "b\xE4\xB8",
                      6);
}
END_TEST

START_TEST(test_threads_do_not_change_the_files)
{
    write_text();
    assert_shell_ok(TRAIN);
    assert_shell_ok("cs336 train-bpe --input text --vocab-size=300 --special-token='<|endoftext|>' --vocab v3.json "
                    "--merges m3.txt --threads 3");
    ck_assert_int_eq(shell("cmp v.json v3.json && cmp m.txt m3.txt"), 0);
}
END_TEST

START_TEST(test_several_inputs_are_one_corpus)
{
    write_file(temp_path("text"), "ab", 2);
    write_file(temp_path("more"), "cd cd", 5);
    assert_shell_ok("cs336 train-bpe --input text --input more --vocab-size 257 --vocab v.json --merges m.txt");
    assert_file_holds(temp_path("m.txt"), "c d\n", 4);
}
END_TEST

/* With a vocabulary of more than 65536 tokens, an id takes 4 bytes. */
START_TEST(test_a_large_vocabulary_is_written_as_uint32)
{
    write_text();
    assert_shell_ok(TRAIN);
    assert_shell_ok("{ sed '$d' v.json | sed '$s/$/,/'; i=283; while [ $i -lt 65536 ]; do echo \"\\\"xx$i\\\": $i,\"; "
                    "i=$((i + 1)); done; echo '\"xx\": 65536}'; } > large.json");
    assert_shell_ok(
        "cs336 encode --vocab large.json --merges m.txt --special-token '<|endoftext|>' --input text --output ids");
    assert_prints("tokens of 4 bytes");
    assert_shell_ok("cs336 decode --vocab large.json --merges m.txt --input ids --output back");
    assert_file_holds(temp_path("back"), text, sizeof text - 1);
}
END_TEST

START_TEST(test_bad_input_is_one_line_and_nothing_is_written)
{
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"cs336 train-bpe --input none --vocab-size 300 --vocab x --merges y",
         "cs336 train-bpe: none: No such file or directory; expected a file, for example from cs336 story"},
        {"cs336 train-bpe --input empty --vocab-size 300 --vocab x --merges y",
         "cs336 train-bpe: empty: is empty; expected a file, for example from cs336 story"},
        {"cs336 train-bpe --input text --vocab-size 256 --special-token '<|endoftext|>' --vocab x --merges y",
         "cs336 train-bpe: bpe_train: vocabulary of 256, expected 257 to 2147483647: 256 bytes and 1 special tokens"},
        {"cs336 train-bpe --input text --vocab-size 300 --vocab none/x --merges y",
         "cs336 train-bpe: none/x: cannot write: No such file or directory"},
        {"cs336 train-bpe --input text --vocab-size 300 --vocab x --merges x",
         "cs336 train-bpe: x: cannot write: it is also the vocabulary"},
        {"cs336 train-bpe --input text --vocab-size 300 --vocab x --merges ./text",
         "cs336 train-bpe: ./text: cannot write: it is also the input"},
        {"cs336 train-bpe --input text --vocab-size 300 --vocab link --merges y",
         "cs336 train-bpe: link: cannot write: it is also the input"},
        {"cs336 train-bpe --input text --vocab-size 300 --vocab text/x --merges y",
         "cs336 train-bpe: text/x: cannot write: Not a directory"},
        {"cs336 encode --vocab v.json --merges m.txt --input text --output link",
         "cs336 encode: link: cannot write: it is also the input"},
        {"cs336 encode --vocab v.json --merges m.txt --input . --output x",
         "cs336 encode: .: cannot read: Is a directory"},
        {"cs336 encode --vocab v.json --merges m.txt --input - --output x <&-",
         "cs336 encode: standard input: cannot read: Bad file descriptor"},
        {"cs336 decode --vocab v.json --merges m.txt --input large --output large",
         "cs336 decode: large: cannot write: it is also the input"},
        {"cs336 encode --vocab none --merges m.txt --input text --output x",
         "cs336 encode: none: No such file or directory; expected a file, for example from cs336 train-bpe"},
        {"cs336 encode --vocab v.json --merges empty --input text --output x",
         "cs336 encode: empty: is empty; expected a file, for example from cs336 train-bpe"},
        {"cs336 encode --vocab v.json --merges text --input text --output x",
         "cs336 encode: text:1: expected two tokens with a blank between them"},
        {"cs336 decode --vocab v.json --merges m.txt --input none --output x",
         "cs336 decode: none: No such file or directory; expected a file, for example from cs336 encode"},
        {"cs336 decode --vocab v.json --merges m.txt --input prose --output x",
         "cs336 decode: prose: is a text, expected token ids: cs336 encode --tokenizer FILE --input prose --output "
         "ids.bin"},
        {"cs336 decode --vocab v.json --merges m.txt --input odd --output x",
         "cs336 decode: odd: 3 bytes, expected a multiple of 2: ids are uint16 for a vocabulary of 283"},
        {"cs336 decode --vocab v.json --merges m.txt --input large --output x",
         "cs336 decode: large: id 300 at position 1, expected below the vocabulary size 283"},
    };
    write_text();
    assert_shell_ok(TRAIN);
    assert_shell_ok("ln -s text link");
    write_file(temp_path("empty"), "", 0);
    write_file(temp_path("prose"), "abc", 3);
    write_file(temp_path("odd"), "\1\0\2", 3);
    write_file(temp_path("large"), "\x01\x00\x2C\x01", 4);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_shell_fails(1, cases[i].message, cases[i].line);
    ck_assert_int_ne(shell("ls | grep '^[xy]'"), 0);
}
END_TEST

/* A limit on the file size (ulimit -f) acts like a full disk. */
START_TEST(test_tokenizer_commands_on_a_full_disk)
{
    write_text();
    assert_shell_ok(TRAIN " && cs336 story --stories 2000 --output long >log && cs336 encode" FILES
                          "--input long --output ids >log && mkdir old && cp v.json m.txt old && cp text old/ids && "
                          "cp text old/text");
    ck_assert_int_eq(shell("cd old; ulimit -f 8; cs336 train-bpe --input ../long --vocab-size 2000 "
                           "--special-token '<|endoftext|>' "
                           "--vocab v.json --merges m.txt"),
                     1);
    ck_assert_str_eq(shell_errors, "cs336 train-bpe: v.json: cannot write: File too large\n");
    ck_assert_int_eq(shell("cd old; ulimit -f 8; cs336 encode" FILES "--input ../long --output ids"), 1);
    ck_assert_str_eq(shell_errors, "cs336 encode: ids: cannot write: File too large\n");
    ck_assert_int_eq(shell("cd old; ulimit -f 8; cs336 decode" FILES "--input ../ids --output text"), 1);
    ck_assert_str_eq(shell_errors, "cs336 decode: text: cannot write: File too large\n");
    assert_shell_ok(
        "cd old && cmp v.json ../v.json && cmp m.txt ../m.txt && cmp ids ../text && cmp text ../text && ls");
    ck_assert_str_eq(shell_output, "ids\nm.txt\ntext\nv.json\n");
}
END_TEST

START_TEST(test_a_symbolic_link_is_written_through)
{
    write_text();
    assert_shell_ok(TRAIN);
    assert_shell_ok("mkdir far && : >far/ids && ln -s far/ids ids && cs336 encode" FILES "--input text --output ids");
    assert_shell_ok("test -L ids && test -s far/ids && ls far");
    ck_assert_str_eq(shell_output, "ids\nids.json\n");
}
END_TEST

/* The summary is not mixed into results on standard output, and it escapes control characters of tokens. */
START_TEST(test_train_bpe_summary)
{
    write_file(temp_path("text"), "\n\n\n\x1b\n\n\n\x1b\n\n\n", 11);
    ck_assert_int_eq(shell("cs336 train-bpe --input text --vocab-size 258 --vocab v.json --merges -"), 0);
    ck_assert_str_eq(shell_output, "\xC4\x8A \xC4\x8A\n\xC4\x8A\xC4\x8A \xC4\x8A\n");
    ck_assert_ptr_nonnull(strstr(shell_errors, "longest token \"\\x0A\\x0A\\x0A\"\n"));
    assert_shell_ok(
        "printf %0128d 0 >text; cs336 train-bpe --input text --vocab-size 263 --vocab v.json --merges m.txt");
    assert_prints(
        "longest token \"000000000000000000000000000000000000000000000000000000000000000\" and 65 bytes more\n");
}
END_TEST

START_TEST(test_bad_usage_of_the_tokenizer_commands)
{
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"cs336 train-bpe --vocab-size 300 --vocab x --merges y",
         "cs336 train-bpe: --input FILE is missing; see cs336 train-bpe --help"},
        {"cs336 train-bpe --input text --vocab-size 300 --special-token= --vocab x --merges y",
         "cs336 train-bpe: --special-token: the value is empty, expected TOKEN; see cs336 train-bpe --help"},
        {"cs336 train-bpe --input text --vocab-size 300 --threads 1025 --vocab x --merges y",
         "cs336 train-bpe: --threads: 1025 is too large, expected at most 1024; see cs336 train-bpe --help"},
        {"cs336 encode --vocab v --merges m --special-token= --input text --output x",
         "cs336 encode: --special-token: the value is empty, expected TOKEN; see cs336 encode --help"},
        {"cs336 decode --vocab v --merges m --special-token= --input text --output x",
         "cs336 decode: --special-token: the value is empty, expected TOKEN; see cs336 decode --help"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_shell_fails(2, cases[i].message, cases[i].line);
}
END_TEST

const TestCase cli_tokenizer_tests[] = {
    TEST(test_text_to_ids_and_back, "cli"),
    TEST(test_streams_give_the_same_ids_as_files, "cli"),
    TEST(test_errors_replace_gives_utf8, "cli"),
    TEST(test_threads_do_not_change_the_files, "cli"),
    TEST(test_several_inputs_are_one_corpus, "cli"),
    TEST(test_a_large_vocabulary_is_written_as_uint32, "cli"),
    TEST(test_bad_input_is_one_line_and_nothing_is_written, "cli"),
    TEST_UNLESS(test_tokenizer_commands_on_a_full_disk, "cli", no_file_size_limit),
    TEST(test_a_symbolic_link_is_written_through, "cli"),
    TEST(test_train_bpe_summary, "cli"),
    TEST(test_bad_usage_of_the_tokenizer_commands, "cli"),
    {0},
};
