/* SPDX-License-Identifier: MIT
 * The aliasing rule of roperot_apply against its definition, view by view and at random; it must not know how the
 * library decides. */
#include <stdlib.h>
#include <string.h>

#include <roperot/roperot.h>

#include "reference/apply.h"
#include "support/assertions.h"
#include "support/formats.h"
#include "support/guarded_tensor.h"
#include "support/harness.h"

enum { DIM = 4 };

static roperot_plan *plan_of(int32_t dim)
{
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = dim;
    c.max_positions = 64;
    return expect_plan(&c);
}

/* ---- the definition, by brute force ------------------------------------------------------------------------------ */

static int64_t span(const roperot_tensor *v, int axis)
{
    const int64_t s = v->stride[axis] < 0 ? -v->stride[axis] : v->stride[axis];
    return v->shape[axis] == 1 ? 0 : s * (v->shape[axis] - 1);
}

/* By rising stride, each step clears everything inside it. */
static int nests(const roperot_tensor *v)
{
    int done[3] = { v->shape[0] == 1, v->shape[1] == 1, v->shape[2] == 1 };
    int64_t extent = v->shape[3];
    for (;;) {
        int next = -1;
        for (int i = 0; i < 3; i++)
            if (!done[i] && (next < 0 || llabs(v->stride[i]) < llabs(v->stride[next]))) next = i;
        if (next < 0) return 1;
        if (llabs(v->stride[next]) < extent) return 0;
        extent += span(v, next);
        done[next] = 1;
    }
}

/* First float of the hull, relative to `base`, and the one behind it. */
static void hull(const roperot_tensor *v, const float *base, int64_t range[2])
{
    range[0] = range[1] = (const float *)v->data - base;
    range[1] += v->shape[3];
    for (int i = 0; i < 3; i++) range[v->stride[i] < 0 ? 0 : 1] += (v->stride[i] < 0 ? -1 : 1) * span(v, i);
}

static void block(const roperot_tensor *v, const float *base, int64_t b, int64_t t, int64_t range[2])
{
    roperot_tensor one = *v;
    one.data = (float *)v->data + b * v->stride[0] + t * v->stride[1];
    one.shape[0] = one.shape[1] = 1;
    hull(&one, base, range);
}

static int meet(const int64_t a[2], const int64_t b[2])
{
    return a[0] < b[1] && b[0] < a[1];
}

static int blocks_meet(const roperot_tensor *a, const roperot_tensor *b, const float *base)
{
    for (int64_t i = 0; i < a->shape[0] * a->shape[1]; i++)
        for (int64_t j = 0; j < b->shape[0] * b->shape[1]; j++) {
            int64_t x[2], y[2];
            block(a, base, i / a->shape[1], i % a->shape[1], x);
            block(b, base, j / b->shape[1], j % b->shape[1], y);
            if (meet(x, y)) return 1;
        }
    return 0;
}

static int same_view(const roperot_tensor *a, const roperot_tensor *b)
{
    for (int i = 0; i < 3; i++)
        if (a->shape[i] != b->shape[i] || (a->shape[i] > 1 && a->stride[i] != b->stride[i])) return 0;
    return a->data == b->data;
}

/* Disjoint hulls, or parts of one packed row. */
static int apart(const roperot_tensor *a, const roperot_tensor *b, const float *base)
{
    int64_t x[2], y[2];
    hull(a, base, x);
    hull(b, base, y);
    if (!meet(x, y)) return 1;
    for (int i = 0; i < 2; i++)
        if (a->shape[i] > 1 && a->stride[i] != b->stride[i]) return 0;
    return !blocks_meet(a, b, base);
}

/* ---- random pairs of views on one buffer ------------------------------------------------------------------------- */

enum { FLOATS = 1024 };

static int64_t some_stride(void)
{
    const int64_t s = (int64_t)random_below(5) * DIM + (random_below(4) ? 0 : (int64_t)random_below(5));
    return random_below(5) ? s : -s;
}

