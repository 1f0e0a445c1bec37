/* SPDX-License-Identifier: MIT
 * Every way to say where tokens are, decoded a second time here; it must not know how the library reads them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <roperot/roperot.h>

#include "api/apply_trial.h"
#include "reference/oracle.h"
#include "support/assertions.h"
#include "support/harness.h"

enum { MOST_AXES = 4, MOST_IDS = 512, PAIRS = 12 };

/* Where ids live: one array as int32 and as int64, read with any strides around its middle. */
typedef struct id_store {
    int32_t narrow[MOST_IDS];
    int64_t wide[MOST_IDS];
    int64_t decoded[MOST_AXES * MOST_IDS];
} id_store;

static void fill_ids(id_store *s, int64_t low, int64_t high)
{
    for (int i = 0; i < MOST_IDS; i++) s->wide[i] = s->narrow[i] = (int32_t)random_between((double)low, (double)high);
}

/* ids at element `at` from the middle of the store. */
static void point_to(roperot_positions *p, const id_store *s, int32_t type)
{
    p->type = type;
    p->ids = type == ROPEROT_POSITIONS_I32 ? (const void *)(s->narrow + MOST_IDS / 2)
                                           : (const void *)(s->wide + MOST_IDS / 2);
}

static int64_t id(const id_store *s, int64_t at)
{
    return s->wide[MOST_IDS / 2 + at];
}

static apply_trial call_with_axes(int32_t axes, int64_t batch, int64_t tokens, const roperot_positions *at,
                                  const id_store *s)
{
    static uint8_t axis[PAIRS];
    apply_trial c = apply_trial_plain(2 * PAIRS + 3, batch, tokens, 2);
    c.config.rotary_dim = 2 * PAIRS;
    c.config.rotary_offset = 2;
    c.config.axes = axes;
    c.config.axis = axes > 1 ? axis : NULL;
    c.config.pairs = axes > 1 ? PAIRS : 0;
    for (int j = 0; j < PAIRS; j++) axis[j] = (uint8_t)(j % axes);
    c.at = *at;
    c.position = s->decoded;
    c.in_place = (int)random_below(3);
    c.config.cache = random_below(2) ? ROPEROT_CACHE_FULL : ROPEROT_CACHE_FACTORED;
    c.config.max_positions = 5000;
    return c;
}

/* ---- OFFSET ------------------------------------------------------------------------------------------------------ */

static void offsets(const void *arg)
{
    (void)arg;
    static const int64_t starts[] = { 0, 1, 2047, 2048, (1 << 21) - 3, (INT64_C(1) << 31) - 6 };
    uint8_t axis[PAIRS];
    for (int j = 0; j < PAIRS; j++) axis[j] = (uint8_t)(j % 3);
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        for (int64_t batch = 1; batch <= 3; batch++)
            for (int32_t axes = 1; axes <= 3; axes += 2) {
                apply_trial c = apply_trial_plain(2 * PAIRS, batch, 6, 2);
                c.config.axes = axes;
                c.config.axis = axes > 1 ? axis : NULL;
                c.config.pairs = axes > 1 ? PAIRS : 0;
                c.at.offset = starts[i];
                c.in_place = (int)(i % 3);
                apply_trial_check(&c);
            }
}

/* ---- IDS --------------------------------------------------------------------------------------------------------- */

