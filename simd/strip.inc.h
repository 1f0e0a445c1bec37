/* SPDX-License-Identifier: MIT
 * One step of a rotation and the two loops over it, written in the vocabulary; it must not know any ISA.
 * Parameters (rotate.inc.h sets them): STEP, SRC, DST, IN, OUT, NAME(verb) for local names, WITH_COLUMNS.
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

/* Channels of x0 from one pair to the next: 1 half-split, 2 interleaved. */
#define SRC_AT(j) (src + (j) * CAT(PAIRING_, IN))
#define DST_AT(j) (dst + (j) * CAT(PAIRING_, OUT))

/* As many pairs from `j` on as this step takes, of one head; the next pair. */
INLINE ptrdiff_t NAME(line)(const roperot_tile *tile, const SRC_T *src, DST_T *dst, const roperot_row *row, ptrdiff_t j,
                            int prefetch, int stream)
{
    const ptrdiff_t pairs = V(pairs)();
    for (; tile->pairs - j >= pairs; j += pairs) {
        T c, s;
        NAME(coef)(row->cos + j, row->sin + j, &c, &s);
        if (prefetch) {
            prefetch_read(SRC_AT(j), prefetch);
            if (CAT(PAIRING_, IN) == PAIRING_half) prefetch_read(SRC_AT(j) + tile->src_half, prefetch);
        }
        NAME(turn)(SRC_AT(j), DST_AT(j), tile->src_half, tile->dst_half, c, s, stream);
    }
    return j;
}

#if WITH_COLUMNS

/* `steps` (1 .. 4, a constant at every call) steps from pair `j` on for all heads, their coefficients in registers.
 * Named, not an array: SVE and RVV vectors have no size. */
INLINE void NAME(strip)(const int steps, const roperot_tile *tile, const SRC_T *src, DST_T *dst, const roperot_row *row,
                        ptrdiff_t j)
{
    const ptrdiff_t n = V(pairs)();
    T c0, s0, c1, s1, c2, s2, c3, s3;
    NAME(coef)(row->cos + j, row->sin + j, &c0, &s0);
    NAME(coef)(row->cos + j + (steps > 1 ? n : 0), row->sin + j + (steps > 1 ? n : 0), &c1, &s1);
    NAME(coef)(row->cos + j + (steps > 2 ? 2 * n : 0), row->sin + j + (steps > 2 ? 2 * n : 0), &c2, &s2);
    NAME(coef)(row->cos + j + (steps > 3 ? 3 * n : 0), row->sin + j + (steps > 3 ? 3 * n : 0), &c3, &s3);
    const ptrdiff_t src_half = tile->src_half, dst_half = tile->dst_half;
    for (ptrdiff_t head = 0; head < tile->heads; head++) {
        NAME(turn)(SRC_AT(j), DST_AT(j), src_half, dst_half, c0, s0, 0);
        if (steps > 1) NAME(turn)(SRC_AT(j + n), DST_AT(j + n), src_half, dst_half, c1, s1, 0);
        if (steps > 2) NAME(turn)(SRC_AT(j + 2 * n), DST_AT(j + 2 * n), src_half, dst_half, c2, s2, 0);
        if (steps > 3) NAME(turn)(SRC_AT(j + 3 * n), DST_AT(j + 3 * n), src_half, dst_half, c3, s3, 0);
        src = (const SRC_T *)((const char *)src + tile->src_head);
        dst = (DST_T *)((char *)dst + tile->dst_head);
    }
}

INLINE ptrdiff_t NAME(columns)(const roperot_tile *tile, const SRC_T *src, DST_T *dst, const roperot_row *row, ptrdiff_t j)
{
    const ptrdiff_t n = V(pairs)();
    for (; tile->pairs - j >= 4 * n; j += 4 * n) NAME(strip)(4, tile, src, dst, row, j);
    const ptrdiff_t left = (tile->pairs - j) / n;
    if (left == 3) NAME(strip)(3, tile, src, dst, row, j);
    else if (left == 2) NAME(strip)(2, tile, src, dst, row, j);
    else if (left == 1) NAME(strip)(1, tile, src, dst, row, j);
    return j + left * n;
}

#endif

#undef T
#undef V
#undef LOAD
#undef SRC_T
#undef DST_T
#undef SRC_AT
#undef DST_AT
