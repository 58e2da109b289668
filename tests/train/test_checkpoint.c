#define _POSIX_C_SOURCE 200809L
#include "core/file.h"
#include "core/parallel.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/hash_weights.h"
#include "train/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WEIGHTS = 6, BIASES = 2, MOMENTS = 3, NUMBERS = (WEIGHTS + BIASES) * MOMENTS };

/* Two parameters, two generators and two pairs of configuration. Tests save one State and load it into another. */
typedef struct {
    float numbers[NUMBERS];
    Parameter parameters[2];
    Rng batch, sample;
    CheckpointRng generators[2];
    SafetensorsText config[2];
    Checkpoint checkpoint;
} State;

static void state_init(State *state, uint64_t seed)
{
    *state = (State){.batch = {seed, seed + 1}, .sample = {UINT64_MAX, UINT64_MAX - seed}};
    float *n = state->numbers;
    hash_normal(n, NUMBERS, "state", seed, 0, 1);
    state->parameters[0] = (Parameter){.name = "fc.weight",
                                       .value = tensor(n, 2, 3),
                                       .first_moment = tensor(n + 6, 2, 3),
                                       .second_moment = tensor(n + 12, 2, 3)};
    state->parameters[1] = (Parameter){.name = "fc.bias",
                                       .value = tensor(n + 18, 2),
                                       .first_moment = tensor(n + 20, 2),
                                       .second_moment = tensor(n + 22, 2)};
    state->generators[0] = (CheckpointRng){"batch", &state->batch};
    state->generators[1] = (CheckpointRng){"sample", &state->sample};
    state->config[0] = (SafetensorsText){"d_model", "2"};
    state->config[1] = (SafetensorsText){"norm", "pre"};
    state->checkpoint = (Checkpoint){.parameters = {state->parameters, 2},
                                     .iteration = 1000 + seed,
                                     .generators = state->generators,
                                     .generator_count = 2,
                                     .config = state->config,
                                     .config_count = 2};
}

static const char *saved_state(State *state)
{
    const char *path = temp_path("saved.safetensors");
    state_init(state, 1);
    assert_ok(checkpoint_save(path, &state->checkpoint));
    return path;
}

static void assert_same_state(const State *a, const State *b)
{
    ck_assert_mem_eq(a->numbers, b->numbers, sizeof a->numbers);
    ck_assert_uint_eq(a->batch.seed, b->batch.seed);
    ck_assert_uint_eq(a->batch.counter, b->batch.counter);
    ck_assert_uint_eq(a->sample.seed, b->sample.seed);
    ck_assert_uint_eq(a->sample.counter, b->sample.counter);
    ck_assert_uint_eq(a->checkpoint.iteration, b->checkpoint.iteration);
}

/* Asserts that loading fails with this status and "PATH: TEXT", and that the state is unchanged. */
static void assert_load_fails(State *state, const char *path, Status expected, const char *text)
{
    static State before;
    char rest[256];
    memcpy(&before, state, sizeof before);
    snprintf(rest, sizeof rest, ": %s", text);
    assert_path_fails(checkpoint_load(&state->checkpoint, path), expected, path, rest);
    assert_same_state(state, &before);
}

START_TEST(test_checkpoint_restores_everything)
{
    State saved, loaded;
    const char *path = saved_state(&saved);
    state_init(&loaded, 2);
    assert_ok(checkpoint_load(&loaded.checkpoint, path));
    assert_same_state(&loaded, &saved);
}
END_TEST

/* Gives the numbers of a list of arrays, a few at a time. */
typedef struct {
    const float *numbers[4];
    size_t counts[4], array, next;
    Status failure; /* returned at the last array */
} Elsewhere;

static Status next_numbers(void *context, void *destination, size_t bytes)
{
    Elsewhere *e = context;
    for (float *out = destination; bytes; bytes -= sizeof *out) {
        if (e->next == e->counts[e->array]) {
            e->array++;
            e->next = 0;
        }
        if (e->array == 3 && e->failure)
            return status_fail(e->failure, "no more");
        *out++ = e->numbers[e->array][e->next++];
    }
    return CS336_OK;
}

