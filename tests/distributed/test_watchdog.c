/* Tests what ends a run of several ranks, and what is printed then; mpirun starts the ranks. */
#define _POSIX_C_SOURCE 200809L
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/check.h"
#include "tests/support/files.h"
#include "tests/support/program.h"
#include "tests/support/ranks.h"
#include "tests/support/tiny_training.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Silence counts after 1.2 s instead of 12, so a heartbeat's period is 0.1 s. */
#define IMPATIENT "CS336_WATCHDOG_SECONDS=1.2 "

/* The end of each line of watchdog_ranks(). */
#define GO_ON "; newest checkpoint: run/checkpoint.safetensors of step 10; to go on: RESUME\n"

/* Waits until watchdog_ranks() has saved its checkpoint: all ranks have met by then. */
#define UNTIL_ALL_WORK "until test -e saved; do sleep 0.05; done; rm saved; "

static const char *host_name(void)
{
    static char name[64];
    gethostname(name, sizeof name - 1);
    return name;
}

/* Runs `run_tests watchdog FAULT RANK` as so many ranks, and asserts its exit code. */
static void run_fault(const char *ranks, const char *fault, int rank, bool fails)
{
    test_label("%s of rank %d", fault, rank);
    const int code = shell("%s \"$RUN_TESTS\" watchdog %s %d", ranks, fault, rank);
    ck_assert_msg((code != 0) == fails, "exit code %d: %s", code, shell_errors);
}

/* Asserts that all that was printed is one line about the rank. */
static void assert_says(int rank, const char *what)
{
    char expected[1024];
    snprintf(expected, sizeof expected, "cs336 test: rank %d on %s %s" GO_ON, rank, host_name(), what);
    ck_assert_str_eq(shell_errors, expected);
}

/* ---- faults ---- */

START_TEST(test_a_rank_that_dies_ends_the_run)
{
    static const char *const faults[] = {"kill", "exit"};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        for (int rank = 0; rank < 3; rank++) {
            run_fault(IMPATIENT RANKS(3), faults[i], rank, true);
            assert_says(rank, "has ended unexpectedly (last heartbeat: working)");
        }
}
END_TEST

START_TEST(test_a_rank_that_is_stopped_ends_the_run)
{
    for (int rank = 0; rank < 3; rank++) {
        run_fault(IMPATIENT RANKS(3), "stop", rank, true);
        assert_says(rank, "has not answered for 1.2 s (last heartbeat: working): it is stopped, or its network link is "
                          "down");
    }
}
END_TEST

START_TEST(test_a_rank_that_fails_alone_ends_the_run)
{
    for (int rank = 0; rank < 2; rank++) {
        run_fault(IMPATIENT RANKS(2), "fail", rank, true);
        assert_says(rank, "has failed: the disk is full");
    }
    /* It has returned from its work with an error, and waits for nobody. Rank 0 prints its own errors itself. */
    run_fault(IMPATIENT RANKS(2), "error", 1, true);
    assert_says(1, "has failed: file: no such file");
    run_fault(IMPATIENT RANKS(2), "error", 0, true);
    ck_assert_str_eq(shell_errors, "");
}
END_TEST

#define BEGIN_AGAIN "to begin again: mpirun -q -n 2 */cs336 train --train none\n"

/* A rank that is stopped or killed before the watchdog begins; the others meet in MPI. */
START_TEST(test_ranks_that_do_not_meet_end_the_run)
{
    static const char start[] = IMPATIENT RANKS(2) "sh -c 'test $OMPI_COMM_WORLD_RANK != %d || %s; exec \"$program\" "
                                                   "train --train none'";
    for (int rank = 0; rank < 2; rank++) {
        test_label("rank %d", rank);
        ck_assert_int_ne(shell(start, rank, "kill -STOP $$"), 0);
        ck_assert_msg(fnmatch("cs336 train: the ranks have not met in 12 s: one of them has ended or is stopped, or a "
                              "host cannot be reached; " BEGIN_AGAIN,
                              shell_errors, 0) == 0,
                      "%s", shell_errors);
    }
    ck_assert_int_ne(shell(start, 1, "{ sleep 0.2; kill -KILL $$; }"), 0);
    ck_assert_msg(fnmatch("cs336 train: the run was ended before all ranks had met; " BEGIN_AGAIN, shell_errors, 0) ==
                      0,
                  "%s", shell_errors);
}
END_TEST

/* ---- what is no fault ---- */

