/**
 * @file
 * @brief What the cases of multi-head self-attention share: inputs, and the forward pass in double precision with
 * its mistakes. The backward pass reads what this forward pass saves.
 */
#ifndef CS336_TESTS_EXERCISES_CHECKER_CASES_MHA_PARTS_H
#define CS336_TESTS_EXERCISES_CHECKER_CASES_MHA_PARTS_H

#include "nn/mha.h"
#include "tests/exercises/checker/trial.h"
#include "tests/support/reference_layers.h"

/** @brief Mistakes of the forward pass; their texts are in mha.c. */
typedef enum {
    MHA_HEADS_INTERLEAVED = 1,
    MHA_HEADS_WITHOUT_TRANSPOSE,
    MHA_JOINED_WITHOUT_TRANSPOSE,
    MHA_ONE_HEAD,
    MHA_SEES_THE_FUTURE,
    MHA_WITHOUT_ROPE,
    MHA_KEYS_NOT_ROTATED,
    MHA_ROTATES_VALUES,
    MHA_POSITIONS_IGNORED,
    MHA_QUERY_AND_KEY_EXCHANGED,
    MHA_VALUE_OF_THE_KEY,
    MHA_WITHOUT_OUTPUT_PROJ,
} MhaMistake;

/** @brief The four weights, in this order. */
enum { Q_PROJ, K_PROJ, V_PROJ, OUTPUT_PROJ, PROJECTIONS };

/** @brief One problem: the tensors of a trial, and where its heads stand. */
typedef struct {
    ReferenceAttention sizes; /**< a theta of 0: no RoPE */
    const int32_t *in_full;   /**< (batch, seq) positions; NULL: 0 .. seq - 1 */
    TokenTensor positions;    /**< the same for the library */
    Tensor x, weights[PROJECTIONS];
    MultiHeadSelfAttention mha; /**< the weights for the library */
    RoPE tables;
    const RoPE *rope; /**< tables, or NULL */
} MhaProblem;

/** @brief What the forward pass keeps, as MultiHeadSelfAttentionSaved, in double precision. */
typedef struct {
    double *query, *key, *value, *attended; /**< (batch, seq, d_model) */
    double *log_sum_exp;                    /**< (batch, heads, seq) */
} MhaSaved;

/** @brief Makes random x and weights for the sizes of @p p, and the views of them that the library takes. */
void mha_inputs(Trial *t, MhaProblem *p);

/** @brief Fills p->mha, p->tables and p->rope from p->weights and p->sizes. */
void mha_bind(Trial *t, MhaProblem *p);

/** @brief The tables of RoPE, which are an input of the exercises that do not write rope_bind(). */
RoPE rope_tables_of(Trial *t, double theta, size_t d_k, size_t positions);

/** @brief Computes y (batch, seq, d_model), and what is saved. @param mistake  an MhaMistake, or 0 */
void mha_in_double(Trial *t, double *y, MhaSaved *saved, const MhaProblem *p, int mistake);

/** @brief Copies (batch, seq, d_model) to (batch, heads, seq, d_k), or back. */
void heads_split(double *heads, const double *joined, ReferenceAttention n);
void heads_join(double *joined, const double *heads, ReferenceAttention n);

/** @brief Rotates (batch, heads, seq, d_k) in place, by the opposite angles if @p sign is -1. */
void heads_rotate(double *heads, const int32_t *positions, ReferenceAttention n, int sign);

#endif
