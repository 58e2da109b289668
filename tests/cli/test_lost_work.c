/* Tests that no work is lost: by kills, closed pipes, a second run in a directory, or an output that is an input. */
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tests/support/program.h"
#include "tests/support/terminal.h"

#include <stdio.h>
#include <string.h>

#define MODEL \
    "--vocab-size 300 --context-length 16 --d-model 16 --num-layers 2 --num-heads 2 --batch-size 2 --threads 1"
#define ENDLESS "train --train train.bin " MODEL " --steps 2000000 --checkpoint-every 0 --log-every 1"

static void make_tokens(void)
{
    assert_shell_ok("cs336 story --stories 30 --seed 1 --output train.txt");
    assert_shell_ok(
        "cs336 train-bpe --input train.txt --vocab-size 300 --vocab vocab.json --merges merges.txt >log 2>&1");
    assert_shell_ok("cs336 encode --vocab vocab.json --merges merges.txt --input train.txt --output train.bin >log");
}

/* ---- an existing run ---- */

START_TEST(test_train_refuses_a_directory_that_holds_a_run)
{
    make_tokens();
    assert_shell_ok("cs336 train --train train.bin " MODEL " --steps 6 --out run && cp -r run copy");
    assert_shell_fails(1, "cs336 train: run contains a training run: --resume continues it, --overwrite deletes it",
                       "cs336 train --train train.bin " MODEL " --steps 6 --out run");
    assert_shell_fails(2,
                       "cs336 train: --resume keeps the run in DIR, --overwrite deletes it: give one of them; see "
                       "cs336 train --help",
                       "cs336 train --train train.bin " MODEL " --steps 6 --out run --resume --overwrite");
    assert_shell_ok("diff -r run copy");
    assert_shell_ok("cs336 train --train train.bin " MODEL " --steps 4 --out run --overwrite && ls run && "
                    "! cmp run/checkpoint.safetensors copy/checkpoint.safetensors >log");
}
END_TEST

/* --overwrite removes the old checkpoint first, so that a mixture of two runs cannot be resumed after a kill. */
START_TEST(test_an_overwriting_run_that_is_killed_never_resumes_the_old_one)
{
    make_tokens();
    assert_shell_ok("cs336 train --train train.bin " MODEL " --steps 6 --log-every 1 --out old");
    for (int i = 0; i < 25; i++) {
        test_label("killed after %d ms", 2 * i);
        assert_shell_ok("rm -rf run && cp -r old run");
        shell("{ \"$program\" " ENDLESS " --seed 2 --out run --overwrite >log & sleep 0.0%02d; kill -9 $!; wait $!; } "
              "2>killed",
              2 * i);
        assert_shell_ok("if test -e run/checkpoint.safetensors; then diff -r old run; fi");
    }
}
END_TEST

START_TEST(test_a_second_run_in_a_directory_is_refused)
{
    make_tokens();
    assert_shell_ok("\"$program\" " ENDLESS " --out run >out & until test -s run/log.jsonl; do sleep 0.02; done; "
                    "cs336 train --train train.bin " MODEL " --steps 9 --out run --resume 2>said; test $? = 1 || exit; "
                    "cs336 train --train train.bin " MODEL " --steps 9 --out run --overwrite 2>>said; test $? = 1 || "
                    "exit; kill -TERM $!; wait $! && cat said");
    ck_assert_str_eq(shell_output, "cs336 train: run: another process is writing to this directory\n"
                                   "cs336 train: run: another process is writing to this directory\n");
    /* A killed run leaves no lock. */
    assert_shell_ok("{ \"$program\" " ENDLESS
                    " --out killed >out & until test -s killed/log.jsonl; do sleep 0.02; done; "
                    "kill -9 $!; wait $! || :; } 2>log; cs336 train --train train.bin " MODEL
                    " --steps 3 --out killed --overwrite");
}
END_TEST

/* ---- signals, pipes and terminals ---- */

/* Ctrl-C also ends tee, often before the run prints its next line. */
START_TEST(test_ctrl_c_saves_when_output_is_piped)
{
    make_tokens();
    for (int i = 0; i < 4; i++) {
        test_label("round %d", i);
        terminal_run("exec 2>&1; rm -rf run; \"$program\" " ENDLESS " --out run | tee log", "step    3/", "\003");
        assert_shell_ok("for i in $(seq 100); do test -s run/checkpoint.safetensors && exit; sleep 0.1; "
                        "done; ls run; false");
    }
}
END_TEST

