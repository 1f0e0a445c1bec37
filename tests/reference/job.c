/* SPDX-License-Identifier: MIT
 * What one job of roperot_run must do: the chain of its parts, one element at a time in literal f32 and double; it must
 * not share code with src/ or simd/. */
#include "reference/job.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lists.h"
#include "reference/oracle.h"
#include "support/formats.h"
#include "support/views.h"

_Static_assert(FLT_EVAL_METHOD == 0, "every float operation rounds to float");

static float through(int dtype, float x)
{
    return dtype == ROPEROT_F32 ? x : (float)oracle_value(dtype, oracle_round(dtype, (double)x));
}

static float value_at(int dtype, const void *p)
{
    return dtype == ROPEROT_F32 ? format_float(format_load(dtype, p))
                                : (float)oracle_value(dtype, format_load(dtype, p));
}

/* ---- norm -------------------------------------------------------------------------------------------------------- */

float reference_sum(const float *terms, int64_t n)
{
    float lane[16] = { 0 };
    for (int64_t i = 0; i < n; i++) lane[i % 16] += terms[i];
    for (int i = 0; i < 8; i++) lane[i] += lane[i + 8];
    for (int i = 0; i < 4; i++) lane[i] += lane[i + 4];
    for (int i = 0; i < 2; i++) lane[i] += lane[i + 2];
    return lane[0] + lane[1];
}

/* One sum per head, added in the order of heads. */
static float sum_of(const float *x, int64_t heads, int64_t dim, int squares, float mean)
{
    float *const terms = malloc(sizeof *terms * (size_t)dim), total = 0;
    float all = total;
    for (int64_t h = 0; h < heads; h++) {
        for (int64_t c = 0; c < dim; c++) {
            const float value = x[h * dim + c] - mean;
            terms[c] = squares ? value * value : x[h * dim + c];
        }
        const float sum = reference_sum(terms, dim);
        all = h == 0 ? 0.0f + sum : all + sum;
    }
    free(terms);
    return all;
}

static float weight_at(const roperot_norm *n, const void *values, int64_t i)
{
    return value_at(n->weight_dtype, (const unsigned char *)values + i * (int64_t)format_bytes(n->weight_dtype));
}

void reference_norm(const roperot_norm *n, int dtype, float *x, int64_t heads, int64_t dim)
{
    const int all = (n->flags & ROPEROT_NORM_ALL_HEADS) != 0;
    const int64_t group = all ? heads : 1;
    for (int64_t first = 0; first < heads; first += group) {
        float *const own = x + first * dim, count = (float)(group * dim);
        const float mean = n->kind == ROPEROT_NORM_LAYER ? sum_of(own, group, dim, 0, 0) / count : 0;
        const float r = 1.0f / sqrtf(sum_of(own, group, dim, 1, mean) / count + (float)n->epsilon);
        for (int64_t i = 0; i < group * dim; i++) {
            float y = own[i];
            if (n->kind == ROPEROT_NORM_LAYER) y = y - mean;
            y = y * r;
            if (n->rounding == ROPEROT_NORM_ROUND_TWICE) y = through(dtype, y);
            if (n->weight) {
                const float w = weight_at(n, n->weight, all ? i : i % dim);
                y = y * (n->flags & ROPEROT_NORM_UNIT_OFFSET ? 1.0f + w : w);
            }
            if (n->bias) y = y + weight_at(n, n->bias, all ? i : i % dim);
            own[i] = n->rounding == ROPEROT_NORM_ROUND_NONE ? y : through(dtype, y);
        }
    }
}

/* ---- codes ------------------------------------------------------------------------------------------------------- */

float reference_e4m3_value(uint8_t code)
{
    const int exponent = code >> 3 & 15, mantissa = code & 7;
    if ((code & 0x7f) == 0x7f) return NAN;
    const double magnitude = exponent ? ldexp(8 + mantissa, exponent - 10) : ldexp(mantissa, -9);
    return (float)(code & 0x80 ? -magnitude : magnitude);
}

