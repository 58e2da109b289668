#include "tests/support/scan_pretokens.h"

#include "kernels/isa.h"
#include "tests/support/check.h"
#include "tests/support/lines.h"
#include "tests/support/random_text.h"
#include "tokenizer/split/pretokenize.h"

#include <stdlib.h>
#include <string.h>

uint8_t *exact_copy(const uint8_t *bytes, size_t length)
{
    uint8_t *copy = malloc(length ? length : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes, length);
    return copy;
}

/* True if a scanner may leave these bytes unscanned before the end of a text. */
static bool may_wait(PretokenPattern pattern, const uint8_t *text, size_t length)
{
    size_t spaces = 0; /* behind a line end, in GPT-4's pattern */
    for (Utf8Class c; pattern == PATTERN_GPT4 && spaces < length; spaces += c.length) {
        c = utf8_class(text + spaces, length - spaces);
        if (c.unicode_class != UNICODE_SPACE || text[spaces] == '\n' || text[spaces] == '\r')
            break;
    }
    return length - spaces < 80;
}

static size_t scan_in_chunks(size_t *ends, PretokenPattern pattern, const uint8_t *text, size_t length,
                             size_t chunk_bytes)
{
    const uint8_t *found[PRETOKENS_PER_GROUP + 20];
    size_t count = 0, scanned = 0, shown = 0;
    bool ended = false;
    Pretokenizer p;
    pretokenizer_begin(&p, pattern);
    while (!ended) {
        shown = length - shown > chunk_bytes ? shown + chunk_bytes : length;
        ended = shown == length;
        uint8_t *chunk = exact_copy(text + scanned, shown - scanned);
        pretokenizer_feed(&p, chunk, shown - scanned, ended);
        for (size_t n; (n = pretokenizer_next(&p, found, COUNT(found))) > 0;)
            for (size_t i = 0; i < n; i++)
                ends[count++] = scanned + (size_t)(found[i] - chunk);
        scanned += (size_t)(p.unscanned - chunk);
        ck_assert_msg(ended ? scanned == length : may_wait(pattern, text + scanned, shown - scanned),
                      "%zu of %zu bytes scanned", scanned, shown);
        free(chunk);
    }
    return count;
}

void assert_scan(PretokenPattern pattern, const uint8_t *text, size_t length, size_t chunk_bytes,
                 const size_t *expected, size_t count, const char *what, size_t number)
{
    size_t ends[LINE_BYTES];
    const size_t got = scan_in_chunks(ends, pattern, text, length, chunk_bytes);
    for (size_t i = 0; i < got && i < count; i++)
        if (ends[i] != expected[i])
            ck_abort_msg("%s %zu in chunks of %zu, %s: pre-token %zu ends at %zu, expected %zu", what, number,
                         chunk_bytes, isa_name(isa_in_use()), i, ends[i], expected[i]);
    ck_assert_msg(got == count, "%s %zu in chunks of %zu, %s: %zu pre-tokens, expected %zu", what, number, chunk_bytes,
                  isa_name(isa_in_use()), got, count);
}
