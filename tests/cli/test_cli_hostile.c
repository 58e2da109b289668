/* What a careless or hostile world gives to the program: numbers beyond all limits, empty files, and files in place of
   others. Names and texts that a terminal would obey are in test_cli_terminal.c. */
#include "tests/cli/tiny_tokenizer.h"
#include "tests/suites.h"
#include "tests/support/files.h"
#include "tests/support/program.h"

#include <stdio.h>
#include <string.h>

/* ---- numbers beyond all limits ---- */

START_TEST(test_sizes_that_no_machine_holds)
{
    static const struct {
        const char *options, *message;
    } cases[] = {
        {"--d-model 2147483647 --num-heads 1 --position none", "; try a smaller --d-model than 2147483647\n"},
        {"--d-model 2147483646 --num-heads 1", "; try a smaller --d-model than 2147483646\n"},
        {"--d-ff 8589934588", "; try a smaller --d-ff than 8589934588\n"},
        {"--batch-size 2147483647", "; try --grad-accum 2147483647, which computes each batch in pieces, or a smaller "
                                    "--batch-size than 2147483647\n"},
        {"--num-layers 65536 --d-model 4096", "; try a smaller --num-layers than 65536\n"},
        {"--vocab-size 2147483647 --d-model 1024", "; try a smaller --vocab-size than 2147483647\n"},
    };
    assert_shell_ok("head -c 4000 /dev/zero >zeros");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_label("%s", cases[i].options);
        ck_assert_int_eq(shell("cs336 train --train zeros --out run %s", cases[i].options), 1);
        ck_assert(strncmp(shell_errors, "cs336 train: the run needs ", 27) == 0);
        ck_assert_msg(strstr(shell_errors, " GB of memory, this machine has ") != NULL, "%s", shell_errors);
        ck_assert_msg(strstr(shell_errors, cases[i].message) != NULL, "%s", shell_errors);
        ck_assert_int_ne(shell("test -e run"), 0);
    }
    test_label_end();
}
END_TEST

/* 4 d^2 = 1.8e19 is more than a 64-bit number counts; the shares must still sum to 100 %. */
START_TEST(test_account_computes_with_the_largest_sizes)
{
    assert_shell_ok("cs336 account --d-model 2147483647 --num-heads 1 --position none");
    assert_prints("attention                        73.8 E   33.3 %");
    assert_prints("feed-forward                      148 E   66.7 %");
    assert_prints("2.21361e+20 numbers, 885 EB as float32");
    assert_prints("(too large to be measured: the second column repeats the first)");
    assert_shell_ok("cs336 account --d-model 2147483647 --num-heads 1 --position none --num-layers 65536 --d-ff "
                    "8589934588 --vocab-size 2147483647 --context-length 1048576 --batch-size 2147483647 --steps "
                    "2147483647 --memory-gb 1e9");
    assert_prints("4.83571e+24 numbers, 1.93e+25 B as float32\n");
    assert_prints("query, key, value              1.90e+30   18.7 %\n");
    assert_prints("at 50 % of 495 TFLOP/s: 8.53e-12 tokens/s, ");
    /* The smallest sizes have no prefix either. */
    assert_shell_ok("cs336 account --d-model 2 --num-heads 1 --num-layers 1 --d-ff 2 --vocab-size 2 --context-length 4 "
                    "--tie-embeddings --peak-tflops 1e-6 --mfu 1e-3");
    assert_prints(" numbers, 152 B as float32\n");
    assert_prints("at 0.1 % of 1e-06 TFLOP/s: 3.47 tokens/s, ");
}
END_TEST

