#include "tests/support/gpt2_files.h"

#include "core/json.h"
#include "tests/support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_LINE = 4096 };

/* The course's alphabet: printable bytes stand for themselves, the others for the characters from 256 on. */
static uint8_t byte_of[512];

static void make_alphabet(void)
{
    unsigned others = 256;
    for (unsigned b = 0; b < 256; b++) {
        const bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        byte_of[printable ? b : others++] = (uint8_t)b;
    }
}

/* Returns the bytes of a token spelled in the alphabet. */
static ByteString decode(const char *spelled, size_t length)
{
    uint8_t *bytes = malloc(length + 1);
    size_t count = 0;
    if (!bytes)
        ck_abort_msg("no memory");
    for (size_t i = 0; i < length;) {
        const unsigned first = (unsigned char)spelled[i];
        const unsigned c = first < 0x80 ? first : (first & 0x1F) << 6 | ((unsigned char)spelled[i + 1] & 0x3F);
        i += first < 0x80 ? 1 : 2;
        if (c >= sizeof byte_of)
            ck_abort_msg("\"%s\" is not in GPT-2's byte alphabet", spelled);
        bytes[count++] = byte_of[c];
    }
    return (ByteString){.bytes = bytes, .length = count};
}

static void read_vocab(Gpt2Files *files, const char *path)
{
    json_t *object = json_load_file(path, 0, NULL);
    ck_assert_msg(object != NULL, "%s cannot be read", path);
    files->vocab_size = json_object_size(object);
    files->vocab = calloc(files->vocab_size, sizeof *files->vocab);
    ck_assert_ptr_nonnull(files->vocab);
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        const size_t id = (size_t)json_integer_value(value);
        if (id >= files->vocab_size)
            ck_abort_msg("%s: id %zu of %zu", path, id, files->vocab_size);
        files->vocab[id] = decode(key, strlen(key));
    }
    json_decref(object);
}

static void read_merges(Gpt2Files *files, const char *path)
{
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s cannot be read", path);
    char line[LONGEST_LINE];
    size_t capacity = 0;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\r\n")] = '\0';
        const char *blank = strchr(line, ' ');
        if (!blank)
            ck_abort_msg("%s: no blank in \"%s\"", path, line);
        if (files->merge_count == capacity) {
            capacity = 2 * capacity + 1024;
            files->merges = realloc(files->merges, capacity * sizeof *files->merges);
            ck_assert_ptr_nonnull(files->merges);
        }
        files->merges[files->merge_count++] =
            (MergePair){.left = decode(line, (size_t)(blank - line)), .right = decode(blank + 1, strlen(blank + 1))};
    }
    fclose(file);
}

Gpt2Files gpt2_files_read(const char *vocab_path, const char *merges_path)
{
    Gpt2Files files = {0};
    make_alphabet();
    read_vocab(&files, vocab_path);
    read_merges(&files, merges_path);
    return files;
}

static void free_bytes(ByteString text)
{
    free((void *)(uintptr_t)text.bytes);
}

void gpt2_files_free(Gpt2Files *files)
{
    for (size_t i = 0; i < files->vocab_size; i++)
        free_bytes(files->vocab[i]);
    for (size_t i = 0; i < files->merge_count; i++) {
        free_bytes(files->merges[i].left);
        free_bytes(files->merges[i].right);
    }
    free(files->vocab);
    free(files->merges);
    *files = (Gpt2Files){0};
}
