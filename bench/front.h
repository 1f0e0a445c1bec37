/* SPDX-License-Identifier: MIT
 * A plan whose kernels do nothing, so that what is left of a call is its front; it must not know how that is timed. */
#ifndef BENCH_FRONT_H
#define BENCH_FRONT_H

#include "rotation.h"

/* Replaces the kernels that the rotation's plan captured. NULL: done, and a call changed nothing. Else one sentence. */
const char *bench_front_empty_kernels(bench_rotation *rotation);

#endif
