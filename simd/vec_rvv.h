/* SPDX-License-Identifier: MIT
 * The vocabulary for RVV 1.0, for any vector length: one vector of two registers; tails take f32x1. It knows no
 * RoPE. */
#ifndef ROPEROT_VEC_RVV_H
#define ROPEROT_VEC_RVV_H

#include <riscv_vector.h>

#include "vec_scalar.h"

INLINE void stream_end(void) {}

/* ---- rvv_f32: the lanes of two registers; 16-bit elements take one ----------------------------------------------- */

typedef vfloat32m2_t rvv_f32_t;
#define rvv_f32_INTERLEAVED 0
#define RVV_ALL             __riscv_vsetvlmax_e32m2()
INLINE ptrdiff_t rvv_f32_pairs(void) { return (ptrdiff_t)RVV_ALL; }
INLINE rvv_f32_t rvv_f32_mul(rvv_f32_t a, rvv_f32_t b) { return __riscv_vfmul_vv_f32m2(a, b, RVV_ALL); }
INLINE rvv_f32_t rvv_f32_add(rvv_f32_t a, rvv_f32_t b) { return __riscv_vfadd_vv_f32m2(a, b, RVV_ALL); }
INLINE rvv_f32_t rvv_f32_sub(rvv_f32_t a, rvv_f32_t b) { return __riscv_vfsub_vv_f32m2(a, b, RVV_ALL); }
INLINE rvv_f32_t rvv_f32_load_f32(const f32_t *p) { return __riscv_vle32_v_f32m2(p, RVV_ALL); }
INLINE void rvv_f32_store_f32(f32_t *p, rvv_f32_t x) { __riscv_vse32_v_f32m2(p, x, RVV_ALL); }
INLINE void rvv_f32_stream_f32(f32_t *p, rvv_f32_t x) { rvv_f32_store_f32(p, x); }

INLINE rvv_f32_t rvv_f32_and_mask(rvv_f32_t x, const uint32_t *mask)
{
    const vuint32m2_t bits = __riscv_vreinterpret_v_f32m2_u32m2(x);
    return __riscv_vreinterpret_v_u32m2_f32m2(
        __riscv_vand_vv_u32m2(bits, __riscv_vle32_v_u32m2(mask, RVV_ALL), RVV_ALL));
}

INLINE rvv_f32_t rvv_f32_or(rvv_f32_t a, rvv_f32_t b)
{
    const vuint32m2_t bits = __riscv_vreinterpret_v_f32m2_u32m2(a);
    return __riscv_vreinterpret_v_u32m2_f32m2(
        __riscv_vor_vv_u32m2(bits, __riscv_vreinterpret_v_f32m2_u32m2(b), RVV_ALL));
}

/* Of norms, as in vec_neon.h. */
INLINE rvv_f32_t rvv_f32_all(float x) { return __riscv_vfmv_v_f_f32m2(x, RVV_ALL); }
INLINE void rvv_f32_keep(float *p, rvv_f32_t x) { rvv_f32_store_f32(p, x); }
INLINE rvv_f32_t rvv_f32_kept(const float *p) { return rvv_f32_load_f32(p); }
INLINE rvv_f32_t rvv_f32_through_f32(rvv_f32_t x) { return x; }

/* Strided, not segmented: compilers disagree on the shape of the segment intrinsics. */
INLINE void rvv_f32_load2_f32(const f32_t *p, rvv_f32_t *x0, rvv_f32_t *x1)
{
    *x0 = __riscv_vlse32_v_f32m2(p, 2 * sizeof(f32_t), RVV_ALL);
    *x1 = __riscv_vlse32_v_f32m2(p + 1, 2 * sizeof(f32_t), RVV_ALL);
}

INLINE void rvv_f32_store2_f32(f32_t *p, rvv_f32_t y0, rvv_f32_t y1)
{
    __riscv_vsse32_v_f32m2(p, 2 * sizeof(f32_t), y0, RVV_ALL);
    __riscv_vsse32_v_f32m2(p + 1, 2 * sizeof(f32_t), y1, RVV_ALL);
}

