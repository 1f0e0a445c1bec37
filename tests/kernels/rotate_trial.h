/* SPDX-License-Identifier: MIT
 * The judge of rotation kernels: one call, one verdict; it must not know which kernel it judges or which ISA runs. */
#ifndef ROPEROT_TESTS_ROTATE_TRIAL_H
#define ROPEROT_TESTS_ROTATE_TRIAL_H

#include <stddef.h>

#include "reference/rotate.h"
#include "support/values.h"

/* ---- one call ---------------------------------------------------------------------------------------------------- */

enum {
    ROTATE_ISOLATED, /* every contiguous run of a row between PROT_NONE pages: nothing else can be touched unseen */
    ROTATE_DENSE,    /* rows in one buffer, odd strides, element alignment only, canaries in the gaps */
    ROTATE_REVERSED, /* the same with negative token and head strides, heads outside tokens */
    ROTATE_LAYOUTS
};

typedef struct rotate_shape {
    ptrdiff_t tokens, heads, pairs;
    int loop, heads_outer, in_place, layout, end, values;
} rotate_shape;

enum { ROTATE_MAX_ROWS = 64, ROTATE_MAX_PAIRS = 1024 };

/* NULL if fn did exactly what the reference does and touched nothing else; otherwise a sentence (static storage). */
const char *rotate_trial(const reference_rotation *rotation, roperot_rotate_fn *fn, roperot_rotate_fn *reference,
                         const rotate_shape *shape);
/* The whole sweep for one loop: every rotary_dim 2..258, heads 1..9, some long rows, all layouts, ends and values. */
const char *rotate_trial_sweep(const reference_rotation *rotation, roperot_rotate_fn *fn, roperot_rotate_fn *reference,
                               int loop);
/* The shape in words, for that sentence. */
const char *rotate_describe(const rotate_shape *shape);
/* Frees what rotate_trial keeps between calls. */
void rotate_trial_close(void);

#endif
