/* SPDX-License-Identifier: MIT
 * Walks over the library's list of instruction sets; it must not know any benchmark.
 */
#include "isas.h"

#include <roperot/roperot.h>
#include <stdio.h>

#include "config.h"
#include "shim.h"

#define BUILT(isa, ISA) { ROPEROT_ISA_##ISA, ROPEROT_HAVE_##ISA },
static const struct {
    int32_t isa;
    int built;
} isas[ROPEROT_ISAS] = { ROPEROT_ISA_LIST(BUILT) };

void bench_each_isa(void (*visit)(int32_t isa))
{
    for (int i = 0; i < ROPEROT_ISAS; ++i)
        if (isas[i].built && roperot_isa_usable(isas[i].isa)) visit(isas[i].isa);
}

void bench_isas_describe(void)
{
    static char text[1024];
    size_t used = 0;
    for (int i = 0; i < ROPEROT_ISAS && used < sizeof text; ++i)
        if (isas[i].built && !roperot_isa_usable(isas[i].isa))
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s: %s", used != 0 ? "; " : "",
                                     roperot_isa_name(isas[i].isa), roperot_isa_reason(isas[i].isa));
    shim_context("isas_missing", text);
}
