/* SPDX-License-Identifier: MIT
 * Inputs that hurt: seeded operands by kind; it must not know layouts or kernels. */
#ifndef ROPEROT_TESTS_VALUES_H
#define ROPEROT_TESTS_VALUES_H

#include <stdint.h>

/* Bits of one number of `dtype`, and of one f32 coefficient; kind is CHECK_NORMAL ... CHECK_TIES of check.h. */
uint32_t values_number(int kind, int dtype);
uint32_t values_coefficient(int kind);
/* The second number of a pair: for ties it depends on the first and on what the result is rounded to. */
uint32_t values_partner(int kind, int src, int dst, uint32_t first);

#endif
