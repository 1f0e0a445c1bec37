/* SPDX-License-Identifier: MIT
 * roperot_frequencies against MPFR and against each source's formula in long double; it shares no code with src/. */
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <roperot/roperot.h>

#include "reference/oracle.h"
#include "support/harness.h"

#if defined __SSE2__
#include <xmmintrin.h>
#endif

enum { MOST_PAIRS = 32768 };

#if UINTPTR_MAX == UINT64_MAX
_Static_assert(sizeof(roperot_scaling) == 160 && offsetof(roperot_scaling, frequency_index) == 144, "ABI");
_Static_assert(offsetof(roperot_scaling, attention_factor) == 16 && offsetof(roperot_scaling, length) == 32, "ABI");
_Static_assert(offsetof(roperot_scaling, mscale) == 56 && offsetof(roperot_scaling, freq_scale) == 88, "ABI");
_Static_assert(offsetof(roperot_scaling, mixed_b) == 112 && offsetof(roperot_scaling, factors) == 128, "ABI");
_Static_assert(offsetof(roperot_scaling, factor_count) == 136 && offsetof(roperot_scaling, truncate) == 140, "ABI");
#endif

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

typedef struct result {
    double frequency[MOST_PAIRS], attention_factor;
} result;

static result got, want;

static roperot_scaling scaling_of(int32_t kind)
{
    roperot_scaling scaling = ROPEROT_SCALING_INIT;
    scaling.kind = kind;
    return scaling;
}

static void run(const roperot_scaling *scaling, int32_t dim, double base, result *to)
{
    const int32_t status = roperot_frequencies(scaling, dim, base, to->frequency, dim / 2, &to->attention_factor);
    CHECK(status == ROPEROT_OK, "kind %d, dim %d, base %g: %s", scaling ? (int)scaling->kind : -1, (int)dim, base,
          roperot_last_error());
}

static void check_same_bits(int32_t pairs, const char *what)
{
    for (int32_t j = 0; j < pairs; j++)
        CHECK(memcmp(&got.frequency[j], &want.frequency[j], sizeof(double)) == 0, "%s: pair %d is %a, not %a", what,
              (int)j, got.frequency[j], want.frequency[j]);
}

static void rotate_trial_close(double x, long double exact, double relative, const char *what, int32_t j)
{
    const long double error = fabsl(x - exact);
    CHECK(error <= relative * fabsl(exact), "%s: pair %d is %.17g, not %.20Lg", what, (int)j, x, exact);
}

static double log_uniform(double low, double high)
{
    return exp(random_between(log(low), log(high)));
}

static int32_t random_dim(void)
{
    static const int32_t dims[] = { 2, 4, 6, 24, 32, 64, 80, 96, 128, 192, 256, 512 };
    return random_below(2) ? dims[random_below(sizeof dims / sizeof *dims)] : 2 * (1 + (int32_t)random_below(300));
}

/* ---- the default rule: the double nearest to base^(-2j/d) -------------------------------------------------------- */

static const double bases[] = { 1e4, 5e5, 1e6, 1e7, 5e6, 8e6, 1.5e5, 25000, 100, 10001, 2, 4, 1.5, 1, 0.5, 1e-3, 1e-20,
                                1e300, DBL_MAX, 1e-300, DBL_MIN, 1e-310 };

static void default_is_nearest(const void *arg)
{
    const int32_t dim = *(const int32_t *)arg, pairs = dim / 2;
    for (size_t b = 0; b < sizeof bases / sizeof *bases; b++) {
        if (bases[b] < DBL_MIN && dim > 258) continue; /* the last pairs overflow, which is refused */
        const int emulated = harness_quick() > 1;
        if (dim > 1000 && (b < 17 || emulated) && b % 3 != (size_t)dim / 2 % 3) continue; /* a third of them: time */
        run(NULL, dim, bases[b], &got);
        CHECK(got.attention_factor == 1.0, "the attention factor is %g", got.attention_factor);
        const int32_t step = emulated ? 997 : harness_quick() ? 97 : pairs > 512 ? 41 : 1;
        for (int32_t j = 0; j < pairs; j += j < 8 || j > pairs - 8 ? 1 : step) {
            const double nearest = oracle_inv_freq(bases[b], j, dim);
            CHECK(got.frequency[j] == nearest, "base %g, dim %d, pair %d: %a, not %a", bases[b], (int)dim, (int)j,
                  got.frequency[j], nearest);
        }
    }
}

static void default_is_nearest_for_random_bases(const void *arg)
{
    (void)arg;
    const int rounds = harness_quick() ? 20 : 300;
    for (int i = 0; i < rounds; i++) {
        const double base = log_uniform(1.01, 1e12);
        const int32_t dim = 2 * (1 + (int32_t)random_below(i % 10 ? 256 : MOST_PAIRS));
        run(NULL, dim, base, &got);
        for (int k = 0; k < 64; k++) {
            const int32_t j = (int32_t)random_below((uint32_t)dim / 2);
            const double nearest = oracle_inv_freq(base, j, dim);
            CHECK(got.frequency[j] == nearest, "base %a, dim %d, pair %d: %a, not %a", base, (int)dim, (int)j,
                  got.frequency[j], nearest);
        }
    }
}

static void default_has_three_spellings(const void *arg)
{
    (void)arg;
    const roperot_scaling scaling = scaling_of(ROPEROT_SCALING_DEFAULT);
    run(NULL, 128, 5e5, &want);
    run(&scaling, 128, 5e5, &got);
    check_same_bits(64, "DEFAULT and NULL");
    CHECK(roperot_frequencies(NULL, 128, 5e5, got.frequency, 64, NULL) == ROPEROT_OK, "%s", roperot_last_error());
    check_same_bits(64, "without an attention factor");
}

/* ---- every rule against its source's formula --------------------------------------------------------------------- */

/* Symbols as in the public header. */
typedef struct formula {
    const roperot_scaling *s;
    long double d, b;
} formula;

static int32_t exponent(const formula *f, int32_t j)
{
    return f->s->frequency_index ? f->s->frequency_index[j] : j;
}

