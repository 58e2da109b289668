/* The options of `cs336 generate`: prompts from files, several texts at once, stop texts, and the interactive mode. */
#include "core/file.h"
#include "core/rng.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tests/support/program.h"
#include "tests/support/terminal.h"
#include "train/model_checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES " --vocab vocab.json --merges merges.txt "
#define OPTIONS "generate --checkpoint run/checkpoint.safetensors" FILES "--threads 1 "
#define GENERATE "cs336 " OPTIONS

static void make_model(void)
{
    assert_shell_ok("cs336 story --stories 30 --seed 1 --output train.txt && cs336 train-bpe --input train.txt "
                    "--vocab-size 300 --special-token '<|endoftext|>' --vocab vocab.json --merges merges.txt >log && "
                    "cs336 encode --special-token '<|endoftext|>'" FILES "--input train.txt --output train.bin >log && "
                    "cs336 train --train train.bin --vocab-size 300 --context-length 16 --d-model 16 --num-layers 2 "
                    "--num-heads 2 --batch-size 2 --threads 1 --steps 30 --out run >log");
}

/* ---- prompts ---- */

START_TEST(test_a_prompt_comes_from_a_file)
{
    make_model();
    assert_shell_ok("p=\"$(printf 'The cat\\n sat')\"; " GENERATE "--prompt \"$p\" --max-tokens 20 >expected && "
                    "printf 'The cat\\n sat\\n' >prompt && " GENERATE
                    "--prompt-file prompt --max-tokens 20 | cmp - expected "
                    "&& printf 'The cat\\n sat' | " GENERATE "--prompt-file - --max-tokens 20 | cmp - expected");
    /* Only one line feed is left out, and every byte counts: the prompt is also what the output begins with. */
    assert_shell_ok("printf 'a\\000b\\377\\n\\n' >prompt && " GENERATE
                    "--prompt-file prompt --max-tokens 3 | head -c 5 >first && "
                    "head -c 5 prompt | cmp - first");
    assert_shell_ok("printf 'The cat\r\nA dog\r\n' >windows && printf 'The cat\nA dog\n' >unix && " GENERATE
                    "--prompts unix --max-tokens 20 >text && " GENERATE
                    "--prompts windows --max-tokens 20 | cmp - text");
    assert_shell_ok(": >empty && " GENERATE "--prompt-file empty --max-tokens 20 >text && " GENERATE
                    "--max-tokens 20 | cmp - text");
    assert_shell_fails(1, "cs336 generate: nowhere: No such file or directory", GENERATE "--prompt-file nowhere");
    assert_shell_fails(1, "cs336 generate: nowhere: No such file or directory", GENERATE "--prompts nowhere");
    assert_shell_fails(1, "cs336 generate: empty: the file is empty, expected a prompt on each line",
                       GENERATE "--prompts empty");
    assert_shell_fails(2,
                       "cs336 generate: give only one of --prompt, --prompt-file, --prompts and --prompt-ids; see "
                       "cs336 generate --help",
                       GENERATE "--prompts empty --prompt a");
}
END_TEST

/* 24 prompts of different lengths, one of them empty: more than advance together. */
START_TEST(test_prompts_give_the_texts_of_each_prompt_alone)
{
    make_model();
    assert_shell_ok(
        "i=0; while test $i -lt 24; do head -c $((i * 5)) train.txt | tr '\\n' ' '; echo; i=$((i + 1)); done "
        ">prompts && while IFS= read -r p; do " GENERATE
        "--prompt \"$p\" --samples 2 --max-tokens 30 --temperature 1.2; echo; done <prompts | "
        "LC_ALL=C sed '/^--- /d' >expected");
    assert_shell_ok("{ " GENERATE "--prompts prompts --samples 2 --max-tokens 30 --temperature 1.2 >all; echo >>all; "
                    "LC_ALL=C sed '/^--- /d' all; } | cmp - expected && LC_ALL=C sed -n '/^--- [0-9]* of 48 ---$/p' "
                    "all | wc -l | tr -d ' '");
    ck_assert_str_eq(shell_output, "48\n");
    assert_shell_ok(GENERATE "--prompts - --samples 2 --max-tokens 30 --temperature 1.2 <prompts >again; echo >>again; "
                             "cmp all again");
    /* A single prompt has no heading; the last line needs no line feed. */
    assert_shell_ok("printf 'The cat' | " GENERATE "--prompts - --max-tokens 9 >one && " GENERATE
                    "--prompt 'The cat' --max-tokens 9 | cmp - one");
}
END_TEST

