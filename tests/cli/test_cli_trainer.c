/* Tests options of `cs336 train` that change what a step computes, and the lines of other commands that know of them.
 */
#include "tests/suites.h"
#include "tests/support/files.h"
#include "tests/support/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZES "--vocab-size 300 --context-length 16 --d-model 16 --num-layers 2 --num-heads 2 "
#define MODEL SIZES "--threads 1 "
#define TRAIN "cs336 train --train train.bin --val train.bin --val-batches 2 " MODEL

/* Ids that repeat with period 7, as raw uint16, so that a tiny model learns them in some steps. */
static void make_tokens(void)
{
    unsigned char bytes[2 * 2000];
    for (size_t i = 0; i < sizeof bytes / 2; i++) {
        bytes[2 * i] = (unsigned char)(i % 7 * 40);
        bytes[2 * i + 1] = 0;
    }
    write_file(temp_path("train.bin"), bytes, sizeof bytes);
}

/* Returns the number after the text in the output of the latest shell(). */
static double number_after(const char *text)
{
    const char *found = strstr(shell_output, text);
    ck_assert_msg(found != NULL, "\"%s\" is not in %s", text, shell_output);
    return strtod(found + strlen(text), NULL);
}

/* ---- gradient accumulation ---- */

START_TEST(test_train_computes_a_batch_in_pieces)
{
    make_tokens();
    assert_shell_ok(TRAIN "--batch-size 8 --steps 20 --out whole");
    const double whole = number_after("validation loss ");
    assert_shell_ok(TRAIN "--batch-size 8 --grad-accum 4 --steps 20 --out pieces");
    assert_prints("each step in 4 pieces of 2 sequences\n");
    ck_assert_double_eq_tol(number_after("validation loss "), whole, 2e-4);
    /* It is the same run with another number of pieces. */
    assert_shell_ok(TRAIN "--batch-size 8 --grad-accum 2 --steps 20 --out run --stop-at 10 && " TRAIN
                          "--batch-size 8 --steps 20 --out run --resume && grep '\"grad_accum\": 1,' run/config.json");
    ck_assert_double_eq_tol(number_after("validation loss "), whole, 2e-4);
}
END_TEST

START_TEST(test_pieces_divide_the_batch)
{
    assert_shell_fails(2, "cs336 train: --grad-accum: 3 does not divide --batch-size 8; see cs336 train --help",
                       TRAIN "--batch-size 8 --grad-accum 3 --out run");
    assert_shell_fails(2, "cs336 account: --grad-accum: 5 does not divide --batch-size 1024; see cs336 account --help",
                       "cs336 account --grad-accum 5");
}
END_TEST

/* Returns the number after the text in what the latest shell() printed to stderr. */
static double error_number_after(const char *text)
{
    const char *found = strstr(shell_errors, text);
    ck_assert_msg(found != NULL, "\"%s\" is not in %s", text, shell_errors);
    return strtod(found + strlen(text), NULL);
}

/* A batch that is too large for any machine: the message names the smallest number of pieces with which it fits. */
START_TEST(test_batch_without_memory_is_cut_into_pieces)
{
    enum { BATCH = 3 << 28 };
    make_tokens();
    ck_assert_int_eq(shell(TRAIN "--batch-size %d --out run", BATCH), 1);
    ck_assert_ptr_nonnull(
        strstr(shell_errors, ", which computes each batch in pieces, or a smaller --batch-size than 805306368\n"));
    const size_t pieces = (size_t)error_number_after("; try --grad-accum ");
    const double machine = error_number_after("this machine has ");
    ck_assert_msg(pieces > 1 && BATCH % pieces == 0, "%zu pieces", pieces);
    /* The next greater divisor of BATCH is at most twice as large. The message rounds the memory to four digits. */
    shell("cs336 account " SIZES "--batch-size 1 --memory-gb %g | grep 'largest batch' | sed 's/.* /fits /'", machine);
    const double fits = number_after("fits "), rows = (double)(BATCH / pieces);
    ck_assert_msg(rows <= 1.01 * fits && 2 * rows >= 0.99 * fits, "%g rows, %g fit", rows, fits);
    ck_assert_int_ne(shell("test -e run"), 0);
}
END_TEST

