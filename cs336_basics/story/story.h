/**
 * @file
 * @brief The embedded corpus: tiny stories from a probabilistic grammar, and their exact entropy.
 *
 * - A probabilistic grammar (story_grammar.h) generates the stories. Story i depends on the seed and on i only: a
 * longer corpus begins with the shorter one of the same seed, and corpora of different seeds are independent.
 * - Every choice has a known probability, and every text has exactly one derivation (a test parses stories back). So
 *   the entropy of the choices is the entropy of the text: no model can reach a lower mean loss.
 * - STORY_END follows each story of a corpus. As in TinyStories, a line with only the special token separates the
 *   stories, and a model learns to stop there.
 *
 * @code
 * StoryProgram program = {0};
 * Status s = story_compile(&program, &story_grammar);
 * if (!s) s = story_corpus_write(&writer, &program, 7, 0, 50000);
 * const double floor = story_expectation(&program).nats;       // per story, in nats
 * @endcode
 */
#ifndef CS336_STORY_STORY_H
#define CS336_STORY_STORY_H

#include "core/api.h"
#include "core/file.h"
#include "core/status.h"
#include "story/story_grammar.h"
#include "story/story_program.h"

#include <stddef.h>
#include <stdint.h>

CS336_API_BEGIN

/** @brief The special token between two stories, as in TinyStories. */
#define STORY_SEPARATOR "<|endoftext|>"
/** @brief The bytes after each story of a corpus. */
#define STORY_END "\n" STORY_SEPARATOR "\n"

/** @brief The choices that generate one story: its derivation in the grammar. */
typedef struct {
    uint16_t values[STORY_MAX_VARIABLES]; /**< index of the alternative that each variable drew */
    uint16_t
        choices[STORY_MAX_CHOICES]; /**< index of the alternative of each expanded rule, in the order of the text */
    size_t count;                   /**< entries of choices in use */
} StoryDerivation;

/**
 * @brief Writes one story, without STORY_END.
 * @param[out] text        at least program->longest bytes; no terminating zero is added
 * @param[out] derivation  receives the choices; may be NULL
 * @param[in]  program     the compiled grammar
 * @param[in]  seed        number of the corpus
 * @param[in]  index       number of the story in that corpus, from 0
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

/** @brief Expected values (means) over all stories of a grammar. */
typedef struct {
    double nats;    /**< entropy of a story; divide by ln 2 for bits */
    double bytes;   /**< length of a story, without STORY_END */
    double choices; /**< number of expanded rules and drawn variables */
} StoryExpectation;

/**
 * @brief Computes exact expectations.
 *
 * By the chain rule, the entropy of a story is a sum over all choices c that the grammar can make: the probability P(c)
 * that a story makes the choice, times the entropy H(c) of its alternatives with probabilities p_i.
 * \f[ H = \sum_c P(c) \, H(c), \qquad H(c) = -\sum_i p_i \ln p_i \f]
 */
StoryExpectation story_expectation(const StoryProgram *program);

/** @brief The result of parsing a text. */
typedef struct {
    uint64_t derivations;   /**< how many derivations generate the text: 1 for a story of an unambiguous grammar, 0 for
                               other   texts */
    double log_probability; /**< of the text, in nats: the derivations' probabilities added; -infinity for none */
    StoryDerivation derivation; /**< the first derivation found */
    size_t matched;             /**< bytes of the longest prefix that begins some story */
} StoryParse;

/** @brief Finds every derivation of @p text, a story without STORY_END. */
StoryParse story_parse(const StoryProgram *program, const char *text, size_t length);

/**
 * @brief Computes the exact log-probability of one story.
 * @param[out] nats    natural logarithm, at most 0
 * @param[in]  text    story without STORY_END
 * @param[in]  length  bytes
 * @retval CS336_EFORMAT  the grammar does not generate this text; the message names the first byte that does not fit
 */
CS336_MUST_CHECK Status story_log_probability(double *nats, const StoryProgram *program, const char *text,
                                              size_t length);

/**
 * @brief Computes the log-probability of a corpus that story_corpus_write() wrote.
 *
 * Minus this number is the floor of the summed loss on the corpus, for any model.
 * @param[out] nats     sum over the stories of the corpus
 * @param[out] stories  number of stories
 * @retval CS336_EFORMAT  the grammar does not generate a story, or bytes follow the last STORY_END
 */
CS336_MUST_CHECK Status story_corpus_log_probability(double *nats, uint64_t *stories, const StoryProgram *program,
                                                     const char *text, size_t length);

CS336_API_END

#endif
