/* Tests training by several ranks, which mpirun starts, against one process that computes the whole batch. */
#define _POSIX_C_SOURCE 200809L
#include "core/file.h"
#include "core/json.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/check.h"
#include "tests/support/files.h"
#include "tests/support/program.h"
#include "tests/support/ranks.h"
#include "tests/support/tiny_training.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STEPS = 50 };

/* A model that learns period 5; its batch of 12 can be shared by 2, 3, 4 and 6. */
#define TRAIN                                                                                               \
    "train --train train.bin --val val.bin --vocab-size 16 --context-length 8 --d-model 16 --num-layers 2 " \
    "--num-heads 2 "                                                                                        \
    "--d-ff 24 --batch-size 12 --steps 50 --lr 0.01 --log-every 1 --val-every 10 --val-batches 3 --threads 1 "

static void write_tokens(void)
{
    tiny_training_write(temp_path("train.bin"), TINY_TOKENS);
    tiny_training_write(temp_path("val.bin"), 60);
}

/* Runs a line of sh that may print notices. */
static void run(const char *line)
{
    const int code = shell("%s", line);
    ck_assert_msg(code == 0, "%s: exit code %d: %s%s", line, code, shell_output, shell_errors);
}

/* The numbers of a log's lines; NaN where a line has none. */
typedef struct {
    double train_loss[STEPS], val_loss[STEPS], grad_norm[STEPS], exchange_seconds[STEPS], exchange_wait_seconds[STEPS];
    size_t lines;
} Log;