/* ---- stop texts ---- */

enum { PROMPT_BYTES = 7 /* of "the cat" */ };
#define TEXT GENERATE "--prompt 'the cat' --max-tokens 80 --temperature 1.5 --top-p 1 --seed 9 "

/* Returns the first offset at which the text occurs after the prompt. */
static size_t first_occurrence(const LoadedFile *whole, const uint8_t *text, size_t length)
{
    size_t at = PROMPT_BYTES;
    while (at + length <= whole->size && memcmp(whole->data + at, text, length) != 0)
        at++;
    return at;
}

/* Cuts stop texts out of a generated text: they begin and end anywhere in its tokens and characters. */
START_TEST(test_a_stop_text_ends_the_text_before_it)
{
    make_model();
    assert_shell_ok(TEXT "--stop '' >whole");
    LoadedFile whole;
    assert_ok(file_load(&whole, temp_path("whole")));
    ck_assert_uint_gt(whole.size, 80);
    Rng rng = rng_seeded(1);
    int cuts = 0;
    for (int round = 0; round < 25; round++) {
        const size_t at = PROMPT_BYTES + rng_below(&rng, whole.size - PROMPT_BYTES - 20);
        const size_t length = 1 + rng_below(&rng, 12);
        const uint8_t *stop = whole.data + at;
        /* The shell passes no zero byte, and drops line feeds at the end. */
        if (memchr(stop, 0, length) || stop[length - 1] == '\n')
            continue;
        test_label("%zu bytes at %zu", length, at);
        write_file(temp_path("stop"), stop, length);
        assert_shell_ok(TEXT "--stop \"$(cat stop)\" --stop 'does not come' >cut");
        LoadedFile cut;
        assert_ok(file_load(&cut, temp_path("cut")));
        ck_assert_uint_eq(cut.size, first_occurrence(&whole, stop, length) + 1);
        ck_assert_mem_eq(cut.data, whole.data, cut.size - 1);
        ck_assert_int_eq(cut.data[cut.size - 1], '\n');
        file_unload(&cut);
        cuts++;
    }
    ck_assert_int_ge(cuts, 10);
    /* The end of the text begins a stop text that does not come: what was held back is written. */
    write_file(temp_path("stop"), whole.data + whole.size - 2, 1);
    assert_shell_ok(TEXT "--stop \"$(cat stop)~~~\" | cmp - whole");
    file_unload(&whole);
    /* A special token is a text, too, and --stop replaces the default. */
    assert_shell_ok(TEXT "--max-tokens 3000 >default && " TEXT
                         "--max-tokens 3000 --stop '<|endoftext|>' | cmp - default "
                         "&& " TEXT "--max-tokens 3000 --stop '' | grep -q '<|endoftext|>' && "
                         "! grep -q '<|endoftext|>' default && " TEXT
                         "--max-tokens 3000 --stop 'does not come' | grep -q '<|endoftext|>'");
}
END_TEST

/* ---- log-probabilities ---- */

