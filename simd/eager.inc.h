/* SPDX-License-Identifier: MIT
 * Rotations in eager arithmetic: cos, sin, every product and the sum are rounded to T, as by a framework that computes
 * operation by operation in 16 bits; it must not know any ISA. Parameters: ISA, T (f16 or bf16), MEMORY (T, or f32 for
 * heads in the scratch, whose values are rounded to T as they are read), and the vocabulary of lanes (lanes_*.h). */

#define NAME(verb) CAT6(verb, _eager_, CAT3(T, _, MEMORY), _, ISA, )
#define M          CAT(MEMORY, _t)
#define R          CAT(lanes_round_, T)

/* Pairs that no vector takes where they lie, half-split and filled up with zeros. */
typedef struct NAME(copy) {
    M x[32];
    float cos[16], sin[16];
} NAME(copy);

/* 16 pairs, half-split in and out. One operation in a statement: where lanes are an array, clang 14 keeps one of them
 * on the stack for each operation of an expression, 1.6 KiB instead of 1.0, and a job has 12. */
INLINE void NAME(turn)(const M *src, M *dst, ptrdiff_t src_half, ptrdiff_t dst_half, const float *cos, const float *sin)
{
    lanes_t c = lanes_load_f32(cos), s = lanes_load_f32(sin);
    lanes_t x0 = CAT(lanes_load_, MEMORY)(src), x1 = CAT(lanes_load_, MEMORY)(src + src_half);
    c = R(c);
    s = R(s);
    x0 = R(x0);
    x1 = R(x1);
    lanes_t y = lanes_mul(x0, c);
    y = R(y);
    lanes_t z = lanes_mul(x1, s);
    z = R(z);
    y = lanes_sub(y, z);
    y = R(y);
    CAT(lanes_store_, MEMORY)(dst, y);
    y = lanes_mul(x1, c);
    y = R(y);
    z = lanes_mul(x0, s);
    z = R(z);
    y = lanes_add(y, z);
    y = R(y);
    CAT(lanes_store_, MEMORY)(dst + dst_half, y);
}

/* The n pairs of src, `step` elements apart, and their cos and sin. */
static NOINLINE void NAME(gather)(NAME(copy) *copy, const M *src, ptrdiff_t step, ptrdiff_t other, const float *cos,
                                  const float *sin, ptrdiff_t n)
{
    memset(copy, 0, sizeof *copy);
    NO_UNROLL
    for (ptrdiff_t i = 0; i < n; i++) {
        compiler_barrier(); /* not vectorised: it is for tails and interleaved pairs */
        copy->x[i] = src[i * step];
        copy->x[16 + i] = src[i * step + other];
        copy->cos[i] = cos[i];
        copy->sin[i] = sin[i];
    }
}

static NOINLINE void NAME(scatter)(const NAME(copy) *copy, M *dst, ptrdiff_t step, ptrdiff_t other, ptrdiff_t n)
{
    NO_UNROLL
    for (ptrdiff_t i = 0; i < n; i++) {
        compiler_barrier(); /* not vectorised: it is for tails and interleaved pairs */
        dst[i * step] = copy->x[i];
        dst[i * step + other] = copy->x[16 + i];
    }
}

/* One head: 16 pairs at a time, where they lie or in a copy. */
INLINE void NAME(head)(const M *src, M *dst, const roperot_tile *tile, const float *cos, const float *sin, int in,
                       int out)
{
    const ptrdiff_t pairs = tile->pairs, src_other = in == PAIRING_half ? tile->src_half : 1;
    const ptrdiff_t dst_other = out == PAIRING_half ? tile->dst_half : 1;
    const int is_half = in == PAIRING_half && out == PAIRING_half;
    for (ptrdiff_t j = 0; j < pairs; j += 16, src += 16 * in, dst += 16 * out) {
        const ptrdiff_t n = pairs - j < 16 ? pairs - j : 16;
        const int lies = is_half && n == 16;
        NAME(copy) copy;
        if (!lies) NAME(gather)(&copy, src, in, src_other, cos + j, sin + j, n);
        NAME(turn)(lies ? src : copy.x, lies ? dst : copy.x, lies ? src_other : 16, lies ? dst_other : 16,
                   lies ? cos + j : copy.cos, lies ? sin + j : copy.sin);
        if (!lies) NAME(scatter)(&copy, dst, out, dst_other, n);
    }
}

/* The pairings are opaque: else compilers make a copy of the whole for each. */
static NOINLINE void NAME(tile)(const roperot_tile *tile, int in, int out)
{
    for (ptrdiff_t t = 0; t < tile->tokens; t++) {
        const roperot_token *const token = &tile->token[t];
        const char *src = (const char *)token->src + tile->src_first * (ptrdiff_t)sizeof(M);
        char *dst = (char *)token->dst + tile->dst_first * (ptrdiff_t)sizeof(M);
        for (ptrdiff_t h = 0; h < tile->heads; h++, src += tile->src_head, dst += tile->dst_head)
            NAME(head)((const void *)src, (void *)dst, tile, token->cos, token->sin, in, out);
    }
}

#define PAIRING(in, out)                                                                                               \
    static void CAT6(rotate_eager_, CAT3(T, _, MEMORY), _##in##_, out, _, ISA)(const roperot_tile *tile)               \
    {                                                                                                                  \
        NAME(tile)(tile, opaque(PAIRING_##in), opaque(PAIRING_##out));                                                 \
    }
PAIRING(half, half)
PAIRING(half, interleaved)
PAIRING(interleaved, half)
PAIRING(interleaved, interleaved)
#undef PAIRING

#undef NAME
#undef M
#undef R
#undef T
#undef MEMORY
