/*
 * Parsing by trial: the operations of the open templates are matched against the text from left to right, and where a
 * choice was made every alternative is tried. Stories differ early, so wrong ones end within a few bytes. A variable is
 * open until its first field is met; its values are then tried, after those of the variable that it was drawn from.
 */
#include "story/story.h"

#include <math.h>
#include <string.h>

/* What is left to match after the current template: the rest of the one that holds its slot. */
typedef struct Rest {
    const StoryOp *op, *end;
    const struct Rest *next;
} Rest;

typedef struct {
    const StoryProgram *program;
    const char *text, *end, *farthest;
    StoryDerivation path; /* the choices being tried */
    double log_probability;
    bool bound[STORY_MAX_VARIABLES];
    StoryParse *result;
} Parser;

static void match(Parser *parser, Rest rest, const char *at);

static bool matches_text(Parser *parser, const char **at, const char *text, size_t length, bool capital)
{
    const char *p = *at;
    for (size_t i = 0; i < length; i++, p++) {
        const char c = capital && i == 0 && text[0] >= 'a' && text[0] <= 'z' ? (char)(text[0] - 'a' + 'A') : text[i];
        if (p == parser->end || *p != c)
            break;
    }
    if (p > parser->farthest)
        parser->farthest = p;
    const bool all = p == *at + length;
    *at = p;
    return all;
}

static void match_plain_field(Parser *parser, const StoryOp *op, const StoryTemplate *field, Rest rest, const char *at)
{
    const char *text = field->count ? field->ops->text : "";
    const char *article = story_article(op, text);
    if (matches_text(parser, &at, article, strlen(article), false) &&
        matches_text(parser, &at, text, field->count ? field->ops->length : 0, op->capital && !op->article))
        match(parser, rest, at);
}

/* Tries the values of a variable, or first those of the open variable that it comes from; then matches on as before. */
static void try_values(Parser *parser, size_t variable, Rest rest, const char *at)
{
    const StoryProgram *program = parser->program;
    while (program->variables[variable].parent >= 0 && !parser->bound[program->variables[variable].parent])
        variable = (size_t)program->variables[variable].parent;
    const StoryProgramRule *rule = story_source(program, parser->path.values, variable);
    const double before = parser->log_probability;
    parser->bound[variable] = true;
    for (size_t i = 0; i < rule->count; i++) {
        parser->path.values[variable] = (uint16_t)i;
        parser->log_probability = before + rule->log_probabilities[i];
        match(parser, rest, at);
    }
    parser->bound[variable] = false;
    parser->log_probability = before;
}

static void try_alternatives(Parser *parser, const StoryProgramRule *rule, const Rest *rest, const char *at)
{
    const double before = parser->log_probability;
    const size_t place = parser->path.count++;
    for (size_t i = 0; i < rule->count; i++) {
        const StoryTemplate *template = &rule->templates[i];
        parser->path.choices[place] = (uint16_t)i;
        parser->log_probability = before + rule->log_probabilities[i];
        match(parser, (Rest){template->ops, template->ops + template->count, rest}, at);
    }
    parser->path.count = place;
    parser->log_probability = before;
}

/* A story that never mentions a variable could have drawn any value of it: each makes another derivation. */
static void finish(Parser *parser, Rest rest, const char *at)
{
    if (at != parser->end)
        return;
    for (size_t i = 0; i < parser->program->num_variables; i++) {
        if (!parser->bound[i]) {
            try_values(parser, i, rest, at);
            return;
        }
    }
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

static void match(Parser *parser, Rest rest, const char *at)
{
    while (rest.op == rest.end && rest.next)
        rest = *rest.next;
    if (rest.op == rest.end) {
        finish(parser, rest, at);
        return;
    }
    const StoryOp *op = rest.op;
    const Rest after = {op + 1, rest.end, rest.next};
    if (op->kind == STORY_TEXT) {
        if (matches_text(parser, &at, op->text, op->length, false))
            match(parser, after, at);
    } else if (op->kind == STORY_EXPAND) {
        try_alternatives(parser, &parser->program->rules[op->index], &after, at);
    } else if (!parser->bound[op->index]) {
        try_values(parser, op->index, rest, at);
    } else {
        const StoryTemplate *field = story_field(parser->program, parser->path.values, op);
        if (story_template_is_plain(field))
            match_plain_field(parser, op, field, after, at);
        else
            match(parser, (Rest){field->ops, field->ops + field->count, &after}, at);
    }
}

StoryParse story_parse(const StoryProgram *program, const char *text, size_t length)
{
    StoryParse result = {.log_probability = -INFINITY};
    Parser parser = {.program = program, .text = text, .end = text + length, .farthest = text, .result = &result};
    const Rest nothing = {0};
    try_alternatives(&parser, program->rules, &nothing, text);
    result.understood = (size_t)(parser.farthest - text);
    return result;
}

Status story_log_probability(double *nats, const StoryProgram *program, const char *text, size_t length)
{
    const StoryParse parse = story_parse(program, text, length);
    *nats = parse.log_probability;
    if (parse.derivations == 0) {
        const int shown = (int)(length - parse.understood < 24 ? length - parse.understood : 24);
        return status_fail(CS336_EFORMAT, "story_log_probability: no story goes on with \"%.*s\" at byte %zu", shown,
                           text + parse.understood, parse.understood);
    }
    return CS336_OK;
}

static const char *find(const char *text, size_t length, const char *what)
{
    const size_t n = strlen(what);
    for (const char *p = text; (size_t)(p - text) + n <= length; p++) {
        p = memchr(p, what[0], length - (size_t)(p - text) - n + 1);
        if (!p || memcmp(p, what, n) == 0)
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
                               "story_corpus_log_probability: no line " STORY_SEPARATOR " follows story %llu",
                               (unsigned long long)*stories);
        double one;
        const size_t bytes = (size_t)(end - text) - start;
        const Status s = story_log_probability(&one, program, text + start, bytes);
        if (s)
            return s;
        *nats += one;
        ++*stories;
        start += bytes + strlen(STORY_END);
    }
    return CS336_OK;
}