static long double w0(const formula *f, int32_t j)
{
    return powl(f->b, -2.0L * exponent(f, j) / f->d);
}

static long double exact_linear(const formula *f, int32_t j)
{
    return w0(f, j) / f->s->factor;
}

static long double power_of_stretched(const formula *f, long double stretch, int32_t j)
{
    if (f->d == 2) return w0(f, j);
    return powl(f->b * powl(stretch, f->d / (f->d - 2)), -2.0L * exponent(f, j) / f->d);
}

static long double exact_ntk(const formula *f, int32_t j)
{
    return power_of_stretched(f, f->s->factor, j);
}

static long double exact_dynamic(const formula *f, int32_t j)
{
    const long double l0 = f->s->original_length, l = fmaxl(f->s->length, l0);
    return power_of_stretched(f, f->s->factor * l / l0 - (f->s->factor - 1.0L), j);
}

static long double exact_ntk_fixed(const formula *f, int32_t j)
{
    return powl(f->b * f->s->factor, -2.0L * exponent(f, j) / f->d) / powl(f->s->factor, 2.0L / f->d);
}

static long double exact_ntk_mixed(const formula *f, int32_t j)
{
    const long double a = logl(f->s->factor) / powl(f->d / 2, f->s->mixed_b);
    return w0(f, j) * expl(-a * powl(j + 1, f->s->mixed_b));
}

static long double yarn_pair(const formula *f, long double turns)
{
    const long double pi = acosl(-1.0L);
    return f->d * logl(f->s->original_length / (turns * 2 * pi)) / (2 * logl(f->b));
}

/* The share of pair j that is extrapolated. A ramp that floors or ceils a number within 1e-9 of an integer could go
 * either way; no random parameter comes that near. */
static long double yarn_share(const formula *f, int32_t j, int truncate, int ggml)
{
    long double low = yarn_pair(f, f->s->beta_fast), high = yarn_pair(f, f->s->beta_slow);
    if (truncate) low = floorl(low), high = ceill(high);
    low = fmaxl(low, 0), high = fminl(high, f->d - 1);
    const long double width = ggml ? fmaxl(0.001, high - low) : high == low ? 0.001 : high - low;
    return (1 - fminl(1, fmaxl(0, (j - low) / width))) * f->s->ext_factor;
}

static long double exact_yarn(const formula *f, int32_t j)
{
    const long double e = yarn_share(f, j, f->s->truncate, 0);
    return w0(f, j) / f->s->factor * (1 - e) + w0(f, j) * e;
}

static long double exact_yarn_ggml(const formula *f, int32_t j)
{
    const long double e = f->s->ext_factor != 0 ? yarn_share(f, j, 1, 1) : 0;
    const long double w = f->s->factors ? w0(f, j) / f->s->factors[j] : w0(f, j);
    return f->s->freq_scale * w * (1 - e) + w * e;
}

static long double exact_llama3(const formula *f, int32_t j)
{
    const long double w = w0(f, j), turns = f->s->original_length * w / (2 * acosl(-1.0L));
    const long double lo = f->s->low_freq_factor, hi = f->s->high_freq_factor;
    if (turns > hi) return w;
    if (turns < lo) return w / f->s->factor;
    const long double t = lo == hi ? 1 : (turns - lo) / (hi - lo);
    return (1 - t) * w / f->s->factor + t * w;
}

static long double exact_longrope(const formula *f, int32_t j)
{
    return w0(f, j) / f->s->factors[j];
}

static long double exact_factors(const formula *f, int32_t j)
{
    return w0(f, j) / (f->s->factor * (long double)f->s->factors[j]);
}

static long double exact_proportional(const formula *f, int32_t j)
{
    return j < floorl(f->s->partial_rotary_factor * f->d / 2) ? w0(f, j) / f->s->factor : 0;
}

static long double exact_raw(const formula *f, int32_t j)
{
    return f->s->factors[j];
}

static long double exact_periods(const formula *f, int32_t j)
{
    return isinf(f->s->factors[j]) ? 0 : 1.0L / f->s->factors[j];
}

/* amplification: how many times the rounding errors of a rule can grow. Bases are raised to a power near d/2 times the
 * logarithm of the stretch; a share e with an error moves w by the ratio of its two ends, the factor. */
static const struct rule {
    int32_t kind;
    const char *name;
    long double (*exact)(const formula *f, int32_t j);
    double amplification;
} rules[] = {
    { ROPEROT_SCALING_LINEAR, "linear", exact_linear, 1 },
    { ROPEROT_SCALING_NTK, "ntk", exact_ntk, 8 },
    { ROPEROT_SCALING_NTK_FIXED, "ntk_fixed", exact_ntk_fixed, 4 },
    { ROPEROT_SCALING_NTK_MIXED, "ntk_mixed", exact_ntk_mixed, 8 },
    { ROPEROT_SCALING_DYNAMIC_NTK, "dynamic_ntk", exact_dynamic, 8 },
    { ROPEROT_SCALING_YARN, "yarn", exact_yarn, 100 },
    { ROPEROT_SCALING_YARN_GGML, "yarn_ggml", exact_yarn_ggml, 100 },
    { ROPEROT_SCALING_LLAMA3, "llama3", exact_llama3, 100 },
    { ROPEROT_SCALING_LONGROPE, "longrope", exact_longrope, 1 },
    { ROPEROT_SCALING_PROPORTIONAL, "proportional", exact_proportional, 1 },
    { ROPEROT_SCALING_FACTORS, "factors", exact_factors, 2 },
    { ROPEROT_SCALING_RAW, "raw", exact_raw, 0 },
    { ROPEROT_SCALING_PERIODS, "periods", exact_periods, 1 },
};

static double list[MOST_PAIRS];
static int32_t exponents[MOST_PAIRS];

