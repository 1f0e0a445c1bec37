/* SPDX-License-Identifier: MIT
 * roperot_config_hash and roperot_plan_is: what makes two configs one; it must not know how a plan is built. */
#include <string.h>

#include <roperot/roperot.h>

#include "support/harness.h"

enum { PAIRS = 8, ROWS = 16 };

static double list[PAIRS], other_list[PAIRS];
static uint8_t axis[PAIRS], other_axis[PAIRS], zeros[PAIRS];
static float rows[4 * ROWS * PAIRS];
static roperot_table table = ROPEROT_TABLE_INIT, other_table = ROPEROT_TABLE_INIT;

static roperot_config config_of(int lists)
{
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = 2 * PAIRS;
    if (!lists) return c;
    c.inv_freq = list;
    c.axis = axis;
    c.axes = 3;
    c.pairs = PAIRS;
    return c;
}

static roperot_table table_of(int64_t count)
{
    roperot_table t = ROPEROT_TABLE_INIT;
    t.cos = rows;
    t.sin = rows + PAIRS;
    t.rows = count;
    t.row_stride = 2 * PAIRS;
    return t;
}

static roperot_config borrowed(const roperot_table *t)
{
    roperot_config c = config_of(0);
    c.table = t;
    return c;
}

static roperot_plan *plan_of(const roperot_config *c)
{
    roperot_plan *plan;
    CHECK(!roperot_plan_create(c, &plan), "%s", roperot_last_error());
    return plan;
}

static void compare(const roperot_config *a, const roperot_config *b, int same, const char *what)
{
    roperot_plan *const plan = plan_of(a);
    const uint64_t x = roperot_config_hash(a), y = roperot_config_hash(b);
    CHECK(x != 0 && y != 0, "%s: the hash of a good config is 0: %s", what, roperot_last_error());
    CHECK((x == y) == same, "%s: hashes %llx and %llx", what, (unsigned long long)x, (unsigned long long)y);
    CHECK(roperot_plan_is(plan, a) == 1, "%s: the plan is not its own config", what);
    CHECK(roperot_plan_is(plan, b) == same, "%s: plan_is says %d", what, !same);
    roperot_plan_destroy(plan);
}

/* Lists are compared by their values, wherever they are, and the caller may reuse their memory after plan_create. */
static void copies_are_the_same(const void *arg)
{
    (void)arg;
    double w[PAIRS];
    uint8_t a[PAIRS];
    memcpy(w, list, sizeof w);
    memcpy(a, axis, sizeof a);
    const roperot_config one = config_of(1);
    roperot_config two = one;
    two.inv_freq = w;
    two.axis = a;
    compare(&one, &two, 1, "copied lists");
    roperot_plan *const plan = plan_of(&two);
    memset(w, 0, sizeof w);
    memset(a, 0, sizeof a);
    CHECK(roperot_plan_is(plan, &one) == 1, "the plan went with its caller's memory");
    CHECK(roperot_plan_is(plan, &two) == 0, "the plan looks at its caller's memory");
    roperot_plan_destroy(plan);
}

/* Two spellings of one thing. */
static void spellings_are_the_same(const void *arg)
{
    (void)arg;
    const roperot_config one = config_of(0);
    roperot_config two = one;
    two.rotary_dim = 2 * PAIRS;
    two.pairing_out = ROPEROT_PAIR_HALF;
    two.pairs = PAIRS;
    two.axes = 0;
    two.axis = zeros;
    two.max_positions = (int64_t)1 << 31;
    compare(&one, &two, 1, "zeros");
    roperot_config three = config_of(1), four = three;
    four.base = 5.0; /* not read */
    compare(&three, &four, 1, "base beside a list");
    double minus[PAIRS];
    memcpy(minus, list, sizeof minus);
    minus[PAIRS - 1] = -0.0;
    four.inv_freq = minus;
    compare(&three, &four, 1, "minus zero");
    roperot_table copy = table_of(ROWS);
    roperot_config five = borrowed(&table), six = borrowed(&copy);
    six.cache = ROPEROT_CACHE_BORROWED;
    six.angles = ROPEROT_ANGLES_F32;
    six.base = 1.0;
    six.inv_freq = list;
    six.pairs = PAIRS;
    six.max_positions = ROWS;
    compare(&five, &six, 1, "borrowed");
    roperot_config seven = one, eight = one;
    seven.angles = eight.angles = ROPEROT_ANGLES_F32;
    seven.max_positions = eight.max_positions = 64;
    eight.cache = ROPEROT_CACHE_FULL;
    compare(&seven, &eight, 1, "F32 angles are FULL");
}