/* Moments that are not in this process's memory come from a source, and the file is the same. */
START_TEST(test_checkpoint_takes_moments_from_elsewhere)
{
    State state;
    LoadedFile expected;
    const char *path = saved_state(&state);
    assert_ok(file_load(&expected, path));
    Elsewhere elsewhere = {.numbers = {state.numbers + 6, state.numbers + 20, state.numbers + 12, state.numbers + 22},
                           .counts = {6, 2, 6, 2}};
    const SafetensorsSource source = {.next = next_numbers, .context = &elsewhere};
    for (size_t i = 0; i < 2; i++)
        state.parameters[i].first_moment.data = state.parameters[i].second_moment.data = NULL;
    state.checkpoint.moments = &source;
    const char *other = temp_path("elsewhere.safetensors");
    assert_ok(checkpoint_save(other, &state.checkpoint));
    assert_file_holds(other, expected.data, expected.size);
    /* A source that fails leaves the file as it was. */
    elsewhere.array = elsewhere.next = 0;
    elsewhere.failure = CS336_EIO;
    state.numbers[0] = 1;
    assert_fails(checkpoint_save(other, &state.checkpoint), CS336_EIO, "no more");
    assert_file_holds(other, expected.data, expected.size);
    file_unload(&expected);
}
END_TEST

/* Parts of the moments are read alone, from a file that has them. */
START_TEST(test_checkpoint_gives_parts_of_moments)
{
    State state;
    CheckpointFile file;
    float numbers[6];
    assert_ok(checkpoint_open(&file, saved_state(&state)));
    assert_ok(checkpoint_check_moments(&file, state.checkpoint.parameters));
    for (size_t first = 0; first < WEIGHTS; first++)
        for (size_t count = 0; first + count <= WEIGHTS; count++) {
            assert_ok(
                checkpoint_read_moment(numbers, &file, CHECKPOINT_FIRST_MOMENT, &state.parameters[0], first, count));
            assert_allclose_array("first", numbers, state.numbers + 6 + first, count, 0, 0);
            assert_ok(
                checkpoint_read_moment(numbers, &file, CHECKPOINT_SECOND_MOMENT, &state.parameters[0], first, count));
            assert_allclose_array("second", numbers, state.numbers + 12 + first, count, 0, 0);
        }
    checkpoint_close(&file);
    /* Weights alone. */
    const char *path = temp_path("weights.safetensors");
    for (size_t i = 0; i < 2; i++)
        state.parameters[i].first_moment.data = state.parameters[i].second_moment.data = NULL;
    assert_ok(checkpoint_save(path, &state.checkpoint));
    assert_ok(checkpoint_open(&file, path));
    assert_path_fails(checkpoint_check_moments(&file, state.checkpoint.parameters), CS336_EFORMAT, path,
                      ": no array \"optimizer.first_moment.fc.weight\"");
    checkpoint_close(&file);
}
END_TEST

START_TEST(test_checkpoint_of_the_same_state_is_the_same_file)
{
    State state;
    LoadedFile first;
    const char *path = saved_state(&state), *other = temp_path("another_name.safetensors");
    assert_ok(checkpoint_save(other, &state.checkpoint));
    assert_ok(file_load(&first, path));
    assert_file_holds(other, first.data, first.size);
    file_unload(&first);
}
END_TEST

START_TEST(test_checkpoint_configuration_is_read_before_a_model_exists)
{
    State state;
    CheckpointFile file;
    assert_ok(checkpoint_open(&file, saved_state(&state)));
    ck_assert_str_eq(checkpoint_config(&file, "d_model"), "2");
    ck_assert_str_eq(checkpoint_config(&file, "norm"), "pre");
    ck_assert_ptr_null(checkpoint_config(&file, "d_ff"));
    ck_assert_ptr_null(checkpoint_config(&file, "iteration"));
    checkpoint_close(&file);
    checkpoint_close(&file);
}
END_TEST

