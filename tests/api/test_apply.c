/* SPDX-License-Identifier: MIT
 * roperot_apply on every geometry: dtypes, pairings, layouts, partial rotation, ranges, sizes; it must not know ISAs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <roperot/roperot.h>

#include "api/apply_trial.h"
#include "support/assertions.h"
#include "support/formats.h"
#include "support/harness.h"
#include "support/views.h"

static const int32_t conversions[][2] = { { 1, 1 }, { 2, 2 }, { 3, 3 }, { 1, 2 }, { 1, 3 }, { 2, 1 }, { 3, 1 } };
enum { CONVERSIONS = sizeof conversions / sizeof *conversions };

/* ---- every dtype, pairing and layout ----------------------------------------------------------------------------- */

typedef struct type_case {
    int32_t src, dst, pairing, pairing_out, isa;
} type_case;

static apply_trial call_of(const type_case *t, int32_t head_dim, int64_t batch, int64_t tokens, int64_t heads)
{
    apply_trial c = apply_trial_plain(head_dim, batch, tokens, heads);
    c.config.isa = t->isa;
    c.config.pairing = t->pairing;
    c.config.pairing_out = t->pairing_out;
    c.src_dtype = t->src;
    c.dst_dtype = t->dst;
    c.in_place = 0;
    if (harness_quick() > 1) c.config.max_positions = 64; /* factors for all positions are 4096 rows each */
    return c;
}

static int may_be_in_place(const type_case *t)
{
    return t->src == t->dst && (t->pairing_out == 0 || t->pairing_out == t->pairing);
}

static void layouts(const void *arg)
{
    const type_case *const t = arg;
    for (int order = 0; order < VIEWS_ORDERS; order++)
        for (int backwards = order % (1 + harness_quick()); backwards < 8; backwards += 1 + harness_quick())
            for (int place = 0; place < (may_be_in_place(t) ? 3 : 1); place++) {
                apply_trial c = call_of(t, 20 + 4 * order, 2, 3, 4);
                c.config.rotary_dim = 16;
                c.config.rotary_offset = 2 * (backwards & 1);
                c.in_place = place;
                c.src = (views_layout){ order, backwards & 1, 1 + order, backwards };
                c.dst =
                    (views_layout){ (order + backwards) % VIEWS_ORDERS, !(backwards & 1), 3 - order, 7 & ~backwards };
                apply_trial_check(&c);
            }
}

/* heads 0..9, batch and tokens around the sizes where the library may choose other loops. */
static void counts(const void *arg)
{
    const type_case *const t = arg;
    const int32_t dims[] = { 2, 64, 80, 96, 128, 256 };
    for (int64_t heads = 0; heads <= 9; heads++)
        for (int64_t tokens = 1; tokens <= 17; tokens += harness_quick() > 1 ? 16 : harness_quick() ? 8 : 4) {
            apply_trial c = call_of(t, dims[(heads + tokens) % 6], 1 + heads % 3, tokens, heads);
            c.in_place = may_be_in_place(t) ? (int)(tokens / 4 % 3) : 0;
            c.config.cache = heads % 2 ? ROPEROT_CACHE_FULL : ROPEROT_CACHE_FACTORED;
            c.config.max_positions = 50;
            c.flags = heads % 3 ? 0 : ROPEROT_INVERSE;
            apply_trial_check(&c);
        }
}

static void rotary_dims(const void *arg)
{
    const type_case *const t = arg;
    for (int32_t r = 2; r <= 258; r += 2 * (int32_t)(harness_next(r) - r)) {
        apply_trial c = call_of(t, r + r % 5, 1, 2, 3);
        c.config.rotary_dim = r;
        c.config.rotary_offset = (r % 5) & ~1;
        c.in_place = may_be_in_place(t) ? r % 3 : 0;
        c.src = c.dst = (views_layout){ r % VIEWS_ORDERS, r % 4 / 2, r % 7, r % 8 };
        apply_trial_check(&c);
    }
}

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

static void long_row(const type_case *t, int32_t dim, int32_t axes, int64_t far)
{
    static uint8_t axis[32768];
    for (size_t j = 0; j < sizeof axis; j++) axis[j] = (uint8_t)(axes > 1 && j % 3 == 1);
    const int64_t ids[] = { 5, far, 1, 2, far + 2, 4 };
    apply_trial c = call_of(t, dim, 1, 3, 2);
    c.at = roperot_positions_i64(ids, 0);
    c.at.axes = axes;
    c.at.axis_stride = 3;
    c.position = ids;
    c.config.axes = axes;
    c.config.axis = axes > 1 ? axis : NULL;
    c.config.pairs = axes > 1 ? dim / 2 : 0;
    c.config.max_positions = far + 3;
    c.in_place = may_be_in_place(t);
    apply_trial_check(&c);
}

