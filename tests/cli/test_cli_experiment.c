/* Experiments: a matrix of tiny trainings from a JSON file, as a user runs it. */
#define _POSIX_C_SOURCE 200809L
#include "core/json.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tests/support/program.h"
#include "tests/support/terminal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEXT "\"text\": {\"train\": \"train.txt\", \"val\": \"valid.txt\", \"vocab_size\": 300}"
#define COMMON                                                                                          \
    "\"context_length\": 16, \"d_model\": 16, \"num_layers\": 1, \"num_heads\": 2, \"batch_size\": 2, " \
    "\"val_batches\": 2, \"val_every\": 20"
#define EXPERIMENT(common, runs) \
    "{\"title\": \"Tiny\", \"question\": \"Does it work?\", " TEXT ", \"common\": {" COMMON ", " common "}, " runs "}"
#define RUN "cs336 experiment tiny.json --data . --threads 1 --out "

static void write_text(const char *name, const char *text)
{
    write_file(temp_path(name), text, strlen(text));
}

static void make_text(void)
{
    assert_shell_ok("cs336 story --stories 30 --seed 1 --output train.txt && cs336 story --stories 9 --seed 2 --output "
                    "valid.txt");
}

/* Reads a text or a number of result.json of a run; fails if it is missing. */
static const json_t *result_member(json_t **file, const char *path, const char *key)
{
    assert_ok(json_read(file, temp_path(path)));
    const json_t *value = json_object_get(*file, key);
    ck_assert_msg(value != NULL, "%s: no key %s", path, key);
    return value;
}

static void assert_status(const char *path, const char *status)
{
    json_t *file;
    ck_assert_str_eq(json_string_value(result_member(&file, path, "status")), status);
    json_decref(file);
}

static double result_number(const char *path, const char *key)
{
    json_t *file;
    const double number = json_number_value(result_member(&file, path, key));
    json_decref(file);
    return number;
}

/* ---- the matrix ---- */

#define MATRIX                                                                                                    \
    EXPERIMENT("\"steps\": 40", "\"vary\": {\"lr\": [1e-3, 0.01], \"norm\": [\"pre\", \"none\"]}, \"runs\": "     \
                                "[{\"name\": \"no gate\", \"ffn\": \"silu\", \"d_ff\": 64}, {\"d_model\": 32}], " \
                                "\"sample\": {\"prompt\": \"Once upon\", \"seed\": 3, \"max_tokens\": 5}")

START_TEST(test_experiment_trains_every_combination)
{
    make_text();
    write_text("tiny.json", MATRIX);
    assert_shell_ok(RUN "x --list");
    assert_prints("Tiny\nDoes it work?\n"
                  "lr-0.001_norm-pre   not begun   d_model=16 lr=0.001 norm=pre\n"
                  "lr-0.01_norm-pre    not begun   d_model=16 lr=0.01 norm=pre\n"
                  "lr-0.001_norm-none  not begun   d_model=16 lr=0.001 norm=none\n"
                  "lr-0.01_norm-none   not begun   d_model=16 lr=0.01 norm=none\n"
                  "no-gate             not begun   d_model=16 ffn=silu d_ff=64\n"
                  "d-model-32          not begun   d_model=32\n"
                  "all runs: context_length=16 num_layers=1 num_heads=2 batch_size=2 val_batches=2 val_every=20 "
                  "steps=40\n");
    assert_shell_ok("! test -e x && " RUN "x");
    assert_prints("run 6 of 6  d-model-32: complete, validation loss 5.");
    assert_prints("\nthe runs are in x\n");
    /* Each is the run of the command line. */
    assert_shell_ok(
        "cs336 train --train x/data/train.bin --val x/data/val.bin --vocab-size 300 --context-length 16 "
        "--d-model 16 --num-layers 1 --num-heads 2 --batch-size 2 --val-batches 2 --val-every 20 --steps "
        "40 --lr 0.01 --norm none --out one >log && cmp one/checkpoint.safetensors "
        "x/lr-0.01_norm-none/checkpoint.safetensors && cmp one/config.json x/lr-0.01_norm-none/config.json");
    assert_shell_ok("cs336 generate --checkpoint one/checkpoint.safetensors --tokenizer x/data/tokenizer.json "
                    "--prompt 'Once upon' --seed 3 --max-tokens 5 >s && cmp s x/lr-0.01_norm-none/sample.txt && ! cmp "
                    "s x/no-gate/sample.txt >log && "
                    "tail -1 x/no-gate/output.txt");
    ck_assert_str_eq(shell_output, "x/no-gate/checkpoint.safetensors is ready for cs336 generate\n");
}
END_TEST