START_TEST(test_checkpoint_gives_weights_without_moments)
{
    State saved, loaded;
    const char *path = saved_state(&saved);
    state_init(&loaded, 2);
    for (size_t i = 0; i < 2; i++)
        loaded.parameters[i].first_moment.data = loaded.parameters[i].second_moment.data = NULL;
    Checkpoint weights = {.parameters = loaded.checkpoint.parameters};
    assert_ok(checkpoint_load(&weights, path));
    ck_assert_mem_eq(loaded.numbers, saved.numbers, 6 * sizeof(float));
    ck_assert_mem_eq(loaded.numbers + 18, saved.numbers + 18, 2 * sizeof(float));
    ck_assert_float_ne(loaded.numbers[6], saved.numbers[6]);
}
END_TEST

START_TEST(test_checkpoint_without_moments_does_not_resume)
{
    State state;
    state_init(&state, 1);
    const char *path = temp_path("weights.safetensors");
    const Parameter whole = state.parameters[1];
    state.parameters[1].first_moment.data = NULL;
    assert_ok(checkpoint_save(path, &state.checkpoint));
    state.parameters[1] = whole;
    assert_load_fails(&state, path, CS336_EFORMAT, "no array \"optimizer.first_moment.fc.bias\"");
}
END_TEST

START_TEST(test_checkpoint_of_another_model_is_refused)
{
    State state;
    const char *path = saved_state(&state);
    state_init(&state, 2);
    state.checkpoint.parameters.count = 1;
    assert_load_fails(&state, path, CS336_EFORMAT, "array \"fc.bias\" belongs to no parameter of the model");
    state_init(&state, 2);
    state.parameters[1].name = "fc2.bias";
    assert_load_fails(&state, path, CS336_EFORMAT, "no array \"fc2.bias\"");
    state_init(&state, 2);
    state.parameters[0].value = tensor(state.numbers, 3, 2);
    state.parameters[0].first_moment = tensor(state.numbers + 6, 3, 2);
    state.parameters[0].second_moment = tensor(state.numbers + 12, 3, 2);
    assert_load_fails(&state, path, CS336_ESHAPE, "array \"fc.weight\" is (2, 3), expected (3, 2)");
}
END_TEST

START_TEST(test_checkpoint_of_another_configuration_is_refused)
{
    State state;
    const char *path = saved_state(&state);
    state_init(&state, 2);
    state.config[1].value = "post";
    assert_load_fails(&state, path, CS336_EFORMAT, "norm is pre, expected post");
    state.config[1] = (SafetensorsText){"d_ff", "8"};
    assert_load_fails(&state, path, CS336_EFORMAT, "no d_ff in its configuration, expected 8");
    state_init(&state, 2);
    state.generators[1].name = "validation";
    assert_load_fails(&state, path, CS336_EFORMAT, "no state of the generator \"validation\"");
    state_init(&state, 2);
    state.checkpoint.config_count = 1;
    assert_ok(checkpoint_load(&state.checkpoint, path));
}
END_TEST

/* Writes a file of the state's values with this type of "fc.bias" and this metadata, and returns its path. */
static const char *written(const State *state, SafetensorsType type, const char *iteration, const char *rng)
{
    const char *path = temp_path("written.safetensors");
    const SafetensorsText texts[] = {{"rng.batch", rng}, {"iteration", iteration}};
    const SafetensorsEntry entries[] = {{"fc.weight", SAFETENSORS_F32, 2, {2, 3}, state->numbers, 0},
                                        {"fc.bias", type, 1, {2}, state->numbers + 18, 0}};
    assert_ok(safetensors_write(path, entries, 2, texts, iteration ? 2 : 1));
    return path;
}

