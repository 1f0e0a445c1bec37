/* SPDX-License-Identifier: MIT
 * The kernels of heads of every usable ISA against the literal forms, and broken ones that must be caught; it must not
 * know how they are made. */
#include <math.h>
#include <string.h>

#include "dispatch.h"
#include "kernels.h"
#include "kernels/heads_trial.h"
#include "lists.h"
#include "reference/oracle.h"
#include "support/formats.h"
#include "support/harness.h"

/* ---- one deliberate flaw each, on top of the scalar kernels ------------------------------------------------------ */

static const roperot_head_kernels *sound(void)
{
    return &roperot_kernels_for(ROPEROT_ISA_SCALAR)->heads;
}

/* A plain sum from the first channel to the last. */
static void sum_in_order(float *sum, const void *src, ptrdiff_t src_head, ptrdiff_t heads, ptrdiff_t channels,
                         int terms, const float *mean)
{
    (void)mean;
    sound()->sum[0](sum, src, src_head, heads, channels, terms, mean);
    for (ptrdiff_t h = 0; h < heads && terms == ROPEROT_SUM_SQUARES; h++) {
        const float *const x = (const void *)((const char *)src + h * src_head);
        sum[h] = 0;
        for (ptrdiff_t c = 0; c < channels; c++) sum[h] += x[c] * x[c];
    }
}

/* Squares that are not rounded before they are added. */
static void sum_fused(float *sum, const void *src, ptrdiff_t src_head, ptrdiff_t heads, ptrdiff_t channels, int terms,
                      const float *mean)
{
    sound()->sum[0](sum, src, src_head, heads, channels, terms, mean);
    for (ptrdiff_t h = 0; h < heads && terms == ROPEROT_SUM_SQUARES; h++) {
        const float *const x = (const void *)((const char *)src + h * src_head);
        float lane[16] = { 0 };
        for (ptrdiff_t c = 0; c < channels; c++) lane[c % 16] = fmaf(x[c], x[c], lane[c % 16]);
        for (int half = 8; half > 0; half /= 2)
            for (int i = 0; i < half; i++) lane[i] += lane[i + half];
        sum[h] = lane[0];
    }
}

static void sum_reads_on(float *sum, const void *src, ptrdiff_t src_head, ptrdiff_t heads, ptrdiff_t channels,
                         int terms, const float *mean)
{
    volatile const float *const last = (const void *)((const char *)src + (heads - 1) * src_head);
    (void)last[channels];
    sound()->sum[0](sum, src, src_head, heads, channels, terms, mean);
}

/* x * (r * w) for (x * r) * w. */
static void scale_reordered(const roperot_scaling_of_heads *s)
{
    sound()->scale[0](s);
    if (!s->weight || s->weight_dtype != ROPEROT_F32 || s->mean || s->bias || s->unit_offset || s->rounding) return;
    for (ptrdiff_t h = 0; h < s->heads; h++)
        for (ptrdiff_t c = 0; c < s->channels; c++) {
            const float x = ((const float *)(const void *)((const char *)s->src + h * s->src_head))[c];
            const float w = ((const float *)(const void *)((const char *)s->weight + h * s->weight_head))[c];
            s->out[h * s->pitch + c] = x * (s->r[h] * w);
        }
}

static void scale_rounds_once(const roperot_scaling_of_heads *s)
{
    roperot_scaling_of_heads other = *s;
    if (other.rounding == ROPEROT_NORM_ROUND_TWICE) other.rounding = ROPEROT_NORM_ROUND_ONCE;
    sound()->scale[2](&other);
}

static void scale_forgets_offset(const roperot_scaling_of_heads *s)
{
    roperot_scaling_of_heads other = *s;
    other.unit_offset = 0;
    sound()->scale[1](&other);
}

static void scale_writes_on(const roperot_scaling_of_heads *s)
{
    sound()->scale[0](s);
    if (s->channels % 16) s->out[s->channels] = 0;
}

/* The norm of heads of bf16 by other kernels, each of whose flaws below stands alone. */
static int natural_weights(float *out, const void *weight, int32_t dtype, int unit_offset, ptrdiff_t channels)
{
    const float ones[512] = { 0 };
    for (ptrdiff_t c = 0; c < channels; c++) out[c] = 1.0f;
    if (!weight) return 1;
    sound()->load[dtype - 1](out, 512, weight, 0, 1, channels, ones);
    for (ptrdiff_t c = 0; c < channels; c++) out[c] = unit_offset ? 1.0f + out[c] : out[c];
    return 1;
}

