/**
 * @file
 * @brief Reads options from a JSON file, for a table that has an OPTION_CONFIG().
 *
 * - The file is one object. A key is the name of an option with `_` for `-`: "batch_size" for --batch-size.
 * - A value has the type of the option: a number, a string, true or false for an option without a value, an array of
 *   strings for an option that may be repeated. Its limits are those of the command line.
 * - The key "ranks" is passed over: config.json records with it how many processes have trained (distributed/ranks.h).
 * - Under mpirun only rank 0 reads the file, and the others get it from there.
 * - An option that the command line gives too keeps the command line's value.
 */
#ifndef CS336_CLI_OPTIONS_CONFIG_H
#define CS336_CLI_OPTIONS_CONFIG_H

#include "cli/options.h"
#include "core/api.h"

#include <stdbool.h>

CS336_INTERNAL_BEGIN

/**
 * @brief Reads the file that the command line has named, if the table has an OPTION_CONFIG(), and stores its values.
 * options_parse() calls it after it has read the command line.
 * @retval OPTIONS_PARSED  every value is stored, or there is no file
 * @retval EXIT_BAD_INPUT  the file cannot be read, or a key or a value is wrong; one line on stderr says which
 */
int options_config_read(const OptionTable *table, int argc, char **argv);

/** @brief True if the file that options_config_read() has read gives this option. */
bool options_config_gives(const OptionTable *table, const Option *option);

/** @brief Frees the file's strings: targets of the type OPTION_TEXT must not be used after that. */
void options_config_deinit(OptionsConfig *config);

CS336_INTERNAL_END

#endif
