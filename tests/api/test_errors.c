/* SPDX-License-Identifier: MIT
 * Every refusal of roperot_apply and roperot_cos_sin: status, sentence, and not one byte written; it must not know how
 * the library checks. */
#include <math.h>
#include <string.h>

#include <roperot/roperot.h>

#include "support/assertions.h"
#include "support/guarded_tensor.h"
#include "support/harness.h"

/* ---- a valid call that each case spoils in one place ------------------------------------------------------------- */

enum { BATCH = 2, TOKENS = 3, DIM = 16, TENSORS = 2 };

typedef struct fixture {
    roperot_plan *plan, *freed; /* freed: destroyed after the call */
    roperot_positions at;
    roperot_options options;
    roperot_tensor src[TENSORS], dst[TENSORS];
    const roperot_plan *plan_arg;
    const roperot_positions *at_arg;
    const roperot_tensor *src_arg, *dst_arg; /* dst_arg NULL: in place */
    const roperot_options *options_arg;
    int32_t count;
    int64_t ids[BATCH * TOKENS], cu[4];
    double coordinates[BATCH * TOKENS];
} fixture;

static void use_ids(fixture *f)
{
    f->at = roperot_positions_i64(f->ids, TOKENS);
}

static void use_coordinates(fixture *f)
{
    use_ids(f);
    f->at.type = ROPEROT_POSITIONS_F64;
    f->at.ids = f->coordinates;
}

static void use_ragged(fixture *f)
{
    f->at = (roperot_positions)ROPEROT_POSITIONS_INIT;
    f->at.kind = ROPEROT_POSITIONS_RAGGED;
    f->at.cu_seqlens = f->cu;
    f->at.cu_type = ROPEROT_POSITIONS_I64;
    f->at.sequences = 3;
    for (int i = 0; i < TENSORS; i++) {
        f->src[i].shape[0] = f->dst[i].shape[0] = 1;
        f->src[i].shape[1] = f->dst[i].shape[1] = BATCH * TOKENS;
    }
}

static void out_of_place(fixture *f)
{
    f->dst_arg = f->dst;
}

/* What the fast path would take if nothing were wrong. */
static void one_sequence_out_of_place(fixture *f)
{
    out_of_place(f);
    for (int i = 0; i < TENSORS; i++) f->src[i].shape[0] = f->dst[i].shape[0] = 1;
}

static void another_plan(fixture *f, void (*change)(roperot_config *))
{
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = DIM;
    c.max_positions = 100;
    change(&c);
    f->freed = expect_plan(&c);
    f->plan_arg = f->freed;
}

static float borrowed_values[100 * DIM];
static roperot_table borrowed = { sizeof(roperot_table),
                                  ROPEROT_F32,
                                  borrowed_values,
                                  borrowed_values + DIM / 2,
                                  100,
                                  DIM,
                                  1,
                                  ROPEROT_TABLE_HALF,
                                  0,
                                  0,
                                  0 };

static void borrow(roperot_config *c)
{
    c->table = &borrowed;
}

static void borrow_30_heads(roperot_config *c)
{
    static roperot_table table;
    table = borrowed;
    table.heads = 30;
    c->table = &table;
}

static void repack(roperot_config *c)
{
    c->pairing_out = ROPEROT_PAIR_INTERLEAVED;
}

static void two_axes(roperot_config *c)
{
    static const uint8_t axis[DIM / 2] = { 0, 1, 0, 1, 0, 1, 0, 1 };
    c->axes = 2;
    c->axis = axis;
    c->pairs = DIM / 2;
}

/* ---- the cases: X(name, change, status, argument, value) --------------------------------------------------------- */

