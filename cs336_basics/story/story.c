#include "story/story.h"

#include "core/memory.h"
#include "core/rng.h"

#include <string.h>

enum { BUFFER_BYTES = 1 << 20 /* text collected before each file_write(), about 1500 stories: few system calls */ };

typedef struct {
    const StoryProgram *program;
    StoryDerivation *derivation;
    Rng rng;
    char *end; /* the next byte to write */
} Generator;

/* Draws an alternative in proportion to its weight. A rule with a single alternative takes no random number. */
static uint16_t draw_alternative(Rng *rng, const StoryProgramRule *rule)
{
    if (rule->count == 1)
        return 0;
    const uint64_t draw = rng_below(rng, rule->cumulative[rule->count - 1]);
    uint16_t i = 0;
    while (draw >= rule->cumulative[i])
        i++;
    return i;
}

static char *append(char *end, const char *text, size_t length)
{
    memcpy(end, text, length);
    return end + length;
}

static void write_template(Generator *g, const StoryTemplate *template);

static void expand_rule(Generator *g, const StoryProgramRule *rule)
{
    const uint16_t choice = draw_alternative(&g->rng, rule);
    g->derivation->choices[g->derivation->count++] = choice;
    write_template(g, &rule->templates[choice]);
}

static void write_template(Generator *g, const StoryTemplate *template)
{
    for (const StoryOp *op = template->ops, *end = op + template->count; op < end; op++) {
        if (op->kind == STORY_TEXT) {
            g->end = append(g->end, op->text, op->length);
        } else if (op->kind == STORY_EXPAND) {
            expand_rule(g, &g->program->rules[op->index]);
        } else {
            const StoryTemplate *field = story_field(g->program, g->derivation->values, op);
            if (op->article) {
                const char *article = story_article(op, field->ops->text);
                g->end = append(g->end, article, strlen(article));
            }
            char *start = g->end;
            write_template(g, field);
            /* The capital of "{A color}" is in the article; that of "{Hero.he}" is in the field. */
            if (op->capital && !op->article)
                *start = story_capital(*start);
        }
    }
}

size_t story_write(char *text, StoryDerivation *derivation, const StoryProgram *program, uint64_t seed, uint64_t index)
{
    StoryDerivation unused;
    Generator g = {.program = program, .rng = rng_stream(seed, index), .end = text};
    g.derivation = derivation ? derivation : &unused;
    g.derivation->count = 0;
    for (size_t i = 0; i < program->num_variables; i++)
        g.derivation->values[i] = draw_alternative(&g.rng, story_source(program, g.derivation->values, i));
    expand_rule(&g, program->rules);
    return (size_t)(g.end - text);
}

Status story_corpus_write(FileWriter *writer, const StoryProgram *program, uint64_t seed, uint64_t first,
                          uint64_t count)
{
    const size_t end_bytes = strlen(STORY_END);
    /* The buffer is written once it holds BUFFER_BYTES, so one story more must fit. */
    char *buffer = memory_allocate(BUFFER_BYTES + program->longest + end_bytes);
    if (!buffer)
        return status_fail(CS336_ENOMEM, "story_corpus_write: no memory for a buffer of %d MiB", BUFFER_BYTES >> 20);
    Status s = CS336_OK;
    size_t used = 0;
    for (uint64_t i = 0; i < count && !s; i++) {
        used += story_write(buffer + used, NULL, program, seed, first + i);
        used = (size_t)(append(buffer + used, STORY_END, end_bytes) - buffer);
        if (used >= BUFFER_BYTES || i + 1 == count) {
            s = file_write(writer, buffer, used);
            used = 0;
        }
    }
    memory_release(buffer);
    return s;
}
