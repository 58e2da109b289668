#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tests/support/program.h"

#include <stdio.h>
#include <string.h>

#define MODEL "--vocab-size 300 --context-length 16 --d-model 16 --num-layers 2 --num-heads 2 --batch-size 2"
#define TRAIN "cs336 train --train train.bin " MODEL " --steps 2 --out run"
#define INSPECT "cs336 inspect --checkpoint run/checkpoint.safetensors"
#define PROMPT " --vocab vocab.json --merges merges.txt --prompt 'Once upon a time'"

/* Makes a tokenizer, token files and, with these further options, a model. */
static void make_model(const char *options)
{
    char line[256];
    assert_shell_ok("cs336 story --stories 30 --seed 1 --output train.txt");
    assert_shell_ok("cs336 train-bpe --input train.txt --vocab-size 300 --special-token '<|endoftext|>' "
                    "--vocab vocab.json --merges merges.txt 2>log");
    assert_shell_ok("cs336 encode --vocab vocab.json --merges merges.txt --special-token '<|endoftext|>' "
                    "--input train.txt --output train.bin 2>log");
    snprintf(line, sizeof line, TRAIN " %s", options);
    assert_shell_ok(line);
}

START_TEST(test_inspect_writes_a_page)
{
    make_model("");
    assert_shell_ok(INSPECT PROMPT " --output page.html");
    ck_assert_str_eq(shell_output, "page.html: 2 layers of 2 heads. The prompt has 13 tokens.\n");
    assert_shell_ok("grep -c '<h1>Attention of run/checkpoint.safetensors</h1>' page.html");
    assert_shell_ok("grep '^<p>' page.html");
    assert_prints("<p>After 2 steps of training; 2 layers of 2 heads, d_model 16, vocabulary of 300 tokens, norm pre, "
                  "position rope.</p>\n<p>The prompt has ");
    assert_shell_ok("grep -q '\"layers\":2,\"heads\":2,\"tokens\":\\[\"' page.html");
    /* The same bytes with any number of threads, and to standard output. */
    assert_shell_ok(INSPECT PROMPT " --output - --threads 1 2>log | cmp - page.html && cat log");
    ck_assert_str_eq(shell_output, "standard output: 2 layers of 2 heads. The prompt has 13 tokens.\n");
    /* A page replaces the one that is there. */
    assert_shell_ok(INSPECT PROMPT " --output page.html >log && ls | grep -v std");
    ck_assert_str_eq(shell_output,
                     "log\nmerges.txt\npage.html\nrun\ntrain.bin\ntrain.bin.json\ntrain.txt\nvocab.json\n");
}
END_TEST

START_TEST(test_inspect_keeps_the_last_tokens_of_a_long_prompt)
{
    make_model("");
    assert_shell_ok(INSPECT " --vocab vocab.json --merges merges.txt --prompt 12345678901234567890xyz --output p.html");
    ck_assert_str_eq(
        shell_output,
        "p.html: 2 layers of 2 heads. The prompt has 23 tokens; the model sees the last 16, its context length.\n");
    assert_shell_ok("grep -o 'The prompt has [^<]*' p.html; grep -o '\"tokens\":[^]]*' p.html");
    ck_assert_str_eq(shell_output, "The prompt has 23 tokens; the model sees the last 16, its context length.\n"
                                   "\"tokens\":[\"8\",\"9\",\"0\",\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\","
                                   "\"9\",\"0\",\"x\",\"y\",\"z\"\n");
    assert_shell_ok(INSPECT " --vocab vocab.json --merges merges.txt --prompt 12345678901234567890xyz --shapes");
    assert_prints("The prompt has 23 tokens; the model sees the last 16, its context length.\n");
    assert_prints("\nloss                      (1, 15, 300) -> () ");
}
END_TEST

/* A text that would end the script, or turn the page into another one. */
/* A model may have more ids than its tokenizer has tokens. Ids without a token are none of the next tokens. */
START_TEST(test_inspect_accepts_a_smaller_vocabulary)
{
    make_model("--batch-size 8 --steps 60 --lr 0.02 --overwrite");
    assert_shell_ok("cs336 train-bpe --input train.txt --vocab-size 257 --special-token '<|endoftext|>' --vocab v "
                    "--merges m 2>log");
    /* Of the next tokens in the whole vocabulary some have two letters, in the smaller one none. */
    assert_shell_ok(INSPECT " --vocab vocab.json --merges merges.txt --prompt w --output p.html >log; "
                            "grep -o '\"token\":\"[a-z][a-z]\"' p.html | head -1 | wc -l");
    ck_assert_str_eq(shell_output, "1\n");
    assert_shell_ok(INSPECT " --vocab v --merges m --prompt w --output p.html >log; "
                            "grep -o '\"token\":\"' p.html | wc -l; grep -c '\"token\":\"[a-z][a-z]\"' p.html || true");
    ck_assert_str_eq(shell_output, "10\n0\n");
}
END_TEST

