/* SPDX-License-Identifier: MIT
 * What one job of roperot_run must do: the chain of its parts, one element at a time in literal f32 and double; it must
 * not share code with src/ or simd/. */
#ifndef ROPEROT_TESTS_REFERENCE_JOB_H
#define ROPEROT_TESTS_REFERENCE_JOB_H

#include <stdint.h>

#include <roperot/roperot.h>

#include "reference/apply.h"

/* Runs a job; call says how its rotation is done (ignored for an unrotated one). Views and pages are written. */
void reference_job(const reference_call *call, const roperot_job *job);

/* ---- its parts --------------------------------------------------------------------------------------------------- */

/* Sum of n terms in 16 lanes that fold to 8, 4, 2, 1. */
float reference_sum(const float *terms, int64_t n);

/* The norm of the `heads` heads of one token, in place; through: T. */
void reference_norm(const roperot_norm *norm, int through, float *x, int64_t heads, int64_t dim);

/* Codes by the nearest number of the format: saturating float8_e4m3fn, int8 in -127 .. 127. */
uint8_t reference_e4m3(float x);
float reference_e4m3_value(uint8_t code);
int8_t reference_i8(float x);
/* ggml's quantize_row_q8_0_ref, one block: 34 bytes of 32 values. */
void reference_q8_0(const float *x, unsigned char *block);

/* Address of a channel (q8_0: of the head's first block) in pages. */
unsigned char *reference_page_at(const roperot_pages *pages, int64_t dim, int64_t slot, int64_t head, int64_t channel);

#endif
