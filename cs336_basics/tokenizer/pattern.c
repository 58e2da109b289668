#include "tokenizer/pattern.h"

#include <stddef.h>

const char *const pattern_names[] = {"gpt2", "gpt4", NULL};

/* The first text of each pattern is the one that is written. */
static const struct {
    PretokenPattern pattern;
    const char *regex;
} regexes[] = {
    {PATTERN_GPT2, "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"},
    {PATTERN_GPT2, "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"},
    /* Possessive quantifiers and `\s++$` only spare the matcher steps; a single `\s` stands at the end of a run. */
    {PATTERN_GPT2, "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s"},
    {PATTERN_GPT4, "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
                   "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
};
enum { REGEXES = sizeof regexes / sizeof *regexes };

const char *pattern_regex(PretokenPattern pattern)
{
    size_t i = 0;
    while (i + 1 < REGEXES && regexes[i].pattern != pattern)
        i++;
    return regexes[i].regex;
}

int pattern_of_regex(ByteString regex)
{
    for (size_t i = 0; i < REGEXES; i++)
        if (byte_string_equal(byte_string(regexes[i].regex), regex))
            return (int)regexes[i].pattern;
    return PATTERN_UNKNOWN;
}