START_TEST(test_a_reader_that_goes_does_not_end_the_run)
{
    make_tokens();
    assert_shell_ok("{ cs336 train --train train.bin " MODEL " --steps 300 --log-every 1 --out run; echo $? >code; } "
                    "2>said | true; test \"$(cat code)\" = 0 && tail -1 said");
    ck_assert_str_eq(shell_output, "run/checkpoint.safetensors is ready for cs336 generate\n");
}
END_TEST

START_TEST(test_a_full_standard_output_does_not_end_the_run)
{
    make_tokens();
    assert_shell_ok("cs336 train --train train.bin " MODEL
                    " --steps 30 --out full >/dev/full 2>said && test -s full/checkpoint.safetensors && grep -c "
                    "'^cs336: cannot write to standard output: ' said");
}
END_TEST

/* A reader that does not read, like a terminal stopped by Ctrl-S. The pipe is full after 64 KiB. */
START_TEST(test_a_reader_that_stops_reading_does_not_stop_the_run)
{
    make_tokens();
    assert_shell_ok("mkfifo pipe && { sleep 30 <pipe & cs336 train --train train.bin " MODEL
                    " --steps 2000 --log-every 1 --out run >pipe 2>said; code=$?; kill $!; test $code = 0 && "
                    "test $(wc -l <run/log.jsonl) = 2000 && test -s run/checkpoint.safetensors; }");
}
END_TEST

START_TEST(test_ctrl_c_on_a_terminal_says_what_happens)
{
    make_tokens();
    ck_assert_int_eq(terminal_run("exec \"$program\" " ENDLESS " --out run", " left", "\003"), 0);
    ck_assert_ptr_nonnull(
        strstr(shell_output, "the run stops after this step and is saved; Ctrl-C again stops it now, unsaved"));
    ck_assert_ptr_nonnull(strstr(shell_output, "stopped after step "));
}
END_TEST

/* With each Ctrl-C a terminal discards what it has not shown yet, so the notice of the first may be lost. */
START_TEST(test_two_presses_of_ctrl_c_at_once_save)
{
    make_tokens();
    ck_assert_int_eq(terminal_run("exec \"$program\" " ENDLESS " --out run", " left", "\003\003\003"), 0);
    ck_assert_ptr_nonnull(strstr(shell_output, "stopped after step "));
    assert_shell_ok("test -s run/checkpoint.safetensors");
}
END_TEST

/* A step here takes seconds. A second Ctrl-C half a second after the first ends the run without waiting for it. */
START_TEST(test_a_later_ctrl_c_ends_the_run_at_once)
{
    make_tokens();
    ck_assert_int_eq(
        shell(
            "{ until test -s run/config.json; do sleep 0.02; done; kill -INT $(cat pid); sleep 1.5; "
            "kill -INT $(cat pid); } 2>log & sh -c 'echo $$ >pid; exec \"$program\" train --train train.bin "
            "--vocab-size "
            "300 --context-length 256 --d-model 256 --num-layers 6 --num-heads 4 --batch-size 96 --threads 1 --steps 9 "
            "--out run' >out 2>log"),
        128 + 2);
    assert_shell_ok("! test -e run/checkpoint.safetensors");
}
END_TEST

/* ---- a stop in a validation ---- */

/*
 * Each validation has so many batches that nothing but a signal ends it. SIGTERM may come in step 1 or in the
 * validation after it: the end is the same. `kill -9` may come before the owed validation begins or in it.
 */
