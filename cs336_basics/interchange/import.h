/**
 * @file
 * @brief Imports the weights of a model that another program has written: `cs336 import`.
 *
 * - import_detect() looks into the file, not at its name, and says which form it has.
 * - import_model() reads it. Each form has files of its own in this folder: state_dict.h, llama.h, llama2c.h.
 * - trained_model_save() then writes the checkpoint, which all other commands read.
 * - What the files say about the model, and what the options say, must agree: model_settings.h has the rule.
 *
 * A further form needs a value of ImportForm with its name, a function in import_forms.h, and a branch where import.c
 * finds the form.
 */
#ifndef CS336_INTERCHANGE_IMPORT_H
#define CS336_INTERCHANGE_IMPORT_H

#include "core/api.h"
#include "core/status.h"
#include "train/model_checkpoint.h"

#include <stdbool.h>
#include <stddef.h>

CS336_API_BEGIN

/** @brief The forms of weights that can be imported. */
typedef enum {
    IMPORT_STATE_DICT, /**< safetensors with the names of the course's PyTorch modules */
    IMPORT_LLAMA,      /**< Hugging Face's Llama: a directory with config.json and safetensors */
    IMPORT_LLAMA2C     /**< a .bin file of llama2.c */
} ImportForm;

/** @brief Names of the forms for people, in the order of the enum; NULL after the last. */
extern const char *const import_form_names[];

/** @brief What the caller says about a model. A setting that the files say too must be the same there. */
typedef struct {
    size_t context_length; /**< tokens that the model sees at once, at most what the files say; 0: not given */
    size_t num_heads;      /**< attention heads; 0: not given */
    float rope_theta;      /**< base of RoPE's angles; 0: not given */
    float norm_eps;        /**< RMSNorm's epsilon; 0: not given */
    int norm;              /**< a NormPlacement; -1: not given */
    int position;          /**< a PositionKind; -1: not given */
} ImportOptions;

/** @brief Initialises ImportOptions so that nothing is given. */
#define IMPORT_OPTIONS_NONE         \
    {                               \
        .norm = -1, .position = -1, \
    }

/** @brief The longest context that an import takes from a Llama's config.json if the options give none. The RoPE tables
 * and the cache of keys and values grow with it, and a file may say 131 072. */
enum { IMPORT_MAX_CONTEXT = 4096 };

/** @brief What the caller should tell the user about an import. */
typedef struct {
    ImportForm form;                /**< of the file */
    size_t arrays;                  /**< arrays that were read */
    size_t file_context_length;     /**< what the file says if the import takes less of its own accord; else 0 */
    size_t grouped_key_value_heads; /**< heads of keys and values in the file, if they were repeated; else 0 */
    char assumed[256]; /**< settings that neither the file nor the options say, with the values of the course that they
                            got: "context_length 256, rope_theta 10000"; "" if there are none */
} ImportNotes;

/**
 * @brief Finds out which form a file or a directory has.
 * @param[out] form  unchanged on failure
 * @param[in]  path  a safetensors file, its model.safetensors.index.json, a directory with such files, or a file of
 *                   llama2.c
 * @retval CS336_EIO      it cannot be read
 * @retval CS336_EFORMAT  it has none of the forms; the message says what was found, and for a file of torch.save() how
 *                        to save the weights as safetensors
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status import_detect(ImportForm *form, const char *path);

/**
 * @brief Reads the weights of another program as a model whose iteration is 0.
 * @param[out] model    zeroed on failure; free it with trained_model_deinit()
 * @param[out] notes    what was found and assumed
 * @param[in]  path     as for import_detect()
 * @param[in]  options  what the files do not say, and a shorter context
 * @retval CS336_EIO, CS336_ENOMEM  as import_detect()
 * @retval CS336_EFORMAT  as import_detect(); settings are missing or contradict each other; arrays are missing, belong
 *                        to no parameter, or are not of floating-point numbers
 * @retval CS336_ESHAPE   an array has another shape than the model needs, or the sizes fit no model
 * @retval CS336_ERANGE   a number is infinite or NaN, or a setting is outside its range
 */
CS336_MUST_CHECK Status import_model(TrainedModel *model, ImportNotes *notes, const char *path,
                                     const ImportOptions *options);

CS336_API_END

#endif
