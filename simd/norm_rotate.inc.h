/* SPDX-License-Identifier: MIT
 * The usual norm and rotation of heads fused, 32 channels at a time in registers; it must not know any ISA. Equal to
 * scale, rotate and store one after the other, to the bit. Parameters: ISA, SRC (a dtype), and the vocabulary of rows
 * (lanes_*.h). */

#define SRC_T      CAT(SRC, _t)
#define NAME(verb) CAT6(verb, _, SRC, _, ISA, )
#define LOAD       CAT(lanes_load_, SRC)

INLINE lanes_t NAME(normed)(lanes_t x, lanes_t r, lanes_t w, const int rounding)
{
    const int32_t through = CAT(ROPEROT_FORMAT_, SRC) + 1;
    lanes_t n = lanes_mul(x, r);
    if (rounding == ROPEROT_NORM_ROUND_TWICE) n = NAME(through)(n, through);
    n = lanes_mul(n, w);
    return rounding == ROPEROT_NORM_ROUND_NONE ? n : NAME(through)(n, through);
}

/* Heads of 2 * pairs channels, half-split; `rounding` is a constant at every call. */
INLINE void NAME(norm_rotate_heads)(const roperot_normed_rotation *a, const int rounding)
{
    const ptrdiff_t pairs = a->pairs;
    const int32_t w = a->weight_dtype;
    const char *const weight = a->weight;
    for (ptrdiff_t h = 0; h < a->heads; h++) {
        const SRC_T *const x = (const void *)((const char *)a->src + h * a->src_head);
        SRC_T *const y = (void *)((char *)a->dst + h * a->dst_head);
        const lanes_t r = lanes_set1(a->r[h]);
        NO_UNROLL
        for (ptrdiff_t j = 0; j < pairs; j += 16) {
            const lanes_t w0 = NAME(weights)(weight, j, opaque(w)), w1 = NAME(weights)(weight, pairs + j, opaque(w));
            const lanes_t n0 = NAME(normed)(LOAD(x + j), r, w0, rounding);
            const lanes_t n1 = NAME(normed)(LOAD(x + pairs + j), r, w1, rounding);
            const lanes_t c = lanes_load_f32(a->cos + j), s = lanes_load_f32(a->sin + j);
            CAT(lanes_store_, SRC)(y + j, lanes_sub(lanes_mul(n0, c), lanes_mul(n1, s)));
            CAT(lanes_store_, SRC)(y + pairs + j, lanes_add(lanes_mul(n0, s), lanes_mul(n1, c)));
        }
    }
}

static void NAME(norm_rotate)(const roperot_normed_rotation *a)
{
    const int rounds = CAT(ROPEROT_FORMAT_, SRC) != ROPEROT_FORMAT_f32;
    if (!rounds || a->rounding == ROPEROT_NORM_ROUND_NONE)
        NAME(norm_rotate_heads)(a, ROPEROT_NORM_ROUND_NONE);
    else if (a->rounding == ROPEROT_NORM_ROUND_ONCE)
        NAME(norm_rotate_heads)(a, ROPEROT_NORM_ROUND_ONCE);
    else
        NAME(norm_rotate_heads)(a, ROPEROT_NORM_ROUND_TWICE);
}

#undef SRC_T
#undef NAME
#undef LOAD
