/* SPDX-License-Identifier: MIT
 * The reference loops in 256-bit vectors; it must not contain a loop.
 */
#include "config.h"

#include <immintrin.h>

#define VEC __m256
#define VEC_LANES 8
#define VEC_LANES_MOST 8
#define VEC_LOAD(p) _mm256_load_ps(p)
#define VEC_STORE(p, v) _mm256_store_ps(p, v)
#define VEC_STREAM(p, v) _mm256_stream_ps(p, v)
#define VEC_STREAM_END() _mm_sfence()
#define VEC_MUL(a, b) _mm256_mul_ps(a, b)
#define VEC_ADD(a, b) _mm256_add_ps(a, b)
#define VEC_SPLAT(x) _mm256_set1_ps(x)

#if ROPEROT_HAVE_SLEEF
#include <sleef.h>

static inline void sincos4(const double *angle, double *sines, double *cosines)
{
    const Sleef___m256d_2 both = Sleef_cinz_sincosd4_u10avx(_mm256_loadu_pd(angle));
    _mm256_storeu_pd(sines, both.x);
    _mm256_storeu_pd(cosines, both.y);
}
#define VEC_SINCOS sincos4
#define VEC_SINCOS_LANES 4
#endif

#define BENCH_ISA avx2
#define BENCH_ISA_NAME "avx2"
#include "loops.inc.h"
