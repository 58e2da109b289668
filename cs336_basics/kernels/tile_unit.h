/**
 * @file
 * @brief Whether this process may use the CPU's matrix unit, AMX.
 *
 * The registers of the unit hold 8 KiB for each thread. The kernel saves so much at a context switch only for processes
 * that asked for it, so a process asks once, before its threads start. A hypervisor can hide the registers although it
 * shows the unit. Then, or if the kernel refuses, the kernels do without the unit.
 */
#ifndef CS336_KERNELS_TILE_UNIT_H
#define CS336_KERNELS_TILE_UNIT_H

#include "core/api.h"

#include <stdbool.h>

CS336_INTERNAL_BEGIN

/** @brief Whether the CPU has a matrix unit, and this process may use it. */
typedef enum {
    TILE_UNIT_ABSENT, /**< the CPU has no matrix unit, or the system is not Linux, whose permission tile_unit() knows */
    TILE_UNIT_REFUSED, /**< the CPU has one, but the kernel or a hypervisor does not let this process use it */
    TILE_UNIT_ALLOWED  /**< this process may use it */
} TileUnit;

/** @brief Returns the state of the unit. The first call asks the kernel; its answer holds for the whole process. */
TileUnit tile_unit(void);

/**
 * @brief Decides what tile_unit() returns.
 * @param cpu     the CPU has tiles and multiplies bfloat16 numbers in them
 * @param system  kernel and hypervisor save the registers of the unit at a context switch
 * @param ask     asks the kernel for permission; called only if cpu and system are true
 */
TileUnit tile_unit_decide(bool cpu, bool system, bool (*ask)(void));

/** @brief Makes tile_unit() return @p state from now on. Tests play a machine that refuses with it. */
void tile_unit_pretend(TileUnit state);

CS336_INTERNAL_END

#endif
