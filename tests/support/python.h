/**
 * @file
 * @brief The Python whose packages the tests compare with: CS336_PYTHON, or python3 on the PATH.
 */
#ifndef CS336_TESTS_SUPPORT_PYTHON_H
#define CS336_TESTS_SUPPORT_PYTHON_H

/** @brief Returns its command, for a line of sh. */
const char *python_command(void);

/** @brief For TEST_UNLESS(): returns NULL, or why tests cannot compare with Hugging Face's tokenizers here. */
const char *no_tokenizers_package(void);

/** @brief The same for tokenizers and tiktoken. */
const char *no_tiktoken_package(void);

#endif
