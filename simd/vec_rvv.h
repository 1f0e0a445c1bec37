/* SPDX-License-Identifier: MIT
 * The vocabulary for RVV 1.0, for any vector length: one step of two registers; tails take x1. It knows no RoPE. */
#ifndef ROPEROT_VEC_RVV_H
#define ROPEROT_VEC_RVV_H

#include <riscv_vector.h>

#include "vec_scalar.h"

INLINE void stream_end(void) {}

/* ---- r: the lanes of two registers; 16-bit elements take one ----------------------------------------------------- */

typedef vfloat32m2_t r_t;
#define r_LANEWISE 0
#define R_ALL      __riscv_vsetvlmax_e32m2()
INLINE ptrdiff_t r_pairs(void) { return (ptrdiff_t)R_ALL; }
INLINE r_t r_mul(r_t a, r_t b) { return __riscv_vfmul_vv_f32m2(a, b, R_ALL); }
INLINE r_t r_add(r_t a, r_t b) { return __riscv_vfadd_vv_f32m2(a, b, R_ALL); }
INLINE r_t r_sub(r_t a, r_t b) { return __riscv_vfsub_vv_f32m2(a, b, R_ALL); }
INLINE r_t r_load_f32(const f32_t *p) { return __riscv_vle32_v_f32m2(p, R_ALL); }
INLINE void r_store_f32(f32_t *p, r_t x) { __riscv_vse32_v_f32m2(p, x, R_ALL); }
INLINE void r_stream_f32(f32_t *p, r_t x) { r_store_f32(p, x); }

INLINE r_t r_keep(r_t x, const uint32_t *mask)
{
    const vuint32m2_t bits = __riscv_vreinterpret_v_f32m2_u32m2(x);
    return __riscv_vreinterpret_v_u32m2_f32m2(__riscv_vand_vv_u32m2(bits, __riscv_vle32_v_u32m2(mask, R_ALL), R_ALL));
}

INLINE r_t r_either(r_t a, r_t b)
{
    const vuint32m2_t bits = __riscv_vreinterpret_v_f32m2_u32m2(a);
    return __riscv_vreinterpret_v_u32m2_f32m2(__riscv_vor_vv_u32m2(bits, __riscv_vreinterpret_v_f32m2_u32m2(b), R_ALL));
}

/* Strided, not segmented: compilers disagree on the shape of the segment intrinsics. */
INLINE void r_load2_f32(const f32_t *p, r_t *x0, r_t *x1)
{
    *x0 = __riscv_vlse32_v_f32m2(p, 2 * sizeof(f32_t), R_ALL);
    *x1 = __riscv_vlse32_v_f32m2(p + 1, 2 * sizeof(f32_t), R_ALL);
}

INLINE void r_store2_f32(f32_t *p, r_t y0, r_t y1)
{
    __riscv_vsse32_v_f32m2(p, 2 * sizeof(f32_t), y0, R_ALL);
    __riscv_vsse32_v_f32m2(p + 1, 2 * sizeof(f32_t), y1, R_ALL);
}

INLINE void r_stream2_f32(f32_t *p, r_t y0, r_t y1) { r_store2_f32(p, y0, y1); }

/* ---- 16-bit elements in the lower half of 32-bit lanes, by integers: the base V has no arithmetic on them -------- */

INLINE r_t r_of_bits(vuint32m2_t bits) { return __riscv_vreinterpret_v_u32m2_f32m2(bits); }
INLINE vuint32m2_t r_bits(r_t x) { return __riscv_vreinterpret_v_f32m2_u32m2(x); }
INLINE r_t r_widen_bf16(vuint32m2_t x) { return r_of_bits(__riscv_vsll_vx_u32m2(x, 16, R_ALL)); }

/* As round_bf16 of vec_scalar.h; the result in the lower halves. */
INLINE vuint32m2_t r_round_bf16(r_t x)
{
    const vuint32m2_t bits = r_bits(x), odd = __riscv_vand_vx_u32m2(__riscv_vsrl_vx_u32m2(bits, 16, R_ALL), 1, R_ALL);
    const vuint32m2_t rounded = __riscv_vadd_vv_u32m2(__riscv_vadd_vx_u32m2(bits, 0x7fff, R_ALL), odd, R_ALL);
    const vuint32m2_t quiet = __riscv_vor_vx_u32m2(bits, 0x400000, R_ALL);
    const vbool16_t nan = __riscv_vmfne_vv_f32m2_b16(x, x, R_ALL);
    return __riscv_vsrl_vx_u32m2(__riscv_vmerge_vvm_u32m2(rounded, quiet, nan, R_ALL), 16, R_ALL);
}

