/* A file of its own: programs that make a tokenizer from a model in memory link without jansson. */
#include "core/memory.h"
#include "tokenizer/encode/tokenizer.h"
#include "tokenizer/files/bpe_files.h"

Status tokenizer_load(Tokenizer **tokenizer, const char *vocab_path, const char *merges_path,
                      const ByteString *special_tokens, size_t special_count)
{
    BPEModel model;
    *tokenizer = NULL;
    Status s = bpe_model_read(&model, vocab_path, merges_path, special_tokens, special_count);
    if (!s)
        s = tokenizer_create(tokenizer, &model, special_tokens, special_count);
    bpe_model_deinit(&model);
    memory_give_back(); /* the files' JSON was larger than the tokenizer */
    return s;
}