START_TEST(test_experiment_records_results)
{
    make_text();
    write_text("tiny.json", EXPERIMENT("\"steps\": 60", "\"vary\": {\"lr\": [0.01]}"));
    assert_shell_ok(RUN "x && tail -1 x/lr-0.01/log.jsonl");
    char *line = strchr(strstr(shell_output, "\nthe runs are in x\n") + 1, '\n');
    json_t *last;
    assert_ok(json_parse(&last, line, strlen(line), "log"));
    assert_status("x/lr-0.01/result.json", "complete");
    static const char *const keys[] = {"step", "seconds", "train_loss", "val_loss"};
    for (size_t i = 0; i < 4; i++)
        ck_assert_double_eq(result_number("x/lr-0.01/result.json", keys[i]),
                            json_number_value(json_object_get(last, keys[i])));
    json_decref(last);
    ck_assert_double_eq(result_number("x/lr-0.01/result.json", "step"), 60);
    ck_assert_double_le(result_number("x/lr-0.01/result.json", "best_val_loss"),
                        result_number("x/lr-0.01/result.json", "val_loss"));
    ck_assert_double_gt(result_number("x/lr-0.01/result.json", "tokens_per_second"), 0);
    assert_shell_ok("cat x/experiment.json");
    ck_assert_str_eq(shell_output, "{\n  \"title\": \"Tiny\",\n  \"question\": \"Does it work?\"\n}\n");
}
END_TEST

START_TEST(test_experiment_leaves_complete_runs)
{
    make_text();
    write_text("tiny.json", MATRIX);
    assert_shell_ok(RUN "x --only no-gate --only d-model-32 && ! test -e x/lr-0.01_norm-pre && cp -rp x before && "
                        "touch stamp && " RUN "x --only no-gate --only d-model-32");
    assert_prints("run 1 of 2  no-gate: complete as before, validation loss 5.");
    assert_prints("lr-0.01_norm-pre             -           -           -          -         -  not begun\n");
    assert_shell_ok("diff -r x before && find x -newer stamp -name '*.safetensors'");
    ck_assert_str_eq(shell_output, "");
    /* A missing sample is made again, and nothing else. */
    assert_shell_ok("rm x/no-gate/sample.txt && " RUN "x --only no-gate && diff -r x before && ls x | tr '\\n' ' '");
    assert_prints("d-model-32 data experiment.json no-gate ");
}
END_TEST

/* The tokenizer is one file or two, and the samples are the same. */
START_TEST(test_experiment_on_ready_ids)
{
#define ON_IDS(tokenizer)                                                                                         \
    "{\"title\": \"Ids\", \"tokens\": {\"train\": \"train.bin\", " tokenizer                                      \
    "}, \"common\": {\"vocab_size\": 300, \"context_length\": 16, \"d_model\": 16, \"num_layers\": 1, "           \
    "\"num_heads\": 2, \"steps\": 3, \"batch_size\": 2}, \"vary\": {\"seed\": [1, 2]}, \"sample\": {\"prompt\": " \
    "\"the\"}}"
    make_text();
    assert_shell_ok("cs336 train-bpe --input train.txt --vocab-size 300 --tokenizer t.json --vocab v.json --merges "
                    "m.txt >log 2>&1 && cs336 encode --tokenizer t.json --input train.txt --output train.bin >log");
    write_text("tiny.json", ON_IDS("\"tokenizer\": \"t.json\""));
    assert_shell_ok(RUN "x && test -s x/seed-2/sample.txt && ls x | tr '\\n' ' '");
    assert_prints("experiment.json seed-1 seed-2 ");
    assert_prints("run 2 of 2  seed-2: complete, loss 5.");
    write_text("tiny.json", ON_IDS("\"vocab\": \"v.json\", \"merges\": \"m.txt\""));
    assert_shell_ok(RUN "two && cmp x/seed-2/sample.txt two/seed-2/sample.txt");
#undef ON_IDS
}
END_TEST