static void ids(const void *arg)
{
    const int32_t type = *(const int32_t *)arg;
    static const int64_t strides[][3] = { { 0, 0, 1 },   { 0, 7, 1 },  { 0, 0, 0 }, { 0, 1, 0 },  { 0, 1, 3 },
                                          { 0, -5, -1 }, { 20, 5, 1 }, { 0, 5, 1 }, { 1, 20, 4 }, { -30, 7, -2 } };
    static id_store s;
    for (size_t i = 0; i < sizeof strides / sizeof *strides; i++)
        for (int32_t axes = 1; axes <= MOST_AXES; axes++)
            for (int shared = 0; shared < (axes > 1 ? 2 : 1); shared++) {
                const int64_t batch = 3, tokens = 5, offset = (int64_t)i * 3;
                roperot_positions p = ROPEROT_POSITIONS_INIT;
                fill_ids(&s, 0, 4900);
                p.kind = ROPEROT_POSITIONS_IDS;
                point_to(&p, &s, type);
                p.axes = shared ? (int32_t)(i % 2) : axes; /* 0 means 1 */
                p.offset = offset;
                p.axis_stride = strides[i][0];
                p.batch_stride = strides[i][1];
                p.token_stride = strides[i][2];
                for (int64_t a = 0; a < axes; a++)
                    for (int64_t n = 0; n < batch * tokens; n++)
                        s.decoded[a * batch * tokens + n] =
                            offset + id(&s, (shared ? 0 : a) * strides[i][0] + n / tokens * strides[i][1] +
                                                n % tokens * strides[i][2]);
                const apply_trial c = call_with_axes(axes, batch, tokens, &p, &s);
                apply_trial_check(&c);
            }
}

/* ---- STARTS ------------------------------------------------------------------------------------------------------ */

static void starts(const void *arg)
{
    const int32_t type = *(const int32_t *)arg;
    static const int64_t strides[] = { 1, 2, -1, -3, 0 }; /* 0: packed, like 1 */
    static id_store s;
    for (size_t i = 0; i < sizeof strides / sizeof *strides; i++)
        for (int32_t axes = 1; axes <= 3; axes++)
            for (int given = 0; given < 2; given++) {
                const int64_t batch = 4, tokens = 3, offset = (int64_t)i;
                roperot_positions p = ROPEROT_POSITIONS_INIT;
                fill_ids(&s, 0, 4900);
                p.kind = ROPEROT_POSITIONS_STARTS;
                if (given) point_to(&p, &s, type);
                p.offset = offset;
                p.axes = axes;
                p.axis_stride = 40;
                p.batch_stride = strides[i];
                for (int64_t a = 0; a < axes; a++)
                    for (int64_t n = 0; n < batch * tokens; n++)
                        s.decoded[a * batch * tokens + n] =
                            offset + n % tokens +
                            (given ? id(&s, a * 40 + n / tokens * (strides[i] ? strides[i] : 1)) : 0);
                const apply_trial c = call_with_axes(axes, batch, tokens, &p, &s);
                apply_trial_check(&c);
            }
}

/* ---- RAGGED ------------------------------------------------------------------------------------------------------ */

static void ragged(const void *arg)
{
    const int32_t type = *(const int32_t *)arg;
    static const int64_t ends[][6] = {
        { 0, 7, 7, 7, 7, 7 }, { 0, 1, 3, 4, 9, 11 }, { 0, 0, 0, 5, 5, 12 }, { 0, 4, 4, 4, 4, 4 }
    };
    static id_store s;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        for (int given = 0; given < 2; given++)
            for (int32_t cu_type = 1; cu_type <= 2; cu_type++) {
                int32_t narrow[6];
                const int64_t tokens = ends[i][5], axes = 1 + given;
                roperot_positions p = ROPEROT_POSITIONS_INIT;
                for (int k = 0; k < 6; k++) narrow[k] = (int32_t)ends[i][k];
                fill_ids(&s, 0, 4900);
                p.kind = ROPEROT_POSITIONS_RAGGED;
                if (given) point_to(&p, &s, type);
                p.axes = (int32_t)axes;
                p.axis_stride = 50;
                p.batch_stride = i == 1 ? 0 : 2; /* 0: packed, like 1 */
                p.offset = 11;
                p.cu_type = cu_type;
                p.cu_seqlens = cu_type == 1 ? (const void *)narrow : (const void *)ends[i];
                p.sequences = 5;
                for (int64_t a = 0; a < axes; a++)
                    for (int64_t t = 0, q = 0; t < tokens; t++) {
                        while (t >= ends[i][q + 1]) q++;
                        s.decoded[a * tokens + t] =
                            11 + t - ends[i][q] + (given ? id(&s, a * 50 + q * (i == 1 ? 1 : 2)) : 0);
                    }
                apply_trial c = call_with_axes((int32_t)axes, 1, tokens, &p, &s);
                apply_trial_check(&c);
                c.begin = 2; /* the range counts tokens of the whole tensor */
                c.end = tokens - 1;
                apply_trial_check(&c);
            }
}

