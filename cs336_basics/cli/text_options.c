#include "cli/text_options.h"

#include "core/printable.h"

#include <stdio.h>

Status text_options_begin(InputTexts *texts, const char *command, const TextList *paths, TextField field)
{
    const Status s = input_texts_begin(texts, paths->items, paths->count, field);
    for (size_t i = 0; !s && command && !field.name && i < paths->count; i++)
        if (text_is_named_json_lines(paths->items[i]))
            fprintf(stderr,
                    "cs336 %s: note: %s is read as plain text, with the JSON around its documents; --text-field NAME "
                    "reads the documents alone\n",
                    command, printable(paths->items[i]).text);
    return s;
}
