/* Reads a rank file; rank_file.c writes one. */
#include "core/memory.h"
#include "tokenizer/files/rank_file.h"
#include "tokenizer/files/rank_merges.h"
#include "tokenizer/files/token_text.h"
#include "tokenizer/files/vocabulary_read.h"

#include <stdio.h>

enum { MOST_HOLES = 1 << 20 /* ids without a token: the table of ids takes 8 bytes for each */ };

/* ---- lines ---- */

/* A text that is read line by line. */
typedef struct {
    ByteString rest;  /* from the next line on */
    size_t number;    /* of the line that was read last */
    ByteString token; /* in base64 */
    size_t rank;
} Lines;

/* Takes the next line that is not empty, without its end. */
static bool next_line(Lines *lines, ByteString *line)
{
    ByteString *rest = &lines->rest;
    while (rest->length) {
        const uint8_t *end = memchr(rest->bytes, '\n', rest->length);
        const size_t length = end ? (size_t)(end - rest->bytes) : rest->length, taken = length + (end != NULL);
        *line = (ByteString){.bytes = rest->bytes, .length = length};
        rest->bytes += taken;
        rest->length -= taken;
        lines->number++;
        if (length && line->bytes[length - 1] == '\r')
            line->length--;
        if (line->length)
            return true;
    }
    return false;
}

/* Splits a line into a token of base64 and a rank. */
static bool split_line(Lines *lines, ByteString line)
{
    const uint8_t *blank = memchr(line.bytes, ' ', line.length);
    const size_t length = blank ? (size_t)(blank - line.bytes) : 0, digits = line.length - length;
    lines->token = (ByteString){.bytes = line.bytes, .length = length};
    lines->rank = 0;
    if (length == 0 || digits < 2 || digits > 11)
        return false;
    for (size_t i = length + 1; i < line.length; i++) {
        if (line.bytes[i] < '0' || line.bytes[i] > '9')
            return false;
        lines->rank = 10 * lines->rank + (line.bytes[i] - (size_t)'0');
    }
    return true;
}

/* Returns the value of a digit of base64, or -1. */
static int base64_value(uint8_t digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}

/* Appends the bytes of a text in base64, with its padding, or sets *right to false. */
static Status append_decoded(ByteList *bytes, ByteString text, bool *right)
{
    Status s = CS336_OK;
    *right = text.length > 0 && text.length % 4 == 0;
    for (size_t i = 0; !s && *right && i < text.length; i += 4) {
        const uint8_t *four = text.bytes + i;
        const size_t padding =
            i + 4 < text.length ? 0 : (size_t)(four[3] == '=') + (size_t)(four[3] == '=' && four[2] == '=');
        unsigned bits = 0;
        for (size_t k = 0; k < 4; k++) {
            const int value = k < 4 - padding ? base64_value(four[k]) : 0;
            *right = *right && value >= 0;
            bits = bits << 6 | (unsigned)(value & 63);
        }
        const uint8_t three[] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8 & 255), (uint8_t)(bits & 255)};
        if (*right)
            s = byte_list_append(bytes, three, 3 - padding);
    }
    return s;
}

bool rank_file_begins(ByteString text)
{
    Lines lines = {.rest = text};
    ByteString line;
    return next_line(&lines, &line) && split_line(&lines, line) && lines.token.length % 4 == 0 &&
           base64_value(*lines.token.bytes) >= 0;
}

/* ---- tokens ---- */

/* Checks the form of all lines, and sets the number of ids. */
static Status count_ranks(ByteString text, const char *path, size_t *tokens, size_t *ids)
{
    Lines lines = {.rest = text};
    ByteString line;
    *tokens = *ids = 0;
    for (; next_line(&lines, &line); (*tokens)++) {
        if (!split_line(&lines, line))
            return status_fail(CS336_EFORMAT, "%s:%zu: expected a token in base64, a blank and a rank", path,
                               lines.number);
        *ids = lines.rank >= *ids ? lines.rank + 1 : *ids;
    }
    if (*ids > *tokens + MOST_HOLES)
        return status_fail(
            CS336_EFORMAT,
            "%s: %zu tokens, and the largest rank is %zu: %zu ranks without a token, expected at most %d", path,
            *tokens, *ids - 1, *ids - *tokens, MOST_HOLES);
    return CS336_OK;
}

