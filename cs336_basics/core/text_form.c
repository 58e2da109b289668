#include "core/text_form.h"

#include <string.h>

/* How a format begins, and the command that writes its text to standard output. */
typedef struct {
    TextForm form;
    const char *magic; /* the bytes at `offset` */
    size_t length, offset;
    const char *what;        /* as in "x: is ..." */
    const char *pipe, *rest; /* the command, before and after the name of the file */
    const char *options;     /* of cs336, for the text that the command writes */
    const char *endings;     /* of names of such files, with a blank behind each */
} Format;

#define MAGIC(bytes) .magic = (bytes), .length = sizeof(bytes) - 1

/*
 * No text begins like this. Nearly all formats begin with a control character or with bytes that are no UTF-8; bzip2
 * and tar have ten bytes, and six at offset 257, that do not stand there by chance.
 */
static const Format formats[] = {
    {TEXT_GZIP, MAGIC("\x1F\x8B"), .what = "compressed with gzip", .pipe = "gzip -dc ", .endings = ".gz "},
    {TEXT_ZSTD, MAGIC("\x28\xB5\x2F\xFD"), .what = "compressed with zstd", .pipe = "zstd -dc ", .endings = ".zst "},
    {TEXT_FOREIGN, MAGIC("1AY&SY"), .offset = 4, .what = "compressed with bzip2", .pipe = "bzip2 -dc "},
    {TEXT_FOREIGN, MAGIC("\xFD\x37zXZ\0"), .what = "compressed with xz", .pipe = "xz -dc "},
    {TEXT_FOREIGN, MAGIC("\x04\x22\x4D\x18"), .what = "compressed with lz4", .pipe = "lz4 -dc ", .endings = ".lz4 "},
    {TEXT_FOREIGN, MAGIC("PK\3\4"), .what = "a zip archive", .pipe = "unzip -p ",
     .endings = ".zip .npz .pt .pth .safetensors "},
    {TEXT_FOREIGN, MAGIC("7z\xBC\xAF\x27\x1C"), .what = "a 7z archive", .pipe = "7z x -so "},
    {TEXT_FOREIGN, MAGIC("ustar\0"), .offset = 257, .what = "a tar archive", .pipe = "tar -xOf "},
    {TEXT_FOREIGN, MAGIC("ustar  \0"), .offset = 257, .what = "a tar archive", .pipe = "tar -xOf "},
    {TEXT_FOREIGN, MAGIC("PAR1\x15"), .what = "a Parquet table",
     .pipe = "python3 -c \"import pandas; pandas.read_parquet('",
     .rest = "', columns=['text']).to_json('/dev/stdout', orient='records', lines=True)\"",
     .options = " --text-field text"},
};

/* bzip2's magic has a digit, the size of its blocks, in its middle. */
static bool begins_like_bzip2(const uint8_t *start)
{
    return memcmp(start, "BZh", 3) == 0 && start[3] >= '1' && start[3] <= '9';
}

/* zstd skips frames whose first byte is 0x50 to 0x5F; no frame of text does without one of the other kind. */
static bool is_skippable_frame(const uint8_t *start, size_t length)
{
    return length >= 4 && (start[0] & 0xF0) == 0x50 && memcmp(start + 1, "\x2A\x4D\x18", 3) == 0;
}

/* Returns the format of the first bytes, or NULL for plain text. */
static const Format *find_format(const uint8_t *start, size_t length)
{
    if (is_skippable_frame(start, length))
        return &formats[1];
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const Format *f = &formats[i];
        const bool same = length >= f->offset + f->length && memcmp(start + f->offset, f->magic, f->length) == 0;
        if (same && (f->offset != 4 || begins_like_bzip2(start)))
            return f;
    }
    return NULL;
}

TextForm text_form(const uint8_t *start, size_t length)
{
    const Format *format = find_format(start, length);
    return format ? format->form : TEXT_PLAIN;
}

const char *text_form_file(const char *path)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/+,:@%=-";
    return *path != '-' && path[strspn(path, plain)] == '\0' ? path : "FILE";
}

Status text_form_refuse(const uint8_t *start, size_t length, const char *path)
{
    const Format *f = find_format(start, length);
    if (!f)
        f = &formats[0];
    return status_fail(CS336_EFORMAT, "%s: is %s, expected text: %s%s%s | cs336 ... --input -%s", path, f->what,
                       f->pipe, text_form_file(path), f->rest ? f->rest : "", f->options ? f->options : "");
}

/* True if `path` ends with one of the endings, each of which has a blank behind it. */
static bool ends_as(const char *path, const char *endings)
{
    const size_t length = strlen(path);
    while (endings && *endings) {
        const size_t end = strcspn(endings, " ");
        if (length > end && strncmp(path + length - end, endings, end) == 0)
            return true;
        endings += end + 1;
    }
    return false;
}

bool text_form_is_certain(const uint8_t *start, size_t length, const char *path)
{
    enum { CERTAIN_BYTES = 5 /* of a magic: one file in 2^40 begins so by chance */ };
    const Format *f = find_format(start, length);
    return f && (f->length >= CERTAIN_BYTES || ends_as(path, f->endings));
}

Status text_form_refuse_as(const uint8_t *start, size_t length, const char *path, const char *expected,
                           const char *output)
{
    const Format *f = find_format(start, length);
    if (!f)
        f = &formats[0];
    if (f->options) /* what its command writes needs another one */
        return status_fail(CS336_EFORMAT, "%s: is %s, expected %s", path, f->what, expected);
    return status_fail(CS336_EFORMAT, "%s: is %s, expected %s: %s%s >%s", path, f->what, expected, f->pipe,
                       text_form_file(path), output);
}

Status text_form_check_empty(const char *path)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (formats[i].form != TEXT_FOREIGN && ends_as(path, formats[i].endings))
            return status_fail(CS336_EFORMAT,
                               "%s: is empty, expected data %s, as its name says; a download may have failed", path,
                               formats[i].what);
    return CS336_OK;
}

Status text_form_check_plain(const FileReader *file)
{
    uint8_t start[TEXT_FORM_BYTES];
    const size_t length = file->size < sizeof start ? file->size : sizeof start;
    if (length == 0)
        return text_form_check_empty(file->path);
    const Status s = file_read_at(file, start, length, 0);
    if (s || text_form(start, length) == TEXT_PLAIN)
        return s;
    return text_form_refuse(start, length, file->path);
}
