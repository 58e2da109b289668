#include "story/story.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/work.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { STORIES_AT_ONCE = 1 << 12 };

static Status write_stories(const StoryProgram *program, const char *path, uint64_t seed, uint64_t stories)
{
    WorkProgress progress = work_begin("story");
    FileWriter writer;
    work_stop_flag();
    Status s = file_create(&writer, path);
    for (uint64_t done = 0; !s && done < stories;) {
        const uint64_t left = stories - done, count = left < STORIES_AT_ONCE ? left : STORIES_AT_ONCE;
        s = story_corpus_write(&writer, program, seed, done, count);
        done += count;
        if (!s)
            s = work_check_stop();
        if (!s && work_is_due(&progress))
            work_show(&progress, "%" PRIu64 " of %" PRIu64 " stories", done, stories);
    }
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    work_end(&progress);
    return s;
}

static void print_entropy(FILE *stream, const StoryProgram *program)
{
    const StoryExpectation one = story_expectation(program);
    const double bytes = one.bytes + (double)strlen(STORY_END), bits = one.nats / log(2);
    fprintf(stream,
            "entropy per story  %.4f nats = %.4f bits, exact, in %.2f choices\n"
            "bytes per story    %.3f expected, with the separator\n"
            "floor of the loss  %.6f nats per byte = %.6f bits per byte\n",
            one.nats, bits, one.choices, bytes, one.nats / bytes, bits / bytes);
}

int command_story(int argc, char **argv)
{
    size_t stories = 50000;
    int64_t seed = 1;
    const char *output = NULL;
    bool entropy = false;
    const Option options[] = {
        OPTION_SIZE("stories", &stories, "N", 0, "how many"),
        OPTION_INTEGER("seed", &seed, "S", "which corpus; a longer one begins with the shorter one of its seed"),
        OPTION_TEXT("output", &output, "FILE", OPTION_UNSHOWN, "where they go; - is standard output"),
        OPTION_FLAG("entropy", &entropy, "print how much chance there is in a story: the floor of any model's loss"),
    };
    const OptionTable table = OPTION_TABLE("story",
                                           "Writes tiny stories from a probabilistic grammar, each followed by a line "
                                           "with " STORY_SEPARATOR ".",
                                           options);
    const int done = options_parse(&table, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    if (!output && !entropy)
        return options_bad_usage(&table, "--output or --entropy is missing");
    StoryProgram program;
    Status s = story_compile(&program, &story_grammar);
    if (!s && output)
        s = write_stories(&program, output, (uint64_t)seed, stories);
    if (!s && entropy)
        print_entropy(output && strcmp(output, "-") == 0 ? stderr : stdout, &program);
    story_program_deinit(&program);
    return s ? command_failed("story") : EXIT_OK;
}
