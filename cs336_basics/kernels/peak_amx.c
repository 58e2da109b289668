/* The peak of the matrix unit; the Makefile gives this file the flags of AMX. */
#if defined(__x86_64__)
#include "kernels/tile.h"

float peak_amx(size_t steps);

/* Adds the product of two tiles of zeros `steps` times. Four tiles of sums hide the latency of a multiplication. */
float peak_amx(size_t steps)
{
    Tiles tiles;
    float sums[TILE_FLOATS];
    tile_configure(&tiles);
    tile_zero(&tiles, 0);
    tile_zero(&tiles, 1);
    tile_zero(&tiles, 2);
    tile_zero(&tiles, 3);
    tile_zero(&tiles, 4);
    tile_zero(&tiles, 5);
    tile_zero(&tiles, 6);
    tile_zero(&tiles, 7);
    for (size_t i = 0; i < steps; i += 4) {
        tile_multiply_add(&tiles, 0, 4, 6);
        tile_multiply_add(&tiles, 1, 4, 7);
        tile_multiply_add(&tiles, 2, 5, 6);
        tile_multiply_add(&tiles, 3, 5, 7);
    }
    tile_store(&tiles, 0, sums, TILE_ROW_BYTES);
    tile_release(&tiles);
    return sums[0];
}
#else
typedef int nothing_here;
#endif
