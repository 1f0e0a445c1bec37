/* SPDX-License-Identifier: MIT
 * Norm and rotation of bf16 heads in one kernel for every CPU with AVX-512: what all its kernels share, and the strip
 * that rounds by a fused difference; it must not know where heads come from or go to.
 *
 * T(x) is x rounded to bf16, to nearest even. For normal |x| < 2^112 it is 2^16 x - p, where p is (2^16 - 1) x rounded
 * to f32. Proof. Scaling by powers of two changes nothing, so let x be a whole number of 24 bits, and k = x / 2^16
 * rounded to nearest even; T(x) = 2^16 k is to be shown. (2^16 - 1) x = 2^16 (x - x / 2^16), and f32 numbers of this
 * size are the multiples of 2^16. So p = 2^16 (x - k), and the difference is 2^16 k, exactly. Half-way x are even.
 * There rounding p makes x - k even, which makes k even. Numbers p below 2^39 have a finer step of 2^15; they come from
 * x <= 2^23 + 128, where the result is k = 2^7 all the same. `test_heads` tries every significand.
 *
 * That is a product and a fused difference per register. Rounding in integers takes five operations for two registers,
 * three of which only port 5 of Intel's CPUs has, and two more to widen the result again.
 *
 * The sign of zero gets lost that way, and denormal, infinite and NaN results are wrong. It is used for tame heads
 * only, where none of them comes up:
 *
 *     x:      2^-24 <= |x|, and no infinity or NaN, of which r would tell
 *     r:      2^-16 <= r; at most 2^24, as 2^-24 <= |x| and epsilon >= 0
 *     w:      2^-16 <= |w| <= 2^56
 *     c, s:   0, or 2^-46 <= |c| <= 2^46; not both 0
 *
 * The square of a tame x is exact, so that sums of squares may be fused. The sum of other heads may be wrong, and is
 * not used: tiny x are found by themselves, and huge ones, infinities and NaN put r out of its limits either way.
 *
 * 2^-40 <= |x * r| <= 2^8 (1 + 2^-11): at most the root of 65536 channels, but for the rounding of the sum. So
 * n = T((x * r) * w) has 2^-56 <= |n| <= 2^64. A product n * c is 0 or at least 2^-102: a multiple of 2^-125, and so is
 * a sum of two of them, which is therefore 0 or at least 2^-125, and at most 2^111. It is 0 only as a difference of
 * equal products, and then never -0.
 *
 * All other heads take the norm and the rotation of AVX-512, one after the other. */
#include "tame_avx512.h"

enum { GROUP = ROPEROT_NORM_HEADS, VECTOR = 32 };

#define LEAST_R   0x1p-16f
#define LEAST_W   0x1p-16f
#define LARGEST_W 0x1p56f
#define LEAST_C   0x1p-46f
#define LARGEST_C 0x1p46f

/* ---- tame or not ------------------------------------------------------------------------------------------------- */

/* A magnitude as an unsigned number: -2 times its bits. The sign is shifted out, a smaller magnitude is a larger
 * number, and zero is the smallest of all: the largest number tells the least magnitude that is not zero. */
INLINE __m512i smallness_of_f32(__m512 x)
{
    const __m512i bits = _mm512_castps_si512(x);
    return _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_add_epi32(bits, bits));
}

/* Of the numbers so far: the largest smallness, and the largest magnitude, twice its bits; lanes with a zero. */
typedef struct extremes {
    __m512i smallness, magnitude;
    __mmask16 zeros;
} extremes;

INLINE extremes no_extremes(void)
{
    const extremes none = { _mm512_setzero_si512(), _mm512_setzero_si512(), 0 };
    return none;
}

INLINE void add_to_extremes(extremes *m, __m512 x)
{
    const __m512i small = smallness_of_f32(x);
    m->smallness = _mm512_max_epu32(m->smallness, small);
    m->magnitude = _mm512_max_epu32(m->magnitude, _mm512_sub_epi32(_mm512_setzero_si512(), small));
}

INLINE void add_zeros(extremes *m, __m512 x)
{
    const __m512i small = smallness_of_f32(x);
    m->zeros |= _mm512_testn_epi32_mask(small, small);
}

/* Bits of NaN are more than those of any limit. */
INLINE int are_tame(extremes m, float least, float largest)
{
    const __m512i small = _mm512_set1_epi32((int)(-2u * bits_of_float(least))),
                  large = _mm512_set1_epi32((int)(2u * bits_of_float(largest)));
    return (_mm512_cmpgt_epu32_mask(m.smallness, small) | _mm512_cmpgt_epu32_mask(m.magnitude, large) | m.zeros) == 0;
}

