"""The generator of core/rng.h in Python, computed from its definition. Prints the numbers that tests/core/test_rng.c expects.

    mix(x)          SplitMix64's finalizer: (x ^ x >> 30) * A, (x ^ x >> 27) * B, x ^ x >> 31, modulo 2^64
    seed            mix(mix(seed + G) + stream), stream 0 unless told
    n-th number     mix(mix(seed ^ n G) + seed), n = 1, 2, ...
    uniform         its 53 upper bits / 2^53
    below           its remainder, drawn again below 2^64 mod bound
    normal          sqrt(-2 ln(1 - u1)) cos(2 pi u2)
"""

import math

A, B, G = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0x9E3779B97F4A7C15
M = 2**64


def mix(x):
    x = (x ^ x >> 30) * A % M
    x = (x ^ x >> 27) * B % M
    return x ^ x >> 31


def bits(seed, stream=0):
    key = mix((mix((seed + G) % M) + stream) % M)
    n = 0
    while True:
        n += 1
        yield mix((mix(key ^ n * G % M) + key) % M)


def uniform(source):
    return (next(source) >> 11) / 2**53


def below(source, bound):
    while (number := next(source)) < M % bound:
        pass
    return number % bound


def normal(source):
    radius = math.sqrt(-2 * math.log(1 - uniform(source)))
    return radius * math.cos(2 * math.pi * uniform(source))


def main():
    for seed, stream in ((0, 0), (1, 0), (1, 2), (M - 1, M - 1)):
        source = bits(seed, stream)
        print(seed, stream, ", ".join(f"0x{next(source):016x}" for _ in range(3)))
    source = bits(42)
    print("uniform", [uniform(source) for _ in range(3)])
    source = bits(42)
    print("below 10", [below(source, 10) for _ in range(12)])
    source = bits(42)
    print("below 3 * 2^62", [below(source, 3 << 62) for _ in range(6)])
    source = bits(42)
    print("normal", [normal(source) for _ in range(4)])


if __name__ == "__main__":
    main()
