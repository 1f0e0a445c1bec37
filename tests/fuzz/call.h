/* SPDX-License-Identifier: MIT
 * One call of the library made from a fuzzer's bytes: plan, positions and views on one arena; it must not know what the
 * call gives. */
#ifndef ROPEROT_FUZZ_CALL_H
#define ROPEROT_FUZZ_CALL_H

#include <stdint.h>

#include <roperot/roperot.h>

#include "fuzz/input.h"

enum { CALL_TENSORS = 3, CALL_PAIRS = 40, CALL_AXES = 4, CALL_ARENA = 6000 };

typedef struct call {
    roperot_config config;
    double inv_freq[CALL_PAIRS];
    uint8_t axis[CALL_PAIRS];
    roperot_table table;
    void *table_memory;

    roperot_positions at;
    void *ids, *cu;

    int64_t batch, tokens;
    int32_t count;
    int in_place; /* dst is NULL */
    roperot_tensor src[CALL_TENSORS], dst[CALL_TENSORS];
    roperot_options options;
    unsigned char *arena; /* of CALL_ARENA bytes, exactly: what reads or writes beside it is caught */
} call;

int32_t call_pairs(const call *c);

/* The plan's half; 0 if the input asks for what would only take time and memory. */
int call_decode_plan(call *c, input *in);
/* The rest; 0 if some view or list would be accepted although it reaches outside the memory that it was given. */
int call_decode_apply(call *c, input *in);
void call_free(call *c);

#endif
