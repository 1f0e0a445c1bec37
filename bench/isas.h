/* SPDX-License-Identifier: MIT
 * The instruction sets that benchmarks are registered for; it must not know any benchmark. */
#ifndef BENCH_ISAS_H
#define BENCH_ISAS_H

#include <stdint.h>

#include "lists.h"

/* Calls visit(isa) for each that was built and that this CPU can run, best first. */
void bench_each_isa(void (*visit)(int32_t isa));

/* Adds to the report's context, as "isas_missing", those that were built but cannot run here, with the reasons. */
void bench_isas_describe(void);

#endif