START_TEST(test_checkpoint_with_damaged_contents_is_refused)
{
    State state;
    state_init(&state, 1);
    state.checkpoint.config_count = 0;
    state.checkpoint.generator_count = 1;
    for (size_t i = 0; i < 2; i++)
        state.parameters[i].first_moment.data = state.parameters[i].second_moment.data = NULL;
    assert_ok(checkpoint_load(&state.checkpoint, written(&state, SAFETENSORS_F32, "7", "5 6")));
    ck_assert_uint_eq(state.checkpoint.iteration, 7);
    ck_assert_uint_eq(state.batch.counter, 6);
    assert_load_fails(&state, written(&state, SAFETENSORS_I32, "7", "5 6"), CS336_EFORMAT,
                      "array \"fc.bias\" is not F32");
    assert_load_fails(&state, written(&state, SAFETENSORS_F32, NULL, "5 6"), CS336_EFORMAT,
                      "not a checkpoint: no iteration in its metadata. If it has the weights of another program, cs336 "
                      "import FILE --output checkpoint.safetensors makes a checkpoint of it");
    assert_load_fails(&state, written(&state, SAFETENSORS_F32, "-7", "5 6"), CS336_EFORMAT,
                      "iteration is \"-7\", expected a number");
    assert_load_fails(&state, written(&state, SAFETENSORS_F32, "2147483648", "5 6"), CS336_EFORMAT,
                      "iteration is 2147483648, expected at most 2147483647");
    const char *const bad_states[] = {"5", "5  6", "5 6 ", "5 x", "5 6 7", "5 18446744073709551616", ""};
    for (size_t i = 0; i < sizeof bad_states / sizeof *bad_states; i++) {
        char text[128];
        snprintf(text, sizeof text, "state of the generator \"batch\" is \"%s\", expected two numbers", bad_states[i]);
        assert_load_fails(&state, written(&state, SAFETENSORS_F32, "7", bad_states[i]), CS336_EFORMAT, text);
    }
}
END_TEST

/* An array of a file may have no dimensions: one number. A tensor has at least one. */
START_TEST(test_checkpoint_of_a_number_without_dimensions_is_refused)
{
    State state;
    state_init(&state, 1);
    state.checkpoint.config_count = state.checkpoint.generator_count = 0;
    for (size_t i = 0; i < 2; i++)
        state.parameters[i].first_moment.data = state.parameters[i].second_moment.data = NULL;
    const char *path = temp_path("scalar.safetensors");
    const SafetensorsText text = {"iteration", "7"};
    const SafetensorsEntry entries[] = {
        {.name = "fc.weight", .type = SAFETENSORS_F32, .rank = 2, .shape = {2, 3}, .data = state.numbers},
        {.name = "fc.bias", .type = SAFETENSORS_F32, .data = state.numbers + 18}};
    assert_ok(safetensors_write(path, entries, 2, &text, 1));
    assert_load_fails(&state, path, CS336_ESHAPE, "array \"fc.bias\" is (), expected (2)");
}
END_TEST

START_TEST(test_checkpoint_cut_short_anywhere_is_refused)
{
    State state, before;
    LoadedFile whole;
    const char *path = saved_state(&state), *cut = temp_path("cut.safetensors");
    assert_ok(file_load(&whole, path));
    state_init(&state, 2);
    state_init(&before, 2);
    for (size_t size = 0; size < whole.size; size++) {
        test_label("cut after %zu bytes", size);
        write_file(cut, whole.data, size);
        ck_assert_int_eq(checkpoint_load(&state.checkpoint, cut), CS336_EFORMAT);
        ck_assert_msg(strncmp(status_message(), cut, strlen(cut)) == 0, "%s", status_message());
        assert_same_state(&state, &before);
    }
    file_unload(&whole);
}
END_TEST

START_TEST(test_checkpoint_that_is_not_there_is_reported)
{
    State state;
    state_init(&state, 1);
    assert_load_fails(&state, temp_path("missing.safetensors"), CS336_EIO, "cannot read: No such file or directory");
}
END_TEST

