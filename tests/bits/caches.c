/* SPDX-License-Identifier: MIT
 * Hashes of frequencies and of the cos and sin that plans make: every kind of cache and of position that must agree,
 * and every scaling rule; it must not know any ISA. */
#include "hashes.h"

#include <stdio.h>
#include <string.h>

#include <roperot/roperot.h>

#include "bits.h"

enum { PLACES = 48, MOST_PAIRS = 65, NEAR = 5000 };
static const int64_t everywhere = INT64_C(1) << 31;

/* ---- positions --------------------------------------------------------------------------------------------------- */

/* 0, 1, 2, some random ones, and the last ones below limit. */
static void set_places(int64_t places[PLACES], int64_t limit)
{
    uint64_t stream = random_stream(5, (uint64_t)limit, 0);
    for (int64_t i = 0; i < PLACES; i++) {
        places[i] = i < 3 ? i : (int64_t)(random_next(&stream) % (uint64_t)limit);
        if (i >= PLACES - 3) places[i] = limit - PLACES + i;
    }
}

static roperot_positions at_places(const void *ids, int32_t type)
{
    roperot_positions positions = roperot_positions_i64(NULL, 0);
    positions.ids = ids;
    positions.type = type;
    return positions;
}

/* ---- what a plan makes of them ----------------------------------------------------------------------------------- */

typedef struct rows {
    float cos[PLACES][MOST_PAIRS], sin[PLACES][MOST_PAIRS];
} rows;

static uint64_t hash_floats(uint64_t hash, const float *values, int32_t n)
{
    for (int32_t j = 0; j < n; j++) hash = bits_hash_element(hash, ROPEROT_F32, format_load(ROPEROT_F32, &values[j]));
    return hash;
}

static uint64_t hash_doubles(uint64_t hash, const double *values, int32_t n)
{
    for (int32_t j = 0; j < n; j++) {
        uint64_t bits;
        memcpy(&bits, &values[j], sizeof bits);
        hash = bits_hash(hash, bits, 8);
    }
    return hash;
}

static uint64_t hash_rows(const rows *r, int32_t pairs)
{
    uint64_t hash = BITS_HASH_START;
    for (int i = 0; i < PLACES; i++) hash = hash_floats(hash_floats(hash, r->cos[i], pairs), r->sin[i], pairs);
    return hash;
}

static roperot_plan *open_plan(const roperot_config *config)
{
    roperot_plan *plan;
    if (roperot_plan_create(config, &plan)) bits_bail("plan: %s", roperot_last_error());
    return plan;
}

static uint64_t by_cos_sin(const roperot_config *config, const roperot_positions *positions)
{
    rows r;
    roperot_plan *const plan = open_plan(config);
    roperot_table table = ROPEROT_TABLE_INIT;
    table.cos = r.cos;
    table.sin = r.sin;
    table.rows = PLACES;
    table.row_stride = MOST_PAIRS;
    if (roperot_cos_sin(plan, positions, 1, PLACES, &table)) bits_bail("cos_sin: %s", roperot_last_error());
    roperot_plan_destroy(plan);
    return hash_rows(&r, config->head_dim / 2);
}

/* The pair (1, 0) becomes (cos, sin). */
static uint64_t by_apply(const roperot_config *config, const roperot_positions *positions, uint32_t flags)
{
    rows r;
    float x[PLACES][2 * MOST_PAIRS];
    const int32_t pairs = config->head_dim / 2;
    for (int i = 0; i < PLACES; i++)
        for (int32_t j = 0; j < pairs; j++) x[i][j] = 1.0f, x[i][pairs + j] = 0.0f;
    roperot_plan *const plan = open_plan(config);
    roperot_tensor view = roperot_tensor_shd(x, ROPEROT_F32, PLACES, 1, config->head_dim);
    view.stride[1] = 2 * MOST_PAIRS;
    roperot_options options = ROPEROT_OPTIONS_INIT;
    options.flags = flags;
    if (roperot_apply(plan, positions, &view, NULL, 1, &options)) bits_bail("apply: %s", roperot_last_error());
    roperot_plan_destroy(plan);
    for (int i = 0; i < PLACES; i++) {
        memcpy(r.cos[i], x[i], (size_t)pairs * sizeof(float));
        memcpy(r.sin[i], x[i] + pairs, (size_t)pairs * sizeof(float));
    }
    return hash_rows(&r, pairs);
}

/* ---- caches ------------------------------------------------------------------------------------------------------ */

