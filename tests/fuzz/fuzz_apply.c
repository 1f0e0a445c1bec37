/* SPDX-License-Identifier: MIT
 * A fuzz target in OSS-Fuzz's shape: plans, positions and views from bytes, every result compared with an oracle of its
 * own; it must share no code with the library or with the reference of the other tests. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <roperot/roperot.h>

#include "fuzz/call.h"
#include "fuzz/coefficients.h"
#include "fuzz/numbers.h"
#include "fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int fuzz_report(void);

static struct {
    unsigned long long inputs, plans, applied, refused, shared_out, pairs, mixed, per_head, kept;
} statistics;

static unsigned char *element(const roperot_tensor *v, unsigned char *base, const unsigned char *arena,
                              const int64_t at[3], int64_t d)
{
    int64_t i = d;
    for (int axis = 0; axis < 3; axis++) i += at[axis] ? at[axis] * v->stride[axis] : 0;
    return base + ((unsigned char *)v->data - arena) + i * (int64_t)number_bytes(v->dtype);
}

typedef struct arenas {
    const call *c;
    unsigned char *before, *expected; /* copies of the arena; c->arena has the result */
} arenas;

/* Expected bits of one written element; of two NaN, the one that is there. */
static void expect(const arenas *a, const roperot_tensor *v, const int64_t at[3], int64_t d, uint32_t bits)
{
    const uint32_t got = number_read(v->dtype, element(v, a->c->arena, a->c->arena, at, d));
    if (number_is_nan(v->dtype, bits) && number_is_nan(v->dtype, got)) bits = got;
    number_write(v->dtype, element(v, a->expected, a->c->arena, at, d), bits);
}

static uint32_t converted(const roperot_tensor *src, const roperot_tensor *dst, uint32_t bits)
{
    return src->dtype == dst->dtype ? bits : number_narrow(dst->dtype, number_widen(src->dtype, bits));
}

static void expect_head(const arenas *a, coefficients *k, const roperot_tensor *src, const roperot_tensor *dst,
                        const int64_t at[3])
{
    const roperot_config *const c = &a->c->config;
    const int back = (a->c->options.flags & ROPEROT_INVERSE) != 0;
    const int pairing[2] = { c->pairing, c->pairing_out ? c->pairing_out : c->pairing };
    const int64_t pairs = call_pairs(a->c), first = c->rotary_offset;
    coefficients_head(k, at[2]);
    for (int64_t d = 0; d < c->head_dim; d++)
        if (d < first || d >= first + 2 * pairs)
            expect(a, dst, at, d,
                   converted(src, dst, number_read(src->dtype, element(src, a->before, a->c->arena, at, d))));
    for (int64_t j = 0; j < pairs; j++) {
        uint32_t bits[2];
        float x[2], y[2];
        for (int i = 0; i < 2; i++) {
            const int64_t d = first + (pairing[back] == ROPEROT_PAIR_HALF ? j + i * pairs : 2 * j + i);
            bits[i] = number_read(src->dtype, element(src, a->before, a->c->arena, at, d));
            x[i] = number_widen(src->dtype, bits[i]);
        }
        coefficients_turn(k, (int32_t)j, x, y);
        for (int i = 0; i < 2; i++) {
            const int64_t d = first + (pairing[!back] == ROPEROT_PAIR_HALF ? j + i * pairs : 2 * j + i);
            expect(a, dst, at, d, k->left_alone ? converted(src, dst, bits[i]) : number_narrow(dst->dtype, y[i]));
        }
        statistics.pairs++;
    }
}

/* 0 if the call should have been refused. */
static int expect_call(const arenas *a)
{
    const call *const c = a->c;
    coefficients k = coefficients_open(c);
    int allowed = 1;
    const int64_t lines = c->batch * c->tokens;
    for (int64_t i = c->options.token_begin; i < lines && i < c->options.token_end && allowed; i++) {
        allowed = coefficients_token(&k, i / c->tokens, i % c->tokens);
        for (int32_t n = 0; n < c->count && allowed; n++)
            for (int64_t h = 0; h < c->src[n].shape[2]; h++) {
                const int64_t at[3] = { i / c->tokens, i % c->tokens, h };
                expect_head(a, &k, &c->src[n], c->in_place ? &c->src[n] : &c->dst[n], at);
            }
    }
    coefficients_close(&k);
    return allowed;
}

