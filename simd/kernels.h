/* SPDX-License-Identifier: MIT
 * The contract between the ISA-neutral library (src/) and the kernels (simd/): lists, data and function types. It must
 * not know any instruction set, and nothing of src/. */
#ifndef ROPEROT_KERNELS_H
#define ROPEROT_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "heads.h"

/* ---- the enumerator lists ---------------------------------------------------------------------------------------- */

/* Tables, names, tests and benchmarks are expanded from them; CONTRIBUTING.md says what else a new entry needs. */

/* X(isa, ISA): best first. An ISA is in a build when ROPEROT_HAVE_<ISA> is 1 (config.h). */
#define ROPEROT_ISA_LIST(X)                                                                                            \
    X(avx512, AVX512) X(avx2, AVX2) X(sve, SVE) X(neon, NEON) X(rvv, RVV) X(wasm, WASM)                                \
    X(scalar, SCALAR)

/* X(dtype, DTYPE, bytes): the element types of tensors, in the order of roperot_dtype. */
#define ROPEROT_DTYPE_LIST(X) X(f32, F32, 4) X(f16, F16, 2) X(bf16, BF16, 2)

/* X(pairing, PAIRING), in the order of ROPEROT_PAIR_... */
#define ROPEROT_PAIRING_LIST(X) X(half, HALF) X(interleaved, INTERLEAVED)

/* X(src dtype, dst dtype, src pairing, dst pairing) of every rotation. One dtype: all pairings. Conversions: one
 * pairing. */
#define ROPEROT_ROTATE_LIST(X)                                                                                         \
    ROPEROT_ROTATE_SAME(X, f32)                                                                                        \
    ROPEROT_ROTATE_SAME(X, f16)                                                                                        \
    ROPEROT_ROTATE_SAME(X, bf16)                                                                                       \
    ROPEROT_ROTATE_CONVERT(X, f32, f16)                                                                                \
    ROPEROT_ROTATE_CONVERT(X, f32, bf16)                                                                               \
    ROPEROT_ROTATE_CONVERT(X, f16, f32)                                                                                \
    ROPEROT_ROTATE_CONVERT(X, bf16, f32)
#define ROPEROT_ROTATE_SAME(X, d)                                                                                      \
    X(d, d, half, half) X(d, d, interleaved, interleaved) X(d, d, half, interleaved) X(d, d, interleaved, half)
#define ROPEROT_ROTATE_CONVERT(X, s, d) X(s, d, half, half) X(s, d, interleaved, interleaved)

/* X(T, memory, src pairing, dst pairing) of every rotation in eager arithmetic, which rounds every step to T. */
#define ROPEROT_EAGER_LIST(X)                                                                                          \
    ROPEROT_EAGER_PAIRINGS(X, f16, f16)                                                                                \
    ROPEROT_EAGER_PAIRINGS(X, f16, f32)                                                                                \
    ROPEROT_EAGER_PAIRINGS(X, bf16, bf16)                                                                              \
    ROPEROT_EAGER_PAIRINGS(X, bf16, f32)
#define ROPEROT_EAGER_PAIRINGS(X, t, m)                                                                                \
    X(t, m, half, half) X(t, m, interleaved, interleaved) X(t, m, half, interleaved) X(t, m, interleaved, half)

/* Indices of the lists above in the tables below (public enum values less one, which lists.h checks), and how many. */
#define ROPEROT_INDEX_1(name, NAME)        ROPEROT_INDEX_##name,
#define ROPEROT_INDEX_2(name, NAME, bytes) ROPEROT_INDEX_##name,
enum { ROPEROT_DTYPE_LIST(ROPEROT_INDEX_2) ROPEROT_DTYPES };
enum { ROPEROT_PAIRING_LIST(ROPEROT_INDEX_1) ROPEROT_PAIRINGS };
enum { ROPEROT_ISA_LIST(ROPEROT_INDEX_1) ROPEROT_ISAS };
#undef ROPEROT_INDEX_1
#undef ROPEROT_INDEX_2

/* ---- code of a decode step ------------------------------------------------------------------------------------- */

/* In a decode step weights have passed through the caches since the last call: its own code comes from memory, line by
 * line. What such a call executes lies together, in functions that start a line: the fast path of src/, and of each ISA
 * the rotations by columns and the product of factors. Norms only lie with them, which spares pages, not lines. */
#ifdef __ELF__
#define ROPEROT_FAST_CODE __attribute__((noinline, aligned(64), section(".text.hot.roperot")))
#define ROPEROT_NEAR_CODE __attribute__((noinline, section(".text.hot.roperot.norm")))
#else
#define ROPEROT_FAST_CODE __attribute__((noinline))
#define ROPEROT_NEAR_CODE __attribute__((noinline))
#endif

/* ---- rotation ---------------------------------------------------------------------------------------------------- */

/* The coefficients of one token: cos and sin of its pairs, natural alignment. */
typedef struct roperot_row {
    const float *cos, *sin;
} roperot_row;

/* One token of a tile: its coefficients, and channel 0 of its head 0 where it is read and where it is written, aligned
 * to their element only. Strides, pages and ragged batches end here: tokens may lie anywhere. A token that is not
 * rotated is not in the list. */
typedef struct roperot_token {
    const float *cos, *sin; /* of the tile's pairs */
    const void *src;
    void *dst;
} roperot_token;

