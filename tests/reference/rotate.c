/* SPDX-License-Identifier: MIT
 * The kernel contract in its plainest form, one element at a time; it must not know vectors, caches or src/. */
#include "reference/rotate.h"

#include "reference/oracle.h"

typedef struct sides {
    const unsigned char *x[2];
    unsigned char *y[2];
} sides;

/* Where x0 and x1 of pair j are in a row: half-split (j, j + half), interleaved (2j, 2j + 1). */
static ptrdiff_t element_of(int pairing, ptrdiff_t half, ptrdiff_t j, int which)
{
    return pairing == ROPEROT_INDEX_half ? j + which * half : 2 * j + which;
}

static float widened(int dtype, uint32_t bits)
{
    return dtype == 1 ? format_float(bits) : (float)oracle_value(dtype, bits);
}

static void literal_pair(const reference_rotation *r, const sides *at, float c, float s)
{
    const int from = r->src + 1, to = r->dst + 1;
    const float x0 = widened(from, format_load(from, at->x[0]));
    const float x1 = widened(from, format_load(from, at->x[1]));
    uint32_t y[2];
    oracle_recipe(to, x0, x1, c, s, y);
    format_store(to, at->y[0], y[0]);
    format_store(to, at->y[1], y[1]);
}

static void literal(const roperot_tile *tile, const reference_rotation *r)
{
    const ptrdiff_t in = (ptrdiff_t)format_bytes(r->src + 1), out = (ptrdiff_t)format_bytes(r->dst + 1);
    for (ptrdiff_t t = 0; t < tile->tokens; t++)
        for (ptrdiff_t h = 0; h < tile->heads; h++) {
            const roperot_token *const token = &tile->token[t];
            const unsigned char *const src =
                (const unsigned char *)token->src + in * tile->src_first + h * tile->src_head;
            unsigned char *const dst = (unsigned char *)token->dst + out * tile->dst_first + h * tile->dst_head;
            for (ptrdiff_t j = 0; j < tile->pairs; j++) {
                const sides at = { { src + in * element_of(r->pairing, tile->src_half, j, 0),
                                     src + in * element_of(r->pairing, tile->src_half, j, 1) },
                                   { dst + out * element_of(r->pairing_out, tile->dst_half, j, 0),
                                     dst + out * element_of(r->pairing_out, tile->dst_half, j, 1) } };
                literal_pair(r, &at, token->cos[j], token->sin[j]);
            }
        }
}

#define NAME(s, d, p, q) literal_##s##_##d##_##p##_##q
#define DEFINE(s, d, p, q)                                                                                             \
    static void NAME(s, d, p, q)(const roperot_tile *tile)                                                             \
    {                                                                                                                  \
        static const reference_rotation rotation = {                                                                   \
            "", ROPEROT_INDEX_##s, ROPEROT_INDEX_##d, ROPEROT_INDEX_##p, ROPEROT_INDEX_##q, NULL                       \
        };                                                                                                             \
        literal(tile, &rotation);                                                                                      \
    }
ROPEROT_ROTATE_LIST(DEFINE)

#define ENTRY(s, d, p, q)                                                                                              \
    { #s "-" #d "/" #p "-" #q, ROPEROT_INDEX_##s, ROPEROT_INDEX_##d,                                                   \
      ROPEROT_INDEX_##p,       ROPEROT_INDEX_##q, NAME(s, d, p, q) },
const reference_rotation reference_rotations[] = { ROPEROT_ROTATE_LIST(ENTRY) };
const size_t reference_rotation_count = sizeof reference_rotations / sizeof *reference_rotations;
