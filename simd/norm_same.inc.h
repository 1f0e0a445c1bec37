/* SPDX-License-Identifier: MIT
 * The usual norm, RMS of each head into its own dtype, sums included; it must not know any ISA. Equal to sum, scale and
 * store one after the other, to the bit. Parameters: ISA, SRC (a dtype), the vocabulary of lanes (lanes_*.h) for the
 * sums, and, undefined again at the end, VEC (a planar vector of vec_*.h, in whose order of channels weights are kept;
 * where the ISA has none there is nothing here), NORM_TURNS (whether it rotates, too) and NORM_WEIGHTS (whether it
 * makes weights, or another dtype's does). */

#if IS_VEC(VEC)

#define SRC_T      CAT(SRC, _t)
#define NAME(verb) CAT6(verb, _, SRC, _, ISA, )
#define T          CAT(VEC, _t)
#define V(verb)    CAT3(VEC, _, verb)
#define THROUGH    CAT3(VEC, _through_, SRC)
#define LOAD       CAT(lanes_load_, SRC)

#if NORM_WEIGHTS

/* w, 1 + w, or 1 if there are no weights. */
INLINE lanes_t NAME(factor_of_channels)(const void *weight, int32_t dtype, int unit_offset, ptrdiff_t c)
{
    const lanes_t one = lanes_set1(1.0f);
    if (!weight) return one;
    const lanes_t w = NAME(weights)(weight, c, opaque(dtype));
    return unit_offset ? lanes_add(one, w) : w;
}

static ROPEROT_NEAR_CODE int NAME(norm_weights)(float *out, const void *weight, int32_t dtype, int unit_offset,
                                                ptrdiff_t channels)
{
    _Alignas(64) float some[32];
    lanes_t odd = lanes_set1(0.0f);
    if (V(pairs)() > 32) return 0;
    NO_UNROLL
    for (ptrdiff_t c = 0; c < channels; c += 32) {
        const lanes_t w0 = NAME(factor_of_channels)(weight, dtype, unit_offset, c),
                      w1 = NAME(factor_of_channels)(weight, dtype, unit_offset, c + 16);
        odd = lanes_add(odd, lanes_mul(lanes_set1(0.0f), lanes_add(w0, w1)));
        lanes_store_f32(some, w0);
        lanes_store_f32(some + 16, w1);
        for (ptrdiff_t j = 0; j < 32; j += V(pairs)()) V(keep)(out + c + j, V(load_f32)(some + j));
    }
    return lanes_fold(odd) == 0.0f;
}

#endif

/* ---- r ----------------------------------------------------------------------------------------------------------- */

INLINE lanes_t NAME(square)(const char *x)
{
    const lanes_t v = LOAD((const SRC_T *)(const void *)x);
    return lanes_mul(v, v);
}

/* r of four heads: four chains of additions at once, and one division for all. Missing heads are the last one again. */
INLINE void NAME(factors)(float *r, const roperot_norm_of_heads *a, const char *x0, ptrdiff_t heads)
{
    const ptrdiff_t bytes = a->channels * (ptrdiff_t)sizeof(SRC_T), head = a->src_head;
    const char *const x1 = heads > 1 ? x0 + head : x0, *const x2 = heads > 2 ? x1 + head : x1;
    const char *const x3 = heads > 3 ? x2 + head : x2;
    lanes_t s0 = lanes_set1(0.0f), s1 = s0, s2 = s0, s3 = s0;
    NO_UNROLL
    for (ptrdiff_t c = 0; c < bytes; c += 16 * (ptrdiff_t)sizeof(SRC_T)) {
        s0 = lanes_add(s0, NAME(square)(x0 + c));
        s1 = lanes_add(s1, NAME(square)(x1 + c));
        s2 = lanes_add(s2, NAME(square)(x2 + c));
        s3 = lanes_add(s3, NAME(square)(x3 + c));
    }
    lanes_norm_factors(r, s0, s1, s2, s3, (float)a->channels, a->epsilon);
}

/* Of up to eight heads. */
static ROPEROT_NEAR_CODE void NAME(factors_of_group)(float *r, const roperot_norm_of_heads *a, const char *x,
                                                     ptrdiff_t heads)
{
    NAME(factors)(r, a, x, heads);
    if (heads > 4) NAME(factors)(r + 4, a, x + 4 * a->src_head, heads - 4);
}

/* ---- (x * r) * w ------------------------------------------------------------------------------------------------- */

