/* SPDX-License-Identifier: MIT
 * roperot_axis_map against each source's own way of picking rows; it must share no code with src/. */
#include <stdio.h>
#include <string.h>

#include <roperot/roperot.h>

#include "support/harness.h"

enum { MOST = 256 };

/* ---- how the sources say it -------------------------------------------------------------------------------------- */

static int32_t want_axis[MOST], want_index[MOST];

static void start(int32_t pairs)
{
    for (int32_t j = 0; j < pairs; j++) want_axis[j] = 0, want_index[j] = j;
}

/* transformers, Qwen2-VL: the width 2 * pairs is cut by mrope_section * 2, and chunk k takes row k % 3. */
static void as_qwen2_vl(const int32_t *s, int32_t pairs)
{
    start(pairs);
    int32_t channel = 0;
    for (int32_t k = 0; k < 6; k++)
        for (int32_t i = 0; i < s[k % 3]; i++, channel++)
            if (channel < pairs) want_axis[channel] = k % 3;
}

/* transformers, Qwen3-VL: row 0 everywhere, then slice(offset, 3 * section, 3) from row 1 and from row 2. */
static void as_qwen3_vl(const int32_t *s, int32_t pairs)
{
    start(pairs);
    for (int32_t row = 1; row <= 2; row++)
        for (int32_t j = row; j < 3 * s[row] && j < pairs; j += 3) want_axis[j] = row;
}

/* ggml, IMROPE: three tests of the sector, and a fourth row for the rest. */
static void as_ggml_imrope(const int32_t *s, int32_t pairs)
{
    start(pairs);
    const int32_t sections = s[0] + s[1] + s[2] + s[3];
    for (int32_t j = 0; j < pairs; j++) {
        const int32_t sector = j % sections;
        if (sector % 3 == 1 && sector < 3 * s[1]) want_axis[j] = 1;
        else if (sector % 3 == 2 && sector < 3 * s[2]) want_axis[j] = 2;
        else if (sector % 3 == 0 && sector < 3 * s[0]) want_axis[j] = 0;
        else want_axis[j] = 3;
    }
}

/* ggml, MROPE: thresholds of the sector, four rows. */
static void as_ggml_mrope(const int32_t *s, int32_t pairs)
{
    start(pairs);
    const int32_t w = s[0] + s[1], e = w + s[2], sections = e + s[3];
    for (int32_t j = 0; j < pairs; j++) {
        const int32_t sector = j % sections;
        want_axis[j] = sector < s[0] ? 0 : sector < w ? 1 : sector < e ? 2 : 3;
    }
}

/* ggml, VISION: four angles run along all pairs, and one of them, the first that fits, restarts at a sector. */
static void as_ggml_vision(const int32_t *s, int32_t pairs)
{
    as_ggml_mrope(s, pairs);
    int32_t exponent[4] = { 0 };
    const int32_t w = s[0] + s[1], e = w + s[2], sections = e + s[3];
    for (int32_t j = 0; j < pairs; j++) {
        const int32_t sector = j % sections;
        if (sector == 0) exponent[0] = 0;
        else if (sector == s[0]) exponent[1] = 0;
        else if (sector == w) exponent[2] = 0;
        else if (sector == e) exponent[3] = 0;
        want_index[j] = exponent[want_axis[j]];
        for (int32_t a = 0; a < 4; a++) exponent[a]++;
    }
}

/* transformers, Ernie-4.5-VL: h and w stacked pair by pair, then t; rows are t, h, w. */
static void as_ernie(const int32_t *s, int32_t pairs)
{
    start(pairs);
    int32_t j = 0;
    for (int32_t i = 0; i < s[0]; i++) want_axis[j++] = 1, want_axis[j++] = 2;
    for (int32_t i = 0; i < s[2]; i++) want_axis[j++] = 0;
}

/* ---- agreement --------------------------------------------------------------------------------------------------- */