static roperot_tensor some_view(float *base, const roperot_tensor *like, int32_t dim)
{
    roperot_tensor v = { base, ROPEROT_F32, 0, { 0, 0, 0, dim }, { 0, 0, 0, 1 }, NULL };
    for (int i = 0; i < 3; i++) {
        v.shape[i] = like ? like->shape[i] : 1 + (int64_t)random_below(3);
        v.stride[i] =
            like && random_below(4) ? like->stride[i] : some_stride() * (i == 2 ? 1 : 1 + (int64_t)random_below(4));
    }
    if (random_below(3)) v.stride[2] = dim; /* heads side by side: the usual rows */
    v.data = base + FLOATS / 2 + random_below(12) * DIM / 2 + random_below(8) * 16;
    return v;
}

/* Rotates views of the buffer and the same views of copies; both must agree when the call is allowed. */
static void compare_effect(const roperot_plan *plan, const roperot_tensor *src, const roperot_tensor *dst,
                           const float *before, const float *after, const float *base)
{
    const roperot_positions at = roperot_positions_offset(5);
    static float source[FLOATS], want[FLOATS];
    memcpy(source, before, sizeof source);
    memcpy(want, before, sizeof want);
    roperot_tensor from = *src, to = *dst;
    from.data = source + ((const float *)src->data - base);
    to.data = want + ((const float *)dst->data - base);
    CHECK(!roperot_apply(plan, &at, &from, &to, 1, NULL), "on separate buffers: %s", roperot_last_error());
    CHECK(memcmp(want, after, sizeof want) == 0, "the result differs from that on separate buffers");
}

static void random_pairs(const void *arg)
{
    (void)arg;
    int allowed = 0, refused = 0;
    static float buffer[FLOATS], before[FLOATS];
    roperot_plan *const plan = plan_of(DIM);
    const roperot_positions at = roperot_positions_offset(5);
    for (int i = 0; i < FLOATS; i++) buffer[i] = (float)random_between(-2, 2);
    for (int n = 0; n < (harness_quick() ? 3000 : 40000); n++) {
        const roperot_tensor src = some_view(buffer, NULL, DIM);
        const roperot_tensor dst = random_below(8) ? some_view(buffer, &src, DIM) : src;
        const int fine = nests(&dst) && (same_view(&src, &dst) || apart(&src, &dst, buffer));
        memcpy(before, buffer, sizeof before);
        const int32_t status = roperot_apply(plan, &at, &src, &dst, 1, NULL);
        CHECK(status == (fine ? ROPEROT_OK : ROPEROT_ERROR_ALIAS),
              "shape %lld %lld %lld: strides %lld %lld %lld and %lld %lld "
              "%lld, dst %td behind src: %s: %s",
              (long long)src.shape[0], (long long)src.shape[1], (long long)src.shape[2], (long long)src.stride[0],
              (long long)src.stride[1], (long long)src.stride[2], (long long)dst.stride[0], (long long)dst.stride[1],
              (long long)dst.stride[2], (float *)dst.data - (float *)src.data, roperot_status_name(status),
              roperot_last_error());
        if (fine)
            compare_effect(plan, &src, &dst, before, buffer, buffer);
        else
            CHECK(memcmp(before, buffer, sizeof before) == 0, "written in spite of an error");
        allowed += fine;
        refused += !fine;
    }
    CHECK(allowed > 300 && refused > 300, "%d allowed, %d refused: the test looks at one side only", allowed, refused);
    roperot_plan_destroy(plan);
}

/* What one call in place did to both views must be what a call each does on separate copies: the buffer that the first
 * leaves but for what the second changes, whose values come from the buffer as it was. */