/* ---- one call ---------------------------------------------------------------------------------------------------- */

static void last_task_first(void *ctx, int64_t tasks, void (*task)(void *arg, int64_t index), void *arg)
{
    (void)ctx;
    for (int64_t i = tasks; i > 0; i--) task(arg, i - 1);
    statistics.shared_out += tasks > 1;
}

static int32_t apply(const call *c, const roperot_plan *plan)
{
    return roperot_apply(plan, &c->at, c->src, c->in_place ? NULL : c->dst, c->count, &c->options);
}

static int is_empty(const call *c)
{
    int heads = 0;
    for (int32_t i = 0; i < c->count; i++) heads |= c->src[i].shape[2] != 0;
    return c->batch <= 0 || c->tokens <= 0 || !heads || c->options.token_begin >= c->options.token_end ||
           c->options.token_begin >= c->batch * c->tokens;
}

static void compare_arena(const arenas *a, const char *what)
{
    memcpy(a->expected, a->before, CALL_ARENA);
    REQUIRE(expect_call(a), "%s: a position that should have been refused", what);
    for (size_t i = 0; i < CALL_ARENA; i++)
        REQUIRE(a->c->arena[i] == a->expected[i], "%s: byte %zu is 0x%02x, not 0x%02x", what, i, a->c->arena[i],
                a->expected[i]);
}

/* The same call once more, from the same bytes, on the plain C kernels. */
static void check_scalar(const arenas *a)
{
    roperot_config config = a->c->config;
    roperot_plan *scalar;
    config.isa = ROPEROT_ISA_SCALAR;
    REQUIRE(roperot_plan_create(&config, &scalar) == ROPEROT_OK, "the scalar plan");
    memcpy(a->c->arena, a->before, CALL_ARENA);
    REQUIRE(apply(a->c, scalar) == ROPEROT_OK, "the scalar call");
    roperot_plan_destroy(scalar);
}

/* 1 if the call was made, and was right. */
static int check(const arenas *a, const roperot_plan *plan)
{
    const call *const c = a->c;
    const int32_t status = apply(c, plan);
    if (status != ROPEROT_OK) {
        statistics.refused++;
        REQUIRE(memcmp(c->arena, a->before, CALL_ARENA) == 0, "a refused call wrote");
        REQUIRE(strlen(roperot_last_error()) > 8 && roperot_status_name(status), "no sentence");
        return 0;
    }
    statistics.applied++;
    statistics.mixed += call_is_mixed(c);
    statistics.per_head += c->config.table && c->table.heads > 1;
    statistics.kept += c->options.scratch && roperot_scratch_bytes(plan);
    if (is_empty(c)) {
        REQUIRE(memcmp(c->arena, a->before, CALL_ARENA) == 0, "an empty call wrote");
        return 0;
    }
    for (int scalar = 0; scalar < 2; scalar++) {
        if (scalar) check_scalar(a);
        compare_arena(a, scalar ? "scalar" : "plan");
    }
    return 1;
}

/* ---- the same as jobs -------------------------------------------------------------------------------------------- */

/* Jobs without norm and pages are the call. */
static void check_dense_jobs(const arenas *a, const roperot_plan *plan)
{
    const call *const c = a->c;
    roperot_job jobs[CALL_TENSORS];
    for (int32_t i = 0; i < c->count; i++) {
        jobs[i] = (roperot_job)ROPEROT_JOB_INIT;
        jobs[i].src = &c->src[i];
        jobs[i].dst = c->in_place ? &c->src[i] : &c->dst[i];
    }
    memcpy(c->arena, a->before, CALL_ARENA);
    REQUIRE(roperot_run(plan, &c->at, jobs, c->count, &c->options) == ROPEROT_OK, "jobs of an allowed call");
    compare_arena(a, "jobs");
}

