#define _POSIX_C_SOURCE 200809L
#include "distributed/recovery.h"

#include "core/printable.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct {
    pthread_mutex_t lock; /* guards the other members */
    uint64_t saved;
    char command[32], checkpoint[4096], again[RECOVERY_COMMAND_BYTES], resume[RECOVERY_COMMAND_BYTES];
} known = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void copy(char *to, size_t capacity, const char *text)
{
    printable_prefix(to, capacity, text ? text : "", text ? strlen(text) : 0);
}

void recovery_set(const Recovery *recovery)
{
    pthread_mutex_lock(&known.lock);
    copy(known.command, sizeof known.command, recovery->command);
    copy(known.again, sizeof known.again, recovery->again);
    copy(known.checkpoint, sizeof known.checkpoint, recovery->checkpoint);
    copy(known.resume, sizeof known.resume, recovery->resume);
    known.saved = 0;
    pthread_mutex_unlock(&known.lock);
}

void recovery_set_saved(uint64_t step)
{
    pthread_mutex_lock(&known.lock);
    known.saved = step;
    pthread_mutex_unlock(&known.lock);
}

bool recovery_saves(void)
{
    pthread_mutex_lock(&known.lock);
    const bool saves = *known.checkpoint != 0;
    pthread_mutex_unlock(&known.lock);
    return saves;
}

uint64_t recovery_saved(void)
{
    pthread_mutex_lock(&known.lock);
    const uint64_t saved = known.saved;
    pthread_mutex_unlock(&known.lock);
    return saved;
}

size_t recovery_line(char *line, size_t capacity, const char *what, uint64_t saved)
{
    pthread_mutex_lock(&known.lock);
    int length;
    if (saved && *known.checkpoint)
        length = snprintf(line, capacity, "cs336 %s: %s; newest checkpoint: %s of step %llu; to go on: %s\n",
                          known.command, what, known.checkpoint, (unsigned long long)saved, known.resume);
    else
        length = snprintf(line, capacity, "cs336 %s: %s%s%s%s\n", known.command, what,
                          *known.checkpoint ? "; no checkpoint was saved" : "",
                          *known.again ? "; to begin again: " : "", known.again);
    pthread_mutex_unlock(&known.lock);
    return length < 0 ? 0 : (size_t)length < capacity ? (size_t)length : capacity - 1;
}
