/* SPDX-License-Identifier: MIT
 * What this CPU's vector units and its memory allow at least for norm and rotation of heads of 128 channels on AVX-512:
 * the same operations as the kernels', but none of them waits for another one. It must not call roperot.
 *
 *     roperot-ports
 *
 * prints cycles a head for the operations alone; for 4096 tokens of 40 heads the time of a sweep in place, with and
 * without the operations between its loads and stores; and the same for a layer: 32 heads in place, 8 of k and 8 of v
 * into rows of pages in no order, past the caches. Medians; the clock is that of a chain of multiplications. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HEADS = 40, Q_HEADS = 32, KV_HEADS = 8, TOKENS = 4096, CHANNELS = 128 };
enum { ROUNDS = 41, CALLS = 20000, LINE = 64, AHEAD = 4096 };

/* ---- operations -------------------------------------------------------------------------------------------------- */

/* Destinations are up to three registers each, a, b and c; sources are registers that never change, 0. */
#define MUL(d)   "vmulps %%zmm30,%%zmm31,%%zmm" d "\n"
#define ADD(d)   "vaddps %%zmm30,%%zmm31,%%zmm" d "\n"
#define EVEN(d)  "vpslld $16,%%zmm31,%%zmm" d "\n"
#define ODD(d)   "vpandd %%zmm30,%%zmm31,%%zmm" d "\n"
#define DOWN(d)  "vpsrld $16,%%zmm31,%%zmm" d "\n"
#define FUSE(d)  "vfmsub231ps %%zmm30,%%zmm31,%%zmm" d "\n"
#define PAIR(d)  "vinserti64x4 $1,%%ymm30,%%zmm31,%%zmm" d "\n"
#define WATCH(d) "vpaddw %%zmm30,%%zmm31,%%zmm" d "\nvpternlogd $0x60,%%zmm30,%%zmm31,%%zmm" d "\n"

/* Two registers of f32 to one of bf16, as round_pairs_bf16x32 does it. */
#define NARROW(a, b, c, k)                                                                                             \
    "vpshufb %%zmm30,%%zmm31,%%zmm" a "%{%%k1%}\nvpshufb %%zmm30,%%zmm31,%%zmm" b "%{%%k1%}\n"                         \
    "vpternlogd $0xf8,%%zmm30,%%zmm31,%%zmm" b "\nvpcmpuw $6,%%zmm30,%%zmm31,%%k" k "\n"                               \
    "vpaddw %%zmm30,%%zmm31,%%zmm" c "%{%%k1%}\n"

/* To bf16 as extension_avx512_fma.c does it: each register by itself, and two of them to one. */
#define ROUND(a)   MUL(a) FUSE(a)
#define PACK(a, b) ROUND(a) ROUND(b) DOWN(a) ODD(b)

/* The same as extension_avx512_bf16.c does it, which also widens and weaves by one permutation for each register, and
 * sums by dot products. */
#define SWAP(d)    "vpermw %%zmm30,%%zmm31,%%zmm" d "\n"
#define DOT(d)     "vdpbf16ps %%zmm30,%%zmm31,%%zmm" d "\n"
#define CONVERT(d) "vcvtne2ps2bf16 %%zmm30,%%zmm31,%%zmm" d "\n"
#define WEAVE(d)   "vpermw %%zmm30,%%zmm31,%%zmm" d "%{%%k1%}%{z%}\n"

/* Of 32 channels of bf16 each; rotations of 32 pairs: behind the norm, and that of roperot_apply. */
#define SUM_BF16(a, b, c) PAIR(a) EVEN(b) ODD(c) FUSE(a) FUSE(b) WATCH(c)
#define NORM_BF16(a, b)   EVEN(a) ODD(b) MUL(a) MUL(b) MUL(a) MUL(b) ROUND(a) ROUND(b)
#define MIX(a, b, c)                                                                                                   \
    MUL(a) MUL(b) MUL(c) MUL(a) ADD(b) ADD(c) MUL(a) MUL(b) MUL(c) MUL(a) ADD(b) ADD(c)
