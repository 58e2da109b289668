#include "story/story.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/work.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { STORIES_AT_ONCE = 1 << 12 /* between two looks at the stop flag; they take a few milliseconds */ };

static Status write_stories(const StoryProgram *program, const char *path, uint64_t seed, uint64_t stories)
{
    WorkProgress progress = work_begin("story");
    FileWriter writer;
    work_stop_flag();
    Status s = file_create(&writer, path);
    for (uint64_t done = 0; !s && done < stories;) {
        const uint64_t remaining = stories - done;
        const uint64_t count = remaining < STORIES_AT_ONCE ? remaining : STORIES_AT_ONCE;
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
    const StoryExpectation story = story_expectation(program);
    const double bytes = story.bytes + (double)strlen(STORY_END), bits = story.nats / log(2);
    fprintf(stream,
            "entropy per story  %.4f nats = %.4f bits, exact, in %.2f choices\n"
            "bytes per story    %.3f expected, with the separator\n"
            "floor of the loss  %.6f nats per byte = %.6f bits per byte\n",
            story.nats, bits, story.choices, bytes, story.nats / bytes, bits / bytes);
}

int command_story(int argc, char **argv)
{
    size_t stories = 50000;
    int64_t seed = 1;
    const char *output = NULL;
    bool entropy = false;
    const Option options[] = {
        OPTION_SIZE("stories", &stories, "N", 0, "number of stories"),
        OPTION_INTEGER("seed", &seed, "S",
                       "number of the corpus; a longer corpus begins with the shorter one of the same seed"),
        OPTION_TEXT("output", &output, "FILE", OPTION_UNSHOWN, "text file to write; - is standard output"),
        OPTION_FLAG("entropy", &entropy, "print the exact entropy of a story, the floor of any model's loss"),
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
    /* Write the corpus, then the entropy: to stderr if the corpus goes to standard output. */
    StoryProgram program;
    Status s = story_compile(&program, &story_grammar);
    if (!s && output)
        s = write_stories(&program, output, (uint64_t)seed, stories);
    if (!s && entropy)
        print_entropy(output ? work_summary_stream(output) : stdout, &program);
    story_program_deinit(&program);
    return s ? command_failed("story") : EXIT_OK;
}
