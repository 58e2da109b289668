#include "core/weight_form.h"

#include "core/plural.h"
#include "core/text_form.h"

#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "numbers are used as they are in the file, in little-endian order; this machine is big-endian"
#endif

enum { BRACE = 8 /* the byte of a safetensors file at which its header begins */ };

/* ---- llama2.c ---- */

bool weight_form_is_llama2c(const uint8_t *start, size_t length)
{
    enum { DIM, HIDDEN_DIM, LAYERS, HEADS, KEY_VALUE_HEADS, VOCAB_SIZE, SEQ_LEN, NUMBERS };
    enum { MAX_LAYERS = 1 << 24 /* four characters of a text, as a number, are more */ };
    int32_t h[NUMBERS];
    if (length < sizeof h)
        return false;
    memcpy(h, start, sizeof h);
    if (h[DIM] == LLAMA2C_LATER_VERSIONS)
        return true;
    for (int i = 0; i < NUMBERS; i++)
        if (i == VOCAB_SIZE ? h[i] == 0 || h[i] == INT32_MIN : h[i] <= 0)
            return false;
    return h[LAYERS] <= MAX_LAYERS && h[DIM] % h[HEADS] == 0 && h[HEADS] % h[KEY_VALUE_HEADS] == 0;
}

/* True for tokenizer.bin: the length of the longest token, and the score 0 and the length of the first one. */
static bool is_llama2c_tokenizer(const uint8_t *start, size_t length)
{
    enum { LONGEST = 1024 };
    int32_t h[3];
    if (length < sizeof h)
        return false;
    memcpy(h, start, sizeof h);
    return h[0] >= 1 && h[0] <= LONGEST && h[1] == 0 && h[2] >= 1 && h[2] <= h[0];
}

/* ---- all forms ---- */

#define TO_SAFETENSORS                                          \
    ", expected safetensors, which Python writes of its state " \
    "dict: safetensors.torch.save_file(torch.load(FILE, weights_only=True), \"weights.safetensors\")"

/* Formats that begin with bytes of their own. */
static const struct {
    const char *magic;
    size_t length;
    const char *message; /* behind the path and ": is " */
} formats[] = {
#define MAGIC(bytes) bytes, sizeof(bytes) - 1
    {MAGIC("PK\3\4"), "a file of torch.save()" TO_SAFETENSORS},
    {MAGIC("GGUF"), "a GGUF file, which llama.cpp reads, expected safetensors: give the model that it was made of"},
    {MAGIC("\x89HDF\r\n\x1A\n"), "an HDF5 file, expected safetensors"},
    {MAGIC("\x93NUMPY"), "an .npy file, expected safetensors"},
    {MAGIC("{"), "JSON, expected safetensors"},
};

/*
 * True for a pickle, as torch.save() wrote before PyTorch 1.6. It begins with 0x80 and its protocol. That may also be
 * the length of a safetensors header, but then the header's brace follows.
 */
static bool is_pickle(const uint8_t *start, size_t length)
{
    enum { PICKLE = 0x80, FIRST_PROTOCOL = 2, LAST_PROTOCOL = 5 };
    return length >= 2 && start[0] == PICKLE && start[1] >= FIRST_PROTOCOL && start[1] <= LAST_PROTOCOL &&
           (length <= BRACE || start[BRACE] != '{');
}

/* Refuses what is no safetensors file, by the name of its format if that is known. */
static Status refuse(const uint8_t *start, size_t length, const FileReader *file)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (length >= formats[i].length && memcmp(start, formats[i].magic, formats[i].length) == 0)
            return status_fail(CS336_EFORMAT, "%s: is %s", file->path, formats[i].message);
    if (is_pickle(start, length))
        return status_fail(CS336_EFORMAT,
                           "%s: is a pickle, such as torch.save() wrote before PyTorch 1.6" TO_SAFETENSORS, file->path);
    if (text_form(start, length) != TEXT_PLAIN)
        return text_form_refuse_as(start, length, file->path, "safetensors", "weights.safetensors");
    if (weight_form_is_llama2c(start, length))
        return status_fail(CS336_EFORMAT,
                           "%s: is a model of llama2.c, expected safetensors: cs336 import %s --output "
                           "checkpoint.safetensors makes a checkpoint of it",
                           file->path, text_form_file(file->path));
    if (is_llama2c_tokenizer(start, length))
        return status_fail(CS336_EFORMAT, "%s: is a tokenizer of llama2.c, expected the weights of a model",
                           file->path);
    if (file->size < BRACE)
        return status_fail(CS336_EFORMAT, "%s: the file has %zu byte%s, expected at least %d", file->path, file->size,
                           plural(file->size), BRACE);
    return status_fail(CS336_EFORMAT,
                       "%s: not a safetensors file, which begins with the length of its header in 8 bytes and with "
                       "\"{\"",
                       file->path);
}

Status weight_form_check(const FileReader *file)
{
    uint8_t start[WEIGHT_FORM_BYTES] = {0};
    const size_t length = file->size < sizeof start ? file->size : sizeof start;
    const Status s = file_read_at(file, start, length, 0);
    if (s)
        return s;
    uint64_t header;
    memcpy(&header, start, sizeof header);
    return length > BRACE && header <= WEIGHT_FORM_MAX_HEADER && start[BRACE] == '{' ? CS336_OK
                                                                                     : refuse(start, length, file);
}