START_TEST(test_account_knows_the_pieces)
{
    assert_shell_ok("cs336 account --batch-size 32 --grad-accum 2");
    const char *row = strstr(shell_output, "  activations  ");
    ck_assert_ptr_nonnull(row);
    char activations[128], line[160];
    snprintf(activations, sizeof activations, "%.*s\n", (int)strcspn(row, "\n"), row);
    const double largest = number_after("largest batch in 80     GB               ");
    assert_shell_ok("cs336 account --batch-size 64 --grad-accum 4");
    assert_prints("Bytes of training with AdamW, batch 64 in 4 pieces of 16\n");
    assert_prints(activations);
    snprintf(line, sizeof line, "largest batch in 80     GB               %19.0f ", 2 * largest);
    assert_prints(line);
    /* Gradients share memory with activations only if the batch is in one piece. */
    ck_assert_ptr_null(strstr(shell_output, "share"));
    assert_shell_ok("cs336 account --batch-size 16");
    assert_prints(activations);
    assert_prints("  minus what gradients share with them ");
}
END_TEST

/* ---- one batch for all steps ---- */

START_TEST(test_train_overfits_one_batch)
{
    make_tokens();
    assert_shell_ok(TRAIN "--batch-size 2 --overfit-one-batch --steps 120 --lr 1e-2 --out run --stop-at 60");
    assert_prints("each step uses the first batch: the loss should go to about 0\n");
    assert_shell_ok(TRAIN "--batch-size 2 --overfit-one-batch --steps 120 --lr 1e-2 --out run --resume && tail -n 1 "
                          "run/log.jsonl && grep '\"overfit_one_batch\": true,' run/config.json");
    ck_assert_double_lt(number_after("\"train_loss\":"), 0.05);
    /* A resumed run says that it goes on with other batches. */
    assert_shell_fails(0, "cs336 train: the run continues with changed settings: overfit_one_batch false (was true)",
                       TRAIN
                       "--batch-size 2 --steps 121 --decay-steps 120 --warmup-steps 6 --lr 1e-2 --out run --resume");
}
END_TEST

/* ---- weight decay ---- */

START_TEST(test_train_exempts_the_gains_from_decay)
{
    make_tokens();
    assert_shell_ok(TRAIN "--batch-size 2 --steps 2 --out all && " TRAIN
                          "--batch-size 2 --steps 2 --out some --no-decay-norms && "
                          "grep '\"no_decay_norms\": true,' some/config.json && "
                          "! cmp -s all/checkpoint.safetensors some/checkpoint.safetensors");
}
END_TEST

/* ---- tied embeddings ---- */

START_TEST(test_tied_model_from_training_to_text)
{
    make_tokens();
    assert_shell_ok(TRAIN "--batch-size 8 --steps 60 --lr 1e-2 --tie-embeddings --out run");
    assert_prints("norm pre, position rope, ffn swiglu, tied embeddings\n");
    ck_assert_double_lt(number_after("validation loss "), 0.5);
    assert_shell_ok("grep '\"tie_embeddings\": true,' run/config.json");
    /* 300 x 16 numbers once; the FLOPs of lm_head stay, and inspect counts as account does. */
    assert_shell_ok("cs336 account " SIZES "--tie-embeddings | grep -A 7 '^Parameters'");
    assert_prints("lm_head (the embeddings)              0    0.0 %");
    assert_shell_ok("cs336 account " SIZES "--tie-embeddings | sed -n 's/.* \\([0-9]*\\) numbers.*/tied \\1/p' && "
                    "cs336 account " SIZES "| sed -n 's/.* \\([0-9]*\\) numbers.*/untied \\1/p' && "
                    "cs336 inspect --checkpoint run/checkpoint.safetensors --shapes | "
                    "sed -n 's/^\\([0-9]*\\) parameters.*/inspect \\1/p'");
    ck_assert_double_eq(number_after("untied ") - number_after("tied "), 300 * 16);
    ck_assert_double_eq(number_after("inspect "), number_after("tied "));
}
END_TEST

