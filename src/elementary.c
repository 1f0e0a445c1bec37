/* SPDX-License-Identifier: MIT AND BSL-1.0
 * exp, log and pow of f64 as fixed sequences of IEEE operations; it must not know what they are for.
 *
 * Polynomials and order of operations are those of SLEEF's Sleef_cinz_expd1_u10, _logd1_u10 and _powd1_u10
 * (sleefsimddp.c, dd.h and estrin.h, the same from 3.5.1 to 3.9.0), Copyright Naoki Shibata and contributors
 * 2010 - 2025, distributed under the Boost Software License, Version 1.0 (LICENSES/BSL-1.0.txt), so that the bits are,
 * too. Rounding to an integer is exact either way, powers of two are exact, and special values need no sequence. */
#include "elementary.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* ---- bits -------------------------------------------------------------------------------------------------------- */

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double of_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* x without its 27 lowest bits: products of such numbers are exact. */
static double upper(double x)
{
    return of_bits(bits_of(x) & UINT64_C(0xfffffffff8000000));
}

/* To nearest even, for |x| < 2^51. */
static double round_to_integer(double x)
{
    return x + 0x1.8p52 - 0x1.8p52;
}

static double power_of_two(int exponent)
{
    return of_bits((uint64_t)(exponent + 1023) << 52);
}

/* x 2^exponent by two factors: the second product alone rounds. */
static double scale(double x, int exponent)
{
    const int half = (exponent - (exponent < 0)) / 2; /* towards minus infinity */
    return x * power_of_two(half) * power_of_two(exponent - half);
}

/* ---- Estrin's scheme: c[0] belongs to the highest power ---------------------------------------------------------- */

static double cubic(double x, double x2, const double c[4])
{
    return x2 * (x * c[0] + c[1]) + (x * c[2] + c[3]);
}

static double degree_6(double x, double x2, double x4, const double c[7])
{
    return x4 * (x2 * c[0] + (x * c[1] + c[2])) + cubic(x, x2, c + 3);
}

static double degree_7(double x, double x2, double x4, const double c[8])
{
    return x4 * cubic(x, x2, c) + cubic(x, x2, c + 4);
}

static double degree_8(double x, const double c[9])
{
    const double x2 = x * x, x4 = x2 * x2, x8 = x4 * x4;
    return x8 * c[0] + degree_7(x, x2, x4, c + 1);
}

static double degree_9(double x, const double c[10])
{
    const double x2 = x * x, x4 = x2 * x2, x8 = x4 * x4;
    return x8 * (x * c[0] + c[1]) + degree_7(x, x2, x4, c + 2);
}

/* ---- sums of two doubles ----------------------------------------------------------------------------------------- */

typedef struct two {
    double hi, lo;
} two;

/* Any a and b (Knuth). */
static two sum(double a, double b)
{
    const double s = a + b, v = s - a;
    return (two){ s, (a - (s - v)) + (b - v) };
}

/* a + b, |a.hi| >= |b.hi| (Dekker). */
static two add(two a, two b)
{
    const double s = a.hi + b.hi;
    return (two){ s, a.hi - s + b.hi + a.lo + b.lo };
}

static two add_to_one(two b)
{
    const double s = 1.0 + b.hi;
    return (two){ s, 1.0 - s + b.hi + b.lo };
}

static two add_double(two a, double b)
{
    const double s = a.hi + b;
    return (two){ s, a.hi - s + b + a.lo };
}

static two add_any_double(two a, double b)
{
    const two s = sum(a.hi, b);
    return (two){ s.hi, s.lo + a.lo };
}

static two multiply(two a, two b)
{
    const double a1 = upper(a.hi), a0 = a.hi - a1, b1 = upper(b.hi), b0 = b.hi - b1, p = a.hi * b.hi;
    return (two){ p, a1 * b1 - p + a0 * b1 + a1 * b0 + a0 * b0 + a.hi * b.lo + a.lo * b.hi };
}

static two multiply_double(two a, double b)
{
    const double a1 = upper(a.hi), a0 = a.hi - a1, b1 = upper(b), b0 = b - b1, p = a.hi * b;
    return (two){ p, a1 * b1 - p + a0 * b1 + a1 * b0 + a0 * b0 + a.lo * b };
}

static two square(two a)
{
    const double a1 = upper(a.hi), a0 = a.hi - a1, p = a.hi * a.hi;
    return (two){ p, a1 * a1 - p + (a1 + a1) * a0 + a0 * a0 + a.hi * (a.lo + a.lo) };
}

static two divide(two n, two d)
{
    const double t = 1.0 / d.hi, s = n.hi * t;
    const double d1 = upper(d.hi), d0 = d.hi - d1, t1 = upper(t), t0 = t - t1, n1 = upper(n.hi), n0 = n.hi - n1;
    const double missing = 1.0 - d1 * t1 - d1 * t0 - d0 * t1 - d0 * t0; /* of d.hi t */
    const double u = n1 * t1 - s + n1 * t0 + n0 * t1 + n0 * t0 + s * missing;
    return (two){ s, t * (n.lo - s * d.lo) + u };
}

/* ---- exp --------------------------------------------------------------------------------------------------------- */

