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

#include "lists.h"
#include "support/harness.h"

enum { TOKENS = 12, HEADS = 3, MOST_DIM = 512, ROWS = 4, MEMORY = 16 << 20 };
static const double tolerance = 2e-3;

/* A head, what ggml rotates of it, and how. */
typedef struct geometry {
    const char *name;
    int dim, n_dims, n_offs, mode, sections[4];
} geometry;

#define NORMAL GGML_ROPE_TYPE_NORMAL
#define NEOX GGML_ROPE_TYPE_NEOX
#define MROPE GGML_ROPE_TYPE_MROPE
#define IMROPE GGML_ROPE_TYPE_IMROPE
#define VISION GGML_ROPE_TYPE_VISION

/* What models use, and what ggml's own tests try: lists of sections that are cut, and that wrap around. */
static const geometry geometries[] = {
    { "normal-128", 128, 128, 0, NORMAL, { 0 } },
    { "normal-16", 16, 16, 0, NORMAL, { 0 } },
    { "normal-partial", 80, 20, 0, NORMAL, { 0 } },
    { "normal-window", 128, 32, 32, NORMAL, { 0 } },
    { "neox-64", 64, 64, 0, NEOX, { 0 } },
    { "neox-36", 36, 36, 0, NEOX, { 0 } },
    { "neox-256", 256, 256, 0, NEOX, { 0 } },
    { "neox-512-partial", 512, 128, 0, NEOX, { 0 } },
    { "neox-window", 128, 32, 32, NEOX, { 0 } },
    { "mrope-qwen2-vl", 128, 128, 0, MROPE, { 16, 24, 24, 0 } },
    { "mrope-cut", 128, 128, 0, MROPE, { 42, 42, 42, 0 } },
    { "mrope-partial", 128, 20, 0, MROPE, { 6, 6, 6, 0 } },
    { "mrope-wraps", 128, 128, 0, MROPE, { 5, 0, 7, 3 } },
    { "mrope-window", 128, 24, 32, MROPE, { 8, 8, 8, 0 } },
    { "imrope-qwen3-vl", 128, 128, 0, IMROPE, { 24, 20, 20, 0 } },
    { "imrope-cut", 128, 128, 0, IMROPE, { 42, 42, 42, 0 } },
    { "imrope-qwen3.5", 256, 64, 0, IMROPE, { 11, 11, 10, 0 } },
    { "imrope-wraps", 64, 64, 0, IMROPE, { 5, 4, 5, 0 } },
    { "vision-qwen2-vl", 80, 40, 0, VISION, { 20, 20, 0, 0 } },
    { "vision-wraps", 128, 64, 0, VISION, { 7, 5, 3, 2 } },
    { "vision-no-second", 80, 40, 0, VISION, { 20, 0, 20, 0 } },
};

/* Everything else is the cross product: 21 geometries in 32 variants. */
typedef struct ggml_case {
    const geometry *of;
    int n_ctx_orig, has_factors;
    float freq_scale, ext_factor, attn_factor;
} ggml_case;

enum { GEOMETRIES = sizeof geometries / sizeof *geometries, VARIANTS = 32 };

static ggml_case case_of(const geometry *g, int variant)
{
    return (ggml_case){ g, variant & 1 ? 4096 : 0, variant >> 1 & 1, variant & 4 ? 1.4245f : 1.0f,
                        variant & 8 ? 0.7465f : 0.0f, variant & 16 ? 1.4245f : 1.0f };
}

static int has_rows(const geometry *g)
{
    return g->mode & GGML_ROPE_TYPE_MROPE;
}

static int rotated(const geometry *g)
{
    return g->mode == VISION ? g->dim : g->n_dims;
}

static int32_t positions[ROWS * TOKENS];
static float factors[MOST_DIM / 2], elements[TOKENS * HEADS * MOST_DIM];

static void fill(const ggml_case *c)
{
    for (int i = 0; i < ROWS * TOKENS; i++) positions[i] = (int32_t)random_below(300);
    for (int j = 0; j < MOST_DIM / 2; j++) factors[j] = 0.9f + 0.2f * (float)random_below(1000) / 1000;
    for (int i = 0; i < TOKENS * HEADS * c->of->dim; i++) elements[i] = (float)random_between(-2, 2);
}

