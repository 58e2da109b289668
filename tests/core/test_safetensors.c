#define _POSIX_C_SOURCE 200809L

#include "core/file.h"
#include "core/memory.h"
#include "core/safetensors.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOT_SAFETENSORS ": not a safetensors file, which begins with the length of its header in 8 bytes and with \"{\""

START_TEST(test_safetensors_of_the_python_package_is_read)
{
    SafetensorsFile file;
    assert_ok(safetensors_open(&file, "tests/fixtures/python.safetensors"));
    ck_assert_uint_eq(file.count, 6);
    const SafetensorsEntry *ids = safetensors_find(&file, "ids");
    ck_assert_int_eq(ids->type, SAFETENSORS_I64);
    ck_assert_str_eq(shape_text(ids->rank, ids->shape), "(2, 2)");
    int64_t id[4];
    assert_ok(safetensors_read_bytes(id, &file, ids));
    ck_assert(id[0] == 1 && id[1] == -2 && id[2] == 3 && id[3] == 70000);
    const SafetensorsEntry *step = safetensors_find(&file, "step"), *half = safetensors_find(&file, "Größe");
    int32_t seven;
    double number;
    uint8_t mask[3];
    assert_ok(safetensors_read_bytes(&seven, &file, step));
    assert_ok(safetensors_read_bytes(&number, &file, half));
    assert_ok(safetensors_read_bytes(mask, &file, safetensors_find(&file, "mask")));
    ck_assert(step->rank == 0 && step->type == SAFETENSORS_I32 && seven == 7);
    ck_assert(half->type == SAFETENSORS_F64 && number == 0.5);
    ck_assert_mem_eq(mask, "\1\0\1", 3);
    ck_assert_str_eq(tensor_shape_text(tensor(NULL, 0, 4)), shape_text(2, safetensors_find(&file, "nothing")->shape));
    ck_assert_ptr_null(safetensors_find(&file, "__metadata__"));
    ck_assert_str_eq(safetensors_metadata(&file, "iteration"), "12");
    ck_assert_str_eq(safetensors_metadata(&file, "text"), "a \"quoted\"\nline");
    ck_assert_ptr_null(safetensors_metadata(&file, "other"));
    safetensors_close(&file);
    safetensors_close(&file);
}
END_TEST

START_TEST(test_safetensors_read_copies_into_any_view)
{
    const float expected[6] = {-1, -0.75F, -0.5F, -0.25F, 0, 0.25F};
    const float transposed[6] = {-1, -0.25F, -0.75F, 0, -0.5F, 0.25F};
    float numbers[6], other[6];
    SafetensorsFile file;
    assert_ok(safetensors_open(&file, "tests/fixtures/python.safetensors"));
    assert_ok(safetensors_read(tensor(numbers, 2, 3), &file, "layers.0.weight"));
    assert_allclose_array("weight", numbers, expected, 6, 0, 0);
    assert_ok(safetensors_read(tensor_transpose(tensor(other, 3, 2), 0, 1), &file, "layers.0.weight"));
    assert_allclose_array("transposed", other, transposed, 6, 0, 0);
    assert_fails(safetensors_read(tensor(numbers, 3, 2), &file, "layers.0.weight"), CS336_ESHAPE,
                 "tests/fixtures/python.safetensors: array \"layers.0.weight\" is (2, 3), expected (3, 2)");
    assert_fails(safetensors_read(tensor(numbers, 6), &file, "layers.0.weight"), CS336_ESHAPE,
                 "tests/fixtures/python.safetensors: array \"layers.0.weight\" is (2, 3), expected (6)");
    assert_fails(safetensors_read(tensor(numbers, 2, 2), &file, "ids"), CS336_EFORMAT,
                 "tests/fixtures/python.safetensors: array \"ids\" is I64, expected F32");
    assert_fails(safetensors_read(tensor(numbers, 2, 2), &file, "lm_head.weight"), CS336_EFORMAT,
                 "tests/fixtures/python.safetensors: no array \"lm_head.weight\"");
    safetensors_close(&file);
}
END_TEST

static const float WEIGHT[2][3] = {{1, -2, 0.5F}, {0, 3, 4}};
static const uint8_t FLAGS[3] = {1, 0, 1};
static const uint16_t STEP = 0x0203;