/* Every numeric option with its extremes: one line or none on stderr, no crash, no sum that overflowed. */
START_TEST(test_extremes_of_numeric_options)
{
    static const char *const lines[] = {
        "account", "story --stories 1 --entropy",
        "train --train zeros --out run --steps 1 --stop-at 1 --val-batches 1 --context-length 16 --vocab-size 2 "
        "--d-model 4 --num-layers 1 --num-heads 1 --batch-size 1 --overwrite",
        "train-bpe --input text --vocab v --merges m --vocab-size 300", NULL};
    static const char *const options[] = {
        "vocab-size context-length d-model num-layers num-heads d-ff rope-theta batch-size steps peak-tflops mfu "
        "tokens-per-second memory-gb",
        "seed",
        "d-model num-heads d-ff rope-theta batch-size lr min-lr warmup-steps decay-steps beta1 beta2 eps weight-decay "
        "max-grad-norm log-every val-every checkpoint-every keep loss-floor seed",
        "vocab-size"};
    assert_shell_ok("head -c 4000 /dev/zero >zeros; echo some text >text");
    for (size_t i = 0; lines[i]; i++) {
        const int code = shell(
            "for option in %s; do for value in 1e30 2147483647 9223372036854775807 -9223372036854775808; do "
            "cs336 %s --$option $value >out 2>err; code=$?; test $code -le 2 -a $(wc -l <err) -le 1 && "
            "! grep -E 'arena_take|[^a-z](nan|inf)[^a-z]' out err || { echo $option $value: $code; cat err; exit 3; }; "
            "done; done",
            options[i], lines[i]);
        ck_assert_msg(code == 0, "%s: %s%s", lines[i], shell_output, shell_errors);
    }
}
END_TEST

/* ---- numbers of files ---- */

/* Makes a run of 4 steps, and edit.py KEY VALUE, which sets a text of the metadata ("-" removes it), lengths kept. */
static void make_run(void)
{
    assert_shell_ok("head -c 4000 /dev/zero >zeros; cs336 train --train zeros --out run --steps 4 --stop-at 2 " MODEL
                    " --log-every 1 >said && cp -r run good && printf 'the cat' >text && cs336 train-bpe --input text "
                    "--vocab-size 256 " FILES ">said");
}

/* Replaces `"key":"old"` in the header by `"key":"new"`; blanks at the end of the header make up for the length. */
static void edit_metadata(const char *key, const char *value)
{
    static unsigned char bytes[1 << 20], edited[1 << 20];
    FILE *stream = fopen(temp_path("good/checkpoint.safetensors"), "rb");
    ck_assert_ptr_nonnull(stream);
    const size_t size = fread(bytes, 1, sizeof bytes, stream);
    fclose(stream);
    size_t header = 0;
    for (int i = 7; i >= 0; i--)
        header = header << 8 | bytes[i];
    ck_assert(header < size && size < sizeof bytes);
    char name[64], *text = (char *)bytes + 8;
    snprintf(name, sizeof name, "\"%s\":\"", key);
    text[header - 1] = text[header - 1] == ' ' ? '\0' : text[header - 1];
    char *found = strstr(text, name);
    ck_assert_msg(found != NULL, "no %s", name);
    char *end = strchr(found + strlen(name), '"') + 1;
    int length =
        snprintf((char *)edited + 8, sizeof edited - 8, "%.*s%s%s%s%.*s", (int)(found - text), text,
                 value ? name : "\"unused\":\"", value ? value : "", "\"", (int)(header - (size_t)(end - text)), end);
    while (edited[8 + length - 1] != '}')
        length--;
    for (size_t i = 0; i < 8; i++)
        edited[i] = (unsigned char)((size_t)length >> (8 * i));
    memcpy(edited + 8 + length, bytes + 8 + header, size - 8 - header);
    write_file(temp_path("run/checkpoint.safetensors"), edited, 8 + (size_t)length + size - 8 - header);
}