/* ---- ggml -------------------------------------------------------------------------------------------------------- */

static const float base = 10000.0f, beta_fast = 32.0f, beta_slow = 1.0f;

static struct ggml_tensor *rope(struct ggml_context *context, const ggml_case *c, struct ggml_tensor *x)
{
    const geometry *const g = c->of;
    const int rows = has_rows(g) ? ROWS : 1, count = rotated(g) / 2;
    struct ggml_tensor *const at = ggml_new_tensor_1d(context, GGML_TYPE_I32, rows * TOKENS);
    struct ggml_tensor *const by = c->has_factors ? ggml_new_tensor_1d(context, GGML_TYPE_F32, g->dim / 2) : NULL;
    int sections[4];
    memcpy(sections, g->sections, sizeof sections);
    memcpy(at->data, positions, (size_t)(rows * TOKENS) * sizeof *positions);
    if (by) memset(by->data, 0, ggml_nbytes(by)); /* it reads, and does not use, factors of channels that it copies */
    if (by) memcpy(by->data, factors, (size_t)count * sizeof *factors);
    struct ggml_tensor *const y =
        has_rows(g) ? ggml_rope_multi(context, x, at, by, g->n_dims, sections, g->mode, c->n_ctx_orig, base,
                                      c->freq_scale, c->ext_factor, c->attn_factor, beta_fast, beta_slow)
                    : ggml_rope_ext(context, x, at, by, g->n_dims, g->mode, c->n_ctx_orig, base, c->freq_scale,
                                    c->ext_factor, c->attn_factor, beta_fast, beta_slow);
    if (g->n_offs) ((int32_t *)y->op_params)[15] = g->n_offs; /* ggml_rope_set_offset, which older ones lack */
    return y;
}

static void rotate_by_ggml(const ggml_case *c, float *out)
{
    const struct ggml_init_params parameters = { MEMORY, NULL, false };
    struct ggml_context *const context = ggml_init(parameters);
    CHECK(context, "ggml_init failed");
    struct ggml_tensor *const x = ggml_new_tensor_3d(context, GGML_TYPE_F32, c->of->dim, HEADS, TOKENS);
    const size_t bytes = (size_t)(TOKENS * HEADS * c->of->dim) * sizeof(float);
    memcpy(x->data, elements, bytes);
    struct ggml_tensor *const y = rope(context, c, x);
    struct ggml_cgraph *const graph = ggml_new_graph(context);
    ggml_build_forward_expand(graph, y);
    CHECK(ggml_graph_compute_with_ctx(context, graph, 1) == GGML_STATUS_SUCCESS, "ggml's graph failed");
    memcpy(out, y->data, bytes);
    ggml_free(context);
}

/* ---- roperot ----------------------------------------------------------------------------------------------------- */

/* Frequencies and axes, all by the library. Returns the attention factor. */
static double model_of(const ggml_case *c, double *w, uint8_t *axis)
{
    const geometry *const g = c->of;
    const int32_t pairs = rotated(g) / 2;
    double by[MOST_DIM / 2], attention;
    int32_t index[MOST_DIM / 2];
    for (int32_t j = 0; j < pairs; j++) by[j] = (double)factors[j], axis[j] = 0;
    roperot_sections sections = ROPEROT_SECTIONS_INIT;
    sections.kind = g->mode == MROPE    ? ROPEROT_SECTIONS_GGML_MROPE
                    : g->mode == IMROPE ? ROPEROT_SECTIONS_GGML_IMROPE
                                        : ROPEROT_SECTIONS_GGML_VISION;
    sections.count = ROWS;
    memcpy(sections.section, g->sections, sizeof sections.section);
    if (has_rows(g)) CHECK(!roperot_axis_map(&sections, pairs, axis, index), "%s", roperot_last_error());
    roperot_scaling s = ROPEROT_SCALING_INIT;
    s.kind = ROPEROT_SCALING_YARN_GGML;
    s.original_length = c->n_ctx_orig;
    s.freq_scale = (double)c->freq_scale;
    s.ext_factor = (double)c->ext_factor;
    s.attn_factor = (double)c->attn_factor;
    s.beta_fast = (double)beta_fast;
    s.beta_slow = (double)beta_slow;
    s.factors = c->has_factors ? by : NULL;
    s.factor_count = c->has_factors ? pairs : 0;
    s.frequency_index = has_rows(g) ? index : NULL;
    s.frequency_count = has_rows(g) ? pairs : 0;
    s.exponent_dim = g->n_dims;
    CHECK(!roperot_frequencies(&s, 2 * pairs, (double)base, w, pairs, &attention), "%s", roperot_last_error());
    return attention;
}