static const SafetensorsEntry ENTRIES[] = {
    {.name = "w", .type = SAFETENSORS_F32, .rank = 2, .shape = {2, 3}, .data = WEIGHT},
    {.name = "flags \"é\"", .type = SAFETENSORS_BOOL, .rank = 1, .shape = {3}, .data = FLAGS},
    {.name = "step", .type = SAFETENSORS_U16, .data = &STEP},
    {.name = "none", .type = SAFETENSORS_F64, .rank = 2, .shape = {7, 0}, .data = WEIGHT},
};
static const SafetensorsText METADATA[] = {{"seed", "42"}, {"note", "two\nlines"}};

static Status write_entries(void *path)
{
    return safetensors_write(path, ENTRIES, 4, METADATA, 2);
}

START_TEST(test_safetensors_are_written_byte_for_byte)
{
    static const char header[] = "{\"__metadata__\":{\"seed\":\"42\",\"note\":\"two\\nlines\"},"
                                 "\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                                 "\"flags \\\"é\\\"\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[24,27]},"
                                 "\"step\":{\"dtype\":\"U16\",\"shape\":[],\"data_offsets\":[27,29]},"
                                 "\"none\":{\"dtype\":\"F64\",\"shape\":[7,0],\"data_offsets\":[29,29]}}      ";
    static const uint8_t data[] = {0, 0, 0x80, 0x3f, 0,    0, 0, 0xc0, 0,    0, 0, 0x3f, 0, 0, 0,
                                   0, 0, 0,    0x40, 0x40, 0, 0, 0x80, 0x40, 1, 0, 1,    3, 2};
    enum { HEADER = sizeof header - 1 };
    _Static_assert(HEADER % 8 == 0, "the header above is padded");
    uint8_t expected[8 + HEADER + sizeof data] = {HEADER % 256, HEADER / 256};
    memcpy(expected + 8, header, HEADER);
    memcpy(expected + 8 + HEADER, data, sizeof data);
    const char *path = temp_path("written.safetensors");
    assert_ok(write_entries((void *)(uintptr_t)path));
    assert_file_holds(path, expected, sizeof expected);
}
END_TEST

START_TEST(test_safetensors_round_trip)
{
    const char *path = temp_path("round.safetensors");
    assert_ok(write_entries((void *)(uintptr_t)path));
    SafetensorsFile file;
    assert_ok(safetensors_open(&file, path));
    ck_assert_uint_eq(file.count, 4);
    for (size_t i = 0; i < 4; i++) {
        const SafetensorsEntry *entry = safetensors_find(&file, ENTRIES[i].name);
        test_label("array %s", ENTRIES[i].name);
        ck_assert_ptr_nonnull(entry);
        ck_assert_int_eq(entry->type, ENTRIES[i].type);
        ck_assert_int_eq(entry->rank, ENTRIES[i].rank);
        for (int d = 0; d < entry->rank; d++)
            ck_assert_uint_eq(entry->shape[d], ENTRIES[i].shape[d]);
        uint8_t data[sizeof WEIGHT];
        assert_ok(safetensors_read_bytes(data, &file, entry));
        ck_assert(memcmp(data, ENTRIES[i].data, safetensors_bytes(entry)) == 0);
    }
    test_label_end();
    ck_assert_str_eq(safetensors_metadata(&file, "note"), "two\nlines");
    safetensors_close(&file);
    assert_ok(safetensors_write(path, NULL, 0, NULL, 0));
    assert_ok(safetensors_open(&file, path));
    ck_assert_uint_eq(file.count, 0);
    ck_assert_ptr_null(safetensors_metadata(&file, "note"));
    safetensors_close(&file);
}
END_TEST

static Status open_fixture(void *path)
{
    SafetensorsFile file;
    const Status s = safetensors_open(&file, path);
    if (!s)
        safetensors_close(&file);
    return s;
}

