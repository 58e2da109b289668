/* The forms of text that commands read: compressed files, standard input, JSON Lines; and what they refuse. */
#include "core/decompress.h"
#include "tests/cli/tiny_tokenizer.h"
#include "tests/suites.h"
#include "tests/support/files.h"
#include "tests/support/program.h"
#include "tests/support/terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define END "--special-token '<|endoftext|>' "
#define LEARN "cs336 train-bpe --vocab-size 400 "
#define OTHER "--vocab v2.json --merges m2.txt >said && cmp v.json v2.json && cmp m.txt m2.txt"
#define ENCODE "cs336 encode" FILES
#define EVALUATE "cs336 evaluate --checkpoint run/checkpoint.safetensors"

static const char *no_gzip(void)
{
    if (!decompressor_exists(TEXT_GZIP))
        return "built without zlib";
    return system("command -v gzip >/dev/null") == 0 ? NULL : "no program gzip";
}

static const char *no_zstd(void)
{
    if (!decompressor_exists(TEXT_ZSTD))
        return "built without libzstd";
    return system("command -v zstd >/dev/null") == 0 ? NULL : "no program zstd";
}

/* Writes `text`, learns v.json and m.txt from it, and encodes it into `ids`. */
static void make_text(void)
{
    assert_shell_ok("cs336 story --stories 2000 --output text && " LEARN END "--input text" FILES ">said && " ENCODE END
                    "--input text --output ids >said");
}

/* ---- compressed text ---- */

/* The file is longer than a piece of a stream, so that several threads get work. */
static void assert_same_from(const char *file)
{
    char line[512];
    snprintf(line, sizeof line, LEARN END "--input %s " OTHER, file);
    assert_shell_ok(line);
    snprintf(line, sizeof line, LEARN END "--input - <%s " OTHER, file);
    assert_shell_ok(line);
    snprintf(line, sizeof line, "cat %s | " LEARN END "--threads 3 --input - " OTHER, file);
    assert_shell_ok(line);
    snprintf(line, sizeof line, ENCODE END "--input %s --output ids2 >said && cmp ids ids2", file);
    assert_shell_ok(line);
    assert_shell_ok("grep -q \"^$(wc -c <text | tr -d ' ') bytes, \" said");
    snprintf(line, sizeof line, "cat %s | " ENCODE END "--threads 3 --input - --output ids2 >said && cmp ids ids2",
             file);
    assert_shell_ok(line);
}

START_TEST(test_gzip_gives_what_its_text_gives)
{
    make_text();
    assert_shell_ok("gzip -c text >text.gz && head -c 100001 text >1 && tail -c +100002 text >2 && gzip -c 1 >two && "
                    "gzip -9c 2 >>two");
    assert_same_from("text");
    assert_same_from("text.gz");
    assert_same_from("two");
}
END_TEST

START_TEST(test_zstd_gives_what_its_text_gives)
{
    make_text();
    assert_shell_ok("zstd -qc text >text.zst && head -c 100001 text | zstd -qc >two && tail -c +100002 text | zstd -qc "
                    "-19 >>two");
    assert_same_from("text.zst");
    assert_same_from("two");
}
END_TEST

/* Three texts: the first two are one corpus, but nothing crosses their ends. */
START_TEST(test_forms_of_text_may_be_mixed)
{
    assert_shell_ok("printf 'ab ab a' >1; printf 'b ab<|endoftext|>a' >2; printf 'b' >3; gzip -c 2 >2.gz");
    assert_shell_ok(LEARN END "--input 1 2 3" FILES ">said");
    assert_shell_ok(LEARN END "--input 1 2.gz - <3 " OTHER);
    assert_shell_ok(ENCODE END "--input 1 2 3 --output ids >said && " ENCODE END
                               "--input 1 2.gz - --output ids2 <3 >said && cmp ids ids2");
}
END_TEST