static double number_at(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static Log read_log(const char *name)
{
    Log log = {.lines = 0};
    FILE *f = fopen(temp_path(name), "rb");
    char line[1024];
    ck_assert_msg(f != NULL, "no %s", name);
    while (fgets(line, sizeof line, f)) {
        json_t *object;
        ck_assert_uint_lt(log.lines, STEPS);
        assert_ok(json_parse(&object, line, strlen(line), name));
        log.train_loss[log.lines] = number_at(object, "train_loss");
        log.val_loss[log.lines] = number_at(object, "val_loss");
        log.grad_norm[log.lines] = number_at(object, "grad_norm");
        log.exchange_seconds[log.lines] = number_at(object, "exchange_seconds");
        log.exchange_wait_seconds[log.lines++] = number_at(object, "exchange_wait_seconds");
        json_decref(object);
    }
    fclose(f);
    return log;
}

/* Asserts that both runs have the same losses and norms, but for rounding. */
static void assert_same_training(const char *name, const char *expected_name)
{
    const Log log = read_log(name), expected = read_log(expected_name);
    ck_assert_uint_eq(log.lines, expected.lines);
    for (size_t i = 0; i < log.lines; i++) {
        test_label("%s, line %zu", name, i + 1);
        ck_assert_double_eq_tol(log.train_loss[i], expected.train_loss[i], 1e-5);
        ck_assert_double_eq_tol(log.grad_norm[i], expected.grad_norm[i], 1e-5);
        ck_assert_int_eq(isnan(log.val_loss[i]), isnan(expected.val_loss[i]));
        if (!isnan(log.val_loss[i]))
            ck_assert_double_eq_tol(log.val_loss[i], expected.val_loss[i], 1e-5);
    }
    test_label_end();
}

/* The time for which a step waited for its exchange is a part of the exchange's time. */
static void assert_waits_within_exchange(const Log *log)
{
    for (size_t i = 0; i < log->lines; i++) {
        test_label("line %zu", i + 1);
        ck_assert_double_ge(log->exchange_wait_seconds[i], 0);
        ck_assert_double_le(log->exchange_wait_seconds[i], log->exchange_seconds[i]);
    }
    test_label_end();
}

START_TEST(test_ranks_train_as_one_process)
{
    write_tokens();
    run("cs336 " TRAIN "--out one");
    run(RANKS(2) "\"$program\" " TRAIN "--out two");
    assert_prints("machine  2 ranks on 1 host, each 1 thread, ");
    run(RANKS(3) "\"$program\" " TRAIN "--out three");
    run(RANKS(4) "\"$program\" " TRAIN "--out four");
    assert_same_training("two/log.jsonl", "one/log.jsonl");
    assert_same_training("three/log.jsonl", "one/log.jsonl");
    assert_same_training("four/log.jsonl", "one/log.jsonl");
    /* The time of the exchange is in the log of several ranks only. */
    const Log one = read_log("one/log.jsonl"), two = read_log("two/log.jsonl");
    ck_assert_uint_eq(one.lines, STEPS);
    ck_assert(isnan(one.exchange_seconds[0]) && two.exchange_seconds[0] > 0);
    assert_waits_within_exchange(&two);
    run("cs336 report two");
}
END_TEST

/* The pieces of a rank: 12 windows are 2 ranks x 3 pieces x 2 windows. With them the gradients have their own memory.
 */
START_TEST(test_ranks_accumulate_gradients)
{
    write_tokens();
    run("cs336 " TRAIN "--out one");
    run(RANKS(2) "\"$program\" " TRAIN "--grad-accum 3 --out two");
    assert_same_training("two/log.jsonl", "one/log.jsonl");
}
END_TEST

/* The embeddings of this model are two buckets and a half: 10000 x 128 numbers. */
START_TEST(test_ranks_train_a_model_of_several_buckets)
{
    static const char train[] = "train --train train.bin --vocab-size 10000 --context-length 8 --d-model 128 "
                                "--num-layers 1 --num-heads 2 --batch-size 6 --steps 5 --log-every 1 ";
    char line[1024];
    write_tokens();
    snprintf(line, sizeof line, "cs336 %s --threads 1 --out one", train);
    run(line);
    snprintf(line, sizeof line, RANKS(3) "\"$program\" %s --threads 1 --out three", train);
    run(line);
    assert_same_training("three/log.jsonl", "one/log.jsonl");
    /* The same bytes again, with any number of threads. */
    snprintf(line, sizeof line, RANKS(3) "\"$program\" %s --threads 2 --out threads", train);
    run(line);
    assert_same_file("threads/checkpoint.safetensors", "three/checkpoint.safetensors");
    /* And with shares of the optimizer, whose buckets are written from the last to the first. */
    snprintf(line, sizeof line, RANKS(3) "\"$program\" %s --threads 1 --shard-optimizer --stop-at 3 --out shares",
             train);
    run(line);
    snprintf(line, sizeof line, RANKS(3) "\"$program\" %s --threads 1 --shard-optimizer --resume --out shares", train);
    run(line);
    assert_same_file("shares/checkpoint.safetensors", "three/checkpoint.safetensors");
}
END_TEST

START_TEST(test_ranks_resume)
{
    write_tokens();
    run("cs336 " TRAIN "--out one");
    run(RANKS(2) "\"$program\" " TRAIN "--out whole");
    run(RANKS(2) "\"$program\" " TRAIN "--stop-at 17 --out same && cp -r same other && cp -r same single");
    /* With as many ranks, the bytes are those of a run that was not stopped. */
    run(RANKS(2) "\"$program\" " TRAIN "--resume --out same");
    ck_assert_msg(!strstr(shell_errors, "changed settings"), "%s", shell_errors);
    assert_same_file("same/checkpoint.safetensors", "whole/checkpoint.safetensors");
    assert_same_file("same/best.safetensors", "whole/best.safetensors");
    /* With another number, only rounding differs, and the line of changed settings says it. */
    run(RANKS(3) "\"$program\" train --config other/config.json --stop-at 50 --resume --out other");
    ck_assert_msg(strstr(shell_errors, "the run continues with changed settings: ranks 3 (was 2)"), "%s", shell_errors);
    assert_same_training("other/log.jsonl", "one/log.jsonl");
    run("cs336 " TRAIN "--resume --out single");
    ck_assert_msg(strstr(shell_errors, "ranks 1 (was 2)"), "%s", shell_errors);
    assert_same_training("single/log.jsonl", "one/log.jsonl");
}
END_TEST

/*
 * The validation has so many batches that nothing but the signal ends it. All ranks leave it together, and do it again
 * when they resume. config.json is written when all ranks take signals; mpirun passes SIGUSR1 on.
 */
START_TEST(test_ranks_leave_a_validation_together)
{
    write_tokens();
    run(RANKS(2) "\"$program\" " TRAIN "--val-every 1 --out whole");
    run(RANKS(2) "\"$program\" " TRAIN "--val-every 1 --val-batches 100000000 --out run >said & until test -s "
                 "run/config.json; do sleep 0.02; done; sleep 0.3; kill -USR1 $!; wait $! && grep -q '^stopped in the "
                 "validation after step 1 of 50, which --resume does again, and saved; ' said");
    run(RANKS(2) "\"$program\" " TRAIN "--val-every 1 --resume --out run");
    assert_same_file("run/checkpoint.safetensors", "whole/checkpoint.safetensors");
    assert_same_file("run/best.safetensors", "whole/best.safetensors");
    assert_same_training("run/log.jsonl", "whole/log.jsonl");
}
END_TEST

/* The last line of a run that was stopped has mpirun's options, and all of the program's but --stop-at. */
START_TEST(test_ranks_are_told_how_to_continue)
{
    write_tokens();
    run(RANKS(2) "\"$program\" " TRAIN "--shard-optimizer --out whole");
    run("export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; "
        "mpirun -n 2 --oversubscribe -x 'NAME=a b' --bind-to none \"$program\" " TRAIN
        "--shard-optimizer --stop-at 17 --out 'a run' >said && "
        "sed -n 's/^stopped after step 17 of 50 and saved; to continue: //p' said >again.sh && "
        "grep -q \"^mpirun -q -n 2 --oversubscribe -x 'NAME=a b' --bind-to none \" again.sh && "
        "grep -q ' --shard-optimizer --out .a run. --resume$' again.sh && sh again.sh >out");
    assert_same_file("a run/checkpoint.safetensors", "whole/checkpoint.safetensors");
    /* Several programs of one mpirun: the command has one, as many times. */
    run(RANKS(1) "\"$program\" " TRAIN "--stop-at 3 --out two : -n 1 \"$program\" " TRAIN
                 "--stop-at 3 --out two >said && "
                 "grep -q 'to continue: mpirun -q -n 2 [^ :]*/cs336 train [^:]* --resume$' said");
}
END_TEST

/* A checkpoint has all moments, in the same form with shares of the optimizer and without, and the same bytes. */
START_TEST(test_ranks_share_the_optimizer)
{
    write_tokens();
    run(RANKS(3) "\"$program\" " TRAIN "--log-norms --no-decay-norms --out whole");
    run(RANKS(3) "\"$program\" " TRAIN "--log-norms --no-decay-norms --shard-optimizer --out shares");
    assert_same_training("shares/log.jsonl", "whole/log.jsonl");
    const Log shares = read_log("shares/log.jsonl");
    assert_waits_within_exchange(&shares);
    assert_same_file("shares/checkpoint.safetensors", "whole/checkpoint.safetensors");
    assert_same_file("shares/best.safetensors", "whole/best.safetensors");
    /* Stopped with shares and resumed without; stopped without, and resumed with. */
    run(RANKS(3) "\"$program\" " TRAIN "--no-decay-norms --shard-optimizer --stop-at 17 --out first");
    run(RANKS(3) "\"$program\" " TRAIN "--no-decay-norms --resume --out first");
    assert_same_file("first/checkpoint.safetensors", "whole/checkpoint.safetensors");
    run(RANKS(3) "\"$program\" " TRAIN "--no-decay-norms --stop-at 17 --out second");
    run(RANKS(3) "\"$program\" " TRAIN "--no-decay-norms --shard-optimizer --resume --out second");
    assert_same_file("second/checkpoint.safetensors", "whole/checkpoint.safetensors");
}
END_TEST

/* Another number of ranks resumes from shares, and pieces of a batch have gradients of their own. */
START_TEST(test_ranks_share_the_optimizer_in_pieces)
{
    write_tokens();
    run("cs336 " TRAIN "--out one");
    run(RANKS(2) "\"$program\" " TRAIN "--grad-accum 3 --shard-optimizer --stop-at 17 --out two");
    run(RANKS(4) "\"$program\" " TRAIN "--grad-accum 3 --shard-optimizer --resume --out two");
    assert_same_training("two/log.jsonl", "one/log.jsonl");
}
END_TEST

/* The norms of the layers are those of the whole batch. */
static void assert_same_norms(void)
{
    json_t *one, *three;
    char text[2][4096];
    snprintf(text[0], sizeof *text, "%s", file_text(temp_path("one/log.jsonl")));
    snprintf(text[1], sizeof *text, "%s", file_text(temp_path("three/log.jsonl")));
    assert_ok(json_parse(&one, text[0], strcspn(text[0], "\n"), "one"));
    assert_ok(json_parse(&three, text[1], strcspn(text[1], "\n"), "three"));
    const char *name;
    json_t *numbers;
    size_t compared = 0;
    json_object_foreach(json_object_get(one, "norms"), name, numbers)
    {
        const json_t *others = json_object_get(json_object_get(three, "norms"), name);
        for (size_t i = 0; i < json_array_size(numbers); i++, compared++)
            ck_assert_double_eq_tol(json_number_value(json_array_get(others, i)),
                                    json_number_value(json_array_get(numbers, i)), 1e-5);
    }
    ck_assert_uint_eq(compared, 6);
    json_decref(one);
    json_decref(three);
}

START_TEST(test_ranks_measure_norms_of_the_whole_batch)
{
    write_tokens();
    run("cs336 " TRAIN "--log-norms --stop-at 3 --out one");
    run(RANKS(3) "\"$program\" " TRAIN "--log-norms --stop-at 3 --out three");
    assert_same_norms();
    run(RANKS(3) "\"$program\" " TRAIN "--log-norms --stop-at 3 --shard-optimizer --out three --overwrite");
    assert_same_norms();
}
END_TEST

/* Only rank 0 reads the checkpoint that a run begins with. */
START_TEST(test_ranks_begin_with_the_weights_of_another_run)
{
    write_tokens();
    run("cs336 " TRAIN "--out one");
    run("cs336 " TRAIN "--init-from one/checkpoint.safetensors --seed 2 --out fine");
    run(RANKS(2) "\"$program\" " TRAIN "--init-from one/checkpoint.safetensors --seed 2 --out two");
    assert_same_training("two/log.jsonl", "fine/log.jsonl");
}
END_TEST

/* One line says what was wrong, whatever the number of ranks. */
START_TEST(test_ranks_refuse_what_they_cannot_share)
{
    write_tokens();
    assert_shell_fails(2,
                       "cs336 train: --batch-size: 12 cannot be shared by 5 ranks, expected 10 or 15; see cs336 train "
                       "--help",
                       RANKS(5) "\"$program\" " TRAIN "--out run");
    assert_shell_fails(
        2,
        "cs336 train: --batch-size: 12 cannot be shared by 4 ranks with --grad-accum 2, expected 8 or 16; "
        "see cs336 train --help",
        RANKS(4) "\"$program\" " TRAIN "--grad-accum 2 --out run");
    assert_shell_fails(2,
                       "cs336 train: --batch-size: 1 cannot be shared by 2 ranks, expected 2; see cs336 train --help",
                       RANKS(2) "\"$program\" " TRAIN "--batch-size 1 --out run");
    assert_shell_fails(
        1, "cs336 train: none.bin: No such file or directory; expected a file, for example from cs336 encode",
        RANKS(2) "\"$program\" " TRAIN "--train none.bin --out run");
    run(RANKS(2) "\"$program\" " TRAIN "--stop-at 1 --out run");
    assert_shell_fails(1, "cs336 train: run contains a training run: --resume continues it, --overwrite deletes it",
                       RANKS(2) "\"$program\" " TRAIN "--out run");
}
END_TEST

START_TEST(test_build_without_mpi_refuses_to_be_several)
{
    write_tokens();
    assert_shell_fails(1,
                       "cs336 train: 2 processes of this program were started, and it was built without MPI (`make "
                       "MPI=1` builds it with MPI), so that each would do the whole work",
                       "OMPI_COMM_WORLD_SIZE=2 cs336 " TRAIN "--out run");
    /* Rank 0 has another program, or would have ended this one. */
    char expected[512], host[64] = "";
    gethostname(host, sizeof host - 1);
    snprintf(
        expected, sizeof expected,
        "cs336 train: rank 1 on %s: this program was built without MPI (`make MPI=1` builds it with MPI), and that "
        "of rank 0 with it; all ranks need the same program",
        host);
    assert_shell_fails(1, expected, "OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=1 cs336 " TRAIN "--out run");
    assert_shell_ok("OMPI_COMM_WORLD_SIZE=2 cs336 train --help >said && grep -q -e --batch-size said && "
                    "OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=1 cs336 train --help >said && test ! -s said");
    run("OMPI_COMM_WORLD_SIZE=1 cs336 " TRAIN "--stop-at 1 --out run");
}
END_TEST

START_TEST(test_launcher_of_another_mpi_is_refused)
{
    write_tokens();
    assert_shell_fails(1,
                       "cs336 train: 2 processes of this program were started, and the launcher belongs to another MPI "
                       "than the program's, so that each would do the whole work",
                       "PMI_RANK=0 PMI_SIZE=2 cs336 " TRAIN "--out run");
}
END_TEST

#define RANKS_TEST(function) TEST_UNLESS(function, "ranks", no_mpirun)

const TestCase training_ranks_tests[] = {
    RANKS_TEST(test_ranks_train_as_one_process),
    RANKS_TEST(test_ranks_accumulate_gradients),
    RANKS_TEST(test_ranks_train_a_model_of_several_buckets),
    RANKS_TEST(test_ranks_resume),
    RANKS_TEST(test_ranks_leave_a_validation_together),
    RANKS_TEST(test_ranks_are_told_how_to_continue),
    RANKS_TEST(test_ranks_share_the_optimizer),
    RANKS_TEST(test_ranks_share_the_optimizer_in_pieces),
    RANKS_TEST(test_ranks_measure_norms_of_the_whole_batch),
    RANKS_TEST(test_ranks_begin_with_the_weights_of_another_run),
    RANKS_TEST(test_ranks_refuse_what_they_cannot_share),
    TEST_UNLESS(test_build_without_mpi_refuses_to_be_several, "ranks", built_with_mpi),
    RANKS_TEST(test_launcher_of_another_mpi_is_refused),
    {0},
};