typedef struct example {
    const char *name;
    int32_t kind, count, section[4], pairs;
    void (*source)(const int32_t *section, int32_t pairs);
} example;

static const example examples[] = {
    { "Qwen2-VL", ROPEROT_SECTIONS_CONTIGUOUS, 3, { 16, 24, 24 }, 64, as_qwen2_vl },
    { "GLM-4.1V", ROPEROT_SECTIONS_CONTIGUOUS, 3, { 8, 12, 12 }, 32, as_qwen2_vl },
    { "HunYuan-VL", ROPEROT_SECTIONS_CONTIGUOUS, 4, { 16, 16, 16, 16 }, 64, as_ggml_mrope },
    { "one section", ROPEROT_SECTIONS_CONTIGUOUS, 1, { 5 }, 5, as_ggml_mrope },
    { "a section of nothing", ROPEROT_SECTIONS_CONTIGUOUS, 3, { 0, 7, 0 }, 7, as_ggml_mrope },
    { "chunk of the second axis", ROPEROT_SECTIONS_CONTIGUOUS, 2, { 0, 16 }, 16, as_ggml_mrope },
    { "Qwen3-VL", ROPEROT_SECTIONS_INTERLEAVED, 3, { 24, 20, 20 }, 64, as_qwen3_vl },
    { "Qwen3.5", ROPEROT_SECTIONS_INTERLEAVED, 3, { 11, 11, 10 }, 32, as_qwen3_vl },
    { "small interleaved", ROPEROT_SECTIONS_INTERLEAVED, 3, { 1, 1, 1 }, 3, as_qwen3_vl },
    { "Qwen3-VL in ggml", ROPEROT_SECTIONS_INTERLEAVED_GGML, 4, { 24, 20, 20, 0 }, 64, as_ggml_imrope },
    { "Qwen3.5 in ggml", ROPEROT_SECTIONS_INTERLEAVED_GGML, 4, { 11, 11, 10, 0 }, 32, as_ggml_imrope },
    { "four rows in ggml", ROPEROT_SECTIONS_INTERLEAVED_GGML, 4, { 8, 8, 8, 8 }, 32, as_ggml_imrope },
    { "Qwen2-VL vision", ROPEROT_SECTIONS_AXIAL, 2, { 20, 20 }, 40, as_ggml_vision },
    { "Llama 4 vision", ROPEROT_SECTIONS_AXIAL, 2, { 22, 22 }, 44, as_ggml_vision },
    { "ggml VISION", ROPEROT_SECTIONS_AXIAL, 4, { 20, 20, 0, 0 }, 40, as_ggml_vision },
    { "three axes", ROPEROT_SECTIONS_AXIAL, 3, { 8, 12, 12 }, 32, as_ggml_vision },
    { "Ernie-4.5-VL", ROPEROT_SECTIONS_ERNIE, 3, { 22, 22, 20 }, 64, as_ernie },
    { "ggml's own test of MROPE", ROPEROT_SECTIONS_GGML_MROPE, 4, { 42, 42, 42, 0 }, 64, as_ggml_mrope },
    { "ggml's own test of IMROPE", ROPEROT_SECTIONS_GGML_IMROPE, 4, { 42, 42, 42, 0 }, 64, as_ggml_imrope },
    { "ggml's own test of VISION", ROPEROT_SECTIONS_GGML_VISION, 4, { 20, 20, 0, 0 }, 40, as_ggml_vision },
    { "too short for MROPE", ROPEROT_SECTIONS_GGML_MROPE, 4, { 3, 2, 1, 2 }, 64, as_ggml_mrope },
    { "too short for IMROPE", ROPEROT_SECTIONS_GGML_IMROPE, 4, { 5, 4, 5, 0 }, 64, as_ggml_imrope },
    { "too short for VISION", ROPEROT_SECTIONS_GGML_VISION, 4, { 5, 7, 3, 2 }, 64, as_ggml_vision },
    { "no first section in VISION", ROPEROT_SECTIONS_GGML_VISION, 4, { 0, 7, 3, 0 }, 40, as_ggml_vision },
    { "no second section in VISION", ROPEROT_SECTIONS_GGML_VISION, 4, { 10, 0, 10, 0 }, 40, as_ggml_vision },
    { "neither third nor fourth", ROPEROT_SECTIONS_GGML_VISION, 4, { 0, 0, 0, 3 }, 40, as_ggml_vision },
    { "one section of VISION", ROPEROT_SECTIONS_GGML_VISION, 4, { 64, 0, 0, 0 }, 64, as_ggml_vision },
};

