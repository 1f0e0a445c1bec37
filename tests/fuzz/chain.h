/* SPDX-License-Identifier: MIT
 * What a line of a job must give, as the header words norm, rotation, factor and stores; it must share no code with the
 * library or with the reference of the other tests. */
#ifndef ROPEROT_FUZZ_CHAIN_H
#define ROPEROT_FUZZ_CHAIN_H

#include "fuzz/coefficients.h"
#include "fuzz/jobs.h"

/* Copies of the arena: as it was, and as it must be. kind: 0, or at the first byte of an expected NaN its dtype. */
typedef struct image {
    const call *c;
    const unsigned char *before;
    unsigned char *expected, *kind;
} image;

int64_t chain_slot(const roperot_pages *p, int64_t b, int64_t t);

/* Line (b, t) of one job, with the coefficients of that token if it is rotated. */
void chain_line(const image *m, const roperot_job *job, coefficients *k, int64_t b, int64_t t);

#endif
