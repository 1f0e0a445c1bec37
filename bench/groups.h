/* SPDX-License-Identifier: MIT
 * The groups of benchmarks that main registers; it must not know any benchmark. */
#ifndef BENCH_GROUPS_H
#define BENCH_GROUPS_H

void bench_register_rotate(void);    /* rotate/... */

#endif