#define TURN_BF16(a, b, c)     MIX(a, b, c) PACK(a, b) PACK(c, a)
#define SUM_CONVERT(a, b, c)   SWAP(a) DOT(b) WATCH(c)
#define NORM_CONVERT(a, b)     WEAVE(a) WEAVE(b) MUL(a) MUL(b) MUL(a) MUL(b) CONVERT(a)
#define TURN_CONVERT(a, b, c)  EVEN(a) ODD(b) EVEN(c) ODD(a) MIX(a, b, c) CONVERT(a) CONVERT(b)
#define APPLY_BF16(a, b, c, k) EVEN(a) ODD(b) EVEN(c) ODD(a) MIX(b, c, a) NARROW(a, b, c, k) NARROW(a, b, c, k)

#define SUMS_BF16    SUM_BF16("0", "1", "2") SUM_BF16("3", "4", "5") SUM_BF16("6", "7", "8") SUM_BF16("9", "10", "11")
#define NORMS_BF16   NORM_BF16("12", "13") NORM_BF16("14", "15") NORM_BF16("16", "17") NORM_BF16("18", "19")
#define TURNS_BF16   TURN_BF16("20", "21", "22") TURN_BF16("23", "24", "25")
#define SUMS_CONVERT                                                                                                   \
    SUM_CONVERT("0", "1", "2") SUM_CONVERT("3", "4", "5") SUM_CONVERT("6", "7", "8") SUM_CONVERT("9", "10", "11")
#define NORMS_CONVERT                                                                                                  \
    NORM_CONVERT("12", "13") NORM_CONVERT("14", "15") NORM_CONVERT("16", "17") NORM_CONVERT("18", "19")
#define TURNS_CONVERT TURN_CONVERT("20", "21", "22") TURN_CONVERT("23", "24", "25")
#define APPLIES_BF16 APPLY_BF16("20", "21", "22", "6") APPLY_BF16("23", "24", "25", "7")

/* Of 16 channels of f32 each; the rotation of 16 pairs. */
#define SUM_F32(a, b)     MUL(a) ADD(b)
#define NORM_F32(a)       MUL(a) MUL(a)
#define TURN_F32(a, b, c) MUL(a) MUL(b) ADD(c) MUL(a) MUL(b) ADD(c)
#define SUMS_F32                                                                                                       \
    SUM_F32("0", "1") SUM_F32("2", "3") SUM_F32("4", "5") SUM_F32("6", "7") SUM_F32("0", "1") SUM_F32("2", "3")        \
    SUM_F32("4", "5") SUM_F32("6", "7")
#define NORMS_F32                                                                                                      \
    NORM_F32("8") NORM_F32("9") NORM_F32("10") NORM_F32("11") NORM_F32("12") NORM_F32("13") NORM_F32("14")             \
    NORM_F32("15")
#define TURNS_F32                                                                                                      \
    TURN_F32("16", "17", "18") TURN_F32("19", "20", "21") TURN_F32("22", "23", "24") TURN_F32("25", "26", "27")

#define REGISTERS                                                                                                      \
    "zmm0", "zmm1", "zmm2", "zmm3", "zmm4", "zmm5", "zmm6", "zmm7", "zmm8", "zmm9", "zmm10", "zmm11", "zmm12",         \
        "zmm13", "zmm14", "zmm15", "zmm16", "zmm17", "zmm18", "zmm19", "zmm20", "zmm21", "zmm22", "zmm23", "zmm24",    \
        "zmm25", "zmm26", "zmm27", "zmm28", "zmm30", "zmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "memory"
#define START                                                                                                          \
    "vpxord %%zmm30,%%zmm30,%%zmm30\nvpxord %%zmm31,%%zmm31,%%zmm31\nmov $0xaaaaaaaa,%%eax\nkmovd %%eax,%%k1\n"

/* ---- a head ------------------------------------------------------------------------------------------------------ */

#define TAKE(at) "prefetcht0 4096+" at "(%[p])\nvmulps " at "(%[p]),%%zmm30,%%zmm28\n"
#define PUT(at)  "vmovups %%zmm29," at "(%[p])\n"
#define PASS(at) "vmovntps %%zmm29," at "(%[d])\n"
#define LOADS_BF16  TAKE("0") TAKE("64") TAKE("128") TAKE("192")
#define STORES_BF16 PUT("0") PUT("64") PUT("128") PUT("192")
#define PASSES_BF16 PASS("0") PASS("64") PASS("128") PASS("192")
#define LOADS_F32   LOADS_BF16 TAKE("256") TAKE("320") TAKE("384") TAKE("448")
#define STORES_F32  STORES_BF16 PUT("256") PUT("320") PUT("384") PUT("448")
#define PASSES_F32  PASSES_BF16 PASS("256") PASS("320") PASS("384") PASS("448")

