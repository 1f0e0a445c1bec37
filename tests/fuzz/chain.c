/* SPDX-License-Identifier: MIT
 * What a line of a job must give, as the header words norm, rotation, factor and stores; it must share no code with the
 * library or with the reference of the other tests. */
#include "fuzz/chain.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "fuzz/numbers.h"
#include "fuzz/require.h"

/* One line: its heads side by side, and T. */
typedef struct line {
    const image *m;
    const roperot_job *job;
    int64_t b, t, heads, dim;
    int32_t through;
    float x[8 * CALL_LONG_DIM];
} line;

static float in(int32_t dtype, float x)
{
    return number_widen(dtype, number_narrow(dtype, x));
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

static int64_t offset_of(const image *m, const void *p)
{
    return (const unsigned char *)p - m->c->arena;
}

/* What stood at an address when the call began, in the arena or outside of it. */
static const void *then(const image *m, const void *p)
{
    const int64_t at = offset_of(m, p);
    return at >= 0 && at < m->c->arena_bytes ? m->before + at : p;
}

static int64_t element_of(const roperot_tensor *v, const line *l, int64_t h, int64_t d)
{
    const int64_t at[3] = { l->b, l->t, h };
    int64_t i = d;
    for (int axis = 0; axis < 3; axis++) i += at[axis] ? at[axis] * v->stride[axis] : 0;
    return i * (int64_t)number_bytes(v->dtype);
}

int64_t chain_slot(const roperot_pages *p, int64_t b, int64_t t)
{
    const int64_t i = b * p->slot_batch_stride + t * p->slot_token_stride;
    return p->slot_type == 1 ? ((const int32_t *)p->slots)[i] : ((const int64_t *)p->slots)[i];
}

/* The header's nested arrays, o the token and c the channel. */
static int64_t in_page(const roperot_pages *p, int64_t d, int64_t o, int64_t c)
{
    const int64_t n = p->page_tokens;
    const int64_t x = p->tile == ROPEROT_PAGES_CHUNKED ? 16 / (int64_t)number_bytes(p->dtype) : 1;
    switch (p->tile) {
    case ROPEROT_PAGES_AMX_K: return o / 16 * (16 * d) + c / 2 * 32 + o % 16 * 2 + c % 2;
    case ROPEROT_PAGES_AMX_V: return c / 16 * (16 * n) + o / 2 * 32 + c % 16 * 2 + o % 2;
    case ROPEROT_PAGES_BFMMLA_K: return o / 8 * (8 * d) + c / 4 * 32 + o % 8 / 2 * 8 + o % 2 * 4 + c % 4;
    case ROPEROT_PAGES_BFMMLA_V: return c / 2 * (2 * n) + o / 4 * 8 + c % 2 * 4 + o % 4;
    case ROPEROT_PAGES_CHUNKED: return c / x * (n * x) + o * x + c % x;
    default: return (n > 1 ? o * p->token_stride : 0) + c * p->channel_stride;
    }
}

/* Bytes from data to a channel of a head; of Q8_0 to its block. */
static int64_t page_offset(const roperot_pages *p, const line *l, int64_t slot, int64_t h, int64_t c)
{
    const int64_t page = slot / p->page_tokens, o = slot % p->page_tokens;
    const int64_t around = (page ? page * p->page_stride : 0) + (h ? h * p->head_stride : 0);
    if (p->dtype == ROPEROT_Q8_0) return around + (o ? o * p->token_stride : 0) + c / 32 * 34;
    return (around + in_page(p, l->dim, o, c)) * (int64_t)number_bytes(p->dtype);
}

/* Where the scale of a head lies; NULL: it is 1. */
static float *scale_of(const roperot_pages *p, int64_t slot, int64_t h)
{
    if (!p->scale) return NULL;
    if (p->scaling == ROPEROT_SCALE_STATIC) return p->scale + (h ? h * p->scale_head_stride : 0);
    const int64_t page = slot / p->page_tokens, o = slot % p->page_tokens;
    return p->scale + (page ? page * p->scale_page_stride : 0) + (o ? o * p->scale_token_stride : 0) +
           (h ? h * p->scale_head_stride : 0);
}

static void put(const image *m, const void *at, int32_t dtype, uint32_t bits)
{
    const int64_t i = offset_of(m, at);
    if (dtype <= ROPEROT_BF16) {
        number_write(dtype, m->expected + i, bits);
        m->kind[i] = number_is_nan(dtype, bits) ? (unsigned char)dtype : 0;
    } else {
        m->expected[i] = (unsigned char)bits;
    }
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

static float page_value(const roperot_pages *p, const line *l, int64_t slot, int64_t h, int64_t c)
{
    const unsigned char *const at = then(l->m, (const char *)p->data + page_offset(p, l, slot, h, c));
    const float *const kept = scale_of(p, slot, h);
    float scale = 1;
    if (kept) memcpy(&scale, then(l->m, kept), sizeof scale);
    switch (p->dtype) {
    case ROPEROT_E4M3: return number_from_e4m3(*at) * scale;
    case ROPEROT_I8: return (float)(int8_t)*at * scale;
    case ROPEROT_Q8_0: return (float)(int8_t)at[2 + c % 32] * number_widen(ROPEROT_F16, number_read(ROPEROT_F16, at));
    default: return number_widen(p->dtype, number_read(p->dtype, at));
    }
}

static void read_line(line *l)
{
    const roperot_job *const j = l->job;
    const int64_t slot = j->from ? chain_slot(j->from, l->b, l->t) : 0;
    for (int64_t h = 0; h < l->heads; h++)
        for (int64_t c = 0; c < l->dim; c++) {
            const char *const at = j->src ? (const char *)j->src->data + element_of(j->src, l, h, c) : NULL;
            l->x[h * l->dim + c] = j->src ? number_widen(j->src->dtype, number_read(j->src->dtype, then(l->m, at)))
                                          : page_value(j->from, l, slot, h, c);
        }
}

/* ---- norm: sums in 16 lanes, each operation in double and then rounded ------------------------------------------- */

static float plus(float a, float b)
{
    return (float)((double)a + (double)b);
}

static float times(float a, float b)
{
    return (float)((double)a * (double)b);
}

static float lanes(const float *x, int64_t n, int squares, float mean)
{
    float lane[16] = { 0 };
    for (int64_t c = 0; c < n; c++) {
        const float y = squares ? plus(x[c], -mean) : x[c];
        lane[c % 16] = plus(lane[c % 16], squares ? times(y, y) : y);
    }
    for (int width = 8; width; width /= 2)
        for (int i = 0; i < width; i++) lane[i] = plus(lane[i], lane[i + width]);
    return lane[0];
}

static float all_lanes(const line *l, int64_t first, int64_t heads, int squares, float mean)
{
    float sum = 0;
    for (int64_t h = first; h < first + heads; h++) sum = plus(sum, lanes(l->x + h * l->dim, l->dim, squares, mean));
    return sum;
}

static float given(const roperot_norm *n, const void *values, int64_t i)
{
    const char *const at = (const char *)values + i * (int64_t)number_bytes(n->weight_dtype);
    return number_widen(n->weight_dtype, number_read(n->weight_dtype, at));
}

static float scaled(const line *l, float x, float mean, float r, int64_t i)
{
    const roperot_norm *const n = l->job->norm;
    float y = times(n->kind == ROPEROT_NORM_LAYER ? plus(x, -mean) : x, r);
    if (n->rounding == ROPEROT_NORM_ROUND_TWICE) y = in(l->through, y);
    if (n->weight) {
        const float w = given(n, n->weight, i);
        y = times(y, n->flags & ROPEROT_NORM_UNIT_OFFSET ? plus(1, w) : w);
    }
    if (n->bias) y = plus(y, given(n, n->bias, i));
    return n->rounding ? in(l->through, y) : y;
}

static void norm(line *l)
{
    const roperot_norm *const n = l->job->norm;
    const int64_t group = n->flags & ROPEROT_NORM_ALL_HEADS ? l->heads : 1;
    for (int64_t first = 0; first < l->heads; first += group) {
        const int layer = n->kind == ROPEROT_NORM_LAYER;
        const double count = (double)(group * l->dim);
        const float mean = layer ? (float)((double)all_lanes(l, first, group, 0, 0) / count) : 0;
        const float square = (float)((double)all_lanes(l, first, group, 1, mean) / count);
        const float root = (float)sqrt((double)plus(square, (float)n->epsilon));
        const float r = (float)(1.0 / (double)root);
        for (int64_t i = 0; i < group * l->dim; i++)
            l->x[first * l->dim + i] = scaled(l, l->x[first * l->dim + i], mean, r, i);
    }
}

/* ---- rotation ---------------------------------------------------------------------------------------------------- */

static void rotate(line *l, coefficients *k)
{
    const roperot_config *const c = &l->m->c->config;
    const int back = (l->m->c->options.flags & ROPEROT_INVERSE) != 0;
    const int pairing[2] = { c->pairing, c->pairing_out ? c->pairing_out : c->pairing };
    const int eager = c->arithmetic == ROPEROT_ARITHMETIC_EAGER && l->through != ROPEROT_F32;
    const int64_t pairs = call_pairs(l->m->c), first = c->rotary_offset;
    for (int64_t h = 0; h < l->heads; h++) {
        float *const x = l->x + h * l->dim + first, y[2 * CALL_PAIRS];
        coefficients_head(k, h);
        for (int64_t j = 0; j < pairs; j++) {
            const int half = pairing[back] == ROPEROT_PAIR_HALF, half_out = pairing[!back] == ROPEROT_PAIR_HALF;
            const float pair[2] = { x[half ? j : 2 * j], x[half ? j + pairs : 2 * j + 1] };
            float turned[2] = { pair[0], pair[1] };
            if (!k->left_alone && eager) coefficients_turn_eagerly(k, l->through, (int32_t)j, pair, turned);
            if (!k->left_alone && !eager) coefficients_turn(k, (int32_t)j, pair, turned);
            y[half_out ? j : 2 * j] = turned[0];
            y[half_out ? j + pairs : 2 * j + 1] = turned[1];
        }
        memcpy(x, y, (size_t)(2 * pairs) * sizeof *y);
    }
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

static float largest(const float *x, int64_t n)
{
    float most = 0;
    for (int64_t c = 0; c < n; c++) most = fabsf(x[c]) > most ? fabsf(x[c]) : most;
    return most;
}

/* The inverse of a scale, 0 where it has none. */
static float inverse(float scale)
{
    const float r = (float)(1.0 / (double)scale);
    return r <= FLT_MAX ? r : 0;
}

static void store_block(const line *l, const char *at, const float *x)
{
    const float d = (float)((double)largest(x, 32) / 127), r = inverse(d);
    put(l->m, at, ROPEROT_F16, number_narrow(ROPEROT_F16, d));
    for (int i = 0; i < 32; i++) put(l->m, at + 2 + i, ROPEROT_I8, (uint8_t)number_to_q8_0(times(x[i], r)));
}

static void store_head(const line *l, int64_t slot, int64_t h, const float *x)
{
    const roperot_pages *const p = l->job->to;
    const float *const kept = scale_of(p, slot, h);
    float scale = 1;
    if (p->scaling == ROPEROT_SCALE_DYNAMIC) {
        scale = (float)((double)largest(x, l->dim) / (p->dtype == ROPEROT_E4M3 ? 448 : 127));
        if (!(scale > p->scale_floor)) scale = p->scale_floor;
        uint32_t bits;
        memcpy(&bits, &scale, sizeof bits);
        put(l->m, kept, ROPEROT_F32, bits);
    } else if (kept) {
        memcpy(&scale, then(l->m, kept), sizeof scale);
    }
    for (int64_t c = 0; c < l->dim; c++) {
        const char *const at = (const char *)p->data + page_offset(p, l, slot, h, c);
        switch (p->dtype) {
        case ROPEROT_E4M3: put(l->m, at, p->dtype, number_to_e4m3(times(x[c], inverse(scale)))); break;
        case ROPEROT_I8: put(l->m, at, p->dtype, (uint8_t)number_to_i8(times(x[c], inverse(scale)))); break;
        case ROPEROT_Q8_0:
            if (c % 32 == 0) store_block(l, at, x + c);
            break;
        default: put(l->m, at, p->dtype, number_narrow(p->dtype, x[c]));
        }
    }
}

static void write_line(line *l)
{
    const roperot_job *const j = l->job;
    for (int64_t h = 0; h < l->heads && j->dst; h++)
        for (int64_t c = 0; c < l->dim; c++)
            put(l->m, (const char *)j->dst->data + element_of(j->dst, l, h, c), j->dst->dtype,
                number_narrow(j->dst->dtype, l->x[h * l->dim + c]));
    const int64_t slot = j->to ? chain_slot(j->to, l->b, l->t) : -1;
    if (slot < 0) return;
    const int rounds = j->to->dtype > ROPEROT_BF16 && !(j->flags & ROPEROT_JOB_UNROUNDED);
    for (int64_t i = 0; i < l->heads * l->dim && rounds; i++) l->x[i] = in(l->through, l->x[i]);
    for (int64_t h = 0; h < l->heads; h++) store_head(l, slot, h, l->x + h * l->dim);
}

/* ---- a line ------------------------------------------------------------------------------------------------------ */

void chain_line(const image *m, const roperot_job *job, coefficients *k, int64_t b, int64_t t)
{
    static line l; /* large; one thread */
    l = (line){ .m = m, .job = job, .b = b, .t = t, .heads = jobs_heads(job), .dim = jobs_dim(job) };
    l.through = job->src ? job->src->dtype : job->from->dtype <= ROPEROT_BF16 ? job->from->dtype : ROPEROT_F32;
    if (job->from && chain_slot(job->from, b, t) < 0) return;
    if (job->flags & ROPEROT_JOB_SKIP && job->to && chain_slot(job->to, b, t) < 0) return;
    read_line(&l);
    const int after = job->norm && job->norm->flags & ROPEROT_NORM_AFTER;
    if (job->norm && !after) norm(&l);
    if (!(job->flags & ROPEROT_JOB_UNROTATED)) rotate(&l, k);
    for (int64_t i = 0; i < l.heads * l.dim && after && job->norm->rounding; i++) l.x[i] = in(l.through, l.x[i]);
    if (after) norm(&l);
    if (job->factor) {
        float factor;
        memcpy(&factor, job->factor + b * job->factor_batch_stride + t * job->factor_token_stride, sizeof factor);
        for (int64_t i = 0; i < l.heads * l.dim; i++) l.x[i] = times(l.x[i], factor);
    }
    write_line(&l);
}
