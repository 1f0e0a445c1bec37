/* SPDX-License-Identifier: MIT
 * exp, log and pow as fixed sequences of IEEE operations, so that no libm decides a bit; it must not know who calls. */
#ifndef ROPEROT_ELEMENTARY_H
#define ROPEROT_ELEMENTARY_H

/* Within 1 ULP; infinities, zeros and NaN as in C. Need the default floating-point environment. */
double roperot_exp(double x);
double roperot_log(double x);

/* x^y for x >= 0; NaN for any other x. */
double roperot_pow(double x, double y);

#endif
