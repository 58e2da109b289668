#include "data/token_form.h"

#include "core/decompress.h"
#include "core/text_form.h"
#include "core/utf8.h"
#include "data/token_file.h"

#include <stdbool.h>
#include <string.h>

enum {
    LOOKED_AT = 16384,        /* bytes */
    TEXT_BYTES = 256,         /* of a sample that may be called a text although all of it could be ids */
    TEXT_DISTINCT_BYTES = 16, /* kinds of bytes that such a sample has; ids that are all the same have 2 */
    INT64_LEAST = 32          /* numbers; fewer are too few to tell int64 numbers from ids with many zeros */
};

/*
 * Refuses the token files of llm.c, which hold uint16 ids behind 256 numbers of 32 bits: 20240520, 1, the number of
 * ids, zeros. They would be 512 wrong ids.
 */
static Status check_header(const uint8_t *sample, size_t bytes, const char *path)
{
    static const uint32_t llmc[] = {20240520, 1};
    if (bytes < sizeof llmc || memcmp(sample, llmc, sizeof llmc) != 0)
        return CS336_OK;
    return status_fail(CS336_EFORMAT,
                       "%s: begins with a header of llm.c, expected ids alone: tail -c +1025 %s >ids.bin", path, path);
}

/* True if a number of the sample is no id, with the width that the vocabulary asks for. */
static bool has_number_beyond(const uint8_t *sample, size_t bytes, size_t vocab_size)
{
    const size_t width = token_file_width(vocab_size);
    for (size_t i = 0; i + width <= bytes; i += width) {
        uint32_t number = 0;
        memcpy(&number, sample + i, width);
        if (number >= vocab_size)
            return true;
    }
    return false;
}

/*
 * Tries to decompress the sample. *does is true if text came out and no error: after 10 bytes of a gzip header, ids
 * would also have to be a valid stream of Huffman codes.
 */
static Status decompresses(bool *does, TextForm form, const uint8_t *sample, size_t bytes, const char *path)
{
    Decompressor *decompressor;
    CompressedBytes input = {.next = sample, .left = bytes};
    uint8_t text[4096];
    size_t length = 0, total = 0;
    *does = false;
    if (form == TEXT_FOREIGN || !decompressor_exists(form))
        return CS336_OK;
    Status s = decompressor_create(&decompressor, form, path);
    do {
        if (!s)
            s = decompressor_run(decompressor, &input, text, sizeof text, &length);
        total += length;
    } while (!s && length > 0);
    decompressor_destroy(decompressor);
    *does = !s && total > 0;
    return s == CS336_ENOMEM ? s : CS336_OK;
}

static Status check_compressed(const uint8_t *sample, size_t bytes, bool beyond, const char *path)
{
    const TextForm form = text_form(sample, bytes);
    if (form == TEXT_PLAIN)
        return CS336_OK;
    bool compressed = beyond || text_form_is_certain(sample, bytes, path);
    const Status s = compressed ? CS336_OK : decompresses(&compressed, form, sample, bytes, path);
    return s || !compressed ? s : text_form_refuse_as(sample, bytes, path, "token ids", "ids.bin");
}

/* True if the bytes are UTF-8 without control characters but tabs and line ends. The last character may be cut. */
static bool is_text(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length;) {
        const Utf8Character c = utf8_decode(bytes + i, length - i);
        const bool is_control = c.code_point < ' ' && !(c.code_point >= '\t' && c.code_point <= '\r');
        if (c.status == UTF8_MALFORMED || is_control || c.code_point == 0x7F)
            return false;
        i += c.length;
    }
    return length > 0;
}

static size_t count_distinct(const uint8_t *bytes, size_t length)
{
    bool seen[256] = {false};
    size_t distinct = 0;
    for (size_t i = 0; i < length; i++) {
        distinct += !seen[bytes[i]];
        seen[bytes[i]] = true;
    }
    return distinct;
}

static Status check_text(const uint8_t *sample, size_t bytes, bool beyond, const char *path)
{
    const bool long_enough = bytes >= TEXT_BYTES && count_distinct(sample, bytes) >= TEXT_DISTINCT_BYTES;
    if ((!beyond && !long_enough) || !is_text(sample, bytes))
        return CS336_OK;
    return status_fail(CS336_EFORMAT,
                       "%s: is a text, expected token ids: cs336 encode --tokenizer FILE --input %s --output ids.bin",
                       path, text_form_file(path));
}

/*
 * Refuses int64 numbers, NumPy's usual type: the upper half of each is 0, and the lower halves are mostly not, and
 * vary. As uint32 ids every second one would be 0, as uint16 ids three of four.
 */
static Status check_int64(const uint8_t *sample, size_t bytes, const char *path)
{
    const size_t numbers = bytes / sizeof(int64_t);
    size_t zeros = 0, changes = 0;
    uint32_t previous = 0;
    for (size_t i = 0; i < numbers; i++) {
        uint32_t halves[2]; /* the lower half is first: this machine is little-endian */
        memcpy(halves, sample + i * sizeof halves, sizeof halves);
        if (halves[1] != 0)
            return CS336_OK;
        zeros += halves[0] == 0;
        changes += halves[0] != previous;
        previous = halves[0];
    }
    if (numbers < INT64_LEAST || 2 * zeros > numbers || 2 * changes < numbers)
        return CS336_OK;
    return status_fail(CS336_EFORMAT,
                       "%s: holds int64 numbers (every second uint32 is 0), expected uint16 or uint32 ids, as "
                       "ids.astype(numpy.uint16) gives",
                       path);
}

Status token_form_check(const uint8_t *sample, size_t bytes, size_t vocab_size, const char *path)
{
    const size_t length = bytes < LOOKED_AT ? bytes : LOOKED_AT;
    const bool beyond = has_number_beyond(sample, length, vocab_size);
    Status s = check_header(sample, length, path);
    if (!s)
        s = check_compressed(sample, length, beyond, path);
    if (!s)
        s = check_int64(sample, length, path);
    return s ? s : check_text(sample, length, beyond, path);
}
