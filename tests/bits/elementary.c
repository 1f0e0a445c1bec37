/* SPDX-License-Identifier: MIT
 * sincos, exp, log and pow as built in: SLEEF's bits where SLEEF is, and near libm everywhere; it must not know
 * how they are computed.
 *
 *     test_elementary               some 200000 arguments per function
 *     test_elementary -n <count>    that many: the claim is made for 10^8
 *
 * TAP, one point per function. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bits.h"
#include "elementary.h"
#include "vec_scalar.h"

enum { MOST_NOTES = 5 };

typedef struct result {
    double first, second; /* sin and cos; else the same twice */
} result;

/* One function: ours, SLEEF's, libm's, and arguments of the range that it is made for. */
typedef struct function {
    const char *name;
    result (*own)(double x, double y);
    result (*sleef)(double x, double y);
    result (*libm)(double x, double y);
    void (*arguments)(uint64_t *stream, double *x, double *y);
} function;

static result both(double value)
{
    return (result){ value, value };
}

static result own_sincos(double x, double y)
{
    result r;
    (void)y;
    f64x1_sincos_fixed(x, &r.first, &r.second);
    return r;
}

static result own_exp(double x, double y) { (void)y; return both(roperot_exp(x)); }
static result own_log(double x, double y) { (void)y; return both(roperot_log(x)); }
static result own_pow(double x, double y) { return both(roperot_pow(x, y)); }

static result libm_sincos(double x, double y) { (void)y; return (result){ sin(x), cos(x) }; }
static result libm_exp(double x, double y) { (void)y; return both(exp(x)); }
static result libm_log(double x, double y) { (void)y; return both(log(x)); }
static result libm_pow(double x, double y) { return both(pow(x, y)); }

#if ROPEROT_HAVE_SLEEF
static result sleef_sincos(double x, double y)
{
    (void)y;
    const Sleef_double_2 r = Sleef_cinz_sincosd1_u10purec(x);
    return (result){ r.x, r.y };
}

static result sleef_exp(double x, double y) { (void)y; return both(Sleef_cinz_expd1_u10purec(x)); }
static result sleef_log(double x, double y) { (void)y; return both(Sleef_cinz_logd1_u10purec(x)); }
static result sleef_pow(double x, double y) { return both(Sleef_cinz_powd1_u10purec(x, y)); }
#else
#define sleef_sincos NULL
#define sleef_exp    NULL
#define sleef_log    NULL
#define sleef_pow    NULL
#endif

/* ---- arguments --------------------------------------------------------------------------------------------------- */

/* In [0, 1). */
static double unit(uint64_t *stream)
{
    return (double)(random_next(stream) >> 11) * 0x1p-53;
}

static double between(double low, double high, uint64_t *stream)
{
    return low + (high - low) * unit(stream);
}

/* Any bit pattern: NaN (quiet ones), infinities and subnormals come, too. */
static double any(uint64_t *stream)
{
    static const double special[] = { 0.0, 1.0, 2.0, 0.5, 0x1p-1074, 0x1p-1022, 0x1.fffffffffffffp-1023,
                                      0x1.fffffffffffffp1023, (double)INFINITY, (double)NAN, 709.78271114955743,
                                      709.782711149558, 745.2, 1000.0, 1000.0000000000001, 1e300 };
    const uint64_t random = random_next(stream);
    if (random % 64 == 0) return special[random >> 8 & 15] * (random & 64 ? 1.0 : -1.0);
    const double x = double_of_bits(random_next(stream));
    return isnan(x) ? (double)NAN : x;
}

static double one_of_kinds(uint64_t kind, double low, double high, uint64_t *stream)
{
    return kind ? between(low, high, stream) : any(stream);
}

static void sincos_arguments(uint64_t *stream, double *x, double *y)
{
    const uint64_t kind = random_next(stream) % 8;
    *x = between(-15.0, 15.0, stream);
    if (kind < 3) *x = between(-3.15, 3.15, stream);
    else if (kind == 3) *x = ldexp(*x, -(int)(random_next(stream) % 1078));
    else if (kind == 4)
        *x = 0x1.921fb54442d18p-1 * (double)(int)(random_next(stream) % 19 - 9) + between(-1e-9, 1e-9, stream);
    *y = 0.0;
}

