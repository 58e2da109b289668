#include "cli/tokenizer_options.h"

#include "cli/commands.h"
#include "core/memory.h"
#include "core/printable.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/files/bpe_files.h"
#include "tokenizer/files/token_text.h"
#include "tokenizer/files/tokenizer_file.h"

#include <stdio.h>
#include <string.h>

/* ---- which files ---- */

const char *const tokenizer_pattern_choices[] = {"file", "gpt2", "gpt4", NULL};

/* Returns the PretokenPattern that was asked for, or PATTERN_UNKNOWN. */
static int asked_pattern(const TokenizerOptions *options)
{
    return options->pattern - 1; /* "file" comes first */
}

bool tokenizer_options_given(const TokenizerOptions *options)
{
    return options->file || options->vocab || options->merges || options->special.count || options->pattern;
}

const char *tokenizer_options_path(const TokenizerOptions *options)
{
    return options->file ? options->file : options->vocab;
}

int tokenizer_options_check(const OptionTable *table, const TokenizerOptions *options)
{
    if (options->file && (options->vocab || options->merges))
        return options_bad_usage(table, "--tokenizer FILE is a whole tokenizer; leave out --vocab and --merges");
    if (!options->file && !options->vocab && !options->merges)
        return options_bad_usage(table, "--tokenizer FILE is missing (or --vocab FILE and --merges FILE)");
    if (!options->file && !options->vocab)
        return options_bad_usage(table, "--vocab FILE is missing");
    if (!options->file && !options->merges)
        return options_bad_usage(table, "--merges FILE is missing");
    return OPTIONS_PARSED;
}

size_t texts_as_byte_strings(ByteString *strings, const TextList *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        strings[i] = byte_string(texts->items[i]);
    return texts->count;
}

/* ---- notes ---- */

/* Prints what was chosen for a special token that was named. */
static void note_choice(const BPEModel *model, size_t index, const char *path)
{
    const BPESpecial special = model->specials[index];
    const ByteString text = bpe_model_special_text(model, index), entry = bpe_model_token(model, special.id);
    if (special.kind == SPECIAL_SHARED)
        fprintf(stderr,
                "note: %s: special token \"%s\" is written like token \"%s\": both have id %d, and decoding gives "
                "\"%s\"\n",
                printable(path).text, token_shown(text).text, token_shown(entry).text, (int)special.id,
                token_shown(entry).text);
    else
        fprintf(stderr,
                "note: %s: special token \"%s\" has no entry as it stands and gets id %d of the token with the same "
                "bytes; Hugging Face's libraries would add a token\n",
                printable(path).text, token_shown(text).text, (int)special.id);
}

/* True if the alphabet writes a byte otherwise than it is, so that a token has two forms. */
static bool has_two_forms(ByteString text)
{
    for (size_t i = 0; i < text.length; i++)
        if (text.bytes[i] >= 0x80 || byte_alphabet_character(text.bytes[i]) != text.bytes[i])
            return true;
    return false;
}

void tokenizer_options_notes(const BPEModel *model, const char *path)
{
    const char *left_out;
    for (size_t i = 0; (left_out = bpe_model_note(model, i)) != NULL; i++)
        fprintf(stderr, "note: %s: %s\n", printable(path).text, left_out);
    size_t unnamed = 0, first = 0;
    for (size_t i = model->special_count; i-- > 0;)
        if (model->specials[i].kind == SPECIAL_UNNAMED) {
            unnamed++;
            first = i;
        }
    for (size_t i = 0; i < model->special_count; i++) {
        const BPESpecialKind kind = model->specials[i].kind;
        if (kind == SPECIAL_SHARED || (kind == SPECIAL_AS_BYTES && has_two_forms(bpe_model_special_text(model, i))))
            note_choice(model, i, path);
    }
    if (unnamed == 0)
        return;
    fprintf(stderr, "note: %s: token %d \"%s\" ", printable(path).text, (int)model->specials[first].id,
            token_shown(bpe_model_special_text(model, first)).text);
    if (unnamed > 1)
        fprintf(stderr,
                "and %zu more are special tokens; no text is encoded as them unless --special-token names them\n",
                unnamed - 1);
    else
        fprintf(stderr, "is a special token; no text is encoded as it unless --special-token names it\n");
}

