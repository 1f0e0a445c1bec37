/* SPDX-License-Identifier: MIT
 * roperot-footprint: prints how many lines and pages of the library's code one decode call executes, and holds them to
 * ceilings; it must not time anything, nor know what jobs are made of.
 *
 *   roperot-footprint                    a table of all kinds of call
 *   roperot-footprint f32/half           those whose name contains it
 *   roperot-footprint -l <name>          the executed lines of one, as offsets that addr2line -f -e <library> reads
 *   roperot-footprint -c                 one line per ceiling; exit status 1: one is exceeded, 77: nothing was counted
 *
 * In a decode step each call comes after other data has passed through the caches, so that every line of code is a
 * miss: docs/performance.md. Names are <dtype>/<pairing>/<isa>/<cache>-<positions>[-signed]-<dst>, and, of roperot_run,
 * run-<what>/<dtype>/<pairing>/<isa>/<cache>-<positions>: footprint_jobs.h.
 */
#include <getopt.h>
#include <roperot/roperot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "footprint_jobs.h"
#include "lists.h"
#include "steps.h"

enum { DIM = 128, Q_HEADS = 32, K_HEADS = 8, ROWS = 4096, POSITION = 1234, SKIPPED = 77, NAME = 96 };
enum { POSITIONS = 3 }; /* OFFSET, or ids of either width */

/* The most lines and pages of the library that a call may execute, over all dtypes, pairings, ISAs, signs and views,
 * with gcc and clang. Lower them as the code shrinks; raise one only with a reason in docs/decisions.md. */
typedef struct ceiling {
    int32_t jobs; /* 0: roperot_apply; else a FOOTPRINT_... */
    int bits;     /* of a dtype; 0: any */
    int32_t cache;
    int ids; /* 0: OFFSET; 1: ids of either width */
    int lines, pages;
} ceiling;

/* The goals, 60 and 90. clang 14 lays bf16's rotation for AVX2 out in three lines more than gcc 12. */
#ifdef __clang__
enum { FULL_LINES = 64 };
#else
enum { FULL_LINES = 60 };
#endif

#define OF_CACHES(jobs, bits, full, factored)                                                                          \
    { jobs, bits, ROPEROT_CACHE_FULL, 0, full, 10 }, { jobs, bits, ROPEROT_CACHE_FULL, 1, full, 10 },                  \
    { jobs, bits, ROPEROT_CACHE_FACTORED, 0, factored, 10 }, { jobs, bits, ROPEROT_CACHE_FACTORED, 1, factored, 10 }
static const ceiling ceilings[] = {
    OF_CACHES(0, 0, FULL_LINES, 90),
    OF_CACHES(FOOTPRINT_Q, 32, 95, 112),
    OF_CACHES(FOOTPRINT_Q, 16, 132, 149),
    OF_CACHES(FOOTPRINT_KV, 32, 119, 136),
    OF_CACHES(FOOTPRINT_KV, 16, 151, 168),
    OF_CACHES(FOOTPRINT_LAYER, 32, 122, 139),
    OF_CACHES(FOOTPRINT_LAYER, 16, 154, 171),
};
enum { CEILINGS = sizeof ceilings / sizeof ceilings[0] };

typedef struct kind {
    char name[NAME];
    int32_t jobs; /* 0: roperot_apply; else a FOOTPRINT_... */
    int32_t dtype, pairing, isa, cache;
    int32_t ids; /* 0: OFFSET, else a roperot_positions_type */
    int is_signed, same_view;
} kind;

typedef struct prepared_call {
    roperot_plan *plan;
    roperot_positions positions;
    roperot_options options;
    roperot_tensor qk[2];
    const roperot_tensor *dst;
    footprint_jobs jobs;
    int32_t status;
} prepared_call;

static float q[Q_HEADS * DIM], k[K_HEADS * DIM]; /* zeros will do in any dtype: no branch depends on values */

/* ---- one call ---------------------------------------------------------------------------------------------------- */

static void call(void *argument)
{
    prepared_call *const c = argument;
    if (c->jobs.count != 0)
        c->status = roperot_run(c->plan, &c->positions, c->jobs.job, c->jobs.count, NULL);
    else
        c->status = roperot_apply(c->plan, &c->positions, c->qk, c->dst, 2,
                                  c->options.flags != 0 ? &c->options : NULL);
}

