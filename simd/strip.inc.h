/* SPDX-License-Identifier: MIT
 * One step of a rotation and the strips made of it, written in the vocabulary; it must not know any ISA.
 * Parameters (rotate.inc.h sets them): STEP, SRC, DST, IN, OUT, NAME(verb) for local names.
 *
 * A step holds the f32 values of STEP_pairs() consecutive pairs. Pairwise steps have a register of x0 and one of x1.
 * Lanewise steps (x86, interleaved) have one register with both channels of each pair, and take from memory `left`,
 * every x0 twice, and `right`, every x1 twice (or whatever two operands the vocabulary finds cheaper): then
 * y = left * a + right * b with a = (c, s, c, s ..) and b = (-s, c, -s, c ..). x1 * -s added is x1 * s subtracted, to
 * the bit, because rounding is symmetric. */

#define T CAT(STEP, _t)
#define V(verb) CAT3(STEP, _, verb)
#define LOAD(x) CAT3(STEP, _load_, SRC)(x)
#define SRC_T CAT(SRC, _t)
#define DST_T CAT(DST, _t)

#if CAT(STEP, _LANEWISE)

INLINE void NAME(coef)(const float *cos, const float *sin, T *c, T *s)
{
    V(lanes)(cos, sin, c, s);
}

INLINE void NAME(turn)(const SRC_T *src, DST_T *dst, ptrdiff_t src_half, ptrdiff_t dst_half, T c, T s, int stream)
{
    (void)src_half, (void)dst_half;
    T left, right;
    CAT3(STEP, _operands_, SRC)(src, &left, &right);
    const T y = V(add)(V(mul)(left, c), V(mul)(right, s));
    if (stream) CAT3(STEP, _stream_, DST)(dst, y);
    else CAT3(STEP, _store_, DST)(dst, y);
}

#else

INLINE void NAME(coef)(const float *cos, const float *sin, T *c, T *s)
{
    *c = V(load_f32)(cos);
    *s = V(load_f32)(sin);
}

INLINE void NAME(turn)(const SRC_T *src, DST_T *dst, ptrdiff_t src_half, ptrdiff_t dst_half, T c, T s, int stream)
{
    (void)src_half, (void)dst_half, (void)stream;
#if CAT(PAIRING_, IN) == PAIRING_half
    const T x0 = LOAD(src), x1 = LOAD(src + src_half);
#else
    T x0, x1;
    CAT3(STEP, _load2_, SRC)(src, &x0, &x1);
#endif
    const T y0 = V(sub)(V(mul)(x0, c), V(mul)(x1, s));
    const T y1 = V(add)(V(mul)(x0, s), V(mul)(x1, c));
#if CAT(PAIRING_, OUT) == PAIRING_half
    if (stream) CAT3(STEP, _stream_, DST)(dst, y0), CAT3(STEP, _stream_, DST)(dst + dst_half, y1);
    else CAT3(STEP, _store_, DST)(dst, y0), CAT3(STEP, _store_, DST)(dst + dst_half, y1);
#else
    if (stream) CAT3(STEP, _stream2_, DST)(dst, y0, y1);
    else CAT3(STEP, _store2_, DST)(dst, y0, y1);
#endif
}

#endif

INLINE void NAME(ahead)(const SRC_T *src, ptrdiff_t src_half, int prefetch)
{
    if (!prefetch) return;
    prefetch_read(src, prefetch);
    if (CAT(PAIRING_, IN) == PAIRING_half) prefetch_read(src + src_half, prefetch);
}

/* Channels of x0 from one pair to the next: 1 half-split, 2 interleaved. */
#define SRC_AT(j) (src + (j) * CAT(PAIRING_, IN))
#define DST_AT(j) (dst + (j) * CAT(PAIRING_, OUT))

/* `steps` (1 .. 4, a constant at every call) steps from pair j on for all heads, their coefficients in registers.
 * Named, not an array: SVE and RVV vectors have no size. */
INLINE void NAME(strip)(const int steps, const span at, const SRC_T *src, DST_T *dst, ptrdiff_t j, int prefetch,
                        int stream)
{
    const ptrdiff_t n = V(pairs)(), j1 = j + (steps > 1 ? n : 0);
    const ptrdiff_t j2 = j + (steps > 2 ? 2 * n : 0), j3 = j + (steps > 3 ? 3 * n : 0);
    T c0, s0, c1, s1, c2, s2, c3, s3;
    NAME(coef)(at.cos + j, at.sin + j, &c0, &s0);
    NAME(coef)(at.cos + j1, at.sin + j1, &c1, &s1);
    NAME(coef)(at.cos + j2, at.sin + j2, &c2, &s2);
    NAME(coef)(at.cos + j3, at.sin + j3, &c3, &s3);
    for (ptrdiff_t head = at.heads; head > 0; head--) {
        NAME(ahead)(SRC_AT(j), at.src_half, prefetch);
        NAME(turn)(SRC_AT(j), DST_AT(j), at.src_half, at.dst_half, c0, s0, stream);
        if (steps > 1) NAME(ahead)(SRC_AT(j1), at.src_half, prefetch);
        if (steps > 1) NAME(turn)(SRC_AT(j1), DST_AT(j1), at.src_half, at.dst_half, c1, s1, stream);
        if (steps > 2) NAME(ahead)(SRC_AT(j2), at.src_half, prefetch);
        if (steps > 2) NAME(turn)(SRC_AT(j2), DST_AT(j2), at.src_half, at.dst_half, c2, s2, stream);
        if (steps > 3) NAME(ahead)(SRC_AT(j3), at.src_half, prefetch);
        if (steps > 3) NAME(turn)(SRC_AT(j3), DST_AT(j3), at.src_half, at.dst_half, c3, s3, stream);
        src = (const SRC_T *)((const char *)src + at.src_head);
        dst = (DST_T *)((char *)dst + at.dst_head);
    }
}

/* As many pairs from j on as this step takes, of all heads; the next pair. `most` (4, or 1 for small code) steps at
 * once. */
INLINE ptrdiff_t NAME(span)(const int most, const span at, const SRC_T *src, DST_T *dst, ptrdiff_t j,
                            int prefetch, int stream)
{
    const ptrdiff_t n = V(pairs)();
    for (; most == 4 && at.pairs - j >= 4 * n; j += 4 * n) NAME(strip)(4, at, src, dst, j, prefetch, stream);
    if (most == 4 && !prefetch && at.pairs - j >= 3 * n) NAME(strip)(3, at, src, dst, j, prefetch, stream), j += 3 * n;
    if (most == 4 && at.pairs - j >= 2 * n) NAME(strip)(2, at, src, dst, j, prefetch, stream), j += 2 * n;
    for (; at.pairs - j >= n; j += n) NAME(strip)(1, at, src, dst, j, prefetch, stream);
    return j;
}

#undef T
#undef V
#undef LOAD
#undef SRC_T
#undef DST_T
#undef SRC_AT
#undef DST_AT