#define NULLS_AND_STRUCTS(X)                                                                                           \
    X(plan_null, f->plan_arg = NULL, ARGUMENT, "plan", "NULL")                                                         \
    X(positions_null, f->at_arg = NULL, ARGUMENT, "positions", "NULL")                                                 \
    X(src_null, f->src_arg = NULL, ARGUMENT, "src", "NULL")                                                            \
    X(count_negative, f->count = -3, ARGUMENT, "count", "-3")                                                          \
    X(data_null, f->src[1].data = NULL, ARGUMENT, "src[1]", "NULL")                                                    \
    X(dst_data_null, (out_of_place(f), f->dst[0].data = NULL), ARGUMENT, "dst[0]", "NULL")                             \
    X(positions_size, f->at.size = 24, VERSION, "positions", "24")                                                     \
    X(options_size, f->options.size = 8, VERSION, "options", "8")                                                      \
    X(options_reserved, f->options.reserved = 6, VERSION, "reserved", "6")                                             \
    X(options_flags, f->options.flags = 8, ARGUMENT, "flags", "8")                                                     \
    X(options_begin, f->options.token_begin = -5, ARGUMENT, "token_begin", "-5")                                       \
    X(options_threads, f->options.threads = -2, ARGUMENT, "threads", "-2")                                             \
    X(tensor_flags, f->src[0].flags = 4, ARGUMENT, "flags", "4")                                                       \
    X(tensor_reserved, f->src[1].reserved = f, VERSION, "reserved", "src[1]")

#define SHAPES(X)                                                                                                      \
    X(dtype_0, f->src[0].dtype = 0, DTYPE, "dtype", "0")                                                               \
    X(dtype_4, f->src[1].dtype = 4, DTYPE, "dtype", "4")                                                               \
    X(dtype_least, f->src[0].dtype = INT32_MIN, DTYPE, "dtype", "-2147483648")                                         \
    X(dtype_most, f->src[0].dtype = INT32_MAX, DTYPE, "dtype", "2147483647")                                           \
    X(dst_dtype, (out_of_place(f), f->dst[1].dtype = -1), DTYPE, "dtype", "-1")                                        \
    X(f16_to_bf16, (out_of_place(f), f->src[1].dtype = 2, f->dst[1].dtype = 3), DTYPE, "dtype", "3")                   \
    X(repair_and_convert, (another_plan(f, repack), out_of_place(f), f->dst[0].dtype = 2), DTYPE, "dtype", "2")        \
    X(repair_in_place, another_plan(f, repack), ALIAS, "pairing_out", "2")                                             \
    X(repair_same_view, (another_plan(f, repack), f->dst_arg = f->src), ALIAS, "pairing_out", "2")                     \
    X(batch_negative, f->src[0].shape[0] = -2, SHAPE, "shape", "-2")                                                   \
    X(tokens_negative, f->src[1].shape[1] = -9, SHAPE, "shape", "-9")                                                  \
    X(tokens_least, f->src[0].shape[1] = INT64_MIN, SHAPE, "shape", "-9223372036854775808")                            \
    X(heads_negative, f->src[0].shape[2] = INT64_MIN, SHAPE, "shape", "-9223372036854775808")                          \
    X(dim_other, f->src[1].shape[3] = 12, SHAPE, "shape", "12")                                                        \
    X(dim_0, f->src[1].shape[3] = 0, SHAPE, "shape", "0")                                                              \
    X(more_tokens, f->src[1].shape[1] = 5, SHAPE, "src[1]", "5")                                                       \
    X(dst_more_tokens, (out_of_place(f), f->dst[0].shape[1] = 5), SHAPE, "dst[0]", "5")                                \
    X(dst_more_heads, (out_of_place(f), f->dst[0].shape[2] = 40), SHAPE, "dst[0]", "40")                               \
    X(batch_differs, f->src[1].shape[0] = 1, SHAPE, "src[1]", "1")                                                     \
    X(tokens_differ, f->src[1].shape[1] = 2, SHAPE, "src[1]", "2")                                                     \
    X(table_heads_differ, another_plan(f, borrow_30_heads), SHAPE, "src[0].shape[2]", "30")                            \
    X(dst_heads_differ, (out_of_place(f), f->dst[0].shape[2] = 1), SHAPE, "dst[0]", "1")                               \
    X(fast_dst_heads, (one_sequence_out_of_place(f), f->dst[0].shape[2] = 1), SHAPE, "dst[0]", "1")                    \
    X(fast_dst_tokens, (one_sequence_out_of_place(f), f->dst[1].shape[1] = 2), SHAPE, "dst[1]", "2")                   \
    X(fast_dst_dtype, (one_sequence_out_of_place(f), f->src[1].dtype = 2, f->dst[1].dtype = 3), DTYPE, "dtype", "3")   \
    X(fast_dst_flags, (one_sequence_out_of_place(f), f->dst[1].flags = 4), ARGUMENT, "flags", "4")                     \
    X(dst_dim_differs, (out_of_place(f), f->dst[0].shape[3] = 8), SHAPE, "dst[0]", "8")                                \
    X(stride_3, f->src[0].stride[3] = 2, SHAPE, "stride[3]", "2")                                                      \
    X(stride_3_negative, f->src[0].stride[3] = -1, SHAPE, "stride[3]", "-1")                                           \
    X(dst_stride_3, (out_of_place(f), f->dst[1].stride[3] = 0), SHAPE, "dst[1]", "0")                                  \
    X(stride_overflows, f->src[0].stride[0] = INT64_MAX, SHAPE, "stride", "9223372036854775807")                       \
    X(stride_underflows, f->src[0].stride[1] = INT64_MIN, SHAPE, "stride", "-9223372036854775808")                     \
    X(stride_overflows_bytes, f->src[1].stride[2] = INT64_MAX / 3, SHAPE, "stride", "3074457345618258602")             \
    X(helper_overflows, f->src[0] = roperot_tensor_bshd(f, 1, 2, 3, INT64_MAX / 9, DIM), SHAPE, "shape",               \
      "1024819115206086200")                                                                                           \
    X(shape_overflows, f->src[0].shape[2] = INT64_MAX / 2, SHAPE, "shape", "4611686018427387903")                      \
    X(dst_overflows, (out_of_place(f), f->dst[0].stride[0] = INT64_MAX / 4), SHAPE, "stride", "2305843009213693951")   \
    X(beyond_memory, f->src[0].stride[0] = INT64_C(1) << 58, SHAPE, "stride", "288230376151711744")                    \
    X(reaches_below_0, f->src[0].stride[0] = -(INT64_C(1) << 60), SHAPE, "stride", "-1152921504606846976")