START_TEST(test_logprobs_are_those_of_the_text)
{
    make_model();
    assert_shell_ok(GENERATE
                    "--prompt 'the cat' --max-tokens 25 --stop '' --logprobs >lines && test $(wc -l <lines) = 26 "
                    "&& tail -1 lines | grep -q ' sum of 25 tokens$' && awk 'NR < 26 { sum += $1; if ($1 > 0) "
                    "exit 1 } NR == 26 { d = sum - $1; exit !(d < 0.001 && d > -0.001) }' lines");
    /* The same tokens: without marks, the labels are the text. */
    assert_shell_ok(GENERATE "--prompt 'the cat' --max-tokens 25 --stop '' >text && printf 'the cat' >labels && "
                             "head -25 lines | cut -c15- | tr -d '\\n' | sed 's/\xE2\x90\xA3/ /g' >>labels && "
                             "tr -d '\\n' <text | sed 's/\xE2\x86\xB5//g' | cmp -s - labels || "
                             "grep -q '\\\\x\\|\xE2\x86\xB5\\|\xE2\x86\x92' labels");
    /* Selecting tokens changes what is drawn, and not what the model thinks of them. */
    assert_shell_ok(GENERATE
                    "--prompt 'the cat' --max-tokens 25 --stop '' --logprobs --temperature 0 >greedy && " GENERATE
                    "--prompt 'the cat' --max-tokens 25 --stop '' --logprobs --top-k 1 --temperature 3 | "
                    "cmp - greedy");
    /* A drawn stop token has a line. */
    assert_shell_ok(GENERATE
                    "--max-tokens 3000 --logprobs --temperature 1 | tail -2 | head -1 | grep -q '<|endoftext|>'");
}
END_TEST

/* ---- ids ---- */

/* Prints a file of uint16 ids as a list, and makes such a file of a list. */
#define LIST_OF(file) "od -An -v -tu2 " file " | xargs"
#define RAW_OF(list) "for i in " list "; do printf \"\\\\$(printf %o $((i % 256)))\\\\$(printf %o $((i / 256)))\"; done"

/* A prompt as ids gives what it gives as a text, and the ids that are printed are those of the text. */
START_TEST(test_ids_go_in_and_out)
{
    make_model();
    assert_shell_ok(
        "printf 'the cat' >prompt && cs336 encode" FILES "--special-token '<|endoftext|>' --input prompt "
        "--output prompt.bin >log && ids=$(" LIST_OF(
            "prompt.bin") ") && " GENERATE "--prompt 'the cat' --max-tokens 30 --samples 2 >text && " GENERATE
                          "--prompt-ids \"$ids\" --max-tokens 30 --samples 2 | cmp - text && " GENERATE
                          "--prompt-ids \"  $(echo $ids | tr ' ' '\\n') \" --max-tokens 30 --samples 2 | cmp - text");
    assert_shell_ok("ids=$(" LIST_OF(
        "prompt.bin") "); " GENERATE "--prompt 'the cat' --stop '' --max-tokens 30 >text && more=$(" GENERATE
                      "--prompt 'the cat' --stop '' --max-tokens 30 --ids) && test $(echo $more | wc -w) = 30 && "
                      "{ " RAW_OF("$ids $more") "; } >all.bin && cs336 decode" FILES
                                                "--special-token '<|endoftext|>' --input all.bin --output all >log && "
                                                "echo >>all && cmp all text");
    /* The token that starts a document is not shown, as without a prompt; a drawn stop token has its id. */
    assert_shell_ok("printf '<|endoftext|>' >end && cs336 encode" FILES
                    "--special-token '<|endoftext|>' --input end --output end.bin >log && end=$(" LIST_OF(
                        "end.bin") ") && " GENERATE "--max-tokens 9 >text && " GENERATE
                                   "--prompt-ids $end --max-tokens 9 | cmp - text && " GENERATE
                                   "--max-tokens 3000 --temperature 1 --ids | grep -q \" $end\\$\"");
}
END_TEST

START_TEST(test_wrong_ids_are_named)
{
    make_model();
    assert_shell_fails(1, "cs336 generate: --prompt-ids: expected ids with blanks between them, found \"-2 3\"",
                       GENERATE "--prompt-ids '1 -2 3'");
    assert_shell_fails(1, "cs336 generate: --prompt-ids: expected ids with blanks between them, found \"2,3\"",
                       GENERATE "--prompt-ids 2,3");
    assert_shell_fails(1, "cs336 generate: --prompt-ids: id 300, expected below the vocabulary size 300",
                       GENERATE "--prompt-ids '299 300'");
    assert_shell_fails(1,
                       "cs336 generate: --prompt-ids: id 18446744073709551617, expected below the vocabulary size 300",
                       GENERATE "--prompt-ids 18446744073709551617");
    assert_shell_fails(1, "cs336 generate: --prompt-ids is empty, expected at least one id",
                       GENERATE "--prompt-ids ' '");
    assert_shell_fails(2, "cs336 generate: give only one of --ids and --logprobs; see cs336 generate --help",
                       GENERATE "--ids --logprobs");
    ck_assert_int_eq(shell(GENERATE "--interactive --ids"), 2);
    ck_assert_int_eq(shell(GENERATE "--interactive --prompt-ids 1"), 2);
}
END_TEST

