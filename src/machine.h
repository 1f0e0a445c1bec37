/* SPDX-License-Identifier: MIT
 * What this machine is: its caches, memory and CPUs; it must not know any instruction set. */
#ifndef ROPEROT_MACHINE_H
#define ROPEROT_MACHINE_H

#include <stdint.h>

/* Bytes; conservative defaults where the system does not tell. */
typedef struct roperot_machine {
    int64_t core_cache; /* the largest near one: the core's own, or of level 2 that small cores share */
    int64_t last_cache; /* this core's share of the last-level cache */
    int64_t memory;     /* physical */
    int32_t cpus;       /* online */
} roperot_machine;

/* The same for every call of a process: the system is asked once. Thread safe without a lock. */
void roperot_machine_describe(roperot_machine *machine);

#endif
