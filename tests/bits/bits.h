/* SPDX-License-Identifier: MIT
 * Numbers from integers, hashes of values and TAP lines, without libm; it must not know what roperot computes. */
#ifndef ROPEROT_TESTS_BITS_H
#define ROPEROT_TESTS_BITS_H

#include <stddef.h>
#include <stdint.h>

#include "support/formats.h"
#include "support/random.h"

/* These tests run where no test library exists, big-endian and 32-bit machines included: values are bit patterns in
 * uint32_t, and nothing depends on how an element lies in memory. */

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

/* An element of a tensor: mostly numbers near 1, sometimes any finite one, denormals, zeros, infinities and NaN. */
uint32_t bits_element(int32_t dtype, uint64_t *state);
/* An f32 in [-1, 1], sometimes 0, 1 or tiny: what a cos/sin table may hold. */
uint32_t bits_coefficient(uint64_t *state);

/* ---- hashes: FNV-1a, 64 bits ------------------------------------------------------------------------------------- */

#define BITS_HASH_START 0xcbf29ce484222325ull
/* The value's `bytes` bytes, least significant first on every machine. */
uint64_t bits_hash(uint64_t hash, uint64_t value, int bytes);
/* An element, every NaN the same. */
uint64_t bits_hash_element(uint64_t hash, int32_t dtype, uint32_t bits);

/* ---- TAP --------------------------------------------------------------------------------------------------------- */

void bits_plan(int points);
/* One test point; failed if `failures`. */
void bits_point(int failures, const char *format, ...) __attribute__((format(printf, 2, 3)));
void bits_skip(const char *what, const char *why);
/* A line that explains what comes next. */
void bits_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* What cannot be tested further: TAP's Bail out. */
_Noreturn void bits_bail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The exit status of main: 0 if no point failed. */
int bits_end(void);

#endif
