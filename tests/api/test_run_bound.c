/* SPDX-License-Identifier: MIT
 * Jobs against plain doubles: norm, rotation, factor and store within a bound that is derived here from the roundings
 * of the recipe; it must not know the order in which the library adds.
 *
 * u = 2^-24, the unit roundoff of f32, t that of T (2^-11 for f16, 2^-8 for bf16, 0 for f32 here); k roundings in a row
 * are within (1 + u)^k - 1 of exact. Numbers are chosen so that nothing but what is said below underflows or overflows.
 *
 * Sum of n = dim (times heads) squares. A term is rounded once, added in its lane at most dim / 16 times, folded 4
 * times and, over all heads, added heads times; all terms are positive, so that the sum is within
 *     k = 1 + ceil(dim / 16) + 4 + (heads or 0)
 * roundings. Division by n, + epsilon (itself rounded to f32): k + 2. The root halves a relative error; root and
 * division round: r is within k/2 + 1 + 2 roundings, rounded up. n w = (x r) w: two more, w = 1 + weight one more; T
 * rounds once or twice more. So |n' - n| <= E |n w| with E = (1 + u)^(k/2 + 6) (1 + t)^roundings - 1.
 *
 * LAYER. The mean's error is absolute: e = ((1 + u)^(k + 1) - 1) mean |x|, the same for all channels. Deviations x - m
 * are off by e and one rounding. Since exact deviations add up to 0, mean (d + e)^2 = mean d^2 + e^2: r is off by a
 * further factor of (1 + (e r)^2)^(-1/2), which is below 1 and above 1 - (e r)^2 / 2. In all, with two roundings more
 * per term and one for the difference: |n' - n| <= E |n w| + e r (1 + E) |w|, and + bias costs u (|n w| + |bias|).
 *
 * Rotation. c and s are within u of cos and sin, relatively, and 2^-50 absolutely; product and sum round:
 *     |y0' - y0| <= (|n0 c| + |n1 s|) ((1 + E) (1 + u)^3 - 1) + 2^-49 (|n0| + |n1|),
 * and so for y1; channels that are not rotated have |n| E. The factor rounds once more.
 *
 * Stores. T'(y): half a unit in the last place, t' |y| or half the least denormal. E4M3 and I8 take T(y) / scale, with
 * scale = amax / qmax (one rounding), its inverse (one) and the product (one): 4 u of 448 or 127 steps, and half a
 * step: I8 scale (1/2 + 127 * 4 u), E4M3 max(|y| 2^-4, scale 2^-10) and 4 u |y|. Q8_0: the codes are by d in f32, d
 * itself is stored as f16: d (1/2 + 127 * 4 u) + 127 d 2^-11. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <roperot/roperot.h>

#include "lists.h"
#include "reference/job.h"
#include "reference/oracle.h"
#include "support/assertions.h"
#include "support/formats.h"
#include "support/harness.h"

enum { HEADS = 3, TOKENS = 2, MOST_DIM = 512 };
static const double u = 0x1p-24;

typedef struct bound_case {
    int32_t kind, dtype, format; /* of the norm (0: none), of src, of the pages */
} bound_case;

typedef struct trial {
    bound_case c;
    int32_t dim, rotary_dim, pairing;
    roperot_norm norm;
    double x[TOKENS][HEADS][MOST_DIM], weight[HEADS * MOST_DIM], bias[HEADS * MOST_DIM], w[MOST_DIM / 2], epsilon;
    float source[TOKENS * HEADS * MOST_DIM], weights[HEADS * MOST_DIM], biases[HEADS * MOST_DIM], factor[TOKENS];
    int64_t position;
    /* exact values and bounds of one token */
    double n[HEADS][MOST_DIM], n_error[HEADS][MOST_DIM], y[HEADS][MOST_DIM], y_error[HEADS][MOST_DIM];
} trial;

static double roundoff(int32_t dtype)
{
    return dtype == ROPEROT_F32 ? u : dtype == ROPEROT_F16 ? 0x1p-11 : 0x1p-8;
}

static double after(int roundings)
{
    return pow(1 + u, roundings) - 1;
}

/* ---- exact ------------------------------------------------------------------------------------------------------- */

/* mean and r of heads [first, end), and how many roundings a term of their sum has. */
typedef struct moments {
    double mean, magnitude, r;
    int terms;
} moments;

