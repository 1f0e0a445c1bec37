/* SPDX-License-Identifier: MIT
 * The formula of every scaling kind, once, in f64; it must not know how parameters are checked or results stored. */
#include "frequencies.h"

#include <math.h>
#include <stddef.h>

static const double two_pi = 6.283185307179586;

static double plain(const roperot_rule *rule, int32_t j)
{
    const int32_t *const index = rule->scaling->frequency_index;
    return roperot_power(rule->base, 2 * (index ? index[j] : j), rule->dim);
}

static void prepare_nothing(roperot_rule *rule)
{
    (void)rule;
}

static double attention_one(const roperot_rule *rule)
{
    (void)rule;
    return 1.0;
}

static double clip(double x)
{
    return x < 0.0 ? 0.0 : x > 1.0 ? 1.0 : x;
}

static double linear(const roperot_rule *rule, int32_t j)
{
    return plain(rule, j) / rule->scaling->factor;
}

/* ---- NTK --------------------------------------------------------------------------------------------------------- */

/* b stretch^(d/(d-2)) sets the slowest frequency to b^(-(d-2)/d) / stretch. One pair alone turns with 1, whatever b. */
static double stretched_base(const roperot_rule *rule, double stretch)
{
    if (rule->dim == 2) return rule->base;
    const double d = rule->dim;
    return rule->base * ROPEROT_POW(stretch, d / (d - 2.0));
}

static void prepare_ntk(roperot_rule *rule)
{
    rule->base = stretched_base(rule, rule->scaling->factor);
}

static void prepare_dynamic_ntk(roperot_rule *rule)
{
    const roperot_scaling *const s = rule->scaling;
    const double trained = (double)s->original_length;
    const double length = s->length > s->original_length ? (double)s->length : trained;
    rule->base = stretched_base(rule, s->factor * length / trained - (s->factor - 1.0));
}

static void prepare_ntk_fixed(roperot_rule *rule)
{
    rule->base *= rule->scaling->factor;
    rule->scale = ROPEROT_POW(rule->scaling->factor, 2.0 / rule->dim);
}

static double ntk_fixed(const roperot_rule *rule, int32_t j)
{
    return plain(rule, j) / rule->scale;
}

static void prepare_ntk_mixed(roperot_rule *rule)
{
    const roperot_scaling *const s = rule->scaling;
    rule->scale = ROPEROT_LOG(s->factor) / ROPEROT_POW(rule->dim / 2, s->mixed_b);
}

static double ntk_mixed(const roperot_rule *rule, int32_t j)
{
    return plain(rule, j) * ROPEROT_EXP(-rule->scale * ROPEROT_POW(j + 1, rule->scaling->mixed_b));
}

/* ---- YaRN -------------------------------------------------------------------------------------------------------- */

/* The pair, as a real number, that turns `rotations` times within the original length. In ggml that may be 0. */
static double correction(const roperot_rule *rule, double rotations)
{
    const double l0 = (double)rule->scaling->original_length;
    if (l0 == 0.0) return rule->base > 1.0 ? -(double)INFINITY : (double)INFINITY;
    return rule->dim * ROPEROT_LOG(l0 / (rotations * two_pi)) / (2.0 * ROPEROT_LOG(rule->base));
}

static void set_ramp(roperot_rule *rule, int truncate)
{
    const double low = correction(rule, rule->scaling->beta_fast), high = correction(rule, rule->scaling->beta_slow);
    rule->low = fmax(truncate ? floor(low) : low, 0.0);
    rule->high = fmin(truncate ? ceil(high) : high, rule->dim - 1);
}

/* How much of pair j keeps its own frequency. */
static double extrapolated(const roperot_rule *rule, int32_t j, double width)
{
    return (1.0 - clip((j - rule->low) / width)) * rule->scaling->ext_factor;
}

static void prepare_yarn(roperot_rule *rule)
{
    set_ramp(rule, rule->scaling->truncate);
    if (rule->low == rule->high) rule->high += 0.001;
}

static double yarn(const roperot_rule *rule, int32_t j)
{
    const double w = plain(rule, j), e = extrapolated(rule, j, rule->high - rule->low);
    return w / rule->scaling->factor * (1.0 - e) + w * e;
}

static double yarn_magnitude(double factor, double mscale)
{
    return factor <= 1.0 ? 1.0 : 0.1 * mscale * ROPEROT_LOG(factor) + 1.0;
}

static double attention_yarn(const roperot_rule *rule)
{
    const roperot_scaling *const s = rule->scaling;
    const int both = s->mscale != 0.0 && s->mscale_all_dim != 0.0;
    const double a = yarn_magnitude(s->factor, both ? s->mscale : 1.0);
    return (both ? a / yarn_magnitude(s->factor, s->mscale_all_dim) : a) * s->attn_factor;
}

static void prepare_yarn_ggml(roperot_rule *rule)
{
    if (rule->scaling->ext_factor != 0.0) set_ramp(rule, 1);
}

static double yarn_ggml(const roperot_rule *rule, int32_t j)
{
    const roperot_scaling *const s = rule->scaling;
    const double w = s->factors ? plain(rule, j) / s->factors[j] : plain(rule, j);
    if (s->ext_factor == 0.0) return s->freq_scale * w;
    const double e = extrapolated(rule, j, fmax(0.001, rule->high - rule->low));
    return s->freq_scale * w * (1.0 - e) + w * e;
}

static double attention_yarn_ggml(const roperot_rule *rule)
{
    const roperot_scaling *const s = rule->scaling;
    if (s->ext_factor == 0.0) return s->attn_factor;
    return s->attn_factor * (1.0 + 0.1 * ROPEROT_LOG(1.0 / s->freq_scale));
}

