/* SPDX-License-Identifier: MIT
 * What C11 has no word for, where the compiler offers it; it must not know anything else. */
#ifndef ROPEROT_COMPILER_H
#define ROPEROT_COMPILER_H

#if defined __GNUC__
#define ROPEROT_NOINLINE __attribute__((noinline))
#else
#define ROPEROT_NOINLINE
#endif

/* In a loop of few turns: it is neither vectorised nor unrolled, so that its code stays small. */
#if defined __GNUC__
#define ROPEROT_SMALL_LOOP __asm__ volatile("")
#else
#define ROPEROT_SMALL_LOOP (void)0
#endif

/* The compiler forgets what it knows of x: a first turn of a loop is not made a special case. */
#if defined __GNUC__
#define ROPEROT_FORGET(x) __asm__("" : "+r"(x))
#else
#define ROPEROT_FORGET(x) (void)0
#endif

#endif