/* ---- loading ---- */

static Status check_files(const TokenizerOptions *options)
{
    static const char maker[] = "cs336 train-bpe";
    if (options->file)
        return command_needs_file(options->file, maker);
    const Status s = command_needs_file(options->vocab, maker);
    return s ? s : command_needs_file(options->merges, maker);
}

Status tokenizer_options_read(BPEModel *model, const TokenizerOptions *options)
{
    ByteString special[OPTION_MAX_TEXTS];
    const size_t count = texts_as_byte_strings(special, &options->special);
    const int pattern = asked_pattern(options);
    *model = (BPEModel){0};
    Status s = check_files(options);
    if (s)
        return s;
    if (options->file)
        return tokenizer_file_read(model, options->file, pattern, special, count);
    s = bpe_model_read(model, options->vocab, options->merges, special, count);
    if (!s && pattern != PATTERN_UNKNOWN)
        model->pattern = (PretokenPattern)pattern;
    return s;
}

Status tokenizer_options_load(Tokenizer **tokenizer, const TokenizerOptions *options)
{
    ByteString special[OPTION_MAX_TEXTS];
    const size_t count = texts_as_byte_strings(special, &options->special);
    BPEModel model;
    *tokenizer = NULL;
    Status s = tokenizer_options_read(&model, options);
    if (!s)
        s = tokenizer_create_from_file(tokenizer, &model, tokenizer_options_path(options), special, count);
    bpe_model_deinit(&model);
    memory_give_back(); /* the text of the files was larger than the tokenizer */
    return s;
}

Status tokenizer_options_encode(const BPEModel *model, const TokenizerOptions *options, const char *instead)
{
    if (!model->decode_only)
        return CS336_OK;
    return status_fail(CS336_ERANGE,
                       "%s: a tokenizer of llama2.c, which can decode but not encode: it has SentencePiece's scores in "
                       "place of merges; %s",
                       tokenizer_options_path(options), instead);
}

bool tokenizer_options_lack_end(const Tokenizer *tokenizer)
{
    const ByteString end = byte_string(TOKENIZER_DOCUMENT_END);
    if (tokenizer->model.decode_only || special_tokens_contain(&tokenizer->special, end))
        return false;
    return tokenizer_find(tokenizer, end) >= 0;
}

Status tokenizer_options_load_for(Tokenizer **tokenizer, const TokenizerOptions *options)
{
    TokenizerOptions with_end = *options;
    const Status s = tokenizer_options_load(tokenizer, options);
    if (s || !tokenizer_options_lack_end(*tokenizer) || with_end.special.count == OPTION_MAX_TEXTS)
        return s;
    tokenizer_destroy(*tokenizer);
    with_end.special.items[with_end.special.count++] = TOKENIZER_DOCUMENT_END;
    return tokenizer_options_load(tokenizer, &with_end);
}

Status tokenizer_options_fit(const Tokenizer *tokenizer, const TokenizerOptions *options, size_t vocab_size,
                             const char *checkpoint)
{
    const size_t tokens = tokenizer_vocab_size(tokenizer);
    if (tokens <= vocab_size)
        return CS336_OK;
    /* Special tokens that the vocabulary lacks get ids too, so the message counts them apart from those of the file. */
    Tokenizer *file;
    TokenizerOptions without_special = *options;
    without_special.special.count = 0;
    const Status s = tokenizer_options_load(&file, &without_special);
    if (s)
        return s;
    const size_t in_file = tokenizer_vocab_size(file);
    tokenizer_destroy(file);
    if (tokens == in_file)
        return status_fail(CS336_EFORMAT, "%s: %zu tokens, expected at most %zu as in %s",
                           tokenizer_options_path(options), tokens, vocab_size, checkpoint);
    return status_fail(CS336_EFORMAT, "%s: %zu tokens and %zu of --special-token, expected at most %zu as in %s",
                       tokenizer_options_path(options), in_file, tokens - in_file, vocab_size, checkpoint);
}
