#include "tests/exercises/checker/trial.h"

#include "tests/support/hash_weights.h"
#include "tests/support/reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCRATCH_BYTES = 4 << 20 };

void *trial_memory(Trial *t, size_t bytes)
{
    void *block = t->block_count < TRIAL_BLOCKS ? calloc(bytes ? bytes : 1, 1) : NULL;
    if (!block) {
        fprintf(stderr, "checker: no memory for an array of %zu bytes\n", bytes);
        exit(2);
    }
    return t->blocks[t->block_count++] = block;
}

void trial_deinit(Trial *t)
{
    for (size_t i = 0; i < t->block_count; i++)
        free(t->blocks[i]);
    *t = (Trial){0};
}

bool trial_calls(Trial *t)
{
    if (t->calls && t->before_call)
        t->before_call(t);
    for (size_t i = 0; i < t->scratch_count; i++)
        t->scratch[i].used = t->scratch[i].arena->used;
    return t->calls;
}

void trial_call(Trial *t, const char *text, Status status)
{
    snprintf(t->call, sizeof t->call, "%s", text);
    if (status)
        t->status = status;
    for (size_t i = 0; t->calls && i < t->scratch_count; i++)
        if (t->scratch[i].arena->used > t->scratch[i].used)
            t->scratch_kept += t->scratch[i].arena->used - t->scratch[i].used;
}

void trial_must_fail(Trial *t)
{
    t->fails = true;
}

static TrialArray *add_array(Trial *t, const char *name, TrialRole role, size_t count)
{
    if (t->array_count == TRIAL_ARRAYS) {
        fputs("checker: a trial has too many arrays\n", stderr);
        exit(2);
    }
    TrialArray *array = &t->arrays[t->array_count++];
    *array = (TrialArray){.name = name, .role = role, .count = count};
    return array;
}

static size_t product(int rank, const size_t *shape)
{
    size_t count = 1;
    for (int d = 0; d < rank; d++)
        count *= shape[d];
    return count;
}

/* A view of fresh memory, with gaps or with its last two dimensions exchanged if the trial asks for it. */
static Tensor stored(Trial *t, TrialArray *array, int rank, const size_t *shape)
{
    size_t in_memory[TENSOR_MAX_RANK];
    memcpy(in_memory, shape, (size_t)rank * sizeof *shape);
    const bool exchanged = t->transposed && rank >= 2;
    if (exchanged) {
        in_memory[rank - 1] = shape[rank - 2];
        in_memory[rank - 2] = shape[rank - 1];
    }
    const size_t columns = in_memory[rank - 1];
    in_memory[rank - 1] += t->gap;
    array->block_count = product(rank, in_memory);
    /* The last row needs no gap after it: a function that walks on beyond the last number is found out. */
    if (array->block_count >= t->gap)
        array->block_count -= t->gap;
    array->block = trial_memory(t, array->block_count * sizeof *array->block);
    const Tensor whole = tensor_of(array->block, rank, in_memory);
    const Tensor view = tensor_slice(whole, -1, 0, columns);
    return exchanged ? tensor_transpose(view, -1, -2) : view;
}

/* A signaling NaN. A copy keeps its bits, and an operation on it gives a quiet NaN: a function that adds to this number
 * has written it. */
