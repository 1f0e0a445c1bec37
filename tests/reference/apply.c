/* SPDX-License-Identifier: MIT
 * What one roperot_apply must do, element by element, from the plan's published coefficients; it must not share code
 * with src/ (it asks roperot_cos_sin for cos and sin, which test_cos_sin judges by MPFR). */
#include "reference/apply.h"

#include <math.h>
#include <stdlib.h>

#include "reference/oracle.h"
#include "support/assertions.h"
#include "support/harness.h"
#include "support/views.h"

enum { MAX_PAIRS = 32768 };

/* ---- coefficients ------------------------------------------------------------------------------------------------ */

static int32_t pairs_of(const roperot_config *c)
{
    return (c->rotary_dim ? c->rotary_dim : c->head_dim) / 2;
}

/* The caller's own table, element by element; the attention factor in f32. */
static void borrowed(const reference_call *call, int64_t p, int64_t head, float *cosine, float *sine)
{
    const roperot_table *const t = call->config->table;
    const int64_t size = (int64_t)format_bytes(t->dtype);
    const int64_t step = t->width == ROPEROT_TABLE_FULL_REPEAT ? 2 * t->element_stride : t->element_stride;
    const float factor = call->flags & ROPEROT_PURE_ROTATION ? 1.0f : (float)call->config->attention_factor;
    for (int64_t j = 0; j < pairs_of(call->config); j++) {
        const int64_t at = (p * t->row_stride + head * t->head_stride + j * step) * size;
        cosine[j] = factor * (float)oracle_value(t->dtype, format_load(t->dtype, (const unsigned char *)t->cos + at));
        sine[j] = factor * (float)oracle_value(t->dtype, format_load(t->dtype, (const unsigned char *)t->sin + at));
    }
}

/* A plan with the same angles and nothing else: one axis, no offset, scalar kernels. */
static roperot_plan *plain_plan(const reference_call *call, int64_t rows)
{
    roperot_config c = *call->config;
    c.rotary_dim = c.head_dim = 2 * pairs_of(call->config);
    c.rotary_offset = c.pairing_out = c.bounds = 0;
    c.axes = 1;
    c.axis = NULL;
    c.pairs = c.inv_freq ? c.pairs : 0;
    c.isa = ROPEROT_ISA_SCALAR;
    if (c.angles == ROPEROT_ANGLES_EXACT) c.cache = ROPEROT_CACHE_FACTORED;
    if (c.max_positions == 0 || c.max_positions > rows) c.max_positions = rows;
    if (call->flags & ROPEROT_PURE_ROTATION) c.attention_factor = 1.0;
    return expect_plan(&c);
}

/* One call and the plan that its coefficients come from (NULL: a borrowed table). */
typedef struct source {
    const reference_call *call;
    roperot_plan *plan;
} source;

/* The farthest position decides how many rows the plan needs; the bits do not depend on it. */
static source open_source(const reference_call *call, int64_t begin, int64_t end, int64_t lines)
{
    const int32_t axes = call->config->axes ? call->config->axes : 1;
    int64_t most = 0;
    for (int64_t i = begin; i < end && !call->coordinate; i++)
        for (int32_t a = 0; a < axes; a++) {
            const int64_t p = call->position[a * lines + i], magnitude = p < -INT64_MAX ? INT64_MAX : llabs(p);
            if (magnitude > most) most = magnitude;
        }
    if (most > INT32_MAX) most = INT32_MAX;
    return (source){ call, call->config->table ? NULL : plain_plan(call, most + 1) };
}

static void row_of_plan(const source *from, const roperot_positions *at, float *cosine, float *sine)
{
    roperot_table table = ROPEROT_TABLE_INIT;
    table.cos = cosine;
    table.sin = sine;
    table.rows = 1;
    table.row_stride = pairs_of(from->call->config);
    const int32_t status = roperot_cos_sin(from->plan, at, 1, 1, &table);
    CHECK(status == ROPEROT_OK, "cos_sin: %s", roperot_last_error());
}

static void integer_coefficients(const source *from, int64_t position, int64_t head, float *cosine, float *sine)
{
    const int64_t magnitude = position < 0 ? -position : position;
    const int32_t pairs = pairs_of(from->call->config);
    const roperot_positions at = roperot_positions_offset(magnitude);
    if (from->plan)
        row_of_plan(from, &at, cosine, sine);
    else
        borrowed(from->call, magnitude, head, cosine, sine);
    for (int32_t j = 0; j < pairs && position < 0; j++) sine[j] = -sine[j];
}

static void real_coefficients(const source *from, double x, float *cosine, float *sine)
{
    roperot_positions at = ROPEROT_POSITIONS_INIT;
    at.kind = ROPEROT_POSITIONS_IDS;
    at.type = ROPEROT_POSITIONS_F64;
    at.ids = &x;
    row_of_plan(from, &at, cosine, sine);
}

/* ---- one token --------------------------------------------------------------------------------------------------- */

typedef struct token {
    float cosine[MAX_PAIRS], sine[MAX_PAIRS];
    int alone; /* IDENTITY: out of bounds */
} token;