static roperot_scaling random_scaling(int32_t kind, int32_t pairs)
{
    roperot_scaling s = scaling_of(kind);
    s.factor = log_uniform(1, 64);
    s.freq_scale = 1.0 / log_uniform(1, 64);
    s.original_length = 2 << random_below(15);
    s.length = (int64_t)log_uniform(1, 4e6);
    s.beta_fast = log_uniform(8, 64);
    s.beta_slow = log_uniform(0.25, 4);
    s.truncate = (int32_t)random_below(2);
    s.ext_factor = random_below(2) ? 1.0 : random_between(0, 1);
    s.low_freq_factor = random_between(0.5, 2);
    s.high_freq_factor = random_below(8) ? random_between(2, 8) : s.low_freq_factor;
    s.mixed_b = random_between(0.3, 1);
    s.partial_rotary_factor = random_below(3) ? 0.25 * (1 + random_below(4)) : random_between(0.01, 1);
    for (int32_t j = 0; j < pairs; j++) list[j] = log_uniform(0.5, 100);
    if (kind == ROPEROT_SCALING_RAW) list[0] = -2.5, list[pairs - 1] = 0.0;
    if (kind == ROPEROT_SCALING_PERIODS) list[0] = -0.25, list[pairs - 1] = INFINITY;
    const int optional = kind == ROPEROT_SCALING_YARN_GGML && random_below(2);
    s.factors = optional ? NULL : list;
    s.factor_count = optional ? 0 : pairs;
    if (kind == ROPEROT_SCALING_YARN_GGML && !random_below(4)) s.original_length = 0;
    return s;
}

/* Another denominator, and exponents that restart, repeat and reach it. */
static void give_exponents(roperot_scaling *s, int32_t pairs)
{
    s->exponent_dim = 2 * ((pairs + 1) / 2 + (int32_t)random_below(20));
    if (random_below(4) == 0) return;
    for (int32_t j = 0; j < pairs; j++) exponents[j] = (int32_t)random_below((uint32_t)s->exponent_dim);
    s->frequency_index = exponents;
    s->frequency_count = pairs;
}

static void rule_is_its_formula(const void *arg)
{
    const struct rule *const rule = arg;
    const int rounds = harness_quick() ? 20 : 400;
    for (int i = 0; i < rounds; i++) {
        const int32_t dim = random_dim();
        const double base = log_uniform(50, 1e8);
        roperot_scaling s = random_scaling(rule->kind, dim / 2);
        if (i % 2) give_exponents(&s, dim / 2);
        const formula f = { &s, s.exponent_dim ? s.exponent_dim : dim, base };
        run(&s, dim, base, &got);
        for (int32_t j = 0; j < dim / 2; j++)
            rotate_trial_close(got.frequency[j], rule->exact(&f, j), rule->amplification * 4 * 0x1p-53, rule->name, j);
    }
}

/* Qwen2-VL's vision tower by one call is what it is by frequencies of half the width that are then picked. */
static void frequency_index_picks(const void *arg)
{
    (void)arg;
    const int32_t pairs = 40;
    roperot_sections halves = ROPEROT_SECTIONS_INIT;
    halves.kind = ROPEROT_SECTIONS_AXIAL;
    halves.count = 2;
    halves.section[0] = halves.section[1] = pairs / 2;
    uint8_t axis[40];
    CHECK(!roperot_axis_map(&halves, pairs, axis, exponents), "%s", roperot_last_error());
    run(NULL, pairs, 1e4, &got);
    for (int32_t j = 0; j < pairs; j++) want.frequency[j] = got.frequency[exponents[j]];
    roperot_scaling s = scaling_of(ROPEROT_SCALING_DEFAULT);
    s.frequency_index = exponents;
    s.frequency_count = pairs;
    s.exponent_dim = pairs;
    run(&s, 2 * pairs, 1e4, &got);
    check_same_bits(pairs, "axial");
}

/* Structs that were compiled before frequency_index existed end where it begins. */
static void takes_the_first_size(const void *arg)
{
    (void)arg;
    struct {
        roperot_scaling known;
    } s = { scaling_of(ROPEROT_SCALING_LINEAR) };
    s.known.factor = 3.0;
    run(&s.known, 64, 1e4, &want);
    s.known.size = offsetof(roperot_scaling, frequency_index);
    memset((char *)&s.known + s.known.size, 0x55, sizeof s.known - s.known.size); /* somebody else's bytes */
    run(&s.known, 64, 1e4, &got);
    check_same_bits(32, "the first size");
}

/* ---- attention factors ------------------------------------------------------------------------------------------- */

static double attention(const roperot_scaling *scaling, double base)
{
    run(scaling, 4, base, &got);
    return got.attention_factor;
}

/* A = 0.1 ln f + 1; the numbers are those of transformers for f = 4 (Qwen2.5) and 32 (gpt-oss). */
static void yarn_attention_factor(const void *arg)
{
    (void)arg;
    roperot_scaling s = scaling_of(ROPEROT_SCALING_YARN);
    s.original_length = 4096;
    rotate_trial_close(attention(&s, 1e4), 1.0L, 0, "factor 1", 0);
    s.factor = 0.5;
    rotate_trial_close(attention(&s, 1e4), 1.0L, 0, "factor below 1", 0);
    s.factor = 4;
    rotate_trial_close(attention(&s, 1e4), 1.138629436111989L, 4e-16, "factor 4", 0);
    s.factor = 32;
    rotate_trial_close(attention(&s, 1e4), 1.3465735902799727L, 4e-16, "factor 32", 0);
    s.mscale = 0.707;
    rotate_trial_close(attention(&s, 1e4), 1.3465735902799727L, 4e-16, "mscale alone", 0);
    s.mscale_all_dim = 0.5;
    const long double g = 0.1L * logl(32);
    rotate_trial_close(attention(&s, 1e4), (0.707L * g + 1) / (0.5L * g + 1), 8e-16, "both mscales", 0);
    s.attn_factor = 1.25;
    rotate_trial_close(attention(&s, 1e4), 1.25L * (0.707L * g + 1) / (0.5L * g + 1), 8e-16, "attn_factor", 0);
    s.attention_factor = 1.5;
    rotate_trial_close(attention(&s, 1e4), 1.5L, 0, "explicit", 0);
}

