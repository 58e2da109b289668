#include "cli/options_ranks.h"

#include "cli/commands.h"
#include "core/memory.h"
#include "distributed/agreement.h"
#include "distributed/ranks.h"

#include <stdio.h>
#include <string.h>

/* True if the option may differ from rank to rank: each host has its own paths and processors. */
static bool may_differ(const Option *option)
{
    return option->type == OPTION_IS_HEADING || option->type == OPTION_IS_CONFIG ||
           strcmp(option->name, "threads") == 0 ||
           (option->value_name && (strcmp(option->value_name, "FILE") == 0 || strcmp(option->value_name, "DIR") == 0));
}

static void add_option(Agreement *agreement, const Option *option)
{
    char name[AGREEMENT_NAME_BYTES];
    snprintf(name, sizeof name, "--%s", option->name);
    switch (option->type) {
    case OPTION_IS_FLAG:
        agreement_add(agreement, name, "%s", *option->target.flag ? "given" : "not given");
        break;
    case OPTION_IS_TEXT:
        agreement_add(agreement, name, "%s", *option->target.text ? *option->target.text : "not given");
        break;
    case OPTION_IS_TEXTS:
        for (size_t i = 0; i < option->target.texts->count; i++)
            agreement_add(agreement, name, "%s", option->target.texts->items[i]);
        break;
    case OPTION_IS_SIZE:
        agreement_add(agreement, name, "%zu", *option->target.size);
        break;
    case OPTION_IS_INTEGER:
        agreement_add(agreement, name, "%lld", (long long)*option->target.integer);
        break;
    case OPTION_IS_NUMBER:
        agreement_add(agreement, name, "%.9g", *option->target.number);
        break;
    case OPTION_IS_CHOICE:
        agreement_add(agreement, name, "%s",
                      *option->target.choice < 0 ? "not given" : option->choices[*option->target.choice]);
        break;
    case OPTION_IS_CONFIG:
    case OPTION_IS_HEADING:
        break;
    }
}

/* Prints why the ranks cannot run together. Only rank 0's standard error leads somewhere. */
static int disagree(const OptionTable *table)
{
    fprintf(stderr, "cs336 %s: %s\n", table->command, status_message());
    return EXIT_BAD_USAGE;
}

/* Compares the options, after every rank has read its own. */
static int compare(const OptionTable *table)
{
    Agreement agreement = {0};
    for (size_t i = 0; i < table->count; i++)
        if (!may_differ(&table->options[i]))
            add_option(&agreement, &table->options[i]);
    return agreement_check(&agreement, CS336_OK) ? disagree(table) : OPTIONS_PARSED;
}

int options_agree(const OptionTable *table, int done)
{
    if (ranks_count() == 1)
        return done;
    int *all = memory_allocate((size_t)ranks_count() * sizeof *all);
    if (!all) /* the others wait for this rank */
        ranks_abort(EXIT_BAD_INPUT);
    ranks_gather_all(all, &done, sizeof done);
    bool same = true;
    for (int i = 1; i < ranks_count(); i++)
        same = same && all[i] == all[0];
    memory_release(all);
    if (same)
        return done == OPTIONS_PARSED ? compare(table) : done;
    /* Some rank has a command line that is wrong, or asks for help. */
    const Status own = done == OPTIONS_PARSED
                           ? CS336_OK
                           : status_fail(CS336_ERANGE, "%s", done == EXIT_OK ? "--help was given" : status_message());
    return ranks_agree(own) && own == CS336_OK ? disagree(table) : EXIT_BAD_USAGE;
}
