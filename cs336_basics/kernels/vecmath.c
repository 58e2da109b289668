#include "kernels/vecmath.h"

#include "kernels/isa.h"

const VecmathKernels *vecmath(void)
{
    static const VecmathKernels *const tables[ISA_COUNT] = ISA_TABLES(vecmath);
    return tables[isa_in_use()];
}
