/* SPDX-License-Identifier: MIT
 * Two threads, each pinned to a CPU of its own, that start a piece of work together; it must not know the work.
 */
#ifndef BENCH_DUO_H
#define BENCH_DUO_H

#include <stdint.h>

typedef struct bench_duo bench_duo;

/* Starts the second thread and pins both. NULL: *why says what is missing. The second thread spins until close. */
bench_duo *bench_duo_open(const char **why);

/* Ends the second thread and gives the calling one its CPUs back. */
void bench_duo_close(bench_duo *duo);

/* So many times: part(self, 0) here and part(self, 1) in the other thread, begun together, both finished at the end. */
void bench_duo_run(bench_duo *duo, void (*part)(void *self, int index), void *self, int64_t times);

#endif
