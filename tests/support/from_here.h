/**
 * @file
 * @brief Calls of helpers, noting the line of the test. Tests have this file from suite.h; tests/support does not
 * include it.
 *
 * A failure inside a helper is reported where the test called it (check.h). So each helper that can fail has a macro of
 * its own name, which notes the line of the call and then calls the function. The preprocessor does not expand a macro
 * inside its own expansion, so the inner name is the function. Helpers call each other without these macros, so the
 * noted line stays that of the test.
 *
 * Calls that tests write inside ck_assert_int_eq() and its kin have no macro here, because Check would print what the
 * macro expands to: temp_path(), directory_entries(), line_bytes() and the like, whose messages name the file or the
 * line that is wrong, and shell() and terminal_run(), which are reported in tests/support with their command.
 */
#ifndef CS336_TESTS_SUPPORT_FROM_HERE_H
#define CS336_TESTS_SUPPORT_FROM_HERE_H

#include "tests/support/allclose.h"
#include "tests/support/attention_run.h"
#include "tests/support/check.h"
#include "tests/support/compare_ids.h"
#include "tests/support/corpus.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/fixture.h"
#include "tests/support/gpt2_files.h"
#include "tests/support/kernels.h"
#include "tests/support/lines.h"
#include "tests/support/matrices.h"
#include "tests/support/program.h"
#include "tests/support/reference.h"
#include "tests/support/same_words.h"
#include "tests/support/sample.h"
#include "tests/support/small_model.h"
#include "tests/support/tiny_lm.h"
#include "tests/support/tiny_training.h"

/** @brief Notes the line where this macro stands, and calls a helper. */
#define FROM_HERE(call) (test_here(__FILE__, __LINE__), call)

/* Assertions. */
#define assert_allclose_tensor(...) FROM_HERE(assert_allclose_tensor(__VA_ARGS__))
#define assert_allclose_wide(...) FROM_HERE(assert_allclose_wide(__VA_ARGS__))
#define assert_allclose_array(...) FROM_HERE(assert_allclose_array(__VA_ARGS__))
#define assert_allclose_double(...) FROM_HERE(assert_allclose_double(__VA_ARGS__))
#define assert_fails(...) FROM_HERE(assert_fails(__VA_ARGS__))
#define assert_path_fails(...) FROM_HERE(assert_path_fails(__VA_ARGS__))
#define assert_ok(...) FROM_HERE(assert_ok(__VA_ARGS__))
#define assert_ids_equal(...) FROM_HERE(assert_ids_equal(__VA_ARGS__))
#define assert_file_holds(...) FROM_HERE(assert_file_holds(__VA_ARGS__))
#define assert_same_file(...) FROM_HERE(assert_same_file(__VA_ARGS__))
#define assert_same_log(...) FROM_HERE(assert_same_log(__VA_ARGS__))
#define assert_gradient(...) FROM_HERE(assert_gradient(__VA_ARGS__))
#define assert_differences(...) FROM_HERE(assert_differences(__VA_ARGS__))
#define assert_pytorch(...) FROM_HERE(assert_pytorch(__VA_ARGS__))
#define assert_scratch(...) FROM_HERE(assert_scratch(__VA_ARGS__))
#define assert_allocation_failures_are_clean(...) FROM_HERE(assert_allocation_failures_are_clean(__VA_ARGS__))
#define assert_allocation_failures_say_these(...) FROM_HERE(assert_allocation_failures_say_these(__VA_ARGS__))
#define assert_write_failures_are_clean(...) FROM_HERE(assert_write_failures_are_clean(__VA_ARGS__))
#define assert_same_words(...) FROM_HERE(assert_same_words(__VA_ARGS__))
#define assert_product(...) FROM_HERE(assert_product(__VA_ARGS__))
#define assert_layouts(...) FROM_HERE(assert_layouts(__VA_ARGS__))
#define assert_random_shapes(...) FROM_HERE(assert_random_shapes(__VA_ARGS__))
#define assert_forms(...) FROM_HERE(assert_forms(__VA_ARGS__))
#define assert_special_numbers(...) FROM_HERE(assert_special_numbers(__VA_ARGS__))
#define assert_shell_ok(...) FROM_HERE(assert_shell_ok(__VA_ARGS__))
#define assert_shell_fails(...) FROM_HERE(assert_shell_fails(__VA_ARGS__))
#define assert_prints(...) FROM_HERE(assert_prints(__VA_ARGS__))

/* Whole problems: what runs the library, and what prepares it. */
#define attention_run_init(...) FROM_HERE(attention_run_init(__VA_ARGS__))
#define attention_run(...) FROM_HERE(attention_run(__VA_ARGS__))
#define attention_run_check(...) FROM_HERE(attention_run_check(__VA_ARGS__))
#define attention_check(...) FROM_HERE(attention_check(__VA_ARGS__))
#define attention_check_random(...) FROM_HERE(attention_check_random(__VA_ARGS__))
#define attention_check_documents(...) FROM_HERE(attention_check_documents(__VA_ARGS__))
#define attention_random_mask(...) FROM_HERE(attention_random_mask(__VA_ARGS__))
#define reserve_for(...) FROM_HERE(reserve_for(__VA_ARGS__))
#define spoil_workspace(...) FROM_HERE(spoil_workspace(__VA_ARGS__))
#define small_model_init(...) FROM_HERE(small_model_init(__VA_ARGS__))
#define tiny_lm_init(...) FROM_HERE(tiny_lm_init(__VA_ARGS__))
#define tiny_training_init(...) FROM_HERE(tiny_training_init(__VA_ARGS__))
#define tiny_training_run(...) FROM_HERE(tiny_training_run(__VA_ARGS__))
#define tiny_training_write(...) FROM_HERE(tiny_training_write(__VA_ARGS__))

/* Inputs, fixtures, files and memory. */
#define arena_of(...) FROM_HERE(arena_of(__VA_ARGS__))
#define corpus_make(...) FROM_HERE(corpus_make(__VA_ARGS__))
#define filled_of(...) FROM_HERE(filled_of(__VA_ARGS__))
#define filled_like(...) FROM_HERE(filled_like(__VA_ARGS__))
#define file_text(...) FROM_HERE(file_text(__VA_ARGS__))
#define fixture_open(...) FROM_HERE(fixture_open(__VA_ARGS__))
#define fixture_tensor(...) FROM_HERE(fixture_tensor(__VA_ARGS__))
#define fixture_doubles(...) FROM_HERE(fixture_doubles(__VA_ARGS__))
#define fixture_tokens(...) FROM_HERE(fixture_tokens(__VA_ARGS__))
#define fixture_mask(...) FROM_HERE(fixture_mask(__VA_ARGS__))
#define fixture_output_of(...) FROM_HERE(fixture_output_of(__VA_ARGS__))
#define gpt2_files_read(...) FROM_HERE(gpt2_files_read(__VA_ARGS__))
#define lines_open(...) FROM_HERE(lines_open(__VA_ARGS__))
#define sample_of(...) FROM_HERE(sample_of(__VA_ARGS__))
#define sample_ids_of(...) FROM_HERE(sample_ids_of(__VA_ARGS__))
#define sample_doubles(...) FROM_HERE(sample_doubles(__VA_ARGS__))
#define temp_directory(...) FROM_HERE(temp_directory(__VA_ARGS__))
#define test_matrix(...) FROM_HERE(test_matrix(__VA_ARGS__))
#define write_file(...) FROM_HERE(write_file(__VA_ARGS__))

#endif