typedef struct sink {
    hashes_emit_fn *emit;
    void *ctx;
    char name[96];
} sink;

static void plain(const sink *to, uint64_t hash)
{
    to->emit(to->ctx, to->name, NULL, hash);
}

static void also(const sink *to, const char *variant, uint64_t hash)
{
    to->emit(to->ctx, to->name, variant, hash);
}

static roperot_config with_cache(roperot_config config, int32_t cache, int64_t max_positions)
{
    config.cache = cache;
    config.max_positions = max_positions;
    return config;
}

static void emit_near(sink *to, const roperot_config *config)
{
    int64_t places[PLACES];
    set_places(places, NEAR);
    const roperot_positions at = at_places(places, ROPEROT_POSITIONS_I64);
    const roperot_config factored = with_cache(*config, ROPEROT_CACHE_FACTORED, NEAR);
    const roperot_config boundless = with_cache(*config, ROPEROT_CACHE_FACTORED, 0);
    const roperot_config full = with_cache(*config, ROPEROT_CACHE_FULL, NEAR);
    const roperot_config longer = with_cache(*config, ROPEROT_CACHE_FULL, NEAR + 3000);
    plain(to, by_cos_sin(&factored, &at));
    also(to, "factored, 2^31 positions", by_cos_sin(&boundless, &at));
    also(to, "full", by_cos_sin(&full, &at));
    also(to, "full, more positions", by_cos_sin(&longer, &at));
    also(to, "factored, through apply", by_apply(&factored, &at, 0));
    also(to, "full, through apply", by_apply(&full, &at, 0));
}

/* Minus p turned round, no attention factor, one position on three axes: the same rotation said differently. */
static void emit_detours(const sink *to, const roperot_config *config)
{
    int64_t places[PLACES], negative[PLACES];
    uint8_t axis[MOST_PAIRS];
    const uint32_t back = ROPEROT_SIGNED_POSITIONS | ROPEROT_INVERSE;
    set_places(places, NEAR);
    for (int i = 0; i < PLACES; i++) negative[i] = -places[i];
    for (int j = 0; j < MOST_PAIRS; j++) axis[j] = (uint8_t)(j % 3);
    const roperot_positions at = at_places(places, ROPEROT_POSITIONS_I64),
                            behind = at_places(negative, ROPEROT_POSITIONS_I64);
    for (int32_t cache = ROPEROT_CACHE_FULL; cache <= ROPEROT_CACHE_FACTORED; cache++) {
        roperot_config other = with_cache(*config, cache, NEAR);
        also(to, "negative and inverse", by_apply(&other, &behind, back));
        other.attention_factor = 1.375;
        also(to, "another factor, pure", by_apply(&other, &at, ROPEROT_PURE_ROTATION));
        other = with_cache(*config, cache, NEAR);
        other.axes = 3;
        other.axis = axis;
        other.pairs = config->head_dim / 2;
        also(to, "three axes, one place", by_cos_sin(&other, &at));
    }
}

static void emit_far(sink *to, const roperot_config *config, int64_t limit)
{
    int64_t places[PLACES];
    set_places(places, limit);
    const roperot_positions at = at_places(places, ROPEROT_POSITIONS_I64);
    const roperot_config tight = with_cache(*config, ROPEROT_CACHE_FACTORED, limit);
    const roperot_config boundless = with_cache(*config, ROPEROT_CACHE_AUTO, 0);
    plain(to, by_cos_sin(&tight, &at));
    also(to, "no limit", by_cos_sin(&boundless, &at));
    also(to, "through apply", by_apply(&boundless, &at, 0));
}

static void emit_f32(sink *to, const roperot_config *config)
{
    int64_t places[PLACES];
    double coordinates[PLACES];
    set_places(places, NEAR);
    for (int i = 0; i < PLACES; i++) coordinates[i] = (double)places[i];
    const roperot_positions at = at_places(places, ROPEROT_POSITIONS_I64);
    const roperot_positions real = at_places(coordinates, ROPEROT_POSITIONS_F64);
    roperot_config full = with_cache(*config, ROPEROT_CACHE_FULL, NEAR),
                   longer = with_cache(*config, ROPEROT_CACHE_AUTO, 3 * NEAR);
    full.angles = longer.angles = ROPEROT_ANGLES_F32;
    plain(to, by_cos_sin(&full, &at));
    also(to, "more positions", by_cos_sin(&longer, &at));
    also(to, "through apply", by_apply(&full, &at, 0));
    also(to, "as coordinates", by_cos_sin(&full, &real));
}

