/*
 * Vectors of VECTOR_FLOATS floats, in which every kernel is written: 16 for AVX-512, 8 for AVX2, 4 elsewhere. The file
 * that includes this one defines VECTOR_FLOATS, and KERNEL(name), which appends the instruction set to a name.
 *
 * Arithmetic uses the operators of C, through the vector extension of gcc and clang: + and * work lane by lane, and a
 * float operand is repeated in every lane. With vectors x and y, a * x + y compiles to one fused multiply-add where the
 * processor has that. What the extension cannot express is written with intrinsics for the wider instruction sets.
 */
#ifndef CS336_KERNELS_VECTOR_H
#define CS336_KERNELS_VECTOR_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#if VECTOR_FLOATS == 16 && defined(__AVX512F__) && defined(__AVX512DQ__)
#define VECTOR_AVX512 1
#include <immintrin.h>
#ifdef __AVX512BF16__
#define VECTOR_BF16 1
#endif
#elif VECTOR_FLOATS == 8 && defined(__AVX2__) && defined(__FMA__)
#define VECTOR_AVX2 1
#include <immintrin.h>
#elif VECTOR_FLOATS == 4 && defined(__aarch64__) && !defined(__AARCH64EB__)
#define VECTOR_NEON 1
#include <arm_neon.h>
#endif

typedef float Vector __attribute__((vector_size(4 * VECTOR_FLOATS)));
typedef int32_t IntVector __attribute__((vector_size(4 * VECTOR_FLOATS)));
typedef uint32_t BitVector __attribute__((vector_size(4 * VECTOR_FLOATS)));
typedef Vector UnalignedVector __attribute__((aligned(4), may_alias));

/* Always inlined: the extents that a caller passes are then constants, so loops unroll and arrays become registers. */
#define VECTOR_INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define VECTOR_UNROLL _Pragma("clang loop unroll(full)")
#else
#define VECTOR_UNROLL _Pragma("GCC unroll 32")
#endif

VECTOR_INLINE Vector vector_load(const float *x)
{
    return *(const UnalignedVector *)(const void *)x;
}

VECTOR_INLINE void vector_store(float *y, Vector v)
{
    *(UnalignedVector *)(void *)y = v;
}

/* Vector registers, which decide how many sums a micro-kernel can keep. */
#if defined(VECTOR_AVX512) || defined(VECTOR_NEON)
#define VECTOR_REGISTERS 32
#else
#define VECTOR_REGISTERS 16
#endif

/* Returns x in every lane. */
VECTOR_INLINE Vector vector_fill(float x)
{
    return x - (Vector){0};
}

VECTOR_INLINE Vector vector_from_bits(IntVector bits)
{
    return (Vector)bits;
}

VECTOR_INLINE IntVector vector_bits(Vector v)
{
    return (IntVector)v;
}

/* Returns a where the condition is true, else b. A comparison of vectors gives -1 (true) or 0 in each lane. */
VECTOR_INLINE Vector vector_select(IntVector condition, Vector a, Vector b)
{
    return vector_from_bits((condition & vector_bits(a)) | (~condition & vector_bits(b)));
}

/* Return the greater or the smaller number of each lane, and b where one of them is NaN. */
VECTOR_INLINE Vector vector_max(Vector a, Vector b)
{
#if defined(VECTOR_AVX512)
    return _mm512_max_ps(a, b);
#elif defined(VECTOR_AVX2)
    return _mm256_max_ps(a, b);
#else
    return vector_select(a > b, a, b);
#endif
}

VECTOR_INLINE Vector vector_min(Vector a, Vector b)
{
#if defined(VECTOR_AVX512)
    return _mm512_min_ps(a, b);
#elif defined(VECTOR_AVX2)
    return _mm256_min_ps(a, b);
#else
    return vector_select(a < b, a, b);
#endif
}

/*
 * Numbers that lie next to each other in memory, each of which is a factor of whole vectors. NEON's multiply-add takes
 * a factor from a lane of a vector, so four are loaded at once. x86 loads each one into all lanes.
 */
#if defined(VECTOR_NEON)
enum { FACTORS_MOST = 12 };
typedef struct {
    Vector vectors[FACTORS_MOST / VECTOR_FLOATS];
} Factors;

/* count is a multiple of 4, and a constant to the compiler, so the vectors are registers. */
VECTOR_INLINE Factors factors_load(const float *x, const size_t count)
{
    Factors factors;
    VECTOR_UNROLL
    for (size_t i = 0; i < count / VECTOR_FLOATS; i++)
        factors.vectors[i] = vector_load(x + i * VECTOR_FLOATS);
    return factors;
}

