/* Files and the environment as they are in the field: other widths, cut files, links, permissions, ignored signals. */
#include "core/file.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tests/support/program.h"
#include "tests/support/python.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL \
    "--vocab-size 300 --context-length 16 --d-model 16 --num-layers 2 --num-heads 2 --batch-size 2 --threads 1 "
#define TRAIN "cs336 train --train train.bin " MODEL
#define FILES " --vocab vocab.json --merges merges.txt "
#define GENERATE "cs336 generate --checkpoint run/checkpoint.safetensors" FILES "--max-tokens 12 --seed 3 "

static void make_tokens(void)
{
    assert_shell_ok("cs336 story --stories 30 --seed 1 --output train.txt");
    assert_shell_ok("cs336 train-bpe --input train.txt --vocab-size 300 --special-token '<|endoftext|>' --vocab "
                    "vocab.json --merges merges.txt >log 2>&1");
    assert_shell_ok("cs336 encode --special-token '<|endoftext|>'" FILES "--input train.txt --output train.bin >log");
}

/* ---- files of ids ---- */

START_TEST(test_ids_are_described_and_checked)
{
    make_tokens();
    assert_shell_ok("sed 's/tokens\":[0-9]*/tokens\":/' train.bin.json");
    ck_assert_str_eq(shell_output, "{\"dtype\":\"uint16\",\"vocab_size\":300,\"tokens\":}\n");
    assert_shell_ok("cs336 encode --special-token '<|endoftext|>'" FILES
                    "--input train.txt --output train.npy >log && cs336 decode" FILES
                    "--input train.npy --output back >log && cmp back train.txt && cs336 decode" FILES
                    "--input train.bin --output back >log && cmp back train.txt && cs336 decode" FILES
                    "--input - --output back <train.bin >log && cmp back train.txt && ! test -e train.npy.json");
    assert_shell_ok(TRAIN "--steps 3 --out raw && cs336 train --train train.npy " MODEL
                          "--steps 3 --out npy && cmp raw/checkpoint.safetensors npy/checkpoint.safetensors");
    assert_shell_fails(1,
                       "cs336 train: train.bin: the ids come from a vocabulary of 300 tokens, as its .json says; "
                       "expected at most the vocabulary size 299",
                       TRAIN "--steps 3 --out new --vocab-size 299");
    assert_shell_ok("cp train.bin.json other.bin.json && head -c 2000 train.bin >other.bin");
    ck_assert_int_eq(shell("cs336 train --train other.bin " MODEL "--steps 3 --out new"), 1);
    ck_assert_ptr_nonnull(strstr(shell_errors, "other.bin: 2000 bytes, but "));
    ck_assert_ptr_nonnull(strstr(shell_errors, "the two do not belong together"));
    ck_assert_int_eq(shell("cs336 train --train train.bin --val other.bin " MODEL "--steps 3 --out new"), 1);
    ck_assert_int_eq(shell("cs336 decode" FILES "--input other.bin --output new"), 1);
    ck_assert_int_ne(shell("test -e new"), 0);
    assert_shell_ok("cs336 encode --special-token '<|endoftext|>'" FILES
                    "--input train.txt --output - 2>log | cmp - train.bin && ! test -e ./-.json");
    assert_shell_fails(1, "cs336 decode: standard input: .npy, expected raw ids: give the name of the file instead",
                       "cs336 decode" FILES "--input - --output new <train.npy");
}
END_TEST

/* Writes the ids of train.bin as uint32 to wide.bin. */
static void write_wide(void)
{
    static uint32_t wide[1 << 16];
    LoadedFile file;
    assert_ok(file_load(&file, temp_path("train.bin")));
    const size_t count = file.size / 2;
    ck_assert_uint_lt(count, sizeof wide / sizeof *wide);
    for (size_t i = 0; i < count; i++)
        wide[i] = (uint32_t)(file.data[2 * i] | file.data[2 * i + 1] << 8);
    write_file(temp_path("wide.bin"), wide, count * sizeof *wide);
    file_unload(&file);
}