static const double infinity = (double)INFINITY, not_a_number = (double)NAN;
static const double ln2_high = 0x1.62e42fefa3p-1, ln2_low = 0x1.3de6af278ece6p-42, per_ln2 = 0x1.71547652b82fep+0;
static const double exp_overflows = 0x1.62e42fe102c83p+9; /* SLEEF's, 1.8e-6 early */

double roperot_exp(double x)
{
    static const double c[10] = { 0x1.1f0e4c4ecd775p-29, 0x1.af68a28cc800ap-26, 0x1.27e52e0fcd573p-22,
                                  0x1.71ddf1629e6cep-19, 0x1.a01a01780879ep-16, 0x1.a01a01b3603f5p-13,
                                  0x1.6c16c16c20bap-10,  0x1.111111110eb39p-7,  0x1.555555555553ep-5,
                                  0x1.555555555555cp-3 };
    if (isnan(x)) return x;
    if (x > exp_overflows) return infinity;
    if (x < -1000.0) return 0.0;
    const double q = round_to_integer(x * per_ln2);
    const double s = x - q * ln2_high - q * ln2_low;
    const double u = degree_9(s, c) * s + 0.5;
    return scale(1.0 + (s * s * u + s), (int)q);
}

/* exp of a sum of two doubles, for pow. */
static double exp_of_two(two x)
{
    static const double c[10] = { 0x1.af559d51456b9p-26, 0x1.28a8f696db5adp-22, 0x1.71ddfd27d265ep-19,
                                  0x1.a0199ec6c491bp-16, 0x1.a01a01ae0c33dp-13, 0x1.6c16c1828ec7bp-10,
                                  0x1.111111110fb68p-7,  0x1.5555555550e9p-5,   0x1.5555555555558p-3,
                                  0x1.0000000000009p-1 };
    const double q = round_to_integer((x.hi + x.lo) * per_ln2);
    two s = add_any_double(add_any_double(x, -(q * ln2_high)), -(q * ln2_low));
    const double unit = s.hi + s.lo;
    s = (two){ unit, s.hi - unit + s.lo };
    const two t = add(add_to_one(s), multiply_double(square(s), degree_9(s.hi, c)));
    return scale(t.hi + t.lo, (int)q);
}

/* ---- log --------------------------------------------------------------------------------------------------------- */

static const two ln2 = { 0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56 };

/* x = m 2^exponent with m about in [3/4, 3/2), for a finite x > 0; (m - 1) / (m + 1) is what logarithms are series
 * of. */
static two reduce(double x, int *exponent)
{
    const int subnormal = x < 0x1p-1022;
    const double y = subnormal ? x * 0x1p64 : x;
    const int e = (int)(bits_of(y * 0x1.5555555555555p+0) >> 52 & 0x7ff) - 1023;
    const double m = of_bits(bits_of(y) - ((uint64_t)e << 52));
    *exponent = subnormal ? e - 64 : e;
    return divide(sum(-1.0, m), sum(1.0, m));
}

double roperot_log(double x)
{
    static const double c[7] = { 0x1.39c4f5407567ep-3, 0x1.3872e67fe8e84p-3, 0x1.747353a506035p-3, 0x1.c71c0a65ecd8ep-3,
                                 0x1.249249a68a245p-2, 0x1.99999998f92eap-2, 0x1.55555555557aep-1 };
    if (isnan(x) || x < 0.0) return not_a_number;
    if (x == 0.0) return -infinity;
    if (isinf(x)) return x;
    int e;
    const two z = reduce(x, &e);
    const double z2 = z.hi * z.hi, z4 = z2 * z2, t = degree_6(z2, z4, z4 * z4, c);
    const two s = add(multiply_double(ln2, e), (two){ z.hi * 2.0, z.lo * 2.0 });
    const two r = add_double(s, z2 * z.hi * t);
    return r.hi + r.lo;
}

/* To twice the precision, for pow. */
static two log_to_two(double x)
{
    static const double c[9] = { 0x1.dc2ec09e714d3p-4, 0x1.a6dea6d1e9d11p-4, 0x1.e252ddf5f8d0ap-4,
                                 0x1.110f384a1865cp-3, 0x1.3b13bb108efd1p-3, 0x1.745d17248daf1p-3,
                                 0x1.c71c71c76197fp-3, 0x1.24924924922p-2,   0x1.999999999999bp-2 };
    static const two third = { 0x1.5555555555555p-1, 0x1.5fp-55 }; /* 2/3 */
    int e;
    const two z = reduce(x, &e), z2 = square(z);
    const double t = degree_8(z2.hi, c);
    two s = add(multiply_double(ln2, e), (two){ z.hi * 2.0, z.lo * 2.0 });
    two power = multiply(z2, z);
    s = add(s, multiply(power, third));
    power = multiply(z2, power);
    return add(s, multiply_double(power, t));
}

/* ---- pow --------------------------------------------------------------------------------------------------------- */

double roperot_pow(double x, double y)
{
    if (y == 0.0 || x == 1.0) return 1.0;
    if (isnan(x) || isnan(y) || x < 0.0) return not_a_number;
    if (isinf(y)) return (x < 1.0) == (y < 0.0) ? infinity : 0.0;
    if (x == 0.0 || isinf(x)) return (x == 0.0) == (y < 0.0) ? infinity : 0.0;
    const two p = multiply_double(log_to_two(x), y);
    if (p.hi > exp_overflows) return infinity;
    if (p.hi < -1000.0) return 0.0;
    return exp_of_two(p);
}
