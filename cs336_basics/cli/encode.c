#include "cli/commands.h"
#include "cli/options.h"
#include "cli/tokenizer_options.h"
#include "cli/work.h"
#include "core/file.h"
#include "data/token_file.h"

enum { CHUNK_BYTES = 1 << 16, IDS_AT_ONCE = 1024, WIDEST_ID = 4 };

typedef struct {
    TokenizerOptions tokenizer;
    const char *input, *output;
} EncodeOptions;

static int parse(EncodeOptions *o, int argc, char **argv)
{
    const Option options[] = {
        TOKENIZER_OPTION_LINES(o->tokenizer),
        OPTION_TEXT("input", &o->input, "FILE", OPTION_REQUIRED, "text; - is standard input"),
        OPTION_TEXT("output", &o->output, "FILE", OPTION_REQUIRED, "ids to write; - is standard output"),
    };
    const OptionTable table = OPTION_TABLE("encode",
                                           "Turns text into token ids: raw little-endian uint16, or uint32 when the "
                                           "vocabulary has more than 65536 tokens.",
                                           options);
    return options_parse(&table, argc, argv);
}

/* Where the encoder's ids go. */
typedef struct {
    FileWriter writer;
    size_t width, count;
} IdFile;

static Status write_ids(void *context, const int32_t *ids, size_t count)
{
    IdFile *file = context;
    uint8_t bytes[IDS_AT_ONCE * WIDEST_ID];
    Status s = CS336_OK;
    for (size_t first = 0; !s && first < count; first += IDS_AT_ONCE) {
        const size_t some = count - first < IDS_AT_ONCE ? count - first : IDS_AT_ONCE;
        for (size_t i = 0; i < some; i++)
            for (size_t k = 0; k < file->width; k++)
                bytes[i * file->width + k] = (uint8_t)((uint32_t)ids[first + i] >> 8 * k);
        s = file_write(&file->writer, bytes, some * file->width);
    }
    file->count += count;
    return s;
}

static Status encode_all(Encoder *encoder, InputStream *input, WorkProgress *progress)
{
    uint8_t chunk[CHUNK_BYTES];
    Status s = CS336_OK;
    for (size_t bytes = 1; !s && bytes > 0;) {
        s = input_read(input, chunk, sizeof chunk, &bytes);
        if (!s)
            s = bytes ? encoder_feed(encoder, chunk, bytes) : encoder_finish(encoder);
        if (!s)
            s = work_check_stop();
        if (!s && work_is_due(progress))
            work_show(progress, "%.1f of %.1f MB", (double)input->taken / 1e6,
                      (double)(input->size ? input->size : input->taken) / 1e6);
    }
    return s;
}

int command_encode(int argc, char **argv)
{
    EncodeOptions o = {0};
    const int done = parse(&o, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    InputStream input = {0};
    IdFile file = {0};
    Tokenizer *tokenizer = NULL;
    Encoder *encoder = NULL;
    work_stop_flag();
    WorkProgress progress = work_begin("encode");
    Status s = tokenizer_options_load(&tokenizer, &o.tokenizer);
    if (!s)
        s = input_open(&input, o.input, NULL);
    if (!s)
        s = command_needs_two_files(o.output, o.input, "the input");
    if (!s)
        s = file_create(&file.writer, o.output);
    if (!s) {
        file.width = token_file_width(tokenizer_vocab_size(tokenizer));
        s = encoder_create(&encoder, tokenizer, write_ids, &file);
    }
    if (!s)
        s = encode_all(encoder, &input, &progress);
    if (!s)
        s = file_commit(&file.writer);
    const double seconds = work_end(&progress);
    if (!s)
        fprintf(work_summary_stream(o.output),
                "%zu bytes, %zu tokens of %zu bytes, %.3f bytes a token, %.2f s (%.1f MB/s)\n", input.taken, file.count,
                file.width, (double)input.taken / (double)file.count, seconds,
                work_megabytes_per_second((double)input.taken, seconds));
    encoder_destroy(encoder);
    file_abandon(&file.writer);
    input_close(&input);
    tokenizer_destroy(tokenizer);
    return s ? command_failed("encode") : EXIT_OK;
}
