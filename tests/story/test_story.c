#include "core/memory.h"
#include "story/story.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

enum { MANY = 20000, FEW = 1500, TEXT_BYTES = 4096 };

static StoryProgram program;

static void compile_corpus_grammar(void)
{
    assert_ok(story_compile(&program, &story_grammar));
    ck_assert_uint_lt(program.longest, TEXT_BYTES);
}

static uint64_t sample_size(void)
{
    return test_is_instrumented() ? FEW : MANY;
}

/* ---- the corpus ---- */

static void write_corpus(const char *path, uint64_t seed, uint64_t first, uint64_t count)
{
    FileWriter writer;
    assert_ok(file_create(&writer, path));
    assert_ok(story_corpus_write(&writer, &program, seed, first, count));
    assert_ok(file_commit(&writer));
}

START_TEST(test_story_corpus_of_a_seed_is_always_the_same_and_only_grows)
{
    compile_corpus_grammar();
    const char *names[] = {temp_path("ten"), temp_path("ten_again"), temp_path("forty"), temp_path("other_seed")};
    write_corpus(names[0], 5, 0, 10);
    write_corpus(names[1], 5, 0, 10);
    write_corpus(names[2], 5, 0, 40);
    write_corpus(names[3], 6, 0, 10);
    LoadedFile ten, forty, other;
    assert_ok(file_load(&ten, names[0]));
    assert_ok(file_load(&forty, names[2]));
    assert_ok(file_load(&other, names[3]));
    assert_file_holds(names[1], ten.data, ten.size);
    ck_assert_uint_gt(forty.size, ten.size);
    ck_assert_mem_eq(forty.data, ten.data, ten.size);
    ck_assert(other.size != ten.size || memcmp(other.data, ten.data, ten.size) != 0);

    /* Stories 10 to 39 alone are the rest of the corpus of 40. */
    const char *rest = temp_path("rest");
    write_corpus(rest, 5, 10, 30);
    assert_file_holds(rest, forty.data + ten.size, forty.size - ten.size);
    file_unload(&ten);
    file_unload(&forty);
    file_unload(&other);
    story_program_deinit(&program);
}
END_TEST

START_TEST(test_story_corpus_ends_every_story_with_the_separator_on_its_own_line)
{
    compile_corpus_grammar();
    enum { STORIES = 3 };
    char expected[STORIES * TEXT_BYTES];
    size_t length = 0;
    for (uint64_t i = 0; i < STORIES; i++) {
        length += story_write(expected + length, NULL, &program, 1, i);
        memcpy(expected + length, "\n<|endoftext|>\n", 15);
        length += 15;
    }
    write_corpus(temp_path("three"), 1, 0, STORIES);
    assert_file_holds(temp_path("three"), expected, length);
    write_corpus(temp_path("none"), 1, 0, 0);
    assert_file_holds(temp_path("none"), "", 0);
    story_program_deinit(&program);
}
END_TEST

/* The corpus is larger than one buffer of story_corpus_write(). */
START_TEST(test_story_corpus_has_as_many_stories_as_asked_for)
{
    compile_corpus_grammar();
    const uint64_t asked = 4000;
    const char *path = temp_path("corpus");
    write_corpus(path, 2, 0, asked);
    LoadedFile file;
    assert_ok(file_load(&file, path));
    uint64_t ends = 0;
    for (size_t i = 0; i + 15 <= file.size; i++)
        ends += memcmp(file.data + i, "\n<|endoftext|>\n", 15) == 0;
    ck_assert_uint_eq(ends, asked);
    ck_assert_uint_gt(file.size, 2 << 20);
    file_unload(&file);
    story_program_deinit(&program);
}
END_TEST

/* ---- the stories are correct English ---- */

static const char *find_fault(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        const char c = text[i], before = i ? text[i - 1] : '\n';
        const int in_word = isalnum((unsigned char)c) || (c == '-' && isalnum((unsigned char)before));
        if (!in_word && !strchr(" .,!?:\"\n", c))
            return "a character that stories do not use";
        if (isspace((unsigned char)c) && isspace((unsigned char)before))
            return "two blanks side by side, or one at the start";
        if (strchr(".,!?:", c) && !isalnum((unsigned char)before))
            return "punctuation that follows no word";
        if (i >= 2 && islower((unsigned char)c) && before == ' ' && strchr(".?!", text[i - 2]))
            return "a sentence without a capital";
        if (islower((unsigned char)c) && before == '\n')
            return "a paragraph without a capital";
        if (c == '\n' && !strchr(".!?\"", before))
            return "a paragraph that does not end";
    }
    return strchr(".!?\"", text[length - 1]) ? NULL : "a story that does not end";
}

