/* The ladder's vectors as every CPU has them. */
#define VECTOR_FLOATS 4
#define KERNEL(name) name##_portable

#include "tests/bench/ladder_steps.h"