START_TEST(test_numbers_of_a_checkpoint_obey_the_limits)
{
    static const char *const keys[] = {"config.vocab_size", "config.context_length", "config.d_model",
                                       "config.num_layers", "config.num_heads",      "config.d_ff",
                                       "config.rope_theta", "config.norm_eps",       "iteration",
                                       "config.batch_size", "config.seed",           "rng.batches"};
    static const char *const values[] = {
        "0", "-1", "1.5", "2147483648", "1000000000000", "1000000000000000000000000000000", "", "null", NULL};
    enum { GENERATE_READS = 9 }; /* the first keys; the others are read by --resume */
    make_run();
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            const char *value = values[v];
            test_label("%s = %s", keys[k], value ? value : "missing");
            edit_metadata(keys[k], value);
            const bool generates = k < GENERATE_READS;
            const int code = generates ? shell("cs336 generate --checkpoint run/checkpoint.safetensors --max-tokens 1 "
                                               "--prompt a" FILES)
                                       : shell("cs336 train --train zeros --out run --resume --steps 4 " MODEL);
            /* Numbers that these floats and counters may have are no errors. */
            const bool number = value && (*value == '1' || *value == '2' || *value == '0');
            const bool positive = number && *value != '0';
            const bool allowed = (strcmp(keys[k], "config.rope_theta") == 0 && positive) ||
                                 (strcmp(keys[k], "iteration") == 0 && value && strcmp(value, "0") == 0);
            ck_assert_msg(code == (allowed ? 0 : 1), "exit code %d: %s", code, shell_errors);
            if (!allowed)
                ck_assert_msg(strstr(shell_errors, ": run/checkpoint.safetensors: ") != NULL &&
                                  strchr(shell_errors, '\n')[1] == '\0',
                              "%s", shell_errors);
        }
    }
    test_label_end();
    edit_metadata("config.num_layers", "1000000000000");
    assert_shell_fails(1,
                       "cs336 generate: run/checkpoint.safetensors: num_layers is 1000000000000, "
                       "expected at most 65536",
                       "cs336 generate --checkpoint run/checkpoint.safetensors" FILES);
    edit_metadata("config.num_layers", "65536");
    assert_shell_fails(1,
                       "cs336 generate: run/checkpoint.safetensors: a model of its configuration has 2.70542e+08 "
                       "parameters, its arrays have 53616",
                       "cs336 generate --checkpoint run/checkpoint.safetensors" FILES);
    /* RoPE's tables for so many positions would take a minute. */
    edit_metadata("config.context_length", "99999999");
    assert_shell_fails(1,
                       "cs336 generate: run/checkpoint.safetensors: context_length is 99999999, "
                       "expected at most 1048576",
                       "cs336 generate --checkpoint run/checkpoint.safetensors" FILES);
}
END_TEST

/* `keep` is the only number of config.json that is used. The others are compared, for a note. */
START_TEST(test_numbers_of_config_json_obey_the_limits)
{
    static const char *const values[] = {"0",     "-1",   "1.5",    "2147483648", "1000000000000",
                                         "\"7\"", "null", "[1, 2]", "{}"};
    make_run();
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        test_label("keep = %s", values[i]);
        ck_assert_int_eq(shell("rm -r run; cp -r good run; sed 's/\"keep\": 2/\"keep\": %s/' good/config.json "
                               ">run/config.json; grep -q '\"keep\": %c' run/config.json",
                               values[i], *values[i] == '[' ? '.' : *values[i]),
                         0);
        assert_shell_fails(1,
                           "cs336 train: run/config.json: keep is not a whole number from 1 to 2147483647; --keep N "
                           "replaces it",
                           "cs336 train --train zeros --out run --resume --steps 4 " MODEL);
    }
    test_label_end();
    ck_assert_int_eq(shell("cs336 train --train zeros --out run --resume --steps 4 --keep 2 " MODEL), 0);
    /* Keys of the optimizer with values of any kind, and a file without `keep`, are no errors. */
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        ck_assert_int_eq(shell("rm -r run; cp -r good run; sed '/keep/d; s/\"lr\": [^,]*/\"lr\": %s/; "
                               "s/\\(\"checkpoint_every\": [0-9]*\\),/\\1/' good/config.json >run/config.json; cs336 "
                               "train --train zeros --out run --resume --steps 4 " MODEL,
                               values[i]),
                         0);
}
END_TEST

