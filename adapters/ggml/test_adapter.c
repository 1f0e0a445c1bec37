/* SPDX-License-Identifier: MIT
 * The adapter against ggml's own operators, node by node and by chains: modes, types, strides, threads, far positions,
 * and what it leaves to ggml; it must not know how the adapter finds its plans. */
#include <dlfcn.h>
#include <ggml-cpu.h>
#include <ggml.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "roperot-ggml.h"
#include "support/harness.h"

enum { MEMORY = 2 << 20, MOST_TOKENS = 7, HEADS = 5 };
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
/* The first ones have one axis. */
enum { SHAPES = sizeof shapes / sizeof *shapes, FAR_SHAPES = 4 };

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
        (const char *)t->data + (size_t)d * t->nb[0] + (size_t)h * t->nb[1] + (size_t)p * t->nb[2] +
        (size_t)b * t->nb[3];
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
              "layout %d, variant %d, %d threads, in place %d, batch %d, token %d, head %d, channel %d: %g, not %g",
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

/* One token, whose heads threads share: what one of them writes is another's source, though each sees no overlap. */
static void leaves_shared_overlap(const void *arg)
{
    (void)arg;
    const struct ggml_init_params parameters = { MEMORY, NULL, false };
    struct ggml_context *const context = ggml_init(parameters);
    tokens = batch = 1;
    struct ggml_tensor *const x = tensor_of(context, GGML_TYPE_F32, 64, PACKED);
    struct ggml_tensor node = *node_of(context, &shapes[0], x, 0);
    node.data = (char *)x->data + 2 * x->nb[1];
    for (int ith = 0; ith < HEADS; ith++)
        CHECK(!roperot_ggml_rope(ith, HEADS, &node), "thread %d: not left to ggml", ith);
    ggml_free(context);
}

/* Words that are no parameters, and some that nearly are: turned or left, and then not a byte is written. */
static void survives_any_parameters(const void *arg)
{
    static const int32_t words[] = { 0, 1, 2, 4, 6, 8, 40, 24, -1, -2, 32, INT32_MAX, INT32_MIN };
    static const float numbers[] = { 0, 1, -1, 1e4f, 1e-4f, 1e38f, -1e38f, INFINITY, NAN, 1e-45f };
    (void)arg;
    const struct ggml_init_params parameters = { MEMORY, NULL, false };
    struct ggml_context *const context = ggml_init(parameters);
    tokens = MOST_TOKENS, batch = 1;
    for (int i = 0; i < 4 * tokens; i++) positions[i] = (int32_t)random_below(500);
    struct ggml_tensor *const x = tensor_of(context, GGML_TYPE_F32, 8, PACKED);
    const shape usual = { "any", 8, 8, 0, GGML_ROPE_TYPE_NEOX, { 0 } };
    struct ggml_tensor *const node = node_of(context, &usual, x, 0);
    const struct ggml_tensor good = *node, at = *node->src[1];
    int turned = 0;
    for (int i = 0; i < 4000; i++) {
        *node = good, *node->src[1] = at;
        for (int changes = 1 + (int)random_below(3); changes > 0; changes--) {
            const int word = (int)random_below(16), is_float = word >= 5 && word <= 10;
            if (is_float) set_float(node, word, numbers[random_below(sizeof numbers / sizeof *numbers)]);
            else ((int32_t *)node->op_params)[word] = words[random_below(sizeof words / sizeof *words)];
        }
        if (i % 16 == 0) node->src[1]->ne[0] = (int64_t)random_below((uint32_t)tokens);
        if (i % 16 == 1) node->src[1]->type = GGML_TYPE_I64;
        memset(node->data, 0x55, ggml_nbytes(node));
        const int done = roperot_ggml_rope(0, 1, node);
        turned += done;
        for (size_t k = 0; k < ggml_nbytes(node) && !done; k++)
            CHECK(((const unsigned char *)node->data)[k] == 0x55, "round %d: left to ggml, but byte %zu was written", i,
                  k);
    }
    CHECK(turned > 100 && turned < 3900, "%d of 4000 were turned", turned);
    ggml_free(context);
}

/* ---- far positions ----------------------------------------------------------------------------------------------- */

/* Beyond the rows that a plan keeps: against exact angles, since ggml's chained ones are worth nothing there. */
enum { NEAR = 8192, FAR = 1000000 };