#define PLACES(X)                                                                                                      \
    X(offset_negative, f->at.offset = -1, POSITION, "position", "-1")                                                  \
    X(offset_beyond, f->at.offset = 98, POSITION, "position", "100")                                                   \
    X(offset_most, f->at.offset = INT64_MAX, POSITION, "position", "9223372036854775807")                              \
    X(offset_least, f->at.offset = INT64_MIN, POSITION, "position", "-9223372036854775808")                            \
    X(kind, f->at.kind = 4, ARGUMENT, "kind", "4")                                                                     \
    X(kind_negative, f->at.kind = -1, ARGUMENT, "kind", "-1")                                                          \
    X(axes_other, f->at.axes = 2, ARGUMENT, "axes", "2")                                                               \
    X(axes_negative, f->at.axes = -1, ARGUMENT, "axes", "-1")                                                          \
    X(axes_more_than_plan, (another_plan(f, two_axes), use_ids(f), f->at.axes = 3), ARGUMENT, "axes", "3")             \
    X(ids_null, (use_ids(f), f->at.ids = NULL), ARGUMENT, "ids", "NULL")                                               \
    X(ids_type, (use_ids(f), f->at.type = 5), ARGUMENT, "type", "5")                                                   \
    X(ids_type_0, (use_ids(f), f->at.type = 0), ARGUMENT, "type", "0")                                                 \
    X(ids_misaligned, (use_ids(f), f->at.ids = (char *)f->ids + 4), ARGUMENT, "ids", "of 8")                           \
    X(ids_stride, (use_ids(f), f->at.batch_stride = INT64_MAX), SHAPE, "stride", "9223372036854775807")                \
    X(id_negative, (use_ids(f), f->ids[4] = -7), POSITION, "position", "-7")                                           \
    X(id_beyond, (use_ids(f), f->ids[5] = 100), POSITION, "position", "100")                                           \
    X(id_with_offset, (use_ids(f), f->ids[0] = 50, f->at.offset = 60), POSITION, "position", "110")                    \
    X(id_overflows, (use_ids(f), f->ids[1] = INT64_MAX, f->at.offset = INT64_MAX), POSITION, "position",               \
      "9223372036854775807")                                                                                           \
    X(signed_beyond, (use_ids(f), f->options.flags = 4, f->ids[2] = -100), POSITION, "position", "-100")               \
    X(signed_above, (use_ids(f), f->options.flags = 4, f->ids[2] = 101), POSITION, "position", "101")                  \
    X(starts_real, (use_coordinates(f), f->at.kind = 2), ARGUMENT, "type", "4")                                        \
    X(starts_beyond, (use_ids(f), f->at.kind = 2, f->at.batch_stride = 1, f->ids[1] = 98), POSITION, "position",       \
      "100")                                                                                                           \
    X(coordinate_nan, (use_coordinates(f), f->coordinates[3] = NAN), POSITION, "coordinate", "nan")                    \
    X(coordinate_infinite, (use_coordinates(f), f->coordinates[5] = -INFINITY), POSITION, "coordinate", "-inf")        \
    X(coordinate_large, (use_coordinates(f), f->coordinates[5] = 0x1p31), POSITION, "coordinate", "2.14748e+09")       \
    X(coordinate_borrowed, (use_coordinates(f), another_plan(f, borrow)), ARGUMENT, "type", "4")                       \
    X(ragged_batch,                                                                                                    \
      (use_ragged(f), f->src[0].shape[0] = f->src[1].shape[0] = 2, f->src[0].shape[1] = f->src[1].shape[1] = 3),       \
      SHAPE, "batch", "2")                                                                                             \
    X(ragged_null, (use_ragged(f), f->at.cu_seqlens = NULL), ARGUMENT, "cu_seqlens", "NULL")                           \
    X(ragged_type, (use_ragged(f), f->at.cu_type = 3), ARGUMENT, "cu_type", "3")                                       \
    X(ragged_misaligned, (use_ragged(f), f->at.cu_seqlens = (char *)f->cu + 4), ARGUMENT, "cu_seqlens", "of 8")        \
    X(ragged_none, (use_ragged(f), f->at.sequences = 0), ARGUMENT, "sequences", "0")                                   \
    X(ragged_negative, (use_ragged(f), f->at.sequences = -4), ARGUMENT, "sequences", "-4")                             \
    X(ragged_first, (use_ragged(f), f->cu[0] = 1), ARGUMENT, "cu_seqlens", "1")                                        \
    X(ragged_falls, (use_ragged(f), f->cu[1] = 5, f->cu[2] = 4), ARGUMENT, "cu_seqlens", "4")                          \
    X(ragged_short, (use_ragged(f), f->cu[3] = 5), SHAPE, "cu_seqlens", "5")                                           \
    X(ragged_long, (use_ragged(f), f->cu[3] = 7), SHAPE, "cu_seqlens", "7")