static void norm_by_parts(const roperot_norm_of_heads *n, ptrdiff_t count, int rounding, ptrdiff_t heads)
{
    float sum, out[512];
    for (ptrdiff_t h = 0; h < heads; h++) {
        const char *const src = (const char *)n->src + h * n->src_head;
        sound()->sum[2](&sum, src, 0, 1, n->channels, ROPEROT_SUM_SQUARES, NULL);
        const float r = 1.0f / sqrtf(sum / (float)count + n->epsilon);
        const roperot_scaling_of_heads s = { out, 512,  src,  0, 1, n->channels,    NULL,     &r,
                                             n->weight, NULL, 0, 1, 0, rounding, ROPEROT_BF16 };
        sound()->scale[2](&s);
        sound()->store[2]((char *)n->dst + h * n->dst_head, 0, out, 0, ROPEROT_F32, 1, n->channels, NULL);
    }
}

static void norm_sound(const roperot_norm_of_heads *n)
{
    norm_by_parts(n, n->channels, n->rounding, n->heads);
}

static void norm_counts_pairs(const roperot_norm_of_heads *n)
{
    norm_by_parts(n, n->channels / 2, n->rounding, n->heads);
}

static void norm_rounds_once(const roperot_norm_of_heads *n)
{
    norm_by_parts(n, n->channels, ROPEROT_NORM_ROUND_ONCE, n->heads);
}

static void norm_leaves_last_head(const roperot_norm_of_heads *n)
{
    norm_by_parts(n, n->channels, n->rounding, n->heads > 16 ? 16 : n->heads);
}

/* Channel c of head h of any dtype of tensors. */
static float value_at(const void *src, ptrdiff_t src_head, int32_t dtype, ptrdiff_t h, ptrdiff_t c)
{
    const ptrdiff_t size = (ptrdiff_t)format_bytes(dtype);
    return (float)oracle_value(dtype, format_load(dtype, (const unsigned char *)src + h * src_head + c * size));
}

/* The largest value, not magnitude. */
static void amax_signed(float *amax, const void *src, ptrdiff_t src_head, int32_t dtype, ptrdiff_t heads,
                        ptrdiff_t channels)
{
    for (ptrdiff_t h = 0; h < heads; h++) {
        amax[h] = 0;
        for (ptrdiff_t c = 0; c < channels; c++) amax[h] = fmaxf(amax[h], value_at(src, src_head, dtype, h, c));
    }
}

static void amax_takes_nan(float *amax, const void *src, ptrdiff_t src_head, int32_t dtype, ptrdiff_t heads,
                           ptrdiff_t channels)
{
    sound()->amax(amax, src, src_head, dtype, heads, channels);
    for (ptrdiff_t h = 0; h < heads; h++)
        for (ptrdiff_t c = 0; c < channels; c++)
            if (isnan(value_at(src, src_head, dtype, h, c))) amax[h] = NAN;
}

/* bf16 as if it were f16. */
static void amax_mistakes_dtype(float *amax, const void *src, ptrdiff_t src_head, int32_t dtype, ptrdiff_t heads,
                                ptrdiff_t channels)
{
    sound()->amax(amax, src, src_head, dtype == ROPEROT_BF16 ? ROPEROT_F16 : dtype, heads, channels);
}

/* Codes of a sound kernel, some of them replaced. */
static void store_replacing(int format, void *dst, ptrdiff_t dst_head, const void *src, ptrdiff_t src_head,
                            int32_t dtype, ptrdiff_t heads, ptrdiff_t channels, const float *inverse,
                            int (*replace)(float x, int code))
{
    sound()->store[format](dst, dst_head, src, src_head, dtype, heads, channels, inverse);
    for (ptrdiff_t h = 0; h < heads; h++)
        for (ptrdiff_t c = 0; c < channels; c++) {
            unsigned char *const code = (unsigned char *)dst + h * dst_head + c;
            *code = (unsigned char)replace(value_at(src, src_head, dtype, h, c) * inverse[h], *code);
        }
}

static int flush_subnormal(float x, int code)
{
    return fabsf(x) < 0x1p-6f ? code & 0x80 : code;
}
static int lose_zero_sign(float x, int code)
{
    return x == 0 ? 0 : code;
}
static int overflow_to_nan(float x, int code)
{
    return fabsf(x) > 464 ? 0x7f : code;
}
static int truncate_code(float x, int code)
{
    return fabsf(x) > 8 && fabsf(x) < 9.5f ? (code & 0x80) | 0x50 : code;
}
static int nan_is_largest(float x, int code)
{
    return isnan(x) ? 0x7e : code;
}
static int away_from_zero(float x, int code)
{
    return fabsf(x) < 100 ? (int)(x + copysignf(0.5f, x)) & 0xff : code;
}
static int down_to_128(float x, int code)
{
    return x < -127.5f ? 0x80 : code;
}

