/* Tests options from a JSON file, `cs336 train --config`, and that config.json of a run repeats the run. */
#include "cli/options_config.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tests/support/program.h"

#include <stdio.h>
#include <string.h>

#define MODEL "--vocab-size 300 --context-length 16 --d-model 16 --num-layers 2 --num-heads 2 --batch-size 2"

static void make_tokens(void)
{
    assert_shell_ok("cs336 story --stories 30 --seed 1 --output train.txt");
    assert_shell_ok(
        "cs336 train-bpe --input train.txt --vocab-size 300 --vocab vocab.json --merges merges.txt >log 2>&1");
    assert_shell_ok("cs336 encode --vocab vocab.json --merges merges.txt --input train.txt --output train.bin >log");
}

/* ---- a table with an option of each type ---- */

typedef struct {
    bool yes, no;
    const char *file, *text;
    TextList one, several, given;
    size_t size, huge, whole_real;
    int64_t integer;
    double number, whole, exact;
    int choice;
    OptionsConfig config;
} Values;

static int parse(Values *v, int argc, char **argv)
{
    static const char *const colours[] = {"red", "green", NULL};
    const Option options[] = {
        OPTION_HEADING("Options of each type"),
        OPTION_FLAG("yes-it-is", &v->yes, "a flag"),
        OPTION_FLAG("no", &v->no, "a flag"),
        OPTION_TEXT("file", &v->file, "FILE", OPTION_REQUIRED, "a file"),
        OPTION_TEXT("text", &v->text, "TEXT", OPTION_SHOWN, "a text, which may be empty"),
        OPTION_TEXTS("one", &v->one, "FILE", OPTION_SHOWN, "files"),
        OPTION_TEXTS("several", &v->several, "TOKEN", OPTION_SHOWN, "texts"),
        OPTION_TEXTS("given", &v->given, "TOKEN", OPTION_SHOWN, "texts"),
        OPTION_SIZE("size", &v->size, "N", 2, "a size"),
        OPTION_SEED(&v->huge, "a seed"),
        OPTION_SIZE("whole-real", &v->whole_real, "N", 2, "a size"),
        OPTION_INTEGER("integer", &v->integer, "N", "an integer"),
        OPTION_NUMBER("number", &v->number, "X", -1, 1e30, "a number"),
        OPTION_NUMBER("whole", &v->whole, "X", -1, 1e30, "a number"),
        OPTION_NUMBER("exact", &v->exact, "X", -1, 1e30, "a number"),
        OPTION_CHOICE("choice", &v->choice, colours, "red|green", "a choice"),
        OPTION_CONFIG(&v->config, NULL),
    };
    const OptionTable table = OPTION_TABLE("test", "A table with an option of each type.", options);
    return options_parse(&table, argc, argv);
}

START_TEST(test_a_file_gives_options_of_every_type)
{
    static const char object[] =
        "{\"yes_it_is\": true, \"no\": false, \"file\": \"a\", \"text\": \"\", \"one\": \"x\",\n"
        " \"several\": [\"p\", \"q\"], \"given\": [\"r\", \"s\"], \"size\": 7, \"seed\": 9223372036854775807,\n"
        " \"whole_real\": 32.0, \"integer\": -9223372036854775808, \"number\": 1e-30, \"whole\": 3,\n"
        " \"exact\": 0.12345678901234567, \"choice\": \"green\"}\n";
    write_file(temp_path("options.json"), object, sizeof object - 1);
    char path[512];
    snprintf(path, sizeof path, "%s", temp_path("options.json"));
    char command[] = "test", config[] = "--config", given[] = "--given=t", number[] = "--number", half[] = "0.5";
    char *argv[] = {command, given, config, path, number, half, NULL};
    Values v = {.no = true};
    ck_assert_int_eq(parse(&v, 6, argv), OPTIONS_PARSED);
    ck_assert(v.yes && !v.no);
    ck_assert_str_eq(v.file, "a");
    ck_assert_str_eq(v.text, "");
    ck_assert_uint_eq(v.one.count, 1);
    ck_assert_str_eq(v.one.items[0], "x");
    ck_assert_uint_eq(v.several.count, 2);
    ck_assert_str_eq(v.several.items[1], "q");
    ck_assert_uint_eq(v.size, 7);
    ck_assert_uint_eq(v.huge, INT64_MAX);
    ck_assert_uint_eq(v.whole_real, 32);
    ck_assert_int_eq(v.integer, INT64_MIN);
    ck_assert_double_eq(v.whole, 3);
    ck_assert_double_eq(v.exact, 0.12345678901234567);
    ck_assert_int_eq(v.choice, 1);
    /* The command line wins, before and after --config, and replaces a whole list. */
    ck_assert_uint_eq(v.given.count, 1);
    ck_assert_str_eq(v.given.items[0], "t");
    ck_assert_double_eq(v.number, 0.5);
    options_config_deinit(&v.config);
    options_config_deinit(&v.config);
}
END_TEST

