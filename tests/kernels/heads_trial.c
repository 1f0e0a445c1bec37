/* SPDX-License-Identifier: MIT
 * The judge of the kernels of heads: one table, one verdict; it must not know which ISA it judges. */
#include "kernels/heads_trial.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <roperot/roperot.h>

#include "cpu.h"
#include "lists.h"
#include "reference/job.h"
#include "reference/oracle.h"
#include "support/formats.h"
#include "support/guard.h"
#include "support/harness.h"
#include "support/values.h"

enum { MOST_CHANNELS = 512, MOST_HEADS = 4, PITCH = MOST_CHANNELS + 16, GAP = 3 };

/* One shape: heads in memory lie `step` bytes apart at the end of a guarded buffer, in the scratch `pitch` floats. */
typedef struct trial {
    const roperot_head_kernels *kernels;
    ptrdiff_t heads, channels, pitch;
    int values, end;
} trial;

static char verdict[400];
static _Alignas(64) float scratch[MOST_HEADS * PITCH], wanted[MOST_HEADS * PITCH];

static const char *fail(const trial *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static const char *fail(const trial *t, const char *format, ...)
{
    char what[250];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    snprintf(verdict, sizeof verdict, "%td heads of %td channels, values %d: %s", t->heads, t->channels, t->values,
             what);
    return verdict;
}

static ptrdiff_t element_bytes(int dtype)
{
    return dtype >= ROPEROT_E4M3 ? 1 : (ptrdiff_t)format_bytes(dtype);
}

static ptrdiff_t head_bytes(const trial *t, int dtype)
{
    return dtype == ROPEROT_Q8_0 ? t->channels / 32 * 34 : t->channels * element_bytes(dtype);
}

static ptrdiff_t head_step(const trial *t, int dtype)
{
    return head_bytes(t, dtype) + GAP * (dtype == ROPEROT_Q8_0 ? 2 : element_bytes(dtype));
}

static guard_buffer open_heads(const trial *t, int dtype)
{
    return guard_buffer_open((size_t)((t->heads - 1) * head_step(t, dtype) + head_bytes(t, dtype)), t->end);
}

static float value_of(int dtype, const unsigned char *p)
{
    return (float)oracle_value(dtype, format_load(dtype, p));
}

static float rounded(int dtype, float x)
{
    return dtype == ROPEROT_F32 ? x : (float)oracle_value(dtype, oracle_round(dtype, (double)x));
}

static int same(float a, float b)
{
    return format_same(ROPEROT_F32, format_bits(a), format_bits(b));
}

/* Random floats in the scratch, canaries between the heads. */
static void fill_scratch(const trial *t)
{
    for (int i = 0; i < MOST_HEADS * PITCH; i++) scratch[i] = -123.0f;
    for (ptrdiff_t h = 0; h < t->heads; h++)
        for (ptrdiff_t c = 0; c < t->channels; c++)
            scratch[h * t->pitch + c] = format_float(values_number(t->values, ROPEROT_F32));
    memcpy(wanted, scratch, sizeof wanted);
}

static const char *compare_scratch(const trial *t, const char *what)
{
    for (int i = 0; i < MOST_HEADS * PITCH; i++)
        if (!same(scratch[i], wanted[i]))
            return fail(t, "%s: float %d is %a, not %a", what, i, (double)scratch[i], (double)wanted[i]);
    return NULL;
}

/* ---- norm -------------------------------------------------------------------------------------------------------- */

static guard_buffer source_heads(const trial *t, int dtype)
{
    const guard_buffer b = open_heads(t, dtype);
    for (ptrdiff_t h = 0; h < t->heads; h++)
        for (ptrdiff_t c = 0; c < t->channels; c++)
            format_store(dtype, b.data + h * head_step(t, dtype) + c * element_bytes(dtype),
                         values_number(t->values, dtype));
    return b;
}

static const char *judge_sums(const trial *t, int dtype)
{
    const char *wrong = NULL;
    guard_buffer b = source_heads(t, dtype);
    float terms[MOST_CHANNELS];
    const float mean[MOST_HEADS] = { 0.25f, -3.0f, 1e-3f, 7.0f };
    for (int kind = ROPEROT_SUM_VALUES; kind <= ROPEROT_SUM_DEVIATIONS && !wrong; kind++) {
        float sum[MOST_HEADS] = { 0 };
        t->kernels->sum[dtype - 1](sum, b.data, head_step(t, dtype), t->heads, t->channels, kind, mean);
        for (ptrdiff_t h = 0; h < t->heads && !wrong; h++) {
            for (ptrdiff_t c = 0; c < t->channels; c++) {
                const float x = value_of(dtype, b.data + h * head_step(t, dtype) + c * element_bytes(dtype));
                const float d = x - mean[h];
                terms[c] = kind == ROPEROT_SUM_VALUES ? x : kind == ROPEROT_SUM_SQUARES ? x * x : d * d;
            }
            const float want = reference_sum(terms, t->channels);
            if (!same(sum[h], want))
                wrong = fail(t, "sum %d of %s: %a, not %a", kind, format_name(dtype), (double)sum[h], (double)want);
        }
    }
    guard_buffer_close(&b);
    return wrong;
}

/* What differs between the calls of a scale kernel. */
typedef struct scale_choice {
    int weight_dtype, weight, bias, mean, offset, rounding, through, per_head;
} scale_choice;

static float scaled(const scale_choice *k, float x, float mean, float r, float w, float b)
{
    float n = k->mean ? x - mean : x;
    n = n * r;
    if (k->rounding == ROPEROT_NORM_ROUND_TWICE) n = rounded(k->through, n);
    if (k->weight) n = n * (k->offset ? 1.0f + w : w);
    if (k->bias) n = n + b;
    return k->rounding == ROPEROT_NORM_ROUND_NONE ? n : rounded(k->through, n);
}

static const char *judge_scale(const trial *t, int dtype, scale_choice k)
{
    static unsigned char weight[4 * MOST_HEADS * MOST_CHANNELS], bias[4 * MOST_HEADS * MOST_CHANNELS];
    guard_buffer b = source_heads(t, dtype);
    const float mean[MOST_HEADS] = { 0.25f, -3.0f, 1e-3f, 7.0f }, r[MOST_HEADS] = { 0.7f, 1.3f, 3e-3f, 11.0f };
    const ptrdiff_t size = element_bytes(k.weight_dtype), weight_head = k.per_head ? t->channels * size : 0;
    if (dtype != ROPEROT_F32) k.through = dtype;
    for (ptrdiff_t i = 0; i < t->heads * t->channels; i++) {
        format_store(k.weight_dtype, weight + i * size, values_number(VALUES_NORMAL, k.weight_dtype));
        format_store(k.weight_dtype, bias + i * size, values_number(VALUES_NORMAL, k.weight_dtype));
    }
    fill_scratch(t);
    const roperot_scaling_of_heads s = { scratch,
                                         t->pitch,
                                         b.data,
                                         head_step(t, dtype),
                                         t->heads,
                                         t->channels,
                                         k.mean ? mean : NULL,
                                         r,
                                         k.weight ? weight : NULL,
                                         k.bias ? bias : NULL,
                                         weight_head,
                                         k.weight_dtype,
                                         k.offset,
                                         k.rounding,
                                         k.through };
    t->kernels->scale[dtype - 1](&s);
    for (ptrdiff_t h = 0; h < t->heads; h++)
        for (ptrdiff_t c = 0; c < t->channels; c++)
            wanted[h * t->pitch + c] =
                scaled(&k, value_of(dtype, b.data + h * head_step(t, dtype) + c * element_bytes(dtype)), mean[h], r[h],
                       value_of(k.weight_dtype, weight + h * weight_head + c * size),
                       value_of(k.weight_dtype, bias + h * weight_head + c * size));
    guard_buffer_close(&b);
    return compare_scratch(t, "scale");
}

/* ---- norm into the same dtype ------------------------------------------------------------------------------------ */

/* r of head h, as the recipe makes it. */
static float factor_wanted(const trial *t, const roperot_norm_of_heads *n, int dtype, ptrdiff_t h)
{
    const unsigned char *const head = (const unsigned char *)n->src + h * n->src_head;
    float terms[MOST_CHANNELS];
    for (ptrdiff_t c = 0; c < t->channels; c++) {
        const float x = value_of(dtype, head + c * element_bytes(dtype));
        terms[c] = x * x;
    }
    return 1.0f / sqrtf(reference_sum(terms, t->channels) / (float)t->channels + n->epsilon);
}

/* A first head whose sum is that of one lane: after about 1 it adds half a unit in the last place and then 1 1/8, again
 * and again, which gives another sum than 1 1/8 and then 1/2. Weights of f32 put the products half-way between two
 * numbers of a 16-bit dtype, or next to that, so that the last bit of r decides how they are rounded. */
static void sharpen(const trial *t, const roperot_norm_of_heads *n, int dtype, unsigned char *head, float *weight,
                    unsigned char *given)
{
    const ptrdiff_t size = element_bytes(dtype), lane = (ptrdiff_t)random_below(16);
    for (ptrdiff_t c = 0; c < t->channels; c++) {
        const ptrdiff_t i = c / 16;
        const double added = i == 0 ? 1 + random_below(50) / 128.0 : i == 1 ? 0x1p-24 : i % 2 ? 0x1.8p-12 : 0x1p-12;
        format_store(dtype, head + c * size, oracle_round(dtype, c % 16 == lane ? added : 0x1p-24));
    }
    const float r = factor_wanted(t, n, dtype, 0), step = dtype == ROPEROT_BF16 ? 0x1p-8f : 0x1p-11f;
    for (ptrdiff_t c = 0; c < t->channels; c++) {
        const float first = value_of(dtype, head + c * size) * r;
        weight[c] = (1.0f + step * (float)(1 + 2 * random_below(64))) / first;
        format_store(ROPEROT_F32, given + c * (ptrdiff_t)sizeof(float), format_bits(weight[c]));
    }
}

static void norm_wanted(const trial *t, const roperot_norm_of_heads *n, int dtype, const float *weight,
                        unsigned char *dst)
{
    const ptrdiff_t size = element_bytes(dtype);
    for (ptrdiff_t h = 0; h < n->heads; h++) {
        const float r = factor_wanted(t, n, dtype, h);
        for (ptrdiff_t c = 0; c < t->channels; c++) {
            const float first = value_of(dtype, (const unsigned char *)n->src + h * n->src_head + c * size) * r;
            const float y = (n->rounding == ROPEROT_NORM_ROUND_TWICE ? rounded(dtype, first) : first) * weight[c];
            format_store(dtype, dst + h * n->dst_head + c * size, oracle_round(dtype, (double)y));
        }
    }
}

/* The pairs of the normed heads, each operation rounded to f32. */
static void turn_wanted(const roperot_norm_of_heads *n, int dtype, unsigned char *dst)
{
    const ptrdiff_t size = element_bytes(dtype);
    for (ptrdiff_t i = 0; i < n->heads * n->pairs; i++) {
        const ptrdiff_t j = i % n->pairs;
        unsigned char *const x = dst + i / n->pairs * n->dst_head + (n->first + j) * size;
        unsigned char *const y = x + n->pairs * size;
        const float a = value_of(dtype, x), b = value_of(dtype, y), c = n->cos[j], s = n->sin[j];
        const float ac = a * c, bs = b * s, as = a * s, bc = b * c;
        format_store(dtype, x, oracle_round(dtype, (double)(ac - bs)));
        format_store(dtype, y, oracle_round(dtype, (double)(as + bc)));
    }
}

static uint32_t number_of(int dtype, int exponent)
{
    const double mantissa = 1.0 + random_below(2) * (random_below(128) / 128.0);
    return oracle_round(dtype, ldexp(random_below(2) ? mantissa : -mantissa, exponent));
}

/* In a binade or a neighbour of it; exponents are those at which kernels turn to another way. */
static uint32_t number_about(int dtype, int exponent)
{
    return number_of(dtype, exponent - 1 + (int)random_below(3));
}

/* One of `count` numbers, `step` bytes apart, is about the least or the largest exponent, or near the end of what f32
 * has, or any special value; or two, which may be a pair, are denormal or nearly so, as results then are. */
static void spoil(int dtype, unsigned char *numbers, ptrdiff_t step, ptrdiff_t count, int least, int largest)
{
    const ptrdiff_t index = (ptrdiff_t)random_below((uint32_t)count);
    unsigned char *const one = numbers + index * step, *const other = numbers + (index + count / 2) % count * step;
    switch (random_below(6)) {
    case 0: format_store(dtype, one, number_about(dtype, least)); return;
    case 1: format_store(dtype, one, number_about(dtype, largest)); return;
    case 2:
        format_store(dtype, one, number_of(dtype, -132 + (int)random_below(8)));
        format_store(dtype, other, number_of(dtype, -132 + (int)random_below(8)));
        return;
    case 3: format_store(dtype, one, values_number(VALUES_SPECIAL, dtype)); return;
    case 4: format_store(dtype, one, number_of(dtype, 108 + (int)random_below(20))); return;
    default: return;
    }
}

/* 0, or so far down that results become denormal where the other numbers are the least that an extension takes. */
static int depth(void)
{
    return random_below(2) ? 0 : 20 + (int)random_below(16);
}

/* All numbers in a binade or the one above. */
static void shrink(int dtype, unsigned char *numbers, ptrdiff_t step, ptrdiff_t count, int exponent)
{
    for (ptrdiff_t i = 0; i < count; i++)
        format_store(dtype, numbers + i * step, number_of(dtype, exponent + (int)random_below(2)));
}

/* Some pairs to rotate, or none, where the kernel does it. */
static void choose_pairs(const trial *t, const roperot_turned_norm *turned, int is_small, roperot_norm_of_heads *n)
{
    static float cos[MOST_CHANNELS], sin[MOST_CHANNELS];
    const ptrdiff_t unit = turned->multiple, channels = t->channels;
    n->pairs = 0;
    if (unit == 0 || channels < 2 * unit || random_below(3) == 0) return;
    if (turned->is_whole && channels % (2 * unit)) return;
    n->pairs = unit * (1 + (ptrdiff_t)random_below((uint32_t)(channels / (2 * unit))));
    if (turned->is_whole) n->pairs = channels / 2;
    n->first = unit * (ptrdiff_t)random_below((uint32_t)((channels - 2 * n->pairs) / unit) + 1);
    for (ptrdiff_t j = 0; j < n->pairs; j++) {
        cos[j] = format_float(values_number(VALUES_NORMAL, ROPEROT_F32));
        sin[j] = format_float(values_number(VALUES_NORMAL, ROPEROT_F32));
    }
    if (!is_small) {
        float *const odd = random_below(2) ? cos : sin;
        spoil(ROPEROT_F32, (unsigned char *)odd, sizeof *odd, n->pairs, -46, 46);
        /* What is wrong with the one shows. */
        if (random_below(4) == 0) memset(odd == cos ? sin : cos, 0, (size_t)n->pairs * sizeof *odd);
        const ptrdiff_t lost = (ptrdiff_t)random_below((uint32_t)n->pairs);
        if (random_below(8) == 0) cos[lost] = sin[lost] = 0.0f; /* results are zeros with signs */
    } else {
        const int exponent = -46 - depth();
        shrink(ROPEROT_F32, (unsigned char *)cos, sizeof *cos, n->pairs, exponent);
        shrink(ROPEROT_F32, (unsigned char *)sin, sizeof *sin, n->pairs, exponent);
    }
    n->cos = cos;
    n->sin = sin;
}

/* A kernel may refuse weights that are not finite, that of an extension also those beyond its limits. */
static int may_refuse(const float *weight, ptrdiff_t channels, int is_extension)
{
    for (ptrdiff_t c = 0; c < channels; c++) {
        const float magnitude = fabsf(weight[c]);
        if (!(magnitude <= FLT_MAX)) return 1;
        if (is_extension && !(magnitude >= 0x1p-16f && magnitude <= 0x1p56f)) return 1;
    }
    return 0;
}

/* Heads and weights at the limits of what an extension takes: all of them, or one or two. */
static void find_limits(const trial *t, int dtype, const guard_buffer *src, int weight_dtype, unsigned char *weight,
                        int is_small)
{
    const ptrdiff_t size = element_bytes(dtype), step = head_step(t, dtype), weight_size = element_bytes(weight_dtype);
    if (!is_small) {
        spoil(dtype, src->data + (ptrdiff_t)random_below((uint32_t)t->heads) * step, size, t->channels, -24, 60);
        spoil(weight_dtype, weight, weight_size, t->channels, -16, 56);
        if (random_below(4) == 0) memset(src->data, 0, (size_t)(t->channels * size)); /* a head */
        return;
    }
    for (ptrdiff_t h = 0; h < t->heads; h++) {
        unsigned char *const head = src->data + h * step;
        shrink(dtype, head, size, t->channels, -24 - depth());
        format_store(dtype, head, number_of(dtype, 18 + depth())); /* so that r is small, too */
    }
    shrink(weight_dtype, weight, weight_size, t->channels, -16 - depth());
}

static void norm_some(roperot_norm_fn *norm, roperot_norm_of_heads n, ptrdiff_t first, ptrdiff_t count)
{
    n.src = (const char *)n.src + first * n.src_head;
    n.dst = (char *)n.dst + first * n.dst_head;
    n.heads = count;
    n.next = NULL;
    if (count > 0) norm(&n);
}

/* All heads in calls that keep r for each other. The first one is told with which head the second may begin, and how
 * many there are: fewer, at times, or the second begins one head later. */
static void norm_in_calls(roperot_norm_fn *norm, const roperot_norm_of_heads *whole)
{
    roperot_norm_kept kept = { .src = NULL };
    roperot_norm_of_heads n = *whole;
    n.heads = 1 + (ptrdiff_t)random_below((uint32_t)whole->heads);
    const ptrdiff_t left = whole->heads - n.heads, omitted = left > 1 ? (ptrdiff_t)random_below(2) : 0;
    n.kept = &kept;
    n.next = left > 0 ? (const char *)n.src + n.heads * n.src_head : NULL;
    n.next_heads = left > 0 ? left - (ptrdiff_t)random_below(2) * (ptrdiff_t)random_below((uint32_t)left) : 0;
    norm(&n);
    norm_some(norm, n, n.heads + omitted, left - omitted);
    norm_some(norm, n, n.heads, omitted);
}

static const char *first_difference(const trial *t, int dtype, int rounding, const unsigned char *got,
                                    const unsigned char *want)
{
    for (ptrdiff_t i = 0; i < t->heads * t->channels; i++) {
        const ptrdiff_t at = i / t->channels * head_step(t, dtype) + i % t->channels * element_bytes(dtype);
        if (!format_same(dtype, format_load(dtype, got + at), format_load(dtype, want + at)))
            return fail(t, "norm of %s, rounding %d, head %td, channel %td", format_name(dtype), rounding,
                        i / t->channels, i % t->channels);
    }
    return NULL;
}

/* More heads than a kernel takes at once; out of place, then in place. */
static const char *judge_norm_same(const trial *few, int dtype, int weight_dtype, int rounding,
                                   const roperot_turned_norm *kernel)
{
    const int is_extension = kernel->norm != few->kernels->norm[dtype - 1];
    static _Alignas(64) float kept[MOST_CHANNELS];
    static unsigned char given[4 * MOST_CHANNELS];
    static float weight[MOST_CHANNELS];
    const trial t = { few->kernels,
                      1 + (ptrdiff_t)random_below(19),
                      few->channels,
                      few->pitch,
                      random_below(2) ? VALUES_NORMAL : few->values,
                      few->end };
    const int has_weight = random_below(4) != 0, offset = has_weight && random_below(2);
    const int can_be_sharp = weight_dtype == ROPEROT_F32 && dtype != ROPEROT_F32 && has_weight && !offset;
    const int is_sharp = can_be_sharp && random_below(2), is_small = is_extension && !is_sharp && random_below(2);
    guard_buffer src = source_heads(&t, dtype), got = open_heads(&t, dtype), want = open_heads(&t, dtype);
    const char *wrong = NULL;
    memcpy(want.data, got.data, got.bytes);
    for (ptrdiff_t c = 0; c < t.channels; c++) {
        unsigned char *const w = given + c * element_bytes(weight_dtype);
        format_store(weight_dtype, w, values_number(VALUES_NORMAL, weight_dtype));
    }
    if (is_extension && !is_sharp) find_limits(&t, dtype, &src, weight_dtype, given, is_small);
    for (ptrdiff_t c = 0; c < t.channels; c++) {
        const unsigned char *const w = given + c * element_bytes(weight_dtype);
        weight[c] = !has_weight ? 1.0f : offset ? 1.0f + value_of(weight_dtype, w) : value_of(weight_dtype, w);
    }
    roperot_norm_of_heads n = { .src = src.data,
                                .dst = got.data,
                                .src_head = head_step(&t, dtype),
                                .dst_head = head_step(&t, dtype),
                                .heads = t.heads,
                                .channels = t.channels,
                                .weight = kept,
                                .epsilon = random_below(3) ? 1e-6f : 0.0f,
                                .rounding = rounding,
                                .ahead = random_below(2) ? 4096 : 0 };
    if (is_sharp) sharpen(&t, &n, dtype, src.data, weight, given);
    choose_pairs(&t, kernel, is_small, &n);
    norm_wanted(&t, &n, dtype, weight, want.data);
    turn_wanted(&n, dtype, want.data);
    roperot_norm_weights_fn *const make = kernel->weights ? kernel->weights : t.kernels->norm_weights[dtype - 1];
    const int taken = make(kept, has_weight ? given : NULL, weight_dtype, offset, t.channels);
    if (!taken && !may_refuse(weight, t.channels, is_extension))
        wrong = fail(&t, "norm of %s: weights are refused", format_name(dtype));
    for (int in_place = 0; in_place < 2 && taken && !wrong; in_place++) {
        if (in_place) memcpy(got.data, src.data, got.bytes), n.src = got.data;
        if (random_below(2))
            norm_in_calls(kernel->norm, &n);
        else
            kernel->norm(&n);
        wrong = first_difference(&t, dtype, rounding, got.data, want.data);
        if (!wrong && !guard_buffer_intact(&got)) wrong = fail(&t, "norm: a canary was overwritten");
    }
    guard_buffer_close(&src);
    guard_buffer_close(&got);
    guard_buffer_close(&want);
    return wrong;
}

/* The norm, alone and with the rotation; those of extensions, too, where this CPU has what they need. */
static const char *judge_norms_same(const trial *t, int dtype, int weight_dtype, int rounding)
{
    const roperot_head_kernels *const k = t->kernels;
    const roperot_turned_norm alone = { .norm = k->norm[dtype - 1] };
    const roperot_turned_norm *const own = &k->turned[dtype - 1];
    const char *wrong = judge_norm_same(t, dtype, weight_dtype, rounding, &alone);
    if (!wrong && own->norm) wrong = judge_norm_same(t, dtype, weight_dtype, rounding, own);
    for (const roperot_head_extension *e = k->extension; e && rounding == ROPEROT_NORM_ROUND_ONCE; e = e->next) {
        if (e->dtype != dtype - 1 || !roperot_cpu_has(e->feature)) continue;
        for (int i = 0; i < 32 && !wrong; i++) wrong = judge_norm_same(t, dtype, weight_dtype, rounding, &e->turned);
    }
    return wrong;
}

static const char *judge_norm(const trial *t, int dtype)
{
    const char *wrong = judge_sums(t, dtype);
    for (int w = ROPEROT_F32; w < ROPEROT_DTYPE_END && !wrong; w++)
        for (int rounding = 0; rounding < 3 && !wrong; rounding++) {
            const int through = ROPEROT_F32 + (int)random_below(ROPEROT_DTYPES);
            wrong = judge_scale(t, dtype, (scale_choice){ w, 1, 0, 0, 0, rounding, through, random_below(2) });
            const scale_choice any = { w,       random_below(4) != 0, random_below(2), random_below(2), 0, rounding,
                                       through, random_below(2) };
            if (!wrong) wrong = judge_scale(t, dtype, any);
            if (!wrong) wrong = judge_scale(t, dtype, (scale_choice){ w, 1, 0, 0, 1, rounding, through, 0 });
            if (!wrong && t->kernels->norm[dtype - 1] && t->channels % 32 == 0 && rounding)
                wrong = judge_norms_same(t, dtype, w, rounding);
        }
    return wrong;
}

/* ---- load and store ---------------------------------------------------------------------------------------------- */

static float loaded(int dtype, const unsigned char *head, ptrdiff_t c, float scale)
{
    if (dtype == ROPEROT_E4M3) return reference_e4m3_value(head[c]) * scale;
    if (dtype == ROPEROT_I8) return (float)(int8_t)head[c] * scale;
    if (dtype != ROPEROT_Q8_0) return value_of(dtype, head + c * element_bytes(dtype));
    const unsigned char *const block = head + c / 32 * 34;
    return value_of(ROPEROT_F16, block) * (float)(int8_t)block[2 + c % 32];
}

static const char *judge_load(const trial *t, int dtype)
{
    const float scale[MOST_HEADS] = { 0.01f, 3.0f, 0.3f, 1.0f };
    guard_buffer b = open_heads(t, dtype);
    for (size_t i = 0; i < b.bytes; i++) b.data[i] = (unsigned char)random_below(256);
    fill_scratch(t);
    t->kernels->load[dtype - 1](scratch, t->pitch, b.data, head_step(t, dtype), t->heads, t->channels, scale);
    for (ptrdiff_t h = 0; h < t->heads; h++)
        for (ptrdiff_t c = 0; c < t->channels; c++)
            wanted[h * t->pitch + c] = loaded(dtype, b.data + h * head_step(t, dtype), c, scale[h]);
    guard_buffer_close(&b);
    return compare_scratch(t, "load");
}

static void store_wanted(const trial *t, int dtype, unsigned char *head, const float *x, float inverse)
{
    for (ptrdiff_t c = 0; c < t->channels; c++) {
        if (dtype == ROPEROT_E4M3)
            head[c] = reference_e4m3(x[c] * inverse);
        else if (dtype == ROPEROT_I8)
            head[c] = (unsigned char)reference_i8(x[c] * inverse);
        else if (dtype == ROPEROT_F32)
            format_store(dtype, head + c * 4, format_bits(x[c]));
        else if (dtype != ROPEROT_Q8_0)
            format_store(dtype, head + c * 2, oracle_round(dtype, (double)x[c]));
        else if (c % 32 == 0)
            reference_q8_0(x + c, head + c / 32 * 34);
    }
}

/* Numbers at, just below and just above the middle of two codes, and beyond the last one. */
static float between_codes(void)
{
    const double hair = random_below(3) ? 1.0 : random_below(2) ? 1.0 + 0x1p-23 : 1.0 - 0x1p-24;
    const double sign = random_below(2) ? 1.0 : -1.0, half = random_below(4) ? 0.5 : 0.0;
    switch (random_below(3)) {
    case 0: return (float)(sign * hair * ((double)random_below(10) + half) * 0x1p-9);              /* subnormal e4m3 */
    case 1: return (float)(sign * hair * (8.0 + random_below(8) + half) * (1 << random_below(6))); /* 8 .. 512 */
    default: return (float)(sign * hair * ((double)random_below(130) + half));
    }
}

/* Half of the calls: such numbers, and 127 in every block of 32, so that q8_0 has a scale of 1. */
static void fill_between_codes(const trial *t)
{
    for (ptrdiff_t h = 0; h < t->heads; h++)
        for (ptrdiff_t c = 0; c < t->channels; c++) {
            const float x = between_codes();
            scratch[h * t->pitch + c] = c % 32 == 0 ? 127.0f : fabsf(x) > 127 && t->values ? 0.5f : x;
        }
    memcpy(wanted, scratch, sizeof wanted);
}

/* The scratch in memory of another dtype, and what it is there. */
static guard_buffer scratch_as(const trial *t, int dtype)
{
    const guard_buffer b = open_heads(t, dtype);
    for (ptrdiff_t h = 0; h < t->heads; h++)
        for (ptrdiff_t c = 0; c < t->channels; c++) {
            unsigned char *const p = b.data + h * head_step(t, dtype) + c * element_bytes(dtype);
            float *const x = &scratch[h * t->pitch + c];
            format_store(dtype, p, dtype == ROPEROT_F32 ? format_bits(*x) : oracle_round(dtype, (double)*x));
            *x = value_of(dtype, p);
        }
    return b;
}

/* Codes are made of any dtype of tensors, the rest of f32. */
static int source_of(int dtype)
{
    return roperot_is_tensor_dtype(dtype) ? ROPEROT_F32 : ROPEROT_F32 + (int)random_below(ROPEROT_DTYPES);
}

static const char *judge_store(const trial *t, int dtype)
{
    const float inverse[MOST_HEADS] = { 1.0f, 30.0f, 0.3f, 7.5f };
    const int from = source_of(dtype);
    guard_buffer got = open_heads(t, dtype), want = open_heads(t, dtype);
    const size_t size = roperot_is_tensor_dtype(dtype) ? format_bytes(dtype) : 1;
    const char *wrong = NULL;
    fill_scratch(t);
    if (random_below(2)) fill_between_codes(t);
    if (random_below(4) == 0) scratch[random_below((uint32_t)t->channels)] = NAN; /* mostly the only one */
    guard_buffer source = scratch_as(t, from);
    memcpy(want.data, got.data, got.bytes);
    t->kernels->store[dtype - 1](got.data, head_step(t, dtype), source.data, head_step(t, from), from, t->heads,
                                 t->channels, inverse);
    for (ptrdiff_t h = 0; h < t->heads; h++)
        store_wanted(t, dtype, want.data + h * head_step(t, dtype), scratch + h * t->pitch, inverse[h]);
    for (size_t i = 0; i + size <= got.bytes && !wrong; i += size) {
        const unsigned char *const g = got.data + i, *const w = want.data + i;
        const int equal = size > 1 ? format_same(dtype, format_load(dtype, g), format_load(dtype, w)) : *g == *w;
        if (!equal) wrong = fail(t, "store of %d as %d: byte %zu is 0x%x, not 0x%x", from, dtype, i, *g, *w);
    }
    if (!wrong && !guard_buffer_intact(&got)) wrong = fail(t, "store as %d: a canary was overwritten", dtype);
    guard_buffer_close(&source);
    guard_buffer_close(&got);
    guard_buffer_close(&want);
    return wrong;
}

static const char *judge_amax(const trial *t, int dtype)
{
    float amax[MOST_HEADS] = { -1, -1, -1, -1 };
    const char *wrong = NULL;
    fill_scratch(t);
    guard_buffer source = scratch_as(t, dtype);
    t->kernels->amax(amax, source.data, head_step(t, dtype), dtype, t->heads, t->channels);
    for (ptrdiff_t h = 0; h < t->heads && !wrong; h++) {
        float want = 0;
        for (ptrdiff_t c = 0; c < t->channels; c++) {
            const float magnitude = fabsf(scratch[h * t->pitch + c]);
            if (magnitude > want) want = magnitude;
        }
        if (!same(amax[h], want))
            wrong = fail(t, "amax of head %td of %d is %a, not %a", h, dtype, (double)amax[h], (double)want);
    }
    guard_buffer_close(&source);
    return wrong;
}

/* ---- everything -------------------------------------------------------------------------------------------------- */

static const char *judge(const trial *t)
{
    const char *wrong = NULL;
    for (int dtype = ROPEROT_F32; dtype < ROPEROT_DTYPE_END && !wrong; dtype++) {
        wrong = judge_norm(t, dtype);
        if (!wrong) wrong = judge_amax(t, dtype);
    }
    for (int dtype = ROPEROT_F32; dtype < ROPEROT_FORMAT_END && !wrong; dtype++) {
        if (dtype == ROPEROT_Q8_0 && t->channels % 32) continue;
        wrong = judge_load(t, dtype);
        if (!wrong) wrong = judge_store(t, dtype);
    }
    return wrong;
}

static const char *judge_channels(const roperot_head_kernels *kernels, ptrdiff_t channels)
{
    const char *wrong = NULL;
    for (int values = 0; values < VALUES_KINDS - 1 && !wrong; values++) {
        const trial t = { kernels, 1 + (ptrdiff_t)random_below(MOST_HEADS), channels, (channels + 15) / 16 * 16,
                          values,  random_below(2) ? GUARD_HIGH : GUARD_LOW };
        wrong = judge(&t);
    }
    return wrong;
}

const char *heads_trial(const roperot_head_kernels *kernels)
{
    static const ptrdiff_t more[] = { 64, 80, 96, 112, 127, 128, 130, 160, 192, 256, 512 };
    const char *wrong = NULL;
    for (ptrdiff_t channels = 1; channels < 51 && !wrong; channels += harness_quick() > 1 ? 3 : 1)
        wrong = judge_channels(kernels, channels);
    for (size_t i = 0; i < sizeof more / sizeof *more && !wrong; i++) wrong = judge_channels(kernels, more[i]);
    return wrong;
}
