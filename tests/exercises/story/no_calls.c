/* The reference's program links no function of the learner. */
#include "tests/exercises/story/calls.h"

CountedFunction counted_functions[] = {{NULL, 0}};
