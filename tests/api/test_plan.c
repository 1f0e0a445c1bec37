/* SPDX-License-Identifier: MIT
 * Plans: what create accepts, refuses and resolves, and what describe tells; it must not know tensors. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined __aarch64__ && defined __linux__
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include <roperot/roperot.h>

#include "lists.h"
#include "support/assertions.h"
#include "support/harness.h"

/* ---- bad configs: one change each -------------------------------------------------------------------------------- */

static const double nan_frequency[4] = { 1, 0.5, NAN, 0.1 }, large_frequency[4] = { 1, 65537.0, 0.25, 0.1 };
static const double good_frequency[4] = { 1, 0.5, 0.25, 0 };
static const double nan_of_axis_1[8] = { [7] = NAN }, large_of_axis_1[8] = { [4] = -65537.0 };
static const uint8_t axis_map[4] = { 0, 1, 2, 0 }, plain_map[4] = { 0, 0, 0, 0 };
static float table_values[16 * 4];
static roperot_table table_16x4 = {
    sizeof(roperot_table), ROPEROT_F32, table_values, table_values, 16, 4, 1, 0, 0, 0, 0
};

static const roperot_table *changed_table(size_t offset, const void *value, size_t bytes)
{
    static roperot_table table;
    table = table_16x4;
    memcpy((unsigned char *)&table + offset, value, bytes);
    return &table;
}

#define TABLE(member, type, value) changed_table(offsetof(roperot_table, member), &(type){ value }, sizeof(type))
static const roperot_table *table_of_heads(int64_t heads, int64_t stride)
{
    static roperot_table table;
    table = table_16x4;
    table.heads = heads;
    table.head_stride = stride;
    return &table;
}

#define MIXED(w, n)                (SPECTRUM(w), c->frequencies = ROPEROT_FREQUENCIES_MIXED, c->axes = (n))
#define HEADS(heads, stride)       table_of_heads(heads, stride)
#define SPECTRUM(w)                (c->inv_freq = (w), c->pairs = 4)

