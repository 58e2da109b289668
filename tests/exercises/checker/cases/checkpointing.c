/* Checkpoints and their mistakes. The format of the file is free, so each case saves a model and loads another one. */
#define _POSIX_C_SOURCE 200809L
#include "tests/adapters.h"
#include "tests/exercises/checker/exercise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ITERATION_FORGOTTEN = 1,
    MOMENTS_FORGOTTEN,
    SECOND_MOMENT_FORGOTTEN,
    ONLY_MATRICES,
    FOUND_BY_PLACE,
    FOUND_BY_SIZE,
    FOUND_BY_THE_BEGINNING_OF_THE_NAME,
    SIX_DIGITS,
    APPENDED,
    HALF_READ,
    CUT_FILE_ACCEPTED,
};

static const Mistake MISTAKES[] = {
    {ITERATION_FORGOTTEN, "iteration_forgotten", "a checkpoint that does not restore the iteration"},
    {MOMENTS_FORGOTTEN, "moments_forgotten", "a checkpoint of the values alone, without any moments"},
    {SECOND_MOMENT_FORGOTTEN, "second_moment_forgotten", "a checkpoint without the second moments"},
    {ONLY_MATRICES, "only_matrices", "a checkpoint that restores matrices only, and no biases"},
    {FOUND_BY_PLACE, "found_by_place",
     "a checkpoint that reads the parameters in the order of the list, whatever their names are"},
    {FOUND_BY_SIZE, "found_by_size",
     "a checkpoint that finds a parameter by its number of elements instead of its name"},
    {FOUND_BY_THE_BEGINNING_OF_THE_NAME, "found_by_the_beginning_of_the_name",
     "a checkpoint that finds a parameter by the beginning of a name, such as fc.weight for fc"},
    {SIX_DIGITS, "six_digits", "a checkpoint whose numbers were written as text with six digits"},
    {APPENDED, "appended", "a checkpoint that is written behind the old one"},
    {HALF_READ, "half_read", "a checkpoint that changes the model before it has checked the file"},
    {CUT_FILE_ACCEPTED, "cut_file_accepted",
     "a checkpoint that is loaded from a file that ends too early: fread() tells how much it has read"},
    {0},
};

enum { MOST = 3, ARRAYS = 3, PATH_BYTES = 512, NAME_BYTES = 200 };

static const char *const ARRAY_NAMES[ARRAYS] = {"value", "first_moment", "second_moment"};

typedef struct {
    Parameter items[MOST];
    size_t count;
} Model;

static Tensor *array_of(Parameter *p, size_t array)
{
    return array == 0 ? &p->value : array == 1 ? &p->first_moment : &p->second_moment;
}

/* "saved fc.weight.value" */
static const char *array_name(Trial *t, const char *model, const char *parameter, size_t array)
{
    char *text = trial_memory(t, NAME_BYTES + 64);
    snprintf(text, NAME_BYTES + 64, "%s%s.%s", model, parameter, ARRAY_NAMES[array]);
    return text;
}

/* A model of parameters with random numbers. `like` gives names and shapes. */
static Model saved_model(Trial *t, const char *title, const Model *like)
{
    Model model = *like;
    for (size_t p = 0; p < model.count; p++)
        for (size_t a = 0; a < ARRAYS; a++) {
            const Tensor shape = like->items[p].value;
            *array_of(&model.items[p], a) =
                trial_random_of(t, array_name(t, title, like->items[p].name, a), 1, shape.rank, shape.shape);
        }
    return model;
}

/* A model that is to be loaded: all its numbers are 0. */
static Model empty_model(Trial *t, const Model *like)
{
    Model model = *like;
    for (size_t p = 0; p < model.count; p++)
        for (size_t a = 0; a < ARRAYS; a++)
            *array_of(&model.items[p], a) = trial_changed_of(t, array_name(t, "", like->items[p].name, a), NULL,
                                                             like->items[p].value.rank, like->items[p].value.shape);
    return model;
}

static Model model_of(size_t count, const Parameter *items)
{
    Model model = {.count = count};
    memcpy(model.items, items, count * sizeof *items);
    return model;
}

static ParameterList list_of(Model *model)
{
    return (ParameterList){model->items, model->count};
}

/* The path of the checkpoint. The checker, the parent of the process that calls, removes a file that a crash leaves. */
static const char *path_of(Trial *t)
{
    const char *directory = getenv("TMPDIR");
    char *path = trial_memory(t, PATH_BYTES);
    snprintf(path, PATH_BYTES, "%s/cs336-checkpoint-%ld", directory ? directory : "/tmp",
             (long)(t->calls ? getppid() : getpid()));
    remove(path);
    return path;
}

/* ---- answers ---- */

