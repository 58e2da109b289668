/* The scanner of pre-tokens in portable C, eight bytes in a 64-bit integer. */
#define VECTOR_FLOATS 4
#define KERNEL(name) name##_portable

#include "tokenizer/split/pretokenize_kernel.h"
