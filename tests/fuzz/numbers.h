/* SPDX-License-Identifier: MIT
 * Float formats and codes in integers, written anew for the fuzzer's oracle; it must share no code with the library or
 * with the oracle of the other tests. */
#ifndef ROPEROT_FUZZ_NUMBERS_H
#define ROPEROT_FUZZ_NUMBERS_H

#include <stddef.h>
#include <stdint.h>

/* One that has elements: not Q8_0. */
int number_is_dtype(int32_t dtype);
size_t number_bytes(int32_t dtype);
int number_is_nan(int32_t dtype, uint32_t bits);
uint32_t number_read(int32_t dtype, const void *at);
void number_write(int32_t dtype, void *at, uint32_t bits);
float number_widen(int32_t dtype, uint32_t bits);
/* Nearest, ties to even. */
uint32_t number_narrow(int32_t dtype, float value);

/* E4M3 to nearest even, saturating, NaN 0x7f; int8 to nearest even, NaN 0; codes of Q8_0 half away from zero. */
float number_from_e4m3(uint8_t code);
uint8_t number_to_e4m3(float value);
int8_t number_to_i8(float value);
int8_t number_to_q8_0(float value);

#endif
