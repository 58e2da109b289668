/* A file of its own: programs that make a tokenizer from a model in memory link without jansson. */
#include "core/memory.h"
#include "tokenizer/encode/tokenizer.h"
#include "tokenizer/files/bpe_files.h"
#include "tokenizer/files/tokenizer_file.h"

Status tokenizer_load(Tokenizer **tokenizer, const char *vocab_path, const char *merges_path,
                      const ByteString *special_tokens, size_t special_count)
{
    BPEModel model;
    *tokenizer = NULL;
    Status s = bpe_model_read(&model, vocab_path, merges_path, special_tokens, special_count);
    if (!s)
        s = tokenizer_create_named(tokenizer, &model, vocab_path, special_tokens, special_count);
    bpe_model_deinit(&model);
    memory_give_back(); /* the files' JSON was larger than the tokenizer */
    return s;
}

Status tokenizer_create_from_file(Tokenizer **tokenizer, const BPEModel *model, const char *path,
                                  const ByteString *named, size_t count)
{
    *tokenizer = NULL;
    ByteString *all = memory_allocate_zeroed(count + model->special_count, sizeof *all);
    if (!all)
        return status_fail(CS336_ENOMEM, "%s: no memory for %zu special tokens", path, model->special_count);
    size_t known = 0;
    for (size_t i = 0; i < model->special_count; i++)
        if (model->specials[i].kind != SPECIAL_UNNAMED)
            all[known++] = bpe_model_special_text(model, i);
    for (size_t i = 0; i < count; i++)
        all[known++] = named[i];
    const Status s = tokenizer_create_named(tokenizer, model, path, all, known);
    memory_release(all);
    return s;
}

Status tokenizer_load_file(Tokenizer **tokenizer, const char *path, int pattern, const ByteString *special_tokens,
                           size_t special_count)
{
    BPEModel model;
    *tokenizer = NULL;
    Status s = tokenizer_file_read(&model, path, pattern, special_tokens, special_count);
    if (!s)
        s = tokenizer_create_from_file(tokenizer, &model, path, special_tokens, special_count);
    bpe_model_deinit(&model);
    memory_give_back(); /* the text of the file was larger than the tokenizer */
    return s;
}
