/* SPDX-License-Identifier: MIT
 * The norm of heads: sums in a fixed order, then products into an f32 scratch; it must not know any ISA.
 * Parameters: ISA, SRC (a dtype), HEADS_USUAL (whether loops of their own for what is usual are worth their code), and
 * the vocabulary of lanes (lanes_*.h).
 *
 * Rare cases are decided inside the loop by opaque values. Otherwise the compiler makes one loop per combination, 35
 * KiB per ISA. */

#define SRC_T      CAT(SRC, _t)
#define NAME(verb) CAT6(verb, _, SRC, _, ISA, )
#define LOAD       CAT(lanes_load_, SRC)
#define LOAD_1     CAT(single_load_, SRC)

INLINE lanes_t NAME(term)(lanes_t x, lanes_t mean, int terms)
{
    if (terms == ROPEROT_SUM_VALUES) return x;
    if (terms == ROPEROT_SUM_DEVIATIONS) x = lanes_sub(x, mean);
    return lanes_mul(x, x);
}

/* `terms` is a constant where it must be fast. A missing channel of the last lanes adds nothing, not even a zero. */
INLINE float NAME(sum_head)(const SRC_T *x, ptrdiff_t channels, int terms, float mean)
{
    const lanes_t m = lanes_set1(mean);
    lanes_t sum = lanes_set1(0.0f);
    ptrdiff_t c = 0;
    NO_UNROLL
    for (; channels - c >= 16; c += 16)
        sum = lanes_add(sum, NAME(term)(LOAD(x + c), m, terms == ROPEROT_SUM_SQUARES ? terms : opaque(terms)));
    if (c == channels) return lanes_fold(sum);
    float lane[16];
    lanes_store_f32(lane, sum);
    NO_UNROLL
    for (ptrdiff_t i = 0; c + i < channels; i++) {
        float value = LOAD_1(x + c + i);
        if (opaque(terms) == ROPEROT_SUM_DEVIATIONS) value -= mean;
        lane[i] += opaque(terms) == ROPEROT_SUM_VALUES ? value : value * value;
    }
    return lanes_fold(lanes_load_f32(lane));
}

static void NAME(sum)(float *sum, const void *src, ptrdiff_t src_head, ptrdiff_t heads, ptrdiff_t channels, int terms,
                      const float *mean)
{
    for (ptrdiff_t h = 0; h < heads; h++) {
        const SRC_T *const x = (const void *)((const char *)src + h * src_head);
        if (terms == ROPEROT_SUM_SQUARES)
            sum[h] = NAME(sum_head)(x, channels, ROPEROT_SUM_SQUARES, 0.0f);
        else
            sum[h] = NAME(sum_head)(x, channels, terms, mean ? mean[h] : 0.0f);
    }
}

/* T(x): of the source, or for f32 what the scaling says. */
INLINE lanes_t NAME(through)(lanes_t x, int32_t dtype)
{
    return dtype == ROPEROT_BF16 ? lanes_round_bf16(x) : dtype == ROPEROT_F16 ? lanes_round_f16(x) : x;
}

INLINE float NAME(through_1)(float x, int32_t dtype)
{
    return dtype == ROPEROT_BF16 ? single_round_bf16(x) : dtype == ROPEROT_F16 ? single_round_f16(x) : x;
}

/* Weights and biases of dtype `w`. */
INLINE lanes_t NAME(weights)(const char *p, ptrdiff_t c, int32_t w)
{
    if (w == ROPEROT_F16) return lanes_load_f16((const f16_t *)(const void *)p + c);
    if (w == ROPEROT_BF16) return lanes_load_bf16((const bf16_t *)(const void *)p + c);
    return lanes_load_f32((const f32_t *)(const void *)p + c);
}

INLINE float NAME(weights_1)(const char *p, ptrdiff_t c, int32_t w)
{
    if (w == ROPEROT_F16) return single_load_f16((const f16_t *)(const void *)p + c);
    if (w == ROPEROT_BF16) return single_load_bf16((const bf16_t *)(const void *)p + c);
    return single_load_f32((const f32_t *)(const void *)p + c);
}