#define REPLACING(name, format)                                                                                        \
    static void store_##name(void *dst, ptrdiff_t dst_head, const void *src, ptrdiff_t src_head, int32_t dtype,        \
                             ptrdiff_t heads, ptrdiff_t channels, const float *inverse)                                \
    {                                                                                                                  \
        store_replacing(format, dst, dst_head, src, src_head, dtype, heads, channels, inverse, name);                  \
    }
REPLACING(flush_subnormal, ROPEROT_FORMAT_e4m3)
REPLACING(lose_zero_sign, ROPEROT_FORMAT_e4m3)
REPLACING(overflow_to_nan, ROPEROT_FORMAT_e4m3)
REPLACING(truncate_code, ROPEROT_FORMAT_e4m3)
REPLACING(nan_is_largest, ROPEROT_FORMAT_e4m3)
REPLACING(away_from_zero, ROPEROT_FORMAT_i8)
REPLACING(down_to_128, ROPEROT_FORMAT_i8)

/* To nearest even, as the x86 code of ggml does, where its reference rounds half away from zero. */
static void store_even_q8_0(void *dst, ptrdiff_t dst_head, const void *src, ptrdiff_t src_head, int32_t dtype,
                            ptrdiff_t heads, ptrdiff_t channels, const float *inverse)
{
    sound()->store[ROPEROT_FORMAT_q8_0](dst, dst_head, src, src_head, dtype, heads, channels, inverse);
    for (ptrdiff_t h = 0; h < heads; h++)
        for (ptrdiff_t c = 0; c < channels; c++) {
            unsigned char *const block = (unsigned char *)dst + h * dst_head + c / 32 * 34;
            float amax = 0;
            for (int i = 0; i < 32; i++) amax = fmaxf(amax, fabsf(value_at(src, src_head, dtype, h, c / 32 * 32 + i)));
            const float x = value_at(src, src_head, dtype, h, c) * (127.0f / amax);
            if (fabsf(x) <= 127) block[2 + c % 32] = (unsigned char)(int)rintf(x);
        }
}

static void store_past(void *dst, ptrdiff_t dst_head, const void *src, ptrdiff_t src_head, int32_t dtype,
                       ptrdiff_t heads, ptrdiff_t channels, const float *inverse)
{
    sound()->store[ROPEROT_FORMAT_bf16](dst, dst_head, src, src_head, dtype, heads, channels, inverse);
    if (heads > 1) ((uint16_t *)dst)[channels] = 0;
}

static void load_without_scale(float *head, ptrdiff_t pitch, const void *src, ptrdiff_t src_head, ptrdiff_t heads,
                               ptrdiff_t channels, const float *scale)
{
    const float first[] = { scale[0], scale[0], scale[0], scale[0] };
    sound()->load[ROPEROT_FORMAT_i8](head, pitch, src, src_head, heads, channels, first);
}

#define BREAK(name, member, function)                                                                                  \
    static void name(roperot_head_kernels *k)                                                                          \
    {                                                                                                                  \
        k->member = function;                                                                                          \
    }
BREAK(break_sum_order, sum[0], sum_in_order)
BREAK(break_sum_fma, sum[0], sum_fused)
BREAK(break_sum_reads, sum[0], sum_reads_on)
BREAK(break_scale_order, scale[0], scale_reordered)
BREAK(break_scale_rounding, scale[2], scale_rounds_once)
BREAK(break_scale_offset, scale[1], scale_forgets_offset)
BREAK(break_scale_writes, scale[0], scale_writes_on)
#define BREAK_NORM(name, function)                                                                                     \
    static void name(roperot_head_kernels *k)                                                                          \
    {                                                                                                                  \
        k->norm[2] = function;                                                                                         \
        k->norm_weights[2] = natural_weights;                                                                          \
    }