/* ---- norms ---- */

START_TEST(test_train_logs_norms)
{
    make_tokens();
    assert_shell_ok(TRAIN "--batch-size 2 --steps 4 --log-every 2 --log-norms --out run && grep -c "
                          "'\"norms\":{\"outputs\":\\[[0-9.]*,[0-9.]*\\],\"weights\":\\[[^]]*\\],\"gradients\":' "
                          "run/log.jsonl");
    assert_prints("\n2\n");
}
END_TEST

/* ---- weights of another run ---- */

#define TUNE "cs336 train --train train.bin --val train.bin --val-batches 2 --threads 1 --init-from base.safetensors "

static void make_base(void)
{
    make_tokens();
    assert_shell_ok(TRAIN "--batch-size 8 --steps 40 --lr 1e-2 --ffn silu --d-ff 24 --out base && "
                          "cp base/checkpoint.safetensors base.safetensors");
}

/* Without a learning rate the weights stay, and so does the loss on the validation windows, which the seed chooses. */
START_TEST(test_train_begins_with_given_weights)
{
    make_base();
    const double loss = number_after("validation loss ");
    ck_assert_double_lt(loss, 2);
    assert_shell_ok(TUNE "--batch-size 8 --lr 0 --steps 1 --out same");
    assert_prints("weights  from base.safetensors\n");
    assert_prints("vocab 300, context 16, 2 layers, d_model 16, 2 heads, d_ff 24\n");
    assert_prints("ffn silu\n");
    ck_assert_double_eq(number_after("validation loss "), loss);
    /* Another context, batch and seed. The run continues without the file, by the same command. */
    assert_shell_ok(TUNE "--batch-size 3 --context-length 24 --seed 5 --steps 8 --out whole");
    assert_prints("vocab 300, context 24,");
    assert_shell_ok(TUNE "--batch-size 3 --context-length 24 --seed 5 --steps 8 --out run --stop-at 4");
    assert_shell_ok("rm base.safetensors; " TUNE
                    "--batch-size 3 --context-length 24 --seed 5 --steps 8 --out run --resume && "
                    "cmp whole/checkpoint.safetensors run/checkpoint.safetensors && cmp whole/config.json "
                    "run/config.json && grep '\"init_from\": \"base.safetensors\"' run/config.json");
}
END_TEST

/* What a run began with stays in config.json, and what changes on the way is said. */
START_TEST(test_resumed_run_says_other_data_and_keeps_its_beginning)
{
    make_base();
    assert_shell_ok(TUNE "--batch-size 2 --steps 8 --out run --stop-at 4 && cp train.bin other.bin && "
                         "cp base.safetensors more.safetensors");
    assert_shell_fails(1,
                       "cs336 train: --init-from more.safetensors: the run in run began with base.safetensors; a run "
                       "from other weights needs another directory",
                       "cs336 train --config run/config.json --init-from more.safetensors --out run --resume");
    assert_shell_fails(0, "cs336 train: the run continues with changed settings: train other.bin (was train.bin)",
                       "cs336 train --config run/config.json --train other.bin --out run --resume --stop-at 6");
    assert_shell_ok("grep '\"init_from\": \"base.safetensors\"' run/config.json && "
                    "grep '\"train\": \"other.bin\"' run/config.json");
    /* A run that began with random weights. */
    assert_shell_fails(
        1,
        "cs336 train: --init-from base.safetensors: the run in base began with random weights; a run "
        "from other weights needs another directory",
        "cs336 train --config base/config.json --init-from base.safetensors --out base --resume --steps 50");
}
END_TEST

/* The file of ids becomes too short when the run has begun. Its steps are saved, and it goes on when the ids are back.
 */
