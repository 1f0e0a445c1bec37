/* SPDX-License-Identifier: MIT
 * Somebody's cos/sin tables, borrowed by plans and filled by roperot_cos_sin, in every layout and dtype; it must not
 * know how a plan keeps them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <roperot/roperot.h>

#include "api/apply_trial.h"
#include "reference/oracle.h"
#include "support/assertions.h"
#include "support/harness.h"

enum { PAIRS = 9, ROWS = 12, ROOM = 1024 };

/* How a table lies in one block of memory: who is first, and the steps. */
typedef struct layout {
    const char *name;
    int32_t width;
    int64_t cos, sin, row_stride, element_stride; /* elements */
} layout;

static const layout layouts[] = {
    { "cos-sin-halves", ROPEROT_TABLE_HALF, 0, PAIRS, 2 * PAIRS, 1 }, /* vLLM: cos||sin */
    { "sin-cos-halves", ROPEROT_TABLE_HALF, PAIRS, 0, 2 * PAIRS, 1 }, /* IPEX: sin||cos */
    { "separate", ROPEROT_TABLE_HALF, 0, ROWS *PAIRS, PAIRS, 1 },     /* ONNX */
    { "separate-padded", ROPEROT_TABLE_HALF, 3, 500, PAIRS + 5, 1 },
    { "full-halves", ROPEROT_TABLE_FULL_HALVES, 0, ROWS * 2 * PAIRS, 2 * PAIRS, 1 }, /* Hugging Face */
    { "full-repeat", ROPEROT_TABLE_FULL_REPEAT, 0, ROWS * 2 * PAIRS, 2 * PAIRS, 1 },
    { "interleaved", ROPEROT_TABLE_HALF, 0, 1, 2 * PAIRS, 2 }, /* ChatGLM: (cos, sin) */
    { "interleaved-sin-first", ROPEROT_TABLE_HALF, 1, 0, 2 * PAIRS + 2, 2 },
    { "full-repeat-spread", ROPEROT_TABLE_FULL_REPEAT, 1, 2, 6 * PAIRS + 1, 3 },
    { "full-halves-spread", ROPEROT_TABLE_FULL_HALVES, 0, 1, 4 * PAIRS, 2 },
};

typedef struct table_case {
    const layout *layout;
    int32_t dtype;
} table_case;

static roperot_table table_over(void *memory, const table_case *c, int64_t rows)
{
    const int64_t size = (int64_t)format_bytes(c->dtype);
    return (roperot_table){ sizeof(roperot_table),
                            c->dtype,
                            (char *)memory + c->layout->cos * size,
                            (char *)memory + c->layout->sin * size,
                            rows,
                            c->layout->row_stride,
                            c->layout->element_stride,
                            c->layout->width,
                            0 };
}

static int copies(const layout *l)
{
    return l->width == ROPEROT_TABLE_HALF ? 1 : 2;
}

/* Element of pair j, copy k, in row p. */
static int64_t place(const layout *l, int64_t p, int64_t j, int k)
{
    const int64_t column = l->width == ROPEROT_TABLE_FULL_REPEAT ? 2 * j + k : j + k * PAIRS;
    return p * l->row_stride + column * l->element_stride;
}

static void put(const table_case *c, void *base, int64_t p, int64_t j, uint32_t bits)
{
    for (int k = 0; k < copies(c->layout); k++)
        format_store(c->dtype, (char *)base + place(c->layout, p, j, k) * (int64_t)format_bytes(c->dtype), bits);
}

/* ---- filled ------------------------------------------------------------------------------------------------------ */

/* The f32 values of the plan, one rounding to the table's dtype, and nothing between the elements. */
static void is_filled(const void *arg)
{
    const table_case *const c = arg;
    static float got[ROOM], want[ROOM];
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = 2 * PAIRS;
    config.attention_factor = 1.1;
    config.bounds = ROPEROT_BOUNDS_CLAMP;
    config.max_positions = 700;
    roperot_plan *const plan = expect_plan(&config);
    const int64_t ids[ROWS] = { 0, 1, 2, 699, 650, 3, 100, 5, 4, 800, 8, 9 };
    const roperot_positions at = roperot_positions_i64(ids, ROWS / 2);
    for (size_t i = 0; i < sizeof got; i++)
        ((unsigned char *)got)[i] = ((unsigned char *)want)[i] = (unsigned char)random_bits();
    float rows[ROWS][2][PAIRS];
    const roperot_table plain = { sizeof plain, ROPEROT_F32, rows[0][0], rows[0][1], ROWS, 2 * PAIRS, 1, 0, 0 };
    CHECK(!roperot_cos_sin(plan, &at, 2, ROWS / 2, &plain), "%s", roperot_last_error());
    const roperot_table table = table_over(got, c, ROWS), twin = table_over(want, c, ROWS);
    CHECK(!roperot_cos_sin(plan, &at, 2, ROWS / 2, &table), "%s", roperot_last_error());
    for (int64_t p = 0; p < ROWS; p++)
        for (int64_t j = 0; j < PAIRS; j++) {
            put(c, twin.cos, p, j, oracle_round(c->dtype, (double)rows[p][0][j]));
            put(c, twin.sin, p, j, oracle_round(c->dtype, (double)rows[p][1][j]));
        }
    for (size_t i = 0; i < sizeof got; i++)
        CHECK(((unsigned char *)got)[i] == ((unsigned char *)want)[i], "byte %zu differs", i);
    roperot_plan_destroy(plan);
}

