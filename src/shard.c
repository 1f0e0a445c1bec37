/* SPDX-License-Identifier: MIT
 * roperot_shard_positions: the tokens and positions of one rank; it must not know plans, tensors or communication. */
#include <stddef.h>

#include "bounds.h"
#include "numbers.h"
#include "positions.h"
#include "status.h"

/* Consecutive tokens of one sequence, every step-th from `first` on. */
typedef struct range {
    int64_t first, count, step;
} range;

/* ---- the schemes: at most two ranges of a sequence, whose first token is `base` of the packed stream ------------- */

static int contiguous(const roperot_shard *s, int64_t base, int64_t n, range *out)
{
    (void)base;
    const int64_t share = n / s->ranks;
    out[0] = (range){ s->rank * share, share, 1 };
    return 1;
}

static int zigzag(const roperot_shard *s, int64_t base, int64_t n, range *out)
{
    (void)base;
    const int64_t chunk = n / (2 * (int64_t)s->ranks);
    out[0] = (range){ s->rank * chunk, chunk, 1 };
    out[1] = (range){ n - (s->rank + 1) * chunk, chunk, 1 };
    return 2;
}

static int round_robin(const roperot_shard *s, int64_t base, int64_t n, range *out)
{
    const int64_t first = (s->rank - base % s->ranks + s->ranks) % s->ranks;
    out[0] = (range){ first, first < n ? (n - 1 - first) / s->ranks + 1 : 0, s->ranks };
    return 1;
}

static const struct scheme {
    const char *name;
    int chunks; /* a length must be a multiple of this many times the ranks; 0: any */
    int (*split)(const roperot_shard *s, int64_t base, int64_t n, range *out);
} schemes[] = {
    [ROPEROT_SHARD_CONTIGUOUS] = { "CONTIGUOUS", 1, contiguous },
    [ROPEROT_SHARD_ZIGZAG] = { "ZIGZAG", 2, zigzag },
    [ROPEROT_SHARD_ROUND_ROBIN] = { "ROUND_ROBIN", 0, round_robin },
};

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static int32_t field_error(const char *field, int64_t value, const char *allowed)
{
    return roperot_field_error("shard", field, value, allowed);
}

/* A list of `count` numbers that strangers gave: its type, its alignment and whether memory can hold it. */
static int32_t check_list(const char *name, const char *type_name, const void *list, int32_t type, int64_t count)
{
    if (type != ROPEROT_POSITIONS_I32 && type != ROPEROT_POSITIONS_I64)
        return field_error(type_name, type, "1 (int32) or 2 (int64)");
    const int64_t size = type == ROPEROT_POSITIONS_I32 ? 4 : 8;
    if ((uintptr_t)list % roperot_id_alignment(type))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "shard.%s is %p; it must have its element type's alignment", name,
                            list);
    if (!roperot_is_addressable(list, 0, count, size))
        return roperot_fail(ROPEROT_ERROR_SHAPE, "shard.%s has %lld elements, which no memory holds", name,
                            (long long)count);
    return ROPEROT_OK;
}

static int32_t check_numbers(const roperot_shard *s)
{
    if (s->kind < 0 || (size_t)s->kind >= sizeof schemes / sizeof *schemes)
        return field_error("kind", s->kind, "0 (contiguous), 1 (zig-zag) or 2 (round-robin)");
    if (s->ranks < 1 || s->ranks > ROPEROT_MAX_RANKS) return field_error("ranks", s->ranks, "in 1..65536");
    if (s->rank < 0 || s->rank >= s->ranks)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "shard.rank is %d; it must be in 0..%d (ranks - 1)", (int)s->rank,
                            (int)s->ranks - 1);
    if (s->axes < 0 || s->axes > ROPEROT_MAX_AXES) return field_error("axes", s->axes, "1 .. 4 (0 = 1)");
    if (s->tokens < 0) return field_error("tokens", s->tokens, "at least 0");
    if (s->start_axis_stride < 0) return field_error("start_axis_stride", s->start_axis_stride, "at least 0");
    if (s->cu_seqlens && s->sequences < 1) return field_error("sequences", s->sequences, "at least 1");
    return ROPEROT_OK;
}

static int64_t sequences_of(const roperot_shard *s)
{
    return s->cu_seqlens ? s->sequences : 1;
}

static int64_t end_of(const roperot_shard *s, int64_t sequence)
{
    return s->cu_seqlens ? roperot_id_read(s->cu_seqlens, s->cu_type, sequence) : sequence * s->tokens;
}

static int64_t start_of(const roperot_shard *s, int32_t axis, int64_t sequence)
{
    if (!s->starts) return end_of(s, sequence); /* of the sequence before: the place in the packed stream */
    return roperot_id_read(s->starts, s->start_type, axis * s->start_axis_stride + sequence);
}