typedef struct bad_call {
    const char *name, *argument, *value;
    void (*change)(fixture *f);
    int32_t status;
} bad_call;

#define DEFINE_CHANGE(id, change, status, argument, value)                                                             \
    static void change_##id(fixture *f)                                                                                \
    {                                                                                                                  \
        change;                                                                                                        \
    }
#define LIST_CHANGE(id, change, status, argument, value) { #id, argument, value, change_##id, ROPEROT_ERROR_##status },
NULLS_AND_STRUCTS(DEFINE_CHANGE)
SHAPES(DEFINE_CHANGE)
PLACES(DEFINE_CHANGE)
static const bad_call bad_calls[] = { NULLS_AND_STRUCTS(LIST_CHANGE) SHAPES(LIST_CHANGE) PLACES(LIST_CHANGE) };

static roperot_plan *plan_of_100(void)
{
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = DIM;
    c.max_positions = 100;
    return expect_plan(&c);
}

static void is_refused(const void *arg)
{
    const bad_call *const bad = arg;
    guarded_tensor src[TENSORS], dst[TENSORS], before[2 * TENSORS];
    fixture f = { .plan = plan_of_100(),
                  .at = roperot_positions_offset(3),
                  .options = ROPEROT_OPTIONS_INIT,
                  .count = TENSORS,
                  .cu = { 0, 2, 2, BATCH * TOKENS } };
    for (int i = 0; i < TENSORS; i++) {
        src[i] = guarded_tensor_plain(ROPEROT_F32, BATCH, TOKENS, 3 - i, DIM);
        dst[i] = guarded_tensor_plain(ROPEROT_F32, BATCH, TOKENS, 3 - i, DIM);
        before[i] = guarded_tensor_clone(&src[i]);
        before[TENSORS + i] = guarded_tensor_clone(&dst[i]);
        f.src[i] = src[i].view;
        f.dst[i] = dst[i].view;
    }
    for (int i = 0; i < BATCH * TOKENS; i++) f.ids[i] = f.cu[1] + i;
    f.plan_arg = f.plan;
    f.at_arg = &f.at;
    f.src_arg = f.src;
    f.options_arg = &f.options;
    bad->change(&f);
    const int32_t status = roperot_apply(f.plan_arg, f.at_arg, f.src_arg, f.dst_arg, f.count, f.options_arg);
    expect_error(status, bad->status, bad->argument, bad->value);
    for (int i = 0; i < TENSORS; i++) {
        guarded_tensor_check_equal(&src[i], &before[i], "src after an error");
        guarded_tensor_check_equal(&dst[i], &before[TENSORS + i], "dst after an error");
        guarded_tensor_close(&src[i]);
        guarded_tensor_close(&dst[i]);
        guarded_tensor_close(&before[i]);
        guarded_tensor_close(&before[TENSORS + i]);
    }
    roperot_plan_destroy(f.plan);
    roperot_plan_destroy(f.freed);
}

