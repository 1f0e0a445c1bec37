/* SPDX-License-Identifier: MIT
 * Pseudo-random numbers from integers alone, the same on every machine; it must not know what they are for. */
#ifndef ROPEROT_TESTS_RANDOM_H
#define ROPEROT_TESTS_RANDOM_H

#include <stdint.h>

/* SplitMix64 (Steele, Lea, Flood 2014): the next number of the stream whose state is *state. */
uint64_t random_next(uint64_t *state);
/* The state of a stream that depends on every one of the numbers. */
uint64_t random_stream(uint64_t a, uint64_t b, uint64_t c);

#endif
