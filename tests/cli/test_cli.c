#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tests/support/program.h"

#include <stdio.h>
#include <string.h>

/* ---- the command line itself ---- */

START_TEST(test_help_lists_the_commands)
{
    const char *const commands[] = {"story",    "train-bpe", "encode",  "decode",  "train",
                                    "generate", "inspect",   "account", "evaluate"};
    char line[64];
    assert_shell_ok("cs336 --help");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        snprintf(line, sizeof line, "\n  %s ", commands[i]);
        assert_prints(line);
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        snprintf(line, sizeof line, "cs336 %s --help", commands[i]);
        assert_shell_ok(line);
        snprintf(line, sizeof line, "Usage: cs336 %s", commands[i]);
        ck_assert_msg(strncmp(shell_output, line, strlen(line)) == 0, "the output does not begin with \"%s\"", line);
        for (const char *row = shell_output; *row; row += strcspn(row, "\n") + 1)
            ck_assert_msg(strcspn(row, "\n") <= 80, "%s: wider than 80 columns: %.100s", line, row);
    }
}
END_TEST

START_TEST(test_version)
{
    assert_shell_ok("cs336 --version");
    ck_assert(strncmp(shell_output, "cs336 ", 6) == 0);
}
END_TEST

START_TEST(test_unknown_instruction_set_is_a_warning)
{
    static const char warning[] =
        "cs336: CS336_ISA: unknown value \"mmx\", expected amx, avx512_bf16, avx512, avx2, portable or amx-emulated, "
        "using ";
    ck_assert_int_eq(shell("CS336_ISA=mmx cs336 account --preset gpt2-small"), 0);
    ck_assert(strncmp(shell_errors, warning, sizeof warning - 1) == 0);
    ck_assert(strncmp(shell_output, "gpt2-small", 10) == 0);
    assert_shell_ok("CS336_ISA=portable cs336 account --preset gpt2-small");
}
END_TEST

START_TEST(test_no_command)
{
    ck_assert_int_eq(shell("cs336"), 2);
    ck_assert(strncmp(shell_errors, "Usage: cs336 COMMAND", 20) == 0);
    assert_shell_fails(2, "cs336: unknown command \"frobnicate\"; cs336 --help lists the commands", "cs336 frobnicate");
}
END_TEST

