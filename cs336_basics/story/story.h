/**
 * @file
 * @brief The embedded corpus: an endless supply of tiny stories, and exactly how much chance there is in them.
 *
 * - Stories come from a probabilistic grammar (story_grammar.h). Story i of a seed depends on nothing else: a longer
 *   corpus begins with the shorter one, and corpora of different seeds are independent.
 * - Every choice has a known probability and every text has one derivation (a test parses stories back), so the
 *   entropy of the choices is that of the text: no model can predict stories with a lower mean loss.
 * - In a corpus each story is followed by STORY_END, so a line that holds only the special token separates stories, as
 *   in TinyStories, and a model learns to stop there.
 *
 * @code
 * StoryProgram program = {0};
 * Status s = story_compile(&program, &story_grammar);
 * if (!s) s = story_corpus_write(&writer, &program, 7, 0, 50000);
 * const double floor = story_expectation(&program).nats;       // per story
 * @endcode
 */
#ifndef CS336_STORY_STORY_H
#define CS336_STORY_STORY_H

#include "core/file.h"
#include "core/status.h"
#include "story/story_grammar.h"
#include "story/story_program.h"

#include <stddef.h>
#include <stdint.h>

#define STORY_SEPARATOR "<|endoftext|>"
/** What follows each story of a corpus. */
#define STORY_END "\n" STORY_SEPARATOR "\n"

/** @brief Which choices made a story. */
typedef struct {
    uint16_t values[STORY_MAX_VARIABLES]; /**< alternative of each variable */
    uint16_t choices[STORY_MAX_CHOICES];  /**< alternatives of the expanded rules, in the order of the text */
    size_t count;                         /**< choices used */
} StoryDerivation;

/**
 * @brief Writes one story, without STORY_END.
 * @param[out] text        at least program->longest bytes; no terminating zero is added
 * @param[out] derivation  receives the choices; NULL is fine
 * @param[in]  seed        which corpus
 * @param[in]  index       which story of it
 * @return bytes written
 */
size_t story_write(char *text, StoryDerivation *derivation, const StoryProgram *program, uint64_t seed, uint64_t index);

/**
 * @brief Writes stories @p first to @p first + @p count - 1 of a seed, each followed by STORY_END.
 * @retval CS336_ENOMEM
 * @retval CS336_EIO  from file_write()
 */
CS336_MUST_CHECK Status story_corpus_write(FileWriter *writer, const StoryProgram *program, uint64_t seed,
                                           uint64_t first, uint64_t count);

/** @brief Expected values over all stories of a grammar. */
typedef struct {
    double nats;    /**< entropy of a story; divide by ln 2 for bits */
    double bytes;   /**< length of a story, without STORY_END */
    double choices; /**< expanded rules and drawn variables */
} StoryExpectation;

/**
 * @brief Exact expectations, by the chain rule: the sum, over all choices a story may make, of the probability that it
 * is made times the entropy of that choice.
 * \f[ H = \sum_c P(c) \, H(c), \qquad H(c) = -\sum_i p_i \ln p_i \f]
 */
StoryExpectation story_expectation(const StoryProgram *program);

/** @brief How a text can be derived. */
typedef struct {
    uint64_t derivations;       /**< how many there are; 1 for a story of an unambiguous grammar, 0 for other texts */
    double log_probability;     /**< of the text, nats: the derivations' probabilities added; -infinity for 0 of them */
    StoryDerivation derivation; /**< the first one */
    size_t understood;          /**< bytes of the longest prefix that some derivation explains */
} StoryParse;

/** @brief Finds every derivation of @p text, which is a story without STORY_END. */
StoryParse story_parse(const StoryProgram *program, const char *text, size_t length);

/**
 * @brief Exact log-probability of one story.
 * @param[out] nats    natural logarithm, at most 0
 * @param[in]  text    story without STORY_END
 * @param[in]  length  bytes
 * @retval CS336_EFORMAT  the grammar cannot make this text; the message says up to which byte it could
 */
CS336_MUST_CHECK Status story_log_probability(double *nats, const StoryProgram *program, const char *text,
                                              size_t length);

/**
 * @brief Log-probability of a whole corpus as story_corpus_write() makes it: the floor of any model's summed loss on
 * it.
 * @param[out] nats     sum over its stories
 * @param[out] stories  how many there are
 * @retval CS336_EFORMAT  a story that is not the grammar's, or bytes after the last STORY_END
 */
CS336_MUST_CHECK Status story_corpus_log_probability(double *nats, uint64_t *stories, const StoryProgram *program,
                                                     const char *text, size_t length);

#endif
