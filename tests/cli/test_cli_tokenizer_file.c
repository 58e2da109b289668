/* --tokenizer FILE in place of --vocab and --merges, in every command that has a tokenizer. */
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tests/support/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EOT "'<|endoftext|>'"
#define PAIR " --vocab v.json --merges m.txt --special-token " EOT " "
#define ONE " --tokenizer t.json "
#define RANKS " --tokenizer t.tiktoken --pattern gpt2 --special-token " EOT " "
#define MODEL "--vocab-size 300 --context-length 16 --d-model 16 --num-layers 1 --num-heads 2 --batch-size 2"

/* A text, and its tokenizer as one file, as two, and as a rank file. */
static void make_tokenizers(void)
{
    assert_shell_ok("cs336 story --stories 30 --seed 1 --output text");
    assert_shell_ok("cs336 train-bpe --input text --vocab-size 300 --special-token " EOT
                    " --tokenizer t.json --vocab v.json --merges m.txt");
    assert_shell_ok("cs336 export-tokenizer --output t.tiktoken" ONE "2>note");
}

START_TEST(test_train_bpe_writes_one_file_two_or_all)
{
    make_tokenizers();
    assert_shell_ok("cs336 train-bpe --input text --vocab-size 300 --special-token " EOT " --tokenizer alone.json");
    assert_prints("300 tokens (43 merges)");
    assert_shell_ok("cmp alone.json t.json && ! ls alone.json.* 2>none");
    assert_shell_ok("cs336 train-bpe --input text --vocab-size 300 --special-token " EOT " --tokenizer - >out 2>said");
    assert_shell_ok("cmp out t.json && grep -q 'longest token' said");
}
END_TEST

START_TEST(test_every_form_gives_the_same_ids)
{
    make_tokenizers();
    assert_shell_ok("cs336 encode" PAIR "--input text --output pair");
    assert_shell_ok("cs336 encode" ONE "--input text --output one && cmp pair one && cmp pair.json one.json");
    ck_assert_str_eq(shell_errors, "");
    assert_shell_ok("cs336 encode" RANKS "--input text --output ranks && cmp pair ranks");
    assert_shell_ok("cs336 decode" ONE "--input pair --output back && cmp back text");
    assert_shell_ok("cs336 decode" RANKS "--input pair --output back && cmp back text");
    assert_shell_ok("printf 'a<|endoftext|>b' | cs336 encode" ONE "--input - --pretty >pretty 2>said && "
                    "printf 'a<|endoftext|>b' | cs336 encode" PAIR "--input - --pretty 2>said | cmp - pretty");
}
END_TEST

START_TEST(test_every_form_is_exported_as_the_others)
{
    make_tokenizers();
    assert_shell_ok("cs336 export-tokenizer" PAIR "--output a.json && cmp a.json t.json");
    assert_shell_ok("cs336 export-tokenizer" RANKS "--output b.json && cmp b.json t.json");
    assert_shell_ok("cs336 export-tokenizer" ONE "--output - | cmp - t.json");
    assert_shell_ok("cs336 export-tokenizer" PAIR
                    "--output a.tiktoken 2>said && cmp a.tiktoken t.tiktoken && cat said");
    ck_assert_str_eq(shell_output,
                     "note: a.tiktoken: tiktoken.Encoding() also needs the pattern, gpt2, and the special "
                     "tokens: \"<|endoftext|>\" 0\n");
    assert_shell_ok("cs336 export-tokenizer --output b.tiktoken" RANKS "2>said && cmp b.tiktoken t.tiktoken");
    assert_shell_ok(
        "cs336 export-tokenizer --output c.tiktoken --vocab v.json --merges m.txt --special-token '<|new|>' "
        "--special-token " EOT " 2>said && grep -q '\"<|new|>\" 300$' said");
    assert_shell_fails(
        1,
        "cs336 export-tokenizer: a rank file cannot hold this vocabulary: token 0 \"<|endoftext|>\" is never "
        "made by merges, but a pre-token would become it; if it is a special token, --special-token names it",
        "cs336 export-tokenizer --output d.tiktoken --vocab v.json --merges m.txt");
}
END_TEST

