/* SPDX-License-Identifier: MIT
 * Rotations in eager arithmetic: cos, sin, every product and the sum are rounded to T, as by a framework that computes
 * operation by operation in 16 bits; it must not know any ISA. Parameters: ISA, T (f16 or bf16), MEMORY (T, or f32 for
 * heads in the scratch, whose values are rounded to T as they are read), HEADS_USUAL (whether 16 pairs at a time are worth
 * their code), and the vocabulary of rows (lanes_*.h). */

#define NAME(verb) CAT6(verb, _eager_, CAT3(T, _, MEMORY), _, ISA, )
#define M          CAT(MEMORY, _t)
#define R          CAT(lanes_round_, T)
#define R_1        CAT(single_round_, T)

/* 16 pairs, half-split in and out. */
INLINE void NAME(turn)(const M *src, M *dst, ptrdiff_t src_half, ptrdiff_t dst_half, const float *cos, const float *sin)
{
    const lanes_t c = R(lanes_load_f32(cos)), s = R(lanes_load_f32(sin));
    const lanes_t x0 = R(CAT(lanes_load_, MEMORY)(src)), x1 = R(CAT(lanes_load_, MEMORY)(src + src_half));
    const lanes_t y0 = lanes_sub(R(lanes_mul(x0, c)), R(lanes_mul(x1, s)));
    const lanes_t y1 = lanes_add(R(lanes_mul(x1, c)), R(lanes_mul(x0, s)));
    CAT(lanes_store_, MEMORY)(dst, R(y0));
    CAT(lanes_store_, MEMORY)(dst + dst_half, R(y1));
}

INLINE void NAME(turn_1)(const M *src, M *dst, ptrdiff_t src_other, ptrdiff_t dst_other, float cos, float sin)
{
    const float c = R_1(cos), s = R_1(sin);
    const float x0 = R_1(CAT(single_load_, MEMORY)(src)), x1 = R_1(CAT(single_load_, MEMORY)(src + src_other));
    const float a = R_1(x0 * c), b = R_1(x1 * s), d = R_1(x1 * c), e = R_1(x0 * s);
    CAT(single_store_, MEMORY)(dst, R_1(a - b));
    CAT(single_store_, MEMORY)(dst + dst_other, R_1(d + e));
}

static NOINLINE void NAME(tile)(const roperot_tile *tile, int in, int out)
{
    const ptrdiff_t src_other = in == PAIRING_half ? tile->src_half : 1, pairs = tile->pairs;
    const ptrdiff_t dst_other = out == PAIRING_half ? tile->dst_half : 1;
    for (ptrdiff_t i = 0; i < tile->tokens * tile->heads; i++) {
        const roperot_token *const token = &tile->token[i / tile->heads];
        const ptrdiff_t h = i % tile->heads;
        const M *const src = (const M *)(const void *)((const char *)token->src + h * tile->src_head) + tile->src_first;
        M *const dst = (M *)(void *)((char *)token->dst + h * tile->dst_head) + tile->dst_first;
        const float *const cos = token->cos, *const sin = token->sin;
        ptrdiff_t j = 0;
        for (; HEADS_USUAL && in == PAIRING_half && out == PAIRING_half && pairs - j >= 16; j += 16)
            NAME(turn)(src + j, dst + j, src_other, dst_other, cos + j, sin + j);
        NO_UNROLL
        for (; j < pairs; j++) {
            __asm__ volatile(""); /* not vectorised: four times the code, for tails and the scalar backend */
            NAME(turn_1)(src + j * in, dst + j * out, src_other, dst_other, cos[j], sin[j]);
        }
    }
}

#define PAIRING(in, out)                                                                                               \
    static void CAT6(rotate_eager_, CAT3(T, _, MEMORY), _##in##_, out, _, ISA)(const roperot_tile *tile)               \
    {                                                                                                                  \
        NAME(tile)(tile, PAIRING_##in, PAIRING_##out);                                                                 \
    }
PAIRING(half, half)
PAIRING(half, interleaved)
PAIRING(interleaved, half)
PAIRING(interleaved, interleaved)
#undef PAIRING

#undef NAME
#undef M
#undef R
#undef R_1
#undef T
#undef MEMORY
