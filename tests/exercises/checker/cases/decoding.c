/* Decoding and its mistakes. */
#include "generate/decode.h"
#include "generate/sample.h"
#include "tests/exercises/checker/exercise.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WITHOUT_TEMPERATURE = 1,
    TEMPERATURE_MULTIPLIES,
    WITHOUT_MAXIMUM,
    TIES_TO_THE_HIGHER_ID,
    ONE_TOKEN_TOO_MANY,
    TOP_P_MAY_BE_EMPTY,
    TOP_P_NOT_RENORMALISED,
    TOP_P_IN_ORDER_OF_IDS,
    ALL_ALIKE,
    ALWAYS_THE_LIKELIEST,
    OWN_TOKENS_NEVER_READ,
    STOP_TOKEN_IS_KEPT,
    PROMPT_IS_PASSED_ON,
    LONGER_THAN_ASKED,
};

static const Mistake MISTAKES[] = {
    {WITHOUT_TEMPERATURE, "without_temperature", "decoding without the temperature"},
    {TEMPERATURE_MULTIPLIES, "temperature_multiplies", "logits that are multiplied by the temperature"},
    {WITHOUT_MAXIMUM, "without_maximum",
     "a softmax without subtracting the largest logit, which overflows for large logits"},
    {TIES_TO_THE_HIGHER_ID, "ties_to_the_higher_id", "greedy decoding that takes the last of equal logits"},
    {ONE_TOKEN_TOO_MANY, "one_token_too_many", "top-p that keeps one token more than the smallest set"},
    {TOP_P_MAY_BE_EMPTY, "top_p_may_be_empty", "top-p that stops before the sum of the probabilities reaches p"},
    {TOP_P_NOT_RENORMALISED, "top_p_not_renormalised", "top-p whose probabilities are not divided by their own sum"},
    {TOP_P_IN_ORDER_OF_IDS, "top_p_in_order_of_ids",
     "top-p that does not sort: it keeps the first tokens of the vocabulary"},
    {ALL_ALIKE, "all_alike", "drawing each candidate with the same probability"},
    {ALWAYS_THE_LIKELIEST, "always_the_likeliest",
     "drawing without chance: the likeliest token is taken each time, at any temperature"},
    {OWN_TOKENS_NEVER_READ, "own_tokens_never_read", "generation that never gives its own tokens to the model"},
    {STOP_TOKEN_IS_KEPT, "stop_token_is_kept", "generation whose text ends with the stop token"},
    {PROMPT_IS_PASSED_ON, "prompt_is_passed_on",
     "generation that also gives the prompt to the receiver, which wants the continuation only"},
    {LONGER_THAN_ASKED, "longer_than_asked", "generation of one token more than max_tokens"},
    {0},
};

/* ---- the distribution, in double precision ---- */

enum { MOST_VOCAB = 1500 };

/* The likeliest tokens first; of equally likely ones the lower id. */
static void sort_ids(size_t *ids, const double *q, size_t vocab_size)
{
    for (size_t i = 0; i < vocab_size; i++) {
        size_t at = i;
        for (; at > 0 && q[i] > q[ids[at - 1]]; at--)
            ids[at] = ids[at - 1];
        ids[at] = i;
    }
}

/* How many of the sorted tokens top-p keeps. */
static size_t kept_tokens(const size_t *ids, const double *q, size_t vocab_size, double weight, int mistake)
{
    double kept = 0;
    size_t n = 0;
    if (mistake == TOP_P_MAY_BE_EMPTY) {
        while (n < vocab_size && kept + q[ids[n]] <= weight)
            kept += q[ids[n++]];
        return n;
    }
    do
        kept += q[ids[n++]];
    while (n < vocab_size && kept < weight);
    return n + (mistake == ONE_TOKEN_TOO_MANY && n < vocab_size);
}

