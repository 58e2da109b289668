/*
 * The program whose instructions `make bench-arm` counts. `kernels` lists the works: name, unit, and how many units one
 * round has. `kernels NAME ROUNDS` does that many rounds with one thread. The difference between two numbers of rounds
 * is then the cost of the work alone, without the start of the program.
 */
#include "core/parallel.h"
#include "kernels/bytes.h"
#include "kernels/matmul.h"
#include "kernels/vecmath.h"
#include "nn/functional.h"
#include "tokenizer/split/pretokenize.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SIDE = 256,     /* rows and columns of the square matrices, and rows of attention */
    HEAD = 64,      /* d_k and d_v */
    ROW = 1344,     /* numbers of a row of layers: d_ff of the reference model */
    BYTES = 1 << 14 /* of text */
};

/* Memory for all works: five matrices. */
static float a[SIDE * SIDE], b[SIDE * SIDE], c[SIDE * SIDE], d[SIDE * SIDE], e[SIDE * SIDE];

static void require(Status status)
{
    if (status) {
        fprintf(stderr, "kernels: %s\n", status_message());
        exit(1);
    }
}

/* ---- products ---- */

static void product(void)
{
    matmul((Matrix){c, SIDE, 1}, (ConstMatrix){a, SIDE, 1}, (ConstMatrix){b, SIDE, 1}, SIDE, SIDE, SIDE, 1, 0);
}

static void product_nt(void)
{
    matmul((Matrix){c, SIDE, 1}, (ConstMatrix){a, SIDE, 1}, (ConstMatrix){b, 1, SIDE}, SIDE, SIDE, SIDE, 1, 0);
}

static void product_of_a_row(void)
{
    matmul((Matrix){c, SIDE, 1}, (ConstMatrix){a, SIDE, 1}, (ConstMatrix){b, 1, SIDE}, 1, SIDE, SIDE, 1, 0);
}

/* ---- attention of one head without a mask ---- */

static Tensor head(float *numbers)
{
    return tensor(numbers, 1, SIDE, HEAD);
}

static void attention(void)
{
    require(scaled_dot_product_attention_forward(head(c), tensor(e, 1, SIDE, 1), head(a), head(b), head(d),
                                                 (AttentionMask){.kind = ATTEND_ALL}));
}

static void attention_backward(void)
{
    Arena memory = {0};
    require(arena_init(&memory, scaled_dot_product_attention_scratch(head(a))));
    require(scaled_dot_product_attention_backward(
        head(c + SIDE * HEAD), head(c + 2 * SIDE * HEAD), head(c + 3 * SIDE * HEAD), head(d + SIDE * HEAD), head(c),
        tensor(e, 1, SIDE, 1), head(a), head(b), head(d), (AttentionMask){.kind = ATTEND_ALL}, &memory));
    arena_deinit(&memory);
}

/* ---- rows ---- */

static void exponentials(void)
{
    vecmath()->exp_shifted(c, a, 1, ROW);
}

static void swiglu(void)
{
    vecmath()->swiglu(c, a, b, ROW);
}

static void rmsnorm_backward(void)
{
    vecmath()->rmsnorm_backward(c, false, d, a, b, e, 1, ROW);
}

static void adamw(void)
{
    const AdamWScalars scalars = {1, 1, 0.1f, 0.95f, 0.05f, 1e-3f, 0.2f, 1e-8f, false};
    vecmath()->adamw(c, d, e, a, &scalars, ROW);
}

/* ---- text ---- */

static uint8_t text[BYTES];

static void pretokens(void)
{
    Pretokenizer scanner;
    const uint8_t *ends[PRETOKENS_PER_GROUP];
    pretokenizer_begin(&scanner, PATTERN_GPT2);
    pretokenizer_feed(&scanner, text, sizeof text, true);
    while (pretokenizer_next(&scanner, ends, PRETOKENS_PER_GROUP) > 0) {
    }
}

static void pairs(void)
{
    bytes_find_pair(text, sizeof text, 0, (const BytePair[]){{'<', '|'}}, 1);
}

static const struct {
    const char *name, *unit;
    void (*run)(void);
    double units; /* of one round */
} works[] = {
    {"matmul NN 256", "multiply-add", product, (double)SIDE *SIDE *SIDE},
    {"matmul NT 256", "multiply-add", product_nt, (double)SIDE *SIDE *SIDE},
    {"matmul 1 row x 256", "multiply-add", product_of_a_row, (double)SIDE *SIDE},
    {"attention forward 256 x 64", "multiply-add", attention, 2.0 * SIDE *SIDE *HEAD},
    {"attention backward 256 x 64", "multiply-add", attention_backward, 5.0 * SIDE *SIDE *HEAD},
    {"exp", "number", exponentials, ROW},
    {"swiglu", "number", swiglu, ROW},
    {"rmsnorm backward", "number", rmsnorm_backward, ROW},
    {"adamw", "number", adamw, ROW},
    {"pre-tokens", "byte", pretokens, BYTES},
    {"search for a pair", "byte", pairs, BYTES},
};

int main(int argc, char **argv)
{
    const size_t count = sizeof works / sizeof *works;
    if (argc != 3) {
        for (size_t i = 0; i < count; i++)
            printf("%s\t%s\t%.0f\n", works[i].name, works[i].unit, works[i].units);
        return 0;
    }
    for (size_t i = 0; i < SIDE * SIDE; i++) {
        a[i] = (float)(i % 17) / 16 - 0.5f;
        b[i] = (float)(i % 13) / 16 - 0.5f;
        d[i] = (float)(i % 11) / 16;
        e[i] = (float)(i % 7) / 16;
    }
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t) "Once upon a time, there was a dragon. It's 3 o'clock!\n"[i % 54];
    parallel_set_threads(1);
    require(matmul_reserve());
    for (size_t i = 0; i < count; i++)
        if (strcmp(works[i].name, argv[1]) == 0) {
            for (long round = strtol(argv[2], NULL, 10); round > 0; round--)
                works[i].run();
            return 0;
        }
    fprintf(stderr, "kernels: no work \"%s\"\n", argv[1]);
    return 2;
}