/* X(case, change, status, argument that the sentence names, value that it says). head_dim is 8 before. */
#define BAD_CONFIGS(X)                                                                                                 \
    X(head_dim_0, c->head_dim = 0, ARGUMENT, "head_dim", "0")                                                          \
    X(head_dim_1, c->head_dim = 1, ARGUMENT, "head_dim", "1")                                                          \
    X(head_dim_negative, c->head_dim = -8, ARGUMENT, "head_dim", "-8")                                                 \
    X(head_dim_65537, c->head_dim = 65538, ARGUMENT, "head_dim", "65538")                                              \
    X(head_dim_odd, c->head_dim = 77, ARGUMENT, "head_dim", "77")                                                      \
    X(rotary_dim_odd, c->rotary_dim = 7, ARGUMENT, "rotary_dim", "7")                                                  \
    X(rotary_dim_negative, c->rotary_dim = -2, ARGUMENT, "rotary_dim", "-2")                                           \
    X(rotary_dim_large, c->rotary_dim = 10, ARGUMENT, "rotary_dim", "10")                                              \
    X(rotary_dim_most, c->rotary_dim = INT32_MAX - 1, ARGUMENT, "rotary_dim", "2147483646")                            \
    X(offset_odd, (c->rotary_dim = 4, c->rotary_offset = 3), ARGUMENT, "rotary_offset", "3")                           \
    X(offset_negative, (c->rotary_dim = 4, c->rotary_offset = -2), ARGUMENT, "rotary_offset", "-2")                    \
    X(offset_beyond, (c->rotary_dim = 4, c->rotary_offset = 6), ARGUMENT, "rotary_offset", "6")                        \
    X(offset_most, (c->rotary_dim = 4, c->rotary_offset = INT32_MAX - 1), ARGUMENT, "rotary_offset", "2147483646")     \
    X(pairing_0, c->pairing = 0, ARGUMENT, "pairing", "0")                                                             \
    X(pairing_3, c->pairing = 3, ARGUMENT, "pairing", "3")                                                             \
    X(pairing_out_3, c->pairing_out = 3, ARGUMENT, "pairing_out", "3")                                                 \
    X(pairing_out_negative, c->pairing_out = -1, ARGUMENT, "pairing_out", "-1")                                        \
    X(base_0, c->base = 0, ARGUMENT, "base", "0")                                                                      \
    X(base_negative, c->base = -10000, ARGUMENT, "base", "-10000")                                                     \
    X(base_nan, c->base = NAN, ARGUMENT, "base", "nan")                                                                \
    X(base_infinite, c->base = INFINITY, ARGUMENT, "base", "inf")                                                      \
    X(factor_0, c->attention_factor = 0, ARGUMENT, "attention_factor", "0")                                            \
    X(factor_negative, c->attention_factor = -1.5, ARGUMENT, "attention_factor", "-1.5")                               \
    X(factor_nan, c->attention_factor = NAN, ARGUMENT, "attention_factor", "nan")                                      \
    X(factor_infinite, c->attention_factor = INFINITY, ARGUMENT, "attention_factor", "inf")                            \
    X(factor_beyond_f32, c->attention_factor = 3.5e38, ARGUMENT, "attention_factor", "3.5e+38")                        \
    X(pairs_other, (SPECTRUM(good_frequency), c->pairs = 3), ARGUMENT, "pairs", "3")                                   \
    X(pairs_0_with_inv_freq, (SPECTRUM(good_frequency), c->pairs = 0), ARGUMENT, "pairs", "0")                         \
    X(pairs_0_with_axis, (c->axis = plain_map, c->pairs = 0), ARGUMENT, "pairs", "0")                                  \
    X(inv_freq_nan, SPECTRUM(nan_frequency), ARGUMENT, "inv_freq", "nan")                                              \
    X(inv_freq_large, SPECTRUM(large_frequency), ARGUMENT, "inv_freq", "65537")                                        \
    X(axes_5, c->axes = 5, ARGUMENT, "axes", "5")                                                                      \
    X(axes_negative, c->axes = -1, ARGUMENT, "axes", "-1")                                                             \
    X(axes_without_map, c->axes = 2, ARGUMENT, "axis", "2")                                                            \
    X(axis_beyond, (c->axes = 2, c->axis = axis_map, c->pairs = 4), ARGUMENT, "axis", "2")                             \
    X(angles_2, c->angles = 2, ARGUMENT, "angles", "2")                                                                \
    X(cache_4, c->cache = 4, ARGUMENT, "cache", "4")                                                                   \
    X(cache_negative, c->cache = -1, ARGUMENT, "cache", "-1")                                                          \
    X(bounds_3, c->bounds = 3, ARGUMENT, "bounds", "3")                                                                \
    X(max_positions_negative, c->max_positions = -1, ARGUMENT, "max_positions", "-1")                                  \
    X(max_positions_large, c->max_positions = (INT64_C(1) << 31) + 1, ARGUMENT, "max_positions", "2147483649")         \
    X(f32_factored, (c->angles = 1, c->cache = 2, c->max_positions = 9), ARGUMENT, "F32", "FACTORED")                  \
    X(f32_without_limit, c->angles = 1, ARGUMENT, "max_positions", "0")                                                \
    X(full_without_limit, c->cache = 1, ARGUMENT, "max_positions", "0")                                                \
    X(full_too_large, (c->cache = 1, c->max_positions = INT64_C(1) << 31, c->head_dim = 256), MEMORY, "FULL",          \
      "2199023255552")                                                                                                 \
    X(isa_unknown, c->isa = 7, ISA, "isa", "7")                                                                        \
    X(isa_negative, c->isa = -1, ISA, "isa", "-1")                                                                     \
    X(borrowed_without_table, c->cache = 3, ARGUMENT, "table", "NULL")                                                 \
    X(table_with_full, (c->table = &table_16x4, c->cache = 1), ARGUMENT, "cache", "1")                                 \
    X(table_with_factored, (c->table = &table_16x4, c->cache = 2), ARGUMENT, "cache", "2")                             \
    X(table_short, (c->table = &table_16x4, c->max_positions = 17), ARGUMENT, "max_positions", "17")                   \
    X(table_size, c->table = TABLE(size, uint32_t, 8), VERSION, "size", "8")                                           \
    X(table_reserved, c->table = TABLE(reserved, int32_t, 5), VERSION, "reserved", "5")                                \
    X(table_dtype, c->table = TABLE(dtype, int32_t, 9), DTYPE, "dtype", "9")                                           \
    X(table_width, c->table = TABLE(width, int32_t, 3), ARGUMENT, "width", "3")                                        \
    X(table_cos, c->table = TABLE(cos, void *, NULL), ARGUMENT, "cos", "NULL")                                         \
    X(table_sin, c->table = TABLE(sin, void *, NULL), ARGUMENT, "sin", "NULL")                                         \
    X(table_rows, c->table = TABLE(rows, int64_t, -4), SHAPE, "table.rows", "-4")                                      \
    X(table_no_rows, c->table = TABLE(rows, int64_t, 0), SHAPE, "table.rows", "0")                                     \
    X(table_most_rows, c->table = TABLE(rows, int64_t, INT64_MAX), SHAPE, "rows", "9223372036854775807")               \
    X(table_rows_overflow, c->table = TABLE(rows, int64_t, INT64_MAX / 4), SHAPE, "rows", "2305843009213693951")       \
    X(table_below_memory, c->table = TABLE(row_stride, int64_t, -(INT64_C(1) << 55)), SHAPE, "row_stride",             \
      "-36028797018963968")                                                                                            \
    X(table_wide, c->table = TABLE(element_stride, int64_t, INT64_C(1) << 59), SHAPE, "element_stride",                \
      "576460752303423488")                                                                                            \
    X(table_element_stride, c->table = TABLE(element_stride, int64_t, 0), SHAPE, "element_stride", "0")                \
    X(table_row_stride, c->table = TABLE(row_stride, int64_t, INT64_MAX / 2), SHAPE, "row_stride",                     \
      "4611686018427387903")                                                                                           \
    X(table_heads, c->table = TABLE(heads, int64_t, -3), SHAPE, "heads", "-3")                                         \
    X(table_head_stride, c->table = TABLE(head_stride, int64_t, 8), ARGUMENT, "head_stride", "8")                      \
    X(table_many_heads, c->table = HEADS(2, INT64_MAX / 2), SHAPE, "head_stride", "4611686018427387903")               \
    X(table_most_heads, c->table = HEADS(INT64_MAX, 4), SHAPE, "heads", "9223372036854775807")                         \
    X(table_heads_below, c->table = HEADS(2, -(INT64_C(1) << 55)), SHAPE, "head_stride", "-36028797018963968")         \
    X(table_heads_least, c->table = HEADS(2, INT64_MIN), SHAPE, "head_stride", "-9223372036854775808")                 \
    X(frequencies_2, c->frequencies = 2, ARGUMENT, "frequencies", "2")                                                 \
    X(frequencies_negative, c->frequencies = -1, ARGUMENT, "frequencies", "-1")                                        \
    X(none_unmixed, c->cache = ROPEROT_CACHE_NONE, ARGUMENT, "cache", "4")                                             \
    X(none_with_list, (SPECTRUM(good_frequency), c->cache = ROPEROT_CACHE_NONE), ARGUMENT, "cache", "4")               \
    X(mixed_default, c->frequencies = 1, ARGUMENT, "inv_freq", "NULL")                                                 \
    X(mixed_table, (MIXED(good_frequency, 1), c->table = &table_16x4), ARGUMENT, "table", "mixed")                     \
    X(mixed_axis, (MIXED(good_frequency, 1), c->axis = plain_map), ARGUMENT, "axis", "mixed")                          \
    X(mixed_f32, (MIXED(good_frequency, 1), c->angles = 1, c->max_positions = 9), ARGUMENT, "angles", "1")             \
    X(mixed_full, (MIXED(good_frequency, 1), c->cache = 1, c->max_positions = 9), ARGUMENT, "cache", "1")              \
    X(mixed_factored, (MIXED(good_frequency, 1), c->cache = 2), ARGUMENT, "cache", "2")                                \
    X(mixed_borrowed, (MIXED(good_frequency, 1), c->cache = 3), ARGUMENT, "cache", "3")                                \
    X(mixed_axes_5, MIXED(good_frequency, 5), ARGUMENT, "axes", "5")                                                   \
    X(mixed_pairs, (MIXED(good_frequency, 1), c->pairs = 3), ARGUMENT, "pairs", "3")                                   \
    X(mixed_nan, MIXED(nan_of_axis_1, 2), ARGUMENT, "inv_freq[7]", "nan")                                              \
    X(mixed_large, MIXED(large_of_axis_1, 2), ARGUMENT, "inv_freq[4]", "-65537")                                       \
    X(size_small, c->size = 40, VERSION, "size", "40")                                                                 \
    X(size_0, c->size = 0, VERSION, "size", "0")

