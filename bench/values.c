/* SPDX-License-Identifier: MIT
 * Memory and plausible tensor values for benchmarks; it must not know what is done with them.
 */
#include "values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/formats.h"
#include "support/random.h"

enum { PAGE = 4096 };

void *bench_allocate(size_t bytes)
{
    const size_t whole = (bytes + PAGE - 1) / PAGE * PAGE;
    void *data = aligned_alloc(PAGE, whole);
    if (data != NULL) memset(data, 0, whole);
    return data;
}

/* Built from bits, so that no conversion to 16 bits is needed here: sign, one of eight exponents, mantissa. */
static uint32_t random_float(uint32_t random, int32_t dtype)
{
    const int stored = formats[dtype].mantissa_bits;
    const uint32_t exponent = (uint32_t)format_bias(dtype) - 4 + (random >> 28 & 7);
    return (random >> 31 ? format_sign(dtype) : 0) | exponent << stored | (random & ((1u << stored) - 1));
}

void bench_fill(void *data, size_t bytes, int32_t dtype)
{
    uint64_t state = 20261123;
    char *const to = data;
    for (size_t i = 0; i < bytes; i += format_bytes(dtype))
        format_store(dtype, to + i, random_float((uint32_t)(random_next(&state) >> 32), dtype));
}

double bench_value(const void *data, size_t index, int32_t dtype)
{
    const uint32_t bits = format_load(dtype, (const char *)data + index * format_bytes(dtype));
    const int stored = formats[dtype].mantissa_bits, bias = format_bias(dtype);
    const uint32_t magnitude = bits & (format_sign(dtype) - 1), fraction = magnitude & ((1u << stored) - 1);
    const int exponent = (int)(magnitude >> stored);
    const double value = ldexp((double)(exponent != 0 ? fraction | 1u << stored : fraction),
                               (exponent != 0 ? exponent : 1) - bias - stored);
    return (bits & format_sign(dtype)) != 0 ? -value : value;
}

int bench_finite(const void *data, size_t bytes, int32_t dtype)
{
    const char *const from = data;
    for (size_t i = 0; i < bytes; i += format_bytes(dtype))
        if ((format_load(dtype, from + i) & format_infinity(dtype)) == format_infinity(dtype)) return 0;
    return 1;
}