START_TEST(test_bad_usage)
{
    static const struct {
        const char *arguments, *message;
    } cases[] = {
        {"account --frobnicate", "unknown option --frobnicate"},
        {"account --frobnicate=3", "unknown option --frobnicate"},
        {"account --d-mode 3", "unknown option --d-mode"},
        {"account 3", "unexpected argument \"3\""},
        {"account --d-model", "--d-model needs a value (N)"},
        {"account --d-model --d-ff 3", "--d-model needs a value (N)"},
        {"account --d-model=", "--d-model: \"\" is not a whole number"},
        {"account --d-model -3", "--d-model: \"-3\" is not a whole number"},
        {"account --d-model 3x", "--d-model: \"3x\" is not a whole number"},
        {"account --d-model 99999999999999999999",
         "--d-model: 99999999999999999999 is too large, expected at most 2147483647"},
        {"account --d-model 0", "--d-model: 0 is too small, expected at least 1"},
        {"account --d-model 2147483648", "--d-model: 2147483648 is too large, expected at most 2147483647"},
        {"train --num-layers 65537", "--num-layers: 65537 is too large, expected at most 65536"},
        {"train --threads 100000", "--threads: 100000 is too large, expected at most 1024"},
        {"train --seed 18446744073709551615",
         "--seed: 18446744073709551615 is too large, expected at most 9223372036854775807"},
        {"generate --special-token ''", "--special-token: the value is empty, expected TOKEN"},
        {"train --out ''", "--out: the value is empty, expected DIR"},
        {"train --out -", "--out: - is standard input or output, expected a directory"},
        {"experiment x --out=-", "--out: - is standard input or output, expected a directory"},
        {"experiment x --data -", "--data: - is standard input or output, expected a directory"},
        {"export --llama -", "--llama: - is standard input or output, expected a directory"},
        {"import x --context-length 99999999", "--context-length: 99999999 is too large, expected at most 1048576"},
        {"account --mfu 1e999", "--mfu: \"1e999\" is not a number"},
        {"account --mfu half", "--mfu: \"half\" is not a number"},
        {"account --mfu nan", "--mfu: \"nan\" is not a number"},
        {"account --mfu 0.5x", "--mfu: \"0.5x\" is not a number"},
        {"account --mfu 1.5", "--mfu: 1.5 is not between 1e-06 and 1"},
        {"account --norm both", "--norm: \"both\" is not one of pre|post|none"},
        {"account --preset gpt3", "--preset: \"gpt3\" is not one of gpt2-small, gpt2-medium, gpt2-large, gpt2-xl"},
        {"train --train x", "--out DIR is missing"},
        {"train --resume=yes", "--resume takes no value"},
        {"train --train x --out y --min-lr 1", "--min-lr: 1 is above --lr 0.001"},
        {"generate --vocab v --merges m", "--checkpoint FILE is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256], message[256];
        const int length = (int)strcspn(cases[i].arguments, " ");
        snprintf(line, sizeof line, "cs336 %s", cases[i].arguments);
        snprintf(message, sizeof message, "cs336 %.*s: %s; see cs336 %.*s --help", length, cases[i].arguments,
                 cases[i].message, length, cases[i].arguments);
        test_label("%s", line);
        assert_shell_fails(2, message, line);
        ck_assert_str_eq(shell_output, "");
    }
}
END_TEST

START_TEST(test_full_standard_output)
{
    assert_shell_fails(1, "cs336: cannot write to standard output: No space left on device",
                       "cs336 account >/dev/full");
    assert_shell_fails(1, "cs336 story: standard output: cannot write: No space left on device",
                       "cs336 story --output - >/dev/full");
}
END_TEST

START_TEST(test_closed_standard_output)
{
    assert_shell_fails(1, "cs336: cannot write to standard output: Bad file descriptor", "cs336 account >&-");
    assert_shell_ok("cs336 story --stories 3 --output a 2>&- >&- && cs336 story --stories 3 --output b && cmp a b");
}
END_TEST

START_TEST(test_demo_bad_input)
{
    assert_shell_fails(1, "make demo: DEMO_STEPS=0: expected a whole number from 1 to 999999999",
                       "sh \"$OLDPWD/tests/tools/demo.sh\" \"$program\" out 0");
    assert_shell_fails(1, "make demo: it's mine: 5 bytes are too few to learn from, expected at least 40000",
                       "echo text >\"it's mine\"; sh \"$OLDPWD/tests/tools/demo.sh\" \"$program\" out 5 \"it's mine\"");
    ck_assert_int_ne(shell("test -e out"), 0);
}
END_TEST

/* ---- account ---- */

START_TEST(test_account_prints_the_course_numbers)
{
    assert_shell_ok("cs336 account --preset gpt2-xl");
    assert_prints("48 layers, d_model 1600, 25 heads, d_ff 4288");
    assert_prints("1640452800 numbers, 6.56 GB as float32");
    assert_prints("3.51677e+12");
    assert_prints("495 TFLOP/s");
    assert_prints("4850 hours");
    /* 3 x 3.51677e12 FLOPs per sequence of 1024 tokens, times 12000 tokens/s, divided by 495e12 FLOP/s */
    assert_shell_ok("cs336 account --preset gpt2-xl --tokens-per-second 12000");
    assert_prints("at 12.0 K tokens/s: MFU 24.98 % of 495 TFLOP/s");
    assert_shell_ok("cs336 account --preset gpt2-xl --context-length 16384");
    assert_prints("1.33578e+14");
    assert_shell_ok("cs336 account --preset=gpt2-small --peak-tflops=0.1 --batch-size=4 --steps 10");
    assert_prints("162148608 numbers");
    assert_prints("A run of 10 steps of 4 sequences: 41.0 K tokens");
}
END_TEST

START_TEST(test_account_any_configuration)
{
    assert_shell_ok("cs336 account --vocab-size 10000 --d-model 512 --num-layers 4 --num-heads 16");
    assert_prints("vocab 10000, context 256, 4 layers, d_model 512, 16 heads, d_ff 1344\n  "
                  "norm pre, position rope, ffn swiglu\n");
    assert_shell_ok("cs336 account --d-model 512 --ffn silu --norm none --position none");
    assert_prints("d_ff 2048\n  norm none, position none, ffn silu");
    assert_shell_fails(1, "cs336 account: num_heads 3 does not divide d_model 16",
                       "cs336 account --d-model 16 --num-heads 3");
}
END_TEST

/* ---- the whole pipeline, from stories to generated text ---- */

#define MODEL "--vocab-size 300 --context-length 16 --d-model 16 --num-layers 2 --num-heads 2 --batch-size 2"
#define TRAIN \
    "cs336 train --train train.bin --val val.bin " MODEL " --steps 6 --log-every 2 --val-every 3 --val-batches 2"
#define GENERATE "cs336 generate --checkpoint run/checkpoint.safetensors --vocab vocab.json --merges merges.txt"

/* Makes what training needs in the test's directory: token files and a tokenizer. */
static void make_tokens(void)
{
    assert_shell_ok("cs336 story --stories 30 --seed 1 --output train.txt");
    assert_shell_ok("cs336 story --stories 5 --seed 2 --output val.txt");
    assert_shell_ok("cs336 train-bpe --input train.txt --vocab-size 300 --special-token '<|endoftext|>' "
                    "--vocab vocab.json --merges merges.txt 2>log");
    assert_shell_ok("for split in train val; do cs336 encode --vocab vocab.json --merges merges.txt "
                    "--special-token '<|endoftext|>' --input $split.txt --output $split.bin 2>log; done");
}

START_TEST(test_pipeline_from_stories_to_generated_text)
{
    make_tokens();
    assert_shell_ok("cs336 decode --vocab vocab.json --merges merges.txt --input val.bin --output - 2>log | cmp - "
                    "val.txt");
    assert_shell_ok(TRAIN " --out whole --loss-floor 0.5");
    assert_prints("6 steps, 192 tokens in ");
    assert_prints("entropy floor 0.5000 nats per token, validation loss ");
    assert_shell_ok(TRAIN " --out run --stop-at 4");
    assert_prints(
        "stopped after step 4 of 6 and saved; to continue: cs336 train --config run/config.json --out run --resume");
    assert_shell_ok(TRAIN " --out run --resume --threads 1");
    assert_shell_ok("cmp run/checkpoint.safetensors whole/checkpoint.safetensors");
    assert_shell_ok("cmp run/config.json whole/config.json");
    assert_shell_ok("test $(grep -c '\"mfu\":[0-9][0-9.e-]*}$' run/log.jsonl) = 4");
    assert_shell_ok("test $(wc -l <run/log.jsonl) = 4 && ls run");
    ck_assert_str_eq(shell_output, "best.safetensors\ncheckpoint-step-4.safetensors\ncheckpoint.safetensors\n"
                                   "config.json\nlog.jsonl\n");
    assert_shell_ok(GENERATE " --prompt 'Once upon' --max-tokens 40 --seed 3 >one");
    assert_shell_ok(GENERATE " --prompt 'Once upon' --max-tokens 40 --seed 3 --threads 1 | cmp - one");
    assert_shell_ok("head -c 9 one");
    ck_assert_str_eq(shell_output, "Once upon");
    assert_shell_ok(GENERATE " --max-tokens 5 --samples 3");
    assert_prints("--- 3 of 3 ---\n");
}
END_TEST

START_TEST(test_training_in_bf16)
{
    make_tokens();
    assert_shell_ok("CS336_ISA=portable " TRAIN " --out run --dtype bf16 --stop-at 4");
    assert_prints(PORTABLE_VECTORS
                  "\ndtype    bf16, emulated: without AVX512_BF16 or AMX it is no faster than float32\n");
    assert_shell_fails(1, "cs336 train: run/checkpoint.safetensors: dtype is bf16, expected float32",
                       TRAIN " --out run --resume");
    assert_shell_ok(TRAIN " --out run --resume --dtype bf16");
    assert_shell_ok("grep -c '\"dtype\": \"bf16\"' run/config.json");
    assert_shell_ok(GENERATE " --max-tokens 5");
    assert_shell_ok(TRAIN " --out run --overwrite");
    ck_assert_ptr_null(strstr(shell_output, "dtype"));
}
END_TEST

START_TEST(test_training_in_bf16x3)
{
    make_tokens();
    assert_shell_ok("CS336_ISA=portable " TRAIN " --out run --dtype bf16x3 --stop-at 4");
    assert_prints(PORTABLE_VECTORS "\ndtype    bf16x3, emulated: without AMX it is no faster than float32\n");
    assert_shell_fails(1, "cs336 train: run/checkpoint.safetensors: dtype is bf16x3, expected bf16",
                       TRAIN " --out run --resume --dtype bf16");
    assert_shell_ok("CS336_ISA=amx-emulated " TRAIN " --out run --resume --dtype bf16x3");
    assert_prints("emulated AMX\ndtype    bf16x3\n");
    assert_shell_ok("grep -c '\"dtype\": \"bf16x3\"' run/config.json");
    assert_shell_ok(GENERATE " --max-tokens 5");
}
END_TEST

/* SIGHUP comes when a terminal closes. It is tried only if nohup has not made this process ignore it. */
/*
 * A shell makes its background processes ignore SIGINT, and what is ignored stays ignored. So the run is in the
 * foreground, with its process number in a file, and the signal comes from the background.
 */
START_TEST(test_interrupted_training_saves)
{
    make_tokens();
    assert_shell_ok(
        "for signal in INT TERM USR1 USR2 ALRM XCPU $({ sh -c 'kill -HUP $$; :' || echo HUP; } 2>log); do "
        "{ until test -s $signal/log.jsonl; do sleep 0.05; done; kill -$signal $(cat pid); } & "
        "sh -c 'echo $$ >pid; exec \"$program\" train --train train.bin " MODEL
        " --steps 50000 --checkpoint-every 0 --out '$signal >out; wait; "
        "tail -1 out | grep '^stopped after step ' && test -s $signal/checkpoint.safetensors || exit; done");
}
END_TEST

START_TEST(test_a_signal_that_is_ignored_stays_ignored)
{
    make_tokens();
    assert_shell_ok(
        "for signal in INT QUIT HUP USR1; do { trap '' $signal; exec \"$program\" train --train train.bin " MODEL
        " --steps 50000 --checkpoint-every 0 --log-every 1 --out $signal; } >out & "
        "until test -s $signal/log.jsonl; do sleep 0.05; done; kill -$signal $!; lines=$(wc -l "
        "<$signal/log.jsonl); until test $(wc -l <$signal/log.jsonl) -gt $((lines + 20)); do sleep 0.05; "
        "done; kill -TERM $!; wait $! && tail -1 out | grep '^stopped after step ' || exit; done");
}
END_TEST

START_TEST(test_training_bad_input)
{
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"--train nowhere.bin",
         "nowhere.bin: No such file or directory; expected a file, for example from cs336 encode"},
        {"--train empty.bin", "empty.bin: is empty; expected a file, for example from cs336 encode"},
        {"--train .", ".: is a directory; expected a file, for example from cs336 encode"},
        {"--train train.bin --val nowhere.bin",
         "nowhere.bin: No such file or directory; expected a file, for example from cs336 encode"},
        {"--train odd.bin", "odd.bin: 301 bytes, expected a multiple of 2: ids are uint16 for a vocabulary of 300"},
        {"--train short.bin", "short.bin: 16 token ids, expected more than the context length 16"},
        {"--train train.bin --val short.bin", "short.bin: 16 token ids, expected more than the context length 16"},
        {"--train id.bin", "id.bin: id 300 at position 17, expected below the vocabulary size 300"},
        {"--train train.bin --num-heads 3", "num_heads 3 does not divide d_model 16"},
        {"--train train.bin --d-model 18 --num-heads 6", "d_model / num_heads is 3, expected an even number for RoPE"},
        {"--train train.bin --warmup-steps 7", "trainer_check: warm-up of 7 steps is longer than the decay's 6"},
        {"--train train.bin --beta1 1", "trainer_check: betas 1 and 0.95, expected 0 <= beta < 1"},
        {"--train train.bin --resume",
         "new/checkpoint.safetensors: No such file or directory; to begin a run, leave out --resume"},
    };
    make_tokens();
    assert_shell_ok(": >empty.bin; head -c 301 train.bin >odd.bin; head -c 32 train.bin >short.bin; "
                    "{ head -c 34 train.bin; printf '\\054\\001'; head -c 40 train.bin; } >id.bin");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[512], message[256];
        snprintf(line, sizeof line, "cs336 train --out new " MODEL " --steps 6 %s", cases[i].line);
        snprintf(message, sizeof message, "cs336 train: %s", cases[i].message);
        test_label("%s", cases[i].line);
        assert_shell_fails(1, message, line);
        ck_assert_int_ne(shell("test -e new"), 0);
    }
    test_label_end();
    ck_assert_int_eq(shell(TRAIN " --out new --batch-size 1000000000"), 1);
    ck_assert(strncmp(shell_errors, "cs336 train: the run needs ", 27) == 0);
    assert_shell_fails(1, "cs336 train: train.bin: cannot make directory: Not a directory",
                       TRAIN " --out train.bin/run");
}
END_TEST

