/*
 * Models in llama2.c's format. tests/fixtures/llama2c has two of them, with their logits by PyTorch
 * (tests/tools/make_llama2c_fixture.py).
 */
#include "core/file.h"
#include "core/memory.h"
#include "interchange/import_forms.h"
#include "interchange/llama2c.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/fixture.h"
#include "tests/support/llama2c_files.h"
#include "tests/support/tiny_lm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define GROUPED "tests/fixtures/llama2c/grouped.bin"
#define SEPARATE "tests/fixtures/llama2c/separate.bin"

enum {
    HEADER_BYTES = 28,
    /* positions of the numbers of the header */
    DIM = 0,
    HIDDEN_DIM,
    N_LAYERS,
    N_HEADS,
    N_KV_HEADS,
    VOCAB_SIZE,
    SEQ_LEN
};

static const ImportOptions none = IMPORT_OPTIONS_NONE;

static Status read_model(TrainedModel *model, const char *path)
{
    ImportNotes notes;
    return llama2c_import(model, &notes, path, &none);
}

/* ---- in ---- */

/* Returns the logits of all ids, in memory of the fixture. */
static Tensor logits_of(Fixture *fixture, const TransformerLM *lm, TokenTensor ids)
{
    const Tensor logits = fixture_output(fixture, ids.shape[0], lm->config.vocab_size);
    Arena scratch;
    assert_ok(arena_init(&scratch, transformer_lm_forward_scratch(lm, 1, ids.shape[0])));
    assert_ok(transformer_lm_forward(logits, lm, ids, &scratch));
    arena_deinit(&scratch);
    return logits;
}

START_TEST(test_llama2c_logits_are_those_of_pytorch)
{
    static const struct {
        const char *path, *ids, *logits;
        size_t grouped; /* heads of keys and values that are repeated */
        TransformerLMConfig config;
    } cases[] = {
        {GROUPED,
         "grouped.ids",
         "grouped.logits",
         2,
         {.vocab_size = 29,
          .context_length = 11,
          .d_model = 24,
          .num_layers = 2,
          .num_heads = 6,
          .d_ff = 20,
          .rope_theta = 1e4F,
          .norm_eps = 1e-5F,
          .tie_embeddings = true}},
        {SEPARATE,
         "separate.ids",
         "separate.logits",
         0,
         {.vocab_size = 23,
          .context_length = 9,
          .d_model = 12,
          .num_layers = 3,
          .num_heads = 3,
          .d_ff = 16,
          .rope_theta = 1e4F,
          .norm_eps = 1e-5F}},
    };
    Fixture fixture;
    fixture_open(&fixture, "llama2c/logits");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        TrainedModel model;
        test_label("%s", cases[i].path);
        ck_assert(llama2c_detect(cases[i].path));
        ImportNotes notes;
        assert_ok(import_model(&model, &notes, cases[i].path, &none));
        ck_assert_int_eq(notes.form, IMPORT_LLAMA2C);
        ck_assert_uint_eq(notes.arrays, model.parameters.count);
        ck_assert_uint_eq(notes.grouped_key_value_heads, cases[i].grouped);
        assert_same_config(&model.lm.config, &cases[i].config);
        ck_assert_uint_eq(model.iteration, 0);
        const TokenTensor ids = fixture_tokens(&fixture, cases[i].ids);
        assert_allclose(logits_of(&fixture, &model.lm, ids), fixture_tensor(&fixture, cases[i].logits), 1e-5, 1e-5);
        trained_model_deinit(&model);
    }
    fixture_close(&fixture);
}
END_TEST

/* ---- out ---- */

static void assert_same_weights(const TrainedModel *a, const TrainedModel *b)
{
    assert_same_config(&a->lm.config, &b->lm.config);
    ck_assert_uint_eq(a->parameters.count, b->parameters.count);
    for (size_t i = 0; i < a->parameters.count; i++) {
        const Parameter *p = &a->parameters.items[i];
        ck_assert_str_eq(p->name, b->parameters.items[i].name);
        assert_allclose_tensor(p->name, p->value, b->parameters.items[i].value, 0, 0);
    }
}

