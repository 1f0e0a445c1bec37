/* SPDX-License-Identifier: MIT
 * roperot_shard_positions against each scheme's rule said the other way round, from tokens to ranks; it must share no
 * code with src/. */
#include <stdlib.h>
#include <string.h>

#include <roperot/roperot.h>

#include "support/harness.h"

enum { MOST = 4096 };

static const char *const names[] = { "contiguous", "zigzag", "round_robin" };

/* Who holds token i of n, which is token g of the stream, and in which turn (of one sequence). */
static int32_t owner(int32_t kind, int64_t g, int64_t i, int64_t n, int32_t ranks)
{
    if (kind == ROPEROT_SHARD_ROUND_ROBIN) return (int32_t)(g % ranks);
    if (kind == ROPEROT_SHARD_CONTIGUOUS) return (int32_t)(i * ranks / n);
    const int64_t chunk = i * 2 * ranks / n;
    return (int32_t)(chunk < ranks ? chunk : 2 * ranks - 1 - chunk);
}

static int64_t token[MOST], ids[4 * MOST];

static int64_t shard(const roperot_shard *s, int64_t axis_stride)
{
    int64_t count = -1, again = -1;
    CHECK(!roperot_shard_positions(s, 0, NULL, NULL, 0, &count), "%s", roperot_last_error());
    CHECK(!roperot_shard_positions(s, count, token, ids, axis_stride, &again), "%s", roperot_last_error());
    CHECK(count == again, "%lld tokens, then %lld", (long long)count, (long long)again);
    return count;
}

static void expect(const roperot_shard *s, int count, const int64_t *want_token, const int64_t *want_id)
{
    CHECK(shard(s, 0) == count, "not %d tokens", count);
    for (int k = 0; k < count; k++)
        CHECK(token[k] == want_token[k] && ids[k] == want_id[k], "token %d: %lld at %lld, not %lld at %lld", k,
              (long long)token[k], (long long)ids[k], (long long)want_token[k], (long long)want_id[k]);
}

/* Two sequences of four tokens on two ranks. Megatron-LM's table of the packed stream has the positions without starts
 * (its pull request 5243), its table of one sequence those with zeros. */
static void megatron(const void *arg)
{
    (void)arg;
    static const int32_t cu[3] = { 0, 4, 8 };
    static const int64_t starts[2] = { 100, 0 };
    roperot_shard s = ROPEROT_SHARD_INIT;
    s.kind = ROPEROT_SHARD_ZIGZAG;
    s.ranks = 2;
    s.cu_seqlens = cu;
    s.sequences = 2;
    expect(&s, 4, (const int64_t[]){ 0, 3, 4, 7 }, (const int64_t[]){ 0, 3, 4, 7 });
    static const int32_t zeros[2] = { 0 };
    s.starts = zeros;
    s.start_type = ROPEROT_POSITIONS_I32;
    expect(&s, 4, (const int64_t[]){ 0, 3, 4, 7 }, (const int64_t[]){ 0, 3, 0, 3 });
    s.start_type = ROPEROT_POSITIONS_I64;
    s.rank = 1;
    s.starts = starts;
    expect(&s, 4, (const int64_t[]){ 1, 2, 5, 6 }, (const int64_t[]){ 101, 102, 1, 2 });
    s.kind = ROPEROT_SHARD_CONTIGUOUS;
    expect(&s, 4, (const int64_t[]){ 2, 3, 6, 7 }, (const int64_t[]){ 102, 103, 2, 3 });
    static const int32_t odd[3] = { 0, 3, 8 };
    s.kind = ROPEROT_SHARD_ROUND_ROBIN;
    s.cu_seqlens = odd;
    expect(&s, 4, (const int64_t[]){ 1, 3, 5, 7 }, (const int64_t[]){ 101, 0, 2, 4 });
    roperot_shard one = ROPEROT_SHARD_INIT;
    one.kind = ROPEROT_SHARD_ZIGZAG;
    one.ranks = 2;
    one.tokens = 8;
    expect(&one, 4, (const int64_t[]){ 0, 1, 6, 7 }, (const int64_t[]){ 0, 1, 6, 7 });
}