START_TEST(test_resuming_bad_checkpoints)
{
    make_tokens();
    assert_shell_ok(TRAIN " --out run --stop-at 2 && cp run/checkpoint.safetensors good && cp run/log.jsonl log.good");
    assert_shell_fails(1, "cs336 train: run/checkpoint.safetensors: d_ff is 64, expected 32",
                       TRAIN " --out run --resume --d-ff 32");
    assert_shell_fails(1, "cs336 train: run/checkpoint.safetensors: seed is 1, expected 2",
                       TRAIN " --out run --resume --seed 2");
    assert_shell_ok("head -c 5000 good >run/checkpoint.safetensors");
    ck_assert_int_eq(shell(TRAIN " --out run --resume"), 1);
    ck_assert_ptr_nonnull(strstr(shell_errors, ": cut short"));
    assert_shell_ok("cmp run/log.jsonl log.good && cp good run/checkpoint.safetensors");
    assert_shell_ok(TRAIN " --out run --resume");
}
END_TEST

/* A run that --overwrite began is never resumed from the checkpoint of the run that it replaced. */
START_TEST(test_overwriting_a_run_removes_its_checkpoint)
{
    make_tokens();
    assert_shell_ok(TRAIN " --out run");
    assert_shell_ok(TRAIN " --out run --resume");
    assert_prints("nothing left to do: the checkpoint in run is at step 6\n");
    ck_assert_int_eq(shell(TRAIN " --out run --overwrite --lr 1e6 --warmup-steps 0 --max-grad-norm 0"), 1);
    ck_assert_ptr_nonnull(strstr(shell_errors, "a lower learning rate may help"));
    assert_shell_fails(1, "cs336 train: run contains a run without a checkpoint: begin it again with --overwrite",
                       TRAIN " --out run --resume");
}
END_TEST