uint8_t reference_e4m3(float x)
{
    if (isnan(x)) return 0x7f;
    const double magnitude = fabs((double)x);
    uint8_t best = 0;
    for (uint8_t code = 1; code < 0x7f; code++) {
        const double near = fabs(magnitude - (double)reference_e4m3_value(best)),
                     next = fabs(magnitude - (double)reference_e4m3_value(code));
        if (magnitude > 448 ? 1 : next < near || (next == near && code % 2 == 0))
            best = code;
        else
            break;
    }
    return (uint8_t)(best | (signbit(x) ? 0x80 : 0));
}

int8_t reference_i8(float x)
{
    if (isnan(x)) return 0;
    if (x >= 127) return 127;
    if (x <= -127) return -127;
    const double below = floor((double)x), rest = (double)x - below;
    return (int8_t)(below + (rest > 0.5 || (rest == 0.5 && fmod(below, 2) != 0)));
}

void reference_q8_0(const float *x, unsigned char *block)
{
    float amax = 0;
    for (int i = 0; i < 32; i++) amax = fabsf(x[i]) > amax ? fabsf(x[i]) : amax;
    const float d = amax / 127, inverse = 1 / d;
    format_store(ROPEROT_F16, block, oracle_round(ROPEROT_F16, (double)d));
    for (int i = 0; i < 32; i++) {
        const float scaled = x[i] * (inverse <= FLT_MAX ? inverse : 0);
        block[2 + i] = (unsigned char)(int8_t)(isnan(scaled) ? 0 : roundf(scaled));
    }
}

/* ---- pages ------------------------------------------------------------------------------------------------------- */

static int64_t element_bytes(int dtype)
{
    return dtype == ROPEROT_Q8_0 || dtype == ROPEROT_E4M3 || dtype == ROPEROT_I8 ? 1 : (int64_t)format_bytes(dtype);
}

/* The nested arrays of the tiles, written out: n tokens, d channels; o the token, c the channel. */
static int64_t in_tile(const roperot_pages *p, int64_t d, int64_t o, int64_t c)
{
    const int64_t n = p->page_tokens, x = 16 / element_bytes(p->dtype);
    switch (p->tile) {
    case ROPEROT_PAGES_AMX_K: return ((o / 16 * (d / 2) + c / 2) * 16 + o % 16) * 2 + c % 2;
    case ROPEROT_PAGES_AMX_V: return ((c / 16 * (n / 2) + o / 2) * 16 + c % 16) * 2 + o % 2;
    case ROPEROT_PAGES_BFMMLA_K: return (((o / 8 * (d / 4) + c / 4) * 4 + o % 8 / 2) * 2 + o % 2) * 4 + c % 4;
    case ROPEROT_PAGES_BFMMLA_V: return ((c / 2 * (n / 4) + o / 4) * 2 + c % 2) * 4 + o % 4;
    case ROPEROT_PAGES_CHUNKED: return (c / x * n + o) * x + c % x;
    default: return o * p->token_stride + (p->dtype == ROPEROT_Q8_0 ? 0 : c * p->channel_stride);
    }
}

unsigned char *reference_page_at(const roperot_pages *p, int64_t dim, int64_t slot, int64_t head, int64_t channel)
{
    const int64_t page = slot / p->page_tokens, o = slot % p->page_tokens;
    return (unsigned char *)p->data +
           element_bytes(p->dtype) * (page * p->page_stride + head * p->head_stride + in_tile(p, dim, o, channel));
}

static float *scale_at(const roperot_pages *p, int64_t slot, int64_t head)
{
    const int64_t page = slot / p->page_tokens, o = slot % p->page_tokens;
    if (!p->scale) return NULL;
    if (p->scaling == ROPEROT_SCALE_STATIC) return p->scale + head * p->scale_head_stride;
    return p->scale + page * p->scale_page_stride + o * p->scale_token_stride + head * p->scale_head_stride;
}

