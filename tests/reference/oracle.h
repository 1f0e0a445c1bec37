/* SPDX-License-Identifier: MIT
 * What is right, by the plainest means (double, MPFR, exact conversions); it must share no code with src/ or simd/. */
#ifndef ROPEROT_TESTS_ORACLE_H
#define ROPEROT_TESTS_ORACLE_H

#include <stddef.h>
#include <stdint.h>

#include "support/formats.h"

/* ---- numbers: dtypes and bits as in support/formats.h ------------------------------------------------------------ */

double oracle_value(int dtype, uint32_t bits);
/* Nearest, ties to even, denormals kept, overflow to infinity; a NaN becomes one NaN. From a double: one rounding. */
uint32_t oracle_round(int dtype, double value);
/* The distance from |value| to the next number of the format away from zero. */
double oracle_ulp(int dtype, double value);

/* ---- one pair ---------------------------------------------------------------------------------------------------- */

/* The textbook: (x0 + i x1)(c + i s) in double. */
void oracle_rotate(double x0, double x1, double c, double s, double y[2]);
/* The recipe that roperot promises, literally: x0*c - x1*s and x0*s + x1*c in f32, each operation rounded; then one
 * rounding to `dtype`. */
void oracle_recipe(int dtype, float x0, float x1, float c, float s, uint32_t y[2]);

/* The same in eager arithmetic: cos, sin, x0, x1, each product and each sum rounded to T; numbers of T as f32. */
void oracle_eager(int through, float x0, float x1, float c, float s, float y[2]);

/* ---- angles: MPFR ------------------------------------------------------------------------------------------------ */

/* The double nearest to base^(-2j / rotary_dim). */
double oracle_inv_freq(double base, int64_t j, int64_t rotary_dim);

/* factor * cos(p w) (which 0) or factor * sin(p w) (which 1) of the exact product, and of it minus and plus `slack`,
 * rounded to f32: whatever lies between low and high is within half an f32 ULP plus slack. */
typedef struct oracle_bracket {
    float low, nearest, high;
} oracle_bracket;
oracle_bracket oracle_trig(int which, double p, double w, double factor, double slack);

/* The same of the exact sum over i < n of p[i] w[i]. */
oracle_bracket oracle_trig_of_sum(int which, const double *p, const double *w, int n, double factor, double slack);

/* Positions in [1, limit] at which p w comes nearest to a multiple of pi/2, from continued fractions
 * (in particular those where cos and where sin is nearest to zero). Returns how many (at most room). */
size_t oracle_near_zeros(double w, int64_t limit, int64_t *p, size_t room);

#endif
