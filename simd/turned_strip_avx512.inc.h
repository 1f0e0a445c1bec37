/* SPDX-License-Identifier: MIT
 * Norm and rotation of a strip of tame heads of bf16; it must not know what tame is. Parameters: EXT (a token) and this
 * vocabulary, of 32 channels each:
 *
 *     spread(x)           32 bf16 as f32, in an order A that the file that includes this chooses
 *     rounded(x)          T(x) of tame numbers, T as in extension_avx512_fma.c
 *     widened(n)          rounded numbers as f32, in an order B, which may be A
 *     packed(x)           T(x) as 32 bf16 in the order of memory
 *     ordered_weights(x)  weights from [even channels, odd channels] to A
 *     ordered_row(x)      cos or sin of 32 pairs in order, to B */

#define NAME(verb) CAT3(verb, _bf16_, EXT)

/* Next to what is computed: see norm_same.inc.h. */
INLINE void read_ahead(const char *x, ptrdiff_t ahead)
{
    compiler_barrier();
    prefetch_read(x, (int)ahead);
    compiler_barrier();
}

/* T((x * r) * w) of a vector. */
INLINE rounded_t normed(const char *x, ptrdiff_t ahead, __m512 r, wide w)
{
    read_ahead(x, ahead);
    const wide v = spread(_mm512_loadu_si512((const void *)x));
    const wide n = { _mm512_mul_ps(_mm512_mul_ps(v.first, r), w.first),
                     _mm512_mul_ps(_mm512_mul_ps(v.second, r), w.second) };
    return rounded(n);
}

INLINE void store_turned(char *y, ptrdiff_t half, rounded_t n0, rounded_t n1, wide c, wide s)
{
    const wide a = widened(n0), b = widened(n1);
    const wide y0 = { _mm512_sub_ps(_mm512_mul_ps(a.first, c.first), _mm512_mul_ps(b.first, s.first)),
                      _mm512_sub_ps(_mm512_mul_ps(a.second, c.second), _mm512_mul_ps(b.second, s.second)) };
    const wide y1 = { _mm512_add_ps(_mm512_mul_ps(a.first, s.first), _mm512_mul_ps(b.first, c.first)),
                      _mm512_add_ps(_mm512_mul_ps(a.second, s.second), _mm512_mul_ps(b.second, c.second)) };
    _mm512_storeu_si512((void *)y, packed(y0));
    _mm512_storeu_si512((void *)(y + half), packed(y1));
}

/* What a strip keeps in registers: weights of x0 and of x1, cos and sin, of two vectors of pairs. */
typedef struct strip {
    wide w0, w1, v0, v1, c0, c1, s0, s1;
} strip;

INLINE wide load_weights(const float *p) { return ordered_weights(load_wide(p)); }
INLINE wide load_row(const float *p) { return ordered_row(load_wide(p)); }

INLINE strip load_strip(const roperot_norm_of_heads *a, ptrdiff_t j)
{
    const float *const w = a->weight + a->first + j, *const v = w + a->pairs;
    const float *const cos = a->cos + j, *const sin = a->sin + j;
    const strip k = { load_weights(w), load_weights(w + 32), load_weights(v), load_weights(v + 32),
                      load_row(cos),   load_row(cos + 32),   load_row(sin),   load_row(sin + 32) };
    return k;
}

/* Two vectors of pairs of some heads. The norm of a head comes before the rotation of the one before it: a vector's
 * chain of operations takes 40 cycles, and what waits for its turn within one head would fill the schedulers. Barriers
 * keep that order. */
static void NAME(turned_strip)(const heads_of_norm *g, ptrdiff_t j)
{
    enum { NEXT = 32 * sizeof(bf16_t) };
    const roperot_norm_of_heads *const a = g->all;
    const ptrdiff_t half = a->pairs * (ptrdiff_t)sizeof(bf16_t), ahead = a->ahead, src_head = a->src_head;
    const ptrdiff_t dst_head = a->dst_head, at = (a->first + j) * (ptrdiff_t)sizeof(bf16_t);
    const strip k = load_strip(a, j);
    const float *r = g->r;
    const char *x = g->src + at;
    char *y = g->dst + at;
    __m512 by = _mm512_set1_ps(*r);
    rounded_t n0 = normed(x, ahead, by, k.w0), n1 = normed(x + half, ahead, by, k.v0);
    rounded_t m0 = normed(x + NEXT, ahead, by, k.w1), m1 = normed(x + NEXT + half, ahead, by, k.v1);
    NO_UNROLL
    for (ptrdiff_t heads = g->heads - 1; heads > 0; heads--, y += dst_head) {
        const rounded_t before0 = n0, before1 = n1, before2 = m0, before3 = m1;
        x += src_head;
        by = _mm512_set1_ps(*++r);
        n0 = normed(x, ahead, by, k.w0);
        n1 = normed(x + half, ahead, by, k.v0);
        compiler_barrier();
        store_turned(y, half, before0, before1, k.c0, k.s0);
        compiler_barrier();
        m0 = normed(x + NEXT, ahead, by, k.w1);
        m1 = normed(x + NEXT + half, ahead, by, k.v1);
        compiler_barrier();
        store_turned(y + NEXT, half, before2, before3, k.c1, k.s1);
        compiler_barrier();
    }
    store_turned(y, half, n0, n1, k.c0, k.s0);
    store_turned(y + NEXT, half, m0, m1, k.c1, k.s1);
}

#undef NAME
