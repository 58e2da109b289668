#define _DEFAULT_SOURCE /* syscall() */
#include "kernels/tile_unit.h"

#include <stdatomic.h>

/* Other systems than Linux have other ways to permit the unit, which nobody has tried here: it counts as absent there.
 */
#if defined(__x86_64__) && defined(__linux__)
#define HAS_PERMISSION 1
#include <cpuid.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

enum { UNKNOWN = -1 };

/* Atomic, because any thread may be the first to ask. The kernel grants the same permission twice. */
static atomic_int state = UNKNOWN;

TileUnit tile_unit_decide(bool cpu, bool system, bool (*ask)(void))
{
    if (!cpu)
        return TILE_UNIT_ABSENT;
    return system && ask() ? TILE_UNIT_ALLOWED : TILE_UNIT_REFUSED;
}

#if defined(HAS_PERMISSION)

/* CPUID leaf 7: AMX-BF16 is bit 22 of EDX, AMX-TILE bit 24. */
static bool cpu_has_tiles(void)
{
    const unsigned needed = 1U << 22 | 1U << 24;
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & needed) == needed;
}

/* The register XCR0 says which state the system saves: bit 17 the configuration of tiles, bit 18 their data. */
static bool system_saves_tiles(void)
{
    const unsigned osxsave = 1U << 27; /* bit of ECX in leaf 1: programs may read XCR0 */
    const uint32_t needed = 1U << 17 | 1U << 18;
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & osxsave))
        return false;
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & needed) == needed;
}

/* Kernels before Linux 5.16 do not know the request, and refuse it. */
static bool ask_kernel(void)
{
    enum { ARCH_REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQUEST_PERMISSION, TILE_DATA) == 0;
}

static TileUnit look(void)
{
    return tile_unit_decide(cpu_has_tiles(), system_saves_tiles(), ask_kernel);
}

#else

static TileUnit look(void)
{
    return TILE_UNIT_ABSENT;
}

#endif

TileUnit tile_unit(void)
{
    int known = atomic_load_explicit(&state, memory_order_relaxed);
    if (known == UNKNOWN) {
        known = (int)look();
        atomic_store_explicit(&state, known, memory_order_relaxed);
    }
    return (TileUnit)known;
}

void tile_unit_pretend(TileUnit pretended)
{
    atomic_store_explicit(&state, (int)pretended, memory_order_relaxed);
}
