/* SPDX-License-Identifier: MIT
 * The contract of the kernels that take whole heads through an f32 scratch: norm, load, store; it must not know any
 * instruction set.
 *
 * A scratch holds `heads` heads of `channels` floats, `pitch` floats apart, at the natural alignment of floats only;
 * any channel count is right. Memory outside is read and written at the elements of the heads only, src_head and
 * dst_head bytes apart. */
#ifndef ROPEROT_HEADS_H
#define ROPEROT_HEADS_H

#include <stddef.h>
#include <stdint.h>

/* ---- the enumerator lists ---------------------------------------------------------------------------------------- */

/* X(dtype): what a norm reads. */
#define ROPEROT_NORM_LIST(X) X(f32) X(f16) X(bf16)
/* X(dtype): what heads are loaded from and stored as. */
#define ROPEROT_STORE_LIST(X) X(f32) X(f16) X(bf16) X(e4m3) X(i8) X(q8_0)

/* Indices of the tables below: public enum values less one. */
enum {
    ROPEROT_FORMAT_f32,
    ROPEROT_FORMAT_f16,
    ROPEROT_FORMAT_bf16,
    ROPEROT_FORMAT_e4m3,
    ROPEROT_FORMAT_i8,
    ROPEROT_FORMAT_q8_0,
    ROPEROT_FORMATS
};

enum { ROPEROT_Q8_0_CHANNELS = 32, ROPEROT_Q8_0_BYTES = 34 };

/* ---- norm -------------------------------------------------------------------------------------------------------- */

/* The terms of a sum: x, x^2 or (x - mean)^2. */
enum { ROPEROT_SUM_VALUES, ROPEROT_SUM_SQUARES, ROPEROT_SUM_DEVIATIONS };

/* sum[h] over the channels of head h, in 16 lanes: lane l adds the terms of channels l, l + 16, .. in order, every
 * difference, product and sum rounded to f32; then lane l adds lane l + 8, l + 4, l + 2, l + 1. mean[h]: DEVIATIONS. */
typedef void roperot_sum_fn(float *sum, const void *src, ptrdiff_t src_head, ptrdiff_t heads, ptrdiff_t channels,
                            int terms, const float *mean);

/* out = ((x - mean) * r) * w + bias, each operation rounded to f32, with T(..) after the first product (TWICE) and at
 * the end (ONCE, TWICE). The scratch may be src, if that is f32. */
typedef struct roperot_scaling_of_heads {
    float *out;
    ptrdiff_t pitch; /* floats */
    const void *src;
    ptrdiff_t src_head; /* bytes */
    ptrdiff_t heads, channels;
    const float *mean;         /* one per head; NULL: none is taken off */
    const float *r;            /* one per head */
    const void *weight, *bias; /* of head 0; NULL: 1 and 0 */
    ptrdiff_t weight_head;     /* bytes from head to head, of both */
    int32_t weight_dtype;      /* public enum */
    int32_t unit_offset;       /* w = 1 + weight */
    int32_t rounding;          /* public enum: ROPEROT_NORM_ROUND_... */
    int32_t through;           /* T, public enum; read where src is f32, else it is src's dtype */
} roperot_scaling_of_heads;

typedef void roperot_scale_fn(const roperot_scaling_of_heads *scaling);

/* So many heads are taken at once: of more, the sums of the next ones are taken before the products of these. */
enum { ROPEROT_NORM_HEADS = 8 };

/* r of the heads that a call may begin with, made by the call before. */
typedef struct roperot_norm_kept {
    const void *src; /* NULL: none are kept */
    ptrdiff_t heads; /* so many of them, if they are fewer than ROPEROT_NORM_HEADS */
    float r[ROPEROT_NORM_HEADS];
    int32_t is_tame; /* of kernels with limits: they lie within them */
} roperot_norm_kept;

/* What is usual in one kernel, RMS of each head into its own dtype: r = 1 / sqrt(sum of squares / channels + epsilon),
 * then (x * r) * w, with T(..) after the first product (TWICE), rounded as it is stored. src and dst are the same
 * heads, or do not overlap. A turned norm also rotates `pairs` half-split pairs from channel `first` on before they are
 * stored, to the bits of a rotation afterwards. */
typedef struct roperot_norm_of_heads {
    const void *src;
    void *dst;
    ptrdiff_t src_head, dst_head; /* bytes */
    ptrdiff_t heads, channels;    /* channels a multiple of 32 */
    const float *weight;          /* as norm_weights made them */
    float epsilon;
    ptrdiff_t ahead;         /* bytes: so far behind each head is read ahead; 0: not at all */
    const float *cos, *sin;  /* of the pairs */
    ptrdiff_t first, pairs;  /* of a turned norm: multiples of what it says; pairs 0: nothing is rotated */
    int32_t rounding;        /* public enum: ONCE, TWICE; of a turned norm of 16 bits ONCE */
    const void *next;        /* heads that this call does not write, which the next one may begin with; NULL: none */
    ptrdiff_t next_heads;
    roperot_norm_kept *kept; /* from one call for the next one, if the kernel does so; NULL: `next` must be NULL, too */
} roperot_norm_of_heads;

