/* SPDX-License-Identifier: MIT
 * Numbers from integers, hashes of values and TAP lines; it must not know what roperot computes. */
#include "bits.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* roperot.h numbers dtypes 1 f32, 2 f16, 3 bf16. */
static const uint32_t mantissa_bits[4] = { 0, 23, 10, 7 }, exponent_ones[4] = { 0, 255, 31, 255 },
                      sign_bit[4] = { 0, 31, 15, 15 };

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

uint64_t bits_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

uint64_t bits_stream(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t state = a;
    state = bits_random(&state) ^ b;
    state = bits_random(&state) ^ c;
    return bits_random(&state);
}

/* 0, the least denormal, the largest one, the least normal, 1, the largest finite, infinity, a NaN. */
static uint32_t special(int32_t dtype, uint32_t dice)
{
    const uint32_t unit = 1u << mantissa_bits[dtype], infinity = exponent_ones[dtype] * unit;
    const uint32_t list[8] = {
        0, 1, unit - 1, unit, exponent_ones[dtype] / 2 * unit, infinity - 1, infinity, infinity | unit >> 1
    };
    return list[dice % 8];
}

uint32_t bits_element(int32_t dtype, uint64_t *state)
{
    const uint64_t random = bits_random(state);
    const uint32_t dice = (uint32_t)(random >> 59), more = (uint32_t)(random >> 40) & 0xffff;
    const uint32_t sign = (uint32_t)(random >> 39 & 1) << sign_bit[dtype], ones = exponent_ones[dtype];
    const uint32_t mantissa = (uint32_t)random & ((1u << mantissa_bits[dtype]) - 1);
    if (dice == 0) return sign | special(dtype, more);
    if (dice < 4) return sign | mantissa;
    const uint32_t exponent = dice < 8 ? 1 + more % (ones - 1) : ones / 2 - 6 + more % 10;
    return sign | exponent << mantissa_bits[dtype] | mantissa;
}

uint32_t bits_coefficient(uint64_t *state)
{
    static const uint32_t rare[8] = {
        0, 0x3f800000u, 0x3f800000u, 1, 0x00800000u, 0x33000000u, 0x3f7fffffu, 0x007fffffu
    };
    const uint64_t random = bits_random(state);
    const uint32_t dice = (uint32_t)(random >> 58), sign = (uint32_t)(random >> 57 & 1) << 31;
    if (dice == 0) return sign | rare[random >> 40 & 7];
    return sign | (126u - dice % 8u * (dice > 31u)) << 23 | ((uint32_t)random & 0x7fffffu);
}

size_t bits_size(int32_t dtype)
{
    return dtype == 1 ? 4 : 2;
}

uint32_t bits_read(int32_t dtype, const void *p)
{
    uint32_t wide;
    uint16_t narrow;
    if (dtype == 1) return memcpy(&wide, p, sizeof wide), wide;
    return memcpy(&narrow, p, sizeof narrow), narrow;
}

void bits_write(int32_t dtype, void *p, uint32_t bits)
{
    const uint16_t narrow = (uint16_t)bits;
    if (dtype == 1)
        memcpy(p, &bits, sizeof bits);
    else
        memcpy(p, &narrow, sizeof narrow);
}

float bits_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- hashes ------------------------------------------------------------------------------------------------------ */

uint64_t bits_hash(uint64_t hash, uint64_t value, int bytes)
{
    for (; bytes > 0; bytes--, value >>= 8) hash = (hash ^ (value & 0xff)) * 0x100000001b3ull;
    return hash;
}

uint64_t bits_hash_element(uint64_t hash, int32_t dtype, uint32_t bits)
{
    const uint32_t infinity = exponent_ones[dtype] << mantissa_bits[dtype];
    if ((bits & ((1u << sign_bit[dtype]) - 1)) > infinity) bits = infinity | 1u << (mantissa_bits[dtype] - 1);
    return bits_hash(hash, bits, (int)bits_size(dtype));
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