/* How a tile is walked. The bits do not depend on it. */
enum {
    ROPEROT_LOOP_COLUMNS, /* in cache: cos/sin of a strip of columns stay in registers across the heads */
    ROPEROT_LOOP_LINEAR,  /* beyond it: every head once, in address order, with software prefetch */
    ROPEROT_LOOP_STREAM   /* linear, and stores that bypass the cache where they are aligned; dst is not src */
};

/* Tokens x heads of `pairs` pairs each. In place means that src == dst in every token, with equal strides; otherwise no
 * byte that is written is one that is read. A kernel reads and writes exactly the 2 * pairs channels of every head,
 * each once, and nothing beside them. */
typedef struct roperot_tile {
    const roperot_token *token;
    ptrdiff_t tokens, heads, pairs; /* >= 1 */
    ptrdiff_t src_head, dst_head;   /* bytes from head to head, any sign */
    ptrdiff_t src_first, dst_first; /* elements from channel 0 of a head to x0 of the tile's first pair */
    ptrdiff_t src_half, dst_half;   /* half-split sides: elements from x0 to x1 of one pair (rotary_dim / 2) */
    int loop;                       /* ROPEROT_LOOP_... */
    int heads_outer;                /* linear and stream: walk all tokens of a head before the next head */
} roperot_tile;

typedef void roperot_rotate_fn(const roperot_tile *tile);

/* ---- coefficients ------------------------------------------------------------------------------------------------ */

/* A factor table: entry i of pair j is exp(1i * angle(i, j)) with angle = i * 2^shift * inv_freq[j]; the row of
 * entry i is `pairs` cos, then `pairs` sin, f64. Row 0 is exactly (1, +0). Fills entries [begin, end). */
typedef void roperot_factors_fn(double *table, const double *inv_freq, ptrdiff_t pairs, int shift, int64_t begin,
                                int64_t end);

/* The f32 row of one position from at most three factor rows (NULL = the factor 1): the products are taken from the
 * highest level down, each y = (a.re b.re - a.im b.im, a.re b.im + a.im b.re) in unfused f64, then scaled, then rounded
 * once. f[k] points at cos, f[k] + stride at sin. */
typedef void roperot_combine_fn(float *cos, float *sin, const double *const f[3], ptrdiff_t stride, ptrdiff_t pairs,
                                double scale);

/* The f32 rows, cos and then sin, of `count` successive positions whose f[1] and f[2] are the same; f[0] is the factor
 * row of the first one, the others follow it. row_stride counts floats. `stream` bypasses the cache where rows and
 * row_stride are aligned for it: such stores become visible to other threads in no order until `fence`. A fence waits
 * for memory, so that one per call would cost more than streaming gains. */
typedef void roperot_combine_rows_fn(float *rows, ptrdiff_t row_stride, const double *const f[3], ptrdiff_t pairs,
                                     ptrdiff_t count, double scale, int stream);
typedef void roperot_fence_fn(void);

/* cos and sin of x * inv_freq[j] for a real coordinate x, exact product, times scale, rounded once. */
typedef void roperot_angles_fn(float *cos, float *sin, double x, const double *inv_freq, ptrdiff_t pairs, double scale);

/* cos and sin of the sum over a < axes of x[a] * inv_freq[a * stride + j], times scale, rounded once. Products are
 * exact; the sum is taken in double-double, a rising: (h, l) starts at (+0, 0); (p, e) = x * w, (s, d) = h + p exactly,
 * (h, l) = s + (d + (l + e)) with two rounded sums inside. */
typedef void roperot_angles_mixed_fn(float *cos, float *sin, const double *x, ptrdiff_t axes, const double *inv_freq,
                                     ptrdiff_t stride, ptrdiff_t pairs, double scale);

/* cos and sin of fl32(p32 * fl32(inv_freq[j])) rounded to f32, times scale in f32, rounded again. */
typedef void roperot_angles_f32_fn(float *cos, float *sin, float p32, const double *inv_freq, ptrdiff_t pairs,
                                   float scale);

/* cos and sin of `own` where mask[j] is all ones, of `other` where it is 0. `inverse` is ~mask. The output may be
 * `other`. */
typedef void roperot_blend_fn(float *cos, float *sin, const roperot_row *own, const roperot_row *other,
                              const uint32_t *mask, const uint32_t *inverse, ptrdiff_t pairs);

/* ---- one table per ISA ------------------------------------------------------------------------------------------- */

typedef struct roperot_kernels {
    int32_t isa; /* roperot_isa */
    const char *name;
    roperot_rotate_fn
        *rotate[ROPEROT_DTYPES][ROPEROT_DTYPES][ROPEROT_PAIRINGS][ROPEROT_PAIRINGS]; /* src, dst; NULL: none */
    roperot_rotate_fn *eager[ROPEROT_DTYPES][ROPEROT_DTYPES][ROPEROT_PAIRINGS][ROPEROT_PAIRINGS]; /* T, memory */
    roperot_factors_fn *factors;
    roperot_combine_fn *combine;
    roperot_combine_rows_fn *combine_rows;
    roperot_fence_fn *fence;
    roperot_angles_fn *angles;
    roperot_angles_mixed_fn *angles_mixed;
    roperot_angles_f32_fn *angles_f32;
    roperot_blend_fn *blend;
    roperot_head_kernels heads;
} roperot_kernels;

#define ROPEROT_DECLARE_TABLE(isa, ISA) extern const roperot_kernels roperot_kernels_##isa;
ROPEROT_ISA_LIST(ROPEROT_DECLARE_TABLE)
#undef ROPEROT_DECLARE_TABLE

#endif
