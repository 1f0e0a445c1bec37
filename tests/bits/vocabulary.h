/* SPDX-License-Identifier: MIT
 * What a vector of a vocabulary does, as functions from memory to memory, so that plain C can judge it; it must not
 * know any ISA. */
#ifndef ROPEROT_TESTS_VOCABULARY_H
#define ROPEROT_TESTS_VOCABULARY_H

#include <stddef.h>
#include <stdint.h>

#include "kernels.h"

/* The families of vectors (simd/README.md). */
enum {
    VOCABULARY_PLANAR,   /* f32x1, f32x4, f32x8, f32x16, sve_f32, rvv_f32 */
    VOCABULARY_EVEN_ODD, /* f32x8_eo .. f32x32_eo */
    VOCABULARY_DUP,      /* f32x4_dup ..: operands are every x0 twice and every x1 twice */
    VOCABULARY_SWAP,     /* f32x4_swap ..: operands are x, and x with its pairs swapped */
    VOCABULARY_DOUBLES   /* f64x1, f64x2, f64x4, f64x8, sve_f64, rvv_f64 */
};

typedef void vocabulary_binary_fn(const void *a, const void *b, void *result);
typedef void vocabulary_unary_fn(const void *a, void *result);
typedef void vocabulary_two_fn(const void *a, void *result0, void *result1);
typedef void vocabulary_four_fn(const void *a, const void *b, void *result0, void *result1);

/* Indices are those of kernels.h. NULL: this vector has no such verb. `lanes` f32 (doubles: f64) are one register. */
typedef struct vocabulary_vector {
    const char *name;
    int family;
    ptrdiff_t (*lanes)(void);
    vocabulary_unary_fn *load[ROPEROT_DTYPES]; /* dtype -> f32; even/odd: f32 and bf16, as bf16 */
    vocabulary_unary_fn *store[ROPEROT_DTYPES], *stream[ROPEROT_DTYPES]; /* f32 -> dtype */
    vocabulary_two_fn *load2[ROPEROT_DTYPES];                            /* interleaved dtype -> f32, f32; operands */
    vocabulary_binary_fn *store2[ROPEROT_DTYPES], *stream2[ROPEROT_DTYPES]; /* f32, f32 -> interleaved dtype */
    vocabulary_binary_fn *add, *sub, *mul;
    vocabulary_binary_fn *and_mask, * or ;
    vocabulary_four_fn *coefficients; /* cos, sin -> the two factors */
    vocabulary_unary_fn *copy, *set1; /* doubles, whose stores are to f32 */
    vocabulary_two_fn *sincos, *sincos_fixed;
} vocabulary_vector;

enum { VOCABULARY_VECTORS = 16, VOCABULARY_MOST_LANES = 512 };
typedef struct vocabulary {
    int32_t isa;
    const vocabulary_vector *vector[VOCABULARY_VECTORS]; /* NULL-terminated */
} vocabulary;

extern const vocabulary vocabulary_scalar, vocabulary_avx2, vocabulary_avx512, vocabulary_neon, vocabulary_sve,
    vocabulary_rvv, vocabulary_wasm;

#endif