/* Whenever a run is killed, resuming it gives the checkpoint and the log of an uninterrupted run. */
START_TEST(test_killed_runs_resume)
{
#define LONG "train --train train.bin " MODEL " --steps 300 --log-every 2 --checkpoint-every 3"
    make_tokens();
    assert_shell_ok("cs336 " LONG " --out whole");
    assert_shell_ok("{ \"$program\" " LONG " --out run >log & until test -e run/checkpoint.safetensors; do sleep 0.01; "
                    "done; kill -9 $!; wait $! || :; } 2>killed");
    assert_shell_ok("for pause in 0.01 0.02 0.03; do { \"$program\" " LONG
                    " --out run --resume >log & sleep $pause; kill -9 $!; wait $! || :; } 2>killed; done");
    assert_shell_ok("cs336 " LONG " --out run --resume");
    assert_shell_ok(
        "cmp run/checkpoint.safetensors whole/checkpoint.safetensors && for r in run whole; do "
        "sed 's/\"seconds\":[^,]*,//; s/\"tokens_per_second\".*//' $r/log.jsonl >$r.log; done; cmp run.log whole.log");
#undef LONG
}
END_TEST

/* A limit on the file size (ulimit -f) acts like a full disk, although its signal would end the process by default. The
 * last checkpoint and complete lines of the log stay.
 */