START_TEST(test_report_and_evaluation_read_compressed_text)
{
    make_text();
    assert_shell_ok("head -c 3000 text >val && gzip -c val >val.gz");
    assert_shell_ok("for f in val val.gz; do cs336 tokenizer-report" FILES END
                    "--input $f | grep -v 'MB/s\\|hours' | sed 's/^val.gz   /val      /' >$f.report; done; grep -q "
                    "'^val .* 0.003 ' val.report && diff val.report val.gz.report");
    assert_shell_ok("cs336 train --train ids " MODEL " --vocab-size 400 --steps 2 --out run >said");
    assert_shell_ok("for f in val val.gz; do cs336 evaluate --checkpoint run/checkpoint.safetensors" FILES
                    "--input $f | grep -v ^time >$f.loss; done; grep -q '^loss' val.loss && cmp val.loss val.gz.loss");
    assert_shell_ok("printf 'Once upon' | gzip -c >prompt.gz; printf 'Once upon' >prompt; for f in prompt prompt.gz; "
                    "do cs336 generate --checkpoint run/checkpoint.safetensors" FILES
                    "--max-tokens 5 --prompt-file $f >$f.out 2>said; done; cmp prompt.out prompt.gz.out");
}
END_TEST

/* ---- what is refused ---- */

START_TEST(test_a_damaged_file_leaves_nothing)
{
    make_text();
    assert_shell_ok("gzip -c text >text.gz && head -c 50000 text.gz >cut.gz && rm -f said ids*");
    static const char *const lines[] = {
        ENCODE END "--input text cut.gz --output new",
        ENCODE END "--input cut.gz --output new.npy --threads 2",
        LEARN END "--input cut.gz --vocab new.json --merges new.txt --tokenizer newer.json",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        ck_assert_int_eq(shell("%s", lines[i]), 1);
        ck_assert_msg(strstr(shell_errors, ": cut.gz: is truncated: its gzip data breaks off after "), "%s",
                      shell_errors);
        ck_assert_int_ne(shell("ls new*"), 0);
    }
    assert_shell_ok("printf '\\037\\213' >short.gz");
    assert_shell_fails(1, "cs336 encode: short.gz: is truncated: its gzip data breaks off after 0 bytes of text",
                       ENCODE END "--input short.gz --output new");
    ck_assert_int_eq(shell("head -c 50000 text.gz | " ENCODE END "--input - --output new"), 1);
    ck_assert_ptr_nonnull(strstr(shell_errors, "cs336 encode: standard input: is truncated: its gzip data breaks off"));
    ck_assert_int_ne(shell("ls new*"), 0);
}
END_TEST

START_TEST(test_texts_that_cannot_be_read_are_refused)
{
    static const struct {
        const char *line, *message;
    } cases[] = {
        {LEARN "--input text text.xz" FILES,
         "cs336 train-bpe: text.xz: is compressed with xz, expected text: xz -dc text.xz | cs336 ... --input -"},
        {LEARN "--input -" FILES " <text.xz",
         "cs336 train-bpe: standard input: is compressed with xz, expected text: xz -dc FILE | cs336 ... --input -"},
        {LEARN "--input - </dev/null" FILES,
         "cs336 train-bpe: standard input: is empty, expected a text to learn from"},
        {LEARN "--input - text - <text" FILES, "cs336 train-bpe: standard input: can be read only once, given 2 times"},
        {LEARN "--input - <v.json --vocab v.json --merges m.txt",
         "cs336 train-bpe: v.json: cannot write: it is also the input"},
        {LEARN "--text-field text --input bad.jsonl" FILES,
         "cs336 train-bpe: bad.jsonl:2: no field \"text\"; there are \"body\""},
        {LEARN "--text-field text --input text" FILES,
         "cs336 train-bpe: text:1: begins with 'a', expected an object in each line: {\"text\": \"...\"}"},
        {"cs336 encode --vocab w.json --merges w.txt --text-field text --input good.jsonl --output new",
         "cs336 encode: w.json: has no token <|endoftext|>, which --text-field puts after each document; name the "
         "token "
         "that it has between documents by --special-token"},
    };
    assert_shell_ok("echo 'a text' >text; printf '\\375\\067zXZ\\0000123' >text.xz; echo '{}' >v.json; echo "
                    "'{\"text\": \"a\"}' >good.jsonl; cp good.jsonl bad.jsonl; echo '{\"body\": \"a\"}' >>bad.jsonl");
    assert_shell_ok(LEARN "--input text --vocab w.json --merges w.txt >said");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_shell_fails(1, cases[i].message, cases[i].line);
    ck_assert_int_eq(shell("ls | grep -E '^new|^m.txt'"), 1);
}
END_TEST

