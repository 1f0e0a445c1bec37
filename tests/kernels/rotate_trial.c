/* SPDX-License-Identifier: MIT
 * The judge of rotation kernels: one call, one verdict; it must not know which kernel it judges or which ISA runs. */
#include "kernels/rotate_trial.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <roperot/roperot.h>

#include "support/formats.h"
#include "support/guard.h"
#include "support/harness.h"
#include "support/values.h"

enum { MAX_BYTES = 8 * ROTATE_MAX_PAIRS, REACH = 64 };

/* Rows somewhere: strides in bytes, half in elements. */
typedef struct view {
    unsigned char *base;
    ptrdiff_t token, head, half;
    int pairing, dtype; /* pairing is a kernel index, dtype the public enum */
    ptrdiff_t tokens;
    int shuffled; /* slots of tokens: 1, 0, 3, 2 .. */
} view;

/* One side (source or destination) of a call: the same rows in plain order, and where the kernel sees them. */
typedef struct side {
    view plain, live;
    guard_arena *arena;
    size_t slot, bytes; /* isolated: 0 and the bytes of each run; dense: the slot and the bytes of the whole buffer */
} side;

typedef struct trial {
    const reference_rotation *rotation;
    const rotate_shape *shape;
    roperot_rotate_fn *fn;
    roperot_tile tile;
    side src, dst;
    side *written; /* in place: src */
} trial;

static guard_arena isolated[2], dense, coefficients;
static unsigned char plain[2][ROTATE_MAX_ROWS * (size_t)MAX_BYTES]; /* source, expected */
static unsigned char snapshot[2 * ROTATE_MAX_ROWS * (size_t)MAX_BYTES];
static char verdict[600];

static void open_arenas(void)
{
    if (coefficients.open) return;
    isolated[0] = guard_arena_open(2 * ROTATE_MAX_ROWS, MAX_BYTES);
    isolated[1] = guard_arena_open(2 * ROTATE_MAX_ROWS, MAX_BYTES);
    dense = guard_arena_open(2, sizeof snapshot);
    coefficients = guard_arena_open(2 * ROTATE_MAX_ROWS + 1, ROTATE_MAX_PAIRS * sizeof(float));
}

void rotate_trial_close(void)
{
    if (!coefficients.open) return;
    guard_arena_close(&isolated[0]);
    guard_arena_close(&isolated[1]);
    guard_arena_close(&dense);
    guard_arena_close(&coefficients);
}

const char *rotate_describe(const rotate_shape *s)
{
    static const char *const loops[] = { "columns", "linear", "stream" };
    static const char *const layouts[] = { "isolated", "dense", "reversed" };
    static const char *const values[] = { "normal", "special", "tiny", "ties" };
    static char text[200];
    snprintf(text, sizeof text, "%td tokens x %td heads x %td pairs, %s%s, %s, %s, data at the %s end, %s values",
             s->tokens, s->heads, s->pairs, loops[s->loop], s->heads_outer ? " heads outside" : "",
             s->in_place ? "in place" : "out of place", layouts[s->layout], s->end == GUARD_HIGH ? "high" : "low",
             values[s->values]);
    return text;
}

