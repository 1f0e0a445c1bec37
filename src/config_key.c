/* SPDX-License-Identifier: MIT
 * Configs as keys: a hash, and whether a plan was made of one; it must not know what a plan does. */
#include <stddef.h>

#include "bounds.h"
#include "check_config.h"
#include "config_key.h"
#include "status.h"

#if UINTPTR_MAX == UINT64_MAX
_Static_assert(offsetof(roperot_config, frequencies) + sizeof(int32_t) == sizeof(roperot_config),
               "a member that roperot_config has gained belongs in a list below");
_Static_assert(offsetof(roperot_table, head_stride) + sizeof(int64_t) == sizeof(roperot_table),
               "a member that roperot_table has gained belongs in a list below");
#endif

/* Every member that is compared as a number, after defaults have replaced zeros. */
/* clang-format off */
#define CONFIG_NUMBERS(N)                                                                                              \
    N(head_dim) N(rotary_dim) N(rotary_offset) N(pairing) N(pairing_out) N(pairs) N(axes) N(angles) N(cache)           \
    N(max_positions) N(bounds) N(isa) N(arithmetic) N(frequencies)
/* clang-format on */
#define TABLE_NUMBERS(N) N(dtype) N(rows) N(row_stride) N(element_stride) N(width) N(heads) N(head_stride)

void roperot_config_key(const roperot_config *config, roperot_config *key)
{
    const roperot_config *const c = config;
    const int borrowed = c->table != NULL, f32 = c->angles == ROPEROT_ANGLES_F32;
    const int mixed = c->frequencies == ROPEROT_FREQUENCIES_MIXED;
    *key = *c;
    key->rotary_dim = c->rotary_dim ? c->rotary_dim : c->head_dim;
    key->pairing_out = c->pairing_out ? c->pairing_out : c->pairing;
    key->pairs = key->rotary_dim / 2;
    key->axes = c->axes ? c->axes : 1;
    key->axis = key->axes > 1 ? c->axis : NULL;
    key->inv_freq = borrowed ? NULL : c->inv_freq;
    key->base = borrowed || c->inv_freq ? 0.0 : c->base;
    key->angles = borrowed ? ROPEROT_ANGLES_EXACT : c->angles;
    key->cache = borrowed ? ROPEROT_CACHE_BORROWED : mixed ? ROPEROT_CACHE_NONE : f32 ? ROPEROT_CACHE_FULL : c->cache;
    if (c->max_positions == 0)
        key->max_positions =
            borrowed && c->table->rows < ROPEROT_MAX_POSITIONS ? c->table->rows : ROPEROT_MAX_POSITIONS;
}

/* Values of inv_freq in a key. */
static int64_t frequencies_of(const roperot_config *key)
{
    if (!key->inv_freq) return 0;
    return key->frequencies == ROPEROT_FREQUENCIES_MIXED ? (int64_t)key->axes * key->pairs : key->pairs;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 32;
}

static uint64_t mix_real(uint64_t hash, double value)
{
    union {
        double real;
        uint64_t bits;
    } x = { value + 0.0 }; /* one zero */
    return mix(hash, x.bits);
}

uint64_t roperot_config_hash(const roperot_config *config)
{
    if (!config) {
        roperot_null_error("config", "roperot_config");
        return 0;
    }
    roperot_config full, key;
    roperot_table table;
    if (roperot_read_config(config, &full, &table) || roperot_check_config(&full)) return 0;
    roperot_config_key(&full, &key);
    uint64_t hash = 0;
#define MIX(member) hash = mix(hash, (uint64_t)(int64_t)key.member);
#define MIX_TABLE(member) hash = mix(hash, (uint64_t)(int64_t)key.table->member);
    CONFIG_NUMBERS(MIX)
    hash = mix_real(mix_real(hash, key.base), key.attention_factor);
    for (int64_t j = 0; j < frequencies_of(&key); j++) hash = mix_real(hash, key.inv_freq[j]);
    for (int32_t j = 0; key.axis && j < key.pairs; j++) hash = mix(hash, key.axis[j]);
    if (key.table) {
        TABLE_NUMBERS(MIX_TABLE)
        hash = mix(mix(hash, (uintptr_t)key.table->cos), (uintptr_t)key.table->sin);
    }
#undef MIX_TABLE
#undef MIX
    return hash ? hash : 1;
}

static int same_lists(const roperot_config *a, const roperot_config *b)
{
    if (!a->inv_freq != !b->inv_freq || !a->axis != !b->axis) return 0;
    for (int64_t j = 0; j < frequencies_of(a); j++)
        if (a->inv_freq[j] != b->inv_freq[j]) return 0;
    for (int32_t j = 0; a->axis && j < a->pairs; j++)
        if (a->axis[j] != b->axis[j]) return 0;
    return 1;
}

static int same_table(const roperot_table *a, const roperot_table *b)
{
    if (!a || !b) return a == b;
#define SAME(member) && a->member == b->member
    return a->cos == b->cos && a->sin == b->sin TABLE_NUMBERS(SAME);
#undef SAME
}

int32_t roperot_plan_is(const roperot_plan *plan, const roperot_config *config)
{
    if (!plan || !config) {
        (void)(plan ? roperot_null_error("config", "roperot_config") : roperot_null_plan_error());
        return 0;
    }
    roperot_config full, key;
    roperot_table table;
    if (roperot_read_config(config, &full, &table) || roperot_check_config(&full)) return 0;
    roperot_config_key(&full, &key);
    const roperot_config *const asked = &plan->asked;
#define SAME(member) && key.member == asked->member
    return key.base == asked->base && key.attention_factor == asked->attention_factor CONFIG_NUMBERS(SAME) &&
           same_table(key.table, asked->table) && same_lists(&key, asked);
#undef SAME
}
