/* SPDX-License-Identifier: MIT
 * The reference loops in the vectors that every CPU of the family has (SSE2 on x86), else in single floats; it must not
 * contain a loop.
 */
#include "config.h"

#if defined __SSE2__
#include <emmintrin.h>
#define VEC __m128
#define VEC_LANES 4
#define VEC_LANES_MOST 4
#define VEC_LOAD(p) _mm_load_ps(p)
#define VEC_STORE(p, v) _mm_store_ps(p, v)
#define VEC_STREAM(p, v) _mm_stream_ps(p, v)
#define VEC_STREAM_END() _mm_sfence()
#define VEC_MUL(a, b) _mm_mul_ps(a, b)
#define VEC_ADD(a, b) _mm_add_ps(a, b)
#define VEC_SPLAT(x) _mm_set1_ps(x)
#else
#define VEC float
#define VEC_LANES 1
#define VEC_LANES_MOST 1
#define VEC_LOAD(p) (*(p))
#define VEC_STORE(p, v) (*(p) = (v))
#define VEC_MUL(a, b) ((a) * (b))
#define VEC_ADD(a, b) ((a) + (b))
#define VEC_SPLAT(x) (x)
#endif

#if ROPEROT_HAVE_SLEEF
#include <sleef.h>

static inline void sincos1(const double *angle, double *sines, double *cosines)
{
    const Sleef_double_2 both = Sleef_cinz_sincosd1_u10purec(*angle);
    *sines = both.x;
    *cosines = both.y;
}
#define VEC_SINCOS sincos1
#define VEC_SINCOS_LANES 1
#endif

#define BENCH_ISA scalar
#define BENCH_ISA_NAME "scalar"
#include "loops.inc.h"
