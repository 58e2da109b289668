/* Tests the connections of the watchdog within one process, and the texts of its last line. */
#define _POSIX_C_SOURCE 200809L
#include "distributed/control_link.h"

#include "cli/ranks_command.h"
#include "distributed/recovery.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/check.h"
#include "tests/support/program.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- connections ---- */

/* What the thread that plays rank 3 has found. */
typedef struct {
    const ControlOffer *offer;
    ControlLink link;
    Status status;
} Connecting;

static void *connect_as_rank_3(void *context)
{
    Connecting *connecting = context;
    connecting->status = control_link_connect(&connecting->link, connecting->offer, 3, 2000);
    return NULL;
}

static void wait_to_read(int descriptor)
{
    struct pollfd one = {.fd = descriptor, .events = POLLIN};
    ck_assert_int_eq(poll(&one, 1, 5000), 1);
}

/* Waits for a message. */
static ControlMessage receive(ControlLink *link)
{
    ControlMessage message = {0};
    ControlEvent event = CONTROL_NOTHING;
    while (event == CONTROL_NOTHING) {
        wait_to_read(link->descriptor);
        event = control_link_receive(link, &message);
    }
    ck_assert_int_eq(event, CONTROL_MESSAGE);
    return message;
}

/*
 * Plays rank 0 while a thread connects: accepts until a connection brings a hello, and answers it with a token. The
 * rank may try several addresses at once; those connections are closed.
 */
static ControlLink meet(Connecting *connecting, int listener, const unsigned char *welcome)
{
    enum { TRIED = CONTROL_MAX_ADDRESSES };
    pthread_t thread;
    ControlLink link = {.descriptor = -1}, others[TRIED];
    size_t count = 0;
    ck_assert_int_eq(pthread_create(&thread, NULL, connect_as_rank_3, connecting), 0);
    wait_to_read(listener);
    link = control_accept(listener);
    const ControlMessage hello = receive(&link);
    ck_assert_uint_eq(hello.kind, CONTROL_HELLO);
    ck_assert_int_eq(hello.rank, 3);
    ck_assert_mem_eq(hello.token, connecting->offer->hello, CONTROL_TOKEN_BYTES);
    ControlMessage answer = {.kind = CONTROL_WELCOME};
    memcpy(answer.token, welcome, sizeof answer.token);
    control_link_send(&link, &answer);
    while (count < TRIED && (others[count] = control_accept(listener)).descriptor >= 0)
        control_link_close(&others[count++]);
    pthread_join(thread, NULL);
    return link;
}

START_TEST(test_messages_go_both_ways_until_one_side_closes)
{
    enum { MESSAGES = 3000 };
    int listener;
    ControlOffer offer;
    assert_ok(control_listen(&listener, &offer));
    Connecting connecting = {.offer = &offer};
    ControlLink link = meet(&connecting, listener, offer.welcome);
    ck_assert_int_eq(connecting.status, CS336_OK);
    for (int i = 0; i < MESSAGES; i++) {
        ControlMessage message = {.kind = CONTROL_ALIVE, .rank = i, .saved = 7};
        snprintf(message.text, sizeof message.text, "step %d", i);
        ControlLink *from = i % 2 ? &link : &connecting.link, *to = i % 2 ? &connecting.link : &link;
        control_link_send(from, &message);
        const ControlMessage received = receive(to);
        ck_assert_mem_eq(&received, &message, sizeof message);
        ck_assert_int_eq(control_link_receive(to, &message), CONTROL_NOTHING);
    }
    /* A reader that never reads does not hold its sender up; what was sent before stays whole and in order. */
    ControlMessage message = {.kind = CONTROL_ALIVE};
    for (message.rank = 0; message.rank < 100000; message.rank++)
        control_link_send(&link, &message);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(receive(&connecting.link).rank, i);
    /* What was sent before the end arrives before the end. */
    control_link_close(&link);
    ControlEvent event;
    while ((event = control_link_receive(&connecting.link, &message)) == CONTROL_MESSAGE)
        continue;
    if (event == CONTROL_NOTHING) {
        wait_to_read(connecting.link.descriptor);
        event = control_link_receive(&connecting.link, &message);
    }
    ck_assert_int_eq(event, CONTROL_CLOSED);
    control_link_send(&connecting.link, &message); /* no signal ends the process */
    control_link_send(&connecting.link, &message);
    control_link_close(&connecting.link);
    close(listener);
}
END_TEST