static roperot_sections sections_of(int32_t kind, int32_t count, const int32_t section[4])
{
    roperot_sections sections = ROPEROT_SECTIONS_INIT;
    sections.kind = kind;
    sections.count = count;
    memcpy(sections.section, section, sizeof sections.section);
    return sections;
}

static void agrees_with_its_source(const void *arg)
{
    const example *const e = arg;
    const roperot_sections sections = sections_of(e->kind, e->count, e->section);
    uint8_t axis[MOST + 1], alone[MOST];
    int32_t index[MOST + 1];
    memset(axis, 0x55, sizeof axis);
    memset(index, 0x55, sizeof index);
    CHECK(roperot_axis_map(&sections, e->pairs, axis, index) == ROPEROT_OK, "%s", roperot_last_error());
    e->source(e->section, e->pairs);
    for (int32_t j = 0; j < e->pairs; j++) {
        CHECK(axis[j] == want_axis[j], "pair %d: axis %d, not %d", (int)j, axis[j], (int)want_axis[j]);
        CHECK(index[j] == want_index[j], "pair %d: frequency %d, not %d", (int)j, (int)index[j], (int)want_index[j]);
    }
    CHECK(axis[e->pairs] == 0x55 && index[e->pairs] == 0x55555555, "written beyond the last pair");
    CHECK(roperot_axis_map(&sections, e->pairs, alone, NULL) == ROPEROT_OK, "%s", roperot_last_error());
    CHECK(memcmp(alone, axis, (size_t)e->pairs) == 0, "without frequency_index the map differs");
}

/* Random lists, many of which have empty sections, and sums past what an int holds. */
static void ggml_reads_any_list(const void *arg)
{
    (void)arg;
    static const struct {
        int32_t kind;
        void (*source)(const int32_t *section, int32_t pairs);
    } modes[] = { { ROPEROT_SECTIONS_GGML_MROPE, as_ggml_mrope },
                  { ROPEROT_SECTIONS_GGML_IMROPE, as_ggml_imrope },
                  { ROPEROT_SECTIONS_GGML_VISION, as_ggml_vision } };
    for (int i = 0; i < 3000; i++) {
        example e = { "random", modes[i % 3].kind, 4, { 0 }, 1 + (int32_t)random_below(MOST), modes[i % 3].source };
        for (int a = 0; a < 4; a++) e.section[a] = random_below(3) ? (int32_t)random_below(1 + random_below(60)) : 0;
        if (e.section[0] + e.section[1] + e.section[2] + e.section[3] > 0) agrees_with_its_source(&e);
    }
    const int32_t huge[4] = { 3, INT32_MAX, INT32_MAX, INT32_MAX };
    const roperot_sections sections = sections_of(ROPEROT_SECTIONS_GGML_IMROPE, 4, huge);
    uint8_t axis[9];
    CHECK(roperot_axis_map(&sections, 9, axis, NULL) == ROPEROT_OK, "%s", roperot_last_error());
    for (int32_t j = 0; j < 9; j++) CHECK(axis[j] == j % 3, "pair %d: axis %d", (int)j, axis[j]);
}

