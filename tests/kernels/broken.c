/* SPDX-License-Identifier: MIT
 * Kernels with one deliberate flaw each, and one without; they must not know how they will be caught. */
#include "kernels/broken.h"

#include <math.h>

#include "reference/oracle.h"

enum { LANES = 4 }; /* pairs per pretended vector: tails are what flaws like */

/* What each flaw does is where it is used below. */
typedef enum flaw {
    NONE,
    SKIPS_LAST_LANE,
    SKIPS_TAIL,
    WRITES_ONE_PAST,
    WRITES_ONE_BEFORE,
    READS_ONE_PAST,
    READS_ONE_BEFORE,
    READS_COS_PAST,
    REWRITES_NEXT,
    REWRITES_PREVIOUS,
    REWRITES_SOURCE,
    REWRITES_COS,
    WRONG_SIGN,
    SWAPPED_SINE,
    TAIL_TWICE,
    FMA,
    DOUBLE,
    DROPS_DENORMALS,
    DROPS_SMALL_RESULTS,
    LOSES_ZERO_SIGN,
    TIES_AWAY,
    TRUNCATES,
    NAN_IS_FINITE,
    SATURATES,
    FIRST_TOKEN_ONLY,
    LAST_HEAD_LOST,
    HALF_IS_PAIRS,
    STRIDE_IS_ROW,
    NO_REPACKING,
    EVEN_TOKENS,
    CHANNEL_0_FIRST
} flaw;

typedef struct job {
    const roperot_tile *tile;
    int from, to, pairing, pairing_out;
    flaw flaw;
    volatile unsigned char *src, *dst; /* the row; volatile: the compiler must not repair a flaw */
    roperot_token row;
} job;

static ptrdiff_t element(const job *b, int pairing, ptrdiff_t half, ptrdiff_t j, int which)
{
    if (b->flaw == HALF_IS_PAIRS) half = b->tile->pairs;
    return pairing == ROPEROT_INDEX_half ? j + which * half : 2 * j + which;
}

static volatile unsigned char *source(const job *b, ptrdiff_t j, int which)
{
    return b->src + (ptrdiff_t)format_bytes(b->from) * element(b, b->pairing, b->tile->src_half, j, which);
}

static volatile unsigned char *target(const job *b, ptrdiff_t j, int which)
{
    const int pairing = b->flaw == NO_REPACKING ? b->pairing : b->pairing_out;
    return b->dst + (ptrdiff_t)format_bytes(b->to) * element(b, pairing, b->tile->dst_half, j, which);
}

static uint32_t load(const volatile unsigned char *from, int dtype)
{
    unsigned char bytes[4] = { 0 };
    for (size_t i = 0; i < format_bytes(dtype); i++) bytes[i] = from[i];
    return format_load(dtype, bytes);
}

static void store(volatile unsigned char *to, int dtype, uint32_t bits)
{
    unsigned char bytes[4] = { 0 };
    format_store(dtype, bytes, bits);
    for (size_t i = 0; i < format_bytes(dtype); i++) to[i] = bytes[i];
}

static float widen(const job *b, uint32_t bits)
{
    const float x = b->from == 1 ? format_float(bits) : (float)oracle_value(b->from, bits);
    const double least = b->from == 2 ? 0x1p-14 : 0x1p-126;
    return b->flaw == DROPS_DENORMALS && fabs((double)x) < least ? copysignf(0.0f, x) : x;
}

/* bf16 by adding half of the dropped part (ties away from zero), or nothing (towards zero); f32 and f16 are right. */
static uint32_t narrow(const job *b, float y)
{
    const uint32_t bits = format_bits(y), right = b->to == 1 ? bits : oracle_round(b->to, (double)y);
    const uint32_t infinity = b->to == 1 ? 0x7f800000u : b->to == 2 ? 0x7c00 : 0x7f80;
    const uint32_t sign = b->to == 1 ? 0x80000000u : 0x8000u;
    if (b->flaw == TIES_AWAY && !isnan(y)) return b->to == 3 ? (bits + 0x8000u) >> 16 : right;
    if (b->flaw == TRUNCATES && b->to == 3 && !isnan(y)) return bits >> 16;
    if (b->flaw == NAN_IS_FINITE && isnan(y)) return sign;
    if (b->flaw == SATURATES && (right & ~sign) == infinity) return right - 1;
    if (b->flaw == DROPS_SMALL_RESULTS && fabs((double)y) < 0x1p-126) return right & sign;
    if (b->flaw == LOSES_ZERO_SIGN && right == sign) return 0;
    return right;
}