static int64_t slot_of(const roperot_pages *p, int64_t b, int64_t t)
{
    const int64_t i = b * p->slot_batch_stride + t * p->slot_token_stride;
    return p->slot_type == 1 ? ((const int32_t *)p->slots)[i] : ((const int64_t *)p->slots)[i];
}

static void load_head(const roperot_pages *p, int64_t slot, int64_t head, float *x, int64_t dim)
{
    const float *const one = scale_at(p, slot, head);
    for (int64_t c = 0; c < dim; c++) {
        const unsigned char *const at = reference_page_at(p, dim, slot, head, c);
        if (p->dtype == ROPEROT_Q8_0) {
            const unsigned char *const block = at + c / 32 * 34;
            x[c] = value_at(ROPEROT_F16, block) * (float)(int8_t)block[2 + c % 32];
        } else if (p->dtype == ROPEROT_E4M3) {
            x[c] = reference_e4m3_value(*at) * (one ? *one : 1);
        } else if (p->dtype == ROPEROT_I8) {
            x[c] = (float)(int8_t)*at * (one ? *one : 1);
        } else {
            x[c] = value_at(p->dtype, at);
        }
    }
}

static float inverse_scale(const roperot_pages *p, int64_t slot, int64_t head, const float *x, int64_t dim)
{
    float *const one = scale_at(p, slot, head), amax = 0;
    float most = amax;
    for (int64_t c = 0; c < dim; c++) most = fabsf(x[c]) > most ? fabsf(x[c]) : most;
    if (p->scaling == ROPEROT_SCALE_DYNAMIC) {
        const float scale = most / (p->dtype == ROPEROT_E4M3 ? 448.0f : 127.0f);
        *one = scale > p->scale_floor ? scale : p->scale_floor;
    }
    const float inverse = one ? 1 / *one : 1;
    return inverse <= FLT_MAX ? inverse : 0;
}

static void store_head(const roperot_pages *p, int64_t slot, int64_t head, const float *x, int64_t dim)
{
    const int scaled = p->dtype == ROPEROT_E4M3 || p->dtype == ROPEROT_I8;
    const float inverse = scaled ? inverse_scale(p, slot, head, x, dim) : 1;
    for (int64_t c = 0; c < dim; c++) {
        unsigned char *const at = reference_page_at(p, dim, slot, head, c);
        if (p->dtype == ROPEROT_E4M3)
            *at = reference_e4m3(x[c] * inverse);
        else if (p->dtype == ROPEROT_I8)
            *at = (unsigned char)reference_i8(x[c] * inverse);
        else if (p->dtype != ROPEROT_Q8_0)
            format_store(p->dtype, at,
                         p->dtype == ROPEROT_F32 ? format_bits(x[c]) : oracle_round(p->dtype, (double)x[c]));
        else if (c % 32 == 0)
            reference_q8_0(x + c, at + c / 32 * 34);
    }
}

/* ---- a job ------------------------------------------------------------------------------------------------------- */

typedef struct scene {
    const reference_call *call;
    const roperot_job *job;
    int64_t batch, tokens, heads, dim;
    int through;
    float *x; /* [batch, tokens, heads, dim] */
} scene;

static int is_run(const scene *s, int64_t b, int64_t t)
{
    const int64_t line = b * s->tokens + t, end = s->call->end ? s->call->end : s->batch * s->tokens;
    if (line < s->call->begin || line >= end) return 0;
    if (s->job->from && slot_of(s->job->from, b, t) < 0) return 0;
    return !(s->job->flags & ROPEROT_JOB_SKIP && s->job->to && slot_of(s->job->to, b, t) < 0);
}

static float *line_of(const scene *s, int64_t b, int64_t t)
{
    return s->x + (b * s->tokens + t) * s->heads * s->dim;
}

