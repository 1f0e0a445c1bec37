/* SPDX-License-Identifier: MIT AND BSL-1.0
 * sin and cos of |x| < 15 as a fixed sequence of IEEE operations on one register of f64; it must not know any ISA.
 * Parameter: VEC, whose verbs are set1, add, sub, mul, upper, bit_to_sign, flip and choose.
 *
 * Polynomials and order of operations are those of SLEEF's Sleef_cinz_sincosd1_u10 (sleefsimddp.c and dd.h, the same
 * from 3.5.1 to 3.9.0), Copyright Naoki Shibata and contributors 2010 - 2025, distributed under the Boost Software
 * License, Version 1.0 (LICENSES/BSL-1.0.txt), so that the bits are, too. Within 0.84 ULP. */

#define T CAT(VEC, _t)
#define V(verb) CAT3(VEC, _, verb)

/* The square of r + t, in about twice the precision of its result: halves of 26 bits make every product but the last
 * ones exact. */
INLINE T V(square)(T r, T t)
{
    const T high = V(upper)(r), low = V(sub)(r, high);
    const T cross = V(mul)(high, low), twice = V(mul)(high, t);
    const T small = V(add)(V(add)(twice, twice), V(mul)(low, low));
    return V(add)(V(add)(small, V(add)(cross, cross)), V(mul)(high, high));
}

/* sin(r + t) = r + t + r^3 (s0 + s1 r^2 ..), with `square` = (r + t)^2. */
INLINE T V(sin_near_0)(T r, T t, T square)
{
    T u = V(set1)(0x1.5d82500becb6bp-33);
    u = V(add)(V(mul)(u, square), V(set1)(-0x1.ae5e1e6f6f6d8p-26));
    u = V(add)(V(mul)(u, square), V(set1)(0x1.71de3503eae9cp-19));
    u = V(add)(V(mul)(u, square), V(set1)(-0x1.a01a019b64f6ap-13));
    u = V(add)(V(mul)(u, square), V(set1)(0x1.111111110f135p-7));
    u = V(add)(V(mul)(u, square), V(set1)(-0x1.5555555555542p-3));
    u = V(mul)(u, V(mul)(square, r));
    const T sum = V(add)(r, u);
    return V(add)(sum, V(add)(V(add)(V(sub)(r, sum), u), t));
}

/* cos = 1 + square (-1/2 + c1 square ..), the product with its rounding error. */
INLINE T V(cos_near_0)(T square)
{
    T u = V(set1)(-0x1.8fbf9c1bdb8cep-37);
    u = V(add)(V(mul)(u, square), V(set1)(0x1.1eea016409f05p-29));
    u = V(add)(V(mul)(u, square), V(set1)(-0x1.27e4f8130be9cp-22));
    u = V(add)(V(mul)(u, square), V(set1)(0x1.a01a019c8f025p-16));
    u = V(add)(V(mul)(u, square), V(set1)(-0x1.6c16c16c14c96p-10));
    u = V(add)(V(mul)(u, square), V(set1)(0x1.5555555555545p-5));
    u = V(add)(V(mul)(u, square), V(set1)(-0.5));
    const T a1 = V(upper)(square), a0 = V(sub)(square, a1), b1 = V(upper)(u), b0 = V(sub)(u, b1);
    const T product = V(mul)(square, u);
    T error = V(sub)(V(mul)(a1, b1), product);
    error = V(add)(error, V(mul)(a0, b1));
    error = V(add)(error, V(mul)(a1, b0));
    error = V(add)(error, V(mul)(a0, b0));
    const T one = V(set1)(1.0), sum = V(add)(one, product);
    return V(add)(sum, V(add)(V(add)(V(sub)(one, sum), product), error));
}

/* q = the integer nearest to |x| / (pi/2). Added to 1.5 * 2^52 it stands in the lowest bits of the sum: bit 0 says that
 * sin and cos change places, bit 1 that sin changes its sign, both unequal that cos does. |x| instead of x, and the
 * sign of x put back: every operation is odd or even in x, and so is the sign of zero. */
INLINE void V(sincos_fixed)(T x, T *sin, T *cos)
{
    const T round = V(set1)(0x1.8p52), sign = V(bit_to_sign)(x, 63), a = V(flip)(x, sign);
    const T place = V(add)(V(mul)(a, V(set1)(0x1.45f306dc9c883p-1)), round), q = V(sub)(place, round);
    const T high = V(sub)(a, V(mul)(q, V(set1)(0x1.921fb54442d18p+0)));
    const T rest = V(mul)(q, V(set1)(0x1.1a62633145c07p-54));
    const T r = V(sub)(high, rest), t = V(sub)(V(sub)(high, r), rest), square = V(square)(r, t);
    const T s = V(sin_near_0)(r, t, square), c = V(cos_near_0)(square);
    const T odd = V(bit_to_sign)(place, 0), half_turn = V(bit_to_sign)(place, 1);
    *sin = V(flip)(V(choose)(s, c, odd), V(flip)(half_turn, sign));
    *cos = V(flip)(V(choose)(c, s, odd), V(flip)(half_turn, odd));
}

#undef T
#undef V
