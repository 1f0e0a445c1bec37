/* SPDX-License-Identifier: MIT
 * What C11 has no word for, where the compiler offers it; it must not know anything else. */
#ifndef ROPEROT_COMPILER_H
#define ROPEROT_COMPILER_H

#if defined __GNUC__
#define ROPEROT_NOINLINE __attribute__((noinline))
#define ROPEROT_INLINE   inline __attribute__((always_inline))
#else
#define ROPEROT_NOINLINE
#define ROPEROT_INLINE inline
#endif

/* What is rarely so: its code lies behind what is usual. */
#if defined __GNUC__
#define ROPEROT_UNLIKELY(x) __builtin_expect(!!(x), 0)
#else
#define ROPEROT_UNLIKELY(x) (x)
#endif

/* In a loop of few turns: it is neither vectorised nor unrolled, so that its code stays small. */
#if defined __GNUC__
#define ROPEROT_SMALL_LOOP __asm__ volatile("")
#else
#define ROPEROT_SMALL_LOOP (void)0
#endif

/* Between two stores of words that are soon read one by one: made one of a vector, they would come back from the store
 * buffer late. */
#if defined __GNUC__
#define ROPEROT_APART __asm__ volatile("" ::: "memory")
#else
#define ROPEROT_APART (void)0
#endif

/* Asks for the line at p: for data to be read at once, and, in the next level of cache, for code. */
#if defined __GNUC__
#define ROPEROT_PREFETCH_DATA(p) __builtin_prefetch((const void *)(p), 0, 3)
#define ROPEROT_PREFETCH_CODE(p) __builtin_prefetch((const void *)(p), 0, 2)
#else
#define ROPEROT_PREFETCH_DATA(p) (void)(p)
#define ROPEROT_PREFETCH_CODE(p) (void)(p)
#endif

#endif
