/**
 * @file
 * @brief The forms of weights that import_model() knows, one function for each.
 *
 * Those in safetensors files only make a plan: import_model() opens the files, finds the form by the names of the
 * arrays, and reads the numbers as the plan says. A file of llama2.c has no names, so its function reads it itself.
 */
#ifndef CS336_INTERCHANGE_IMPORT_FORMS_H
#define CS336_INTERCHANGE_IMPORT_FORMS_H

#include "core/api.h"
#include "core/status.h"
#include "interchange/import.h"
#include "interchange/weights.h"
#include "train/model_checkpoint.h"

CS336_INTERNAL_BEGIN

/**
 * @brief Finds the configuration of a model and the places of its parameters.
 * @param[out] plan     complete
 * @param[out] notes    what was found and assumed
 * @param      files    open; arrays that the model can do without are taken
 * @param[in]  prefix   of all names
 * @param[in]  options  what the files do not say (model_settings.h)
 */
typedef Status ImportPlanner(WeightPlan *plan, ImportNotes *notes, WeightFiles *files, const char *prefix,
                             const ImportOptions *options);

/**
 * @brief The ImportPlanner of a PyTorch state dict.
 * @retval CS336_EFORMAT  num_heads is unknown; arrays are missing; arrays, metadata, config.json and options contradict
 *                        each other; the file is a checkpoint already; or config.json is damaged
 * @retval CS336_ESHAPE, CS336_ERANGE  the sizes fit no model, or a setting is outside its range
 * @retval CS336_EIO, CS336_ENOMEM
 * @see state_dict.h, test_state_dict_of_pytorch
 */
CS336_MUST_CHECK ImportPlanner state_dict_plan;

/**
 * @brief The ImportPlanner of Hugging Face's Llama.
 * @retval CS336_EFORMAT  config.json is missing a size, has a setting that our model cannot compute, or contradicts an
 *                        option
 * @retval CS336_ESHAPE, CS336_ERANGE, CS336_EIO, CS336_ENOMEM  as state_dict_plan()
 * @see llama.h, test_llama_logits_are_those_of_transformers
 */
CS336_MUST_CHECK ImportPlanner llama_plan;

/**
 * @brief Reads a model of llama2.c; the parameters are those of import_model().
 * @param[out] model  zeroed on failure; free it with trained_model_deinit()
 * @retval CS336_EIO      it cannot be read
 * @retval CS336_EFORMAT  cut short, of a later version, not such a file, or its header contradicts an option
 * @retval CS336_ESHAPE   its sizes are those of no model, as transformer_lm_check() says
 * @retval CS336_ERANGE   likewise, or a number is infinite or NaN
 * @retval CS336_ENOMEM   this machine has less memory than the model needs
 * @see llama2c.h, test_llama2c_logits_are_those_of_pytorch
 */
CS336_MUST_CHECK Status llama2c_import(TrainedModel *model, ImportNotes *notes, const char *path,
                                       const ImportOptions *options);

CS336_INTERNAL_END

#endif
