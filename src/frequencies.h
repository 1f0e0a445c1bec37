/* SPDX-License-Identifier: MIT
 * What the parts of the frequency code share: the power, the rules, the math family; it must not know plans. */
#ifndef ROPEROT_FREQUENCIES_H
#define ROPEROT_FREQUENCIES_H

#include <roperot/roperot.h>

#include "config.h"

/* Every transcendental that decides a bit is one fixed sequence of operations, SLEEF's own or ours, which has its bits:
 * all machines agree. */
#if ROPEROT_HAVE_SLEEF
#include <sleef.h>
#define ROPEROT_POW Sleef_cinz_powd1_u10purec
#define ROPEROT_LOG Sleef_cinz_logd1_u10purec
#define ROPEROT_EXP Sleef_cinz_expd1_u10purec
#else
#include "elementary.h"
#define ROPEROT_POW roperot_pow
#define ROPEROT_LOG roperot_log
#define ROPEROT_EXP roperot_exp
#endif

/* The f64 nearest to base^(-numerator / denominator), infinity where that overflows: for a finite base > 0, a
 * denominator of 1 .. 65536, and 0 <= numerator < 2 * denominator. Needs the default floating-point environment. */
double roperot_power(double base, int32_t numerator, int32_t denominator);

/* A scaling bound to its geometry, and what its rule derives from them once. */
typedef struct roperot_rule {
    const roperot_scaling *scaling;
    int32_t dim;      /* d: what exponents and ramps divide by */
    double base;      /* the caller's, or the one that an NTK rule puts in its place */
    double low, high; /* ends of a ramp over pairs, or wavelengths */
    double scale;     /* NTK_FIXED: f^(2/d); NTK_MIXED: a */
    double attention_factor;
} roperot_rule;

/* The members of roperot_scaling that a rule reads. */
enum {
    ROPEROT_USES_FACTOR = 1 << 0,
    ROPEROT_USES_ORIGINAL_LENGTH = 1 << 1,
    ROPEROT_USES_LENGTH = 1 << 2,
    ROPEROT_USES_BETAS = 1 << 3,
    ROPEROT_USES_MSCALES = 1 << 4,
    ROPEROT_USES_EXT_FACTOR = 1 << 5, /* and attn_factor */
    ROPEROT_USES_FREQ_SCALE = 1 << 6,
    ROPEROT_USES_BANDS = 1 << 7,
    ROPEROT_USES_MIXED_B = 1 << 8,
    ROPEROT_USES_PARTIAL = 1 << 9,
    ROPEROT_USES_FACTORS = 1 << 10,  /* the array; finite, > 0 */
    ROPEROT_USES_OPTIONAL = 1 << 11, /* the array may be NULL */
    ROPEROT_USES_RAW = 1 << 12,      /* the array holds frequencies: any finite value */
    ROPEROT_USES_PERIODS = 1 << 13,  /* the array holds periods: anything but 0 and NaN */
    ROPEROT_USES_BASE = 1 << 14,
    ROPEROT_USES_LOG_BASE = 1 << 15, /* base 1 has no ramp */
    ROPEROT_USES_TRUNCATE = 1 << 16
};

typedef struct roperot_rule_kind {
    const char *name;
    unsigned uses;
    void (*prepare)(roperot_rule *rule);
    double (*frequency)(const roperot_rule *rule, int32_t j);
    double (*attention)(const roperot_rule *rule);
} roperot_rule_kind;

/* The rule of a roperot_scaling_kind; NULL for any other number. Its functions need checked parameters and the default
 * floating-point environment; what they return may overflow. */
const roperot_rule_kind *roperot_rule_kind_of(int32_t kind);

#endif
