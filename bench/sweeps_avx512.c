/* SPDX-License-Identifier: MIT
 * The reference loops in 512-bit vectors; it must not contain a loop.
 */
#include "config.h"

#include <immintrin.h>

#define VEC __m512
#define VEC_LANES 16
#define VEC_LANES_MOST 16
#define VEC_LOAD(p) _mm512_load_ps(p)
#define VEC_STORE(p, v) _mm512_store_ps(p, v)
#define VEC_STREAM(p, v) _mm512_stream_ps(p, v)
#define VEC_STREAM_END() _mm_sfence()
#define VEC_MUL(a, b) _mm512_mul_ps(a, b)
#define VEC_ADD(a, b) _mm512_add_ps(a, b)
#define VEC_SPLAT(x) _mm512_set1_ps(x)

#if ROPEROT_HAVE_SLEEF
#include <sleef.h>

static inline void sincos8(const double *angle, double *sines, double *cosines)
{
    const Sleef___m512d_2 both = Sleef_cinz_sincosd8_u10avx512fnofma(_mm512_loadu_pd(angle));
    _mm512_storeu_pd(sines, both.x);
    _mm512_storeu_pd(cosines, both.y);
}
#define VEC_SINCOS sincos8
#define VEC_SINCOS_LANES 8
#endif

#define BENCH_ISA avx512
#define BENCH_ISA_NAME "avx512"
#include "loops.inc.h"