typedef struct bad_config {
    const char *name, *argument, *value;
    void (*change)(roperot_config *c);
    int32_t status;
} bad_config;

#define DEFINE_CHANGE(id, change, status, argument, value)                                                             \
    static void change_##id(roperot_config *c)                                                                         \
    {                                                                                                                  \
        change;                                                                                                        \
    }
#define LIST_CHANGE(id, change, status, argument, value) { #id, argument, value, change_##id, ROPEROT_ERROR_##status },
BAD_CONFIGS(DEFINE_CHANGE)
static const bad_config bad_configs[] = { BAD_CONFIGS(LIST_CHANGE) };

static roperot_plan_info described(const roperot_plan *plan)
{
    roperot_plan_info info = ROPEROT_PLAN_INFO_INIT;
    CHECK(roperot_plan_describe(plan, &info) == ROPEROT_OK, "%s", roperot_last_error());
    return info;
}

static roperot_config small_config(void)
{
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = 8;
    return c;
}

static void is_refused(const void *arg)
{
    const bad_config *const bad = arg;
    roperot_config c = small_config();
    roperot_plan *plan = (roperot_plan *)(uintptr_t)1;
    bad->change(&c);
    expect_error(roperot_plan_create(&c, &plan), bad->status, bad->argument, bad->value);
    CHECK(plan == NULL, "*plan is %p after a failure", (void *)plan);
}

