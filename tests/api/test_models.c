/* SPDX-License-Identifier: MIT
 * The model zoo (JSON files in tests/models) against the library; it must not know how its golden values were made. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <roperot/roperot.h>

#include "support/harness.h"

/*
 * Tolerances. u = 2^-24 is half an ULP of f32 below 1, e = 2^-53 of f64. The golden values come from the models' code.
 *
 *  frequencies  Against that code run in f64: both sides follow one formula, so they differ by its roundings, the
 *               largest being that of the exponent 2j/d, times ln b <= 16.3: 32 e. Where the rule blends (YaRN, llama3)
 *               the share's error, a few e, moves w by up to the factor: times that. Measured: at most 5.6 e.
 *  A            A logarithm and a few operations: 8 e.
 *  tables       F32 angles from the model's own inv_freq have the angles of PyTorch bit for bit. Its cos and sin are
 *               within 1 ULP (2 u), ours within half (u), the product by A rounds on both sides: 4 u A.
 *  rotated      With the golden cos and sin: every bit. With EXACT angles an output differs by at most (|x0| + |x1|) A
 *               times the error of the model's angle, p (|w32 - w| + u |w32|), its tables' and ours, 4 u, and the
 *               roundings of three operations on either side, less than 5 u.
 */
static const double u = 0x1p-24, e = 0x1p-53;

/* ---- one case of one file ---------------------------------------------------------------------------------------- */

enum { MOST_PAIRS = 256, MOST_TOKENS = 4, MOST_AXES = 3 };

typedef struct model_case {
    char name[96];
    const json_t *model, *call, *golden, *positions;
} model_case;

static const char *text(const json_t *object, const char *key)
{
    const char *const value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

/* A number of the file; `otherwise` where there is none. */
static double number(const json_t *object, const char *key, double otherwise)
{
    const json_t *const value = json_object_get(object, key);
    return value ? json_number_value(value) : otherwise;
}

static int32_t integer(const json_t *object, const char *key, int32_t otherwise)
{
    return (int32_t)number(object, key, otherwise);
}

/* Bits of f32, eight hexadecimal digits each, in strings of any length. Returns how many. */
static size_t bits_of(const json_t *lines, float *to, size_t room)
{
    size_t count = 0, i;
    const json_t *line;
    json_array_foreach(lines, i, line) {
        const char *digits = json_string_value(line);
        for (; *digits; digits += 8, count++) {
            char word[9] = "";
            memcpy(word, digits, 8);
            const uint32_t bits = (uint32_t)strtoul(word, NULL, 16);
            CHECK(count < room, "more than %zu values", room);
            memcpy(&to[count], &bits, sizeof bits);
        }
    }
    return count;
}

static int32_t index_of(const char *name, const char *const *names, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0) return i;
    harness_fail(__FILE__, __LINE__, "unknown name \"%s\"", name);
}

/* ---- what the file says, in roperot's terms ---------------------------------------------------------------------- */

typedef struct setup {
    roperot_config config;
    double frequency[MOST_PAIRS], attention_factor, list[MOST_PAIRS];
    double models_frequency[MOST_PAIRS]; /* by its own code in f64 */
    uint8_t axis[MOST_PAIRS];
    int32_t tokens, heads, axes;
    int64_t ids[MOST_AXES * MOST_TOKENS];
    float inv_freq[MOST_PAIRS], cos[MOST_TOKENS * MOST_PAIRS], sin[MOST_TOKENS * MOST_PAIRS];
    float x[MOST_TOKENS * 4 * MOST_PAIRS], rotated[MOST_TOKENS * 4 * MOST_PAIRS], y[MOST_TOKENS * 4 * MOST_PAIRS];
} setup;

static setup now;

static void read_list(const model_case *c, const char *name, roperot_scaling *scaling)
{
    const json_t *const config = json_object_get(c->model, "config");
    const json_t *const values = json_object_get(json_object_get(config, "rope_scaling"), name);
    size_t i;
    const json_t *value;
    json_array_foreach(values, i, value) now.list[i] = json_number_value(value);
    scaling->factors = now.list;
    scaling->factor_count = (int32_t)json_array_size(values);
}