INLINE void rvv_f32_stream2_f32(f32_t *p, rvv_f32_t y0, rvv_f32_t y1) { rvv_f32_store2_f32(p, y0, y1); }

/* ---- 16-bit elements in the lower half of 32-bit lanes, by integers: the base V has no arithmetic on them -------- */

INLINE rvv_f32_t rvv_f32_of_bits(vuint32m2_t bits) { return __riscv_vreinterpret_v_u32m2_f32m2(bits); }
INLINE vuint32m2_t rvv_f32_bits(rvv_f32_t x) { return __riscv_vreinterpret_v_f32m2_u32m2(x); }
INLINE rvv_f32_t rvv_f32_widen_bf16(vuint32m2_t x) { return rvv_f32_of_bits(__riscv_vsll_vx_u32m2(x, 16, RVV_ALL)); }

/* As round_bf16 of vec_scalar.h; the result in the lower halves. */
INLINE vuint32m2_t rvv_f32_round_bf16(rvv_f32_t x)
{
    const vuint32m2_t bits = rvv_f32_bits(x),
                      odd = __riscv_vand_vx_u32m2(__riscv_vsrl_vx_u32m2(bits, 16, RVV_ALL), 1, RVV_ALL);
    const vuint32m2_t rounded = __riscv_vadd_vv_u32m2(__riscv_vadd_vx_u32m2(bits, 0x7fff, RVV_ALL), odd, RVV_ALL);
    const vuint32m2_t quiet = __riscv_vor_vx_u32m2(bits, 0x400000, RVV_ALL);
    const vbool16_t nan = __riscv_vmfne_vv_f32m2_b16(x, x, RVV_ALL);
    return __riscv_vsrl_vx_u32m2(__riscv_vmerge_vvm_u32m2(rounded, quiet, nan, RVV_ALL), 16, RVV_ALL);
}

/* The fields moved in place are too small by 2^112; multiplying restores normals and denormals alike, exactly (there
 * is no flush to zero on RISC-V). What then is 2^16 or more was infinite or NaN: its exponent is all ones. */
INLINE rvv_f32_t rvv_f32_widen_f16(vuint32m2_t x)
{
    const vuint32m2_t fields = __riscv_vsll_vx_u32m2(__riscv_vand_vx_u32m2(x, 0x7fff, RVV_ALL), 13, RVV_ALL);
    const rvv_f32_t scaled = __riscv_vfmul_vf_f32m2(rvv_f32_of_bits(fields), 0x1p112f, RVV_ALL);
    const vbool16_t special = __riscv_vmsgeu_vx_u32m2_b16(fields, 0x0f800000u, RVV_ALL);
    const vuint32m2_t full = __riscv_vor_vx_u32m2(fields, 0x7f800000u, RVV_ALL);
    const vuint32m2_t sign = __riscv_vsll_vx_u32m2(__riscv_vand_vx_u32m2(x, 0x8000, RVV_ALL), 16, RVV_ALL);
    return rvv_f32_of_bits(
        __riscv_vor_vv_u32m2(__riscv_vmerge_vvm_u32m2(rvv_f32_bits(scaled), full, special, RVV_ALL), sign, RVV_ALL));
}

/* Below 2^-14 the result counts in units of 2^-24: adding 1/2 leaves that count, rounded to nearest even, in the low
 * bits of the sum. Above, 13 bits go in integers, and the exponent moves by 112. */
