/* SPDX-License-Identifier: MIT
 * What is right, by the plainest means (double, MPFR, exact conversions); it must share no code with src/ or simd/. */
#include "reference/oracle.h"

#include <complex.h>
#include <float.h>
#include <math.h>

#include <mpfr.h>

_Static_assert(FLT_EVAL_METHOD == 0, "the recipe rounds every float operation to float");

enum { BITS = 200 }; /* 106 bits of product; 2^-80 of cancellation still leaves more than 100 correct ones */

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

/* Significant bits, and the exponent of the least denormal. */
static int precision(int dtype)
{
    return formats[dtype].mantissa_bits + 1;
}

static int lowest(int dtype)
{
    return 1 - format_bias(dtype) - formats[dtype].mantissa_bits;
}

/* The exponent of the last bit of a number that frexp calls 2^exponent. */
static int last_bit(int dtype, int exponent)
{
    const int last = exponent - precision(dtype);
    return last > lowest(dtype) ? last : lowest(dtype);
}

double oracle_value(int dtype, uint32_t bits)
{
    const int stored = formats[dtype].mantissa_bits;
    const uint32_t magnitude = bits & (format_sign(dtype) - 1), mantissa = magnitude & ((1u << stored) - 1);
    const int exponent = (int)(magnitude >> stored);
    double value;
    if (magnitude >= format_infinity(dtype))
        value = mantissa ? NAN : INFINITY;
    else if (exponent == 0)
        value = ldexp(mantissa, lowest(dtype));
    else
        value = ldexp((double)mantissa + ldexp(1, stored), lowest(dtype) + exponent - 1);
    return bits & format_sign(dtype) ? -value : value;
}

/* An integer multiple of a power of two: scale, take the integer below, look at the rest. Every step is exact. */
static double round_magnitude(int dtype, double magnitude)
{
    int exponent;
    frexp(magnitude, &exponent);
    const int last = last_bit(dtype, exponent);
    const double scaled = ldexp(magnitude, -last), below = floor(scaled), rest = scaled - below;
    const int odd = (int)((uint32_t)below & 1);
    const double rounded = ldexp(below + (rest > 0.5 || (rest == 0.5 && odd)), last);
    return rounded >= ldexp(1, format_bias(dtype) + 1) ? HUGE_VAL : rounded;
}

uint32_t oracle_round(int dtype, double value)
{
    const int stored = formats[dtype].mantissa_bits;
    if (isnan(value)) return format_infinity(dtype) | 1u << (stored - 1);
    const uint32_t sign = signbit(value) ? format_sign(dtype) : 0;
    if (value == 0) return sign;
    const double magnitude = isinf(value) ? HUGE_VAL : round_magnitude(dtype, fabs(value));
    if (isinf(magnitude)) return sign | format_infinity(dtype);
    if (magnitude == 0) return sign;
    int exponent;
    frexp(magnitude, &exponent);
    const int last = last_bit(dtype, exponent);
    const uint32_t steps = (uint32_t)ldexp(magnitude, -last);
    const uint32_t field = (uint32_t)(last - lowest(dtype)); /* 0 also for denormals: the implicit bit is not there */
    return sign | (steps + (field << stored));
}

double oracle_ulp(int dtype, double value)
{
    int exponent = lowest(dtype);
    if (value != 0) frexp(fabs(value), &exponent);
    return ldexp(1, last_bit(dtype, exponent));
}

/* ---- one pair ---------------------------------------------------------------------------------------------------- */

void oracle_rotate(double x0, double x1, double c, double s, double y[2])
{
    const double complex product = (x0 + x1 * I) * (c + s * I);
    y[0] = creal(product);
    y[1] = cimag(product);
}

static float in_16_bits(int through, float x)
{
    return (float)oracle_value(through, oracle_round(through, (double)x));
}

void oracle_eager(int t, float x0, float x1, float c, float s, float y[2])
{
    const float a = in_16_bits(t, x0), b = in_16_bits(t, x1), cosine = in_16_bits(t, c), sine = in_16_bits(t, s);
    const float ac = in_16_bits(t, a * cosine), bs = in_16_bits(t, b * sine), bc = in_16_bits(t, b * cosine),
                as = in_16_bits(t, a * sine);
    y[0] = in_16_bits(t, ac - bs);
    y[1] = in_16_bits(t, bc + as);
}

void oracle_recipe(int dtype, float x0, float x1, float c, float s, uint32_t y[2])
{
    const float y0 = x0 * c - x1 * s;
    const float y1 = x0 * s + x1 * c;
    y[0] = dtype == 1 ? format_bits(y0) : oracle_round(dtype, (double)y0);
    y[1] = dtype == 1 ? format_bits(y1) : oracle_round(dtype, (double)y1);
}

/* ---- angles ------------------------------------------------------------------------------------------------------ */

