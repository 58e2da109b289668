#include "tokenizer/files/llama2c_tokenizer.h"
#include "core/plural.h"

#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "numbers are used as they are in the file, in little-endian order; this machine is big-endian"
#endif

enum {
    NUMBER_BYTES = 4,      /* of each number */
    BEFORE_TOKEN = 8,      /* bytes of a token's score and length */
    LONGEST = 1 << 20,     /* bytes of a token at most: four letters of a text, read as a number, are far above it */
    LEAST_TOKENS = 3,      /* <unk>, the token before a text, and the token after it */
    BYTE_TOKEN_LENGTH = 6, /* "<0x0A>" */
};

/* Begins each message: nothing in such a file says what it is, so it may be another one. */
#define READ_AS "%s: read as a tokenizer.bin of llama2.c: "

static int32_t number_at(const uint8_t *bytes)
{
    int32_t number;
    memcpy(&number, bytes, sizeof number);
    return number;
}

static int hex_digit(uint8_t character)
{
    static const char digits[] = "0123456789ABCDEF";
    const char *digit = character ? strchr(digits, character) : NULL;
    return digit ? (int)(digit - digits) : -1;
}

/* Sets *byte and returns true if the token is written as "<0x0A>". */
static bool is_byte_token(uint8_t *byte, ByteString token)
{
    if (token.length != BYTE_TOKEN_LENGTH || memcmp(token.bytes, "<0x", 3) != 0 || token.bytes[5] != '>')
        return false;
    const int high = hex_digit(token.bytes[3]), low = hex_digit(token.bytes[4]);
    *byte = (uint8_t)(16 * high + low);
    return high >= 0 && low >= 0;
}

/* Reads the token whose score is at *offset, and moves *offset behind it. */
static Status read_token(BPEModel *model, ByteString file, size_t *offset, int32_t longest, const char *path)
{
    const size_t left = file.length - *offset;
    if (left < BEFORE_TOKEN)
        return status_fail(CS336_EFORMAT,
                           READ_AS
                           "%zu byte%s behind token %zu, expected score, length and bytes of another: cut short",
                           path, left, plural(left), model->vocab_size);
    const int32_t length = number_at(file.bytes + *offset + NUMBER_BYTES);
    if (length < 1 || length > longest)
        return status_fail(CS336_EFORMAT,
                           READ_AS "token %zu has %d byte%s, expected 1 to %d, which is the first number of the file",
                           path, model->vocab_size, (int)length, plural((size_t)length), (int)longest);
    if ((size_t)length > left - BEFORE_TOKEN)
        return status_fail(CS336_EFORMAT, READ_AS "token %zu has %d byte%s, the file has %zu more: cut short", path,
                           model->vocab_size, (int)length, plural((size_t)length), left - BEFORE_TOKEN);
    ByteString token = {.bytes = file.bytes + *offset + BEFORE_TOKEN, .length = (size_t)length};
    *offset += BEFORE_TOKEN + token.length;
    uint8_t byte;
    if (is_byte_token(&byte, token))
        token = (ByteString){.bytes = &byte, .length = 1};
    return bpe_model_add_token(model, token);
}

static Status read_tokens(BPEModel *model, ByteString file, const char *path)
{
    const int32_t longest = file.length < NUMBER_BYTES ? 0 : number_at(file.bytes);
    if (longest < 1 || longest > LONGEST)
        return status_fail(CS336_EFORMAT,
                           READ_AS "it begins with %d, expected the length of its longest token, 1 to %d", path,
                           (int)longest, LONGEST);
    Status s = CS336_OK;
    for (size_t offset = NUMBER_BYTES; !s && offset < file.length;)
        s = read_token(model, file, &offset, longest, path);
    if (!s && model->vocab_size < LEAST_TOKENS)
        s = status_fail(CS336_EFORMAT, READ_AS "%zu token%s, expected at least %d: <unk>, <s> and </s>", path,
                        model->vocab_size, plural(model->vocab_size), LEAST_TOKENS);
    return s;
}

Status llama2c_tokenizer_read(BPEModel *model, ByteString bytes, const char *path)
{
    *model = (BPEModel){.decode_only = true};
    const Status s = read_tokens(model, bytes, path);
    if (s)
        bpe_model_deinit(model);
    return s;
}

bool llama2c_tokenizer_begins(ByteString bytes)
{
    if (bytes.length < 3 * NUMBER_BYTES) /* length of the longest token; score and length of the first */
        return false;
    const int32_t longest = number_at(bytes.bytes), length = number_at(bytes.bytes + 2 * NUMBER_BYTES);
    return longest >= 1 && longest <= LONGEST && length >= 1 && length <= longest;
}