/* The fields moved in place are too small by 2^112; multiplying restores normals and denormals alike, exactly (there
 * is no flush to zero on RISC-V). What then is 2^16 or more was infinite or NaN: its exponent is all ones. */
INLINE r_t r_widen_f16(vuint32m2_t x)
{
    const vuint32m2_t fields = __riscv_vsll_vx_u32m2(__riscv_vand_vx_u32m2(x, 0x7fff, R_ALL), 13, R_ALL);
    const r_t scaled = __riscv_vfmul_vf_f32m2(r_of_bits(fields), 0x1p112f, R_ALL);
    const vbool16_t special = __riscv_vmsgeu_vx_u32m2_b16(fields, 0x0f800000u, R_ALL);
    const vuint32m2_t full = __riscv_vor_vx_u32m2(fields, 0x7f800000u, R_ALL);
    const vuint32m2_t sign = __riscv_vsll_vx_u32m2(__riscv_vand_vx_u32m2(x, 0x8000, R_ALL), 16, R_ALL);
    return r_of_bits(__riscv_vor_vv_u32m2(__riscv_vmerge_vvm_u32m2(r_bits(scaled), full, special, R_ALL), sign, R_ALL));
}

/* Below 2^-14 the result counts in units of 2^-24: adding 1/2 leaves that count, rounded to nearest even, in the low
 * bits of the sum. Above, 13 bits go in integers, and the exponent moves by 112. */
INLINE vuint32m2_t r_round_f16(r_t x)
{
    const vuint32m2_t bits = r_bits(x), magnitude = __riscv_vand_vx_u32m2(bits, 0x7fffffff, R_ALL);
    const vuint32m2_t sign = __riscv_vand_vx_u32m2(__riscv_vsrl_vx_u32m2(bits, 16, R_ALL), 0x8000, R_ALL);
    const vuint32m2_t odd = __riscv_vand_vx_u32m2(__riscv_vsrl_vx_u32m2(magnitude, 13, R_ALL), 1, R_ALL);
    const vuint32m2_t moved = __riscv_vadd_vx_u32m2(magnitude, 0xfffu - 0x38000000u, R_ALL);
    const vuint32m2_t normal = __riscv_vsrl_vx_u32m2(__riscv_vadd_vv_u32m2(moved, odd, R_ALL), 13, R_ALL);
    const vuint32m2_t counted = r_bits(__riscv_vfadd_vf_f32m2(r_of_bits(magnitude), 0.5f, R_ALL));
    const vuint32m2_t small = __riscv_vsub_vx_u32m2(counted, 0x3f000000u, R_ALL);
    vuint32m2_t result =
        __riscv_vmerge_vvm_u32m2(normal, small, __riscv_vmsltu_vx_u32m2_b16(magnitude, 0x38800000u, R_ALL), R_ALL);
    result =
        __riscv_vmerge_vxm_u32m2(result, 0x7c00, __riscv_vmsgeu_vx_u32m2_b16(magnitude, 0x477ff000u, R_ALL), R_ALL);
    result =
        __riscv_vmerge_vxm_u32m2(result, 0x7e00, __riscv_vmsgtu_vx_u32m2_b16(magnitude, 0x7f800000u, R_ALL), R_ALL);
    return __riscv_vor_vv_u32m2(result, sign, R_ALL);
}

/* A pair of 16-bit elements is a 32-bit lane, x0 its lower half; read as 16-bit lanes, so that element alignment is
 * enough. */
INLINE vuint32m2_t r_load_pairs(const uint16_t *p)
{
    return __riscv_vreinterpret_v_u16m2_u32m2(__riscv_vle16_v_u16m2(p, 2 * R_ALL));
}

