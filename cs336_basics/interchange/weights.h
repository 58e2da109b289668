/**
 * @file
 * @brief Weights in safetensors files: one file, or the shards of an index; and reading them into a model.
 *
 * A form of weights (import_forms.h) makes a WeightPlan: the configuration of the model, and which array holds each
 * parameter, and in which order. weights_load() then checks all arrays before it reads the first.
 *
 * All names may have a common prefix, such as the "_orig_mod." of torch.compile().
 */
#ifndef CS336_INTERCHANGE_WEIGHTS_H
#define CS336_INTERCHANGE_WEIGHTS_H

#include "core/api.h"
#include "core/directory.h"
#include "core/parameter.h"
#include "core/safetensors.h"
#include "core/status.h"
#include "core/tensor.h"
#include "nn/transformer_lm.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

enum { WEIGHT_NAME_BYTES = 256 /**< of an array's name or a prefix, with the final zero byte */ };

/** @brief The names that Hugging Face's libraries give to the files of a model's directory. */
#define WEIGHT_FILE_NAME "model.safetensors"
#define WEIGHT_INDEX_NAME "model.safetensors.index.json" /**< lists the shards, and which array each has */

/**
 * @brief Joins a directory and the name of a file in it.
 * @retval CS336_EIO  the path is too long
 */
CS336_MUST_CHECK Status weight_path(char path[DIRECTORY_PATH_BYTES], const char *directory, const char *name);

/** @brief An open file, and which of its arrays belong to the model. */
typedef struct {
    SafetensorsFile file; /**< owned */
    bool *taken;          /**< (file.count) the arrays that weight_files_take() has found; owned */
} WeightFile;

/** @brief Open files that together have the weights of a model. */
typedef struct {
    char path[DIRECTORY_PATH_BYTES]; /**< the file or the index that was opened, for messages */
    WeightFile *items;               /**< (count) owned */
    size_t count;                    /**< 1, or the number of shards */
} WeightFiles;

/** @brief An array in one of the files; entry NULL: there is none. */
typedef struct {
    const SafetensorsFile *file;   /**< the file that has it */
    const SafetensorsEntry *entry; /**< its name, type and shape */
} WeightArray;

/**
 * @brief Opens weights.
 * @param[out] files  zeroed on failure; close them with weight_files_close()
 * @param[in]  path   a safetensors file; an index, whose name ends in ".json"; or a directory that has
 *                    WEIGHT_FILE_NAME or WEIGHT_INDEX_NAME
 * @retval CS336_EIO      it cannot be read, or the directory has neither
 * @retval CS336_EFORMAT  a file is damaged or was written by torch.save(), the index disagrees with its shards, or a
 *                        shard is not the name of a file beside the index
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status weight_files_open(WeightFiles *files, const char *path);

/** @brief Closes all files; a zeroed struct is fine. */
void weight_files_close(WeightFiles *files);

/**
 * @brief Finds the shortest prefix with which some array is called PREFIX NAME.
 * @return false if there is no such array, or if the prefix is too long
 */
bool weight_files_prefix(char prefix[WEIGHT_NAME_BYTES], const WeightFiles *files, const char *name);

/** @brief Finds the array called PREFIX NAME. */
WeightArray weight_files_find(const WeightFiles *files, const char *prefix, const char *name);

/** @brief weight_files_find() for an array that belongs to the model, or that the model can do without. */
WeightArray weight_files_take(WeightFiles *files, const char *prefix, const char *name);

/** @brief True if two arrays have the same type, the same shape and the same bytes. @retval CS336_EIO */
CS336_MUST_CHECK Status weight_arrays_equal(bool *equal, WeightArray a, WeightArray b);

/** @brief Which array holds a parameter, and how. */
typedef struct {
    char name[WEIGHT_NAME_BYTES]; /**< of the array, without the prefix */
    int rank;                     /**< of the array */
    size_t shape[2];              /**< of the array; the first rank extents are in use */
    Tensor view; /**< the parameter as (copies, ...): each view along the first dimension gets the array's numbers in
                      row-major order. copies is 1, unless several heads of ours have the same head of the file */
} WeightPlace;

typedef struct WeightPlan WeightPlan;

/** @brief Sets the place of a parameter. */
typedef void WeightLayout(WeightPlace *place, const Parameter *parameter, const WeightPlan *plan);

/** @brief What the form of the files says about the model, before its numbers are read. */
struct WeightPlan {
    TransformerLMConfig config; /**< of the model; transformer_lm_check() has accepted it */
    size_t key_value_heads;     /**< heads of keys and values in the files; divides config.num_heads */
    const char *embeddings;     /**< the array with the token embeddings, for a layout that needs it */
    WeightLayout *layout;       /**< where each parameter is */
};

/**
 * @brief Checks, before memory is allocated, that the model is not much larger than the files. Heads that are repeated
 * count once.
 * @retval CS336_EFORMAT  the message has both numbers of parameters
 */
CS336_MUST_CHECK Status weight_files_check_size(const WeightFiles *files, const WeightPlan *plan);

/**
 * @brief Reads all parameters of a model. Each must have its array, and each array of the files must be one of a
 * parameter or one that was taken.
 * @param[in]  parameters  values that are overwritten
 * @param[in]  files       open
 * @param[in]  prefix      of all names
 * @param[in]  plan        says where each parameter is
 * @retval CS336_EIO      an array cannot be read; the values may be partly overwritten. Unchanged in the cases below
 * but the last
 * @retval CS336_EFORMAT  arrays are missing, not of floating-point numbers, or belong to no parameter
 * @retval CS336_ESHAPE   an array has another shape
 * @retval CS336_ERANGE   a number is infinite or NaN
 */
CS336_MUST_CHECK Status weights_load(ParameterList parameters, WeightFiles *files, const char *prefix,
                                     const WeightPlan *plan);

/**
 * @brief Checks that all numbers that were read from a file are finite.
 * @param value  contiguous, as all values of a model are
 * @param path   of the file
 * @param name   of the array
 * @retval CS336_ERANGE  a number is infinite or NaN
 */
CS336_MUST_CHECK Status weights_check_finite(Tensor value, const char *path, const char *name);

CS336_INTERNAL_END

#endif