/* The file gives a checkpoint, and the checkpoint gives the file: each byte, but for the last bits of RoPE's tables. */
START_TEST(test_llama2c_file_comes_back)
{
    TrainedModel model, checkpoint;
    LoadedFile before, after;
    const char *saved = temp_path("saved.safetensors"), *written = temp_path("written.bin");
    assert_ok(read_model(&model, SEPARATE));
    assert_ok(trained_model_save(saved, &model));
    assert_ok(trained_model_load(&checkpoint, saved));
    assert_ok(llama2c_write(written, &checkpoint.lm));
    assert_ok(file_load(&before, SEPARATE));
    assert_ok(file_load(&after, written));
    ck_assert_uint_eq(after.size, before.size);
    const TransformerLMConfig *c = &model.lm.config;
    const size_t angles = c->context_length * c->d_model / c->num_heads, head = c->vocab_size * c->d_model;
    const size_t tables = before.size - (angles + head) * sizeof(float);
    ck_assert_mem_eq(after.data, before.data, tables);
    assert_allclose_array("tables", (const float *)(const void *)(after.data + tables),
                          (const float *)(const void *)(before.data + tables), angles, 0, 1e-7);
    ck_assert_mem_eq(after.data + before.size - head * sizeof(float), before.data + before.size - head * sizeof(float),
                     head * sizeof(float));
    file_unload(&before);
    file_unload(&after);
    trained_model_deinit(&checkpoint);
    trained_model_deinit(&model);
}
END_TEST

/* Grouped heads are written one by one. Reading them again gives the same weights. */
START_TEST(test_grouped_heads_are_repeated_exactly)
{
    TrainedModel model, again;
    const char *path = temp_path("repeated.bin");
    LoadedFile file;
    assert_ok(read_model(&model, GROUPED));
    assert_ok(llama2c_write(path, &model.lm));
    assert_ok(read_model(&again, path));
    assert_same_weights(&again, &model);
    assert_ok(file_load(&file, path));
    int32_t header[HEADER_BYTES / 4];
    memcpy(header, file.data, sizeof header);
    ck_assert_int_eq(header[N_HEADS], 6);
    ck_assert_int_eq(header[N_KV_HEADS], 6);
    /* Three neighbouring heads have the rows of one. */
    const Tensor key = model.lm.layers[1].attn.k_proj.weight;
    const size_t numbers = tensor_count(key) / 6;
    for (size_t h = 0; h < 6; h++)
        ck_assert_mem_eq(key.data + h * numbers, key.data + h / 3 * 3 * numbers, numbers * sizeof(float));
    ck_assert_mem_ne(key.data, key.data + 3 * numbers, numbers * sizeof(float));
    file_unload(&file);
    trained_model_deinit(&again);
    trained_model_deinit(&model);
}
END_TEST