START_TEST(test_commands_with_a_model_take_one_file)
{
    make_tokenizers();
    assert_shell_ok("cs336 encode" ONE "--input text --output ids");
    assert_shell_ok("cs336 train --train ids " MODEL " --steps 10 --out run >log 2>&1");
    static const char *const commands[] = {
        "cs336 generate --checkpoint run/checkpoint.safetensors --prompt 'Once' --max-tokens 20",
        "cs336 generate --checkpoint run/checkpoint.safetensors --max-tokens 5",
        "cs336 evaluate --checkpoint run/checkpoint.safetensors --input text --per-token -",
        "cs336 evaluate --checkpoint run/checkpoint.safetensors --tokens ids --per-token -",
        "cs336 inspect --checkpoint run/checkpoint.safetensors --prompt 'Once upon' --shapes",
        "cs336 inspect --checkpoint run/checkpoint.safetensors --prompt 'Once upon' --output -",
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        test_label("%s", commands[i]);
        ck_assert_msg(shell("%s" PAIR ">pair 2>said && %s" ONE ">one 2>said && cmp pair one && %s" RANKS
                            ">ranks 2>said && cmp pair ranks && test -s one",
                            commands[i], commands[i], commands[i]) == 0,
                      "%s%s", shell_output, shell_errors);
    }
    test_label_end();
}
END_TEST

enum { FIRST_HOLE = 280, HOLES = 10, TOKENS = 300 };

/*
 * A rank file without the ids from FIRST_HOLE on, and a model of more ids than the file has. The model has learned from
 * nothing but one such id, so it gives every text that id with a probability of nearly 1.
 */
static void make_holes(void)
{
    enum { IDS = 4096 };
    static uint16_t ids[IDS];
    for (size_t i = 0; i < IDS; i++)
        ids[i] = FIRST_HOLE + 1;
    make_tokenizers();
    assert_shell_ok("awk '{ print $1, ($2 >= 280 ? $2 + 10 : $2) }' t.tiktoken >h.tiktoken");
    write_file(temp_path("train.bin"), ids, sizeof ids);
    assert_shell_ok("cs336 train --train train.bin --vocab-size 330 --context-length 16 --d-model 16 --num-layers 1 "
                    "--num-heads 2 --batch-size 4 --steps 60 --lr 0.05 --out run >log 2>&1");
}

#define HOLED " --tokenizer h.tiktoken --pattern gpt2 --special-token " EOT " "
#define GENERATE "cs336 generate --checkpoint run/checkpoint.safetensors --threads 2 --seed 3 --stop ''" HOLED

/* Counts the ids in shell_output, and fails if one of them has no token. */
static size_t count_ids_with_tokens(void)
{
    size_t count = 0;
    char *text = shell_output, *end;
    for (long id; id = strtol(text, &end, 10), end != text; text = end, count++)
        ck_assert_msg(id < FIRST_HOLE || (id >= FIRST_HOLE + HOLES && id < TOKENS + HOLES), "id %ld was drawn", id);
    return count;
}

START_TEST(test_generate_never_draws_a_hole)
{
    static const char *const sampling[] = {"--temperature 0", "--temperature 0.8 --top-p 0.95",
                                           "--temperature 50 --top-p 1", "--top-k 1", "--temperature 50 --top-p 0.2"};
    make_holes();
    for (size_t i = 0; i < sizeof sampling / sizeof *sampling; i++) {
        test_label("%s", sampling[i]);
        ck_assert_int_eq(shell(GENERATE "%s --prompt a --max-tokens 400 --ids", sampling[i]), 0);
        ck_assert_uint_eq(count_ids_with_tokens(), 400);
        ck_assert_str_eq(shell_errors,
                         "cs336 generate: h.tiktoken has 300 tokens, the model has 330 ids; ids without a "
                         "token are not drawn\n");
        ck_assert_int_eq(
            shell(GENERATE "%s --prompt a --max-tokens 100 --samples 3 --ids | sed '/^---/d'", sampling[i]), 0);
        ck_assert_uint_eq(count_ids_with_tokens(), 300);
        /* In the interactive mode a token that has no bytes would show as a missing one. */
        ck_assert_int_eq(shell("echo a | " GENERATE "%s --max-tokens 50 --interactive >said && " GENERATE
                               "%s --prompt a --max-tokens 50 >text && tail -c +2 text | cmp - said",
                               sampling[i], sampling[i]),
                         0);
    }
    test_label_end();
    /* The probability is that of the model, which has learned another id. */
    ck_assert_int_eq(shell(GENERATE "--prompt a --max-tokens 1 --logprobs"), 0);
    ck_assert_msg(strtod(shell_output, NULL) < -3, "%s", shell_output);
    /* The viewer shows the next tokens that may be drawn: one without bytes would have an empty label. */
    assert_shell_ok("cs336 inspect --checkpoint run/checkpoint.safetensors --prompt a --output p.html" HOLED ">log && "
                    "grep -o '\"token\":\"' p.html | wc -l | tr -d ' ' && ! grep -q '\"token\":\"\"' p.html");
    ck_assert_str_eq(shell_output, "10\n");
}
END_TEST