/* Which parameter of the file is loaded as number p of the list. */
static size_t wrong_place(const Model *file, const Model *loaded, size_t p, int mistake)
{
    const char *name = loaded->items[p].name;
    for (size_t i = 0; i < file->count; i++) {
        const Parameter *item = &file->items[i];
        if (mistake == FOUND_BY_PLACE  ? i == p
            : mistake == FOUND_BY_SIZE ? tensor_count(item->value) == tensor_count(loaded->items[p].value)
            : mistake == FOUND_BY_THE_BEGINNING_OF_THE_NAME ? strncmp(item->name, name, strlen(name)) == 0
                                                            : strcmp(item->name, name) == 0)
            return i;
    }
    return 0;
}

static double wrong_number(double saved, int rank, size_t array, int mistake)
{
    char text[64];
    if ((mistake == MOMENTS_FORGOTTEN && array > 0) || (mistake == SECOND_MOMENT_FORGOTTEN && array == 2) ||
        (mistake == ONLY_MATRICES && rank < 2))
        return 0; /* as it was before */
    if (mistake != SIX_DIGITS)
        return saved;
    snprintf(text, sizeof text, "%g", saved);
    return (double)strtof(text, NULL);
}

/* Computes what `loaded` must hold after it was read from a file of `file`. */
static void answer(Trial *t, Model *file, Model *loaded)
{
    for (size_t p = 0; p < loaded->count; p++)
        for (size_t a = 0; a < ARRAYS; a++) {
            const Tensor from = *array_of(&file->items[wrong_place(file, loaded, p, t->mistake)], a);
            const Tensor to = *array_of(&loaded->items[p], a);
            double *numbers = trial_answer(t, to);
            const double *saved = trial_doubles(t, from);
            for (size_t i = 0; i < tensor_count(to); i++)
                numbers[i] = i < tensor_count(from) ? wrong_number(saved[i], to.rank, a, t->mistake) : 0;
        }
}

static void compare_iteration(Trial *t, size_t yours, size_t saved)
{
    trial_number(t, "iteration", (double)yours, t->mistake == ITERATION_FORGOTTEN ? 0 : (double)saved);
}

/* ---- cases ---- */

/* Saves one model and loads it into another. */
static void save_and_load(Trial *t, Model *model, Model *loaded_model)
{
    const ParameterList saved = list_of(model), loaded = list_of(loaded_model);
    const char *path = path_of(t);
    size_t iteration = 0;
    TRIAL_CALL(t, run_save_checkpoint(saved, 7, path));
    if (!t->status)
        TRIAL_CALL(t, run_load_checkpoint(&iteration, path, loaded));
    remove(path);
    trial_call(t, "run_save_checkpoint(saved, 7, path), run_load_checkpoint(&iteration, path, loaded)", t->status);
    answer(t, model, loaded_model);
    compare_iteration(t, iteration, 7);
}

static void by_hand(Trial *t)
{
    static const float NUMBERS[ARRAYS][4] = {{1, 2, 3, 4}, {5, 6, 7, 8}, {9, 10, 11, 12}};
    const Parameter items[] = {{.name = "weight", .value = trial_tensor(t, 2, 2)}};
    Model model = model_of(1, items);
    for (size_t a = 0; a < ARRAYS; a++)
        *array_of(&model.items[0], a) = trial_input(t, array_name(t, "saved ", "weight", a), NUMBERS[a], 2, 2);
    Model loaded = empty_model(t, &model);
    save_and_load(t, &model, &loaded);
}

/* Random parameters, which are loaded in the order of `loaded_like`. */
static void random_model(Trial *t, const Model *like, const Model *loaded_like)
{
    Model model = saved_model(t, "saved ", like), loaded = empty_model(t, loaded_like);
    save_and_load(t, &model, &loaded);
}

static void weight_and_bias(Trial *t)
{
    const Parameter items[] = {{.name = "weight", .value = trial_tensor(t, 8, 12)},
                               {.name = "bias", .value = trial_tensor(t, 8)}};
    const Model like = model_of(2, items);
    random_model(t, &like, &like);
}

/* Three parameters of the same size. The names of two begin with that of the third. */
static void similar_names(Trial *t)
{
    const Tensor shape = trial_tensor(t, 2, 3);
    const Parameter items[] = {
        {.name = "fc.weight", .value = shape}, {.name = "fc.gain", .value = shape}, {.name = "fc", .value = shape}};
    const Model like = model_of(3, items);
    random_model(t, &like, &like);
}

static void another_order(Trial *t)
{
    const Tensor shape = trial_tensor(t, 2, 3);
    const Parameter items[] = {{.name = "a", .value = shape}, {.name = "b", .value = shape}};
    const Parameter exchanged[] = {items[1], items[0]};
    const Model like = model_of(2, items), loaded_like = model_of(2, exchanged);
    random_model(t, &like, &loaded_like);
}

/* Names of 199 bytes, the longest that are allowed, that differ in their last byte. */
static void long_names(Trial *t)
{
    char *names[2];
    Parameter items[2] = {{.value = trial_tensor(t, 2, 2)}, {.value = trial_tensor(t, 2, 2)}};
    for (size_t i = 0; i < 2; i++) {
        items[i].name = names[i] = trial_memory(t, NAME_BYTES);
        memset(names[i], 'x', NAME_BYTES - 1);
        names[i][NAME_BYTES - 2] = (char)('0' + i);
    }
    const Model like = model_of(2, items);
    random_model(t, &like, &like);
}