/* ---- one bad id among many --------------------------------------------------------------------------------------- */

enum { MANY = 4096 };

static void one_of_4096(const void *arg)
{
    const int64_t which = *(const int64_t *)arg;
    static int32_t narrow[MANY];
    static int64_t wide[MANY];
    roperot_plan *const plan = plan_of_100();
    guarded_tensor x = guarded_tensor_plain(ROPEROT_F16, 1, MANY, 2, DIM), before = guarded_tensor_clone(&x);
    for (int64_t i = 0; i < MANY; i++) wide[i] = narrow[i] = (int32_t)(i % 100);
    wide[which] = narrow[which] = 100;
    const roperot_positions at32 = roperot_positions_i32(narrow, 0), at64 = roperot_positions_i64(wide, 0);
    expect_error(roperot_apply(plan, &at32, &x.view, NULL, 1, NULL), ROPEROT_ERROR_POSITION, "position", "100");
    expect_error(roperot_apply(plan, &at64, &x.view, NULL, 1, NULL), ROPEROT_ERROR_POSITION, "position", "100");
    guarded_tensor_check_equal(&x, &before, "one bad id");
    /* Not in the range, not looked at. */
    roperot_options o = ROPEROT_OPTIONS_INIT;
    if (which == 0)
        o.token_begin = 1;
    else
        o.token_end = which;
    CHECK(!roperot_apply(plan, &at32, &x.view, NULL, 1, &o), "the bad id is outside the range: %s",
          roperot_last_error());
    guarded_tensor_close(&x);
    guarded_tensor_close(&before);
    roperot_plan_destroy(plan);
}

