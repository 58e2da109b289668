/* cs336 report; cs336 tokenizer-report is tested in test_cli_report.c. */
#include "tests/suites.h"
#include "tests/support/files.h"
#include "tests/support/program.h"

#include <stdio.h>
#include <string.h>

#define TRAIN                                                                                        \
    "cs336 train --train train.bin --val train.bin --vocab-size 300 --context-length 8 --d-model 8 " \
    "--num-layers 1 --num-heads 1 --batch-size 2 --steps 20 --log-every 1 --val-every 5 --val-batches 1 "

/* Trains three models: one to its end, one halfway, one whose weights overflow. */
static void make_runs(void)
{
    assert_shell_ok("cs336 story --stories 30 --seed 1 --output train.txt");
    assert_shell_ok("cs336 train-bpe --input train.txt --vocab-size 300 --special-token '<|endoftext|>' "
                    "--vocab vocab.json --merges merges.txt 2>log");
    assert_shell_ok("cs336 encode --vocab vocab.json --merges merges.txt --special-token '<|endoftext|>' "
                    "--input train.txt --output train.bin 2>log");
    assert_shell_ok(TRAIN "--lr 1e-2 --out lr/lr-1e-2");
    assert_shell_ok(TRAIN "--lr 1e-3 --out lr/lr-1e-3 --stop-at 10");
    ck_assert_int_eq(shell(TRAIN "--lr 1e3 --out lr/lr-1e3"), 1);
    assert_shell_ok("printf '{\"status\":\"diverged\",\"message\":\"step 3: x\"}' >lr/lr-1e3/result.json");
    assert_shell_ok("printf '{\"title\":\"Learning rates\"}' >lr/experiment.json");
}

START_TEST(test_report_prints_a_table)
{
    make_runs();
    assert_shell_ok("cs336 report lr");
    ck_assert_ptr_eq(strstr(shell_output, "Learning rates\nrun      status"), shell_output);
    assert_prints("\nlr-1e-3  step 10 of 20 ");
    assert_prints("\nlr-1e-2  complete ");
    assert_prints("\nlr-1e3   diverged in step 3 ");
    /* The settings that differ stand before the numbers; the loss is that of the log. */
    assert_shell_ok("cs336 report lr | sed -n 2p | tr -s ' '");
    ck_assert_str_eq(shell_output, "run status lr min_lr train loss val loss best perplexity in step tokens seconds "
                                   "tokens/s\n");
    assert_shell_ok(
        "cs336 report lr | grep lr-1e-2 | tr -s ' ' | cut -d ' ' -f 6 >table; "
        "tail -n 1 lr/lr-1e-2/log.jsonl | sed 's/.*val_loss\":\\([0-9.]*\\).*/\\1/' | xargs printf '%.4f\\n' | "
        "cmp - table");
    /* A run that is still training: its log ends in the middle of a line. */
    assert_shell_ok("printf '{\"step\":11,\"tok' >>lr/lr-1e-3/log.jsonl; cs336 report lr/lr-1e-3");
    assert_prints("\nlr/lr-1e-3  step 10 of 20 ");
}
END_TEST

START_TEST(test_report_writes_a_page)
{
    make_runs();
    assert_shell_ok("cs336 report lr --output page.html");
    ck_assert_str_eq(shell_output, "page.html: 3 runs\n");
    assert_shell_ok("grep -c '<h1>Learning rates</h1>' page.html");
    assert_shell_ok("cs336 report --output=- lr 2>log | cmp - page.html && cat log");
    ck_assert_str_eq(shell_output, "standard output: 3 runs\n");
    assert_shell_ok("cs336 report lr/lr-1e-2 --output p.html --title '<b>'; grep -c '<h1>&lt;b&gt;</h1>' p.html");
    assert_prints("p.html: 1 run\n");
    assert_shell_ok("cs336 report lr/lr-1e-2 lr/lr-1e-3 --output p.html; grep -c '<h1>2 training runs</h1>' p.html");
    assert_shell_ok("cs336 report lr/lr-1e-2 --output p.html; grep -c '<h1>Training in lr/lr-1e-2</h1>' p.html");
}
END_TEST

