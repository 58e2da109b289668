#define _POSIX_C_SOURCE 200809L
#include "tests/fuzz/fuzz.h"

#include "core/rng.h"
#include "tests/support/files.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    MOST_CHANGES = 6, /* of a variation */
    MOST_BYTES = 16   /* that one change inserts, removes or repeats */
};

/* ---- choices ---- */

uint8_t fuzz_byte(FuzzInput *input)
{
    return input->next < input->end ? *input->next++ : 0;
}

size_t fuzz_below(FuzzInput *input, size_t bound)
{
    return fuzz_byte(input) % bound;
}

ByteString fuzz_bytes(FuzzInput *input, size_t length)
{
    const size_t left = (size_t)(input->end - input->next);
    const ByteString bytes = {.bytes = input->next, .length = length < left ? length : left};
    input->next += bytes.length;
    return bytes;
}

ByteString fuzz_rest(FuzzInput *input)
{
    return fuzz_bytes(input, SIZE_MAX);
}

/* ---- files ---- */

void fuzz_append(ByteList *list, ByteString bytes)
{
    FUZZ_OK(byte_list_append(list, bytes.bytes, bytes.length));
}

void fuzz_append_text(ByteList *list, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    FUZZ_CHECK(length >= 0 && length < (int)sizeof text, "a text of %d bytes", length);
    fuzz_append(list, byte_string(text));
}

void fuzz_make(ByteList *file, FuzzInput *input, size_t mode, FuzzBuild *build)
{
    if (mode % 4 == 0)
        fuzz_append(file, fuzz_rest(input));
    else
        build(file, input);
}

const char *fuzz_file(const char *name, ByteString bytes)
{
    const char *path = temp_path(name);
    unlink(path); /* ext4 syncs a file that is cut and written again, which takes milliseconds; a new file is not */
    write_file(path, bytes.bytes, bytes.length);
    return path;
}

void fuzz_check_failure(Status s)
{
    FUZZ_CHECK(s == CS336_ESHAPE || s == CS336_ERANGE || s == CS336_ENOMEM || s == CS336_EIO || s == CS336_EFORMAT,
               "status %d", (int)s);
    FUZZ_CHECK(*status_message(), "status %d without a message", (int)s);
    for (const char *c = status_message(); *c; c++)
        FUZZ_CHECK((unsigned char)*c >= ' ' && *c != 0x7F, "byte %02x in a message: %s", *c, status_message());
}

/* ---- variations ---- */

/* Replaces `removed` bytes at `position` by others, which must not be in the variation itself. */
static void splice(FuzzVariation *v, size_t position, size_t removed, const uint8_t *inserted, size_t count)
{
    if (v->length - removed + count > sizeof v->bytes)
        return;
    memmove(v->bytes + position + count, v->bytes + position + removed, v->length - position - removed);
    if (count)
        memcpy(v->bytes + position, inserted, count);
    v->length = v->length - removed + count;
}

static void change(FuzzVariation *v, Rng *rng)
{
    static const uint8_t edges[] = {0, 1, 0x7F, 0x80, 0xBF, 0xC0, 0xFF, '"', '\\', '\n', ' ', '-', '0', '9', '{', ']'};
    uint8_t bytes[MOST_BYTES];
    const size_t position = rng_below(rng, v->length + 1), left = v->length - position;
    const size_t most = left < MOST_BYTES ? left : MOST_BYTES, some = most ? 1 + rng_below(rng, most) : 0;
    switch (rng_below(rng, 5)) {
    case 0: /* one byte becomes any other */
        bytes[0] = (uint8_t)rng_bits(rng);
        splice(v, position, left > 0, bytes, 1);
        break;
    case 1: /* one byte becomes one that formats care about */
        bytes[0] = edges[rng_below(rng, sizeof edges)];
        splice(v, position, left > 0, bytes, 1);
        break;
    case 2: /* one bit flips */
        if (left)
            v->bytes[position] = (uint8_t)(v->bytes[position] ^ 1U << rng_below(rng, 8));
        break;
    case 3: /* some bytes disappear */
        splice(v, position, some, NULL, 0);
        break;
    default: /* some bytes are there again, here or elsewhere */
        memcpy(bytes, v->bytes + position, some);
        splice(v, rng_below(rng, v->length + 1), 0, bytes, some);
    }
}

void fuzz_vary(FuzzVariation *variation, ByteString original, uint64_t seed)
{
    Rng rng = rng_seeded(seed);
    variation->length = original.length < sizeof variation->bytes ? original.length : sizeof variation->bytes;
    if (variation->length)
        memcpy(variation->bytes, original.bytes, variation->length);
    for (uint64_t changes = 1 + rng_below(&rng, MOST_CHANGES); changes > 0; changes--)
        change(variation, &rng);
}
