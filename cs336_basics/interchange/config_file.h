/**
 * @file
 * @brief Reads settings of a config.json. The reader remembers its first failure, so that a caller reads one setting
 * after the other and checks `status` once, at the end.
 *
 * Each function returns true if the file has the setting, and then sets the value. A setting that is missing or null,
 * and any setting after a failure, leaves the value as it is.
 */
#ifndef CS336_INTERCHANGE_CONFIG_FILE_H
#define CS336_INTERCHANGE_CONFIG_FILE_H

#include "core/api.h"
#include "core/json.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

/** @brief A config.json that was read, or an object inside it. */
typedef struct {
    json_t *object;   /**< owned until config_file_close(); of an object inside: borrowed, NULL if there is none */
    const char *path; /**< for messages; the caller's string */
    Status status;    /**< the first failure */
} ConfigFile;

/**
 * @brief Reads the file.
 * @retval CS336_EIO, CS336_ENOMEM  as json_read()
 * @retval CS336_EFORMAT            it is not a JSON object
 */
CS336_MUST_CHECK Status config_file_open(ConfigFile *file, const char *path);

/** @brief Frees the contents; a zeroed struct is fine. */
void config_file_close(ConfigFile *file);

/** @brief Reads a whole number from 1 on. @return true if the file has it */
bool config_file_size(ConfigFile *file, size_t *size, const char *key);

/** @brief Reads a finite number. @return true if the file has it */
bool config_file_float(ConfigFile *file, float *number, const char *key);

/** @brief Reads true or false. @return true if the file has it */
bool config_file_flag(ConfigFile *file, bool *flag, const char *key);

/** @brief Reads a text, which lives as long as the file. @return true if the file has it */
bool config_file_text(ConfigFile *file, const char **text, const char *key);

/** @brief Reads one of several names, a list that ends with NULL, as its index. @return true if the file has it */
bool config_file_name(ConfigFile *file, int *index, const char *key, const char *const *names);

CS336_INTERNAL_END

#endif
