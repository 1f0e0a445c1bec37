/* SPDX-License-Identifier: MIT
 * Times several pieces of work against each other in short alternating chunks; it must not know what the work is.
 *
 * The clock is the CPU time of this thread (CLOCK_THREAD_CPUTIME_ID, some 200 ns a reading), so that another process on
 * this CPU costs nothing but its traces in the caches; work that other threads share in is timed by CLOCK_MONOTONIC.
 * A chunk is as many calls as fit in 100 us (one call, if that takes longer): the readings vanish, and whatever slows
 * the machine meets every side alike.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdint.h>

#include "shim.h"

enum { BENCH_SIDES = 3 };

typedef struct bench_side {
    void (*run)(void *self, int64_t calls); /* does the work so many times in a row */
    void *self;
    int threaded; /* other threads take part */
} bench_side;

/* Puts fresh values in place, untimed, before a measurement and whenever repeated calls in place have turned them into
 * numbers that no model has; run NULL: nothing. */
typedef struct bench_refresh {
    void (*run)(void *self);
    void *self;
} bench_refresh;

typedef struct bench_times {
    int64_t rounds;
    double median[BENCH_SIDES], least[BENCH_SIDES]; /* ns per call, over the chunks */
    double spread[BENCH_SIDES];                     /* distance of the quartiles over the median */
} bench_times;

double bench_cpu_now(void); /* ns that this thread has run */

/* `key` names what is measured: calls with the same key in a row share the length of their chunks, because Google
 * Benchmark insists on equal iteration counts in all repetitions.
 * One chunk of every side in turn until Google Benchmark has enough of the first side, which alone goes into its own
 * time column; never fewer than 15 rounds. */
void bench_measure(shim_state *state, const void *key, const bench_side *sides, int count, bench_refresh fresh,
                   bench_times *times);

/* The same once more, for twice as many rounds, when those are void. */
void bench_measure_again(const void *key, const bench_side *sides, int count, bench_refresh fresh, bench_times *times);

/* Single calls: `rounds` times `parts` calls of every side in turn, before each of which before(self, part) is called,
 * untimed; the times are those of the parts together.
 * The clock is CLOCK_MONOTONIC, as a reading of it stays out of the kernel, whose code would have to be fetched, too.
 * Google Benchmark's own time columns are meaningless then: they hold all of it. */
void bench_measure_calls(shim_state *state, const bench_side *sides, int count, void (*before)(void *self, int part),
                         void *self, int parts, int rounds, bench_times *times);

/* Medians of plain arrays; sorts them. */
double bench_median(double *values, int64_t count);

/* GB/s and the other counters that every benchmark carries. bytes: read plus written by one call; 0: no GB/s. */
void bench_report(shim_state *state, const bench_times *times, double bytes);

#endif
