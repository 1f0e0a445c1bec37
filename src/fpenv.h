/* SPDX-License-Identifier: MIT
 * The default floating-point environment, entered and left around code whose bits must not depend on the caller; it
 * must not know what runs inside. */
#ifndef ROPEROT_FPENV_H
#define ROPEROT_FPENV_H

#include <stdint.h>

#include "compiler.h"

#if defined __SSE2__
#include <xmmintrin.h>
#elif !defined __aarch64__
#include <fenv.h>
#endif

/* Work between enter and leave belongs in a ROPEROT_NOINLINE function: the compiler does not know that arithmetic
 * depends on the control register, so it may move an inlined operation (a `const` math call, too) across the switch. */

typedef struct roperot_fpenv {
#if defined __SSE2__
    unsigned int control; /* MXCSR: flags, masks, rounding, FTZ, DAZ */
#elif defined __aarch64__
    uint64_t control, status; /* FPCR, FPSR */
#else
    fenv_t all;
#endif
} roperot_fpenv;

/* Round to nearest, no flush to zero, exceptions masked. The caller's control and sticky flags go to *saved. */
static inline void roperot_fpenv_enter(roperot_fpenv *saved)
{
#if defined __SSE2__
    saved->control = _mm_getcsr();
    _mm_setcsr(0x1f80); /* the value after reset: all six exceptions masked, nothing else */
#elif defined __aarch64__
    const uint64_t reset = 0;
    __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(saved->control), "=r"(saved->status) : : "memory");
    __asm__ volatile("msr fpcr, %0" : : "r"(reset) : "memory");
#else
    fegetenv(&saved->all);
    fesetenv(FE_DFL_ENV);
#endif
}

/* Puts back exactly what enter found, sticky flags included. */
static inline void roperot_fpenv_leave(const roperot_fpenv *saved)
{
#if defined __SSE2__
    _mm_setcsr(saved->control);
#elif defined __aarch64__
    __asm__ volatile("msr fpcr, %0\n\tmsr fpsr, %1" : : "r"(saved->control), "r"(saved->status) : "memory");
#else
    fesetenv(&saved->all);
#endif
}

#endif
