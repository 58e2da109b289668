/*
 * Tiles: the registers of Intel's matrix unit, AMX, and what kernels do with them. A tile is 16 rows of 64 bytes: 16 x
 * 16 float32 sums, or 16 rows of 32 bfloat16 numbers. One instruction multiplies two tiles and adds the 16 x 16 sums:
 *
 *     c[m][n] += a[m][0] b[0][n] + ... + a[m][31] b[31][n]
 *
 * - a has its 32 numbers of k along a row. b has pairs: row r of the tile holds the numbers 2 r and 2 r + 1 of k for
 *   column 0, then for column 1, and so on. So b[k][n] is number 2 n + k % 2 of row k / 2.
 * - A file that is compiled for AMX (isa_amx.c) uses the unit. Every other file gets the twin: the same functions in
 *   plain C, which follow Intel's pseudocode of TDPBF16PS (Software Developer's Manual, volume 2, chapter 4,
 *   "TDPBF16PS - Dot Product of BF16 Tiles") operation by operation. So the twin's results are the unit's.
 * - The order of the sums: even and odd numbers of k are summed apart, each with fused multiply-adds, then both sums
 *   are added, and last the old value. Rounding is to nearest even. Denormals count as 0, in operands and in results.
 * - tile_unit.h asks for the permission to use the unit. Each thread configures its tiles before it uses them, and
 *   releases them when it is done: an idle unit saves power and context switches.
 */
#ifndef CS336_KERNELS_TILE_H
#define CS336_KERNELS_TILE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AMX_BF16__) || defined(__AMXBF16__) /* gcc's name, and that of older clangs */
#define TILE_UNIT 1
#include <immintrin.h>
#endif

enum {
    TILE_COUNT = 8,      /* registers */
    TILE_SIDE = 16,      /* rows of a tile, float32 numbers in a row, columns of the sums */
    TILE_DEPTH = 32,     /* bfloat16 numbers in a row */
    TILE_ROW_BYTES = 64, /* bytes of a row; also the distance between rows of a tile that is contiguous in memory */
    TILE_FLOATS = 256    /* float32 numbers in a tile: 1 KiB */
};

/** @brief The registers of a thread. The unit has its own; the twin keeps them here. */
typedef struct {
    uint32_t bits[TILE_COUNT][TILE_SIDE][TILE_SIDE]; /**< of a float32 number, or of two bfloat16 numbers */
} Tiles;

/* Returns the float32 number that has these bits. */
static inline float tile_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#if defined(TILE_UNIT)

/* All eight tiles have 16 rows of 64 bytes. gcc does not know that the instruction reads all 64 bytes of a
 * configuration: in constant memory they cannot be optimised away. */
typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} TileConfiguration;
_Static_assert(sizeof(TileConfiguration) == 64, "the layout is the processor's");

static inline void tile_configure(Tiles *tiles)
{
    static const _Alignas(64) TileConfiguration whole_tiles = {
        .palette = 1,
        .row_bytes = {TILE_ROW_BYTES, TILE_ROW_BYTES, TILE_ROW_BYTES, TILE_ROW_BYTES, TILE_ROW_BYTES, TILE_ROW_BYTES,
                      TILE_ROW_BYTES, TILE_ROW_BYTES},
        .rows = {TILE_SIDE, TILE_SIDE, TILE_SIDE, TILE_SIDE, TILE_SIDE, TILE_SIDE, TILE_SIDE, TILE_SIDE}};
    (void)tiles;
    _tile_loadconfig(&whole_tiles);
}

static inline void tile_release(Tiles *tiles)
{
    (void)tiles;
    _tile_release();
}

/* These are macros, because gcc writes the number of a tile into the text of the instruction: it must be a literal.
 * TILE_BARRIER keeps stores to memory in front of the loads of tiles, which gcc does not know as reads of memory. */
#define TILE_BARRIER() __asm__ volatile("" ::: "memory")
#define tile_zero(tiles, tile) \
    do {                       \
        (void)(tiles);         \
        _tile_zero(tile);      \
    } while (0)
#define tile_load(tiles, tile, memory, row_bytes)       \
    do {                                                \
        (void)(tiles);                                  \
        TILE_BARRIER();                                 \
        _tile_loadd(tile, memory, (size_t)(row_bytes)); \
    } while (0)
#define tile_store(tiles, tile, memory, row_bytes)       \
    do {                                                 \
        (void)(tiles);                                   \
        _tile_stored(tile, memory, (size_t)(row_bytes)); \
        TILE_BARRIER();                                  \
    } while (0)
#define tile_multiply_add(tiles, c, a, b) \
    do {                                  \
        (void)(tiles);                    \
        _tile_dpbf16ps(c, a, b);          \
    } while (0)

#else

/* Gives all tiles their full size; they are 0 afterwards. */
static inline void tile_configure(Tiles *tiles)
{
    memset(tiles, 0, sizeof *tiles);
}

/* Gives the tiles back. Nothing may read them until tile_configure(). The twin spoils them with NaN. */
static inline void tile_release(Tiles *tiles)
{
    memset(tiles, 0xff, sizeof *tiles);
}

static inline void tile_zero(Tiles *tiles, int tile)
{
    memset(tiles->bits[tile], 0, sizeof tiles->bits[tile]);
}

/* Loads 16 rows of 64 bytes, which begin row_bytes apart. */
static inline void tile_load(Tiles *tiles, int tile, const void *memory, size_t row_bytes)
{
    for (size_t row = 0; row < TILE_SIDE; row++)
        memcpy(tiles->bits[tile][row], (const char *)memory + row * row_bytes, TILE_ROW_BYTES);
}

/* Stores 16 rows of 64 bytes, which begin row_bytes apart. */
static inline void tile_store(const Tiles *tiles, int tile, void *memory, size_t row_bytes)
{
    for (size_t row = 0; row < TILE_SIDE; row++)
        memcpy((char *)memory + row * row_bytes, tiles->bits[tile][row], TILE_ROW_BYTES);
}

/* Adds the product of tiles a and b to tile c, as TDPBF16PS does: tile_twin.c. */
void tile_multiply_add(Tiles *tiles, int c, int a, int b);

/*
 * Rounds the exact sum of an operation to float32, and a result that is denormal to 0. A result counts as denormal if
 * it is below 2^-126 after rounding to 24 bits. That rounding gives 2^-126 from 2^-126 - 2^-151 on.
 *
 * The exact sums below are those of a float32 and a product of two bfloat16 numbers (16 bits), or of two float32
 * numbers. Double precision holds them so well that rounding to double first does not change the float32: where the sum
 * does not fit 53 bits, the smaller addend is too small to decide a tie.
 */
float tile_rounded(double sum);

#endif

#endif