VECTOR_INLINE float factor_of(const Factors *factors, size_t i)
{
    return factors->vectors[i / VECTOR_FLOATS][i % VECTOR_FLOATS];
}
#else
/** @brief Numbers, each of which multiplies a whole vector. Here they stay in memory. */
typedef struct {
    const float *numbers; /**< as many as factors_load() was given */
} Factors;

VECTOR_INLINE Factors factors_load(const float *x, const size_t count)
{
    (void)count;
    return (Factors){x};
}

VECTOR_INLINE float factor_of(const Factors *factors, size_t i)
{
    return factors->numbers[i];
}
#endif

/* Returns x between two numbers: low where x is less, high where x is greater. NaN stays NaN. */
VECTOR_INLINE Vector vector_clamp(Vector x, float low, float high)
{
#if defined(VECTOR_NEON)
    return vminq_f32(vmaxq_f32(x, vector_fill(low)), vector_fill(high));
#else
    return vector_min(vector_fill(high), vector_max(vector_fill(low), x));
#endif
}

#if defined(VECTOR_AVX512)
VECTOR_INLINE __mmask16 vector_mask(size_t n)
{
    return (__mmask16)(n < 16 ? (1u << n) - 1 : 0xffffu);
}
#elif defined(VECTOR_AVX2)
VECTOR_INLINE __m256i vector_mask(size_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < 8 ? (int)n : 8), lane);
}
#endif

/* Loads the first n lanes, or all if n >= VECTOR_FLOATS; the others are 0. It reads nothing beyond them. */
VECTOR_INLINE Vector vector_load_first(const float *x, size_t n)
{
    if (n >= VECTOR_FLOATS)
        return vector_load(x);
#if defined(VECTOR_AVX512)
    return _mm512_maskz_loadu_ps(vector_mask(n), x);
#elif defined(VECTOR_AVX2)
    return _mm256_maskload_ps(x, vector_mask(n));
#else
    /* No loop: the compiler would make it a call of memcpy(), before which all vectors are written to memory. */
    Vector v = {0};
    if (n & 2) {
        v[0] = x[0];
        v[1] = x[1];
        if (n & 1)
            v[2] = x[2];
    } else if (n & 1) {
        v[0] = x[0];
    }
    return v;
#endif
}

/* Stores the first n lanes, or all if n >= VECTOR_FLOATS. It writes nothing beyond them. */
VECTOR_INLINE void vector_store_first(float *y, Vector v, size_t n)
{
    if (n >= VECTOR_FLOATS) {
        vector_store(y, v);
        return;
    }
#if defined(VECTOR_AVX512)
    _mm512_mask_storeu_ps(y, vector_mask(n), v);
#elif defined(VECTOR_AVX2)
    _mm256_maskstore_ps(y, vector_mask(n), v);
#else
    if (n & 2) {
        y[0] = v[0];
        y[1] = v[1];
        if (n & 1)
            y[2] = v[2];
    } else if (n & 1) {
        y[0] = v[0];
    }
#endif
}

/* Replaces the lanes from number n on by x; the first lane is number 0. */
VECTOR_INLINE Vector vector_pad(Vector v, size_t n, float x)
{
#if defined(VECTOR_AVX512)
    return _mm512_mask_mov_ps(_mm512_set1_ps(x), vector_mask(n), v);
#elif defined(VECTOR_AVX2)
    return _mm256_blendv_ps(_mm256_set1_ps(x), v, _mm256_castsi256_ps(vector_mask(n)));
#else
    const IntVector lane = {0, 1, 2, 3};
    return vector_select(lane < (n < 4 ? (int)n : 4), v, vector_fill(x));
#endif
}

/*
 * Returns v * 2^n for whole n in [-252, 252]. Without scalef it multiplies by two powers of half the exponent: 2^n
 * itself may be no normal number.
 */
VECTOR_INLINE Vector vector_scale_by_power(Vector v, Vector n)
{
#if defined(VECTOR_AVX512)
    return _mm512_scalef_ps(v, n);
#else
    const float shifter = 0x1.8p23f; /* 1.5 * 2^23: adding it rounds to a whole number, in the lowest bits */
    const IntVector exponent = vector_bits(n + shifter) - vector_bits(vector_fill(shifter));
    const IntVector half = exponent >> 1;
    return v * vector_from_bits((half + 127) << 23) * vector_from_bits((exponent - half + 127) << 23);
#endif
}

/*
 * Returns a * b + c with one rounding where the processor has fused multiply-add, for sums that must not depend on the
 * compiler's choice.
 */