/* ---- bands, lists, proportions ----------------------------------------------------------------------------------- */

static void prepare_llama3(roperot_rule *rule)
{
    const roperot_scaling *const s = rule->scaling;
    rule->low = (double)s->original_length / s->low_freq_factor;
    rule->high = (double)s->original_length / s->high_freq_factor;
}

static double llama3(const roperot_rule *rule, int32_t j)
{
    const roperot_scaling *const s = rule->scaling;
    const double w = plain(rule, j), wavelength = two_pi / w;
    if (wavelength > rule->low) return w / s->factor;
    if (wavelength < rule->high || rule->low == rule->high) return w; /* Llama 4 Scout: no band between the two */
    const double turns = (double)s->original_length / wavelength;
    const double t = (turns - s->low_freq_factor) / (s->high_freq_factor - s->low_freq_factor);
    return (1.0 - t) * w / s->factor + t * w;
}

static double longrope(const roperot_rule *rule, int32_t j)
{
    return plain(rule, j) / rule->scaling->factors[j];
}

static double attention_longrope(const roperot_rule *rule)
{
    const roperot_scaling *const s = rule->scaling;
    if (s->factor <= 1.0) return 1.0;
    return sqrt(1.0 + ROPEROT_LOG(s->factor) / ROPEROT_LOG((double)s->original_length));
}

static void prepare_proportional(roperot_rule *rule)
{
    rule->high = floor(rule->scaling->partial_rotary_factor * rule->dim / 2.0);
}

static double proportional(const roperot_rule *rule, int32_t j)
{
    return j < rule->high ? plain(rule, j) / rule->scaling->factor : 0.0;
}

static double factors(const roperot_rule *rule, int32_t j)
{
    return plain(rule, j) / (rule->scaling->factor * rule->scaling->factors[j]);
}

static double raw(const roperot_rule *rule, int32_t j)
{
    return rule->scaling->factors[j];
}

static double periods(const roperot_rule *rule, int32_t j)
{
    return 1.0 / rule->scaling->factors[j];
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

enum {
    B = ROPEROT_USES_BASE,
    F = ROPEROT_USES_BASE | ROPEROT_USES_FACTOR,
    L0 = ROPEROT_USES_ORIGINAL_LENGTH,
    RAMP = ROPEROT_USES_BASE | ROPEROT_USES_LOG_BASE | L0 | ROPEROT_USES_BETAS | ROPEROT_USES_EXT_FACTOR,
    LIST = ROPEROT_USES_FACTORS,
    LENGTH = ROPEROT_USES_LENGTH,
    MIXED_B = ROPEROT_USES_MIXED_B,
    YARN = RAMP | ROPEROT_USES_FACTOR | ROPEROT_USES_MSCALES | ROPEROT_USES_TRUNCATE,
    GGML = RAMP | ROPEROT_USES_FREQ_SCALE | LIST | ROPEROT_USES_OPTIONAL,
    BANDS = ROPEROT_USES_BANDS,
    PARTIAL = ROPEROT_USES_PARTIAL,
    RAW = LIST | ROPEROT_USES_RAW,
    PERIODS = LIST | ROPEROT_USES_PERIODS
};

static const roperot_rule_kind kinds[] = {
    [ROPEROT_SCALING_DEFAULT] = { "DEFAULT", B, prepare_nothing, plain, attention_one },
    [ROPEROT_SCALING_LINEAR] = { "LINEAR", F, prepare_nothing, linear, attention_one },
    [ROPEROT_SCALING_NTK] = { "NTK", F, prepare_ntk, plain, attention_one },
    [ROPEROT_SCALING_NTK_FIXED] = { "NTK_FIXED", F, prepare_ntk_fixed, ntk_fixed, attention_one },
    [ROPEROT_SCALING_NTK_MIXED] = { "NTK_MIXED", F | MIXED_B, prepare_ntk_mixed, ntk_mixed, attention_one },
    [ROPEROT_SCALING_DYNAMIC_NTK] = { "DYNAMIC_NTK", F | L0 | LENGTH, prepare_dynamic_ntk, plain, attention_one },
    [ROPEROT_SCALING_YARN] = { "YARN", YARN, prepare_yarn, yarn, attention_yarn },
    [ROPEROT_SCALING_YARN_GGML] = { "YARN_GGML", GGML, prepare_yarn_ggml, yarn_ggml, attention_yarn_ggml },
    [ROPEROT_SCALING_LLAMA3] = { "LLAMA3", F | L0 | BANDS, prepare_llama3, llama3, attention_one },
    [ROPEROT_SCALING_LONGROPE] = { "LONGROPE", F | L0 | LIST, prepare_nothing, longrope, attention_longrope },
    [ROPEROT_SCALING_PROPORTIONAL] = { "PROPORTIONAL", F | PARTIAL, prepare_proportional, proportional, attention_one },
    [ROPEROT_SCALING_FACTORS] = { "FACTORS", F | LIST, prepare_nothing, factors, attention_one },
    [ROPEROT_SCALING_RAW] = { "RAW", RAW, prepare_nothing, raw, attention_one },
    [ROPEROT_SCALING_PERIODS] = { "PERIODS", PERIODS, prepare_nothing, periods, attention_one },
};

const roperot_rule_kind *roperot_rule_kind_of(int32_t kind)
{
    return kind >= 0 && (size_t)kind < sizeof kinds / sizeof *kinds ? &kinds[kind] : NULL;
}