/* llama.cpp divides what ggml multiplies out of attn_factor: the net is transformers' A. */
static void ggml_attention_factor(const void *arg)
{
    (void)arg;
    roperot_scaling s = scaling_of(ROPEROT_SCALING_YARN_GGML);
    s.original_length = 4096;
    s.freq_scale = 0.25;
    rotate_trial_close(attention(&s, 1e4), 1.0L + 0.1L * logl(4), 4e-16, "ext_factor 1", 0);
    s.attn_factor = 1 / (1 + 0.1 * log(4));
    rotate_trial_close(attention(&s, 1e4), 1.0L, 4e-16, "compensated", 0);
    s.ext_factor = 0;
    s.original_length = 0;
    rotate_trial_close(attention(&s, 1e4), s.attn_factor, 0, "ext_factor 0", 0);
}

static void longrope_attention_factor(const void *arg)
{
    (void)arg;
    static const double ones[2] = { 1, 1 };
    roperot_scaling s = scaling_of(ROPEROT_SCALING_LONGROPE);
    s.factors = ones;
    s.factor_count = 2;
    rotate_trial_close(attention(&s, 1e4), 1.0L, 0, "factor 1, no L0", 0);
    s.factor = 32;
    s.original_length = 4096;
    rotate_trial_close(attention(&s, 1e4), 1.1902380714238083L, 4e-16, "Phi-3.5", 0);
    s.attention_factor = 1.25;
    s.original_length = 0;
    rotate_trial_close(attention(&s, 1e4), 1.25L, 0, "explicit, no L0", 0);
}

static void explicit_attention_factor(const void *arg)
{
    const struct rule *const rule = arg;
    roperot_scaling s = random_scaling(rule->kind, 2);
    s.attention_factor = 0.875;
    CHECK(attention(&s, 1e4) == 0.875, "%s: the attention factor is %g", rule->name, got.attention_factor);
}

/* ---- relations between rules: what a formula copied wrongly on both sides would still break ---------------------- */

static void neutral_parameters_are_the_default(const void *arg)
{
    (void)arg;
    static const int32_t kinds[] = { ROPEROT_SCALING_LINEAR, ROPEROT_SCALING_NTK, ROPEROT_SCALING_NTK_FIXED,
                                     ROPEROT_SCALING_NTK_MIXED, ROPEROT_SCALING_DYNAMIC_NTK, ROPEROT_SCALING_YARN_GGML,
                                     ROPEROT_SCALING_LLAMA3, ROPEROT_SCALING_LONGROPE, ROPEROT_SCALING_PROPORTIONAL,
                                     ROPEROT_SCALING_FACTORS };
    run(NULL, 128, 5e5, &want);
    for (int32_t j = 0; j < 64; j++) list[j] = 1.0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        roperot_scaling s = scaling_of(kinds[i]);
        s.original_length = 8192;
        s.length = 8192;
        s.factors = list;
        s.factor_count = 64;
        s.ext_factor = 0;
        run(&s, 128, 5e5, &got);
        char what[32];
        snprintf(what, sizeof what, "kind %d", (int)kinds[i]);
        if (kinds[i] != ROPEROT_SCALING_LLAMA3) check_same_bits(64, what);
        for (int32_t j = 0; j < 64; j++) rotate_trial_close(got.frequency[j], want.frequency[j], 0x1p-51, what, j);
        CHECK(got.attention_factor == 1.0, "%s: the attention factor is %g", what, got.attention_factor);
    }
}

/* The point of every NTK variant: the slowest pair is interpolated by exactly f. */
static void ntk_divides_the_slowest_pair(const void *arg)
{
    (void)arg;
    for (int32_t kind = ROPEROT_SCALING_NTK; kind <= ROPEROT_SCALING_NTK_MIXED; kind++)
        for (int32_t dim = 4; dim <= 256; dim += 2) {
            roperot_scaling s = scaling_of(kind);
            s.factor = 8;
            run(NULL, dim, 1e4, &want);
            run(&s, dim, 1e4, &got);
            const int32_t last = dim / 2 - 1;
            rotate_trial_close(got.frequency[last], want.frequency[last] / 8, 64 * 0x1p-53, "slowest pair", last);
        }
}

static void dynamic_ntk_depends_on_length(const void *arg)
{
    (void)arg;
    roperot_scaling s = scaling_of(ROPEROT_SCALING_DYNAMIC_NTK);
    s.factor = 2;
    s.original_length = 4096;
    run(NULL, 128, 1e4, &want);
    for (s.length = 1; s.length <= 4096; s.length += 1365) {
        run(&s, 128, 1e4, &got);
        check_same_bits(64, "up to L0");
    }
    s.length = 4097;
    run(&s, 128, 1e4, &got);
    CHECK(got.frequency[63] < want.frequency[63], "beyond L0 the slowest pair stays at %g", got.frequency[63]);
}

/* ggml with freq_scale = 1/f, a power of two, is transformers with truncation: same ramp, same ends. */
static void ggml_agrees_with_truncated_yarn(const void *arg)
{
    (void)arg;
    for (double factor = 2; factor <= 64; factor *= 2) {
        roperot_scaling yarn = scaling_of(ROPEROT_SCALING_YARN), ggml = scaling_of(ROPEROT_SCALING_YARN_GGML);
        yarn.original_length = ggml.original_length = 4096;
        yarn.factor = factor;
        ggml.freq_scale = 1 / factor;
        run(&yarn, 128, 1e6, &want);
        run(&ggml, 128, 1e6, &got);
        check_same_bits(64, "ggml and truncated YaRN");
        yarn.truncate = 0;
        run(&yarn, 128, 1e6, &got);
        CHECK(memcmp(got.frequency, want.frequency, 64 * sizeof(double)) != 0, "truncate changes nothing");
    }
}

/* llama.cpp bakes llama3 into rope_freqs.weight = w0 / w. */
static void baked_factors_reproduce_llama3(const void *arg)
{
    (void)arg;
    roperot_scaling llama3 = scaling_of(ROPEROT_SCALING_LLAMA3), baked = scaling_of(ROPEROT_SCALING_FACTORS);
    llama3.factor = 8;
    llama3.original_length = 8192;
    run(NULL, 128, 5e5, &got);
    run(&llama3, 128, 5e5, &want);
    for (int32_t j = 0; j < 64; j++) list[j] = got.frequency[j] / want.frequency[j];
    baked.factors = list;
    baked.factor_count = 64;
    run(&baked, 128, 5e5, &got);
    for (int32_t j = 0; j < 64; j++) rotate_trial_close(got.frequency[j], want.frequency[j], 2 * 0x1p-52, "baked", j);
    CHECK(list[0] == 1.0 && list[63] == 8.0, "the ends of rope_freqs are %g and %g", list[0], list[63]);
}

