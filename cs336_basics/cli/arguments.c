#include "cli/arguments.h"

#include "core/memory.h"

#include <stdarg.h>
#include <stdio.h>

void arguments_add(Arguments *arguments, const char *format, ...)
{
    va_list list;
    if (arguments->status)
        return;
    if (arguments->count == ARGUMENTS_MAX) {
        arguments->status = status_fail(CS336_ERANGE, "more than %d settings", ARGUMENTS_MAX);
        return;
    }
    /* The first call measures the text, the second one writes it. */
    va_start(list, format);
    const int length = vsnprintf(NULL, 0, format, list);
    va_end(list);
    const size_t size = length < 0 ? 0 : (size_t)length + 1;
    char *text = size ? memory_allocate(size) : NULL;
    if (!text) {
        arguments->status = status_fail(CS336_ENOMEM, "no memory for the arguments of a command");
        return;
    }
    va_start(list, format);
    vsnprintf(text, size, format, list);
    va_end(list);
    arguments->items[arguments->count++] = text;
}

void arguments_deinit(Arguments *arguments)
{
    for (int i = 0; i < arguments->count; i++)
        memory_release(arguments->items[i]);
    *arguments = (Arguments){0};
}