typedef void roperot_norm_fn(const roperot_norm_of_heads *norm);

/* Weights (NULL: 1) as f32 in the order of channels that norm of this dtype takes; channels a multiple of 32. 0 if norm
 * cannot be called: one of them is not finite (a NaN of f32 may have bits that rounding must not meet), or this
 * machine's vectors are longer than 32 channels. */
typedef int roperot_norm_weights_fn(float *out, const void *weight, int32_t weight_dtype, int unit_offset,
                                    ptrdiff_t channels);

/* Norm and rotation in one kernel, with its own order of weights; weights that it cannot take are refused as above. */
typedef struct roperot_turned_norm {
    roperot_norm_fn *norm; /* NULL: two kernels are as fast, or nobody wrote it */
    roperot_norm_weights_fn *weights; /* NULL: the norm's own */
    int16_t multiple; /* of the pairs that are rotated and the channels before them */
    int16_t is_whole; /* all channels of a head are rotated */
    int16_t together; /* heads that a call takes at least, so that its start does not matter */
} roperot_turned_norm;

/* Kernels of an ISA in a file of their own: for those of its CPUs that have more than the ISA asks for, or with fused
 * operations, which no other file may contain (FEATURE_NONE: every CPU of the ISA can run them). */
enum { ROPEROT_FEATURE_NONE, ROPEROT_FEATURE_AVX512_BF16, ROPEROT_FEATURE_FAST_AVX512_BF16 };
typedef struct roperot_head_extension {
    int32_t feature, worth; /* what it needs, and where it is worth taking */
    const struct roperot_head_extension *next; /* for CPUs that have less; NULL: none */
    int32_t dtype; /* ROPEROT_FORMAT_..., what it norms */
    roperot_turned_norm turned;
} roperot_head_extension;
extern const roperot_head_extension roperot_extension_avx512_bf16, roperot_extension_avx512_fma;

/* Lines of 64 bytes, aligned, to where they are not read soon: past the caches, in no order until the table's fence.
 * What lies `ahead` bytes behind each line is read before it is needed. */
typedef void roperot_copy_fn(void *dst, const void *src, ptrdiff_t bytes, ptrdiff_t ahead);

/* ---- load, store ------------------------------------------------------------------------------------------------- */

/* Heads widened into the scratch; e4m3 and i8 times scale[h], q8_0 times the scales of its blocks, in f32. */
typedef void roperot_load_fn(float *head, ptrdiff_t pitch, const void *src, ptrdiff_t src_head, ptrdiff_t heads,
                             ptrdiff_t channels, const float *scale);

/* amax[h] = the largest magnitude of head h, of elements of `dtype` (public enum, of tensors); NaN is left out; 0 if
 * nothing else is there. */
typedef void roperot_amax_fn(float *amax, const void *src, ptrdiff_t src_head, int32_t dtype, ptrdiff_t heads,
                             ptrdiff_t channels);

/* One rounding to nearest even. e4m3 and i8: of x * inverse[h], saturating (roperot_pages says how). q8_0: channels is
 * a multiple of 32. These three take elements of any `dtype` of tensors, the others F32. dst and src do not overlap:
 * some elements are stored twice. */
typedef void roperot_store_fn(void *dst, ptrdiff_t dst_head, const void *src, ptrdiff_t src_head, int32_t dtype,
                              ptrdiff_t heads, ptrdiff_t channels, const float *inverse);

typedef struct roperot_head_kernels {
    roperot_sum_fn *sum[ROPEROT_FORMAT_bf16 + 1];
    roperot_scale_fn *scale[ROPEROT_FORMAT_bf16 + 1];
    roperot_norm_fn *norm[ROPEROT_FORMAT_bf16 + 1]; /* NULL: not worth its code here */
    roperot_norm_weights_fn *norm_weights[ROPEROT_FORMAT_bf16 + 1];
    roperot_turned_norm turned[ROPEROT_FORMAT_bf16 + 1];
    const roperot_head_extension *extension; /* NULL: none is built in */
    roperot_copy_fn *stream;                          /* NULL: nothing bypasses the caches here */
    roperot_amax_fn *amax;
    roperot_load_fn *load[ROPEROT_FORMATS];
    roperot_store_fn *store[ROPEROT_FORMATS];
} roperot_head_kernels;

#endif