/* Equal ends are pulled 0.001 pairs apart: pair 10, put half of that above them, gets half a share. */
static void yarn_with_equal_ends(const void *arg)
{
    (void)arg;
    const double pi = acos(-1.0), at = 10 - 0.0005;
    roperot_scaling s = scaling_of(ROPEROT_SCALING_YARN);
    s.factor = 4;
    s.original_length = 4096;
    s.beta_fast = s.beta_slow = 4096 / (2 * pi) * exp(-at * 2 * log(1e4) / 64);
    s.truncate = 0;
    run(&s, 64, 1e4, &got);
    run(NULL, 64, 1e4, &want);
    for (int32_t j = 0; j < 32; j++) {
        const double share = j < 10 ? 1 : j > 10 ? 0.25 : 0.625;
        rotate_trial_close(got.frequency[j], want.frequency[j] * share, 1e-9, "equal ends", j);
    }
}

/* Llama 4 Scout: both factors are 1. A pair exactly on the only limit keeps its frequency (transformers: 0/0). */
static void llama3_without_a_band(const void *arg)
{
    (void)arg;
    const double wavelength = 2 * acos(-1.0);
    roperot_scaling s = scaling_of(ROPEROT_SCALING_LLAMA3);
    s.factor = 16;
    double l0 = 1;
    while (l0 / (l0 / wavelength) != wavelength) l0++;
    s.original_length = (int64_t)l0;
    s.low_freq_factor = s.high_freq_factor = l0 / wavelength;
    run(NULL, 4, 1e4, &want);
    run(&s, 4, 1e4, &got);
    CHECK(got.frequency[0] == 1.0, "the pair on the limit is %g", got.frequency[0]);
    CHECK(got.frequency[1] == want.frequency[1] / 16, "the pair beyond it is %g", got.frequency[1]);
}

static void one_pair(const void *arg)
{
    const struct rule *const rule = arg;
    const roperot_scaling s = random_scaling(rule->kind, 1);
    run(&s, 2, 1e4, &got);
    CHECK(isfinite(got.frequency[0]), "%s of one pair is %g", rule->name, got.frequency[0]);
}

/* A list may be turned into frequencies where it is. */
static void works_in_place(const void *arg)
{
    const struct rule *const rule = arg;
    roperot_scaling s = random_scaling(rule->kind, 40);
    s.original_length = 4096;
    if (!s.factors) s.factors = list, s.factor_count = 40;
    run(&s, 80, 1e4, &want);
    memcpy(got.frequency, list, sizeof list);
    s.factors = got.frequency;
    run(&s, 80, 1e4, &got);
    check_same_bits(40, rule->name);
}

/* ---- the caller's floating-point environment --------------------------------------------------------------------- */

typedef struct environment {
    int rounding;
    unsigned int flush; /* x86: FTZ 0x8000 and DAZ 0x40; AArch64: any of them is FZ */
} environment;

static unsigned int control(void)
{
#if defined __SSE2__
    return _mm_getcsr();
#elif defined __aarch64__
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return (unsigned int)fpcr;
#else
    return (unsigned int)fegetround();
#endif
}

static void set_flush(unsigned int bits)
{
#if defined __SSE2__
    _mm_setcsr((_mm_getcsr() & ~0x8040u) | bits);
#elif defined __aarch64__
    const uint64_t fpcr = (control() & ~(1u << 24)) | (bits ? 1u << 24 : 0);
    __asm__ volatile("msr fpcr, %0" : : "r"(fpcr) : "memory");
#else
    (void)bits;
#endif
}

/* DBL_MAX at 65536 dims reaches subnormal frequencies, 1e-310 starts from a subnormal base. */
static void ignores_the_environment(const void *arg)
{
    const environment *const e = arg;
    const double hard[] = { 1e4, DBL_MAX, 1e-310 };
    roperot_scaling s = scaling_of(ROPEROT_SCALING_YARN);
    s.factor = 3;
    s.original_length = 4096;
    for (int i = 0; i < 4; i++) {
        const roperot_scaling *const scaling = i < 3 ? NULL : &s;
        const double base = hard[i % 3];
        const int32_t dim = i < 2 && harness_quick() < 2 ? 65536 : 128;
        run(scaling, dim, base, &want);
        fesetround(e->rounding);
        set_flush(e->flush);
        const unsigned int before = control();
        const int32_t status = roperot_frequencies(scaling, dim, base, got.frequency, dim / 2, &got.attention_factor);
        const unsigned int after = control();
        fesetround(FE_TONEAREST);
        set_flush(0);
        CHECK(status == ROPEROT_OK, "%s", roperot_last_error());
        CHECK(before == after, "the control register was %#x and is %#x", before, after);
        check_same_bits(dim / 2, "another environment");
        CHECK(got.attention_factor == want.attention_factor, "the attention factor differs");
    }
}

/* ---- the same bits on every machine ------------------------------------------------------------------------------ */

static uint64_t hash_of(uint64_t hash, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    for (int i = 0; i < 64; i += 8) hash = (hash ^ (bits >> i & 255)) * 1099511628211u; /* FNV-1a */
    return hash;
}