/* One sequence: can it be shared out, and are its positions numbers? */
static int32_t check_sequence(const roperot_shard *s, int64_t sequence, int64_t n)
{
    const struct scheme *const scheme = &schemes[s->kind];
    const int64_t unit = (int64_t)scheme->chunks * s->ranks;
    if (unit && n % unit)
        return roperot_fail(ROPEROT_ERROR_SHAPE,
                            "sequence %lld has %lld tokens; %s on %d ranks needs a multiple of %lld: pad it",
                            (long long)sequence, (long long)n, scheme->name, (int)s->ranks, (long long)unit);
    for (int32_t a = 0; a < (s->axes ? s->axes : 1); a++)
        if (start_of(s, a, sequence) > INT64_MAX - n)
            return roperot_fail(ROPEROT_ERROR_POSITION,
                                "shard.starts of sequence %lld (axis %d) is %lld; with %lld tokens it overflows",
                                (long long)sequence, (int)a, (long long)start_of(s, a, sequence), (long long)n);
    return ROPEROT_OK;
}

/* Every sequence, and how many tokens of all are this rank's. */
static int32_t check_sequences(const roperot_shard *s, int64_t *count)
{
    int64_t before = end_of(s, 0);
    *count = 0;
    if (before != 0) return field_error("cu_seqlens[0]", before, "0");
    for (int64_t i = 0; i < sequences_of(s); i++) {
        const int64_t end = end_of(s, i + 1);
        if (end < before)
            return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                                "%s.cu_seqlens[%lld] is %lld; it must be at least %lld, as before it", "shard",
                                (long long)i + 1, (long long)end, (long long)before);
        const int32_t status = check_sequence(s, i, end - before);
        if (status) return status;
        range part[2];
        const int parts = schemes[s->kind].split(s, before, end - before, part);
        for (int k = 0; k < parts; k++) *count += part[k].count;
        before = end;
    }
    if (s->cu_seqlens && s->tokens != 0 && s->tokens != before)
        return roperot_fail(ROPEROT_ERROR_SHAPE, "shard.tokens is %lld; it must be 0 or what cu_seqlens ends at, %lld",
                            (long long)s->tokens, (long long)before);
    return ROPEROT_OK;
}

static int32_t check(const roperot_shard *s, int64_t *count)
{
    int32_t status = roperot_check_size(s, sizeof *s, sizeof *s, "shard");
    if (!status) status = check_numbers(s);
    if (!status && s->cu_seqlens)
        status = check_list("cu_seqlens", "cu_type", s->cu_seqlens, s->cu_type, (int64_t)s->sequences + 1);
    const int64_t rows = roperot_saturating_mul(s->start_axis_stride, (s->axes ? s->axes : 1) - 1);
    if (!status && s->starts)
        status =
            check_list("starts", "start_type", s->starts, s->start_type, roperot_saturating_add(rows, sequences_of(s)));
    return status ? status : check_sequences(s, count);
}

/* `held` numbers of each of so many rows, `stride` apart. */
static int32_t check_output(const char *name, const int64_t *out, int64_t rows, int64_t stride, int64_t held)
{
    if ((uintptr_t)out % _Alignof(int64_t))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "%s is %p; it must have the alignment of int64_t", name,
                            (const void *)out);
    if (!roperot_is_addressable(out, 0, roperot_saturating_add(roperot_saturating_mul(rows - 1, stride), held), 8))
        return roperot_fail(ROPEROT_ERROR_SHAPE, "%s has %lld rows of %lld numbers, %lld apart; no memory holds them",
                            name, (long long)rows, (long long)held, (long long)stride);
    return ROPEROT_OK;
}

/* ---- filling ----------------------------------------------------------------------------------------------------- */

static void fill(const roperot_shard *s, int64_t *token, int64_t *ids, int64_t axis_stride)
{
    int64_t done = 0;
    for (int64_t i = 0; i < sequences_of(s); i++) {
        const int64_t base = end_of(s, i);
        range part[2];
        const int parts = schemes[s->kind].split(s, base, end_of(s, i + 1) - base, part);
        for (int k = 0; k < parts; done += part[k++].count)
            for (int64_t t = 0; t < part[k].count; t++) {
                const int64_t at = part[k].first + t * part[k].step;
                if (token) token[done + t] = base + at;
                for (int32_t a = 0; ids && a < (s->axes ? s->axes : 1); a++)
                    ids[a * axis_stride + done + t] = start_of(s, a, i) + at;
            }
    }
}

int32_t roperot_shard_positions(const roperot_shard *shard, int64_t capacity, int64_t *token, int64_t *ids,
                                int64_t axis_stride, int64_t *count)
{
    if (!shard || !count)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "%s is NULL; it must point to %s", shard ? "count" : "shard",
                            shard ? "where the number of tokens goes" : "a roperot_shard");
    int64_t held;
    int32_t status = check(shard, &held);
    if (status) return status;
    const int several = shard->axes > 1 && ids;
    if ((token || ids) && capacity < held) {
        *count = held;
        return roperot_fail(ROPEROT_ERROR_SHAPE, "capacity is %lld; rank %d of %d holds %lld tokens",
                            (long long)capacity, (int)shard->rank, (int)shard->ranks, (long long)held);
    }
    if (several && axis_stride < held)
        return roperot_fail(ROPEROT_ERROR_SHAPE, "axis_stride is %lld; it must be at least the rank's %lld tokens",
                            (long long)axis_stride, (long long)held);
    if (token) status = check_output("token", token, 1, 0, held);
    if (ids && !status) status = check_output("ids", ids, several ? shard->axes : 1, axis_stride, held);
    if (status) return status;
    *count = held;
    fill(shard, token, ids, axis_stride);
    return ROPEROT_OK;
}