static void rotate_values(const job *b, float x0, float x1, float c, float s, float y[2])
{
    y[0] = x0 * c - x1 * s;
    y[1] = x0 * s + x1 * c;
    if (b->flaw == WRONG_SIGN) y[0] = x0 * c + x1 * s;
    if (b->flaw == SWAPPED_SINE) y[1] = x1 * c - x0 * s;
    if (b->flaw == FMA) {
        y[0] = fmaf(x0, c, -(x1 * s));
        y[1] = fmaf(x0, s, x1 * c);
    }
    if (b->flaw == DOUBLE) { /* three exact operations, one rounding: better, and not the promise */
        y[0] = (float)((double)x0 * (double)c - (double)x1 * (double)s);
        y[1] = (float)((double)x0 * (double)s + (double)x1 * (double)c);
    }
}

static void rotate_pair(const job *b, ptrdiff_t j)
{
    float y[2];
    rotate_values(b, widen(b, load(source(b, j, 0), b->from)), widen(b, load(source(b, j, 1), b->from)), b->row.cos[j],
                  b->row.sin[j], y);
    store(target(b, j, 0), b->to, narrow(b, y[0]));
    store(target(b, j, 1), b->to, narrow(b, y[1]));
}

/* Whole vectors, then a tail. */
static void rotate_row(const job *b)
{
    const ptrdiff_t pairs = b->tile->pairs, whole = pairs - pairs % LANES;
    if (b->flaw == TAIL_TWICE && pairs > LANES && whole < pairs) { /* the last vector overlaps the one before */
        for (ptrdiff_t j = 0; j < whole; j++) rotate_pair(b, j);
        for (ptrdiff_t j = pairs - LANES; j < pairs; j++) rotate_pair(b, j);
        return;
    }
    const ptrdiff_t end = b->flaw == SKIPS_LAST_LANE ? pairs - 1 : b->flaw == SKIPS_TAIL ? whole : pairs;
    for (ptrdiff_t j = 0; j < end; j++) rotate_pair(b, j);
}

static void touch(volatile unsigned char *byte)
{
    *byte = *byte;
}

/* Flaws beside the row: the value may be right, the access is not. */
static void trespass(const job *b)
{
    const ptrdiff_t last = b->tile->pairs - 1, size = (ptrdiff_t)format_bytes(b->to);
    volatile unsigned char *const after = target(b, last, 1) + size, *const before = target(b, 0, 0) - 1;
    switch (b->flaw) {
    case WRITES_ONE_PAST: *after = 0; break;
    case WRITES_ONE_BEFORE: *before = 0; break;
    case READS_ONE_PAST: (void)*(source(b, last, 1) + format_bytes(b->from)); break;
    case READS_ONE_BEFORE: (void)*(source(b, 0, 0) - 1); break;
    case READS_COS_PAST: (void)*(const volatile float *)(b->row.cos + last + 1); break;
    case REWRITES_NEXT: touch(after); break;
    case REWRITES_PREVIOUS: touch(before); break;
    case REWRITES_SOURCE:
        if (b->row.src != b->row.dst) touch(source(b, 0, 0));
        break;
    case REWRITES_COS: touch((volatile unsigned char *)(uintptr_t)b->row.cos); break;
    default: break;
    }
}

/* Token t; with a flaw, where it would be if all of them lay as far apart as the first two. */
static roperot_token token_of(const job *b, ptrdiff_t t)
{
    const roperot_token *const token = b->tile->token;
    roperot_token result = token[t];
    if (b->flaw != EVEN_TOKENS || t < 2) return result;
    const ptrdiff_t src = (const char *)token[1].src - (const char *)token[0].src;
    const ptrdiff_t dst = (const char *)token[1].dst - (const char *)token[0].dst;
    result.src = (const char *)token[0].src + t * src;
    result.dst = (char *)token[0].dst + t * dst;
    return result;
}

static void rotate(const roperot_tile *tile, job b)
{
    const ptrdiff_t heads = tile->heads - (b.flaw == LAST_HEAD_LOST && tile->heads > 8);
    const ptrdiff_t row = 2 * tile->pairs * (ptrdiff_t)format_bytes(b.to);
    b.tile = tile;
    for (ptrdiff_t t = 0; t < tile->tokens; t++)
        for (ptrdiff_t h = 0; h < heads; h++) {
            const ptrdiff_t stride = b.flaw == STRIDE_IS_ROW ? row : tile->dst_head;
            const roperot_token token = token_of(&b, t);
            const ptrdiff_t first = b.flaw == CHANNEL_0_FIRST ? 0 : 1;
            b.src = (volatile unsigned char *)(uintptr_t)token.src +
                    first * tile->src_first * (ptrdiff_t)format_bytes(b.from) + h * tile->src_head;
            b.dst = (unsigned char *)token.dst + first * tile->dst_first * (ptrdiff_t)format_bytes(b.to) + h * stride;
            b.row = tile->token[b.flaw == FIRST_TOKEN_ONLY ? 0 : t];
            rotate_row(&b);
            trespass(&b);
        }
}