/* Computed on x86-64; gcc and clang, -O1 to -O3, with and without FMA, and AArch64 agree. */
static void has_the_same_bits_everywhere(const void *arg)
{
    (void)arg;
    const int emulated = harness_quick() > 1;
    uint64_t hash = 14695981039346656037u;
    for (int32_t j = 0; j < MOST_PAIRS; j++) list[j] = 1 + 0.375 * j;
    for (int32_t kind = 0; kind <= ROPEROT_SCALING_PERIODS; kind++)
        for (int32_t dim = 2; dim <= 512; dim += emulated ? 30 : 6)
            for (size_t b = 0; b < 10; b += 1 + (size_t)emulated) {
                roperot_scaling s = scaling_of(kind);
                s.factor = 3.7;
                s.freq_scale = 0.27;
                s.original_length = 4096;
                s.length = 70001;
                s.factors = list;
                s.factor_count = dim / 2;
                s.partial_rotary_factor = 0.3;
                s.truncate = b % 2;
                s.mscale = 0.7;
                s.mscale_all_dim = 0.3;
                run(&s, dim, bases[b], &got);
                for (int32_t j = 0; j < dim / 2; j++) hash = hash_of(hash, got.frequency[j]);
                hash = hash_of(hash, got.attention_factor);
            }
    CHECK(hash == (emulated ? 0x9ea36d745462f567u : 0xde668e2c7ac68214u), "the hash is %#llx",
          (unsigned long long)hash);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static const double two[2] = { 1.0, 2.0 };

/* One wrong thing: into which member, what, and the words that must come back. kind -1: scaling is NULL. */
typedef struct refusal {
    int32_t kind;
    size_t offset;
    double number;
    const char *text;
} refusal;

#define MEMBER(kind, member, number, text) { ROPEROT_SCALING_##kind, offsetof(roperot_scaling, member), number, text }

static const refusal numbers[] = {
    MEMBER(LINEAR, factor, 0.0, "scaling.factor is 0; it must be finite and > 0"),
    MEMBER(LINEAR, factor, -2.0, "scaling.factor is -2;"),
    MEMBER(LINEAR, factor, NAN, "scaling.factor is nan;"),
    MEMBER(NTK, factor, INFINITY, "scaling.factor is inf;"),
    MEMBER(NTK_FIXED, factor, 0.0, "scaling.factor is 0;"),
    MEMBER(NTK_MIXED, mixed_b, 0.0, "scaling.mixed_b is 0; it must be finite and > 0"),
    MEMBER(DYNAMIC_NTK, factor, -1.0, "scaling.factor is -1;"),
    MEMBER(YARN, factor, 0.0, "scaling.factor is 0;"),
    MEMBER(YARN, beta_fast, 0.0, "scaling.beta_fast is 0;"),
    MEMBER(YARN, beta_slow, -1.0, "scaling.beta_slow is -1;"),
    MEMBER(YARN, mscale, -0.5, "scaling.mscale is -0.5; it must be finite and >= 0"),
    MEMBER(YARN, mscale_all_dim, INFINITY, "scaling.mscale_all_dim is inf;"),
    MEMBER(YARN, ext_factor, NAN, "scaling.ext_factor is nan; it must be finite"),
    MEMBER(YARN, attn_factor, 0.0, "scaling.attn_factor is 0;"),
    MEMBER(YARN, attention_factor, -1.0, "scaling.attention_factor is -1; it must be finite and > 0, or 0 for"),
    MEMBER(DEFAULT, attention_factor, NAN, "scaling.attention_factor is nan;"),
    MEMBER(YARN_GGML, freq_scale, 0.0, "scaling.freq_scale is 0;"),
    MEMBER(YARN_GGML, freq_scale, 1e300, "the attention factor of YARN_GGML would be -"),
    MEMBER(LLAMA3, factor, 0.0, "scaling.factor is 0;"),
    MEMBER(LLAMA3, low_freq_factor, 0.0, "scaling.low_freq_factor is 0; it must be finite and > 0"),
    MEMBER(LLAMA3, high_freq_factor, 0.5, "scaling.low_freq_factor is 1; it must be <= high_freq_factor = 0.5"),
    MEMBER(LONGROPE, factor, 0.0, "scaling.factor is 0;"),
    MEMBER(PROPORTIONAL, partial_rotary_factor, 0.0, "scaling.partial_rotary_factor is 0; it must be > 0 and <= 1"),
    MEMBER(PROPORTIONAL, partial_rotary_factor, 1.5, "scaling.partial_rotary_factor is 1.5;"),
    MEMBER(PROPORTIONAL, partial_rotary_factor, NAN, "scaling.partial_rotary_factor is nan;"),
    MEMBER(FACTORS, factor, 0.0, "scaling.factor is 0;"),
};

static void expect(int32_t status, int32_t wanted, const char *text)
{
    CHECK(status == wanted, "%s, not %s: %s", roperot_status_name(status), roperot_status_name(wanted),
          roperot_last_error());
    CHECK(strstr(roperot_last_error(), text), "the sentence is \"%s\" and lacks \"%s\"", roperot_last_error(), text);
}

/* Runs a call that must fail, and checks that it wrote nothing. */
static void refuse(const roperot_scaling *scaling, int32_t dim, double base, int32_t pairs, int32_t status,
                   const char *text)
{
    double frequency[4] = { 7, 7, 7, 7 }, a = 7;
    expect(roperot_frequencies(scaling, dim, base, frequency, pairs, &a), status, text);
    CHECK(frequency[0] == 7 && frequency[1] == 7 && frequency[2] == 7 && frequency[3] == 7 && a == 7,
          "written in spite of: %s", text);
}

static roperot_scaling valid(int32_t kind)
{
    roperot_scaling s = scaling_of(kind);
    s.original_length = 4096;
    s.length = 4096;
    s.factors = two;
    s.factor_count = 2;
    return s;
}

static void refuses_numbers(const void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        roperot_scaling s = valid(numbers[i].kind);
        run(&s, 4, 1e4, &got);
        memcpy((char *)&s + numbers[i].offset, &numbers[i].number, sizeof(double));
        refuse(&s, 4, 1e4, 2, ROPEROT_ERROR_ARGUMENT, numbers[i].text);
    }
}