/* Every variant either comes back or is refused by the name of what run.c does not compute. */
START_TEST(test_llama2c_refuses_what_it_cannot_compute)
{
    const char *path = temp_path("variant.bin");
    char expected[256];
    size_t written = 0;
    for (int variant = 0; variant < TINY_LM_VARIANTS; variant++) {
        const TransformerLMConfig config = tiny_lm_config(variant);
        TrainedModel model, again;
        test_label("%s", variant_text(&config));
        assert_ok(trained_model_create(&model, &config, "model"));
        Rng rng = rng_seeded(1);
        transformer_lm_initialise(&model.lm, &rng);
        const char *norm = norm_names[config.norm];
        if (config.norm != NORM_PRE)
            snprintf(expected, sizeof expected,
                     ": llama2.c cannot compute this model: its norm is \"%s\", llama2.c's "
                     "is \"pre\"",
                     norm);
        else if (config.position == POSITION_NONE)
            snprintf(expected, sizeof expected,
                     ": llama2.c cannot compute this model: its position is \"none\", "
                     "llama2.c's is \"rope\"");
        else
            snprintf(expected, sizeof expected,
                     ": llama2.c cannot compute this model: its ffn is \"silu\", llama2.c's "
                     "is \"swiglu\"");
        if (config.norm == NORM_PRE && config.position == POSITION_ROPE && config.ffn == FFN_SWIGLU) {
            assert_ok(llama2c_write(path, &model.lm));
            assert_ok(read_model(&again, path));
            assert_same_weights(&again, &model);
            trained_model_deinit(&again);
            assert_ok(file_remove(path));
            written++;
        } else {
            assert_path_fails(llama2c_write(path, &model.lm), CS336_ERANGE, path, expected);
        }
        trained_model_deinit(&model);
    }
    test_label_end();
    ck_assert_uint_eq(written, 2); /* untied and tied */
    TransformerLM numbers = {.config = tiny_lm_config(0)};
    numbers.config.rope_theta = 5e5F;
    assert_path_fails(llama2c_write(path, &numbers), CS336_ERANGE, path,
                      ": llama2.c cannot compute this model: its rope_theta is 500000, llama2.c's is 10000");
    numbers.config.rope_theta = 1e4F;
    numbers.config.norm_eps = 1e-6F;
    assert_path_fails(llama2c_write(path, &numbers), CS336_ERANGE, path,
                      ": llama2.c cannot compute this model: its norm_eps is 1e-06, llama2.c's is 1e-05");
    numbers.config.norm_eps = 1e-5F;
    numbers.config.d_ff = (size_t)INT32_MAX + 1;
    assert_path_fails(llama2c_write(path, &numbers), CS336_ERANGE, path,
                      ": llama2.c cannot compute this model: its d_ff is 2147483648, llama2.c's is at most 2147483647");
    FileReader file;
    ck_assert_int_eq(file_open(&file, path), CS336_EIO); /* nothing was written */
}
END_TEST

/* ---- damaged files ---- */

/* Writes separate.bin with another number in its header, and returns the path. */
static const char *with_header(size_t index, int32_t value)
{
    const char *path = temp_path("damaged.bin");
    LoadedFile file;
    assert_ok(file_load(&file, SEPARATE));
    memcpy(file.data + 4 * index, &value, sizeof value);
    write_file(path, file.data, file.size);
    file_unload(&file);
    return path;
}

