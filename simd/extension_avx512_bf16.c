/* SPDX-License-Identifier: MIT
 * Norm and rotation of bf16 heads in one kernel, for CPUs that round to bf16 in one instruction (AVX512_BF16); it must
 * not know where heads come from or go to.
 *
 * VCVTNE2PS2BF16 rounds to nearest even, but takes denormal numbers for zeros and makes zeros of them, which keep their
 * signs, and what it does with NaN is its own. So it is used for tame heads only, where neither can come up:
 *
 *     x:      0, or 2^-24 <= |x|, and no infinity or NaN, of which r would tell
 *     r:      2^-16 <= r <= 2^64
 *     w:      0, or 2^-16 <= |w| <= 2^64
 *     c, s:   0, or 2^-46 <= |c| <= 2^46
 *
 * The square of a tame x is exact, so that sums of squares may be fused. The sum of other heads may be wrong, and is
 * not used: tiny x are found by themselves, and huge ones, infinities and NaN put r out of its limits either way.
 *
 * |x * r| is at most the root of the number of channels, less than 2^5, and 0 or at least 2^-40, so that
 * n = T((x * r) * w) is 0 or has 2^-56 <= |n| <= 2^69. A product n * c is 0 or at least 2^-102: a multiple of 2^-125,
 * and so is a sum of two of them, which is therefore 0 or at least 2^-125, and at most 2^116. No result is denormal,
 * infinite or NaN.
 *
 * All other heads take the same operations in the vocabulary of lanes, one head after the other. */
#include "lanes_avx512.h"
#include "vec_avx512.h"

#include "common.h"

enum { GROUP = ROPEROT_NORM_HEADS, VECTOR = 32 };

#define LEAST_X   ((127 - 24) << 7) /* as bf16 */
#define LEAST_R   0x1p-16f
#define LARGEST_R 0x1p64f
#define LEAST_W   0x1p-16f
#define LARGEST_W 0x1p64f
#define LEAST_C   0x1p-46f
#define LARGEST_C 0x1p46f

/* ---- vocabulary -------------------------------------------------------------------------------------------------- */

/* Elements first, first + 16, first + 1, first + 17 .. first + 23 of a vector, first 0 or 8. What is packed from these
 * two has elements 0 .. 15 in its even places, and 16 .. 31 in its odd ones, so that f32x16_split_bf16, which takes no
 * turn at port 5, widens it again in order. */
INLINE __m512 woven(__m512i x, const int first)
{
    const __m512i from = _mm512_setr_epi32(0x00000000, 0x00100000, 0x00010000, 0x00110000, 0x00020000, 0x00120000,
                                           0x00030000, 0x00130000, 0x00040000, 0x00140000, 0x00050000, 0x00150000,
                                           0x00060000, 0x00160000, 0x00070000, 0x00170000);
    return lanes_pick_bf16(x, _mm512_add_epi32(from, _mm512_set1_epi32(first << 16)));
}

INLINE __m512i narrow(__m512 low, __m512 high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); }
INLINE __m512i load_vector(const void *p) { return _mm512_loadu_si512(p); }
INLINE void store_vector(void *p, __m512i x) { _mm512_storeu_si512(p, x); }

/* ---- tame or not ------------------------------------------------------------------------------------------------- */

/* A magnitude as an unsigned number: -2 times its bits. The sign is shifted out, a smaller magnitude is a larger
 * number, and zero is the smallest of all: the largest number tells the least magnitude that is not zero. */
INLINE __m512i smallness_of_bf16(__m512i x) { return _mm512_mullo_epi16(x, _mm512_set1_epi16(-2)); }
INLINE __m512i smallness_of_f32(__m512 x)
{
    const __m512i bits = _mm512_castps_si512(x);
    return _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_add_epi32(bits, bits));
}

/* Of the numbers so far: the largest smallness, and the largest magnitude, twice its bits. */
typedef struct extremes {
    __m512i smallness, magnitude;
} extremes;

INLINE void add_to_extremes(extremes *m, __m512 x)
{
    const __m512i small = smallness_of_f32(x);
    m->smallness = _mm512_max_epu32(m->smallness, small);
    m->magnitude = _mm512_max_epu32(m->magnitude, _mm512_sub_epi32(_mm512_setzero_si512(), small));
}

/* Bits of NaN are more than those of any limit. */
INLINE int are_tame(extremes m, float least, float largest)
{
    const __m512i small = _mm512_set1_epi32((int)(-2u * bits_of_float(least))),
                  large = _mm512_set1_epi32((int)(2u * bits_of_float(largest)));
    return (_mm512_cmpgt_epu32_mask(m.smallness, small) | _mm512_cmpgt_epu32_mask(m.magnitude, large)) == 0;
}

