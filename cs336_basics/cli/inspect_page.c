/* The form of cs336 inspect that writes the attention viewer. */
#include "cli/commands.h"
#include "cli/inspect.h"
#include "cli/work.h"
#include "core/plural.h"
#include "core/printable.h"
#include "generate/draw.h"
#include "inspect/attention_page.h"
#include "inspect/attention_weights.h"
#include "inspect/next_tokens.h"
#include "inspect/token_label.h"

#include <stdio.h>
#include <string.h>

enum { NEXT_TOKENS = 10 /* how many of the likeliest next tokens the page shows */ };

Status inspect_page_check(const InspectOptions *o)
{
    const CommandFile files[] = {{.path = o->output, .what = "the output", .written = true},
                                 {.path = o->checkpoint, .what = "the checkpoint"},
                                 TOKENIZER_FILES(o->tokenizer)};
    const Status s = command_files_differ(files, sizeof files / sizeof *files, NULL);
    return s ? s : command_needs_writable(o->output);
}

/* What is computed. The memory is owned by the arena, the labels by their list. */
typedef struct {
    Tensor weights;                         /* (layers, heads, seq, seq) */
    Tensor logits;                          /* (vocab_size) */
    bool *has_token;                        /* (vocab_size) by id: the tokenizer has it */
    SampleCandidate likeliest[NEXT_TOKENS]; /* ids and probabilities */
    NextToken next[NEXT_TOKENS];            /* the same with labels */
    size_t next_count;                      /* entries in use */
    const char **tokens;                    /* (seq) labels */
    ByteList labels;                        /* all labels, each ended by a zero byte */
} Content;

static void take(Content *content, Arena *arena, const TransformerLMConfig *c, size_t seq)
{
    content->weights = arena_tensor(arena, c->num_layers, c->num_heads, seq, seq);
    content->logits = arena_tensor(arena, c->vocab_size);
    content->has_token = arena_take(arena, c->vocab_size * sizeof *content->has_token);
    content->tokens = arena_take(arena, seq * sizeof *content->tokens);
}

/* Allocates the arena: the content, and the scratch of attention_weights() or next_tokens(), whichever is larger. */
static Status allocate(Content *content, Arena *arena, const TransformerLM *lm, size_t seq)
{
    Arena measure = {0};
    const size_t model = attention_weights_scratch(lm, seq), sample = sample_scratch(lm->config.vocab_size);
    take(content, &measure, &lm->config, seq);
    arena_expect(&measure, model > sample ? model : sample);
    Status s = arena_status(&measure);
    if (!s)
        s = arena_init(arena, measure.peak);
    if (!s)
        take(content, arena, &lm->config, seq);
    return s;
}

/* Appends the label of a token, and a zero byte. */
static Status append_label(ByteList *labels, const Tokenizer *tokenizer, int32_t id)
{
    const Status s = token_label(labels, tokenizer_token(tokenizer, id));
    return s ? s : byte_list_append(labels, (const uint8_t[]){0}, 1);
}

/* Makes the labels of the prompt and of the next tokens, in this order. */
static Status make_labels(Content *content, const InspectPrompt *prompt)
{
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < prompt->count; i++)
        s = append_label(&content->labels, prompt->tokenizer, prompt->ids[i]);
    for (size_t i = 0; !s && i < content->next_count; i++)
        s = append_label(&content->labels, prompt->tokenizer, content->likeliest[i].token);
    if (s)
        return s;
    const char *label = (const char *)content->labels.bytes;
    for (size_t i = 0; i < prompt->count; i++, label += strlen(label) + 1)
        content->tokens[i] = label;
    for (size_t i = 0; i < content->next_count; i++, label += strlen(label) + 1)
        content->next[i] = (NextToken){.label = label, .probability = content->likeliest[i].probability};
    return CS336_OK;
}

static Status write_contents(FileWriter *writer, const void *context)
{
    return attention_page_write(writer, context);
}

static Status write_page(const InspectOptions *o, const TrainedModel *model, const InspectPrompt *prompt,
                         const Content *content)
{
    const TransformerLMConfig *c = &model->lm.config;
    char title[512], sizes[256], length[128];
    snprintf(title, sizeof title, "Attention of %s", o->checkpoint);
    snprintf(
        sizes, sizeof sizes,
        "After %zu step%s of training; %zu layer%s of %zu head%s, d_model %zu, vocabulary of %zu token%s, norm %s, "
        "position %s.",
        model->iteration, plural(model->iteration), c->num_layers, plural(c->num_layers), c->num_heads,
        plural(c->num_heads), c->d_model, c->vocab_size, plural(c->vocab_size), norm_names[c->norm],
        position_names[c->position]);
    inspect_prompt_text(length, sizeof length, prompt);
    const AttentionPage page = {.title = title,
                                .lines = (const char *const[]){sizes, length, NULL},
                                .tokens = content->tokens,
                                .weights = content->weights,
                                .next = content->next,
                                .next_count = content->next_count};
    const Status s = work_write_file(o->output, write_contents, &page);
    if (!s) /* to stderr if the page goes to standard output */
        fprintf(work_summary_stream(o->output), "%s: %zu layer%s of %zu head%s. %s\n",
                strcmp(o->output, "-") == 0 ? "standard output" : printable(o->output).text, c->num_layers,
                plural(c->num_layers), c->num_heads, plural(c->num_heads), length);
    return s;
}

Status inspect_page(const InspectOptions *o, const TrainedModel *model)
{
    InspectPrompt prompt;
    Content content = {.next_count = NEXT_TOKENS};
    Arena memory = {0};
    Status s = inspect_encode(&prompt, o, &model->lm.config);
    if (!s)
        s = attention_page_check(model->lm.config.num_layers, model->lm.config.num_heads, prompt.count);
    if (!s)
        s = allocate(&content, &memory, &model->lm, prompt.count);
    if (!s)
        s = attention_weights(content.weights, content.logits, &model->lm, tokens(prompt.ids, prompt.count), &memory);
    if (!s) { /* among the ids that have a token, as cs336 generate draws them */
        tokenizer_find_tokens(content.has_token, model->lm.config.vocab_size, prompt.tokenizer);
        mask_logits(content.logits, content.logits, content.has_token);
        s = next_tokens(content.likeliest, &content.next_count, content.logits, &memory);
    }
    if (s == CS336_ERANGE && content.weights.data) /* a run that diverged leaves weights that are no numbers */
        s = status_fail(s, "%s: %s", o->checkpoint, status_message());
    if (!s)
        s = make_labels(&content, &prompt);
    if (!s)
        s = write_page(o, model, &prompt, &content);
    byte_list_deinit(&content.labels);
    arena_deinit(&memory);
    inspect_prompt_deinit(&prompt);
    return s;
}
