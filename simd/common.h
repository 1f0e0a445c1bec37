/* SPDX-License-Identifier: MIT
 * What every kernel file shares: element types, token pasting and the numerics guard; it must not know any ISA. */
#ifndef ROPEROT_SIMD_COMMON_H
#define ROPEROT_SIMD_COMMON_H

#include <float.h>
#include <stdint.h>
#include <string.h>

#include "config.h"
#include "kernels.h"
#include <roperot/roperot.h>

#ifdef __FAST_MATH__
#error "roperot promises the same bits everywhere: do not compile it with -ffast-math"
#endif
#ifdef __AARCH64EB__
#error "roperot does not support big-endian AArch64: the lanes of its NEON kernels are little-endian"
#endif
_Static_assert(FLT_EVAL_METHOD == 0, "float arithmetic must be done in float (on x86: -msse2 -mfpmath=sse)");

/* Elements in memory. The 16-bit types are bit patterns: they exist at load and store only. */
typedef float f32_t;
typedef uint16_t f16_t;
typedef uint16_t bf16_t;

#define CAT_(a, b)              a##b
#define CAT(a, b)               CAT_(a, b)
#define CAT3_(a, b, c)          a##b##c
#define CAT3(a, b, c)           CAT3_(a, b, c)
#define CAT6_(a, b, c, d, e, f) a##b##c##d##e##f
#define CAT6(a, b, c, d, e, f)  CAT6_(a, b, c, d, e, f)

/* The n-th vector of a comma-separated list, `none` behind its end. */
#define NTH_0(...)              NTH_0_(__VA_ARGS__, none)
#define NTH_1(...)              NTH_1_(__VA_ARGS__, none, none)
#define NTH_2(...)              NTH_2_(__VA_ARGS__, none, none, none)
#define NTH_3(...)              NTH_3_(__VA_ARGS__, none, none, none, none)
#define NTH_0_(a, ...)          a
#define NTH_1_(a, b, ...)       b
#define NTH_2_(a, b, c, ...)    c
#define NTH_3_(a, b, c, d, ...) d
#define none_INTERLEAVED           2
#define IS_VEC(vector)           (CAT(vector, _INTERLEAVED) < 2)

#define INLINE static inline __attribute__((always_inline, unused))
#define NOINLINE __attribute__((noinline, unused))

/* Bytes of a cache line, as far as the order of stores is concerned. */
enum { LINE = 64 };

/* Loops over heads are short and their bodies long: unrolled, they would only fill the caches of instructions. */
#ifdef __clang__
#define NO_UNROLL _Pragma("nounroll")
#else
#define NO_UNROLL _Pragma("GCC unroll 1")
#endif

/* In a loop that compilers leave as it is: vectorised or split, it would be longer and no faster where it matters. */
#define AS_IT_IS __asm__ volatile("")

/* A read ahead in address order. The address may lie outside the view: a prefetch touches no architectural state. */
INLINE void prefetch_read(const void *p, int bytes)
{
    __builtin_prefetch((const void *)((uintptr_t)p + (uintptr_t)(intptr_t)bytes), 0, 3);
}

/* Nothing moves across, and nothing is executed. */
INLINE void compiler_barrier(void)
{
    __asm__ volatile("" ::: "memory");
}

/* Some heads of one token, by value: a store could change what a pointer leads to, for all the compiler knows. */
typedef struct head_range {
    ptrdiff_t src_half, dst_half; /* elements */
    ptrdiff_t src_head, dst_head; /* bytes */
    ptrdiff_t heads, pairs;
    const float *cos, *sin;
} head_range;

/* Some heads of a norm that are taken at once. Not a copy of all that is said of it: what has just been written in
 * small pieces is slow to read in large ones. */
typedef struct heads_of_norm {
    const roperot_norm_of_heads *all;
    const char *src;
    char *dst;
    ptrdiff_t heads;
    const float *r;
} heads_of_norm;

/* Half-split and interleaved as numbers, so that a body can ask which of the two a token is. */
#define PAIRING_half        1
#define PAIRING_interleaved 2

#endif
