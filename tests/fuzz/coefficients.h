/* SPDX-License-Identifier: MIT
 * Cosines and sines of a token, as the header words positions, and the rotation of a pair; it must share no code with
 * the library or with the reference of the other tests. */
#ifndef ROPEROT_FUZZ_COEFFICIENTS_H
#define ROPEROT_FUZZ_COEFFICIENTS_H

#include "fuzz/call.h"

typedef struct coefficients {
    const call *c;
    roperot_plan *plan; /* scalar kernels, one axis unless frequencies are mixed; NULL: the table itself */
    int64_t last;       /* largest position */
    float factor;
    int left_alone;        /* of the token that was asked for last */
    int64_t row[CALL_AXES]; /* a table's row of each axis, and whether it is turned back */
    int turned[CALL_AXES];
    float cosine[CALL_PAIRS], sine[CALL_PAIRS];
} coefficients;

coefficients coefficients_open(const call *c);
void coefficients_close(const coefficients *k);

/* Those of token (b, t); 0 if the call should have been refused for it. */
int coefficients_token(coefficients *k, int64_t b, int64_t t);

/* Those of one of its heads, where a table has rows of its own for each; else nothing changes. */
void coefficients_head(coefficients *k, int64_t h);

/* Pair j turned in f32; or, eagerly, with everything rounded to a dtype of 16 bits: the pair, both coefficients, each
 * product and the sum. */
void coefficients_turn(const coefficients *k, int32_t j, const float x[2], float y[2]);
void coefficients_turn_eagerly(const coefficients *k, int32_t dtype, int32_t j, const float x[2], float y[2]);

#endif
