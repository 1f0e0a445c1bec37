/* SPDX-License-Identifier: MIT
 * The judge of rotation kernels: one call, one verdict; it must not know which kernel it judges or which ISA runs. */
#ifndef ROPEROT_TESTS_CHECK_H
#define ROPEROT_TESTS_CHECK_H

#include <stddef.h>

#include "kernels.h"

/* ---- operations -------------------------------------------------------------------------------------------------- */

/* One line of ROPEROT_ROTATE_LIST: indices, as in roperot_kernels.rotate. */
typedef struct check_rotation {
    const char *name; /* "f32-f16/half-interleaved" */
    int src, dst, pairing, pairing_out;
    roperot_rotate_fn *literal; /* the recipe in its plainest form, from the oracle */
} check_rotation;

extern const check_rotation check_rotations[];
extern const size_t check_rotation_count;

/* ---- one call ---------------------------------------------------------------------------------------------------- */

enum {
    CHECK_ISOLATED, /* every contiguous run of a row between PROT_NONE pages: nothing else can be touched unseen */
    CHECK_DENSE,    /* rows in one buffer, odd strides, element alignment only, canaries in the gaps */
    CHECK_REVERSED, /* the same with negative token and head strides, heads outside tokens */
    CHECK_LAYOUTS
};

enum {
    CHECK_NORMAL,  /* uniform in sign, mantissa and a few exponents: every operation rounds */
    CHECK_SPECIAL, /* zeros, denormals, extremes, infinities, NaN between normals */
    CHECK_TINY,    /* denormals and zeros mixed with normals, and products that become denormal */
    CHECK_TIES,    /* sums exactly at, just below and just above the middle of two numbers of the destination */
    CHECK_VALUES
};

typedef struct check_shape {
    ptrdiff_t tokens, heads, pairs;
    int loop, heads_outer, in_place, layout, end, values;
} check_shape;

enum { CHECK_MAX_ROWS = 64, CHECK_MAX_PAIRS = 1024 };

/* NULL if fn did exactly what the reference does and touched nothing else; otherwise a sentence (static storage). */
const char *check_rotate(const check_rotation *rotation, roperot_rotate_fn *fn, roperot_rotate_fn *reference,
                         const check_shape *shape);
/* The whole sweep for one loop: every rotary_dim 2..258, heads 1..9, some long rows, all layouts, ends and values. */
const char *check_sweep(const check_rotation *rotation, roperot_rotate_fn *fn, roperot_rotate_fn *reference, int loop);
/* The shape in words, for that sentence. */
const char *check_describe(const check_shape *shape);
/* Frees what check_rotate keeps between calls. */
void check_close(void);

#endif