/* ---- interactive ---- */

START_TEST(test_interactive_continues_lines_from_a_pipe)
{
    make_model();
    /* The first line is a prompt; an empty line goes on where the text was cut. */
    assert_shell_ok("printf 'the cat\\n\\n' | " GENERATE
                    "--interactive --stop '' --temperature 0 --max-tokens 6 >two && "
                    "printf 'the cat' >joined && tr -d '\\n' <two >>joined && echo >>joined && " GENERATE
                    "--prompt 'the cat' --stop '' --temperature 0 --max-tokens 12 >one && tr -d '\\n' <one >flat && "
                    "tr -d '\\n' <joined | cmp - flat");
    assert_shell_ok("echo 'the cat' | " GENERATE
                    "--interactive --max-tokens 30 >answer && printf 'the cat' | cat - answer "
                    ">text && " GENERATE "--prompt 'the cat' --max-tokens 30 | cmp - text");
    /* No line at all, and a line without its line feed. */
    assert_shell_ok(GENERATE "--interactive </dev/null");
    ck_assert_str_eq(shell_output, "");
    assert_shell_ok("printf 'the cat' | " GENERATE "--interactive --max-tokens 30 | cmp - answer");
    ck_assert_int_eq(shell(GENERATE "--interactive --logprobs"), 2);
    ck_assert_int_eq(shell(GENERATE "--interactive --prompt a"), 2);
    ck_assert_int_eq(shell(GENERATE "--interactive --samples 2"), 2);
}
END_TEST

/* Each of the two texts would go on for hours. */
START_TEST(test_an_interrupt_ends_only_the_text)
{
    make_model();
    assert_shell_ok(
        "printf 'the cat\\nthe dog\\n' >lines; "
        "{ until test -s out; do sleep 0.05; done; while kill -INT $(cat pid); do sleep 0.3; done; } 2>log & "
        "sh -c 'echo $$ >pid; exec \"$program\" " OPTIONS
        "--interactive --stop \"\" --max-tokens 2000000000' <lines >out");
    assert_shell_ok("test $(tr -cd '\\n' <out | wc -c) -ge 2");
}
END_TEST

START_TEST(test_interactive_asks_on_a_terminal)
{
    make_model();
    ck_assert_int_eq(terminal_run("exec \"$program\" " OPTIONS "--interactive --max-tokens 9", "> ", "the cat\n\004"),
                     0);
    ck_assert_msg(strncmp(shell_output, "> the cat\r\n", 11) == 0, "%s", shell_output);
    const char *second = strstr(shell_output + 2, "> ");
    ck_assert_msg(second && strstr(second, "\r\n"), "%s", shell_output);
    ck_assert_int_eq(terminal_run("exec \"$program\" " OPTIONS "--interactive", "> ", "\003\004"), 0);
}
END_TEST

/* ---- memory ---- */

/* Writes a small checkpoint of zeros whose caches are large: 2048 layers, 512 KiB a token, half a terabyte in all. */
static void write_deep_model(const char *path)
{
    const TransformerLMConfig config = {.vocab_size = 300,
                                        .context_length = TRANSFORMER_LM_MAX_CONTEXT,
                                        .d_model = 32,
                                        .num_layers = 2048,
                                        .num_heads = 1,
                                        .d_ff = 1,
                                        .rope_theta = 10000,
                                        .norm_eps = 1e-5F,
                                        .position = POSITION_NONE};
    TrainedModel model;
    assert_ok(trained_model_create(&model, &config, path));
    for (size_t i = 0; i < model.parameters.count; i++) {
        const Tensor value = model.parameters.items[i].value;
        memset(value.data, 0, tensor_count(value) * sizeof *value.data);
    }
    assert_ok(trained_model_save(path, &model));
    trained_model_deinit(&model);
}