/* Reads ahead next to what is computed: all at once it would occupy the line-fill buffers that the loads need. */
INLINE void NAME(read_ahead)(const char *src, ptrdiff_t c, ptrdiff_t ahead)
{
    compiler_barrier();
    prefetch_read((const SRC_T *)(const void *)src + c, (int)ahead);
    compiler_barrier();
}

INLINE void NAME(norm_vector)(const char *src, char *dst, ptrdiff_t c, ptrdiff_t ahead, T by, T w, const int rounding)
{
    NAME(read_ahead)(src, c, ahead);
    T n = V(mul)(CAT3(VEC, _load_, SRC)((const SRC_T *)(const void *)src + c), by);
    if (rounding == ROPEROT_NORM_ROUND_TWICE) n = THROUGH(n);
    CAT3(VEC, _store_, SRC)((SRC_T *)(void *)dst + c, V(mul)(n, w));
}

/* `count` (1 or 4, a constant) vectors of some heads, with their weights in registers; `rounding` is a constant, too:
 * the store does what ONCE asks for. */
INLINE void NAME(norm_strip)(const int count, const heads_of_norm *g, ptrdiff_t c, const int rounding)
{
    const roperot_norm_of_heads *const a = g->all;
    const ptrdiff_t n = V(pairs)(), src_head = a->src_head, dst_head = a->dst_head, ahead = a->ahead;
    const ptrdiff_t c1 = count > 1 ? n : 0, c2 = 2 * c1, c3 = 3 * c1;
    const float *const w = a->weight + c;
    const T w0 = V(kept)(w), w1 = V(kept)(w + c1), w2 = V(kept)(w + c2), w3 = V(kept)(w + c3);
    const float *r = g->r;
    const char *src = g->src + c * (ptrdiff_t)sizeof(SRC_T);
    char *dst = g->dst + c * (ptrdiff_t)sizeof(SRC_T);
    NO_UNROLL
    for (ptrdiff_t heads = g->heads; heads > 0; heads--, src += src_head, dst += dst_head) {
        const T by = V(all)(*r++);
        NAME(norm_vector)(src, dst, 0, ahead, by, w0, rounding);
        if (count == 1) continue;
        NAME(norm_vector)(src, dst, c1, ahead, by, w1, rounding);
        NAME(norm_vector)(src, dst, c2, ahead, by, w2, rounding);
        NAME(norm_vector)(src, dst, c3, ahead, by, w3, rounding);
    }
}

/* Strips of channels [c, end) of a few heads. */
INLINE void NAME(norm_strips)(const heads_of_norm *g, ptrdiff_t c, ptrdiff_t end, const int rounding)
{
    const ptrdiff_t n = V(pairs)();
    NO_UNROLL
    for (; end - c >= 4 * n; c += 4 * n) NAME(norm_strip)(4, g, c, rounding);
    NO_UNROLL
    for (; end - c > 0; c += n) NAME(norm_strip)(1, g, c, rounding);
}

static ROPEROT_NEAR_CODE void NAME(norm_group_once)(const heads_of_norm *g, ptrdiff_t c, ptrdiff_t end)
{
    NAME(norm_strips)(g, c, end, ROPEROT_NORM_ROUND_ONCE);
}

static NOINLINE void NAME(norm_group_twice)(const heads_of_norm *g, ptrdiff_t c, ptrdiff_t end)
{
    NAME(norm_strips)(g, c, end, ROPEROT_NORM_ROUND_TWICE);
}

/* ---- and the rotation -------------------------------------------------------------------------------------------- */

#if NORM_TURNS

/* As in strip.inc.h. */
INLINE void NAME(turned_vector)(const char *src, char *dst, ptrdiff_t j, ptrdiff_t half, ptrdiff_t ahead, T by, T w0,
                                T w1, T c, T s)
{
    const SRC_T *const x = (const SRC_T *)(const void *)src + j;
    SRC_T *const y = (SRC_T *)(void *)dst + j;
    NAME(read_ahead)(src, j, ahead);
    NAME(read_ahead)(src, j + half, ahead);
    const T x0 = V(mul)(V(mul)(CAT3(VEC, _load_, SRC)(x), by), w0);
    const T x1 = V(mul)(V(mul)(CAT3(VEC, _load_, SRC)(x + half), by), w1);
    CAT3(VEC, _store_, SRC)(y, V(sub)(V(mul)(x0, c), V(mul)(x1, s)));
    CAT3(VEC, _store_, SRC)(y + half, V(add)(V(mul)(x0, s), V(mul)(x1, c)));
}