static NOINLINE int coefficients_are_tame(const float *cos, const float *sin, ptrdiff_t pairs)
{
    extremes all = { _mm512_setzero_si512(), _mm512_setzero_si512() };
    NO_UNROLL
    for (ptrdiff_t j = 0; j < pairs; j += 16) {
        add_to_extremes(&all, _mm512_loadu_ps(cos + j));
        add_to_extremes(&all, _mm512_loadu_ps(sin + j));
    }
    return are_tame(all, LEAST_C, LARGEST_C);
}

INLINE lanes_t weights_of(const void *weight, int32_t dtype, int unit_offset, ptrdiff_t c)
{
    const lanes_t one = lanes_set1(1.0f);
    if (!weight) return one;
    const lanes_t w = dtype == ROPEROT_F32   ? lanes_load_f32((const f32_t *)weight + c)
                      : dtype == ROPEROT_F16 ? lanes_load_f16((const f16_t *)weight + c)
                                             : lanes_load_bf16((const bf16_t *)weight + c);
    return unit_offset ? lanes_add(one, w) : w;
}

/* As every norm_weights, in the woven order; 0 also for weights that are not tame. */
static int norm_weights_bf16_avx512_bf16(float *out, const void *weight, int32_t dtype, int unit_offset,
                                         ptrdiff_t channels)
{
    extremes all = { _mm512_setzero_si512(), _mm512_setzero_si512() };
    NO_UNROLL
    for (ptrdiff_t c = 0; c < channels; c += 16) {
        const lanes_t w = weights_of(weight, dtype, unit_offset, c);
        add_to_extremes(&all, w);
        lanes_store_f32(out + c, w);
    }
    NO_UNROLL
    for (float *w = out; w < out + channels; w += VECTOR) {
        __m512 first, second;
        f32x16_interleave(lanes_load_f32(w), lanes_load_f32(w + 16), &first, &second);
        lanes_store_f32(w, first);
        lanes_store_f32(w + 16, second);
    }
    return are_tame(all, LEAST_W, LARGEST_W);
}

/* ---- r ----------------------------------------------------------------------------------------------------------- */

/* A group's r, and whether all its heads are tame. */
typedef struct group_factors {
    float r[GROUP];
    int is_tame;
} group_factors;

/* A square of a tame number has 16 bits, so that a fused addition rounds no differently. */
INLINE __m512 add_square(__m512 sum, __m512 x) { return _mm512_fmadd_ps(x, x, sum); }

/* The next 16 channels of two heads, side by side. Lane l of the recipe's sum, which takes channels l, l + 16 .. in
 * order, is lane l / 2 of `even` (l even) or of `odd` (l odd), and for the second head 8 lanes later. */
INLINE void add_squares(const char *x, const char *y, __m512 *even, __m512 *odd, __m512i *smallness)
{
    const __m256i first = _mm256_loadu_si256((const __m256i *)(const void *)x);
    const __m256i second = _mm256_loadu_si256((const __m256i *)(const void *)y);
    const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
    __m512 x0, x1;
    f32x16_split_bf16(both, &x0, &x1);
    *even = add_square(*even, x0);
    *odd = add_square(*odd, x1);
    *smallness = _mm512_max_epu16(*smallness, smallness_of_bf16(both));
}

/* Two heads from 16 lanes to 8 each: a quarter of `even` and one of `odd` for each head. */
INLINE __m512 fold_two(__m512 even, __m512 odd)
{
    return _mm512_add_ps(_mm512_shuffle_f32x4(even, odd, 0x88), _mm512_shuffle_f32x4(even, odd, 0xdd));
}

/* Four heads, each folded to four lanes, two of `even` and two of `odd`. smallness: of all numbers so far. */
INLINE __m512 squares_of_four(const char *x, ptrdiff_t step1, ptrdiff_t step2, ptrdiff_t step3, ptrdiff_t bytes,
                              __m512i *smallness)
{
    __m512 e0 = _mm512_setzero_ps(), o0 = e0, e1 = e0, o1 = e0;
    NO_UNROLL
    for (const char *const end = x + bytes; x < end; x += 16 * sizeof(bf16_t)) {
        add_squares(x, x + step1, &e0, &o0, smallness);
        add_squares(x + step2, x + step3, &e1, &o1, smallness);
    }
    const __m512 a = fold_two(e0, o0), b = fold_two(e1, o1);
    return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
}

/* The sums of eight heads in their order. */
INLINE __m256 fold_eight(__m512 a, __m512 b)
{
    const __m512 one = _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
    const __m256 sum = _mm256_add_ps(_mm512_castps512_ps256(one), _mm512_extractf32x8_ps(one, 1));
    const __m128 x = _mm256_castps256_ps128(sum), y = _mm256_extractf128_ps(sum, 1);
    return _mm256_set_m128(_mm_unpackhi_ps(x, y), _mm_unpacklo_ps(x, y));
}

