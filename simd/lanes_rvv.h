/* SPDX-License-Identifier: MIT
 * The vocabulary of lanes for RVV 1.0: four registers of at least 128 bits hold 16 lanes whatever their length; verbs
 * as in lanes_scalar.h. It knows no norm. */
#ifndef ROPEROT_LANES_RVV_H
#define ROPEROT_LANES_RVV_H

#define ROPEROT_HAVE_LANES
#include "lanes_scalar.h"

#include <riscv_vector.h>

typedef vfloat32m4_t lanes_t;
typedef vuint32m4_t lanes_bits;
#define LANES 16

INLINE lanes_bits lanes_to_bits(lanes_t x) { return __riscv_vreinterpret_v_f32m4_u32m4(x); }
INLINE lanes_t lanes_of_bits(lanes_bits x) { return __riscv_vreinterpret_v_u32m4_f32m4(x); }
INLINE lanes_t lanes_set1(float value) { return __riscv_vfmv_v_f_f32m4(value, LANES); }
INLINE lanes_t lanes_add(lanes_t x, lanes_t y) { return __riscv_vfadd_vv_f32m4(x, y, LANES); }
INLINE lanes_t lanes_sub(lanes_t x, lanes_t y) { return __riscv_vfsub_vv_f32m4(x, y, LANES); }
INLINE lanes_t lanes_mul(lanes_t x, lanes_t y) { return __riscv_vfmul_vv_f32m4(x, y, LANES); }

/* Of integers: magnitudes order as their bits do, and NaN is above all of them. */
INLINE lanes_t lanes_larger(lanes_t x, lanes_t y)
{
    const lanes_bits most = lanes_to_bits(x), bits = __riscv_vand_vx_u32m4(lanes_to_bits(y), 0x7fffffffu, LANES);
    const vbool8_t nan = __riscv_vmsgtu_vx_u32m4_b8(bits, 0x7f800000u, LANES);
    return lanes_of_bits(__riscv_vmerge_vvm_u32m4(__riscv_vmaxu_vv_u32m4(bits, most, LANES), most, nan, LANES));
}

INLINE lanes_t lanes_load_f32(const f32_t *p) { return __riscv_vle32_v_f32m4(p, LANES); }
INLINE void lanes_store_f32(f32_t *p, lanes_t x) { __riscv_vse32_v_f32m4(p, x, LANES); }

/* ---- 16-bit elements: as in vec_rvv.h ---------------------------------------------------------------------------- */

INLINE lanes_t lanes_widen_bf16(lanes_bits x) { return lanes_of_bits(__riscv_vsll_vx_u32m4(x, 16, LANES)); }

INLINE lanes_bits lanes_narrow_bf16(lanes_t x)
{
    const lanes_bits bits = lanes_to_bits(x),
                     odd = __riscv_vand_vx_u32m4(__riscv_vsrl_vx_u32m4(bits, 16, LANES), 1, LANES);
    const lanes_bits rounded = __riscv_vadd_vv_u32m4(__riscv_vadd_vx_u32m4(bits, 0x7fff, LANES), odd, LANES);
    const lanes_bits quiet = __riscv_vor_vx_u32m4(bits, 0x400000, LANES);
    const vbool8_t nan = __riscv_vmfne_vv_f32m4_b8(x, x, LANES);
    return __riscv_vsrl_vx_u32m4(__riscv_vmerge_vvm_u32m4(rounded, quiet, nan, LANES), 16, LANES);
}

INLINE lanes_t lanes_widen_f16(lanes_bits x)
{
    const lanes_bits fields = __riscv_vsll_vx_u32m4(__riscv_vand_vx_u32m4(x, 0x7fff, LANES), 13, LANES);
    const lanes_t scaled = __riscv_vfmul_vf_f32m4(lanes_of_bits(fields), 0x1p112f, LANES);
    const vbool8_t special = __riscv_vmsgeu_vx_u32m4_b8(fields, 0x0f800000u, LANES);
    const lanes_bits full = __riscv_vor_vx_u32m4(fields, 0x7f800000u, LANES);
    const lanes_bits sign = __riscv_vsll_vx_u32m4(__riscv_vand_vx_u32m4(x, 0x8000, LANES), 16, LANES);
    const lanes_bits bits = __riscv_vmerge_vvm_u32m4(lanes_to_bits(scaled), full, special, LANES);
    return lanes_of_bits(__riscv_vor_vv_u32m4(bits, sign, LANES));
}

