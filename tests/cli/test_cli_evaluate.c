/* cs336 evaluate. What it computes is tested in tests/train/test_evaluate.c; here are its report, its files and errors.
 */
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tests/support/program.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL "--vocab-size 300 --context-length 16 --d-model 16 --num-layers 2 --num-heads 2 --batch-size 2"
#define EVALUATE "cs336 evaluate --checkpoint run/checkpoint.safetensors"
#define FILES " --vocab vocab.json --merges merges.txt"

/* Makes a model, its tokenizer, and a text of two stories as text and as ids. */
static void make_model(void)
{
    assert_shell_ok("cs336 story --stories 30 --seed 1 --output train.txt");
    assert_shell_ok("cs336 story --stories 2 --seed 2 --output val.txt");
    assert_shell_ok("cs336 train-bpe --input train.txt --vocab-size 300 --special-token '<|endoftext|>' "
                    "--vocab vocab.json --merges merges.txt 2>log");
    assert_shell_ok("for split in train val; do cs336 encode" FILES
                    " --special-token '<|endoftext|>' --input $split.txt --output $split.bin 2>log; done");
    assert_shell_ok("cs336 train --train train.bin " MODEL " --steps 50 --lr 1e-2 --out run");
}

/* Returns the number in the line of the latest output that begins with @p name. */
static double printed(const char *name)
{
    const char *line = strstr(shell_output, name);
    ck_assert_msg(line && (line == shell_output || line[-1] == '\n'), "no line \"%s\" in: %s", name, shell_output);
    return strtod(line + strlen(name), NULL);
}

static double number_of(const char *line)
{
    assert_shell_ok(line);
    return strtod(shell_output, NULL);
}

/* The report must follow from the losses of the tokens, and these from the text. */
START_TEST(test_evaluate_reports_a_text)
{
    make_model();
    assert_shell_ok(EVALUATE FILES " --input val.txt --per-token p.jsonl");
    const double loss = printed("loss "), perplexity = printed("perplexity "), bits = printed("bits per token "),
                 bits_per_byte = printed("bits per byte "), tokens = printed("tokens "), bytes = printed("bytes ");
    ck_assert_double_eq(tokens, number_of("wc -c <val.bin") / 2 - 1);
    /* The first token is not predicted. */
    const double first = number_of("head -c 2 val.bin >first.bin; cs336 decode" FILES " --input first.bin --output - "
                                   "2>log | wc -c");
    ck_assert_double_gt(first, 0);
    ck_assert_double_eq(bytes, number_of("wc -c <val.txt") - first);
    ck_assert_double_eq_tol(
        loss, number_of("awk -F'\"loss\":' '{ sum += $2 + 0 } END { printf \"%.9f\", sum / NR }' p.jsonl"), 1e-6);
    ck_assert_double_eq_tol(perplexity, exp(loss), 1e-3);
    ck_assert_double_eq_tol(bits, loss / 0.693147181, 2e-6);
    ck_assert_double_eq_tol(bits_per_byte, bits * tokens / bytes, 2e-6);
    /* A model that has learned a little is better than an even guess among 300 tokens. */
    ck_assert_double_lt(perplexity, 300);
    ck_assert_double_eq(number_of("wc -l <p.jsonl"), tokens);
}
END_TEST

/* cs336 inspect computes the loss of a prompt by another way, operation by operation. */
START_TEST(test_evaluate_agrees_with_inspect)
{
    make_model();
    assert_shell_ok("printf 'Once upon a time' >short.txt");
    const double loss =
        number_of("cs336 inspect --checkpoint run/checkpoint.safetensors" FILES
                  " --prompt 'Once upon a time' --shapes | sed -n 's/^loss .* \\([0-9.]*\\) nats/\\1/p'");
    assert_shell_ok(EVALUATE FILES " --input short.txt");
    ck_assert_double_eq_tol(printed("loss "), loss, 1e-4);
    assert_prints("windows         1 of up to 16 tokens, stride 16\n");
}
END_TEST

/* The same result from ids, from standard input, and with any number of threads. The time is left out. */
START_TEST(test_evaluate_of_other_inputs)
{
    make_model();
    assert_shell_ok(EVALUATE FILES " --input val.txt --stride 5 | grep -v ^time >expected");
    assert_shell_ok(EVALUATE FILES " --input - --stride 5 <val.txt | grep -v ^time | cmp - expected");
    assert_shell_ok("cat val.txt | " EVALUATE FILES " --input - --stride 5 | grep -v ^time | cmp - expected");
    assert_shell_ok(EVALUATE FILES " --tokens val.bin --stride 5 --threads 3 | grep -v ^time | cmp - expected");
    assert_shell_ok("cs336 encode" FILES " --special-token '<|endoftext|>' --input val.txt --output val.npy 2>log");
    assert_shell_ok(EVALUATE FILES " --tokens val.npy --stride 5 | grep -v ^time | cmp - expected");
    /* Without a tokenizer nothing is known of bytes. */
    assert_shell_ok(EVALUATE " --tokens val.bin --stride 5 --per-token p.jsonl | grep -v ^time >out; "
                             "grep -v byte expected | cmp - out && grep -c token p.jsonl || :");
    ck_assert_str_eq(shell_output, "0\n");
}
END_TEST