/* Rows longer than the 8 KiB of coefficients go in blocks of pairs. A factor table of 32768 pairs takes 512 KiB per
 * position; the factors of 70000 positions take an emulator seconds. */
static void long_rows(const void *arg)
{
    const type_case *const t = arg;
    static const int32_t dims[] = { 2048, 2054, 4098, 65536 };
    if (harness_quick() > 1) {
        long_row(t, 2054, t->pairing, 30);
        return;
    }
    for (size_t i = 0; i < (harness_quick() || t->src != t->dst ? 3 : 4); i++)
        for (int32_t axes = 1; axes <= 2; axes++) long_row(t, dims[i], axes, i < 2 ? 70000 : 30);
}

/* Enough bytes for the loops beyond the caches, against the small loops of a token range each. */
static void large_calls(const void *arg)
{
    const type_case *const t = arg;
    const int64_t tokens = harness_quick() ? 64 : 700, heads = 32;
    apply_trial c = call_of(t, 128, 1, tokens, heads);
    c.config.max_positions = 0;
    roperot_plan *const plan = expect_plan(&c.config);
    for (int place = 0; place < (may_be_in_place(t) ? 2 : 1); place++) {
        guarded_tensor src = guarded_tensor_plain(t->src, 1, tokens, heads, 128),
                       pieces = guarded_tensor_plain(t->dst, 1, tokens, heads, 128);
        guarded_tensor one = place ? guarded_tensor_clone(&src) : guarded_tensor_clone(&pieces);
        if (place) {
            guarded_tensor_close(&pieces);
            pieces = guarded_tensor_clone(&src);
        }
        const roperot_tensor *const from = &src.view;
        CHECK(!roperot_apply(plan, &c.at, place ? &one.view : from, &one.view, 1, NULL), "%s", roperot_last_error());
        for (int64_t i = 0; i < tokens; i++) {
            roperot_options o = ROPEROT_OPTIONS_INIT;
            o.token_begin = i;
            o.token_end = i + 1;
            CHECK(!roperot_apply(plan, &c.at, place ? &pieces.view : from, &pieces.view, 1, &o), "%s",
                  roperot_last_error());
        }
        guarded_tensor_check_equal(&one, &pieces,
                                   place ? "in place at once against token by token"
                                         : "out of place at once against token by token");
        guarded_tensor_close(&src);
        guarded_tensor_close(&pieces);
        guarded_tensor_close(&one);
    }
    roperot_plan_destroy(plan);
}

/* ---- flags and ranges -------------------------------------------------------------------------------------------- */

static void flags(const void *arg)
{
    (void)arg;
    static const int32_t caches[] = { ROPEROT_CACHE_FULL, ROPEROT_CACHE_FACTORED };
    for (uint32_t f = 0; f < 4; f++)
        for (int i = 0; i < 4; i++)
            for (int angles = 0; angles < 1 + (i % 2 == 0); angles++) {
                apply_trial c = apply_trial_plain(40, 2, 5, 3);
                c.config.attention_factor = i < 2 ? 1.0 : 1.19;
                c.config.cache = caches[i % 2];
                c.config.angles = angles;
                c.config.max_positions = 50;
                c.flags = f;
                c.in_place = i % 3;
                apply_trial_check(&c);
            }
}

static void token_ranges(const void *arg)
{
    (void)arg;
    for (int64_t begin = 0; begin <= 13; begin++)
        for (int64_t end = begin; end <= 14; end++) {
            apply_trial c = apply_trial_plain(18, 3, 4, 2); /* 12 tokens in 3 rows */
            c.begin = begin;
            c.end = end ? end : 1;
            c.in_place = (int)(end % 3);
            c.src.backwards = (int)(begin % 8);
            c.config.cache = begin % 2 ? ROPEROT_CACHE_FULL : ROPEROT_CACHE_FACTORED;
            c.config.max_positions = 64;
            if (begin < end) apply_trial_check(&c);
        }
}

/* An empty range does nothing and does not look at positions. */
static void empty_ranges(const void *arg)
{
    (void)arg;
    apply_trial c = apply_trial_plain(16, 2, 3, 2);
    roperot_plan *const plan = expect_plan(&c.config);
    guarded_tensor src = guarded_tensor_plain(ROPEROT_F32, 2, 3, 2, 16), before = guarded_tensor_clone(&src);
    static const int64_t ranges[][2] = { { 0, 0 },         { 3, 3 },     { 5, 2 },
                                         { 6, INT64_MAX }, { 100, 200 }, { INT64_MAX, INT64_MAX } };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        roperot_options o = ROPEROT_OPTIONS_INIT;
        o.token_begin = ranges[i][0];
        o.token_end = ranges[i][1];
        CHECK(!roperot_apply(plan, &c.at, &src.view, NULL, 1, &o), "range %zu: %s", i, roperot_last_error());
        guarded_tensor_check_equal(&src, &before, "an empty range");
    }
    guarded_tensor_close(&src);
    guarded_tensor_close(&before);
    roperot_plan_destroy(plan);
}

