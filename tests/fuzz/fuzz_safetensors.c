/*
 * safetensors files. The first byte chooses: the rest is the file; or the header is built from choices, array by array,
 * mostly right. What is accepted is read, written and read again with the same names, shapes, numbers and metadata.
 */
#include "core/memory.h"
#include "core/safetensors.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/files.h"

#include <stdio.h>
#include <string.h>

enum {
    MOST_ARRAYS = 16,
    MOST_NUMBERS = 4096 /* of an array that is read */
};

static const char *const types[] = {"BOOL", "U8",  "I8",  "U16", "I16", "F16", "BF16",
                                    "U32",  "I32", "F32", "U64", "I64", "F64", "F8_E4M3"};
static const size_t sizes[] = {1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 8, 8, 8, 1};
enum { F32 = 9, TYPES = sizeof sizes / sizeof *sizes };

/* Numbers that a header could hold in place of the right one. */
static const char *const wrong_numbers[] = {
    "-1", "1.5", "null", "\"7\"", "4294967296", "9223372036854775807", "1e30", "[]", "true", "18446744073709551615"};
enum { WRONG_NUMBERS = sizeof wrong_numbers / sizeof *wrong_numbers };

/* Appends a number, or in one of 16 cases something else. */
static void append_number(ByteList *header, FuzzInput *input, size_t number)
{
    const size_t choice = fuzz_byte(input);
    if (choice >= 16)
        fuzz_append_text(header, "%zu", number);
    else if (choice < WRONG_NUMBERS)
        fuzz_append_text(header, "%s", wrong_numbers[choice]);
    else
        fuzz_append_text(header, "%zu", number + choice - 12);
}

/* Appends one array, whose data begin at *offset, and moves *offset to their end. */
static void append_array(ByteList *header, FuzzInput *input, size_t index, size_t *offset)
{
    const size_t odd = fuzz_byte(input), type = odd < 128 ? F32 : odd % TYPES, rank = fuzz_below(input, 5);
    size_t bytes = sizes[type];
    fuzz_append_text(header, "%s\"%c%zu\":{\"dtype\":\"%s\",\"shape\":[", index ? "," : "", 'a' + (int)(odd % 3),
                     odd == 7 ? 0 : index, types[type]);
    for (size_t d = 0; d < rank + (odd == 8 ? 8 : 0); d++) {
        const size_t extent = fuzz_below(input, 8);
        bytes *= extent;
        fuzz_append_text(header, d ? "," : "");
        append_number(header, input, extent);
    }
    fuzz_append_text(header, "]%s,\"data_offsets\":[", odd == 9 ? ",\"more\":1" : "");
    append_number(header, input, *offset);
    *offset += bytes;
    fuzz_append_text(header, ",");
    append_number(header, input, *offset);
    fuzz_append_text(header, "]}");
}

/* Appends the header's length and its text, and then data. */
static void build(ByteList *file, FuzzInput *input)
{
    ByteList header = {0};
    const size_t odd = fuzz_byte(input), count = fuzz_below(input, 5);
    size_t offset = 0;
    fuzz_append_text(&header, "{");
    for (size_t i = 0; i < count; i++)
        append_array(&header, input, i, &offset);
    if (odd & 1) {
        fuzz_append_text(&header, "%s\"__metadata__\":{\"key\":\"", count ? "," : "");
        fuzz_append(&header, fuzz_bytes(input, fuzz_below(input, 16)));
        fuzz_append_text(&header, odd < 200 ? "\"}" : "\",\"n\":1}");
    }
    fuzz_append_text(&header, odd < 250 ? "}" : "");
    const uint64_t length = header.length + (odd == 2 ? 1 : 0) + (odd == 4 ? (uint64_t)1 << 62 : 0);
    for (unsigned shift = 0; shift < 64; shift += 8) {
        const uint8_t byte = (uint8_t)(length >> shift);
        fuzz_append(file, (ByteString){&byte, 1});
    }
    fuzz_append(file, byte_list_view(&header));
    byte_list_deinit(&header);
    /* The data: as many bytes as the arrays need, or as there are choices left. */
    for (size_t i = 0; i < offset && i < 1 << 16 && odd != 6; i++) {
        const uint8_t byte = fuzz_byte(input);
        fuzz_append(file, (ByteString){&byte, 1});
    }
    fuzz_append(file, fuzz_bytes(input, odd == 8 ? 1 : 0));
}