/* "a" stands before a consonant, "an" before a vowel. Words like "hour", whose first letter misleads, must not occur.
 */
static const char *find_article_fault(const char *text, size_t length)
{
    static const char *const misleading[] = {"hour", "honest", "heir", "one ", "uni", "use", "euro"};
    for (size_t i = 1; i + 4 < length; i++) {
        if (isalnum((unsigned char)text[i - 1]) || tolower((unsigned char)text[i]) != 'a')
            continue;
        const int an = text[i + 1] == 'n' && text[i + 2] == ' ';
        if (!an && text[i + 1] != ' ')
            continue;
        const char *word = text + i + (an ? 3 : 2);
        if (an != (strchr("aeiou", *word) != NULL))
            return "a before a vowel, or an before a consonant";
        for (size_t k = 0; k < sizeof misleading / sizeof *misleading; k++)
            if (strncmp(word, misleading[k], strlen(misleading[k])) == 0)
                return "an article before a word whose first letter misleads";
    }
    return NULL;
}

START_TEST(test_story_is_clean_english)
{
    compile_corpus_grammar();
    char text[TEXT_BYTES];
    for (uint64_t i = 0; i < sample_size(); i++) {
        const size_t length = story_write(text, NULL, &program, 3, i);
        ck_assert_uint_le(length, program.longest);
        text[length] = '\0';
        const char *fault = find_fault(text, length);
        if (!fault)
            fault = find_article_fault(text, length);
        ck_assert_msg(!fault, "%s: %s", fault, text);
        size_t words = 1, quotes = 0;
        for (const char *c = text; *c; c++) {
            words += *c == ' ' || *c == '\n';
            quotes += *c == '"';
        }
        ck_assert_msg(words >= 60 && words <= 190, "%zu words: %s", words, text);
        ck_assert_msg(quotes % 2 == 0, "an odd number of quotation marks: %s", text);
    }
    story_program_deinit(&program);
}
END_TEST

static uint64_t hash_bytes(const char *text, size_t length)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return hash;
}

typedef struct {
    uint64_t hashes[1 << 16];
    size_t count;
} TextSet;

static void text_set_add(TextSet *set, const char *text, size_t length)
{
    const size_t slots = sizeof set->hashes / sizeof *set->hashes;
    const uint64_t hash = hash_bytes(text, length);
    size_t slot = hash % slots;
    while (set->hashes[slot] && set->hashes[slot] != hash)
        slot = (slot + 1) % slots;
    set->count += !set->hashes[slot];
    set->hashes[slot] = hash;
}

START_TEST(test_story_corpus_does_not_repeat_itself)
{
    enum { STORIES = 1500 };
    static TextSet sentences, stories;
    compile_corpus_grammar();
    char text[TEXT_BYTES];
    for (uint64_t i = 0; i < STORIES; i++) {
        const size_t length = story_write(text, NULL, &program, 4, i);
        text_set_add(&stories, text, length);
        for (size_t start = 0, end = 0; end < length; end++) {
            if (!strchr(".!?", text[end]))
                continue;
            text_set_add(&sentences, text + start, end - start);
            start = end + 1;
        }
    }
    ck_assert_uint_eq(stories.count, STORIES);
    ck_assert_uint_ge(sentences.count, 3000);
    story_program_deinit(&program);
}
END_TEST

/* ---- probabilities and derivations ---- */

enum { MAX_RULES = 256, MAX_ALTERNATIVES = 128 };

typedef struct {
    uint64_t visits[MAX_RULES], hits[MAX_RULES][MAX_ALTERNATIVES];
    const StoryDerivation *derivation;
    size_t used;
} Tally;

static void count_choice(Tally *tally, const StoryProgramRule *rule, size_t choice)
{
    const size_t index = (size_t)(rule - program.rules);
    tally->visits[index]++;
    tally->hits[index][choice]++;
}

static void count_template(Tally *tally, const StoryTemplate *template)
{
    for (size_t i = 0; i < template->count; i++) {
        const StoryOp *op = &template->ops[i];
        if (op->kind == STORY_EXPAND) {
            const StoryProgramRule *rule = &program.rules[op->index];
            const size_t choice = tally->derivation->choices[tally->used++];
            count_choice(tally, rule, choice);
            count_template(tally, &rule->templates[choice]);
        } else if (op->kind == STORY_FIELD) {
            count_template(tally, story_field(&program, tally->derivation->values, op));
        }
    }
}

