/* SPDX-License-Identifier: MIT
 * One roperot_apply on fresh tensors, checked against the expectation byte for byte; it must not know why. */
#ifndef ROPEROT_TESTS_CALL_H
#define ROPEROT_TESTS_CALL_H

#include <stdint.h>

#include <roperot/roperot.h>

#include "support/guarded_tensor.h"

typedef struct apply_trial {
    roperot_config config;
    roperot_positions at;
    const int64_t *position;  /* what `at` means: [axes][batch * tokens]; NULL with an OFFSET: computed */
    const double *coordinate; /* for real coordinates instead */
    uint32_t flags;
    int64_t begin, end; /* the token range; end 0 = all */
    int32_t src_dtype, dst_dtype;
    int in_place; /* 1: dst NULL; 2: dst given, equal to src */
    int64_t batch, tokens, heads;
    views_layout src, dst;
} apply_trial;

enum { TRIAL_IN_PLACE = 1, TRIAL_SAME_VIEW = 2 };

/* A valid one: f32, half-split, head_dim channels, in place, positions from 17. */
apply_trial apply_trial_plain(int32_t head_dim, int64_t batch, int64_t tokens, int64_t heads);

/* Creates the plan, applies it, and fails the case unless dst is right, src unchanged and nothing else written. */
void apply_trial_check(const apply_trial *c);

/* The same for a plan that exists. */
void apply_trial_check_plan(const apply_trial *c, const roperot_plan *plan);

#endif
