/* SPDX-License-Identifier: MIT
 * What this machine is: which ISAs its CPU and system can run, its caches and memory; it must not know any kernel. */
#ifndef ROPEROT_CPU_H
#define ROPEROT_CPU_H

#include <stdint.h>

/* NULL if this CPU and operating system can run the ISA, else the reason in a few words. Static storage. */
const char *roperot_cpu_lacks(int32_t isa);

/* Bytes; conservative defaults where the system does not tell. */
typedef struct roperot_machine {
    int64_t core_cache; /* the largest cache that one core has for itself */
    int64_t last_cache; /* this core's share of the last-level cache */
    int64_t memory;
    int32_t cpus; /* online */
} roperot_machine;
void roperot_machine_describe(roperot_machine *machine);

/* Memory for a table, aligned to cache lines, to be freed with free(); NULL if there is none. Large tables are
 * aligned to huge pages and asked to be made of them: first touch and TLB misses are most of their cost otherwise. */
void *roperot_table_allocate(int64_t bytes);

#endif
