/* SPDX-License-Identifier: MIT
 * Finds the reference loops of an ISA by name; it must not know any loop. */
#include "sweeps.h"

#include <string.h>

#include "config.h"
#include "kernels.h"

/* The library's own enumerator list, so that an ISA cannot be measured without its loops. */
#define DECLARE(isa, ISA) extern const bench_sweeps bench_sweeps_##isa;
ROPEROT_ISA_LIST(DECLARE)

const bench_sweeps *bench_sweeps_for(const char *isa)
{
#if ROPEROT_HAVE_AVX512
    if (strcmp(isa, "avx512") == 0) return &bench_sweeps_avx512;
#endif
#if ROPEROT_HAVE_AVX2
    if (strcmp(isa, "avx2") == 0) return &bench_sweeps_avx2;
#endif
#if ROPEROT_HAVE_SVE
    if (strcmp(isa, "sve") == 0) return &bench_sweeps_sve;
#endif
#if ROPEROT_HAVE_NEON
    if (strcmp(isa, "neon") == 0) return &bench_sweeps_neon;
#endif
#if ROPEROT_HAVE_RVV
    if (strcmp(isa, "rvv") == 0) return &bench_sweeps_rvv;
#endif
    return strcmp(isa, "scalar") == 0 ? &bench_sweeps_scalar : NULL;
}