INLINE int row_is_tame(const float *cos, const float *sin, ptrdiff_t pairs)
{
    extremes all = no_extremes();
    NO_UNROLL
    for (ptrdiff_t j = 0; j < pairs; j += 16) {
        const __m512 c = _mm512_loadu_ps(cos + j), s = _mm512_loadu_ps(sin + j);
        add_to_extremes(&all, c);
        add_to_extremes(&all, s);
        add_zeros(&all, _mm512_or_ps(c, s));
    }
    return are_tame(all, LEAST_C, LARGEST_C);
}

/* In the order of channels that the norm takes, too, which other heads fall back to. */
int roperot_turned_weights_bf16_avx512(float *out, const void *weight, int32_t dtype, int unit_offset,
                                       ptrdiff_t channels)
{
    extremes all = no_extremes();
    if (!roperot_kernels_avx512.heads.norm_weights[ROPEROT_FORMAT_bf16](out, weight, dtype, unit_offset, channels))
        return 0;
    NO_UNROLL
    for (const float *w = out; w < out + channels; w += 16) {
        add_to_extremes(&all, _mm512_loadu_ps(w));
        add_zeros(&all, _mm512_loadu_ps(w));
    }
    return are_tame(all, LEAST_W, LARGEST_W);
}

INLINE int is_tame(watch_t so_far) { return _mm512_movepi16_mask(so_far) == 0xffffffffu; }

/* ---- r ----------------------------------------------------------------------------------------------------------- */

/* A square of a tame number has 16 bits, so that a fused addition rounds no differently. */
INLINE __m512 add_square(__m512 sum, __m512 x) { return _mm512_fmadd_ps(x, x, sum); }

/* The next 16 channels of two heads, side by side. Lane l of the recipe's sum, which takes channels l, l + 16 .. in
 * order, is lane l / 2 of `even` (l even) or of `odd` (l odd), and for the second head 8 lanes later. */
INLINE void add_squares(const char *x, const char *y, __m512 *even, __m512 *odd, watch_t *seen)
{
    const __m256i first = _mm256_loadu_si256((const __m256i *)(const void *)x);
    const __m256i second = _mm256_loadu_si256((const __m256i *)(const void *)y);
    const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
    __m512 x0, x1;
    f32x16_split_bf16(both, &x0, &x1);
    *even = add_square(*even, x0);
    *odd = add_square(*odd, x1);
    *seen = watch(*seen, both);
}

/* Two heads from 16 lanes to 8 each: a quarter of `even` and one of `odd` for each head. */
INLINE __m512 fold_two(__m512 even, __m512 odd)
{
    return _mm512_add_ps(_mm512_shuffle_f32x4(even, odd, 0x88), _mm512_shuffle_f32x4(even, odd, 0xdd));
}

