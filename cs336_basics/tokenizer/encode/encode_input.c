#include "tokenizer/encode/encode_input.h"

Status encode_input(const Tokenizer *tokenizer, const InputText *text, TokenSink *sink, void *context,
                    const EncodeConfig *config)
{
    return text->is_plain ? encode_file(tokenizer, text->path, sink, context, config)
                          : encode_stream(tokenizer, &text->stream, sink, context, config);
}
