/**
 * @file
 * @brief A grammar of stories, checked and compiled to lists of operations; what story.c, story_parse.c and
 * story_expectation.c walk. Users of stories need only story.h.
 *
 * - The program points into the grammar's texts, which must outlive it; otherwise it is one block of memory.
 * - It holds no mutable state: any number of generators and threads may share it.
 */
#ifndef CS336_STORY_STORY_PROGRAM_H
#define CS336_STORY_STORY_PROGRAM_H

#include "core/arena.h"
#include "core/status.h"
#include "story/story_grammar.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { STORY_TEXT, STORY_FIELD, STORY_EXPAND } StoryOpKind;

/** @brief One step of a template. */
typedef struct {
    const char *text; /**< of a STORY_TEXT; of others, what stands between the braces */
    uint32_t length;  /**< of text, in bytes */
    uint32_t index;   /**< variable of a STORY_FIELD, rule of a STORY_EXPAND */
    uint32_t field;   /**< which field of the variable */
    StoryOpKind kind;
    bool article; /**< "a " or "an " comes first */
    bool capital; /**< what comes out begins with a capital */
} StoryOp;

typedef struct {
    StoryOp *ops;
    uint32_t count;
    uint32_t most_choices; /**< no expansion makes more */
    size_t longest;        /**< no expansion has more bytes */
    enum { STORY_UNMEASURED, STORY_BEING_MEASURED, STORY_MEASURED } state;
} StoryTemplate;

typedef struct {
    const char *name;
    const char *fields;        /**< names separated by spaces; NULL: one template without a name */
    size_t num_fields;         /**< at least 1 */
    size_t count;              /**< alternatives */
    StoryTemplate *templates;  /**< (count, num_fields) */
    uint32_t *cumulative;      /**< (count) sums of the weights up to and with each alternative */
    double *log_probabilities; /**< (count) nats */
    double entropy;            /**< of the choice, nats */
    int variable;              /**< the variable it draws, or -1 */
} StoryProgramRule;

typedef struct {
    const char *name;
    const char *fields; /**< names separated by spaces */
    int parent;         /**< the variable whose field names the rule, or -1 */
    size_t source;      /**< the rule, or that field of the parent */
} StoryProgramVariable;

typedef struct {
    Arena arena;
    StoryProgramRule *rules; /**< rules[0] is a story */
    size_t num_rules;
    StoryProgramVariable variables[STORY_MAX_VARIABLES];
    size_t num_variables;
    size_t longest; /**< no story has more bytes */
} StoryProgram;

/**
 * @brief Compiles a grammar.
 * @retval CS336_ENOMEM
 * @retval CS336_EFORMAT  the grammar is malformed: unknown slot, unclosed brace, wrong number of fields, weight 0, a
 *                        rule that contains itself, ...; the message names the rule and the alternative
 */
CS336_MUST_CHECK Status story_compile(StoryProgram *program, const StoryGrammar *grammar);

/** @brief Frees the program; a zeroed one is fine. */
void story_program_deinit(StoryProgram *program);

/** @brief The rule that draws @p variable, given the values drawn before it. */
const StoryProgramRule *story_source(const StoryProgram *program, const uint16_t *values, size_t variable);

/** @brief What a STORY_FIELD stands for, given the variables' values. */
const StoryTemplate *story_field(const StoryProgram *program, const uint16_t *values, const StoryOp *op);

/** @brief Whether the expansion is a fixed text. */
static inline bool story_template_is_plain(const StoryTemplate *template)
{
    return template->count == 0 || (template->count == 1 && template->ops->kind == STORY_TEXT);
}

/** @brief "", "a " or "an ", with the capital that the slot asks for, before @p text. */
const char *story_article(const StoryOp *op, const char *text);

#endif