START_TEST(test_numbers_of_vocab_json_obey_the_limits)
{
    static const struct {
        const char *id, *message;
    } cases[] = {
        {"0", "v.json:262: id 0 of \"cat\" is taken by another token"},
        {"-1", "v.json:262: the id of \"cat\" is not a whole number from 0 on"},
        {"1.5", "v.json:262: the id of \"cat\" is not a whole number from 0 on"},
        {"2147483648", "v.json:262: id 2147483648, expected 0 to 262: a file of 263 tokens has one for each id"},
        {"1000000000000", "v.json:262: id 1000000000000, expected 0 to 262: a file of 263 tokens has one for each id"},
        {"1000000000000000000000000000000", "v.json:262:42: too big integer"},
        {"\"7\"", "v.json:262: the id of \"cat\" is not a whole number from 0 on"},
        {"null", "v.json:262: the id of \"cat\" is not a whole number from 0 on"},
    };
    assert_shell_ok(TRAIN_BPE "; cp v.json good; grep -n '\"cat\":' good");
    ck_assert_str_eq(shell_output, "262:    \"cat\": 260,\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256], message[256];
        snprintf(line, sizeof line,
                 "sed 's/\"cat\": 260/\"cat\": %s/' good >v.json; cs336 encode --input text --output x" FILES,
                 cases[i].id);
        snprintf(message, sizeof message, "cs336 encode: %s", cases[i].message);
        assert_shell_fails(1, message, line);
    }
    assert_shell_fails(1,
                       "cs336 encode: v.json:263: id 262, expected 0 to 261: a file of 262 tokens has one for each id",
                       "sed '/\"cat\":/d' good >v.json; cs336 encode --input text --output x" FILES);
}
END_TEST

START_TEST(test_numbers_of_the_log_obey_the_limits)
{
    static const char *const lines[] = {"{\"step\":-1,\"seconds\":1}",
                                        "{\"step\":1.5,\"seconds\":1}",
                                        "{\"step\":2147483648,\"seconds\":1}",
                                        "{\"step\":1000000000000,\"seconds\":1}",
                                        "{\"step\":\"7\",\"seconds\":1}",
                                        "{\"step\":null,\"seconds\":1}",
                                        "{\"seconds\":1}",
                                        "{\"step\":1,\"seconds\":-1}",
                                        "{\"step\":1,\"seconds\":1e30}",
                                        "{\"step\":1,\"seconds\":\"7\"}",
                                        "{\"step\":1,\"seconds\":null}",
                                        "{\"step\":1}",
                                        "{\"step\":1000000000000000000000000000000,\"seconds\":1}"};
    make_run();
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        test_label("%s", lines[i]);
        ck_assert_int_eq(
            shell("rm -r run; cp -r good run; { echo '%s'; cat good/log.jsonl; } >run/log.jsonl", lines[i]), 0);
        assert_shell_fails(1, "cs336 train: run/log.jsonl: line 1 is not a JSON object with step and seconds",
                           "cs336 train --train zeros --out run --resume --steps 4 " MODEL);
    }
    test_label_end();
}
END_TEST

/* ---- vocabularies ---- */

START_TEST(test_a_vocabulary_smaller_than_asked_for_is_said)
{
    assert_shell_ok("printf 'the cat' >text; cs336 train-bpe --input text --vocab-size 4096" FILES);
    assert_prints("\n261 tokens, not the 4096 of --vocab-size: in this text no pair of tokens is left to merge\n");
    assert_shell_ok("cs336 train-bpe --input text --vocab-size 257" FILES);
    ck_assert_ptr_null(strstr(shell_output, "--vocab-size"));
}
END_TEST