static moments moments_of(const trial *t, int token, int first, int end)
{
    moments m = { 0, 0, 0, 1 + (t->dim + 15) / 16 + 4 + (end - first > 1 ? end - first : 0) };
    const double count = (double)(end - first) * t->dim;
    double squares = 0;
    for (int h = first; h < end; h++)
        for (int i = 0; i < t->dim; i++) {
            m.mean += t->x[token][h][i] / count;
            m.magnitude += fabs(t->x[token][h][i]) / count;
        }
    if (t->c.kind != ROPEROT_NORM_LAYER) m.mean = 0;
    for (int h = first; h < end; h++)
        for (int i = 0; i < t->dim; i++) {
            const double d = t->x[token][h][i] - m.mean;
            squares += d * d / count;
        }
    m.r = 1 / sqrt(squares + t->epsilon);
    return m;
}

static void norm_channel(trial *t, int token, int h, int i, const moments *m)
{
    const int all = (t->norm.flags & ROPEROT_NORM_ALL_HEADS) != 0, layer = t->c.kind == ROPEROT_NORM_LAYER;
    const int at = all ? h * t->dim + i : i;
    const double w = t->weight[at], bias = layer ? t->bias[at] : 0.0;
    const double nw = (t->x[token][h][i] - m->mean) * m->r * w;
    const double e = layer ? after(m->terms + 1) * m->magnitude : 0.0;
    double error = pow(1 + u, m->terms / 2 + 1 + 6 + 2 * layer) * (1 + e * m->r * e * m->r);
    if (t->c.dtype != ROPEROT_F32) error *= pow(1 + roundoff(t->c.dtype), t->norm.rounding);
    error -= 1;
    t->n[h][i] = nw + bias;
    t->n_error[h][i] = error * fabs(nw) + e * m->r * (1 + error) * fabs(w) + (layer ? u * (fabs(nw) + fabs(bias)) : 0);
    /* bias is added before T rounds */
    if (layer && t->c.dtype != ROPEROT_F32) t->n_error[h][i] += 2 * roundoff(t->c.dtype) * fabs(bias);
}

static void norm_token(trial *t, int token)
{
    const int all = (t->norm.flags & ROPEROT_NORM_ALL_HEADS) != 0;
    for (int h = 0; h < HEADS; h++) {
        const moments m = moments_of(t, token, all ? 0 : h, all ? HEADS : h + 1);
        for (int i = 0; i < t->dim; i++) {
            if (t->c.kind) {
                norm_channel(t, token, h, i, &m);
                continue;
            }
            t->n[h][i] = t->x[token][h][i];
            t->n_error[h][i] = 0;
        }
    }
}

static int channel(const trial *t, int j, int which)
{
    return t->pairing == ROPEROT_PAIR_HALF ? j + which * t->rotary_dim / 2 : 2 * j + which;
}

/* long double angles: positions are small. */
static void rotate_token(trial *t, int token)
{
    const double scale = (double)t->factor[token];
    for (int h = 0; h < HEADS; h++) {
        memcpy(t->y[h], t->n[h], sizeof t->y[h]);
        memcpy(t->y_error[h], t->n_error[h], sizeof t->y_error[h]);
        for (int j = 0; j < t->rotary_dim / 2; j++) {
            const long double angle = (long double)(t->position + token) * (long double)t->w[j];
            const double c = (double)cosl(angle), s = (double)sinl(angle);
            const int a = channel(t, j, 0), b = channel(t, j, 1);
            const double n0 = t->n[h][a], n1 = t->n[h][b], e0 = t->n_error[h][a], e1 = t->n_error[h][b];
            const double one = fabs(c) * e0 + fabs(s) * e1, other = fabs(s) * e0 + fabs(c) * e1;
            const double tiny = 0x1p-49 * (fabs(n0) + e0 + fabs(n1) + e1);
            t->y[h][a] = n0 * c - n1 * s;
            t->y[h][b] = n0 * s + n1 * c;
            t->y_error[h][a] = one + after(3) * (fabs(n0 * c) + fabs(n1 * s) + one) + tiny;
            t->y_error[h][b] = other + after(3) * (fabs(n0 * s) + fabs(n1 * c) + other) + tiny;
        }
        for (int i = 0; i < t->dim; i++) {
            t->y[h][i] *= scale;
            t->y_error[h][i] = (t->y_error[h][i] * (1 + u) + u * fabs(t->y[h][i] / scale)) * fabs(scale);
        }
    }
}

