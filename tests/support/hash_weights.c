#include "tests/support/hash_weights.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static const uint64_t GOLDEN = 0x9E3779B97F4A7C15U;

/* The sum of four uniforms in 0 .. 65535 has mean 131070 and variance 4 (2^32 - 1) / 12. */
enum { SUM_MEAN = 131070 };
static const double SUM_DEVIATION = 37837.22723720648;

static uint64_t hash_name(const char *name, uint64_t seed)
{
    uint64_t hash = 0xCBF29CE484222325U;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001B3U;
    return hash + seed * GOLDEN;
}

static uint64_t bits_at(uint64_t base, uint64_t index)
{
    uint64_t z = base + (index + 1) * GOLDEN;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

uint64_t hash_bits(const char *name, uint64_t seed, uint64_t index)
{
    return bits_at(hash_name(name, seed), index);
}

void hash_normal(float *values, size_t count, const char *name, uint64_t seed, double mean, double sigma)
{
    const uint64_t base = hash_name(name, seed);
    const double scale = sigma / SUM_DEVIATION;
    for (size_t i = 0; i < count; i++) {
        const uint64_t bits = bits_at(base, i);
        const int sum =
            (int)(bits & 0xFFFF) + (int)(bits >> 16 & 0xFFFF) + (int)(bits >> 32 & 0xFFFF) + (int)(bits >> 48);
        const float noise = (float)((double)(sum - SUM_MEAN) * scale);
        values[i] = (float)mean + noise;
    }
}

void hash_integers(int32_t *values, size_t count, const char *name, uint64_t seed, uint32_t bound)
{
    const uint64_t base = hash_name(name, seed);
    for (size_t i = 0; i < count; i++)
        values[i] = (int32_t)((bits_at(base, i) >> 32) * bound >> 32);
}

void hash_weights(Tensor weight, const char *name, uint64_t seed)
{
    assert(tensor_contiguous(weight));
    double mean = 0, sigma = 0.1;
    if (strstr(name, "ln"))
        mean = 1;
    else if (strcmp(name, "token_embeddings.weight") == 0)
        sigma = 1;
    else if (weight.rank == 2)
        sigma = sqrt(2 / (double)(weight.shape[0] + weight.shape[1]));
    hash_normal(weight.data, tensor_count(weight), name, seed, mean, sigma);
}

void hash_parameters(ParameterList parameters, uint64_t seed)
{
    for (size_t i = 0; i < parameters.count; i++)
        hash_weights(parameters.items[i].value, parameters.items[i].name, seed);
}
