#include "tests/support/same_words.h"

#include "tests/support/check.h"

static uint64_t count_of(const WordTable *words, ByteString word)
{
    for (WordCursor cursor = {0}; word_table_next(words, &cursor);)
        if (byte_string_equal(cursor.word, word))
            return cursor.count;
    return 0;
}

void assert_same_words(const WordTable *words, const WordTable *expected)
{
    ck_assert_uint_eq(word_table_size(words), word_table_size(expected));
    for (WordCursor cursor = {0}; word_table_next(expected, &cursor);)
        ck_assert_msg(count_of(words, cursor.word) == cursor.count, "\"%.*s\" counted %zu times, expected %zu",
                      (int)cursor.word.length, (const char *)cursor.word.bytes, (size_t)count_of(words, cursor.word),
                      (size_t)cursor.count);
}