START_TEST(test_inspect_escapes_the_prompt)
{
    make_model("");
    assert_shell_ok(INSPECT " --vocab vocab.json --merges merges.txt --output p.html --prompt \"$(printf "
                            "'<\\342\\200\\256\\377\\n')<|endoftext|>\"");
    assert_shell_ok("grep -o '\"tokens\":[^]]*' p.html");
    ck_assert_str_eq(shell_output, "\"tokens\":[\"\\u003C\",\"\\\\xE2\",\"\\\\x80\",\"\\\\xAE\",\"\\\\xFF\","
                                   "\"\\u003C|endoftext|\\u003E\"\n");
}
END_TEST

START_TEST(test_inspect_prints_shapes)
{
    make_model("");
    assert_shell_ok(INSPECT " --shapes");
    assert_prints("vocab 300, context 16, 2 layers, d_model 16, 2 heads, d_ff 64\nnorm pre, position rope, ffn swiglu\n"
                  "The batch has 1 sequence of 16 random ids, and random targets.\n");
    assert_prints("\nembedding                 (1, 16) -> (1, 16, 16)                      4.80 K         -  ");
    assert_prints("\nblock 1\n  norm ln1 ");
    assert_prints("\n  query                   (1, 16, 16) -> (1, 16, 16)                     256    8.19 K  ");
    assert_prints("\n  attention               (1, 2, 16, 8) -> (1, 2, 16, 8)                   -    16.4 K  ");
    assert_prints("\nlm head                   (1, 16, 16) -> (1, 16, 300)                 4.80 K     154 K  ");
    assert_prints("\nloss                      (1, 16, 300) -> ()                               -         -  ");
    /* 2 (4 d^2 + 3 d d_ff + 2 d) + d + 2 V d, and the sum of 2 x rows x each matrix, and 4 T^2 d a layer */
    assert_prints("\n17872 parameters and 448512 FLOPs, as cs336 account counts them");
    /* The loss of random targets is that of the uniform distribution or more, which a newcomer must be told. */
    assert_prints("an even guess has a loss of ln 300 = 5.7038 nats");
    assert_shell_ok("cs336 account " MODEL);
    assert_prints("17872 numbers");
    assert_prints("448512");
    assert_shell_ok(INSPECT " --shapes --batch-size 3 --context-length 5 --seed 4");
    assert_prints("The batch has 3 sequences of 5 random ids, and random targets.\n");
    assert_prints("\nlm head                   (3, 5, 16) -> (3, 5, 300) ");
    assert_shell_ok(INSPECT PROMPT " --shapes");
    assert_prints("The prompt has ");
    ck_assert_ptr_null(strstr(shell_output, "random"));
    assert_shell_ok(INSPECT " --vocab vocab.json --merges merges.txt --prompt O --shapes");
    assert_prints("The prompt has 1 token.\n");
    ck_assert_ptr_null(strstr(shell_output, "loss"));
}
END_TEST

START_TEST(test_inspect_prints_the_operations_of_a_variant)
{
    make_model("--norm post --position none --ffn silu --d-ff 40");
    assert_shell_ok(INSPECT " --shapes | sed -n '/^block 0/,/^block 1/p' | cut -c 1-25 | sed 's/ *$//'");
    ck_assert_str_eq(shell_output,
                     "block 0\n  query\n  key\n  value\n  attention\n  output\n  add\n  norm ln1\n  ffn w1\n"
                     "  ffn silu(w1 x)\n  ffn w2\n  add\n  norm ln2\nblock 1\n");
    assert_shell_ok(TRAIN " --overwrite --norm none");
    assert_shell_ok(INSPECT " --shapes");
    ck_assert_ptr_null(strstr(shell_output, "  norm "));
    ck_assert_ptr_null(strstr(shell_output, "final norm"));
    assert_shell_ok(INSPECT PROMPT " --output page.html");
}
END_TEST

START_TEST(test_inspect_bad_usage)
{
    static const struct {
        const char *options, *message;
    } cases[] = {
        {"", "expected either --output FILE or --shapes"},
        {"--shapes --output p.html" PROMPT, "expected either --output FILE or --shapes"},
        {"--output p.html", "--prompt TEXT is missing"},
        {"--output p.html --prompt x", "--tokenizer FILE is missing (or --vocab FILE and --merges FILE)"},
        {"--shapes --prompt x --vocab v", "--merges FILE is missing"},
        {"--output p.html" PROMPT " --batch-size 2", "--batch-size and --context-length belong to --shapes"},
        {"--shapes" PROMPT " --context-length 2",
         "--prompt gives the ids, so it excludes --batch-size and --context-length"},
        {"--shapes --context-length 0", "--context-length: 0 is too small, expected at least 1"},
        {"--output ''" PROMPT, "--output: the value is empty, expected FILE"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256], message[256];
        snprintf(line, sizeof line, "cs336 inspect --checkpoint c %s", cases[i].options);
        snprintf(message, sizeof message, "cs336 inspect: %s; see cs336 inspect --help", cases[i].message);
        test_label("%s", line);
        assert_shell_fails(2, message, line);
    }
}
END_TEST