/* Random ragged batches: every token has one rank, ranks keep the order, positions are those of the tokens. */
static void every_token_once(const void *arg)
{
    const int32_t kind = *(const int32_t *)arg;
    for (int round = 0; round < 300; round++) {
        const int32_t ranks = 1 + (int32_t)random_below(9), axes = 1 + (int32_t)random_below(4);
        const int32_t unit = kind == ROPEROT_SHARD_ROUND_ROBIN ? 1 : (kind + 1) * ranks, sequences = 1 + round % 7;
        int64_t cu[8] = { 0 }, starts[4 * 8], seen = 0;
        int32_t narrow[8] = { 0 };
        for (int s = 0; s < sequences; s++) {
            cu[s + 1] = cu[s] + (int64_t)unit * random_below(1 + 400 / (uint32_t)unit);
            narrow[s + 1] = (int32_t)cu[s + 1];
        }
        for (int i = 0; i < 4 * 8; i++) starts[i] = (int64_t)random_below(1u << 31) - (1 << 30);
        roperot_shard s = ROPEROT_SHARD_INIT;
        s.kind = kind;
        s.ranks = ranks;
        s.cu_type = 1 + round % 2;
        s.cu_seqlens = round % 2 ? (const void *)cu : (const void *)narrow;
        s.sequences = sequences;
        s.starts = round % 4 ? starts : NULL;
        s.axes = axes;
        s.start_axis_stride = round % 3 ? 8 : 0;
        s.tokens = round % 5 ? cu[sequences] : 0;
        for (s.rank = 0; s.rank < ranks; s.rank++) {
            const int64_t count = shard(&s, MOST);
            int64_t k = 0;
            for (int q = 0; q < sequences; q++)
                for (int64_t i = 0, n = cu[q + 1] - cu[q]; i < n; i++) {
                    if (owner(kind, cu[q] + i, i, n, ranks) != s.rank) continue;
                    CHECK(k < count && token[k] == cu[q] + i, "rank %d of %d misses token %lld", s.rank, ranks,
                          (long long)(cu[q] + i));
                    for (int32_t a = 0; a < axes; a++)
                        CHECK(ids[a * MOST + k] == (s.starts ? starts[a * s.start_axis_stride + q] : cu[q]) + i,
                              "axis %d: %lld", a, (long long)ids[a * MOST + k]);
                    k++;
                }
            CHECK(k == count, "rank %d of %d has %lld tokens too many", s.rank, ranks, (long long)(count - k));
            seen += count;
        }
        CHECK(seen == cu[sequences], "%lld tokens of %lld", (long long)seen, (long long)cu[sequences]);
    }
}

static void refuse(const roperot_shard *s, int64_t capacity, int32_t status, const char *text)
{
    int64_t count = -7, out[16];
    for (int i = 0; i < 16; i++) out[i] = -7;
    const int32_t got = roperot_shard_positions(s, capacity, out, out + 8, 2, &count);
    CHECK(got == status && strstr(roperot_last_error(), text), "%s: \"%s\" lacks \"%s\"", roperot_status_name(got),
          roperot_last_error(), text);
    for (int i = 0; i < 16; i++) CHECK(out[i] == -7, "element %d was written in spite of: %s", i, text);
    CHECK(count == -7 || strstr(text, "capacity"), "count was written in spite of: %s", text);
}