/* Zeros that follow another member are given here, so that each case changes one number and no other. */
#define DIFFERS(lists, member, value)                                                                                  \
    do {                                                                                                               \
        roperot_config one = config_of(lists), two;                                                                    \
        one.rotary_dim = one.head_dim;                                                                                 \
        one.pairing_out = one.pairing;                                                                                 \
        two = one;                                                                                                     \
        two.member = value;                                                                                            \
        compare(&one, &two, 0, #member);                                                                               \
    } while (0)

static void every_member_counts(const void *arg)
{
    (void)arg;
    DIFFERS(0, head_dim, 2 * PAIRS + 2);
    DIFFERS(0, rotary_dim, PAIRS);
    DIFFERS(0, pairing, ROPEROT_PAIR_INTERLEAVED);
    DIFFERS(0, pairing_out, ROPEROT_PAIR_INTERLEAVED);
    DIFFERS(0, arithmetic, ROPEROT_ARITHMETIC_EAGER);
    DIFFERS(0, base, 10001.0);
    DIFFERS(0, attention_factor, 1.5);
    DIFFERS(0, cache, ROPEROT_CACHE_FACTORED);
    DIFFERS(0, max_positions, 4096);
    DIFFERS(0, bounds, ROPEROT_BOUNDS_CLAMP);
    DIFFERS(0, isa, ROPEROT_ISA_SCALAR);
    DIFFERS(1, inv_freq, other_list);
    DIFFERS(1, inv_freq, NULL);
    DIFFERS(1, axis, other_axis);
    DIFFERS(1, axes, 4);
    roperot_config one = config_of(0), two;
    one.rotary_dim = PAIRS;
    two = one;
    two.rotary_offset = 2;
    compare(&one, &two, 0, "rotary_offset");
    roperot_config mixed = config_of(1), wider, other;
    static double lists[2 * PAIRS], last[2 * PAIRS];
    for (int j = 0; j < 2 * PAIRS; j++) lists[j] = last[j] = list[j % PAIRS];
    last[2 * PAIRS - 1] += 1.0;
    mixed.inv_freq = lists, mixed.axis = NULL, mixed.axes = 1;
    other = mixed;
    mixed.frequencies = ROPEROT_FREQUENCIES_MIXED;
    compare(&mixed, &other, 0, "frequencies");
    wider = mixed;
    wider.axes = 2;
    compare(&mixed, &wider, 0, "mixed axes");
    other = wider;
    other.inv_freq = last;
    compare(&wider, &other, 0, "the last mixed frequency");
    other.inv_freq = lists, other.cache = ROPEROT_CACHE_NONE;
    compare(&wider, &other, 1, "NONE is what mixed frequencies have");
    one.max_positions = 64;
    one.cache = ROPEROT_CACHE_FULL; /* which F32 angles have */
    two = one;
    two.angles = ROPEROT_ANGLES_F32;
    compare(&one, &two, 0, "angles");
}

#define TABLE_DIFFERS(member, value)                                                                                   \
    do {                                                                                                               \
        roperot_config one = borrowed(&table), two = borrowed(&other_table);                                           \
        one.max_positions = two.max_positions = 4; /* of 0, the table's rows */                                        \
        other_table = table;                                                                                           \
        other_table.member = value;                                                                                    \
        compare(&one, &two, 0, "table." #member);                                                                      \
    } while (0)

static void tables_count(const void *arg)
{
    (void)arg;
    TABLE_DIFFERS(cos, rows + 2 * PAIRS);
    TABLE_DIFFERS(sin, rows);
    TABLE_DIFFERS(rows, ROWS - 1);
    TABLE_DIFFERS(row_stride, PAIRS);
    TABLE_DIFFERS(element_stride, 2);
    TABLE_DIFFERS(dtype, ROPEROT_BF16);
    TABLE_DIFFERS(width, ROPEROT_TABLE_FULL_HALVES);
    TABLE_DIFFERS(heads, 1);
    const roperot_config one = borrowed(&table);
    const roperot_config none = config_of(0);
    compare(&one, &none, 0, "no table");
    roperot_table two_heads = table_of(2), apart = two_heads;
    two_heads.heads = apart.heads = 2;
    two_heads.head_stride = 4 * PAIRS;
    apart.head_stride = 2 * PAIRS;
    const roperot_config three = borrowed(&two_heads), four = borrowed(&apart);
    compare(&three, &three, 1, "heads");
    compare(&three, &four, 0, "head_stride");
    two_heads.heads = apart.heads = 1;
    compare(&three, &four, 1, "the head_stride of one head");
}

static void refuses(const void *arg)
{
    (void)arg;
    const roperot_config good = config_of(0);
    roperot_plan *const plan = plan_of(&good);
    roperot_config bad = good;
    bad.head_dim = 1;
    CHECK(roperot_config_hash(&bad) == 0 && strstr(roperot_last_error(), "config.head_dim is 1"), "%s",
          roperot_last_error());
    bad.head_dim = -2;
    CHECK(roperot_plan_is(plan, &bad) == 0 && strstr(roperot_last_error(), "config.head_dim is -2"), "%s",
          roperot_last_error());
    bad = good;
    bad.isa = 99;
    CHECK(roperot_config_hash(&bad) == 0 && strstr(roperot_last_error(), "config.isa is 99"), "%s",
          roperot_last_error());
    CHECK(roperot_plan_is(plan, &bad) == 0 && strstr(roperot_last_error(), "config.isa is 99"), "%s",
          roperot_last_error());
    bad = config_of(1);
    bad.pairs = 1 << 20; /* never read beyond what the geometry says */
    CHECK(roperot_config_hash(&bad) == 0 && strstr(roperot_last_error(), "config.pairs"), "%s", roperot_last_error());
    CHECK(roperot_config_hash(NULL) == 0 && strstr(roperot_last_error(), "config is NULL"), "%s", roperot_last_error());
    CHECK(roperot_plan_is(plan, NULL) == 0 && strstr(roperot_last_error(), "config is NULL"), "%s",
          roperot_last_error());
    CHECK(roperot_plan_is(NULL, &good) == 0 && strstr(roperot_last_error(), "plan is NULL"), "%s",
          roperot_last_error());
    roperot_plan_destroy(plan);
}

int main(int argc, char **argv)
{
    for (int j = 0; j < PAIRS; j++) list[j] = j == PAIRS - 1 ? 0.0 : 1.0 / (1 + j), axis[j] = (uint8_t)(j % 3);
    memcpy(other_list, list, sizeof list);
    memcpy(other_axis, axis, sizeof axis);
    other_list[PAIRS - 2] *= 1 + 0x1p-52;
    other_axis[PAIRS - 1] ^= 1;
    table = table_of(ROWS);
    harness_add(copies_are_the_same, NULL, "copies are the same");
    harness_add(spellings_are_the_same, NULL, "spellings are the same");
    harness_add(every_member_counts, NULL, "every member counts");
    harness_add(tables_count, NULL, "tables count");
    harness_add(refuses, NULL, "refuses");
    return harness_run(argc, argv, "config_key");
}