START_TEST(test_a_good_end_prints_nothing)
{
    run_fault(IMPATIENT RANKS(3), "none", 0, false);
    ck_assert_str_eq(shell_errors, "");
    run_fault("CS336_WATCHDOG_SECONDS=0 " RANKS(2), "none", 0, false);
    ck_assert_str_eq(shell_errors, "");
}
END_TEST

START_TEST(test_a_busy_rank_is_named_once)
{
    char pattern[256];
    run_fault(IMPATIENT RANKS(3), "busy", 1, false);
    snprintf(pattern, sizeof pattern,
             "cs336: the other ranks wait for rank 1 on %s, which has been busy for [1-9]* s (writing to a slow "
             "disk)\n",
             host_name());
    ck_assert_msg(fnmatch(pattern, shell_errors, 0) == 0, "%s", shell_errors);
    run_fault(IMPATIENT RANKS(2), "network", 0, false);
    ck_assert_msg(fnmatch("cs336: all ranks have waited for data of each other for [1-9]* s (working): the network is "
                          "slow\n",
                          shell_errors, 0) == 0,
                  "%s", shell_errors);
}
END_TEST

/* As when a laptop sleeps: all processes stop for longer than the limit of silence. */
START_TEST(test_a_pause_of_all_ranks_ends_nothing)
{
    assert_shell_ok(IMPATIENT RANKS(2) "sh -c 'echo $$ >pid$OMPI_COMM_WORLD_RANK; exec \"$RUN_TESTS\" watchdog long 0' "
                                       "& " UNTIL_ALL_WORK
                                       "kill -STOP $(cat pid0 pid1); sleep 3; kill -CONT $(cat pid0 pid1); wait $!");
}
END_TEST

/* SIGTERM to mpirun, as Ctrl-C: it sends SIGTERM to the ranks, and a second later SIGKILL. */
START_TEST(test_a_signal_that_ends_the_run_is_no_fault)
{
    static const char start[] = IMPATIENT RANKS(3) "sh -c 'echo $$ >pid$OMPI_COMM_WORLD_RANK; exec \"$RUN_TESTS\" "
                                                   "watchdog %s 0' & " UNTIL_ALL_WORK "kill -TERM %s; wait $!";
    static const char asked[] = "cs336 test: a signal has asked the run to end: it is saved if its step is complete "
                                "before mpirun kills it" GO_ON;
    char expected[1024];
    shell(start, "deaf", "$!");
    ck_assert_str_eq(shell_errors, asked);
    shell(start, "long", "$!");
    ck_assert_str_eq(shell_errors, "");
    /* The first line could not know of the checkpoint that the ranks then save. */
    snprintf(
        expected, sizeof expected,
        "%scs336 test: a signal has ended the run; newest checkpoint: run/checkpoint.safetensors of step 20; to go "
        "on: RESUME\n",
        asked);
    shell(start, "slow", "$(cat pid0)"); /* of one rank, so that mpirun does not kill */
    ck_assert_str_eq(shell_errors, expected);
    /* Where the work is not done, a line says how to go on, whichever rank got the signal. */
    for (int rank = 0; rank < 3; rank++) {
        static const char *const processes[] = {"$(cat pid0)", "$(cat pid1)", "$!"};
        ck_assert_int_ne(shell(start, "unfinished", processes[rank]), 0);
        ck_assert_str_eq(shell_errors, "cs336 test: a signal has ended the run" GO_ON);
    }
}
END_TEST

/* The thread has fewer places for them, and a rank has 10 s to connect. */
START_TEST(test_silent_connections_do_not_keep_a_rank_out)
{
    run_fault(RANKS(2), "strangers", 0, false);
    ck_assert_str_eq(shell_errors, "");
}
END_TEST

START_TEST(test_a_limit_that_is_no_number_is_refused)
{
    char expected[256];
    snprintf(expected, sizeof expected,
             "rank 0 on %s: CS336_WATCHDOG_SECONDS is \"1x\", expected 0 or a number from 0.5 to 3600", host_name());
    assert_shell_fails(1, expected, "CS336_WATCHDOG_SECONDS=1x " RANKS(2) "\"$RUN_TESTS\" watchdog none 0");
}
END_TEST

/* ---- training ---- */

#define TRAIN                                                                                                         \
    "train --train train.bin --vocab-size 16 --context-length 8 --d-model 16 --num-layers 1 --num-heads 2 --d-ff 24 " \
    "--batch-size 12 --log-every 1 --threads 1 --steps 2000000 --checkpoint-every 0 "

