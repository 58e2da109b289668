/* cs336 export and cs336 import: a model that goes out and comes in again is the same to every other command. */
#include "tests/cli/tiny_tokenizer.h"
#include "tests/suites.h"
#include "tests/support/files.h"
#include "tests/support/program.h"

#include <stdio.h>
#include <string.h>

#define TRAIN "cs336 train --train ids " MODEL " --steps 4 --rope-theta 500 --out run >said"
#define EXPORT "cs336 export --checkpoint run/checkpoint.safetensors "

static void make_run(void)
{
    assert_shell_ok(TRAIN_BPE " && for i in 1 2 3 4 5 6 7 8; do cat text; done >more && cs336 encode" SPECIAL
                              "--input more --output ids >said && " TRAIN);
}

START_TEST(test_exports_come_in_again)
{
    static const char *const forms[][2] = {{"--weights-only w.safetensors", "w.safetensors"}, {"--llama hf", "hf"}};
    make_run();
    assert_shell_ok("cs336 evaluate --checkpoint run/checkpoint.safetensors --tokens ids | grep '^loss' >loss");
    for (size_t i = 0; i < 2; i++) {
        char line[512];
        snprintf(line, sizeof line, EXPORT "%s", forms[i][0]);
        assert_shell_ok(line);
        snprintf(line, sizeof line, "wrote %s: ", forms[i][1]);
        assert_prints(line);
        snprintf(line, sizeof line, "cs336 import %s --output in.safetensors", forms[i][1]);
        assert_shell_ok(line);
        assert_prints(i ? "hf: Hugging Face Llama, 21 arrays, " : "w.safetensors: PyTorch state dict, 21 arrays, ");
        assert_prints("vocab 300, context 16, 2 layers, d_model 16, 2 heads");
        /* The other commands take it. */
        assert_shell_ok("cs336 evaluate --checkpoint in.safetensors --tokens ids | grep '^loss' | cmp - loss");
        assert_shell_ok("cs336 generate --checkpoint in.safetensors" SPECIAL
                        "--prompt the --max-tokens 5 >text-in 2>said");
        assert_shell_ok("cs336 generate --checkpoint run/checkpoint.safetensors" SPECIAL
                        "--prompt the --max-tokens 5 >text-out 2>said && cmp text-in text-out");
        assert_shell_ok("cs336 inspect --checkpoint in.safetensors --shapes >said");
        assert_shell_ok("cs336 train --train ids --init-from in.safetensors --batch-size 2 --steps 2 --out tuned "
                        "--overwrite >said");
    }
    assert_shell_ok(EXPORT "--llama ended --end-id 262 && grep -c '_token_id\": 262' ended/config.json");
    assert_prints("2\n");
}
END_TEST

START_TEST(test_import_says_what_it_assumes)
{
    make_run();
    assert_shell_ok("cp -r \"$OLDPWD\"/tests/fixtures/interchange/llama . && cp "
                    "\"$OLDPWD\"/tests/fixtures/interchange/bf16.safetensors .");
    assert_shell_ok(
        "sed 's/\"max_position_embeddings\": 64/\"max_position_embeddings\": 131072/' llama/config.json >longer && "
        "mv longer llama/config.json");
    ck_assert_int_eq(shell("cs336 import llama --output in.safetensors"), 0);
    ck_assert_str_eq(
        shell_errors,
        "cs336 import: context length 4096 of the 131072 that the file allows, because memory grows with it; "
        "--context-length N sets another\n"
        "cs336 import: 2 heads of keys and values are repeated for 4 heads of queries\n");
    ck_assert_int_eq(shell("cs336 import llama --output in.safetensors --context-length 20"), 0);
    ck_assert_str_eq(shell_errors, "cs336 import: 2 heads of keys and values are repeated for 4 heads of queries\n");
    assert_prints("vocab 40, context 20, ");
    ck_assert_int_eq(shell("cs336 import bf16.safetensors --num-heads 2 --rope-theta 1000 --output in.safetensors"), 0);
    ck_assert_str_eq(shell_errors, "cs336 import: bf16.safetensors does not say these settings, so they are the "
                                   "course's: norm pre, norm_eps 1e-05, position rope, context_length 256; options set "
                                   "others\n");
    assert_prints("bf16.safetensors: PyTorch state dict, 21 arrays, ");
}
END_TEST