/* Such a file is what a failed download leaves. An empty file with another name is an empty text. */
START_TEST(test_an_empty_file_is_no_compressed_text)
{
    static const char *const lines[] = {
        LEARN "--tokenizer new.json --input zero.gz",
        LEARN "--tokenizer new.json --input text zero.gz",
        ENCODE "--output new --input zero.gz",
        ENCODE "--output new.npy --threads 2 --input text zero.gz",
        ENCODE "--output new --text-field text --special-token '<|endoftext|>' --input zero.gz",
        "cs336 encode" FILES "--pretty --input zero.gz",
        "cs336 tokenizer-report" FILES "--input text zero.gz",
        "cs336 evaluate --checkpoint run/checkpoint.safetensors" FILES "--input zero.gz",
        "cs336 generate --checkpoint run/checkpoint.safetensors" FILES "--prompt-file zero.gz",
        "cs336 generate --checkpoint run/checkpoint.safetensors" FILES "--prompts zero.gz",
        "cs336 decode" FILES "--output new --input zero.gz",
    };
    make_text();
    assert_shell_ok("cs336 train --train ids " MODEL " --vocab-size 400 --steps 2 --out run >said; "
                    ": >zero.gz; : >zero.zst; : >zero");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char message[256], command[32];
        ck_assert_int_eq(sscanf(lines[i], "cs336 %31s", command), 1);
        snprintf(message, sizeof message,
                 "cs336 %s: zero.gz: is empty, expected data compressed with gzip, as its name says; a download may "
                 "have failed",
                 command);
        assert_shell_fails(1, message, lines[i]);
    }
    assert_shell_fails(1,
                       "cs336 encode: zero.zst: is empty, expected data compressed with zstd, as its name says; a "
                       "download may have failed",
                       ENCODE "--input zero.zst --output new");
    ck_assert_int_ne(shell("ls new*"), 0);
    assert_shell_ok(ENCODE "--input zero --output new && ! test -s new && " ENCODE
                           "--input - <zero.gz --output new && ! test -s new && cs336 tokenizer-report" FILES
                           "--input text zero");
}
END_TEST

/* With ZLIB=0 this is what the user sees; with zlib there is nothing to refuse. */
START_TEST(test_a_build_without_zlib_says_how_to_go_on)
{
    write_file(temp_path("text.gz"), "\x1F\x8B\x08", 3);
    if (decompressor_exists(TEXT_GZIP))
        assert_shell_fails(1, "cs336 train-bpe: text.gz: is truncated: its gzip data breaks off after 0 bytes of text",
                           LEARN "--input text.gz" FILES);
    else
        assert_shell_fails(1,
                           "cs336 train-bpe: text.gz: is compressed with gzip, and this build has no zlib: install "
                           "zlib1g-dev and build again, or: gzip -dc text.gz | cs336 ... --input -",
                           LEARN "--input text.gz" FILES);
}
END_TEST

/* ---- JSON Lines ---- */

/* documents.jsonl, and `text` with the same documents and the token after each. */
#define DOCUMENTS                                                                                              \
    "i=0; while [ $i -lt 300 ]; do printf '{\"id\": %d, \"text\": \"the \\\\\"cat\\\\\" \\\\u00e9 and %d hats" \
    "\\\\nmore\"}\\n' $i $i; i=$((i + 1)); done >documents.jsonl; i=0; while [ $i -lt 300 ]; do printf 'the "  \
    "\"cat\" \\303\\251 and %d hats\\nmore<|endoftext|>' $i; i=$((i + 1)); done >text"

START_TEST(test_json_lines_give_what_their_documents_give)
{
    assert_shell_ok(DOCUMENTS);
    assert_shell_ok(LEARN END "--input text" FILES ">said && " ENCODE END "--input text --output ids >said");
    assert_shell_ok(LEARN "--text-field text --input documents.jsonl " OTHER);
    assert_shell_ok(LEARN END "--text-field=text --input - <documents.jsonl " OTHER);
    assert_shell_ok(ENCODE "--text-field text --input documents.jsonl --output ids2 >said && cmp ids ids2");
    assert_shell_ok(ENCODE END "--text-field text --input - --output ids2 <documents.jsonl >said && cmp ids ids2");
    assert_shell_ok("cs336 decode" FILES "--input ids2 --output back >said && cmp back text");
    if (!no_gzip())
        assert_shell_ok("gzip -c documents.jsonl >d.gz && " LEARN "--text-field text --input d.gz " OTHER "&& " ENCODE
                        "--text-field text --input d.gz --output ids2 >said && cmp ids ids2");
    assert_shell_ok("for f in text documents.jsonl; do [ $f = text ] && o= || o='--text-field text'; cs336 "
                    "tokenizer-report" FILES END
                    "--input $f $o | grep -v 'MB/s\\|hours' | sed 's/^documents.jsonl/text           /' >$f.report; "
                    "done; diff text.report documents.jsonl.report");
}
END_TEST