/* ---- several tensors, no tensors --------------------------------------------------------------------------------- */

/* q, k and more in one call, each with its own dtype, heads and layout, equal to one call each. */
static void several_tensors(const void *arg)
{
    (void)arg;
    enum { COUNT = 4 };
    static const int32_t dtypes[COUNT] = { 1, 2, 3, 1 };
    static const int64_t heads[COUNT] = { 7, 2, 3, 0 };
    apply_trial c = apply_trial_plain(24, 2, 5, 1);
    c.config.rotary_dim = 16; /* channels pass through on both sides */
    c.config.rotary_offset = 4;
    roperot_plan *const plan = expect_plan(&c.config);
    for (int out = 0; out < 2; out++) {
        guarded_tensor src[COUNT], dst[COUNT], want[COUNT];
        roperot_tensor from[COUNT], to[COUNT];
        for (int i = 0; i < COUNT; i++) {
            src[i] = guarded_tensor_open(dtypes[i], 2, 5, heads[i], 24, (views_layout){ i % 3, i % 2, i, i });
            dst[i] =
                guarded_tensor_open(dtypes[i], 2, 5, heads[i], 24, (views_layout){ (i + 1) % 3, i % 2, i + 2, 7 - i });
            want[i] = out ? guarded_tensor_clone(&dst[i]) : guarded_tensor_clone(&src[i]);
            from[i] = src[i].view;
            to[i] = dst[i].view;
            const roperot_tensor *const single = out ? &src[i].view : &want[i].view;
            CHECK(!roperot_apply(plan, &c.at, single, &want[i].view, 1, NULL), "%s", roperot_last_error());
        }
        CHECK(!roperot_apply(plan, &c.at, from, out ? to : NULL, COUNT, NULL), "%s", roperot_last_error());
        for (int i = 0; i < COUNT; i++) {
            guarded_tensor_check_equal(out ? &dst[i] : &src[i], &want[i], "a tensor of several");
            guarded_tensor_close(&src[i]);
            guarded_tensor_close(&dst[i]);
            guarded_tensor_close(&want[i]);
        }
    }
    roperot_plan_destroy(plan);
}

/* Zero batch, tokens, heads or count: OK, and neither pointers nor strides are looked at. */
static void nothing_to_do(const void *arg)
{
    (void)arg;
    const apply_trial c = apply_trial_plain(16, 1, 1, 1);
    roperot_plan *const plan = expect_plan(&c.config);
    for (int axis = 0; axis < 3; axis++) {
        roperot_tensor empty = { NULL, ROPEROT_F32, 0, { 3, 4, 5, 16 }, { INT64_MAX, 0, INT64_MIN, 77 }, NULL };
        empty.shape[axis] = 0;
        CHECK(!roperot_apply(plan, &c.at, &empty, NULL, 1, NULL), "axis %d: %s", axis, roperot_last_error());
        CHECK(!roperot_apply(plan, &c.at, &empty, &empty, 1, NULL), "axis %d: %s", axis, roperot_last_error());
        roperot_tensor pair[2] = { empty, empty };
        CHECK(!roperot_apply(plan, &c.at, pair, NULL, 2, NULL), "axis %d twice: %s", axis, roperot_last_error());
    }
    CHECK(!roperot_apply(plan, &c.at, NULL, NULL, 0, NULL), "count 0: %s", roperot_last_error());
    roperot_plan_destroy(plan);
}

/* The stride of an axis of size 1 is ignored: alias rules, overflow and walking alike. */
static void strides_of_one(const void *arg)
{
    (void)arg;
    static const int64_t odd[] = { 0, -1, 1, INT64_MAX, INT64_MIN };
    const apply_trial c = apply_trial_plain(12, 1, 1, 1);
    roperot_plan *const plan = expect_plan(&c.config);
    guarded_tensor want = guarded_tensor_plain(ROPEROT_F32, 1, 1, 1, 12), start = guarded_tensor_clone(&want),
                   dst = guarded_tensor_clone(&want);
    CHECK(!roperot_apply(plan, &c.at, &want.view, NULL, 1, NULL), "%s", roperot_last_error());
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        for (int out = 0; out < 2; out++) {
            guarded_tensor got = guarded_tensor_clone(&start);
            guarded_tensor_spoil(&dst);
            roperot_tensor src = got.view, to = dst.view;
            for (size_t axis = 0; axis < 3; axis++) {
                src.stride[axis] = odd[(i + axis) % 5];
                to.stride[axis] = odd[(i + 2 * axis + 1) % 5];
            }
            CHECK(!roperot_apply(plan, &c.at, &src, out ? &to : NULL, 1, NULL), "%s", roperot_last_error());
            guarded_tensor_check_equal(out ? &dst : &got, &want, "strides of axes of size 1");
            guarded_tensor_close(&got);
        }
    guarded_tensor_close(&want);
    guarded_tensor_close(&start);
    guarded_tensor_close(&dst);
    roperot_plan_destroy(plan);
}