enum { CANARY = 0xa5 };

/* Line i's slot: some are left out, the others are all different. */
static int64_t slot_of(int64_t i, int64_t lines)
{
    return i % 5 == 4 ? -1 : lines - 1 - i;
}

static void compare_page_token(const arenas *a, const roperot_tensor *v, int64_t line, const unsigned char *stored)
{
    const int64_t tokens = a->c->tokens, size = (int64_t)number_bytes(v->dtype);
    for (int64_t h = 0; h < v->shape[2]; h++)
        for (int64_t d = 0; d < v->shape[3]; d++, stored += size) {
            const int64_t at[3] = { line / tokens, line % tokens, h };
            const uint32_t want = number_read(v->dtype, element(v, a->expected, a->c->arena, at, d));
            const uint32_t got = number_read(v->dtype, stored);
            REQUIRE(got == want || (number_is_nan(v->dtype, got) && number_is_nan(v->dtype, want)),
                    "line %lld head %lld channel %lld in pages is 0x%x, not 0x%x", (long long)line, (long long)h,
                    (long long)d, (unsigned)got, (unsigned)want);
        }
}

/* The first view's heads into pages of its own dtype: what the call writes densely, by slots, and nothing else. */
static void check_paged_job(const arenas *a, const roperot_plan *plan)
{
    const call *const c = a->c;
    const roperot_tensor *const v = c->in_place ? &c->src[0] : &c->dst[0];
    const int64_t lines = c->batch * c->tokens, row = v->shape[2] * v->shape[3];
    if (v->dtype != c->src[0].dtype || row == 0) return;
    const size_t bytes = (size_t)(lines * row) * number_bytes(v->dtype);
    unsigned char *const data = malloc(bytes);
    int64_t *const slots = malloc((size_t)lines * sizeof *slots);
    if (!data || !slots) abort();
    memset(data, CANARY, bytes);
    for (int64_t i = 0; i < lines; i++) slots[i] = slot_of(i, lines);
    roperot_pages pages = ROPEROT_PAGES_INIT;
    pages.dtype = v->dtype;
    pages.data = data;
    pages.page_tokens = lines % 2 ? 1 : 2;
    pages.pages = lines / pages.page_tokens;
    pages.page_stride = pages.page_tokens * row;
    pages.token_stride = row;
    pages.head_stride = v->shape[3];
    pages.slots = slots;
    pages.slot_batch_stride = c->tokens;
    roperot_job job = ROPEROT_JOB_INIT;
    job.src = &c->src[0];
    job.to = &pages;
    memcpy(c->arena, a->before, CALL_ARENA);
    REQUIRE(roperot_run(plan, &c->at, &job, 1, &c->options) == ROPEROT_OK, "a job into pages");
    REQUIRE(memcmp(c->arena, a->before, CALL_ARENA) == 0, "a job into pages wrote elsewhere");
    for (int64_t i = 0; i < lines; i++) {
        const int rotated = i >= c->options.token_begin && i < c->options.token_end && slots[i] >= 0;
        const int64_t slot = lines - 1 - i;
        unsigned char *const token_data = data + (size_t)(slot * row) * number_bytes(v->dtype);
        if (rotated) compare_page_token(a, v, i, token_data);
        for (size_t b = 0; !rotated && b < (size_t)row * number_bytes(v->dtype); b++)
            REQUIRE(token_data[b] == CANARY, "the slot of line %lld, which is not stored, was written", (long long)i);
    }
    free(slots);
    free(data);
}

/* A scratch keeps the row of a position for the flags that it was made with. */
static void check_other_flags(const arenas *a, const roperot_plan *plan)
{
    static const uint32_t flags[] = { ROPEROT_PURE_ROTATION, ROPEROT_INVERSE, 0 };
    for (int i = 0; i < 3 && a->c->options.scratch; i++) {
        call other = *a->c;
        other.options.flags ^= flags[i];
        const arenas b = { &other, a->before, a->expected };
        memcpy(other.arena, a->before, CALL_ARENA);
        if (apply(&other, plan) == ROPEROT_OK) compare_arena(&b, "other flags");
    }
}