static void null_pointers(const void *arg)
{
    (void)arg;
    const roperot_config c = small_config();
    roperot_plan *plan = (roperot_plan *)(uintptr_t)1;
    expect_error(roperot_plan_create(NULL, &plan), ROPEROT_ERROR_ARGUMENT, "config", "NULL");
    CHECK(plan == NULL, "*plan is not NULL");
    expect_error(roperot_plan_create(&c, NULL), ROPEROT_ERROR_ARGUMENT, "plan", "NULL");
    roperot_plan_info info = ROPEROT_PLAN_INFO_INIT;
    expect_error(roperot_plan_describe(NULL, &info), ROPEROT_ERROR_ARGUMENT, "plan", "NULL");
    roperot_plan *const good = expect_plan(&c);
    expect_error(roperot_plan_describe(good, NULL), ROPEROT_ERROR_ARGUMENT, "info", "NULL");
    roperot_plan_destroy(good);
    roperot_plan_destroy(NULL);
}

/* ---- structs of another age -------------------------------------------------------------------------------------- */

typedef struct future_config {
    roperot_config known;
    unsigned char tail[24];
} future_config;

static void sizes_of_configs(const void *arg)
{
    (void)arg;
    future_config f = { small_config(), { 0 } };
    roperot_plan *plan = NULL;
    f.known.size = sizeof f;
    CHECK(roperot_plan_create(&f.known, &plan) == ROPEROT_OK, "a zero tail: %s", roperot_last_error());
    roperot_plan_destroy(plan);
    f.tail[sizeof f.tail - 1] = 1;
    expect_error(roperot_plan_create(&f.known, &plan), ROPEROT_ERROR_VERSION, "config", "128");
    CHECK(plan == NULL, "*plan is not NULL");
    roperot_config old = small_config(); /* of before `arithmetic`: what follows is not its */
    old.size = offsetof(roperot_config, arithmetic);
    old.arithmetic = old.frequencies = 77;
    CHECK(roperot_plan_create(&old, &plan) == ROPEROT_OK, "the first size: %s", roperot_last_error());
    CHECK(roperot_plan_is(plan, &old) && roperot_config_hash(&old), "the first size as a key");
    roperot_plan_destroy(plan);
    old.size -= 8;
    expect_error(roperot_plan_create(&old, &plan), ROPEROT_ERROR_VERSION, "config", "88");
}

/* Options of before `scratch`: what follows is not the caller's, and is not read. */
static void sizes_of_options(const void *arg)
{
    (void)arg;
    const roperot_config c = small_config();
    roperot_plan *const plan = expect_plan(&c);
    const roperot_positions at = roperot_positions_offset(1);
    float x[2][16] = { { 1.0f }, { 1.0f } };
    const roperot_tensor view[2] = { roperot_tensor_shd(x[0], ROPEROT_F32, 1, 1, c.head_dim),
                                     roperot_tensor_shd(x[1], ROPEROT_F32, 1, 1, c.head_dim) };
    roperot_options old = ROPEROT_OPTIONS_INIT;
    roperot_job job = ROPEROT_JOB_INIT;
    job.src = job.dst = &view[1];
    old.size = offsetof(roperot_options, scratch);
    old.flags = ROPEROT_INVERSE;
    old.scratch = (void *)(uintptr_t)77;
    old.scratch_bytes = -77;
    CHECK(roperot_apply(plan, &at, view, NULL, 1, &old) == ROPEROT_OK, "apply: %s", roperot_last_error());
    CHECK(roperot_run(plan, &at, &job, 1, &old) == ROPEROT_OK, "run: %s", roperot_last_error());
    CHECK(x[0][0] != 1.0f && memcmp(x[0], x[1], sizeof x[0]) == 0, "rotated: %g, %g", (double)x[0][0], (double)x[1][0]);
    old.size -= 8;
    expect_error(roperot_apply(plan, &at, view, NULL, 1, &old), ROPEROT_ERROR_VERSION, "options", "40");
    roperot_plan_destroy(plan);
}

static void sizes_of_others(const void *arg)
{
    (void)arg;
    roperot_plan *plan = NULL;
    roperot_table first = table_16x4; /* of before `heads` */
    roperot_config owner = small_config();
    owner.table = &first;
    first.size = offsetof(roperot_table, heads);
    first.heads = first.head_stride = 77;
    CHECK(roperot_plan_create(&owner, &plan) == ROPEROT_OK, "the first table: %s", roperot_last_error());
    CHECK(roperot_plan_is(plan, &owner) && roperot_config_hash(&owner), "the first table as a key");
    roperot_plan_destroy(plan);
    struct {
        roperot_plan_info known;
        unsigned char tail[8];
    } info = { ROPEROT_PLAN_INFO_INIT, { 0 } };
    const roperot_config c = small_config();
    plan = expect_plan(&c);
    info.known.size = sizeof info;
    CHECK(roperot_plan_describe(plan, &info.known) == ROPEROT_OK && info.known.size == sizeof info, "a larger info: %s",
          roperot_last_error());
    info.known.size = offsetof(roperot_plan_info, arithmetic); /* of before it */
    info.known.arithmetic = info.known.frequencies = 77;
    CHECK(roperot_plan_describe(plan, &info.known) == ROPEROT_OK && info.known.arithmetic == 77 &&
              info.known.frequencies == 77 && info.known.size == offsetof(roperot_plan_info, arithmetic),
          "the first info: %s", roperot_last_error());
    info.known.size = 16;
    expect_error(roperot_plan_describe(plan, &info.known), ROPEROT_ERROR_VERSION, "info", "16");
    roperot_plan_destroy(plan);
}

