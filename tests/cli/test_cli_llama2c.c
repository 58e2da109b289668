/* llama2.c's files on the command line: cs336 import, export and generate. */
#include "core/file.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tests/support/llama2c_files.h"
#include "tests/support/program.h"
#include "tokenizer/buffers.h"

#include <stdio.h>
#include <string.h>

/* Copies a model of tests/fixtures/llama2c to the temporary directory. */
static void copy_model(const char *path, const char *name)
{
    LoadedFile file;
    assert_ok(file_load(&file, path));
    write_file(temp_path(name), file.data, file.size);
    file_unload(&file);
}

static void copy_models(void)
{
    copy_model("tests/fixtures/llama2c/grouped.bin", "grouped.bin");
    copy_model("tests/fixtures/llama2c/separate.bin", "separate.bin");
}

START_TEST(test_llama2c_goes_in_and_out)
{
    copy_models();
    /* The name of the file does not matter. */
    assert_shell_ok("mv separate.bin model && cs336 import model --output s.safetensors");
    assert_prints("model: llama2.c, 30 arrays, ");
    assert_shell_ok("cs336 export --checkpoint s.safetensors --llama2c out.bin && "
                    "cs336 import out.bin --output again.safetensors >log && cmp s.safetensors again.safetensors");
    /* Heads that are shared are repeated, which the command says. */
    ck_assert_int_eq(shell("cs336 import grouped.bin --output g.safetensors"), 0);
    ck_assert_str_eq(shell_errors, "cs336 import: 2 heads of keys and values are repeated for 6 heads of queries\n");
    /* One head for all: 4, 1, 1, 2, 1, 300, 2, and 1276 numbers. */
    ck_assert_int_eq(
        shell("{ printf '\\4\\0\\0\\0\\1\\0\\0\\0\\1\\0\\0\\0\\2\\0\\0\\0\\1\\0\\0\\0\\54\\1\\0\\0\\2\\0\\0\\0'; "
              "head -c 5104 /dev/zero; } >one.bin && cs336 import one.bin --output one.safetensors"),
        0);
    ck_assert_str_eq(shell_errors, "cs336 import: 1 head of keys and values is repeated for 2 heads of queries\n");
    assert_shell_ok("cs336 export --checkpoint g.safetensors --llama2c g.bin && "
                    "cs336 import g.bin --output again.safetensors >log && cmp g.safetensors again.safetensors");
    assert_shell_ok("cs336 inspect --checkpoint g.safetensors --shapes >log");
}
END_TEST

START_TEST(test_llama2c_errors)
{
    copy_models();
    assert_shell_fails(1, "cs336 import: separate.bin: num_heads is 3 in its header, but 2 in the options",
                       "cs336 import separate.bin --num-heads 2 --output s.safetensors");
    assert_shell_fails(1,
                       "cs336 import: cut.bin: 16000 bytes, but the sizes in its header are those of a model of "
                       "llama2.c with 16540: damaged, or another kind of file",
                       "head -c 16000 separate.bin >cut.bin; cs336 import cut.bin --output s.safetensors");
    assert_shell_ok("test ! -e s.safetensors && cs336 story --stories 20 --seed 1 --output text && "
                    "cs336 train-bpe --input text --vocab-size 300 --vocab v.json --merges m.txt >log 2>&1 && "
                    "cs336 encode --vocab v.json --merges m.txt --input text --output ids >log && "
                    "cs336 train --train ids --vocab-size 300 --context-length 16 --d-model 16 --num-layers 1 "
                    "--num-heads 2 --batch-size 2 --steps 2 --norm post --out run >log");
    assert_shell_fails(1,
                       "cs336 export: out.bin: llama2.c cannot compute this model: its norm is \"post\", llama2.c's is "
                       "\"pre\"",
                       "cs336 export --checkpoint run/checkpoint.safetensors --llama2c out.bin");
    assert_shell_fails(2,
                       "cs336 export: expected one of --weights-only FILE, --llama DIR and --llama2c FILE; see cs336 "
                       "export --help",
                       "cs336 export --checkpoint run/checkpoint.safetensors --llama2c out.bin --weights-only w");
    assert_shell_ok("test ! -e out.bin && test ! -e w");
}
END_TEST

