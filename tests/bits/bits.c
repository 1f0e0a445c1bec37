/* SPDX-License-Identifier: MIT
 * Numbers from integers, hashes of values and TAP lines; it must not know what roperot computes. */
#include "bits.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

uint32_t bits_element(int32_t dtype, uint64_t *state)
{
    const uint64_t random = random_next(state);
    const uint32_t dice = (uint32_t)(random >> 59), more = (uint32_t)(random >> 40) & 0xffff;
    const uint32_t sign = random >> 39 & 1 ? format_sign(dtype) : 0, bias = (uint32_t)format_bias(dtype);
    const uint32_t mantissa = (uint32_t)random & ((1u << formats[dtype].mantissa_bits) - 1);
    if (dice == 0) return sign | format_special(dtype, more);
    if (dice < 4) return sign | mantissa;
    const uint32_t exponent = dice < 8 ? 1 + more % (2 * bias) : bias - 6 + more % 10;
    return sign | exponent << formats[dtype].mantissa_bits | mantissa;
}

uint32_t bits_coefficient(uint64_t *state)
{
    static const uint32_t rare[8] = {
        0, 0x3f800000u, 0x3f800000u, 1, 0x00800000u, 0x33000000u, 0x3f7fffffu, 0x007fffffu
    };
    const uint64_t random = random_next(state);
    const uint32_t dice = (uint32_t)(random >> 58), sign = (uint32_t)(random >> 57 & 1) << 31;
    if (dice == 0) return sign | rare[random >> 40 & 7];
    return sign | (126u - dice % 8u * (dice > 31u)) << 23 | ((uint32_t)random & 0x7fffffu);
}

/* ---- hashes ------------------------------------------------------------------------------------------------------ */

uint64_t bits_hash(uint64_t hash, uint64_t value, int bytes)
{
    for (; bytes > 0; bytes--, value >>= 8) hash = (hash ^ (value & 0xff)) * 0x100000001b3ull;
    return hash;
}

uint64_t bits_hash_element(uint64_t hash, int32_t dtype, uint32_t bits)
{
    if (format_is_nan(dtype, bits)) bits = format_special(dtype, FORMAT_SPECIALS - 1);
    return bits_hash(hash, bits, (int)format_bytes(dtype));
}

/* ---- TAP --------------------------------------------------------------------------------------------------------- */

static int points, failed;

void bits_plan(int count)
{
    printf("1..%d\n", count);
}

void bits_point(int failures, const char *format, ...)
{
    va_list rest;
    va_start(rest, format);
    printf("%s %d - ", failures ? "not ok" : "ok", ++points);
    vprintf(format, rest);
    printf("\n");
    fflush(stdout);
    va_end(rest);
    failed += failures != 0;
}

void bits_skip(const char *what, const char *why)
{
    printf("ok %d - %s # SKIP %s\n", ++points, what, why);
    fflush(stdout);
}

void bits_note(const char *format, ...)
{
    va_list rest;
    va_start(rest, format);
    printf("# ");
    vprintf(format, rest);
    printf("\n");
    va_end(rest);
}

void bits_bail(const char *format, ...)
{
    va_list rest;
    va_start(rest, format);
    printf("Bail out! ");
    vprintf(format, rest);
    printf("\n");
    va_end(rest);
    exit(99);
}

int bits_end(void)
{
    return failed != 0;
}