static Status read_line(VocabularyReader *reader, const Lines *lines, ByteList *token)
{
    bool right;
    token->length = 0;
    Status s = append_decoded(token, lines->token, &right);
    if (s)
        return s;
    if (!right)
        return status_fail(CS336_EFORMAT, "%s:%zu: \"%s\" is not base64", reader->path, lines->number,
                           token_shown(lines->token).text);
    if (reader->tokens[lines->rank].length)
        return status_fail(CS336_EFORMAT, "%s:%zu: rank %zu comes a second time", reader->path, lines->number,
                           lines->rank);
    return vocabulary_read_token(reader, lines->rank, byte_list_view(token), false);
}

static Status read_tokens(BPEModel *model, ByteString text, const char *path, size_t *tokens)
{
    VocabularyReader reader = {.path = path};
    Lines lines = {.rest = text};
    ByteList token = {0};
    ByteString line;
    size_t ids;
    Status s = count_ranks(text, path, tokens, &ids);
    if (!s)
        s = vocabulary_read_init(&reader, ids);
    while (!s && next_line(&lines, &line)) {
        split_line(&lines, line);
        s = read_line(&reader, &lines, &token);
    }
    if (!s)
        s = vocabulary_read_finish(&reader, model);
    byte_list_deinit(&token);
    vocabulary_read_deinit(&reader);
    return s;
}

/* Adds the merge of each token that has one. */
static Status find_merges(BPEModel *model, RankMerges *ranks, const char *path)
{
    Status s = vocabulary_check_bytes(model, &ranks->index, path);
    for (size_t id = 0; !s && id < model->vocab_size; id++) {
        const ByteString token = bpe_model_token(model, (int32_t)id);
        const int32_t first = token.length ? token_index_find(&ranks->index, token) : (int32_t)id;
        BPEMerge merge;
        if (first != (int32_t)id)
            s = status_fail(CS336_EFORMAT, "%s: token \"%s\" has the ranks %d and %zu", path, token_shown(token).text,
                            (int)first, id);
        else if (token.length > 1 && rank_merges_find(ranks, (int32_t)id, &merge))
            s = bpe_model_add_merge(model, merge);
        else if (token.length > 1)
            model->ignore_merges = true; /* as tiktoken does: only that makes this token */
    }
    return s;
}

/* ---- files of OpenAI ---- */

/* A file is recognised by its number of ranks and by the rank of the token "Hello". */
static const struct {
    const char *name;
    size_t ranks;
    int32_t hello;
    int pattern;
} encodings[] = {
    {"r50k_base", 50256, 15496, PATTERN_GPT2},
    {"p50k_base", 50280, 15496, PATTERN_GPT2},
    {"cl100k_base", 100256, 9906, PATTERN_GPT4},
    {"o200k_base", 199998, 13225, PATTERN_UNKNOWN}, /* GPT-4o's pattern is not built in */
};
enum { ENCODINGS = sizeof encodings / sizeof *encodings };

/* Their special tokens, as tiktoken has them (tiktoken_ext/openai_public.py). */
static const struct {
    size_t ranks; /* of the encoding */
    const char *text;
    int32_t id;
} encoding_specials[] = {
    {50256, "<|endoftext|>", 50256},     {50280, "<|endoftext|>", 50256},    {100256, "<|endoftext|>", 100257},
    {100256, "<|fim_prefix|>", 100258},  {100256, "<|fim_middle|>", 100259}, {100256, "<|fim_suffix|>", 100260},
    {100256, "<|endofprompt|>", 100276}, {199998, "<|endoftext|>", 199999},  {199998, "<|endofprompt|>", 200018},
};

/* Returns the number of an encoding in the list above, or ENCODINGS. */
static size_t recognise(const TokenIndex *index, size_t ranks)
{
    const int32_t hello = token_index_find(index, byte_string("Hello"));
    size_t i = 0;
    while (i < ENCODINGS && (encodings[i].ranks != ranks || encodings[i].hello != hello))
        i++;
    return i;
}

static Status choose_pattern(BPEModel *model, int pattern, size_t encoding, const char *path)
{
    const int own = encoding < ENCODINGS ? encodings[encoding].pattern : pattern;
    if (encoding < ENCODINGS && own == PATTERN_UNKNOWN)
        return status_fail(CS336_EFORMAT, "%s: the pattern of %s is not built in", path, encodings[encoding].name);
    if (pattern != PATTERN_UNKNOWN && pattern != own)
        return status_fail(CS336_EFORMAT, "%s: this is %s, whose pattern is %s, not the %s of --pattern", path,
                           encodings[encoding].name, pattern_names[own], pattern_names[pattern]);
    pattern = own;
    if (pattern == PATTERN_UNKNOWN)
        return status_fail(CS336_EFORMAT,
                           "%s: a rank file does not say how text is split; give --pattern gpt2, or --pattern gpt4 as "
                           "for cl100k_base and Llama 3",
                           path);
    model->pattern = (PretokenPattern)pattern;
    return CS336_OK;
}