START_TEST(test_evaluate_with_strides)
{
    static const struct {
        const char *stride, *line;
    } cases[] = {
        /* 40 tokens: windows begin at 0, 16, 32; at 0, 10, 20, 30; and at 0, 1, ..., 23 */
        {"", "windows         3 of up to 16 tokens, stride 16\n"},
        {"--stride 16", "windows         3 of up to 16 tokens, stride 16\n"},
        {"--stride 10", "windows         4 of up to 16 tokens, stride 10\n"},
        {"--stride 1", "windows         24 of up to 16 tokens, stride 1\n"},
    };
    make_model();
    assert_shell_ok("head -c 80 train.bin >forty.bin");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[128];
        snprintf(line, sizeof line, EVALUATE " --tokens forty.bin %s", cases[i].stride);
        test_label("%s", line);
        assert_shell_ok(line);
        assert_prints("tokens          39 predicted, all but the first\n");
        assert_prints(cases[i].line);
    }
}
END_TEST

/* Any bytes are a text. Each token of the output is valid UTF-8. */
START_TEST(test_evaluate_of_bytes_that_are_no_text)
{
    make_model();
    assert_shell_ok("printf 'a\\377\\n\\000\\303<|endoftext|>\"' >bytes");
    assert_shell_ok(EVALUATE FILES " --input bytes --per-token - 2>log | sed 's/\"loss\":[^,]*,//'");
    ck_assert_ptr_nonnull(strstr(shell_output, "{\"position\":1,"));
    assert_prints(",\"token\":\"\\\\xFF\"}\n{\"position\":2,");
    assert_prints(",\"token\":\"\\\\x00\"}\n{\"position\":4,");
    assert_prints(",\"token\":\"\\\\xC3\"}\n{\"position\":5,");
    assert_prints(",\"token\":\"<|endoftext|>\"}\n{\"position\":6,");
    assert_prints(",\"token\":\"\\\"\"}\n");
    /* The report goes to stderr if the losses have standard output. The separator counts as 13 bytes. */
    assert_shell_ok("cat log");
    assert_prints(
        "tokens          6 predicted, all but the first\nbytes           18 in these tokens, 3.000 per token\n");
}
END_TEST

START_TEST(test_evaluate_with_another_tokenizer)
{
    make_model();
    assert_shell_ok("for size in 280 400; do cs336 train-bpe --input train.txt --vocab-size $size --special-token "
                    "'<|endoftext|>' --vocab v$size.json --merges m$size.txt 2>log; done");
    assert_shell_ok(EVALUATE " --vocab v280.json --merges m280.txt --input val.txt");
    assert_shell_fails(1,
                       "cs336 evaluate: v400.json: 400 tokens, expected at most 300 as in run/checkpoint.safetensors",
                       EVALUATE " --vocab v400.json --merges m400.txt --input val.txt");
    assert_shell_ok("cs336 encode --vocab v400.json --merges m400.txt --input train.txt --output wide.bin 2>log");
    assert_shell_fails(1,
                       "cs336 evaluate: wide.bin: the ids come from a vocabulary of 400 tokens, as its .json says; "
                       "expected at most the vocabulary size 300",
                       EVALUATE " --tokens wide.bin");
}
END_TEST