/* The directory of an experiment may hold vocab.json and merges.txt in place of tokenizer.json. */
START_TEST(test_an_experiment_keeps_the_files_of_its_directory)
{
    make_text();
    write_text("tiny.json", EXPERIMENT("\"steps\": 20", "\"runs\": [{\"name\": \"a\"}], "
                                                        "\"sample\": {\"prompt\": \"the\", \"max_tokens\": 3}"));
    assert_shell_ok(RUN "x && cp -rp x whole && cd x/data && ls | tr '\\n' ' ' && cs336 train-bpe --input "
                        "../../train.txt --vocab-size 300 --special-token '<|endoftext|>' --vocab vocab.json --merges "
                        "merges.txt >/dev/null && rm tokenizer.json ../a/sample.txt");
    assert_prints("data.json output.txt tokenizer.json train.bin train.bin.json val.bin val.bin.json ");
    assert_shell_ok(RUN "x && cmp x/a/sample.txt whole/a/sample.txt && ! test -e x/data/tokenizer.json");
    ck_assert_ptr_null(strstr(shell_output, "data: a vocabulary"));
    assert_prints("a: complete as before");
    /* The text changes: both files are made again. */
    assert_shell_ok("cp x/data/vocab.json old && { yes zq | head -9999 >>train.txt; } && " RUN
                    "x --overwrite && ! cmp x/data/vocab.json old >log && ! test -e x/data/tokenizer.json");
    assert_prints("data: a vocabulary of 300 tokens, and the ids of the text\n");
}
END_TEST

/* ---- resuming ---- */

#define LONG                                                                 \
    EXPERIMENT("\"steps\": 300, \"checkpoint_every\": 20, \"log_every\": 5", \
               "\"vary\": {\"lr\": [1e-3, 1e-2]}, "                          \
               "\"sample\": {\"prompt\": \"the\", \"max_tokens\": 8}")
#define SAME                                                                                                  \
    "for run in lr-0.001 lr-0.01; do cmp x/$run/checkpoint.safetensors whole/$run/checkpoint.safetensors && " \
    "cmp x/$run/sample.txt whole/$run/sample.txt && cut -d , -f 1,4 <x/$run/log.jsonl >a && "                 \
    "cut -d , -f 1,4 <whole/$run/log.jsonl | cmp - a || exit; done"

/* The kernel asks the training to stop when the experiment is killed; it may still hold the directory for a moment. */
START_TEST(test_a_killed_experiment_goes_on)
{
    make_text();
    write_text("tiny.json", LONG);
    assert_shell_ok(RUN "whole");
    assert_shell_ok("killed=0; for pause in 0.03 0.08 0.15 0.25 0.4 0.6; do { \"$program\" experiment tiny.json --data "
                    ". --threads 1 --out x "
                    ">log 2>&1 & sleep $pause; kill -9 $! && killed=$((killed + 1)); wait $! || :; } "
                    "2>said; sleep 0.1; done; test $killed -gt 0 || exit; for i in $(seq 100); do " RUN
                    "x 2>said && break; grep -q 'another process is writing' said || exit; sleep 0.1; done; " SAME);
    assert_status("x/lr-0.01/result.json", "complete");
}
END_TEST