START_TEST(test_sigterm_ends_a_long_validation_and_saves)
{
#define VALIDATED "train --train train.bin --val train.bin " MODEL " --log-every 1 --checkpoint-every 0 --val-every 1 "
    make_tokens();
    for (int steps = 1; steps <= 3; steps += 2) {
        test_label("%d steps", steps);
        shell("rm -rf whole run");
        ck_assert_int_eq(shell("cs336 " VALIDATED "--steps %d --val-batches 1 --out whole", steps), 0);
        ck_assert_int_eq(shell("\"$program\" " VALIDATED "--steps %d --val-batches 100000000 --out run >said & until "
                               "test -s run/config.json; do sleep 0.02; done; sleep 0.3; kill -TERM $!; wait $! && "
                               "test -s run/checkpoint.safetensors && grep '^stopped' said",
                               steps),
                         0);
        char said[256];
        snprintf(said, sizeof said,
                 "stopped in the validation after step 1 of %d, which --resume does again, and saved; to continue: "
                 "cs336 train --config run/config.json --out run --resume\n",
                 steps);
        ck_assert_str_eq(shell_output, said);
        shell(
            "{ \"$program\" train --config run/config.json --out run --resume >log & sleep 0.5; kill -9 $!; wait $!; } "
            "2>killed");
        ck_assert_int_eq(
            shell("cs336 train --config run/config.json --val-batches 1 --out run --resume && cmp run/best.safetensors "
                  "whole/best.safetensors && cmp run/checkpoint.safetensors whole/checkpoint.safetensors && "
                  "test $(grep -c val_loss run/log.jsonl) = %d && test $(wc -l <run/log.jsonl) = %d",
                  steps, steps),
            0);
        assert_prints(steps == 1 ? "\n1 step, 32 tokens in " : "\n3 steps, 96 tokens in ");
        assert_prints("/checkpoint.safetensors is ready for cs336 generate\n");
        assert_shell_ok("cs336 report run whole");
    }
    test_label_end();
#undef VALIDATED
}
END_TEST

/* ---- numbers ---- */

START_TEST(test_weights_that_are_not_numbers_never_replace_good_ones)
{
    make_tokens();
    assert_shell_fails(2, "cs336 train: --eps: 1e-50 is too small for a 32-bit float; see cs336 train --help",
                       "cs336 train --train train.bin " MODEL " --steps 6 --out run --eps 1e-50");
    assert_shell_fails(2, "cs336 train: --lr: 1e300 is not between 0 and 1e+06; see cs336 train --help",
                       "cs336 train --train train.bin " MODEL " --steps 6 --out run --lr 1e300");
    assert_shell_ok("cs336 train --train train.bin " MODEL " --steps 60 --stop-at 4 --checkpoint-every 2 --out run && "
                    "cp run/checkpoint.safetensors good");
    ck_assert_int_eq(shell("cs336 train --train train.bin " MODEL " --steps 60 --checkpoint-every 0 --out run --resume "
                           "--lr 1e6 --warmup-steps 0 --max-grad-norm 0"),
                     1);
    ck_assert_ptr_nonnull(strstr(shell_errors,
                                 "a lower learning rate may help\nolder checkpoints: step 2; to resume from one, "
                                 "first rename run/checkpoint-step-N.safetensors to checkpoint.safetensors\n"));
    /* The first message says that the settings differ from those of the run so far. */
    ck_assert(
        strncmp(shell_errors, "cs336 train: the run continues with changed settings: lr 1e+06 (was 0.001), ", 76) == 0);
    assert_shell_ok(
        "cmp run/checkpoint.safetensors good && mv run/checkpoint-step-2.safetensors "
        "run/checkpoint.safetensors && cs336 train --train train.bin " MODEL
        " --steps 60 --stop-at 4 --checkpoint-every 2 --out run --resume 2>log && cmp run/checkpoint.safetensors "
        "good");
}
END_TEST

START_TEST(test_a_run_that_diverges_names_the_best_weights)
{
    make_tokens();
    assert_shell_ok("cs336 train --train train.bin --val train.bin --val-every 2 --val-batches 1 " MODEL
                    " --steps 60 --stop-at 4 --out run --overwrite");
    ck_assert_int_eq(shell("cs336 train --train train.bin --val train.bin --val-every 2 --val-batches 1 " MODEL
                           " --steps 60 --out run --resume --lr 1e6 --warmup-steps 0 --max-grad-norm 0"),
                     1);
    const char *best = strstr(shell_errors, "a lower learning rate may help\nrun/best.safetensors has the weights with "
                                            "the best validation loss, ");
    ck_assert_ptr_nonnull(best);
    ck_assert_ptr_nonnull(strstr(best, " in step 4; train again with a --lr below 1e+06, from the start or from these "
                                       "weights with --init-from\nolder checkpoints: step 2; "));
}
END_TEST

/* ---- an output that is also another output or an input ---- */