static void compare_both(const roperot_plan *plan, const roperot_tensor *qk, const float *before, const float *after,
                         const float *base)
{
    static float alone[2][FLOATS], want[FLOATS];
    const roperot_positions at = roperot_positions_offset(5);
    for (int i = 0; i < 2; i++) {
        roperot_tensor one = qk[i];
        memcpy(alone[i], before, sizeof alone[i]);
        one.data = alone[i] + ((const float *)qk[i].data - base);
        CHECK(!roperot_apply(plan, &at, &one, NULL, 1, NULL), "on a copy: %s", roperot_last_error());
    }
    for (int i = 0; i < FLOATS; i++) want[i] = alone[alone[0][i] != before[i] ? 0 : 1][i];
    CHECK(memcmp(want, after, sizeof want) == 0, "the result differs from that on separate copies");
}

/* Two tensors in place: each must nest, and they must be apart. */
static void random_tensors(const void *arg)
{
    (void)arg;
    static float buffer[FLOATS], before[FLOATS];
    roperot_plan *const plan = plan_of(DIM);
    const roperot_positions at = roperot_positions_offset(5);
    int allowed = 0;
    for (int i = 0; i < FLOATS; i++) buffer[i] = (float)random_between(-2, 2);
    for (int n = 0; n < (harness_quick() ? 2000 : 20000); n++) {
        roperot_tensor qk[2] = { some_view(buffer, NULL, DIM), some_view(buffer, NULL, DIM) };
        for (int i = 0; i < 2; i++) {
            qk[1].shape[i] = qk[0].shape[i];
            if (random_below(4)) qk[1].stride[i] = qk[0].stride[i];
        }
        const int fine = nests(&qk[0]) && nests(&qk[1]) && apart(&qk[0], &qk[1], buffer);
        memcpy(before, buffer, sizeof before);
        const int32_t status = roperot_apply(plan, &at, qk, NULL, 2, NULL);
        CHECK(status == (fine ? ROPEROT_OK : ROPEROT_ERROR_ALIAS), "%s: %s", roperot_status_name(status),
              roperot_last_error());
        allowed += fine;
        if (fine)
            compare_both(plan, qk, before, buffer, buffer);
        else
            CHECK(memcmp(before, buffer, sizeof before) == 0, "written in spite of an error");
        memcpy(buffer, before, sizeof buffer);
    }
    CHECK(allowed > 100, "only %d allowed", allowed);
    roperot_plan_destroy(plan);
}

/* ---- the cases that people write --------------------------------------------------------------------------------- */

/* [batch, tokens, (4 q + 2 k + 2 v heads) x 16]: q and k in one call, in place and into another packed buffer. */
static void packed_qkv(const void *arg)
{
    const int32_t dtype = *(const int32_t *)arg;
    const int64_t size = (int64_t)format_bytes(dtype), heads[3] = { 4, 2, 2 }, first[3] = { 0, 4, 6 };
    roperot_plan *const plan = plan_of(16);
    const roperot_positions at = roperot_positions_offset(9);
    for (int out = 0; out < 2; out++) {
        guarded_tensor packed = guarded_tensor_plain(dtype, 2, 5, 8, 16),
                       target = guarded_tensor_plain(dtype, 2, 5, 8, 16);
        guarded_tensor want = out ? guarded_tensor_clone(&target) : guarded_tensor_clone(&packed);
        roperot_tensor from[2], to[2];
        for (int i = 0; i < 2; i++) {
            from[i] = packed.view;
            from[i].shape[2] = heads[i];
            from[i].data = packed.memory.data + first[i] * 16 * size;
            to[i] = from[i];
            to[i].data = (out ? target.memory.data : packed.memory.data) + first[i] * 16 * size;
            roperot_config c = ROPEROT_CONFIG_INIT;
            c.head_dim = 16;
            int64_t position[10];
            for (int64_t t = 0; t < 10; t++) position[t] = 9 + t % 5;
            const reference_call e = { .config = &c, .position = position };
            roperot_tensor expected = from[i];
            expected.data = want.memory.data + first[i] * 16 * size;
            reference_apply(&e, out ? &from[i] : &expected, &expected);
        }
        CHECK(!roperot_apply(plan, &at, from, out ? to : NULL, 2, NULL), "%s", roperot_last_error());
        guarded_tensor_check_equal(out ? &target : &packed, &want, "packed q and k");
        guarded_tensor_close(&packed);
        guarded_tensor_close(&target);
        guarded_tensor_close(&want);
    }
    roperot_plan_destroy(plan);
}

