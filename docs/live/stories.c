/* The text that figures train on: stories of the library. */
#include "live.h"

#include "core/memory.h"
#include "story/story.h"

#include <string.h>

/*
 * Writes whole stories of corpus `seed`, from story `first` on, each followed by STORY_END, as long as they fit in text
 * (capacity). length (1): bytes written.
 */
LIVE live_stories(uint8_t *text, int capacity, int seed, int first, int32_t *length)
{
    StoryProgram program = {0};
    Status s = story_compile(&program, &story_grammar);
    char *story = s ? NULL : memory_allocate(program.longest + strlen(STORY_END));
    if (!s && !story)
        s = status_fail(CS336_ENOMEM, "live_stories: no memory for a story");
    *length = 0;
    for (uint64_t i = (uint64_t)first; !s; i++) {
        size_t bytes = story_write(story, NULL, &program, (uint64_t)seed, i);
        memcpy(story + bytes, STORY_END, strlen(STORY_END));
        bytes += strlen(STORY_END);
        if (bytes > (size_t)(capacity - *length))
            break;
        memcpy(text + *length, story, bytes);
        *length += (int32_t)bytes;
    }
    memory_release(story);
    story_program_deinit(&program);
    return s;
}