START_TEST(test_story_takes_every_alternative_as_often_as_its_weight_says)
{
    static Tally tally;
    compile_corpus_grammar();
    ck_assert_uint_le(program.num_rules, MAX_RULES);
    char text[TEXT_BYTES];
    StoryDerivation derivation;
    tally.derivation = &derivation;
    for (uint64_t i = 0; i < MANY; i++) {
        story_write(text, &derivation, &program, 8, i);
        tally.used = 1;
        for (size_t v = 0; v < program.num_variables; v++)
            count_choice(&tally, story_source(&program, derivation.values, v), derivation.values[v]);
        count_choice(&tally, program.rules, derivation.choices[0]);
        count_template(&tally, &program.rules->templates[derivation.choices[0]]);
        ck_assert_msg(tally.used == derivation.count, "story %llu: %zu choices are used, %zu were made",
                      (unsigned long long)i, (size_t)tally.used, (size_t)derivation.count);
    }
    for (size_t r = 0; r < program.num_rules; r++) {
        const StoryProgramRule *rule = &program.rules[r];
        ck_assert_uint_le(rule->count, MAX_ALTERNATIVES);
        for (size_t i = 0; i < rule->count; i++) {
            const double n = (double)tally.visits[r], p = exp(rule->log_probabilities[i]);
            const double hits = (double)tally.hits[r][i], sigma = sqrt(n * p * (1 - p));
            ck_assert_msg(hits > 0, "rule %s, alternative %zu was never taken", rule->name, i);
            ck_assert_msg(fabs(hits - n * p) <= 5 * sigma + 1e-6, "rule %s, alternative %zu: %.0f of %.0f, p = %.4f",
                          rule->name, i, hits, n, p);
        }
    }
    story_program_deinit(&program);
}
END_TEST

START_TEST(test_story_has_exactly_one_derivation_and_the_entropy_that_is_printed)
{
    compile_corpus_grammar();
    const StoryExpectation expected = story_expectation(&program);
    const double n = (double)sample_size();
    double nats = 0, nats_squared = 0, bytes = 0, bytes_squared = 0, choices = 0;
    char text[TEXT_BYTES];
    for (uint64_t i = 0; i < sample_size(); i++) {
        StoryDerivation made;
        const size_t length = story_write(text, &made, &program, 9, i);
        const StoryParse parse = story_parse(&program, text, length);
        test_label("story %llu", (unsigned long long)i);
        ck_assert_msg(parse.derivations == 1, "%llu derivations of: %.*s", (unsigned long long)parse.derivations,
                      (int)length, text);
        ck_assert_uint_eq(parse.matched, length);
        ck_assert_uint_eq(parse.derivation.count, made.count);
        ck_assert_mem_eq(parse.derivation.choices, made.choices, made.count * sizeof *made.choices);
        ck_assert_mem_eq(parse.derivation.values, made.values, program.num_variables * sizeof *made.values);
        const double surprise = -parse.log_probability, size = (double)length;
        nats += surprise / n;
        nats_squared += surprise * surprise / n;
        bytes += size / n;
        bytes_squared += size * size / n;
        choices += (double)(made.count + program.num_variables) / n;
    }
    test_label_end();
    const double nats_error = sqrt((nats_squared - nats * nats) / n),
                 bytes_error = sqrt((bytes_squared - bytes * bytes) / n);
    ck_assert_msg(fabs(nats - expected.nats) <= 4 * nats_error, "entropy %.4f, sampled %.4f +- %.4f nats",
                  expected.nats, nats, nats_error);
    ck_assert_msg(fabs(bytes - expected.bytes) <= 4 * bytes_error, "%.3f bytes expected, sampled %.3f +- %.3f",
                  expected.bytes, bytes, bytes_error);
    ck_assert_double_eq_tol(choices, expected.choices, 0.1);
    ck_assert_double_gt(nats_error, 0);
    story_program_deinit(&program);
}
END_TEST