/* Only the tokens of the range need valid positions: 2 rows of 4 tokens at 97 .. 100, of which 100 is out. */
static void ranges_limit_offsets(const void *arg)
{
    (void)arg;
    static const int64_t cases[][3] = { { 0, 3, 1 }, { 0, 4, 0 }, { 3, 4, 0 }, { 4, 7, 1 }, { 4, 8, 0 }, { 7, 8, 0 },
                                        { 5, 6, 1 }, { 2, 5, 0 }, { 0, 8, 0 }, { 6, 7, 1 }, { 3, 5, 0 }, { 1, 3, 1 } };
    roperot_plan *const plan = plan_of_100();
    const roperot_positions at = roperot_positions_offset(97), below = roperot_positions_offset(-3);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        guarded_tensor x = guarded_tensor_plain(ROPEROT_F32, 2, 4, 1, DIM), before = guarded_tensor_clone(&x);
        roperot_options o = ROPEROT_OPTIONS_INIT;
        o.token_begin = cases[i][0];
        o.token_end = cases[i][1];
        const int32_t status = roperot_apply(plan, &at, &x.view, NULL, 1, &o);
        CHECK(status == (cases[i][2] ? ROPEROT_OK : ROPEROT_ERROR_POSITION), "[%lld, %lld): %s",
              (long long)o.token_begin, (long long)o.token_end, roperot_status_name(status));
        if (status) guarded_tensor_check_equal(&x, &before, "a position outside");
        o.token_begin = 7 - cases[i][1] + 1; /* mirrored: -3 .. 0, of which the last alone is inside */
        o.token_end = 8 - cases[i][0];
        int fine = 1;
        for (int64_t t = o.token_begin; t < o.token_end; t++) fine &= t % 4 == 3;
        CHECK(roperot_apply(plan, &below, &x.view, NULL, 1, &o) == (fine ? ROPEROT_OK : ROPEROT_ERROR_POSITION),
              "from below, [%lld, %lld)", (long long)o.token_begin, (long long)o.token_end);
        guarded_tensor_close(&x);
        guarded_tensor_close(&before);
    }
    roperot_plan_destroy(plan);
}

/* ---- structs of another age -------------------------------------------------------------------------------------- */

static void sizes(const void *arg)
{
    (void)arg;
    struct {
        roperot_positions known;
        unsigned char tail[16];
    } at = { roperot_positions_offset(3), { 0 } };
    struct {
        roperot_options known;
        unsigned char tail[16];
    } options = { ROPEROT_OPTIONS_INIT, { 0 } };
    roperot_plan *const plan = plan_of_100();
    guarded_tensor x = guarded_tensor_plain(ROPEROT_F32, 1, 2, 1, DIM);
    at.known.size = sizeof at;
    options.known.size = sizeof options;
    CHECK(!roperot_apply(plan, &at.known, &x.view, NULL, 1, &options.known), "zero tails: %s", roperot_last_error());
    guarded_tensor before = guarded_tensor_clone(&x);
    at.tail[3] = 1;
    expect_error(roperot_apply(plan, &at.known, &x.view, NULL, 1, NULL), ROPEROT_ERROR_VERSION, "positions", "88");
    at.tail[3] = 0;
    options.tail[15] = 9;
    expect_error(roperot_apply(plan, &at.known, &x.view, NULL, 1, &options.known), ROPEROT_ERROR_VERSION, "options",
                 "80");
    guarded_tensor_check_equal(&x, &before, "an unknown tail");
    guarded_tensor_close(&x);
    guarded_tensor_close(&before);
    roperot_plan_destroy(plan);
}

/* ---- cos_sin ----------------------------------------------------------------------------------------------------- */

typedef struct bad_table {
    const char *name, *argument, *value;
    void (*change)(roperot_table *t, roperot_positions *at);
    int32_t status;
} bad_table;

/* Four ids of 0 at the start of the table, for the table to be written to. */
static void read_ids(roperot_positions *at, void *ids, int64_t stride)
{
    *at = roperot_positions_i32(ids, 0);
    at->token_stride = stride;
    for (int i = 0; i < 4; i++) ((int32_t *)ids)[i * stride] = 0;
}

static void cut(roperot_positions *at, void *cu)
{
    at->kind = ROPEROT_POSITIONS_RAGGED;
    at->cu_seqlens = cu;
    at->cu_type = ROPEROT_POSITIONS_I32;
    at->sequences = 2;
    memcpy(cu, (int32_t[]){ 0, 1, 4 }, 3 * sizeof(int32_t));
}