/* Without a parent the training would go on unseen for as long as it takes. */
START_TEST(test_a_training_ends_with_its_experiment)
{
    make_text();
    write_text("tiny.json", EXPERIMENT("\"steps\": 2000000, \"checkpoint_every\": 0", "\"vary\": {\"lr\": [1e-3]}"));
    assert_shell_ok("\"$program\" experiment tiny.json --data . --threads 1 --out x >log 2>&1 & until test -s "
                    "x/lr-0.001/log.jsonl; do sleep 0.01; done; { kill -9 $!; wait $! || :; } 2>said; for i in $(seq "
                    "100); do test -s x/lr-0.001/checkpoint.safetensors && exit; sleep 0.1; done; false");
}
END_TEST

static const char *not_linux_itself(void)
{
#if defined(__linux__)
    return too_long_to_emulate();
#else
    return "only Linux tells a process that its parent has died";
#endif
}

START_TEST(test_a_signal_saves_the_run)
{
    make_text();
    write_text("tiny.json", LONG);
    assert_shell_ok(RUN "whole");
    /* With `exec` the signal reaches this process alone, which passes it on to the training. */
    assert_shell_ok("sh -c 'exec \"$program\" experiment tiny.json --data . --threads 1 --out x' >said & "
                    "until test -s x/lr-0.001/log.jsonl; do sleep 0.01; done; kill -TERM $!; wait $! && cat said");
    assert_prints("run 1 of 2  lr-0.001: incomplete, its log ends at step ");
    assert_prints("stopped; to continue, run the same command again\n");
    assert_status("x/lr-0.001/result.json", "incomplete");
    assert_shell_ok("test -s x/lr-0.001/checkpoint.safetensors && ! test -e x/lr-0.01 && " RUN "x && " SAME);
    assert_prints("run 1 of 2  lr-0.001: complete, ");
    /* It was resumed rather than begun again: two processes wrote the output, and no step was trained twice. */
    assert_shell_ok("grep -c ^machine x/lr-0.001/output.txt; grep -c ^step x/lr-0.001/output.txt; grep ^step "
                    "x/lr-0.001/output.txt | sort -u -k 2,2 | wc -l");
    ck_assert_str_eq(shell_output, "2\n60\n60\n");
}
END_TEST

START_TEST(test_ctrl_c_stops_an_experiment)
{
    make_text();
    write_text("tiny.json", EXPERIMENT("\"steps\": 2000000, \"checkpoint_every\": 0", "\"vary\": {\"lr\": [1e-3, 2]}"));
    ck_assert_int_eq(
        terminal_run("exec \"$program\" experiment tiny.json --data . --threads 1 --out x", " left", "\003"), 0);
    ck_assert_ptr_nonnull(strstr(shell_output, "run 1 of 2  lr-0.001  step "));
    ck_assert_ptr_nonnull(strstr(shell_output, "lr-0.001: incomplete, its log ends at step "));
    ck_assert_ptr_nonnull(strstr(shell_output, "stopped; to continue, run the same command again\r\n"));
    assert_shell_ok("test -s x/lr-0.001/checkpoint.safetensors");
}
END_TEST

/* ---- runs that do not end well ---- */

START_TEST(test_the_others_go_on_when_a_run_fails)
{
    make_text();
    write_text("tiny.json", EXPERIMENT("\"steps\": 40, \"warmup_steps\": 0",
                                       "\"runs\": [{\"lr\": 1e6, \"max_grad_norm\": 0}, {\"name\": \"high\", \"lr\": "
                                       "5, \"weight_decay\": 0}, {\"batch_size\": 1000000000}, "
                                       "{\"num_heads\": 3}, {\"name\": \"good\"}]"));
    ck_assert_int_eq(shell(RUN "x"), 1);
    ck_assert_str_eq(shell_errors,
                     "cs336 experiment: 1 of the runs failed; output.txt in their directories says more\n");
    assert_prints("run 1 of 5  lr-1000000_max-grad-norm-0: diverged, step ");
    assert_prints("run 2 of 5  high: diverged, the loss ended at ");
    assert_prints(", above the 5.70 of a uniform guess\n"); /* ln 300 */
    assert_prints("run 3 of 5  batch-size-1000000000: refused, the run needs ");
    assert_prints("run 4 of 5  num-heads-3: failed, num_heads 3 does not divide d_model 16\n");
    assert_prints("run 5 of 5  good: complete, validation loss 5.");
    assert_status("x/lr-1000000_max-grad-norm-0/result.json", "diverged");
    assert_status("x/batch-size-1000000000/result.json", "refused");
    /* Diverged runs are not repeated. The others may end otherwise today. */
    assert_shell_ok("cp -rp x before");
    ck_assert_int_eq(shell(RUN "x"), 1);
    assert_prints("run 1 of 5  lr-1000000_max-grad-norm-0: diverged as before, step ");
    assert_prints("run 2 of 5  high: diverged as before, the loss ended at ");
    assert_prints("run 3 of 5  batch-size-1000000000: refused, the run needs ");
    assert_prints("run 4 of 5  num-heads-3: failed, ");
    assert_shell_ok("diff -r x before");
    /* Divergence is an answer, not a failure. */
    assert_shell_ok(RUN "x --only high");
}
END_TEST