/* Four heads, each folded to four lanes, two of `even` and two of `odd`. */
INLINE __m512 squares_of_four(four_heads x, ptrdiff_t bytes, watch_t *seen)
{
    __m512 e0 = _mm512_setzero_ps(), o0 = e0, e1 = e0, o1 = e0;
    NO_UNROLL
    for (ptrdiff_t at = 0; at < bytes; at += 16 * (ptrdiff_t)sizeof(bf16_t)) {
        add_squares(x.a + at, x.b + at, &e0, &o0, seen);
        add_squares(x.c + at, x.d + at, &e1, &o1, seen);
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

static __m256 sums_by_fused_additions(const char *x, ptrdiff_t step, ptrdiff_t heads, ptrdiff_t bytes, watch_t *seen)
{
    __m512 four[2];
    NO_UNROLL
    for (int i = 0; i < 2; i++) four[i] = squares_of_four(four_of_group(x, step, heads, 4 * i), bytes, seen);
    return fold_eight(four[0], four[1]);
}

/* Of up to eight heads. */
static NOINLINE void factors_of_group(roperot_norm_kept *f, const roperot_norm_of_heads *a, const char *x,
                                      ptrdiff_t heads, roperot_sums_of_group_fn *sums)
{
    watch_t seen = start_watch();
    const __m256 sum = sums(x, a->src_head, heads, a->channels * (ptrdiff_t)sizeof(bf16_t), &seen);
    const __m256 mean = _mm256_div_ps(sum, _mm256_set1_ps((float)a->channels));
    const __m256 root = _mm256_sqrt_ps(_mm256_add_ps(mean, _mm256_set1_ps(a->epsilon)));
    const __m256 r = _mm256_div_ps(_mm256_set1_ps(1.0f), root);
    _mm256_storeu_ps(f->r, r);
    f->is_tame = is_tame(seen) & (_mm256_cmp_ps_mask(r, _mm256_set1_ps(LEAST_R), _CMP_NGE_UQ) == 0);
}

/* ---- other heads ------------------------------------------------------------------------------------------------- */

/* Weights are in the order of that norm, too. */
INLINE void norm_any_group(const heads_of_norm *g)
{
    roperot_norm_of_heads n = *g->all;
    const roperot_token token = { n.cos, n.sin, g->dst, g->dst };
    const roperot_tile tile = { .token = &token,
                                .tokens = 1,
                                .heads = g->heads,
                                .pairs = n.pairs,
                                .src_head = n.dst_head,
                                .dst_head = n.dst_head,
                                .src_first = n.first,
                                .dst_first = n.first,
                                .src_half = n.pairs,
                                .dst_half = n.pairs,
                                .loop = ROPEROT_LOOP_COLUMNS };
    n.src = g->src;
    n.dst = g->dst;
    n.heads = g->heads;
    n.next = NULL;
    n.kept = NULL;
    roperot_kernels_avx512.heads.norm[ROPEROT_FORMAT_bf16](&n);
    if (n.pairs) roperot_kernels_avx512.rotate[ROPEROT_INDEX_bf16][ROPEROT_INDEX_bf16][0][0](&tile);
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

/* Whether the call before has made r of the heads that this one begins with. */
INLINE int is_begun(const roperot_norm_of_heads *a)
{
    const roperot_norm_kept *const k = a->kept;
    return k && k->src == a->src && (k->heads >= ROPEROT_NORM_HEADS || k->heads >= a->heads);
}

/* f: of the heads that the next call may begin with; anything if there are none. */
INLINE void keep(const roperot_norm_of_heads *a, const roperot_norm_kept *f)
{
    if (!a->kept) return;
    if (a->next) *a->kept = *f;
    a->kept->src = a->next;
    a->kept->heads = a->next_heads;
}

/* The factors r of the next group, or of the next call's first one, are made before this group is stored, so that their
 * divisions are done when they are needed. */
void roperot_turned_norm_bf16_avx512(const roperot_norm_of_heads *a, roperot_sums_of_group_fn *sums,
                                     roperot_turned_strip_fn *strip)
{
    const int is_row_tame = row_is_tame(a->cos, a->sin, a->pairs);
    heads_of_norm group = { a, a->src, a->dst, 0, NULL };
    roperot_norm_kept f[2];
    int now = 0;
    if (is_begun(a))
        f[0] = *a->kept;
    else
        factors_of_group(&f[0], a, a->src, a->heads, sums);
    for (ptrdiff_t left = a->heads; left > 0; left -= GROUP, now = !now) {
        const char *const behind = group.src + GROUP * a->src_head, *const next = left > GROUP ? behind : a->next;
        group.heads = left < GROUP ? left : GROUP;
        if (next) factors_of_group(&f[!now], a, next, left > GROUP ? left - GROUP : a->next_heads, sums);
        group.r = f[now].r;
        if (a->pairs && is_row_tame && f[now].is_tame)
            for (ptrdiff_t j = 0; j < a->pairs; j += 2 * VECTOR) strip(&group, j);
        else
            norm_any_group(&group);
        group.src = behind;
        group.dst += GROUP * a->dst_head;
    }
    keep(a, &f[now]);
}

/* ---- the strip --------------------------------------------------------------------------------------------------- */

#define EXT avx512_fma

typedef wide rounded_t;

/* 2^16 x - p as a sum, since clang makes one of the difference: the check of objects knows sums. */
INLINE __m512 through_bf16(__m512 x)
{
    return _mm512_fmadd_ps(x, _mm512_set1_ps(0x1p16f), _mm512_mul_ps(x, _mm512_set1_ps(1 - 0x1p16f)));
}

INLINE rounded_t rounded(wide x)
{
    const wide both = { through_bf16(x.first), through_bf16(x.second) };
    return both;
}

INLINE wide spread(__m512i x) { return split_wide(x); }
INLINE wide widened(rounded_t n) { return n; }
INLINE __m512i packed(wide x)
{
    const wide y = rounded(x);
    return _mm512_or_si512(_mm512_srli_epi32(_mm512_castps_si512(y.first), 16), _mm512_castps_si512(y.second));
}
INLINE wide ordered_weights(wide x) { return x; }
INLINE wide ordered_row(wide x) { return deinterleaved(x); }

#include "turned_strip_avx512.inc.h"

static void turned_norm_bf16_avx512_fma(const roperot_norm_of_heads *a)
{
    roperot_turned_norm_bf16_avx512(a, sums_by_fused_additions, turned_strip_bf16_avx512_fma);
}

const roperot_head_extension roperot_extension_avx512_fma = {
    .dtype = ROPEROT_FORMAT_bf16,
    .turned = { turned_norm_bf16_avx512_fma, roperot_turned_weights_bf16_avx512, 64, 1, 64 },
};
