/* SPDX-License-Identifier: MIT
 * The two halves of a call: its front, by a plan whose kernels do nothing, and its kernels, without a front; it must
 * not know how they are timed. */
#ifndef BENCH_FRONT_H
#define BENCH_FRONT_H

#include "rotation.h"

/* Replaces the kernels that the rotation's plan captured. NULL: done, and a call changed nothing. Else one sentence. */
const char *bench_front_empty_kernels(bench_rotation *rotation);

/* One token of a rotation by its plan's own kernels, with whatever a call has to find out and to check prepared: no
 * call can be faster. There is one of it at a time; `move` sets the position, and `run` is a bench_side. */
void bench_bare_prepare(const bench_rotation *rotation);
void bench_bare_move(int64_t position);
void bench_bare_run(void *self, int64_t calls);

#endif