START_TEST(test_changed_settings_are_not_mixed)
{
#define WITH_STEPS(steps, seed) \
    EXPERIMENT("\"steps\": " steps, "\"runs\": [{\"name\": \"a\"}, {\"name\": \"b\", \"seed\": " seed "}], " SAMPLE)
#define SAMPLE "\"sample\": {\"prompt\": \"the\", \"max_tokens\": 9}"
    make_text();
    write_text("tiny.json", WITH_STEPS("20", "2"));
    assert_shell_ok(RUN "x && cp -rp x before");
    write_text("tiny.json", WITH_STEPS("20", "3"));
    assert_shell_fails(1,
                       "cs336 experiment: x/b was trained with other settings: seed 3 (was 2); --overwrite begins it "
                       "again, and --out names another directory",
                       RUN "x");
    assert_shell_ok("diff -r x before && " RUN "x --only a");
    assert_shell_ok(RUN "x --overwrite && diff -r x/a before/a && ! cmp x/b/checkpoint.safetensors "
                        "before/b/checkpoint.safetensors >log && ! cmp x/b/sample.txt before/b/sample.txt >log");
    assert_prints("run 1 of 2  a: complete as before");
    /* A setting that was there before counts too. */
    write_text("tiny.json", EXPERIMENT("\"steps\": 20", "\"runs\": [{\"name\": \"a\"}, {\"name\": \"b\"}], " SAMPLE));
    ck_assert_int_eq(shell(RUN "x"), 1);
    ck_assert_ptr_nonnull(strstr(shell_errors, "x/b was trained with other settings: seed not given (was 3); "));
    /* The text changes: its vocabulary and its ids are made again. */
    write_text("tiny.json", WITH_STEPS("20", "3"));
    assert_shell_ok("cp -p x/data/train.bin old && " RUN "x --only a && test ! old -ot x/data/train.bin && "
                    "cp valid.txt saved && tail -c 2000 train.txt >>train.txt");
    ck_assert_int_eq(shell(RUN "x"), 1);
    ck_assert_ptr_nonnull(strstr(shell_errors, "x/a was trained with other settings: the data has changed; "));
    assert_shell_ok("cmp old x/data/train.bin && " RUN "x --overwrite && ! cmp old x/data/train.bin >log");
    assert_prints("data: a vocabulary of 300 tokens, and the ids of the text\nrun 1 of 2  a: complete, ");
#undef WITH_STEPS
#undef SAMPLE
}
END_TEST

START_TEST(test_an_experiment_touches_no_other_run)
{
    make_text();
    write_text("tiny.json", EXPERIMENT("\"steps\": 20", "\"runs\": [{\"name\": \"mine\"}]"));
    assert_shell_ok(RUN "x && rm x/mine/result.json && cp -rp x before");
    assert_shell_fails(
        1, "cs336 experiment: x/mine contains a training run: --resume continues it, --overwrite deletes it",
        RUN "x --overwrite");
    assert_shell_ok("diff -r x before && printf '{\"status\": \"good\"}' >x/mine/result.json");
    assert_shell_fails(
        1,
        "cs336 experiment: x/mine/result.json: expected an object with status and settings; without this "
        "file the run can only be begun again",
        RUN "x");
    assert_shell_ok("mv x/mine/result.json log && diff -r x before");
}
END_TEST