static void expect_exact(const shape *s, const struct ggml_tensor *x, const struct ggml_tensor *y, int with_factors)
{
    const int half = s->n_dims / 2, neighbours = s->mode == GGML_ROPE_TYPE_NORMAL;
    for (int t = 0; t < tokens; t++)
        for (int h = 0; h < HEADS; h++)
            for (int j = 0; j < half; j++) {
                const int c = s->n_offs + (neighbours ? 2 * j : j), d = c + (neighbours ? 1 : half);
                const double w = pow(1e4, -2.0 * j / s->n_dims) / (with_factors ? (double)factors[j] : 1);
                const double angle = fmod(positions[t] * w, 8 * atan(1)), re = value(x, c, h, t, 0),
                             im = value(x, d, h, t, 0);
                const double want[2] = { re * cos(angle) - im * sin(angle), re * sin(angle) + im * cos(angle) };
                const double got[2] = { value(y, c, h, t, 0), value(y, d, h, t, 0) };
                /* attn_factor 1.2 of node_of; f32 products and sums of numbers below 4. */
                for (int k = 0; k < 2; k++)
                    CHECK(fabs(got[k] - (double)1.2f * want[k]) < 2e-6,
                          "position %d, head %d, pair %d: %g, exact is %g", (int)positions[t], h, j, got[k],
                          (double)1.2f * want[k]);
            }
}

static void turns_far(const void *arg)
{
    const shape *const s = arg;
    tokens = MOST_TOKENS, batch = 1;
    for (int with_factors = 0; with_factors < 2; with_factors++) {
        const struct ggml_init_params parameters = { MEMORY, NULL, false };
        struct ggml_context *const context = ggml_init(parameters);
        for (int i = 0; i < tokens; i++) positions[i] = (int32_t)random_below(NEAR);
        struct ggml_tensor *const x = tensor_of(context, GGML_TYPE_F32, s->dim, PACKED);
        struct ggml_tensor *const near = node_of(context, s, x, with_factors);
        CHECK(roperot_ggml_rope(0, 1, near), "%s: left to ggml", s->name);
        /* One far token takes all others of its node along: their bits must not change. */
        positions[3] = NEAR + (int32_t)random_below(FAR), positions[5] = NEAR, positions[6] = NEAR - 1;
        struct ggml_tensor *const far = node_of(context, s, x, with_factors);
        for (int ith = 0; ith < 3; ith++) CHECK(roperot_ggml_rope(ith, 3, far), "%s: left to ggml", s->name);
        expect_exact(s, x, far, with_factors);
        for (int t = 0; t < tokens; t++)
            if (t != 3 && t != 5 && t != 6)
                CHECK(memcmp((char *)near->data + (size_t)t * near->nb[2], (char *)far->data + (size_t)t * far->nb[2],
                             near->nb[2]) == 0, "%s: token %d has other bits beside a far one", s->name, t);
        ggml_free(context);
    }
}

/* ---- chains ------------------------------------------------------------------------------------------------------ */

/* ggml-base exports it without a public header. */
void quantize_row_q8_0_ref(const float *x, void *y, int64_t k);

/* What a layer has for K and V: x -> norm -> rope -> cache, and v -> cache. */
typedef struct layer {
    struct ggml_context *context;
    struct ggml_tensor *x, *norm, *mul, *rope, *cache[2], *store[2], *values;
    int64_t row;
} layer;

static struct ggml_tensor *cache_of(layer *l, enum ggml_type type, struct ggml_tensor *rows, int which)
{
    struct ggml_tensor *const at = ggml_new_tensor_1d(l->context, GGML_TYPE_I64, tokens);
    for (int i = 0; i < tokens; i++) ((int64_t *)at->data)[i] = 2 * (tokens - i) - which;
    l->cache[which] = ggml_new_tensor_2d(l->context, type, l->row, 2 * tokens + 1);
    return ggml_set_rows(l->context, l->cache[which], rows, at);
}

