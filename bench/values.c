/* SPDX-License-Identifier: MIT
 * Memory and plausible tensor values for benchmarks; it must not know what is done with them.
 */
#include "values.h"

#include <roperot/roperot.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096 };

typedef struct float_format {
    size_t bytes;
    unsigned mantissa_bits, exponent_bits;
} float_format;

static float_format format_of(int32_t dtype)
{
    if (dtype == ROPEROT_F16) return (float_format){ 2, 10, 5 };
    if (dtype == ROPEROT_BF16) return (float_format){ 2, 7, 8 };
    return (float_format){ 4, 23, 8 };
}

void *bench_allocate(size_t bytes)
{
    const size_t whole = (bytes + PAGE - 1) / PAGE * PAGE;
    void *data = aligned_alloc(PAGE, whole);
    if (data != NULL) memset(data, 0, whole);
    return data;
}

size_t bench_element_bytes(int32_t dtype)
{
    return format_of(dtype).bytes;
}

/* splitmix64 */
uint64_t bench_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Built from bits, so that no conversion to 16 bits is needed here: sign, one of eight exponents, mantissa. */
static uint32_t random_float(uint32_t random, float_format format)
{
    const uint32_t bias = (1u << (format.exponent_bits - 1)) - 1;
    const uint32_t sign = random >> 31, exponent = bias - 4 + (random >> 28 & 7);
    const uint32_t mantissa = random & ((1u << format.mantissa_bits) - 1);
    return (sign << format.exponent_bits | exponent) << format.mantissa_bits | mantissa;
}

void bench_fill(void *data, size_t bytes, int32_t dtype)
{
    const float_format format = format_of(dtype);
    uint64_t state = 20261123;
    char *to = data;
    for (size_t i = 0; i < bytes; i += format.bytes) {
        const uint32_t value = random_float((uint32_t)(bench_random(&state) >> 32), format);
        const uint16_t low = (uint16_t)value;
        if (format.bytes == 4) memcpy(to + i, &value, sizeof value);
        else memcpy(to + i, &low, sizeof low);
    }
}

int bench_finite(const void *data, size_t bytes, int32_t dtype)
{
    const float_format format = format_of(dtype);
    const uint32_t all_ones = ((1u << format.exponent_bits) - 1) << format.mantissa_bits;
    const char *from = data;
    for (size_t i = 0; i < bytes; i += format.bytes) {
        uint32_t wide = 0;
        uint16_t narrow = 0;
        if (format.bytes == 4) memcpy(&wide, from + i, sizeof wide);
        else memcpy(&narrow, from + i, sizeof narrow);
        if (((wide | narrow) & all_ones) == all_ones) return 0;
    }
    return 1;
}