/* Eager arithmetic is that of one dtype of 16 bits, and f32 goes as it does without. */
static void arithmetics(const void *arg)
{
    (void)arg;
    roperot_config c = small_config();
    roperot_plan *plan;
    c.arithmetic = 2;
    expect_error(roperot_plan_create(&c, &plan), ROPEROT_ERROR_ARGUMENT, "config.arithmetic", "2");
    c.arithmetic = ROPEROT_ARITHMETIC_EAGER;
    plan = expect_plan(&c);
    CHECK(strstr(roperot_plan_kernel(plan, ROPEROT_BF16, ROPEROT_BF16), "eager_bf16") &&
              !roperot_plan_kernel(plan, ROPEROT_BF16, ROPEROT_F32),
          "the kernels of an eager plan");
    CHECK(described(plan).arithmetic == ROPEROT_ARITHMETIC_EAGER, "an eager plan described");
    float in[8] = { 0 }, out[8] = { 0 };
    const roperot_positions at = roperot_positions_offset(0);
    const roperot_tensor src = roperot_tensor_shd(in, ROPEROT_F16, 1, 1, 8),
                         dst = roperot_tensor_shd(out, ROPEROT_F32, 1, 1, 8);
    expect_error(roperot_apply(plan, &at, &src, &dst, 1, NULL), ROPEROT_ERROR_DTYPE, "dst[0].dtype is 1",
                 "must be the same: eager arithmetic");
    roperot_plan_destroy(plan);
}

/* Every dtype can be rotated as itself, by every pairing, in either arithmetic: nobody looks for a kernel that is not
 * there. */
static void every_dtype_has_kernels(const void *arg)
{
    (void)arg;
    for (int32_t i = 0; i < 8; i++) {
        roperot_config c = small_config();
        c.arithmetic = i % 2;
        c.pairing = 1 + i / 2 % 2;
        c.pairing_out = 1 + i / 4;
        roperot_plan *const plan = expect_plan(&c);
        for (int32_t dtype = ROPEROT_F32; dtype < ROPEROT_F32 + ROPEROT_DTYPES; dtype++)
            CHECK(roperot_plan_kernel(plan, dtype, dtype), "arithmetic %d, pairings %d to %d: nothing rotates dtype %d",
                  c.arithmetic, c.pairing, c.pairing_out, dtype);
        roperot_plan_destroy(plan);
    }
}

/* ---- what create resolves ---------------------------------------------------------------------------------------- */

static void defaults(const void *arg)
{
    (void)arg;
    const roperot_config c = small_config();
    roperot_plan *const plan = expect_plan(&c);
    const roperot_plan_info i = described(plan);
    CHECK(i.head_dim == 8 && i.rotary_dim == 8 && i.rotary_offset == 0 && i.pairs == 4, "geometry");
    CHECK(i.pairing == ROPEROT_PAIR_HALF && i.pairing_out == ROPEROT_PAIR_HALF, "pairing");
    CHECK(i.axes == 1 && i.axis == NULL, "axes %d", i.axes);
    CHECK(i.cache == ROPEROT_CACHE_FACTORED && i.max_positions == INT64_C(1) << 31, "cache %d", i.cache);
    CHECK(i.cache_bytes == 4 * (64 << 10), "64 KiB per pair, not %lld bytes", (long long)i.cache_bytes);
    CHECK(i.angles == ROPEROT_ANGLES_EXACT && i.bounds == ROPEROT_BOUNDS_ERROR && i.attention_factor == 1.0, "rest");
    CHECK(i.isa == roperot_isa_best() && i.isa != ROPEROT_ISA_AUTO, "isa %d", i.isa);
    CHECK(i.inv_freq && i.inv_freq[0] == 1.0, "inv_freq");
    roperot_plan_destroy(plan);
}

#define NAME(dtype, DTYPE, bytes) #dtype,

/* rotate_<src>[_to_<dst>]_<pairing>[_to_<pairing_out>]_<isa>, for every ISA that this machine can run; NULL for what is
 * not offered. */