START_TEST(test_no_output_is_another_output_or_an_input)
{
#define BPE "cs336 train-bpe --input train.txt --vocab-size 270 "
#define FILES " --vocab vocab.json --merges merges.txt "
    static const struct {
        const char *line, *message;
    } cases[] = {
        {BPE "--vocab ./sf --merges sf", "train-bpe: sf: cannot write: it is also the vocabulary"},
        {BPE "--vocab sf --merges ./sf", "train-bpe: ./sf: cannot write: it is also the vocabulary"},
        {BPE "--vocab sf --merges sub/../sf", "train-bpe: sub/../sf: cannot write: it is also the vocabulary"},
        {BPE "--vocab sub/sf --merges linked/sf", "train-bpe: linked/sf: cannot write: it is also the vocabulary"},
        {BPE "--vocab sf --merges m --tokenizer ./m", "train-bpe: ./m: cannot write: it is also the list of merges"},
        {BPE "--vocab - --merges -", "train-bpe: -: cannot write: it is also the vocabulary"},
        {BPE "--vocab hard --merges m", "train-bpe: hard: cannot write: it is also the input"},
        {BPE "--vocab sf --merges - >>train.txt", "train-bpe: -: cannot write: it is also the input"},
        {"cs336 encode" FILES "--input train.txt --output ./vocab.json",
         "encode: ./vocab.json: cannot write: it is also the vocabulary"},
        {"cs336 encode" FILES "--input train.txt --output merges.txt",
         "encode: merges.txt: cannot write: it is also the list of merges"},
        {"cs336 encode" FILES "--input train.txt --output - >>train.txt",
         "encode: -: cannot write: it is also the input"},
        {"cs336 encode" FILES "--input - --output soft <train.txt", "encode: soft: cannot write: it is also the input"},
        {"cs336 decode" FILES "--input train.bin --output linked/../vocab.json",
         "decode: linked/../vocab.json: cannot write: it is also the vocabulary"},
        {"cs336 decode" FILES "--input train.bin --output ./train.bin",
         "decode: ./train.bin: cannot write: it is also the input"},
        {"cs336 decode" FILES "--input train.bin --output merges.txt",
         "decode: merges.txt: cannot write: it is also the list of merges"},
        {"cs336 export-tokenizer" FILES "--output ./merges.txt",
         "export-tokenizer: ./merges.txt: cannot write: it is also the list of merges"},
        {"cs336 train --train run/log.jsonl " MODEL " --steps 2 --overwrite --out run",
         "train: --train run/log.jsonl: the run in run would overwrite or delete this file"},
        {"cs336 train --train train.bin --val sub/../run/config.json " MODEL " --steps 2 --overwrite --out run",
         "train: --val sub/../run/config.json: the run in run would overwrite or delete this file"},
    };
    make_tokens();
    assert_shell_ok("mkdir sub run && ln -s sub linked && ln train.txt hard && ln -s train.txt soft && "
                    "cp train.bin run/log.jsonl && cp train.bin run/config.json && mkdir kept && "
                    "cp train.txt train.bin vocab.json merges.txt run/* kept");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char message[256];
        snprintf(message, sizeof message, "cs336 %s", cases[i].message);
        assert_shell_fails(1, message, cases[i].line);
    }
    assert_shell_ok("for file in train.txt train.bin vocab.json merges.txt; do cmp $file kept/$file || exit; done; "
                    "cmp run/log.jsonl kept/log.jsonl && cmp run/config.json kept/config.json && ls sub sf m 2>log; "
                    "test -z \"$(ls sub)\" && ! test -e sf && ! test -e m");
    /* The same name in two directories is two files. */
    assert_shell_ok(BPE "--vocab sub/sf --merges sf 2>log");
#undef BPE
#undef FILES
}
END_TEST

/* ---- kill -9 while saving ---- */

START_TEST(test_killed_saves_leave_no_files)
{
#define RUN                                                                                        \
    "train --train train.bin --val train.bin --val-every 3 --val-batches 1 " MODEL " --steps 400 " \
    "--log-every 5 --checkpoint-every 1 --keep 3"
    make_tokens();
    assert_shell_ok("cs336 " RUN " --out whole");
    assert_shell_ok("how=; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do { \"$program\" " RUN " --out run $how >log & "
                    "sleep 0.0$((i % 7 + 3))$((i * 7 % 10)); kill -9 $!; wait $! || :; } 2>killed; "
                    "if test -e run/checkpoint.safetensors; then how=--resume; else how=--overwrite; fi; done; "
                    "cs336 " RUN " --out run $how");
    assert_shell_ok("ls whole >a; ls run | diff a - && cmp run/checkpoint.safetensors whole/checkpoint.safetensors && "
                    "cmp run/checkpoint-step-398.safetensors whole/checkpoint-step-398.safetensors && "
                    "cmp run/best.safetensors whole/best.safetensors");
#undef RUN
}
END_TEST