/* Real coordinates, of either sign and any size; those that are f32 exactly, in both types. */
static void emit_coordinates(sink *to, const roperot_config *config)
{
    float single[PLACES];
    double twice[PLACES];
    uint64_t stream = random_stream(6, 0, 0);
    for (int i = 0; i < PLACES; i++) {
        const uint64_t random = random_next(&stream);
        single[i] = (float)(int32_t)(random >> 40) / (float)(1 << (random & 15)) * (random & 16 ? 1.0f : -1.0f);
        twice[i] = (double)single[i];
    }
    const roperot_positions at_single = at_places(single, ROPEROT_POSITIONS_F32),
                            at_twice = at_places(twice, ROPEROT_POSITIONS_F64);
    const roperot_config factored = with_cache(*config, ROPEROT_CACHE_FACTORED, 16),
                         full = with_cache(*config, ROPEROT_CACHE_FULL, 16);
    plain(to, by_cos_sin(&factored, &at_single));
    also(to, "in double", by_cos_sin(&factored, &at_twice));
    also(to, "full", by_cos_sin(&full, &at_single));
    also(to, "through apply", by_apply(&full, &at_twice, 0));
}

/* A position of its own on every axis. */
static void emit_axes(sink *to, const roperot_config *config)
{
    int64_t places[3 * PLACES];
    uint8_t axis[MOST_PAIRS];
    for (int a = 0; a < 3; a++) set_places(places + a * PLACES, NEAR - 100 * a);
    for (int j = 0; j < MOST_PAIRS; j++) axis[j] = (uint8_t)(j % 3);
    roperot_positions at = at_places(places, ROPEROT_POSITIONS_I64);
    at.axes = 3;
    at.axis_stride = PLACES;
    roperot_config full = with_cache(*config, ROPEROT_CACHE_FULL, NEAR),
                   factored = with_cache(*config, ROPEROT_CACHE_FACTORED, 0);
    full.axes = factored.axes = 3;
    full.axis = factored.axis = axis;
    full.pairs = factored.pairs = config->head_dim / 2;
    plain(to, by_cos_sin(&factored, &at));
    also(to, "full", by_cos_sin(&full, &at));
    also(to, "full, through apply", by_apply(&full, &at, 0));
}

/* Every pair by all of three axes, in integers and in coordinates; turned round twice. */
static void emit_mixed(sink *to, const roperot_config *config)
{
    double w[3 * MOST_PAIRS], coordinates[3 * PLACES];
    int64_t places[3 * PLACES], negative[3 * PLACES];
    const int32_t pairs = config->head_dim / 2;
    uint64_t stream = random_stream(7, (uint64_t)pairs, 0);
    for (int i = 0; i < 3 * pairs; i++) w[i] = (double)(int32_t)random_next(&stream) * 0x1p-31;
    for (int a = 0; a < 3; a++) set_places(places + a * PLACES, everywhere - 100 * a);
    for (int i = 0; i < 3 * PLACES; i++) negative[i] = -places[i], coordinates[i] = (double)places[i];
    roperot_positions at = at_places(places, ROPEROT_POSITIONS_I64),
                      real = at_places(coordinates, ROPEROT_POSITIONS_F64),
                      behind = at_places(negative, ROPEROT_POSITIONS_I64);
    at.axes = real.axes = behind.axes = 3;
    at.axis_stride = real.axis_stride = behind.axis_stride = PLACES;
    roperot_config mixed = *config;
    mixed.frequencies = ROPEROT_FREQUENCIES_MIXED;
    mixed.axes = 3;
    mixed.inv_freq = w;
    mixed.pairs = pairs;
    plain(to, by_cos_sin(&mixed, &at));
    also(to, "as coordinates", by_cos_sin(&mixed, &real));
    also(to, "through apply", by_apply(&mixed, &at, 0));
    also(to, "negative and inverse", by_apply(&mixed, &behind, ROPEROT_SIGNED_POSITIONS | ROPEROT_INVERSE));
}

