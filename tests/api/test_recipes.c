/* SPDX-License-Identifier: MIT
 * The recipes of docs/schemes.md (schemes without a kind of their own) against the textbook; it must know no model. */
#include <math.h>
#include <string.h>

#include <roperot/roperot.h>

#include "support/harness.h"

enum { DIM = 32, PAIRS = DIM / 2, TOKENS = 12 };

static float q[TOKENS * DIM], k[TOKENS * DIM], q_out[TOKENS * DIM], k_out[TOKENS * DIM];

static void fill(float *x)
{
    for (int i = 0; i < TOKENS * DIM; i++) x[i] = (float)random_between(-1, 1);
}

static roperot_config config_of(int32_t pairing)
{
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = DIM;
    config.pairing = pairing;
    return config;
}

/* Rotates x into y, one head, and fails the case where the library does. */
static void rotate(const roperot_config *config, const roperot_positions *positions, float *x, float *y)
{
    roperot_plan *plan;
    CHECK(roperot_plan_create(config, &plan) == ROPEROT_OK, "%s", roperot_last_error());
    const roperot_tensor from = roperot_tensor_shd(x, ROPEROT_F32, TOKENS, 1, DIM);
    const roperot_tensor to = roperot_tensor_shd(y, ROPEROT_F32, TOKENS, 1, DIM);
    CHECK(roperot_apply(plan, positions, &from, &to, 1, NULL) == ROPEROT_OK, "%s", roperot_last_error());
    roperot_plan_destroy(plan);
}

static void check_pair(const float *x, const float *y, int i0, int i1, double angle, double scale)
{
    const double x0 = (double)x[i0], x1 = (double)x[i1];
    const double y0 = scale * (x0 * cos(angle) - x1 * sin(angle)), y1 = scale * (x0 * sin(angle) + x1 * cos(angle));
    CHECK(fabs((double)y[i0] - y0) <= 4e-7 * scale, "channel %d: %.9g, not %.9g", i0, (double)y[i0], y0);
    CHECK(fabs((double)y[i1] - y1) <= 4e-7 * scale, "channel %d: %.9g, not %.9g", i1, (double)y[i1], y1);
}

/* ---- xPos: two borrowed tables, one for q and its inverse scale for k -------------------------------------------- */

enum { XPOS_SCALE_BASE = 512 };

static double zeta(int j)
{
    return (2 * j + 0.4 * DIM) / (1.4 * DIM);
}

static void xpos_rotate(double sign, float *x, float *y)
{
    static float cosine[TOKENS * PAIRS], sine[TOKENS * PAIRS];
    double w[PAIRS];
    CHECK(roperot_frequencies(NULL, DIM, 1e4, w, PAIRS, NULL) == ROPEROT_OK, "%s", roperot_last_error());
    for (int p = 0; p < TOKENS; p++)
        for (int j = 0; j < PAIRS; j++) {
            const double scale = pow(zeta(j), sign * (p - TOKENS / 2) / XPOS_SCALE_BASE);
            cosine[p * PAIRS + j] = (float)(scale * cos(p * w[j]));
            sine[p * PAIRS + j] = (float)(scale * sin(p * w[j]));
        }
    roperot_table table = ROPEROT_TABLE_INIT;
    table.cos = cosine;
    table.sin = sine;
    table.rows = TOKENS;
    table.row_stride = PAIRS;
    roperot_config config = config_of(ROPEROT_PAIR_INTERLEAVED);
    config.table = &table;
    const roperot_positions from_zero = roperot_positions_offset(0);
    rotate(&config, &from_zero, x, y);
}

/* The score of q at m and k at n is sum over pairs of zeta^((m - n)/512) Re(q conj(k) e^(i (m - n) w)). */
static void xpos(const void *arg)
{
    (void)arg;
    fill(q);
    fill(k);
    xpos_rotate(1, q, q_out);
    xpos_rotate(-1, k, k_out);
    for (int m = 0; m < TOKENS; m++)
        for (int n = 0; n < TOKENS; n++) {
            double score = 0, want = 0;
            for (int i = 0; i < DIM; i++) score += (double)q_out[m * DIM + i] * (double)k_out[n * DIM + i];
            for (int j = 0; j < PAIRS; j++) {
                const float *const a = q + m * DIM + 2 * j, *const b = k + n * DIM + 2 * j;
                const double angle = (m - n) * pow(1e4, -2.0 * j / DIM);
                const double re = (double)a[0] * (double)b[0] + (double)a[1] * (double)b[1];
                const double im = (double)a[1] * (double)b[0] - (double)a[0] * (double)b[1];
                want += pow(zeta(j), (double)(m - n) / XPOS_SCALE_BASE) * (re * cos(angle) - im * sin(angle));
            }
            CHECK(fabs(score - want) < 1e-5, "score of %d and %d: %.9g, not %.9g", m, n, score, want);
        }
}

