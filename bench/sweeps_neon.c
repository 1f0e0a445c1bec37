/* SPDX-License-Identifier: MIT
 * The reference loops in 128-bit NEON vectors; it must not contain a loop.
 */
#include "config.h"

#include <arm_neon.h>

#define VEC float32x4_t
#define VEC_LANES 4
#define VEC_LANES_MOST 4
#define VEC_LOAD(p) vld1q_f32(p)
#define VEC_STORE(p, v) vst1q_f32(p, v)
#if defined __clang__ /* gcc has no way to write stnp from C */
#define VEC_STREAM(p, v) __builtin_nontemporal_store(v, (float32x4_t *)(p))
#define VEC_STREAM_END() ((void)0)
#endif
#define VEC_MUL(a, b) vmulq_f32(a, b)
#define VEC_ADD(a, b) vaddq_f32(a, b)
#define VEC_SPLAT(x) vdupq_n_f32(x)

#if ROPEROT_HAVE_SLEEF
#include <sleef.h>

static inline void sincos2(const double *angle, double *sines, double *cosines)
{
    const Sleef_float64x2_t_2 both = Sleef_cinz_sincosd2_u10advsimdnofma(vld1q_f64(angle));
    vst1q_f64(sines, both.x);
    vst1q_f64(cosines, both.y);
}
#define VEC_SINCOS sincos2
#define VEC_SINCOS_LANES 2
#endif

#define BENCH_ISA neon
#define BENCH_ISA_NAME "neon"
#include "loops.inc.h"
