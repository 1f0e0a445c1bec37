/* SPDX-License-Identifier: MIT
 * roperot_axis_map: section schemes as one array of axes; it must not know frequencies, positions or plans. */
#include <stddef.h>

#include "bounds.h"
#include "status.h"

/* Where pair j gets its position and its frequency from. */
typedef struct source {
    int32_t axis, frequency;
} source;

static source contiguous(const int32_t *section, int32_t j)
{
    source pair = { 0, j };
    while (pair.frequency >= section[pair.axis]) pair.frequency -= section[pair.axis++];
    return pair;
}

static source source_none(const int32_t *section, int32_t j)
{
    (void)section;
    return (source){ 0, j };
}

static source source_contiguous(const int32_t *section, int32_t j)
{
    return (source){ contiguous(section, j).axis, j };
}

static source source_axial(const int32_t *section, int32_t j)
{
    return contiguous(section, j);
}

static source source_interleaved(const int32_t *section, int32_t j)
{
    const int32_t lane = j % 3;
    return (source){ j < 3 * section[lane] ? lane : 0, j };
}

static source source_interleaved_ggml(const int32_t *section, int32_t j)
{
    const int32_t lane = j % 3;
    return (source){ j < 3 * section[lane] ? lane : 3, j };
}

static source source_ernie(const int32_t *section, int32_t j)
{
    return (source){ j < section[0] + section[1] ? 1 + j % 2 : 0, j };
}

/* ---- ggml's own reading: by sectors, which go round -------------------------------------------------------------- */

static int32_t sector_of(const int32_t *section, int32_t j)
{
    const int64_t all = (int64_t)section[0] + section[1] + section[2] + section[3];
    return (int32_t)(j % all);
}

static source source_ggml_mrope(const int32_t *section, int32_t j)
{
    return (source){ contiguous(section, sector_of(section, j)).axis, j };
}

static source source_ggml_imrope(const int32_t *section, int32_t j)
{
    const int32_t sector = sector_of(section, j), lane = sector % 3;
    return (source){ sector / 3 < section[lane] ? lane : 3, j };
}

/* An axis' angle starts at pair 0 and again wherever its section begins; but of sections that begin at one sector, all
 * but the last being empty, ggml restarts the first only. */
static source source_ggml_vision(const int32_t *section, int32_t j)
{
    const source within = contiguous(section, sector_of(section, j));
    const int shares_its_beginning = within.axis > 0 && section[within.axis - 1] == 0;
    return (source){ within.axis, shares_its_beginning ? j : within.frequency };
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

/* What the sections of a kind are held to. */
enum rule { SUM, SUM_AND_COUNTS, ANY_SUM };

/* first, last: which counts the kind takes. owner: which section fills axis a, for kinds whose pairs are counted. */
static const struct scheme {
    const char *name;
    int32_t first, last;
    source (*find)(const int32_t *section, int32_t j);
    enum rule rule;
    int32_t owner[ROPEROT_MAX_AXES];
} schemes[] = {
    [ROPEROT_SECTIONS_NONE] = { "NONE", 0, 0, source_none, SUM, { 0 } },
    [ROPEROT_SECTIONS_CONTIGUOUS] = { "CONTIGUOUS", 1, 4, source_contiguous, SUM, { 0 } },
    [ROPEROT_SECTIONS_INTERLEAVED] = { "INTERLEAVED", 3, 3, source_interleaved, SUM_AND_COUNTS, { 0, 1, 2, 3 } },
    [ROPEROT_SECTIONS_INTERLEAVED_GGML] = { "INTERLEAVED_GGML", 4, 4, source_interleaved_ggml, SUM, { 0 } },
    [ROPEROT_SECTIONS_AXIAL] = { "AXIAL", 2, 4, source_axial, SUM, { 0 } },
    [ROPEROT_SECTIONS_ERNIE] = { "ERNIE", 3, 3, source_ernie, SUM_AND_COUNTS, { 2, 0, 1, 3 } },
    [ROPEROT_SECTIONS_GGML_MROPE] = { "GGML_MROPE", 4, 4, source_ggml_mrope, ANY_SUM, { 0 } },
    [ROPEROT_SECTIONS_GGML_IMROPE] = { "GGML_IMROPE", 4, 4, source_ggml_imrope, ANY_SUM, { 0 } },
    [ROPEROT_SECTIONS_GGML_VISION] = { "GGML_VISION", 4, 4, source_ggml_vision, ANY_SUM, { 0 } },
};

static int32_t check_sum(const roperot_sections *sections, const struct scheme *scheme, int32_t pairs)
{
    if (sections->count < scheme->first || sections->count > scheme->last)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "sections.count is %d; %s takes %d..%d", (int)sections->count,
                            scheme->name, (int)scheme->first, (int)scheme->last);
    int64_t sum = 0;
    for (int32_t i = 0; i < ROPEROT_MAX_AXES; i++) {
        const int32_t s = sections->section[i];
        if (s < 0)
            return roperot_fail(ROPEROT_ERROR_ARGUMENT, "sections.section[%d] is %d; it must be >= 0", (int)i, (int)s);
        if (s > 0 && i >= sections->count)
            return roperot_fail(ROPEROT_ERROR_ARGUMENT, "sections.section[%d] is %d; from count = %d on it must be 0",
                                (int)i, (int)s, (int)sections->count);
        sum += s;
    }
    if (scheme->rule == ANY_SUM && sum == 0)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "sections add up to 0; for %s at least 1 must be given",
                            scheme->name);
    if (scheme->rule != ANY_SUM && sections->count && sum != pairs)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "sections add up to %lld; they must add up to pairs = %d",
                            (long long)sum, (int)pairs);
    return ROPEROT_OK;
}