/* ---- several axes in the order of a prompt ----------------------------------------------------------------------- */

/* What a row may start from depends on the tokens before: runs of text (all axes equal), of axes that move one or a few
 * at a time, of tokens that repeat, of tokens out of bounds. */
static void fill_prompt(int64_t *at, int32_t axes, int64_t tokens, int64_t limit)
{
    int kind = 0;
    for (int64_t t = 0; t < tokens; t++) {
        if (random_below(4) == 0) kind = (int)random_below(8);
        const int64_t text = (int64_t)random_below((uint32_t)limit);
        for (int32_t a = 0; a < axes; a++) {
            int64_t *const p = &at[a * tokens + t];
            *p = t == 0 || kind == 0 ? (int64_t)random_below((uint32_t)limit) : p[-1];
            if (kind == 1 || kind == 2) *p = text;
            if (kind == 3 && a == axes - 1) *p = limit + 5;
            if (kind > 4 && random_below(3) == 0) *p = (int64_t)random_below((uint32_t)limit);
        }
    }
}

/* Of few pairs, of more than fit the scratch in one block, and between; more tokens than fit a tile. */
static void prompts(const void *arg)
{
    const int32_t cache = *(const int32_t *)arg;
    enum { TOKENS = 70, MOST = 600, LIMIT = 40 };
    static const int32_t pairs[] = { 5, 64, 100, MOST };
    static int64_t at[MOST_AXES * TOKENS];
    static uint8_t axis[MOST];
    for (int32_t axes = 2; axes <= MOST_AXES; axes++)
        for (int i = 0; i < 16; i++) {
            const int64_t batch = i / 4 % 2 ? TOKENS : 1; /* one row of tokens, or rows of one token */
            apply_trial c = apply_trial_plain(2 * pairs[i % 4], batch, TOKENS / batch, 2);
            for (int32_t j = 0; j < pairs[i % 4]; j++) axis[j] = (uint8_t)(i % 2 ? j % axes : j * axes / pairs[i % 4]);
            fill_prompt(at, axes, TOKENS, LIMIT);
            c.config.axes = axes;
            c.config.axis = axis;
            c.config.pairs = pairs[i % 4];
            c.config.cache = cache;
            c.config.max_positions = LIMIT;
            c.config.bounds = i / 8 ? ROPEROT_BOUNDS_CLAMP : ROPEROT_BOUNDS_IDENTITY;
            c.at = roperot_positions_i64(at, batch == 1 ? 0 : 1);
            c.at.axes = axes;
            c.at.axis_stride = TOKENS;
            c.position = at;
            c.flags = (uint32_t)(random_below(2) * ROPEROT_INVERSE);
            c.in_place = (int)random_below(3);
            apply_trial_check(&c);
        }
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

typedef struct bounds_case {
    int32_t bounds, cache, angles, axes;
} bounds_case;

static roperot_table *table_of(int32_t rows)
{
    static float values[64 * 2 * PAIRS];
    static roperot_table table = {
        sizeof table, ROPEROT_F32, values, values + PAIRS, 0, 2 * PAIRS, 1, ROPEROT_TABLE_HALF, 0, 0, 0
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) values[i] = (float)random_between(-1, 1);
    table.rows = rows;
    return &table;
}

static void set_cache(roperot_config *c, const bounds_case *b, int64_t limit)
{
    c->bounds = b->bounds;
    c->angles = b->angles;
    c->cache = b->cache;
    c->max_positions = limit;
    if (b->cache == ROPEROT_CACHE_BORROWED) c->table = table_of((int32_t)limit);
}

/* Inside, just outside and far outside, with and without signs, dtypes and pairings. */
static void bounds(const void *arg)
{
    const bounds_case *const b = arg;
    static const int64_t edge[] = { 0, 1, 29, 30, 31, -1, -29, -30, -31, INT64_MAX, INT64_MIN, 1 << 20 };
    static const int32_t types[][4] = { { 1, 1, 1, 0 }, { 1, 2, 2, 0 }, { 3, 1, 1, 0 },
                                        { 2, 2, 1, 2 }, { 3, 3, 2, 1 }, { 1, 3, 1, 0 } };
    static id_store s;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (uint32_t flags = 0; flags < 8; flags++)
            for (int place = 0; place < (types[i][0] == types[i][1] && !types[i][3] ? 2 : 1); place++) {
                const int64_t tokens = 9;
                for (int64_t n = 0; n < b->axes * tokens; n++)
                    s.wide[MOST_IDS / 2 + n] = s.decoded[n] =
                        random_below(3) ? edge[random_below(12)] : random_below(30);
                roperot_positions p = ROPEROT_POSITIONS_INIT;
                p.kind = ROPEROT_POSITIONS_IDS;
                point_to(&p, &s, ROPEROT_POSITIONS_I64);
                p.axes = b->axes;
                p.axis_stride = tokens;
                p.token_stride = 1;
                apply_trial c = call_with_axes(b->axes, 1, tokens, &p, &s);
                set_cache(&c.config, b, 30);
                c.config.attention_factor = 1.3;
                c.config.pairing = types[i][2];
                c.config.pairing_out = types[i][3];
                c.src_dtype = types[i][0];
                c.dst_dtype = types[i][1];
                c.flags = flags;
                c.in_place = place;
                apply_trial_check(&c);
            }
}

/* p < 0 rotates back by |p|, for every cache. */
static void signed_positions(const void *arg)
{
    const bounds_case *const b = arg;
    static id_store s;
    for (uint32_t flags = 4; flags < 8; flags++)
        for (int place = 0; place < 3; place++) {
            const int64_t tokens = 9;
            for (int64_t n = 0; n < b->axes * tokens; n++)
                s.wide[MOST_IDS / 2 + n] = s.decoded[n] = (int64_t)random_below(59) - 29;
            roperot_positions p = ROPEROT_POSITIONS_INIT;
            p.kind = ROPEROT_POSITIONS_IDS;
            point_to(&p, &s, ROPEROT_POSITIONS_I64);
            p.axes = b->axes;
            p.axis_stride = tokens;
            p.token_stride = 1;
            apply_trial c = call_with_axes(b->axes, 1, tokens, &p, &s);
            set_cache(&c.config, b, 30);
            c.config.attention_factor = 0.7;
            c.flags = flags;
            c.in_place = place;
            apply_trial_check(&c);
        }
}

/* ---- real coordinates -------------------------------------------------------------------------------------------- */

/* cos and sin of x w against MPFR: the same bound as for integers. */
static void coordinates_are_exact(const void *arg)
{
    (void)arg;
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = 64;
    c.base = 100;
    c.attention_factor = 1.5;
    c.max_positions = 4; /* does not apply */
    roperot_plan *const plan = expect_plan(&c);
    roperot_positions p = ROPEROT_POSITIONS_INIT;
    for (int i = 0; i < 200; i++) {
        float row[64];
        const double scale[] = { 1, 0.01, 1e-30, 2147483647.0 };
        const double x = i == 0 ? 0.0 : random_between(-1, 1) * scale[i % 4];
        const float narrow = (float)x;
        roperot_table table = { sizeof table, ROPEROT_F32, row, row + 32, 1, 64, 1, ROPEROT_TABLE_HALF, 0, 0, 0 };
        p.kind = ROPEROT_POSITIONS_IDS;
        p.type = i % 2 ? ROPEROT_POSITIONS_F32 : ROPEROT_POSITIONS_F64;
        p.ids = i % 2 ? (const void *)&narrow : (const void *)&x;
        const double at = i % 2 ? (double)narrow : x;
        if (fabs(at) >= 0x1p31) continue;
        CHECK(!roperot_cos_sin(plan, &p, 1, 1, &table), "%s", roperot_last_error());
        for (int j = 0; j < 32; j++)
            for (int which = 0; which < 2; which++) {
                const double w = oracle_inv_freq(100, j, 64);
                const oracle_bracket b = oracle_trig(which, at, w, 1.5, 1.5 * 0x1p-50);
                const float got = row[32 * which + j];
                CHECK(got >= b.low && got <= b.high, "%s(%a * %a): %a, not %a", which ? "sin" : "cos", at, w,
                      (double)got, (double)b.nearest);
            }
    }
    roperot_plan_destroy(plan);
}

static void coordinates(const void *arg)
{
    const bounds_case *const b = arg;
    static double wide[MOST_AXES * 16], decoded[MOST_AXES * 16];
    static float narrow[MOST_AXES * 16];
    static id_store s;
    for (int32_t type = 3; type <= 4; type++)
        for (uint32_t flags = 0; flags < 8; flags++) {
            const int64_t batch = 2, tokens = 5, lines = batch * tokens;
            roperot_positions p = ROPEROT_POSITIONS_INIT;
            p.offset = 11 * (int64_t)flags - 30; /* coordinates take it, too */
            for (int64_t n = 0; n < b->axes * lines; n++) {
                narrow[n] = (float)random_between(-900, 900);
                wide[n] = type == 3 ? (double)narrow[n] : random_between(-900, 900);
                decoded[n] = wide[n] + (double)p.offset;
            }
            p.kind = ROPEROT_POSITIONS_IDS;
            p.type = type;
            p.ids = type == 3 ? (const void *)narrow : (const void *)wide;
            p.axes = b->axes;
            p.axis_stride = lines;
            p.batch_stride = tokens;
            p.token_stride = 1;
            apply_trial c = call_with_axes(b->axes, batch, tokens, &p, &s);
            set_cache(&c.config, b, 30);
            c.config.attention_factor = 1.25;
            c.coordinate = decoded;
            c.flags = flags;
            apply_trial_check(&c);
        }
}

int main(int argc, char **argv)
{
    static const int32_t types[] = { ROPEROT_POSITIONS_I32, ROPEROT_POSITIONS_I64 };
    static const bounds_case cases[] = { { 1, 1, 0, 1 }, { 1, 2, 0, 1 }, { 1, 1, 1, 1 }, { 1, 3, 0, 1 },
                                         { 1, 2, 0, 3 }, { 2, 1, 0, 1 }, { 2, 2, 0, 1 }, { 2, 1, 1, 2 },
                                         { 2, 3, 0, 1 }, { 2, 2, 0, 4 }, { 1, 3, 0, 2 }, { 2, 1, 0, 3 } };
    harness_add(offsets, NULL, "offset");
    harness_add(coordinates_are_exact, NULL, "coordinates/mpfr");
    for (size_t i = 0; i < 2; i++) {
        harness_add(ids, &types[i], "ids/int%d", i ? 64 : 32);
        harness_add(starts, &types[i], "starts/int%d", i ? 64 : 32);
        harness_add(ragged, &types[i], "ragged/int%d", i ? 64 : 32);
    }
    static const int32_t built[] = { ROPEROT_CACHE_FULL, ROPEROT_CACHE_FACTORED };
    for (size_t i = 0; i < 2; i++) harness_add(prompts, &built[i], "prompts/%s", i ? "factored" : "full");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const bounds_case *const b = &cases[i];
        static const char *const caches[] = { "auto", "full", "factored", "borrowed" };
        harness_add(bounds, b, "bounds/%s/%s/%s/%d-axes", b->bounds == 1 ? "identity" : "clamp", caches[b->cache],
                    b->angles ? "f32" : "exact", b->axes);
        harness_add(signed_positions, b, "signed/%zu/%s/%d-axes", i, caches[b->cache], b->axes);
        if (b->cache != ROPEROT_CACHE_BORROWED) harness_add(coordinates, b, "coordinates/%zu/%d-axes", i, b->axes);
    }
    return harness_run(argc, argv, "positions");
}
