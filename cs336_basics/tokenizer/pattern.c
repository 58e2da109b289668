#include "tokenizer/pattern.h"

#include <stddef.h>

const char *const pattern_names[] = {"gpt2", "gpt4", NULL};