START_TEST(test_training_on_a_full_disk)
{
    make_tokens();
    assert_shell_ok(TRAIN " --out whole");
    assert_shell_ok(TRAIN " --out run --stop-at 3 && cp run/checkpoint.safetensors good");
    ck_assert_int_eq(shell("ulimit -f 8; " TRAIN " --out run --resume"), 1);
    ck_assert_str_eq(shell_errors,
                     "cs336 train: step 6: run/checkpoint.safetensors: cannot write: File too large; the newest "
                     "checkpoint is of step 3, and --resume goes on from it\n");
    assert_shell_ok("cmp run/checkpoint.safetensors good && ls run");
    ck_assert_str_eq(shell_output, "best.safetensors\ncheckpoint.safetensors\nconfig.json\nlog.jsonl\n");
    assert_shell_ok(TRAIN " --out run --resume");
    assert_shell_ok("cmp run/checkpoint.safetensors whole/checkpoint.safetensors");
}
END_TEST

START_TEST(test_generating_bad_input)
{
    make_tokens();
    assert_shell_ok(TRAIN " --out run");
    assert_shell_fails(
        1, "cs336 generate: nowhere: No such file or directory; expected a file, for example from cs336 train",
        GENERATE " --checkpoint nowhere");
    assert_shell_fails(
        1, "cs336 generate: nowhere: No such file or directory; expected a file, for example from cs336 train-bpe",
        GENERATE " --vocab nowhere");
    assert_shell_fails(
        1, "cs336 generate: nowhere: No such file or directory; expected a file, for example from cs336 train-bpe",
        GENERATE " --merges nowhere");
    assert_shell_ok(
        "cs336 train-bpe --input train.txt --vocab-size 280 --special-token '<|endoftext|>' --vocab v --merges m "
        "2>log");
    ck_assert_int_eq(shell(GENERATE " --vocab v --merges m --max-tokens 5"), 0);
    ck_assert_str_eq(shell_errors,
                     "cs336 generate: v has 280 tokens, the model has 300 ids; ids without a token are not drawn\n");
    assert_shell_fails(2, "cs336 generate: --top-p: 1.5 is not between 0 and 1; see cs336 generate --help",
                       GENERATE " --top-p 1.5");
    ck_assert_int_eq(shell("head -c 5000 run/checkpoint.safetensors >cut; " GENERATE " --checkpoint cut"), 1);
    ck_assert_ptr_nonnull(strstr(shell_errors, ": cut short"));
    ck_assert_int_eq(shell(GENERATE " --checkpoint vocab.json"), 1);
    ck_assert(strncmp(shell_errors, "cs336 generate: vocab.json: ", 28) == 0);
}
END_TEST