START_TEST(test_safetensors_failures_leave_nothing)
{
    const char *directory = temp_directory("tensors"), *path = temp_path("tensors/file");
    assert_allocation_failures_say(write_entries, (void *)(uintptr_t)path,
                                   "file_create: no memory for the path */tensors/file");
    assert_write_failures_are_clean(write_entries, (void *)(uintptr_t)path, directory);
    assert_allocation_failures_say(
        open_fixture, (void *)(uintptr_t)path, "safetensors_open: no memory for the path */tensors/file",
        "*/tensors/file: no memory for a header of *[0-9] bytes", "*/tensors/file: no memory for 5 arrays");
    ck_assert_uint_eq(directory_entries(directory), 1);
}
END_TEST

START_TEST(test_safetensors_that_cannot_be_read_back_are_not_written)
{
    const char *directory = temp_directory("unwritten"), *path = temp_path("unwritten/file");
    const SafetensorsEntry twice[] = {ENTRIES[0], ENTRIES[0]};
    const SafetensorsEntry reserved = {.name = "__metadata__", .type = SAFETENSORS_F32, .data = WEIGHT};
    const SafetensorsEntry binary = {.name = "\xff", .type = SAFETENSORS_F32, .data = WEIGHT};
    const SafetensorsText same[] = {{"a", "1"}, {"a", "2"}}, bytes = {"a", "\xff"};
    const size_t before = memory_in_use();
    assert_path_fails(safetensors_write(path, twice, 2, NULL, 0), CS336_EFORMAT, path, ": \"w\" is given twice");
    assert_path_fails(safetensors_write(path, NULL, 0, same, 2), CS336_EFORMAT, path, ": \"a\" is given twice");
    assert_path_fails(safetensors_write(path, &reserved, 1, NULL, 0), CS336_EFORMAT, path,
                      ": an array cannot be named __metadata__");
    assert_path_fails(safetensors_write(path, &binary, 1, NULL, 0), CS336_EFORMAT, path,
                      ": the name or the text of \"\\xFF\" is not UTF-8");
    assert_path_fails(safetensors_write(path, NULL, 0, &bytes, 1), CS336_EFORMAT, path,
                      ": the name or the text of \"a\" is not UTF-8");
    ck_assert_uint_eq(directory_entries(directory), 0);
    ck_assert_uint_eq(memory_in_use(), before);
    const char *missing = temp_path("unwritten/missing/file");
    assert_path_fails(write_entries((void *)(uintptr_t)missing), CS336_EIO, missing,
                      ": cannot write: No such file or directory");
}
END_TEST

/* Writes a file of the header's length, the header, and data_bytes zero bytes. */
static void write_raw(const char *path, const char *header, size_t data_bytes)
{
    uint8_t bytes[2048] = {0};
    const uint64_t length = strlen(header);
    ck_assert_uint_le(8 + length + data_bytes, sizeof bytes);
    memcpy(bytes, &length, sizeof length);
    memcpy(bytes + 8, header, length);
    write_file(path, bytes, 8 + length + data_bytes);
}

#define A_F32 "{\"a\":{\"dtype\":\"F32\","

