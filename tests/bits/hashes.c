/* SPDX-License-Identifier: MIT
 * The same bits on every CPU: recomputes the committed hashes on every usable ISA; it must not know what is hashed.
 *
 *     test_hashes                compares; TAP, one point per table and ISA
 *     test_hashes -w <folder>    writes rotations.inc, jobs.inc and caches.inc anew from the scalar backend
 *
 * `ninja write-hashes` does the latter for tests/bits/. Only a decision to change the numerics justifies it. */
#define _POSIX_C_SOURCE 200809L
#include "hashes.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <roperot/roperot.h>

#include "bits.h"
#include "config.h"
#include "lists.h"

typedef struct entry {
    const char *name;
    uint64_t hash;
} entry;

#define HASH(name, hash) { name, hash },
static const entry rotations[] = {
#include "rotations.inc"
    { NULL, 0 }
};
static const entry jobs[] = {
#include "jobs.inc"
    { NULL, 0 }
};
static const entry caches[] = {
#include "caches.inc"
    { NULL, 0 }
};
#undef HASH

typedef struct table {
    const char *name;
    void (*each)(int32_t isa, hashes_emit_fn *emit, void *ctx);
    const entry *entries;
} table;

static const table tables[] = { { "rotations", hashes_rotations, rotations },
                                { "jobs", hashes_jobs, jobs },
                                { "caches", hashes_caches, caches } };
enum { TABLES = sizeof tables / sizeof *tables, MOST_NOTES = 20 };

/* ---- comparing --------------------------------------------------------------------------------------------------- */

typedef struct comparison {
    const entry *next, *now; /* the entry of the next plain run, and of the last one */
    const char *isa;
    int runs, failures;
} comparison;

static void compare(void *ctx, const char *name, const char *variant, uint64_t hash)
{
    comparison *const c = ctx;
    c->runs++;
    if (!variant) {
        c->now = c->next->name ? c->next++ : c->next;
        if (!c->now->name || strcmp(c->now->name, name))
            bits_bail("the table has no entry \"%s\" here: write it anew", name);
    }
    if (hash == c->now->hash) return;
    if (c->failures++ < MOST_NOTES)
        bits_note("%s: %s%s%s: %016llx instead of %016llx", c->isa, name, variant ? ", " : "", variant ? variant : "",
                  (unsigned long long)hash, (unsigned long long)c->now->hash);
}

static void compare_all(const table *t, int32_t isa)
{
    char what[64];
    comparison c = { t->entries, t->entries, roperot_isa_name(isa), 0, 0 };
    snprintf(what, sizeof what, "%s %s", t->name, c.isa);
    if (!roperot_isa_usable(isa)) {
        bits_skip(what, roperot_isa_reason(isa));
    } else {
        t->each(isa, compare, &c);
        const int missing = c.next->name != NULL;
        if (missing) bits_note("%s: nothing was computed for \"%s\" and what follows it", c.isa, c.next->name);
        bits_point(c.failures + missing, "%s: %d runs, %d with other bits", what, c.runs, c.failures);
    }
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void write_one(void *ctx, const char *name, const char *variant, uint64_t hash)
{
    if (!variant) fprintf(ctx, "HASH(\"%s\", 0x%016llxull)\n", name, (unsigned long long)hash);
}

static int write_all(const char *folder)
{
    for (int i = 0; i < TABLES; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s.inc", folder, tables[i].name);
        FILE *const file = fopen(path, "w");
        if (!file) return perror(path), 1;
        fprintf(file, "/* Written by test_hashes (ninja write-hashes) from the scalar backend; not to be edited. */\n");
        tables[i].each(ROPEROT_ISA_SCALAR, write_one, file);
        if (ferror(file) | fclose(file)) return perror(path), 1;
        printf("wrote %s\n", path);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *folder = NULL;
    for (int option; (option = getopt(argc, argv, "w:")) != -1;) {
        if (option != 'w') return 2;
        folder = optarg;
    }
    if (folder) return write_all(folder);
    bits_plan(TABLES * ROPEROT_ISAS);
    bits_note("%s", roperot_build_info());
    for (int i = 0; i < TABLES; i++)
        for (int32_t isa = ROPEROT_ISA_SCALAR; isa < ROPEROT_ISA_END; isa++) compare_all(&tables[i], isa);
    return bits_end();
}