#define REFUSE(member, value, status, text)                                                                            \
    do {                                                                                                               \
        roperot_shard wrong = good;                                                                                    \
        wrong.member = value;                                                                                          \
        refuse(&wrong, 8, ROPEROT_ERROR_##status, text);                                                               \
    } while (0)

static void refuses(const void *arg)
{
    (void)arg;
    static const int64_t cu[3] = { 0, 4, 8 }, falling[3] = { 0, 8, 4 }, late[3] = { 1, 4, 8 }, odd[3] = { 0, 2, 8 };
    static const int64_t huge[2] = { 0, INT64_MAX - 3 };
    roperot_shard good = ROPEROT_SHARD_INIT;
    good.kind = ROPEROT_SHARD_ZIGZAG;
    good.ranks = 2;
    good.cu_seqlens = cu;
    good.cu_type = ROPEROT_POSITIONS_I64;
    good.sequences = 2;
    REFUSE(kind, 3, ARGUMENT, "shard.kind is 3; it must be 0 (contiguous), 1 (zig-zag) or 2");
    REFUSE(kind, -1, ARGUMENT, "shard.kind is -1;");
    REFUSE(ranks, 0, ARGUMENT, "shard.ranks is 0; it must be in 1..65536");
    REFUSE(rank, 2, ARGUMENT, "shard.rank is 2; it must be in 0..1 (ranks - 1)");
    REFUSE(rank, -1, ARGUMENT, "shard.rank is -1;");
    REFUSE(axes, 5, ARGUMENT, "shard.axes is 5;");
    REFUSE(tokens, -1, ARGUMENT, "shard.tokens is -1;");
    REFUSE(tokens, 9, SHAPE, "shard.tokens is 9; it must be 0 or what cu_seqlens ends at, 8");
    REFUSE(sequences, 0, ARGUMENT, "shard.sequences is 0;");
    REFUSE(cu_type, 3, ARGUMENT, "shard.cu_type is 3;");
    REFUSE(cu_seqlens, falling, ARGUMENT, "shard.cu_seqlens[2] is 4; it must be at least 8");
    REFUSE(cu_seqlens, late, ARGUMENT, "shard.cu_seqlens[0] is 1; it must be 0");
    REFUSE(cu_seqlens, odd, SHAPE, "sequence 0 has 2 tokens; ZIGZAG on 2 ranks needs a multiple of 4: pad it");
    REFUSE(cu_seqlens, (const char *)cu + 1, ARGUMENT, "alignment");
    REFUSE(starts, (const char *)cu + _Alignof(int64_t) / 2, ARGUMENT, "alignment");
    REFUSE(starts, huge, POSITION, "shard.starts of sequence 1 (axis 0) is 9223372036854775804; with 4 tokens");
    roperot_shard far = good;
    far.starts = huge;
    far.axes = 4;
    far.start_axis_stride = INT64_MAX / 2;
    refuse(&far, 8, ROPEROT_ERROR_SHAPE, "shard.starts has");
    far.start_type = 0;
    refuse(&far, 8, ROPEROT_ERROR_ARGUMENT, "shard.start_type is 0;");
    refuse(&good, 3, ROPEROT_ERROR_SHAPE, "capacity is 3; rank 0 of 2 holds 4 tokens");
    REFUSE(axes, 2, SHAPE, "axis_stride is 2; it must be at least the rank's 4 tokens");
    REFUSE(size, 8, VERSION, "shard.size is 8;");
    int64_t count = -1, out[8];
    good.axes = 4;
    CHECK(roperot_shard_positions(&good, 8, NULL, out, INT64_MAX / 3 + 1, &count) == ROPEROT_ERROR_SHAPE &&
              strstr(roperot_last_error(), "ids has 4 rows of 4 numbers, 3074457345618258603 apart;") && count == -1,
          "rows of ids beyond all memory: %s", roperot_last_error());
    CHECK(roperot_shard_positions(&good, 8, (int64_t *)(void *)((char *)out + _Alignof(int64_t) / 2), NULL, 4,
                                  &count) == ROPEROT_ERROR_ARGUMENT &&
              strstr(roperot_last_error(), "token is ") && count == -1,
          "an odd address: %s", roperot_last_error());
    CHECK(roperot_shard_positions(NULL, 0, NULL, NULL, 0, &count) == ROPEROT_ERROR_ARGUMENT, "no shard");
    CHECK(roperot_shard_positions(&good, 0, NULL, NULL, 0, NULL) == ROPEROT_ERROR_ARGUMENT, "no count");
}

/* As many sequences as there may be, and a list that only what its type needs aligns. */
static void takes(const void *arg)
{
    (void)arg;
    static const int64_t late[1] = { 1 };
    roperot_shard s = ROPEROT_SHARD_INIT;
    s.cu_type = ROPEROT_POSITIONS_I64;
    s.cu_seqlens = late;
    s.sequences = INT32_MAX;
    if (sizeof(void *) == 8) refuse(&s, 8, ROPEROT_ERROR_ARGUMENT, "shard.cu_seqlens[0] is 1;");
    _Alignas(16) char memory[32];
    static const int64_t ends[2] = { 0, 2 };
    s.cu_seqlens = memcpy(memory + _Alignof(int64_t), ends, sizeof ends);
    s.sequences = 1;
    expect(&s, 2, (const int64_t[]){ 0, 1 }, (const int64_t[]){ 0, 1 });
}

int main(int argc, char **argv)
{
    static const int32_t kinds[] = { ROPEROT_SHARD_CONTIGUOUS, ROPEROT_SHARD_ZIGZAG, ROPEROT_SHARD_ROUND_ROBIN };
    harness_add(megatron, NULL, "known answers");
    for (int k = 0; k < 3; k++) harness_add(every_token_once, &kinds[k], "every token once/%s", names[k]);
    harness_add(refuses, NULL, "refuses");
    harness_add(takes, NULL, "takes");
    return harness_run(argc, argv, "shard");
}