#define TABLES(X)                                                                                                      \
    X(size, t->size = 4, VERSION, "size", "4")                                                                         \
    X(reserved, t->reserved = 3, VERSION, "reserved", "3")                                                             \
    X(dtype, t->dtype = 7, DTYPE, "dtype", "7")                                                                        \
    X(width, t->width = -1, ARGUMENT, "width", "-1")                                                                   \
    X(rows, t->rows = 3, SHAPE, "rows", "3")                                                                           \
    X(cos, t->cos = NULL, ARGUMENT, "cos", "NULL")                                                                     \
    X(sin, t->sin = NULL, ARGUMENT, "sin", "NULL")                                                                     \
    X(misaligned, t->sin = (char *)t->sin + 2, ARGUMENT, "sin", "4 bytes")                                             \
    X(columns_overlap, (t->row_stride = 1, t->element_stride = 3), ALIAS, "overlap", "3")                              \
    X(element_stride, t->element_stride = -2, SHAPE, "element_stride", "-2")                                           \
    X(row_stride, t->row_stride = INT64_MAX / 2, SHAPE, "row_stride", "4611686018427387903")                           \
    X(heads_without_table, t->heads = 2, SHAPE, "dst.heads", "2")                                                      \
    X(same_sin, t->sin = t->cos, ALIAS, "overlap", "sin")                                                              \
    X(rows_overlap, t->row_stride = DIM / 2 - 1, ALIAS, "overlap", "7")                                                \
    X(position, at->offset = 97, POSITION, "position", "100")                                                          \
    X(ids_in_cos, read_ids(at, t->cos, 2), ALIAS, "cos", "positions")                                                  \
    X(ids_in_sin, read_ids(at, (float *)t->sin + 3 * DIM, 2), ALIAS, "sin", "positions")                               \
    X(ids_end_in_sin, (t->cos = (float *)t->sin + 4 * DIM, read_ids(at, (float *)t->sin - 3, 1)), ALIAS, "sin",        \
      "positions")                                                                                                     \
    X(starts_in_sin, (read_ids(at, t->sin, 1), at->kind = ROPEROT_POSITIONS_STARTS), ALIAS, "cos", "positions")        \
    X(cu_in_cos, cut(at, t->cos), ALIAS, "cos", "positions")

#define DEFINE_TABLE(id, change, status, argument, value)                                                              \
    static void table_##id(roperot_table *t, roperot_positions *at)                                                    \
    {                                                                                                                  \
        (void)t, (void)at;                                                                                             \
        change;                                                                                                        \
    }
#define LIST_TABLE(id, change, status, argument, value) { #id, argument, value, table_##id, ROPEROT_ERROR_##status },
TABLES(DEFINE_TABLE)
static const bad_table bad_tables[] = { TABLES(LIST_TABLE) };

static void table_is_refused(const void *arg)
{
    const bad_table *const bad = arg;
    float out[2 * 4 * DIM], before[2 * 4 * DIM];
    for (size_t i = 0; i < sizeof out / sizeof *out; i++) out[i] = (float)random_between(-1, 1);
    roperot_table table = { sizeof table, ROPEROT_F32, out, out + DIM / 2, 4, DIM, 1, ROPEROT_TABLE_HALF, 0, 0, 0 };
    roperot_positions at = roperot_positions_offset(0);
    roperot_plan *const plan = plan_of_100();
    bad->change(&table, &at);
    memcpy(before, out, sizeof out);
    expect_error(roperot_cos_sin(plan, &at, 1, 4, &table), bad->status, bad->argument, bad->value);
    CHECK(memcmp(out, before, sizeof out) == 0, "something was written");
    roperot_plan_destroy(plan);
}

