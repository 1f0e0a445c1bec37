/* SPDX-License-Identifier: MIT
 * Finds the reference loops of an ISA by name; it must not know any loop. */
#include "sweeps.h"

#include <string.h>

#include "lists.h"

/* The library's own enumerator list, so that an ISA cannot be measured without its loops. */
#define DECLARE(isa, ISA) extern const bench_sweeps bench_sweeps_##isa;
ROPEROT_ISA_LIST(DECLARE)

const bench_sweeps *bench_sweeps_for(const char *isa)
{
#define FIND(name, NAME) ROPEROT_IF_BUILT(NAME, if (strcmp(isa, #name) == 0) return &bench_sweeps_##name;)
    ROPEROT_ISA_LIST(FIND)
    return NULL;
}