/* The probability of each token. */
static void probabilities(double *p, const double *logits, size_t vocab_size, SampleConfig config, int mistake)
{
    double q[MOST_VOCAB], sum = 0;
    size_t ids[MOST_VOCAB], largest = 0;
    for (size_t i = 0; i < vocab_size; i++) {
        p[i] = 0;
        if (logits[i] > logits[largest] || (mistake == TIES_TO_THE_HIGHER_ID && logits[i] == logits[largest]))
            largest = i;
    }
    if (config.temperature == 0) {
        p[largest] = 1;
        return;
    }
    const double scale = mistake == WITHOUT_TEMPERATURE      ? 1
                         : mistake == TEMPERATURE_MULTIPLIES ? config.temperature
                                                             : 1 / config.temperature;
    for (size_t i = 0; i < vocab_size; i++) {
        q[i] = exp((logits[i] - (mistake == WITHOUT_MAXIMUM ? 0 : logits[largest])) * scale);
        sum += q[i];
        ids[i] = i;
    }
    if (mistake != TOP_P_IN_ORDER_OF_IDS)
        sort_ids(ids, q, vocab_size);
    const size_t n = config.top_p < 1 ? kept_tokens(ids, q, vocab_size, config.top_p * sum, mistake) : vocab_size;
    double kept = 0;
    for (size_t i = 0; i < n; i++)
        kept += q[ids[i]];
    for (size_t i = 0; i < n; i++)
        p[ids[i]] = q[ids[i]] / (mistake == TOP_P_NOT_RENORMALISED ? sum : kept);
}

/* ---- sample_candidates() ---- */

/* Candidates may come in any order, so the probability of each token of the vocabulary is compared. */
static void compare(Trial *t, const SampleCandidate *candidates, size_t count, Tensor logits, SampleConfig config)
{
    const size_t vocab_size = tensor_count(logits);
    double *yours = trial_memory(t, vocab_size * sizeof *yours), *right = trial_memory(t, vocab_size * sizeof *right);
    for (size_t i = 0; i < count && i < vocab_size; i++)
        if (candidates[i].token >= 0 && (size_t)candidates[i].token < vocab_size)
            yours[candidates[i].token] += candidates[i].probability;
    probabilities(right, trial_doubles(t, logits), vocab_size, config, t->mistake);
    trial_list(t, "probability of each token", yours, vocab_size, right, vocab_size);
}

static void by_hand(Trial *t)
{
    static const float LOGITS[] = {1, 2, -1, 0};
    SampleCandidate *candidates = trial_memory(t, 4 * sizeof *candidates);
    const Tensor logits = trial_input(t, "logits", LOGITS, 4);
    size_t count = 0;
    TRIAL_CALL(t, sample_candidates(candidates, &count, logits, &(SampleConfig){.temperature = 1, .top_p = 0.8}));
    compare(t, candidates, count, logits, (SampleConfig){.temperature = 1, .top_p = 0.8});
}

static void distribution(Trial *t, Tensor logits, SampleConfig config)
{
    SampleCandidate *candidates = trial_memory(t, tensor_count(logits) * sizeof *candidates);
    size_t count = 0;
    TRIAL_CALL(t, sample_candidates(candidates, &count, logits, &config));
    compare(t, candidates, count, logits, config);
}

static void all_tokens(Trial *t)
{
    distribution(t, trial_random(t, "logits", 2, 24), (SampleConfig){.temperature = 1, .top_p = 1});
}
static void flatter(Trial *t)
{
    distribution(t, trial_random(t, "logits", 2, 24), (SampleConfig){.temperature = 2.5, .top_p = 1});
}
static void large_vocabulary(Trial *t)
{
    distribution(t, trial_random(t, "logits", 2, MOST_VOCAB), (SampleConfig){.temperature = 0.7, .top_p = 0.9});
}
static void equal_logits(Trial *t)
{
    static const float LOGITS[] = {1, 3, 0, 3, 3};
    distribution(t, trial_input(t, "logits", LOGITS, 5), (SampleConfig){.temperature = 0, .top_p = 1});
}
static void equal_probabilities(Trial *t)
{
    static const float LOGITS[] = {1, 1, 1, 1, 1};
    distribution(t, trial_input(t, "logits", LOGITS, 5), (SampleConfig){.temperature = 1, .top_p = 0.5});
}
static void top_p_of_0(Trial *t)
{
    distribution(t, trial_random(t, "logits", 1, 6), (SampleConfig){.temperature = 1, .top_p = 0});
}
static void impossible_tokens(Trial *t)
{
    static const float LOGITS[] = {-INFINITY, 1, -INFINITY, 2};
    distribution(t, trial_input(t, "logits", LOGITS, 4), (SampleConfig){.temperature = 1, .top_p = 1});
}
static void huge_logits(Trial *t)
{
    static const float LOGITS[] = {1000, 999, 0};
    distribution(t, trial_input(t, "logits", LOGITS, 3), (SampleConfig){.temperature = 1, .top_p = 1});
}