static void rotate_by_roperot(const ggml_case *c, float *out)
{
    const geometry *const g = c->of;
    double w[MOST_DIM / 2];
    uint8_t axis[MOST_DIM / 2];
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = g->dim;
    config.rotary_dim = rotated(g);
    config.rotary_offset = g->n_offs;
    config.pairing = g->mode == NORMAL ? ROPEROT_PAIR_INTERLEAVED : ROPEROT_PAIR_HALF;
    config.attention_factor = model_of(c, w, axis);
    config.inv_freq = w;
    config.pairs = rotated(g) / 2;
    config.axes = has_rows(g) ? ROWS : 1;
    config.axis = has_rows(g) ? axis : NULL;
    roperot_plan *plan;
    CHECK(!roperot_plan_create(&config, &plan), "%s", roperot_last_error());
    roperot_positions at = ROPEROT_POSITIONS_INIT;
    at.kind = ROPEROT_POSITIONS_IDS;
    at.type = ROPEROT_POSITIONS_I32;
    at.ids = positions;
    at.token_stride = 1;
    at.axes = config.axes;
    at.axis_stride = TOKENS;
    memcpy(out, elements, (size_t)(TOKENS * HEADS * g->dim) * sizeof *out);
    const roperot_tensor view = roperot_tensor_shd(out, ROPEROT_F32, TOKENS, HEADS, g->dim);
    CHECK(!roperot_apply(plan, &at, &view, NULL, 1, NULL), "%s", roperot_last_error());
    roperot_plan_destroy(plan);
}

static void agrees(const void *arg)
{
    static float theirs[TOKENS * HEADS * MOST_DIM], ours[TOKENS * HEADS * MOST_DIM];
    for (int variant = 0; variant < VARIANTS; variant++) {
        const ggml_case c = case_of(arg, variant);
        const int dim = c.of->dim;
        fill(&c);
        rotate_by_ggml(&c, theirs);
        rotate_by_roperot(&c, ours);
        for (int i = 0; i < TOKENS * HEADS * dim; i++)
            CHECK(fabs((double)ours[i] - (double)theirs[i]) < tolerance,
                  "n_ctx_orig %d, factors %d, freq_scale %g, ext_factor %g, attn_factor %g: token %d, head %d, channel "
                  "%d: %g, ggml has %g", c.n_ctx_orig, c.has_factors, (double)c.freq_scale, (double)c.ext_factor,
                  (double)c.attn_factor, i / (HEADS * dim), i / dim % HEADS, i % dim, (double)ours[i],
                  (double)theirs[i]);
    }
}

/* ---- Q8_0 -------------------------------------------------------------------------------------------------------- */

enum { BLOCKS = 4096, BLOCK = 32, BLOCK_BYTES = 34 };

/* Blocks of one size of numbers each, from denormals to what overflows the scale, with ties, zeros and extremes. */
static void fill_blocks(float *x)
{
    for (int b = 0; b < BLOCKS; b++) {
        const double size = b % 64 ? exp2((double)random_below(60) - 30) : exp2((double)random_below(200) - 140);
        for (int i = 0; i < BLOCK; i++) {
            const double code = b % 3 ? random_between(-127, 127) : (double)random_below(255) - 127 + 0.5 * (b % 2);
            x[b * BLOCK + i] = random_below(9) ? (float)(size * code) : random_below(2) ? 0.0f : -0.0f;
        }
        if (b % 5 == 0) x[b * BLOCK + (int)random_below(BLOCK)] = (float)(127 * size); /* codes are exact, or ties */
        if (b % 97 == 0) memset(x + b * BLOCK, 0, BLOCK * sizeof *x);
    }
}