BREAK_NORM(mend_norm, norm_sound)
BREAK_NORM(break_norm_mean, norm_counts_pairs)
BREAK_NORM(break_norm_rounding, norm_rounds_once)
BREAK_NORM(break_norm_heads, norm_leaves_last_head)
BREAK(break_amax, amax, amax_signed)
BREAK(break_amax_nan, amax, amax_takes_nan)
BREAK(break_amax_dtype, amax, amax_mistakes_dtype)
BREAK(break_subnormal, store[3], store_flush_subnormal)
BREAK(break_zero, store[3], store_lose_zero_sign)
BREAK(break_overflow, store[3], store_overflow_to_nan)
BREAK(break_truncation, store[3], store_truncate_code)
BREAK(break_nan, store[3], store_nan_is_largest)
BREAK(break_i8, store[4], store_away_from_zero)
BREAK(break_i8_clamp, store[4], store_down_to_128)
BREAK(break_q8_0, store[5], store_even_q8_0)
BREAK(break_store, store[2], store_past)
BREAK(break_load, load[4], load_without_scale)

static const struct {
    const char *flaw;
    void (*apply)(roperot_head_kernels *k);
} flaws[] = {
    { "sums in order", break_sum_order },
    { "fuses squares", break_sum_fma },
    { "reads past the head", break_sum_reads },
    { "multiplies r by w first", break_scale_order },
    { "rounds once for twice", break_scale_rounding },
    { "forgets the offset", break_scale_offset },
    { "writes past the head", break_scale_writes },
    { "divides by pairs", break_norm_mean },
    { "rounds a norm once for twice", break_norm_rounding },
    { "norms 16 heads at most", break_norm_heads },
    { "takes the largest value", break_amax },
    { "takes NaN for the largest", break_amax_nan },
    { "takes bf16 for f16", break_amax_dtype },
    { "flushes subnormals", break_subnormal },
    { "loses the sign of zero", break_zero },
    { "overflows to NaN", break_overflow },
    { "truncates codes", break_truncation },
    { "stores NaN as 448", break_nan },
    { "rounds i8 half away", break_i8 },
    { "stores -128", break_i8_clamp },
    { "rounds q8_0 to even", break_q8_0 },
    { "stores past the head", break_store },
    { "loads with one scale", break_load },
};

/* ---- cases ------------------------------------------------------------------------------------------------------- */

typedef struct judgement {
    const roperot_head_kernels *kernels;
    const char *verdict;
} judgement;

static void judge(void *arg)
{
    judgement *const j = arg;
    j->verdict = heads_trial(j->kernels);
}

static void is_caught(const void *arg)
{
    roperot_head_kernels broken = *sound();
    harness_fault fault;
    const size_t i = (size_t)(uintptr_t)arg;
    flaws[i].apply(&broken);
    judgement j = { &broken, NULL };
    CHECK(harness_faults(judge, &j, &fault) || j.verdict, "a table whose kernel %s was not caught", flaws[i].flaw);
}

static void equals_literal(const void *arg)
{
    const char *const wrong = heads_trial(arg);
    CHECK(!wrong, "%s", wrong);
}

/* What the broken norms are made of is right: only their flaws are caught. */
static void norm_of_parts_is_sound(const void *arg)
{
    (void)arg;
    roperot_head_kernels k = *sound();
    mend_norm(&k);
    const char *const wrong = heads_trial(&k);
    CHECK(!wrong, "%s", wrong);
}

/* What simd/extension_avx512_fma.c says of T(x): every significand, at both ends of its range and between. Doubles hold
 * the difference exactly, so that it is rounded once, as the fused operation is. */
static void rounding_by_difference(const void *arg)
{
    static const uint32_t exponents[] = { 1, 127, 127 + 111 };
    (void)arg;
    for (int i = 0; i < 3; i++)
        for (uint32_t bits = exponents[i] << 23; bits < (exponents[i] + 1) << 23; bits++) {
            float x, got;
            memcpy(&x, &bits, sizeof x);
            const float product = x * 0xffffp0f;
            got = (float)(0x1p16 * (double)x - (double)product);
            uint32_t got_bits;
            memcpy(&got_bits, &got, sizeof got);
            const uint32_t want = (bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u;
            CHECK(got_bits == want, "%a becomes %a", (double)x, (double)got);
        }
}

int main(int argc, char **argv)
{
    for (int32_t isa = ROPEROT_ISA_SCALAR; isa < ROPEROT_ISA_END; isa++)
        if (roperot_isa_usable(isa))
            harness_add(equals_literal, &roperot_kernels_for(isa)->heads, "heads/%s", roperot_isa_name(isa));
    harness_add(norm_of_parts_is_sound, NULL, "heads/norm of parts");
    harness_add(rounding_by_difference, NULL, "heads/rounding by a difference");
    for (size_t i = 0; i < sizeof flaws / sizeof *flaws; i++)
        harness_add(is_caught, (const void *)(uintptr_t)i, "heads/broken/%s", flaws[i].flaw);
    return harness_run(argc, argv, "heads");
}