typedef struct pair_case {
    const char *name;
    int64_t src_stride[3], dst_stride[3]; /* shape 2 x 3 x 2 x 4 */
    int64_t shift;                        /* floats from src to dst */
    int32_t dst_dtype, status;
} pair_case;

static const pair_case pairs[] = {
    { "one-element-on", { 24, 8, 4 }, { 24, 8, 4 }, 1, 1, ROPEROT_ERROR_ALIAS },
    { "one-head-on", { 24, 8, 4 }, { 24, 8, 4 }, 4, 1, ROPEROT_ERROR_ALIAS },
    { "one-token-on", { 24, 8, 4 }, { 24, 8, 4 }, 8, 1, ROPEROT_ERROR_ALIAS },
    { "behind", { 24, 8, 4 }, { 24, 8, 4 }, 48, 1, ROPEROT_OK },
    { "one-short-of-behind", { 24, 8, 4 }, { 24, 8, 4 }, 47, 1, ROPEROT_ERROR_ALIAS },
    { "before", { 24, 8, 4 }, { 24, 8, 4 }, -48, 1, ROPEROT_OK },
    { "same", { 24, 8, 4 }, { 24, 8, 4 }, 0, 1, ROPEROT_OK },
    { "same-data-other-dtype", { 24, 8, 4 }, { 24, 8, 4 }, 0, 2, ROPEROT_ERROR_ALIAS },
    { "same-data-other-strides", { 24, 8, 4 }, { 24, 4, 12 }, 0, 1, ROPEROT_ERROR_ALIAS },
    { "slot", { 48, 16, 4 }, { 48, 16, 4 }, 8, 1, ROPEROT_OK },
    { "slot-before", { 48, 16, 4 }, { 48, 16, 4 }, -8, 1, ROPEROT_OK },
    { "slot-of-the-next-token", { 48, 16, 4 }, { 48, 16, 4 }, 24, 1, ROPEROT_OK },
    { "slot-too-near", { 48, 16, 4 }, { 48, 16, 4 }, 7, 1, ROPEROT_ERROR_ALIAS },
    { "slot-into-the-next-token", { 48, 16, 4 }, { 48, 16, 4 }, 9, 1, ROPEROT_ERROR_ALIAS },
    { "slot-of-another-token-stride", { 96, 32, 4 }, { 96, 16, 4 }, 8, 1, ROPEROT_ERROR_ALIAS },
    { "dst-token-stride-0", { 24, 8, 4 }, { 24, 0, 4 }, 300, 1, ROPEROT_ERROR_ALIAS },
    { "dst-batch-stride-0", { 24, 8, 4 }, { 0, 8, 4 }, 300, 1, ROPEROT_ERROR_ALIAS },
    { "dst-heads-too-near", { 24, 8, 4 }, { 24, 8, 3 }, 300, 1, ROPEROT_ERROR_ALIAS },
    { "dst-tokens-too-near", { 24, 8, 4 }, { 24, 7, 4 }, 300, 1, ROPEROT_ERROR_ALIAS },
    { "dst-rows-too-near", { 24, 8, 4 }, { 23, 8, 4 }, 300, 1, ROPEROT_ERROR_ALIAS },
    { "dst-backwards", { 24, 8, 4 }, { -24, -8, -4 }, 300, 1, ROPEROT_OK },
    { "src-broadcast-over-heads", { 24, 8, 0 }, { 24, 8, 4 }, 300, 1, ROPEROT_OK },
    { "src-broadcast-over-tokens", { 24, 0, 4 }, { 24, 8, 4 }, 300, 1, ROPEROT_OK },
};