/* ---- the best checkpoint, and the end of patience ---- */

#define ROUGH                                                                                                \
    "cs336 train --train train.bin --val train.bin --val-every 1 --val-batches 1 " MODEL " --steps 60 --lr " \
    "0.3 --warmup-steps 8 --max-grad-norm 0 --checkpoint-every 20 "

START_TEST(test_the_best_checkpoint_is_named_and_kept)
{
    make_tokens();
    assert_shell_ok(ROUGH
                    "--out run >said && ls run && sed -n 's/.*\"step\":\\([0-9]*\\).*\"val_loss\":\\([0-9.]*\\).*/"
                    "\\2 \\1/p' run/log.jsonl | sort -n | head -1 >lowest && read loss step <lowest && "
                    "grep -q \"^best: step $step, validation loss [0-9.]*, run/best.safetensors$\" said && "
                    "cs336 generate --checkpoint run/best.safetensors --vocab vocab.json --merges merges.txt "
                    "--prompt a --max-tokens 3 && cs336 train --config run/config.json --out stop --stop-at $step && "
                    "cmp run/best.safetensors stop/checkpoint.safetensors");
    assert_prints("best.safetensors\n");
    assert_shell_ok(ROUGH "--out run --resume");
    assert_prints("nothing left to do: the checkpoint in run is at step 60\nbest: step ");
    /* A directory with nothing but best.safetensors counts as a run: a new one is refused there, and resuming says what
     * to do. */
    assert_shell_ok("mkdir alone && cp run/best.safetensors alone");
    assert_shell_fails(1, "cs336 train: alone contains a training run: --resume continues it, --overwrite deletes it",
                       ROUGH "--out alone");
    assert_shell_fails(1,
                       "cs336 train: alone has no checkpoint.safetensors: to resume from the best one, first copy "
                       "best.safetensors to it",
                       ROUGH "--out alone --resume");
    assert_shell_ok("cp alone/best.safetensors alone/checkpoint.safetensors");
    assert_shell_ok(ROUGH "--out alone --resume && cmp run/checkpoint.safetensors alone/checkpoint.safetensors");
    /* --overwrite removes it, also if the new run has none. */
    assert_shell_ok("cs336 train --train train.bin " MODEL " --steps 2 --out run --overwrite && ! test -e "
                    "run/best.safetensors");
}
END_TEST

START_TEST(test_patience_ends_the_run)
{
    make_tokens();
    assert_shell_fails(2, "cs336 train: --patience counts validations: give --val too; see cs336 train --help",
                       "cs336 train --train train.bin " MODEL " --out run --patience 3");
    assert_shell_ok(ROUGH "--patience 3 --out run");
    assert_prints(" of 60: the last 3 validations brought no lower loss\nbest: step ");
    assert_prints("/best.safetensors\nrun/checkpoint.safetensors is ready for cs336 generate\n");
    ck_assert_ptr_nonnull(strstr(shell_output, "\nstopped early after step "));
    assert_shell_ok("grep -c '\"patience\": 3' run/config.json && test $(wc -l <run/log.jsonl) -lt 60");
    assert_shell_ok("cs336 train --config run/config.json --out run --resume");
    assert_prints("\nnothing left to do: the run stopped early after step ");
    assert_shell_ok("cs336 train --config run/config.json --out run --resume --patience 0 && "
                    "test $(wc -l <run/log.jsonl) = 60");
    assert_prints("60 steps, ");
}
END_TEST

/* ---- unusual directories and files ---- */

#define SMALL "cs336 train --train train.bin " MODEL " --checkpoint-every 2 "