START_TEST(test_a_stranger_that_answers_is_not_rank_0)
{
    int listener;
    ControlOffer offer;
    const unsigned char wrong[CONTROL_TOKEN_BYTES] = {1};
    assert_ok(control_listen(&listener, &offer));
    Connecting connecting = {.offer = &offer};
    ControlLink link = meet(&connecting, listener, wrong);
    ck_assert_int_eq(connecting.status, CS336_EIO);
    ck_assert_int_eq(connecting.link.descriptor, -1);
    control_link_close(&link);
    close(listener);
    /* Nobody listens. */
    char expected[128];
    snprintf(expected, sizeof expected, "no TCP connection to port %u of rank 0 at any of its %u addresses",
             (unsigned)offer.port, (unsigned)offer.count);
    assert_fails(control_link_connect(&connecting.link, &offer, 1, 5000), CS336_EIO, expected);
}
END_TEST

START_TEST(test_tokens_differ_from_run_to_run)
{
    int listener[2];
    ControlOffer offer[2];
    for (int i = 0; i < 2; i++)
        assert_ok(control_listen(&listener[i], &offer[i]));
    ck_assert_mem_ne(offer[0].hello, offer[1].hello, CONTROL_TOKEN_BYTES);
    ck_assert_mem_ne(offer[0].hello, offer[0].welcome, CONTROL_TOKEN_BYTES);
    for (int i = 0; i < 2; i++)
        close(listener[i]);
}
END_TEST

/* ---- texts ---- */

START_TEST(test_the_line_says_how_to_go_on)
{
    char line[512];
    recovery_set(&(Recovery){.command = "encode", .again = "mpirun encode"});
    recovery_line(line, sizeof line, "rank 1 on a has failed", 0);
    ck_assert_str_eq(line, "cs336 encode: rank 1 on a has failed; to begin again: mpirun encode\n");
    ck_assert(!recovery_saves());
    recovery_set_saved(5);
    ck_assert_uint_eq(recovery_saved(), 5);
    recovery_set(&(Recovery){.command = "train", .again = "AGAIN", .checkpoint = "r\033un/c", .resume = "RESUME"});
    ck_assert(recovery_saves());
    ck_assert_uint_eq(recovery_saved(), 0);
    recovery_line(line, sizeof line, "rank 1 on a has failed", 0);
    ck_assert_str_eq(line, "cs336 train: rank 1 on a has failed; no checkpoint was saved; to begin again: AGAIN\n");
    ck_assert_uint_eq(recovery_line(line, sizeof line, "rank 1 on a has failed", 120), strlen(line));
    ck_assert_str_eq(line, "cs336 train: rank 1 on a has failed; newest checkpoint: r\\x1Bun/c of step 120; to go on: "
                           "RESUME\n");
    ck_assert_uint_eq(recovery_line(line, 20, "rank 1 on a has failed", 120), 19);
}
END_TEST

/* A shell that reads the line passes on the words that the program was given. */
START_TEST(test_the_command_is_quoted_for_a_shell)
{
    static char line[4096], expected[4096];
    char *words[] = {"train",     "--out",      "it's a run",   "",          "$HOME `x` \\ \"q\"",
                     "*.txt",     "--resume=x", "a;b&c",        "tab\there", "--overwrite",
                     "'",         "100%",       "--stop-after", "8",         "--stop-at=3",
                     "--stop-at", "7"};
    enum {
        WORDS = sizeof words / sizeof *words,
        KEPT = WORDS - 3 /* the last three words are --stop-at and its values */
    };
    char *call[] = {"bin/my cs336", "train"};
    ranks_command_begin(2, call);
    ranks_command(line, sizeof line, WORDS, words, (const char *const[]){"--overwrite", "--stop-at=", NULL},
                  "--resume");
    snprintf(expected, sizeof expected, "-q,-n,1,bin/my cs336,");
    for (size_t i = 0; i < KEPT; i++)
        if (strcmp(words[i], "--overwrite") != 0)
            snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%s,", words[i]);
    strcat(expected, "--resume,");
    ck_assert_int_eq(shell("mpirun() { printf '%%s,' \"$@\"; }; %s", line), 0);
    ck_assert_str_eq(shell_output, expected);
    /* One that does not fit. */
    ranks_command(line, 40, WORDS, words, (const char *const[]){NULL}, "--resume");
    ck_assert_str_eq(line, "the same command with --resume");
    ranks_command_begin(0, NULL);
}
END_TEST

const TestCase control_link_tests[] = {
    TEST(test_messages_go_both_ways_until_one_side_closes, "control_link"),
    TEST(test_a_stranger_that_answers_is_not_rank_0, "control_link"),
    TEST(test_tokens_differ_from_run_to_run, "control_link"),
    TEST(test_the_line_says_how_to_go_on, "recovery"),
    TEST(test_the_command_is_quoted_for_a_shell, "recovery"),
    {0},
};
