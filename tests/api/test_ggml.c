/* SPDX-License-Identifier: MIT
 * Rotations against ggml's own, where ggml is installed: YaRN, frequency factors, MROPE, IMROPE, VISION; it must not
 * know kernels.
 *
 * ggml chains f32 products for its angles: at position p that is off by some p * 2^-20 (docs/accuracy.md). Positions
 * stay below 300 and elements below 2, so that 2e-3 separates its rounding from another frequency, axis or factor. */
#include <ggml-cpu.h>
#include <ggml.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <roperot/roperot.h>

#include "support/harness.h"

enum { TOKENS = 24, HEADS = 3, MOST_DIM = 128, ROWS = 4, MEMORY = 16 << 20 };
static const double tolerance = 2e-3;

typedef struct ggml_case {
    const char *name;
    int dim, mode, sections[4];
    int32_t pairing, kind; /* a roperot_sections_kind */
    double base, freq_scale, ext_factor, attn_factor;
    int has_factors;
} ggml_case;

static const ggml_case cases[] = {
    { "neox", 128, GGML_ROPE_TYPE_NEOX, { 0 }, ROPEROT_PAIR_HALF, 0, 5e5, 1, 0, 1, 0 },
    { "normal", 64, GGML_ROPE_TYPE_NORMAL, { 0 }, ROPEROT_PAIR_INTERLEAVED, 0, 1e4, 1, 0, 1, 0 },
    { "scaled", 64, GGML_ROPE_TYPE_NEOX, { 0 }, ROPEROT_PAIR_HALF, 0, 1e4, 0.25, 0, 1.5, 0 },
    { "yarn", 128, GGML_ROPE_TYPE_NEOX, { 0 }, ROPEROT_PAIR_HALF, 0, 1e6, 0.25, 1, 1, 0 },
    { "yarn-mixed", 64, GGML_ROPE_TYPE_NORMAL, { 0 }, ROPEROT_PAIR_INTERLEAVED, 0, 1e4, 0.025, 0.7, 0.9, 0 },
    { "factors", 128, GGML_ROPE_TYPE_NEOX, { 0 }, ROPEROT_PAIR_HALF, 0, 1e4, 1, 0, 1.19, 1 },
    { "yarn-factors", 64, GGML_ROPE_TYPE_NEOX, { 0 }, ROPEROT_PAIR_HALF, 0, 1e4, 0.5, 1, 1, 1 },
    { "mrope",
      128,
      GGML_ROPE_TYPE_MROPE,
      { 16, 24, 24, 0 },
      ROPEROT_PAIR_HALF,
      ROPEROT_SECTIONS_CONTIGUOUS,
      1e6,
      1,
      0,
      1,
      0 },
    { "imrope",
      128,
      GGML_ROPE_TYPE_IMROPE,
      { 24, 20, 20, 0 },
      ROPEROT_PAIR_HALF,
      ROPEROT_SECTIONS_INTERLEAVED_GGML,
      5e6,
      1,
      0,
      1,
      0 },
    { "vision",
      80,
      GGML_ROPE_TYPE_VISION,
      { 20, 20, 0, 0 },
      ROPEROT_PAIR_HALF,
      ROPEROT_SECTIONS_AXIAL,
      1e4,
      1,
      0,
      1,
      0 },
};

static int32_t positions[ROWS * TOKENS];
static float factors[MOST_DIM / 2], elements[TOKENS * HEADS * MOST_DIM];

static void fill(const ggml_case *c)
{
    for (int i = 0; i < ROWS * TOKENS; i++) positions[i] = (int32_t)random_below(300);
    for (int j = 0; j < MOST_DIM / 2; j++) factors[j] = c->has_factors ? 1.0f + 0.125f * (float)j : 1.0f;
    for (int i = 0; i < TOKENS * HEADS * c->dim; i++) elements[i] = (float)random_between(-2, 2);
}

/* ---- ggml -------------------------------------------------------------------------------------------------------- */

static struct ggml_tensor *rope(struct ggml_context *context, const ggml_case *c, struct ggml_tensor *x)
{
    const int vision = c->mode == GGML_ROPE_TYPE_VISION, rows = c->kind ? ROWS : 1;
    struct ggml_tensor *const at = ggml_new_tensor_1d(context, GGML_TYPE_I32, rows * TOKENS);
    struct ggml_tensor *const by = c->has_factors ? ggml_new_tensor_1d(context, GGML_TYPE_F32, c->dim / 2) : NULL;
    int sections[4];
    memcpy(sections, c->sections, sizeof sections);
    memcpy(at->data, positions, (size_t)(rows * TOKENS) * sizeof *positions);
    if (by) memcpy(by->data, factors, (size_t)c->dim / 2 * sizeof *factors);
    const float base = (float)c->base, scale = (float)c->freq_scale, ext = (float)c->ext_factor,
                attn = (float)c->attn_factor;
    if (c->kind)
        return ggml_rope_multi(context, x, at, by, vision ? c->dim / 2 : c->dim, sections, c->mode, 4096, base, scale,
                               ext, attn, 32, 1);
    return ggml_rope_ext(context, x, at, by, c->dim, c->mode, 4096, base, scale, ext, attn, 32, 1);
}