/* An interleaved list that does not reach its own counts is a mistake: 3 s[1] beyond `pairs` leaves axis 1 short. */
static int32_t check_counts(const roperot_sections *sections, const struct scheme *scheme, int32_t pairs)
{
    int32_t reached[ROPEROT_MAX_AXES] = { 0 };
    for (int32_t j = 0; j < pairs; j++) reached[scheme->find(sections->section, j).axis]++;
    for (int32_t a = 0; a < ROPEROT_MAX_AXES; a++) {
        const int32_t i = scheme->owner[a];
        if (reached[a] != sections->section[i])
            return roperot_fail(ROPEROT_ERROR_ARGUMENT, "sections.section[%d] is %d; %s gives that axis %d of %d pairs",
                                (int)i, (int)sections->section[i], scheme->name, (int)reached[a], (int)pairs);
    }
    return ROPEROT_OK;
}

static int32_t check(const roperot_sections *sections, int32_t pairs, const uint8_t *axis)
{
    if (!sections) return roperot_null_error("sections", "roperot_sections");
    const int32_t status = roperot_check_size(sections, sizeof *sections, sizeof *sections, "sections");
    if (status) return status;
    if (sections->reserved)
        return roperot_fail(ROPEROT_ERROR_VERSION, "%s.reserved is %d; it must be 0", "sections",
                            (int)sections->reserved);
    if (!axis) return roperot_fail(ROPEROT_ERROR_ARGUMENT, "axis is NULL; it must hold `pairs` bytes");
    if (pairs < 1 || pairs > ROPEROT_MAX_PAIRS)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "pairs is %d; it must be in 1..%d", (int)pairs,
                            (int)ROPEROT_MAX_PAIRS);
    if (sections->kind < 0 || (size_t)sections->kind >= sizeof schemes / sizeof *schemes)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "sections.kind is %d; it must be a roperot_sections_kind, 0..%d",
                            (int)sections->kind, (int)(sizeof schemes / sizeof *schemes) - 1);
    const struct scheme *const scheme = &schemes[sections->kind];
    const int32_t sum = check_sum(sections, scheme, pairs);
    return sum || scheme->rule != SUM_AND_COUNTS ? sum : check_counts(sections, scheme, pairs);
}

int32_t roperot_axis_map(const roperot_sections *sections, int32_t pairs, uint8_t *axis, int32_t *frequency_index)
{
    const int32_t status = check(sections, pairs, axis);
    if (status) return status;
    const struct scheme *const scheme = &schemes[sections->kind];
    for (int32_t j = 0; j < pairs; j++) {
        const source pair = scheme->find(sections->section, j);
        axis[j] = (uint8_t)pair.axis;
        if (frequency_index) frequency_index[j] = pair.frequency;
    }
    return ROPEROT_OK;
}
