/**
 * @file
 * @brief The list of all suites. The course's seven come first, and their files are beside this one. The others are in
 * folders named after the folder of cs336_basics that they test; the last one tests the messages of tests/support.
 */
#ifndef CS336_TESTS_SUITES_H
#define CS336_TESTS_SUITES_H

#include "tests/support/suite.h"

#define SUITES(X)         \
    X(nn_utils)           \
    X(model)              \
    X(optimizer)          \
    X(data)               \
    X(serialization)      \
    X(train_bpe)          \
    X(tokenizer)          \
    X(core)               \
    X(arena)              \
    X(guest)              \
    X(tensor)             \
    X(rng)                \
    X(normal)             \
    X(files)              \
    X(json)               \
    X(input_stream)       \
    X(json_lines)         \
    X(safetensors)        \
    X(gradient_exchange)  \
    X(control_link)       \
    X(watchdog)           \
    X(agreement)          \
    X(widen)              \
    X(kernels)            \
    X(tile)               \
    X(matmul)             \
    X(peak)               \
    X(matmul_bf16)        \
    X(matmul_split)       \
    X(functional)         \
    X(cross_entropy)      \
    X(attention)          \
    X(attention_edges)    \
    X(attention_bf16)     \
    X(layers)             \
    X(rope)               \
    X(layer_rows)         \
    X(feed_forward)       \
    X(self_attention)     \
    X(blocks)             \
    X(chunked_loss)       \
    X(parameters)         \
    X(language_model)     \
    X(lm_memory)          \
    X(lm_decoding)        \
    X(optim)              \
    X(sgd)                \
    X(checkpoint)         \
    X(token_file)         \
    X(token_form)         \
    X(token_writer)       \
    X(story)              \
    X(story_grammar)      \
    X(bytes)              \
    X(pretokenize)        \
    X(pattern)            \
    X(special_tokens)     \
    X(bpe)                \
    X(bpe_adapters)       \
    X(bpe_scale)          \
    X(encoding)           \
    X(long_pretoken)      \
    X(encode_file)        \
    X(text_streams)       \
    X(word_exchange)      \
    X(encode_ranks)       \
    X(input_texts)        \
    X(replace)            \
    X(tokenizer_files)    \
    X(special_text)       \
    X(text_table)         \
    X(tokenizer_json)     \
    X(llama2c_tokenizer)  \
    X(tokenizer_file)     \
    X(tokenizer_refused)  \
    X(rank_file)          \
    X(run_log)            \
    X(run_summary)        \
    X(run_best)           \
    X(training)           \
    X(run_directory)      \
    X(lost_work)          \
    X(train_config)       \
    X(train_screen)       \
    X(training_memory)    \
    X(training_run)       \
    X(resumed_run)        \
    X(training_step)      \
    X(training_together)  \
    X(training_ranks)     \
    X(checkpoint_adapter) \
    X(trained_model)      \
    X(evaluate)           \
    X(sampling)           \
    X(generation)         \
    X(batch)              \
    X(stop_text)          \
    X(bf16)               \
    X(accounting)         \
    X(llama2c)            \
    X(inspect)            \
    X(inspect_page)       \
    X(run_curves)         \
    X(run_report)         \
    X(report_page)        \
    X(weights)            \
    X(state_dict)         \
    X(model_settings)     \
    X(llama)              \
    X(cli)                \
    X(cli_story)          \
    X(cli_inspect)        \
    X(cli_evaluate)       \
    X(cli_tokenizer)      \
    X(cli_tokenizer_file) \
    X(cli_train_bpe)      \
    X(cli_encode)         \
    X(cli_texts)          \
    X(cli_ranks_texts)    \
    X(cli_special)        \
    X(cli_files)          \
    X(cli_experiment)     \
    X(cli_trainer)        \
    X(cli_generate)       \
    X(cli_llama2c)        \
    X(cli_report)         \
    X(cli_report_page)    \
    X(cli_interchange)    \
    X(fuzz)               \
    X(cli_terminal)       \
    X(cli_hostile)        \
    X(official)           \
    X(host_scripts)       \
    X(messages)

#define DECLARE(name) extern const TestCase name##_tests[];
SUITES(DECLARE)
#undef DECLARE

enum { COURSE_SUITES = 7 /* the first of SUITES, one for each file of the course */ };

/** @brief All suites in this order; `name` NULL ends them. */
extern const TestSuite test_suites[];

#endif