/* `count` (1, 2 or 4, a constant) vectors of pairs of some heads, with their weights and coefficients in registers. */
INLINE void NAME(turned_strip)(const int count, const heads_of_norm *g, ptrdiff_t j)
{
    const roperot_norm_of_heads *const a = g->all;
    const ptrdiff_t n = V(pairs)(), half = a->pairs, src_head = a->src_head, dst_head = a->dst_head, ahead = a->ahead;
    const ptrdiff_t j1 = count > 1 ? n : 0, j2 = count > 2 ? 2 * n : 0, j3 = count > 2 ? 3 * n : 0;
    const float *const w = a->weight + a->first + j, *const cos = a->cos + j, *const sin = a->sin + j;
    const T w0 = V(kept)(w), w1 = V(kept)(w + j1), w2 = V(kept)(w + j2), w3 = V(kept)(w + j3);
    const T v0 = V(kept)(w + half), v1 = V(kept)(w + half + j1), v2 = V(kept)(w + half + j2),
            v3 = V(kept)(w + half + j3);
    const T c0 = V(load_f32)(cos), c1 = V(load_f32)(cos + j1), c2 = V(load_f32)(cos + j2), c3 = V(load_f32)(cos + j3);
    const T s0 = V(load_f32)(sin), s1 = V(load_f32)(sin + j1), s2 = V(load_f32)(sin + j2), s3 = V(load_f32)(sin + j3);
    const float *r = g->r;
    const char *src = g->src + (a->first + j) * (ptrdiff_t)sizeof(SRC_T);
    char *dst = g->dst + (a->first + j) * (ptrdiff_t)sizeof(SRC_T);
    NO_UNROLL
    for (ptrdiff_t heads = g->heads; heads > 0; heads--, src += src_head, dst += dst_head) {
        const T by = V(all)(*r++);
        NAME(turned_vector)(src, dst, 0, half, ahead, by, w0, v0, c0, s0);
        if (count > 1) NAME(turned_vector)(src, dst, j1, half, ahead, by, w1, v1, c1, s1);
        if (count > 2) NAME(turned_vector)(src, dst, j2, half, ahead, by, w2, v2, c2, s2);
        if (count > 2) NAME(turned_vector)(src, dst, j3, half, ahead, by, w3, v3, c3, s3);
    }
}

static ROPEROT_NEAR_CODE void NAME(turned_group)(const heads_of_norm *g)
{
    const roperot_norm_of_heads *const a = g->all;
    const ptrdiff_t n = V(pairs)(), pairs = a->pairs, behind = a->first + 2 * pairs;
    ptrdiff_t j = 0;
    NO_UNROLL
    for (; pairs - j >= TURNED_VECS * n; j += TURNED_VECS * n) NAME(turned_strip)(TURNED_VECS, g, j);
    NO_UNROLL
    for (; pairs - j > 0; j += n) NAME(turned_strip)(1, g, j);
    if (a->first) NAME(norm_group_once)(g, 0, a->first);
    if (behind < a->channels) NAME(norm_group_once)(g, behind, a->channels);
}

#endif

/* ---- all of it --------------------------------------------------------------------------------------------------- */

INLINE void NAME(norm_group)(const heads_of_norm *g)
{
    const roperot_norm_of_heads *const a = g->all;
#if NORM_TURNS
    if (a->pairs) {
        NAME(turned_group)(g);
        return;
    }
#endif
    if (CAT(ROPEROT_FORMAT_, SRC) != ROPEROT_FORMAT_f32 && a->rounding == ROPEROT_NORM_ROUND_TWICE)
        NAME(norm_group_twice)(g, 0, a->channels);
    else
        NAME(norm_group_once)(g, 0, a->channels);
}

/* Eight heads at a time, and the r of the next ones before: their divisions are done when they are needed. */
static ROPEROT_NEAR_CODE void NAME(norm)(const roperot_norm_of_heads *a)
{
    enum { GROUP = ROPEROT_NORM_HEADS };
    heads_of_norm group = { a, a->src, a->dst, 0, NULL };
    float r[2][GROUP];
    int now = 0;
    NAME(factors_of_group)(r[0], a, a->src, a->heads);
    NO_UNROLL
    for (ptrdiff_t left = a->heads; left > 0; left -= GROUP, now = !now) {
        const char *const next = group.src + GROUP * a->src_head;
        group.heads = left < GROUP ? left : GROUP;
        if (left > GROUP) NAME(factors_of_group)(r[!now], a, next, left - GROUP);
        group.r = r[now];
        NAME(norm_group)(&group);
        group.src = next;
        group.dst += GROUP * a->dst_head;
    }
}

#undef SRC_T
#undef NAME
#undef T
#undef V
#undef THROUGH
#undef LOAD

#endif

#undef VEC
#undef NORM_TURNS
#undef NORM_WEIGHTS
