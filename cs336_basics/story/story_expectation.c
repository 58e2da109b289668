/*
 * Expectations are linear. The expectation of a template is the sum over its operations. The expectation of an expanded
 * rule is the entropy of its choice plus the mean over its alternatives.
 *
 * Only the fields of variables couple distant sentences of a story. So a variable stays open until one of its fields is
 * expanded. There each value is tried in turn and is fixed inside that field, where other fields of the same variable
 * may occur. The variables that it was drawn from are fixed before it. No probability depends on anything else, so an
 * open variable still has the distribution that it was drawn from.
 */
#include "story/story.h"

#include <assert.h>
#include <string.h>

typedef struct {
    const StoryProgram *program;
    uint16_t values[STORY_MAX_VARIABLES];
    bool fixed[STORY_MAX_VARIABLES];
} Scope;

static void add_weighted(StoryExpectation *sum, double weight, StoryExpectation term)
{
    sum->nats += weight * term.nats;
    sum->bytes += weight * term.bytes;
    sum->choices += weight * term.choices;
}

/* The probability of alternative i: its weight divided by the sum of the weights. */
static double probability(const StoryProgramRule *rule, size_t i)
{
    const uint32_t below = i ? rule->cumulative[i - 1] : 0;
    return (double)(rule->cumulative[i] - below) / rule->cumulative[rule->count - 1];
}

static StoryExpectation expect_template(Scope *scope, const StoryTemplate *template);

static StoryExpectation expect_rule(Scope *scope, const StoryProgramRule *rule)
{
    StoryExpectation sum = {.nats = rule->entropy, .choices = 1};
    for (size_t i = 0; i < rule->count; i++)
        add_weighted(&sum, probability(rule, i), expect_template(scope, &rule->templates[i]));
    return sum;
}

/*
 * The expectation of drawing a variable (op is NULL), or of expanding its placeholder op, averaged over all values of
 * the open variables that it depends on.
 */
static StoryExpectation expect_variable(Scope *scope, size_t variable, const StoryOp *op)
{
    const StoryProgram *program = scope->program;
    /* Its value is fixed: expand the field. */
    if (scope->fixed[variable]) {
        assert(op);
        const StoryTemplate *field = story_field(program, scope->values, op);
        StoryExpectation sum = expect_template(scope, field);
        if (op->article)
            sum.bytes += (double)strlen(story_article(op, field->ops->text));
        return sum;
    }
    /* Not fixed. Start with the first open variable in its chain of parents. */
    const size_t open = story_first_open(program, scope->fixed, variable);
    const StoryProgramRule *rule = story_source(program, scope->values, open);
    if (!op && open == variable)
        return (StoryExpectation){.nats = rule->entropy, .choices = 1};
    /* Average over the values of that variable. */
    StoryExpectation sum = {0};
    scope->fixed[open] = true;
    for (size_t i = 0; i < rule->count; i++) {
        scope->values[open] = (uint16_t)i;
        add_weighted(&sum, probability(rule, i), expect_variable(scope, variable, op));
    }
    scope->fixed[open] = false;
    return sum;
}

static StoryExpectation expect_template(Scope *scope, const StoryTemplate *template)
{
    StoryExpectation sum = {0};
    for (const StoryOp *op = template->ops, *end = op + template->count; op < end; op++) {
        if (op->kind == STORY_TEXT)
            sum.bytes += op->length;
        else if (op->kind == STORY_EXPAND)
            add_weighted(&sum, 1, expect_rule(scope, &scope->program->rules[op->index]));
        else
            add_weighted(&sum, 1, expect_variable(scope, op->index, op));
    }
    return sum;
}

StoryExpectation story_expectation(const StoryProgram *program)
{
    Scope scope = {.program = program};
    StoryExpectation sum = expect_rule(&scope, program->rules);
    for (size_t i = 0; i < program->num_variables; i++)
        add_weighted(&sum, 1, expect_variable(&scope, i, NULL));
    return sum;
}