START_TEST(test_checkpoint_refuses_parameters_that_do_not_fit_together)
{
    State state;
    const char *path = saved_state(&state), *target = temp_path("never.safetensors");
    state.parameters[1].second_moment = tensor(state.numbers, 1, 2);
    assert_fails(checkpoint_save(target, &state.checkpoint), CS336_ESHAPE,
                 "checkpoint_save: second moment of fc.bias is (1, 2), value is (2)");
    assert_fails(checkpoint_load(&state.checkpoint, path), CS336_ESHAPE,
                 "checkpoint_read: second moment of fc.bias is (1, 2), value is (2)");
    state_init(&state, 1);
    state.parameters[0].value = tensor_transpose(tensor(state.numbers, 3, 2), 0, 1);
    assert_fails(checkpoint_save(target, &state.checkpoint), CS336_ESHAPE,
                 "checkpoint_save: value of fc.weight is not contiguous");
    assert_fails(checkpoint_load(&state.checkpoint, path), CS336_ESHAPE,
                 "checkpoint_read: value of fc.weight is not contiguous");
    state_init(&state, 1);
    state.parameters[1].name = "fc.weight";
    assert_path_fails(checkpoint_save(target, &state.checkpoint), CS336_EFORMAT, target,
                      ": \"fc.weight\" is given twice");
    state_init(&state, 1);
    const char *nowhere = temp_path("missing/x.safetensors");
    assert_path_fails(checkpoint_save(nowhere, &state.checkpoint), CS336_EIO, nowhere,
                      ": cannot write: No such file or directory");
    ck_assert_int_ne(access(target, F_OK), 0);
}
END_TEST

typedef struct {
    State *state;
    const char *path;
} Work;

static Status save(void *context)
{
    const Work *work = context;
    return checkpoint_save(work->path, &work->state->checkpoint);
}

static Status load(void *context)
{
    const Work *work = context;
    return checkpoint_load(&work->state->checkpoint, work->path);
}

/* Such a file cannot be told from a good one when it is opened. Iteration and generators stay as they are. */
START_TEST(test_a_checkpoint_that_is_cut_while_it_is_read_is_refused)
{
    State state, loaded;
    CheckpointFile file;
    const char *path = saved_state(&state);
    assert_ok(checkpoint_open(&file, path));
    char message[128];
    snprintf(message, sizeof message,
             ": cannot read: expected %zu bytes, there are %zu; another process has cut the file",
             file.tensors.file.size, file.tensors.file.size - 1);
    ck_assert_int_eq(truncate(path, (off_t)file.tensors.file.size - 1), 0);
    state_init(&loaded, 2);
    const State before = loaded;
    assert_path_fails(checkpoint_read(&loaded.checkpoint, &file), CS336_EIO, path, message);
    ck_assert_uint_eq(loaded.checkpoint.iteration, before.checkpoint.iteration);
    ck_assert(loaded.batch.counter == before.batch.counter && loaded.sample.counter == before.sample.counter);
    checkpoint_close(&file);
}
END_TEST

START_TEST(test_checkpoint_survives_failing_allocations)
{
    State saved, loaded;
    Work work = {&saved, saved_state(&saved)};
    assert_allocation_failures_say(save, &work, "arena_init: no memory for *[0-9] bytes",
                                   "file_create: no memory for the path */saved.safetensors");
    state_init(&loaded, 2);
    work.state = &loaded;
    assert_allocation_failures_say(load, &work, "safetensors_open: no memory for the path */saved.safetensors",
                                   "*/saved.safetensors: no memory for a header of *[0-9] bytes",
                                   "*/saved.safetensors: no memory for 7 arrays",
                                   "*/saved.safetensors: no memory to check 6 arrays");
    assert_same_state(&loaded, &saved);
}
END_TEST