/* Of up to eight heads; in place of missing ones, one that is there. */
static NOINLINE void factors_of_group(group_factors *f, const roperot_norm_of_heads *a, const char *x, ptrdiff_t heads)
{
    const ptrdiff_t bytes = a->channels * (ptrdiff_t)sizeof(bf16_t), step = a->src_head;
    __m512i smallness = _mm512_setzero_si512();
    __m512 four[2];
    NO_UNROLL
    for (int i = 0; i < 2; i++, heads -= 4) {
        const ptrdiff_t last = heads > 0 ? (heads - 1) * step : 0;
        four[i] = squares_of_four(x, heads > 1 ? step : last, heads > 2 ? 2 * step : last, heads > 3 ? 3 * step : last,
                                  bytes, &smallness);
        if (heads > 4) x += 4 * step;
    }
    const __m256 mean = _mm256_div_ps(fold_eight(four[0], four[1]), _mm256_set1_ps((float)a->channels));
    const __m256 root = _mm256_sqrt_ps(_mm256_add_ps(mean, _mm256_set1_ps(a->epsilon)));
    const __m256 r = _mm256_div_ps(_mm256_set1_ps(1.0f), root);
    _mm256_storeu_ps(f->r, r);
    const __mmask32 small = _mm512_cmpgt_epu16_mask(smallness, _mm512_set1_epi16((short)(-2 * LEAST_X)));
    f->is_tame = (small | _mm256_cmp_ps_mask(r, _mm256_set1_ps(LEAST_R), _CMP_NGE_UQ) |
                  _mm256_cmp_ps_mask(r, _mm256_set1_ps(LARGEST_R), _CMP_NLE_UQ)) == 0;
}

/* ---- tame heads -------------------------------------------------------------------------------------------------- */

/* Next to what is computed: see norm_same.inc.h. */
INLINE void read_ahead(const char *x, ptrdiff_t ahead)
{
    compiler_barrier();
    prefetch_read(x, (int)ahead);
    compiler_barrier();
}

/* Weights, cos or sin of a vector of channels or pairs. */
typedef struct wide {
    __m512 first, second;
} wide;

INLINE wide load_wide(const float *p)
{
    const wide x = { _mm512_loadu_ps(p), _mm512_loadu_ps(p + 16) };
    return x;
}

/* T((x * r) * w) of a vector, woven, as the weights are. */
INLINE __m512i normed(const char *x, ptrdiff_t ahead, __m512 r, wide w)
{
    read_ahead(x, ahead);
    const __m512i v = load_vector(x);
    return narrow(_mm512_mul_ps(_mm512_mul_ps(woven(v, 0), r), w.first),
                  _mm512_mul_ps(_mm512_mul_ps(woven(v, 8), r), w.second));
}

INLINE void store_turned(char *y, ptrdiff_t half, __m512i n0, __m512i n1, wide c, wide s)
{
    __m512 a0, a1, b0, b1;
    f32x16_split_bf16(n0, &a0, &b0);
    f32x16_split_bf16(n1, &a1, &b1);
    const __m512 y0 = _mm512_sub_ps(_mm512_mul_ps(a0, c.first), _mm512_mul_ps(a1, s.first));
    const __m512 y1 = _mm512_add_ps(_mm512_mul_ps(a0, s.first), _mm512_mul_ps(a1, c.first));
    const __m512 z0 = _mm512_sub_ps(_mm512_mul_ps(b0, c.second), _mm512_mul_ps(b1, s.second));
    const __m512 z1 = _mm512_add_ps(_mm512_mul_ps(b0, s.second), _mm512_mul_ps(b1, c.second));
    store_vector(y, narrow(y0, z0));
    store_vector(y + half, narrow(y1, z1));
}

/* What a strip keeps in registers: weights of x0 and of x1, cos and sin, of two vectors of pairs. */
typedef struct strip {
    wide w0, w1, v0, v1, c0, c1, s0, s1;
} strip;

INLINE strip load_strip(const roperot_norm_of_heads *a, ptrdiff_t j)
{
    const float *const w = a->weight + a->first + j, *const v = w + a->pairs;
    const float *const cos = a->cos + j, *const sin = a->sin + j;
    const strip k = { load_wide(w),   load_wide(w + VECTOR),   load_wide(v),   load_wide(v + VECTOR),
                      load_wide(cos), load_wide(cos + VECTOR), load_wide(sin), load_wide(sin + VECTOR) };
    return k;
}

/* Two vectors of pairs of some heads. The norm of a head comes before the rotation of the one before it: a vector's
 * chain of operations takes 40 cycles, and what waits for its turn within one head would fill the schedulers. Barriers
 * keep that order. */