VECTOR_INLINE Vector vector_multiply_add(Vector a, Vector b, Vector c)
{
#if defined(VECTOR_AVX512)
    return _mm512_fmadd_ps(a, b, c);
#elif defined(VECTOR_AVX2)
    return _mm256_fmadd_ps(a, b, c);
#elif defined(VECTOR_NEON)
    return vfmaq_f32(c, a, b);
#else
    return a * b + c;
#endif
}

/* ---- bfloat16: the upper half of a float32 ---- */

/*
 * Rounds each lane to the nearest bfloat16, ties to even: it adds 0x7fff plus the last bit that is kept, and clears the
 * lower 16 bits. The addition carries into the upper half if the lower half is above 0x8000, or equals 0x8000 and
 * the last kept bit is odd. A NaN gets its quiet bit: a NaN whose bits are all in the lower half would become infinity.
 */
VECTOR_INLINE Vector vector_round_bf16(Vector v)
{
    const BitVector bits = (BitVector)v;
    const Vector rounded = (Vector)(bits + 0x7fff + ((bits >> 16) & 1)), quiet = (Vector)(bits | 0x400000);
    return (Vector)((BitVector)vector_select(v == v, rounded, quiet) & 0xffff0000u);
}

/*
 * Rounds each lane to the sum of two bfloat16 numbers: the nearest one, and the one that is nearest to the rest. A
 * number whose nearest bfloat16 is infinite, and NaN, stay as they are.
 */
VECTOR_INLINE Vector vector_round_bf16x2(Vector v)
{
    const Vector first = vector_round_bf16(v), second = vector_round_bf16(v - first);
    const IntVector is_finite = (vector_bits(first) & 0x7fffffff) < 0x7f800000;
    return vector_select(is_finite, first + second, v);
}

#if defined(VECTOR_BF16)
/*
 * Rounds the numbers of a followed by those of b as above, with denormals as 0. Lane i gets the numbers 2 i and
 * 2 i + 1, the first in its lower half.
 */
VECTOR_INLINE Vector vector_pair_neighbours(Vector a, Vector b)
{
    return (Vector)_mm512_cvtne2ps_pbh(b, a);
}

/* Rounds as above; lane i gets a[i], in its lower half, and b[i]. */
VECTOR_INLINE Vector vector_pair_lanes(Vector a, Vector b)
{
    const __m512i lane = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                          21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return (Vector)_mm512_permutexvar_epi16(lane, (__m512i)_mm512_cvtne2ps_pbh(b, a));
}

/*
 * Returns sum + a0 b0 + a1 b1 in each lane, for the pair (a0, a1) in the bits of a and the pair (b0, b1) in each lane
 * of b.
 */
VECTOR_INLINE Vector vector_pair_multiply_add(float a, Vector b, Vector sum)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_ps(a), (__m512bh)b);
}
#endif

/*
 * Returns e^x to about 1 unit in the last place. Range reduction: x = n ln 2 + r with whole n and |r| <= ln(2) / 2, so
 * e^x = 2^n e^r. ln 2 is subtracted as a sum of two numbers (Cody and Waite): the first has so few bits that n times it
 * is exact. x is clamped to [-110, 90], beyond which e^x is 0 or inf, so that n stays small and r finite.
 */