START_TEST(test_nothing_is_printed_before_memory_is_there)
{
    assert_shell_ok("cs336 story --stories 30 --seed 1 --output train.txt && cs336 train-bpe --input train.txt "
                    "--vocab-size 300 --special-token '<|endoftext|>' --vocab vocab.json --merges merges.txt >log");
    write_deep_model(temp_path("deep.safetensors"));
#define DEEP "cs336 generate --checkpoint deep.safetensors --prompt 'the cat' --samples 2 --threads 1" FILES
    assert_shell_ok(DEEP "--max-tokens 2");
    ck_assert(strncmp(shell_output, "--- 1 of 2 ---\nthe cat", 22) == 0);
    ck_assert_int_eq(shell(DEEP "--max-tokens 1048576"), 1);
    ck_assert_str_eq(shell_output, "");
    const char *remedy =
        strstr(shell_errors, "; a smaller --max-tokens needs less, and so does a model of cs336 import "
                             "--context-length N\n");
    ck_assert_msg(remedy && !remedy[strcspn(remedy, "\n") + 1], "%s", shell_errors);
    ck_assert_int_eq(shell("echo the cat | cs336 generate --checkpoint deep.safetensors --interactive --threads 1" FILES
                           "--max-tokens 1048576"),
                     1);
    ck_assert_str_eq(shell_output, "");
    ck_assert_msg(strstr(shell_errors, remedy) != NULL, "%s", shell_errors);
}
END_TEST

/* ---- notes ---- */

START_TEST(test_notes_follow_the_checks)
{
    make_model();
    assert_shell_ok("cs336 train-bpe --input train.txt --vocab-size 280 --special-token '<|endoftext|>' --vocab v "
                    "--merges m >log");
#define FEWER "cs336 generate --checkpoint run/checkpoint.safetensors --vocab v --merges m --threads 1 --max-tokens 2 "
    assert_shell_fails(1, "cs336 generate: --prompt-ids: id 280, expected below the vocabulary size 280",
                       FEWER "--prompt-ids 280");
    ck_assert_int_eq(shell(FEWER "--prompt-ids 279"), 0);
    ck_assert_str_eq(shell_errors,
                     "cs336 generate: v has 280 tokens, the model has 300 ids; ids without a token are not drawn\n");
    /* A prompt of JSON Lines is a prompt with the JSON. */
    ck_assert_int_eq(shell("printf '{\"text\":\"a\"}\\n' >p.jsonl && " GENERATE "--prompts p.jsonl --max-tokens 1"), 0);
    ck_assert_str_eq(shell_errors, "cs336 generate: note: p.jsonl is read as plain text, with the JSON around its "
                                   "documents; --prompts expects a prompt alone on each line\n");
    ck_assert_int_eq(shell(GENERATE "--prompt-file p.jsonl --max-tokens 1"), 0);
    ck_assert_str_eq(shell_errors, "cs336 generate: note: p.jsonl is read as plain text, with the JSON around its "
                                   "documents; --prompt-file expects one prompt alone\n");
}
END_TEST

const TestCase cli_generate_tests[] = {
    TEST(test_a_prompt_comes_from_a_file, "generate"),
    TEST(test_prompts_give_the_texts_of_each_prompt_alone, "generate"),
    TEST(test_a_stop_text_ends_the_text_before_it, "generate"),
    TEST(test_logprobs_are_those_of_the_text, "generate"),
    TEST(test_ids_go_in_and_out, "generate"),
    TEST(test_wrong_ids_are_named, "generate"),
    TEST(test_interactive_continues_lines_from_a_pipe, "generate"),
    TEST(test_an_interrupt_ends_only_the_text, "generate"),
    TEST_UNLESS(test_interactive_asks_on_a_terminal, "generate", no_terminal),
    TEST(test_nothing_is_printed_before_memory_is_there, "generate"),
    TEST(test_notes_follow_the_checks, "generate"),
    {0},
};