static void refuses_geometry(const void *arg)
{
    (void)arg;
    refuse(NULL, 0, 1e4, 0, ROPEROT_ERROR_ARGUMENT, "rotary_dim is 0; it must be even, 2..65536");
    refuse(NULL, -4, 1e4, -2, ROPEROT_ERROR_ARGUMENT, "rotary_dim is -4;");
    refuse(NULL, 7, 1e4, 3, ROPEROT_ERROR_ARGUMENT, "rotary_dim is 7;");
    refuse(NULL, 65538, 1e4, 32769, ROPEROT_ERROR_ARGUMENT, "rotary_dim is 65538;");
    refuse(NULL, 4, 1e4, 4, ROPEROT_ERROR_ARGUMENT, "pairs is 4; it must be rotary_dim / 2 = 2");
    refuse(NULL, 4, 0.0, 2, ROPEROT_ERROR_ARGUMENT, "base is 0; it must be finite and > 0");
    refuse(NULL, 4, -1e4, 2, ROPEROT_ERROR_ARGUMENT, "base is -10000;");
    refuse(NULL, 4, INFINITY, 2, ROPEROT_ERROR_ARGUMENT, "base is inf;");
    refuse(NULL, 4, NAN, 2, ROPEROT_ERROR_ARGUMENT, "base is nan;");
    expect(roperot_frequencies(NULL, 4, 1e4, NULL, 2, NULL), ROPEROT_ERROR_ARGUMENT, "inv_freq is NULL");
    const roperot_scaling yarn = valid(ROPEROT_SCALING_YARN), ggml = valid(ROPEROT_SCALING_YARN_GGML);
    refuse(&yarn, 4, 1.0, 2, ROPEROT_ERROR_ARGUMENT, "base is 1; YaRN divides by its logarithm");
    refuse(&ggml, 4, 1.0, 2, ROPEROT_ERROR_ARGUMENT, "base is 1; YaRN divides by its logarithm");
}

/* 5e-324^(-2j/d) overflows in the last pairs only: the first ones must not be written either. */
static void refuses_overflow(const void *arg)
{
    (void)arg;
    for (int32_t j = 0; j < MOST_PAIRS; j++) got.frequency[j] = 7;
    expect(roperot_frequencies(NULL, 65536, 5e-324, got.frequency, MOST_PAIRS, NULL), ROPEROT_ERROR_ARGUMENT,
           "base is 4.94066e-324; DEFAULT would give pair ");
    for (int32_t j = 0; j < MOST_PAIRS; j++) CHECK(got.frequency[j] == 7, "pair %d was written", (int)j);
    roperot_scaling s = valid(ROPEROT_SCALING_NTK);
    s.factor = 1e300;
    refuse(&s, 4, 1e300, 2, ROPEROT_ERROR_ARGUMENT, "scaling.factor is 1e+300; NTK would make the base inf");
}

static void refuses_lengths(const void *arg)
{
    (void)arg;
    static const int32_t kinds[] = { ROPEROT_SCALING_DYNAMIC_NTK, ROPEROT_SCALING_YARN, ROPEROT_SCALING_YARN_GGML,
                                     ROPEROT_SCALING_LLAMA3 };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        roperot_scaling s = valid(kinds[i]);
        s.original_length = 0;
        if (kinds[i] != ROPEROT_SCALING_YARN_GGML)
            refuse(&s, 4, 1e4, 2, ROPEROT_ERROR_ARGUMENT, "scaling.original_length is 0; it must be >= 1 positions");
        s.original_length = -5;
        refuse(&s, 4, 1e4, 2, ROPEROT_ERROR_ARGUMENT, "scaling.original_length is -5;");
    }
    roperot_scaling s = valid(ROPEROT_SCALING_LONGROPE);
    s.factor = 4;
    s.original_length = 1;
    refuse(&s, 4, 1e4, 2, ROPEROT_ERROR_ARGUMENT, "scaling.original_length is 1; it must be >= 2 positions");
    s = valid(ROPEROT_SCALING_DYNAMIC_NTK);
    s.length = 0;
    refuse(&s, 4, 1e4, 2, ROPEROT_ERROR_ARGUMENT, "scaling.length is 0; it must be >= 1 position");
    s = valid(ROPEROT_SCALING_YARN);
    s.truncate = 2;
    refuse(&s, 4, 1e4, 2, ROPEROT_ERROR_ARGUMENT, "scaling.truncate is 2; it must be 0 or 1");
}

static void refuses_list(int32_t kind, double value, const char *text)
{
    const double values[2] = { 1.0, value };
    roperot_scaling s = valid(kind);
    s.factors = values;
    refuse(&s, 4, 1e4, 2, ROPEROT_ERROR_ARGUMENT, text);
}

static void refuses_lists(const void *arg)
{
    (void)arg;
    static const int32_t kinds[] = { ROPEROT_SCALING_LONGROPE, ROPEROT_SCALING_FACTORS, ROPEROT_SCALING_RAW,
                                     ROPEROT_SCALING_PERIODS, ROPEROT_SCALING_YARN_GGML };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        roperot_scaling s = valid(kinds[i]);
        s.factor_count = 3;
        refuse(&s, 4, 1e4, 2, ROPEROT_ERROR_ARGUMENT, "factor_count is 3; it must be 2, which is rotary_dim / 2");
        s.factors = NULL;
        refuse(&s, 4, 1e4, 2, ROPEROT_ERROR_ARGUMENT, kinds[i] == ROPEROT_SCALING_YARN_GGML
               ? "scaling.factor_count is 3; it must be 0, because factors is NULL"
               : "scaling.factors is NULL; it must hold rotary_dim / 2 = 2 values");
    }
    refuses_list(ROPEROT_SCALING_LONGROPE, 0.0, "scaling.factors[1] is 0; it must be finite and > 0");
    refuses_list(ROPEROT_SCALING_FACTORS, -1.0, "scaling.factors[1] is -1; it must be finite and > 0");
    refuses_list(ROPEROT_SCALING_YARN_GGML, INFINITY, "scaling.factors[1] is inf; it must be finite and > 0");
    refuses_list(ROPEROT_SCALING_RAW, NAN, "scaling.factors[1] is nan; it must be finite");
    refuses_list(ROPEROT_SCALING_RAW, INFINITY, "scaling.factors[1] is inf; it must be finite");
    refuses_list(ROPEROT_SCALING_PERIODS, 0.0, "scaling.factors[1] is 0; it must be neither 0 nor NaN");
    refuses_list(ROPEROT_SCALING_PERIODS, NAN, "scaling.factors[1] is nan; it must be neither 0 nor NaN");
    refuses_list(ROPEROT_SCALING_PERIODS, 5e-324, "PERIODS would give pair 1 the frequency inf, which must be finite");
}