/* ---- generate with a tokenizer that only decodes ---- */

static void put_number(ByteList *file, int32_t number)
{
    assert_ok(byte_list_append(file, (const uint8_t *)&number, sizeof number));
}

/* Writes a tokenizer of 29 tokens, as many as grouped.bin has. Each is a blank and its id. */
static void write_tokenizer(void)
{
    ByteList file = {0};
    put_number(&file, 3);
    for (int32_t id = 0; id < 29; id++) {
        char token[16];
        put_number(&file, 0); /* the score */
        put_number(&file, snprintf(token, sizeof token, " %d", (int)id));
        assert_ok(byte_list_append_text(&file, token));
    }
    write_file(temp_path("tok.bin"), file.bytes, file.length);
    byte_list_deinit(&file);
}

#define GENERATE "cs336 generate --checkpoint g.safetensors --tokenizer tok.bin --threads 1 "

START_TEST(test_llama2c_text_is_generated)
{
    copy_models();
    write_tokenizer();
    ck_assert_int_eq(shell("cs336 import grouped.bin --output g.safetensors"), 0);
    /* A text begins with token 1, whose text is not shown. The blank behind it is left out, as behind a 1 within it. */
    assert_shell_ok(GENERATE
                    "--temperature 1 --stop '' --max-tokens 60 --ids >ids && test $(wc -w <ids) = 60 && "
                    "grep -q ' 1 ' ids && " GENERATE
                    "--temperature 1 --stop '' --max-tokens 60 >text && sed 's/ 1 / 1/g' ids | cmp - text && " GENERATE
                    "--temperature 1 --stop '' --max-tokens 60 --prompt-ids 1 | cmp - text");
    /* Behind another prompt the blank stays. */
    assert_shell_ok(GENERATE "--temperature 0 --stop '' --max-tokens 9 --prompt-ids '1 5 6' >text && "
                             "echo \"5 6 $(" GENERATE
                             "--temperature 0 --stop '' --max-tokens 9 --prompt-ids '1 5 6' --ids)\" | cmp - text");
    /* Token 1 ends a text, and is drawn only there. */
    assert_shell_ok(GENERATE "--temperature 2 --top-p 1 --max-tokens 5000 --ids >ids && grep -q '^[^1].* 1$' ids && "
                             "test $(tr ' ' '\\n' <ids | grep -c '^1$') = 1");
    assert_shell_ok(GENERATE "--temperature 2 --top-p 1 --max-tokens 5000 >text && "
                             "sed 's/ 1$//' ids | cmp - text");
    assert_shell_ok("printf '\\001\\000\\005\\000\\001\\000\\006\\000' >raw && "
                    "cs336 decode --tokenizer tok.bin --input raw --output out >log && test \"$(cat out)\" = ' 15 16'");
}
END_TEST

/* `decode` reads 16 384 ids at a time. The last id of one part decides about the blank of the next. */
START_TEST(test_llama2c_parts_are_decoded_as_one_text)
{
    enum { PART = 1 << 14, COUNT = PART + 2 };
    static uint16_t ids[COUNT];
    static char text[2 * COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        ids[i] = i == PART - 1 ? 1 : 5;
        memcpy(text + 2 * i, i == PART - 1 ? " 1" : " 5", 2);
    }
    memmove(text + 2 * PART, text + 2 * PART + 1, 3); /* without the blank behind token 1 */
    write_tokenizer();
    write_file(temp_path("raw"), ids, sizeof ids);
    assert_shell_ok("cs336 decode --tokenizer tok.bin --input raw --output out >log");
    assert_file_holds(temp_path("out"), text, sizeof text - 1);
}
END_TEST