START_TEST(test_safetensors_headers_are_checked_against_the_file)
{
    static const struct {
        const char *header;
        size_t data_bytes;
        const char *message;
    } cases[] = {
        {"{\"a\" 1}", 0, ":1:6: ':' expected near '1'"},
        {"{\"a\":{},\"a\":{}}", 0, ":1:11: duplicate object key near '\"a\"'"},
        {"[1]", 0, NOT_SAFETENSORS},
        {"{\"__metadata__\":1}", 0, ": __metadata__ is not a JSON object"},
        {"{\"__metadata__\":{\"seed\":1}}", 0, ": __metadata__ \"seed\" is not a string"},
        {"{\"a\":1}", 0, ": array \"a\" has a dtype that is not a string"},
        {"{\"a\":{\"dtype\":\"F8\"}}", 0, ": array \"a\" has dtype \"F8\", expected one such as \"F32\""},
        {A_F32 "\"data_offsets\":[0,4]}}", 4, ": array \"a\" has no shape"},
        {A_F32 "\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, ": array \"a\" has a shape that is not a list of sizes"},
        {A_F32 "\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4, ": array \"a\" has a shape that is not a list of sizes"},
        {A_F32 "\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
         ": array \"a\" has 9 dimensions, expected at most 8"},
        {A_F32 "\"shape\":[1]}}", 4, ": array \"a\" has data_offsets that are not [begin, end]"},
        {A_F32 "\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4,
         ": array \"a\" has data_offsets that are not [begin, end]"},
        {A_F32 "\"shape\":[1],\"data_offsets\":[4,0]}}", 4, ": array \"a\" has data_offsets that are not [begin, end]"},
        {A_F32 "\"shape\":[1],\"data_offsets\":[-4,0]}}", 4,
         ": array \"a\" has data_offsets that are not [begin, end]"},
        {A_F32 "\"shape\":[1],\"data_offsets\":[0,\"4\"]}}", 4,
         ": array \"a\" has data_offsets that are not [begin, end]"},
        {A_F32 "\"shape\":[2],\"data_offsets\":[0,8]}}", 7,
         ": array \"a\" ends at byte 8 of the data, the file has 7: cut short"},
        {A_F32 "\"shape\":[2],\"data_offsets\":[0,4]}}", 4, ": array \"a\" is (2) of F32 but has 4 bytes"},
        {A_F32 "\"shape\":[4611686018427387905,4],\"data_offsets\":[0,16]}}", 16,
         ": array \"a\" is (4611686018427387905, 4) of F32 but has 16 bytes"},
        {A_F32 "\"shape\":[1],\"data_offsets\":[4,8]}}", 8, ": array \"a\" starts at byte 4 of the data, expected 0"},
        {A_F32 "\"shape\":[1],\"data_offsets\":[0,4]}}", 5, ": the arrays have 4 bytes, but the file has 5"},
        {A_F32 "\"shape\":[2],\"data_offsets\":[4,12]},\"b\":{\"dtype\":\"U8\",\"shape\":[5],\"data_offsets\":[0,5]}}",
         12, ": array \"a\" starts at byte 4 of the data, expected 5"},
    };
    const char *path = temp_path("bad.safetensors");
    const size_t before = memory_in_use();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        SafetensorsFile file;
        test_label("header %zu, %s", i, cases[i].header);
        write_raw(path, cases[i].header, cases[i].data_bytes);
        assert_path_fails(safetensors_open(&file, path), CS336_EFORMAT, path, cases[i].message);
        ck_assert_ptr_null(file.entries);
        ck_assert_uint_eq(memory_in_use(), before);
    }
}
END_TEST

/* 2^61 rows of no columns: a loop over these rows would run for years. */
START_TEST(test_safetensors_empty_array_is_read_at_once)
{
    const char *path = temp_path("empty.safetensors");
    float number = 1;
    SafetensorsFile file;
    write_raw(path, A_F32 "\"shape\":[2305843009213693952,0],\"data_offsets\":[0,0]}}", 0);
    assert_ok(safetensors_open(&file, path));
    assert_ok(safetensors_read(tensor(&number, (size_t)1 << 61, 0), &file, "a"));
    ck_assert_float_eq(number, 1);
    safetensors_close(&file);
}
END_TEST

