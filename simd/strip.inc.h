/* SPDX-License-Identifier: MIT
 * One vector of a rotation and the strips made of it, written in the vocabulary; it must not know any ISA.
 * Parameters (rotate.inc.h sets them): VEC, SRC, DST, IN, OUT, IS_PLAIN, NAME(verb) for local names.
 *
 * A vector holds the f32 values of VEC_pairs() consecutive pairs. Planar vectors have a register of x0 and one of x1.
 * Interleaved ones (x86, interleaved pairs) have one register with both channels of each pair, and take from memory
 * `left`, every x0 twice, and `right`, every x1 twice (or whatever two operands the vocabulary finds cheaper): then
 * y = left * a + right * b with a = (c, s, c, s ..) and b = (-s, c, -s, c ..). x1 * -s added is x1 * s subtracted, to
 * the bit, because rounding is symmetric. */

#define T CAT(VEC, _t)
#define V(verb) CAT3(VEC, _, verb)
#define LOAD(x) CAT3(VEC, _load_, SRC)(x)
#define SRC_T CAT(SRC, _t)
#define DST_T CAT(DST, _t)

/* Channels of x0 from one pair to the next: 1 half-split, 2 interleaved. */
#define SRC_AT(j) (src + (j) * CAT(PAIRING_, IN))
#define DST_AT(j) (dst + (j) * CAT(PAIRING_, OUT))

INLINE void NAME(store)(DST_T *dst, T y, int stream)
{
    if (stream) CAT3(VEC, _stream_, DST)(dst, y);
    else CAT3(VEC, _store_, DST)(dst, y);
}

#if CAT(VEC, _INTERLEAVED)

INLINE void NAME(coefficients)(const float *cos, const float *sin, T *c, T *s)
{
    V(coefficients)(cos, sin, c, s);
}

INLINE void NAME(rotate)(const head_range at, const SRC_T *src, DST_T *dst, T c, T s, int stream)
{
    (void)at;
    T left, right;
    CAT3(VEC, _operands_, SRC)(src, &left, &right);
    NAME(store)(dst, V(add)(V(mul)(left, c), V(mul)(right, s)), stream);
}

#else

INLINE void NAME(coefficients)(const float *cos, const float *sin, T *c, T *s)
{
    *c = V(load_f32)(cos);
    *s = V(load_f32)(sin);
}

INLINE void NAME(rotated)(const head_range at, const SRC_T *src, T c, T s, T *y0, T *y1)
{
    (void)at;
#if CAT(PAIRING_, IN) == PAIRING_half
    const T x0 = LOAD(src), x1 = LOAD(src + at.src_half);
#else
    T x0, x1;
    CAT3(VEC, _load2_, SRC)(src, &x0, &x1);
#endif
    *y0 = V(sub)(V(mul)(x0, c), V(mul)(x1, s));
    *y1 = V(add)(V(mul)(x0, s), V(mul)(x1, c));
}

INLINE void NAME(rotate)(const head_range at, const SRC_T *src, DST_T *dst, T c, T s, int stream)
{
    T y0, y1;
    NAME(rotated)(at, src, c, s, &y0, &y1);
#if CAT(PAIRING_, OUT) == PAIRING_half
    NAME(store)(dst, y0, stream);
    NAME(store)(dst + at.dst_half, y1, stream);
#else
    if (stream) CAT3(VEC, _stream2_, DST)(dst, y0, y1);
    else CAT3(VEC, _store2_, DST)(dst, y0, y1);
#endif
}

#endif

/* Reads ahead of the vector j pairs into a strip. Barriers keep each prefetch next to its vector: hoisted to the top,
 * they would occupy the line-fill buffers that the loads need. */
INLINE void NAME(prefetch)(const head_range at, const SRC_T *src, ptrdiff_t j, int prefetch)
{
    if (!prefetch) return;
    compiler_barrier();
    prefetch_read(SRC_AT(j), prefetch);
    if (CAT(PAIRING_, IN) == PAIRING_half) prefetch_read(SRC_AT(j) + at.src_half, prefetch);
    compiler_barrier();
}

/* The vectors j and k pairs into a strip, neighbours. If both fall in the same cache lines, they are stored line by
 * line: adjacent stores drain two per cycle and fill a write-combining buffer at once. */
INLINE void NAME(rotate2)(const head_range at, const SRC_T *src, DST_T *dst, ptrdiff_t j, ptrdiff_t k, T cj, T sj, T ck,
                          T sk, int prefetch, int stream)
{
    NAME(prefetch)(at, src, j, prefetch);
#if !CAT(VEC, _INTERLEAVED) && CAT(PAIRING_, OUT) == PAIRING_half
    if ((k - j) * (ptrdiff_t)sizeof *dst < LINE) {
        T j0, j1, k0, k1;
        NAME(prefetch)(at, src, k, prefetch);
        NAME(rotated)(at, SRC_AT(j), cj, sj, &j0, &j1);
        NAME(rotated)(at, SRC_AT(k), ck, sk, &k0, &k1);
        NAME(store)(DST_AT(j), j0, stream);
        NAME(store)(DST_AT(k), k0, stream);
        NAME(store)(DST_AT(j) + at.dst_half, j1, stream);
        NAME(store)(DST_AT(k) + at.dst_half, k1, stream);
        return;
    }
#endif
    NAME(rotate)(at, SRC_AT(j), DST_AT(j), cj, sj, stream);
    NAME(prefetch)(at, src, k, prefetch);
    NAME(rotate)(at, SRC_AT(k), DST_AT(k), ck, sk, stream);
}

