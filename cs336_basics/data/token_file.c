#include "data/token_file.h"

#include "core/memory.h"
#include "core/plural.h"

#include <stdbool.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "ids are read as they are in the file, in little-endian order; this machine is big-endian"
#endif

enum {
    READ_IDS = 4096,   /* ids read at a time: 8 or 16 KiB on the stack, which stay in the L1 cache */
    WRITE_IDS = 1024,  /* ids converted before each file_write(), at most 4 KiB on the stack */
    LEAST_SAMPLE = 256 /* bytes; a shorter sample may have any pattern by chance */
};

size_t token_file_width(size_t vocab_size)
{
    return vocab_size > 65536 ? sizeof(uint32_t) : sizeof(uint16_t);
}

/* ---- the width of raw ids ---- */

/* Returns number `index` of `width` bytes. */
static uint32_t number_at(const uint8_t *bytes, size_t index, size_t width)
{
    uint32_t number = 0;
    memcpy(&number, bytes + index * width, width);
    return number;
}

/*
 * True if the upper halves of uint32 numbers are nearly all 0, and the lower halves are not and vary. All upper halves
 * of ids up to 65535 are 0, and those of a vocabulary of 100 000 tokens are still mostly 0, because frequent tokens
 * have low ids. uint16 ids that alternate between 0 and one other id do not count.
 */
static bool look_like_uint32(const uint8_t *bytes, size_t numbers)
{
    size_t zero_lower = 0, zero_upper = 0, changes = 0;
    uint32_t previous = 0;
    for (size_t i = 0; i < numbers; i++) {
        const uint32_t lower = number_at(bytes, 2 * i, sizeof(uint16_t));
        zero_lower += lower == 0;
        zero_upper += number_at(bytes, 2 * i + 1, sizeof(uint16_t)) == 0;
        changes += lower != previous;
        previous = lower;
    }
    return 8 * zero_upper >= 7 * numbers && 2 * zero_lower <= numbers && 2 * changes >= numbers;
}

/* True if most uint32 numbers are beyond the vocabulary: the upper half of each is an id of its own. */
static bool look_like_uint16(const uint8_t *bytes, size_t numbers, size_t vocab_size)
{
    size_t beyond = 0;
    for (size_t i = 0; i < numbers; i++)
        beyond += number_at(bytes, i, sizeof(uint32_t)) >= vocab_size;
    return 2 * beyond > numbers;
}

Status token_ids_check_width(const uint8_t *bytes, size_t length, size_t width, size_t vocab_size, const char *name)
{
    const size_t numbers = length / sizeof(uint32_t);
    if (length < LEAST_SAMPLE)
        return CS336_OK;
    if (width == sizeof(uint16_t) && look_like_uint32(bytes, numbers))
        return status_fail(CS336_EFORMAT,
                           "%s: these look like uint32 ids (every second uint16 is 0), but a vocabulary of %zu is read "
                           "as uint16; give the vocabulary that they come from",
                           name, vocab_size);
    if (width == sizeof(uint32_t) && look_like_uint16(bytes, numbers, vocab_size))
        return status_fail(CS336_EFORMAT,
                           "%s: these look like uint16 ids (as uint32, most are beyond the vocabulary), but a "
                           "vocabulary of %zu is read as uint32; give the vocabulary that they come from",
                           name, vocab_size);
    return CS336_OK;
}

/* ---- an array in memory ---- */

TokenFile token_file_view_numbers(const void *numbers, size_t count, size_t width, size_t vocab_size)
{
    return (TokenFile){.memory = numbers, .count = count, .width = width, .vocab_size = vocab_size};
}

TokenFile token_file_view(const int32_t *ids, size_t count, size_t vocab_size)
{
    return token_file_view_numbers(ids, count, sizeof *ids, vocab_size);
}

void token_file_close(TokenFile *tokens)
{
    file_close(&tokens->file);
    memory_release(tokens->path);
    *tokens = (TokenFile){0};
}

/* ---- reading ---- */

static const char *message_name(const TokenFile *tokens)
{
    return tokens->path ? tokens->path : "token ids";
}

/* A negative id of an array in memory is read as a number of 2^31 or more. */
static bool is_id(uint32_t number, size_t vocab_size)
{
    return number < vocab_size && number <= INT32_MAX;
}

/*
 * Converts numbers to ids and returns the largest number. Both loops are without branches, so that the compiler turns
 * them into vector instructions: the ids of a whole file are checked before a training starts.
 */