/* ---- borrowed ---------------------------------------------------------------------------------------------------- */

static void is_borrowed(const void *arg)
{
    const table_case *const c = arg;
    static float memory[ROOM];
    roperot_table table = table_over(memory, c, ROWS);
    memset(memory, 0xff, sizeof memory); /* NaN wherever there is no element */
    for (int64_t p = 0; p < ROWS; p++)
        for (int64_t j = 0; j < PAIRS; j++) {
            put(c, table.cos, p, j, oracle_round(c->dtype, random_between(-1, 1)));
            put(c, table.sin, p, j, oracle_round(c->dtype, random_between(-1, 1)));
        }
    static const int32_t types[][4] = {
        { 1, 1, 1, 0 }, { 2, 2, 2, 0 }, { 3, 3, 1, 2 }, { 1, 3, 2, 0 }, { 2, 1, 1, 0 }
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (uint32_t flags = 0; flags < 4; flags++)
            for (int factor = 0; factor < 2; factor++) {
                apply_trial k = apply_trial_plain(2 * PAIRS + 2, 2, 3, 3);
                k.config.rotary_dim = 2 * PAIRS;
                k.config.table = &table;
                k.config.cache = factor ? ROPEROT_CACHE_AUTO : ROPEROT_CACHE_BORROWED;
                k.config.attention_factor = factor ? 1.37 : 1.0;
                k.config.max_positions = flags ? 0 : ROWS - 2;
                k.config.angles = factor ? ROPEROT_ANGLES_F32 : ROPEROT_ANGLES_EXACT;
                k.config.pairing = types[i][2];
                k.config.pairing_out = types[i][3];
                k.src_dtype = types[i][0];
                k.dst_dtype = types[i][1];
                k.in_place = types[i][0] == types[i][1] && !types[i][3];
                k.at.offset = (int64_t)i;
                k.flags = flags;
                apply_trial_check(&k);
            }
}

/* One axis per pair, from the same table. */
static void borrowed_with_axes(const void *arg)
{
    const table_case *const c = arg;
    static float memory[ROOM];
    roperot_table table = table_over(memory, c, ROWS);
    for (int64_t p = 0; p < ROWS; p++)
        for (int64_t j = 0; j < PAIRS; j++) {
            put(c, table.cos, p, j, oracle_round(c->dtype, random_between(-1, 1)));
            put(c, table.sin, p, j, oracle_round(c->dtype, random_between(-1, 1)));
        }
    static const uint8_t axis[PAIRS] = { 0, 1, 2, 2, 1, 0, 0, 1, 2 };
    static const int64_t ids[] = { 1, 5, 11, 0, 7, 3 };
    apply_trial k = apply_trial_plain(2 * PAIRS, 1, 2, 2);
    k.config.table = &table;
    k.config.axes = 3;
    k.config.axis = axis;
    k.config.pairs = PAIRS;
    k.at = roperot_positions_i64(ids, 0);
    k.at.axes = 3;
    k.at.axis_stride = 2;
    k.position = ids;
    apply_trial_check(&k);
}

/* f32 rows with element stride 1 are not copied: the plan sees what the owner changes. Others are. */
static void zero_copy(const void *arg)
{
    const table_case *const c = arg;
    static float memory[ROOM];
    const roperot_table table = table_over(memory, c, ROWS);
    const int shared =
        c->dtype == ROPEROT_F32 && c->layout->element_stride == 1 && c->layout->width != ROPEROT_TABLE_FULL_REPEAT;
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = 2 * PAIRS;
    config.table = &table;
    memset(memory, 0, sizeof memory);
    roperot_plan *const plan = expect_plan(&config);
    roperot_plan_info info = ROPEROT_PLAN_INFO_INIT;
    CHECK(!roperot_plan_describe(plan, &info), "%s", roperot_last_error());
    CHECK((info.cache_bytes == 0) == shared, "%lld bytes of its own", (long long)info.cache_bytes);
    put(c, table.cos, 3, 4, oracle_round(c->dtype, 2.0));
    float x[2 * PAIRS] = { 0 };
    x[4] = 1.0f;
    const roperot_tensor view = roperot_tensor_shd(x, ROPEROT_F32, 1, 1, 2 * PAIRS);
    const roperot_positions at = roperot_positions_offset(3);
    CHECK(!roperot_apply(plan, &at, &view, NULL, 1, NULL), "%s", roperot_last_error());
    CHECK(x[4] == (shared ? 2.0f : 0.0f), "pair 4 was multiplied by %g", (double)x[4]);
    roperot_plan_destroy(plan);
}

/* What a plan publishes, borrowed back, rotates like the plan. */
static void round_trip(const void *arg)
{
    const table_case *const c = arg;
    static float memory[ROOM];
    const roperot_table table = table_over(memory, c, ROWS);
    roperot_config config = ROPEROT_CONFIG_INIT, again = ROPEROT_CONFIG_INIT;
    config.head_dim = again.head_dim = 2 * PAIRS;
    config.attention_factor = 0.9;
    again.table = &table;
    roperot_plan *const plan = expect_plan(&config);
    const roperot_positions at = roperot_positions_offset(0);
    CHECK(!roperot_cos_sin(plan, &at, 1, ROWS, &table), "%s", roperot_last_error());
    roperot_plan *const borrower = expect_plan(&again);
    guarded_tensor x = guarded_tensor_plain(ROPEROT_F32, 1, ROWS, 3, 2 * PAIRS), y = guarded_tensor_clone(&x);
    CHECK(!roperot_apply(plan, &at, &x.view, NULL, 1, NULL), "%s", roperot_last_error());
    CHECK(!roperot_apply(borrower, &at, &y.view, NULL, 1, NULL), "%s", roperot_last_error());
    if (c->dtype == ROPEROT_F32) guarded_tensor_check_equal(&y, &x, "borrowed back");
    guarded_tensor_close(&x);
    guarded_tensor_close(&y);
    roperot_plan_destroy(plan);
    roperot_plan_destroy(borrower);
}

/* IDENTITY rows are published as cos 1, sin 0, without the attention factor. */
static void identity_row(const void *arg)
{
    (void)arg;
    float cosine[3 * PAIRS], sine[3 * PAIRS];
    const roperot_table table = { sizeof table, ROPEROT_F32, cosine, sine, 3, PAIRS, 1, 0, 0 };
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = 2 * PAIRS;
    config.max_positions = 10;
    config.bounds = ROPEROT_BOUNDS_IDENTITY;
    config.attention_factor = 3;
    roperot_plan *const plan = expect_plan(&config);
    const roperot_positions at = roperot_positions_offset(8);
    CHECK(!roperot_cos_sin(plan, &at, 1, 3, &table), "%s", roperot_last_error());
    for (int j = 0; j < PAIRS; j++)
        CHECK(cosine[2 * PAIRS + j] == 1.0f && sine[2 * PAIRS + j] == 0.0f, "pair %d: %g %g", j,
              (double)cosine[2 * PAIRS + j], (double)sine[2 * PAIRS + j]);
    roperot_plan_destroy(plan);
}

int main(int argc, char **argv)
{
    enum { LAYOUTS = sizeof layouts / sizeof *layouts };
    static table_case cases[LAYOUTS * 3];
    for (size_t i = 0; i < LAYOUTS; i++)
        for (int32_t dtype = 1; dtype <= 3; dtype++) {
            table_case *const c = &cases[i * 3 + (size_t)dtype - 1];
            *c = (table_case){ &layouts[i], dtype };
            const char *const name = format_name(dtype);
            harness_add(is_filled, c, "filled/%s/%s", layouts[i].name, name);
            harness_add(is_borrowed, c, "borrowed/%s/%s", layouts[i].name, name);
            harness_add(borrowed_with_axes, c, "axes/%s/%s", layouts[i].name, name);
            harness_add(zero_copy, c, "zero-copy/%s/%s", layouts[i].name, name);
            harness_add(round_trip, c, "round-trip/%s/%s", layouts[i].name, name);
        }
    harness_add(identity_row, NULL, "identity-row");
    return harness_run(argc, argv, "tables");
}