#define R_16BIT(dtype)                                                                                                 \
    INLINE r_t r_load_##dtype(const dtype##_t *p)                                                                      \
    {                                                                                                                  \
        return r_widen_##dtype(__riscv_vzext_vf2_u32m2(__riscv_vle16_v_u16m1(p, R_ALL), R_ALL));                       \
    }                                                                                                                  \
    INLINE void r_store_##dtype(dtype##_t *p, r_t x)                                                                   \
    {                                                                                                                  \
        __riscv_vse16_v_u16m1(p, __riscv_vnsrl_wx_u16m1(r_round_##dtype(x), 0, R_ALL), R_ALL);                         \
    }                                                                                                                  \
    INLINE void r_stream_##dtype(dtype##_t *p, r_t x) { r_store_##dtype(p, x); }                                       \
    INLINE void r_load2_##dtype(const dtype##_t *p, r_t *x0, r_t *x1)                                                  \
    {                                                                                                                  \
        const vuint32m2_t both = r_load_pairs(p);                                                                      \
        *x0 = r_widen_##dtype(__riscv_vand_vx_u32m2(both, 0xffff, R_ALL));                                             \
        *x1 = r_widen_##dtype(__riscv_vsrl_vx_u32m2(both, 16, R_ALL));                                                 \
    }                                                                                                                  \
    INLINE void r_store2_##dtype(dtype##_t *p, r_t y0, r_t y1)                                                         \
    {                                                                                                                  \
        const vuint32m2_t high = __riscv_vsll_vx_u32m2(r_round_##dtype(y1), 16, R_ALL);                                \
        const vuint32m2_t both = __riscv_vor_vv_u32m2(r_round_##dtype(y0), high, R_ALL);                               \
        __riscv_vse16_v_u16m2(p, __riscv_vreinterpret_v_u32m2_u16m2(both), 2 * R_ALL);                                 \
    }                                                                                                                  \
    INLINE void r_stream2_##dtype(dtype##_t *p, r_t y0, r_t y1) { r_store2_##dtype(p, y0, y1); }
R_16BIT(f16)
R_16BIT(bf16)
#undef R_16BIT

/* ---- f64xn: the f64 lanes of two registers ----------------------------------------------------------------------- */

typedef vfloat64m2_t f64xn_t;
#define D_ALL __riscv_vsetvlmax_e64m2()
INLINE ptrdiff_t f64xn_pairs(void) { return (ptrdiff_t)D_ALL; }
INLINE f64xn_t f64xn_load(const double *p) { return __riscv_vle64_v_f64m2(p, D_ALL); }
INLINE void f64xn_store(double *p, f64xn_t x) { __riscv_vse64_v_f64m2(p, x, D_ALL); }
INLINE void f64xn_store_f32(float *p, f64xn_t x) { __riscv_vse32_v_f32m1(p, __riscv_vfncvt_f_f_w_f32m1(x, D_ALL), D_ALL); }
INLINE void f64xn_stream_f32(float *p, f64xn_t x) { f64xn_store_f32(p, x); }
INLINE f64xn_t f64xn_set1(double x) { return __riscv_vfmv_v_f_f64m2(x, D_ALL); }
INLINE f64xn_t f64xn_add(f64xn_t a, f64xn_t b) { return __riscv_vfadd_vv_f64m2(a, b, D_ALL); }
INLINE f64xn_t f64xn_sub(f64xn_t a, f64xn_t b) { return __riscv_vfsub_vv_f64m2(a, b, D_ALL); }
INLINE f64xn_t f64xn_mul(f64xn_t a, f64xn_t b) { return __riscv_vfmul_vv_f64m2(a, b, D_ALL); }

INLINE vuint64m2_t f64xn_bits(f64xn_t x) { return __riscv_vreinterpret_v_f64m2_u64m2(x); }
INLINE f64xn_t f64xn_of_bits(vuint64m2_t bits) { return __riscv_vreinterpret_v_u64m2_f64m2(bits); }

INLINE f64xn_t f64xn_upper(f64xn_t x)
{
    return f64xn_of_bits(__riscv_vand_vx_u64m2(f64xn_bits(x), 0xfffffffff8000000u, D_ALL));
}

INLINE f64xn_t f64xn_bit_to_sign(f64xn_t x, int k)
{
    const vuint64m2_t shifted = __riscv_vsll_vx_u64m2(f64xn_bits(x), (size_t)(63 - k), D_ALL);
    return f64xn_of_bits(__riscv_vand_vx_u64m2(shifted, 0x8000000000000000u, D_ALL));
}

INLINE f64xn_t f64xn_flip(f64xn_t x, f64xn_t sign)
{
    return f64xn_of_bits(__riscv_vxor_vv_u64m2(f64xn_bits(x), f64xn_bits(sign), D_ALL));
}

INLINE f64xn_t f64xn_choose(f64xn_t a, f64xn_t b, f64xn_t sign)
{
    const vint64m2_t bits = __riscv_vreinterpret_v_f64m2_i64m2(sign);
    return __riscv_vmerge_vvm_f64m2(a, b, __riscv_vmslt_vx_i64m2_b32(bits, 0, D_ALL), D_ALL);
}

#define STEP f64xn
#include "sincos.inc.h"
#undef STEP

INLINE void f64xn_sincos(f64xn_t x, f64xn_t *s, f64xn_t *c) { f64xn_sincos_fixed(x, s, c); }

#endif