START_TEST(test_resuming_keeps_as_many_checkpoints_as_the_run_began_with)
{
    make_tokens();
    assert_shell_ok(SMALL "--steps 8 --stop-at 6 --keep 3 --out run && cp run/config.json before");
    assert_shell_ok(SMALL "--steps 8 --out run --resume >log && ls run | wc -l && cmp run/config.json before");
    ck_assert_str_eq(shell_output, "5\n");
    assert_shell_ok(SMALL "--steps 8 --lr 0.5 --out run --resume && ls run | wc -l && cmp run/config.json before");
    ck_assert_ptr_nonnull(strstr(shell_output, "nothing left to do: the checkpoint in run is at step 8\n5\n"));
}
END_TEST

START_TEST(test_a_checkpoint_behind_a_symbolic_link_is_kept_as_it_is)
{
    make_tokens();
    assert_shell_ok(SMALL "--steps 6 --keep 3 --out whole");
    assert_shell_ok(SMALL
                    "--steps 6 --stop-at 2 --keep 3 --out run && mkdir big && mv run/checkpoint.safetensors big/c "
                    "&& ln -s ../big/c run/checkpoint.safetensors");
    assert_shell_ok(SMALL "--steps 6 --out run --resume && test -h run/checkpoint.safetensors && for file in "
                          "checkpoint checkpoint-step-2 checkpoint-step-4; do cmp run/$file.safetensors "
                          "whole/$file.safetensors || exit; done");
}
END_TEST

START_TEST(test_a_run_whose_directory_is_moved_saves_there)
{
    make_tokens();
    assert_shell_ok("\"$program\" " ENDLESS " --out run >out & until test -s run/log.jsonl; do sleep 0.02; done; "
                    "mv run moved && cs336 train --train train.bin " MODEL " --steps 5 --seed 2 --out run && "
                    "cp run/checkpoint.safetensors second && kill -TERM $!; wait $! && test -s "
                    "moved/checkpoint.safetensors && cmp run/checkpoint.safetensors second");
}
END_TEST

START_TEST(test_hard_links_of_a_run_are_a_copy)
{
    make_tokens();
    assert_shell_ok("cs336 train --train train.bin " MODEL
                    " --steps 9 --log-every 1 --stop-at 6 --out run && mkdir copy "
                    "&& ln run/* copy && cp -r copy before");
    assert_shell_ok("cs336 train --train train.bin " MODEL " --steps 9 --log-every 1 --out run --resume && "
                    "diff -r copy before && test $(wc -l <run/log.jsonl) = 9");
    assert_shell_ok("cs336 train --train train.bin " MODEL " --steps 2 --out run --overwrite && diff -r copy before");
}
END_TEST

START_TEST(test_a_config_json_of_somebody_else_is_not_replaced)
{
    make_tokens();
    write_file(temp_path("config.json"), "mine", 4);
    assert_shell_fails(1,
                       "cs336 train: . contains the config.json of a run without a checkpoint: --overwrite deletes it",
                       "cs336 train --train train.bin " MODEL " --steps 2 --out .");
    assert_file_holds(temp_path("config.json"), "mine", 4);
}
END_TEST

/* The log cannot grow, here because of a limit on the size of files: the run reports it and continues. */
START_TEST(test_a_log_that_cannot_grow_does_not_end_the_run)
{
    make_tokens();
    ck_assert_int_eq(shell("ulimit -f 500; cs336 train --train train.bin " MODEL
                           " --steps 4000 --log-every 1 --checkpoint-every 0 --out run 2>said"),
                     0);
    assert_shell_ok("grep -c '^cs336 train: step [0-9]*: run/log.jsonl: cannot write: File too large; the run goes "
                    "on$' said && test -s "
                    "run/checkpoint.safetensors");
    assert_shell_ok("tail -c 1 run/log.jsonl");
    ck_assert_str_eq(shell_output, "\n");
}
END_TEST

START_TEST(test_a_damaged_end_of_the_log_is_cut_off)
{
    make_tokens();
    assert_shell_ok("cs336 train --train train.bin " MODEL " --steps 9 --log-every 1 --stop-at 6 --out run && "
                    "cp run/log.jsonl good && printf '{\"step\":7,\"tok\\0\\0\\n\\0\\0\\n' >>run/log.jsonl");
    assert_shell_ok("cs336 train --train train.bin " MODEL " --steps 9 --stop-at 8 --log-every 1 --out run --resume && "
                    "head -6 run/log.jsonl | cmp - good && test $(wc -l <run/log.jsonl) = 8");
    /* A line that a user inserted between finished steps is not removed: the run refuses to resume. */
    assert_shell_ok("{ head -2 good; echo note; tail -4 good; } >run/log.jsonl && cp run/log.jsonl noted");
    ck_assert_int_eq(shell("cs336 train --train train.bin " MODEL " --steps 9 --log-every 1 --out run --resume"), 1);
    ck_assert_str_eq(
        shell_errors,
        "cs336 train: run/log.jsonl: line 3 is not a JSON object with step and seconds; remove this line\n");
    assert_shell_ok("cmp run/log.jsonl noted");
}
END_TEST

