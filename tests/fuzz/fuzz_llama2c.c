/*
 * Models of llama2.c. The first byte chooses: the rest is the file; or seven sizes are chosen, mostly small, and a file
 * of the size that they ask for follows, unless a choice makes it longer or shorter. A model that is read is written
 * and read again as the same model.
 */
#include "core/memory.h"
#include "interchange/import_forms.h"
#include "interchange/llama2c.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/files.h"

#include <string.h>

enum {
    SIZES = 7,       /* numbers of the header: dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len */
    MEMORY = 4 << 20 /* bytes that reading may take: the largest model of small sizes needs less than 1 MiB */
};

static Status read_model(TrainedModel *model, const char *path)
{
    static const ImportOptions none = IMPORT_OPTIONS_NONE;
    ImportNotes notes;
    return llama2c_import(model, &notes, path, &none);
}

/* Returns a size below `bound`, or an edge of a number's range. */
static int32_t choose_size(FuzzInput *input, int32_t bound)
{
    static const int32_t edges[] = {0, -1, INT32_MAX, INT32_MIN, INT32_MAX - 1, 65536, 65537, 1 << 30, 0x616B3432, 3};
    const size_t choice = fuzz_byte(input);
    return choice >= 246 ? edges[choice - 246] : 1 + (int32_t)choice % bound;
}

/* Returns the bytes of a file with this header, whose sizes are small. */
static size_t file_bytes(const int32_t *h)
{
    const size_t dim = (size_t)h[0], hidden = (size_t)h[1], layers = (size_t)h[2],
                 vocab = (size_t)(h[5] < 0 ? -h[5] : h[5]);
    const size_t head = dim / (size_t)h[3], kv = head * (size_t)h[4];
    const size_t layer = dim + dim * dim + 2 * kv * dim + dim * dim + dim + 3 * dim * hidden;
    return 4 * (SIZES + vocab * dim * (h[5] < 0 ? 2 : 1) + layers * layer + dim + (size_t)h[6] * head);
}

static void build(ByteList *file, FuzzInput *input)
{
    static const int32_t bounds[SIZES] = {24, 16, 3, 6, 6, 16, 12};
    int32_t header[SIZES];
    bool small = true;
    for (size_t i = 0; i < SIZES; i++) {
        header[i] = choose_size(input, bounds[i]);
        small = small && header[i] > 0 && header[i] <= bounds[i];
    }
    const size_t choice = fuzz_byte(input);
    if (choice & 1)
        header[5] = header[5] == INT32_MIN ? 0 : -header[5];
    size_t bytes = small ? file_bytes(header) : sizeof header + fuzz_byte(input);
    if (choice >= 240)
        bytes += choice - 247; /* modulo 2^64: a few bytes less, or more */
    fuzz_append(file, (ByteString){(const uint8_t *)header, sizeof header});
    while (file->length < bytes) {
        const float number = (float)((int)(file->length % 61) - 30) / 16;
        const size_t left = bytes - file->length;
        fuzz_append(file, (ByteString){(const uint8_t *)&number, left < sizeof number ? left : sizeof number});
    }
}

/* Writes the model and reads it again. */
static void check_model(const TrainedModel *model)
{
    TrainedModel again;
    const char *path = temp_path("again.bin");
    FUZZ_OK(llama2c_write(path, &model->lm));
    FUZZ_OK(read_model(&again, path));
    FUZZ_CHECK(again.parameters.count == model->parameters.count, "%zu parameters", again.parameters.count);
    for (size_t i = 0; i < model->parameters.count; i++) {
        const Tensor a = model->parameters.items[i].value, b = again.parameters.items[i].value;
        FUZZ_CHECK(tensor_same_shape(a, b) && memcmp(a.data, b.data, tensor_count(a) * sizeof *a.data) == 0,
                   "%s has changed", model->parameters.items[i].name);
    }
    trained_model_deinit(&again);
}

void fuzz_llama2c(const uint8_t *data, size_t size)
{
    const size_t before = memory_in_use();
    FuzzInput input = {data, data + size};
    ByteList file = {0};
    fuzz_make(&file, &input, fuzz_byte(&input), build);
    const char *path = fuzz_file("model.bin", byte_list_view(&file));
    const size_t bytes = file.length;
    byte_list_deinit(&file);
    TrainedModel model;
    memory_reset_peak();
    const bool detected = llama2c_detect(path);
    const Status s = read_model(&model, path);
    FUZZ_CHECK(memory_peak() - before < MEMORY + 16 * bytes, "%zu bytes of memory for a file of %zu",
               memory_peak() - before, bytes);
    if (s) {
        fuzz_check_failure(s);
    } else {
        FUZZ_CHECK(detected, "a model that is read was not detected");
        check_model(&model);
        trained_model_deinit(&model);
    }
    FUZZ_CHECK(memory_in_use() == before, "memory is left over");
}