/* `operations` of `heads` heads, `step` bytes apart, and as far apart where they go if that is not in place. */
#define LOOP(name, operations)                                                                                         \
    static void name(char *p, char *d, long heads, long step)                                                          \
    {                                                                                                                  \
        __asm__ volatile(START "vpxord %%zmm29,%%zmm29,%%zmm29\n.p2align 6\n1:\n" operations                           \
                               "add %[step],%[p]\nadd %[step],%[d]\ndec %[heads]\njne 1b\nvzeroupper\n"                \
                         : [p] "+r"(p), [d] "+r"(d), [heads] "+r"(heads)                                               \
                         : [step] "r"(step)                                                                            \
                         : "rax", "zmm29", "cc", REGISTERS);                                                           \
    }
LOOP(sum_bf16, SUMS_BF16)
LOOP(norm_bf16, NORMS_BF16)
LOOP(turn_bf16, APPLIES_BF16)
LOOP(all_bf16, SUMS_BF16 NORMS_BF16 TURNS_BF16)
LOOP(sweep_bf16, LOADS_BF16 STORES_BF16)
LOOP(swept_bf16, LOADS_BF16 SUMS_BF16 NORMS_BF16 TURNS_BF16 STORES_BF16)
LOOP(copy_bf16, LOADS_BF16 PASSES_BF16)
LOOP(page_bf16, LOADS_BF16 SUMS_BF16 NORMS_BF16 TURNS_BF16 PASSES_BF16)
LOOP(sum_convert, SUMS_CONVERT)
LOOP(norm_convert, NORMS_CONVERT)
LOOP(all_convert, SUMS_CONVERT NORMS_CONVERT TURNS_CONVERT)
LOOP(swept_convert, LOADS_BF16 SUMS_CONVERT NORMS_CONVERT TURNS_CONVERT STORES_BF16)
LOOP(page_convert, LOADS_BF16 SUMS_CONVERT NORMS_CONVERT TURNS_CONVERT PASSES_BF16)
LOOP(sum_f32, SUMS_F32)
LOOP(norm_f32, NORMS_F32)
LOOP(turn_f32, TURNS_F32)
LOOP(all_f32, SUMS_F32 NORMS_F32 TURNS_F32)
LOOP(sweep_f32, LOADS_F32 STORES_F32)
LOOP(swept_f32, LOADS_F32 SUMS_F32 NORMS_F32 TURNS_F32 STORES_F32)

LOOP(copy_f32, LOADS_F32 PASSES_F32)
LOOP(page_f32, LOADS_F32 SUMS_F32 NORMS_F32 TURNS_F32 PASSES_F32)

typedef void loop_fn(char *p, char *d, long heads, long step);
typedef struct row {
    const char *name;
    loop_fn *sum, *norm, *turn, *all, *sweep, *swept, *copy, *page;
    long bytes; /* of a head */
} row;
static const row rows[] = {
    { "bf16", sum_bf16, norm_bf16, turn_bf16, all_bf16, sweep_bf16, swept_bf16, copy_bf16, page_bf16, 2 * CHANNELS },
    { "bf16 by AVX512_BF16", sum_convert, norm_convert, turn_bf16, all_convert, sweep_bf16, swept_convert, copy_bf16,
      page_convert, 2 * CHANNELS },
    { "f32", sum_f32, norm_f32, turn_f32, all_f32, sweep_f32, swept_f32, copy_f32, page_f32, 4 * CHANNELS },
};

/* ---- times ------------------------------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *ns)
{
    qsort(ns, ROUNDS, sizeof *ns, ascending);
    return ns[ROUNDS / 2];
}

/* A chain of multiplications of integers, three cycles each. */
static double cycles_per_ns(void)
{
    double ns[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t x = 1;
        const double start = now();
        for (int k = 0; k < 10 * CALLS; k++) __asm__ volatile("imul $3,%0,%0" : "+r"(x));
        ns[i] = now() - start;
    }
    return 3.0 * 10 * CALLS / median(ns);
}