/* 0 if some axis is out of bounds and the token is to be left alone. */
static int bound(const reference_call *call, int64_t *p)
{
    const roperot_config *const c = call->config;
    int64_t last = c->max_positions ? c->max_positions - 1 : (int64_t)1 << 31;
    if (c->table && c->max_positions == 0) last = c->table->rows - 1;
    const int64_t first = call->flags & ROPEROT_SIGNED_POSITIONS ? -last : 0;
    if (*p >= first && *p <= last) return 1;
    if (c->bounds == ROPEROT_BOUNDS_IDENTITY) return 0;
    CHECK(c->bounds == ROPEROT_BOUNDS_CLAMP, "the test asks for position %lld, which is an error", (long long)*p);
    *p = *p < first ? first : last;
    return 1;
}

static void coefficients_of(const source *from, int64_t line, int64_t lines, int64_t head, token *out)
{
    static float cosine[MAX_PAIRS], sine[MAX_PAIRS];
    const reference_call *const call = from->call;
    const roperot_config *const c = call->config;
    const int32_t axes = c->axes ? c->axes : 1, pairs = pairs_of(c);
    out->alone = 0;
    for (int32_t a = 0; a < axes; a++) {
        if (call->coordinate) {
            real_coefficients(from, call->coordinate[a * lines + line], cosine, sine);
        } else {
            int64_t p = call->position[a * lines + line];
            if (!bound(call, &p)) out->alone = 1;
            if (out->alone) return;
            integer_coefficients(from, p, head, cosine, sine);
        }
        for (int32_t j = 0; j < pairs; j++) {
            if (axes > 1 && c->axis[j] != a) continue;
            out->cosine[j] = cosine[j];
            out->sine[j] = call->flags & ROPEROT_INVERSE ? -sine[j] : sine[j];
        }
    }
}

static int64_t channel(const roperot_config *c, int pairing, int64_t j, int which)
{
    return c->rotary_offset + (pairing == ROPEROT_PAIR_HALF ? j + which * pairs_of(c) : 2 * j + which);
}

/* Same dtype: the bytes, NaN and all; else one rounding. */
static void convert(int from, const void *src, int to, void *dst)
{
    const uint32_t bits = format_load(from, src);
    format_store(to, dst, from == to ? bits : oracle_round(to, oracle_value(from, bits)));
}

/* The transpose reads what the rotation writes, and writes what it reads. */
static void rotate_row(const reference_call *call, const token *t, const roperot_tensor *src, const roperot_tensor *dst,
                       const int64_t at[3])
{
    const roperot_config *const c = call->config;
    const int back = (call->flags & ROPEROT_INVERSE) != 0, from = src->dtype, to = dst->dtype;
    const int pairing[2] = { c->pairing, c->pairing_out ? c->pairing_out : c->pairing };
    const int64_t first = c->rotary_offset, end = first + 2 * pairs_of(c);
    for (int64_t d = 0; d < c->head_dim; d++)
        if (d < first || d >= end)
            convert(from, views_at(src, at[0], at[1], at[2], d), to, views_at(dst, at[0], at[1], at[2], d));
    for (int64_t j = 0; j < pairs_of(c); j++) {
        unsigned char *x[2], *y[2];
        uint32_t bits[2];
        for (int k = 0; k < 2; k++) {
            x[k] = views_at(src, at[0], at[1], at[2], channel(c, pairing[back], j, k));
            y[k] = views_at(dst, at[0], at[1], at[2], channel(c, pairing[!back], j, k));
        }
        for (int k = 0; t->alone && k < 2; k++) convert(from, x[k], to, y[k]);
        if (t->alone) continue;
        const float value[2] = { (float)oracle_value(from, format_load(from, x[0])),
                                 (float)oracle_value(from, format_load(from, x[1])) };
        const int through = call->through ? call->through : from;
        if (c->arithmetic == ROPEROT_ARITHMETIC_EAGER && through != ROPEROT_F32) {
            float rotated[2];
            oracle_eager(through, value[0], value[1], t->cosine[j], t->sine[j], rotated);
            for (int k = 0; k < 2; k++) bits[k] = oracle_round(to, (double)rotated[k]);
        } else {
            oracle_recipe(to, value[0], value[1], t->cosine[j], t->sine[j], bits);
        }
        for (int k = 0; k < 2; k++) format_store(to, y[k], bits[k]);
    }
}

void reference_apply(const reference_call *call, const roperot_tensor *src, const roperot_tensor *dst)
{
    static token t;
    const int64_t tokens = src->shape[1], lines = src->shape[0] * tokens;
    const int64_t end = call->end > 0 && call->end < lines ? call->end : lines;
    const source from = open_source(call, call->begin, end, lines);
    for (int64_t i = call->begin; i < end; i++) {
        for (int64_t h = 0; h < src->shape[2]; h++) {
            const int64_t at[3] = { i / tokens, i % tokens, h };
            if (h == 0 || (call->config->table && call->config->table->heads)) coefficients_of(&from, i, lines, h, &t);
            rotate_row(call, &t, src, dst, at);
        }
    }
    roperot_plan_destroy(from.plan);
}
