/**
 * @file
 * @brief A trial: one call of the learner's function with small inputs, and the right answer beside it.
 *
 * A case is a function that makes inputs, calls the learner's function once, and computes the answer:
 *
 *     static void scores_of_a_row(Trial *t)
 *     {
 *         static const float X[] = {2, 1, -1};
 *         const Tensor x = trial_input(t, "x", X, 1, 3);
 *         const Tensor y = trial_output(t, "y", 1, 3);
 *         TRIAL_CALL(t, softmax_forward(y, x, -1));
 *         softmax(trial_answer(t, y), trial_doubles(t, x), 1, 3, t->mistake);
 *     }
 *
 * The checker runs a case several times:
 * - once in a child process, where TRIAL_CALL() calls the function. The child may crash or hang;
 * - once for the right answer (t->mistake is 0), and once for each known mistake. TRIAL_CALL() then does nothing.
 *
 * So a case must make the same inputs each time, and take all its memory from the trial. Every array has an allocation
 * of its own, whose size is exact, so AddressSanitizer sees the first number that is read or written beyond it.
 */
#ifndef CS336_TESTS_EXERCISES_CHECKER_TRIAL_H
#define CS336_TESTS_EXERCISES_CHECKER_TRIAL_H

#include "core/arena.h"
#include "core/parameter.h"
#include "core/status.h"
#include "core/tensor.h"
#include "tokenizer/buffers.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TRIAL_ARRAYS = 128, /* arrays of one trial */
    TRIAL_BLOCKS = 512, /* allocations of one trial */
    TRIAL_TEXT = 512,   /* bytes of a message, or of the text of a call */
    TRIAL_ARENAS = 4,   /* scratch arenas of one trial */
};

/** @brief What the learner's function may do with an array. */
typedef enum {
    TRIAL_INPUT,   /**< only read it */
    TRIAL_OUTPUT,  /**< write every number */
    TRIAL_CHANGED, /**< read and write it, as an optimizer does with a weight */
    TRIAL_RESULT,  /**< a result that is not a tensor, such as a returned number */
} TrialRole;

/** @brief One named array of a trial. Exactly one of its three tensors has data, or none for a result. */
typedef struct {
    const char *name;
    TrialRole role;
    Tensor tensor;
    TokenTensor ids;
    MaskTensor mask;
    ByteString bytes;    /**< of an input that is a text */
    float *block;        /**< a tensor's memory, with the gaps between its rows */
    size_t block_count;  /**< floats of block */
    float *before;       /**< block before the call */
    size_t count;        /**< numbers, without gaps */
    double *answer;      /**< (count), the right answer or a mistake's; NULL: not compared */
    double *result;      /**< what a TRIAL_RESULT was after the call */
    size_t result_count; /**< numbers of result; they may be more or fewer than those of the answer, which are count */
    bool text;           /**< a TRIAL_INPUT that is a text, or a TRIAL_RESULT whose numbers are the bytes of one */
} TrialArray;

typedef struct Trial {
    bool calls;      /**< TRIAL_CALL() calls the function */
    int mistake;     /**< whose answer is computed; 0: the right one */
    size_t gap;      /**< unused floats after each row of the tensors made from now on, as a slice of columns has */
    bool transposed; /**< tensors made from now on are stored with their last two dimensions exchanged */

    TrialArray arrays[TRIAL_ARRAYS];
    size_t array_count;
    void *blocks[TRIAL_BLOCKS];
    size_t block_count;
    struct {
        Arena *arena;
        size_t used; /**< its bytes in use before the call */
    } scratch[TRIAL_ARENAS];
    size_t scratch_count;
    size_t scratch_kept;                        /**< bytes that calls took and did not give back */
    char call[TRIAL_TEXT];                      /**< the text of the last call */
    Status status;                              /**< of the last call that did not succeed */
    bool fails;                                 /**< the call must fail */
    void (*before_call)(const struct Trial *t); /**< tells the checker where the arrays are; NULL: nobody listens */
} Trial;

/** @brief Calls the learner's function, which returns a Status, if t->calls. */
#define TRIAL_CALL(t, expression) trial_call((t), #expression, trial_calls(t) ? (expression) : CS336_OK)