/* The channels from c on, fewer than 16. */
static NOINLINE void NAME(scale_tail)(const roperot_scaling_of_heads *s, ptrdiff_t h, ptrdiff_t c, int32_t first,
                                      int32_t last)
{
    const SRC_T *const x = (const void *)((const char *)s->src + h * s->src_head);
    const char *const weight = s->weight ? (const char *)s->weight + h * s->weight_head : NULL;
    const char *const bias = s->bias ? (const char *)s->bias + h * s->weight_head : NULL;
    const int32_t w = s->weight_dtype;
    float *const out = s->out + h * s->pitch;
    for (; c < s->channels; c++) {
        const float v = weight ? NAME(weights_1)(weight, c, w) : 1.0f;
        float n = LOAD_1(x + c);
        if (s->mean) n -= s->mean[h];
        n = NAME(through_1)(n * s->r[h], first);
        if (weight) n *= s->unit_offset ? 1.0f + v : v;
        if (bias) n += NAME(weights_1)(bias, c, w);
        out[c] = NAME(through_1)(n, last);
    }
}

/* One head. `w`, `is_plain` (a weight without offset, no mean, no bias), `first` and `last` (what T is after the first
 * product and at the end, ROPEROT_F32 for no rounding) are constants in the calls that must be fast. */
INLINE void NAME(scale_head)(const roperot_scaling_of_heads *s, ptrdiff_t h, int32_t w, int is_plain, int32_t first,
                             int32_t last)
{
    const SRC_T *const x = (const void *)((const char *)s->src + h * s->src_head);
    const char *const weight = s->weight ? (const char *)s->weight + h * s->weight_head : NULL;
    const char *const bias = s->bias ? (const char *)s->bias + h * s->weight_head : NULL;
    const float r1 = s->r[h], m1 = s->mean ? s->mean[h] : 0.0f;
    const lanes_t r = lanes_set1(r1), m = lanes_set1(m1), one = lanes_set1(1.0f);
    float *const out = s->out + h * s->pitch;
    const ptrdiff_t channels = s->channels;
    ptrdiff_t c = 0;
    NO_UNROLL
    for (; channels - c >= 16; c += 16) {
        lanes_t n = LOAD(x + c);
        if (!is_plain && opaque(s->mean != NULL)) n = lanes_sub(n, m);
        n = NAME(through)(lanes_mul(n, r), is_plain ? first : opaque(first));
        if (is_plain) {
            n = lanes_mul(n, NAME(weights)(weight, c, w));
        } else if (opaque(weight != NULL)) {
            const lanes_t v = NAME(weights)(weight, c, opaque(w));
            n = lanes_mul(n, opaque(s->unit_offset) ? lanes_add(one, v) : v);
        }
        if (!is_plain && opaque(bias != NULL)) n = lanes_add(n, NAME(weights)(bias, c, opaque(w)));
        lanes_store_f32(out + c, NAME(through)(n, is_plain ? last : opaque(last)));
    }
    if (c < channels) NAME(scale_tail)(s, h, c, first, last);
}

/* What is usual, as loops of their own: weights in the dtype of the source. Others take the loop below, which looks at
 * the dtype again for each 16 channels. */
INLINE int NAME(scale_usual)(const roperot_scaling_of_heads *s, const int32_t w)
{
    const int32_t source = CAT(ROPEROT_FORMAT_, SRC) + 1;
    const ptrdiff_t heads = s->heads;
    if (s->weight_dtype != w) return 0;
    if (s->rounding == ROPEROT_NORM_ROUND_NONE || source == ROPEROT_F32) {
        for (ptrdiff_t h = 0; h < heads; h++) NAME(scale_head)(s, h, w, 1, ROPEROT_F32, ROPEROT_F32);
    } else if (s->rounding == ROPEROT_NORM_ROUND_ONCE) {
        for (ptrdiff_t h = 0; h < heads; h++) NAME(scale_head)(s, h, w, 1, ROPEROT_F32, source);
    } else {
        for (ptrdiff_t h = 0; h < heads; h++) NAME(scale_head)(s, h, w, 1, source, source);
    }
    return 1;
}

static void NAME(scale)(const roperot_scaling_of_heads *s)
{
    const int32_t source = CAT(ROPEROT_FORMAT_, SRC) + 1, through = source == ROPEROT_F32 ? s->through : source;
    const int32_t first = s->rounding == ROPEROT_NORM_ROUND_TWICE ? through : ROPEROT_F32;
    const int32_t last = s->rounding == ROPEROT_NORM_ROUND_NONE ? ROPEROT_F32 : through;
    const int is_usual =
        s->weight && !s->bias && !s->mean && !s->unit_offset && (source != ROPEROT_F32 || last == ROPEROT_F32);
    if (HEADS_USUAL && is_usual && NAME(scale_usual)(s, source)) return;
    for (ptrdiff_t h = 0; h < s->heads; h++) NAME(scale_head)(s, h, s->weight_dtype, 0, first, last);
}

#undef SRC_T
#undef NAME
#undef LOAD
#undef LOAD_1