START_TEST(test_checkpoint_on_a_full_disk_leaves_the_old_file)
{
    State old, changed, loaded;
    const char *path = saved_state(&old);
    state_init(&changed, 3);
    state_init(&loaded, 2);
    file_fail_at(1);
    assert_path_fails(checkpoint_save(path, &changed.checkpoint), CS336_EIO, path,
                      ": cannot write: No space left on device");
    assert_ok(checkpoint_load(&loaded.checkpoint, path));
    assert_same_state(&loaded, &old);
    assert_write_failures_are_clean(save, &(Work){&changed, path}, temp_path("."));
}
END_TEST

/* ---- many arrays ---- */

enum { MANY = 20000 /* parameters, with 60 000 arrays */, NAME_BYTES = 32 };

/* Parameters of one number each. Their names do not come in the order of strcmp(). */
typedef struct {
    float numbers[MANY][MOMENTS];
    char names[MANY][NAME_BYTES];
    Parameter parameters[MANY];
} ManyArrays;

static Checkpoint many_arrays(ManyArrays *many, uint64_t seed)
{
    hash_normal(*many->numbers, (size_t)MANY * MOMENTS, "many", seed, 0, 1);
    for (size_t i = 0; i < MANY; i++) {
        snprintf(many->names[i], NAME_BYTES, "layers.%zu.weight", i);
        many->parameters[i] = (Parameter){.name = many->names[i],
                                          .value = tensor(&many->numbers[i][0], 1),
                                          .first_moment = tensor(&many->numbers[i][1], 1),
                                          .second_moment = tensor(&many->numbers[i][2], 1)};
    }
    return (Checkpoint){.parameters = {many->parameters, MANY}};
}

/* With a linear search for each array, loading would take minutes, and the test would exceed its time limit. */
START_TEST(test_a_checkpoint_of_many_arrays_is_read_in_time)
{
    static ManyArrays saved, loaded;
    const char *path = temp_path("many.safetensors");
    Checkpoint checkpoint = many_arrays(&saved, 1);
    assert_ok(checkpoint_save(path, &checkpoint));
    checkpoint = many_arrays(&loaded, 2);
    assert_ok(checkpoint_load(&checkpoint, path));
    ck_assert_mem_eq(saved.numbers, loaded.numbers, sizeof saved.numbers);
    /* One array is of no parameter. */
    checkpoint.parameters.count--;
    char rest[128];
    snprintf(rest, sizeof rest, ": array \"layers.%d.weight\" belongs to no parameter of the model", MANY - 1);
    assert_path_fails(checkpoint_load(&checkpoint, path), CS336_EFORMAT, path, rest);
    /* One parameter has no array. */
    checkpoint.parameters.count++;
    snprintf(loaded.names[MANY - 1], NAME_BYTES, "layers.x.weight");
    snprintf(rest, sizeof rest, ": no array \"layers.x.weight\"");
    assert_path_fails(checkpoint_load(&checkpoint, path), CS336_EFORMAT, path, rest);
}
END_TEST

/* ---- large checkpoints, which all threads check and read ---- */

enum { LARGE_PARAMETERS = 5, LARGE_NUMBERS = 9000 };

/* Parameters of enough numbers for several threads (parallel_threads_for()), without moments. */
typedef struct {
    float numbers[LARGE_PARAMETERS][LARGE_NUMBERS];
    Parameter parameters[LARGE_PARAMETERS];
    Checkpoint checkpoint;
} Large;

static void large_init(Large *large, uint64_t seed)
{
    static const char *const names[LARGE_PARAMETERS] = {"a", "b", "c", "d", "e"};
    for (size_t i = 0; i < LARGE_PARAMETERS; i++) {
        hash_normal(large->numbers[i], LARGE_NUMBERS, names[i], seed, 0, 1);
        large->parameters[i] = (Parameter){.name = names[i], .value = tensor(large->numbers[i], 90, 100)};
    }
    large->checkpoint = (Checkpoint){.parameters = {large->parameters, LARGE_PARAMETERS}, .iteration = seed};
}