const TestCase cli_tests[] = {
    TEST(test_help_lists_the_commands, "cli"),
    TEST(test_version, "cli"),
    TEST(test_unknown_instruction_set_is_a_warning, "cli"),
    TEST(test_no_command, "cli"),
    TEST(test_bad_usage, "cli"),
    TEST_UNLESS(test_full_standard_output, "cli", no_full_device),
    TEST(test_closed_standard_output, "cli"),
    TEST(test_demo_bad_input, "cli"),
    TEST(test_account_prints_the_course_numbers, "transformer_accounting"),
    TEST(test_account_any_configuration, "transformer_accounting"),
    TEST(test_pipeline_from_stories_to_generated_text, "cli"),
    TEST(test_training_in_bf16, "training_together"),
    TEST(test_training_in_bf16x3, "training_together"),
    TEST(test_a_signal_that_is_ignored_stays_ignored, "training_together"),
    TEST(test_interrupted_training_saves, "cli"),
    TEST(test_training_bad_input, "cli"),
    TEST(test_resuming_bad_checkpoints, "cli"),
    TEST(test_overwriting_a_run_removes_its_checkpoint, "cli"),
    TEST(test_killed_runs_resume, "cli"),
    TEST_UNLESS(test_training_on_a_full_disk, "cli", no_file_size_limit),
    TEST(test_generating_bad_input, "cli"),
    {0},
};
