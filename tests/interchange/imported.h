/**
 * @file
 * @brief Models for the tests of imports and exports: made, imported and compared.
 */
#ifndef CS336_TESTS_INTERCHANGE_IMPORTED_H
#define CS336_TESTS_INTERCHANGE_IMPORTED_H

#include "interchange/import.h"
#include "train/model_checkpoint.h"

/** @brief The folder of the fixtures, which tests/tools/make_interchange_fixtures.py has made. */
#define INTERCHANGE_FIXTURES "tests/fixtures/interchange/"

/** @brief Makes a model of a variant of tests/support/tiny_lm.h with random weights. Free it with
 * trained_model_deinit(). */
void make_trained_model(TrainedModel *model, int variant);

/** @brief Fails unless both models have the same configuration and the same bits in all weights. */
void assert_same_model(const TrainedModel *actual, const TrainedModel *expected);

/** @brief Fails unless the model's logits are those of @p name in logits.safetensors, within 1e-5. */
void assert_fixture_logits(const TrainedModel *model, const char *name);

/** @brief Writes @p text to a file of that name in the temporary directory, and returns its path as temp_path(). */
const char *write_text(const char *name, const char *text);

#endif
