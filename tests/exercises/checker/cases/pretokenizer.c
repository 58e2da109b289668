/* Pre-tokenization and its mistakes. plain_split() gives the right answer and those of the mistakes. */
#include "tests/adapters.h"
#include "tests/exercises/checker/exercise.h"
#include "tests/support/plain_pretokens.h"
#include "tests/support/random_text.h"

#include <stdio.h>

enum { RANDOM_BYTES = 150 /* of the random text, at least */ };

static const Mistake MISTAKES[] = {
    {PRETOKENS_ASCII_LETTERS_ONLY, "ascii_letters_only", "a pattern that knows only A to Z and a to z as letters"},
    {PRETOKENS_BYTES_FOR_CHARACTERS, "bytes_for_characters",
     "the classes of single bytes, instead of those of the characters that utf8_decode() gives"},
    {PRETOKENS_WITHOUT_CONTRACTIONS, "without_contractions",
     "a pattern without the contractions, `'(?:[sdmt]|ll|ve|re)`"},
    {PRETOKENS_BLANK_APART, "blank_apart",
     "a pattern without the optional blank: a blank is never part of the word behind it"},
    {PRETOKENS_WHITE_SPACE_TAKES_ALL, "white_space_takes_all",
     "a pattern without `\\s+(?!\\S)`: white space does not leave its last character to the next pre-token"},
    {PRETOKENS_SHORTEST_SPECIAL_TOKEN_FIRST, "shortest_special_token_first",
     "taking the shortest special token where several begin, instead of the longest"},
    {PRETOKENS_SPECIAL_TOKENS_ARE_SEEN_AHEAD, "special_tokens_are_seen_ahead",
     "letting the pattern look at the special token behind a segment, instead of ending the text there"},
    {PRETOKENS_SPECIAL_TOKENS_ARE_TEXT, "special_tokens_are_text",
     "splitting special tokens by the pattern, as any other text"},
    {0},
};

/* Special tokens of which one begins with the other. */
static const ByteString ENDS[] = {ATOM("<|e|>"), ATOM("<|e|><|e|>")};

/* What random texts are made of. */
static const ByteString ATOMS[] = {ATOM("<|e|>"), ATOM("<|e"),  ATOM("|>"),       ATOM("a"),        ATOM("It"),
                                   ATOM(" "),     ATOM("  "),   ATOM("\n"),       ATOM("'s"),       ATOM("'ll"),
                                   ATOM("'"),     ATOM("12"),   ATOM("½"),        ATOM("é"),        ATOM("东"),
                                   ATOM("!"),     ATOM("\xFF"), ATOM("\xE4\xB8"), ATOM("\xC2\xA0"), ATOM("\0")};

/* A range's bytes. A range that is not in the text becomes a text that says so. */
static ByteString bytes_of(Trial *t, ByteString text, TextRange range)
{
    enum { MOST = 64 /* bytes of the message */ };
    if (range.begin <= range.end && range.end <= text.length)
        return (ByteString){.bytes = text.bytes + range.begin, .length = range.end - range.begin};
    char *message = trial_memory(t, MOST);
    snprintf(message, MOST, "(%zu to %zu of %zu bytes)", range.begin, range.end, text.length);
    return byte_string(message);
}

static ByteString *strings_of(Trial *t, ByteString text, const TextRange *ranges, size_t count)
{
    ByteString *strings = trial_memory(t, count * sizeof *strings);
    for (size_t i = 0; i < count; i++)
        strings[i] = bytes_of(t, text, ranges[i]);
    return strings;
}

/* Compares the ranges, as the texts that they hold, with those of the answer. */
static void compare(Trial *t, const TextRangeList *ranges, ByteString text, const ByteString *special, size_t count)
{
    TextRange *right = trial_memory(t, text.length * sizeof *right);
    const size_t right_count = plain_split(right, text, special, count, (PretokensMistake)t->mistake);
    trial_strings(t, "pre-tokens", strings_of(t, text, ranges->ranges, ranges->count), ranges->count,
                  strings_of(t, text, right, right_count), right_count);
}

