/* SPDX-License-Identifier: MIT
 * The float formats as bit patterns, without libm: sizes, fields, special values, elements in memory; it must not know
 * how values are rounded (reference/oracle.h does). */
#ifndef ROPEROT_TESTS_FORMATS_H
#define ROPEROT_TESTS_FORMATS_H

#include <stddef.h>
#include <stdint.h>

/* Bits are in the low end of a uint32_t, and nothing depends on how an element lies in memory: these files also run on
 * big-endian machines and where no test library exists. */
typedef struct float_format {
    size_t bytes;
    int mantissa_bits, exponent_bits; /* stored ones; the top exponent holds infinity and NaN */
} float_format;

/* Indexed by the public enum, the dtypes of tensors; entry 0 is no format. */
extern const float_format formats[];

size_t format_bytes(int dtype);
const char *format_name(int dtype); /* of pages, too */

uint32_t format_sign(int dtype);     /* the sign bit */
uint32_t format_infinity(int dtype); /* +infinity: every exponent bit */
int format_bias(int dtype);          /* the exponent field of 1 */

/* 0, the least denormal, the largest one, the least normal, 1, the largest finite, infinity, a NaN. */
enum { FORMAT_SPECIALS = 8 };
uint32_t format_special(int dtype, uint32_t which);

int format_is_nan(int dtype, uint32_t bits);
/* Equal bits, or both NaN. */
int format_same(int dtype, uint32_t a, uint32_t b);

uint32_t format_load(int dtype, const void *address);
void format_store(int dtype, void *address, uint32_t bits);

float format_float(uint32_t bits); /* f32 */
uint32_t format_bits(float value);

#endif