/* X(function, flaw, src, dst, src pairing, dst pairing) */
#define CONTROLS(X, s, d, p, q) X(NONE, s, d, p, q)
#define ALL_SAME(X, f, d)       X(f, d, d, half, half) X(f, d, d, interleaved, interleaved)
#define EVERYWHERE(X, f)                                                                                               \
    ALL_SAME(X, f, f32)                                                                                                \
    ALL_SAME(X, f, f16)                                                                                                \
    ALL_SAME(X, f, bf16)                                                                                               \
    X(f, f32, f32, half, interleaved) X(f, bf16, bf16, interleaved, half) X(f, f32, f16, half, half)                   \
        X(f, bf16, f32, interleaved, interleaved)
#define BROKEN_LIST(X)                                                                                                 \
    EVERYWHERE(X, SKIPS_LAST_LANE)                                                                                     \
    EVERYWHERE(X, SKIPS_TAIL)                                                                                          \
    EVERYWHERE(X, WRITES_ONE_PAST)                                                                                     \
    EVERYWHERE(X, WRITES_ONE_BEFORE) EVERYWHERE(X, READS_ONE_PAST) EVERYWHERE(X, READS_ONE_BEFORE)                     \
        EVERYWHERE(X, READS_COS_PAST) EVERYWHERE(X, REWRITES_NEXT) EVERYWHERE(X, REWRITES_PREVIOUS)                    \
            EVERYWHERE(X, REWRITES_SOURCE) EVERYWHERE(X, REWRITES_COS) EVERYWHERE(X, WRONG_SIGN)                       \
                EVERYWHERE(X, SWAPPED_SINE) EVERYWHERE(X, FMA) EVERYWHERE(X, DOUBLE) EVERYWHERE(X, DROPS_DENORMALS)    \
                    EVERYWHERE(X, NAN_IS_FINITE) EVERYWHERE(X, SATURATES) EVERYWHERE(X, LOSES_ZERO_SIGN)               \
                        EVERYWHERE(X, FIRST_TOKEN_ONLY) EVERYWHERE(X, LAST_HEAD_LOST) EVERYWHERE(X, STRIDE_IS_ROW)     \
                            EVERYWHERE(X, EVEN_TOKENS) EVERYWHERE(X, CHANNEL_0_FIRST) ALL_SAME(X, TAIL_TWICE, f32)     \
                                ALL_SAME(X, TAIL_TWICE, f16) ALL_SAME(X, TAIL_TWICE, bf16)                             \
                                    ALL_SAME(X, DROPS_SMALL_RESULTS, f32) ALL_SAME(X, DROPS_SMALL_RESULTS, bf16)       \
                                        X(TIES_AWAY, bf16, bf16, half, half) X(TIES_AWAY, f32, bf16, half, half)       \
                                            X(TIES_AWAY, bf16, bf16, half, interleaved)                                \
                                                X(TRUNCATES, bf16, bf16, half, half)                                   \
                                                    X(TRUNCATES, f32, bf16, interleaved, interleaved)                  \
                                                        X(HALF_IS_PAIRS, f32, f32, half, half)                         \
                                                            X(HALF_IS_PAIRS, f16, f16, half, interleaved)              \
                                                                X(HALF_IS_PAIRS, bf16, bf16, interleaved, half)        \
                                                                    X(NO_REPACKING, f32, f32, half, interleaved)       \
                                                                        X(NO_REPACKING, f16, f16, interleaved, half)

#define FUNCTION(f, s, d, p, q) broken_##f##_##s##_##d##_##p##_##q
#define DEFINE(f, s, d, p, q)                                                                                          \
    static void FUNCTION(f, s, d, p, q)(const roperot_tile *tile)                                                      \
    {                                                                                                                  \
        rotate(tile, (job){ .from = ROPEROT_INDEX_##s + 1,                                                             \
                            .to = ROPEROT_INDEX_##d + 1,                                                               \
                            .pairing = ROPEROT_INDEX_##p,                                                              \
                            .pairing_out = ROPEROT_INDEX_##q,                                                          \
                            .flaw = f });                                                                              \
    }
#define DEFINE_CONTROL(s, d, p, q) DEFINE(NONE, s, d, p, q)
ROPEROT_ROTATE_LIST(DEFINE_CONTROL)
BROKEN_LIST(DEFINE)

#define ENTRY(f, s, d, p, q)      { #f, #s "-" #d "/" #p "-" #q, FUNCTION(f, s, d, p, q), f == NONE },
#define ENTRY_CONTROL(s, d, p, q) ENTRY(NONE, s, d, p, q)
const broken_kernel broken_kernels[] = { ROPEROT_ROTATE_LIST(ENTRY_CONTROL) BROKEN_LIST(ENTRY) };
const size_t broken_kernel_count = sizeof broken_kernels / sizeof *broken_kernels;