static void emit_caches(sink *to, const roperot_config *config)
{
    char what[64];
    snprintf(what, sizeof what, "dim %d, base %.1f, A %g", config->head_dim, config->base, config->attention_factor);
    snprintf(to->name, sizeof to->name, "near, %s", what), emit_near(to, config);
    if (!(config->attention_factor > 1.0)) emit_detours(to, config);
    snprintf(to->name, sizeof to->name, "within 3000000, %s", what), emit_far(to, config, 3000000);
    snprintf(to->name, sizeof to->name, "within 2^31, %s", what), emit_far(to, config, everywhere);
    snprintf(to->name, sizeof to->name, "f32 angles, %s", what), emit_f32(to, config);
    snprintf(to->name, sizeof to->name, "coordinates, %s", what), emit_coordinates(to, config);
    snprintf(to->name, sizeof to->name, "three axes, %s", what), emit_axes(to, config);
    snprintf(to->name, sizeof to->name, "three mixed axes, %s", what), emit_mixed(to, config);
}

static void each_cache(int32_t isa, sink *to)
{
    static const struct {
        int32_t dim;
        double base, factor;
    } numbers[] = { { 2, 10000.0, 1.0 },
                    { 34, 10000.0, 1.0 },
                    { 66, 1234567.5, 1.2079 },
                    { 128, 500000.0, 1.0 },
                    { 16, 10.0, 1.375 } };
    for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++) {
        roperot_config config = ROPEROT_CONFIG_INIT;
        config.head_dim = numbers[n].dim;
        config.base = numbers[n].base;
        config.attention_factor = numbers[n].factor;
        config.isa = isa;
        emit_caches(to, &config);
    }
}

/* ---- scaling rules ----------------------------------------------------------------------------------------------- */

static const char *const kinds[] = { "default",      "linear",  "ntk",       "ntk fixed", "ntk mixed",
                                     "dynamic ntk",  "yarn",    "yarn ggml", "llama3",    "longrope",
                                     "proportional", "factors", "raw",       "periods" };
enum { KINDS = sizeof kinds / sizeof *kinds };

static roperot_scaling scaling_of(int32_t kind, const double *factors, int32_t pairs)
{
    const int listed =
        kind == ROPEROT_SCALING_YARN_GGML || kind == ROPEROT_SCALING_LONGROPE || kind >= ROPEROT_SCALING_FACTORS;
    roperot_scaling scaling = ROPEROT_SCALING_INIT;
    scaling.kind = kind;
    scaling.factor = 8.0;
    scaling.original_length = 8192;
    scaling.length = 40000;
    scaling.mscale = kind == ROPEROT_SCALING_YARN ? 0.707 : 0.0;
    scaling.mscale_all_dim = kind == ROPEROT_SCALING_YARN ? 1.0 : 0.0;
    scaling.freq_scale = 0.125;
    scaling.partial_rotary_factor = 0.5;
    if (listed) scaling.factors = factors, scaling.factor_count = pairs;
    return scaling;
}

static void emit_scaling(sink *to, int32_t isa, int32_t kind, int32_t dim, double base)
{
    double inv_freq[MOST_PAIRS], factors[MOST_PAIRS], attention_factor;
    int64_t places[PLACES];
    const int32_t pairs = dim / 2;
    for (int32_t j = 0; j < pairs; j++) factors[j] = 1.0 + 0.125 * j;
    const roperot_scaling scaling = scaling_of(kind, factors, pairs);
    if (roperot_frequencies(&scaling, dim, base, inv_freq, pairs, &attention_factor))
        bits_bail("%s", roperot_last_error());
    snprintf(to->name, sizeof to->name, "%s, dim %d, base %.1f: frequencies", kinds[kind], dim, base);
    plain(to, hash_doubles(hash_doubles(BITS_HASH_START, inv_freq, pairs), &attention_factor, 1));
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = dim;
    config.inv_freq = inv_freq;
    config.pairs = pairs;
    config.attention_factor = attention_factor;
    config.isa = isa;
    set_places(places, NEAR);
    const roperot_positions at = at_places(places, ROPEROT_POSITIONS_I64);
    const roperot_config factored = with_cache(config, ROPEROT_CACHE_FACTORED, NEAR),
                         full = with_cache(config, ROPEROT_CACHE_FULL, NEAR);
    snprintf(to->name, sizeof to->name, "%s, dim %d, base %.1f", kinds[kind], dim, base);
    plain(to, by_cos_sin(&factored, &at));
    also(to, "full", by_cos_sin(&full, &at));
}

void hashes_caches(int32_t isa, hashes_emit_fn *emit, void *ctx)
{
    sink to = { emit, ctx, "" };
    each_cache(isa, &to);
    for (int32_t kind = 0; kind < KINDS; kind++) {
        emit_scaling(&to, isa, kind, 64, 10000.0);
        emit_scaling(&to, isa, kind, 128, 500000.0);
    }
}