START_TEST(test_safetensors_length_is_checked_against_the_file)
{
    const char *path = temp_path("bad.safetensors");
    SafetensorsFile file;
    write_file(path, "", 0);
    assert_path_fails(safetensors_open(&file, path), CS336_EFORMAT, path,
                      ": the file has 0 bytes, expected at least 8");
    write_file(path, "\3\0\0\0\0\0\0\0{}", 10);
    assert_path_fails(safetensors_open(&file, path), CS336_EFORMAT, path,
                      ": header of 3 bytes in a file of 10: cut short, or not a safetensors file");
    write_file(path, "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    assert_path_fails(safetensors_open(&file, path), CS336_EFORMAT, path, NOT_SAFETENSORS);
    const char *missing = temp_path("missing.safetensors");
    assert_path_fails(safetensors_open(&file, missing), CS336_EIO, missing, ": cannot read: No such file or directory");
}
END_TEST

/* The beginning of a file that is no safetensors file, and what the message says behind its name. */
typedef struct {
    const char *bytes;
    size_t count;
    const char *message;
} OtherFile;
#define BYTES(text) text, sizeof(text) - 1

static void assert_named(const OtherFile *files, size_t count, const char *path)
{
    SafetensorsFile file;
    for (size_t i = 0; i < count; i++) {
        test_label("case %zu", i);
        write_file(path, files[i].bytes, files[i].count);
        assert_path_fails(safetensors_open(&file, path), CS336_EFORMAT, path, files[i].message);
    }
    test_label_end();
}

/* Python's pickles, as torch.save() writes them: alone, or in a ZIP archive. */
START_TEST(test_files_of_torch_are_named)
{
#define PYTHON                                                        \
    ", expected safetensors, which Python writes of its state dict: " \
    "safetensors.torch.save_file(torch.load(FILE, weights_only=True), \"weights.safetensors\")"
#define IS_PICKLE ": is a pickle, such as torch.save() wrote before PyTorch 1.6" PYTHON
    static const OtherFile cases[] = {
        {BYTES("PK\3\4\0\0\10\10\0\0, a ZIP archive"), ": is a file of torch.save()" PYTHON},
        {BYTES("PK\3\4"), ": is a file of torch.save()" PYTHON},
        /* torch.save(..., _use_new_zipfile_serialization=False): the magic number 0x1950a86a20f9469cfc6c. */
        {BYTES("\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M\xe9\3."), IS_PICKLE},
        /* pickle.dumps({"a": 1}) with protocols 2 and 5. */
        {BYTES("\x80\2}q\0X\1\0\0\0aq\1K\1s."), IS_PICKLE},
        {BYTES("\x80\5\x95\x0a\0\0\0\0\0\0\0}\x94\x8c\1a\x94K\1s."), IS_PICKLE},
        {BYTES("\x80\2"), IS_PICKLE},
        {BYTES("\x80\6\0\0\0\0\0\0{}"), ": header of 1664 bytes in a file of 10: cut short, or not a safetensors file"},
        {BYTES("\x80\2\0\0\0\0\0\0{}"), ": header of 640 bytes in a file of 10: cut short, or not a safetensors file"},
    };
    const char *path = temp_path("model.pt");
    assert_named(cases, sizeof cases / sizeof *cases, path);
    /* A header of 0x280 bytes begins like a pickle. */
    static char header[0x280 + 1];
    memset(header, ' ', sizeof header - 1);
    memcpy(header, "{}", 2);
    write_raw(path, header, 0);
    SafetensorsFile file;
    assert_ok(safetensors_open(&file, path));
    safetensors_close(&file);
}
END_TEST

/* Files that someone may take for weights: each is named, and an absurd length of a header is not printed. */
START_TEST(test_files_of_other_kinds_are_named)
{
    static const OtherFile cases[] = {
        {BYTES("GGUF\3\0\0\0\x23\1\0\0\0\0\0\0"),
         ": is a GGUF file, which llama.cpp reads, expected safetensors: give the model that it was made of"},
        {BYTES("\x89HDF\r\n\x1A\n\2\10\10\0"), ": is an HDF5 file, expected safetensors"},
        {BYTES("\x93NUMPY\1\0v\0{'descr': "), ": is an .npy file, expected safetensors"},
        {BYTES("{\"hidden_size\": 64}"), ": is JSON, expected safetensors"},
        /* tok512.bin: 7, the score 0, and <unk> with its length. */
        {BYTES("\7\0\0\0\0\0\0\0\5\0\0\0<unk>"), ": is a tokenizer of llama2.c, expected the weights of a model"},
        {BYTES("Once upon a time, in a warm and sunny place"), NOT_SAFETENSORS},
        {BYTES("\1\0\2\0\3\0\4\0\5\0\6\0\7\0\10\0"), NOT_SAFETENSORS},
        /* Seven numbers that are no sizes: no layer; three heads in 64 columns; no vocabulary. */
        {BYTES("\x40\0\0\0\xAC\0\0\0\0\0\0\0\4\0\0\0\4\0\0\0\0\2\0\0\0\2\0\0"), NOT_SAFETENSORS},
        {BYTES("\x40\0\0\0\xAC\0\0\0\5\0\0\0\3\0\0\0\3\0\0\0\0\2\0\0\0\2\0\0"), NOT_SAFETENSORS},
        {BYTES("\x40\0\0\0\xAC\0\0\0\5\0\0\0\4\0\0\0\4\0\0\0\0\0\0\0\0\2\0\0"), NOT_SAFETENSORS},
    };
    assert_named(cases, sizeof cases / sizeof *cases, temp_path("model.bin"));
}
END_TEST

/* The message has the path twice. */
START_TEST(test_models_of_llama2c_and_compressed_weights_are_named)
{
    static const struct {
        const char *bytes;
        size_t count;
        const char *before, *after;
    } cases[] = {
        /* 64, 172, 5, 8, 4, 512, 512: stories260K.bin; and an own LM head, -512. */
        {BYTES("\x40\0\0\0\xAC\0\0\0\5\0\0\0\10\0\0\0\4\0\0\0\0\2\0\0\0\2\0\0"),
         "is a model of llama2.c, expected safetensors: cs336 import ",
         " --output checkpoint.safetensors makes a checkpoint of it"},
        {BYTES("\x40\0\0\0\xAC\0\0\0\5\0\0\0\10\0\0\0\4\0\0\0\0\xFE\xFF\xFF\0\2\0\0"),
         "is a model of llama2.c, expected safetensors: cs336 import ",
         " --output checkpoint.safetensors makes a checkpoint of it"},
        /* The later versions: struct.pack("I", 0x616b3432). */
        {BYTES("24ka\1\0\0\0\x40\0\0\0\xAC\0\0\0\5\0\0\0\10\0\0\0\4\0\0\0"),
         "is a model of llama2.c, expected safetensors: cs336 import ",
         " --output checkpoint.safetensors makes a checkpoint of it"},
        {BYTES("\x1F\x8B\x08\0\0\0\0\0\0\3\xCBH\xCD"), "is compressed with gzip, expected safetensors: gzip -dc ",
         " >weights.safetensors"},
        {BYTES("\x28\xB5\x2F\xFD\4\0\x41\0\0hello"), "is compressed with zstd, expected safetensors: zstd -dc ",
         " >weights.safetensors"},
    };
    const char *path = temp_path("model.bin");
    SafetensorsFile file;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char rest[512];
        test_label("case %zu", i);
        write_file(path, cases[i].bytes, cases[i].count);
        snprintf(rest, sizeof rest, ": %s%s%s", cases[i].before, path, cases[i].after);
        assert_path_fails(safetensors_open(&file, path), CS336_EFORMAT, path, rest);
    }
    test_label_end();
}
END_TEST

