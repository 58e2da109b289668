/**
 * @file
 * @brief The tables that define a grammar of stories, and the grammar of the embedded corpus.
 *
 * - A rule is a list of weighted alternatives. Expanding a rule draws one, with probability weight / sum of weights.
 * - An alternative is a template: text with placeholders in braces. To add a sentence, add an alternative to a rule.
 * - A variable (the hero, the place, the wish) is drawn once, before the story begins, and keeps its value to the end.
 *   The alternatives of its rule have several fields, separated by '|'; each field is a template.
 *
 * | placeholder   | stands for                                                                       |
 * |---------------|----------------------------------------------------------------------------------|
 * | `{opening}`   | an alternative of the rule `opening`, drawn here                                 |
 * | `{hero}`      | the first field of the variable `hero`                                           |
 * | `{thing.use}` | the field `use` of the variable `thing`; placeholders inside it are expanded too |
 * | `{Hero.he}`   | the field `he` with a capital first letter                                       |
 * | `{a color}`   | "a " or "an ", then the first field; `{A color}` writes "A " or "An "            |
 *
 * A variable is drawn from its source: a rule, or a field of an earlier variable whose text is `{rule}`. With the
 * second form the possible mishaps depend on the place, and the possible helpers on the mishap. One rule is the source
 * of one variable only.
 */
#ifndef CS336_STORY_STORY_GRAMMAR_H
#define CS336_STORY_STORY_GRAMMAR_H

#include "core/api.h"

#include <stdint.h>

CS336_API_BEGIN

/** @brief Sizes of arrays. Our grammar has 4 tables and 10 variables; story_compile() checks variables and choices. */
enum {
    STORY_MAX_TABLES = 8,     /**< tables of a grammar */
    STORY_MAX_VARIABLES = 16, /**< variables of a grammar */
    STORY_MAX_CHOICES = 128   /**< expanded rules in one story */
};

/** @brief One of the texts that a rule may stand for. */
typedef struct {
    uint32_t weight;  /**< probability relative to the other alternatives of the rule; at least 1 */
    const char *text; /**< one template for each field of the rule, separated by '|'; NULL ends the list */
} StoryAlternative;

/** @brief A rule: a name and its weighted alternatives. */
typedef struct {
    const char *name;                     /**< what a placeholder calls the rule; NULL ends the table */
    const char *fields;                   /**< names separated by spaces; NULL if no variable is drawn from the rule */
    const StoryAlternative *alternatives; /**< at least one, then the end of the list */
} StoryRule;

/** @brief A choice that is drawn once per story, such as the hero. */
typedef struct {
    const char *name;   /**< lower case; NULL ends the list */
    const char *source; /**< a rule, as "heroes", or a field of an earlier variable, as "hero.kinds" */
} StoryVariable;

/** @brief A whole grammar. All that it points to is constant, and must outlive a program compiled from it. */
typedef struct {
    const StoryVariable *variables; /**< in the order in which they are drawn */
    const StoryRule
        *tables[STORY_MAX_TABLES]; /**< rules, NULL after the last table; the first rule of all is a whole story */
} StoryGrammar;

/** @brief One rule of a table: `STORY_RULE("hello", NULL, {2, "Hello"}, {1, "Good morning"})`. */
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
 * @name The tables of story_grammar, one file each
 * @{
 */
extern const StoryRule story_sentences[], /**< the sentences, from the first to the last; the first rule is a story */
    story_words[],                        /**< heroes, friends, places and things */
    story_lessons[],                      /**< a flaw of the hero, the trouble that it causes, and the moral */
    story_mishaps[];                      /**< what can go wrong in each kind of place, and who can help */
/** @} */

CS336_API_END

#endif
