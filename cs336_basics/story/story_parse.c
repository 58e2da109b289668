/*
 * Parsing by backtracking: the parser matches the operations of the templates against the text from left to right.
 * Where the grammar has a choice it tries every alternative. Stories differ early, so a wrong alternative fails within
 * a few bytes. A variable stays open until the first of its fields is met. Then the parser tries each of its values,
 * after those of the variable that it was drawn from.
 */
#include "story/story.h"

#include <math.h>
#include <string.h>

/* The operations still to match: those of the current template, then the rest of each template around it. */
typedef struct Rest {
    const StoryOp *op, *end;
    const struct Rest *next;
} Rest;

typedef struct {
    const StoryProgram *program;
    const char *text, *end;
    const char *farthest; /* the end of the longest prefix matched so far */
    StoryDerivation path; /* the choices on trial */
    double log_probability;
    bool fixed[STORY_MAX_VARIABLES]; /* the variable has a value on trial */
    StoryParse *result;
} Parser;

static void match(Parser *parser, Rest rest, const char *next);

/* Moves *next past the bytes of text that match. Returns true if all of them match. */
static bool match_text(Parser *parser, const char **next, const char *text, size_t length, bool capital)
{
    const char *p = *next;
    for (size_t i = 0; i < length; i++, p++) {
        const char c = capital && i == 0 ? story_capital(text[0]) : text[i];
        if (p == parser->end || *p != c)
            break;
    }
    if (p > parser->farthest)
        parser->farthest = p;
    const bool complete = p == *next + length;
    *next = p;
    return complete;
}

static void match_plain_field(Parser *parser, const StoryOp *op, const StoryTemplate *field, Rest rest,
                              const char *next)
{
    const char *text = field->count ? field->ops->text : "";
    const char *article = story_article(op, text);
    if (match_text(parser, &next, article, strlen(article), false) &&
        match_text(parser, &next, text, field->count ? field->ops->length : 0, op->capital && !op->article))
        match(parser, rest, next);
}

/* Tries all values of an open variable, or of the first open one in its chain of parents; matches the rest with each.
 */
static void try_values(Parser *parser, size_t open, Rest rest, const char *next)
{
    const size_t variable = story_first_open(parser->program, parser->fixed, open);
    const StoryProgramRule *rule = story_source(parser->program, parser->path.values, variable);
    const double outer = parser->log_probability;
    parser->fixed[variable] = true;
    for (size_t i = 0; i < rule->count; i++) {
        parser->path.values[variable] = (uint16_t)i;
        parser->log_probability = outer + rule->log_probabilities[i];
        match(parser, rest, next);
    }
    parser->fixed[variable] = false;
    parser->log_probability = outer;
}

static void try_alternatives(Parser *parser, const StoryProgramRule *rule, const Rest *rest, const char *next)
{
    const double outer = parser->log_probability;
    const size_t depth = parser->path.count++;
    for (size_t i = 0; i < rule->count; i++) {
        const StoryTemplate *template = &rule->templates[i];
        parser->path.choices[depth] = (uint16_t)i;
        parser->log_probability = outer + rule->log_probabilities[i];
        match(parser, (Rest){template->ops, template->ops + template->count, rest}, next);
    }
    parser->path.count = depth;
    parser->log_probability = outer;
}

/*
 * All operations are matched. A variable that the story never mentions may have any value: each value is another
 * derivation.
 */
static void finish(Parser *parser, Rest rest, const char *next)
{
    if (next != parser->end)
        return;
    for (size_t i = 0; i < parser->program->num_variables; i++) {
        if (!parser->fixed[i]) {
            try_values(parser, i, rest, next);
            return;
        }
    }
    /* Count the derivation. Add its probability to those of the others, in logarithms: log(a + b). */
    StoryParse *result = parser->result;
    if (result->derivations++ == 0) {
        result->derivation = parser->path;
        result->log_probability = parser->log_probability;
    } else {
        const double larger = fmax(result->log_probability, parser->log_probability);
        const double smaller = fmin(result->log_probability, parser->log_probability);
        result->log_probability = larger + log1p(exp(smaller - larger));
    }
}

static void match(Parser *parser, Rest rest, const char *next)
{
    /* The end of a template: go on with the template around it. */
    while (rest.op == rest.end && rest.next)
        rest = *rest.next;
    if (rest.op == rest.end) {
        finish(parser, rest, next);
        return;
    }
    const StoryOp *op = rest.op;
    const Rest after = {op + 1, rest.end, rest.next};
    if (op->kind == STORY_TEXT) {
        if (match_text(parser, &next, op->text, op->length, false))
            match(parser, after, next);
    } else if (op->kind == STORY_EXPAND) {
        try_alternatives(parser, &parser->program->rules[op->index], &after, next);
    } else if (!parser->fixed[op->index]) {
        try_values(parser, op->index, rest, next);
    } else {
        const StoryTemplate *field = story_field(parser->program, parser->path.values, op);
        if (story_template_is_plain(field))
            match_plain_field(parser, op, field, after, next);
        else
            match(parser, (Rest){field->ops, field->ops + field->count, &after}, next);
    }
}

StoryParse story_parse(const StoryProgram *program, const char *text, size_t length)
{
    StoryParse result = {.log_probability = -INFINITY};
    Parser parser = {.program = program, .text = text, .end = text + length, .farthest = text, .result = &result};
    const Rest nothing = {0};
    try_alternatives(&parser, program->rules, &nothing, text);
    result.matched = (size_t)(parser.farthest - text);
    return result;
}

Status story_log_probability(double *nats, const StoryProgram *program, const char *text, size_t length)
{
    const StoryParse parse = story_parse(program, text, length);
    *nats = parse.log_probability;
    if (parse.derivations == 0) {
        enum { BYTES_SHOWN = 24 };
        const size_t remaining = length - parse.matched;
        const int shown = remaining < BYTES_SHOWN ? (int)remaining : BYTES_SHOWN;
        return status_fail(CS336_EFORMAT,
                           "story_log_probability: no story of this grammar continues with \"%.*s\" at byte %zu", shown,
                           text + parse.matched, parse.matched);
    }
    return CS336_OK;
}

/* Returns the first occurrence of a pattern in text[0, length), or NULL. */
static const char *find(const char *text, size_t length, const char *pattern)
{
    const size_t n = strlen(pattern);
    for (const char *p = text; (size_t)(p - text) + n <= length; p++) {
        p = memchr(p, pattern[0], length - (size_t)(p - text) - n + 1);
        if (!p || memcmp(p, pattern, n) == 0)
            return p;
    }
    return NULL;
}

Status story_corpus_log_probability(double *nats, uint64_t *stories, const StoryProgram *program, const char *text,
                                    size_t length)
{
    *nats = 0;
    *stories = 0;
    for (size_t start = 0; start < length;) {
        const char *end = find(text + start, length - start, STORY_END);
        if (!end)
            return status_fail(CS336_EFORMAT,
                               "story_corpus_log_probability: no line " STORY_SEPARATOR " after story %llu",
                               (unsigned long long)*stories);
        double story_nats;
        const size_t bytes = (size_t)(end - text) - start;
        const Status s = story_log_probability(&story_nats, program, text + start, bytes);
        if (s)
            return s;
        *nats += story_nats;
        ++*stories;
        start += bytes + strlen(STORY_END);
    }
    return CS336_OK;
}
