/* SPDX-License-Identifier: MIT
 * The vocabulary of lanes for NEON (and SVE, whose registers need not hold 16 lanes): four registers; verbs as in
 * lanes_scalar.h. It knows no norm. */
#ifndef ROPEROT_LANES_NEON_H
#define ROPEROT_LANES_NEON_H

#define ROPEROT_HAVE_LANES
#include "lanes_scalar.h"

#include <arm_neon.h>

typedef struct lanes_t {
    float32x4_t q[4];
} lanes_t;

#define EACH_REGISTER for (int i = 0; i < 4; i++)

INLINE lanes_t lanes_set1(float value)
{
    lanes_t x;
    EACH_REGISTER x.q[i] = vdupq_n_f32(value);
    return x;
}

#define LANES_OF_TWO(verb, expression)                                                                                 \
    INLINE lanes_t lanes_##verb(lanes_t x, lanes_t y)                                                                  \
    {                                                                                                                  \
        EACH_REGISTER x.q[i] = (expression);                                                                           \
        return x;                                                                                                      \
    }
LANES_OF_TWO(add, vaddq_f32(x.q[i], y.q[i]))
LANES_OF_TWO(sub, vsubq_f32(x.q[i], y.q[i]))
LANES_OF_TWO(mul, vmulq_f32(x.q[i], y.q[i]))
/* A comparison, not fmaxnm: that one makes a NaN of a signalling NaN. */
LANES_OF_TWO(larger, vbslq_f32(vcgtq_f32(vabsq_f32(y.q[i]), x.q[i]), vabsq_f32(y.q[i]), x.q[i]))
#undef LANES_OF_TWO

/* ---- 16-bit elements --------------------------------------------------------------------------------------------- */

INLINE float32x4_t lanes_widen_bf16(uint16x4_t x) { return vreinterpretq_f32_u32(vshll_n_u16(x, 16)); }
INLINE float32x4_t lanes_widen_f16(uint16x4_t x) { return vcvt_f32_f16(vreinterpret_f16_u16(x)); }
INLINE uint16x4_t lanes_narrow_f16(float32x4_t x) { return vreinterpret_u16_f16(vcvt_f16_f32(x)); }

INLINE uint16x4_t lanes_narrow_bf16(float32x4_t x)
{
    const uint32x4_t bits = vreinterpretq_u32_f32(x), odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    return vshrn_n_u32(vbslq_u32(vceqq_f32(x, x), rounded, quiet), 16);
}

#define LANES_16BIT(dtype)                                                                                             \
    INLINE lanes_t lanes_load_##dtype(const dtype##_t *p)                                                              \
    {                                                                                                                  \
        lanes_t x;                                                                                                     \
        EACH_REGISTER x.q[i] = lanes_widen_##dtype(vld1_u16(p + 4 * i));                                               \
        return x;                                                                                                      \
    }                                                                                                                  \
    INLINE void lanes_store_##dtype(dtype##_t *p, lanes_t x)                                                           \
    {                                                                                                                  \
        EACH_REGISTER vst1_u16(p + 4 * i, lanes_narrow_##dtype(x.q[i]));                                               \
    }                                                                                                                  \
    INLINE lanes_t lanes_round_##dtype(lanes_t x)                                                                      \
    {                                                                                                                  \
        EACH_REGISTER x.q[i] = lanes_widen_##dtype(lanes_narrow_##dtype(x.q[i]));                                      \
        return x;                                                                                                      \
    }
LANES_16BIT(f16)
LANES_16BIT(bf16)
#undef LANES_16BIT

/* ---- f32 --------------------------------------------------------------------------------------------------------- */

INLINE lanes_t lanes_load_f32(const f32_t *p)
{
    lanes_t x;
    EACH_REGISTER x.q[i] = vld1q_f32(p + 4 * i);
    return x;
}

INLINE void lanes_store_f32(f32_t *p, lanes_t x) { EACH_REGISTER vst1q_f32(p + 4 * i, x.q[i]); }

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

/* The low bytes of 16 lanes that fit them, signed or not. */
INLINE void store_bytes(void *p, const uint32x4_t x[4])
{
    const uint16x8_t low = vcombine_u16(vmovn_u32(x[0]), vmovn_u32(x[1])),
                     high = vcombine_u16(vmovn_u32(x[2]), vmovn_u32(x[3]));
    vst1q_u8(p, vcombine_u8(vmovn_u16(low), vmovn_u16(high)));
}

INLINE uint32x4_t round_e4m3x4(float32x4_t x)
{
    const uint32x4_t sign = vandq_u32(vshrq_n_u32(vreinterpretq_u32_f32(x), 24), vdupq_n_u32(0x80));
    const float32x4_t magnitude = vminq_f32(vabsq_f32(x), vdupq_n_f32(448.0f));
    const uint32x4_t bits = vreinterpretq_u32_f32(magnitude), odd = vandq_u32(vshrq_n_u32(bits, 20), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7ffffu - (120u << 23))), odd);
    const uint32x4_t counted = vreinterpretq_u32_f32(vaddq_f32(magnitude, vdupq_n_f32(16384.0f)));
    const uint32x4_t small = vsubq_u32(counted, vdupq_n_u32(0x46800000u));
    const uint32x4_t code = vbslq_u32(vcltq_f32(magnitude, vdupq_n_f32(0x1p-6f)), small, vshrq_n_u32(rounded, 20));
    return vbslq_u32(vceqq_f32(x, x), vorrq_u32(code, sign), vdupq_n_u32(0x7f));
}