/* `count` (1 .. 4 or 8, a constant at every call) vectors from pair j on for all heads, their coefficients in
 * registers. Named, not an array: SVE and RVV vectors have no size. The pointers move to pair j first, so that every
 * address of the loop is a pointer and a constant: additions would take ports that multiplications need. */
INLINE void NAME(strip)(const int count, const head_range at, const SRC_T *src, DST_T *dst, ptrdiff_t j, int prefetch,
                        int stream)
{
    const ptrdiff_t n = V(pairs)(), j1 = count > 1 ? n : 0, j2 = count > 2 ? 2 * n : 0, j3 = count > 3 ? 3 * n : 0;
    const float *const cos = at.cos + j, *const sin = at.sin + j;
    const ptrdiff_t j4 = count > 4 ? 4 * n : 0;
    T c0, s0, c1, s1, c2, s2, c3, s3, c4, s4, c5, s5, c6, s6, c7, s7;
    NAME(coefficients)(cos, sin, &c0, &s0);
    NAME(coefficients)(cos + j1, sin + j1, &c1, &s1);
    NAME(coefficients)(cos + j2, sin + j2, &c2, &s2);
    NAME(coefficients)(cos + j3, sin + j3, &c3, &s3);
    NAME(coefficients)(cos + j4, sin + j4, &c4, &s4);
    NAME(coefficients)(cos + j4 + j1, sin + j4 + j1, &c5, &s5);
    NAME(coefficients)(cos + j4 + j2, sin + j4 + j2, &c6, &s6);
    NAME(coefficients)(cos + j4 + j3, sin + j4 + j3, &c7, &s7);
    src = SRC_AT(j);
    dst = DST_AT(j);
    NO_UNROLL
    for (ptrdiff_t head = at.heads; head > 0; head--) {
        if (count == 1) NAME(prefetch)(at, src, 0, prefetch), NAME(rotate)(at, src, dst, c0, s0, stream);
        if (count > 1) NAME(rotate2)(at, src, dst, 0, j1, c0, s0, c1, s1, prefetch, stream);
        if (count == 3) NAME(prefetch)(at, src, j2, prefetch), NAME(rotate)(at, SRC_AT(j2), DST_AT(j2), c2, s2, stream);
        if (count > 3) NAME(rotate2)(at, src, dst, j2, j3, c2, s2, c3, s3, prefetch, stream);
        if (count > 4) NAME(rotate2)(at, src, dst, j4, j4 + j1, c4, s4, c5, s5, prefetch, stream);
        if (count > 4) NAME(rotate2)(at, src, dst, j4 + j2, j4 + j3, c6, s6, c7, s7, prefetch, stream);
        src = (const SRC_T *)((const char *)src + at.src_head);
        dst = (DST_T *)((char *)dst + at.dst_head);
    }
}

/* As many pairs from j on as this vector takes, of all heads; the next pair. `most` (8, 4, 2, or 1 for small code)
 * vectors in a strip. */
INLINE ptrdiff_t NAME(strips)(const int most, const head_range at, const SRC_T *src, DST_T *dst, ptrdiff_t j,
                            int prefetch, int stream)
{
    const ptrdiff_t n = V(pairs)();
    for (; most == 8 && at.pairs - j >= 8 * n; j += 8 * n) NAME(strip)(8, at, src, dst, j, prefetch, stream);
    if (most == 8 && j == at.pairs) return j;
    for (; most >= 4 && at.pairs - j >= 4 * n; j += 4 * n) NAME(strip)(4, at, src, dst, j, prefetch, stream);
    for (; most == 2 && at.pairs - j >= 2 * n; j += 2 * n) NAME(strip)(2, at, src, dst, j, prefetch, stream);
    if (most > 1 && j == at.pairs) return j; /* nearly always: none of the code below is fetched */
    if (most == 4 && !prefetch && at.pairs - j >= 3 * n) NAME(strip)(3, at, src, dst, j, prefetch, stream), j += 3 * n;
    if (most == 4 && at.pairs - j >= 2 * n) NAME(strip)(2, at, src, dst, j, prefetch, stream), j += 2 * n;
    for (; at.pairs - j >= n; j += n) {
        if (!IS_PLAIN) AS_IT_IS;
        NAME(strip)(1, at, src, dst, j, prefetch, stream);
    }
    return j;
}

#undef T
#undef V
#undef LOAD
#undef SRC_T
#undef DST_T
#undef SRC_AT
#undef DST_AT