START_TEST(test_report_bad_usage)
{
    static const struct {
        const char *arguments, *message;
    } cases[] = {
        {"", "DIR... is missing"},
        {"--output p.html", "DIR... is missing"},
        {"a ''", "an argument is empty, expected DIR..."},
        {"a --title x", "--title belongs to --output"},
        {"a --runs", "unknown option --runs"},
        {"a --output", "--output needs a value (FILE)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256], message[256];
        snprintf(line, sizeof line, "cs336 report %s", cases[i].arguments);
        snprintf(message, sizeof message, "cs336 report: %s; see cs336 report --help", cases[i].message);
        test_label("%s", line);
        assert_shell_fails(2, message, line);
    }
    assert_shell_ok("cs336 report --help");
    ck_assert_ptr_eq(strstr(shell_output, "Usage: cs336 report DIR... [options]\n"), shell_output);
}
END_TEST

/* A damaged log does not hide the other runs of a folder. */
START_TEST(test_report_shows_a_run_that_cannot_be_read)
{
    assert_shell_ok(
        "mkdir -p runs/bad runs/good; printf '{\"step\":1}\\n{\"step\":}\\n{\"step\":3}\\n' >runs/bad/log.jsonl; "
        "echo '{\"step\":7,\"train_loss\":2.5}' >runs/good/log.jsonl; cs336 report runs");
    assert_prints("runs/bad/log.jsonl: line 2 is not a JSON object with a step");
    assert_prints("step 7");
    assert_shell_ok("cs336 report runs --output p.html && grep -c 'line 2 is not a JSON object with a step' p.html");
}
END_TEST

START_TEST(test_report_bad_input)
{
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"none", "none: No such file or directory; expected a run directory of cs336 train --out"},
        {"empty", "empty: contains no run (log.jsonl, config.json); expected the directory of cs336 train --out, or a "
                  "folder of such directories"},
        {"bad", "bad/log.jsonl: line 2 is not a JSON object with a step"},
        {"no-log", "no-log/log.jsonl: No such file or directory; expected the log of cs336 train --out no-log"},
        {"good \"$(printf 'a\\033[1m')\"",
         "a\\x1B[1m: No such file or directory; expected a run directory of cs336 train --out"},
        {"good --output good/log.jsonl", "good/log.jsonl: cannot write: it is also a file of the run good"},
        {"good --output good/sample.txt", "good/sample.txt: cannot write: it is also a file of the run good"},
        {"good --output empty", "empty: cannot write: Is a directory"},
        {"good --output none/p.html", "none/p.html: cannot write: No such file or directory"},
    };
    assert_shell_ok(
        "mkdir empty bad no-log good; printf '{\"step\":1}\\n{\"step\":}\\n{\"step\":3}\\n' >bad/log.jsonl; "
        "echo '{}' >no-log/config.json; echo '{\"step\":1}' >good/log.jsonl; echo Once >good/sample.txt; "
        "find . | grep -v 'std\\|names' | sort >names");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256], message[512];
        snprintf(line, sizeof line, "cs336 report %s", cases[i].line);
        snprintf(message, sizeof message, "cs336 report: %s", cases[i].message);
        test_label("%s", line);
        assert_shell_fails(1, message, line);
        assert_shell_ok("find . | grep -v 'std\\|names' | sort | cmp - names; cat good/*");
        ck_assert_str_eq(shell_output, "{\"step\":1}\nOnce\n");
    }
}
END_TEST

/* A page that cannot be written whole leaves the one that was there. */
START_TEST(test_report_on_a_full_disk)
{
    assert_shell_ok("mkdir run; echo '{\"step\":1}' >run/log.jsonl; cs336 report run --output page.html; "
                    "cp page.html good; ls >names");
    ck_assert_int_eq(shell("trap '' XFSZ; ulimit -f 4; cs336 report run --output page.html"), 1);
    ck_assert_str_eq(shell_errors, "cs336 report: page.html: cannot write: File too large\n");
    assert_shell_ok("cmp page.html good && ls | cmp - names");
}
END_TEST

const TestCase cli_report_page_tests[] = {
    TEST(test_report_prints_a_table, "report"),
    TEST(test_report_writes_a_page, "report"),
    TEST(test_report_bad_usage, "report"),
    TEST(test_report_shows_a_run_that_cannot_be_read, "report"),
    TEST(test_report_bad_input, "report"),
    TEST_UNLESS(test_report_on_a_full_disk, "report", no_file_size_limit),
    {0},
};