/* ---- stores ------------------------------------------------------------------------------------------------------ */

/* What storing adds to the error of channel i, given what else was stored with it. */
static double store_error(const trial *t, int h, int i)
{
    const double y = fabs(t->y[h][i]) + t->y_error[h][i];
    const int first = t->c.format == ROPEROT_Q8_0 ? i / 32 * 32 : 0, n = t->c.format == ROPEROT_Q8_0 ? 32 : t->dim;
    double most = 0;
    for (int k = first; k < first + n; k++) most = fmax(most, fabs(t->y[h][k]) + t->y_error[h][k]);
    const double through = t->c.format >= ROPEROT_E4M3 && t->c.dtype != ROPEROT_F32 ? roundoff(t->c.dtype) : 0;
    const double rounded = most * (1 + through);
    switch (t->c.format) {
    case ROPEROT_F32: return 0;
    case ROPEROT_F16: return fmax(0x1p-11 * y, 0x1p-25);
    case ROPEROT_BF16: return 0x1p-8 * y;
    case ROPEROT_E4M3:
        return through * y + fmax(0x1p-4 * y * (1 + through), rounded / 448 * 0x1p-10) * (1 + 4 * u) +
               4 * u * y;
    case ROPEROT_I8: return through * y + rounded / 127 * (0.5 + 127 * 4 * u);
    default: return through * y + rounded / 127 * (0.5 + 127 * 4 * u + 127 * 0x1p-11) + 127 * 0x1p-25;
    }
}

static double stored_value(const roperot_pages *p, int32_t dim, int64_t slot, int h, int i)
{
    const unsigned char *const at = reference_page_at(p, dim, slot, h, i);
    const float *const scale = p->scale ? p->scale + slot * HEADS + h : NULL;
    switch (p->dtype) {
    case ROPEROT_E4M3: return (double)reference_e4m3_value(*at) * (double)*scale;
    case ROPEROT_I8: return (double)(int8_t)*at * (double)*scale;
    case ROPEROT_Q8_0: {
        const unsigned char *const block = at + i / 32 * 34;
        return oracle_value(ROPEROT_F16, format_load(ROPEROT_F16, block)) * (double)(int8_t)block[2 + i % 32];
    }
    default: return oracle_value(p->dtype, format_load(p->dtype, at));
    }
}

/* ---- the comparison ---------------------------------------------------------------------------------------------- */

static void choose_numbers(trial *t)
{
    const int64_t count = TOKENS * HEADS * t->dim;
    const double size = exp2((double)random_below(8) - 4), shift = random_below(2) ? 0.0 : size;
    for (int64_t i = 0; i < count; i++) {
        const uint32_t bits = oracle_round(t->c.dtype, shift + size * random_between(-1, 1));
        format_store(t->c.dtype, (unsigned char *)t->source + i * (int64_t)format_bytes(t->c.dtype), bits);
        t->x[i / (HEADS * t->dim)][i / t->dim % HEADS][i % t->dim] = oracle_value(t->c.dtype, bits);
    }
    const int offset = (t->norm.flags & ROPEROT_NORM_UNIT_OFFSET) != 0;
    for (int i = 0; i < HEADS * t->dim; i++) {
        t->weights[i] = (float)random_between(0.5, 1.5), t->biases[i] = (float)random_between(-1, 1);
        t->weight[i] = (double)t->weights[i] + offset, t->bias[i] = (double)t->biases[i];
    }
    for (int i = 0; i < TOKENS; i++) t->factor[i] = (float)random_between(0.5, 2);
    t->epsilon = random_below(2) ? 1e-6 : 1e-2;
    t->position = random_below(4000);
}

static void choose_trial(trial *t, const bound_case *c)
{
    static const int32_t dims[] = { 32, 64, 96, 128, 256, 512 };
    t->c = *c;
    t->dim = dims[random_below(sizeof dims / sizeof *dims)];
    t->rotary_dim = random_below(2) ? t->dim : t->dim / 2;
    t->pairing = 1 + (int32_t)random_below(2);
    t->norm = (roperot_norm)ROPEROT_NORM_INIT;
    t->norm.kind = c->kind;
    t->norm.rounding = (int32_t)random_below(3);
    t->norm.flags = (random_below(2) ? ROPEROT_NORM_UNIT_OFFSET : 0) | (random_below(2) ? ROPEROT_NORM_ALL_HEADS : 0);
    choose_numbers(t);
    t->norm.epsilon = t->epsilon;
    t->norm.weight = t->weights;
    if (c->kind == ROPEROT_NORM_LAYER) t->norm.bias = t->biases;
}

