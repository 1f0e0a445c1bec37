/* SPDX-License-Identifier: MIT
 * Inputs that hurt: seeded operands by kind; it must not know layouts or kernels. */
#include "values.h"

#include <math.h>

#include "check.h"
#include "harness.h"
#include "oracle.h"

/* Width of the stored mantissa and the biased exponent of 1, by dtype. */
static const int mantissa_bits[4] = { 0, 23, 10, 7 }, bias[4] = { 0, 127, 15, 127 };

/* Sign and mantissa uniform, exponent in [low, high]. */
static uint32_t number_between(int dtype, int low, int high)
{
    const uint64_t bits = random_bits();
    const uint32_t mantissa = (uint32_t)bits & ((1u << mantissa_bits[dtype]) - 1);
    const uint32_t sign = (uint32_t)(bits >> 63) << (dtype == 1 ? 31 : 15);
    const uint32_t exponent = (uint32_t)(bias[dtype] + low + (int)random_below((uint32_t)(high - low + 1)));
    return sign | exponent << mantissa_bits[dtype] | mantissa;
}

static uint32_t denormal(int dtype)
{
    const uint64_t bits = random_bits();
    const uint32_t sign = (uint32_t)(bits >> 63) << (dtype == 1 ? 31 : 15);
    return sign | ((uint32_t)bits & ((1u << mantissa_bits[dtype]) - 1));
}

/* 0, the least denormal, the largest one, the least normal, 1, the largest finite, infinity, a NaN; either sign. */
static uint32_t special(int dtype)
{
    const uint32_t unit = 1u << mantissa_bits[dtype];
    const uint32_t infinity = (uint32_t)(dtype == 2 ? 31 : 255) * unit;
    const uint32_t list[] = {
        0, 1, unit - 1, unit, (uint32_t)bias[dtype] * unit, infinity - 1, infinity, infinity | unit >> 1
    };
    const uint32_t sign = random_below(2) << (dtype == 1 ? 31 : 15);
    return sign | list[random_below(sizeof list / sizeof *list)];
}

uint32_t values_number(int kind, int dtype)
{
    const uint32_t dice = random_below(8);
    if (kind == CHECK_SPECIAL && dice < 4) return special(dtype);
    if (kind == CHECK_TINY && dice < 3) return denormal(dtype);
    if (kind == CHECK_TINY && dice == 3) return special(dtype) & (1u << (dtype == 1 ? 31 : 15)); /* a zero */
    if (kind == CHECK_TINY && dice == 4) /* normal, but its products are not */
        return number_between(dtype, 1 - bias[dtype], 4 - bias[dtype]);
    if (kind == CHECK_TIES && dice == 0) return number_between(dtype, bias[dtype] - 1, bias[dtype]);
    return number_between(dtype, -3, 3);
}

uint32_t values_coefficient(int kind)
{
    const uint32_t dice = random_below(16);
    if (kind == CHECK_TIES) return oracle_bits(dice & 1 ? 1.0f : -1.0f); /* sums and differences of the numbers */
    if (kind == CHECK_SPECIAL && dice < 2) return special(1);
    if (kind == CHECK_SPECIAL && dice == 2) return oracle_bits(0.0f);
    if (kind == CHECK_TINY && dice < 4) return number_between(1, -24, -10);
    return number_between(1, -4, -1);
}

uint32_t values_partner(int kind, int src, int dst, uint32_t first)
{
    if (kind != CHECK_TIES) return values_number(kind, src);
    const double nearby = oracle_value(dst, oracle_round(dst, oracle_value(src, first)));
    if (!isfinite(nearby)) return values_number(CHECK_NORMAL, src);
    const double half = 0.5 * oracle_ulp(dst, nearby);
    static const double nudge[] = {
        1, -1, 1, -1, 0, 0.5, -0.5, 1.5, 1 + 0x1p-7, 1 - 0x1p-7, 1 + 0x1p-10, -1 - 0x1p-10
    };
    const double rest = oracle_value(src, first) - nearby; /* a wider source is brought back to the middle */
    return oracle_round(src, half * nudge[random_below(sizeof nudge / sizeof *nudge)] - rest);
}
