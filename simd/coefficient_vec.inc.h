/* SPDX-License-Identifier: MIT
 * cos and sin of p * inv_freq for one register of pairs, in f64; it must not know any ISA. Parameters: VEC, whose verbs
 * are load, store, set1, add, sub, mul, sincos, store_f32 and stream_f32 (round and store), and SINCOS (INLINE, or
 * static NOINLINE where speed is not worth five copies of the longest function). */

#define T CAT(VEC, _t)
#define V(verb) CAT3(VEC, _, verb)

/* a * b = product + *error, exactly (Dekker; no FMA, so that every CPU does the same). Splits by Veltkamp: needs
 * |a|, |b| < 2^996; the error is exact unless it underflows, which is below everything that matters here. */
INLINE T V(two_product)(T a, T b, T *error)
{
    const T splitter = V(set1)(134217729.0);
    const T sa = V(mul)(a, splitter), sb = V(mul)(b, splitter);
    const T ah = V(sub)(sa, V(sub)(sa, a)), bh = V(sub)(sb, V(sub)(sb, b));
    const T al = V(sub)(a, ah), bl = V(sub)(b, bh);
    const T product = V(mul)(a, b);
    T rest = V(sub)(V(mul)(ah, bh), product);
    rest = V(add)(rest, V(mul)(ah, bl));
    rest = V(add)(rest, V(mul)(al, bh));
    *error = V(add)(rest, V(mul)(al, bl));
    return product;
}

/* cos and sin of product + low, each within 1.4 * 2^-53 of the truth; low is what rounding took from the product,
 * |product| < 2^48.
 * n = the nearest integer to product / 2 pi, below 2^46, so adding and subtracting 1.5 * 2^52 rounds to it. With
 * 2 pi = P1 + P2 + P3 (to 2^-160), n P1 cancels the product but for an exact difference (n = 0, or both within a factor
 * of two); what remains (the product's error, the error of n P1, n P2) is below 2^-5, its rounding below 2^-57, and
 * n P3 below 2^-61. The angle is r + t with |t| <= 2^-52, so first order in t is enough. */
SINCOS void V(cos_sin_of)(T product, T low, T *cos, T *sin)
{
    const T round = V(set1)(6755399441055744.0);
    T low1, low2, c, s;
    const T n = V(sub)(V(add)(V(mul)(product, V(set1)(0.15915494309189535)), round), round);
    const T high1 = V(two_product)(n, V(set1)(0x1.921fb54442d18p+2), &low1);
    const T high2 = V(two_product)(n, V(set1)(0x1.1a62633145c07p-52), &low2);
    const T tiny = V(add)(low2, V(mul)(n, V(set1)(-0x1.f1976b7ed8fbcp-108)));
    const T rest = V(sub)(V(sub)(V(sub)(low, low1), high2), tiny);
    const T difference = V(sub)(product, high1);
    const T r = V(add)(difference, rest);
    const T r_less = V(sub)(r, difference);
    const T t = V(add)(V(sub)(difference, V(sub)(r, r_less)), V(sub)(rest, r_less));
    V(sincos)(r, &s, &c);
    *cos = V(sub)(c, V(mul)(s, t));
    *sin = V(add)(s, V(mul)(c, t));
}

/* cos and sin of a * b. */
INLINE void V(cos_sin)(T a, T b, T *cos, T *sin)
{
    T low;
    const T product = V(two_product)(a, b, &low);
    V(cos_sin_of)(product, low, cos, sin);
}

/* a + b = sum + *error, exactly (Knuth). */
INLINE T V(two_sum)(T a, T b, T *error)
{
    const T sum = V(add)(a, b), part = V(sub)(sum, a);
    *error = V(add)(V(sub)(a, V(sub)(sum, part)), V(sub)(b, part));
    return sum;
}

/* (high, low) += a * b. Below 2^49 in all, low parts are below 2^-4, and the two sums that round err by 3 * 2^-58. */
INLINE void V(add_product)(T *high, T *low, T a, T b)
{
    T product_low, sum_low;
    const T product = V(two_product)(a, b, &product_low);
    const T sum = V(two_sum)(*high, product, &sum_low);
    *high = V(two_sum)(sum, V(add)(sum_low, V(add)(*low, product_low)), low);
}

