/* SPDX-License-Identifier: MIT
 * One group of benchmarks is prepared at a time: what it holds (memory, pinned and spinning threads) would disturb the
 * next one; it must not know any group. */
#ifndef BENCH_STAGE_H
#define BENCH_STAGE_H

/* Calls what the group before left behind for that, unless it was the same one. Also called at exit. */
void bench_stage_enter(void (*leave)(void));

#endif
