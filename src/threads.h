/* SPDX-License-Identifier: MIT
 * Splitting the tokens of a call over a caller's executor; it must not know what is done with them. */
#ifndef ROPEROT_THREADS_H
#define ROPEROT_THREADS_H

#include "tiles.h"

/* Tokens [begin, end) of a walk that touches `bytes`: in this thread, or by options->parallel_for where that is worth
 * it. */
void roperot_threads_run(const roperot_walk *walk, int64_t begin, int64_t end, int64_t bytes,
                         const roperot_options *options);

#endif