INLINE vuint32m2_t rvv_f32_round_f16(rvv_f32_t x)
{
    const vuint32m2_t bits = rvv_f32_bits(x), magnitude = __riscv_vand_vx_u32m2(bits, 0x7fffffff, RVV_ALL);
    const vuint32m2_t sign = __riscv_vand_vx_u32m2(__riscv_vsrl_vx_u32m2(bits, 16, RVV_ALL), 0x8000, RVV_ALL);
    const vuint32m2_t odd = __riscv_vand_vx_u32m2(__riscv_vsrl_vx_u32m2(magnitude, 13, RVV_ALL), 1, RVV_ALL);
    const vuint32m2_t moved = __riscv_vadd_vx_u32m2(magnitude, 0xfffu - 0x38000000u, RVV_ALL);
    const vuint32m2_t normal = __riscv_vsrl_vx_u32m2(__riscv_vadd_vv_u32m2(moved, odd, RVV_ALL), 13, RVV_ALL);
    const vuint32m2_t counted = rvv_f32_bits(__riscv_vfadd_vf_f32m2(rvv_f32_of_bits(magnitude), 0.5f, RVV_ALL));
    const vuint32m2_t small = __riscv_vsub_vx_u32m2(counted, 0x3f000000u, RVV_ALL);
    vuint32m2_t result =
        __riscv_vmerge_vvm_u32m2(normal, small, __riscv_vmsltu_vx_u32m2_b16(magnitude, 0x38800000u, RVV_ALL), RVV_ALL);
    result =
        __riscv_vmerge_vxm_u32m2(result, 0x7c00, __riscv_vmsgeu_vx_u32m2_b16(magnitude, 0x477ff000u, RVV_ALL), RVV_ALL);
    result =
        __riscv_vmerge_vxm_u32m2(result, 0x7e00, __riscv_vmsgtu_vx_u32m2_b16(magnitude, 0x7f800000u, RVV_ALL), RVV_ALL);
    return __riscv_vor_vv_u32m2(result, sign, RVV_ALL);
}

/* A pair of 16-bit elements is a 32-bit lane, x0 its lower half; read as 16-bit lanes, so that element alignment is
 * enough. */
INLINE vuint32m2_t rvv_f32_load_pairs(const uint16_t *p)
{
    return __riscv_vreinterpret_v_u16m2_u32m2(__riscv_vle16_v_u16m2(p, 2 * RVV_ALL));
}