START_TEST(test_ids_of_another_width_are_named)
{
    make_tokens();
    write_wide();
    ck_assert_int_eq(shell("cs336 train --train wide.bin " MODEL "--steps 3 --out new"), 1);
    ck_assert_ptr_nonnull(strstr(shell_errors,
                                 "cs336 train: wide.bin: these look like uint32 ids (every second uint16 is "
                                 "0), but a vocabulary of 300 is read as uint16; give the vocabulary that "
                                 "they come from, or write their width into wide.bin.json: "));
    ck_assert_int_eq(shell("cs336 decode" FILES "--input - --output new <wide.bin"), 1);
    ck_assert_ptr_nonnull(strstr(shell_errors, "cs336 decode: standard input: these look like uint32 ids"));
    ck_assert_int_eq(shell("rm train.bin.json; " TRAIN "--vocab-size 70000 --steps 3 --out new"), 1);
    ck_assert_ptr_nonnull(strstr(shell_errors, "cs336 train: train.bin: these look like uint16 ids"));
    /* The message has the line that mends it. */
    assert_shell_ok("cs336 train --train wide.bin " MODEL
                    "--steps 3 --out new 2>&1 | sed 's/.*: {/{/' >said; mv said wide.bin.json; "
                    "cs336 train --train wide.bin " MODEL "--steps 3 --out new && cs336 decode" FILES
                    "--input wide.bin --output back >log && cmp back train.txt");
}
END_TEST

START_TEST(test_a_sidecar_replaces_no_other_file)
{
    make_tokens();
    assert_shell_ok("echo '{\"text\": \"a\"}' >corpus.json && cp vocab.json same");
    ck_assert_int_eq(shell("cs336 encode --special-token '<|endoftext|>'" FILES "--input corpus.json --output corpus"),
                     1);
    ck_assert_ptr_nonnull(strstr(shell_errors, "corpus.json: cannot write: it is another JSON file"));
    ck_assert_int_eq(shell("cs336 encode --special-token '<|endoftext|>'" FILES "--input train.txt --output vocab"), 1);
    assert_shell_ok("cmp vocab.json same && ! test -e vocab && ! test -e corpus");
    /* A sidecar that is itself the input. */
    ck_assert_int_eq(
        shell("cs336 encode --special-token '<|endoftext|>'" FILES "--input train.bin.json --output train.bin"), 1);
    ck_assert_ptr_nonnull(strstr(shell_errors, "train.bin.json: cannot write: it is also the input"));
}
END_TEST

static const char *no_numpy(void)
{
    char line[1024];
    snprintf(line, sizeof line, "'%s' -c 'import numpy' >/dev/null 2>&1", python_command());
    return system(line) == 0 ? NULL : "python3 has no package numpy; CS336_PYTHON names one that has";
}

START_TEST(test_numpy_reads_the_ids)
{
    char line[1024];
    make_tokens();
    snprintf(line, sizeof line,
             "cs336 encode --special-token '<|endoftext|>'" FILES
             "--input train.txt --output train.npy >log && '%s' -c 'import numpy as np; "
             "a = np.load(\"train.npy\"); b = np.fromfile(\"train.bin\", \"<u2\"); assert a.dtype == b.dtype and "
             "(a == b).all(); np.save(\"wide.npy\", a.astype(\"<u4\"))' && cs336 decode" FILES
             "--input wide.npy --output back >log && cmp back train.txt",
             python_command());
    assert_shell_ok(line);
}
END_TEST

/* ---- files that others change meanwhile ---- */

START_TEST(test_token_files_that_are_cut_in_training_give_a_message)
{
    make_tokens();
    assert_shell_ok("cp train.bin data.bin");
    ck_assert_int_eq(shell("{ until test -s run/log.jsonl; do sleep 0.02; done; : >data.bin; } & cs336 train --train "
                           "data.bin " MODEL "--steps 1000000 --checkpoint-every 0 --log-every 1 --out run >log"),
                     1);
    ck_assert_ptr_nonnull(strstr(shell_errors, "cs336 train: data.bin: cannot read: expected "));
    ck_assert_ptr_nonnull(
        strstr(shell_errors, " bytes, there are 0; another process has cut the file; the run is saved after step "));
    /* The message is the same if the last step was saved before the failure. */
    assert_shell_ok("cp train.bin data.bin");
    ck_assert_int_eq(shell("{ until test -s run2/checkpoint.safetensors; do sleep 0.02; done; : >data.bin; } & cs336 "
                           "train --train data.bin " MODEL
                           "--steps 1000000 --checkpoint-every 1 --log-every 1 --out run2 >log"),
                     1);
    const char *saved =
        strstr(shell_errors, " bytes, there are 0; another process has cut the file; the run is saved after step ");
    ck_assert_ptr_nonnull(saved);
    char expected[128];
    snprintf(expected, sizeof expected, "tail -1 run2/log.jsonl | grep '\"step\":%d,'", atoi(strrchr(saved, ' ')));
    assert_shell_ok(expected);
}
END_TEST