START_TEST(test_llama2c_headers_that_are_no_model)
{
    static const struct {
        size_t index;
        int32_t value;
        bool detected;
        Status status;
        const char *message;
    } cases[] = {
        {DIM, 0, false, CS336_EFORMAT, "dim is 0 in the header of llama2.c's format, expected 1 or more"},
        {HIDDEN_DIM, -1, false, CS336_EFORMAT,
         "hidden_dim is -1 in the header of llama2.c's format, expected 1 or "
         "more"},
        {N_LAYERS, 0, false, CS336_EFORMAT, "n_layers is 0 in the header of llama2.c's format, expected 1 or more"},
        {N_HEADS, 0, false, CS336_EFORMAT, "n_heads is 0 in the header of llama2.c's format, expected 1 or more"},
        {N_KV_HEADS, 0, false, CS336_EFORMAT,
         "n_kv_heads is 0 in the header of llama2.c's format, expected 1 or "
         "more"},
        {N_KV_HEADS, 2, false, CS336_EFORMAT, "n_kv_heads 2 does not divide n_heads 3"},
        {N_KV_HEADS, INT32_MAX, false, CS336_EFORMAT, "n_kv_heads 2147483647 does not divide n_heads 3"},
        {SEQ_LEN, INT32_MIN, false, CS336_EFORMAT,
         "seq_len is -2147483648 in the header of llama2.c's format, "
         "expected 1 or more"},
        {VOCAB_SIZE, 0, false, CS336_EFORMAT, "vocab_size is 0 in the header of llama2.c's format"},
        {VOCAB_SIZE, INT32_MIN, false, CS336_EFORMAT, "vocab_size is -2147483648 in the header of llama2.c's format"},
        {DIM, 13, false, CS336_ESHAPE, "num_heads 3 does not divide d_model 13"},
        {DIM, 9, true, CS336_ESHAPE, "d_model / num_heads is 3, expected an even number for RoPE"},
        {N_LAYERS, 65537, true, CS336_ERANGE, "num_layers is 65537, expected at most 65536"},
        {SEQ_LEN, (1 << 20) + 1, true, CS336_ERANGE, "context_length is 1048577, expected at most 1048576"},
        /* 7 numbers, 23 x 12 embeddings, 3 layers, 12 gains, 9 x 4 of the tables, and the LM head. */
        {SEQ_LEN, 10, true, CS336_EFORMAT,
         "16540 bytes, but the sizes in its header are those of a model of llama2.c "
         "with 16556: damaged, or another kind of file"},
        {VOCAB_SIZE, 23, true, CS336_EFORMAT,
         "16540 bytes, but the sizes in its header are those of a model of "
         "llama2.c with 15436: damaged, or another kind of file"},
        {N_KV_HEADS, 1, true, CS336_EFORMAT,
         "16540 bytes, but the sizes in its header are those of a model of "
         "llama2.c with 14236: damaged, or another kind of file"},
        {VOCAB_SIZE, INT32_MAX, true, CS336_EFORMAT,
         "16540 bytes, but the sizes in its header are those of a model of "
         "llama2.c with 103079229388: damaged, or another kind of file"},
        {DIM, 0x616B3432, true, CS336_EFORMAT,
         "version 16 of llama2.c's format, expected its first format; llama2.c's "
         "export.py writes that with --version 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = with_header(cases[i].index, cases[i].value);
        char rest[256];
        TrainedModel model;
        test_label("number %zu is %d", cases[i].index, (int)cases[i].value);
        snprintf(rest, sizeof rest, ": %s", cases[i].message);
        const size_t before = memory_in_use();
        assert_path_fails(read_model(&model, path), cases[i].status, path, rest);
        ck_assert_uint_eq(memory_in_use(), before);
        ck_assert_int_eq(llama2c_detect(path), cases[i].detected);
    }
}
END_TEST

/* The tables of RoPE are not read, so only weights are looked at. */
START_TEST(test_llama2c_numbers_that_are_not_finite_are_refused)
{
    const TransformerLMConfig c = {.vocab_size = 23, .context_length = 9, .d_model = 12, .num_heads = 3};
    const char *path = temp_path("damaged.bin");
    const float bad[] = {NAN, -INFINITY};
    TrainedModel model;
    LoadedFile file;
    assert_ok(file_load(&file, SEPARATE));
    const size_t head = c.vocab_size * c.d_model, first_of_head = file.size / 4 - head;
    const struct {
        size_t number;       /* from the beginning of the file */
        const char *message; /* NULL: the number is no weight */
    } cases[] = {
        {7 + 1, ": array \"token_embeddings.weight\" has %s as a number, expected finite numbers"},
        {file.size / 4 - 1, ": array \"lm_head.weight\" has %s as a number, expected finite numbers"},
        {first_of_head - 1, NULL},
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        const size_t number = cases[i / 2].number;
        float old;
        char message[128];
        test_label("number %zu is %g", number, (double)bad[i % 2]);
        memcpy(&old, file.data + 4 * number, sizeof old);
        memcpy(file.data + 4 * number, &bad[i % 2], sizeof old);
        write_file(path, file.data, file.size);
        memcpy(file.data + 4 * number, &old, sizeof old);
        if (!cases[i / 2].message) {
            assert_ok(read_model(&model, path));
            trained_model_deinit(&model);
            continue;
        }
        const size_t before = memory_in_use();
        snprintf(message, sizeof message, cases[i / 2].message, i % 2 ? "-inf" : "nan");
        assert_path_fails(read_model(&model, path), CS336_ERANGE, path, message);
        ck_assert_uint_eq(memory_in_use(), before);
    }
    file_unload(&file);
}
END_TEST

/* All sizes as large as they can be: nothing overflows, and no memory is taken. */
START_TEST(test_llama2c_sizes_that_overflow)
{
    const char *path = temp_path("huge.bin");
    const int32_t header[] = {INT32_MAX - 1, INT32_MAX, 65536, 1, 1, -INT32_MAX, 1 << 20};
    TrainedModel model;
    memory_reset_peak();
    const size_t before = memory_peak();
    write_file(path, header, sizeof header);
    ck_assert_int_eq(read_model(&model, path), CS336_EFORMAT);
    ck_assert_uint_le(memory_peak(), before);
}
END_TEST

START_TEST(test_llama2c_files_that_are_cut)
{
    LoadedFile file;
    const char *path = temp_path("cut.bin");
    assert_ok(file_load(&file, SEPARATE));
    for (size_t size = 0; size <= file.size + 1; size += size < 64 ? 1 : 997) {
        uint8_t *bytes = memory_allocate_zeroed(size + 1, 1);
        TrainedModel model;
        ck_assert_ptr_nonnull(bytes);
        memcpy(bytes, file.data, size < file.size ? size : file.size);
        write_file(path, bytes, size);
        memory_release(bytes);
        test_label("%zu bytes", size);
        ck_assert_int_eq(llama2c_detect(path), size >= HEADER_BYTES);
        ck_assert_int_eq(read_model(&model, path), CS336_EFORMAT);
    }
    test_label_end();
    TrainedModel model;
    write_file(path, file.data, 27);
    assert_path_fails(read_model(&model, path), CS336_EFORMAT, path,
                      ": 27 bytes, expected a model of llama2.c, which begins with 28: cut short");
    file_unload(&file);
    const char *nowhere = temp_path("nowhere");
    ck_assert(!llama2c_detect(nowhere));
    assert_path_fails(read_model(&model, nowhere), CS336_EIO, nowhere, ": cannot read: No such file or directory");
    /* Files of other kinds do not look like a model. */
    ck_assert(!llama2c_detect("tests/fixtures/llama2c/logits.safetensors"));
    ck_assert(!llama2c_detect("tests/fixtures/tokenizer/vocab.json"));
    ck_assert(!llama2c_detect("tests/fixtures/tokenizer/merges.txt"));
    ck_assert(!llama2c_detect("tests/fixtures"));
}
END_TEST

/* ---- failures ---- */

static Status attempt_read(void *path)
{
    TrainedModel model;
    const Status s = read_model(&model, path);
    if (!s)
        trained_model_deinit(&model);
    return s;
}

typedef struct {
    const char *path;
    const TransformerLM *lm;
} WriteWork;

static Status attempt_write(void *context)
{
    const WriteWork *work = context;
    return llama2c_write(work->path, work->lm);
}

START_TEST(test_llama2c_failures_are_clean)
{
    TrainedModel model;
    char path[] = GROUPED;
    assert_ok(read_model(&model, path));
    assert_allocation_failures_are_clean(attempt_read, path);
    WriteWork work = {temp_path("attempt.bin"), &model.lm};
    assert_allocation_failures_are_clean(attempt_write, &work);
    assert_write_failures_are_clean(attempt_write, &work, temp_path("."));
    trained_model_deinit(&model);
}
END_TEST

/* ---- the trained model ---- */

START_TEST(test_stories260K_is_read)
{
    TrainedModel model;
    const TransformerLMConfig expected = {.vocab_size = 512,
                                          .context_length = 512,
                                          .d_model = 64,
                                          .num_layers = 5,
                                          .num_heads = 8,
                                          .d_ff = 172,
                                          .rope_theta = 1e4F,
                                          .norm_eps = 1e-5F,
                                          .tie_embeddings = true};
    assert_ok(read_model(&model, llama2c_path("stories260K.bin")));
    assert_same_config(&model.lm.config, &expected);
    trained_model_deinit(&model);
}
END_TEST

const TestCase llama2c_tests[] = {
    TEST(test_llama2c_logits_are_those_of_pytorch, "llama2c"),
    TEST(test_llama2c_file_comes_back, "llama2c"),
    TEST(test_grouped_heads_are_repeated_exactly, "llama2c"),
    TEST(test_llama2c_refuses_what_it_cannot_compute, "llama2c"),
    TEST(test_llama2c_headers_that_are_no_model, "llama2c"),
    TEST(test_llama2c_numbers_that_are_not_finite_are_refused, "llama2c"),
    TEST(test_llama2c_sizes_that_overflow, "llama2c"),
    TEST(test_llama2c_files_that_are_cut, "llama2c"),
    TEST(test_llama2c_failures_are_clean, "llama2c"),
    TEST_UNLESS(test_stories260K_is_read, "llama2c", no_llama2c_files),
    {0},
};