static void kernel_names(const void *arg)
{
    (void)arg;
    static const char *const dtypes[] = { ROPEROT_DTYPE_LIST(NAME) };
    static const char *const pairings[] = { "half", "half_to_interleaved", "interleaved_to_half", "interleaved" };
    for (int32_t isa = ROPEROT_ISA_SCALAR; isa < ROPEROT_ISA_END; isa++)
        for (int32_t p = 0; p < 4 && roperot_isa_usable(isa); p++) {
            roperot_config c = small_config();
            c.isa = isa;
            c.pairing = p / 2 ? ROPEROT_PAIR_INTERLEAVED : ROPEROT_PAIR_HALF;
            c.pairing_out = p % 2 ? ROPEROT_PAIR_INTERLEAVED : ROPEROT_PAIR_HALF;
            roperot_plan *const plan = expect_plan(&c);
            for (int s = 0; s < ROPEROT_DTYPES; s++)
                for (int d = 0; d < ROPEROT_DTYPES; d++) {
                    const int offered = s == d || (c.pairing_out == c.pairing && (s == 0 || d == 0));
                    const char *const got = roperot_plan_kernel(plan, ROPEROT_F32 + s, ROPEROT_F32 + d);
                    char want[64];
                    snprintf(want, sizeof want, "rotate_%s%s%s_%s_%s", dtypes[s], s == d ? "" : "_to_",
                             s == d ? "" : dtypes[d], pairings[p], roperot_isa_name(isa));
                    CHECK(offered ? got && strcmp(got, want) == 0 : !got, "%s, not %s", got ? got : "NULL",
                          offered ? want : "NULL");
                }
            CHECK(!roperot_plan_kernel(plan, 0, ROPEROT_F32) && !roperot_plan_kernel(plan, ROPEROT_F32, INT32_MIN) &&
                      !roperot_plan_kernel(plan, ROPEROT_DTYPE_END, INT32_MAX) &&
                      !roperot_plan_kernel(NULL, ROPEROT_F32, ROPEROT_F32),
                  "a kernel for an unknown dtype or no plan");
            roperot_plan_destroy(plan);
        }
}

static int32_t cache_of(int32_t head_dim, int64_t max_positions, int32_t angles, int32_t cache,
                        const roperot_table *table)
{
    roperot_config c = small_config();
    c.head_dim = head_dim;
    c.max_positions = max_positions;
    c.angles = angles;
    c.cache = cache;
    c.table = table;
    roperot_plan *const plan = expect_plan(&c);
    const roperot_plan_info i = described(plan);
    CHECK(!max_positions || i.max_positions == max_positions, "max_positions %lld", (long long)i.max_positions);
    CHECK(table || i.inv_freq, "inv_freq is NULL");
    CHECK(!table || !i.inv_freq, "a borrowed plan has frequencies");
    roperot_plan_destroy(plan);
    return i.cache;
}

/* FULL rows are 64-byte aligned: 128 channels take 512 bytes, so 64 MiB are 131072 positions. */
static void cache_choice(const void *arg)
{
    (void)arg;
    const int32_t exact = ROPEROT_ANGLES_EXACT, f32 = ROPEROT_ANGLES_F32;
    CHECK(cache_of(128, 0, exact, 0, NULL) == ROPEROT_CACHE_FACTORED, "no limit");
    CHECK(harness_quick() || cache_of(128, 131072, exact, 0, NULL) == ROPEROT_CACHE_FULL, "64 MiB");
    CHECK(cache_of(128, 131073, exact, 0, NULL) == ROPEROT_CACHE_FACTORED, "more than 64 MiB");
    CHECK(cache_of(8, harness_quick() ? 1 << 10 : 1 << 21, f32, 0, NULL) == ROPEROT_CACHE_FULL, "F32 angles");
    CHECK(cache_of(8, 10, exact, ROPEROT_CACHE_FACTORED, NULL) == ROPEROT_CACHE_FACTORED, "asked FACTORED");
    CHECK(cache_of(8, 10, exact, ROPEROT_CACHE_FULL, NULL) == ROPEROT_CACHE_FULL, "asked FULL");
    CHECK(cache_of(8, 1, exact, ROPEROT_CACHE_FULL, NULL) == ROPEROT_CACHE_FULL, "one position");
    CHECK(cache_of(8, 0, exact, 0, &table_16x4) == ROPEROT_CACHE_BORROWED, "a table");
    CHECK(cache_of(8, 5, exact, ROPEROT_CACHE_BORROWED, &table_16x4) == ROPEROT_CACHE_BORROWED, "asked BORROWED");
    CHECK(cache_of(8, 0, f32, 0, &table_16x4) == ROPEROT_CACHE_BORROWED, "a table with F32 angles");
    roperot_config c = small_config();
    c.table = &table_16x4;
    c.base = NAN; /* ignored, as is inv_freq */
    roperot_plan *const plan = expect_plan(&c);
    CHECK(described(plan).max_positions == 16, "0 is the table's rows");
    roperot_plan_destroy(plan);
}

