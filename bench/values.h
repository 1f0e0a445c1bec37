/* SPDX-License-Identifier: MIT
 * Memory and plausible tensor values for benchmarks; it must not know what is done with them. */
#ifndef BENCH_VALUES_H
#define BENCH_VALUES_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed, page-aligned; the size is rounded up to whole pages. NULL: no memory. Free with free(). */
void *bench_allocate(size_t bytes);

/* Random normal numbers of either sign between 2^-4 and 2^4 (no zeros, no denormals), the same in every run. */
void bench_fill(void *data, size_t bytes, int32_t dtype);

/* Element `index`, which is finite. */
double bench_value(const void *data, size_t index, int32_t dtype);

/* 1 if no value is infinite or NaN. */
int bench_finite(const void *data, size_t bytes, int32_t dtype);

#endif