/* ---- permissions and killed writers ---- */

START_TEST(test_an_overwritten_run_keeps_its_permissions)
{
    make_tokens();
    assert_shell_ok("umask 022; " TRAIN "--steps 3 --out run >log && chmod 600 run/checkpoint.safetensors && chmod 640 "
                    "run/log.jsonl && chmod 660 run/config.json && " TRAIN "--steps 4 --checkpoint-every 2 --out run "
                    "--overwrite >log && ls -l run | awk 'NF > 3 {print substr($1, 1, 10), $NF}'");
    ck_assert_str_eq(shell_output, "-rw------- checkpoint-step-2.safetensors\n-rw------- checkpoint.safetensors\n"
                                   "-rw-rw---- config.json\n-rw-r----- log.jsonl\n");
    assert_shell_ok("wc -l <run/log.jsonl");
    ck_assert_int_eq(atoi(shell_output), 1);
}
END_TEST

/* Whenever train-bpe is killed, encode gives the ids of one of the two trainings, or says that the merges are missing.
 */
START_TEST(test_a_killed_train_bpe_leaves_no_mixture)
{
    assert_shell_ok(
        "cs336 story --stories 20 --output text; for n in 280 300; do cs336 train-bpe --input text "
        "--vocab-size $n --vocab v$n --merges m$n >log 2>&1 && cs336 encode --vocab v$n --merges m$n --input text "
        "--output ids$n >log; done; cp v280 v; cp m280 m");
    assert_shell_ok("for i in $(seq 40); do { \"$program\" train-bpe --input text --vocab-size $((280 + i % 2 * 20)) "
                    "--vocab v --merges m >log & sleep 0.00$((i % 10)); kill -9 $!; wait $! || :; } 2>killed; "
                    "if cs336 encode --vocab v --merges m --input text --output ids >log 2>said; then "
                    "cmp -s ids ids280 || cmp -s ids ids300 || exit 1; "
                    "else grep '^cs336 encode: m: No such file or directory; expected a file, for example from cs336 "
                    "train-bpe$' said >log || { cat said; exit 1; }; fi; done");
}
END_TEST

/* ---- runs ---- */

START_TEST(test_a_resume_beyond_the_end_changes_nothing)
{
    make_tokens();
    assert_shell_ok(TRAIN "--steps 60 --stop-at 30 --checkpoint-every 10 --out run && cp -r run copy");
    assert_shell_fails(
        1,
        "cs336 train: run/checkpoint.safetensors: at step 30, beyond the last of 20 steps: to resume, give "
        "at least 30 steps, or rename an older checkpoint-step-N.safetensors to checkpoint.safetensors",
        TRAIN "--steps 20 --out run --resume --keep 1");
    assert_shell_ok("diff -r run copy && " TRAIN "--steps 30 --out run --resume");
    assert_prints("nothing left to do: the checkpoint in run is at step 30\n");
    assert_shell_ok(TRAIN "--steps 60 --out run --resume");
}
END_TEST

/* Nothing is done, as at the end of a run, but it is not the end. */
START_TEST(test_a_stop_behind_the_checkpoint_is_not_the_end)
{
    make_tokens();
    assert_shell_ok(TRAIN "--steps 60 --stop-at 30 --out run && cp -r run copy");
    assert_shell_ok(TRAIN "--steps 60 --stop-at 25 --out run --resume");
    assert_prints("nothing to do up to --stop-at 25: the checkpoint in run is at step 30 of 60; to continue, leave out "
                  "--stop-at, or give one above 30\n");
    ck_assert_ptr_null(strstr(shell_output, "nothing left to do"));
    assert_shell_ok(TRAIN "--steps 60 --stop-at 30 --out run --resume");
    assert_prints("nothing to do up to --stop-at 30: the checkpoint in run is at step 30 of 60; ");
    assert_shell_ok("diff -r run copy && " TRAIN "--steps 30 --stop-at 25 --out run --resume");
    assert_prints("nothing left to do: the checkpoint in run is at step 30\n");
    assert_shell_ok(TRAIN "--steps 60 --stop-at 31 --out run --resume");
    assert_prints("stopped after step 31 of 60 and saved; ");
}
END_TEST

