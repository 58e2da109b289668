/**
 * @file
 * @brief Fuzz targets: functions that take any bytes, give them to a parser or an encoder, and check what must hold.
 *
 * - libFuzzer, a part of clang, calls a target millions of times with inputs that it varies so that they reach code
 *   that no earlier input reached: `make fuzz K=encode MINUTES=10`. AddressSanitizer and UndefinedBehaviorSanitizer
 *   watch the memory and the arithmetic.
 * - `make test` replays, with every compiler, the inputs in tests/fuzz/corpus/TARGET and some hundred variations of
 *   them (test_fuzz.c). When a target finds a fault, its input goes into that folder, so that it is tested for ever.
 * - Bytes at random seldom pass the first checks of a format. So most targets take the first bytes of the input as
 *   choices and build a file from them: a safetensors header with one wrong offset, say.
 */
#ifndef CS336_TESTS_FUZZ_FUZZ_H
#define CS336_TESTS_FUZZ_FUZZ_H

#include "core/status.h"
#include "tests/support/check.h"
#include "tokenizer/buffers.h"

#include <stddef.h>
#include <stdint.h>

/** @brief Runs a target once. It fails with FUZZ_CHECK(), or a sanitizer or a signal ends it. */
typedef void FuzzRun(const uint8_t *data, size_t size);

/** @brief All targets; each is a function fuzz_NAME() in fuzz_NAME.c, with its inputs in corpus/NAME. */
#define FUZZ_TARGETS(X)  \
    X(vocabulary)        \
    X(merges)            \
    X(tokenizer_json)    \
    X(rank_file)         \
    X(encode)            \
    X(safetensors)       \
    X(checkpoint)        \
    X(weights)           \
    X(token_file)        \
    X(json)              \
    X(json_lines)        \
    X(input_stream)      \
    X(options)           \
    X(config)            \
    X(run_log)           \
    X(llama2c)           \
    X(llama2c_tokenizer) \
    X(utf8)

#define FUZZ_DECLARE(name) FuzzRun fuzz_##name;
FUZZ_TARGETS(FUZZ_DECLARE)
#undef FUZZ_DECLARE

/** @brief Fails the target unless the condition holds. The message is a printf format and its values. */
#define FUZZ_CHECK(condition, ...)                                    \
    do {                                                              \
        if (!(condition))                                             \
            test_failed(__FILE__, __LINE__, #condition, __VA_ARGS__); \
    } while (0)

/** @brief Fails unless the call returned CS336_OK. */
#define FUZZ_OK(call)                                                                  \
    do {                                                                               \
        if (call)                                                                      \
            test_failed(__FILE__, __LINE__, #call, "%s: %s", #call, status_message()); \
    } while (0)

/** @brief The input, from which a target takes choices from front to back. */
typedef struct {
    const uint8_t *next, *end; /**< the bytes that are left */
} FuzzInput;

/** @brief Takes a byte; 0 at the end of the input. */
uint8_t fuzz_byte(FuzzInput *input);

/** @brief Takes a number below @p bound (1 to 256). */
size_t fuzz_below(FuzzInput *input, size_t bound);

/** @brief Takes up to @p length bytes, fewer at the end of the input. */
ByteString fuzz_bytes(FuzzInput *input, size_t length);

/** @brief Takes all bytes that are left. */
ByteString fuzz_rest(FuzzInput *input);

/** @brief Builds a file from choices, until the input ends. */
typedef void FuzzBuild(ByteList *file, FuzzInput *input);

/**
 * @brief Makes the file of a target: the bytes that are left as they are if @p mode is a multiple of 4, else what @p
 * build makes of them. So one input in four reaches the first checks of a format, and the others what comes after
 * these.
 * @param[out] file  an empty list; the caller frees it
 * @param      mode  a byte of the input
 */
void fuzz_make(ByteList *file, FuzzInput *input, size_t mode, FuzzBuild *build);

/** @brief Appends to a list; the target fails if there is no memory. */
void fuzz_append(ByteList *list, ByteString bytes);
void fuzz_append_text(ByteList *list, const char *format, ...) CS336_PRINTF_LIKE(2, 3);

/** @brief Writes a file of that name in the temporary directory. @return its path, as temp_path() */
const char *fuzz_file(const char *name, ByteString bytes);

/** @brief Fails unless a failed call returned one of its documented values and left a message of one line. */
void fuzz_check_failure(Status s);

/** @brief A seeded variation of an input: a few bytes are changed, inserted, removed or repeated. */
typedef struct {
    uint8_t bytes[1 << 14];
    size_t length;
} FuzzVariation;
void fuzz_vary(FuzzVariation *variation, ByteString original, uint64_t seed);

#endif
