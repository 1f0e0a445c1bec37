/* SPDX-License-Identifier: MIT
 * roperot_frequencies: checks a scaling, runs its rule, stores the result; it must not know any formula. */
#include "frequencies.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "bounds.h"
#include "fpenv.h"
#include "status.h"

/* roperot_scaling as it was first published. */
enum { first_size = offsetof(roperot_scaling, frequency_index) };

static int32_t check_geometry(int32_t rotary_dim, const double *inv_freq, int32_t pairs)
{
    if (!inv_freq)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "inv_freq is NULL; it must hold rotary_dim / 2 doubles");
    if (rotary_dim < 2 || rotary_dim > ROPEROT_MAX_CHANNELS || rotary_dim % 2)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "rotary_dim is %d; it must be even, 2..65536", (int)rotary_dim);
    if (pairs != rotary_dim / 2)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "pairs is %d; it must be rotary_dim / 2 = %d", (int)pairs,
                            (int)(rotary_dim / 2));
    return ROPEROT_OK;
}

static int32_t check_base(double base, unsigned uses)
{
    if (uses & ROPEROT_USES_BASE && !(isfinite(base) && base > 0.0))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "base is %g; it must be finite and > 0", base);
    if (uses & ROPEROT_USES_LOG_BASE && base == 1.0)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "base is 1; YaRN divides by its logarithm, so it must not be 1");
    return ROPEROT_OK;
}

/* Members that are plain numbers: when they are read, and the sentence's end about what is allowed. */
enum range { POSITIVE, NOT_NEGATIVE, FINITE, UP_TO_ONE };

static const struct number {
    const char *name;
    size_t offset;
    unsigned uses;
    enum range range;
} numbers[] = {
#define NUMBER(member, uses, range) { #member, offsetof(roperot_scaling, member), ROPEROT_USES_##uses, range }
    NUMBER(factor, FACTOR, POSITIVE),
    NUMBER(beta_fast, BETAS, POSITIVE),
    NUMBER(beta_slow, BETAS, POSITIVE),
    NUMBER(mscale, MSCALES, NOT_NEGATIVE),
    NUMBER(mscale_all_dim, MSCALES, NOT_NEGATIVE),
    NUMBER(ext_factor, EXT_FACTOR, FINITE),
    NUMBER(attn_factor, EXT_FACTOR, POSITIVE),
    NUMBER(freq_scale, FREQ_SCALE, POSITIVE),
    NUMBER(low_freq_factor, BANDS, POSITIVE),
    NUMBER(high_freq_factor, BANDS, POSITIVE),
    NUMBER(mixed_b, MIXED_B, POSITIVE),
    NUMBER(partial_rotary_factor, PARTIAL, UP_TO_ONE),
#undef NUMBER
};

static bool in_range(double x, enum range range)
{
    switch (range) {
    case POSITIVE: return isfinite(x) && x > 0.0;
    case NOT_NEGATIVE: return isfinite(x) && x >= 0.0;
    case FINITE: return isfinite(x);
    default: return x > 0.0 && x <= 1.0;
    }
}

static int32_t check_numbers(const roperot_scaling *scaling, unsigned uses)
{
    static const char allowed[][16] = { "finite and > 0", "finite and >= 0", "finite", "> 0 and <= 1" };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const struct number *const n = &numbers[i];
        const double x = *(const double *)((const char *)scaling + n->offset);
        if (uses & n->uses && !in_range(x, n->range))
            return roperot_fail(ROPEROT_ERROR_ARGUMENT, "scaling.%s is %g; it must be %s", n->name, x,
                                allowed[n->range]);
    }
    const double a = scaling->attention_factor;
    if (!in_range(a, NOT_NEGATIVE))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "scaling.attention_factor is %g; it must be finite and > 0, or 0 "
                            "for what the kind defines", a);
    if (uses & ROPEROT_USES_BANDS && scaling->low_freq_factor > scaling->high_freq_factor)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "scaling.low_freq_factor is %g; it must be <= high_freq_factor = %g",
                            scaling->low_freq_factor, scaling->high_freq_factor);
    if (uses & ROPEROT_USES_TRUNCATE && scaling->truncate != 0 && scaling->truncate != 1)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "scaling.truncate is %d; it must be 0 or 1",
                            (int)scaling->truncate);
    return ROPEROT_OK;
}

