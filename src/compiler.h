/* SPDX-License-Identifier: MIT
 * What C11 has no word for, where the compiler offers it; it must not know anything else. */
#ifndef ROPEROT_COMPILER_H
#define ROPEROT_COMPILER_H

#if defined __GNUC__
#define ROPEROT_NOINLINE __attribute__((noinline))
#else
#define ROPEROT_NOINLINE
#endif

#endif
