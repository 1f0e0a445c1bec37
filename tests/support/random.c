/* SPDX-License-Identifier: MIT
 * Pseudo-random numbers from integers alone, the same on every machine; it must not know what they are for. */
#include "support/random.h"

uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t random_stream(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t state = a;
    state = random_next(&state) ^ b;
    state = random_next(&state) ^ c;
    return random_next(&state);
}