START_TEST(test_interchange_errors_are_one_line)
{
    static const struct {
        int code;
        const char *line, *message;
    } cases[] = {
        {2, EXPORT,
         "export: expected one of --weights-only FILE, --llama DIR and --llama2c FILE; see cs336 export --help"},
        {2, EXPORT "--weights-only a --llama b",
         "export: expected one of --weights-only FILE, --llama DIR and --llama2c FILE; see cs336 export --help"},
        {2, EXPORT "--weights-only a --end-id 3", "export: --end-id belongs to --llama; see cs336 export --help"},
        {1, EXPORT "--weights-only ./run/checkpoint.safetensors",
         "export: ./run/checkpoint.safetensors: cannot write: it is also the checkpoint"},
        {1,
         "cp -r run hf && mv hf/checkpoint.safetensors hf/model.safetensors; cs336 export --checkpoint "
         "hf/model.safetensors --llama hf",
         "export: hf/model.safetensors: cannot write: it is also the checkpoint"},
        {1, EXPORT "--llama run",
         "export: run/config.json: exists and is not of a Llama, such as the settings of a training run; give another "
         "directory"},
        {1, EXPORT "--llama new --end-id 300",
         "export: new: not written: token 300 ends a text, the model has 300 ids"},
        {1, "cs336 export --checkpoint nowhere --llama new",
         "export: nowhere: No such file or directory; expected a file, for example from cs336 train"},
        {2, "cs336 import --output x", "import: PATH is missing; see cs336 import --help"},
        {2, "cs336 import a b --output x", "import: expected one PATH, got 2; see cs336 import --help"},
        {1, "cs336 import nowhere --output x", "import: nowhere: cannot read: No such file or directory"},
        {1, "cs336 import run --output x",
         "import: run: this directory has neither model.safetensors nor model.safetensors.index.json"},
        {1, "cs336 import run/checkpoint.safetensors --output x",
         "import: run/checkpoint.safetensors: is a checkpoint already, which --checkpoint of the other commands reads; "
         "expected weights from elsewhere"},
        {1, EXPORT "--weights-only w >said; cs336 import w --output ./w",
         "import: ./w: cannot write: it is also the input"},
        {1, "cs336 import w --output no/where", "import: no/where: cannot write: No such file or directory"},
        {1, "cs336 import w --output x --num-heads 3",
         "import: w: num_heads is 2 in its metadata, but 3 in the options"},
        {1, "cs336 generate --checkpoint w" FILES,
         "generate: w: not a checkpoint: no iteration in its metadata. If it has the weights of another program, cs336 "
         "import FILE --output checkpoint.safetensors makes a checkpoint of it"},
        {1, "cs336 import w --output x --context-length 17",
         "import: w: context_length is 16 in its metadata, but 17 in the options, expected no more: the model has not "
         "learned later positions"},
        {2, EXPORT "--llama -",
         "export: --llama: - is standard input or output, expected a directory; see cs336 export "
         "--help"},
    };
    make_run();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char message[512];
        snprintf(message, sizeof message, "cs336 %s", cases[i].message);
        assert_shell_fails(cases[i].code, message, cases[i].line);
        assert_shell_ok("! test -e x && ! test -e new");
    }
}
END_TEST

const TestCase cli_interchange_tests[] = {
    TEST(test_exports_come_in_again, "interchange"),
    TEST(test_import_says_what_it_assumes, "interchange"),
    TEST(test_interchange_errors_are_one_line, "interchange"),
    {0},
};