#define RVV_16BIT(dtype)                                                                                               \
    INLINE rvv_f32_t rvv_f32_load_##dtype(const dtype##_t *p)                                                          \
    {                                                                                                                  \
        return rvv_f32_widen_##dtype(__riscv_vzext_vf2_u32m2(__riscv_vle16_v_u16m1(p, RVV_ALL), RVV_ALL));             \
    }                                                                                                                  \
    INLINE void rvv_f32_store_##dtype(dtype##_t *p, rvv_f32_t x)                                                       \
    {                                                                                                                  \
        __riscv_vse16_v_u16m1(p, __riscv_vnsrl_wx_u16m1(rvv_f32_round_##dtype(x), 0, RVV_ALL), RVV_ALL);               \
    }                                                                                                                  \
    INLINE void rvv_f32_stream_##dtype(dtype##_t *p, rvv_f32_t x) { rvv_f32_store_##dtype(p, x); }                     \
    INLINE rvv_f32_t rvv_f32_through_##dtype(rvv_f32_t x)                                                              \
    {                                                                                                                  \
        return rvv_f32_widen_##dtype(rvv_f32_round_##dtype(x));                                                        \
    }                                                                                                                  \
    INLINE void rvv_f32_load2_##dtype(const dtype##_t *p, rvv_f32_t *x0, rvv_f32_t *x1)                                \
    {                                                                                                                  \
        const vuint32m2_t both = rvv_f32_load_pairs(p);                                                                \
        *x0 = rvv_f32_widen_##dtype(__riscv_vand_vx_u32m2(both, 0xffff, RVV_ALL));                                     \
        *x1 = rvv_f32_widen_##dtype(__riscv_vsrl_vx_u32m2(both, 16, RVV_ALL));                                         \
    }                                                                                                                  \
    INLINE void rvv_f32_store2_##dtype(dtype##_t *p, rvv_f32_t y0, rvv_f32_t y1)                                       \
    {                                                                                                                  \
        const vuint32m2_t high = __riscv_vsll_vx_u32m2(rvv_f32_round_##dtype(y1), 16, RVV_ALL);                        \
        const vuint32m2_t both = __riscv_vor_vv_u32m2(rvv_f32_round_##dtype(y0), high, RVV_ALL);                       \
        __riscv_vse16_v_u16m2(p, __riscv_vreinterpret_v_u32m2_u16m2(both), 2 * RVV_ALL);                               \
    }                                                                                                                  \
    INLINE void rvv_f32_stream2_##dtype(dtype##_t *p, rvv_f32_t y0, rvv_f32_t y1) { rvv_f32_store2_##dtype(p, y0, y1); }
RVV_16BIT(f16)
RVV_16BIT(bf16)
#undef RVV_16BIT

/* ---- rvv_f64: the f64 lanes of two registers --------------------------------------------------------------------- */

typedef vfloat64m2_t rvv_f64_t;
#define rvv_f64_INTERLEAVED 0
#define RVV_ALL64           __riscv_vsetvlmax_e64m2()
INLINE ptrdiff_t rvv_f64_pairs(void) { return (ptrdiff_t)RVV_ALL64; }
INLINE rvv_f64_t rvv_f64_load(const double *p) { return __riscv_vle64_v_f64m2(p, RVV_ALL64); }
INLINE void rvv_f64_store(double *p, rvv_f64_t x) { __riscv_vse64_v_f64m2(p, x, RVV_ALL64); }
INLINE void rvv_f64_store_f32(float *p, rvv_f64_t x)
{
    __riscv_vse32_v_f32m1(p, __riscv_vfncvt_f_f_w_f32m1(x, RVV_ALL64), RVV_ALL64);
}
INLINE void rvv_f64_stream_f32(float *p, rvv_f64_t x) { rvv_f64_store_f32(p, x); }
INLINE rvv_f64_t rvv_f64_set1(double x) { return __riscv_vfmv_v_f_f64m2(x, RVV_ALL64); }
INLINE rvv_f64_t rvv_f64_add(rvv_f64_t a, rvv_f64_t b) { return __riscv_vfadd_vv_f64m2(a, b, RVV_ALL64); }
INLINE rvv_f64_t rvv_f64_sub(rvv_f64_t a, rvv_f64_t b) { return __riscv_vfsub_vv_f64m2(a, b, RVV_ALL64); }
INLINE rvv_f64_t rvv_f64_mul(rvv_f64_t a, rvv_f64_t b) { return __riscv_vfmul_vv_f64m2(a, b, RVV_ALL64); }

INLINE vuint64m2_t rvv_f64_bits(rvv_f64_t x) { return __riscv_vreinterpret_v_f64m2_u64m2(x); }
INLINE rvv_f64_t rvv_f64_of_bits(vuint64m2_t bits) { return __riscv_vreinterpret_v_u64m2_f64m2(bits); }

INLINE rvv_f64_t rvv_f64_upper(rvv_f64_t x)
{
    return rvv_f64_of_bits(__riscv_vand_vx_u64m2(rvv_f64_bits(x), 0xfffffffff8000000u, RVV_ALL64));
}

INLINE rvv_f64_t rvv_f64_bit_to_sign(rvv_f64_t x, int k)
{
    const vuint64m2_t shifted = __riscv_vsll_vx_u64m2(rvv_f64_bits(x), (size_t)(63 - k), RVV_ALL64);
    return rvv_f64_of_bits(__riscv_vand_vx_u64m2(shifted, 0x8000000000000000u, RVV_ALL64));
}

INLINE rvv_f64_t rvv_f64_flip(rvv_f64_t x, rvv_f64_t sign)
{
    return rvv_f64_of_bits(__riscv_vxor_vv_u64m2(rvv_f64_bits(x), rvv_f64_bits(sign), RVV_ALL64));
}

INLINE rvv_f64_t rvv_f64_choose(rvv_f64_t a, rvv_f64_t b, rvv_f64_t sign)
{
    const vint64m2_t bits = __riscv_vreinterpret_v_f64m2_i64m2(sign);
    return __riscv_vmerge_vvm_f64m2(a, b, __riscv_vmslt_vx_i64m2_b32(bits, 0, RVV_ALL64), RVV_ALL64);
}

#define VEC rvv_f64
#include "sincos.inc.h"
#undef VEC

INLINE void rvv_f64_sincos(rvv_f64_t x, rvv_f64_t *s, rvv_f64_t *c) { rvv_f64_sincos_fixed(x, s, c); }

#endif