/* The model has 300 ids, the tokenizer fewer. At temperature 1e6 all ids are about equally likely. */
START_TEST(test_generate_never_draws_an_id_without_a_token)
{
#define GENERATE \
    "cs336 generate --checkpoint run/checkpoint.safetensors --max-tokens 500 --temperature 1e6 --top-p 1 --prompt a"
    make_run();
    ck_assert_int_eq(shell(GENERATE FILES ">out"), 0);
    ck_assert_str_eq(
        shell_errors,
        "cs336 generate: v.json has 256 tokens, the model has 300 ids; ids without a token are not drawn\n");
    ck_assert_int_eq(shell("test $(wc -c <out) = 502"), 0); /* the prompt, 500 bytes and a line feed */
    /* A tokenizer with more tokens than ids: the message counts what --special-token adds. */
    assert_shell_ok("cs336 story --stories 50 --output many && cs336 train-bpe --input many --vocab-size 300 --vocab "
                    "w.json --merges n.txt >said 2>&1 && cs336 train-bpe --input many --vocab-size 301 --vocab x.json "
                    "--merges o.txt >said 2>&1");
    assert_shell_fails(1, "cs336 generate: x.json: 301 tokens, expected at most 300 as in run/checkpoint.safetensors",
                       GENERATE " --vocab x.json --merges o.txt");
    assert_shell_fails(1,
                       "cs336 generate: w.json: 300 tokens and 2 of --special-token, expected at most 300 as in "
                       "run/checkpoint.safetensors",
                       GENERATE " --vocab w.json --merges n.txt --special-token '<|a|>' --special-token '<|b|>'");
    assert_shell_ok(GENERATE " --vocab w.json --merges n.txt");
#undef GENERATE
}
END_TEST

/* The sidecar of the ids knows their vocabulary. */
START_TEST(test_train_compares_the_vocabularies)
{
#define TRAIN \
    "cs336 train --train ids.bin --out run --overwrite --steps 1 --context-length 4 --d-model 8 --num-heads 1 "
    assert_shell_ok(TRAIN_BPE "; yes ' the cat' | head -50 >many; cs336 encode --input many --output ids.bin" SPECIAL
                              ">said");
    assert_shell_ok(TRAIN "--vocab-size 4096");
    assert_prints("from a vocabulary of 263 tokens: the model never sees its ids 263 to 4095\n");
    assert_shell_ok(TRAIN "--vocab-size 263");
    ck_assert_ptr_null(strstr(shell_output, "vocabulary"));
    assert_shell_fails(
        1,
        "cs336 train: ids.bin: the ids come from a vocabulary of 263 tokens, as its .json says; expected "
        "at most the vocabulary size 262",
        TRAIN "--vocab-size 262");
#undef TRAIN
}
END_TEST

START_TEST(test_a_separator_that_is_not_named_is_hinted_at)
{
    static const char hint[] =
        "cs336 encode: the text has <|endoftext|>, which is a token of the vocabulary but was split "
        "like other text; to encode it as one token, give --special-token '<|endoftext|>'\n";
    assert_shell_ok(TRAIN_BPE "; printf 'the cat' >none");
    ck_assert_int_eq(shell("cs336 encode --input none text text --output ids" FILES), 0);
    ck_assert_str_eq(shell_errors, hint);
    ck_assert_int_eq(shell("cat text | cs336 encode --input - --output ids" FILES), 0);
    ck_assert_str_eq(shell_errors, hint);
    assert_shell_ok("cs336 encode --input none --output ids" FILES);
    assert_shell_ok("cs336 encode --input text --output ids" SPECIAL);
    assert_shell_ok("cs336 train-bpe --input none --vocab-size 256 --vocab w.json --merges n.txt && cs336 encode "
                    "--input text --output ids --vocab w.json --merges n.txt");
}
END_TEST

START_TEST(test_training_on_a_separator_that_is_not_named_is_hinted_at)
{
    static const char hint[] = "cs336 train-bpe: the text has <|endoftext|>, which is learned from like other text; to "
                               "make it one token, give "
                               "--special-token '<|endoftext|>'\n";
#define LEARN "cs336 train-bpe --vocab-size 300 --tokenizer t.json --input "
    assert_shell_ok(TRAIN_BPE "; printf 'the cat' >none; gzip -k text");
    static const char *const found[] = {LEARN "none text text", "cat text | " LEARN "-", LEARN "none text.gz",
                                        LEARN "text --special-token x"};
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
        ck_assert_int_eq(shell("%s", found[i]), 0);
        ck_assert_str_eq(shell_errors, hint);
    }
    static const char *const silent[] = {LEARN "none", LEARN "text --special-token '<|endoftext|>'",
                                         LEARN "lines --text-field a"};
    assert_shell_ok("echo '{\"a\": \"b<|endoftext|>\"}' >lines");
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++) {
        ck_assert_int_eq(shell("%s", silent[i]), 0);
        ck_assert_str_eq(shell_errors, "");
    }