START_TEST(test_evaluate_bad_usage)
{
    static const struct {
        const char *options, *message;
    } cases[] = {
        {"--checkpoint c", "expected either --input FILE or --tokens FILE"},
        {"--checkpoint c --input a --tokens b", "expected either --input FILE or --tokens FILE"},
        {"--checkpoint c --tokens b --text-field text", "--text-field belongs to --input"},
        {"--checkpoint c --input a", "--tokenizer FILE is missing (or --vocab FILE and --merges FILE)"},
        {"--checkpoint c --input a --vocab v", "--merges FILE is missing"},
        {"--checkpoint c --tokens a --vocab v", "--merges FILE is missing"},
        {"--checkpoint c --tokens a --merges m", "--vocab FILE is missing"},
        {"--checkpoint c --tokens a --special-token x",
         "--tokenizer FILE is missing (or --vocab FILE and --merges FILE)"},
        {"--checkpoint c --input a --tokenizer t --merges m",
         "--tokenizer FILE is a whole tokenizer; leave out --vocab and --merges"},
        {"--checkpoint c --tokens a --stride 0", "--stride: 0 is too small, expected at least 1"},
        {"--checkpoint c --tokens a --batch-size 0", "--batch-size: 0 is too small, expected at least 1"},
        {"--tokens a", "--checkpoint FILE is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256], message[256];
        snprintf(line, sizeof line, "cs336 evaluate %s", cases[i].options);
        snprintf(message, sizeof message, "cs336 evaluate: %s; see cs336 evaluate --help", cases[i].message);
        test_label("%s", line);
        assert_shell_fails(2, message, line);
    }
}
END_TEST

START_TEST(test_evaluate_bad_input)
{
    static const struct {
        const char *options, *message;
    } cases[] = {
        {"--checkpoint nowhere --tokens val.bin",
         "nowhere: No such file or directory; expected a file, for example from cs336 train"},
        {"--tokens nowhere", "nowhere: No such file or directory; expected a file, for example from cs336 encode"},
        {"--input nowhere" FILES, "nowhere: No such file or directory"},
        {"--input empty" FILES, "empty: is empty"},
        {"--input run" FILES, "run: is a directory"},
        {"--input - " FILES " <empty", "standard input: 0 tokens, expected at least 2: the first one is not predicted"},
        {"--input one" FILES, "one: 1 token, expected at least 2: the first one is not predicted"},
        {"--tokens one.bin", "one.bin: 1 token, expected at least 2: the first one is not predicted"},
        {"--tokens bad.bin", "bad.bin: id 300 at position 2, expected below the vocabulary size 300"},
        {"--tokens val.bin --stride 17",
         "--stride: 17 is too large, expected at most the context length 16 of run/checkpoint.safetensors"},
        {"--tokens val.bin --vocab nowhere --merges merges.txt",
         "nowhere: No such file or directory; expected a file, for example from cs336 train-bpe"},
        {"--tokens val.bin --per-token val.bin", "val.bin: cannot write: it is also the file of ids"},
        {"--input val.txt" FILES " --per-token ./val.txt", "./val.txt: cannot write: it is also the input"},
        {"--tokens val.bin --per-token run/checkpoint.safetensors",
         "run/checkpoint.safetensors: cannot write: it is also the checkpoint"},
        {"--tokens val.bin --per-token nowhere/p", "nowhere/p: cannot write: No such file or directory"},
    };
    make_model();
    assert_shell_ok(": >empty; printf a >one; head -c 2 val.bin >one.bin; printf '\\001\\000\\002\\000\\054\\001' "
                    ">bad.bin; cat run/* val* vocab.json merges.txt >before; ls >names");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256], message[256];
        snprintf(line, sizeof line, EVALUATE " %s", cases[i].options);
        snprintf(message, sizeof message, "cs336 evaluate: %s", cases[i].message);
        test_label("%s", line);
        assert_shell_fails(1, message, line);
        assert_shell_ok("cat run/* val* vocab.json merges.txt | cmp - before && ls | cmp - names");
    }
}
END_TEST

/* The losses of a text that was not read to its end are not kept, and an older file stays. */
START_TEST(test_evaluate_interrupted)
{
    make_model();
    assert_shell_ok("cs336 story --stories 3000 --output long.txt && echo old >p.jsonl && ls >names");
    assert_shell_fails(1, "cs336 evaluate: interrupted",
                       "{ until test -s pid && ls p.jsonl.cs336-tmp-* >out 2>&1; do sleep 0.05; done; kill -INT $(cat "
                       "pid); } & sh -c 'echo $$ >pid; exec \"$program\" evaluate --checkpoint "
                       "run/checkpoint.safetensors" FILES " --input long.txt --stride 1 --per-token p.jsonl'");
    assert_shell_ok("rm pid out; ls | cmp - names && cat p.jsonl");
    ck_assert_str_eq(shell_output, "old\n");
}
END_TEST

START_TEST(test_evaluate_on_a_full_disk)
{
    make_model();
    assert_shell_ok("echo old >p.jsonl && ls >names");
    ck_assert_int_eq(shell("trap '' XFSZ; ulimit -f 4; " EVALUATE " --tokens val.bin --per-token p.jsonl"), 1);
    ck_assert_str_eq(shell_errors, "cs336 evaluate: p.jsonl: cannot write: File too large\n");
    ck_assert_str_eq(shell_output, "");
    assert_shell_ok("ls | cmp - names && cat p.jsonl");
    ck_assert_str_eq(shell_output, "old\n");
}
END_TEST

START_TEST(test_evaluate_to_a_full_device)
{
    make_model();
    assert_shell_fails(1, "cs336 evaluate: standard output: cannot write: No space left on device",
                       EVALUATE " --tokens val.bin --per-token - >/dev/full");
    assert_shell_fails(1, "cs336: cannot write to standard output: No space left on device",
                       EVALUATE " --tokens val.bin >/dev/full");
}
END_TEST

const TestCase cli_evaluate_tests[] = {
    TEST(test_evaluate_reports_a_text, "evaluate"),
    TEST(test_evaluate_agrees_with_inspect, "evaluate"),
    TEST(test_evaluate_of_other_inputs, "evaluate"),
    TEST(test_evaluate_with_strides, "evaluate"),
    TEST(test_evaluate_of_bytes_that_are_no_text, "evaluate"),
    TEST(test_evaluate_with_another_tokenizer, "evaluate"),
    TEST(test_evaluate_bad_usage, "evaluate"),
    TEST(test_evaluate_bad_input, "evaluate"),
    TEST(test_evaluate_interrupted, "evaluate"),
    TEST_UNLESS(test_evaluate_on_a_full_disk, "evaluate", no_file_size_limit),
    TEST_UNLESS(test_evaluate_to_a_full_device, "evaluate", no_full_device),
    {0},
};
