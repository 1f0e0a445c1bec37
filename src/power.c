/* SPDX-License-Identifier: MIT
 * base^(-numerator/denominator), correctly rounded; it must not know what a frequency is. */
#include "frequencies.h"

#include <math.h>
#include <stdbool.h>

/*
 * With w = base^(-m/n) in lowest terms, w^n base^m = 1. A start w0 = w (1 + d) from pow, a few ULP off, gives
 *
 *     w0^n base^m = (1 + d)^n = 1 + e,      d = e/n - (n - 1) e^2 / (2 n^2) + O(n^2 d^3)
 *
 * and w = w0 - w0 d, rounded once. The power is taken in double-double by repeated squaring: about n 2^-103 relative
 * error in 1 + e, so about 2^-103 in d; what is neglected is w0 d^2, with |d| < 2^-50.
 * base^(-m/n) is never halfway between two doubles: base and the halfway point are dyadic, and a dyadic w with dyadic
 * w^-n is a power of two, hence itself a double. What remains is a w within 2^-99 of halfway: bases a few ULP from 1
 * have some, no base that a model uses is known to.
 *
 * Nothing overflows because base = f 2^k with f in [1/2, 1), and the powers of two are carried as integers.
 */

/* (hi + lo) 2^exponent, |lo| <= ulp(hi) / 2, hi in [1/2, 1). */
typedef struct wide {
    double hi, lo;
    int64_t exponent;
} wide;

/* Veltkamp: the upper 26 bits of x. */
static double upper_half(double x)
{
    const double t = 134217729.0 * x; /* 2^27 + 1 */
    return t - (t - x);
}

/* Dekker: the rounding error of p = fl(a b), exactly. No FMA, which not every CPU has. */
static double product_error(double a, double b, double p)
{
    const double a1 = upper_half(a), a0 = a - a1;
    const double b1 = upper_half(b), b0 = b - b1;
    return ((a1 * b1 - p) + a1 * b0 + a0 * b1) + a0 * b0;
}

static wide normalise(double hi, double lo, int64_t exponent)
{
    int shift;
    const double sum = hi + lo;
    const double rest = lo - (sum - hi);
    const double unit = frexp(sum, &shift);
    return (wide){ unit, ldexp(rest, -shift), exponent + shift };
}

static wide multiply(wide a, wide b)
{
    const double p = a.hi * b.hi;
    const double e = product_error(a.hi, b.hi, p) + (a.hi * b.lo + a.lo * b.hi);
    return normalise(p, e, a.exponent + b.exponent);
}

static wide power(wide x, int32_t n)
{
    wide y = { 0.5, 0.0, 1 };
    for (; n; n >>= 1) {
        if (n & 1) y = multiply(y, x);
        x = multiply(x, x);
    }
    return y;
}

static int32_t greatest_common_divisor(int32_t a, int32_t b)
{
    while (b) {
        const int32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The double nearest to (hi + lo) 2^exponent, hi being the double nearest to hi + lo. Only a subnormal result rounds a
 * second time, and only a tie of that rounding can be wrong: then lo says on which side the number is. */
static double scaled(double hi, double lo, int exponent)
{
    const double x = ldexp(hi, exponent);
    if (isinf(x) || fabs(x) >= 0x1p-1022) return x;
    const double rest = hi - ldexp(x, -exponent);
    const bool tie = fabs(rest) == ldexp(0.5, -1074 - exponent);
    return tie && rest * lo > 0.0 ? x + copysign(0x1p-1074, rest) : x;
}

double roperot_power(double base, int32_t numerator, int32_t denominator)
{
    if (numerator == 0) return 1.0;
    const int32_t g = greatest_common_divisor(numerator, denominator);
    const int32_t m = numerator / g, n = denominator / g;
    int k;
    const double f = frexp(base, &k);

    /* base^(-m/n) = v 2^-q with v = f^(-m/n) 2^(-t/n), k m = q n + t, 0 <= t < n: v is in (1/2, 4), for m < 2 n. */
    const int64_t km = (int64_t)k * m;
    const int64_t t = (km % n + n) % n, q = (km - t) / n;
    const double v = ROPEROT_POW(f, -(double)m / n) * ROPEROT_POW(2.0, -(double)t / n);

    wide one = multiply(power(normalise(v, 0.0, 0), n), power(normalise(f, 0.0, 0), m));
    one.exponent += t;
    const double e = (ldexp(one.hi, (int)one.exponent) - 1.0) + ldexp(one.lo, (int)one.exponent);
    const double d = e / n - 0.5 * (n - 1) * (e / n) * (e / n);
    const double step = -v * d;
    const double hi = v + step;
    return scaled(hi, step - (hi - v), (int)-q);
}
