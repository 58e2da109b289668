/* Checkpoints through the adapters, so in any format of file: what must come back, and what must be refused. */
#include "tests/adapters.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tests/support/hash_weights.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

enum { PARAMETERS = 3, ARRAYS = 3, WEIGHTS = 12, BIASES = 4, GAINS = 4, PER_ARRAY = WEIGHTS + BIASES + GAINS };

/* Three parameters, of which two have the same size. One array has all numbers, so that states are easy to compare. */
typedef struct {
    float numbers[ARRAYS * PER_ARRAY];
    Parameter parameters[PARAMETERS];
    ParameterList list;
} State;

static void state_init(State *state, uint64_t seed)
{
    float *n = state->numbers;
    const Tensor shapes[PARAMETERS] = {tensor(n, 3, 4), tensor(n, 4), tensor(n, 4)};
    const char *const names[PARAMETERS] = {"fc.weight", "fc.bias", "fc"};
    hash_normal(n, ARRAYS * PER_ARRAY, "state", seed, 0, 1);
    for (size_t i = 0; i < PARAMETERS; i++) {
        Tensor views[ARRAYS];
        for (size_t array = 0; array < ARRAYS; array++) {
            views[array] = shapes[i];
            views[array].data = n;
            n += tensor_count(shapes[i]);
        }
        state->parameters[i] =
            (Parameter){.name = names[i], .value = views[0], .first_moment = views[1], .second_moment = views[2]};
    }
    state->list = (ParameterList){state->parameters, PARAMETERS};
}

/* Saves the state of seed 1 after 1000 iterations. */
static const char *saved_state(State *state)
{
    const char *path = temp_path("checkpoint");
    state_init(state, 1);
    assert_ok(run_save_checkpoint(state->list, 1000, path));
    return path;
}

static void assert_same_numbers(const State *actual, const State *expected)
{
    ck_assert_mem_eq(actual->numbers, expected->numbers, sizeof actual->numbers);
}

/* Fails unless loading is refused with a message of one line, and changes nothing. */
static void assert_refused(const char *path, State *state)
{
    static State before;
    size_t iteration = 77;
    memcpy(&before, state, sizeof before);
    ck_assert_int_ne(run_load_checkpoint(&iteration, path, state->list), CS336_OK);
    ck_assert_msg(status_message()[0] && !strchr(status_message(), '\n'), "message \"%s\", expected one line",
                  status_message());
    ck_assert_uint_eq(iteration, 77);
    assert_same_numbers(state, &before);
}

/* ---- what must come back ---- */

START_TEST(test_checkpoint_file_keeps_every_bit)
{
    State saved, loaded;
    const char *path = temp_path("checkpoint");
    const float hard[] = {0.1F, -0.0F, FLT_MAX, -FLT_MAX, FLT_MIN, FLT_MIN / 4, 1 + FLT_EPSILON, 16777215};
    const size_t iterations[] = {0, 1, 9, 123456, (size_t)1 << 30};
    for (size_t i = 0; i < sizeof iterations / sizeof *iterations; i++) {
        size_t iteration = 77;
        test_label("iteration %zu", iterations[i]);
        state_init(&saved, i + 1);
        memcpy(&saved.numbers[12 * i], hard, sizeof hard); /* each time elsewhere */
        assert_ok(run_save_checkpoint(saved.list, iterations[i], path));
        state_init(&loaded, 100);
        assert_ok(run_load_checkpoint(&iteration, path, loaded.list));
        ck_assert_uint_eq(iteration, iterations[i]);
        assert_same_numbers(&loaded, &saved);
    }
}
END_TEST

START_TEST(test_checkpoint_file_finds_parameters_by_name)
{
    State saved, loaded;
    size_t iteration;
    const char *path = saved_state(&saved);
    state_init(&loaded, 2);
    Parameter reversed[PARAMETERS];
    for (size_t i = 0; i < PARAMETERS; i++)
        reversed[i] = loaded.parameters[PARAMETERS - 1 - i];
    assert_ok(run_load_checkpoint(&iteration, path, (ParameterList){reversed, PARAMETERS}));
    assert_same_numbers(&loaded, &saved);
}
END_TEST

START_TEST(test_checkpoint_file_replaces_the_old_one)
{
    State old, fresh, loaded;
    size_t iteration;
    const char *path = saved_state(&old);
    state_init(&fresh, 3);
    assert_ok(run_save_checkpoint(fresh.list, 2000, path));
    state_init(&loaded, 2);
    assert_ok(run_load_checkpoint(&iteration, path, loaded.list));
    ck_assert_uint_eq(iteration, 2000);
    assert_same_numbers(&loaded, &fresh);
}
END_TEST

/* ---- what must be refused ---- */

START_TEST(test_checkpoint_file_that_is_missing_is_refused)
{
    State state;
    state_init(&state, 2);
    assert_refused(temp_path("no such file"), &state);
    ck_assert_int_ne(run_save_checkpoint(state.list, 1, temp_path("no such directory/checkpoint")), CS336_OK);
}
END_TEST

/* A tenth of the file is more than the end of it that a format might not need, such as a newline. */
START_TEST(test_checkpoint_file_cut_short_is_refused)
{
    static unsigned char bytes[1 << 16];
    State saved, loaded;
    FILE *file = fopen(saved_state(&saved), "rb");
    const char *path = temp_path("short");
    ck_assert_ptr_nonnull(file);
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_uint_lt(size, sizeof bytes);
    for (size_t tenths = 0; tenths < 10; tenths++) {
        test_label("%zu tenths of the file", tenths);
        write_file(path, bytes, size * tenths / 10);
        state_init(&loaded, 2);
        assert_refused(path, &loaded);
    }
    test_label_end();
    size_t iteration;
    write_file(path, bytes, size);
    assert_ok(run_load_checkpoint(&iteration, path, loaded.list));
    assert_same_numbers(&loaded, &saved);
}
END_TEST

START_TEST(test_checkpoint_file_of_another_model_is_refused)
{
    State saved, loaded;
    const char *path = temp_path("checkpoint");
    /* The last parameter of the model is not in the file: there are only two, or there is one of another name. */
    state_init(&saved, 1);
    assert_ok(run_save_checkpoint((ParameterList){saved.parameters, PARAMETERS - 1}, 1000, path));
    state_init(&loaded, 2);
    assert_refused(path, &loaded);
    saved.parameters[PARAMETERS - 1].name = "fc.gain";
    assert_ok(run_save_checkpoint(saved.list, 1000, path));
    assert_refused(path, &loaded);
    /* It is there, but larger than in the file. */
    state_init(&saved, 1);
    Parameter *last = &saved.parameters[PARAMETERS - 1];
    last->value = tensor(last->value.data, GAINS - 1);
    last->first_moment = tensor(last->first_moment.data, GAINS - 1);
    last->second_moment = tensor(last->second_moment.data, GAINS - 1);
    assert_ok(run_save_checkpoint(saved.list, 1000, path));
    assert_refused(path, &loaded);
}
END_TEST

const TestCase checkpoint_adapter_tests[] = {
    TEST(test_checkpoint_file_keeps_every_bit, "checkpointing"),
    TEST(test_checkpoint_file_finds_parameters_by_name, "checkpointing"),
    TEST(test_checkpoint_file_replaces_the_old_one, "checkpointing"),
    TEST(test_checkpoint_file_that_is_missing_is_refused, "checkpointing"),
    TEST(test_checkpoint_file_cut_short_is_refused, "checkpointing"),
    TEST(test_checkpoint_file_of_another_model_is_refused, "checkpointing"),
    {0},
};