static layer layer_of(const shape *s, int with_norm, int variant, enum ggml_type type)
{
    const struct ggml_init_params parameters = { MEMORY, NULL, false };
    layer l = { .context = ggml_init(parameters), .row = (int64_t)HEADS * s->dim };
    l.x = tensor_of(l.context, GGML_TYPE_F32, s->dim, PACKED);
    struct ggml_tensor *const weight = ggml_new_tensor_1d(l.context, GGML_TYPE_F32, s->dim);
    fill(weight);
    if (with_norm) l.norm = ggml_rms_norm(l.context, l.x, 1e-6f);
    if (with_norm) l.mul = ggml_mul(l.context, l.norm, weight);
    l.rope = node_of(l.context, s, with_norm ? l.mul : l.x, variant);
    l.values = ggml_new_tensor_2d(l.context, GGML_TYPE_F32, l.row, tokens);
    fill(l.values);
    l.store[0] = cache_of(&l, type, ggml_view_2d(l.context, l.rope, l.row, tokens, l.rope->nb[2], 0), 0);
    l.store[1] = cache_of(&l, type, l.values, 1);
    return l;
}

static void wipe(const layer *l)
{
    memset(l->rope->data, 0x55, ggml_nbytes(l->rope));
    for (int k = 0; k < 2; k++) memset(l->cache[k]->data, 0x55, ggml_nbytes(l->cache[k]));
}

/* One thread alone takes a way of its own with one token. */
static int run_chains(const struct roperot_ggml_chain *chains, int count)
{
    const int nth = random_below(2) ? 1 : 1 + (int)random_below(9);
    int done = 0;
    for (int ith = nth; ith-- > 0;) done += roperot_ggml_run(ith, nth, chains, count);
    CHECK(done == 0 || done == nth, "%d of %d threads took part", done, nth);
    return done > 0;
}

static int run_layer(const layer *l, int writes, int count)
{
    const struct roperot_ggml_chain chains[2] = { { l->norm, l->mul, l->rope, l->store[0], writes, 0 },
                                                  { NULL, NULL, NULL, l->store[1], 0, 0 } };
    return run_chains(chains, count);
}

/* The source written in ROPE's place, and something else in its own. */
static void try_placed(const layer *l, const float *dense, size_t bytes, const char *what)
{
    const struct roperot_ggml_chain chain = { l->norm, l->mul, l->rope, NULL, 1, 1 };
    memcpy(l->rope->data, l->x->data, bytes);
    memset(l->x->data, 0x55, bytes);
    CHECK(run_chains(&chain, 1), "%s: placed, left to ggml", what);
    CHECK(memcmp(l->rope->data, dense, bytes) == 0, "%s: placed, other bits", what);
}

/* A cache's bytes are the dense rows by ggml's reference conversion, and no other row is written. */
static void expect_rows(const layer *l, int which, const float *dense, const char *what)
{
    const struct ggml_tensor *const cache = l->cache[which];
    static float row[HEADS * 128];
    unsigned char want[sizeof row];
    for (int64_t r = 0; r < cache->ne[1]; r++) {
        const unsigned char *const got = (const unsigned char *)cache->data + (size_t)r * cache->nb[1];
        memset(want, 0x55, sizeof want);
        for (int i = 0; i < tokens; i++) {
            if (((const int64_t *)l->store[which]->src[1]->data)[i] != r) continue;
            memcpy(row, dense + i * l->row, (size_t)l->row * sizeof *row);
            if (cache->type == GGML_TYPE_Q8_0) quantize_row_q8_0_ref(row, want, l->row);
            if (cache->type == GGML_TYPE_F32) memcpy(want, row, (size_t)l->row * sizeof *row);
            for (int64_t c = 0; c < l->row && cache->type == GGML_TYPE_F16; c++) {
                const ggml_fp16_t rounded = ggml_fp32_to_fp16(row[c]);
                memcpy(want + 2 * c, &rounded, 2);
            }
        }
        for (size_t i = 0; i < cache->nb[1]; i++)
            CHECK(got[i] == want[i], "%s: cache %d, row %d, byte %zu is %u, not %u", what, which, (int)r, i, got[i],
                  want[i]);
    }
}

static void expect_near(const layer *l, const float *theirs, const char *what)
{
    for (int64_t i = 0; i < l->row * tokens; i++) {
        const double got = (double)((const float *)l->rope->data)[i], want = (double)theirs[i];
        CHECK(fabs(got - want) < 2e-3 * (2 + fabs(want)), "%s: element %d is %g, ggml has %g", what, (int)i, got, want);
    }
}