static float never_written(void)
{
    const uint32_t bits = 0x7f80bad5;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static const uint64_t UNWRITTEN = 0x7ff8000000000bad; /* a quiet NaN; those of an operation end with zeros */

double trial_unwritten(void)
{
    double x;
    memcpy(&x, &UNWRITTEN, sizeof x);
    return x;
}

bool trial_is_unwritten(double number)
{
    return memcmp(&number, &UNWRITTEN, sizeof number) == 0;
}

/* Makes an array, gives its numbers, and remembers them. */
static Tensor add_tensor(Trial *t, const char *name, TrialRole role, const float *numbers, int rank,
                         const size_t *shape)
{
    TrialArray *array = add_array(t, name, role, product(rank, shape));
    const Tensor view = stored(t, array, rank, shape);
    for (size_t i = 0; i < array->block_count; i++)
        array->block[i] = never_written();
    if (numbers && array->count)
        tensor_copy(view, tensor_of((float *)(uintptr_t)numbers, rank, shape));
    array->before = trial_memory(t, array->block_count * sizeof *array->before);
    if (array->block_count)
        memcpy(array->before, array->block, array->block_count * sizeof *array->before);
    return array->tensor = view;
}

static float *random_numbers(Trial *t, const char *name, double sigma, size_t count)
{
    float *numbers = trial_memory(t, count * sizeof *numbers);
    hash_normal(numbers, count, name, 336, 0, sigma);
    return numbers;
}

const float *trial_floats(Trial *t, const double *numbers, size_t count)
{
    float *rounded = trial_memory(t, count * sizeof *rounded);
    for (size_t i = 0; i < count; i++)
        rounded[i] = (float)numbers[i];
    return rounded;
}

Tensor trial_input_of(Trial *t, const char *name, const float *numbers, int rank, const size_t *shape)
{
    return add_tensor(t, name, TRIAL_INPUT, numbers, rank, shape);
}

Tensor trial_random_of(Trial *t, const char *name, double sigma, int rank, const size_t *shape)
{
    return add_tensor(t, name, TRIAL_INPUT, random_numbers(t, name, sigma, product(rank, shape)), rank, shape);
}

Tensor trial_output_of(Trial *t, const char *name, int rank, const size_t *shape)
{
    return add_tensor(t, name, TRIAL_OUTPUT, NULL, rank, shape);
}

Tensor trial_changed_of(Trial *t, const char *name, const float *numbers, int rank, const size_t *shape)
{
    if (!numbers)
        numbers = trial_memory(t, product(rank, shape) * sizeof *numbers);
    return add_tensor(t, name, TRIAL_CHANGED, numbers, rank, shape);
}

Tensor trial_changed_random_of(Trial *t, const char *name, double sigma, int rank, const size_t *shape)
{
    return add_tensor(t, name, TRIAL_CHANGED, random_numbers(t, name, sigma, product(rank, shape)), rank, shape);
}

TokenTensor trial_ids_of(Trial *t, const char *name, const int32_t *ids, int rank, const size_t *shape)
{
    TrialArray *array = add_array(t, name, TRIAL_INPUT, product(rank, shape));
    int32_t *block = trial_memory(t, array->count * sizeof *block);
    if (array->count)
        memcpy(block, ids, array->count * sizeof *block);
    return array->ids = tokens_of(block, rank, shape);
}

TokenTensor trial_random_ids_of(Trial *t, const char *name, uint32_t bound, int rank, const size_t *shape)
{
    int32_t *ids = trial_memory(t, product(rank, shape) * sizeof *ids);
    hash_integers(ids, product(rank, shape), name, 336, bound);
    return trial_ids_of(t, name, ids, rank, shape);
}

MaskTensor trial_mask_of(Trial *t, const char *name, const bool *booleans, int rank, const size_t *shape)
{
    TrialArray *array = add_array(t, name, TRIAL_INPUT, product(rank, shape));
    bool *block = trial_memory(t, array->count * sizeof *block);
    if (array->count)
        memcpy(block, booleans, array->count * sizeof *block);
    return array->mask = mask_of(block, rank, shape);
}

/* The strings with a separator between them. */
static ByteString join(Trial *t, const ByteString *strings, size_t count, const char *separator)
{
    size_t length = 0, most = 0;
    for (size_t i = 0; i < count; i++)
        most += strings[i].length + strlen(separator);
    uint8_t *bytes = trial_memory(t, most);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; i > 0 && separator[k]; k++)
            bytes[length++] = (uint8_t)separator[k];
        if (strings[i].length)
            memcpy(bytes + length, strings[i].bytes, strings[i].length);
        length += strings[i].length;
    }
    return (ByteString){.bytes = bytes, .length = length};
}

ByteString trial_input_text(Trial *t, const char *name, ByteString text)
{
    TrialArray *array = add_array(t, name, TRIAL_INPUT, text.length);
    uint8_t *bytes = trial_memory(t, text.length);
    if (text.length)
        memcpy(bytes, text.bytes, text.length);
    array->text = true;
    return array->bytes = (ByteString){.bytes = bytes, .length = text.length};
}

const ByteString *trial_input_strings(Trial *t, const char *name, const ByteString *strings, size_t count)
{
    ByteString *copies = trial_memory(t, count * sizeof *copies);
    const uint8_t *bytes = join(t, strings, count, "").bytes;
    for (size_t i = 0; i < count; i++) {
        copies[i] = (ByteString){.bytes = bytes, .length = strings[i].length};
        bytes += strings[i].length;
    }
    if (count)
        (void)trial_input_text(t, name, join(t, strings, count, ", "));
    return copies;
}

void trial_list(Trial *t, const char *name, const double *yours, size_t count, const double *answer,
                size_t answer_count)
{
    TrialArray *array = add_array(t, name, TRIAL_RESULT, answer_count);
    array->result_count = count;
    array->result = trial_memory(t, count * sizeof *array->result);
    array->answer = trial_memory(t, answer_count * sizeof *array->answer);
    if (count)
        memcpy(array->result, yours, count * sizeof *yours);
    if (answer_count)
        memcpy(array->answer, answer, answer_count * sizeof *answer);
}

static double *ids_as_numbers(Trial *t, const int32_t *ids, size_t count)
{
    double *numbers = trial_memory(t, count * sizeof *numbers);
    for (size_t i = 0; i < count; i++)
        numbers[i] = ids[i];
    return numbers;
}

