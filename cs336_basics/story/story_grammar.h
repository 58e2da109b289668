/**
 * @file
 * @brief The form in which a grammar of stories is written down, and the grammar of the embedded corpus.
 *
 * - A rule is a list of weighted alternatives; expanding it chooses one, with probability weight / sum of weights.
 * - An alternative is a template: text with slots in braces. To add a sentence, add a line to a table.
 * - A variable is drawn once, before the story begins, and keeps its value to the end: the hero, the place, the wish.
 *   Its alternatives have several fields, separated by '|', which are templates too.
 *
 * | slot             | stands for                                                                            |
 * |------------------|---------------------------------------------------------------------------------------|
 * | `{opening}`      | a rule: a choice is made here                                                         |
 * | `{hero}`         | the first field of a variable                                                         |
 * | `{thing.use}`    | another field of it; when that field holds slots, they are expanded here              |
 * | `{Hero.he}`      | the same field with a capital first letter                                            |
 * | `{a color}`      | the field after "a " or "an "; `{A color}` after "A " or "An "                        |
 *
 * A variable's source is a rule, or a field of an earlier variable whose text is `{rule}`: so what can go wrong depends
 * on the place, and who can help depends on what went wrong. A rule that draws a variable draws no other one.
 */
#ifndef CS336_STORY_STORY_GRAMMAR_H
#define CS336_STORY_STORY_GRAMMAR_H

#include <stdint.h>

enum { STORY_MAX_TABLES = 8, STORY_MAX_VARIABLES = 16, STORY_MAX_CHOICES = 128 };

typedef struct {
    uint32_t weight;  /**< how often, relative to the other alternatives of the rule; at least 1 */
    const char *text; /**< one template, or as many as the rule has fields; NULL ends the list */
} StoryAlternative;

typedef struct {
    const char *name;                     /**< NULL ends the table */
    const char *fields;                   /**< names separated by spaces; NULL when the rule draws no variable */
    const StoryAlternative *alternatives; /**< at least one */
} StoryRule;

typedef struct {
    const char *name;   /**< lower case; NULL ends the list */
    const char *source; /**< "heroes" or "hero.kinds" */
} StoryVariable;

typedef struct {
    const StoryVariable *variables;            /**< in the order in which they are drawn */
    const StoryRule *tables[STORY_MAX_TABLES]; /**< tables of rules, NULL after the last; the first rule is a story */
} StoryGrammar;

/** @brief `STORY_RULE("hello", NULL, {2, "Hello"}, {1, "Good morning"})` is a line of a table. */
#define STORY_RULE(name, fields, ...)                \
    {                                                \
        (name), (fields), (const StoryAlternative[]) \
        {                                            \
            __VA_ARGS__,                             \
            {                                        \
                0, 0                                 \
            }                                        \
        }                                            \
    }

/** @brief The grammar of the embedded corpus. */
extern const StoryGrammar story_grammar;

/**
 * @name Its tables
 * @{
 */
extern const StoryRule story_sentences[], story_words[], story_lessons[], story_mishaps[];
/** @} */

#endif
