#include "story/story.h"

#include "core/memory.h"
#include "core/rng.h"

#include <string.h>

enum { BLOCK_BYTES = 1 << 20 };

typedef struct {
    const StoryProgram *program;
    StoryDerivation *derivation;
    Rng rng;
    char *out;
} Teller;

static uint16_t choose(Rng *rng, const StoryProgramRule *rule)
{
    if (rule->count == 1)
        return 0;
    const uint64_t draw = rng_below(rng, rule->cumulative[rule->count - 1]);
    uint16_t i = 0;
    while (draw >= rule->cumulative[i])
        i++;
    return i;
}

static char *append(char *out, const char *text, size_t length)
{
    memcpy(out, text, length);
    return out + length;
}

static void tell(Teller *teller, const StoryTemplate *template)
{
    for (const StoryOp *op = template->ops, *end = op + template->count; op < end; op++) {
        if (op->kind == STORY_TEXT) {
            teller->out = append(teller->out, op->text, op->length);
        } else if (op->kind == STORY_EXPAND) {
            const StoryProgramRule *rule = &teller->program->rules[op->index];
            const uint16_t choice = choose(&teller->rng, rule);
            teller->derivation->choices[teller->derivation->count++] = choice;
            tell(teller, &rule->templates[choice]);
        } else {
            const StoryTemplate *field = story_field(teller->program, teller->derivation->values, op);
            if (op->article) {
                const char *article = story_article(op, field->ops->text);
                teller->out = append(teller->out, article, strlen(article));
            }
            char *start = teller->out;
            tell(teller, field);
            if (op->capital && !op->article && *start >= 'a' && *start <= 'z')
                *start = (char)(*start - 'a' + 'A');
        }
    }
}

size_t story_write(char *text, StoryDerivation *derivation, const StoryProgram *program, uint64_t seed, uint64_t index)
{
    StoryDerivation own;
    Teller teller = {.program = program, .rng = rng_stream(seed, index), .out = text};
    teller.derivation = derivation ? derivation : &own;
    teller.derivation->count = 0;
    for (size_t i = 0; i < program->num_variables; i++)
        teller.derivation->values[i] = choose(&teller.rng, story_source(program, teller.derivation->values, i));
    const StoryProgramRule *start = program->rules;
    const uint16_t choice = choose(&teller.rng, start);
    teller.derivation->choices[teller.derivation->count++] = choice;
    tell(&teller, &start->templates[choice]);
    return (size_t)(teller.out - text);
}

Status story_corpus_write(FileWriter *writer, const StoryProgram *program, uint64_t seed, uint64_t first,
                          uint64_t count)
{
    const size_t end_bytes = strlen(STORY_END), most = program->longest + end_bytes;
    const size_t capacity = BLOCK_BYTES + most;
    char *block = memory_allocate(capacity);
    if (!block)
        return status_fail(CS336_ENOMEM, "story_corpus_write: no memory for a block of %d MiB", BLOCK_BYTES >> 20);
    Status s = CS336_OK;
    size_t used = 0;
    for (uint64_t i = 0; i < count && !s; i++) {
        used += story_write(block + used, NULL, program, seed, first + i);
        used = (size_t)(append(block + used, STORY_END, end_bytes) - block);
        if (used >= BLOCK_BYTES || i + 1 == count) {
            s = file_write(writer, block, used);
            used = 0;
        }
    }
    memory_release(block);
    return s;
}
