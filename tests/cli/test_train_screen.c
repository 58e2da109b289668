/* Tests what a person sees while `cs336 train` runs: the curve of losses, the live line, and how to go on. */
#define _POSIX_C_SOURCE 200809L
#include "cli/loss_curve.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tests/support/program.h"
#include "tests/support/terminal.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MODEL \
    "--vocab-size 300 --context-length 16 --d-model 16 --num-layers 2 --num-heads 2 --batch-size 2 --threads 1"

static void make_tokens(void)
{
    assert_shell_ok("cs336 story --stories 30 --seed 1 --output train.txt");
    assert_shell_ok("cs336 train-bpe --input train.txt --vocab-size 300 --special-token '<|endoftext|>' "
                    "--tokenizer t.json >log");
    assert_shell_ok("cs336 encode --tokenizer t.json --input train.txt --output train.bin >log");
}

/* ---- the curve ---- */

START_TEST(test_loss_curve_shows_heights)
{
    LossCurve curve = {0};
    char text[LOSS_CURVE_BYTES];
    loss_curve_text(text, &curve, 20, true);
    ck_assert_str_eq(text, "");
    loss_curve_add(&curve, 5);
    loss_curve_text(text, &curve, 20, true);
    ck_assert_str_eq(text, "▁");
    /* 12, 11, ..., 5: each its own height, and 5.4 is nearer to 5 than to 6. */
    curve = (LossCurve){0};
    for (int loss = 12; loss >= 5; loss--)
        loss_curve_add(&curve, loss);
    loss_curve_add(&curve, 5.4);
    loss_curve_text(text, &curve, 20, true);
    ck_assert_str_eq(text, "█▇▆▅▄▃▂▁▁");
    loss_curve_text(text, &curve, 20, false);
    ck_assert_str_eq(text, "@#*+=-:..");
    /* The newest three, 6, 5 and 5.4: the scale is theirs. */
    loss_curve_text(text, &curve, 3, true);
    ck_assert_str_eq(text, "█▁▄");
    loss_curve_text(text, &curve, 0, true);
    ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(test_loss_curve_keeps_the_newest)
{
    LossCurve curve = {0};
    char text[LOSS_CURVE_BYTES];
    for (int i = 0; i < 50; i++)
        loss_curve_add(&curve, i == 29 ? 1e6 : i == 30 ? 1 : 0); /* number 29 is one too old */
    loss_curve_text(text, &curve, 99, true);
    ck_assert_str_eq(text, "█▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁");
    ck_assert_uint_eq(strlen(text) + 1, LOSS_CURVE_BYTES);
}
END_TEST

/* ---- the live line ---- */

/* Columns of a text of one line: its bytes without control sequences and without those that continue a character. */
static size_t columns_of(const char *text, size_t length)
{
    size_t columns = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\033') {
            while (i < length && !((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z')))
                i++;
            continue;
        }
        columns += text[i] != '\r' && ((unsigned char)text[i] & 0xC0) != 0x80;
    }
    return columns;
}

#define BEGIN "\r\033[K\033[?7l" /* around a line that the next one overwrites */
#define END "\033[?7h"

/* So many steps that live lines follow a validation also on a fast machine: there are only ten a second. */
#define VALIDATED "--val train.bin --val-every 2000 --val-batches 1 --steps 8000"
#define SHORT "--steps 1200"

typedef struct {
    size_t count, widest; /* live lines, and the columns of the widest */
    char last[512];
} LiveLines;

/* Trains on a terminal after the line `setup` of sh, and finds the live lines in what appeared. */
static LiveLines train_on_terminal(const char *setup, const char *options)
{
    char line[1024];
    LiveLines lines = {0};
    snprintf(line, sizeof line,
             "%s && exec \"$program\" train --train train.bin " MODEL " --checkpoint-every 0 --log-every 1 "
             "--out run --overwrite %s",
             setup, options);
    ck_assert_int_eq(terminal_run(line, NULL, NULL), 0);
    for (const char *text = shell_output; (text = strstr(text, BEGIN)) != NULL;) {
        text += strlen(BEGIN);
        const char *end = strstr(text, END);
        ck_assert_ptr_nonnull(end);
        const size_t length = (size_t)(end - text), columns = columns_of(text, length);
        ck_assert_uint_lt(length, sizeof lines.last);
        lines.widest = columns > lines.widest ? columns : lines.widest;
        lines.count++;
        snprintf(lines.last, sizeof lines.last, "%.*s", (int)length, text);
    }
    ck_assert_uint_gt(lines.count, 0);
    return lines;
}

START_TEST(test_live_line_fits_the_terminal)
{
    static const struct {
        const char *setup, *options;
        size_t most; /* columns */
        bool curve, speed;
    } cases[] = {
        {"stty cols 80; export LC_ALL=C.UTF-8", SHORT, 80, true, true},
        {"stty cols 200; export LC_ALL=C.UTF-8", VALIDATED, 80, true, false},
        {"stty cols 60; export LC_ALL=C.UTF-8", SHORT, 60, true, false},
        {"stty cols 40; export LC_ALL=C.UTF-8", SHORT, 40, false, false},
        {"stty cols 20; export LC_ALL=C.UTF-8", SHORT, 20, false, false},
        {"stty cols 0; export COLUMNS=44 LC_ALL=C.UTF-8", SHORT, 44, false, false},
        {"stty cols 0; export COLUMNS=-3 LC_ALL=C.UTF-8", SHORT, 80, true, true},
    };
    make_tokens();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const LiveLines lines = train_on_terminal(cases[i].setup, cases[i].options);
        test_label("%s: %s", cases[i].setup, lines.last);
        ck_assert_uint_le(lines.widest, cases[i].most);
        ck_assert(strncmp(lines.last, "step ", 5) == 0);
        ck_assert_int_eq(strstr(lines.last, "▁") != NULL, cases[i].curve);
        ck_assert_int_eq(strstr(lines.last, " tokens/s") != NULL, cases[i].speed);
        ck_assert_int_eq(strstr(lines.last, " left") != NULL, cases[i].most > 20);
    }
    test_label_end();
}
END_TEST

/* A curve of block characters only where the locale says UTF-8: LC_ALL wins over LC_CTYPE, and that over LANG. */
START_TEST(test_live_line_is_ascii_where_the_locale_is)
{
    static const struct {
        const char *setup;
        bool ascii;
    } cases[] = {
        {"unset LC_ALL LC_CTYPE LANG", true},
        {"export LC_ALL= LC_CTYPE=de_DE.utf8 LANG=C", false},
        {"export LC_ALL=C LC_CTYPE=C.UTF-8 LANG=C.UTF-8", true},
        {"unset LC_ALL LC_CTYPE; export LANG=en_US.UTF-8", false},
    };
    make_tokens();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const LiveLines lines = train_on_terminal(cases[i].setup, SHORT);
        bool ascii = true;
        test_label("%s: %s", cases[i].setup, lines.last);
        for (const char *c = lines.last; *c; c++)
            ascii = ascii && (unsigned char)*c < 0x80;
        ck_assert_int_eq(ascii, cases[i].ascii);
    }
    test_label_end();
}
END_TEST

