/* SPDX-License-Identifier: MIT
 * The reference loops in RVV vectors of whatever length the CPU has; it must not contain a loop.
 */
#include <riscv_vector.h>

#define VEC vfloat32m1_t
#define VEC_LANES __riscv_vsetvlmax_e32m1()
#define VEC_LANES_MOST 2048
#define VEC_LOAD(p) __riscv_vle32_v_f32m1(p, VEC_LANES)
#define VEC_STORE(p, v) __riscv_vse32_v_f32m1(p, v, VEC_LANES)
#define VEC_MUL(a, b) __riscv_vfmul_vv_f32m1(a, b, VEC_LANES)
#define VEC_ADD(a, b) __riscv_vfadd_vv_f32m1(a, b, VEC_LANES)
#define VEC_SPLAT(x) __riscv_vfmv_v_f_f32m1(x, VEC_LANES)

#define BENCH_ISA rvv
#define BENCH_ISA_NAME "rvv"
#include "loops.inc.h"