START_TEST(test_the_way_on_is_told_when_the_newest_checkpoint_is_gone)
{
    make_tokens();
    assert_shell_ok(SMALL "--steps 6 --keep 3 --out run && rm run/checkpoint.safetensors");
    assert_shell_fails(1,
                       "cs336 train: run has no checkpoint.safetensors: to resume from an older one, first "
                       "rename checkpoint-step-4.safetensors to it",
                       SMALL "--steps 6 --out run --resume");
    assert_shell_ok("mv run/checkpoint-step-4.safetensors run/checkpoint.safetensors");
    assert_shell_ok(SMALL "--steps 6 --out run --resume");
}
END_TEST

START_TEST(test_an_output_keeps_its_permissions)
{
    make_tokens();
    assert_shell_ok("chmod 600 vocab.json && cs336 train-bpe --input train.txt --vocab-size 300 --vocab vocab.json "
                    "--merges merges.txt >log 2>&1 && ls -l vocab.json | cut -c 1-10");
    ck_assert_str_eq(shell_output, "-rw-------\n");
    assert_shell_ok(
        "cp train.txt before && cs336 story --stories 1 --output /dev/stdout >>train.txt && "
        "head -c $(wc -c <before) train.txt | cmp - before && test $(wc -c <train.txt) -gt $(wc -c <before)");
}
END_TEST

const TestCase lost_work_tests[] = {
    TEST(test_train_refuses_a_directory_that_holds_a_run, "training_together"),
    TEST(test_an_overwriting_run_that_is_killed_never_resumes_the_old_one, "training_together"),
    TEST(test_a_second_run_in_a_directory_is_refused, "training_together"),
    TEST_UNLESS(test_ctrl_c_saves_when_output_is_piped, "training_together", no_terminal),
    TEST(test_a_reader_that_goes_does_not_end_the_run, "training_together"),
    TEST_UNLESS(test_a_full_standard_output_does_not_end_the_run, "training_together", no_full_device),
    TEST(test_a_reader_that_stops_reading_does_not_stop_the_run, "training_together"),
    TEST_UNLESS(test_ctrl_c_on_a_terminal_says_what_happens, "training_together", no_terminal),
    TEST_UNLESS(test_two_presses_of_ctrl_c_at_once_save, "training_together", no_terminal),
    TEST(test_a_later_ctrl_c_ends_the_run_at_once, "training_together"),
    TEST(test_sigterm_ends_a_long_validation_and_saves, "training_together"),
    TEST(test_a_run_that_diverges_names_the_best_weights, "checkpointing"),
    TEST(test_weights_that_are_not_numbers_never_replace_good_ones, "training_together"),
    TEST(test_no_output_is_another_output_or_an_input, "file"),
    TEST(test_killed_saves_leave_no_files, "checkpointing"),
    TEST(test_the_best_checkpoint_is_named_and_kept, "checkpointing"),
    TEST(test_patience_ends_the_run, "training_together"),
    TEST(test_resuming_keeps_as_many_checkpoints_as_the_run_began_with, "checkpointing"),
    TEST(test_a_checkpoint_behind_a_symbolic_link_is_kept_as_it_is, "checkpointing"),
    TEST(test_a_run_whose_directory_is_moved_saves_there, "checkpointing"),
    TEST(test_hard_links_of_a_run_are_a_copy, "checkpointing"),
    TEST(test_a_config_json_of_somebody_else_is_not_replaced, "training_together"),
    TEST(test_a_log_that_cannot_grow_does_not_end_the_run, "experiment_log"),
    TEST(test_a_damaged_end_of_the_log_is_cut_off, "experiment_log"),
    TEST(test_the_way_on_is_told_when_the_newest_checkpoint_is_gone, "checkpointing"),
    TEST(test_an_output_keeps_its_permissions, "file"),
    {0},
};