static NOINLINE void turned_strip(const heads_of_norm *g, ptrdiff_t j)
{
    enum { NEXT = VECTOR * sizeof(bf16_t) };
    const roperot_norm_of_heads *const a = g->all;
    const ptrdiff_t half = a->pairs * (ptrdiff_t)sizeof(bf16_t), ahead = a->ahead, src_head = a->src_head;
    const ptrdiff_t dst_head = a->dst_head, at = (a->first + j) * (ptrdiff_t)sizeof(bf16_t);
    const strip k = load_strip(a, j);
    const float *r = g->r;
    const char *x = g->src + at;
    char *y = g->dst + at;
    __m512 by = _mm512_set1_ps(*r);
    __m512i n0 = normed(x, ahead, by, k.w0), n1 = normed(x + half, ahead, by, k.v0);
    __m512i m0 = normed(x + NEXT, ahead, by, k.w1), m1 = normed(x + NEXT + half, ahead, by, k.v1);
    NO_UNROLL
    for (ptrdiff_t heads = g->heads - 1; heads > 0; heads--, y += dst_head) {
        const __m512i before0 = n0, before1 = n1, before2 = m0, before3 = m1;
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

/* ---- other heads ------------------------------------------------------------------------------------------------- */

static float factor_of_head(const roperot_norm_of_heads *a, const bf16_t *x)
{
    lanes_t sum = lanes_set1(0.0f);
    float r[4];
    NO_UNROLL
    for (ptrdiff_t c = 0; c < a->channels; c += 16) {
        const lanes_t v = lanes_load_bf16(x + c);
        sum = lanes_add(sum, lanes_mul(v, v));
    }
    norm_factors_f32x4(r, _mm_set1_ps(lanes_fold(sum)), (float)a->channels, a->epsilon);
    return r[0];
}

static void norm_any_head(const roperot_norm_of_heads *a, const bf16_t *x, bf16_t *y)
{
    const lanes_t r = lanes_set1(factor_of_head(a, x));
    NO_UNROLL
    for (ptrdiff_t c = 0; c < a->channels; c += 16) {
        const wide w = load_wide(a->weight + c / VECTOR * VECTOR);
        __m512 w0, w1;
        f32x16_deinterleave(w.first, w.second, &w0, &w1);
        lanes_store_bf16(y + c, lanes_mul(lanes_mul(lanes_load_bf16(x + c), r), c % VECTOR ? w1 : w0));
    }
    y += a->first;
    NO_UNROLL
    for (ptrdiff_t j = 0; j < a->pairs; j += 16) {
        const lanes_t x0 = lanes_load_bf16(y + j), x1 = lanes_load_bf16(y + a->pairs + j);
        const lanes_t c = lanes_load_f32(a->cos + j), s = lanes_load_f32(a->sin + j);
        lanes_store_bf16(y + j, lanes_sub(lanes_mul(x0, c), lanes_mul(x1, s)));
        lanes_store_bf16(y + a->pairs + j, lanes_add(lanes_mul(x0, s), lanes_mul(x1, c)));
    }
}

static NOINLINE void norm_any_group(const heads_of_norm *g)
{
    for (ptrdiff_t h = 0; h < g->heads; h++)
        norm_any_head(g->all, (const bf16_t *)(const void *)(g->src + h * g->all->src_head),
                      (bf16_t *)(void *)(g->dst + h * g->all->dst_head));
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

/* The r of the next group before this one: as in norm_same.inc.h. */
static void norm_bf16_avx512_bf16(const roperot_norm_of_heads *a)
{
    const int row_is_tame = coefficients_are_tame(a->cos, a->sin, a->pairs);
    heads_of_norm group = { a, a->src, a->dst, 0, NULL };
    group_factors f[2];
    int now = 0;
    factors_of_group(&f[0], a, a->src, a->heads);
    for (ptrdiff_t left = a->heads; left > 0; left -= GROUP, now = !now) {
        const char *const next = group.src + GROUP * a->src_head;
        group.heads = left < GROUP ? left : GROUP;
        if (left > GROUP) factors_of_group(&f[!now], a, next, left - GROUP);
        group.r = f[now].r;
        if (a->pairs && row_is_tame && f[now].is_tame)
            for (ptrdiff_t j = 0; j < a->pairs; j += 2 * VECTOR) turned_strip(&group, j);
        else
            norm_any_group(&group);
        group.src = next;
        group.dst += GROUP * a->dst_head;
    }
}

const roperot_head_extension roperot_extension_avx512_bf16 = {
    .feature = ROPEROT_FEATURE_AVX512_BF16,
    .turned = { [ROPEROT_FORMAT_bf16] = { norm_bf16_avx512_bf16, norm_weights_bf16_avx512_bf16, 2 * VECTOR, 1, 64 } },
};