static void one_axis(const void *arg)
{
    (void)arg;
    const roperot_sections sections = ROPEROT_SECTIONS_INIT;
    static uint8_t axis[32768];
    static int32_t index[32768];
    memset(axis, 0x55, sizeof axis);
    CHECK(roperot_axis_map(&sections, 32768, axis, index) == ROPEROT_OK, "%s", roperot_last_error());
    for (int32_t j = 0; j < 32768; j++) CHECK(axis[j] == 0 && index[j] == j, "pair %d: %d", (int)j, axis[j]);
}

/* The one difference between transformers and ggml for Qwen3-VL: the last two pairs of the slowest band. */
static void ggml_leaves_two_pairs_to_its_fourth_row(const void *arg)
{
    (void)arg;
    const int32_t three[4] = { 24, 20, 20, 0 };
    const roperot_sections hf = sections_of(ROPEROT_SECTIONS_INTERLEAVED, 3, three);
    const roperot_sections ggml = sections_of(ROPEROT_SECTIONS_INTERLEAVED_GGML, 4, three);
    uint8_t a[64], b[64];
    CHECK(roperot_axis_map(&hf, 64, a, NULL) == ROPEROT_OK, "%s", roperot_last_error());
    CHECK(roperot_axis_map(&ggml, 64, b, NULL) == ROPEROT_OK, "%s", roperot_last_error());
    for (int32_t j = 0; j < 64; j++)
        CHECK(j == 61 || j == 62 ? a[j] == 0 && b[j] == 3 : a[j] == b[j], "pair %d: %d and %d", (int)j, a[j], b[j]);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

typedef struct refusal {
    int32_t kind, count, section[4], pairs;
    const char *text;
} refusal;

static const refusal refusals[] = {
    { -1, 0, { 0 }, 8, "sections.kind is -1; it must be a roperot_sections_kind, 0..8" },
    { 9, 0, { 0 }, 8, "sections.kind is 9;" },
    { ROPEROT_SECTIONS_GGML_VISION, 4, { 0 }, 8, "sections add up to 0; for GGML_VISION at least 1 must be given" },
    { ROPEROT_SECTIONS_GGML_MROPE, 3, { 1, 1, 1 }, 8, "sections.count is 3; GGML_MROPE takes 4..4" },
    { ROPEROT_SECTIONS_GGML_IMROPE, 4, { 2, -1, 3, 0 }, 8, "sections.section[1] is -1; it must be >= 0" },
    { ROPEROT_SECTIONS_CONTIGUOUS, 3, { 2, 3, 2 }, 8, "sections add up to 7; they must add up to pairs = 8" },
    { ROPEROT_SECTIONS_CONTIGUOUS, 3, { 2, 3, 4 }, 8, "sections add up to 9;" },
    { ROPEROT_SECTIONS_CONTIGUOUS, 2, { 2147483647, 2147483647 }, 8, "sections add up to 4294967294;" },
    { ROPEROT_SECTIONS_CONTIGUOUS, 0, { 0 }, 8, "sections.count is 0; CONTIGUOUS takes 1..4" },
    { ROPEROT_SECTIONS_CONTIGUOUS, 5, { 2, 2, 2, 2 }, 8, "sections.count is 5;" },
    { ROPEROT_SECTIONS_CONTIGUOUS, 3, { 9, -1, 0 }, 8, "sections.section[1] is -1; it must be >= 0" },
    { ROPEROT_SECTIONS_CONTIGUOUS, 2, { 4, 2, 2 }, 8, "sections.section[2] is 2; from count = 2 on it must be 0" },
    { ROPEROT_SECTIONS_NONE, 1, { 8 }, 8, "sections.count is 1; NONE takes 0..0" },
    { ROPEROT_SECTIONS_INTERLEAVED, 2, { 4, 4 }, 8, "sections.count is 2; INTERLEAVED takes 3..3" },
    { ROPEROT_SECTIONS_INTERLEAVED, 3, { 2, 4, 2 }, 8, "INTERLEAVED gives that axis" },
    { ROPEROT_SECTIONS_INTERLEAVED, 3, { 0, 4, 4 }, 8, "sections.section[0] is 0; INTERLEAVED gives that axis 3 of 8" },
    { ROPEROT_SECTIONS_INTERLEAVED_GGML, 3, { 3, 3, 2 }, 8, "sections.count is 3; INTERLEAVED_GGML takes 4..4" },
    { ROPEROT_SECTIONS_INTERLEAVED_GGML, 4, { 3, 3, 3, 0 }, 8, "sections add up to 9;" },
    { ROPEROT_SECTIONS_AXIAL, 1, { 8 }, 8, "sections.count is 1; AXIAL takes 2..4" },
    { ROPEROT_SECTIONS_AXIAL, 2, { 4, 3 }, 8, "sections add up to 7;" },
    { ROPEROT_SECTIONS_ERNIE, 3, { 4, 2, 2 }, 8, "sections.section[0] is 4; ERNIE gives that axis 3 of 8 pairs" },
    { ROPEROT_SECTIONS_CONTIGUOUS, 1, { 0 }, 0, "pairs is 0; it must be in 1..32768" },
    { ROPEROT_SECTIONS_CONTIGUOUS, 1, { 32769 }, 32769, "pairs is 32769;" },
};

static void expect(int32_t status, int32_t wanted, const char *text)
{
    CHECK(status == wanted, "%s, not %s: %s", roperot_status_name(status), roperot_status_name(wanted),
          roperot_last_error());
    CHECK(strstr(roperot_last_error(), text), "the sentence is \"%s\" and lacks \"%s\"", roperot_last_error(), text);
}

static void refuse(const roperot_sections *sections, int32_t pairs, int32_t status, const char *text)
{
    uint8_t axis[8];
    int32_t index[8];
    memset(axis, 0x55, sizeof axis);
    memset(index, 0x55, sizeof index);
    expect(roperot_axis_map(sections, pairs, axis, index), status, text);
    for (int j = 0; j < 8; j++)
        CHECK(axis[j] == 0x55 && index[j] == 0x55555555, "pair %d was written in spite of: %s", j, text);
}

static void refuses_sections(const void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const roperot_sections sections = sections_of(refusals[i].kind, refusals[i].count, refusals[i].section);
        refuse(&sections, refusals[i].pairs, ROPEROT_ERROR_ARGUMENT, refusals[i].text);
    }
}