/* ---- sample_token() ---- */

enum { FOUR = 4, MANY_DRAWS = 100000, FEW_DRAWS = 200 };

/* Draws again and again; how often each token came may be counted in any way that gives the right probabilities. */
static void draw(Trial *t, Tensor logits, size_t draws, double *shares)
{
    const SampleConfig config = {.temperature = 1, .top_p = 1};
    Rng generator = rng_seeded(336), *rng = &generator;
    Arena *scratch = trial_scratch(t);
    for (size_t i = 0; i < draws && !t->status; i++) {
        int32_t token = -1;
        TRIAL_CALL(t, sample_token(&token, logits, &config, rng, scratch));
        if (!t->calls)
            return;
        if (token >= 0 && token < FOUR)
            shares[token] += 1 / (double)draws;
    }
}

/* The probability with which each token is drawn. */
static void drawn_probabilities(double *p, Trial *t, Tensor logits)
{
    size_t likeliest = 0;
    probabilities(p, trial_doubles(t, logits), FOUR, (SampleConfig){.temperature = 1, .top_p = 1}, 0);
    for (size_t i = 0; i < FOUR; i++)
        likeliest = p[i] > p[likeliest] ? i : likeliest;
    for (size_t i = 0; i < FOUR; i++)
        if (t->mistake == ALL_ALIKE)
            p[i] = 1 / (double)FOUR;
        else if (t->mistake == ALWAYS_THE_LIKELIEST)
            p[i] = i == likeliest;
}

static void shares_of_draws(Trial *t)
{
    static const float LOGITS[] = {2, 1, 0, -1};
    const Tensor logits = trial_input(t, "logits", LOGITS, FOUR);
    double yours[FOUR] = {0}, right[FOUR];
    draw(t, logits, MANY_DRAWS, yours);
    drawn_probabilities(right, t, logits);
    trial_list(t, "share of the draws", yours, FOUR, right, FOUR);
}

/* Which tokens came at all. Those of probability e^-40 do not. */
static void tokens_that_came(Trial *t, const float *numbers)
{
    const Tensor logits = trial_input(t, "logits", numbers, FOUR);
    double shares[FOUR] = {0}, p[FOUR];
    int32_t yours[FOUR], right[FOUR];
    size_t count = 0, right_count = 0;
    draw(t, logits, FEW_DRAWS, shares);
    drawn_probabilities(p, t, logits);
    for (int32_t i = 0; i < FOUR; i++) {
        if (shares[i] > 0)
            yours[count++] = i;
        if (p[i] > 1e-9)
            right[right_count++] = i;
    }
    trial_id_list(t, "tokens that were drawn", yours, count, right, right_count);
}
static void one_likely_token(Trial *t)
{
    static const float LOGITS[] = {0, 0, 40, 0};
    tokens_that_came(t, LOGITS);
}
static void four_likely_tokens(Trial *t)
{
    static const float LOGITS[] = {0.5F, 0, 0, 0.25F};
    tokens_that_came(t, LOGITS);
}

/* ---- generate() ---- */

enum { TEXT_VOCAB = 5, MOST_TOKENS = 16, NO_STOP_TOKEN = -1 };

/* The model of these cases has seen few texts: after token i always comes FOLLOWER[i]. */
static const int32_t FOLLOWER[TEXT_VOCAB] = {3, 4, 0, 1, 2};

/* Its embedding is the identity, its only layer adds zeros, and its head gives 1 to the token that follows. */
static Status model_init(TransformerLM *lm, Arena *memory)
{
    const TransformerLMConfig config = {.vocab_size = TEXT_VOCAB,
                                        .context_length = 8,
                                        .d_model = TEXT_VOCAB,
                                        .num_layers = 1,
                                        .num_heads = 1,
                                        .d_ff = 4,
                                        .rope_theta = 1e4F,
                                        .norm_eps = 1e-5F,
                                        .norm = NORM_NONE,
                                        .position = POSITION_NONE};
    memset(memory->base, 0, memory->capacity);
    const Status s = transformer_lm_bind(lm, memory, &config);
    for (size_t i = 0; !s && i < TEXT_VOCAB; i++) {
        tensor_row(lm->token_embeddings.weight, i)[i] = 1;
        tensor_row(lm->lm_head.weight, (size_t)FOLLOWER[i])[i] = 1;
    }
    return s;
}