void trial_id_list(Trial *t, const char *name, const int32_t *yours, size_t count, const int32_t *answer,
                   size_t answer_count)
{
    trial_list(t, name, ids_as_numbers(t, yours, count), count, ids_as_numbers(t, answer, answer_count), answer_count);
}

void trial_number(Trial *t, const char *name, double yours, double answer)
{
    trial_list(t, name, &yours, 1, &answer, 1);
}

static double *bytes_as_numbers(Trial *t, const char *text, size_t length)
{
    double *numbers = trial_memory(t, length * sizeof *numbers);
    for (size_t i = 0; i < length; i++)
        numbers[i] = (double)(unsigned char)text[i];
    return numbers;
}

void trial_text(Trial *t, const char *name, const char *yours, size_t length, const char *answer, size_t answer_length)
{
    trial_list(t, name, bytes_as_numbers(t, yours, length), length, bytes_as_numbers(t, answer, answer_length),
               answer_length);
    t->arrays[t->array_count - 1].text = true;
}

void trial_strings(Trial *t, const char *name, const ByteString *yours, size_t count, const ByteString *answer,
                   size_t answer_count)
{
    const ByteString a = join(t, yours, count, "|"), b = join(t, answer, answer_count, "|");
    trial_text(t, name, (const char *)a.bytes, a.length, (const char *)b.bytes, b.length);
}

static TrialArray *find_array(Trial *t, Tensor tensor)
{
    for (size_t i = 0; i < t->array_count; i++)
        if (t->arrays[i].block && t->arrays[i].tensor.data == tensor.data)
            return &t->arrays[i];
    fputs("checker: this tensor is not the trial's\n", stderr);
    exit(2);
}

double *trial_answer(Trial *t, Tensor output)
{
    TrialArray *array = find_array(t, output);
    if (!array->answer)
        array->answer = trial_memory(t, array->count * sizeof *array->answer);
    return array->answer;
}

const double *trial_doubles(Trial *t, Tensor tensor)
{
    const TrialArray *array = find_array(t, tensor);
    Tensor before = array->tensor;
    before.data = array->before;
    double *numbers = trial_memory(t, array->count * sizeof *numbers);
    if (array->count)
        reference_widen(numbers, before);
    return numbers;
}

Tensor trial_tensor_of(Trial *t, int rank, const size_t *shape)
{
    return tensor_of(trial_memory(t, product(rank, shape) * sizeof(float)), rank, shape);
}

/* sum_i grad_y_i y_i in double, after a forward pass. */
static double weighted_sum(Trial *t, Tensor grad_y, Tensor y, TrialForward *forward, void *context)
{
    double *weights = trial_memory(t, 2 * tensor_count(y) * sizeof *weights);
    double *numbers = weights + tensor_count(y);
    if (forward(context)) {
        fprintf(stderr, "checker: the forward pass failed: %s\n", status_message());
        exit(2);
    }
    reference_widen(weights, grad_y);
    reference_widen(numbers, y);
    const double sum = reference_dot(weights, numbers, tensor_count(y));
    free(t->blocks[--t->block_count]);
    return sum;
}

void trial_differences(Trial *t, double *gradient, Tensor x, Tensor grad_y, Tensor y, TrialForward *forward,
                       void *context)
{
    /* With differences at h and 2 h, the error is of the order of h^4, and rounding adds about 1e-7 / h. */
    const float h = 0.02f;
    const size_t columns = tensor_extent(x, -1);
    for (size_t i = 0; i < tensor_count(x); i++) {
        float *number = tensor_row(x, i / columns) + (ptrdiff_t)(i % columns) * x.stride[x.rank - 1];
        const float value = *number;
        double sums[4];
        for (int k = 0; k < 4; k++) {
            *number = value + (float[]){-2, -1, 1, 2}[k] * h;
            sums[k] = weighted_sum(t, grad_y, y, forward, context);
        }
        *number = value;
        gradient[i] = (sums[0] - 8 * sums[1] + 8 * sums[2] - sums[3]) / (12 * (double)h);
    }
}

Arena *trial_arena(Trial *t)
{
    Arena *arena = trial_memory(t, sizeof *arena);
    arena->base = trial_memory(t, SCRATCH_BYTES);
    arena->capacity = SCRATCH_BYTES;
    /* Floats of 0xffffffff are NaN. Filling costs a page fault for each 4 KiB, so it is done for the learner only. */
    if (t->calls)
        memset(arena->base, 0xff, SCRATCH_BYTES);
    return arena;
}

Arena *trial_scratch(Trial *t)
{
    Arena *arena = trial_arena(t);
    if (t->scratch_count == TRIAL_ARENAS) {
        fputs("checker: a trial has too many arenas\n", stderr);
        exit(2);
    }
    t->scratch[t->scratch_count++].arena = arena;
    return arena;
}