INLINE lanes_bits lanes_narrow_f16(lanes_t x)
{
    const lanes_bits bits = lanes_to_bits(x), magnitude = __riscv_vand_vx_u32m4(bits, 0x7fffffff, LANES);
    const lanes_bits sign = __riscv_vand_vx_u32m4(__riscv_vsrl_vx_u32m4(bits, 16, LANES), 0x8000, LANES);
    const lanes_bits odd = __riscv_vand_vx_u32m4(__riscv_vsrl_vx_u32m4(magnitude, 13, LANES), 1, LANES);
    const lanes_bits moved = __riscv_vadd_vx_u32m4(magnitude, 0xfffu - 0x38000000u, LANES);
    const lanes_bits normal = __riscv_vsrl_vx_u32m4(__riscv_vadd_vv_u32m4(moved, odd, LANES), 13, LANES);
    const lanes_bits counted = lanes_to_bits(__riscv_vfadd_vf_f32m4(lanes_of_bits(magnitude), 0.5f, LANES));
    const lanes_bits small = __riscv_vsub_vx_u32m4(counted, 0x3f000000u, LANES);
    const vbool8_t is_small = __riscv_vmsltu_vx_u32m4_b8(magnitude, 0x38800000u, LANES);
    const vbool8_t is_large = __riscv_vmsgeu_vx_u32m4_b8(magnitude, 0x477ff000u, LANES);
    const vbool8_t nan = __riscv_vmsgtu_vx_u32m4_b8(magnitude, 0x7f800000u, LANES);
    lanes_bits result = __riscv_vmerge_vvm_u32m4(normal, small, is_small, LANES);
    result = __riscv_vmerge_vxm_u32m4(result, 0x7c00, is_large, LANES);
    result = __riscv_vmerge_vxm_u32m4(result, 0x7e00, nan, LANES);
    return __riscv_vor_vv_u32m4(result, sign, LANES);
}

