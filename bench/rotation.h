/* SPDX-License-Identifier: MIT
 * One prepared call of roperot_apply: plan, tensors, positions; it must not know how it is timed. */
#ifndef BENCH_ROTATION_H
#define BENCH_ROTATION_H

#include <roperot/roperot.h>
#include <stddef.h>

#include "measure.h"
#include "shapes.h"

/* How: the library's enums. */
typedef struct bench_choice {
    int32_t dtype, pairing, isa, cache;
    int64_t max_positions, position; /* of the first token */
    int32_t axes;                    /* 0: one */
    const uint8_t *axis;             /* of each pair, if there are several */
} bench_choice;

typedef struct bench_rotation {
    roperot_plan *plan;
    roperot_positions positions;
    const roperot_options *options; /* NULL, or the caller's own */
    roperot_tensor src[2];
    roperot_tensor dst[2];
    int32_t count, status; /* status: the worst that any call returned */
    int32_t dtype;
    int out_of_place;
    int with_dst;          /* in place, too, dst is passed: equal to src */
    void *data, *out;      /* q and k of src and, out of place, of dst */
    size_t bytes;          /* of each of the two */
} bench_rotation;

/* NULL: ready, and one result was equal to the scalar plan's bit for bit. Else one sentence, and nothing to close. */
const char *bench_rotation_open(bench_rotation *rotation, const bench_shape *shape, const bench_choice *choice);
void bench_rotation_close(bench_rotation *rotation);

/* The same tensors and positions through another plan, which is compared with the first one's result too. */
const char *bench_rotation_with_plan(bench_rotation *other, const bench_rotation *rotation, roperot_plan *plan);

/* NULL: a plan of that choice. Else one sentence. */
const char *bench_plan_create(roperot_plan **plan, int32_t dim, const bench_choice *choice);

/* Fresh values: after many rotations rounding errors have walked away from the first ones. */
void bench_rotation_refill(void *self);
bench_refresh bench_rotation_refresh(bench_rotation *rotation);

/* A bench_side: so many calls of roperot_apply. */
void bench_rotation_run(void *self, int64_t calls);

/* NULL, or what makes the timing void: a call that failed, values that became infinite. */
const char *bench_rotation_fault(const bench_rotation *rotation);

const char *bench_dtype_name(int32_t dtype);
const char *bench_pairing_name(int32_t pairing);

#endif
