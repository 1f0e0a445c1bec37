/* SPDX-License-Identifier: MIT
 * Other data that passes through the caches between two calls, as weights do between two layers; it must not know what
 * is called. */
#ifndef BENCH_PASSING_H
#define BENCH_PASSING_H

#include <stddef.h>

/* Room for so many bytes, kept until the process ends. NULL: ready. Else one sentence. */
const char *bench_passing_reserve(size_t bytes);

/* Reads `bytes` from `begin` on, both multiples of 64, of what was reserved. */
void bench_passing_read(size_t begin, size_t bytes);

/* Brings data into the caches, as its producer would have left it there. */
void bench_passing_warm(void *data, size_t bytes);

#endif