static void try_chain(const shape *s, int with_norm, int variant, enum ggml_type type)
{
    const layer l = layer_of(s, with_norm, variant, type);
    const size_t bytes = ggml_nbytes(l.rope);
    char what[80];
    snprintf(what, sizeof what, "norm %d, variant %d, %s, %d tokens", with_norm, variant, ggml_type_name(type), tokens);
    ggml_set_output(l.rope); /* also where ggml is fused itself */
    compute(l.context, l.store[0]);
    float *const theirs = malloc(bytes), *const dense = malloc(bytes);
    memcpy(theirs, l.rope->data, bytes);
    wipe(&l);
    CHECK(run_layer(&l, 1, 2), "%s: left to ggml", what);
    expect_near(&l, theirs, what);
    memcpy(dense, l.rope->data, bytes);
    for (int k = 0; k < 2; k++) expect_rows(&l, k, k ? l.values->data : dense, what);
    wipe(&l);
    CHECK(run_layer(&l, 0, 2), "%s: left to ggml", what);
    for (int k = 0; k < 2; k++) expect_rows(&l, k, k ? l.values->data : dense, what);
    for (size_t i = 0; i < bytes; i++)
        CHECK(((unsigned char *)l.rope->data)[i] == 0x55, "%s: rope's own result was written", what);
    wipe(&l);
    CHECK(run_layer(&l, 0, 1), "%s: without values, left to ggml", what);
    expect_rows(&l, 0, dense, what);
    float *const x = malloc(bytes);
    memcpy(x, l.x->data, bytes);
    try_placed(&l, dense, bytes, what);
    memcpy(l.x->data, x, bytes);
    struct ggml_tensor in_place = *l.rope;
    in_place.data = l.x->data;
    layer q = l;
    q.rope = &in_place;
    q.store[0] = NULL;
    CHECK(run_layer(&q, 1, 1), "%s: in place, left to ggml", what);
    CHECK(memcmp(l.x->data, dense, bytes) == 0, "%s: in place, other bits", what);
    free(theirs), free(dense), free(x);
    ggml_free(l.context);
}

static void chains_agree(const void *arg)
{
    const shape *const s = arg;
    static const enum ggml_type types[] = { GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q8_0 };
    batch = 1;
    for (int variant = 0; variant < 4; variant++)
        for (int with_norm = 0; with_norm < 2; with_norm++)
            for (size_t k = 0; k < sizeof types / sizeof *types; k++)
                for (tokens = 1; tokens <= MOST_TOKENS; tokens += MOST_TOKENS - 1) {
                    for (int i = 0; i < 4 * tokens; i++) positions[i] = (int32_t)random_below(500);
                    if (types[k] == GGML_TYPE_Q8_0 && s->dim % 32) continue; /* ggml has no such rows */
                    try_chain(s, with_norm, variant, types[k]);
                }
}

/* Of one token, ROPE's own result is nobody's, so that it may go the way of one token. */
static void leaves_chain(layer *l, int count, const char *what)
{
    wipe(l);
    CHECK(!run_layer(l, tokens > 1, count), "%s: not left to ggml", what);
    for (size_t i = 0; i < ggml_nbytes(l->rope); i++)
        CHECK(((unsigned char *)l->rope->data)[i] == 0x55, "%s: byte %zu was written", what, i);
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < ggml_nbytes(l->cache[k]); i++)
            CHECK(((unsigned char *)l->cache[k]->data)[i] == 0x55, "%s: byte %zu of cache %d was written", what, i, k);
}

static void leaves_chains_to_ggml(const void *arg)
{
    tokens = *(const int *)arg, batch = 1;
    for (int i = 0; i < 4 * tokens; i++) positions[i] = i;
    layer l = layer_of(&shapes[2], 1, 0, GGML_TYPE_F16);
    struct ggml_tensor *const weight = l.mul->src[1];
    int64_t *const at = (int64_t *)l.store[0]->src[1]->data + tokens / 3, row = *at;
    wipe(&l);
    CHECK(run_layer(&l, tokens > 1, 2), "what is usual was left to ggml");
    *at = -1, leaves_chain(&l, 2, "a row below 0");
    *at = 2 * tokens + 1, leaves_chain(&l, 2, "a row beyond the cache");
    *at = row;
    weight->ne[1] = HEADS, leaves_chain(&l, 1, "a weight per head"), weight->ne[1] = 1;
    weight->type = GGML_TYPE_F16, leaves_chain(&l, 1, "a weight in f16"), weight->type = GGML_TYPE_F32;
    void *const data = weight->data;
    if (tokens > 1) weight->data = l.rope->data, leaves_chain(&l, 1, "a weight where the result goes");
    weight->data = data;
    l.store[1]->src[0]->ne[1]--, leaves_chain(&l, 2, "fewer values than keys"), l.store[1]->src[0]->ne[1]++;
    struct ggml_tensor *const own = l.cache[1];
    l.cache[1] = l.cache[0], l.store[1]->data = l.cache[0]->data;
    if (tokens == 1) *(int64_t *)l.store[1]->src[1]->data = *at;
    leaves_chain(&l, 2, tokens > 1 ? "one cache for both" : "one row for both");
    l.cache[1] = own, l.store[1]->data = own->data;
    set_float(l.norm, 0, -1.0f), leaves_chain(&l, 1, "a negative epsilon"), set_float(l.norm, 0, 1e-6f);
    l.store[0]->src[0]->nb[1] += 4, leaves_chain(&l, 1, "a view with gaps"), l.store[0]->src[0]->nb[1] -= 4;
    ((int32_t *)l.rope->src[1]->data)[tokens / 2] = INT32_MIN;
    leaves_chain(&l, 2, "the lowest position");
    ggml_free(l.context);
}