/* The losses are those of the same documents as plain text, one by one. */
START_TEST(test_evaluation_reads_json_lines)
{
    assert_shell_ok(DOCUMENTS);
    assert_shell_ok(LEARN END "--input text" FILES ">said && " ENCODE END "--input text --output ids >said");
    assert_shell_ok("cs336 train --train ids " MODEL " --vocab-size 400 --steps 2 --out run >said");
    assert_shell_ok(EVALUATE FILES "--input text --per-token expected >said");
    assert_shell_ok(EVALUATE FILES "--text-field text --input documents.jsonl --per-token losses >said && "
                                   "cmp losses expected");
    assert_shell_ok(EVALUATE FILES "--text-field text --input - --per-token losses <documents.jsonl >said && "
                                   "cmp losses expected");
    if (!no_gzip())
        assert_shell_ok("gzip -c documents.jsonl >d.gz && " EVALUATE FILES
                        "--text-field text --input d.gz --per-token losses >said && cmp losses expected");
    ck_assert_int_eq(shell(EVALUATE FILES "--input documents.jsonl"), 0);
    ck_assert_str_eq(shell_errors, "cs336 evaluate: note: documents.jsonl is read as plain text, with the JSON around "
                                   "its documents; --text-field NAME reads the documents alone\n");
    assert_shell_fails(1, "cs336 evaluate: documents.jsonl:1: no field \"body\"; there are \"id\", \"text\"",
                       EVALUATE FILES "--text-field body --input documents.jsonl --per-token new");
    assert_shell_ok(LEARN "--special-token '<|a|>' --input text --vocab w.json --merges w.txt >said 2>&1");
    assert_shell_fails(1,
                       "cs336 evaluate: w.json: has no token <|endoftext|>, which --text-field puts after each "
                       "document; name the token that it has between documents by --special-token",
                       EVALUATE " --vocab w.json --merges w.txt --text-field text --input documents.jsonl");
    ck_assert_int_eq(shell("ls | grep -E '^new'"), 1);
}
END_TEST

/* The ending is <|endoftext|>, unless --special-token names other tokens only. */
START_TEST(test_the_ending_of_documents)
{
    static const struct {
        const char *options, *ending;
    } cases[] = {
        {"", "<|endoftext|>"},
        {"--special-token '<|a|>' --special-token '<|endoftext|>'", "<|endoftext|>"},
        {"--special-token '<|a|>' --special-token '<|b|>'", "<|a|>"},
    };
    assert_shell_ok("echo '{\"t\": \"ab\"}' >one; cat one one >two.jsonl");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[512], expected[64];
        test_label("%s", cases[i].options);
        snprintf(line, sizeof line,
                 LEARN "--text-field t --input two.jsonl %s" FILES ">said && " ENCODE
                       "--text-field t --input two.jsonl %s --output ids >said && cs336 decode" FILES
                       "--input ids --output - 2>said",
                 cases[i].options, cases[i].options);
        assert_shell_ok(line);
        snprintf(expected, sizeof expected, "ab%sab%s", cases[i].ending, cases[i].ending);
        ck_assert_str_eq(shell_output, expected);
        assert_shell_ok("wc -c <ids | tr -d ' \\n'");
        ck_assert_str_eq(shell_output, "8"); /* four ids of two bytes: "ab" and the ending are one token each */
    }
}
END_TEST

