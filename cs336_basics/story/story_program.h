/**
 * @file
 * @brief A grammar of stories, checked and compiled to lists of operations.
 *
 * story.c (generation), story_parse.c and story_expectation.c walk these lists. Users of stories need only story.h.
 * - The program points into the texts of the grammar, which must outlive it. All its own memory is one arena.
 * - A compiled program never changes, so any number of threads may share it.
 */
#ifndef CS336_STORY_STORY_PROGRAM_H
#define CS336_STORY_STORY_PROGRAM_H

#include "core/api.h"
#include "core/arena.h"
#include "core/status.h"
#include "story/story_grammar.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_API_BEGIN

/** @brief What an operation of a template does. */
typedef enum {
    STORY_TEXT,  /**< write a fixed text */
    STORY_FIELD, /**< write a field of a variable, which was drawn before the story began */
    STORY_EXPAND /**< draw an alternative of a rule, and write it */
} StoryOpKind;

/** @brief One operation of a template: write a text, write a field of a variable, or expand a rule. */
typedef struct {
    const char *text; /**< a STORY_TEXT's text; for the other kinds, the placeholder without its braces */
    uint32_t length;  /**< bytes of text */
    uint32_t index;   /**< the variable of a STORY_FIELD, the rule of a STORY_EXPAND */
    uint32_t field;   /**< index of the variable's field */
    StoryOpKind kind; /**< says which of the fields above are used */
    bool article;     /**< write "a " or "an " first */
    bool capital;     /**< begin with a capital letter */
} StoryOp;

/** @brief A text with placeholders, compiled. */
typedef struct {
    StoryOp *ops;          /**< (count), in the order of the text */
    uint32_t count;        /**< 0 for an empty text */
    uint32_t most_choices; /**< upper bound of the choices that an expansion makes */
    size_t longest;        /**< upper bound of the bytes of an expansion */
    /** @brief Whether the two bounds are known. A template that is met while being measured contains itself. */
    enum { STORY_UNMEASURED, STORY_BEING_MEASURED, STORY_MEASURED } state;
} StoryTemplate;

/** @brief A rule, compiled. */
typedef struct {
    const char *name;          /**< in the grammar, which owns it */
    const char *fields;        /**< names separated by spaces; NULL: each alternative is one template */
    size_t num_fields;         /**< at least 1 */
    size_t count;              /**< number of alternatives */
    StoryTemplate *templates;  /**< (count, num_fields) */
    uint32_t *cumulative;      /**< (count) sums of the weights up to and including each alternative */
    double *log_probabilities; /**< (count) nats */
    double entropy;            /**< of the choice between the alternatives, in nats */
    int variable;              /**< the variable that is drawn from this rule, or -1 */
} StoryProgramRule;

/** @brief A variable, compiled. */
typedef struct {
    const char *name;   /**< in the grammar, which owns it */
    const char *fields; /**< names separated by spaces */
    int parent;         /**< the earlier variable whose field names the rule to draw from, or -1 */
    size_t source;      /**< index of the rule; with a parent, index of the parent's field */
} StoryProgramVariable;

/** @brief A compiled grammar; zeroed, it is empty. */
typedef struct {
    Arena arena;                                         /**< owns rules, templates, operations and weights */
    StoryProgramRule *rules;                             /**< (num_rules) rules[0] is a whole story */
    size_t num_rules;                                    /**< of all tables together */
    StoryProgramVariable variables[STORY_MAX_VARIABLES]; /**< in the order in which they are drawn */
    size_t num_variables;                                /**< variables in use */
    size_t longest;                                      /**< upper bound of the bytes of a story */
} StoryProgram;

/**
 * @brief Checks a grammar and compiles it.
 * @retval CS336_ENOMEM
 * @retval CS336_EFORMAT  the grammar is malformed: unknown placeholder, unclosed brace, wrong number of fields, weight
 * 0, a rule that contains itself, ...; the message names the rule and the alternative
 */
CS336_MUST_CHECK Status story_compile(StoryProgram *program, const StoryGrammar *grammar);

/** @brief Frees the program; a zeroed program is fine. */
void story_program_deinit(StoryProgram *program);

/** @brief Returns the rule that @p variable is drawn from, given the values of the variables before it. */
const StoryProgramRule *story_source(const StoryProgram *program, const uint16_t *values, size_t variable);

/**
 * @brief Returns the first variable without a value in the chain of parents of @p variable, or @p variable itself.
 * @param program   the compiled grammar
 * @param fixed     true for the variables that have a value
 * @param variable  a variable without a value
 */
size_t story_first_open(const StoryProgram *program, const bool *fixed, size_t variable);

/** @brief Returns the template that a STORY_FIELD writes, given the values of the variables. */
const StoryTemplate *story_field(const StoryProgram *program, const uint16_t *values, const StoryOp *op);

/** @brief True if the template is a fixed text without placeholders. */
static inline bool story_template_is_plain(const StoryTemplate *text)
{
    return text->count == 0 || (text->count == 1 && text->ops->kind == STORY_TEXT);
}

/** @brief Returns the capital of an ASCII letter; other bytes stay as they are. */
static inline char story_capital(char letter)
{
    return letter >= 'a' && letter <= 'z' ? (char)(letter - 'a' + 'A') : letter;
}

/** @brief Returns the article that @p op writes before @p text: "a ", "an ", "A " or "An "; "" without an article. */
const char *story_article(const StoryOp *op, const char *text);

CS336_API_END

#endif