static int prepare(const kind *what, prepared_call *c)
{
    static const int32_t id32 = POSITION;
    static const int64_t id64 = POSITION;
    roperot_config config = ROPEROT_CONFIG_INIT;
    const roperot_options defaults = ROPEROT_OPTIONS_INIT;
    config.head_dim = DIM;
    config.base = 1e6;
    config.pairing = what->pairing;
    config.isa = what->isa;
    config.cache = what->cache;
    config.max_positions = what->cache == ROPEROT_CACHE_FULL ? ROWS : 0;
    c->positions = what->ids == 0                       ? roperot_positions_offset(POSITION)
                   : what->ids == ROPEROT_POSITIONS_I32 ? roperot_positions_i32(&id32, 0)
                                                        : roperot_positions_i64(&id64, 0);
    c->options = defaults;
    c->options.flags = what->is_signed ? ROPEROT_SIGNED_POSITIONS : 0;
    c->qk[0] = roperot_tensor_shd(q, what->dtype, 1, Q_HEADS, DIM);
    c->qk[1] = roperot_tensor_shd(k, what->dtype, 1, K_HEADS, DIM);
    c->dst = what->same_view ? c->qk : NULL;
    footprint_jobs_make(&c->jobs, what->jobs, what->dtype);
    if (roperot_plan_create(&config, &c->plan) != ROPEROT_OK) return 0;
    call(c); /* binds symbols, touches pages */
    return c->status == ROPEROT_OK;
}

/* NULL: counted. Whatever happens, the plan is gone afterwards. */
static const char *count(const kind *what, const bench_code *code, bench_steps *steps)
{
    prepared_call c = { .plan = NULL };
    const char *const why = prepare(what, &c) ? bench_steps_count(code, call, &c, steps) : roperot_last_error();
    roperot_plan_destroy(c.plan);
    return why;
}

/* ---- all kinds of call ------------------------------------------------------------------------------------------- */

static void name_kind(kind *what)
{
#define DTYPE_NAME(dtype, DTYPE, bytes) #dtype,
#define PAIRING_NAME(pairing, PAIRING)  #pairing,
    static const char *const dtypes[] = { ROPEROT_DTYPE_LIST(DTYPE_NAME) };
    static const char *const pairings[] = { ROPEROT_PAIRING_LIST(PAIRING_NAME) };
    static const char *const positions[POSITIONS] = { "offset", "i32", "i64" };
    snprintf(what->name, sizeof what->name, "%s%s/%s/%s/%s-%s%s%s", what->jobs ? footprint_jobs_names[what->jobs] : "",
             dtypes[roperot_dtype_index(what->dtype)], pairings[roperot_pairing_index(what->pairing)],
             roperot_isa_name(what->isa), what->cache == ROPEROT_CACHE_FULL ? "full" : "factored",
             positions[what->ids], what->is_signed ? "-signed" : "",
             what->jobs        ? ""
             : what->same_view ? "-same"
                               : "-null");
}

/* With ROPEROT_TEST_QUICK all kinds of f32 half, and of the others the calls that runtimes make most: three times
 * as fast, for a step takes two changes of process. Of jobs always only these, and half-split. */
static int wanted(const kind *what, const char *chosen)
{
    const int plain = !what->is_signed && !what->same_view && what->ids != ROPEROT_POSITIONS_I64;
    if (!roperot_isa_usable(what->isa) || strstr(what->name, chosen) == NULL) return 0;
    if (what->jobs) return plain && what->pairing == ROPEROT_PAIR_HALF;
    return plain || getenv("ROPEROT_TEST_QUICK") == NULL || strncmp(what->name, "f32/half/", 9) == 0;
}

/* The last digit of *number to that base, which is taken off. */
static int32_t take_digit(int *number, int base)
{
    const int32_t digit = *number % base;
    *number /= base;
    return digit;
}

/* The kind of that number, in the order of the names' last parts first; 0: there are no more. Every ISA but SCALAR,
 * which no decode call of a CPU that can be counted takes. */
static int kind_of(int number, kind *what)
{
    static const int32_t caches[] = { ROPEROT_CACHE_FULL, ROPEROT_CACHE_FACTORED };
    what->same_view = take_digit(&number, 2);
    what->is_signed = take_digit(&number, 2);
    what->ids = take_digit(&number, POSITIONS);
    what->cache = caches[take_digit(&number, sizeof caches / sizeof *caches)];
    what->pairing = ROPEROT_PAIR_HALF + take_digit(&number, ROPEROT_PAIRINGS);
    what->dtype = ROPEROT_F32 + take_digit(&number, ROPEROT_DTYPES);
    what->jobs = take_digit(&number, FOOTPRINT_END);
    what->isa = ROPEROT_ISA_SCALAR + 1 + number;
    if (what->isa >= ROPEROT_ISA_END) return 0;
    name_kind(what);
    return 1;
}