START_TEST(test_json_lines_without_a_field_are_noted)
{
    assert_shell_ok("echo '{\"text\": \"a\"}' >d.jsonl; cp d.jsonl d.txt");
    ck_assert_int_eq(shell(LEARN "--input d.txt d.jsonl" FILES), 0);
    ck_assert_str_eq(shell_errors, "cs336 train-bpe: note: d.jsonl is read as plain text, with the JSON around its "
                                   "documents; --text-field NAME reads the documents alone\n");
    ck_assert_int_eq(shell(ENCODE "--input d.jsonl --output ids"), 0);
    ck_assert_str_eq(shell_errors, "cs336 encode: note: d.jsonl is read as plain text, with the JSON around its "
                                   "documents; --text-field NAME reads the documents alone\n");
    ck_assert_int_eq(shell("cs336 tokenizer-report --vocab v.json v.json --merges m.txt m.txt --input d.jsonl"), 0);
    ck_assert_str_eq(shell_errors, "cs336 tokenizer-report: note: d.jsonl is read as plain text, with the JSON around "
                                   "its documents; --text-field NAME reads the documents alone\n");
}
END_TEST

/* ---- a pipe whose writer does nothing ---- */

/*
 * The thread that reads is seldom the one that gets the signal. Descriptor 9 keeps the pipe open, so that the text does
 * not end.
 */
START_TEST(test_a_signal_ends_a_read_that_waits)
{
    static const char *const lines[] = {
        "train-bpe --vocab-size 300 --vocab new.json --merges new.txt --input - ",
        "encode --vocab v.json --merges m.txt --output new --input - ",
    };
    assert_shell_ok("cs336 story --stories 300 --output text && " LEARN END "--input text" FILES
                    ">said && mkfifo pipe");
    for (size_t i = 0; i < 3 * sizeof lines / sizeof *lines; i++) {
        test_label("%s", lines[i / 3]);
        ck_assert_int_eq(shell("\"$program\" %s --threads 3 <pipe >said 2>&1 & exec 9>pipe; cat text >&9; sleep 0.2; "
                               "kill -TERM $!; wait $!",
                               lines[i / 3]),
                         1);
        ck_assert_int_eq(shell("grep -c ': interrupted' said && ! ls new*"), 0);
    }
    test_label_end();
}
END_TEST

/* ---- progress ---- */

START_TEST(test_progress_of_compressed_text_says_the_time_left)
{
    assert_shell_ok("cs336 story --stories 12000 --output text && gzip -1c text >text.gz && " LEARN END
                    "--input text" FILES ">said");
    int code = terminal_run("exec \"$program\" encode --input $(yes text.gz | head -1000) --output ids" FILES END,
                            " left", "\003");
    ck_assert_msg(code == 1, "exit code %d: %s", code, shell_output);
    assert_prints(" MB of text, ");
    assert_prints("cs336 encode: interrupted\r\n");
    code = terminal_run("exec \"$program\" train-bpe --input $(yes text.gz | head -1000) --vocab-size 300 --vocab new "
                        "--merges newer",
                        " left, then the merges", "\003");
    ck_assert_msg(code == 1, "exit code %d: %s", code, shell_output);
    assert_prints(" MB counted, ");
    ck_assert_int_eq(shell("ls | grep -E '^ids|^new'"), 1);
}
END_TEST

static const char *no_terminal_or_gzip(void)
{
    return no_terminal() ? no_terminal() : no_gzip();
}

const TestCase cli_texts_tests[] = {
    TEST_UNLESS(test_gzip_gives_what_its_text_gives, "cli_texts", no_gzip),
    TEST_UNLESS(test_zstd_gives_what_its_text_gives, "cli_texts", no_zstd),
    TEST_UNLESS(test_forms_of_text_may_be_mixed, "cli_texts", no_gzip),
    TEST_UNLESS(test_report_and_evaluation_read_compressed_text, "cli_texts", no_gzip),
    TEST_UNLESS(test_a_damaged_file_leaves_nothing, "cli_texts", no_gzip),
    TEST(test_texts_that_cannot_be_read_are_refused, "cli_texts"),
    TEST(test_an_empty_file_is_no_compressed_text, "cli_texts"),
    TEST(test_a_build_without_zlib_says_how_to_go_on, "cli_texts"),
    TEST(test_json_lines_give_what_their_documents_give, "cli_texts"),
    TEST(test_evaluation_reads_json_lines, "cli_texts"),
    TEST(test_the_ending_of_documents, "cli_texts"),
    TEST(test_json_lines_without_a_field_are_noted, "cli_texts"),
    TEST(test_a_signal_ends_a_read_that_waits, "cli_texts"),
    TEST_UNLESS(test_progress_of_compressed_text_says_the_time_left, "cli_texts", no_terminal_or_gzip),
    {0},
};