#undef LEARN
}
END_TEST

START_TEST(test_files_in_place_of_others_are_named)
{
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"--vocab t.json --merges m.txt",
         "t.json: this is a tokenizer.json, expected vocab.json, an object of \"token\": id; --tokenizer reads "
         "a tokenizer.json"},
        {"--vocab v.json --merges t.json",
         "t.json: this is a tokenizer.json, expected merges.txt: two tokens with a blank between them in each line"},
        {"--vocab v.json --merges v.json",
         "v.json: this is JSON, as vocab.json is, expected merges.txt: two tokens with a blank between them in each "
         "line"},
        {"--vocab hash.txt --merges m.txt",
         "hash.txt: looks like a merges.txt, which --merges reads, expected vocab.json"},
        {"--vocab m.txt --merges m.txt", "m.txt: looks like a merges.txt, which --merges reads, expected vocab.json"},
        {"--vocab m.txt --merges v.json", "m.txt: looks like a merges.txt, expected vocab.json, and v.json looks like "
                                          "a vocab.json: the files of --vocab "
                                          "and --merges are swapped"},
        {"--vocab hash.txt --merges v.json",
         "hash.txt: looks like a merges.txt, expected vocab.json, and v.json looks like a vocab.json: the files of "
         "--vocab and --merges are swapped"},
        {"--vocab brace.txt --merges v.json",
         "brace.txt: looks like a merges.txt, expected vocab.json, and v.json looks like a vocab.json: the files of "
         "--vocab and --merges are swapped"},
        {"--vocab m.txt --merges t.json", "m.txt: looks like a merges.txt, which --merges reads, expected vocab.json"},
        {"--vocab t.tiktoken --merges m.txt",
         "t.tiktoken: looks like a rank file, expected vocab.json; --tokenizer reads such a file"},
        {"--vocab v.json --merges t.tiktoken",
         "t.tiktoken: looks like a rank file, expected merges.txt; --tokenizer reads such a file"},
        {"--vocab text --merges m.txt", "text: is not JSON, expected vocab.json, an object of \"token\": id"},
        {"--vocab cut.json --merges m.txt", "cut.json:1:2: string or '}' expected near end of file"},
        {"--tokenizer m.txt",
         "m.txt: expected a tokenizer.json, a rank file with a token in base64 and its rank in each line, or a "
         "tokenizer.bin of llama2.c; it looks like a merges.txt, which --merges reads, together with --vocab"},
        {"--vocab bom.json --merges m.txt",
         "bom.json: begins with the byte order mark (BOM) of UTF-8, the bytes EF BB BF, expected JSON in UTF-8 without "
         "such a mark"},
        {"--vocab wide.json --merges m.txt",
         "wide.json: begins with the byte order mark (BOM) of UTF-16, expected JSON in UTF-8 without such a mark"},
        {"--vocab v.json --merges bom.txt",
         "bom.txt: begins with the byte order mark (BOM) of UTF-8, the bytes EF BB BF, expected merges.txt without it"},
    };
    assert_shell_ok(TRAIN_BPE
                    "; cs336 export-tokenizer --output t.json" SPECIAL
                    "; { printf '\\357\\273\\277'; cat v.json; } >bom.json; { printf '\\357\\273\\277'; cat "
                    "m.txt; } >bom.txt; { printf '\\377\\376'; cat v.json; } >wide.json; "
                    "{ echo '#version: 0.2'; cat m.txt; } >hash.txt; echo '{ a' >brace.txt; printf '{ ' >cut.json; "
                    "cs336 export-tokenizer --output t.tiktoken" SPECIAL "2>said");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256], message[512];
        snprintf(line, sizeof line, "cs336 encode --input text --output x %s", cases[i].line);
        snprintf(message, sizeof message, "cs336 encode: %s", cases[i].message);
        assert_shell_fails(1, message, line);
    }
    /* A line of merges.txt may begin with a brace. */
    assert_shell_ok("printf '{{{{ {{{{' >text; cs336 train-bpe --input text --vocab-size 258" FILES
                    ">said; grep -q '^{ {' m.txt && cs336 encode --input text --output x" FILES);
}
END_TEST