static void read_line(const scene *s, int64_t b, int64_t t)
{
    const roperot_job *const j = s->job;
    float *const x = line_of(s, b, t);
    for (int64_t h = 0; h < s->heads; h++) {
        if (j->from) load_head(j->from, slot_of(j->from, b, t), h, x + h * s->dim, s->dim);
        for (int64_t c = 0; c < s->dim && j->src; c++)
            x[h * s->dim + c] = value_at(j->src->dtype, views_at(j->src, b, t, h, c));
    }
}

static void finish_line(const scene *s, int64_t b, int64_t t)
{
    const roperot_job *const j = s->job;
    float *const x = line_of(s, b, t);
    if (j->norm && j->norm->flags & ROPEROT_NORM_AFTER) {
        for (int64_t i = 0; i < s->heads * s->dim && j->norm->rounding; i++) x[i] = through(s->through, x[i]);
        reference_norm(j->norm, s->through, x, s->heads, s->dim);
    }
    for (int64_t i = 0; i < s->heads * s->dim && j->factor; i++)
        x[i] *= j->factor[b * j->factor_batch_stride + t * j->factor_token_stride];
}

static void write_line(const scene *s, int64_t b, int64_t t)
{
    const roperot_job *const j = s->job;
    float *const x = line_of(s, b, t);
    for (int64_t h = 0; h < s->heads && j->dst; h++)
        for (int64_t c = 0; c < s->dim; c++) {
            const float y = x[h * s->dim + c];
            format_store(j->dst->dtype, views_at(j->dst, b, t, h, c),
                         j->dst->dtype == ROPEROT_F32 ? format_bits(y) : oracle_round(j->dst->dtype, (double)y));
        }
    if (!j->to || slot_of(j->to, b, t) < 0) return;
    for (int64_t i = 0; i < s->heads * s->dim; i++)
        if (j->to->dtype >= ROPEROT_E4M3 && !(j->flags & ROPEROT_JOB_UNROUNDED)) x[i] = through(s->through, x[i]);
    for (int64_t h = 0; h < s->heads; h++) store_head(j->to, slot_of(j->to, b, t), h, x + h * s->dim, s->dim);
}

static void rotate_all(const scene *s)
{
    const size_t values = (size_t)(s->batch * s->tokens * s->heads * s->dim);
    float *const from = malloc(sizeof *from * values);
    memcpy(from, s->x, sizeof *from * values);
    const roperot_tensor src = roperot_tensor_bshd(from, ROPEROT_F32, s->batch, s->tokens, s->heads, s->dim),
                         dst = roperot_tensor_bshd(s->x, ROPEROT_F32, s->batch, s->tokens, s->heads, s->dim);
    reference_call call = *s->call;
    call.through = s->through;
    reference_apply(&call, &src, &dst);
    free(from);
}

static void each_line(const scene *s, void (*fn)(const scene *s, int64_t b, int64_t t))
{
    for (int64_t b = 0; b < s->batch; b++)
        for (int64_t t = 0; t < s->tokens; t++)
            if (is_run(s, b, t)) fn(s, b, t);
}

static void norm_line(const scene *s, int64_t b, int64_t t)
{
    reference_norm(s->job->norm, s->through, line_of(s, b, t), s->heads, s->dim);
}

void reference_job(const reference_call *call, const roperot_job *j)
{
    const int64_t own[4] = { j->batch, j->tokens, j->heads, j->dim }, *const shape = j->src ? j->src->shape : own;
    scene s = { call, j, shape[0], shape[1], shape[2], shape[3], ROPEROT_F32, NULL };
    s.through = j->src ? j->src->dtype : roperot_is_tensor_dtype(j->from->dtype) ? j->from->dtype : ROPEROT_F32;
    s.x = calloc((size_t)(shape[0] * shape[1] * shape[2] * shape[3]) + 1, sizeof *s.x);
    each_line(&s, read_line);
    if (j->norm && !(j->norm->flags & ROPEROT_NORM_AFTER)) each_line(&s, norm_line);
    if (!(j->flags & ROPEROT_JOB_UNROTATED)) rotate_all(&s);
    each_line(&s, finish_line);
    each_line(&s, write_line);
    free(s.x);
}