#define LANES_16BIT(dtype)                                                                                             \
    INLINE lanes_t lanes_load_##dtype(const dtype##_t *p)                                                              \
    {                                                                                                                  \
        return lanes_widen_##dtype(__riscv_vzext_vf2_u32m4(__riscv_vle16_v_u16m2(p, LANES), LANES));                   \
    }                                                                                                                  \
    INLINE void lanes_store_##dtype(dtype##_t *p, lanes_t x)                                                           \
    {                                                                                                                  \
        __riscv_vse16_v_u16m2(p, __riscv_vnsrl_wx_u16m2(lanes_narrow_##dtype(x), 0, LANES), LANES);                    \
    }                                                                                                                  \
    INLINE lanes_t lanes_round_##dtype(lanes_t x) { return lanes_widen_##dtype(lanes_narrow_##dtype(x)); }
LANES_16BIT(f16)
LANES_16BIT(bf16)
#undef LANES_16BIT

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

INLINE lanes_bits load_bytes(const uint8_t *p) { return __riscv_vzext_vf4_u32m4(__riscv_vle8_v_u8m1(p, LANES), LANES); }

INLINE void store_bytes(uint8_t *p, lanes_bits x)
{
    const vuint16m2_t words = __riscv_vnsrl_wx_u16m2(x, 0, LANES);
    __riscv_vse8_v_u8m1(p, __riscv_vnsrl_wx_u8m1(words, 0, LANES), LANES);
}

INLINE lanes_t lanes_load_e4m3(const e4m3_t *p)
{
    const lanes_bits code = load_bytes(p), fields = __riscv_vand_vx_u32m4(code, 0x7f, LANES);
    const lanes_t value =
        __riscv_vfmul_vf_f32m4(lanes_of_bits(__riscv_vsll_vx_u32m4(fields, 20, LANES)), 0x1p120f, LANES);
    const lanes_bits sign = __riscv_vsll_vx_u32m4(__riscv_vand_vx_u32m4(code, 0x80, LANES), 24, LANES);
    const lanes_bits bits = __riscv_vor_vv_u32m4(lanes_to_bits(value), sign, LANES);
    const vbool8_t nan = __riscv_vmseq_vx_u32m4_b8(fields, 0x7f, LANES);
    return lanes_of_bits(__riscv_vmerge_vxm_u32m4(bits, 0x7fc00000u, nan, LANES));
}

INLINE lanes_t lanes_load_i8(const i8_t *p)
{
    return __riscv_vfcvt_f_x_v_f32m4(__riscv_vsext_vf4_i32m4(__riscv_vle8_v_i8m1(p, LANES), LANES), LANES);
}

INLINE void lanes_store_e4m3(e4m3_t *p, lanes_t x)
{
    const lanes_bits sign = __riscv_vand_vx_u32m4(__riscv_vsrl_vx_u32m4(lanes_to_bits(x), 24, LANES), 0x80, LANES);
    const lanes_bits any = __riscv_vand_vx_u32m4(lanes_to_bits(x), 0x7fffffffu, LANES);
    const vbool8_t nan = __riscv_vmsgtu_vx_u32m4_b8(any, 0x7f800000u, LANES);
    const lanes_bits bits = __riscv_vminu_vx_u32m4(any, 0x43e00000u, LANES); /* 448 */
    const lanes_bits odd = __riscv_vand_vx_u32m4(__riscv_vsrl_vx_u32m4(bits, 20, LANES), 1, LANES);
    const lanes_bits moved = __riscv_vadd_vx_u32m4(bits, 0x7ffffu - (120u << 23), LANES);
    const lanes_bits normal = __riscv_vsrl_vx_u32m4(__riscv_vadd_vv_u32m4(moved, odd, LANES), 20, LANES);
    const lanes_bits counted = lanes_to_bits(__riscv_vfadd_vf_f32m4(lanes_of_bits(bits), 16384.0f, LANES));
    const lanes_bits small = __riscv_vsub_vx_u32m4(counted, 0x46800000u, LANES);
    const vbool8_t is_small = __riscv_vmsltu_vx_u32m4_b8(bits, 0x3c800000u, LANES); /* 2^-6 */
    const lanes_bits code = __riscv_vor_vv_u32m4(__riscv_vmerge_vvm_u32m4(normal, small, is_small, LANES), sign, LANES);
    store_bytes(p, __riscv_vmerge_vxm_u32m4(code, 0x7f, nan, LANES));
}

/* NaN becomes 0, as in clamp_i8. */
INLINE lanes_t lanes_clamp_i8(lanes_t x)
{
    const vbool8_t nan = __riscv_vmfne_vv_f32m4_b8(x, x, LANES);
    const lanes_t value = __riscv_vfmerge_vfm_f32m4(x, 0.0f, nan, LANES);
    return __riscv_vfmax_vf_f32m4(__riscv_vfmin_vf_f32m4(value, 127.0f, LANES), -127.0f, LANES);
}

INLINE void lanes_store_i8(i8_t *p, lanes_t x)
{
    const vint32m4_t code = __riscv_vfcvt_x_f_v_i32m4(lanes_clamp_i8(x), LANES);
    store_bytes((uint8_t *)p, __riscv_vreinterpret_v_i32m4_u32m4(code));
}

INLINE void lanes_store_away_i8(i8_t *p, lanes_t x)
{
    const lanes_t value = lanes_clamp_i8(x);
    const vint32m4_t whole = __riscv_vfcvt_rtz_x_f_v_i32m4(value, LANES);
    const lanes_t rest = __riscv_vfsub_vv_f32m4(value, __riscv_vfcvt_f_x_v_f32m4(whole, LANES), LANES);
    const vbool8_t up = __riscv_vmfge_vf_f32m4_b8(rest, 0.5f, LANES),
                   down = __riscv_vmfle_vf_f32m4_b8(rest, -0.5f, LANES);
    const vint32m4_t one_up = __riscv_vmerge_vvm_i32m4(whole, __riscv_vadd_vx_i32m4(whole, 1, LANES), up, LANES);
    const vint32m4_t code = __riscv_vmerge_vvm_i32m4(one_up, __riscv_vsub_vx_i32m4(whole, 1, LANES), down, LANES);
    store_bytes((uint8_t *)p, __riscv_vreinterpret_v_i32m4_u32m4(code));
}

/* ---- across lanes, in the order that is promised ----------------------------------------------------------------- */

INLINE float lanes_fold(lanes_t x)
{
    x = __riscv_vfadd_vv_f32m4(x, __riscv_vslidedown_vx_f32m4(x, 8, 8), 8);
    x = __riscv_vfadd_vv_f32m4(x, __riscv_vslidedown_vx_f32m4(x, 4, 4), 4);
    vfloat32m1_t few = __riscv_vget_v_f32m4_f32m1(x, 0); /* four lanes are in the first register of any length */
    few = __riscv_vfadd_vv_f32m1(few, __riscv_vslidedown_vx_f32m1(few, 2, 2), 2);
    few = __riscv_vfadd_vv_f32m1(few, __riscv_vslidedown_vx_f32m1(few, 1, 1), 1);
    return __riscv_vfmv_f_s_f32m1_f32(few);
}

INLINE void lanes_norm_factors(float *r, lanes_t a, lanes_t b, lanes_t c, lanes_t d, float count, float epsilon)
{
    const float sums[4] = { lanes_fold(a), lanes_fold(b), lanes_fold(c), lanes_fold(d) };
    const vfloat32m1_t mean = __riscv_vfdiv_vf_f32m1(__riscv_vle32_v_f32m1(sums, 4), count, 4);
    const vfloat32m1_t root = __riscv_vfsqrt_v_f32m1(__riscv_vfadd_vf_f32m1(mean, epsilon, 4), 4);
    __riscv_vse32_v_f32m1(r, __riscv_vfrdiv_vf_f32m1(root, 1.0f, 4), 4);
}

INLINE float lanes_largest(lanes_t x)
{
    float lane[16], most = 0.0f;
    lanes_store_f32(lane, x);
    for (int i = 0; i < 16; i++) most = lane[i] > most ? lane[i] : most;
    return most;
}

#endif
