/* SPDX-License-Identifier: MIT
 * Cosines and sines of a token, as the header words positions, and the rotation of a pair; it must share no code with
 * the library or with the reference of the other tests. */
#include "fuzz/coefficients.h"

#include <math.h>

#include "fuzz/numbers.h"
#include "fuzz/require.h"

/* ---- positions, as the header words them ------------------------------------------------------------------------- */

static int64_t id_at(const void *ids, int32_t type, int64_t i)
{
    if (!ids) return 0;
    return type == ROPEROT_POSITIONS_I32 ? ((const int32_t *)ids)[i] : ((const int64_t *)ids)[i];
}

static int is_real(const roperot_positions *p)
{
    return p->kind == ROPEROT_POSITIONS_IDS && p->type >= ROPEROT_POSITIONS_F32;
}

/* 128 bits: no sum of three leaves them. */
static wide position_at(const roperot_positions *p, int32_t axis, int64_t b, int64_t t)
{
    const int64_t a = p->axes > 1 ? axis : 0, step = p->batch_stride ? p->batch_stride : 1;
    switch (p->kind) {
    case ROPEROT_POSITIONS_OFFSET: return (wide)p->offset + t;
    case ROPEROT_POSITIONS_IDS:
        return (wide)p->offset + id_at(p->ids, p->type, a * p->axis_stride + b * p->batch_stride + t * p->token_stride);
    case ROPEROT_POSITIONS_STARTS: return (wide)p->offset + id_at(p->ids, p->type, a * p->axis_stride + b * step) + t;
    default: break;
    }
    int64_t s = 0;
    while (s + 1 < p->sequences && id_at(p->cu_seqlens, p->cu_type, s + 1) <= t) s++;
    return (wide)p->offset + id_at(p->ids, p->type, a * p->axis_stride + s * step) + t -
           id_at(p->cu_seqlens, p->cu_type, s);
}

static double coordinate_at(const roperot_positions *p, int32_t axis, int64_t b, int64_t t)
{
    const int64_t a = p->axes > 1 ? axis : 0, i = a * p->axis_stride + b * p->batch_stride + t * p->token_stride;
    const double x =
        p->type == ROPEROT_POSITIONS_F32 ? (double)((const float *)p->ids)[i] : ((const double *)p->ids)[i];
    return x + (double)p->offset;
}

/* ---- coefficients ------------------------------------------------------------------------------------------------ */

static int64_t last_position(const call *c)
{
    if (c->config.max_positions) return c->config.max_positions - 1;
    return c->config.table ? c->table.rows - 1 : ((int64_t)1 << 31) - 1;
}

coefficients coefficients_open(const call *c)
{
    coefficients k = { .c = c, .last = last_position(c) };
    k.factor = c->options.flags & ROPEROT_PURE_ROTATION ? 1.0f : (float)c->config.attention_factor;
    if (c->config.table) return k;
    roperot_config plain = ROPEROT_CONFIG_INIT;
    plain.head_dim = 2 * call_pairs(c);
    plain.base = c->config.base;
    plain.inv_freq = c->config.inv_freq;
    plain.pairs = plain.inv_freq ? call_pairs(c) : 0;
    plain.frequencies = c->config.frequencies;
    plain.axes = call_is_mixed(c) ? c->config.axes : 1;
    plain.attention_factor = c->options.flags & ROPEROT_PURE_ROTATION ? 1.0 : c->config.attention_factor;
    plain.angles = c->config.angles;
    plain.isa = ROPEROT_ISA_SCALAR;
    plain.cache = plain.angles ? ROPEROT_CACHE_FULL : ROPEROT_CACHE_FACTORED;
    if (call_is_mixed(c)) plain.cache = ROPEROT_CACHE_NONE;
    plain.max_positions = c->config.max_positions;
    REQUIRE(roperot_plan_create(&plain, &k.plan) == ROPEROT_OK, "the plain plan");
    return k;
}

static float table_value(const call *c, const void *values, int64_t row, int64_t h, int64_t j)
{
    const int64_t i = row * c->table.row_stride + (h ? h * c->table.head_stride : 0) +
                      (c->table.width == ROPEROT_TABLE_FULL_REPEAT ? 2 * j : j) * c->table.element_stride;
    const char *const at = (const char *)values + i * (int64_t)number_bytes(c->table.dtype);
    return number_widen(c->table.dtype, number_read(c->table.dtype, at));
}

/* Near what a long double says of the sum of `axes` products, where it says it well enough. */
static void check_angle(const coefficients *k, const double *p, int32_t axes, int32_t j, float cosine, float sine)
{
    roperot_plan_info info = ROPEROT_PLAN_INFO_INIT;
    REQUIRE(roperot_plan_describe(k->plan, &info) == ROPEROT_OK, "describe");
    long double angle = 0, largest = 0;
    for (int32_t a = 0; a < axes; a++) {
        const long double part = (long double)p[a] * (long double)info.inv_freq[a * call_pairs(k->c) + j];
        angle += part;
        largest += fabsl(part);
    }
    if (k->c->config.angles || largest > 1e6L || !(info.attention_factor < 1e30)) return;
    const double factor = info.attention_factor, slack = factor * 0x1p-24 + factor * 0x1p-40 + 0x1p-149;
    REQUIRE(fabs((double)cosl(angle) * factor - (double)cosine) <= slack, "cos of pair %d, %Lg, is %g", (int)j, angle,
            (double)cosine);
    REQUIRE(fabs((double)sinl(angle) * factor - (double)sine) <= slack, "sin of pair %d, %Lg, is %g", (int)j, angle,
            (double)sine);
}

static int is_inverse(const coefficients *k)
{
    return (k->c->options.flags & ROPEROT_INVERSE) != 0;
}