static void pair_is_judged(const void *arg)
{
    const pair_case *const c = arg;
    static float buffer[1024], before[1024];
    roperot_plan *const plan = plan_of(DIM);
    const roperot_positions at = roperot_positions_offset(5);
    roperot_tensor src = { buffer + 300, ROPEROT_F32, 0, { 2, 3, 2, DIM }, { 0, 0, 0, 1 }, NULL }, dst = src;
    memcpy(src.stride, c->src_stride, sizeof c->src_stride);
    memcpy(dst.stride, c->dst_stride, sizeof c->dst_stride);
    dst.data = buffer + 300 + c->shift;
    dst.dtype = c->dst_dtype;
    for (int i = 0; i < 1024; i++) buffer[i] = before[i] = (float)random_between(-2, 2);
    const int32_t status = roperot_apply(plan, &at, &src, &dst, 1, NULL);
    CHECK(status == c->status, "%s: %s", roperot_status_name(status), roperot_last_error());
    if (c->status) expect_error(status, c->status, "[0]", "overlap");
    if (c->status)
        CHECK(memcmp(before, buffer, sizeof before) == 0, "written in spite of an error");
    else
        compare_effect(plan, &src, &dst, before, buffer, buffer);
    roperot_plan_destroy(plan);
}

/* dst of one tensor over src of another, and one tensor twice in place. */
static void across_tensors(const void *arg)
{
    (void)arg;
    static float buffer[512], before[512];
    roperot_plan *const plan = plan_of(DIM);
    const roperot_positions at = roperot_positions_offset(5);
    roperot_tensor src[2], dst[2];
    for (int i = 0; i < 512; i++) buffer[i] = before[i] = (float)random_between(-2, 2);
    for (int i = 0; i < 2; i++) {
        src[i] = roperot_tensor_shd(buffer + 64 * i, ROPEROT_F32, 3, 2, DIM);
        dst[i] = roperot_tensor_shd(buffer + 256 + 64 * i, ROPEROT_F32, 3, 2, DIM);
    }
    dst[1].data = (float *)src[0].data + 8; /* written while it is read */
    expect_error(roperot_apply(plan, &at, src, dst, 2, NULL), ROPEROT_ERROR_ALIAS, "dst[1]", "overlap");
    dst[1].data = (float *)dst[0].data + 8;
    expect_error(roperot_apply(plan, &at, src, dst, 2, NULL), ROPEROT_ERROR_ALIAS, "dst[1]", "overlap");
    src[1].data = src[0].data; /* twice the same, rotated twice */
    expect_error(roperot_apply(plan, &at, src, NULL, 2, NULL), ROPEROT_ERROR_ALIAS, "src[1]", "overlap");
    CHECK(memcmp(buffer, before, sizeof buffer) == 0, "written in spite of an error");
    dst[1].data = buffer + 400; /* one source read twice is fine */
    CHECK(!roperot_apply(plan, &at, src, dst, 2, NULL), "%s", roperot_last_error());
    CHECK(memcmp(dst[0].data, dst[1].data, 24 * sizeof(float)) == 0, "the same source gave two results");
    roperot_plan_destroy(plan);
}

int main(int argc, char **argv)
{
    static const int32_t dtypes[] = { 1, 2, 3 };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        harness_add(pair_is_judged, &pairs[i], "pair/%s", pairs[i].name);
    for (size_t i = 0; i < 3; i++) harness_add(packed_qkv, &dtypes[i], "packed-qkv/%d", dtypes[i]);
    harness_add(across_tensors, NULL, "across-tensors");
    harness_add(random_pairs, NULL, "random-pairs");
    harness_add(random_tensors, NULL, "random-tensors");
    return harness_run(argc, argv, "alias");
}
