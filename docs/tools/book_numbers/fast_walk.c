/* Measures how far away each cache and the memory are: docs/book/fast.md, which also says how to compile it. */
#define _DEFAULT_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { LINE = 64 / sizeof(size_t), STEPS = 1000000, HUGE_PAGE = 1 << 21 };

/* Returns nanoseconds per step of a walk through `bytes` of memory: each cache line holds the number of the next. */
static double walk(size_t bytes, int advice)
{
    const size_t lines = bytes / 64, reserved = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    size_t *line = aligned_alloc(HUGE_PAGE, reserved);
    if (!line || madvise(line, reserved, advice))
        exit(1);
    for (size_t i = 0; i < lines; i++)
        line[i * LINE] = i;
    for (size_t i = lines - 1; i > 0; i--) {
        /* One cycle through all lines, in random order (Sattolo). */
        const size_t j = (size_t)random() % i, other = line[j * LINE];
        line[j * LINE] = line[i * LINE];
        line[i * LINE] = other;
    }
    size_t at = 0;
    double best = 1e9;
    for (int round = 0; round < 3; round++) {
        const clock_t start = clock();
        for (int step = 0; step < STEPS; step++)
            at = line[at * LINE];
        best = fmin(best, 1e9 * (double)(clock() - start) / CLOCKS_PER_SEC / STEPS);
    }
    free(line);
    /* This uses `at`: a compiler may leave out a loop without a result. */
    return at < lines ? best : 0;
}

int main(void)
{
    puts("      KiB   4 KiB pages   2 MiB pages   (ns per step)");
    for (size_t kib = 16; kib <= 1 << 18; kib *= 4)
        printf("%9zu %13.1f %13.1f\n", kib, walk(kib << 10, MADV_NOHUGEPAGE), walk(kib << 10, MADV_HUGEPAGE));
}