START_TEST(test_checkpoint_of_many_numbers_is_read_by_all_threads)
{
    static Large saved, loaded;
    const char *path = temp_path("large.safetensors");
    ck_assert_uint_ge(LARGE_PARAMETERS * LARGE_NUMBERS, PARALLEL_NUMBERS);
    parallel_set_threads(3);
    large_init(&saved, 1);
    large_init(&loaded, 2);
    assert_ok(checkpoint_save(path, &saved.checkpoint));
    assert_ok(checkpoint_load(&loaded.checkpoint, path));
    ck_assert_mem_eq(loaded.numbers, saved.numbers, sizeof saved.numbers);
    /* A file that ends in the last array fails in one thread; its message reaches the caller. */
    CheckpointFile file;
    char expected[120];
    assert_ok(checkpoint_open(&file, path));
    const size_t size = file.tensors.file.size;
    ck_assert_int_eq(truncate(path, (off_t)size - 4), 0);
    snprintf(expected, sizeof expected,
             ": cannot read: expected %zu bytes, there are %zu; another process has cut the file", size, size - 4);
    assert_path_fails(checkpoint_read(&loaded.checkpoint, &file), CS336_EIO, path, expected);
    checkpoint_close(&file);
}
END_TEST

START_TEST(test_checkpoint_names_the_first_bad_number_for_any_number_of_threads)
{
    static Large large;
    const char *path = temp_path("bad.safetensors");
    large_init(&large, 1);
    large.numbers[1][8000] = NAN;
    large.numbers[1][8001] = large.numbers[2][0] = large.numbers[4][0] = INFINITY;
    for (int threads = 1; threads <= 4; threads++) {
        parallel_set_threads(threads);
        assert_path_fails(checkpoint_save(path, &large.checkpoint), CS336_ERANGE, path,
                          ": not written: number 8000 of b is nan, expected finite numbers; a lower learning rate may "
                          "help");
    }
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

const TestCase checkpoint_tests[] = {
    TEST(test_checkpoint_restores_everything, "checkpointing"),
    TEST(test_checkpoint_takes_moments_from_elsewhere, "checkpointing"),
    TEST(test_checkpoint_gives_parts_of_moments, "checkpointing"),
    TEST(test_checkpoint_of_the_same_state_is_the_same_file, "checkpointing"),
    TEST(test_checkpoint_configuration_is_read_before_a_model_exists, "checkpointing"),
    TEST(test_checkpoint_gives_weights_without_moments, "checkpointing"),
    TEST(test_checkpoint_without_moments_does_not_resume, "checkpointing"),
    TEST(test_checkpoint_of_another_model_is_refused, "checkpointing"),
    TEST(test_checkpoint_of_another_configuration_is_refused, "checkpointing"),
    TEST(test_checkpoint_with_damaged_contents_is_refused, "checkpointing"),
    TEST(test_checkpoint_of_a_number_without_dimensions_is_refused, "checkpointing"),
    TEST(test_checkpoint_cut_short_anywhere_is_refused, "checkpointing"),
    TEST(test_checkpoint_that_is_not_there_is_reported, "checkpointing"),
    TEST(test_checkpoint_refuses_parameters_that_do_not_fit_together, "checkpointing"),
    TEST(test_a_checkpoint_that_is_cut_while_it_is_read_is_refused, "checkpointing"),
    TEST(test_checkpoint_survives_failing_allocations, "checkpointing"),
    TEST(test_checkpoint_on_a_full_disk_leaves_the_old_file, "checkpointing"),
    TEST(test_a_checkpoint_of_many_arrays_is_read_in_time, "checkpointing"),
    TEST(test_checkpoint_of_many_numbers_is_read_by_all_threads, "checkpointing"),
    TEST(test_checkpoint_names_the_first_bad_number_for_any_number_of_threads, "checkpointing"),
    {0},
};