static const char *fail(const trial *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static const char *fail(const trial *t, const char *format, ...)
{
    char what[300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    snprintf(verdict, sizeof verdict, "%s, %s: %s", t->rotation->name, rotate_describe(t->shape), what);
    return verdict;
}

/* ---- views ------------------------------------------------------------------------------------------------------- */

/* Neighbours change places, so that the tokens of a tile are not evenly spaced. */
static ptrdiff_t slot_of(const view *v, ptrdiff_t t)
{
    return v->shuffled && (t ^ 1) < v->tokens ? t ^ 1 : t;
}

static unsigned char *at(const view *v, ptrdiff_t t, ptrdiff_t h, ptrdiff_t j, int which)
{
    const ptrdiff_t element = v->pairing == ROPEROT_INDEX_half ? j + which * v->half : 2 * j + which;
    return v->base + slot_of(v, t) * v->token + h * v->head + (ptrdiff_t)format_bytes(v->dtype) * element;
}

static view plain_view(const rotate_shape *s, int dtype, int pairing, int which)
{
    const ptrdiff_t row = 2 * s->pairs * (ptrdiff_t)format_bytes(dtype);
    return (view){ plain[which], s->heads * row, row, s->pairs, pairing, dtype, s->tokens, 0 };
}

/* Copies every element from one view to another of the same dtype; `flip` complements it. */
static void copy_view(const rotate_shape *s, const view *to, const view *from, uint32_t flip)
{
    for (ptrdiff_t t = 0; t < s->tokens; t++)
        for (ptrdiff_t h = 0; h < s->heads; h++)
            for (ptrdiff_t j = 0; j < s->pairs; j++)
                for (int k = 0; k < 2; k++)
                    format_store(to->dtype, at(to, t, h, j, k), flip ^ format_load(from->dtype, at(from, t, h, j, k)));
}

/* Half-split rows are two runs, in slots of their own; interleaved ones are one. */
static void place_isolated(const rotate_shape *s, side *it)
{
    view *const v = &it->live;
    const size_t size = format_bytes(v->dtype);
    const size_t bytes = size * (size_t)s->pairs * (v->pairing == ROPEROT_INDEX_half ? 1 : 2);
    const ptrdiff_t pitch = (ptrdiff_t)it->arena->pitch;
    it->bytes = bytes;
    v->base = it->arena->open + guard_arena_run(it->arena, 0, bytes, s->end);
    v->half = pitch / (ptrdiff_t)size;
    v->head = 2 * pitch;
    v->token = s->heads * v->head;
    for (size_t i = 0; i < 2 * (size_t)(s->tokens * s->heads); i++)
        guard_arena_mark(it->arena, i, bytes, s->end, REACH);
}

/* One buffer per side: one element of lead, gaps of `gap` elements between rows, nothing behind the last row. */
static void place_dense(const rotate_shape *s, side *it, ptrdiff_t gap)
{
    view *const v = &it->live;
    const ptrdiff_t size = (ptrdiff_t)format_bytes(v->dtype), rows = s->tokens * s->heads;
    v->half = s->pairs + (s->pairs % 3 == 0 ? 2 : 0);
    const ptrdiff_t row = v->pairing == ROPEROT_INDEX_half ? v->half + s->pairs : 2 * s->pairs;
    const ptrdiff_t step = (row + gap) * size, lead = size;
    it->bytes = (size_t)(lead + rows * step - gap * size);
    unsigned char *const first = it->arena->open + guard_arena_run(it->arena, it->slot, it->bytes, s->end);
    for (size_t i = 0; i < it->bytes; i++) first[i] = guard_canary(i);
    v->base = first + lead;
    v->head = step;
    v->token = s->heads * step;
    if (s->layout != ROTATE_REVERSED) return;
    v->base += (rows - 1) * step; /* [head][token], both backwards */
    v->token = -step;
    v->head = -s->tokens * step;
}

static void place(const rotate_shape *s, side *it, size_t which)
{
    const int isolate = s->layout == ROTATE_ISOLATED;
    it->live.shuffled = 1;
    it->arena = isolate ? &isolated[which] : &dense;
    it->slot = isolate ? 0 : which;
    if (isolate)
        place_isolated(s, it);
    else
        place_dense(s, it, which ? 5 : 3);
}

/* ---- before the call --------------------------------------------------------------------------------------------- */

static void fill_source(const trial *t)
{
    const rotate_shape *const s = t->shape;
    const view *const v = &t->src.plain;
    for (ptrdiff_t k = 0; k < s->tokens; k++)
        for (ptrdiff_t h = 0; h < s->heads; h++)
            for (ptrdiff_t j = 0; j < s->pairs; j++) {
                const uint32_t x0 = values_number(s->values, v->dtype);
                const uint32_t x1 = values_partner(s->values, v->dtype, t->rotation->dst + 1, x0);
                format_store(v->dtype, at(v, k, h, j, 0), x0);
                format_store(v->dtype, at(v, k, h, j, 1), x1);
            }
}

/* Elements in front of the rotated ones that the kernel is told of: nobody may touch them. */
enum { SRC_FIRST = 3, DST_FIRST = 6 };

static ptrdiff_t dst_first(const rotate_shape *s)
{
    return s->in_place ? SRC_FIRST : DST_FIRST;
}

/* cos and sin of each token in read-only slots. */
static void fill_coefficients(const rotate_shape *s, roperot_row rows[ROTATE_MAX_ROWS])
{
    const guard_arena *const a = &coefficients;
    const size_t bytes = (size_t)s->pairs * sizeof(float);
    for (size_t t = 0; t < (size_t)s->tokens; t++)
        for (size_t k = 0; k < 2; k++) {
            const size_t run = guard_arena_run(a, 2 * t + k, bytes, s->end);
            for (size_t j = 0; j < (size_t)s->pairs; j++)
                format_store(ROPEROT_F32, a->open + run + j * sizeof(float), values_coefficient(s->values));
            const float *const values = (const float *)(const void *)(a->fixed + run);
            if (k)
                rows[t].sin = values;
            else
                rows[t].cos = values;
        }
}

/* The list of tokens; for the kernel that is tried in a read-only slot with nothing behind it. `fixed` moves what is
 * read to its read-only mapping. */
static const roperot_token *list_tokens(const rotate_shape *s, const view *src, ptrdiff_t fixed, const view *dst,
                                        const roperot_row *rows)
{
    const guard_arena *const a = &coefficients;
    const size_t run = guard_arena_run(a, 2 * ROTATE_MAX_ROWS, (size_t)s->tokens * sizeof(roperot_token), s->end);
    for (ptrdiff_t t = 0; t < s->tokens; t++) {
        const ptrdiff_t before = SRC_FIRST * (ptrdiff_t)format_bytes(src->dtype) - fixed;
        const roperot_token token = { rows[t].cos, rows[t].sin, at(src, t, 0, 0, 0) - before,
                                      at(dst, t, 0, 0, 0) - dst_first(s) * (ptrdiff_t)format_bytes(dst->dtype) };
        memcpy(a->open + run + (size_t)t * sizeof token, &token, sizeof token);
    }
    return (const roperot_token *)(const void *)(a->fixed + run);
}

static roperot_tile tile_of(const rotate_shape *s, const view *src, const view *dst, const roperot_token *tokens)
{
    return (roperot_tile){ .token = tokens,
                           .tokens = s->tokens,
                           .heads = s->heads,
                           .pairs = s->pairs,
                           .src_head = src->head,
                           .dst_head = dst->head,
                           .src_first = SRC_FIRST,
                           .dst_first = dst_first(s),
                           .src_half = src->half,
                           .dst_half = dst->half,
                           .loop = s->loop,
                           .heads_outer = s->heads_outer };
}

/* Dense: what surrounds the rows is compared with a copy after the call. */
static unsigned char *buffer_of(const trial *t, const side *it)
{
    return it->arena->open + guard_arena_run(it->arena, it->slot, it->bytes, t->shape->end);
}

static void prepare(trial *t, roperot_rotate_fn *reference)
{
    const rotate_shape *const s = t->shape;
    const reference_rotation *const r = t->rotation;
    t->src.plain = t->src.live = plain_view(s, r->src + 1, r->pairing, 0);
    t->dst.plain = t->dst.live = plain_view(s, r->dst + 1, r->pairing_out, 1);
    roperot_row rows[ROTATE_MAX_ROWS];
    fill_coefficients(s, rows);
    fill_source(t);
    const roperot_tile plain_tile =
        tile_of(s, &t->src.plain, &t->dst.plain, list_tokens(s, &t->src.plain, 0, &t->dst.plain, rows));
    reference(&plain_tile);
    place(s, &t->src, 0);
    copy_view(s, &t->src.live, &t->src.plain, 0);
    t->written = s->in_place ? &t->src : &t->dst;
    if (!s->in_place) {
        place(s, &t->dst, 1);
        copy_view(s, &t->dst.live, &t->dst.plain, ~0u); /* an unwritten lane must show */
    }
    const ptrdiff_t fixed = s->in_place ? 0 : t->src.arena->fixed - t->src.arena->open;
    t->tile = tile_of(s, &t->src.live, &t->written->live, list_tokens(s, &t->src.live, fixed, &t->written->live, rows));
    if (s->layout != ROTATE_ISOLATED) memcpy(snapshot, buffer_of(t, t->written), t->written->bytes);
}

/* ---- the call and after ------------------------------------------------------------------------------------------ */

static void call(void *arg)
{
    const trial *const t = arg;
    t->fn(&t->tile);
}

/* A write through the read-only mapping of the source or of the coefficients is a fault like one outside. */
static const char *explain_fault(const trial *t, const harness_fault *fault)
{
    const struct {
        const guard_arena *arena;
        const char *name;
    } arenas[] = {
        { &isolated[0], "source" }, { &isolated[1], "destination" }, { &dense, "buffer" }, { &coefficients, "cos/sin" }
    };
    for (size_t i = 0; i < sizeof arenas / sizeof *arenas; i++)
        for (int fixed = 0; fixed < 2; fixed++) {
            const guard_arena *const a = arenas[i].arena;
            const uintptr_t first = (uintptr_t)(fixed ? a->fixed : a->open), where = (uintptr_t)fault->address;
            if (where + a->pitch < first || where >= first + a->slots * a->pitch) continue;
            const ptrdiff_t offset = (ptrdiff_t)(where - first), pitch = (ptrdiff_t)a->pitch;
            const ptrdiff_t inside = (offset % pitch + pitch) % pitch;
            return fail(t, "signal %d: touched %s %s slot %td, byte %td of its %zu", fault->signal,
                        fixed ? "read-only" : "writable", arenas[i].name, offset / pitch, inside, a->slot_bytes);
        }
    return fail(t, "signal %d at %p", fault->signal, fault->address);
}

static const char *compare_results(const trial *t)
{
    const rotate_shape *const s = t->shape;
    const view *const want = &t->dst.plain, *const got = &t->written->live;
    for (ptrdiff_t k = 0; k < s->tokens; k++)
        for (ptrdiff_t h = 0; h < s->heads; h++)
            for (ptrdiff_t j = 0; j < s->pairs; j++)
                for (int i = 0; i < 2; i++) {
                    const uint32_t w = format_load(want->dtype, at(want, k, h, j, i));
                    const uint32_t g = format_load(got->dtype, at(got, k, h, j, i));
                    if (format_same(want->dtype, w, g)) continue;
                    const int from = t->rotation->src + 1;
                    return fail(t, "token %td head %td pair %td y%d is 0x%x, not 0x%x; x0 0x%x x1 0x%x cos %a sin %a",
                                k, h, j, i, (unsigned)g, (unsigned)w,
                                (unsigned)format_load(from, at(&t->src.plain, k, h, j, 0)),
                                (unsigned)format_load(from, at(&t->src.plain, k, h, j, 1)),
                                (double)t->tile.token[k].cos[j], (double)t->tile.token[k].sin[j]);
                }
    return NULL;
}

static const char *compare_surroundings(const trial *t)
{
    const rotate_shape *const s = t->shape;
    const side *const it = t->written;
    if (s->layout == ROTATE_ISOLATED) {
        for (size_t i = 0; i < 2 * (size_t)(s->tokens * s->heads); i++)
            if (!guard_arena_intact(it->arena, i, it->bytes, s->end, REACH))
                return fail(t, "a byte beside run %zu was written", i);
        return NULL;
    }
    if (s->in_place)
        copy_view(s, &it->live, &t->src.plain, 0);
    else
        copy_view(s, &it->live, &t->dst.plain, ~0u);
    const unsigned char *const now = buffer_of(t, it);
    for (size_t i = 0; i < it->bytes; i++)
        if (now[i] != snapshot[i]) return fail(t, "byte %zu of the buffer, between the rows, was written", i);
    return NULL;
}

const char *rotate_trial(const reference_rotation *rotation, roperot_rotate_fn *fn, roperot_rotate_fn *reference,
                         const rotate_shape *shape)
{
    trial t = { .rotation = rotation, .shape = shape, .fn = fn };
    harness_fault fault;
    open_arenas();
    prepare(&t, reference);
    if (harness_faults(call, &t, &fault)) return explain_fault(&t, &fault);
    const char *const wrong = compare_results(&t);
    return wrong ? wrong : compare_surroundings(&t);
}

/* ---- the sweep --------------------------------------------------------------------------------------------------- */

typedef struct sweep {
    const reference_rotation *rotation;
    roperot_rotate_fn *fn, *reference;
    int loop;
} sweep;

/* One shape in every layout, against both ends, in and out of place where that exists; the kinds of values take turns
 * so that each shape meets all of them. */
static const char *everywhere(const sweep *w, ptrdiff_t tokens, ptrdiff_t heads, ptrdiff_t pairs)
{
    const reference_rotation *const r = w->rotation;
    const int places = r->src == r->dst && r->pairing == r->pairing_out && w->loop != ROPEROT_LOOP_STREAM ? 2 : 1;
    for (int layout = 0; layout < ROTATE_LAYOUTS; layout++)
        for (int end = 0; end < 2; end++)
            for (int in_place = 0; in_place < places; in_place++) {
                const int turn = (int)pairs + 2 * layout + end;
                const rotate_shape shape = { .tokens = tokens,
                                             .heads = heads,
                                             .pairs = pairs,
                                             .loop = w->loop,
                                             .heads_outer = w->loop != ROPEROT_LOOP_COLUMNS &&
                                                            (layout == ROTATE_REVERSED) != (turn % 3 == 0),
                                             .in_place = in_place,
                                             .layout = layout,
                                             .end = end,
                                             .values = turn % VALUES_KINDS };
                const char *const wrong = rotate_trial(r, w->fn, w->reference, &shape);
                if (wrong) return wrong;
            }
    return NULL;
}

const char *rotate_trial_sweep(const reference_rotation *rotation, roperot_rotate_fn *fn, roperot_rotate_fn *reference,
                               int loop)
{
    static const ptrdiff_t some_pairs[] = { 1, 8, 33, 64 }, many_pairs[] = { 160, 255, 512, ROTATE_MAX_PAIRS };
    const sweep w = { rotation, fn, reference, loop };
    const char *wrong = NULL;
    for (ptrdiff_t pairs = 1; pairs <= 129 && !wrong; pairs = (ptrdiff_t)harness_next(pairs))
        wrong = everywhere(&w, 2, 3, pairs);
    const size_t next = harness_quick() > 1 ? 2 : 1;
    for (size_t i = 0; i < sizeof some_pairs / sizeof *some_pairs && !wrong; i += next)
        for (ptrdiff_t heads = 1; heads <= 9 && !wrong; heads += harness_quick() ? 4 : 1)
            for (ptrdiff_t tokens = 1; tokens <= 7 && !wrong; tokens += 3)
                wrong = everywhere(&w, tokens, heads, some_pairs[i]);
    for (size_t i = 0; i < sizeof many_pairs / sizeof *many_pairs && !wrong; i += next)
        wrong = everywhere(&w, 1, 2, many_pairs[i]);
    return wrong;
}