/* ---- what the file may not contain ---- */

START_TEST(test_a_wrong_config_is_one_line)
{
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"{\"batchsize\": 2}", "c: unknown key \"batchsize\", expected the name of an option, with _ for -"},
        {"{\"batch-size\": 2}", "c: unknown key \"batch-size\", expected the name of an option, with _ for -"},
        {"{\"\": 2}", "c: unknown key \"\", expected the name of an option, with _ for -"},
        {"{\"batch\": 2}", "c: unknown key \"batch\", expected the name of an option, with _ for -"},
        {"{\"out\": \"run\"}", "c: out: give --out on the command line, a file cannot give it"},
        {"{\"resume\": true}", "c: resume: give --resume on the command line, a file cannot give it"},
        {"{\"overwrite\": true}", "c: overwrite: give --overwrite on the command line, a file cannot give it"},
        {"{\"config\": \"c\"}", "c: config: give --config on the command line, a file cannot give it"},
        {"{\"batch_size\": \"2\"}", "c: batch_size is a string, expected a whole number"},
        {"{\"batch_size\": null}", "c: batch_size is null, expected a whole number"},
        {"{\"batch_size\": 2.5}", "c: batch_size: \"2.5\" is not a whole number"},
        {"{\"batch_size\": -2}", "c: batch_size: \"-2\" is not a whole number"},
        {"{\"batch_size\": 0}", "c: batch_size: 0 is too small, expected at least 1"},
        {"{\"steps\": 2147483648}", "c: steps: 2147483648 is too large, expected at most 2147483647"},
        {"{\"lr\": [1]}", "c: lr is an array, expected a number"},
        {"{\"lr\": -0.5}", "c: lr: -0.5 is not between 0 and 1e+06"},
        {"{\"eps\": 1e-50}", "c: eps: 1e-50 is too small for a 32-bit float"},
        {"{\"norm\": 1}", "c: norm is a number, expected a string"},
        {"{\"norm\": \"both\"}", "c: norm: \"both\" is not one of pre|post|none"},
        {"{\"train\": true}", "c: train is true, expected a string"},
        {"{\"train\": \"\"}", "c: train: the value is empty, expected FILE"},
        {"[1]", "c is an array, expected a JSON object of options"},
        {"{\"lr\": 1, \"lr\": 2}", "c:1:14: duplicate object key near '\"lr\"'"},
        {"{\"\\u001b[2J\": 1}", "c: unknown key \"\\x1B[2J\", expected the name of an option, with _ for -"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char message[256];
        test_label("%s", cases[i].json);
        write_file(temp_path("c"), cases[i].json, strlen(cases[i].json));
        snprintf(message, sizeof message, "cs336 train: %s; see cs336 train --help", cases[i].message);
        /* Not wrong if the command line gives --train too, so only the others do. */
        assert_shell_fails(1, message,
                           strstr(cases[i].json, "\"train\"") ? "cs336 train --out run --config c"
                                                              : "cs336 train --train t --out run --config c");
        ck_assert_int_ne(shell("test -e run"), 0);
    }
    test_label_end();
    assert_shell_fails(1, "cs336 train: nowhere: cannot read: No such file or directory; see cs336 train --help",
                       "cs336 train --train t --out run --config nowhere");
    assert_shell_fails(2, "cs336 train: --config: the value is empty, expected FILE; see cs336 train --help",
                       "cs336 train --train t --out run --config=");
    /* What must be given is still missing, unless the file gives it. */
    assert_shell_ok("echo '{\"lr\": 1}' >c");
    assert_shell_fails(2, "cs336 train: --train FILE is missing; see cs336 train --help",
                       "cs336 train --out run --config c");
    assert_shell_fails(2, "cs336 train: --out DIR is missing; see cs336 train --help",
                       "cs336 train --train t --config c");
}
END_TEST

/* ---- config.json of a run ---- */

