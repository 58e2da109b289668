/**
 * @file
 * @brief The Python whose packages the tests compare with: CS336_PYTHON, or python3 on the PATH.
 */
#ifndef CS336_TESTS_SUPPORT_PYTHON_H
#define CS336_TESTS_SUPPORT_PYTHON_H

/** @brief Its command, for a line of sh. */
const char *python_command(void);

/** @brief For TEST_UNLESS(): why no test can compare with Hugging Face's tokenizers here, or NULL. */
const char *no_tokenizers_package(void);

#endif
