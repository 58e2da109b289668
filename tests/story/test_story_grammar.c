#include "core/memory.h"
#include "story/story.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MANY = 20000, TEXT_BYTES = 256 };

static StoryProgram program;

/* ---- a grammar small enough to write down all its stories ---- */

static const StoryVariable pet_variables[] = {{"pet", "pets"}, {"sound", "pet.sounds"}, {0, 0}};
static const StoryRule pet_rules[] = {
    STORY_RULE("story", 0, {1, "{A pet} says {sound}{more}"}),
    STORY_RULE("pets", "name sounds likes", {3, "cat|{cat_sounds}|{cat_likes}"}, {1, "owl|{owl_sounds}|its {sound}"}),
    STORY_RULE("cat_sounds", "word", {1, "meow"}, {1, "purr"}),
    STORY_RULE("owl_sounds", "word", {1, "hoo"}),
    STORY_RULE("cat_likes", 0, {2, "milk"}, {1, "to {sound}"}),
    STORY_RULE("more", 0, {1, "."}, {3, " and likes {pet.likes}. {Sound}!"}),
    {.name = NULL},
};
static const StoryGrammar pet_grammar = {pet_variables, {pet_rules}};

static const struct {
    double probability;
    const char *text;
} pet_stories[] = {
    {3. / 4 * 1 / 2 * 1 / 4, "A cat says meow."},
    {3. / 4 * 1 / 2 * 1 / 4, "A cat says purr."},
    {3. / 4 * 1 / 2 * 3 / 4 * 2 / 3, "A cat says meow and likes milk. Meow!"},
    {3. / 4 * 1 / 2 * 3 / 4 * 2 / 3, "A cat says purr and likes milk. Purr!"},
    {3. / 4 * 1 / 2 * 3 / 4 * 1 / 3, "A cat says meow and likes to meow. Meow!"},
    {3. / 4 * 1 / 2 * 3 / 4 * 1 / 3, "A cat says purr and likes to purr. Purr!"},
    {1. / 4 * 1 / 4, "An owl says hoo."},
    {1. / 4 * 3 / 4, "An owl says hoo and likes its hoo. Hoo!"},
};
enum { PET_STORIES = sizeof pet_stories / sizeof *pet_stories };

START_TEST(test_story_expectation_equals_that_of_all_stories_of_a_small_grammar)
{
    assert_ok(story_compile(&program, &pet_grammar));
    double total = 0, nats = 0, bytes = 0;
    size_t longest = 0;
    for (size_t i = 0; i < PET_STORIES; i++) {
        const double p = pet_stories[i].probability;
        const size_t length = strlen(pet_stories[i].text);
        total += p;
        nats -= p * log(p);
        bytes += p * (double)length;
        longest = length > longest ? length : longest;
        double log_probability;
        test_label("story \"%s\"", pet_stories[i].text);
        assert_ok(story_log_probability(&log_probability, &program, pet_stories[i].text, length));
        ck_assert_double_eq_tol(log_probability, log(p), 1e-12);
    }
    test_label_end();
    ck_assert_double_eq_tol(total, 1, 1e-12);
    const StoryExpectation expected = story_expectation(&program);
    ck_assert_double_eq_tol(expected.nats, nats, 1e-12);
    ck_assert_double_eq_tol(expected.bytes, bytes, 1e-12);
    ck_assert_double_eq_tol(expected.choices, 4 + 3. / 4 * 3 / 4, 1e-12);
    ck_assert_uint_ge(program.longest, longest);
    story_program_deinit(&program);
}
END_TEST

START_TEST(test_story_write_makes_all_stories_of_a_small_grammar_with_their_probabilities)
{
    assert_ok(story_compile(&program, &pet_grammar));
    uint64_t hits[PET_STORIES] = {0};
    char text[TEXT_BYTES];
    for (uint64_t n = 0; n < MANY; n++) {
        text[story_write(text, NULL, &program, 1, n)] = '\0';
        size_t i = 0;
        while (i < PET_STORIES && strcmp(text, pet_stories[i].text) != 0)
            i++;
        ck_assert_msg(i < PET_STORIES, "no story of this grammar: %s", text);
        hits[i]++;
    }
    for (size_t i = 0; i < PET_STORIES; i++) {
        const double p = pet_stories[i].probability;
        test_label("story \"%s\"", pet_stories[i].text);
        ck_assert_double_eq_tol((double)hits[i], MANY * p, 5 * sqrt(MANY * p * (1 - p)));
    }
    story_program_deinit(&program);
}
END_TEST