/* Every option differs from its default, and no number is one of few digits, so that each must be in the file. */
START_TEST(test_config_json_repeats_the_run)
{
    make_tokens();
    assert_shell_ok("cs336 train --train train.bin --val train.bin " MODEL
                    " --d-ff 48 --rope-theta 1234.56789012345 --norm-eps 0.00123456789 --norm post --ffn silu "
                    "--steps 9 --seed 9007199254740993 --lr 0.00123456789012345678 --min-lr 0.000123456789012345678 "
                    "--warmup-steps 3 --decay-steps 7 --beta1 0.812345678901234 --beta2 0.912345678901234 --eps "
                    "1.23456789012e-7 --weight-decay 0.0345678901234567 --max-grad-norm 0.0123456789012345 "
                    "--log-every 2 --val-every 4 --val-batches 3 --checkpoint-every 5 --keep 3 --out run");
    assert_shell_ok("cs336 train --config run/config.json --out again && cmp run/checkpoint.safetensors "
                    "again/checkpoint.safetensors && cmp run/config.json again/config.json && ls run >a && "
                    "ls again | diff a -");
    assert_shell_ok("for r in run again; do sed 's/\"seconds\":[^,]*,//; s/\"tokens_per_second\".*//' $r/log.jsonl "
                    ">$r.log; done; cmp run.log again.log");
    assert_shell_ok("grep -q '\"norm_eps\": 0.00123456[78]' run/config.json");
    /* An option of the command line wins. */
    assert_shell_ok("cs336 train --config run/config.json --seed 1 --steps 10 --out other && ! cmp "
                    "run/checkpoint.safetensors other/checkpoint.safetensors >log && grep -q '\"steps\": 10' "
                    "other/config.json && grep -q '\"seed\": 1,' other/config.json");
    /* Its min_lr stays when --lr changes. */
    assert_shell_fails(2,
                       "cs336 train: --min-lr: 0.000123457 is above --lr 0.0001; a --config FILE may give min_lr, and "
                       "--min-lr wins over it; see cs336 train --help",
                       "cs336 train --config run/config.json --lr 1e-4 --out low");
    assert_shell_ok("cs336 train --config run/config.json --lr 1e-4 --min-lr 1e-5 --out low && grep -q '\"min_lr\": "
                    "1e-5,' low/config.json");
    /* The file also continues its own run. */
    assert_shell_ok("cs336 train --config run/config.json --stop-at 6 --out half && cs336 train --config "
                    "half/config.json --resume --out half && cmp run/checkpoint.safetensors "
                    "half/checkpoint.safetensors && cmp run/config.json half/config.json");
    /* --overwrite begins the same run again in its own directory. */
    assert_shell_ok("cp run/checkpoint.safetensors first && cs336 train --config run/config.json --overwrite --out run "
                    "&& cmp run/checkpoint.safetensors first");
}
END_TEST

/* The default numbers are written as people write them, and a run without validation has none in the file. */
START_TEST(test_config_json_is_readable)
{
    make_tokens();
    assert_shell_ok("cs336 train --train train.bin " MODEL " --steps 2 --out run && grep -v val_every run/config.json");
    assert_prints("\"lr\": 0.001,");
    assert_prints("\"beta1\": 0.9,");
    assert_prints("\"train\": \"train.bin\"");
    ck_assert_ptr_null(strstr(shell_output, "\"val"));
    assert_shell_ok(
        "cs336 train --config run/config.json --val train.bin --out other && grep -c '\"val_batches\": 10,' "
        "other/config.json");
}
END_TEST

/* JSON cannot hold a name that is not UTF-8. The run works, and repeating it takes --train. */
START_TEST(test_a_path_that_is_not_utf8_is_left_out_of_config_json)
{
    make_tokens();
    assert_shell_ok(
        "bad=$(printf 'tr\\377ain.bin'); cp train.bin \"$bad\" || exit 0; cs336 train --train \"$bad\" " MODEL
        " --steps 2 --out run && ! grep '\"train\"' run/config.json && cs336 train --config "
        "run/config.json --train train.bin --out again && cmp run/checkpoint.safetensors "
        "again/checkpoint.safetensors");
}
END_TEST

const TestCase train_config_tests[] = {
    TEST(test_a_file_gives_options_of_every_type, "cli"),
    TEST(test_a_wrong_config_is_one_line, "cli"),
    TEST(test_config_json_repeats_the_run, "training_together"),
    TEST(test_config_json_is_readable, "training_together"),
    TEST(test_a_path_that_is_not_utf8_is_left_out_of_config_json, "training_together"),
    {0},
};