START_TEST(test_too_many_threads_in_the_environment_are_limited)
{
    make_tokens();
    assert_shell_ok(TRAIN "--steps 2 --out run");
    ck_assert_int_eq(shell("OMP_NUM_THREADS=100000 " TRAIN "--steps 2 --out other"), 0);
    if (*shell_errors) /* empty in a build without OpenMP */
        ck_assert_str_eq(shell_errors, "cs336: OMP_NUM_THREADS is 100000, expected at most 1024: 1024 threads are used "
                                       "unless --threads says otherwise\n");
    assert_shell_ok("cmp run/checkpoint.safetensors other/checkpoint.safetensors");
    assert_shell_ok("OMP_NUM_THREADS=2 " TRAIN "--steps 2 --out two");
}
END_TEST

/* ---- prompts ---- */

/* "a" is one token. If --stop made it a special token, "cat" would be encoded as "c", "a", "t". */
START_TEST(test_stop_does_not_change_the_prompt)
{
    make_tokens();
    assert_shell_ok(TRAIN "--steps 3 --out run");
    for (int i = 0; i < 2; i++) {
        const char *prompt = i ? "" : "--prompt 'the cat had a day' ";
        ck_assert_int_eq(
            shell(GENERATE
                  "%s --temperature 0 --stop '' >none; " GENERATE
                  "%s --temperature 0 --stop qz >text; head -c 18 none >a; head -c 18 text | cmp - a && " GENERATE
                  "%s --temperature 0 --stop Q >other; head -c 18 other | cmp - a",
                  prompt, prompt, prompt),
            0);
    }
    /* The model has hardly learned, so that each of the 300 tokens is drawn at some time. What is drawn before the stop
     * token is that of the run without one. A line feed ends the text. With this seed no zero byte comes before "e". */
    static char whole[sizeof shell_output];
    assert_shell_ok(GENERATE "--prompt 'the day' --temperature 1 --top-p 1 --seed 4 --max-tokens 3000 --stop ''");
    memcpy(whole, shell_output, sizeof whole);
    assert_shell_ok(GENERATE "--prompt 'the day' --temperature 1 --top-p 1 --seed 4 --max-tokens 3000 --stop e");
    const size_t length = strlen(shell_output) - 1;
    ck_assert_uint_lt(length + 1, strlen(whole));
    ck_assert_mem_eq(shell_output, whole, length);
    ck_assert_int_eq(whole[length], 'e');
}
END_TEST

START_TEST(test_a_missing_and_an_empty_prompt_have_messages_of_their_own)
{
    make_tokens();
    assert_shell_ok(TRAIN "--steps 3 --out run && " GENERATE "--stop '' && " GENERATE "--prompt '' --stop ''");
    assert_shell_ok(
        "cs336 train-bpe --input train.txt --vocab-size 300 --vocab vocab.json --merges merges.txt >log 2>&1");
#define TELL                                                                                                     \
    ", and the vocabulary has no <|endoftext|> to start a document with; give a text by --prompt, or the token " \
    "between "                                                                                                   \
    "documents by --stop"
    assert_shell_fails(1, "cs336 generate: --prompt is missing" TELL, GENERATE);
    assert_shell_fails(1, "cs336 generate: --prompt is missing" TELL, GENERATE "--stop ''");
    assert_shell_fails(1, "cs336 generate: --prompt is empty" TELL, GENERATE "--prompt ''");
#undef TELL
    assert_shell_ok(GENERATE "--stop .");
}
END_TEST

const TestCase cli_files_tests[] = {
    TEST(test_ids_are_described_and_checked, "token_file"),
    TEST(test_ids_of_another_width_are_named, "token_file"),
    TEST(test_a_sidecar_replaces_no_other_file, "token_file"),
    TEST_UNLESS(test_numpy_reads_the_ids, "token_file", no_numpy),
    TEST(test_token_files_that_are_cut_in_training_give_a_message, "data_loading"),
    TEST(test_an_overwritten_run_keeps_its_permissions, "training_together"),
    TEST(test_a_killed_train_bpe_leaves_no_mixture, "train_bpe"),
    TEST(test_a_resume_beyond_the_end_changes_nothing, "training_together"),
    TEST(test_a_stop_behind_the_checkpoint_is_not_the_end, "cli"),
    TEST(test_too_many_threads_in_the_environment_are_limited, "cli"),
    TEST(test_stop_does_not_change_the_prompt, "decoding"),
    TEST(test_a_missing_and_an_empty_prompt_have_messages_of_their_own, "decoding"),
    {0},
};