START_TEST(test_safetensors_cut_anywhere_is_refused)
{
    const char *path = temp_path("whole.safetensors"), *cut_path = temp_path("cut.safetensors");
    assert_ok(write_entries((void *)(uintptr_t)path));
    LoadedFile whole;
    assert_ok(file_load(&whole, path));
    for (size_t bytes = 0; bytes < whole.size; bytes++) {
        SafetensorsFile file;
        test_label("cut after %zu bytes", bytes);
        write_file(cut_path, whole.data, bytes);
        ck_assert_int_eq(safetensors_open(&file, cut_path), CS336_EFORMAT);
    }
    file_unload(&whole);
}
END_TEST

const TestCase safetensors_tests[] = {
    TEST(test_safetensors_of_the_python_package_is_read, "safetensors"),
    TEST(test_safetensors_read_copies_into_any_view, "safetensors"),
    TEST(test_safetensors_are_written_byte_for_byte, "safetensors"),
    TEST(test_safetensors_round_trip, "safetensors"),
    TEST(test_safetensors_failures_leave_nothing, "safetensors"),
    TEST(test_safetensors_that_cannot_be_read_back_are_not_written, "safetensors"),
    TEST(test_safetensors_headers_are_checked_against_the_file, "safetensors"),
    TEST(test_safetensors_empty_array_is_read_at_once, "safetensors"),
    TEST(test_safetensors_length_is_checked_against_the_file, "safetensors"),
    TEST(test_files_of_torch_are_named, "safetensors"),
    TEST(test_files_of_other_kinds_are_named, "safetensors"),
    TEST(test_models_of_llama2c_and_compressed_weights_are_named, "safetensors"),
    TEST(test_safetensors_cut_anywhere_is_refused, "safetensors"),
    {0},
};