/* The last line names the checkpoint, and its command goes on from there. */
START_TEST(test_training_goes_on_after_a_rank_died)
{
    static const char *const kinds[] = {"KILL", "STOP"};
    tiny_training_write(temp_path("train.bin"), TINY_TOKENS);
    for (int rank = 0; rank < 3; rank++) {
        test_label("rank %d", rank);
        assert_shell_ok("rm -rf 'a run'; cs336 " TRAIN "--out 'a run' --stop-at 10 >out");
        const int code = shell(
            IMPATIENT RANKS(3) "sh -c 'echo $$ >pid$OMPI_COMM_WORLD_RANK; exec \"$program\" " TRAIN
                               "--out \"a run\" --resume' >out 2>said & until test $(cat \"a run/log.jsonl\" | wc -l) "
                               "-ge 20; do sleep 0.05; done; kill -%s $(cat pid%d); wait $!",
            kinds[rank == 1], rank);
        ck_assert_int_ne(code, 0);
        shell("tail -1 said");
        char pattern[512];
        snprintf(pattern, sizeof pattern,
                 "cs336 train: rank %d on %s has *(last heartbeat: *)*; newest checkpoint: a "
                 "run/checkpoint.safetensors of step 10; to go on: mpirun -q -n 3 */cs336 train *--out 'a run' "
                 "--resume\n",
                 rank, host_name());
        ck_assert_msg(fnmatch(pattern, shell_output, 0) == 0, "%s", shell_output);
        assert_shell_ok("sed -n 's/.*to go on: //p' said >again.sh && echo '--stop-at 15' >>again.sh && "
                        "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
                        "OMPI_MCA_rmaps_base_oversubscribe=1 && tr '\\n' ' ' <again.sh >line.sh && sh line.sh >out && "
                        "test $(wc -l <'a run/log.jsonl') = 15");
    }
}
END_TEST

/* Without a checkpoint the command begins again. SIGUSR1, which mpirun passes on, saves. */
START_TEST(test_training_without_a_checkpoint_and_a_signal_that_saves)
{
    tiny_training_write(temp_path("train.bin"), TINY_TOKENS);
    static const char start[] = IMPATIENT RANKS(
        2) "sh -c 'echo $$ >pid$OMPI_COMM_WORLD_RANK; exec \"$program\" " TRAIN
           "--out run --overwrite' >out 2>said & until test $(cat run/log.jsonl 2>log | wc -l) -ge 20; do sleep 0.05; "
           "done; kill -%s; wait $!";
    ck_assert_int_ne(shell(start, "KILL $(cat pid1)"), 0);
    shell("tail -1 said");
    char pattern[512];
    snprintf(pattern, sizeof pattern,
             "cs336 train: rank 1 on %s has ended unexpectedly (last heartbeat: *); no checkpoint was saved; "
             "to begin again: mpirun -q -n 2 */cs336 train *--out run --overwrite\n",
             host_name());
    ck_assert_msg(fnmatch(pattern, shell_output, 0) == 0, "%s", shell_output);
    shell("rm -r run");
    ck_assert_int_eq(shell(start, "USR1 $!"), 0);
    assert_shell_ok("test ! -s said && grep 'stopped after step' out && test -s run/checkpoint.safetensors");
}
END_TEST

#define RANKS_TEST(function) TEST_UNLESS(function, "watchdog", no_mpirun)

const TestCase watchdog_tests[] = {
    RANKS_TEST(test_a_rank_that_dies_ends_the_run),
    RANKS_TEST(test_a_rank_that_is_stopped_ends_the_run),
    RANKS_TEST(test_a_rank_that_fails_alone_ends_the_run),
    RANKS_TEST(test_ranks_that_do_not_meet_end_the_run),
    RANKS_TEST(test_a_good_end_prints_nothing),
    RANKS_TEST(test_a_busy_rank_is_named_once),
    RANKS_TEST(test_a_pause_of_all_ranks_ends_nothing),
    RANKS_TEST(test_a_signal_that_ends_the_run_is_no_fault),
    RANKS_TEST(test_silent_connections_do_not_keep_a_rank_out),
    RANKS_TEST(test_a_limit_that_is_no_number_is_refused),
    RANKS_TEST(test_training_goes_on_after_a_rank_died),
    RANKS_TEST(test_training_without_a_checkpoint_and_a_signal_that_saves),
    {0},
};