double oracle_inv_freq(double base, int64_t j, int64_t rotary_dim)
{
    mpfr_t b, e;
    mpfr_inits2(BITS, b, e, (mpfr_ptr)0);
    mpfr_set_d(b, base, MPFR_RNDN);
    mpfr_set_si(e, (long)(-2 * j), MPFR_RNDN);
    mpfr_div_si(e, e, (long)rotary_dim, MPFR_RNDN);
    mpfr_pow(b, b, e, MPFR_RNDN);
    const double result = mpfr_get_d(b, MPFR_RNDN);
    mpfr_clears(b, e, (mpfr_ptr)0);
    return result;
}

/* mpfr_get_flt rounds once, denormals included. */
static float shifted(mpfr_t value, double by)
{
    mpfr_t sum;
    mpfr_init2(sum, BITS);
    mpfr_add_d(sum, value, by, MPFR_RNDN);
    const float result = mpfr_get_flt(sum, MPFR_RNDN);
    mpfr_clear(sum);
    return result;
}

static oracle_bracket trig_of(int which, mpfr_t angle, double factor, double slack)
{
    if (which)
        mpfr_sin(angle, angle, MPFR_RNDN);
    else
        mpfr_cos(angle, angle, MPFR_RNDN);
    mpfr_mul_d(angle, angle, factor, MPFR_RNDN);
    return (oracle_bracket){ shifted(angle, -slack), shifted(angle, 0), shifted(angle, slack) };
}

oracle_bracket oracle_trig(int which, double p, double w, double factor, double slack)
{
    mpfr_t angle;
    mpfr_init2(angle, BITS);
    mpfr_set_d(angle, p, MPFR_RNDN);
    mpfr_mul_d(angle, angle, w, MPFR_RNDN); /* 106 bits: exact */
    const oracle_bracket result = trig_of(which, angle, factor, slack);
    mpfr_clear(angle);
    return result;
}

oracle_bracket oracle_trig_of_sum(int which, const double *p, const double *w, int n, double factor, double slack)
{
    enum { SUM_BITS = 1200 }; /* from 2^49 down to the products of what is 2^-500 */
    mpfr_t angle, product;
    mpfr_inits2(SUM_BITS, angle, product, (mpfr_ptr)0);
    mpfr_set_zero(angle, 1);
    for (int i = 0; i < n; i++) {
        mpfr_set_d(product, p[i], MPFR_RNDN);
        mpfr_mul_d(product, product, w[i], MPFR_RNDN);
        mpfr_add(angle, angle, product, MPFR_RNDN);
    }
    const oracle_bracket result = trig_of(which, angle, factor, slack);
    mpfr_clears(angle, product, (mpfr_ptr)0);
    return result;
}

/* Appends previous + i * current for small i and for i near the last one (the quotient a, or what the limit leaves of
 * it): intermediate fractions, then the convergent. */
static size_t add_intermediates(int64_t previous, int64_t current, int64_t a, int64_t limit, int64_t *p, size_t room)
{
    enum { NEAR = 8 };
    size_t count = 0;
    if (current > 0 && a > (limit - previous) / current) a = (limit - previous) / current;
    for (int64_t i = 1; i <= a && count < room; i++) {
        if (i == NEAR + 1 && a > 2 * NEAR) i = a - NEAR;
        if (previous + i * current > 0) p[count++] = previous + i * current;
    }
    return count;
}

/* Denominators of the continued fraction of times * w / pi. */
static size_t add_fraction(double w, unsigned times, int64_t limit, int64_t *p, size_t room)
{
    mpfr_t x, whole;
    mpfr_inits2(BITS, x, whole, (mpfr_ptr)0);
    mpfr_const_pi(x, MPFR_RNDN);
    mpfr_d_div(x, times * w, x, MPFR_RNDN);
    int64_t previous = 1, current = 0; /* of the denominators -2 and -1 */
    size_t count = 0;
    while (count < room && current <= limit) {
        mpfr_floor(whole, x);
        mpfr_sub(x, x, whole, MPFR_RNDN);
        const int64_t a = mpfr_cmp_d(whole, 0x1p62) < 0 ? (int64_t)mpfr_get_sj(whole, MPFR_RNDN) : INT64_MAX / 4;
        count += add_intermediates(previous, current, current ? a : 1, limit, p + count, room - count);
        if (current > 0 && a > (limit - previous) / current) break;
        const int64_t next = previous + (current ? a * current : 0);
        previous = current;
        current = next;
        if (mpfr_zero_p(x)) break;
        mpfr_ui_div(x, 1, x, MPFR_RNDN);
    }
    mpfr_clears(x, whole, (mpfr_ptr)0);
    return count;
}

/* p w near k pi: the convergents of w / pi. Near (k + 1/2) pi: those fractions of 2 w / pi whose numerator is odd; the
 * best of these are among the convergents and the intermediate fractions. */
size_t oracle_near_zeros(double w, int64_t limit, int64_t *p, size_t room)
{
    const size_t count = add_fraction(w, 1, limit, p, room);
    return count + add_fraction(w, 2, limit, p + count, room - count);
}
