/**
 * @file
 * @brief Models for the tests of imports and exports: made, imported and compared.
 */
#ifndef CS336_TESTS_INTERCHANGE_IMPORTED_H
#define CS336_TESTS_INTERCHANGE_IMPORTED_H

#include "core/safetensors.h"
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

enum { MOST_ARRAYS = 40 /**< of a file that a test writes */ };

/** @brief The arrays of a model, which a test changes before it writes them. They point to the model's memory. */
typedef struct {
    SafetensorsEntry entries[MOST_ARRAYS];
    size_t count;
} Arrays;

/** @brief Returns the arrays of a model under its own names. */
Arrays arrays_of(const TrainedModel *model);

/** @brief Returns the array of that name; fails if there is none. */
SafetensorsEntry *array_of(Arrays *arrays, const char *name);

/** @brief Removes the array of that name. */
void remove_array(Arrays *arrays, const char *name);

/** @brief Writes arrays to state.safetensors in the temporary directory, and returns its path as temp_path(). */
const char *write_state(const Arrays *arrays, const SafetensorsText *metadata, size_t metadata_count);

/** @brief write_state() with a configuration in the metadata, as an export has it. */
const char *write_state_of(const Arrays *arrays, const TransformerLMConfig *config);

/**
 * @brief Imports files with changed bytes: each is refused with a message of one line, or read, and takes no more than
 * 64 MiB.
 * @param file     is changed
 * @param header   bytes at the beginning, of which three of four rounds change some; 0: all rounds change any bytes
 * @param path     to import: the file, or what contains it
 * @param options  of the import
 */
void assert_variations_are_refused_or_read(const char *file, size_t header, const char *path,
                                           const ImportOptions *options);

/** @brief Writes @p text to a file of that name in the temporary directory, and returns its path as temp_path(). */
const char *write_text(const char *name, const char *text);

#endif
