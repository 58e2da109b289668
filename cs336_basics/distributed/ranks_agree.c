/* What the functions of ranks.h build on its gathers: sums over all ranks, and failures that all ranks learn of. */
#include "core/memory.h"
#include "core/printable.h"
#include "distributed/ranks.h"
#include "distributed/watchdog.h"

#include <stdio.h>
#include <string.h>

void ranks_give_up(void)
{
    watchdog_abort("%s", status_message());
}

void ranks_sum(double *numbers, size_t count)
{
    if (ranks_count() == 1)
        return;
    double *all = memory_allocate((size_t)ranks_count() * count * sizeof *all);
    if (!all) {
        status_record("no memory for the numbers of %d ranks", ranks_count());
        ranks_give_up();
    }
    ranks_gather_all(all, numbers, count * sizeof *all);
    for (size_t i = 0; i < count; i++) {
        numbers[i] = all[i];
        for (size_t rank = 1; rank < (size_t)ranks_count(); rank++)
            numbers[i] += all[rank * count + i];
    }
    memory_release(all);
}

bool ranks_any(bool own)
{
    double count = own;
    ranks_sum(&count, 1);
    return count > 0;
}

typedef struct {
    int status;
    char message[512];
} Report;

static Report report_of(Status s)
{
    Report report = {.status = (int)s};
    snprintf(report.message, sizeof report.message, "%s", s ? status_message() : "");
    return report;
}

Status ranks_follow_first(Status own)
{
    if (ranks_count() == 1)
        return own;
    Report report = report_of(ranks_own() == 0 ? own : CS336_OK);
    ranks_broadcast(&report, sizeof report);
    return report.status ? status_fail((Status)report.status, "%s", report.message) : CS336_OK;
}

Status ranks_agree(Status own)
{
    if (!ranks_any(own != CS336_OK)) /* usual, and shorter than the reports */
        return CS336_OK;
    if (ranks_count() == 1)
        return own;
    Report first = {0};
    const Report report = report_of(own);
    Report *all = memory_allocate((size_t)ranks_count() * sizeof *all);
    if (!all) {
        if (!own)
            status_record("no memory for %d reports", ranks_count());
        ranks_give_up();
    }
    ranks_gather_all(all, &report, sizeof report);
    int failed = 0, rank = -1;
    bool alike = true;
    for (int i = 0; i < ranks_count(); i++) {
        if (!all[i].status)
            continue;
        if (failed++ == 0) {
            first = all[i];
            rank = i;
        }
        alike = alike && strcmp(all[i].message, first.message) == 0;
    }
    memory_release(all);
    if (failed == ranks_count() && alike)
        return status_fail((Status)first.status, "%s", first.message);
    return status_fail((Status)first.status, "rank %d on %s: %s", rank, printable(ranks_host(rank)).text,
                       first.message);
}