/* ---- empty files ---- */

START_TEST(test_an_empty_text_has_no_ids)
{
    assert_shell_ok(TRAIN_BPE "; : >empty");
    assert_shell_ok("cs336 encode --input empty --output ids" SPECIAL "&& test -f ids && ! test -s ids");
    assert_prints("0 bytes, 0 tokens of 2 bytes, ");
    ck_assert_ptr_null(strstr(shell_output, "nan"));
    assert_shell_ok("cs336 encode --input - --output ids" SPECIAL "</dev/null && ! test -s ids");
    assert_shell_ok("cs336 decode --input ids --output back" SPECIAL "&& test -f back && ! test -s back");
    assert_shell_ok("rm back && cs336 encode --input empty --output ids.npy" SPECIAL
                    "&& cs336 decode --input ids.npy --output back" SPECIAL "&& test -f back && ! test -s back");
    assert_prints("0 tokens, 0 bytes of text, ");
    assert_shell_fails(1,
                       "cs336 train: ids.npy: no token ids; cs336 encode --tokenizer FILE --input FILE "
                       "--output FILE makes one",
                       "cs336 train --train ids.npy --out run " MODEL);
    assert_shell_ok("cs336 encode --input text --output one" SPECIAL
                    "&& cs336 encode --input empty text empty --output all" SPECIAL "&& cmp one all");
    assert_shell_fails(1, "cs336 train: ids: is empty; expected a file, for example from cs336 encode",
                       "cs336 train --train ids --out run " MODEL);
    assert_shell_ok(
        "cs336 train-bpe --input empty text --vocab-size 265 --special-token '<|endoftext|>' --vocab w.json "
        "--merges n.txt && cmp v.json w.json && cmp m.txt n.txt");
    assert_shell_fails(1, "cs336 train-bpe: empty: is empty; expected a file, for example from cs336 story",
                       "cs336 train-bpe --input empty empty --vocab-size 300 --vocab x --merges y");
    assert_shell_ok("cs336 tokenizer-report --input empty text" SPECIAL);
    ck_assert_ptr_null(strstr(shell_output, "nan"));
    assert_shell_fails(1, "cs336 tokenizer-report: empty: is empty, expected a text to measure",
                       "cs336 tokenizer-report --input empty" SPECIAL);
}
END_TEST

const TestCase cli_hostile_tests[] = {
    TEST(test_sizes_that_no_machine_holds, "cli"),
    TEST(test_account_computes_with_the_largest_sizes, "transformer_accounting"),
    TEST(test_extremes_of_numeric_options, "cli"),
    TEST(test_numbers_of_a_checkpoint_obey_the_limits, "cli"),
    TEST(test_numbers_of_config_json_obey_the_limits, "cli"),
    TEST(test_numbers_of_vocab_json_obey_the_limits, "cli"),
    TEST(test_numbers_of_the_log_obey_the_limits, "cli"),
    TEST(test_a_vocabulary_smaller_than_asked_for_is_said, "cli"),
    TEST(test_generate_never_draws_an_id_without_a_token, "cli"),
    TEST(test_train_compares_the_vocabularies, "cli"),
    TEST(test_a_separator_that_is_not_named_is_hinted_at, "cli"),
    TEST(test_training_on_a_separator_that_is_not_named_is_hinted_at, "cli"),
    TEST(test_files_in_place_of_others_are_named, "cli"),
    TEST(test_an_empty_text_has_no_ids, "cli"),
    {0},
};