/* ggml without a ramp and longrope with a given or trivial attention factor do not look at the original length. */
static bool reads_original_length(const roperot_scaling *scaling, unsigned uses)
{
    if (scaling->kind == ROPEROT_SCALING_YARN_GGML && scaling->ext_factor == 0.0) return false;
    if (scaling->kind == ROPEROT_SCALING_LONGROPE && (scaling->attention_factor != 0.0 || scaling->factor <= 1.0))
        return false;
    return uses & ROPEROT_USES_ORIGINAL_LENGTH;
}

static int32_t check_lengths(const roperot_scaling *scaling, unsigned uses)
{
    const int64_t least = scaling->kind == ROPEROT_SCALING_LONGROPE ? 2 /* ln L0 is a divisor */
                          : scaling->kind == ROPEROT_SCALING_YARN_GGML ? 0 : 1;
    if (reads_original_length(scaling, uses) && scaling->original_length < least)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "scaling.original_length is %lld; it must be >= %d positions",
                            (long long)scaling->original_length, (int)least);
    if (uses & ROPEROT_USES_LENGTH && scaling->length < 1)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "scaling.length is %lld; it must be >= 1 position",
                            (long long)scaling->length);
    return ROPEROT_OK;
}

static int32_t check_list(const roperot_scaling *scaling, unsigned uses, int32_t pairs)
{
    if (!(uses & ROPEROT_USES_FACTORS)) return ROPEROT_OK;
    const bool missing = !scaling->factors;
    if (missing && !(uses & ROPEROT_USES_OPTIONAL))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "scaling.factors is NULL; it must hold rotary_dim / 2 = %d values",
                            (int)pairs);
    if (scaling->factor_count != (missing ? 0 : pairs))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "scaling.factor_count is %d; it must be %d, %s",
                            (int)scaling->factor_count, missing ? 0 : (int)pairs,
                            missing ? "because factors is NULL" : "which is rotary_dim / 2");
    for (int32_t j = 0; !missing && j < pairs; j++) {
        const double x = scaling->factors[j];
        if (uses & ROPEROT_USES_PERIODS ? isnan(x) || x == 0.0
                                        : !in_range(x, uses & ROPEROT_USES_RAW ? FINITE : POSITIVE))
            return roperot_fail(ROPEROT_ERROR_ARGUMENT, "scaling.factors[%d] is %g; it must be %s", (int)j, x,
                                uses & ROPEROT_USES_PERIODS ? "neither 0 nor NaN"
                                : uses & ROPEROT_USES_RAW   ? "finite"
                                                            : "finite and > 0");
    }
    return ROPEROT_OK;
}

/* Which power of the base each pair takes: read wherever there is a base. */
static int32_t check_index(const roperot_scaling *scaling, unsigned uses, int32_t pairs, int32_t dim)
{
    const int32_t given = scaling->exponent_dim, *const index = scaling->frequency_index;
    if (!(uses & ROPEROT_USES_BASE)) return ROPEROT_OK;
    if (given && (given < 2 || given > ROPEROT_MAX_CHANNELS || given % 2))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "scaling.exponent_dim is %d; it must be even, 2..65536, or 0 for "
                            "rotary_dim", (int)given);
    if (scaling->frequency_count != (index ? pairs : 0))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "scaling.frequency_count is %d; it must be %d, %s",
                            (int)scaling->frequency_count, index ? (int)pairs : 0,
                            index ? "which is rotary_dim / 2" : "because frequency_index is NULL");
    for (int32_t j = 0; index && j < pairs; j++)
        if (index[j] < 0 || index[j] >= dim)
            return roperot_fail(ROPEROT_ERROR_ARGUMENT, "scaling.frequency_index[%d] is %d; it must be in 0..%d",
                                (int)j, (int)index[j], (int)(dim - 1));
    if (!index && pairs > dim)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "scaling.exponent_dim is %d; for %d pairs without frequency_index "
                            "it must be at least that", (int)given, (int)pairs);
    return ROPEROT_OK;
}