static void save_twice(Trial *t)
{
    const Parameter items[] = {{.name = "weight", .value = trial_tensor(t, 3, 4)}};
    const Model like = model_of(1, items);
    Model old = saved_model(t, "old ", &like), fresh = saved_model(t, "new ", &like), loaded = empty_model(t, &like);
    const char *path = path_of(t);
    size_t iteration = 0;
    TRIAL_CALL(t, run_save_checkpoint(list_of(&old), 1, path));
    if (!t->status)
        TRIAL_CALL(t, run_save_checkpoint(list_of(&fresh), 2, path));
    if (!t->status)
        TRIAL_CALL(t, run_load_checkpoint(&iteration, path, list_of(&loaded)));
    remove(path);
    answer(t, t->mistake == APPENDED ? &old : &fresh, &loaded);
    compare_iteration(t, iteration, t->mistake == APPENDED ? 1 : 2);
}

/* The last parameter of the model is not in the file. Loading fails, and the model is as it was before. */
static void missing_parameter(Trial *t)
{
    const Parameter items[] = {{.name = "weight", .value = trial_tensor(t, 3, 4)},
                               {.name = "scale", .value = trial_tensor(t, 2, 4)}};
    const Model like = model_of(1, items);
    Model file = saved_model(t, "saved ", &like), loaded = model_of(2, items);
    for (size_t p = 0; p < loaded.count; p++)
        for (size_t a = 0; a < ARRAYS; a++) {
            const Tensor shape = items[p].value;
            *array_of(&loaded.items[p], a) =
                trial_changed_random_of(t, array_name(t, "", items[p].name, a), 1, shape.rank, shape.shape);
        }
    const char *path = path_of(t);
    size_t iteration = 0;
    bool fails = false;
    TRIAL_CALL(t, run_save_checkpoint(list_of(&file), 7, path));
    if (!t->status && trial_calls(t))
        fails = run_load_checkpoint(&iteration, path, list_of(&loaded)) != CS336_OK;
    remove(path);
    for (size_t p = 0; p < loaded.count; p++)
        for (size_t a = 0; a < ARRAYS; a++) {
            const Tensor to = *array_of(&loaded.items[p], a);
            const bool half_read = t->mistake == HALF_READ && p == 0;
            const double *numbers = trial_doubles(t, half_read ? *array_of(&file.items[0], a) : to);
            memcpy(trial_answer(t, to), numbers, tensor_count(to) * sizeof *numbers);
        }
    trial_number(t, "loading fails (1: it does)", fails, 1);
}

/* Only half of the file is left. What the arrays hold then depends on the format, so they are not compared. */
static void cut_file(Trial *t)
{
    enum { COUNT = 400 };
    Parameter weight = {.name = "weight", .value = trial_tensor(t, COUNT)};
    weight.first_moment = trial_tensor(t, COUNT);
    weight.second_moment = trial_tensor(t, COUNT);
    const ParameterList parameters = {&weight, 1};
    const char *path = path_of(t);
    size_t iteration = 0;
    bool fails = false;
    TRIAL_CALL(t, run_save_checkpoint(parameters, 7, path));
    FILE *file = t->calls ? fopen(path, "rb") : NULL;
    if (file) {
        const long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : 0;
        fclose(file);
        if (truncate(path, size / 2) == 0)
            fails = run_load_checkpoint(&iteration, path, parameters) != CS336_OK;
    }
    remove(path);
    trial_number(t, "loading fails (1: it does)", fails, t->mistake == CUT_FILE_ACCEPTED ? 0 : 1);
}

static void missing_file(Trial *t)
{
    const Parameter items[] = {{.name = "weight", .value = trial_tensor(t, 2)}};
    const Model like = model_of(1, items);
    Model loaded = empty_model(t, &like);
    const char *path = path_of(t);
    size_t iteration = 0;
    trial_must_fail(t);
    TRIAL_CALL(t, run_load_checkpoint(&iteration, path, list_of(&loaded)));
}

static const Case CASES[] = {
    CASE("a (2, 2) weight", by_hand),
    CASE("a weight and a bias", weight_and_bias),
    CASE("parameters fc.weight, fc.gain and fc of one size", similar_names),
    CASE("parameters in another order than in the file", another_order),
    CASE("names of 199 bytes", long_names),
    CASE("a checkpoint in place of an old one", save_twice),
    CASE("a parameter that is not in the file", missing_parameter),
    CASE("a file of which only half is left", cut_file),
    CASE("a file that does not exist", missing_file),
    {0},
};

/* Every bit comes back, so nothing is tolerated. */
const Exercise exercise_checkpointing = {"checkpointing", .rtol = 0, .atol = 0, .cases = CASES, .mistakes = MISTAKES};