/* The position is that in the whole file, of which `decode` reads 16384 ids at a time. */
START_TEST(test_an_id_without_a_token_is_not_decoded)
{
    enum { IDS = 20000 };
    static uint16_t ids[IDS];
    make_holes();
    ids[IDS - 3] = FIRST_HOLE;
    write_file(temp_path("ids"), ids, sizeof ids);
    assert_shell_fails(1, "cs336 decode: ids: id 280 at position 19997 has no token: the vocabulary skips it",
                       "cs336 decode" HOLED "--input ids --output back");
    assert_shell_fails(1,
                       "cs336 decode: standard input: id 280 at position 19997 has no token: the vocabulary skips it",
                       "cs336 decode" HOLED "--input - --output back <ids");
    assert_shell_ok("! test -e back");
    assert_shell_fails(1, "cs336 generate: --prompt-ids: id 280 at position 1 has no token: the vocabulary skips it",
                       "{ " GENERATE "--prompt-ids '1 280' && exit 0; } 2>&1 >said | tail -1 >&2; exit 1");
}
END_TEST

/* The rows of all three are the same. */
START_TEST(test_tokenizer_report_compares_files_of_each_kind)
{
    make_tokenizers();
    assert_shell_ok("cs336 tokenizer-report --tokenizer t.json t.tiktoken --pattern gpt2 --vocab v.json --merges m.txt "
                    "--special-token " EOT " --input text");
    assert_prints(
        "A  t.json: 300 tokens, ids of 2 bytes\nB  t.tiktoken: 300 tokens, ids of 2 bytes\nC  v.json, m.txt: 300 "
        "tokens, ids of 2 bytes\n");
    assert_shell_ok("cs336 tokenizer-report --tokenizer t.json t.tiktoken --pattern gpt2 --vocab v.json --merges m.txt "
                    "--special-token " EOT " --input text | grep 'text ' | awk '{print $3 == $4 && $4 == $5}'");
    ck_assert_str_eq(shell_output, "1\n");
}
END_TEST

START_TEST(test_experiments_take_one_file)
{
    make_tokenizers();
    assert_shell_ok("cs336 encode" ONE "--input text --output ids");
    assert_shell_ok(
        "printf '%s' '{\"title\": \"t\", \"question\": \"q\", \"tokens\": {\"train\": \"ids\", \"tokenizer\": "
        "\"t.json\"}, \"common\": {\"vocab_size\": 300, \"context_length\": 16, \"d_model\": 16, "
        "\"num_layers\": 1, \"num_heads\": 2, \"batch_size\": 2, \"steps\": 3}, \"runs\": [{\"name\": \"a\"}], "
        "\"sample\": {\"prompt\": \"Once\", \"max_tokens\": 5}}' >e.json");
    assert_shell_ok("cs336 experiment e.json --data . --out e >log 2>&1 && test -s e/a/sample.txt");
    assert_shell_ok("sed 's/\"tokenizer\": \"t.json\"/\"tokenizer\": \"t.json\", \"vocab\": \"v.json\", \"merges\": "
                    "\"m.txt\"/' e.json >both.json && mv both.json e.json");
    assert_shell_fails(1,
                       "cs336 experiment: e.json: tokens: tokenizer is a whole tokenizer; leave out vocab and merges",
                       "cs336 experiment e.json --data . --out f");
}
END_TEST

/* ---- bad usage, bad files ---- */