static void refuses_versions(const void *arg)
{
    (void)arg;
    struct {
        roperot_sections known;
        uint64_t tail;
    } s = { ROPEROT_SECTIONS_INIT, 0 };
    uint8_t axis[8];
    s.known.reserved = 3;
    refuse(&s.known, 8, ROPEROT_ERROR_VERSION, "sections.reserved is 3; it must be 0");
    s.known.reserved = 0;
    s.known.size = 4;
    refuse(&s.known, 8, ROPEROT_ERROR_VERSION, "sections.size is 4;");
    s.known.size = sizeof s;
    expect(roperot_axis_map(NULL, 8, axis, NULL), ROPEROT_ERROR_ARGUMENT, "sections is NULL");
    expect(roperot_axis_map(&s.known, 8, NULL, NULL), ROPEROT_ERROR_ARGUMENT, "axis is NULL");
    CHECK(roperot_axis_map(&s.known, 8, axis, NULL) == ROPEROT_OK, "%s", roperot_last_error());
    s.tail = 1;
    refuse(&s.known, 8, ROPEROT_ERROR_VERSION, "sections.size is ");
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
        harness_add(agrees_with_its_source, &examples[i], "source/%s", examples[i].name);
    harness_add(ggml_reads_any_list, NULL, "ggml reads any list");
    harness_add(one_axis, NULL, "one axis");
    harness_add(ggml_leaves_two_pairs_to_its_fourth_row, NULL, "ggml leaves two pairs to its fourth row");
    harness_add(refuses_sections, NULL, "refuses sections");
    harness_add(refuses_versions, NULL, "refuses versions");
    return harness_run(argc, argv, "axis_map");
}