static void split(Trial *t, ByteString bytes, size_t special_count)
{
    const ByteString text = trial_input_text(t, "text", bytes);
    const ByteString *special_tokens = trial_input_strings(t, "special_tokens", ENDS, special_count);
    TextRangeList ranges = {0};
    TRIAL_CALL(t, run_pretokenize(&ranges, text, special_tokens, special_count));
    compare(t, &ranges, text, special_tokens, special_count);
    text_range_list_deinit(&ranges);
}

/* ---- cases ---- */

static void by_hand(Trial *t)
{
    split(t, byte_string("We'll  try 2 cafés  <|e|><|e|>ok"), COUNT(ENDS));
}

static void contractions(Trial *t)
{
    split(t, byte_string("'s I'd we've they're it'l 'll'lll don't 'S she'll!'s"), 0);
}

static void white_space(Trial *t)
{
    split(t, byte_string(" \n a\n\nb \tc\u00A0\u3000d  \r\n"), 0);
}

static void other_scripts(Trial *t)
{
    split(t, byte_string("x² Ⅷ½ ٣é 东京都 naïve\u0301 \U0001F600!? _a_"), 0);
}

static void malformed(Trial *t)
{
    split(t, byte_string("a\xFF \xC3 b\xE2\x82 1\xED\xA0\x80\xC2"), 0);
}

static void adjacent_special_tokens(Trial *t)
{
    split(t, byte_string("<|e|><|e|><|e|> \n<|e|>\n<|e"), COUNT(ENDS));
}

static void empty_text(Trial *t)
{
    split(t, byte_string(""), COUNT(ENDS));
}

static void random_texts(Trial *t)
{
    uint8_t buffer[LONGEST_TEXT];
    Rng rng = rng_seeded(336);
    split(t, random_text_of(&rng, buffer, ATOMS, COUNT(ATOMS), RANDOM_BYTES), COUNT(ENDS));
}

/* Begin and end of each range that is marked as a special token. */
static size_t marked(double *numbers, const TextRange *ranges, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (ranges[i].special) {
            numbers[n++] = (double)ranges[i].begin;
            numbers[n++] = (double)ranges[i].end;
        }
    return n;
}

static void marks(Trial *t)
{
    const ByteString text = trial_input_text(t, "text", byte_string("a<|e|>b <|e|><|e|>"));
    const ByteString *special_tokens = trial_input_strings(t, "special_tokens", ENDS, COUNT(ENDS));
    TextRangeList ranges = {0};
    TRIAL_CALL(t, run_pretokenize(&ranges, text, special_tokens, COUNT(ENDS)));
    TextRange *right = trial_memory(t, text.length * sizeof *right);
    const size_t count = plain_split(right, text, special_tokens, COUNT(ENDS), (PretokensMistake)t->mistake);
    double *yours = trial_memory(t, 2 * ranges.count * sizeof *yours);
    double *answer = trial_memory(t, 2 * count * sizeof *answer);
    trial_list(t, "begin and end of special ranges", yours, marked(yours, ranges.ranges, ranges.count), answer,
               marked(answer, right, count));
    text_range_list_deinit(&ranges);
}

static const Case CASES[] = {
    CASE("a text with two special tokens, of which one begins with the other", by_hand),
    CASE("contractions", contractions),
    CASE("white space: blanks, line ends, a tab, two characters outside ASCII", white_space),
    CASE("letters and numbers of other scripts", other_scripts),
    CASE("malformed UTF-8", malformed),
    CASE("special tokens side by side", adjacent_special_tokens),
    CASE("a text of zero bytes: no range", empty_text),
    CASE("a random text", random_texts),
    CASE("the ranges that are marked as special tokens", marks),
    {0},
};

const Exercise exercise_pretokenizer = {"pretokenizer", .atol = 1e-3, .cases = CASES, .mistakes = MISTAKES,
                                        .unit = "bytes"};