static roperot_scaling read_scaling(const model_case *c)
{
    static const char *const kinds[] = { "default", "linear", "ntk", "ntk_fixed", "ntk_mixed", "dynamic_ntk", "yarn",
                                         "yarn_ggml", "llama3", "longrope", "proportional" };
    roperot_scaling scaling = ROPEROT_SCALING_INIT;
    const json_t *const given = json_object_get(c->call, "scaling");
    if (!given) return scaling;
    scaling.kind = index_of(text(given, "kind"), kinds, sizeof kinds / sizeof *kinds);
    scaling.factor = number(given, "factor", scaling.factor);
    scaling.attention_factor = number(given, "attention_factor", 0);
    scaling.original_length = integer(given, "original_length", 0);
    scaling.length = integer(given, "length", 0);
    scaling.beta_fast = number(given, "beta_fast", scaling.beta_fast);
    scaling.beta_slow = number(given, "beta_slow", scaling.beta_slow);
    scaling.mscale = number(given, "mscale", 0);
    scaling.mscale_all_dim = number(given, "mscale_all_dim", 0);
    scaling.low_freq_factor = number(given, "low_freq_factor", scaling.low_freq_factor);
    scaling.high_freq_factor = number(given, "high_freq_factor", scaling.high_freq_factor);
    scaling.partial_rotary_factor = number(given, "partial_rotary_factor", 1);
    scaling.truncate = integer(given, "truncate", 1);
    if (json_object_get(given, "factors")) read_list(c, text(given, "factors"), &scaling);
    return scaling;
}

/* The axis of every pair, and the frequency that it uses. */
static void read_sections(const model_case *c, int32_t pairs, int32_t *index)
{
    static const char *const kinds[] = { "none", "contiguous", "interleaved", "interleaved_ggml", "axial", "ernie" };
    roperot_sections sections = ROPEROT_SECTIONS_INIT;
    const json_t *const given = json_object_get(c->call, "sections");
    const json_t *const list = json_object_get(given, "section");
    sections.kind = given ? index_of(text(given, "kind"), kinds, sizeof kinds / sizeof *kinds) : 0;
    sections.count = (int32_t)json_array_size(list);
    for (int32_t i = 0; i < sections.count; i++)
        sections.section[i] = (int32_t)json_integer_value(json_array_get(list, (size_t)i));
    CHECK(roperot_axis_map(&sections, pairs, now.axis, index) == ROPEROT_OK, "%s", roperot_last_error());
    if (json_object_get(c->call, "axis")) memset(now.axis, integer(c->call, "axis", 0), (size_t)pairs);
}

static void read_frequencies(const model_case *c, int32_t rotary_dim, double base)
{
    const roperot_scaling scaling = read_scaling(c);
    const int32_t dim = integer(c->call, "frequencies_dim", rotary_dim);
    int32_t index[MOST_PAIRS];
    double frequency[MOST_PAIRS];
    CHECK(rotary_dim <= 2 * MOST_PAIRS, "rotary_dim is %d", (int)rotary_dim);
    CHECK(roperot_frequencies(&scaling, dim, base, frequency, dim / 2, &now.attention_factor) == ROPEROT_OK, "%s",
          roperot_last_error());
    read_sections(c, rotary_dim / 2, index);
    for (int32_t j = 0; j < rotary_dim / 2; j++) now.frequency[j] = frequency[index[j]];
}

static void read_positions(const model_case *c)
{
    now.axes = (int32_t)json_array_size(c->positions);
    now.tokens = (int32_t)json_array_size(json_array_get(c->positions, 0));
    CHECK(now.axes >= 1 && now.axes <= MOST_AXES && now.tokens <= MOST_TOKENS, "%d x %d positions", (int)now.axes,
          (int)now.tokens);
    for (int32_t a = 0; a < now.axes; a++)
        for (int32_t t = 0; t < now.tokens; t++)
            now.ids[a * now.tokens + t] = json_integer_value(json_array_get(json_array_get(c->positions, (size_t)a),
                                                                            (size_t)t));
}