/* Pages of q8_0 hold the bytes of ggml's reference (what ggml_quantize_chunk calls), whatever its own ISA does, and are
 * read as ggml reads them. */
static void q8_0(const void *arg)
{
    const int32_t isa = *(const int32_t *)arg;
    static float x[BLOCKS * BLOCK], theirs[BLOCKS * BLOCK], ours[BLOCKS * BLOCK];
    static unsigned char want[BLOCKS * BLOCK_BYTES], got[BLOCKS * BLOCK_BYTES];
    enum { HEAD = 128, HEAD_BYTES = HEAD / BLOCK * BLOCK_BYTES, ROWS_OF_4 = BLOCKS * BLOCK / HEAD / 4 };
    fill_blocks(x);
    const size_t bytes = ggml_quantize_chunk(GGML_TYPE_Q8_0, x, want, 0, BLOCKS, BLOCK, NULL);
    CHECK(bytes == sizeof want, "ggml made %zu bytes", bytes);
    roperot_config config = ROPEROT_CONFIG_INIT;
    roperot_plan *plan;
    config.isa = isa;
    config.head_dim = HEAD;
    CHECK(!roperot_plan_create(&config, &plan), "%s", roperot_last_error());
    int32_t slots[ROWS_OF_4];
    for (int i = 0; i < ROWS_OF_4; i++) slots[i] = i;
    roperot_pages pages = ROPEROT_PAGES_INIT;
    pages.dtype = ROPEROT_Q8_0;
    pages.data = got;
    pages.pages = ROWS_OF_4;
    pages.channel_stride = 0, pages.head_stride = HEAD_BYTES, pages.page_stride = 4 * HEAD_BYTES;
    pages.slots = slots, pages.slot_type = 1;
    const roperot_tensor in = roperot_tensor_shd(x, ROPEROT_F32, ROWS_OF_4, 4, HEAD),
                         out = roperot_tensor_shd(ours, ROPEROT_F32, ROWS_OF_4, 4, HEAD);
    roperot_job store = ROPEROT_JOB_INIT, load = ROPEROT_JOB_INIT;
    store.flags = load.flags = ROPEROT_JOB_UNROTATED;
    store.src = &in, store.to = &pages;
    load.from = &pages, load.dst = &out;
    load.batch = 1, load.tokens = ROWS_OF_4, load.heads = 4, load.dim = HEAD;
    CHECK(!roperot_run(plan, NULL, &store, 1, NULL), "%s", roperot_last_error());
    for (int i = 0; i < BLOCKS * BLOCK_BYTES; i++)
        CHECK(got[i] == want[i], "block %d, byte %d: %d, ggml has %d", i / BLOCK_BYTES, i % BLOCK_BYTES, got[i],
              want[i]);
    CHECK(!roperot_run(plan, NULL, &load, 1, NULL), "%s", roperot_last_error());
    ggml_get_type_traits(GGML_TYPE_Q8_0)->to_float(want, theirs, BLOCKS * BLOCK);
    for (int i = 0; i < BLOCKS * BLOCK; i++)
        CHECK(ours[i] == theirs[i] || (isnan(ours[i]) && isnan(theirs[i])), "value %d: %a, ggml reads %a", i,
              (double)ours[i], (double)theirs[i]);
    roperot_plan_destroy(plan);
}

int main(int argc, char **argv)
{
    static int32_t isas[ROPEROT_ISA_END];
    for (int32_t isa = ROPEROT_ISA_SCALAR; isa < ROPEROT_ISA_END; isa++) {
        isas[isa] = isa;
        if (roperot_isa_usable(isa)) harness_add(q8_0, &isas[isa], "q8_0/%s", roperot_isa_name(isa));
    }
    ggml_cpu_init();
    for (size_t i = 0; i < GEOMETRIES; i++) harness_add(agrees, &geometries[i], "%s", geometries[i].name);
    return harness_run(argc, argv, "ggml");
}