/* ---- views of more than 2^31 elements ---------------------------------------------------------------------------- */

/* Rows that are gigabytes apart in a sparse mapping: offsets must not wrap in 32 bits, elements or bytes. */
static void far_rows(const void *arg)
{
    const type_case *const t = arg;
    const int64_t size = (int64_t)format_bytes(t->src), step = (INT64_C(1) << 30) + 17, dim = 64;
    const size_t bytes = (size_t)(size * (5 * step + dim));
    if (sizeof(void *) < 8) return;
    unsigned char *const map =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(map != MAP_FAILED, "no address space for %zu bytes", bytes);
    apply_trial c = call_of(t, (int32_t)dim, 1, 6, 1);
    roperot_plan *const plan = expect_plan(&c.config);
    for (int axis = 0; axis < 3; axis++) /* the far steps are between batch rows, tokens, heads */
        for (int backwards = 0; backwards < 2; backwards++) {
            guarded_tensor near = guarded_tensor_plain(t->src, 1, 1, 6, dim);
            roperot_tensor view = { map, t->src, 0, { 1, 1, 1, dim }, { 0, 0, 0, 1 }, NULL };
            view.shape[axis] = near.view.shape[axis] = 6;
            near.view.shape[2] = axis == 2 ? 6 : 1;
            near.view.stride[axis] = dim;
            view.stride[axis] = backwards ? -step : step;
            if (backwards) view.data = map + 5 * step * size;
            const int64_t one = axis == 0, two = axis == 1, three = axis == 2;
            for (int64_t i = 0; i < 6; i++)
                memcpy(views_at(&view, one * i, two * i, three * i, 0),
                       views_at(&near.view, one * i, two * i, three * i, 0), (size_t)(dim * size));
            CHECK(!roperot_apply(plan, &c.at, &near.view, NULL, 1, NULL), "%s", roperot_last_error());
            CHECK(!roperot_apply(plan, &c.at, &view, NULL, 1, NULL), "%s", roperot_last_error());
            for (int64_t i = 0; i < 6; i++)
                CHECK(memcmp(views_at(&view, one * i, two * i, three * i, 0),
                             views_at(&near.view, one * i, two * i, three * i, 0), (size_t)(dim * size)) == 0,
                      "axis %d, row %lld, backwards %d", axis, (long long)i, backwards);
            guarded_tensor_close(&near);
        }
    roperot_plan_destroy(plan);
    munmap(map, bytes);
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

static void add_types(int32_t isa, const char *isa_name)
{
    enum { ROOM = 256 };
    static type_case types[ROOM];
    static size_t count;
    for (int i = 0; i < CONVERSIONS; i++)
        for (int32_t pairing = 1; pairing <= 2; pairing++)
            for (int32_t out = 0; out <= 2 && count < ROOM; out++) {
                const int32_t src = conversions[i][0], dst = conversions[i][1];
                if (out == pairing || (out && src != dst)) continue;
                types[count] = (type_case){ src, dst, pairing, out, isa };
                const type_case *const t = &types[count++];
                char name[64];
                snprintf(name, sizeof name, "%s-%s/%d-%d/%s", format_name(src), format_name(dst), pairing,
                         out ? out : pairing, isa_name);
                harness_add(layouts, t, "layouts/%s", name);
                harness_add(counts, t, "counts/%s", name);
                harness_add(rotary_dims, t, "rotary-dims/%s", name);
                harness_add(long_rows, t, "long-rows/%s", name);
                harness_add(large_calls, t, "large-calls/%s", name);
                if (src == dst && !out) harness_add(far_rows, t, "far-rows/%s", name);
            }
}

int main(int argc, char **argv)
{
    add_types(ROPEROT_ISA_AUTO, "auto");
    harness_add(flags, NULL, "flags");
    harness_add(token_ranges, NULL, "token-ranges");
    harness_add(empty_ranges, NULL, "empty-ranges");
    harness_add(several_tensors, NULL, "several-tensors");
    harness_add(nothing_to_do, NULL, "nothing-to-do");
    harness_add(strides_of_one, NULL, "strides-of-one");
    return harness_run(argc, argv, "apply");
}