INLINE float32x4_t widen_e4m3x4(uint32x4_t code)
{
    const uint32x4_t fields = vandq_u32(code, vdupq_n_u32(0x7f));
    const float32x4_t value = vmulq_f32(vreinterpretq_f32_u32(vshlq_n_u32(fields, 20)), vdupq_n_f32(0x1p120f));
    const uint32x4_t sign = vshlq_n_u32(vandq_u32(code, vdupq_n_u32(0x80)), 24);
    const uint32x4_t bits = vorrq_u32(vreinterpretq_u32_f32(value), sign);
    return vreinterpretq_f32_u32(vbslq_u32(vceqq_u32(fields, vdupq_n_u32(0x7f)), vdupq_n_u32(0x7fc00000u), bits));
}

INLINE lanes_t lanes_load_e4m3(const e4m3_t *p)
{
    const uint8x16_t codes = vld1q_u8(p);
    const uint16x8_t low = vmovl_u8(vget_low_u8(codes)), high = vmovl_u8(vget_high_u8(codes));
    const lanes_t x = { { widen_e4m3x4(vmovl_u16(vget_low_u16(low))), widen_e4m3x4(vmovl_u16(vget_high_u16(low))),
                          widen_e4m3x4(vmovl_u16(vget_low_u16(high))), widen_e4m3x4(vmovl_u16(vget_high_u16(high))) } };
    return x;
}

INLINE lanes_t lanes_load_i8(const i8_t *p)
{
    const int8x16_t codes = vld1q_s8(p);
    const int16x8_t low = vmovl_s8(vget_low_s8(codes)), high = vmovl_s8(vget_high_s8(codes));
    const lanes_t x = { { vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
                          vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))),
                          vcvtq_f32_s32(vmovl_s16(vget_high_s16(high))) } };
    return x;
}

INLINE void lanes_store_e4m3(e4m3_t *p, lanes_t x)
{
    uint32x4_t code[4];
    EACH_REGISTER code[i] = round_e4m3x4(x.q[i]);
    store_bytes(p, code);
}

/* The conversions round by themselves, to nearest even or half away from zero; NaN becomes 0. */
INLINE float32x4_t clamp_i8x4(float32x4_t x)
{
    return vmaxq_f32(vminq_f32(x, vdupq_n_f32(127.0f)), vdupq_n_f32(-127.0f));
}

INLINE void lanes_store_i8(i8_t *p, lanes_t x)
{
    uint32x4_t code[4];
    EACH_REGISTER code[i] = vreinterpretq_u32_s32(vcvtnq_s32_f32(clamp_i8x4(x.q[i])));
    store_bytes(p, code);
}

INLINE void lanes_store_away_i8(i8_t *p, lanes_t x)
{
    uint32x4_t code[4];
    EACH_REGISTER code[i] = vreinterpretq_u32_s32(vcvtaq_s32_f32(clamp_i8x4(x.q[i])));
    store_bytes(p, code);
}

#undef EACH_REGISTER

/* ---- across lanes ------------------------------------------------------------------------------------------------ */

INLINE float lanes_fold(lanes_t x)
{
    const float32x4_t low = vaddq_f32(x.q[0], x.q[2]), high = vaddq_f32(x.q[1], x.q[3]), four = vaddq_f32(low, high);
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

INLINE void lanes_norm_factors(float *r, lanes_t a, lanes_t b, lanes_t c, lanes_t d, float count, float epsilon)
{
    const float sums[4] = { lanes_fold(a), lanes_fold(b), lanes_fold(c), lanes_fold(d) };
    const float32x4_t mean = vdivq_f32(vld1q_f32(sums), vdupq_n_f32(count));
    vst1q_f32(r, vdivq_f32(vdupq_n_f32(1.0f), vsqrtq_f32(vaddq_f32(mean, vdupq_n_f32(epsilon)))));
}

INLINE float lanes_largest(lanes_t x)
{
    return vmaxvq_f32(vmaxq_f32(vmaxq_f32(x.q[0], x.q[2]), vmaxq_f32(x.q[1], x.q[3])));
}

#endif