static int32_t check_scaling(const roperot_scaling *scaling, unsigned uses, int32_t pairs, int32_t dim)
{
    int32_t status = check_numbers(scaling, uses);
    if (!status) status = check_index(scaling, uses, pairs, dim);
    if (!status) status = check_lengths(scaling, uses);
    return status ? status : check_list(scaling, uses, pairs);
}

static int32_t check_derived(const roperot_rule_kind *kind, const roperot_rule *rule)
{
    if (!(isfinite(rule->base) && rule->base > 0.0))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "scaling.factor is %g; %s would make the base %g, which must be "
                            "finite and > 0", rule->scaling->factor, kind->name, rule->base);
    if (!(isfinite(rule->attention_factor) && rule->attention_factor > 0.0))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "the attention factor of %s would be %g; it must be finite and > 0",
                            kind->name, rule->attention_factor);
    return ROPEROT_OK;
}

/* Two passes, because nothing may be written on failure and extreme parameters overflow. */
static int32_t fill(const roperot_rule_kind *kind, const roperot_rule *rule, double *inv_freq, int32_t pairs)
{
    for (int32_t j = 0; j < pairs; j++) {
        const double w = kind->frequency(rule, j);
        if (!isfinite(w))
            return roperot_fail(ROPEROT_ERROR_ARGUMENT, "base is %g; %s would give pair %d the frequency %g, which "
                                "must be finite", rule->base, kind->name, (int)j, w);
    }
    for (int32_t j = 0; j < pairs; j++) inv_freq[j] = kind->frequency(rule, j);
    return ROPEROT_OK;
}

ROPEROT_NOINLINE static int32_t run(const roperot_scaling *scaling, int32_t rotary_dim, double base, double *inv_freq,
                                    int32_t pairs, double *attention_factor)
{
    const roperot_rule_kind *const kind = roperot_rule_kind_of(scaling->kind);
    if (!kind)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "scaling.kind is %d; it must be a roperot_scaling_kind, 0..%d",
                            (int)scaling->kind, (int)ROPEROT_SCALING_PERIODS);
    int32_t status = check_geometry(rotary_dim, inv_freq, pairs);
    if (!status) status = check_base(base, kind->uses);
    const int32_t dim = scaling->exponent_dim ? scaling->exponent_dim : rotary_dim;
    if (!status) status = check_scaling(scaling, kind->uses, pairs, dim);
    if (status) return status;
    roperot_rule rule = { scaling, dim, kind->uses & ROPEROT_USES_BASE ? base : 1.0, 0.0, 0.0, 0.0, 1.0 };
    kind->prepare(&rule);
    const double a = scaling->attention_factor;
    rule.attention_factor = a != 0.0 ? a : kind->attention(&rule);
    status = check_derived(kind, &rule);
    if (!status) status = fill(kind, &rule, inv_freq, pairs);
    if (!status && attention_factor) *attention_factor = rule.attention_factor;
    return status;
}

int32_t roperot_frequencies(const roperot_scaling *scaling, int32_t rotary_dim, double base, double *inv_freq,
                            int32_t pairs, double *attention_factor)
{
    static const roperot_scaling by_default = ROPEROT_SCALING_INIT;
    const roperot_scaling *const given = scaling ? scaling : &by_default;
    const int32_t known = roperot_check_size(given, first_size, sizeof *given, "scaling");
    if (known) return known;
    roperot_scaling whole = by_default; /* what an older caller does not have is at its default */
    memcpy(&whole, given, given->size < sizeof whole ? given->size : sizeof whole);
    roperot_fpenv saved;
    roperot_fpenv_enter(&saved);
    const int32_t status = run(&whole, rotary_dim, base, inv_freq, pairs, attention_factor);
    roperot_fpenv_leave(&saved);
    return status;
}