/* ---- vision: maps and frequencies of one's own ------------------------------------------------------------------- */

/* Pixtral: rows take every other frequency of the whole head, columns the ones between; half-split. */
static void alternating_frequencies(const void *arg)
{
    (void)arg;
    double w[PAIRS], own[PAIRS];
    uint8_t axis[PAIRS];
    int64_t ids[2 * TOKENS];
    CHECK(roperot_frequencies(NULL, DIM, 1e4, w, PAIRS, NULL) == ROPEROT_OK, "%s", roperot_last_error());
    for (int j = 0; j < PAIRS; j++) {
        axis[j] = j >= PAIRS / 2;
        own[j] = w[j < PAIRS / 2 ? 2 * j : 2 * (j - PAIRS / 2) + 1];
    }
    for (int t = 0; t < TOKENS; t++) ids[t] = t / 4, ids[TOKENS + t] = t % 4;
    roperot_config config = config_of(ROPEROT_PAIR_HALF);
    config.inv_freq = own;
    config.axis = axis;
    config.pairs = PAIRS;
    config.axes = 2;
    roperot_positions grid = roperot_positions_i64(ids, 0);
    grid.axes = 2;
    grid.axis_stride = TOKENS;
    fill(q);
    rotate(&config, &grid, q, q_out);
    for (int t = 0; t < TOKENS; t++)
        for (int j = 0; j < PAIRS; j++) {
            const int i = j % (PAIRS / 2), column = j >= PAIRS / 2;
            const double angle = (column ? t % 4 : t / 4) * pow(1e4, -2.0 * (2 * i + column) / DIM);
            check_pair(q + t * DIM, q_out + t * DIM, j, j + PAIRS, angle, 1);
        }
}

/* DINOv3: real coordinates in [-1, 1], periods base^(4 i / dim) / (2 pi), restarting for the second axis. */
static void real_coordinates(const void *arg)
{
    (void)arg;
    const double pi = acos(-1.0);
    double periods[PAIRS], w[PAIRS], at[2 * TOKENS];
    uint8_t axis[PAIRS];
    roperot_sections halves = ROPEROT_SECTIONS_INIT;
    halves.kind = ROPEROT_SECTIONS_AXIAL;
    halves.count = 2;
    halves.section[0] = halves.section[1] = PAIRS / 2;
    int32_t index[PAIRS];
    CHECK(roperot_axis_map(&halves, PAIRS, axis, index) == ROPEROT_OK, "%s", roperot_last_error());
    for (int j = 0; j < PAIRS; j++) periods[j] = pow(100, 4.0 * index[j] / DIM) / (2 * pi);
    roperot_scaling scaling = ROPEROT_SCALING_INIT;
    scaling.kind = ROPEROT_SCALING_PERIODS;
    scaling.factors = periods;
    scaling.factor_count = PAIRS;
    CHECK(roperot_frequencies(&scaling, DIM, 0, w, PAIRS, NULL) == ROPEROT_OK, "%s", roperot_last_error());
    for (int i = 0; i < 2 * TOKENS; i++) at[i] = random_between(-1, 1);
    roperot_config config = config_of(ROPEROT_PAIR_HALF);
    config.inv_freq = w;
    config.axis = axis;
    config.pairs = PAIRS;
    config.axes = 2;
    roperot_positions points = ROPEROT_POSITIONS_INIT;
    points.kind = ROPEROT_POSITIONS_IDS;
    points.type = ROPEROT_POSITIONS_F64;
    points.axes = 2;
    points.ids = at;
    points.axis_stride = TOKENS;
    points.token_stride = 1;
    fill(q);
    rotate(&config, &points, q, q_out);
    for (int t = 0; t < TOKENS; t++)
        for (int j = 0; j < PAIRS; j++) {
            const int i = j % (PAIRS / 2), second = j >= PAIRS / 2;
            const double angle = 2 * pi * at[second * TOKENS + t] * pow(100, -4.0 * i / DIM);
            check_pair(q + t * DIM, q_out + t * DIM, j, j + PAIRS, angle, 1);
        }
}

int main(int argc, char **argv)
{
    harness_add(xpos, NULL, "xpos");
    harness_add(alternating_frequencies, NULL, "alternating frequencies");
    harness_add(real_coordinates, NULL, "real coordinates");
    return harness_run(argc, argv, "recipes");
}