static void run(const trial *t, roperot_pages *pages)
{
    static const int32_t slots[TOKENS] = { 1, 0 };
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = t->dim;
    config.rotary_dim = t->rotary_dim;
    config.pairing = t->pairing;
    config.inv_freq = t->w;
    config.pairs = t->rotary_dim / 2;
    roperot_plan *const plan = expect_plan(&config);
    const roperot_positions at = roperot_positions_offset(t->position);
    float source[TOKENS * HEADS * MOST_DIM];
    memcpy(source, t->source, sizeof source);
    const roperot_tensor src = roperot_tensor_shd(source, t->c.dtype, TOKENS, HEADS, t->dim);
    roperot_job job = ROPEROT_JOB_INIT;
    job.src = &src;
    job.norm = t->c.kind ? &t->norm : NULL;
    job.factor = t->factor;
    job.to = pages;
    pages->slots = slots;
    pages->slot_type = 1;
    CHECK(!roperot_run(plan, &at, &job, 1, NULL), "%s", roperot_last_error());
    roperot_plan_destroy(plan);
}

static roperot_pages pages_of(const trial *t, void *data, float *scale)
{
    const int64_t row = t->c.format == ROPEROT_Q8_0 ? t->dim / 32 * 34 : t->dim;
    roperot_pages p = ROPEROT_PAGES_INIT;
    p.dtype = t->c.format;
    p.data = data;
    p.pages = TOKENS;
    p.head_stride = row, p.page_stride = HEADS * row;
    p.channel_stride = t->c.format != ROPEROT_Q8_0;
    if (t->c.format != ROPEROT_E4M3 && t->c.format != ROPEROT_I8) return p;
    p.scaling = ROPEROT_SCALE_DYNAMIC;
    p.scale = scale;
    p.scale_page_stride = HEADS, p.scale_head_stride = 1;
    return p;
}

/* The bounds hold, and are not so wide that anything would pass: some error comes within a factor of 100. */
static void within_bounds(const void *arg)
{
    static trial t;
    static unsigned char data[TOKENS * HEADS * MOST_DIM * 4];
    float scale[TOKENS * HEADS];
    double nearest = 0;
    for (int round = 0; round < (harness_quick() ? 4 : 100); round++) {
        choose_trial(&t, arg);
        CHECK(!roperot_frequencies(NULL, t.rotary_dim, 10000.0, t.w, t.rotary_dim / 2, NULL), "%s",
              roperot_last_error());
        roperot_pages pages = pages_of(&t, data, scale);
        run(&t, &pages);
        for (int token = 0; token < TOKENS; token++) {
            norm_token(&t, token);
            rotate_token(&t, token);
            for (int h = 0; h < HEADS; h++)
                for (int i = 0; i < t.dim; i++) {
                    const double got = stored_value(&pages, t.dim, 1 - token, h, i);
                    const double bound = t.y_error[h][i] * (1 + 0x1p-7) + store_error(&t, h, i) + 0x1p-140;
                    const double error = fabs(got - t.y[h][i]);
                    CHECK(error <= bound, "dim %d, rounding %d, flags %d: channel %d is %a, not %a: %g of the bound",
                          t.dim, t.norm.rounding, t.norm.flags, i, got, t.y[h][i], error / bound);
                    nearest = fmax(nearest, error / bound);
                }
        }
    }
    CHECK(nearest > 0.01, "no error is above %g of its bound", nearest);
}

int main(int argc, char **argv)
{
    enum { NORMS = ROPEROT_NORM_LAYER + 1 };
    static const char *const norms[NORMS] = { "plain", "rms", "layer" };
    static bound_case cases[NORMS * ROPEROT_DTYPES * ROPEROT_FORMATS];
    bound_case *c = cases;
    for (int32_t kind = 0; kind < NORMS; kind++)
        for (int32_t dtype = ROPEROT_F32; dtype < ROPEROT_DTYPE_END; dtype++)
            for (int32_t format = ROPEROT_F32; format < ROPEROT_FORMAT_END; format++, c++) {
                *c = (bound_case){ kind, dtype, format };
                harness_add(within_bounds, c, "bound/%s/%s/%s", norms[kind], format_name(dtype),
                            format_name(format));
            }
    return harness_run(argc, argv, "run_bound");
}
