/* SPDX-License-Identifier: MIT
 * What the parts of the frequency code share: the correctly rounded power and the math family; it must not know plans. */
#ifndef ROPEROT_FREQUENCIES_H
#define ROPEROT_FREQUENCIES_H

#include <roperot/roperot.h>

#include "config.h"

/* Every transcendental that decides a bit comes from one SLEEF family, by its fixed-ISA name, so that all machines agree. */
#if ROPEROT_HAVE_SLEEF
#include <sleef.h>
#define ROPEROT_POW Sleef_cinz_powd1_u10purec
#define ROPEROT_LOG Sleef_cinz_logd1_u10purec
#define ROPEROT_EXP Sleef_cinz_expd1_u10purec
#else
#include <math.h>
#define ROPEROT_POW pow
#define ROPEROT_LOG log
#define ROPEROT_EXP exp
#endif

/* The f64 nearest to base^(-numerator / denominator), for a finite base > 0 and 0 <= numerator < denominator <= 65536;
 * infinity where that overflows. Needs the default floating-point environment. */
double roperot_power(double base, int32_t numerator, int32_t denominator);

#endif
