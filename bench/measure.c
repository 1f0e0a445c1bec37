/* SPDX-License-Identifier: MIT
 * The alternating stopwatch; it must not know what it times.
 */
#include "measure.h"

#include <stdlib.h>
#include <time.h>

enum { ROUNDS_MOST = 1 << 15, ROUNDS_LEAST = 15, CALLS_PER_REFRESH = 1 << 16 };
static const double chunk_ns = 100e3, trial_ns = 20e3;

static double chunk[BENCH_SIDES][ROUNDS_MOST]; /* ns per call; the first rounds only, should there be more */

static double read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

double bench_cpu_now(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

static double time_of(const bench_side *side, int64_t calls)
{
    const clockid_t clock = side->threaded ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
    const double start = read_clock(clock);
    side->run(side->self, calls);
    return read_clock(clock) - start;
}

/* How many calls make a chunk. The first call only warms caches and pages. */
static int64_t calls_per_chunk(const bench_side *side)
{
    time_of(side, 1);
    int64_t calls = 1;
    double ns = time_of(side, calls);
    for (; ns < trial_ns; ns = time_of(side, calls)) calls *= 2;
    const double per_chunk = chunk_ns * (double)calls / ns;
    return per_chunk < 1 ? 1 : (int64_t)per_chunk;
}

static void record(const bench_side *side, int index, int64_t calls, int64_t round)
{
    const double ns = time_of(side, calls) / (double)calls;
    if (round < ROUNDS_MOST) chunk[index][round] = ns;
}

/* The sides after the first, which take turns in going first: what ran just before leaves the caches its own way. */
static void record_others(const bench_side *sides, int count, const int64_t *calls, int64_t round)
{
    for (int i = 1; i < count; ++i) {
        const int side = round % 2 == 0 ? i : count - i;
        record(&sides[side], side, calls[side], round);
    }
}

static void record_all(const bench_side *sides, int count, const int64_t *calls, int64_t round)
{
    record(&sides[0], 0, calls[0], round);
    record_others(sides, count, calls, round);
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, int64_t count)
{
    qsort(values, (size_t)count, sizeof *values, ascending);
    return 0.5 * (values[(count - 1) / 2] + values[count / 2]);
}

static void summarise(int count, int64_t rounds, bench_times *times)
{
    const int64_t kept = rounds < ROUNDS_MOST ? rounds : ROUNDS_MOST;
    times->rounds = kept;
    for (int i = 0; i < count; ++i) {
        times->median[i] = bench_median(chunk[i], kept);
        times->least[i] = chunk[i][0];
        times->spread[i] = (chunk[i][3 * kept / 4] - chunk[i][kept / 4]) / times->median[i];
    }
}

/* Warms every side, and measures how long its chunks are to be unless that is known for this key. */
static const int64_t *calls_in_chunks(const void *key, const bench_side *sides, int count)
{
    static const void *known;
    static int64_t calls[BENCH_SIDES];
    for (int i = 0; i < count; ++i) {
        if (key == known)
            time_of(&sides[i], 1);
        else
            calls[i] = calls_per_chunk(&sides[i]);
    }
    known = key;
    return calls;
}

static void refresh(const bench_refresh *fresh)
{
    if (fresh->run != NULL) fresh->run(fresh->self);
}

static void refresh_in_time(const bench_refresh *fresh, int64_t *since, int64_t calls)
{
    *since += calls;
    if (*since < CALLS_PER_REFRESH) return;
    refresh(fresh);
    *since = 0;
}

void bench_measure(shim_state *state, const void *key, const bench_side *sides, int count, bench_refresh fresh,
                   bench_times *times)
{
    refresh(&fresh);
    const int64_t *const calls = calls_in_chunks(key, sides, count);
    const int64_t batch = calls[0];
    int64_t since_refresh = 0, round = 0;
    for (; shim_keep_running(state, batch); ++round) {
        record(&sides[0], 0, batch, round);
        shim_pause(state);
        record_others(sides, count, calls, round);
        refresh_in_time(&fresh, &since_refresh, batch);
        shim_resume(state);
    }
    for (; round < ROUNDS_LEAST; ++round) record_all(sides, count, calls, round);
    summarise(count, round, times);
}

void bench_measure_again(const void *key, const bench_side *sides, int count, bench_refresh fresh, bench_times *times)
{
    refresh(&fresh);
    const int64_t *const calls = calls_in_chunks(key, sides, count);
    const int64_t rounds = 2 * times->rounds;
    int64_t since_refresh = 0;
    for (int64_t round = 0; round < rounds; ++round) {
        record_all(sides, count, calls, round);
        refresh_in_time(&fresh, &since_refresh, calls[0]);
    }
    summarise(count, rounds, times);
}

static double time_of_parts(const bench_side *side, void (*before)(void *self, int part), void *self, int parts)
{
    double sum = 0;
    for (int part = 0; part < parts; ++part) {
        before(self, part);
        const double start = read_clock(CLOCK_MONOTONIC);
        side->run(side->self, 1);
        sum += read_clock(CLOCK_MONOTONIC) - start;
    }
    return sum;
}

/* `round` turns the order, because every side leaves the caches to the next one in its own way. */
void bench_measure_calls(shim_state *state, const bench_side *sides, int count, void (*before)(void *self, int part),
                         void *self, int parts, int rounds, bench_times *times)
{
    while (shim_keep_running(state, 1))
        for (int64_t round = 0; round < rounds; ++round)
            for (int turn = 0; turn < count; ++turn) {
                const int index = (int)((turn + round) % count);
                chunk[index][round] = time_of_parts(&sides[index], before, self, parts);
            }
    summarise(count, rounds, times);
}

void bench_report(shim_state *state, const bench_times *times, double bytes)
{
    if (bytes > 0) shim_counter(state, "GB/s", bytes / times->median[0]);
    shim_counter(state, "ns", times->median[0]);
    shim_counter(state, "ns_min", times->least[0]);
    shim_counter(state, "rounds", (double)times->rounds);
    shim_counter(state, "spread", times->spread[0]);
}
