/* SPDX-License-Identifier: MIT
 * The adapter against ggml's own operator, node by node: modes, types, strides, threads, and what it leaves to ggml; it
 * must not know how the adapter finds its plans. */
#include <ggml-cpu.h>
#include <ggml.h>
#include <math.h>
#include <string.h>

#include "roperot-ggml.h"
#include "support/harness.h"

enum { MEMORY = 64 << 20, MOST_TOKENS = 7, HEADS = 5 };
/* A batch of prompts, and what a decode step brings. */
static int tokens, batch;
/* ggml's chained angles at positions below 500, elements below 2, and for f16 its rounding. */
static const double tolerance[2] = { 4e-3, 6e-3 };

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

typedef struct shape {
    const char *name;
    int dim, n_dims, n_offs, mode, sections[4];
} shape;

static const shape shapes[] = {
    { "normal", 64, 64, 0, GGML_ROPE_TYPE_NORMAL, { 0 } },
    { "normal-window", 128, 32, 32, GGML_ROPE_TYPE_NORMAL, { 0 } },
    { "neox", 128, 128, 0, GGML_ROPE_TYPE_NEOX, { 0 } },
    { "neox-partial", 80, 20, 0, GGML_ROPE_TYPE_NEOX, { 0 } },
    { "mrope", 128, 128, 0, GGML_ROPE_TYPE_MROPE, { 42, 42, 42, 0 } },
    { "imrope", 128, 32, 64, GGML_ROPE_TYPE_IMROPE, { 6, 5, 5, 0 } },
    { "vision", 80, 40, 0, GGML_ROPE_TYPE_VISION, { 20, 20, 0, 0 } },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static int32_t positions[4 * MOST_TOKENS];
static float factors[128];

static void fill(struct ggml_tensor *t)
{
    for (int64_t i = 0; i < ggml_nelements(t); i++) {
        const float x = (float)random_between(-2, 2);
        if (t->type == GGML_TYPE_F32) ((float *)t->data)[i] = x;
        else ((ggml_fp16_t *)t->data)[i] = ggml_fp32_to_fp16(x);
    }
}

/* How x lies in memory. */
enum { PACKED, VIEW, PERMUTED, LAYOUTS };

static struct ggml_tensor *tensor_of(struct ggml_context *context, enum ggml_type type, int dim, int layout)
{
    struct ggml_tensor *t;
    if (layout == PACKED) {
        t = ggml_new_tensor_4d(context, type, dim, HEADS, tokens, batch);
        fill(t);
        return t;
    }
    if (layout == VIEW) {
        t = ggml_new_tensor_4d(context, type, 2 * dim, HEADS + 3, tokens + 1, batch);
        fill(t);
        return ggml_view_4d(context, t, dim, HEADS, tokens, batch, t->nb[1], t->nb[2], t->nb[3],
                            (size_t)dim * ggml_type_size(type));
    }
    t = ggml_new_tensor_4d(context, type, dim, tokens, HEADS, batch);
    fill(t);
    return ggml_permute(context, t, 0, 2, 1, 3);
}

/* variant: 1 factors, 2 YaRN, 4 backward, 8 one token. */
static struct ggml_tensor *node_of(struct ggml_context *context, const shape *s, struct ggml_tensor *x, int variant)
{
    const int rows = s->mode & GGML_ROPE_TYPE_MROPE ? 4 : 1, vision = s->mode == GGML_ROPE_TYPE_VISION;
    struct ggml_tensor *const at = ggml_new_tensor_1d(context, GGML_TYPE_I32, rows * tokens);
    struct ggml_tensor *const by = variant & 1 ? ggml_new_tensor_1d(context, GGML_TYPE_F32, s->dim / 2) : NULL;
    int sections[4];
    memcpy(sections, s->sections, sizeof sections);
    memcpy(at->data, positions, (size_t)(rows * tokens) * sizeof *positions);
    if (by) memset(by->data, 0, ggml_nbytes(by));
    if (by) memcpy(by->data, factors, (size_t)(vision ? s->dim : s->n_dims) / 2 * sizeof *factors);
    const float scale = variant & 2 ? 0.7f : 1.0f, ext = variant & 2 ? 0.75f : 0.0f;
    struct ggml_tensor *const y =
        rows > 1 ? ggml_rope_multi(context, x, at, by, s->n_dims, sections, s->mode, 64, 1e4f, scale, ext, 1.2f, 32, 1)
                 : ggml_rope_ext(context, x, at, by, s->n_dims, s->mode, 64, 1e4f, scale, ext, 1.2f, 32, 1);
    ((int32_t *)y->op_params)[15] = s->n_offs;
    if (variant & 4) y->op = GGML_OP_ROPE_BACK;
    return y;
}

static double value(const struct ggml_tensor *t, int64_t d, int64_t h, int64_t p, int64_t b)
{
    const char *const at =
        (const char *)t->data + (size_t)d * t->nb[0] + (size_t)h * t->nb[1] + (size_t)p * t->nb[2] + (size_t)b * t->nb[3];
    return t->type == GGML_TYPE_F32 ? (double)*(const float *)(const void *)at
                                    : (double)ggml_fp16_to_fp32(*(const ggml_fp16_t *)(const void *)at);
}

/* ---- agreement --------------------------------------------------------------------------------------------------- */

static void compute(struct ggml_context *context, struct ggml_tensor *node)
{
    struct ggml_cgraph *const graph = ggml_new_graph(context);
    ggml_build_forward_expand(graph, node);
    CHECK(ggml_graph_compute_with_ctx(context, graph, 1) == GGML_STATUS_SUCCESS, "ggml's graph failed");
}

static void try_node(const shape *s, enum ggml_type type, int layout, int variant, int in_place)
{
    const struct ggml_init_params parameters = { MEMORY, NULL, false };
    struct ggml_context *const context = ggml_init(parameters);
    struct ggml_tensor *const x = tensor_of(context, type, s->dim, layout), *const y = node_of(context, s, x, variant);
    struct ggml_tensor *const theirs = ggml_dup_tensor(context, y);
    compute(context, y);
    memcpy(theirs->data, y->data, ggml_nbytes(y));
    struct ggml_tensor ours = *y;
    if (in_place) {
        ours.data = x->data;
        memcpy(ours.nb, x->nb, sizeof ours.nb);
    } else
        memset(y->data, 0x55, ggml_nbytes(y));
    const int nth = 1 + (int)random_below(9);
    for (int ith = nth; ith-- > 0;) CHECK(roperot_ggml_rope(ith, nth, &ours), "%s: left to ggml", s->name);
    for (int64_t i = 0; i < ggml_nelements(y); i++) {
        const int64_t d = i % s->dim, h = i / s->dim % HEADS, p = i / s->dim / HEADS % tokens,
                      b = i / s->dim / HEADS / tokens;
        const double got = value(&ours, d, h, p, b), want = value(theirs, d, h, p, b);
        CHECK(fabs(got - want) < tolerance[type == GGML_TYPE_F16],
              "layout %d, variant %d, %d threads, in place %d, batch %d, token %d, head %d, channel %d: %g, ggml has %g",
              layout, variant, nth, in_place, (int)b, (int)p, (int)h, (int)d, got, want);
    }
    ggml_free(context);
}

static void agrees(const void *arg)
{
    const shape *const s = arg;
    for (int variant = 0; variant < 16; variant++)
        for (int layout = 0; layout < LAYOUTS; layout++)
            for (int in_place = 0; in_place < 2; in_place++) {
                tokens = variant & 8 ? 1 : MOST_TOKENS;
                batch = variant & 8 ? 1 : 2;
                for (int i = 0; i < 4 * tokens; i++) positions[i] = (int32_t)random_below(500) - (in_place ? 250 : 0);
                try_node(s, GGML_TYPE_F32, layout, variant, in_place);
                try_node(s, GGML_TYPE_F16, layout, variant, in_place);
            }
}

/* ---- what stays ggml's ------------------------------------------------------------------------------------------- */

static void leaves(struct ggml_tensor *node, const char *what)
{
    memset(node->data, 0x55, ggml_nbytes(node));
    for (int ith = 0; ith < 3; ith++) CHECK(!roperot_ggml_rope(ith, 3, node), "%s: not left to ggml", what);
    for (size_t i = 0; i < ggml_nbytes(node); i++)
        CHECK(((const unsigned char *)node->data)[i] == 0x55, "%s: byte %zu was written", what, i);
}

static void set_float(struct ggml_tensor *node, int at, float x)
{
    memcpy((int32_t *)node->op_params + at, &x, sizeof x);
}

static void leaves_to_ggml(const void *arg)
{
    (void)arg;
    const struct ggml_init_params parameters = { MEMORY, NULL, false };
    struct ggml_context *const context = ggml_init(parameters);
    tokens = MOST_TOKENS;
    batch = 2;
    struct ggml_tensor *const x = tensor_of(context, GGML_TYPE_F32, 64, PACKED);
    static const int wrong_mode = 4;
    struct ggml_tensor *node = node_of(context, &shapes[0], x, 2);
    const struct ggml_tensor good = *node;
    ((int32_t *)node->op_params)[2] = wrong_mode, leaves(node, "an unknown mode"), *node = good;
    ((int32_t *)node->op_params)[1] = 66, leaves(node, "n_dims beyond the head"), *node = good;
    ((int32_t *)node->op_params)[1] = 7, leaves(node, "odd n_dims"), *node = good;
    ((int32_t *)node->op_params)[1] = -2, leaves(node, "negative n_dims"), *node = good;
    ((int32_t *)node->op_params)[15] = 2, leaves(node, "a window beyond the head"), *node = good;
    ((int32_t *)node->op_params)[15] = INT32_MAX - 1, leaves(node, "a window far beyond"), *node = good;
    ((int32_t *)node->op_params)[4] = -4, leaves(node, "negative n_ctx_orig"), *node = good;
    set_float(node, 5, 1.0f), leaves(node, "base 1 with a ramp"), *node = good;
    set_float(node, 5, NAN), leaves(node, "base NaN"), *node = good;
    set_float(node, 6, 0.0f), leaves(node, "freq_scale 0"), *node = good;
    set_float(node, 8, 0.0f), leaves(node, "attn_factor 0"), *node = good;
    struct ggml_tensor *const mrope = node_of(context, &shapes[4], tensor_of(context, GGML_TYPE_F32, 128, PACKED), 0);
    memset((int32_t *)mrope->op_params + 11, 0, 4 * sizeof(int32_t)), leaves(mrope, "no sections");
    positions[2] = INT32_MIN;
    leaves(node_of(context, &shapes[0], x, 0), "the lowest position");
    struct ggml_tensor overlapping = *node;
    overlapping.data = (char *)x->data + 16;
    CHECK(!roperot_ggml_rope(0, 1, &overlapping), "views that overlap: not left to ggml");
    struct ggml_tensor folded = *node;
    folded.nb[2] = folded.nb[1];
    CHECK(!roperot_ggml_rope(0, 1, &folded), "a view that overlaps itself: not left to ggml");
    ggml_free(context);
}

int main(int argc, char **argv)
{
    ggml_cpu_init();
    for (int j = 0; j < 128; j++) factors[j] = 0.9f + 0.2f * (float)(j * 7 % 11) / 11;
    for (int i = 0; i < SHAPES; i++) harness_add(agrees, &shapes[i], "%s", shapes[i].name);
    harness_add(leaves_to_ggml, NULL, "leaves to ggml");
    return harness_run(argc, argv, "ggml-adapter");
}
