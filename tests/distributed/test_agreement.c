/* Tests what ranks compare before they begin; mpirun starts them with differences. */
#define _POSIX_C_SOURCE 200809L
#include "distributed/agreement.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/check.h"
#include "tests/support/files.h"
#include "tests/support/program.h"
#include "tests/support/ranks.h"
#include "tests/support/tiny_training.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TRAIN                                                                                                         \
    "train --train train.bin --vocab-size 16 --context-length 8 --d-model 16 --num-layers 1 --num-heads 2 --d-ff 24 " \
    "--batch-size 12 --steps 3 --out run "

/* Rank 1 runs another line than rank 0. */
#define RANK_0_AND_1(first, second) RANKS(1) first " : -n 1 " second

/* Asserts that the line fails with one message, in which each %s is the host's name. */
static void assert_differ(int code, const char *message, const char *line)
{
    char host[64], expected[1024];
    gethostname(host, sizeof host - 1);
    snprintf(expected, sizeof expected, message, host, host);
    assert_shell_fails(code, expected, line);
    assert_shell_ok("! test -e run");
}

START_TEST(test_ranks_with_another_instruction_set_are_refused)
{
    tiny_training_write(temp_path("train.bin"), TINY_TOKENS);
    assert_differ(1, "cs336 train: rank 1 on %s: CS336_ISA is portable, but not set on rank 0 on %s",
                  RANK_0_AND_1("\"$program\" " TRAIN, "env CS336_ISA=portable \"$program\" " TRAIN));
}
END_TEST

START_TEST(test_ranks_with_another_program_are_refused)
{
    tiny_training_write(temp_path("train.bin"), TINY_TOKENS);
    const int code =
        shell("cp \"$program\" other && printf x >>other && " RANK_0_AND_1("\"$program\" " TRAIN, "./other " TRAIN));
    ck_assert_int_eq(code, 1);
    ck_assert_msg(strstr(shell_errors, ": the program is a file of ") && strstr(shell_errors, " on rank 0 on "), "%s",
                  shell_errors);
}
END_TEST

START_TEST(test_ranks_with_another_command_are_refused)
{
    tiny_training_write(temp_path("train.bin"), TINY_TOKENS);
    assert_differ(1, "cs336 train: rank 1 on %s: the command is encode, but train on rank 0 on %s",
                  RANK_0_AND_1("\"$program\" " TRAIN, "\"$program\" encode --input text --output ids"));
    /* The commands are compared before the options are read: story has no option --lx, and nobody says so. They are
     * compared before story, which runs in one process only, refuses several. */
    assert_differ(1, "cs336 train: rank 1 on %s: the command is story, but train on rank 0 on %s",
                  RANK_0_AND_1("\"$program\" " TRAIN, "\"$program\" story --lx"));
    assert_differ(1, "cs336 story: rank 1 on %s: the command is train, but story on rank 0 on %s",
                  RANK_0_AND_1("\"$program\" story --output run", "\"$program\" " TRAIN));
    assert_shell_fails(1, "cs336 story: this command runs in one process, and mpirun started 2",
                       RANKS(2) "\"$program\" story --output run");
}
END_TEST

START_TEST(test_ranks_with_other_options_are_refused)
{
    tiny_training_write(temp_path("train.bin"), TINY_TOKENS);
    assert_differ(2, "cs336 train: rank 1 on %s: --lr is 0.5, but 0.001 on rank 0 on %s",
                  RANK_0_AND_1("\"$program\" " TRAIN, "\"$program\" " TRAIN "--lr 0.5"));
    assert_differ(2, "cs336 train: rank 1 on %s: unknown option --lx",
                  RANK_0_AND_1("\"$program\" " TRAIN, "\"$program\" " TRAIN "--lx 0.5"));
    assert_differ(2, "cs336 train: unknown option --lx; see cs336 train --help",
                  RANK_0_AND_1("\"$program\" " TRAIN "--lx 0.5", "\"$program\" " TRAIN));
    /* The number of threads, and paths, are each host's own. */
    assert_shell_ok("cp train.bin copy.bin && " RANK_0_AND_1(
        "\"$program\" " TRAIN "--threads 1", "\"$program\" " TRAIN "--threads 2 --train copy.bin --out none") " >out");
    assert_shell_ok("test -s run/checkpoint.safetensors && ! test -e none");
}
END_TEST

START_TEST(test_ranks_with_other_tokens_are_refused)
{
    tiny_training_write(temp_path("train.bin"), TINY_TOKENS);
    /* The same size and one other byte. */
    assert_shell_ok("head -c 398 train.bin >other.bin && printf '\\017\\000' >>other.bin && mkdir empty && "
                    "test $(wc -c <train.bin) = 400 && ! cmp -s train.bin other.bin");
    const int code = shell(RANK_0_AND_1("\"$program\" " TRAIN, "\"$program\" " TRAIN "--train other.bin"));
    ck_assert_int_eq(code, 1);
    ck_assert_msg(strstr(shell_errors, ": --train is a file of 400 bytes with the hash "), "%s", shell_errors);
    assert_differ(1,
                  "cs336 train: rank 1 on %s: train.bin: No such file or directory; expected a file, for example from "
                  "cs336 encode",
                  RANK_0_AND_1("\"$program\" " TRAIN, "sh -c 'cd empty && exec \"$program\" " TRAIN "'"));
}
END_TEST

/* With one rank nothing is compared, and no file is read. */
START_TEST(test_one_rank_agrees_with_itself)
{
    Agreement agreement = {0};
    agreement_add(&agreement, "--lr", "%g", 0.5);
    assert_ok(agreement_add_file(&agreement, "--train", "no such file"));
    assert_ok(agreement_check(&agreement, CS336_OK));
    ck_assert_ptr_null(agreement.facts);
    ck_assert_int_eq(agreement_check(&agreement, status_fail(CS336_EIO, "earlier")), CS336_EIO);
    assert_ok(agreement_check_program("train"));
}
END_TEST

#define RANKS_TEST(function) TEST_UNLESS(function, "agreement", no_mpirun)

const TestCase agreement_tests[] = {
    RANKS_TEST(test_ranks_with_another_instruction_set_are_refused),
    RANKS_TEST(test_ranks_with_another_program_are_refused),
    RANKS_TEST(test_ranks_with_another_command_are_refused),
    RANKS_TEST(test_ranks_with_other_options_are_refused),
    RANKS_TEST(test_ranks_with_other_tokens_are_refused),
    TEST(test_one_rank_agrees_with_itself, "agreement"),
    {0},
};
