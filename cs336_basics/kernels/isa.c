#include "kernels/isa.h"

#include "kernels/tile_unit.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_CHOSEN = -1 };

/* Atomic, because any thread may be the first to ask. Two threads that ask at once choose the same. */
static atomic_int chosen = NOT_CHOSEN;

static bool cpu_has(Isa isa)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                      __builtin_cpu_supports("popcnt");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
    const bool bf16 = avx512 && __builtin_cpu_supports("avx512bf16");
    if (isa == ISA_AMX)
        return bf16 && tile_unit() == TILE_UNIT_ALLOWED;
    if (isa == ISA_AVX512_BF16)
        return bf16;
    if (isa == ISA_AVX512)
        return avx512;
    if (isa == ISA_AVX2)
        return avx2;
#endif
    return isa == ISA_PORTABLE || isa == ISA_AMX_EMULATED;
}

static Isa best_of_cpu(void)
{
    Isa isa = ISA_AMX;
    while (!cpu_has(isa))
        isa--;
    return isa;
}

/*
 * Sets *isa to what CS336_ISA asks for. If it is unset, or cannot be obeyed, *isa is the best of this CPU; in the
 * second case the status says why.
 */
static Status read_override(Isa *isa)
{
    static const char *const names[ISA_COUNT] = {
        [ISA_PORTABLE] = "portable",       [ISA_AVX2] = "avx2", [ISA_AVX512] = "avx512",
        [ISA_AVX512_BF16] = "avx512_bf16", [ISA_AMX] = "amx",   [ISA_AMX_EMULATED] = "amx-emulated"};
    const char *name = getenv("CS336_ISA");
    *isa = best_of_cpu();
    if (!name || !*name)
        return CS336_OK;
    for (int i = 0; i < ISA_COUNT; i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        if (i == ISA_AMX && isa_matrix_unit_is_refused())
            return status_fail(CS336_ERANGE,
                               "CS336_ISA: this CPU has %s, but its system does not let programs use it, using %s",
                               name, isa_name(*isa));
        if (!cpu_has((Isa)i))
            return status_fail(CS336_ERANGE, "CS336_ISA: this CPU does not have %s, using %s", name, isa_name(*isa));
        *isa = (Isa)i;
        return CS336_OK;
    }
    return status_fail(
        CS336_ERANGE,
        "CS336_ISA: unknown value \"%s\", expected amx, avx512_bf16, avx512, avx2, portable or amx-emulated, "
        "using %s",
        name, isa_name(*isa));
}

Isa isa_in_use(void)
{
    const int isa = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (isa != NOT_CHOSEN)
        return (Isa)isa;
    Isa first;
    const Status ignored = read_override(&first);
    (void)ignored;
    atomic_store_explicit(&chosen, (int)first, memory_order_relaxed);
    return first;
}

bool isa_choose(Isa isa)
{
    if (!cpu_has(isa))
        return false;
    atomic_store_explicit(&chosen, (int)isa, memory_order_relaxed);
    return true;
}

#if defined(__aarch64__)
#define PORTABLE_NAME "NEON"
#else
#define PORTABLE_NAME "portable vectors"
#endif

const char *isa_name(Isa isa)
{
    static const char *const names[ISA_COUNT] = {
        [ISA_PORTABLE] = PORTABLE_NAME,     [ISA_AVX2] = "AVX2+FMA", [ISA_AVX512] = "AVX-512",
        [ISA_AVX512_BF16] = "AVX-512+BF16", [ISA_AMX] = "AMX",       [ISA_AMX_EMULATED] = "emulated AMX"};
    return names[isa];
}

bool isa_matrix_unit_is_refused(void)
{
    return tile_unit() == TILE_UNIT_REFUSED;
}

Status isa_check_override(void)
{
    Isa isa;
    return read_override(&isa);
}
