/*
 * Files of token ids, raw and .npy, with a sidecar or without. The first bytes choose the vocabulary, the kind of file
 * and what is wrong with its header; the rest are the ids. Every id that is read is below the vocabulary's size.
 */
#define _POSIX_C_SOURCE 200809L
#include "core/memory.h"
#include "data/token_file.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/files.h"

#include <unistd.h>

enum { WINDOW = 16 /* ids read at a time */ };

static const size_t vocab_sizes[] = {1, 256, 300, 65536, 65537, 1 << 20, INT32_MAX};

/* Appends a shape, in which # stands for the number of ids. */
static void append_shape(ByteList *text, const char *shape, size_t count)
{
    for (; *shape; shape++)
        if (*shape == '#')
            fuzz_append_text(text, "%zu", count);
        else
            fuzz_append_text(text, "%c", *shape);
}

/* Appends an .npy header: version, length, and a dictionary that is mostly right. */
static void append_npy_header(ByteList *file, FuzzInput *input, size_t count, size_t width)
{
    static const char *const dtypes[] = {"'>u2'", "'<i8'", "'<u8'", "'|u1'", "<u2", "[('a', '<u2')]"};
    static const char *const shapes[] = {"(#, 1)", "()", "(#", "#", "(-#,)", "(#000000000000000000,)", "(#,),"};
    const size_t odd = fuzz_byte(input), version = odd == 1 ? 9 : 1 + odd % 2;
    ByteList text = {0};
    fuzz_append_text(&text, odd == 2 ? "" : "{");
    if (odd >= 4 && odd < 10)
        fuzz_append_text(&text, "'descr': %s, ", dtypes[odd - 4]);
    else
        fuzz_append_text(&text, "'descr': '<u%zu', ", width);
    fuzz_append_text(&text, "'fortran_order': %s, 'shape': ", odd == 10 ? "True" : odd == 11 ? "" : "False");
    if (odd >= 12 && odd < 19)
        append_shape(&text, shapes[odd - 12], count);
    else
        fuzz_append_text(&text, "(%zu,)", count + (odd == 19) - (odd == 20));
    fuzz_append(&text, fuzz_bytes(input, odd == 21 ? 8 : 0));
    fuzz_append_text(&text, ", }\n");
    const size_t length = text.length + (odd == 22 ? 1000 : 0);
    const uint8_t start[12] = {
        0x93, 'N', 'U', 'M', 'P', 'Y', (uint8_t)version, 0, (uint8_t)length, (uint8_t)(length >> 8)};
    fuzz_append(file, (ByteString){start, version == 1 ? 10 : 12});
    fuzz_append(file, byte_list_view(&text));
    byte_list_deinit(&text);
}

/* Writes FILE.json beside the file, which says width and vocabulary, or removes it. */
static void make_sidecar(FuzzInput *input, size_t count, size_t width, size_t vocab_size)
{
    const size_t odd = fuzz_byte(input);
    ByteList json = {0};
    if (odd % 4 == 0) {
        unlink(temp_path("ids.bin.json"));
        return;
    }
    fuzz_append_text(&json, "{\"dtype\":\"uint%zu\",\"vocab_size\":%zu,\"tokens\":%zu", width * 8,
                     vocab_size + (odd == 1) - (odd == 2), count + (odd == 3));
    fuzz_append(&json, fuzz_bytes(input, odd == 5 ? 8 : 0));
    fuzz_append_text(&json, odd == 6 ? "" : "}");
    fuzz_file("ids.bin.json", byte_list_view(&json));
    byte_list_deinit(&json);
}

static void read_all(const TokenFile *tokens)
{
    int32_t ids[WINDOW];
    for (size_t start = 0; start < tokens->count; start += WINDOW / 2) {
        const size_t left = tokens->count - start, count = left < WINDOW ? left : WINDOW;
        const Status s = token_file_read(ids, tokens, start, count);
        if (s)
            fuzz_check_failure(s);
        for (size_t i = 0; !s && i < count; i++)
            FUZZ_CHECK(ids[i] >= 0 && (size_t)ids[i] < tokens->vocab_size, "id %d of %zu", (int)ids[i],
                       tokens->vocab_size);
    }
    FUZZ_CHECK(token_file_read(ids, tokens, tokens->count, 1), "an id after the end was read");
    const Status s = token_file_check_context(tokens, WINDOW);
    FUZZ_CHECK(!s == (tokens->count >= WINDOW + 1), "%zu ids, status %d", tokens->count, (int)s);
}

void fuzz_token_file(const uint8_t *data, size_t size)
{
    const size_t before = memory_in_use();
    FuzzInput input = {data, data + size};
    ByteList bytes = {0};
    const size_t mode = fuzz_byte(&input);
    const size_t vocab_size = vocab_sizes[mode / 4 % (sizeof vocab_sizes / sizeof *vocab_sizes)];
    const size_t width = token_file_width(vocab_size), left = (size_t)(input.end - input.next);
    make_sidecar(&input, left / width, width, vocab_size);
    if (mode % 4 < 2)
        append_npy_header(&bytes, &input, left / width, width);
    fuzz_append(&bytes, fuzz_rest(&input));
    const char *path = fuzz_file("ids.bin", byte_list_view(&bytes));
    byte_list_deinit(&bytes);
    TokenFile tokens;
    const Status s = token_file_open(&tokens, path, vocab_size);
    if (s)
        fuzz_check_failure(s);
    else
        read_all(&tokens);
    token_file_close(&tokens);
    FUZZ_CHECK(memory_in_use() == before, "memory is left over");
}