static void read_golden(const model_case *c, int32_t pairs, int32_t dim)
{
    const size_t cells = (size_t)now.tokens * (size_t)pairs;
    now.heads = integer(c->golden, "heads", 1);
    const size_t elements = (size_t)now.tokens * (size_t)now.heads * (size_t)dim;
    const json_t *const frequencies = json_object_get(c->golden, "inv_freq_f64");
    CHECK(json_array_size(frequencies) == (size_t)pairs, "%zu frequencies", json_array_size(frequencies));
    for (size_t j = 0; j < (size_t)pairs; j++)
        now.models_frequency[j] = json_number_value(json_array_get(frequencies, j));
    CHECK(bits_of(json_object_get(c->golden, "inv_freq"), now.inv_freq, MOST_PAIRS) == (size_t)pairs, "inv_freq");
    CHECK(bits_of(json_object_get(c->golden, "cos"), now.cos, MOST_TOKENS * MOST_PAIRS) == cells, "cos");
    CHECK(bits_of(json_object_get(c->golden, "sin"), now.sin, MOST_TOKENS * MOST_PAIRS) == cells, "sin");
    CHECK(bits_of(json_object_get(c->golden, "rotated"), now.rotated, sizeof now.rotated / 4) == elements, "rotated");
    for (size_t i = 0; i < elements; i++) /* the input that scripts/make_models.py gave to the model */
        now.x[i] = (float)((double)(((uint64_t)i * 2654435761u + 12345) % 4294967296u / 256) * 0x1p-22 - 2.0);
}

static int32_t pairing_of(const char *name)
{
    if (strcmp(name, "half") == 0) return ROPEROT_PAIR_HALF;
    return strcmp(name, "interleaved") == 0 ? ROPEROT_PAIR_INTERLEAVED : 0;
}