START_TEST(test_steps_are_saved_when_the_data_fails)
{
    make_tokens();
    assert_shell_ok(TRAIN "--batch-size 2 --steps 3000 --checkpoint-every 0 --out whole >log");
    assert_shell_ok("cp train.bin whole.bin && { " TRAIN
                    "--batch-size 2 --steps 3000 --checkpoint-every 0 --out run >log 2>errors & } && "
                    "while ! test -s run/log.jsonl; do sleep 0.01; done && head -c 100 whole.bin >train.bin && "
                    "{ wait $!; test $? = 1; } && tail -1 errors");
    ck_assert_ptr_nonnull(strstr(shell_output, "; the run is saved after step "));
    assert_shell_ok("cp whole.bin train.bin && " TRAIN
                    "--batch-size 2 --steps 3000 --checkpoint-every 0 --out run --resume >log && "
                    "cmp whole/checkpoint.safetensors run/checkpoint.safetensors");
}
END_TEST

START_TEST(test_given_weights_fix_the_model)
{
    static const struct {
        const char *options, *message;
    } cases[] = {
        {"--out new --num-heads 4",
         "--num-heads: 4, expected 2 as in the model of base.safetensors, or no --num-heads"},
        {"--out new --d-ff 32", "--d-ff: 32, expected 24 as in the model of base.safetensors, or no --d-ff"},
        {"--out new --ffn swiglu", "--ffn: swiglu, expected silu as in the model of base.safetensors, or no --ffn"},
        {"--out new --tie-embeddings",
         "--tie-embeddings: true, expected false as in the model of base.safetensors, or no --tie-embeddings"},
        {"--out new --vocab-size 299",
         "--vocab-size: 299, expected 300 as in the model of base.safetensors, or no --vocab-size"},
        {"--out new --init-from nothing.safetensors",
         "nothing.safetensors: No such file or directory; expected a file, for example from cs336 train"},
        {"--out new --init-from train.bin",
         "train.bin: not a safetensors file, which begins with the length of its header in 8 bytes and with \"{\""},
        {"--out new --resume",
         "new/checkpoint.safetensors: No such file or directory; to begin a run, leave out --resume"},
        {"--out base --overwrite --init-from base/checkpoint.safetensors",
         "--init-from base/checkpoint.safetensors: the run in base would overwrite or delete this file"},
    };
    make_base();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[512], message[256];
        snprintf(line, sizeof line, TUNE "--batch-size 2 --steps 2 %s", cases[i].options);
        snprintf(message, sizeof message, "cs336 train: %s", cases[i].message);
        test_label("%s", cases[i].options);
        assert_shell_fails(1, message, line);
        ck_assert_int_ne(shell("test -e new"), 0);
    }
    test_label_end();
    /* The same values are fine, and so is a file in the directory that is not one of the run's. */
    assert_shell_ok("mkdir new && cp base.safetensors new/ && " TUNE
                    "--batch-size 2 --steps 2 --out new --d-ff 24 --num-heads 2 --init-from new/base.safetensors && "
                    "cmp base.safetensors new/base.safetensors");
}
END_TEST

const TestCase cli_trainer_tests[] = {
    TEST(test_train_computes_a_batch_in_pieces, "training_together"),
    TEST(test_pieces_divide_the_batch, "training_together"),
    TEST(test_batch_without_memory_is_cut_into_pieces, "training_together"),
    TEST(test_account_knows_the_pieces, "adamw_accounting"),
    TEST(test_train_overfits_one_batch, "training_together"),
    TEST(test_train_exempts_the_gains_from_decay, "adamw"),
    TEST(test_tied_model_from_training_to_text, "transformer_lm"),
    TEST(test_train_begins_with_given_weights, "training_together"),
    TEST(test_resumed_run_says_other_data_and_keeps_its_beginning, "training_together"),
    TEST(test_steps_are_saved_when_the_data_fails, "training_together"),
    TEST(test_given_weights_fix_the_model, "training_together"),
    TEST(test_train_logs_norms, "experiment_log"),
    {0},
};
