/* SPDX-License-Identifier: MIT
 * Test inputs: seeded operands by kind (zeros, denormals, infinities, NaN, ..); it must not know layouts or kernels. */
#ifndef ROPEROT_TESTS_VALUES_H
#define ROPEROT_TESTS_VALUES_H

#include <stdint.h>

enum {
    VALUES_NORMAL,  /* uniform in sign, mantissa and a few exponents: every operation rounds */
    VALUES_SPECIAL, /* zeros, denormals, extremes, infinities, NaN between normals */
    VALUES_TINY,    /* denormals and zeros mixed with normals, and products that become denormal */
    VALUES_TIES,    /* sums exactly at, just below and just above the middle of two numbers of the destination */
    VALUES_KINDS
};

/* Bits of one number of `dtype`, and of one f32 coefficient. */
uint32_t values_number(int kind, int dtype);
uint32_t values_coefficient(int kind);
/* The second number of a pair: for ties it depends on the first and on what the result is rounded to. */
uint32_t values_partner(int kind, int src, int dst, uint32_t first);

#endif
