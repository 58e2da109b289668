#define ZLIB_CONST /* zlib then takes const input */
#include "core/decompress.h"

#include "core/memory.h"
#include "core/plural.h"

#include <limits.h>
#if defined(CS336_HAVE_ZLIB)
#include <zlib.h>
#endif
#if defined(CS336_HAVE_ZSTD)
#include <zstd.h>
#include <zstd_errors.h>
#endif

struct Decompressor {
    const char *path;
    TextForm form;
    bool complete; /* the last byte was the end of a member or frame, so the file may end here */
    size_t length; /* bytes of text so far */
#if defined(CS336_HAVE_ZLIB)
    z_stream zlib;
#endif
#if defined(CS336_HAVE_ZSTD)
    ZSTD_DStream *zstd;
#endif
};

static const char *form_name(TextForm form)
{
    return form == TEXT_GZIP ? "gzip" : "zstd";
}

#if defined(CS336_HAVE_ZLIB) || defined(CS336_HAVE_ZSTD)

static Status no_memory(const Decompressor *d)
{
    return status_fail(CS336_ENOMEM, "%s: no memory to decompress it", d->path);
}

static Status damaged(const Decompressor *d, const char *reason)
{
    return status_fail(CS336_EFORMAT, "%s: is damaged: after %zu byte%s of text, %s: %s", d->path, d->length,
                       plural(d->length), form_name(d->form), reason ? reason : "invalid data");
}

#endif

/* ---- gzip ---- */

#if defined(CS336_HAVE_ZLIB)

static void *allocate_for_zlib(void *unused, unsigned count, unsigned size)
{
    (void)unused;
    return memory_allocate(memory_product(count, size));
}

static void release_for_zlib(void *unused, void *allocation)
{
    (void)unused;
    memory_release(allocation);
}

static Status gzip_begin(Decompressor *d)
{
    enum { GZIP_ONLY = 16 }; /* added to the size of the window: a header of gzip, and no other */
    d->zlib.zalloc = allocate_for_zlib;
    d->zlib.zfree = release_for_zlib;
    return inflateInit2(&d->zlib, MAX_WBITS + GZIP_ONLY) == Z_OK ? CS336_OK : no_memory(d);
}

static Status gzip_run(Decompressor *d, CompressedBytes *input, uint8_t *bytes, size_t capacity, size_t *length)
{
    z_stream *z = &d->zlib;
    /* Behind a member there is another one, the end, or zeros: tapes fill their last record with them. */
    if (d->complete) {
        for (; input->left && *input->next == 0; input->left--)
            input->next++;
        if (!input->left)
            return CS336_OK;
        inflateReset(z);
    }
    z->next_in = input->next;
    z->avail_in = input->left < UINT_MAX ? (unsigned)input->left : UINT_MAX;
    z->next_out = bytes;
    z->avail_out = capacity < UINT_MAX ? (unsigned)capacity : UINT_MAX;
    const int code = inflate(z, Z_NO_FLUSH);
    input->left -= (size_t)(z->next_in - input->next);
    input->next = z->next_in;
    *length = (size_t)(z->next_out - bytes);
    d->complete = code == Z_STREAM_END;
    if (code == Z_MEM_ERROR)
        return no_memory(d);
    /* Z_BUF_ERROR only says that there was nothing to do. */
    return code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR ? CS336_OK : damaged(d, z->msg);
}

static void gzip_end(Decompressor *d)
{
    inflateEnd(&d->zlib);
}

#endif

/* ---- zstd ---- */

#if defined(CS336_HAVE_ZSTD)

static Status zstd_begin(Decompressor *d)
{
    d->zstd = ZSTD_createDStream();
    return d->zstd && !ZSTD_isError(ZSTD_initDStream(d->zstd)) ? CS336_OK : no_memory(d);
}

static Status zstd_run(Decompressor *d, CompressedBytes *input, uint8_t *bytes, size_t capacity, size_t *length)
{
    if (d->complete && !input->left)
        return CS336_OK;
    ZSTD_inBuffer in = {.src = input->next, .size = input->left};
    ZSTD_outBuffer out = {.dst = bytes, .size = capacity};
    const size_t code = ZSTD_decompressStream(d->zstd, &out, &in);
    input->next += in.pos;
    input->left -= in.pos;
    *length = out.pos;
    d->complete = code == 0;
    if (!ZSTD_isError(code))
        return CS336_OK;
    const ZSTD_ErrorCode error = ZSTD_getErrorCode(code);
    if (error == ZSTD_error_memory_allocation)
        return no_memory(d);
    if (error == ZSTD_error_frameParameter_windowTooLarge)
        return status_fail(CS336_EFORMAT,
                           "%s: was compressed with a window of more than 128 MiB, which takes as much memory: zstd "
                           "-dc --long=31 %s | cs336 ... --input -",
                           d->path, text_form_file(d->path));
    return damaged(d, ZSTD_getErrorName(code));
}

static void zstd_end(Decompressor *d)
{
    ZSTD_freeDStream(d->zstd);
}

#endif

/* ---- both ---- */

/* The functions of a form; a form without them has no library in this build. */
typedef struct {
    const char *library, *package;
    Status (*begin)(Decompressor *d);
    Status (*run)(Decompressor *d, CompressedBytes *input, uint8_t *bytes, size_t capacity, size_t *length);
    void (*end)(Decompressor *d); /* frees what begin() made, also if it failed */
} Codec;

static const Codec codecs[] = {
    [TEXT_GZIP] = {.library = "zlib",
                   .package = "zlib1g-dev",
#if defined(CS336_HAVE_ZLIB)
                   .begin = gzip_begin,
                   .run = gzip_run,
                   .end = gzip_end
#endif
    },
    [TEXT_ZSTD] = {.library = "libzstd",
                   .package = "libzstd-dev",
#if defined(CS336_HAVE_ZSTD)
                   .begin = zstd_begin,
                   .run = zstd_run,
                   .end = zstd_end
#endif
    },
};

bool decompressor_exists(TextForm form)
{
    return form == TEXT_PLAIN || (form != TEXT_FOREIGN && codecs[form].begin);
}

Status decompressor_create(Decompressor **decompressor, TextForm form, const char *path)
{
    *decompressor = NULL;
    if (!decompressor_exists(form))
        return status_fail(CS336_EFORMAT,
                           "%s: is compressed with %s, and this build has no %s: install %s and build again, or: %s "
                           "-dc %s | cs336 ... --input -",
                           path, form_name(form), codecs[form].library, codecs[form].package, form_name(form),
                           text_form_file(path));
    Decompressor *d = memory_allocate_zeroed(1, sizeof *d);
    if (!d)
        return status_fail(CS336_ENOMEM, "%s: no memory to decompress it", path);
    d->path = path;
    d->form = form;
    const Status s = codecs[form].begin(d);
    if (s)
        decompressor_destroy(d);
    else
        *decompressor = d;
    return s;
}

Status decompressor_run(Decompressor *d, CompressedBytes *input, uint8_t *bytes, size_t capacity, size_t *length)
{
    Status s = CS336_OK;
    *length = 0;
    do
        s = codecs[d->form].run(d, input, bytes, capacity, length);
    while (!s && *length == 0 && input->left);
    d->length += *length;
    if (!s && *length == 0 && input->ended && !d->complete)
        s = status_fail(CS336_EFORMAT, "%s: is truncated: its %s data breaks off after %zu byte%s of text", d->path,
                        form_name(d->form), d->length, plural(d->length));
    return s;
}

void decompressor_destroy(Decompressor *d)
{
    if (d)
        codecs[d->form].end(d);
    memory_release(d);
}