static void exp_arguments(uint64_t *stream, double *x, double *y)
{
    const uint64_t kind = random_next(stream) % 4;
    *x = one_of_kinds(kind, kind > 1 ? -40.0 : -1100.0, kind > 1 ? 40.0 : 1100.0, stream);
    *y = 0.0;
}

static void log_arguments(uint64_t *stream, double *x, double *y)
{
    const uint64_t kind = random_next(stream) % 4;
    *x = one_of_kinds(kind, 0.0, kind > 1 ? 2.0 : 1e6, stream);
    *y = 0.0;
}

/* A fifth each: powers of [1/2, 1) and of 2 to exponents in (-1, 0], which is what frequencies are made of; scalings of
 * bases; exponents so near to 0 that the logarithm's last bits count; anything. */
static void pow_arguments(uint64_t *stream, double *x, double *y)
{
    const uint64_t kind = random_next(stream) % 5;
    *x = kind == 4   ? fabs(any(stream))
         : kind == 1 ? 2.0
         : kind == 2 ? between(1.0, 1e6, stream)
                     : between(0.5, 1.0, stream);
    *y = kind == 4 ? any(stream) : kind == 2 ? between(0.0, 4.0, stream) : kind == 3 ? between(-1e3, 1e3, stream)
                                                                       : between(-1.0, 0.0, stream);
}

static const function functions[] = {
    { "sincos", own_sincos, sleef_sincos, libm_sincos, sincos_arguments },
    { "exp", own_exp, sleef_exp, libm_exp, exp_arguments },
    { "log", own_log, sleef_log, libm_log, log_arguments },
    { "pow", own_pow, sleef_pow, libm_pow, pow_arguments },
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

/* ---- judging ----------------------------------------------------------------------------------------------------- */

static int same(double a, double b)
{
    return (isnan(a) && isnan(b)) || bits_of_double(a) == bits_of_double(b);
}

/* Within 2 representable numbers: each of the two is within 1 of the truth. A NaN is near to NaN only. */
static int near(double a, double b)
{
    if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
    const int64_t p = (int64_t)bits_of_double(a), q = (int64_t)bits_of_double(b);
    return (p < 0) == (q < 0) ? llabs(p - q) <= 2 : a == b;
}

/* MinGW's sin and cos reduce by 66 bits of pi: near their zeros few of their digits are right. */
static int is_reduced_badly(const function *f, double own, double libm)
{
#if defined _WIN32
    return f == functions && fabs(own - libm) < 0x1p-60;
#else
    return (void)f, (void)own, (void)libm, 0;
#endif
}

/* exp and pow are infinite from 1.8e-6 below the largest logarithm. */
static int overflows_early(double own, double libm)
{
    return isinf(own) && libm > 0x1.ffffcp1023;
}

static int is_far_from(const function *f, double own, double libm)
{
    return !near(own, libm) && !overflows_early(own, libm) && !is_reduced_badly(f, own, libm);
}

static void judge(const function *f, long count)
{
    uint64_t stream = random_stream(21, (uint64_t)(f - functions), 0);
    long other_bits = 0, far = 0;
    for (long i = 0; i < count; i++) {
        double x, y;
        f->arguments(&stream, &x, &y);
        const result own = f->own(x, y), libm = f->libm(x, y), sleef = f->sleef ? f->sleef(x, y) : own;
        const int differs = !same(own.first, sleef.first) || !same(own.second, sleef.second);
        const int is_far = is_far_from(f, own.first, libm.first) || is_far_from(f, own.second, libm.second);
        if ((differs && other_bits < MOST_NOTES) || (is_far && far < MOST_NOTES))
            bits_note("%s(%a, %a): %a, %a; SLEEF %a, %a; libm %a, %a", f->name, x, y, own.first, own.second,
                      sleef.first, sleef.second, libm.first, libm.second);
        other_bits += differs;
        far += is_far;
    }
    bits_point(other_bits || far, "%s: %ld arguments, %ld more than 2 ULP from libm, %ld not SLEEF's bits%s", f->name,
               count, far, other_bits, f->sleef ? "" : " (no SLEEF here to ask)");
}

int main(int argc, char **argv)
{
    long count = 200000;
    for (int option; (option = getopt(argc, argv, "n:")) != -1;) {
        if (option != 'n' || (count = atol(optarg)) <= 0) return 2;
    }
    bits_plan(FUNCTIONS);
    for (int i = 0; i < FUNCTIONS; i++) judge(&functions[i], count);
    return bits_end();
}
