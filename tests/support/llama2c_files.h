/**
 * @file
 * @brief llama2.c's smallest trained model, if the environment variable LLAMA2C names the directory with its
 * stories260K.bin and tok512.bin (https://huggingface.co/karpathy/tinyllamas, directory stories260K).
 */
#ifndef CS336_TESTS_SUPPORT_LLAMA2C_FILES_H
#define CS336_TESTS_SUPPORT_LLAMA2C_FILES_H

/** @brief For TEST_UNLESS(): returns NULL if LLAMA2C names a directory. */
const char *no_llama2c_files(void);

/** @brief Returns the absolute path "$LLAMA2C/name" in one of four static buffers in turn. */
const char *llama2c_path(const char *name);

#endif