START_TEST(test_story_placeholders_choose_the_article_and_the_capital)
{
    static const StoryVariable variables[] = {{"fruit", "fruits"}, {0, 0}};
    static const char *const names[] = {"apple", "elderberry", "iced pear", "orange", "unripe plum", "yam"};
    const StoryRule rules[] = {
        STORY_RULE("story", 0, {1, "{A fruit}, {a fruit}, {Fruit}, {fruit}"}),
        STORY_RULE("fruits", "name", {1, "apple"}, {1, "elderberry"}, {1, "iced pear"}, {1, "orange"},
                   {1, "unripe plum"}, {1, "yam"}),
        {.name = NULL},
    };
    const StoryGrammar grammar = {variables, {rules}};
    assert_ok(story_compile(&program, &grammar));
    StoryDerivation derivation;
    char text[TEXT_BYTES], expected[TEXT_BYTES];
    for (uint64_t i = 0; i < 100; i++) {
        text[story_write(text, &derivation, &program, 1, i)] = '\0';
        const char *name = names[derivation.values[0]], *n = name[0] == 'y' ? "" : "n";
        snprintf(expected, sizeof expected, "A%s %s, a%s %s, %c%s, %s", n, name, n, name, name[0] - 'a' + 'A', name + 1,
                 name);
        ck_assert_str_eq(text, expected);
    }
    story_program_deinit(&program);
}
END_TEST

START_TEST(test_story_parse_counts_all_derivations_of_an_ambiguous_grammar)
{
    static const StoryVariable variables[] = {{"hidden", "colors"}, {"name", "names"}, {0, 0}};
    const StoryRule rules[] = {
        STORY_RULE("story", 0, {1, "{name}{rest}"}),
        STORY_RULE("rest", 0, {1, "ab"}, {2, "b"}, {1, ""}),
        STORY_RULE("names", "name", {1, "a"}, {3, "aa"}),
        STORY_RULE("colors", "name", {1, "red"}, {1, "blue"}),
        {.name = NULL},
    };
    const StoryGrammar grammar = {variables, {rules}};
    assert_ok(story_compile(&program, &grammar));
    /* Two splits, a + ab and aa + b, times two values of the color, which the story never mentions. */
    const StoryParse parse = story_parse(&program, "aab", 3);
    ck_assert_uint_eq(parse.derivations, 4);
    ck_assert_double_eq_tol(exp(parse.log_probability), 1. / 4 * 1 / 4 + 3. / 4 * 2 / 4, 1e-12);
    const StoryParse none = story_parse(&program, "aabb", 4);
    ck_assert_uint_eq(none.derivations, 0);
    ck_assert_uint_eq(none.matched, 3);
    story_program_deinit(&program);
}
END_TEST

/* ---- grammars that are rejected ---- */

#define END_OF_RULES \
    {                \
        .name = NULL \
    }
#define ONE_RULE(...) STORY_RULE("story", 0, __VA_ARGS__)