/* Rotating and turning back moves nothing far, where numbers are moderate: only f32 views in place. */
static void check_inverse(const arenas *a, const roperot_plan *plan)
{
    call back = *a->c;
    if (back.config.table || back.config.attention_factor != 1.0 || is_empty(&back)) return;
    memcpy(back.arena, a->before, CALL_ARENA);
    if (!back.in_place || back.count != 1 || back.src[0].dtype != ROPEROT_F32) return;
    const roperot_tensor *const v = &back.src[0];
    for (int64_t i = 0; i < back.batch * back.tokens * v->shape[2]; i++) {
        const int64_t at[3] = { i / v->shape[2] / back.tokens, i / v->shape[2] % back.tokens, i % v->shape[2] };
        for (int64_t d = 0; d < v->shape[3]; d++) {
            const float x = (float)(i * 31 + d * 7 % 101) / 64.0f - 3.0f;
            memcpy(element(v, back.arena, back.arena, at, d), &x, sizeof x);
        }
    }
    if (apply(&back, plan)) return;
    back.options.flags ^= ROPEROT_INVERSE;
    REQUIRE(apply(&back, plan) == ROPEROT_OK, "the inverse");
    for (int64_t i = 0; i < back.batch * back.tokens * v->shape[2]; i++) {
        const int64_t at[3] = { i / v->shape[2] / back.tokens, i / v->shape[2] % back.tokens, i % v->shape[2] };
        for (int64_t d = 0; d < v->shape[3]; d++) {
            float got;
            const float x = (float)(i * 31 + d * 7 % 101) / 64.0f - 3.0f;
            memcpy(&got, element(v, back.arena, back.arena, at, d), sizeof got);
            REQUIRE(fabsf(got - x) <= 1e-4f * (float)(i + 4), "there and back: %g became %g", (double)x, (double)got);
        }
    }
}

#ifdef ROPEROT_FUZZ_REPORT
static void report(void)
{
    fuzz_report();
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return atexit(report);
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = { data, size };
    call c;
    roperot_plan *plan = NULL;
    statistics.inputs++;
    if (call_decode_plan(&c, &in, CALL_USUAL_DIM)) {
        if (roperot_plan_create(&c.config, &plan) == ROPEROT_OK)
            statistics.plans++;
        else
            REQUIRE(!plan && strlen(roperot_last_error()) > 8, "no sentence");
    }
    if (plan && call_decode_apply(&c, &in)) {
        call_decode_scratch(&c, plan, &in);
        if (!c.kept) c.options.parallel_for = last_task_first; /* which takes no scratch */
        arenas a = { &c, malloc(CALL_ARENA), malloc(CALL_ARENA) };
        if (!a.before || !a.expected) abort();
        memcpy(a.before, c.arena, CALL_ARENA);
        if (check(&a, plan) && !is_empty(&c)) {
            check_dense_jobs(&a, plan);
            check_paged_job(&a, plan);
            check_inverse(&a, plan);
            check_other_flags(&a, plan);
        }
        REQUIRE(call_scratch_is_whole(&c), "a call wrote beside its scratch");
        free(a.before);
        free(a.expected);
    }
    roperot_plan_destroy(plan);
    call_free(&c);
    return 0;
}

/* What has been tried; 0 if it is too little to mean anything. */
int fuzz_report(void)
{
    printf("# %llu inputs: %llu plans, %llu calls right (%llu shared out), %llu refused, %llu pairs\n",
           statistics.inputs, statistics.plans, statistics.applied, statistics.shared_out, statistics.refused,
           statistics.pairs);
    printf("# calls: %llu of mixed frequencies, %llu of tables with rows per head, %llu with a scratch\n",
           statistics.mixed, statistics.per_head, statistics.kept);
    return statistics.applied > 0 && statistics.refused > 0 && statistics.pairs > 0 && statistics.mixed > 0 &&
           statistics.per_head > 0 && statistics.kept > 0;
}
