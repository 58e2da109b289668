#include "story/story.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tests/support/program.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_BYTES = 1 << 15 };

/* Writes the corpus that story_corpus_write() writes, story by story. */
static size_t expected_corpus(char *text, uint64_t seed, uint64_t stories)
{
    StoryProgram program;
    assert_ok(story_compile(&program, &story_grammar));
    size_t length = 0;
    for (uint64_t i = 0; i < stories; i++) {
        ck_assert_uint_le(length + program.longest + strlen(STORY_END), TEXT_BYTES - 1);
        length += story_write(text + length, NULL, &program, seed, i);
        memcpy(text + length, STORY_END, strlen(STORY_END));
        length += strlen(STORY_END);
    }
    text[length] = '\0';
    story_program_deinit(&program);
    return length;
}

START_TEST(test_cli_story_writes_a_file_or_standard_output)
{
    char text[TEXT_BYTES];
    const size_t length = expected_corpus(text, 3, 12);
    assert_shell_ok("cs336 story --stories 12 --seed 3 --output corpus.txt");
    ck_assert_str_eq(shell_output, "");
    assert_file_holds(temp_path("corpus.txt"), text, length);
    assert_shell_ok("cs336 story --stories 12 --seed 3 --output -");
    ck_assert_str_eq(shell_output, text);
    assert_shell_ok("cs336 story --stories=0 --output=corpus.txt");
    assert_file_holds(temp_path("corpus.txt"), "", 0);
}
END_TEST

START_TEST(test_cli_story_prints_the_exact_entropy)
{
    StoryProgram program;
    assert_ok(story_compile(&program, &story_grammar));
    const StoryExpectation expected = story_expectation(&program);
    story_program_deinit(&program);
    assert_shell_ok("cs336 story --entropy");
    double nats, bits, bytes, nats_per_byte, bits_per_byte;
    const int read = sscanf(shell_output,
                            "entropy per story %lf nats = %lf bits%*[^\n] bytes per story %lf%*[^\n] "
                            "floor of the loss %lf nats per byte = %lf bits per byte",
                            &nats, &bits, &bytes, &nats_per_byte, &bits_per_byte);
    ck_assert_msg(read == 5, "%d numbers in: %s", read, shell_output);
    ck_assert_double_eq_tol(nats, expected.nats, 1e-4);
    ck_assert_double_eq_tol(bits, expected.nats / 0.69314718055994531, 1e-4);
    ck_assert_double_eq_tol(bytes, expected.bytes + 15, 1e-3);
    ck_assert_double_eq_tol(nats_per_byte, nats / bytes, 2e-6);
    ck_assert_double_eq_tol(bits_per_byte, bits / bytes, 2e-6);
}
END_TEST

/* With --output - only the corpus goes to standard output. */
START_TEST(test_cli_story_entropy_does_not_mix_with_the_corpus)
{
    char text[TEXT_BYTES];
    expected_corpus(text, 1, 2);
    ck_assert_int_eq(shell("cs336 story --stories 2 --seed 1 --output - --entropy"), 0);
    ck_assert_str_eq(shell_output, text);
    ck_assert_ptr_nonnull(strstr(shell_errors, "entropy per story"));
    assert_shell_ok("cs336 story --stories 2 --output corpus.txt --entropy");
    ck_assert_ptr_nonnull(strstr(shell_output, "entropy per story"));
}
END_TEST

START_TEST(test_cli_story_bad_usage_and_bad_outputs)
{
    assert_shell_fails(2, "cs336 story: --output or --entropy is missing; see cs336 story --help", "cs336 story");
    assert_shell_fails(2, "cs336 story: --stories: \"many\" is not a whole number; see cs336 story --help",
                       "cs336 story --stories many --output corpus.txt");
    assert_shell_fails(1, "cs336 story: missing/corpus.txt: cannot write: No such file or directory",
                       "cs336 story --output missing/corpus.txt");
}
END_TEST

START_TEST(test_cli_story_to_a_full_device)
{
    assert_shell_ok("cs336 story --output /dev/full 2>said; "
                    "test $? = 1 && grep -q '^cs336 story: /dev/full: cannot write: ' said");
}
END_TEST

START_TEST(test_cli_story_interrupted_leaves_nothing)
{
    assert_shell_fails(1, "cs336 story: interrupted",
                       "\"$program\" story --stories 2000000 --output corpus.txt & "
                       "until ls corpus.txt.* >found 2>found; do sleep 0.01; done; kill -TERM $!; wait $!");
    assert_shell_ok("ls");
    ck_assert_ptr_null(strstr(shell_output, "corpus"));
}
END_TEST

const TestCase cli_story_tests[] = {
    TEST(test_cli_story_writes_a_file_or_standard_output, "story"),
    TEST(test_cli_story_prints_the_exact_entropy, "story"),
    TEST(test_cli_story_entropy_does_not_mix_with_the_corpus, "story"),
    TEST(test_cli_story_bad_usage_and_bad_outputs, "story"),
    TEST_UNLESS(test_cli_story_to_a_full_device, "story", no_full_device),
    TEST(test_cli_story_interrupted_leaves_nothing, "story"),
    {0},
};
