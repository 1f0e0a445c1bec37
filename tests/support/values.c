/* SPDX-License-Identifier: MIT
 * Test inputs: seeded operands by kind (zeros, denormals, infinities, NaN, ..); it must not know layouts or kernels. */
#include "support/values.h"

#include <math.h>

#include "reference/oracle.h"
#include "support/harness.h"

/* Sign and mantissa uniform, exponent in [low, high]. */
static uint32_t number_between(int dtype, int low, int high)
{
    const int stored = formats[dtype].mantissa_bits;
    const uint64_t bits = random_bits();
    const uint32_t mantissa = (uint32_t)bits & ((1u << stored) - 1), sign = bits >> 63 ? format_sign(dtype) : 0;
    const uint32_t exponent = (uint32_t)(format_bias(dtype) + low + (int)random_below((uint32_t)(high - low + 1)));
    return sign | exponent << stored | mantissa;
}

static uint32_t denormal(int dtype)
{
    const uint64_t bits = random_bits();
    const uint32_t sign = bits >> 63 ? format_sign(dtype) : 0;
    return sign | ((uint32_t)bits & ((1u << formats[dtype].mantissa_bits) - 1));
}

/* Either sign. */
static uint32_t special(int dtype)
{
    const uint32_t sign = random_below(2) ? format_sign(dtype) : 0;
    return sign | format_special(dtype, random_below(FORMAT_SPECIALS));
}

uint32_t values_number(int kind, int dtype)
{
    const uint32_t dice = random_below(8);
    if (kind == VALUES_SPECIAL && dice < 4) return special(dtype);
    if (kind == VALUES_TINY && dice < 3) return denormal(dtype);
    if (kind == VALUES_TINY && dice == 3) return special(dtype) & format_sign(dtype); /* a zero */
    if (kind == VALUES_TINY && dice == 4) /* normal, but its products are not */
        return number_between(dtype, 1 - format_bias(dtype), 4 - format_bias(dtype));
    if (kind == VALUES_TIES && dice == 0) return number_between(dtype, format_bias(dtype) - 1, format_bias(dtype));
    return number_between(dtype, -3, 3);
}

uint32_t values_coefficient(int kind)
{
    const uint32_t dice = random_below(16);
    if (kind == VALUES_TIES) return format_bits(dice & 1 ? 1.0f : -1.0f); /* sums and differences of the numbers */
    if (kind == VALUES_SPECIAL && dice < 2) return special(1);
    if (kind == VALUES_SPECIAL && dice == 2) return format_bits(0.0f);
    if (kind == VALUES_TINY && dice < 4) return number_between(1, -24, -10);
    return number_between(1, -4, -1);
}

uint32_t values_partner(int kind, int src, int dst, uint32_t first)
{
    if (kind != VALUES_TIES) return values_number(kind, src);
    const double nearby = oracle_value(dst, oracle_round(dst, oracle_value(src, first)));
    if (!isfinite(nearby)) return values_number(VALUES_NORMAL, src);
    const double half = 0.5 * oracle_ulp(dst, nearby);
    static const double nudge[] = {
        1, -1, 1, -1, 0, 0.5, -0.5, 1.5, 1 + 0x1p-7, 1 - 0x1p-7, 1 + 0x1p-10, -1 - 0x1p-10
    };
    const double rest = oracle_value(src, first) - nearby; /* a wider source is brought back to the middle */
    return oracle_round(src, half * nudge[random_below(sizeof nudge / sizeof *nudge)] - rest);
}