/* ---- locks and allocations --------------------------------------------------------------------------------------- */

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define WATCHED 1
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
static int is_watched, events;

void *malloc(size_t bytes)
{
    events += is_watched;
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    events += is_watched;
    return __libc_calloc(count, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    events += is_watched;
    return __libc_memalign(alignment, bytes);
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    static int (*next)(pthread_mutex_t *);
    events += is_watched;
    if (!next) {
        void *const found = dlsym(RTLD_NEXT, "pthread_mutex_lock");
        memcpy(&next, &found, sizeof next);
    }
    return next(mutex);
}
#else
#define WATCHED 0
static int is_watched, events;
#endif

/* Once its parameters are known, a node or chain takes no lock and allocates nothing; before, it does both. */
static void watch(const layer *l, int far, int is_first, const char *what)
{
    events = 0, is_watched = 1;
    const int turned = roperot_ggml_rope(0, 2, l->rope) & roperot_ggml_rope(1, 2, l->rope), of_node = events;
    const int ran = run_layer(l, 1, 2);
    is_watched = 0;
    CHECK(turned && ran, "%s: left to ggml", what);
    if (is_first && WATCHED) CHECK(of_node > 1, "%s: the first call is not seen to lock and allocate", what);
    if (!is_first) CHECK(events == 0, "%s, far %d: %d locks and allocations", what, far, events);
}

static void takes_no_lock(const void *arg)
{
    const shape *const s = arg;
    batch = 1;
    for (tokens = 1; tokens <= MOST_TOKENS; tokens += MOST_TOKENS - 1)
        for (int far = 0; far < 2; far++) {
            for (int i = 0; i < 4 * tokens; i++) positions[i] = (int32_t)random_below(500) + (far ? NEAR : 0);
            const layer l = layer_of(s, 1, 3, GGML_TYPE_F16);
            set_float(l.rope, 8, 1.375f); /* attn_factor: parameters that nobody has asked for */
            watch(&l, far, tokens == 1 && !far, s->name);
            watch(&l, far, 0, s->name);
            ggml_free(l.context);
        }
}

int main(int argc, char **argv)
{
    static const int counts[] = { 1, MOST_TOKENS };
    setenv("ROPEROT_GGML_FUSE", "all", 1); /* one line, too */
    ggml_cpu_init();
    for (int j = 0; j < 128; j++) factors[j] = 0.9f + 0.2f * (float)(j * 7 % 11) / 11;
    for (int i = 0; i < SHAPES; i++) harness_add(agrees, &shapes[i], "%s", shapes[i].name);
    for (int i = 0; i < FAR_SHAPES; i++) harness_add(turns_far, &shapes[i], "far %s", shapes[i].name);
    for (int i = 0; i < SHAPES; i++) harness_add(chains_agree, &shapes[i], "chains %s", shapes[i].name);
    for (int i = 0; i < SHAPES; i++) harness_add(takes_no_lock, &shapes[i], "no lock %s", shapes[i].name);
    harness_add(leaves_to_ggml, NULL, "leaves to ggml");
    harness_add(leaves_shared_overlap, NULL, "leaves shared overlaps to ggml");
    harness_add(survives_any_parameters, NULL, "any parameters");
    for (int i = 0; i < 2; i++)
        harness_add(leaves_chains_to_ggml, &counts[i], "leaves chains of %d to ggml", counts[i]);
    return harness_run(argc, argv, "ggml-adapter");
}