/* ---- how to go on ---- */

/* The last line of a run that was stopped is a command: a shell that gets it continues the run. */
START_TEST(test_the_command_that_continues_a_run_works)
{
    static const char *const directories[] = {"run", "sub/a-b_c.d", "with blank", "$HOME;`x`", "ümlaut", "it's"};
    make_tokens();
    assert_shell_ok("cs336 train --train train.bin " MODEL " --steps 6 --lr 0.02 --out whole");
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
        test_label("%s", directories[i]);
        write_file(temp_path("out"), directories[i], strlen(directories[i]));
        assert_shell_ok("cs336 train --train train.bin " MODEL
                        " --steps 6 --lr 0.02 --stop-at 3 --out \"$(cat out)\" | sed -n 's/^stopped after step 3 of 6 "
                        "and saved; to continue: //p' >command && . ./command && cmp whole/checkpoint.safetensors "
                        "\"$(cat out)/checkpoint.safetensors\"");
        assert_shell_ok("grep -c '^cs336 train --config ' command");
    }
    test_label_end();
    /* A name that a shell cannot be given in one line. */
    assert_shell_ok("cs336 train --train train.bin " MODEL
                    " --steps 6 --stop-at 3 --out \"$(printf 'a\\tb')\" | tail -1");
    ck_assert_str_eq(shell_output,
                     "stopped after step 3 of 6 and saved; to continue: run the same command with --resume\n");
}
END_TEST

START_TEST(test_ctrl_c_names_the_command)
{
    make_tokens();
    ck_assert_int_eq(terminal_run("exec \"$program\" train --train train.bin " MODEL
                                  " --steps 2000000 --checkpoint-every 0 --log-every 1 --out run",
                                  " left", "\003"),
                     0);
    ck_assert_ptr_nonnull(
        strstr(shell_output, " and saved; to continue: cs336 train --config run/config.json --out run --resume\r\n"));
}
END_TEST

const TestCase train_screen_tests[] = {
    TEST(test_loss_curve_shows_heights, "cli"),
    TEST(test_loss_curve_keeps_the_newest, "cli"),
    TEST_UNLESS(test_live_line_fits_the_terminal, "cli", no_terminal),
    TEST_UNLESS(test_live_line_is_ascii_where_the_locale_is, "cli", no_terminal),
    TEST(test_the_command_that_continues_a_run_works, "training_together"),
    TEST_UNLESS(test_ctrl_c_names_the_command, "training_together", no_terminal),
    {0},
};