VECTOR_INLINE Vector vector_exp(Vector x)
{
    const float shifter = 0x1.8p23f; /* x + shifter - shifter rounds x to a whole number */
    x = vector_clamp(x, -110, 90);
    const Vector n = (x * 0x1.715476p+0f + shifter) - shifter;
    const Vector r = (x - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f;
    /* The minimax polynomial of (e^r - 1 - r) / r^2 on that interval: its greatest error is 3e-9 of e^r. */
    Vector p = r * 0x1.6a23dp-10f + 0x1.123a2p-7f;
    p = p * r + 0x1.5558f2p-5f;
    p = p * r + 0x1.555492p-3f;
    p = p * r + 0x1.fffffcp-2f;
    return vector_scale_by_power((p * r) * r + r + 1.0f, n);
}

VECTOR_INLINE Vector vector_sqrt(Vector x)
{
#if defined(VECTOR_AVX512)
    return _mm512_sqrt_ps(x);
#elif defined(VECTOR_AVX2)
    return _mm256_sqrt_ps(x);
#elif defined(VECTOR_NEON)
    return vsqrtq_f32(x);
#else
    for (int i = 0; i < VECTOR_FLOATS; i++)
        x[i] = sqrtf(x[i]);
    return x;
#endif
}

/* ---- across lanes ---- */

/*
 * VECTOR_SHUFFLE(a, b, lane, s): lane j of the result is lane number lane(j, s) of a followed by b. The lanes of b have
 * the numbers from VECTOR_FLOATS on.
 */
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define VECTOR_SHUFFLE(a, b, lane, s) __builtin_shufflevector(a, b, VECTOR_LANES(lane, s))
#endif
#endif
#define VECTOR_LANES_4(lane, j, s) lane(j, s), lane(j + 1, s), lane(j + 2, s), lane(j + 3, s)
#if VECTOR_FLOATS == 4
#define VECTOR_LANES(lane, s) VECTOR_LANES_4(lane, 0, s)
#elif VECTOR_FLOATS == 8
#define VECTOR_LANES(lane, s) VECTOR_LANES_4(lane, 0, s), VECTOR_LANES_4(lane, 4, s)
#else
#define VECTOR_LANES(lane, s) \
    VECTOR_LANES_4(lane, 0, s), VECTOR_LANES_4(lane, 4, s), VECTOR_LANES_4(lane, 8, s), VECTOR_LANES_4(lane, 12, s)
#endif
#ifndef VECTOR_SHUFFLE
typedef int VectorLanes[VECTOR_FLOATS];
#define VECTOR_SHUFFLE(a, b, lane, s) vector_shuffle(a, b, (const VectorLanes){VECTOR_LANES(lane, s)})
VECTOR_INLINE Vector vector_shuffle(Vector a, Vector b, const VectorLanes lanes)
{
    Vector v = {0};
    for (int j = 0; j < VECTOR_FLOATS; j++)
        v[j] = lanes[j] < VECTOR_FLOATS ? a[lanes[j]] : b[lanes[j] - VECTOR_FLOATS];
    return v;
}
#endif

/* Sum and maximum of all lanes: each lane is combined with the lane half a vector away, then a quarter, and so on. */
#define VECTOR_PARTNER(j, s) ((j) ^ (s))
VECTOR_INLINE float vector_sum(Vector v)
{
#if VECTOR_FLOATS >= 16
    v += VECTOR_SHUFFLE(v, v, VECTOR_PARTNER, 8);
#endif
#if VECTOR_FLOATS >= 8
    v += VECTOR_SHUFFLE(v, v, VECTOR_PARTNER, 4);
#endif
    v += VECTOR_SHUFFLE(v, v, VECTOR_PARTNER, 2);
    v += VECTOR_SHUFFLE(v, v, VECTOR_PARTNER, 1);
    return v[0];
}

VECTOR_INLINE float vector_largest(Vector v)
{
#if VECTOR_FLOATS >= 16
    v = vector_max(v, VECTOR_SHUFFLE(v, v, VECTOR_PARTNER, 8));
#endif
#if VECTOR_FLOATS >= 8
    v = vector_max(v, VECTOR_SHUFFLE(v, v, VECTOR_PARTNER, 4));
#endif
    v = vector_max(v, VECTOR_SHUFFLE(v, v, VECTOR_PARTNER, 2));
    v = vector_max(v, VECTOR_SHUFFLE(v, v, VECTOR_PARTNER, 1));
    return v[0];
}

/*
 * Transposes a square of VECTOR_FLOATS vectors. For s = 1, 2, 4, ... it exchanges the two off-diagonal squares of side
 * s in each square of side 2 s.
 */
#define VECTOR_UPPER(j, s) (((j) & (s)) ? VECTOR_FLOATS + (j) - (s) : (j))
#define VECTOR_LOWER(j, s) (((j) & (s)) ? VECTOR_FLOATS + (j) : (j) + (s))
#define VECTOR_EXCHANGE(rows, s)                                     \
    VECTOR_UNROLL                                                    \
    for (int i = 0; i < VECTOR_FLOATS; i++)                          \
        if (!(i & (s))) {                                            \
            const Vector a = (rows)[i], b = (rows)[i + (s)];         \
            (rows)[i] = VECTOR_SHUFFLE(a, b, VECTOR_UPPER, s);       \
            (rows)[i + (s)] = VECTOR_SHUFFLE(a, b, VECTOR_LOWER, s); \
        }
VECTOR_INLINE void vector_transpose(Vector rows[VECTOR_FLOATS])
{
    VECTOR_EXCHANGE(rows, 1)
    VECTOR_EXCHANGE(rows, 2)
#if VECTOR_FLOATS >= 8
    VECTOR_EXCHANGE(rows, 4)
#endif
#if VECTOR_FLOATS >= 16
    VECTOR_EXCHANGE(rows, 8)
#endif
}

#endif