START_TEST(test_story_corpus_log_probability_adds_up_its_stories)
{
    compile_corpus_grammar();
    write_corpus(temp_path("corpus"), 12, 0, 20);
    LoadedFile file;
    assert_ok(file_load(&file, temp_path("corpus")));
    const char *corpus = (const char *)file.data;
    double expected = 0, nats;
    char text[TEXT_BYTES];
    for (uint64_t i = 0; i < 20; i++) {
        assert_ok(story_log_probability(&nats, &program, text, story_write(text, NULL, &program, 12, i)));
        ck_assert_double_lt(nats, -10);
        expected += nats;
    }
    uint64_t stories;
    assert_ok(story_corpus_log_probability(&nats, &stories, &program, corpus, file.size));
    ck_assert_uint_eq(stories, 20);
    ck_assert_double_eq_tol(nats, expected, 1e-9);
    assert_ok(story_corpus_log_probability(&nats, &stories, &program, corpus, 0));
    ck_assert_uint_eq(stories, 0);
    assert_fails(story_corpus_log_probability(&nats, &stories, &program, corpus, file.size - 1), CS336_EFORMAT,
                 "story_corpus_log_probability: no line <|endoftext|> after story 19");
    file_unload(&file);
    story_program_deinit(&program);
}
END_TEST

START_TEST(test_story_log_probability_says_where_a_text_leaves_the_grammar)
{
    compile_corpus_grammar();
    static const char changed[] = "Once upon a time, there was a rude duck.", end[] = "\n<|endoftext|>\n";
    double nats;
    assert_fails(story_log_probability(&nats, &program, changed, strlen(changed)), CS336_EFORMAT,
                 "story_log_probability: no story of this grammar continues with \"rude duck.\" at byte 30");
    ck_assert(isinf(nats) && nats < 0);
    char corpus[TEXT_BYTES];
    size_t length = story_write(corpus, NULL, &program, 1, 0);
    memcpy(corpus + length, end, strlen(end));
    length += strlen(end);
    memcpy(corpus + length, changed, strlen(changed));
    memcpy(corpus + length + strlen(changed), end, strlen(end));
    uint64_t stories;
    assert_fails(
        story_corpus_log_probability(&nats, &stories, &program, corpus, length + strlen(changed) + strlen(end)),
        CS336_EFORMAT, "story_log_probability: no story of this grammar continues with \"rude duck.\" at byte 30");
    story_program_deinit(&program);
}
END_TEST

/* ---- no memory, full disk ---- */

static Status compile_once(void *context)
{
    StoryProgram *compiled = context;
    const Status s = story_compile(compiled, &story_grammar);
    story_program_deinit(compiled);
    return s;
}

static Status write_once(void *context)
{
    FileWriter writer;
    Status s = file_create(&writer, context);
    if (!s)
        s = story_corpus_write(&writer, &program, 1, 0, 2500);
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    return s;
}

START_TEST(test_story_failures_leak_nothing)
{
    StoryProgram compiled;
    assert_allocation_failures_say(compile_once, &compiled, "arena_init: no memory for *[0-9] bytes");
    compile_corpus_grammar();
    char path[TEXT_BYTES], directory[TEXT_BYTES];
    strcpy(path, temp_path("never_whole"));
    strcpy(directory, path);
    *strrchr(directory, '/') = '\0';
    const size_t files = directory_entries(directory);
    assert_allocation_failures_say(write_once, path, "file_create: no memory for the path */never_whole",
                                   "story_corpus_write: no memory for a buffer of 1 MiB");
    ck_assert_uint_eq(directory_entries(directory), files + 1);
    assert_write_failures_are_clean(write_once, path, directory);
    memory_fail_at(1);
    FileWriter writer = {0};
    assert_fails(story_corpus_write(&writer, &program, 1, 0, 1), CS336_ENOMEM,
                 "story_corpus_write: no memory for a buffer of 1 MiB");
    story_program_deinit(&program);
}
END_TEST

const TestCase story_tests[] = {
    TEST(test_story_corpus_of_a_seed_is_always_the_same_and_only_grows, "story"),
    TEST(test_story_corpus_ends_every_story_with_the_separator_on_its_own_line, "story"),
    TEST(test_story_corpus_has_as_many_stories_as_asked_for, "story"),
    TEST(test_story_is_clean_english, "story"),
    TEST(test_story_corpus_does_not_repeat_itself, "story"),
    TEST(test_story_takes_every_alternative_as_often_as_its_weight_says, "story"),
    TEST(test_story_has_exactly_one_derivation_and_the_entropy_that_is_printed, "story"),
    TEST(test_story_corpus_log_probability_adds_up_its_stories, "story"),
    TEST(test_story_log_probability_says_where_a_text_leaves_the_grammar, "story"),
    TEST(test_story_failures_leak_nothing, "story"),
    {0},
};
