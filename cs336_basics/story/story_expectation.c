/*
 * Expectations are linear: a template's is the sum of its operations', and an expanded rule's is the entropy of its
 * choice plus the mean over its alternatives. Only a variable's fields couple distant parts of a story. A variable is
 * therefore left open until a field of it is expanded; there each of its values is tried in turn, and stays fixed
 * inside that field, where other fields of it may occur. Variables that it was drawn from are fixed before it. No
 * choice's probability depends on anything else, so the open variables keep the distribution they were drawn from.
 */
#include "story/story.h"

#include <assert.h>
#include <string.h>

typedef struct {
    const StoryProgram *program;
    uint16_t values[STORY_MAX_VARIABLES];
    bool fixed[STORY_MAX_VARIABLES];
} Scope;

static void add(StoryExpectation *sum, double weight, StoryExpectation term)
{
    sum->nats += weight * term.nats;
    sum->bytes += weight * term.bytes;
    sum->choices += weight * term.choices;
}

static double probability(const StoryProgramRule *rule, size_t i)
{
    const uint32_t below = i ? rule->cumulative[i - 1] : 0;
    return (double)(rule->cumulative[i] - below) / rule->cumulative[rule->count - 1];
}

static StoryExpectation of_template(Scope *scope, const StoryTemplate *template);

static StoryExpectation of_rule(Scope *scope, const StoryProgramRule *rule)
{
    StoryExpectation sum = {.nats = rule->entropy, .choices = 1};
    for (size_t i = 0; i < rule->count; i++)
        add(&sum, probability(rule, i), of_template(scope, &rule->templates[i]));
    return sum;
}

/* Of drawing the variable (op NULL), or of what the slot expands to, with all that it depends on averaged over. */
static StoryExpectation of_variable(Scope *scope, size_t variable, const StoryOp *op)
{
    const StoryProgram *program = scope->program;
    if (scope->fixed[variable]) {
        assert(op);
        const StoryTemplate *field = story_field(program, scope->values, op);
        StoryExpectation sum = of_template(scope, field);
        if (op->article)
            sum.bytes += (double)strlen(story_article(op, field->ops->text));
        return sum;
    }
    size_t open = variable;
    while (program->variables[open].parent >= 0 && !scope->fixed[program->variables[open].parent])
        open = (size_t)program->variables[open].parent;
    const StoryProgramRule *rule = story_source(program, scope->values, open);
    if (!op && open == variable)
        return (StoryExpectation){.nats = rule->entropy, .choices = 1};
    StoryExpectation sum = {0};
    scope->fixed[open] = true;
    for (size_t i = 0; i < rule->count; i++) {
        scope->values[open] = (uint16_t)i;
        add(&sum, probability(rule, i), of_variable(scope, variable, op));
    }
    scope->fixed[open] = false;
    return sum;
}

static StoryExpectation of_template(Scope *scope, const StoryTemplate *template)
{
    StoryExpectation sum = {0};
    for (const StoryOp *op = template->ops, *end = op + template->count; op < end; op++) {
        if (op->kind == STORY_TEXT)
            sum.bytes += op->length;
        else if (op->kind == STORY_EXPAND)
            add(&sum, 1, of_rule(scope, &scope->program->rules[op->index]));
        else
            add(&sum, 1, of_variable(scope, op->index, op));
    }
    return sum;
}

StoryExpectation story_expectation(const StoryProgram *program)
{
    Scope scope = {.program = program};
    StoryExpectation sum = of_rule(&scope, program->rules);
    for (size_t i = 0; i < program->num_variables; i++)
        add(&sum, 1, of_variable(&scope, i, NULL));
    return sum;
}
