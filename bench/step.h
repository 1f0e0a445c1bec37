/* SPDX-License-Identifier: MIT
 * A decode step of a stack of layers, in which other data passes between the calls; it must not know who rotates. */
#ifndef BENCH_STEP_H
#define BENCH_STEP_H

#include <stddef.h>
#include <stdint.h>

#include "measure.h"

/* Somebody who rotates q and k of one token, at the main shape decode, in place. */
typedef struct bench_step {
    bench_side who;
    void (*move)(void *self, int32_t position); /* called before each step with who.self */
    void *q, *k;
    int32_t dtype, pairing; /* the library's enums */
} bench_step;

/* Times who and the ten-line loop in turns, step by step; the counters are per step: 28 calls. NULL: measured. */
const char *bench_step_measure(shim_state *state, const bench_step *step);

#endif