/** @brief Calls a function that returns a number: `TRIAL_VALUE(t, "lr", lr, cosine_schedule_lr(...))`. */
#define TRIAL_VALUE(t, variable, expression) \
    ((variable) = trial_calls(t) ? (expression) : 0, trial_call((t), #expression, CS336_OK))

bool trial_calls(Trial *t);
void trial_call(Trial *t, const char *text, Status status);

/** @brief Says that the call must fail with a Status, and that outputs do not matter. */
void trial_must_fail(Trial *t);

/** @brief Takes zeroed memory that lives as long as the trial. */
void *trial_memory(Trial *t, size_t bytes);

/** @name Inputs: `trial_input(t, "x", X, 2, 3)` is a (2, 3) tensor of the numbers X[0], X[1], ...
 * @{
 */
#define trial_input(t, name, numbers, ...) trial_input_of((t), (name), (numbers), TENSOR_EXTENTS(__VA_ARGS__))
Tensor trial_input_of(Trial *t, const char *name, const float *numbers, int rank, const size_t *shape);

/** Near-normal numbers of the given deviation, which depend on the name only. */
#define trial_random(t, name, sigma, ...) trial_random_of((t), (name), (sigma), TENSOR_EXTENTS(__VA_ARGS__))
Tensor trial_random_of(Trial *t, const char *name, double sigma, int rank, const size_t *shape);

#define trial_ids(t, name, ids, ...) trial_ids_of((t), (name), (ids), TENSOR_EXTENTS(__VA_ARGS__))
TokenTensor trial_ids_of(Trial *t, const char *name, const int32_t *ids, int rank, const size_t *shape);

/** Ids below @p bound, which depend on the name only. */
#define trial_random_ids(t, name, bound, ...) trial_random_ids_of((t), (name), (bound), TENSOR_EXTENTS(__VA_ARGS__))
TokenTensor trial_random_ids_of(Trial *t, const char *name, uint32_t bound, int rank, const size_t *shape);

#define trial_mask(t, name, booleans, ...) trial_mask_of((t), (name), (booleans), TENSOR_EXTENTS(__VA_ARGS__))
MaskTensor trial_mask_of(Trial *t, const char *name, const bool *booleans, int rank, const size_t *shape);

/** A text of any bytes. */
ByteString trial_input_text(Trial *t, const char *name, ByteString text);

/** Byte strings, such as special tokens. They are shown as one text, with commas between them; none is not shown.
 * Returns copies.
 */
const ByteString *trial_input_strings(Trial *t, const char *name, const ByteString *strings, size_t count);
/** @} */

/** @brief Returns numbers rounded to float32, for an input that was computed: trial_input(t, "l", trial_floats(...), 3)
 */
const float *trial_floats(Trial *t, const double *numbers, size_t count);

/** @name Outputs
 * @{
 */
/** A tensor that the function must write: it holds NaNs that no computation makes. */
#define trial_output(t, name, ...) trial_output_of((t), (name), TENSOR_EXTENTS(__VA_ARGS__))
Tensor trial_output_of(Trial *t, const char *name, int rank, const size_t *shape);
#define trial_output_like(t, name, like) trial_output_of((t), (name), (like).rank, (like).shape)

/** A tensor that the function changes: its first numbers are given (NULL: zeros), and it is compared after the call. */
#define trial_changed(t, name, numbers, ...) trial_changed_of((t), (name), (numbers), TENSOR_EXTENTS(__VA_ARGS__))
Tensor trial_changed_of(Trial *t, const char *name, const float *numbers, int rank, const size_t *shape);
#define trial_changed_random(t, name, sigma, ...) \
    trial_changed_random_of((t), (name), (sigma), TENSOR_EXTENTS(__VA_ARGS__))
Tensor trial_changed_random_of(Trial *t, const char *name, double sigma, int rank, const size_t *shape);

/** Results that are no tensors: a number that a function returned, a list of numbers or ids, a text. Yours and the
 * answer may have different lengths. */
void trial_number(Trial *t, const char *name, double yours, double answer);
void trial_list(Trial *t, const char *name, const double *yours, size_t count, const double *answer,
                size_t answer_count);
void trial_id_list(Trial *t, const char *name, const int32_t *yours, size_t count, const int32_t *answer,
                   size_t answer_count);
void trial_text(Trial *t, const char *name, const char *yours, size_t length, const char *answer, size_t answer_length);

/** Byte strings, such as tokens. They are shown as one text: "th|e| c|at". */
void trial_strings(Trial *t, const char *name, const ByteString *yours, size_t count, const ByteString *answer,
                   size_t answer_count);
/** @} */

/** @brief Returns the NaN that stands for a number of an output that was never written: for the answer of a mistake
 * that leaves numbers out. */
double trial_unwritten(void);
/** @brief True for trial_unwritten(), false for every other NaN. */
bool trial_is_unwritten(double number);

/** @brief Returns room for the answer in row-major order; the caller fills it for t->mistake. */
double *trial_answer(Trial *t, Tensor output);

/** @brief Returns the numbers that a tensor of the trial had before the call, in row-major order. */
const double *trial_doubles(Trial *t, Tensor tensor);

/** @brief Computes y from x, for trial_differences(): calls a forward pass. */
typedef Status TrialForward(void *context);

/**
 * @brief Computes, for each number of @p x, how fast sum_i grad_y_i y_i grows with it: the gradient by finite
 * differences of the forward pass, which is the learner's own if it is passed. It is exact to about 1e-3.
 * @param[out] gradient  as many numbers as x has
 * @param      x         an input of the trial; each number is changed and restored
 * @param[in]  grad_y    the shape of y
 * @param[in]  y         what @p forward writes
 */
void trial_differences(Trial *t, double *gradient, Tensor x, Tensor grad_y, Tensor y, TrialForward *forward,
                       void *context);

/** @brief Returns a tensor that is not compared, for results that a case needs on its way. */
#define trial_tensor(t, ...) trial_tensor_of((t), TENSOR_EXTENTS(__VA_ARGS__))
Tensor trial_tensor_of(Trial *t, int rank, const size_t *shape);

/** @brief Returns an arena with plenty of memory; it holds NaN. */
Arena *trial_arena(Trial *t);

/** @brief Returns an arena for a function that takes scratch, and must give back what it takes. */
Arena *trial_scratch(Trial *t);

void trial_deinit(Trial *t);

#endif
