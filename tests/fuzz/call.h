/* SPDX-License-Identifier: MIT
 * One call of the library made from a fuzzer's bytes: plan, positions and views on one arena; it must not know what the
 * call gives. */
#ifndef ROPEROT_FUZZ_CALL_H
#define ROPEROT_FUZZ_CALL_H

#include <stdint.h>

#include <roperot/roperot.h>

#include "fuzz/input.h"

enum { CALL_TENSORS = 3, CALL_PAIRS = 360, CALL_AXES = 4, CALL_ARENA = 6000 };
enum { CALL_USUAL_DIM = 87, CALL_LONG_DIM = 719 }; /* of heads, at most */

typedef struct call {
    roperot_config config;
    double inv_freq[CALL_AXES * CALL_PAIRS];
    uint8_t axis[CALL_PAIRS];
    roperot_table table;
    void *table_memory;
    int mixed, per_head, kept; /* what the input asks for: MIXED frequencies, a table with rows per head, a scratch */
    unsigned char *scratch_memory, *scratch;
    int64_t scratch_bytes;

    roperot_positions at;
    void *ids, *cu;

    int64_t batch, tokens;
    int32_t count;
    int in_place; /* dst is NULL */
    roperot_tensor src[CALL_TENSORS], dst[CALL_TENSORS];
    roperot_options options;
    unsigned char *arena; /* of arena_bytes, exactly: what reads or writes beside it is caught */
    int64_t arena_bytes, dim; /* dim: of the next view */
} call;

int32_t call_pairs(const call *c);
int call_is_mixed(const call *c);

/* The plan's half; 0 if the input asks for what would only take time and memory. */
int call_decode_plan(call *c, input *in, int64_t most_dim);
void call_decode_positions(call *c, input *in); /* for batch and tokens */
void call_decode_options(call *c, input *in);
/* A scratch for the plan, or nearly one, if the input asks for it; it stays from call to call. */
void call_decode_scratch(call *c, const roperot_plan *plan, input *in);
int call_scratch_is_whole(const call *c); /* nothing was written around it */
/* Heads of a view: a table's own number mostly. */
int64_t call_decode_heads(const call *c, input *in);
/* A view in the arena; 0 if it would be accepted although it does not fit. `like`: a neighbour of that one, or NULL. */
int call_decode_view(const call *c, roperot_tensor *v, const roperot_tensor *like, input *in);
/* Bytes from any seed. */
void *call_filled(size_t bytes, input *in);
/* The rest of a call of roperot_apply; 0 if some view or list would be accepted although it reaches outside the memory
 * that it was given. */
int call_decode_apply(call *c, input *in);
void call_free(call *c);

#endif