static void cos_sin_arguments(const void *arg)
{
    (void)arg;
    float out[DIM];
    const roperot_table table = {
        sizeof table, ROPEROT_F32, out, out + DIM / 2, 1, DIM, 1, ROPEROT_TABLE_HALF, 0, 0, 0
    };
    const roperot_table nothing = ROPEROT_TABLE_INIT;
    const roperot_positions at = roperot_positions_offset(0);
    roperot_plan *const plan = plan_of_100();
    expect_error(roperot_cos_sin(NULL, &at, 1, 1, &table), ROPEROT_ERROR_ARGUMENT, "plan", "NULL");
    expect_error(roperot_cos_sin(plan, NULL, 1, 1, &table), ROPEROT_ERROR_ARGUMENT, "positions", "NULL");
    expect_error(roperot_cos_sin(plan, &at, 1, 1, NULL), ROPEROT_ERROR_ARGUMENT, "dst", "NULL");
    expect_error(roperot_cos_sin(plan, &at, -6, 1, &table), ROPEROT_ERROR_SHAPE, "batch", "-6");
    expect_error(roperot_cos_sin(plan, &at, 1, -8, &table), ROPEROT_ERROR_SHAPE, "tokens", "-8");
    expect_error(roperot_cos_sin(plan, &at, INT64_MAX, INT64_MAX, &table), ROPEROT_ERROR_SHAPE, "rows", "1");
    CHECK(!roperot_cos_sin(plan, &at, 0, 5, &nothing) && !roperot_cos_sin(plan, &at, 5, 0, &nothing), "no rows: %s",
          roperot_last_error());
    roperot_plan_destroy(plan);
}

/* Columns one after the other: what a table is to a program that keeps pairs outside. */
static void transposed_table(const void *arg)
{
    (void)arg;
    enum { ROWS = 4, PAIRS = DIM / 2 };
    float plain[2][ROWS][PAIRS], turned[2][PAIRS][ROWS];
    const roperot_positions at = roperot_positions_offset(9);
    const roperot_table rows = { sizeof rows, ROPEROT_F32,        plain[0], plain[1], ROWS, PAIRS,
                                 1,           ROPEROT_TABLE_HALF, 0,        0,        0 };
    roperot_table columns = {
        sizeof rows, ROPEROT_F32, turned[0], turned[1], ROWS, 1, ROWS, ROPEROT_TABLE_HALF, 0, 0, 0
    };
    roperot_plan *const plan = plan_of_100();
    CHECK(!roperot_cos_sin(plan, &at, 1, ROWS, &rows), "%s", roperot_last_error());
    CHECK(!roperot_cos_sin(plan, &at, 1, ROWS, &columns), "%s", roperot_last_error());
    for (int which = 0; which < 2; which++)
        for (int r = 0; r < ROWS; r++)
            for (int j = 0; j < PAIRS; j++)
                CHECK(memcmp(&plain[which][r][j], &turned[which][j][r], sizeof(float)) == 0, "row %d, pair %d", r, j);
    columns.sin = (float *)columns.cos + PAIRS * ROWS - 1; /* the last element of both */
    expect_error(roperot_cos_sin(plan, &at, 1, ROWS, &columns), ROPEROT_ERROR_ALIAS, "overlap", "sin");
    roperot_plan_destroy(plan);
}

int main(int argc, char **argv)
{
    static const int64_t which[] = { 0, 1, 2048, MANY - 2, MANY - 1 };
    for (size_t i = 0; i < sizeof bad_calls / sizeof *bad_calls; i++)
        harness_add(is_refused, &bad_calls[i], "refuses/%s", bad_calls[i].name);
    for (size_t i = 0; i < sizeof which / sizeof *which; i++)
        harness_add(one_of_4096, &which[i], "one-bad-id/%lld", (long long)which[i]);
    for (size_t i = 0; i < sizeof bad_tables / sizeof *bad_tables; i++)
        harness_add(table_is_refused, &bad_tables[i], "cos_sin/%s", bad_tables[i].name);
    harness_add(transposed_table, NULL, "cos_sin/transposed");
    harness_add(cos_sin_arguments, NULL, "cos_sin/arguments");
    harness_add(ranges_limit_offsets, NULL, "ranges-limit-offsets");
    harness_add(sizes, NULL, "struct-sizes");
    return harness_run(argc, argv, "errors");
}