/* ---- errors ---- */

START_TEST(test_bad_experiments_are_named)
{
#define FILE_OF(members) "{\"title\": \"T\", " members "}"
#define GOOD "\"vary\": {\"lr\": [1]}"
    static const struct {
        const char *file, *message;
    } cases[] = {
        {"{\"title\": 1", "tiny.json:1:11: '}' expected near end of file"},
        {"[]", "tiny.json: expected an object, {\"title\": ..., ...}"},
        {"{}", "tiny.json: title is missing: expected a text that is not empty"},
        {"{\"title\": \"\"}", "tiny.json: title: expected a text that is not empty"},
        {FILE_OF("\"titel\": 1"), "tiny.json: unknown key \"titel\", expected one of: title, question, kind, text, "
                                  "tokens, common, vary, runs, sample"},
        {FILE_OF("\"kind\": \"adam\""), "tiny.json: kind is \"adam\", expected train or sgd"},
        {FILE_OF(GOOD), "tiny.json: expected either text or tokens to train on"},
        {FILE_OF(TEXT ", \"tokens\": {}"), "tiny.json: expected either text or tokens to train on, not both"},
        {FILE_OF("\"text\": 1"), "tiny.json: text is no object, expected {...}"},
        {FILE_OF("\"text\": {\"vocab_size\": 300}"),
         "tiny.json: text: train is missing: expected a text that is not empty"},
        {FILE_OF("\"text\": {\"train\": \"a\"}"),
         "tiny.json: text: vocab_size is missing: expected a whole number of at least 257"},
        {FILE_OF("\"text\": {\"train\": \"a\", \"vocab_size\": 256}"),
         "tiny.json: text: vocab_size: expected a whole number of at least 257"},
        {FILE_OF("\"text\": {\"train\": \"a\", \"size\": 1}"),
         "tiny.json: text: unknown key \"size\", expected one of: train, val, vocab_size"},
        {FILE_OF("\"kind\": \"sgd\", " TEXT), "tiny.json: kind sgd trains on no data: remove text"},
        {FILE_OF(TEXT), "tiny.json: no runs: expected \"vary\" or \"runs\""},
        {FILE_OF(TEXT ", \"vary\": {\"lr\": 1}"), "tiny.json: vary: lr: expected a list of values, such as [1, 2]"},
        {FILE_OF(TEXT ", \"vary\": {\"lr\": [[1]]}"), "tiny.json: vary: lr: expected a number, a text, true or false"},
        {FILE_OF(TEXT ", \"vary\": {\"out\": [\"x\"]}"),
         "tiny.json: vary: out cannot be set here: the experiment sets it for each run"},
        {FILE_OF(TEXT ", \"vary\": {\"lr\": [1, 1.0]}"),
         "tiny.json: two runs have the name \"lr-1\": give one of them another \"name\""},
        {FILE_OF(TEXT ", \"runs\": {}"), "tiny.json: runs: expected a list of objects"},
        {FILE_OF(TEXT ", \"runs\": [1]"), "tiny.json: runs: expected a list of objects"},
        {FILE_OF(TEXT ", \"runs\": [{}]"),
         "tiny.json: run 1 has the name \"\", expected one that begins with a letter or a digit"},
        {FILE_OF(TEXT ", \"runs\": [{\"name\": \"../a\"}]"),
         "tiny.json: run 1 has the name \"..-a\", expected one that begins with a letter or a digit"},
        {FILE_OF(TEXT ", \"runs\": [{\"name\": \"data\"}]"),
         "tiny.json: a run cannot have the name \"data\", which the experiment needs itself"},
        {FILE_OF(TEXT ", \"runs\": [{\"name\": \"experiment.json\"}]"),
         "tiny.json: a run cannot have the name \"experiment.json\", which the experiment needs itself"},
        {FILE_OF(TEXT ", \"sample\": {}, " GOOD),
         "tiny.json: sample: prompt is missing: expected a text that is not empty"},
        {FILE_OF("\"tokens\": {\"train\": \"a\"}, \"sample\": {\"prompt\": \"a\"}, " GOOD),
         "tiny.json: sample: expected a text, or tokens with a tokenizer"},
        {FILE_OF(TEXT
                 ", \"vary\": {\"seed\": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], \"steps\": [1, 2, 3, 4, 5, 6, 7, 8, 9, "
                 "10], \"d_ff\": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}"),
         "tiny.json: more than 1000 runs"},
        {FILE_OF(TEXT ", \"vary\": {\"x\\u001b[31m\": [1]}"),
         "tiny.json: run x--31m-1: unknown option --x\\x1B[31m; see cs336 train --help"},
        {FILE_OF(TEXT ", \"vary\": {\"big\": [true]}"),
         "tiny.json: run big: unknown option --big; see cs336 train --help"},
        {FILE_OF(TEXT ", \"common\": {\"d_modell\": 5}, " GOOD),
         "tiny.json: run lr-1: unknown option --d-modell; see cs336 train --help"},
        {FILE_OF(TEXT ", \"common\": {\"norm\": \"x\"}, " GOOD),
         "tiny.json: run lr-1: --norm: \"x\" is not one of pre|post|none; see cs336 train --help"},
        {FILE_OF("\"kind\": \"sgd\", \"vary\": {\"d_model\": [1]}"),
         "tiny.json: run d-model-1: unknown option --d-model; see cs336 experiment --help"},
        {FILE_OF(TEXT ", " GOOD), "./train.txt: No such file or directory; expected a file, for example from section "
                                  "0.4 of docs/book/start.md; --data DIR names its directory"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char message[512];
        snprintf(message, sizeof message, "cs336 experiment: %s", cases[i].message);
        write_text("tiny.json", cases[i].file);
        assert_shell_fails(1, message, RUN "x");
    }
    assert_shell_ok("! test -e x");
#undef FILE_OF
#undef GOOD
}
END_TEST

START_TEST(test_experiment_command_line)
{
    assert_shell_fails(2, "cs336 experiment: FILE is missing; see cs336 experiment --help", "cs336 experiment --list");
    assert_shell_fails(2, "cs336 experiment: unexpected argument \"b\"; see cs336 experiment --help",
                       "cs336 experiment a b");
    assert_shell_fails(1, "cs336 experiment: a: cannot read: No such file or directory", "cs336 experiment a");
    assert_shell_ok("cs336 experiment --help");
    assert_prints("Usage: cs336 experiment FILE [options]\n");
    make_text();
    write_text("tiny.json", MATRIX);
    assert_shell_fails(1, "cs336 experiment: --only: tiny.json has no run \"x\"; --list prints their names",
                       "cs336 experiment --data . --only x tiny.json");
    /* An option without a value is given by true, and not given by false. */
    write_text("flag.json",
               "{\"title\": \"T\", " TEXT ", \"common\": {\"big_one\": true}, \"vary\": {\"big_one\": [false]}}");
    assert_shell_ok("cs336 experiment flag.json --list");
    ck_assert_str_eq(shell_output, "T\nno-big-one  not begun  \nall runs:\n");
    /* The data's commands give the reason. */
    assert_shell_ok("printf '\"' >train.txt && mkdir -p x/data/tokenizer.json");
    ck_assert_int_eq(shell(RUN "x"), 1);
    ck_assert_str_eq(shell_errors,
                     "cs336 experiment: cs336 train-bpe: x/data/tokenizer.json: cannot write: Is a directory\n");
}
END_TEST

/* ---- the toy problem ---- */

START_TEST(test_experiment_of_sgd)
{
    write_text("tiny.json", "{\"title\": \"SGD\", \"kind\": \"sgd\", \"vary\": {\"lr\": [1, 10, 100, 1000]}}");
    assert_shell_ok(RUN "x");
    assert_prints("run 3 of 4  lr-100: complete, loss ");
    assert_prints("run 4 of 4  lr-1000: diverged, the loss rose from ");
    static const char *const names[] = {"lr-1", "lr-10", "lr-100", "lr-1000"};
    double rate = 1;
    for (size_t i = 0; i < 4; i++, rate *= 10) {
        double factor = 1, first = 0;
        char line[256];
        snprintf(line, sizeof line, "cat x/%s/log.jsonl", names[i]);
        assert_shell_ok(line);
        const char *text = shell_output;
        for (int t = 0; t < 10; t++) {
            double loss, lr;
            int step;
            test_label("lr %g, step %d", rate, t + 1);
            text = strstr(text, "{\"step\":");
            ck_assert_ptr_nonnull(text);
            ck_assert_int_eq(sscanf(text, "{\"step\":%d,", &step), 1);
            ck_assert_int_eq(sscanf(strstr(text, "\"train_loss\":"), "\"train_loss\":%lf,", &loss), 1);
            ck_assert_int_eq(sscanf(strstr(text, "\"lr\":"), "\"lr\":%lf,", &lr), 1);
            first = t ? first : loss;
            ck_assert_int_eq(step, t + 1);
            ck_assert_double_eq_tol(lr, rate / sqrt(t + 1), 1e-8 * lr);
            ck_assert_double_eq_tol(loss / first, factor * factor, 1e-5 * factor * factor + 1e-12);
            factor *= 1 - 2 * rate / (100 * sqrt(t + 1));
            text++;
        }
        ck_assert_ptr_null(strstr(text, "{\"step\":"));
    }
    test_label_end();
    assert_shell_ok("cp -rp x before && " RUN "x && diff -r x before");
    assert_prints("run 4 of 4  lr-1000: diverged as before, the loss rose from ");
}
END_TEST

/* ---- the experiments of the handout ---- */

START_TEST(test_the_experiments_of_the_handout_are_valid)
{
    char directory[1024];
    ck_assert_ptr_nonnull(getcwd(directory, sizeof directory));
    ck_assert_int_eq(
        shell("n=0; for file in '%s'/docs/experiments/*.json; do cs336 experiment \"$file\" --list >>log || "
              "exit; n=$((n + 1)); done; echo $n",
              directory),
        0);
    ck_assert_str_eq(shell_output, "9\n");
}
END_TEST

static const char *no_terminal_or_slow(void)
{
    return no_terminal() ? no_terminal() : too_long_to_emulate();
}

const TestCase cli_experiment_tests[] = {
    TEST_UNLESS(test_experiment_trains_every_combination, "experiment_log", too_long_to_emulate),
    TEST_UNLESS(test_experiment_records_results, "experiment_log", too_long_to_emulate),
    TEST_UNLESS(test_experiment_leaves_complete_runs, "experiment_log", too_long_to_emulate),
    TEST_UNLESS(test_experiment_on_ready_ids, "experiment_log", too_long_to_emulate),
    TEST_UNLESS(test_an_experiment_keeps_the_files_of_its_directory, "experiment_log", too_long_to_emulate),
    TEST_UNLESS(test_a_killed_experiment_goes_on, "experiment_log", too_long_to_emulate),
    TEST_UNLESS(test_a_training_ends_with_its_experiment, "experiment_log", not_linux_itself),
    TEST_UNLESS(test_a_signal_saves_the_run, "experiment_log", too_long_to_emulate),
    TEST_UNLESS(test_ctrl_c_stops_an_experiment, "experiment_log", no_terminal_or_slow),
    TEST_UNLESS(test_the_others_go_on_when_a_run_fails, "experiment_log", too_long_to_emulate),
    TEST_UNLESS(test_changed_settings_are_not_mixed, "experiment_log", too_long_to_emulate),
    TEST_UNLESS(test_an_experiment_touches_no_other_run, "experiment_log", too_long_to_emulate),
    TEST(test_bad_experiments_are_named, "experiment_log"),
    TEST(test_experiment_command_line, "cli"),
    TEST(test_experiment_of_sgd, "learning_rate_tuning"),
    TEST(test_the_experiments_of_the_handout_are_valid, "experiment_log"),
    {0},
};