typedef struct {
    int32_t tokens[MOST_TOKENS];
    size_t count;
} Text;

static Status receive(void *context, int32_t token)
{
    Text *text = context;
    if (text->count == MOST_TOKENS)
        return status_fail(CS336_ERANGE, "the receiver was given more than %d tokens", MOST_TOKENS);
    text->tokens[text->count++] = token;
    return CS336_OK;
}

/* Continues a prompt greedily. Returns the count that generate() reports. */
static size_t wrong_text(Text *text, const int32_t *prompt, size_t length, const GenerateConfig *config, int mistake)
{
    const size_t most = config->max_tokens + (mistake == LONGER_THAN_ASKED);
    int32_t last = prompt[length - 1];
    for (size_t i = 0; mistake == PROMPT_IS_PASSED_ON && i < length; i++)
        text->tokens[text->count++] = prompt[i];
    for (size_t generated = 0;; generated++) {
        const int32_t next = FOLLOWER[last];
        const bool stops = next == config->stop_token;
        if (generated == most || (stops && mistake != STOP_TOKEN_IS_KEPT))
            return generated;
        text->tokens[text->count++] = next;
        if (stops)
            return generated + 1;
        last = mistake == OWN_TOKENS_NEVER_READ ? last : next;
    }
}

static void continue_prompt(Trial *t, const int32_t *prompt, size_t length, size_t max_tokens, int32_t stop_token)
{
    const GenerateConfig config = {
        .max_tokens = max_tokens, .stop_token = stop_token, .sample = {.temperature = 0, .top_p = 1}};
    TransformerLM lm;
    Decoder of_lm = {0}, *decoder = &of_lm;
    Text yours = {.count = 0}, right = {.count = 0};
    size_t count = 0;
    Rng rng = rng_seeded(1);
    const TokenReceiver receiver = {receive, &yours};
    if (t->calls && (model_init(&lm, trial_arena(t)) || decoder_init(decoder, &lm, true))) {
        fprintf(stderr, "checker: no model: %s\n", status_message());
        exit(2);
    }
    TRIAL_CALL(t, generate(&count, decoder, prompt, length, &config, &rng, receiver));
    decoder_deinit(decoder);
    const size_t right_count = wrong_text(&right, prompt, length, &config, t->mistake);
    trial_id_list(t, "tokens", yours.tokens, yours.count, right.tokens, right.count);
    trial_number(t, "count", (double)count, (double)right_count);
}

static void six_tokens(Trial *t)
{
    continue_prompt(t, (const int32_t[]){4, 2}, 2, 6, NO_STOP_TOKEN);
}
static void stop_token(Trial *t)
{
    continue_prompt(t, (const int32_t[]){2}, 1, 9, 4);
}
static void stop_token_at_once(Trial *t)
{
    continue_prompt(t, (const int32_t[]){1, 0}, 2, 9, 3);
}

static const Case CASES[] = {
    CASE("four logits and top-p of 0.8", by_hand),
    CASE("all tokens: top-p of 1", all_tokens),
    CASE("a temperature of 2.5", flatter),
    CASE("a vocabulary of 1500", large_vocabulary),
    CASE("a temperature of 0, and three logits that are the largest", equal_logits),
    CASE("top-p of five equal logits", equal_probabilities),
    CASE("top-p of 0", top_p_of_0),
    CASE("logits of -infinity", impossible_tokens),
    CASE("logits of 1000", huge_logits),
    {.what = "sample_token(): how often each token comes", .run = shares_of_draws, .loosely = 2000},
    CASE("sample_token(): one token is certain", one_likely_token),
    CASE("sample_token(): all four tokens are likely", four_likely_tokens),
    CASE("generate(): six tokens", six_tokens),
    CASE("generate(): a text that ends with the stop token", stop_token),
    CASE("generate(): the first token is the stop token", stop_token_at_once),
    {0},
};

const Exercise exercise_decoding = {"decoding", .rtol = 1e-5, .atol = 1e-6, .cases = CASES, .mistakes = MISTAKES};