START_TEST(test_one_file_or_two_must_be_given)
{
#define MISSING "--tokenizer FILE is missing (or --vocab FILE and --merges FILE); see cs336 "
#define BOTH "--tokenizer FILE is a whole tokenizer; leave out --vocab and --merges; see cs336 "
    static const struct {
        int code;
        const char *line, *message;
    } cases[] = {
        {2, "cs336 encode --input text --output x", "cs336 encode: " MISSING "encode --help"},
        {2, "cs336 decode --input ids --output x", "cs336 decode: " MISSING "decode --help"},
        {2, "cs336 generate --checkpoint c", "cs336 generate: " MISSING "generate --help"},
        {2, "cs336 evaluate --checkpoint c --input text", "cs336 evaluate: " MISSING "evaluate --help"},
        {2, "cs336 inspect --checkpoint c --prompt a --shapes", "cs336 inspect: " MISSING "inspect --help"},
        {2, "cs336 export-tokenizer --output x", "cs336 export-tokenizer: " MISSING "export-tokenizer --help"},
        {2, "cs336 tokenizer-report --input text", "cs336 tokenizer-report: " MISSING "tokenizer-report --help"},
        {2, "cs336 train-bpe --input text --vocab-size 300", "cs336 train-bpe: " MISSING "train-bpe --help"},
        {2, "cs336 encode --input text --output x --tokenizer t --vocab v", "cs336 encode: " BOTH "encode --help"},
        {2, "cs336 decode --input x --output x --tokenizer t --merges v", "cs336 decode: " BOTH "decode --help"},
        {2, "cs336 encode --input text --output x --vocab v",
         "cs336 encode: --merges FILE is missing; see cs336 encode --help"},
        {2, "cs336 encode --input text --output x --merges m",
         "cs336 encode: --vocab FILE is missing; see cs336 encode --help"},
        {2, "cs336 train-bpe --input text --vocab-size 300 --merges m",
         "cs336 train-bpe: --vocab FILE is missing; see cs336 train-bpe --help"},
        {2, "cs336 train-bpe --input text --vocab-size 300 --tokenizer t --vocab m",
         "cs336 train-bpe: --merges FILE is missing; see cs336 train-bpe --help"},
        {1, "cs336 encode --tokenizer none --input text --output x",
         "cs336 encode: none: No such file or directory; expected a file, for example from cs336 train-bpe"},
        {1, "cs336 encode --tokenizer t.json --input text --output ./t.json",
         "cs336 encode: ./t.json: cannot write: it is also the tokenizer"},
        {1, "cs336 export-tokenizer --tokenizer t.json --output t.json",
         "cs336 export-tokenizer: t.json: cannot write: it is also the tokenizer"},
        {1, "cs336 encode --tokenizer t.json --pattern gpt4 --input text --output x",
         "cs336 encode: t.json: its pattern is gpt2, not the gpt4 of --pattern"},
        {1, "cs336 encode --tokenizer t.tiktoken --input text --output x",
         "cs336 encode: t.tiktoken: a rank file does not say how text is split; give --pattern gpt2, or --pattern gpt4 "
         "as for cl100k_base and Llama 3"},
        {1, "cs336 encode --tokenizer v.json --input text --output x",
         "cs336 encode: v.json: no object \"model\", expected a tokenizer.json; a vocab.json is read by --vocab, "
         "together "
         "with --merges"},
        {2, "cs336 encode --tokenizer t.json --pattern o200k --input text --output x",
         "cs336 encode: --pattern: \"o200k\" is not one of file|gpt2|gpt4; see cs336 encode --help"},
    };
#undef MISSING
#undef BOTH
    make_tokenizers();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_shell_fails(cases[i].code, cases[i].message, cases[i].line);
    ck_assert_int_ne(shell("ls x* 2>none"), 0);
}
END_TEST

/* tokenizer.json cannot hold a special token that is written like a learned one. What was learned is not lost. */
START_TEST(test_what_was_learned_is_written_in_the_other_form)
{
    write_file(temp_path("text"), "a the the the\n", 14);
    assert_shell_fails(
        1,
        "cs336 train-bpe: tokenizer.json: special token \"\xC4\xA0the\" is what another token is written "
        "as, and both would get one id; only t.json.vocab.json and t.json.merges.txt are written",
        "cs336 train-bpe --input text --vocab-size 300 --tokenizer t.json --special-token '\xC4\xA0the'");
    assert_shell_ok(
        "! test -e t.json && cs336 encode --vocab t.json.vocab.json --merges t.json.merges.txt --input text "
        "--output ids --special-token '\xC4\xA0the'");
}
END_TEST