static double cycles(loop_fn *loop, double clock)
{
    static char nothing[LINE];
    double ns[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        const double start = now();
        loop(nothing, nothing, CALLS, 0);
        ns[i] = now() - start;
    }
    return clock * median(ns) / CALLS;
}

/* What a row works on: `other`, as large as the heads, is swept before each measurement, since a call does not find its
 * tensors in the last level of cache, either. */
typedef struct memory {
    char *heads, *other, *pages;
    int slot[TOKENS]; /* each once, in no order */
} memory;

static int open_memory(memory *m, size_t bytes)
{
    m->heads = aligned_alloc(AHEAD, bytes);
    m->other = aligned_alloc(AHEAD, bytes);
    m->pages = aligned_alloc(AHEAD, bytes);
    if (!m->heads || !m->other || !m->pages) return 0;
    memset(m->heads, 0, bytes);
    memset(m->other, 0, bytes);
    memset(m->pages, 0, bytes);
    for (int i = 0; i < TOKENS; i++) m->slot[i] = (int)((i * 2654435761u + 12345) % TOKENS); /* an odd factor */
    return 1;
}

static void close_memory(memory *m)
{
    free(m->heads);
    free(m->other);
    free(m->pages);
}

static void in_place(const row *r, const memory *m, int operates)
{
    (operates ? r->swept : r->sweep)(m->heads, m->heads, (long)HEADS * TOKENS, r->bytes);
}

/* q, k and v lie one after the other, and so do the pages of k and of v. */
static void layer(const row *r, const memory *m, int operates)
{
    const long q = Q_HEADS * r->bytes, kv = KV_HEADS * r->bytes;
    char *const k = m->heads + TOKENS * q, *const v = m->other, *const values = m->pages + TOKENS * kv;
    for (long t = 0; t < TOKENS; t++) {
        char *const own = m->heads + t * q;
        (operates ? r->swept : r->sweep)(own, own, Q_HEADS, r->bytes);
        (operates ? r->page : r->copy)(k + t * kv, m->pages + m->slot[t] * kv, KV_HEADS, r->bytes);
        r->copy(v + t * kv, values + m->slot[t] * kv, KV_HEADS, r->bytes);
    }
    __asm__ volatile("sfence" ::: "memory");
}

/* In turns: ms of the memory alone, and with the operations. */
static void measure(const row *r, const memory *m, void (*what)(const row *, const memory *, int), double ms[2])
{
    static double all[2][ROUNDS];
    for (int i = 0; i < ROUNDS; i++)
        for (int k = 0; k < 2; k++) {
            r->sweep(m->other, m->other, (long)HEADS * TOKENS, r->bytes);
            const double start = now();
            what(r, m, k);
            all[k][i] = now() - start;
        }
    for (int k = 0; k < 2; k++) ms[k] = median(all[k]) * 1e-6;
}

static int print_row(const row *r, double clock)
{
    static memory m;
    double ms[2];
    if (!open_memory(&m, (size_t)r->bytes * HEADS * TOKENS + AHEAD)) return 0;
    const double turn = cycles(r->turn, clock), all = cycles(r->all, clock);
    printf("%s: cycles a head: sum %.1f, norm %.1f, rotation %.1f, all %.1f (%.2f of the rotation)\n", r->name,
           cycles(r->sum, clock), cycles(r->norm, clock), turn, all, all / turn);
    measure(r, &m, in_place, ms);
    printf("%s: %d tokens of %d heads: sweep %.2f ms, operations %.2f ms, both %.2f ms (sweep / both %.2f)\n", r->name,
           TOKENS, HEADS, ms[0], all / clock * HEADS * TOKENS * 1e-6, ms[1], ms[0] / ms[1]);
    measure(r, &m, layer, ms);
    printf("%s: a layer of %d tokens: sweep %.2f ms, with operations %.2f ms\n", r->name, TOKENS, ms[0], ms[1]);
    close_memory(&m);
    return 1;
}

int main(void)
{
    const double clock = cycles_per_ns();
    printf("%.2f GHz\n", clock);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].all == all_convert && !__builtin_cpu_supports("avx512bf16")) continue;
        if (!print_row(&rows[i], clock)) return 1;
    }
    return 0;
}