/* Pairs j .. j + VEC_pairs of row i of a factor table; inv_freq is scaled by a power of two, exactly. */
INLINE ptrdiff_t V(factors)(double *row, const double *inv_freq, ptrdiff_t pairs, double scale, double i, ptrdiff_t j)
{
    for (; pairs - j >= V(pairs)(); j += V(pairs)()) {
        T c, s;
        V(cos_sin)(V(set1)(i), V(mul)(V(load)(inv_freq + j), V(set1)(scale)), &c, &s);
        V(store)(row + j, c);
        V(store)(row + pairs + j, s);
    }
    return j;
}

/* (re, im) times the factors of pair j. */
INLINE void V(multiply)(T *re, T *im, const double *cos, const double *sin)
{
    const T c = V(load)(cos), s = V(load)(sin), product = V(sub)(V(mul)(*re, c), V(mul)(*im, s));
    *im = V(add)(V(mul)(*re, s), V(mul)(*im, c));
    *re = product;
}

/* `levels` (1, 2 or 3, a constant where it must be fast): f[0] times f[1] times f[2], in this order. Pointers are
 * copied: a store of cos could change f, for all the compiler knows. */
INLINE ptrdiff_t V(combine)(int levels, float *cos, float *sin, const double *const f[3], ptrdiff_t stride,
                            ptrdiff_t pairs, double scale, int stream, ptrdiff_t j)
{
    const double *const f0 = f[0], *const f1 = levels > 1 ? f[1] : NULL, *const f2 = levels > 2 ? f[2] : NULL;
    for (; pairs - j >= V(pairs)(); j += V(pairs)()) {
        T c = V(load)(f0 + j), s = V(load)(f0 + stride + j);
        if (levels > 1) V(multiply)(&c, &s, f1 + j, f1 + stride + j);
        if (levels > 2) V(multiply)(&c, &s, f2 + j, f2 + stride + j);
        c = V(mul)(c, V(set1)(scale));
        s = V(mul)(s, V(set1)(scale));
        if (stream) V(stream_f32)(cos + j, c), V(stream_f32)(sin + j, s);
        else V(store_f32)(cos + j, c), V(store_f32)(sin + j, s);
    }
    return j;
}

INLINE ptrdiff_t V(angles)(float *cos, float *sin, double x, const double *inv_freq, ptrdiff_t pairs, double scale,
                           ptrdiff_t j)
{
    for (; pairs - j >= V(pairs)(); j += V(pairs)()) {
        T c, s;
        V(cos_sin)(V(set1)(x), V(load)(inv_freq + j), &c, &s);
        V(store_f32)(cos + j, V(mul)(c, V(set1)(scale)));
        V(store_f32)(sin + j, V(mul)(s, V(set1)(scale)));
    }
    return j;
}

/* Four sums of 2^47 are below 2^49 and not 2^48: what remains of n P1 is below 2^-3, its rounding below 2^-56. With the
 * errors of the sum, cos and sin are within 2^-52 of the truth. */
INLINE ptrdiff_t V(angles_mixed)(float *cos, float *sin, const double *x, ptrdiff_t axes, const double *inv_freq,
                                 ptrdiff_t stride, ptrdiff_t pairs, double scale, ptrdiff_t j)
{
    for (; pairs - j >= V(pairs)(); j += V(pairs)()) {
        T high = V(set1)(0.0), low = V(set1)(0.0), c, s;
        NO_UNROLL
        for (ptrdiff_t a = 0; a < axes; a++)
            V(add_product)(&high, &low, V(set1)(x[a]), V(load)(inv_freq + a * stride + j));
        V(cos_sin_of)(high, low, &c, &s);
        V(store_f32)(cos + j, V(mul)(c, V(set1)(scale)));
        V(store_f32)(sin + j, V(mul)(s, V(set1)(scale)));
    }
    return j;
}

/* theta is an f32 number already; only its sincos and the rounding of it are done here. */
INLINE ptrdiff_t V(sincos_f32)(float *cos, float *sin, const double *theta, ptrdiff_t pairs, ptrdiff_t j)
{
    for (; pairs - j >= V(pairs)(); j += V(pairs)()) {
        T c, s;
        V(cos_sin)(V(load)(theta + j), V(set1)(1.0), &c, &s);
        V(store_f32)(cos + j, c);
        V(store_f32)(sin + j, s);
    }
    return j;
}

#undef T
#undef V