static uint32_t convert(int32_t *restrict ids, const uint8_t *restrict bytes, size_t count, size_t width)
{
    uint32_t largest = 0;
    if (width == sizeof(uint16_t)) {
        for (size_t i = 0; i < count; i++) {
            uint16_t number;
            memcpy(&number, bytes + i * sizeof number, sizeof number);
            ids[i] = number;
            largest = number > largest ? number : largest;
        }
        return largest;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t number;
        memcpy(&number, bytes + i * sizeof number, sizeof number);
        ids[i] = (int32_t)number;
        largest = number > largest ? number : largest;
    }
    return largest;
}

Status token_ids_from_bytes(int32_t *ids, const uint8_t *bytes, size_t count, size_t width, size_t vocab_size,
                            const char *name, size_t position)
{
    if (is_id(convert(ids, bytes, count, width), vocab_size))
        return CS336_OK;
    /* Name the first number that is no id. There is none if count is 0 and the vocabulary is empty. */
    for (size_t i = 0; i < count; i++) {
        const uint32_t number = number_at(bytes, i, width);
        if (!is_id(number, vocab_size))
            return status_fail(CS336_ERANGE, "%s: id %lu at position %zu, expected below the vocabulary size %zu", name,
                               (unsigned long)number, position + i, vocab_size);
    }
    return CS336_OK;
}

/* Reads ids from the file, as many at a time as the buffer holds. */
static Status read_from_file(int32_t *ids, const TokenFile *tokens, size_t start, size_t count)
{
    uint8_t bytes[READ_IDS * sizeof(uint32_t)];
    Status s = CS336_OK;
    for (size_t done = 0; !s && done < count; done += READ_IDS) {
        const size_t left = count - done, n = left < READ_IDS ? left : READ_IDS, position = start + done;
        s = file_read_at(&tokens->file, bytes, n * tokens->width, tokens->offset + position * tokens->width);
        if (!s)
            s = token_ids_from_bytes(ids + done, bytes, n, tokens->width, tokens->vocab_size, tokens->path, position);
    }
    return s;
}

Status token_file_read(int32_t *ids, const TokenFile *tokens, size_t start, size_t count)
{
    if (start > tokens->count || count > tokens->count - start)
        return status_fail(CS336_ERANGE, "%s: cannot read %zu id%s from position %zu on, there are %zu id%s",
                           message_name(tokens), count, plural(count), start, tokens->count, plural(tokens->count));
    if (!tokens->memory)
        return read_from_file(ids, tokens, start, count);
    return token_ids_from_bytes(ids, tokens->memory + start * tokens->width, count, tokens->width, tokens->vocab_size,
                                message_name(tokens), start);
}

Status token_file_check_ids(const TokenFile *tokens)
{
    int32_t ids[READ_IDS];
    Status s = CS336_OK;
    for (size_t start = 0; !s && start < tokens->count; start += READ_IDS) {
        const size_t left = tokens->count - start;
        s = token_file_read(ids, tokens, start, left < READ_IDS ? left : READ_IDS);
    }
    return s;
}

Status token_file_check_context(const TokenFile *tokens, size_t context_length)
{
    if (tokens->count > context_length)
        return CS336_OK;
    return status_fail(CS336_ERANGE, "%s: %zu token ids, expected more than the context length %zu",
                       message_name(tokens), tokens->count, context_length);
}

/* ---- writing ---- */

Status token_file_write(FileWriter *writer, const int32_t *ids, size_t count, size_t vocab_size)
{
    const size_t width = token_file_width(vocab_size);
    uint8_t bytes[WRITE_IDS * sizeof(uint32_t)];
    Status s = CS336_OK;
    for (size_t start = 0; !s && start < count; start += WRITE_IDS) {
        const size_t n = count - start < WRITE_IDS ? count - start : WRITE_IDS;
        for (size_t i = 0; i < n; i++) {
            const uint32_t id = (uint32_t)ids[start + i];
            if (!is_id(id, vocab_size))
                return status_fail(CS336_ERANGE, "%s: cannot write id %ld, expected below the vocabulary size %zu",
                                   writer->path, (long)ids[start + i], vocab_size);
            for (size_t b = 0; b < width; b++)
                bytes[i * width + b] = (uint8_t)(id >> (8 * b));
        }
        s = file_write(writer, bytes, n * width);
    }
    return s;
}
