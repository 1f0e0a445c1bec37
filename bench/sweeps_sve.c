/* SPDX-License-Identifier: MIT
 * The reference loops in SVE vectors of whatever length the CPU has; it must not contain a loop.
 */
#include <arm_sve.h>

#define VEC svfloat32_t
#define VEC_LANES svcntw()
#define VEC_LANES_MOST 64
#define VEC_LOAD(p) svld1_f32(svptrue_b32(), p)
#define VEC_STORE(p, v) svst1_f32(svptrue_b32(), p, v)
#define VEC_STREAM(p, v) svstnt1_f32(svptrue_b32(), p, v)
#define VEC_STREAM_END() ((void)0)
#define VEC_MUL(a, b) svmul_f32_x(svptrue_b32(), a, b)
#define VEC_ADD(a, b) svadd_f32_x(svptrue_b32(), a, b)
#define VEC_SPLAT(x) svdup_n_f32(x)

#define BENCH_ISA sve
#define BENCH_ISA_NAME "sve"
#include "loops.inc.h"