/* Everything that the config points to is the caller's again after the call. */
static void copies_its_arrays(const void *arg)
{
    (void)arg;
    double w[4] = { 0.5, -0.25, 0.0, 65536.0 };
    uint8_t axis[4] = { 0, 2, 1, 0 };
    roperot_config c = small_config();
    c.inv_freq = w;
    c.axis = axis;
    c.axes = 3;
    c.pairs = 4;
    c.base = -1; /* not used with inv_freq */
    roperot_plan *const plan = expect_plan(&c);
    memset(w, 0xff, sizeof w);
    memset(axis, 0xff, sizeof axis);
    const roperot_plan_info i = described(plan);
    CHECK(i.inv_freq[0] == 0.5 && i.inv_freq[1] == -0.25 && i.inv_freq[2] == 0.0 && i.inv_freq[3] == 65536.0,
          "inv_freq");
    CHECK(i.arithmetic == c.arithmetic && i.frequencies == ROPEROT_FREQUENCIES_PER_PAIR && i.heads == 0, "the last");
    CHECK(i.axes == 3 && i.axis && memcmp(i.axis, (const uint8_t[]){ 0, 2, 1, 0 }, 4) == 0, "axis");
    roperot_plan_destroy(plan);
}

static void geometries(const void *arg)
{
    (void)arg;
    static const int32_t good[][3] = { { 2, 0, 0 },     { 65536, 0, 0 }, { 77, 76, 0 }, { 3, 2, 0 },
                                       { 128, 64, 64 }, { 128, 2, 126 }, { 80, 32, 0 }, { 65535, 65534, 0 } };
    for (size_t k = 0; k < sizeof good / sizeof *good; k++) {
        roperot_config c = small_config();
        c.head_dim = good[k][0];
        c.rotary_dim = good[k][1];
        c.rotary_offset = good[k][2];
        c.max_positions = 3;
        c.axes = 0; /* means 1 */
        roperot_plan *const plan = expect_plan(&c);
        const roperot_plan_info i = described(plan);
        CHECK(i.pairs == (good[k][1] ? good[k][1] : good[k][0]) / 2 && i.axes == 1, "head_dim %d: %d pairs", good[k][0],
              i.pairs);
        roperot_plan_destroy(plan);
    }
}

/* ---- statuses and ISAs ------------------------------------------------------------------------------------------- */

static void names(const void *arg)
{
    (void)arg;
    static const char *const isas[] = { "auto", "scalar", "avx2", "avx512", "neon", "sve", "rvv", "wasm" };
    static const char *const statuses[] = { "ROPEROT_OK",          "ROPEROT_ERROR_ARGUMENT", "ROPEROT_ERROR_SHAPE",
                                            "ROPEROT_ERROR_DTYPE", "ROPEROT_ERROR_ALIAS",    "ROPEROT_ERROR_POSITION",
                                            "ROPEROT_ERROR_ISA",   "ROPEROT_ERROR_MEMORY",   "ROPEROT_ERROR_VERSION" };
    for (int32_t i = 0; i < 8; i++) CHECK(strcmp(roperot_isa_name(i), isas[i]) == 0, "isa %d", i);
    CHECK(!roperot_isa_name(-1) && !roperot_isa_name(8), "a name for an unknown ISA");
    for (int32_t i = 0; i < 9; i++) CHECK(strcmp(roperot_status_name(i), statuses[i]) == 0, "status %d", i);
    CHECK(strcmp(roperot_status_name(-1), "unknown status") == 0, "status -1");
    CHECK(strcmp(roperot_status_name(9), "unknown status") == 0, "status 9");
    CHECK(roperot_version() == ROPEROT_VERSION, "version %x", (unsigned)roperot_version());
    CHECK(strstr(roperot_build_info(), "scalar"), "build info: %s", roperot_build_info());
}

static void isas_agree(const void *arg)
{
    (void)arg;
    CHECK(roperot_isa_usable(ROPEROT_ISA_SCALAR), "scalar is always there");
    CHECK(roperot_isa_usable(ROPEROT_ISA_AUTO) == (roperot_isa_best() != 0), "AUTO");
    CHECK(!roperot_isa_usable(-1) && !roperot_isa_usable(ROPEROT_ISA_END), "an unknown ISA is usable");
    for (int32_t isa = -1; isa <= ROPEROT_ISA_END; isa++) {
        const char *const reason = roperot_isa_reason(isa);
        CHECK(reason && *reason, "isa %d has no reason", isa);
        CHECK((strcmp(reason, "usable") == 0) == roperot_isa_usable(isa), "isa %d: usable %d, reason %s", isa,
              roperot_isa_usable(isa), reason);
        if (isa < ROPEROT_ISA_SCALAR || isa >= ROPEROT_ISA_END) continue;
        const int built = strstr(roperot_build_info(), roperot_isa_name(isa)) != NULL;
        CHECK(roperot_isa_usable(isa) || built != (strcmp(reason, "not built in") == 0),
              "%s: %s, in a build that is %s", roperot_isa_name(isa), reason, roperot_build_info());
        roperot_config c = small_config();
        roperot_plan *plan = NULL;
        c.isa = isa;
        const int32_t status = roperot_plan_create(&c, &plan);
        CHECK(status == (roperot_isa_usable(isa) ? ROPEROT_OK : ROPEROT_ERROR_ISA), "isa %d: %s", isa,
              roperot_status_name(status));
        if (status)
            expect_error(status, ROPEROT_ERROR_ISA, roperot_isa_name(isa), reason);
        else
            CHECK(described(plan).isa == isa, "asked for %d, got %d", isa, described(plan).isa);
        roperot_plan_destroy(plan);
    }
}