START_TEST(test_what_is_left_out_is_said)
{
    make_tokenizers();
    assert_shell_ok("sed 's/\"post_processor\": null/\"post_processor\": {\"type\": \"TemplateProcessing\"}/; "
                    "s/\"truncation\": null/\"truncation\": {}/' t.json >p.json");
    assert_shell_ok("cs336 encode --tokenizer p.json --input text --output ids 2>said && cat said");
    assert_prints(
        "note: p.json: its post_processor, which adds tokens to a text, is left out: ids are those of the text "
        "alone\n");
    assert_prints("note: p.json: its truncation of long texts is left out: ids are those of the text alone\n");
    assert_shell_ok("! grep decoder said && sed 's/\"decoder\": {.*},/\"decoder\": null,/' t.json >d.json && "
                    "! cmp -s t.json d.json");
    assert_shell_ok("cs336 encode --tokenizer d.json --input text --output other 2>said && cmp ids other && cat said");
    assert_prints("note: d.json: it has no decoder; ids are decoded to the bytes of the text, where Hugging Face's "
                  "tokenizers prints tokens in GPT-2's alphabet with blanks between them\n");
}
END_TEST

/* Each file of a tokenizer, compressed: two magics. */
START_TEST(test_compressed_tokenizers_are_named)
{
    make_tokenizers();
    assert_shell_ok("printf '\\037\\213\\010\\000\\000\\000' >a.gz && printf '\\050\\265\\057\\375\\004\\000' >a.zst");
    assert_shell_fails(1,
                       "cs336 encode: a.gz: is compressed with gzip, expected a tokenizer: gzip -dc a.gz "
                       ">tokenizer.json",
                       "cs336 encode --tokenizer a.gz --input text --output ids");
    assert_shell_fails(1,
                       "cs336 encode: a.zst: is compressed with zstd, expected a tokenizer: zstd -dc a.zst "
                       ">tokenizer.json",
                       "cs336 encode --tokenizer a.zst --input text --output ids");
    assert_shell_fails(1, "cs336 encode: a.gz: is compressed with gzip, expected JSON: gzip -dc a.gz >FILE.json",
                       "cs336 encode --vocab a.gz --merges a.gz --input text --output ids");
    ck_assert_int_eq(shell("cs336 encode --vocab v.json --merges a.gz --input text --output ids"), 1);
    ck_assert_str_eq(shell_errors,
                     "cs336 encode: a.gz: is compressed with gzip, expected merges.txt: gzip -dc a.gz >merges.txt\n");
}
END_TEST

/* Only the making of the tokenizer finds this, when the file is closed. */
START_TEST(test_a_token_that_is_too_long_is_refused_with_its_file)
{
#define MESSAGE                                                                                                       \
    ": long.json: token 300 has 5000 bytes, expected at most 4096, since the model takes pre-tokens that are tokens " \
    "without merging them"
    make_tokenizers();
    assert_shell_ok("x=$(printf '%05000d' 0) && sed \"s/\\\"ignore_merges\\\": false/\\\"ignore_merges\\\": true/; "
                    "s/\\\"vocab\\\": {/&\\\"$x\\\": 300,/\" t.json >long.json");
    assert_shell_fails(1, "cs336 encode" MESSAGE, "cs336 encode --tokenizer long.json --input text --output ids");
    assert_shell_fails(1, "cs336 tokenizer-report" MESSAGE,
                       "cs336 tokenizer-report --tokenizer long.json --input text");
    assert_shell_fails(1, "cs336 decode" MESSAGE, "cs336 decode --tokenizer long.json --input text --output back");
#undef MESSAGE
}
END_TEST

const TestCase cli_tokenizer_file_tests[] = {
    TEST(test_train_bpe_writes_one_file_two_or_all, "cli"),
    TEST(test_every_form_gives_the_same_ids, "cli"),
    TEST(test_every_form_is_exported_as_the_others, "cli"),
    TEST(test_commands_with_a_model_take_one_file, "cli"),
    TEST(test_generate_never_draws_a_hole, "cli"),
    TEST(test_an_id_without_a_token_is_not_decoded, "cli"),
    TEST(test_tokenizer_report_compares_files_of_each_kind, "cli"),
    TEST(test_experiments_take_one_file, "cli"),
    TEST(test_one_file_or_two_must_be_given, "cli"),
    TEST(test_what_was_learned_is_written_in_the_other_form, "cli"),
    TEST(test_what_is_left_out_is_said, "cli"),
    TEST(test_compressed_tokenizers_are_named, "cli"),
    TEST(test_a_token_that_is_too_long_is_refused_with_its_file, "cli"),
    {0},
};