/* ---- special tokens ---- */

/* The special tokens of a file get ids that are holes. Their texts become the bytes of these tokens all at once. */
typedef struct {
    BPEModel *model;
    ByteString *texts; /* (vocab_size) by id; no bytes: no special token gets the id */
} Placing;

static Status placing_init(Placing *p, BPEModel *model)
{
    *p = (Placing){.model = model, .texts = memory_allocate_zeroed(model->vocab_size, sizeof *p->texts)};
    return p->texts ? CS336_OK
                    : status_fail(CS336_ENOMEM, "rank_file_read: no memory for %zu tokens", model->vocab_size);
}

static Status place(Placing *p, ByteString text, size_t id, BPESpecialKind kind)
{
    p->texts[id] = text;
    return bpe_model_set_special(p->model, text, (int32_t)id, kind);
}

static Status placing_end(Placing *p, Status s)
{
    if (!s)
        s = bpe_model_replace_tokens(p->model, p->texts);
    memory_release(p->texts);
    return s;
}

/* Adds the special tokens of an encoding that is recognised; those whose id is after the last one make it a hole first.
 */
static Status place_known(BPEModel *model, size_t ranks)
{
    enum { COUNT = sizeof encoding_specials / sizeof *encoding_specials };
    Placing p = {0};
    Status s = CS336_OK;
    for (size_t i = 0; i < COUNT; i++)
        while (!s && encoding_specials[i].ranks == ranks && model->vocab_size <= (size_t)encoding_specials[i].id)
            s = bpe_model_add_token(model, (ByteString){0});
    if (!s)
        s = placing_init(&p, model);
    for (size_t i = 0; !s && i < COUNT; i++)
        if (encoding_specials[i].ranks == ranks)
            s = place(&p, byte_string(encoding_specials[i].text), (size_t)encoding_specials[i].id, SPECIAL_UNNAMED);
    return placing_end(&p, s);
}

/* Names the special tokens that the model knows. */
static void name_known(BPEModel *model, const ByteString *named, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int64_t known = bpe_model_find_special(model, named[i]);
        if (known >= 0)
            model->specials[known].kind = SPECIAL_OWN;
    }
}

/*
 * Gives the named special tokens the ids that the ranks skip, in order. Where there are none left, and in a file that
 * is recognised, they are left to bpe_model_name_specials(), which appends them.
 */
static Status place_named(BPEModel *model, const ByteString *named, size_t count)
{
    TokenIndex index = {0};
    Placing p;
    size_t hole = 0;
    Status s = placing_init(&p, model);
    if (!s)
        s = token_index_init(&index, model);
    for (size_t i = 0; !s && i < count; i++) {
        if (named[i].length == 0 || bpe_model_find_special(model, named[i]) >= 0 ||
            token_index_find(&index, named[i]) >= 0)
            continue;
        while (hole < model->vocab_size && bpe_model_token(model, (int32_t)hole).length)
            hole++;
        if (hole == model->vocab_size)
            break;
        s = place(&p, named[i], hole++, SPECIAL_OWN);
    }
    token_index_deinit(&index);
    return placing_end(&p, s);
}

Status rank_file_read(BPEModel *model, ByteString text, const char *path, int pattern, const ByteString *special_tokens,
                      size_t special_count)
{
    *model = (BPEModel){0};
    RankMerges ranks = {0};
    size_t tokens = 0, encoding = ENCODINGS;
    Status s = read_tokens(model, text, path, &tokens);
    if (!s)
        s = rank_merges_init(&ranks, model, path);
    if (!s) {
        encoding = recognise(&ranks.index, tokens);
        s = choose_pattern(model, pattern, encoding, path);
    }
    if (!s)
        s = find_merges(model, &ranks, path);
    rank_merges_deinit(&ranks);
    if (!s && encoding < ENCODINGS) {
        s = place_known(model, encodings[encoding].ranks);
        name_known(model, special_tokens, special_count);
    } else if (!s && special_count) {
        s = place_named(model, special_tokens, special_count);
    }
    if (s)
        bpe_model_deinit(model);
    return s;
}