static void rotate_by_ggml(const ggml_case *c, float *out)
{
    const struct ggml_init_params parameters = { MEMORY, NULL, false };
    struct ggml_context *const context = ggml_init(parameters);
    CHECK(context, "ggml_init failed");
    struct ggml_tensor *const x = ggml_new_tensor_3d(context, GGML_TYPE_F32, c->dim, HEADS, TOKENS);
    const size_t bytes = (size_t)(TOKENS * HEADS * c->dim) * sizeof(float);
    memcpy(x->data, elements, bytes);
    struct ggml_tensor *const y = rope(context, c, x);
    struct ggml_cgraph *const graph = ggml_new_graph(context);
    ggml_build_forward_expand(graph, y);
    CHECK(ggml_graph_compute_with_ctx(context, graph, 1) == GGML_STATUS_SUCCESS, "ggml's graph failed");
    memcpy(out, y->data, bytes);
    ggml_free(context);
}

/* ---- roperot ----------------------------------------------------------------------------------------------------- */

/* Frequencies, in the order that the sections want, and axes. Returns the attention factor. */
static double model_of(const ggml_case *c, double *w, uint8_t *axis)
{
    const int32_t pairs = c->dim / 2, own = c->mode == GGML_ROPE_TYPE_VISION ? pairs / 2 : pairs;
    double frequency[MOST_DIM / 2], by[MOST_DIM / 2], attention;
    int32_t index[MOST_DIM / 2];
    roperot_scaling s = ROPEROT_SCALING_INIT;
    for (int j = 0; j < pairs; j++) by[j] = (double)factors[j], index[j] = j, axis[j] = 0;
    s.kind = ROPEROT_SCALING_YARN_GGML;
    s.original_length = 4096;
    s.freq_scale = c->freq_scale;
    s.ext_factor = c->ext_factor;
    s.attn_factor = c->attn_factor;
    s.factors = c->has_factors ? by : NULL;
    s.factor_count = c->has_factors ? pairs : 0;
    CHECK(!roperot_frequencies(&s, 2 * own, c->base, frequency, own, &attention), "%s", roperot_last_error());
    roperot_sections sections = ROPEROT_SECTIONS_INIT;
    sections.kind = c->kind;
    sections.count = c->kind == ROPEROT_SECTIONS_AXIAL ? 2 : ROWS;
    for (int i = 0; i < sections.count; i++) sections.section[i] = c->sections[i];
    if (c->kind) CHECK(!roperot_axis_map(&sections, pairs, axis, index), "%s", roperot_last_error());
    for (int j = 0; j < pairs; j++) w[j] = frequency[index[j]];
    return attention;
}

static void rotate_by_roperot(const ggml_case *c, float *out)
{
    double w[MOST_DIM / 2];
    uint8_t axis[MOST_DIM / 2];
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = c->dim;
    config.pairing = config.pairing_out = c->pairing;
    config.attention_factor = model_of(c, w, axis);
    config.inv_freq = w;
    config.pairs = c->dim / 2;
    config.axes = c->kind ? ROWS : 1;
    config.axis = c->kind ? axis : NULL;
    roperot_plan *plan;
    CHECK(!roperot_plan_create(&config, &plan), "%s", roperot_last_error());
    roperot_positions at = ROPEROT_POSITIONS_INIT;
    at.kind = ROPEROT_POSITIONS_IDS;
    at.type = ROPEROT_POSITIONS_I32;
    at.ids = positions;
    at.token_stride = 1;
    at.axes = config.axes;
    at.axis_stride = TOKENS;
    memcpy(out, elements, (size_t)(TOKENS * HEADS * c->dim) * sizeof *out);
    roperot_tensor view = {
        out, ROPEROT_F32, 0, { 1, TOKENS, HEADS, c->dim }, { 0, (int64_t)HEADS * c->dim, c->dim, 1 }, NULL
    };
    CHECK(!roperot_apply(plan, &at, &view, NULL, 1, NULL), "%s", roperot_last_error());
    roperot_plan_destroy(plan);
}

static void agrees(const void *arg)
{
    const ggml_case *const c = arg;
    static float theirs[TOKENS * HEADS * MOST_DIM], ours[TOKENS * HEADS * MOST_DIM];
    fill(c);
    rotate_by_ggml(c, theirs);
    rotate_by_roperot(c, ours);
    for (int i = 0; i < TOKENS * HEADS * c->dim; i++)
        CHECK(fabs((double)ours[i] - (double)theirs[i]) < tolerance, "token %d, head %d, channel %d: %g, ggml has %g",
              i / (HEADS * c->dim), i / c->dim % HEADS, i % c->dim, (double)ours[i], (double)theirs[i]);
}

int main(int argc, char **argv)
{
    ggml_cpu_init();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) harness_add(agrees, &cases[i], "%s", cases[i].name);
    return harness_run(argc, argv, "ggml");
}