START_TEST(test_llama2c_tokenizer_encodes_nothing)
{
    copy_models();
    write_tokenizer();
    ck_assert_int_eq(shell("cs336 import grouped.bin --output g.safetensors && echo 5 6 >text"), 0);
#define ONE_THAT_ENCODES "give a tokenizer.json, a rank file, or --vocab and --merges"
#define AS_IDS "give the prompt as ids: --prompt-ids '1 403 407'"
    static const struct {
        const char *command, *options, *instead;
    } commands[] = {
        {"encode", "--input text --output out", ONE_THAT_ENCODES},
        {"tokenizer-report", "--input text", ONE_THAT_ENCODES},
        {"inspect", "--checkpoint g.safetensors --prompt 5 --output out", ONE_THAT_ENCODES},
        {"evaluate", "--checkpoint g.safetensors --input text", "give its ids by --tokens FILE"},
        {"export-tokenizer", "--output out.json", "no other form can hold it"},
        {"export-tokenizer", "--output out.tiktoken", "no other form can hold it"},
        {"generate", "--checkpoint g.safetensors --prompt 5", AS_IDS},
        {"generate", "--checkpoint g.safetensors --prompts text", AS_IDS},
        {"generate", "--checkpoint g.safetensors --interactive <text",
         "give the prompt as ids, without --interactive: --prompt-ids '1 403 407'"},
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char line[256], expected[512];
        snprintf(line, sizeof line, "cs336 %s --tokenizer tok.bin %s", commands[i].command, commands[i].options);
        snprintf(expected, sizeof expected,
                 "cs336 %s: tok.bin: a tokenizer of llama2.c, which can decode but not encode: it has SentencePiece's "
                 "scores in place of merges; %s",
                 commands[i].command, commands[i].instead);
        assert_shell_fails(1, expected, line);
    }
    assert_shell_fails(1,
                       "cs336 generate: tok.bin: a tokenizer of llama2.c, which can decode but not encode: it has no "
                       "use for a pattern and special tokens",
                       GENERATE "--special-token x");
    assert_shell_ok("test ! -e out && test ! -e out.json && test ! -e out.tiktoken");
}
END_TEST

/* ---- the trained model ---- */

/* What run.c of llama2.c prints with -t 0 -n 200; its test_all.py has the same text. */
static const char lily[] =
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a "
    "big, red ball. She wanted to play with it, but it was too high.\nLily's mom said, \"Lily, let's go to the park.\" "
    "Lily was sad and didn't know what to do. She said, \"I want to play with your ball, but I can't find it.\"\nLily "
    "was sad and didn't know what to do. She said, \"I'm sorry, Lily. I didn't know what to do.\"\nLily didn't want to "
    "help her mom, so she\n";

START_TEST(test_stories260K_writes_what_llama2c_writes)
{
    ck_assert_int_eq(shell("cs336 import '%s' --output s.safetensors", llama2c_path("stories260K.bin")), 0);
    ck_assert_int_eq(shell("cs336 generate --checkpoint s.safetensors --tokenizer '%s' --temperature 0 "
                           "--max-tokens 200",
                           llama2c_path("tok512.bin")),
                     0);
    ck_assert_str_eq(shell_output, lily);
    ck_assert_str_eq(shell_errors, "");
}
END_TEST

const TestCase cli_llama2c_tests[] = {
    TEST(test_llama2c_goes_in_and_out, "llama2c"),
    TEST(test_llama2c_errors, "llama2c"),
    TEST(test_llama2c_text_is_generated, "llama2c"),
    TEST(test_llama2c_parts_are_decoded_as_one_text, "llama2c"),
    TEST(test_llama2c_tokenizer_encodes_nothing, "llama2c"),
    TEST_UNLESS(test_stories260K_writes_what_llama2c_writes, "llama2c", no_llama2c_files),
    {0},
};
