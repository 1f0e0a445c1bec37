/* SPDX-License-Identifier: MIT
 * What a step of a vocabulary does, as functions from memory to memory, so that plain C can judge it; it must not know
 * any ISA. */
#ifndef ROPEROT_TESTS_VOCABULARY_H
#define ROPEROT_TESTS_VOCABULARY_H

#include <stddef.h>
#include <stdint.h>

/* The families of steps (simd/README.md). */
enum {
    VOCABULARY_PAIRWISE, /* x1, x4, x8, x16, s, r */
    VOCABULARY_EVEN_ODD, /* e8, e16, e32 */
    VOCABULARY_TWICE,    /* d4, d8, d16: operands are every x0 twice and every x1 twice */
    VOCABULARY_SWAPPED,  /* t4, t8, t16: operands are x, and x with its pairs swapped */
    VOCABULARY_DOUBLES   /* q1, q2, q4, q8, f64xn */
};

typedef void vocabulary_binary_fn(const void *a, const void *b, void *result);
typedef void vocabulary_unary_fn(const void *a, void *result);
typedef void vocabulary_two_fn(const void *a, void *result0, void *result1);
typedef void vocabulary_four_fn(const void *a, const void *b, void *result0, void *result1);

/* Indices are those of kernels.h. NULL: this step has no such verb. `lanes` f32 (doubles: f64) are one register. */
typedef struct vocabulary_step {
    const char *name;
    int family;
    ptrdiff_t (*lanes)(void);
    vocabulary_unary_fn *load[3];                 /* dtype -> f32; even/odd: f32 and bf16, as bf16 */
    vocabulary_unary_fn *store[3], *stream[3];    /* f32 -> dtype */
    vocabulary_two_fn *load2[3];                  /* interleaved dtype -> f32, f32; operands */
    vocabulary_binary_fn *store2[3], *stream2[3]; /* f32, f32 -> interleaved dtype */
    vocabulary_binary_fn *add, *sub, *mul;
    vocabulary_binary_fn *keep, *either;
    vocabulary_four_fn *lanes_of;     /* cos, sin -> the two factors */
    vocabulary_unary_fn *copy, *set1; /* doubles, whose stores are to f32 */
    vocabulary_two_fn *sincos, *sincos_fixed;
} vocabulary_step;

enum { VOCABULARY_STEPS = 16, VOCABULARY_MOST_LANES = 512 };
typedef struct vocabulary {
    int32_t isa;
    const vocabulary_step *step[VOCABULARY_STEPS]; /* NULL-terminated */
} vocabulary;

extern const vocabulary vocabulary_scalar, vocabulary_avx2, vocabulary_avx512, vocabulary_neon, vocabulary_sve,
    vocabulary_rvv;

#endif
