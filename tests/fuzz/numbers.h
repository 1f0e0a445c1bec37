/* SPDX-License-Identifier: MIT
 * f16 and bf16 in integers, written anew for the fuzzer's oracle; it must share no code with the library or with the
 * oracle of the other tests. */
#ifndef ROPEROT_FUZZ_NUMBERS_H
#define ROPEROT_FUZZ_NUMBERS_H

#include <stddef.h>
#include <stdint.h>

size_t number_bytes(int32_t dtype);
int number_is_nan(int32_t dtype, uint32_t bits);
uint32_t number_read(int32_t dtype, const void *at);
void number_write(int32_t dtype, void *at, uint32_t bits);
float number_widen(int32_t dtype, uint32_t bits);
/* Nearest, ties to even. */
uint32_t number_narrow(int32_t dtype, float value);

#endif