/* What a plain plan makes of one place. */
static void ask_plan(const coefficients *k, const roperot_positions *at, float *cosine, float *sine)
{
    roperot_table table = ROPEROT_TABLE_INIT;
    table.cos = cosine;
    table.sin = sine;
    table.rows = 1;
    table.row_stride = call_pairs(k->c);
    REQUIRE(roperot_cos_sin(k->plan, at, 1, 1, &table) == ROPEROT_OK, "cos and sin of one place");
}

/* Every pair by all axes; real coordinates can say any position, negative ones too. */
static void mixed_row(coefficients *k, const double *p)
{
    roperot_positions at = ROPEROT_POSITIONS_INIT;
    at.kind = ROPEROT_POSITIONS_IDS;
    at.type = ROPEROT_POSITIONS_F64;
    at.ids = p;
    at.axes = k->c->config.axes;
    at.axis_stride = 1;
    ask_plan(k, &at, k->cosine, k->sine);
    for (int32_t j = 0; j < call_pairs(k->c); j++) {
        check_angle(k, p, at.axes, j, k->cosine[j], k->sine[j]);
        if (is_inverse(k)) k->sine[j] = -k->sine[j];
    }
}

static void row_of(coefficients *k, const roperot_positions *at, double p, int negative, int32_t axis)
{
    const int32_t pairs = call_pairs(k->c);
    float cosine[CALL_PAIRS], sine[CALL_PAIRS];
    if (k->plan) ask_plan(k, at, cosine, sine);
    k->row[axis] = (int64_t)p;
    k->turned[axis] = negative != is_inverse(k);
    for (int32_t j = 0; j < pairs && k->plan; j++) {
        if (k->c->config.axes > 1 && k->c->config.axis[j] != axis) continue;
        check_angle(k, &p, 1, j, cosine[j], sine[j]);
        k->cosine[j] = cosine[j];
        k->sine[j] = k->turned[axis] ? -sine[j] : sine[j];
    }
}

void coefficients_head(coefficients *k, int64_t h)
{
    const call *const c = k->c;
    if (!c->config.table) return;
    REQUIRE(!c->table.heads || h < c->table.heads, "head %lld has no row", (long long)h);
    for (int32_t j = 0; j < call_pairs(c); j++) {
        const int32_t axis = c->config.axes > 1 ? c->config.axis[j] : 0;
        const int64_t row_head = c->table.heads ? h : 0;
        k->cosine[j] = k->factor * table_value(c, c->table.cos, k->row[axis], row_head, j);
        k->sine[j] = k->factor * table_value(c, c->table.sin, k->row[axis], row_head, j);
        if (k->turned[axis]) k->sine[j] = -k->sine[j];
    }
}

void coefficients_close(const coefficients *k)
{
    roperot_plan_destroy(k->plan);
}

int coefficients_token(coefficients *k, int64_t b, int64_t t)
{
    const call *const c = k->c;
    const int64_t first = c->options.flags & ROPEROT_SIGNED_POSITIONS ? -k->last : 0;
    double place[CALL_AXES] = { 0 };
    k->left_alone = 0;
    for (int32_t axis = 0; axis < (c->config.axes > 1 ? c->config.axes : 1); axis++) {
        if (is_real(&c->at)) {
            const double x = coordinate_at(&c->at, axis, b, t);
            if (!(fabs(x) < 0x1p31)) return 0;
            place[axis] = x;
            if (call_is_mixed(c)) continue;
            roperot_positions at = ROPEROT_POSITIONS_INIT;
            at.kind = ROPEROT_POSITIONS_IDS;
            at.type = ROPEROT_POSITIONS_F64;
            at.ids = &x;
            row_of(k, &at, x, 0, axis);
            continue;
        }
        wide p = position_at(&c->at, axis, b, t);
        if (p < first || p > k->last) {
            if (c->config.bounds == ROPEROT_BOUNDS_ERROR) return 0;
            k->left_alone |= c->config.bounds == ROPEROT_BOUNDS_IDENTITY;
            p = p < first ? first : k->last;
        }
        const roperot_positions at = roperot_positions_offset((int64_t)(p < 0 ? -p : p));
        place[axis] = (double)p;
        if (!call_is_mixed(c)) row_of(k, &at, (double)(p < 0 ? -p : p), p < 0, axis);
    }
    if (call_is_mixed(c)) mixed_row(k, place);
    coefficients_head(k, 0);
    return 1;
}

/* ---- the rotation ------------------------------------------------------------------------------------------------ */

/* Products and sums of floats in double, each then rounded to float: what float arithmetic gives. */
void coefficients_turn(const coefficients *k, int32_t j, const float x[2], float y[2])
{
    const double c = (double)k->cosine[j], s = (double)k->sine[j];
    const float a = (float)((double)x[0] * c), b = (float)((double)x[1] * s);
    const float d = (float)((double)x[0] * s), e = (float)((double)x[1] * c);
    y[0] = (float)((double)a - (double)b);
    y[1] = (float)((double)d + (double)e);
}

static float in(int32_t dtype, float x)
{
    return number_widen(dtype, number_narrow(dtype, x));
}

void coefficients_turn_eagerly(const coefficients *k, int32_t dtype, int32_t j, const float x[2], float y[2])
{
    const float c = in(dtype, k->cosine[j]), s = in(dtype, k->sine[j]);
    const float x0 = in(dtype, x[0]), x1 = in(dtype, x[1]);
    const float a = in(dtype, x0 * c), b = in(dtype, x1 * s), d = in(dtype, x0 * s), e = in(dtype, x1 * c);
    y[0] = in(dtype, a - b);
    y[1] = in(dtype, d + e);
}