/* Returns how many numbers an array has, or SIZE_MAX if it has a long dimension, even if another one is 0. */
static size_t count_of(const SafetensorsEntry *entry)
{
    size_t count = 1;
    for (int d = 0; d < entry->rank; d++) {
        if (entry->shape[d] > MOST_NUMBERS || count > MOST_NUMBERS)
            return SIZE_MAX;
        count *= entry->shape[d];
    }
    return count;
}

/* Reads a float32 array of up to MOST_NUMBERS numbers; false for others, and for single numbers, which are no tensors.
 */
static bool read_array(float *numbers, const SafetensorsFile *file, const SafetensorsEntry *entry)
{
    if (entry->type != SAFETENSORS_F32 || entry->rank == 0 || count_of(entry) > MOST_NUMBERS)
        return false;
    Tensor tensor = {.data = numbers, .rank = entry->rank};
    ptrdiff_t stride = 1;
    for (int d = entry->rank - 1; d >= 0; d--) {
        tensor.shape[d] = entry->shape[d];
        tensor.stride[d] = stride;
        stride *= (ptrdiff_t)entry->shape[d];
    }
    FUZZ_OK(safetensors_read(tensor, file, entry->name));
    return true;
}

/* Writes the arrays that can be read, and finds them again. */
static void write_and_read(const SafetensorsFile *file)
{
    static float numbers[MOST_ARRAYS][MOST_NUMBERS], again[MOST_NUMBERS];
    SafetensorsEntry entries[MOST_ARRAYS];
    size_t count = 0;
    for (size_t i = 0; i < file->count; i++) {
        FUZZ_CHECK(safetensors_find(file, file->entries[i].name) == &file->entries[i], "array %zu is not found", i);
        if (count < MOST_ARRAYS && read_array(numbers[count], file, &file->entries[i])) {
            entries[count] = file->entries[i];
            entries[count].data = numbers[count];
            count++;
        }
    }
    const char *value = safetensors_metadata(file, "key"), *path = temp_path("written.safetensors");
    const SafetensorsText metadata = {.key = "key", .value = value};
    SafetensorsFile written;
    FUZZ_OK(safetensors_write(path, entries, count, &metadata, value != NULL));
    FUZZ_OK(safetensors_open(&written, path));
    FUZZ_CHECK(written.count == count, "%zu arrays of %zu were read again", written.count, count);
    for (size_t i = 0; i < count; i++) {
        const SafetensorsEntry *entry = safetensors_find(&written, entries[i].name);
        FUZZ_CHECK(entry && read_array(again, &written, entry) && entry->rank == entries[i].rank &&
                       memcmp(entry->shape, entries[i].shape, (size_t)entry->rank * sizeof *entry->shape) == 0 &&
                       memcmp(again, numbers[i], count_of(entry) * sizeof *again) == 0,
                   "array %s was not read again", entries[i].name);
    }
    const char *copy = safetensors_metadata(&written, "key");
    FUZZ_CHECK(value ? copy && strcmp(value, copy) == 0 : !copy, "the metadata differ");
    safetensors_close(&written);
}

void fuzz_safetensors(const uint8_t *data, size_t size)
{
    const size_t before = memory_in_use();
    FuzzInput input = {data, data + size};
    ByteList bytes = {0};
    const size_t mode = fuzz_byte(&input);
    fuzz_make(&bytes, &input, mode, build);
    SafetensorsFile file;
    const char *path = fuzz_file("input.safetensors", byte_list_view(&bytes));
    byte_list_deinit(&bytes);
    memory_fail_at(mode / 4 % 16); /* 0: none fails */
    const Status s = safetensors_open(&file, path);
    memory_fail_at(0);
    if (s)
        fuzz_check_failure(s);
    else
        write_and_read(&file);
    safetensors_close(&file);
    FUZZ_CHECK(memory_in_use() == before, "memory is left over");
}