START_TEST(test_inspect_bad_input)
{
    static const struct {
        const char *options, *message;
    } cases[] = {
        {"--shapes --checkpoint nowhere",
         "nowhere: No such file or directory; expected a file, for example from cs336 train"},
        {"--shapes --context-length 17",
         "--context-length: 17 is too large, expected at most the 16 of run/checkpoint.safetensors"},
        {"--shapes" PROMPT " --vocab nowhere",
         "nowhere: No such file or directory; expected a file, for example from cs336 train-bpe"},
        {"--shapes" PROMPT " --vocab v --merges m",
         "v: 320 tokens, expected at most 300 as in run/checkpoint.safetensors"},
        {"--shapes" PROMPT " --prompt ''", "--prompt is empty, expected a text of at least one token"},
        {"--output p.html" PROMPT " --prompt ''", "--prompt is empty, expected a text of at least one token"},
        {"--output run/checkpoint.safetensors" PROMPT,
         "run/checkpoint.safetensors: cannot write: it is also the checkpoint"},
        {"--output ./vocab.json" PROMPT, "./vocab.json: cannot write: it is also the vocabulary"},
        {"--output link" PROMPT, "link: cannot write: it is also the list of merges"},
        {"--output run" PROMPT, "run: cannot write: Is a directory"},
        {"--output nowhere/p.html" PROMPT, "nowhere/p.html: cannot write: No such file or directory"},
    };
    make_model("");
    assert_shell_ok("ln -s merges.txt link; cs336 train-bpe --input train.txt --vocab-size 320 --special-token "
                    "'<|endoftext|>' --vocab v --merges m 2>log; cat run/* vocab.json merges.txt >before; ls >names");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256], message[256];
        snprintf(line, sizeof line, INSPECT " %s", cases[i].options);
        snprintf(message, sizeof message, "cs336 inspect: %s", cases[i].message);
        test_label("%s", line);
        assert_shell_fails(1, message, line);
        assert_shell_ok("cat run/* vocab.json merges.txt | cmp - before && ls | cmp - names");
    }
    ck_assert_int_eq(shell(INSPECT " --shapes --batch-size 2000000000"), 1);
    ck_assert(strncmp(shell_errors, "cs336 inspect: --batch-size: 2000000000 needs ", 46) == 0);
}
END_TEST

/* A page that cannot be written whole leaves the one that was there. */
START_TEST(test_inspect_on_a_full_disk)
{
    make_model("");
    assert_shell_ok(INSPECT PROMPT " --output page.html && cp page.html good && ls >names");
    ck_assert_int_eq(shell("trap '' XFSZ; ulimit -f 4; " INSPECT PROMPT " --output page.html"), 1);
    ck_assert_str_eq(shell_errors, "cs336 inspect: page.html: cannot write: File too large\n");
    assert_shell_ok("cmp page.html good && ls | cmp - names");
}
END_TEST

START_TEST(test_inspect_to_a_full_device)
{
    make_model("");
    assert_shell_fails(1, "cs336 inspect: standard output: cannot write: No space left on device",
                       INSPECT PROMPT " --output - >/dev/full");
    assert_shell_fails(1, "cs336: cannot write to standard output: No space left on device",
                       INSPECT " --shapes >/dev/full");
}
END_TEST

const TestCase cli_inspect_tests[] = {
    TEST(test_inspect_writes_a_page, "inspect"),
    TEST(test_inspect_keeps_the_last_tokens_of_a_long_prompt, "inspect"),
    TEST(test_inspect_accepts_a_smaller_vocabulary, "inspect"),
    TEST(test_inspect_escapes_the_prompt, "inspect"),
    TEST(test_inspect_prints_shapes, "transformer_accounting"),
    TEST(test_inspect_prints_the_operations_of_a_variant, "transformer_accounting"),
    TEST(test_inspect_bad_usage, "inspect"),
    TEST(test_inspect_bad_input, "inspect"),
    TEST_UNLESS(test_inspect_on_a_full_disk, "inspect", no_file_size_limit),
    TEST_UNLESS(test_inspect_to_a_full_device, "inspect", no_full_device),
    {0},
};