START_TEST(test_story_compile_names_the_rule_that_is_wrong)
{
    static const StoryVariable none[] = {{0, 0}}, hero[] = {{"hero", "heroes"}, {0, 0}};
    static const StoryVariable twice[] = {{"hero", "heroes"}, {"friend", "heroes"}, {0, 0}};
    static const StoryVariable child[] = {{"hero", "heroes"}, {"kind", "hero.kind"}, {0, 0}};
    static const StoryVariable late[] = {{"kind", "hero.kind"}, {"hero", "heroes"}, {0, 0}};
#define HEROES STORY_RULE("heroes", "name kind", {1, "Ann|{girls}"}, {1, "Bo|{boys}"})
    const struct {
        const StoryVariable *variables;
        StoryRule rules[5];
        const char *message;
    } cases[] = {
        {none, {END_OF_RULES}, "story_compile: the grammar has no rules, expected at least one"},
        {none, {ONE_RULE({1, "a {b"}), END_OF_RULES}, "story rule story, alternative 0: a { without a }"},
        {none,
         {ONE_RULE({1, "a"}, {0, "b"}), END_OF_RULES},
         "story rule story, alternative 1: weight 0, expected at least 1"},
        {none, {STORY_RULE("story", 0, {0, 0}), END_OF_RULES}, "story rule story: 0 alternatives, expected 1 to 65535"},
        {none,
         {ONE_RULE({1, "{x}"}), END_OF_RULES},
         "story rule story, alternative 0: {x} is neither a variable nor a rule"},
        {none, {ONE_RULE({1, "a|b"}), END_OF_RULES}, "story rule story, alternative 0: it has more than 1 fields"},
        {none,
         {ONE_RULE({1, "{x}"}), STORY_RULE("x", 0, {1, "-{x}"}), END_OF_RULES},
         "story rule x: it contains itself, so its expansion never ends"},
        {none,
         {ONE_RULE({1, "x"}), ONE_RULE({1, "y"}), END_OF_RULES},
         "story rule story: there are two rules of this name"},
        {none, {ONE_RULE({1, "x"}), STORY_RULE("y", 0, {1, "y"}), END_OF_RULES}, "story rule y: no story uses it"},
        {none,
         {STORY_RULE("story", "name", {1, "x"}), END_OF_RULES},
         "story rule story: the first rule is a story and has no fields"},
        {hero, {ONE_RULE({1, "{hero}"}), END_OF_RULES}, "story variable hero: there is no rule heroes"},
        {hero,
         {ONE_RULE({1, "{hero}"}), STORY_RULE("heroes", 0, {1, "Ann"}), END_OF_RULES},
         "story rule heroes: its fields are (), variable hero has (at least one)"},
        {hero,
         {ONE_RULE({1, "{hero}"}), STORY_RULE("heroes", "name he", {1, "Ann"}), END_OF_RULES},
         "story rule heroes, alternative 0: it has fewer than 2 fields"},
        {hero,
         {ONE_RULE({1, "{hero.she}"}), STORY_RULE("heroes", "name he", {1, "Ann|she"}), END_OF_RULES},
         "story placeholder {hero.she}: the fields of hero are (name he)"},
        {hero,
         {ONE_RULE({1, "{heroes}"}), STORY_RULE("heroes", "name", {1, "Ann"}), END_OF_RULES},
         "story rule story: {heroes} has fields and so only draws a variable"},
        {hero,
         {ONE_RULE({1, "{a hero.kind}"}), STORY_RULE("heroes", "name kind", {1, "Ann|"}), END_OF_RULES},
         "story rule story: {a hero.kind} needs a text without placeholders, alternative 0 of heroes has none"},
        {twice,
         {ONE_RULE({1, "{hero}"}), STORY_RULE("heroes", "name", {1, "Ann"}), END_OF_RULES},
         "story rule heroes: drawn by both hero and friend"},
        {child,
         {ONE_RULE({1, "{kind}"}), HEROES, STORY_RULE("girls", "noun", {1, "girl"}),
          STORY_RULE("boys", "word", {1, "boy"}), END_OF_RULES},
         "story rule boys: its fields are (word), variable kind has (noun)"},
        {child,
         {ONE_RULE({1, "{kind}"}), STORY_RULE("heroes", "name kind", {1, "Ann|girl"}), END_OF_RULES},
         "story rule heroes, alternative 0: hero.kind must be the name of one rule in braces"},
        {child,
         {ONE_RULE({1, "{kind}"}), STORY_RULE("heroes", "name sort", {1, "Ann|girl"}), END_OF_RULES},
         "story variable kind: there is no field hero.kind of an earlier variable"},
        {late,
         {ONE_RULE({1, "{kind}"}), STORY_RULE("heroes", "name kind", {1, "Ann|girl"}), END_OF_RULES},
         "story variable kind: there is no field hero.kind of an earlier variable"},
    };
#undef HEROES
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const StoryGrammar grammar = {cases[i].variables, {cases[i].rules}};
        const size_t before = memory_in_use();
        assert_fails(story_compile(&program, &grammar), CS336_EFORMAT, cases[i].message);
        ck_assert_uint_eq(memory_in_use(), before);
    }
}
END_TEST

START_TEST(test_story_compile_refuses_too_many_variables_and_choices)
{
    StoryVariable variables[STORY_MAX_VARIABLES + 2] = {{0, 0}};
    for (size_t i = 0; i <= STORY_MAX_VARIABLES; i++)
        variables[i] = (StoryVariable){"x", "y"};
    const StoryRule none[] = {ONE_RULE({1, "x"}), END_OF_RULES};
    const StoryGrammar crowded = {variables, {none}};
    assert_fails(story_compile(&program, &crowded), CS336_EFORMAT,
                 "story_compile: too many variables, expected at most 16");

    const StoryRule rules[] = {
        ONE_RULE({1, "{ten}{ten}{ten}{ten}{ten}{ten}{ten}{ten}{ten}{ten}{ten}{ten}"}),
        STORY_RULE("ten", 0, {1, "{x}{x}{x}{x}{x}{x}{x}{x}{x}{x}"}),
        STORY_RULE("x", 0, {1, "x"}),
        END_OF_RULES,
    };
    const StoryGrammar deep = {variables + STORY_MAX_VARIABLES + 1, {rules}};
    assert_fails(story_compile(&program, &deep), CS336_EFORMAT,
                 "story_compile: a story may need 133 choices, expected at most 128");
}
END_TEST

const TestCase story_grammar_tests[] = {
    TEST(test_story_expectation_equals_that_of_all_stories_of_a_small_grammar, "story"),
    TEST(test_story_write_makes_all_stories_of_a_small_grammar_with_their_probabilities, "story"),
    TEST(test_story_placeholders_choose_the_article_and_the_capital, "story"),
    TEST(test_story_parse_counts_all_derivations_of_an_ambiguous_grammar, "story"),
    TEST(test_story_compile_names_the_rule_that_is_wrong, "story"),
    TEST(test_story_compile_refuses_too_many_variables_and_choices, "story"),
    {0},
};