static void refuses_exponents(const void *arg)
{
    (void)arg;
    static const int32_t good[2] = { 0, 3 }, beyond[2] = { 0, 4 }, below[2] = { -1, 0 };
    roperot_scaling s = valid(ROPEROT_SCALING_DEFAULT);
    s.exponent_dim = 4;
    s.frequency_index = good;
    s.frequency_count = 2;
    run(&s, 4, 1e4, &got);
    s.frequency_index = beyond;
    refuse(&s, 4, 1e4, 2, ROPEROT_ERROR_ARGUMENT, "scaling.frequency_index[1] is 4; it must be in 0..3");
    s.frequency_index = below;
    refuse(&s, 4, 1e4, 2, ROPEROT_ERROR_ARGUMENT, "scaling.frequency_index[0] is -1; it must be in 0..3");
    s.frequency_count = 1;
    refuse(&s, 4, 1e4, 2, ROPEROT_ERROR_ARGUMENT, "frequency_count is 1; it must be 2, which is rotary_dim / 2");
    s.frequency_index = NULL;
    refuse(&s, 4, 1e4, 2, ROPEROT_ERROR_ARGUMENT,
           "frequency_count is 1; it must be 0, because frequency_index is NULL");
    s.frequency_count = 0;
    for (int i = 0; i < 4; i++) {
        static const int32_t dims[4] = { -2, 1, 3, 65538 };
        s.exponent_dim = dims[i];
        refuse(&s, 4, 1e4, 2, ROPEROT_ERROR_ARGUMENT, "it must be even, 2..65536, or 0 for rotary_dim");
    }
    s.exponent_dim = 2;
    refuse(&s, 8, 1e4, 4, ROPEROT_ERROR_ARGUMENT, "scaling.exponent_dim is 2; for 4 pairs without frequency_index");
}

static void refuses_versions(const void *arg)
{
    (void)arg;
    struct {
        roperot_scaling known;
        uint64_t tail[2];
    } s = { valid(ROPEROT_SCALING_DEFAULT), { 0, 0 } };
    s.known.kind = -1;
    refuse(&s.known, 4, 1e4, 2, ROPEROT_ERROR_ARGUMENT, "scaling.kind is -1; it must be a roperot_scaling_kind, 0..13");
    s.known.kind = ROPEROT_SCALING_PERIODS + 1;
    refuse(&s.known, 4, 1e4, 2, ROPEROT_ERROR_ARGUMENT, "scaling.kind is 14;");
    s.known.kind = ROPEROT_SCALING_DEFAULT;
    s.known.size = 8;
    refuse(&s.known, 4, 1e4, 2, ROPEROT_ERROR_VERSION, "scaling.size is 8;");
    s.known.size = sizeof s;
    run(&s.known, 4, 1e4, &got);
    s.tail[1] = 1;
    refuse(&s.known, 4, 1e4, 2, ROPEROT_ERROR_VERSION, "scaling.size is ");
}

int main(int argc, char **argv)
{
    static const int32_t dims[] = { 2, 4, 6, 10, 64, 80, 96, 128, 256, 258, 1000, 65536, 65522, 65534 };
    static const environment environments[] = { { FE_UPWARD, 0x8040 }, { FE_TOWARDZERO, 0x40 },
                                                { FE_DOWNWARD, 0x8000 } };
    for (size_t i = 0; i < sizeof dims / sizeof *dims - (harness_quick() > 1 ? 3 : 0); i++)
        harness_add(default_is_nearest, &dims[i], "default is nearest/%d", (int)dims[i]);
    harness_add(default_is_nearest_for_random_bases, NULL, "default is nearest/random");
    harness_add(default_has_three_spellings, NULL, "default has three spellings");
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        harness_add(rule_is_its_formula, &rules[i], "formula/%s", rules[i].name);
        harness_add(explicit_attention_factor, &rules[i], "explicit attention factor/%s", rules[i].name);
        harness_add(one_pair, &rules[i], "one pair/%s", rules[i].name);
        harness_add(works_in_place, &rules[i], "in place/%s", rules[i].name);
    }
    harness_add(yarn_attention_factor, NULL, "attention factor/yarn");
    harness_add(ggml_attention_factor, NULL, "attention factor/yarn_ggml");
    harness_add(longrope_attention_factor, NULL, "attention factor/longrope");
    harness_add(neutral_parameters_are_the_default, NULL, "neutral parameters are the default");
    harness_add(ntk_divides_the_slowest_pair, NULL, "ntk divides the slowest pair");
    harness_add(dynamic_ntk_depends_on_length, NULL, "dynamic ntk depends on length");
    harness_add(ggml_agrees_with_truncated_yarn, NULL, "ggml agrees with truncated yarn");
    harness_add(baked_factors_reproduce_llama3, NULL, "baked factors reproduce llama3");
    harness_add(yarn_with_equal_ends, NULL, "yarn with equal ends");
    harness_add(llama3_without_a_band, NULL, "llama3 without a band");
    for (size_t i = 0; i < sizeof environments / sizeof *environments; i++)
        harness_add(ignores_the_environment, &environments[i], "environment/%zu", i);
    harness_add(has_the_same_bits_everywhere, NULL, "same bits everywhere");
    harness_add(refuses_numbers, NULL, "refuses numbers");
    harness_add(refuses_geometry, NULL, "refuses geometry");
    harness_add(refuses_overflow, NULL, "refuses overflow");
    harness_add(refuses_lengths, NULL, "refuses lengths");
    harness_add(refuses_lists, NULL, "refuses lists");
    harness_add(refuses_exponents, NULL, "refuses exponents");
    harness_add(frequency_index_picks, NULL, "frequency_index picks");
    harness_add(takes_the_first_size, NULL, "takes the first size");
    harness_add(refuses_versions, NULL, "refuses versions");
    return harness_run(argc, argv, "frequencies");
}