/* -1: nobody else here knows. */
static int others_say(int32_t isa)
{
#if defined __x86_64__ && defined __GNUC__
    const int is_avx2 = __builtin_cpu_supports("avx2") != 0;
    const int is_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (isa == ROPEROT_ISA_AVX2 || isa == ROPEROT_ISA_AVX512) return isa == ROPEROT_ISA_AVX2 ? is_avx2 : is_avx512;
#elif defined __aarch64__ && defined __linux__
    if (isa == ROPEROT_ISA_SVE) return (getauxval(AT_HWCAP) & HWCAP_SVE) != 0;
#endif
    return isa == ROPEROT_ISA_SCALAR ? 1 : -1;
}

/* An ISA that is built in is usable where the compiler's runtime or the system's headers say that the CPU has it. */
static void isas_are_those_of_the_cpu(const void *arg)
{
    (void)arg;
    for (int32_t isa = ROPEROT_ISA_SCALAR; isa < ROPEROT_ISA_END; isa++) {
        const int said = others_say(isa), built = strcmp(roperot_isa_reason(isa), "not built in") != 0;
        if (said < 0 || !built) continue;
        CHECK(roperot_isa_usable(isa) == said, "%s: usable %d, but others say %d", roperot_isa_name(isa),
              roperot_isa_usable(isa), said);
    }
}

/* What the environment asked for is what AUTO picks, else the first usable one of these. */
static void environment_decides(const void *arg)
{
    static const int32_t order[] = { ROPEROT_ISA_AVX512, ROPEROT_ISA_AVX2, ROPEROT_ISA_SVE,   ROPEROT_ISA_NEON,
                                     ROPEROT_ISA_RVV,    ROPEROT_ISA_WASM, ROPEROT_ISA_SCALAR };
    (void)arg;
    const char *const name = getenv("ROPEROT_ISA");
    const int32_t best = roperot_isa_best();
    CHECK(best && roperot_isa_usable(best), "best is %d", best);
    if (name && strcmp(name, "auto") != 0) {
        CHECK(strcmp(roperot_isa_name(best), name) == 0, "ROPEROT_ISA=%s, but best is %d", name, best);
        return;
    }
    size_t first = 0;
    while (!roperot_isa_usable(order[first])) first++;
    CHECK(best == order[first], "best is %s, not %s", roperot_isa_name(best), roperot_isa_name(order[first]));
}

/* A success does not clear the sentence; each thread has its own (test_robust). */
static void last_error_stays(const void *arg)
{
    (void)arg;
    roperot_config c = small_config();
    roperot_plan *plan;
    c.head_dim = -77;
    roperot_plan_create(&c, &plan);
    c.head_dim = 8;
    roperot_plan_destroy(expect_plan(&c));
    CHECK(strstr(roperot_last_error(), "-77"), "the sentence is now: %s", roperot_last_error());
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof bad_configs / sizeof *bad_configs; i++)
        harness_add(is_refused, &bad_configs[i], "refuses/%s", bad_configs[i].name);
    harness_add(null_pointers, NULL, "null-pointers");
    harness_add(sizes_of_configs, NULL, "sizes-of-configs");
    harness_add(sizes_of_others, NULL, "sizes-of-others");
    harness_add(sizes_of_options, NULL, "sizes-of-options");
    harness_add(arithmetics, NULL, "arithmetics");
    harness_add(every_dtype_has_kernels, NULL, "kernels-of-every-dtype");
    harness_add(kernel_names, NULL, "kernel-names");
    harness_add(defaults, NULL, "defaults");
    harness_add(cache_choice, NULL, "cache-choice");
    harness_add(copies_its_arrays, NULL, "copies-its-arrays");
    harness_add(geometries, NULL, "geometries");
    harness_add(names, NULL, "names");
    harness_add(isas_agree, NULL, "isas-agree");
    harness_add(isas_are_those_of_the_cpu, NULL, "isas-of-this-cpu");
    harness_add(environment_decides, NULL, "environment-decides");
    harness_add(last_error_stays, NULL, "last-error-stays");
    return harness_run(argc, argv, "plan");
}
