/*
 * make story: a model writes a story through the learner's functions.
 * usage: reference|yours tell|train DIRECTORY PROMPT MAX_TOKENS SEED STEPS MINUTES
 */
#include "core/parallel.h"
#include "tests/exercises/story/calls.h"
#include "tests/exercises/story/story.h"
#include "train/model_checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIME_LIMIT = 60 /* s for a story; with plain loops it takes about 3 */, AFTER_TRAINING = 180 };

/* The reference's program writes its story to a file; the learner's reads it. */
static Status tell(const Settings *settings, const Text *text, bool reference)
{
    TrainedModel model;
    Story story = {0}, theirs = {0};
    Status s = trained_model_load(&model, path_in(settings, "model.safetensors"));
    if (!s && !reference)
        printf("\n== Your story\n");
    if (!s)
        s = write_story(&story, &model.lm, text, settings);
    if (!s && reference)
        s = save_story(&story, path_in(settings, "reference.story"));
    else if (!s)
        s = load_story(&theirs, path_in(settings, "reference.story"));
    if (!s && !reference) {
        printf("\n== The reference's story\n");
        print_story(&theirs, text, settings);
        putchar('\n');
        calls_stop_counting();
        s = stories_compare(&story, &theirs, &model.lm, text);
    }
    free_story(&story);
    free_story(&theirs);
    trained_model_deinit(&model);
    return s;
}

int main(int argc, char **argv)
{
    if (argc != 9) {
        fprintf(stderr, "usage: %s reference|yours tell|train DIRECTORY PROMPT MAX_TOKENS SEED STEPS MINUTES\n",
                argv[0]);
        return 2;
    }
    const bool reference = strcmp(argv[1], "reference") == 0, training = strcmp(argv[2], "train") == 0;
    const Settings settings = {
        .directory = argv[3],
        .prompt = argv[4],
        .max_tokens = strtoul(argv[5], NULL, 10),
        .seed = strtoul(argv[6], NULL, 10),
        .steps = strtoul(argv[7], NULL, 10),
        .minutes = strtoul(argv[8], NULL, 10),
        .printed = !reference,
    };
    calls_watch(training ? 60 * (unsigned)settings.minutes + AFTER_TRAINING : TIME_LIMIT);
    Text text;
    Status s = text_init(&text, &settings);
    if (!s)
        s = training ? train_and_tell(&settings, &text, reference) : tell(&settings, &text, reference);
    calls_unwatch();
    fflush(stdout);
    if (s) {
        calls_print_failure(s);
        calls_print_nan();
    } else if (!reference) {
        calls_print_table(training);
    }
    text_deinit(&text);
    parallel_release();
    return s ? 1 : 0;
}
