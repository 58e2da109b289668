/* Where two stories part, and by how much their logits differ. */
#include "generate/decode.h"
#include "tests/exercises/story/calls.h"
#include "tests/exercises/story/story.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/*
 * The window of the decoder after the prompt and the first `count` tokens of the story, and its logits at each
 * position. The learner's generate() is not needed for that, so the result does not depend on it.
 */
static Status compute_window(Decoder *decoder, const TransformerLM *lm, const Text *text, const Story *story,
                             size_t count)
{
    TokenList ids = {0};
    Status s = token_list_append(&ids, text->prompt.ids, text->prompt.count);
    if (!s)
        s = token_list_append(&ids, story->ids.ids, count);
    if (!s)
        s = decoder_init(decoder, lm, false);
    if (!s)
        s = decoder_feed(decoder, ids.ids, ids.count);
    token_list_deinit(&ids);
    return s;
}

/* Returns the largest difference of two rows of logits, and the token that has it. NaN counts as infinite. */
static double largest_difference(size_t *token, const float *a, const float *b, size_t n)
{
    double largest = -1;
    for (size_t i = 0; i < n; i++) {
        double difference = fabs((double)a[i] - (double)b[i]);
        if (isnan(difference))
            difference = INFINITY;
        if (difference > largest) {
            largest = difference;
            *token = i;
        }
    }
    return largest;
}

/*
 * Returns the largest difference over all positions of the window whose tokens had the same window before them when the
 * reference chose a token there. After the window has moved, these are the positions of its second half.
 */
static double window_difference(const Decoder *decoder, const Story *reference, size_t prompt, size_t count)
{
    const size_t capacity = decoder->lm->config.context_length, last = decoder->length - 1;
    const size_t first = prompt + count > capacity ? capacity / 2 : prompt - 1;
    double largest = 0;
    for (size_t i = 0; i + first <= last && i <= count; i++) {
        size_t token;
        const float *row = decoder->all_logits.data + (last - i) * reference->vocab_size;
        largest = fmax(largest, largest_difference(&token, row, reference->logits + (count - i) * reference->vocab_size,
                                                   reference->vocab_size));
    }
    return largest;
}

/* Prints the text from a byte on, in quotes, at most 60 bytes of it, with blanks for line ends. */
static void print_excerpt(const char *label, const ByteList *bytes, size_t start, bool ended)
{
    printf("  %-14s \"", label);
    size_t i = start;
    for (; i < bytes->length && i < start + 60; i++)
        putchar(bytes->bytes[i] == '\n' ? ' ' : bytes->bytes[i]);
    printf("%s\"%s\n", i < bytes->length ? "..." : "", i == bytes->length && ended ? " and ends" : "");
}

static Status print_parting(const Story *yours, const Story *reference, const Text *text, size_t common)
{
    ByteList mine = {0}, theirs = {0}, same = {0};
    Status s = tokenizer_decode(text->tokenizer, &mine, yours->ids.ids, yours->ids.count);
    if (!s)
        s = tokenizer_decode(text->tokenizer, &theirs, reference->ids.ids, reference->ids.count);
    if (!s)
        s = tokenizer_decode(text->tokenizer, &same, reference->ids.ids, common);
    if (!s) {
        /* Both texts may go on equally for some bytes, in tokens that differ; then back to the beginning of the word.
         */
        size_t byte = same.length;
        while (byte < mine.length && byte < theirs.length && mine.bytes[byte] == theirs.bytes[byte])
            byte++;
        size_t words = 1;
        while (byte > 0 && mine.bytes[byte - 1] != ' ' && mine.bytes[byte - 1] != '\n')
            byte--;
        for (size_t i = 1; i < byte; i++)
            words += mine.bytes[i] == ' ' || mine.bytes[i] == '\n';
        printf("The stories part at word %zu after the prompt, in token %zu:\n", words, common + 1);
        print_excerpt("yours", &mine, byte, yours->ended);
        print_excerpt("the reference's", &theirs, byte, reference->ended);
    }
    byte_list_deinit(&mine);
    byte_list_deinit(&theirs);
    byte_list_deinit(&same);
    return s;
}

Status stories_compare(const Story *yours, const Story *reference, const TransformerLM *lm, const Text *text)
{
    size_t common = 0;
    while (common < yours->ids.count && common < reference->ids.count &&
           yours->ids.ids[common] == reference->ids.ids[common])
        common++;
    const bool equal = common == yours->ids.count && common == reference->ids.count && yours->ended == reference->ended;

    /* The logits from which a token was chosen: the first token that differs, or the last one if the stories are equal.
     */
    const size_t at = common < reference->rows ? common : reference->rows - 1;
    Decoder decoder = {0};
    size_t token = 0;
    Status s = CS336_OK;
    if (!equal)
        s = print_parting(yours, reference, text, common);
    if (!s)
        s = compute_window(&decoder, lm, text, reference, at);
    if (!s && equal) {
        const double difference = window_difference(&decoder, reference, text->prompt.count, at);
        printf("Both stories are equal: %zu tokens, and the logits differ by at most %.1e.\n", common, difference);
        if (difference > 0.01)
            printf("Rounding alone makes a difference below 1e-4: your functions give the tokens other probabilities,\n"
                   "which did not change a word here.\n");
    } else if (!s) {
        const float *own = decoder.logits.data, *right = reference->logits + at * reference->vocab_size;
        const double difference = largest_difference(&token, own, right, reference->vocab_size);
        const ByteString bytes = tokenizer_token(text->tokenizer, (int32_t)token);
        printf("There the logits differ by up to %.2g: that of \"%.*s\" is %.2f, the reference's is %.2f.\n",
               difference, (int)bytes.length, (const char *)bytes.bytes, (double)own[token], (double)right[token]);
        if (difference < 1e-3)
            printf(
                "The logits agree, so decoding chose another token. At random (SEED), another order of the candidates "
                "is right too.\n");
    }
    decoder_deinit(&decoder);
    return s;
}