static void read_case(const model_case *c)
{
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = integer(c->call, "head_dim", 0);
    config.rotary_dim = integer(c->call, "rotary_dim", 0);
    config.rotary_offset = integer(c->call, "rotary_offset", 0);
    config.pairing = pairing_of(text(c->call, "pairing"));
    config.pairing_out = pairing_of(text(c->call, "pairing_out"));
    config.base = number(c->call, "base", 0);
    config.pairs = config.rotary_dim / 2;
    read_positions(c);
    read_frequencies(c, config.rotary_dim, config.base);
    read_golden(c, config.pairs, config.head_dim);
    config.axes = now.axes;
    config.axis = now.axis;
    config.inv_freq = now.frequency;
    config.attention_factor = now.attention_factor;
    now.config = config;
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static double amplification(const model_case *c)
{
    const json_t *const scaling = json_object_get(c->call, "scaling");
    const int blends = strcmp(text(scaling, "kind"), "yarn") == 0 || strcmp(text(scaling, "kind"), "llama3") == 0;
    return blends ? number(scaling, "factor", 1) : 1;
}

static void has_the_models_frequencies(const void *arg)
{
    const model_case *const c = arg;
    read_case(c);
    for (int32_t j = 0; j < now.config.pairs; j++) {
        const double w = now.models_frequency[j];
        CHECK(fabs(now.frequency[j] - w) <= 32 * e * amplification(c) * w, "pair %d: %.17g, the model has %.17g",
              (int)j, now.frequency[j], w);
    }
    const double a = number(c->golden, "attention_factor", 0);
    CHECK(fabs(now.attention_factor - a) <= 8 * e * a, "attention factor %.17g, the model has %.17g",
          now.attention_factor, a);
}

static roperot_plan *plan_of(const roperot_config *config)
{
    roperot_plan *plan;
    CHECK(roperot_plan_create(config, &plan) == ROPEROT_OK, "%s", roperot_last_error());
    return plan;
}

static roperot_positions positions_of(const int64_t *ids, int32_t axes)
{
    roperot_positions positions = roperot_positions_i64(ids, 0);
    positions.axes = axes;
    positions.axis_stride = now.tokens;
    return positions;
}

static void rotate(const roperot_config *config, const roperot_positions *positions)
{
    roperot_plan *const plan = plan_of(config);
    const roperot_tensor x = roperot_tensor_shd(now.x, ROPEROT_F32, now.tokens, now.heads, config->head_dim);
    const roperot_tensor y = roperot_tensor_shd(now.y, ROPEROT_F32, now.tokens, now.heads, config->head_dim);
    CHECK(roperot_apply(plan, positions, &x, &y, 1, NULL) == ROPEROT_OK, "%s", roperot_last_error());
    roperot_plan_destroy(plan);
}

static size_t elements(void)
{
    return (size_t)now.tokens * (size_t)now.heads * (size_t)now.config.head_dim;
}

static void rotates_every_bit_with_the_models_tables(const void *arg)
{
    read_case(arg);
    roperot_table table = ROPEROT_TABLE_INIT;
    table.cos = now.cos;
    table.sin = now.sin;
    table.rows = now.tokens;
    table.row_stride = now.config.pairs;
    roperot_config config = now.config;
    config.table = &table;
    config.inv_freq = NULL;
    config.axis = NULL;
    config.pairs = 0;
    config.axes = 1;
    config.attention_factor = 1; /* the model's is in its tables */
    static const int64_t rows[MOST_TOKENS] = { 0, 1, 2, 3 };
    const roperot_positions positions = positions_of(rows, 1);
    rotate(&config, &positions);
    for (size_t i = 0; i < elements(); i++)
        CHECK(memcmp(&now.y[i], &now.rotated[i], sizeof(float)) == 0, "element %zu: %a, the model has %a", i,
              (double)now.y[i], (double)now.rotated[i]);
}

/* F32 angles with the model's own frequencies. */
static void has_the_models_tables(const void *arg)
{
    read_case(arg);
    const int32_t pairs = now.config.pairs;
    roperot_config config = now.config;
    double own[MOST_PAIRS];
    for (int32_t j = 0; j < pairs; j++) own[j] = (double)now.inv_freq[j];
    config.inv_freq = own;
    config.angles = ROPEROT_ANGLES_F32;
    config.max_positions = 1;
    for (int32_t i = 0; i < now.axes * now.tokens; i++)
        if (now.ids[i] >= config.max_positions) config.max_positions = now.ids[i] + 1;
    if (harness_quick() && config.max_positions > 20000) return; /* a long FULL table for two of its rows */
    roperot_plan *const plan = plan_of(&config);
    float cos[MOST_TOKENS * MOST_PAIRS], sin[MOST_TOKENS * MOST_PAIRS];
    roperot_table table = ROPEROT_TABLE_INIT;
    table.cos = cos;
    table.sin = sin;
    table.rows = now.tokens;
    table.row_stride = pairs;
    const roperot_positions positions = positions_of(now.ids, now.axes);
    CHECK(roperot_cos_sin(plan, &positions, 1, now.tokens, &table) == ROPEROT_OK, "%s", roperot_last_error());
    roperot_plan_destroy(plan);
    const double allowed = 4 * u * now.attention_factor;
    for (int32_t i = 0; i < now.tokens * pairs; i++) {
        CHECK(fabs((double)cos[i] - (double)now.cos[i]) <= allowed, "cos %d: %.9g, the model has %.9g", (int)i,
              (double)cos[i], (double)now.cos[i]);
        CHECK(fabs((double)sin[i] - (double)now.sin[i]) <= allowed, "sin %d: %.9g, the model has %.9g", (int)i,
              (double)sin[i], (double)now.sin[i]);
    }
}

/* Channel of x0 (which 0) or x1 of pair j. */
static int32_t channel_of(int32_t pairing, int32_t j, int which)
{
    const int32_t pairs = now.config.pairs;
    return now.config.rotary_offset + (pairing == ROPEROT_PAIR_HALF ? j + which * pairs : 2 * j + which);
}

static void check_row(const float *x, const float *y, const float *model, int32_t t)
{
    const int32_t out = now.config.pairing_out ? now.config.pairing_out : now.config.pairing;
    for (int32_t j = 0; j < now.config.pairs; j++) {
        const double p = (double)now.ids[now.axis[j] * now.tokens + t], w32 = (double)now.inv_freq[j];
        const double size = fabs((double)x[channel_of(now.config.pairing, j, 0)]) +
                            fabs((double)x[channel_of(now.config.pairing, j, 1)]);
        const double angle = p * (fabs(w32 - now.models_frequency[j]) + u * fabs(w32));
        const double allowed = size * now.attention_factor * (angle + 9 * u);
        for (int which = 0; which < 2; which++) {
            const int32_t i = channel_of(out, j, which);
            CHECK(fabs((double)y[i] - (double)model[i]) <= allowed, "token %d, channel %d: %.9g, the model has %.9g",
                  (int)t, (int)i, (double)y[i], (double)model[i]);
        }
    }
}

static void rotates_as_the_model_with_exact_angles(const void *arg)
{
    read_case(arg);
    const int32_t dim = now.config.head_dim;
    const roperot_positions positions = positions_of(now.ids, now.axes);
    rotate(&now.config, &positions);
    for (int32_t t = 0; t < now.tokens; t++)
        for (int32_t h = 0; h < now.heads; h++) {
            const int32_t row = (t * now.heads + h) * dim;
            check_row(now.x + row, now.y + row, now.rotated + row, t);
            for (int32_t i = 0; i < dim; i++) {
                const int32_t begin = now.config.rotary_offset, end = begin + now.config.rotary_dim;
                const int same = memcmp(&now.y[row + i], &now.x[row + i], sizeof(float)) == 0;
                CHECK((i >= begin && i < end) || same, "channel %d passes through but was changed", (int)i);
            }
        }
}

/* ---- the files --------------------------------------------------------------------------------------------------- */

enum { MOST_CASES = 256 };

static model_case cases[MOST_CASES];
static size_t case_count, model_count;

static void add_case(const char *file, const json_t *model, const json_t *given)
{
    model_case *const c = &cases[case_count++];
    snprintf(c->name, sizeof c->name, "%.*s/%s", (int)(strlen(file) - strlen(".json")), file, text(given, "name"));
    c->model = model;
    c->call = json_object_get(given, "roperot");
    c->golden = json_object_get(given, "golden");
    c->positions = json_object_get(given, "positions");
    harness_add(has_the_models_frequencies, c, "frequencies/%s", c->name);
    harness_add(has_the_models_tables, c, "tables/%s", c->name);
    harness_add(rotates_every_bit_with_the_models_tables, c, "bits/%s", c->name);
    harness_add(rotates_as_the_model_with_exact_angles, c, "exact/%s", c->name);
}

/* Where the numbers of a file come from: somebody must be able to look them up. */
static void states_its_source(const void *arg)
{
    const json_t *const source = json_object_get(arg, "source");
    CHECK(strchr(text(source, "repository"), '/') != NULL, "source.repository is \"%s\"", text(source, "repository"));
    CHECK(text(source, "file")[0] != '\0', "source.file is missing");
}

static int add_model(const char *directory, const char *file)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", directory, file);
    json_error_t error;
    const json_t *const model = json_load_file(path, 0, &error);
    if (!model) {
        printf("Bail out! %s:%d: %s\n", path, error.line, error.text);
        return 0;
    }
    size_t i;
    const json_t *given;
    harness_add(states_its_source, model, "source/%.*s", (int)(strlen(file) - strlen(".json")), file);
    json_array_foreach(json_object_get(model, "cases"), i, given) {
        if (case_count == MOST_CASES) {
            printf("Bail out! more than %d cases\n", MOST_CASES);
            return 0;
        }
        add_case(file, model, given);
    }
    model_count++;
    return 1;
}

static void knows_enough_models(const void *arg)
{
    (void)arg;
    CHECK(model_count >= 30, "only %zu models were found", model_count);
}

static int is_json(const struct dirent *entry)
{
    const size_t length = strlen(entry->d_name);
    return length > 5 && strcmp(entry->d_name + length - 5, ".json") == 0;
}

/* ROPEROT_TEST_MODELS says where the files are. */
int main(int argc, char **argv)
{
    const char *const directory = getenv("ROPEROT_TEST_MODELS");
    struct dirent **entries = NULL;
    const int count = directory ? scandir(directory, &entries, is_json, alphasort) : -1;
    if (count < 0) {
        printf("Bail out! ROPEROT_TEST_MODELS is \"%s\"; it must be tests/models\n", directory ? directory : "");
        return 1;
    }
    int good = 1;
    for (int i = 0; i < count; i++) {
        good = good && add_model(directory, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    harness_add(knows_enough_models, NULL, "knows enough models");
    return good ? harness_run(argc, argv, "models") : 1;
}
