/* SPDX-License-Identifier: MIT
 * Hashes of what roperot_run makes of literal bits: norms, stores in every format, eager arithmetic; it must not know
 * how the library fuses. */
#include <stdio.h>
#include <string.h>

#include "bits.h"
#include "hashes.h"
#include "lists.h"
#include "support/formats.h"
#include "support/random.h"
#include "tables.h"

enum {
    BATCH = 2,
    TOKENS = 9,
    HEADS = 3,
    MOST_DIM = 128,
    LINES = BATCH * TOKENS,
    PAGE_TOKENS = 4,
    PAGES = 6,
    ELEMENTS = LINES * HEADS * MOST_DIM,
    SLOTS = PAGES * PAGE_TOKENS
};

typedef struct kind {
    const char *name;
    int32_t norm, rounding, flags, bias, arithmetic;
} kind;

static const kind kinds[] = {
    { "no norm", 0, 0, 0, 0, 0 },
    { "eager", 0, 0, 0, 0, ROPEROT_ARITHMETIC_EAGER },
    { "rms", ROPEROT_NORM_RMS, ROPEROT_NORM_ROUND_NONE, 0, 0, 0 },
    { "rms once", ROPEROT_NORM_RMS, ROPEROT_NORM_ROUND_ONCE, 0, 0, 0 },
    { "rms twice, eager", ROPEROT_NORM_RMS, ROPEROT_NORM_ROUND_TWICE, 0, 0, ROPEROT_ARITHMETIC_EAGER },
    { "rms 1 + w", ROPEROT_NORM_RMS, ROPEROT_NORM_ROUND_ONCE, ROPEROT_NORM_UNIT_OFFSET, 0, 0 },
    { "rms after", ROPEROT_NORM_RMS, ROPEROT_NORM_ROUND_TWICE, ROPEROT_NORM_AFTER, 0, 0 },
    { "rms of all heads", ROPEROT_NORM_RMS, ROPEROT_NORM_ROUND_TWICE, ROPEROT_NORM_ALL_HEADS, 0, 0 },
    { "layer", ROPEROT_NORM_LAYER, ROPEROT_NORM_ROUND_NONE, 0, 1, 0 },
    { "layer after, of all heads", ROPEROT_NORM_LAYER, ROPEROT_NORM_ROUND_ONCE,
      ROPEROT_NORM_AFTER | ROPEROT_NORM_ALL_HEADS, 1, 0 },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static _Alignas(64) unsigned char source[4 * ELEMENTS], dense[4 * ELEMENTS], cache[4 * SLOTS * HEADS * MOST_DIM];
static unsigned char weight[4 * HEADS * MOST_DIM], bias[4 * HEADS * MOST_DIM];
static float scale[SLOTS * HEADS];
static int32_t slots[LINES];

/* Numbers near 1 of either sign: products and sums that round, and nothing that a code could not hold. */
static void fill(unsigned char *memory, int32_t dtype, int64_t count, uint64_t seed)
{
    uint64_t stream = random_stream(7, seed, (uint64_t)dtype);
    for (int64_t i = 0; i < count; i++) {
        const uint32_t bits = (uint32_t)random_next(&stream);
        const uint32_t f32 = (bits & 0x80000000u) | 0x3e000000u | (bits & 0x01ffffffu);
        const uint32_t f16 = (bits >> 16 & 0x8000u) | 0x3000u | (bits & 0x0fffu);
        format_store(dtype, memory + i * (int64_t)format_bytes(dtype),
                     dtype == ROPEROT_F32   ? f32
                     : dtype == ROPEROT_F16 ? f16
                                            : f32 >> 16);
    }
}

static roperot_pages pages_of(int32_t format, int32_t dim, int32_t scaling)
{
    const int64_t row = format == ROPEROT_Q8_0 ? dim / 32 * 34 : dim;
    roperot_pages p = ROPEROT_PAGES_INIT;
    p.dtype = format;
    p.data = cache;
    p.pages = PAGES, p.page_tokens = PAGE_TOKENS;
    p.token_stride = row, p.head_stride = PAGE_TOKENS * row, p.page_stride = HEADS * p.head_stride;
    p.channel_stride = format == ROPEROT_Q8_0 ? 0 : 1;
    p.slot_type = 1;
    p.slots = slots;
    p.slot_batch_stride = TOKENS;
    if (format == ROPEROT_E4M3 || format == ROPEROT_I8) {
        p.scaling = scaling;
        p.scale = scale;
        p.scale_head_stride = 1, p.scale_token_stride = HEADS, p.scale_page_stride = PAGE_TOKENS * HEADS;
    }
    return p;
}

static void prepare(int32_t dtype, int32_t weight_dtype, int32_t dim)
{
    fill(source, dtype, LINES * HEADS * dim, 1);
    fill(weight, weight_dtype, HEADS * dim, 2);
    fill(bias, weight_dtype, HEADS * dim, 3);
    memset(dense, 0x5a, sizeof dense);
    memset(cache, 0x5a, sizeof cache);
    for (int i = 0; i < SLOTS * HEADS; i++) scale[i] = 0.03f;
    for (int i = 0; i < LINES; i++) slots[i] = i % 7 == 3 ? -1 : (i * 5 + 2) % SLOTS;
}

/* A q8_0 block's scale is an f16, every other format's element is its own size. */
static uint64_t hash_all(int32_t dtype, int32_t format, int32_t dim, uint64_t hash)
{
    for (int64_t i = 0; i < LINES * HEADS * dim; i++)
        hash = bits_hash_element(hash, dtype, format_load(dtype, dense + i * (int64_t)format_bytes(dtype)));
    const int64_t units = SLOTS * HEADS * (format == ROPEROT_Q8_0 ? dim / 32 * 34 : dim);
    for (int64_t i = 0; i < units; i++) {
        if (roperot_is_tensor_dtype(format))
            hash = bits_hash_element(hash, format, format_load(format, cache + i * (int64_t)format_bytes(format)));
        else if (format != ROPEROT_Q8_0 || i % 34 > 1)
            hash = bits_hash(hash, cache[i], 1);
        else if (i % 34 == 0)
            hash = bits_hash_element(hash, ROPEROT_F16, format_load(ROPEROT_F16, cache + i));
    }
    for (int i = 0; i < SLOTS * HEADS; i++) hash = bits_hash_element(hash, ROPEROT_F32, format_bits(scale[i]));
    return hash;
}

static uint64_t run(const roperot_plan *plan, const kind *k, int32_t dtype, int32_t format, int32_t dim, int ranges)
{
    const int32_t weight_dtype = ROPEROT_F32 + format % 3; /* of three: a new dtype must not change old hashes */
    prepare(dtype, weight_dtype, dim);
    const roperot_tensor src = roperot_tensor_bshd(source, dtype, BATCH, TOKENS, HEADS, dim),
                         dst = roperot_tensor_bshd(dense, dtype, BATCH, TOKENS, HEADS, dim);
    const roperot_pages to = pages_of(format, dim, dim == 64 ? ROPEROT_SCALE_STATIC : ROPEROT_SCALE_DYNAMIC);
    roperot_norm norm = ROPEROT_NORM_INIT;
    norm.kind = k->norm, norm.rounding = k->rounding, norm.flags = k->flags;
    norm.weight = weight, norm.weight_dtype = weight_dtype;
    norm.bias = k->bias ? bias : NULL;
    roperot_job job = ROPEROT_JOB_INIT;
    job.src = &src, job.dst = &dst, job.to = &to;
    job.norm = k->norm ? &norm : NULL;
    const roperot_positions at = roperot_positions_offset(2);
    for (int i = 0; i < 1 + ranges; i++) {
        roperot_options options = ROPEROT_OPTIONS_INIT;
        options.token_begin = i ? 7 : 0;
        if (ranges && i == 0) options.token_end = 7;
        if (roperot_run(plan, &at, &job, 1, &options)) bits_bail("run: %s", roperot_last_error());
    }
    return hash_all(dtype, format, dim, BITS_HASH_START);
}

static roperot_plan *plan_of(int32_t isa, const kind *k, int32_t pairing, int32_t dim)
{
    const roperot_table table = tables_literal();
    roperot_config config = ROPEROT_CONFIG_INIT;
    roperot_plan *plan;
    config.head_dim = dim;
    config.rotary_dim = dim == 96 ? 64 : dim;
    config.rotary_offset = dim == 96 ? 16 : 0;
    config.pairing = pairing;
    config.table = &table;
    config.isa = isa;
    config.arithmetic = k->arithmetic;
    if (roperot_plan_create(&config, &plan)) bits_bail("plan: %s", roperot_last_error());
    return plan;
}

static void emit_case(int32_t isa, const kind *k, int32_t pairing, int32_t dtype, int32_t format, hashes_emit_fn *emit,
                      void *ctx)
{
    static const int32_t dims[] = { 64, 96, 128 };
    uint64_t hash[2] = { BITS_HASH_START, BITS_HASH_START };
    char name[128];
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        roperot_plan *const plan = plan_of(isa, k, pairing, dims[d]);
        for (int ranges = 0; ranges < 2; ranges++)
            hash[ranges] = bits_hash(hash[ranges], run(plan, k, dtype, format, dims[d], ranges), 8);
        roperot_plan_destroy(plan);
    }
    snprintf(name, sizeof name, "%s, %s %s -> pages of %s", k->name, format_name(dtype),
             pairing == ROPEROT_PAIR_HALF ? "half" : "interleaved", format_name(format));
    emit(ctx, name, NULL, hash[0]);
    emit(ctx, name, "in two ranges", hash[1]);
}

void hashes_jobs(int32_t isa, hashes_emit_fn *emit, void *ctx)
{
    for (int i = 0; i < KINDS; i++)
        for (int32_t format = ROPEROT_F32; format < ROPEROT_FORMAT_END; format++)
            for (int32_t dtype = ROPEROT_F32; dtype < ROPEROT_DTYPE_END; dtype++)
                for (int32_t pairing = ROPEROT_PAIR_HALF; pairing < ROPEROT_PAIR_END; pairing++)
                    emit_case(isa, &kinds[i], pairing, dtype, format, emit, ctx);
}