/* ---- what is printed --------------------------------------------------------------------------------------------- */

static void print_row(const kind *what, const bench_steps *steps)
{
    printf("%-44s %6d %6d %8lld %8d %8d\n", what->name, steps->lines, steps->pages, (long long)steps->instructions,
           steps->outside_lines, steps->outside_pages);
}

static void print_lines(const bench_code *code, const bench_steps *steps)
{
    const size_t lines = (code->end - code->begin) / BENCH_LINE;
    for (size_t i = 0; i < lines; ++i)
        if (steps->line_steps[i] != 0) printf("0x%zx\n", (size_t)(code->begin - code->load_address) + i * BENCH_LINE);
}

typedef struct most {
    int lines, pages;
    char lines_of[NAME], pages_of[NAME];
} most;

static void keep_most(most found[CEILINGS], const kind *what, const bench_steps *steps)
{
    for (int i = 0; i < CEILINGS; ++i) {
        most *const m = &found[i];
        const ceiling *const c = &ceilings[i];
        if (c->jobs != what->jobs || c->cache != what->cache || c->ids != (what->ids != 0)) continue;
        if (c->bits && c->bits != 8 * roperot_dtype_size(what->dtype)) continue;
        if (steps->lines > m->lines) m->lines = steps->lines, strcpy(m->lines_of, what->name);
        if (steps->pages > m->pages) m->pages = steps->pages, strcpy(m->pages_of, what->name);
    }
}

/* The number of ceilings that are exceeded. */
static int judge(const most found[CEILINGS])
{
    int exceeded = 0;
    for (int i = 0; i < CEILINGS; ++i) {
        const ceiling *const c = &ceilings[i];
        const int fits = found[i].lines <= c->lines && found[i].pages <= c->pages;
        printf("%-9s %-8s %-6s %3d lines (%s), ceiling %d; %2d pages (%s), ceiling %d%s\n",
               c->jobs ? footprint_jobs_names[c->jobs] : "apply", c->cache == ROPEROT_CACHE_FULL ? "FULL" : "FACTORED",
               c->ids ? "ids" : "OFFSET", found[i].lines, found[i].lines_of, c->lines, found[i].pages,
               found[i].pages_of, c->pages, fits ? "" : ": EXCEEDED");
        exceeded += !fits;
    }
    return exceeded;
}

typedef enum output { TABLE, LINES, CHECK } output;

/* Counts the kinds whose names contain `chosen`. Returns how many, or -1 and *why. */
static int count_kinds(const bench_code *code, const char *chosen, output form, most found[CEILINGS], const char **why)
{
    kind what;
    int counted = 0;
    if (form == TABLE) printf("%-44s  lines  pages   instrs  outside: lines pages\n", "");
    for (int i = 0; kind_of(i, &what); ++i) {
        bench_steps steps;
        if (!wanted(&what, chosen)) continue;
        *why = count(&what, code, &steps);
        if (*why != NULL) return -1;
        if (form == TABLE) print_row(&what, &steps);
        if (form == LINES) print_lines(code, &steps);
        keep_most(found, &what, &steps);
        free(steps.line_steps);
        counted++;
    }
    return counted;
}

static int skip(const char *why)
{
    printf("SKIP: %s\n", why);
    return SKIPPED;
}

int main(int argc, char **argv)
{
    output form = TABLE;
    for (int option = getopt(argc, argv, "cl"); option != -1; option = getopt(argc, argv, "cl")) {
        if (option == '?') return 2;
        form = option == 'c' ? CHECK : LINES;
    }
#if !BENCH_OPTIMISED
    if (form == CHECK) return skip("the ceilings are those of an optimised build without sanitizers");
#endif
    bench_code code;
    most found[CEILINGS] = { { .lines = 0 } };
    const char *why = bench_code_of("roperot_apply", &code);
    if (why != NULL) return skip(why);
    const int counted = count_kinds(&code, optind < argc ? argv[optind] : "", form, found, &why);
    if (counted < 0) return skip(why);
    if (counted == 0) return skip("no kind of call has that name, or this CPU has none of the instruction sets");
    return form == CHECK && judge(found) != 0;
}
