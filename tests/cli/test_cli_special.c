/* What the program says about special tokens that files of other libraries hold, or that those libraries do not read.
 */
#define _XOPEN_SOURCE 700 /* realpath() */
#include "tests/suites.h"
#include "tests/support/files.h"
#include "tests/support/program.h"

#include <stdlib.h>
#include <string.h>

#define OWN "--vocab \"$fixtures\"/special-own.json --merges \"$fixtures\"/special-own.txt "

/* Runs a line in which $fixtures is the folder of the fixtures. */
static int run_with_fixtures(const char *line)
{
    char *folder = realpath("tests/fixtures/tokenizer", NULL);
    const int code = shell("fixtures='%s'; %s", folder, line);
    free(folder);
    return code;
}

START_TEST(test_the_program_says_what_cannot_be_told_apart)
{
    static const struct {
        const char *line, *note;
    } cases[] = {
        {"printf x | cs336 encode " OWN "--input - --output ids",
         "special-own.json: token 2 \"\xE4\xB8\xAD\" and 4 more are special tokens; no text is encoded as them unless "
         "--special-token names them\n"},
        {"printf x | cs336 encode " OWN "--input - --output ids --special-token '\xC3\xA9'",
         "special-own.json: special token \"\xC3\xA9\" is written like token \"\\xE9\": both have id 174, and decoding "
         "gives \"\\xE9\"\n"},
        {"printf x | cs336 encode " OWN "--input - --output ids --special-token ' the'",
         "special-own.json: special token \" the\" has no entry as it stands and gets id 268 of the token with the "
         "same "
         "bytes; Hugging Face's libraries would add a token\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_eq(run_with_fixtures(cases[i].line), 0);
        ck_assert_msg(strstr(shell_errors, cases[i].note) != NULL, "%s", shell_errors);
    }
}
END_TEST

#define TRAIN "cs336 train-bpe --input text --vocab v.json --merges m.txt --vocab-size 300 "

START_TEST(test_training_says_which_special_tokens_others_do_not_read)
{
    write_file(temp_path("text"), "the the\xC3\xA9 the\n", 13);
    ck_assert_int_eq(shell(TRAIN "--special-token '\xC3\xA9' --special-token '<|\xC3\xA9|>' --special-token ' '"), 0);
    ck_assert_str_eq(shell_errors,
                     "note: v.json: special token \"\xC3\xA9\" is written \"\xC3\x83\xC2\xA9\", since its own text is "
                     "what other bytes are written as; other programs do not read it so\n");
    assert_shell_ok(
        "cs336 encode --input text --vocab v.json --merges m.txt --special-token '\xC3\xA9' "
        "--special-token '<|\xC3\xA9|>' --special-token ' ' --output ids && cs336 decode --input ids --output "
        "back --vocab v.json --merges m.txt --special-token '\xC3\xA9' --special-token '<|\xC3\xA9|>' "
        "--special-token ' ' && cmp text back && head -c 10 ids | od -An -tu2 | grep -q ' 2 .* 0 .* 2$'");
}
END_TEST

/* What is known before training is refused before it. A merge that takes a text is known after it: no work is lost. */
START_TEST(test_tokenizer_json_is_refused_before_training)
{
    static const struct {
        const char *token, *byte;
    } cases[] = {{"\xC3\xA9", "E9"}, {"\xC4\xA0", "20"}, {"\xC4\x8A", "0A"}};
    char line[512], message[512];
    write_file(temp_path("text"), "a the the the\n", 14);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(line, sizeof line, TRAIN "--tokenizer t.json --special-token '%s'", cases[i].token);
        snprintf(
            message, sizeof message,
            "cs336 train-bpe: tokenizer.json: special token \"%s\" is what byte 0x%s is written as, and both would "
            "get one id; vocab.json and merges.txt give it an id of its own: --vocab and --merges in place of "
            "--tokenizer",
            cases[i].token, cases[i].byte);
        assert_shell_fails(1, message, line);
    }
    ck_assert_int_ne(shell("ls [vmt].*"), 0);
    /* What the message promises: the special token has another id than its byte has. */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_label("%s", cases[i].token);
        const unsigned byte = (unsigned)strtoul(cases[i].byte, NULL, 16);
        ck_assert_int_eq(shell(TRAIN "--special-token '%s' >said 2>&1 && printf '%s' >1 && printf '\\%03o' >2 && "
                                     "for i in 1 2; do cs336 encode --vocab v.json --merges m.txt --special-token '%s' "
                                     "--input $i --output ids$i && test $(wc -c <ids$i) = 2 || exit 1; done; "
                                     "! cmp -s ids1 ids2",
                               cases[i].token, cases[i].token, byte, cases[i].token),
                         0);
    }
    test_label_end();
    assert_shell_ok("rm v.json m.txt");
    assert_shell_ok(TRAIN "--tokenizer t.json --special-token ' ' --special-token '\xC3\xA9t\xC3\xA9'");
    ck_assert_int_eq(shell("rm t.json"), 0);
    assert_shell_fails(
        1,
        "cs336 train-bpe: tokenizer.json: special token \"\xC4\xA0the\" is what another token is written "
        "as, and both would get one id; only v.json and m.txt are written",
        TRAIN "--tokenizer t.json --special-token '\xC4\xA0the'");
    ck_assert_int_ne(shell("ls t.json"), 0);
    assert_shell_ok(
        "cs336 encode --input text --vocab v.json --merges m.txt --special-token '\xC4\xA0the' --output ids");
}
END_TEST

const TestCase cli_special_tests[] = {
    TEST(test_the_program_says_what_cannot_be_told_apart, "tokenizer_files"),
    TEST(test_training_says_which_special_tokens_others_do_not_read, "tokenizer_files"),
    TEST(test_tokenizer_json_is_refused_before_training, "tokenizer_files"),
    {0},
};
