/* SPDX-License-Identifier: MIT
 * Hostile surroundings: floating-point modes, threads, small stacks, no memory; it must not know kernels. */
#include <errno.h>
#include <fenv.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <roperot/roperot.h>

#include "lists.h"
#include "support/assertions.h"
#include "support/formats.h"
#include "support/guarded_tensor.h"
#include "support/harness.h"
#include "support/stack.h"

/* ---- the allocator, interposed with -Wl,--wrap ------------------------------------------------------------------- */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
int __real_posix_memalign(void **out, size_t alignment, size_t bytes);
void __real_free(void *block);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
int __wrap_posix_memalign(void **out, size_t alignment, size_t bytes);
void __wrap_free(void *block);

/* Counts calls while `watched`; the `fail_at`-th of them (from 0) returns NULL, and those after it `for_good`. */
static struct {
    _Atomic int watched, for_good;
    _Atomic long calls, fail_at, live;
} allocator = { 0, 0, 0, -1, 0 };

static int refused(void)
{
    if (!atomic_load(&allocator.watched)) return 0;
    const long n = atomic_fetch_add(&allocator.calls, 1), fail_at = atomic_load(&allocator.fail_at);
    return n == fail_at || (fail_at >= 0 && n > fail_at && atomic_load(&allocator.for_good));
}

static void *counted(void *block)
{
    if (atomic_load(&allocator.watched) && block) atomic_fetch_add(&allocator.live, 1);
    return block;
}

void *__wrap_malloc(size_t bytes)
{
    return refused() ? NULL : counted(__real_malloc(bytes));
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return refused() ? NULL : counted(__real_calloc(count, bytes));
}

void *__wrap_realloc(void *old, size_t bytes)
{
    if (refused()) return NULL;
    void *const block = __real_realloc(old, bytes);
    return old ? block : counted(block);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    return refused() ? NULL : counted(__real_aligned_alloc(alignment, bytes));
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t bytes)
{
    if (refused()) return ENOMEM;
    const int status = __real_posix_memalign(out, alignment, bytes);
    if (!status) counted(*out);
    return status;
}

void __wrap_free(void *block)
{
    if (atomic_load(&allocator.watched) && block) atomic_fetch_sub(&allocator.live, 1);
    __real_free(block);
}

static void watch(long fail_at)
{
    atomic_store(&allocator.calls, 0);
    atomic_store(&allocator.live, 0);
    atomic_store(&allocator.fail_at, fail_at);
    atomic_store(&allocator.watched, 1);
}

static long unwatch(void)
{
    atomic_store(&allocator.watched, 0);
    return atomic_load(&allocator.calls);
}

/* ---- plans of every kind ----------------------------------------------------------------------------------------- */

enum { DIM = 64, ROWS = 300 };

typedef struct plan_kind {
    const char *name;
    int32_t cache, angles, axes, dtype; /* dtype: of a borrowed table, 0 = none */
    double factor;
} plan_kind;

static const plan_kind kinds[] = {
    { "full", 1, 0, 1, 0, 1.0 },
    { "full-factor", 1, 0, 1, 0, 1.5 },
    { "f32", 1, 1, 1, 0, 1.0 },
    { "f32-factor", 1, 1, 1, 0, 1.5 },
    { "factored", 2, 0, 1, 0, 1.0 },
    { "factored-3-axes", 2, 0, 3, 0, 1.5 },
    { "borrowed", 3, 0, 1, 1, 1.0 },
    { "borrowed-factor", 3, 0, 1, 1, 2 },
    { "mixed", 4, 0, 2, 0, 1.5 },
    { "borrowed-bf16", 3, 0, 1, 3, 1.0 },
    { "borrowed-f16-factor", 3, 0, 1, 2, 2 },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static roperot_config config_of(const plan_kind *k)
{
    static uint8_t axis[DIM / 2];
    static float values[ROWS * DIM];
    static roperot_table table;
    for (size_t j = 0; j < sizeof axis; j++) axis[j] = (uint8_t)(j % 3);
    table = (roperot_table){
        sizeof table, k->dtype, values, (char *)values + DIM / 2 * format_bytes(k->dtype), ROWS, DIM, 1, 0, 0, 0, 0
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) values[i] = 0.25f; /* some number in every dtype */
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = DIM;
    c.cache = k->cache;
    c.angles = k->angles;
    c.attention_factor = k->factor;
    c.max_positions = k->dtype ? 0 : k->cache == ROPEROT_CACHE_FACTORED ? 1 << 22 : ROWS;
    c.axes = k->axes;
    c.axis = k->axes > 1 ? axis : NULL;
    c.pairs = k->axes > 1 ? DIM / 2 : 0;
    if (k->cache == ROPEROT_CACHE_NONE) {
        static double mixed[2 * DIM / 2];
        for (size_t i = 0; i < sizeof mixed / sizeof *mixed; i++) mixed[i] = 1.0 / (double)(1 + i);
        c.frequencies = ROPEROT_FREQUENCIES_MIXED;
        c.inv_freq = mixed;
        c.axis = NULL;
    }
    if (k->dtype) c.table = &table;
    return c;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* Allocation `i` of create fails, and with `for_good` all after it. */
static void allocation_fails(const roperot_config *c, long i, int for_good)
{
    roperot_plan *plan = (roperot_plan *)(uintptr_t)1;
    atomic_store(&allocator.for_good, for_good);
    watch(i);
    const int32_t failed = roperot_plan_create(c, &plan);
    unwatch();
    atomic_store(&allocator.for_good, 0);
    expect_error(failed, ROPEROT_ERROR_MEMORY, "memory", " ");
    CHECK(!plan, "allocation %ld: *plan is not NULL", i);
    CHECK(allocator.live == 0, "allocation %ld: %ld blocks are left", i, (long)allocator.live);
}

/* Each allocation of create fails in turn: MEMORY, a sentence, no plan, nothing left behind. */
static void allocations_fail(const void *arg)
{
    const roperot_config c = config_of(arg);
    roperot_plan *plan = NULL;
    CHECK(!roperot_plan_create(&c, &plan), "%s", roperot_last_error());
    roperot_plan_destroy(plan); /* whatever is made once per process is made */
    watch(-1);
    const int32_t status = roperot_plan_create(&c, &plan);
    const long needed = unwatch();
    CHECK(!status && needed > 0, "%ld allocations: %s", needed, roperot_last_error());
    roperot_plan_destroy(plan);
    for (long i = 0; i < needed; i++)
        for (int for_good = 0; for_good < 2; for_good++) allocation_fails(&c, i, for_good);
    watch(-1);
    CHECK(!roperot_plan_create(&c, &plan), "%s", roperot_last_error());
    roperot_plan_destroy(plan);
    unwatch();
    CHECK(allocator.live == 0, "destroy leaves %ld blocks", (long)allocator.live);
}

/* Every kind of call, with an allocator that would notice. */
static void apply_allocates_nothing(const void *arg)
{
    const plan_kind *const k = arg;
    const roperot_config c = config_of(k);
    roperot_plan *const plan = expect_plan(&c);
    for (int32_t src = ROPEROT_F32; src < ROPEROT_DTYPE_END; src++)
        for (int32_t dst = ROPEROT_F32; dst < ROPEROT_DTYPE_END; dst++)
            for (uint32_t flags = 0; flags < 8; flags++) {
                guarded_tensor x = guarded_tensor_plain(src, 1, 40, 3, DIM),
                               y = guarded_tensor_plain(dst, 1, 40, 3, DIM);
                const roperot_positions at = roperot_positions_offset(flags & 4 ? -20 : 100);
                roperot_options o = ROPEROT_OPTIONS_INIT;
                float row[40 * DIM];
                const roperot_table table = { sizeof table, 1, row, row + DIM / 2, 40, DIM, 1, 0, 0, 0, 0 };
                const roperot_positions first = roperot_positions_offset(3);
                o.flags = flags;
                watch(0);
                const int32_t in_place = roperot_apply(plan, &at, &x.view, NULL, 1, &o);
                const int32_t out = roperot_apply(plan, &at, &x.view, &y.view, 1, &o);
                const int32_t bad = roperot_apply(plan, &at, &x.view, NULL, -1, &o);
                const int32_t filled = roperot_cos_sin(plan, &first, 1, 40, &table);
                const long calls = unwatch();
                CHECK(calls == 0, "%ld allocations", calls);
                CHECK(!in_place && !filled && bad, "statuses %d %d %d", in_place, filled, bad);
                CHECK(out == (src == dst || src == 1 || dst == 1 ? ROPEROT_OK : ROPEROT_ERROR_DTYPE), "status %d", out);
                guarded_tensor_close(&x);
                guarded_tensor_close(&y);
            }
    roperot_plan_destroy(plan);
}

/* ---- floating-point modes ---------------------------------------------------------------------------------------- */

/* The control register as a number, and one with the flush bits set; 0 where the machine is unknown here. */
#if defined __x86_64__ || defined __i386__
#include <xmmintrin.h>
static uint64_t control(void)
{
    return _mm_getcsr();
}

static void set_control(uint64_t value)
{
    _mm_setcsr((unsigned)value);
}

static const uint64_t flush_bits = 0x8040; /* FTZ, DAZ */
#elif defined __aarch64__
static uint64_t control(void)
{
    uint64_t value;
    __asm__ volatile("mrs %0, fpcr" : "=r"(value));
    return value;
}

static void set_control(uint64_t value)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(value));
}

static const uint64_t flush_bits = UINT64_C(1) << 24;
#else
static uint64_t control(void)
{
    return (uint64_t)fegetround();
}

static void set_control(uint64_t value)
{
    fesetround((int)value);
}

static const uint64_t flush_bits = 0;
#endif

static void rows_of(const roperot_plan *plan, float *rows)
{
    static const int64_t p[] = { 0, 1, 2, 77, 123, 255, 256, 299 };
    const roperot_positions at = roperot_positions_i64(p, 0);
    const roperot_table table = { sizeof table, 1, rows, rows + DIM / 2, 8, DIM, 1, 0, 0, 0, 0 };
    const int32_t status = roperot_cos_sin(plan, &at, 1, 8, &table);
    CHECK(!status, "%s", roperot_last_error());
}

/* Plans built under other rounding modes or flush to zero have the same bits; the mode is as it was afterwards. */
static void modes_do_not_matter(const void *arg)
{
    static const int modes[] = { FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO };
    const roperot_config c = config_of(arg);
    float want[8 * DIM], got[8 * DIM];
    roperot_plan *plan = expect_plan(&c);
    rows_of(plan, want);
    roperot_plan_destroy(plan);
    const uint64_t usual = control();
    for (int i = 0; i < 8; i++) {
        fesetround(modes[i % 4]);
        set_control(control() | (i >= 4 ? flush_bits : 0));
        const uint64_t before = control();
        const int32_t status = roperot_plan_create(&c, &plan);
        const uint64_t after = control();
        if (!status) rows_of(plan, got);
        const uint64_t later = control();
        set_control(usual);
        fesetround(FE_TONEAREST);
        CHECK(!status, "%s", roperot_last_error());
        const uint64_t sticky = 0x3f; /* exception flags may be raised; rounding, flushing and masks may not change */
        CHECK((before | sticky) == (after | sticky) && (after | sticky) == (later | sticky),
              "mode %d: the control register was 0x%llx, 0x%llx, 0x%llx", i, (unsigned long long)before,
              (unsigned long long)after, (unsigned long long)later);
        for (int j = 0; j < 8 * DIM; j++)
            CHECK(format_bits(want[j]) == format_bits(got[j]), "mode %d: value %d is %a, not %a", i, j, (double)got[j],
                  (double)want[j]);
        roperot_plan_destroy(plan);
    }
}

/* roperot_frequencies, too. */
static void frequencies_in_modes(const void *arg)
{
    (void)arg;
    static const int modes[] = { FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO };
    double want[DIM / 2], got[DIM / 2];
    CHECK(!roperot_frequencies(NULL, DIM, 5e5, want, DIM / 2, NULL), "%s", roperot_last_error());
    for (int i = 0; i < 3; i++) {
        fesetround(modes[i]);
        const int32_t status = roperot_frequencies(NULL, DIM, 5e5, got, DIM / 2, NULL);
        const int mode = fegetround();
        fesetround(FE_TONEAREST);
        CHECK(!status && mode == modes[i], "status %d, mode %d", status, mode);
        CHECK(memcmp(want, got, sizeof want) == 0, "mode %d changes the frequencies", i);
    }
}

/* apply obeys the caller's mode and leaves its control bits alone. */
static void apply_keeps_control(const void *arg)
{
    const roperot_config c = config_of(arg);
    roperot_plan *const plan = expect_plan(&c);
    const roperot_positions at = roperot_positions_offset(3);
    const uint64_t usual = control();
    for (int32_t dtype = ROPEROT_F32; dtype < ROPEROT_DTYPE_END; dtype++)
        for (int i = 0; i < 4; i++) {
            guarded_tensor x = guarded_tensor_plain(dtype, 1, 4, 2, DIM), y = guarded_tensor_plain(1, 1, 4, 2, DIM);
            static const int modes[] = { FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO };
            fesetround(modes[i]);
            set_control(control() | (i & 1 ? flush_bits : 0));
            const uint64_t before = control();
            int32_t status = roperot_apply(plan, &at, &x.view, NULL, 1, NULL);
            if (!status) status = roperot_apply(plan, &at, &x.view, &y.view, 1, NULL);
            const uint64_t after = control();
            set_control(usual);
            fesetround(FE_TONEAREST);
            CHECK(!status, "%s", roperot_last_error());
            CHECK(((before ^ after) & ~(uint64_t)0x3f) == 0, "dtype %d mode %d: 0x%llx became 0x%llx", dtype, i,
                  (unsigned long long)before, (unsigned long long)after);
            guarded_tensor_close(&x);
            guarded_tensor_close(&y);
        }
    roperot_plan_destroy(plan);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

enum { THREADS = 8 };

typedef struct worker {
    const roperot_plan *plan;
    roperot_tensor view;
    const unsigned char *start; /* bytes to begin every round with */
    unsigned char *bytes;
    size_t size;
    int rounds;
    int32_t status;
    char sentence[200];
} worker;

static void *rotate_often(void *arg)
{
    worker *const w = arg;
    const roperot_positions at = roperot_positions_offset(7);
    roperot_options back = ROPEROT_OPTIONS_INIT;
    back.flags = ROPEROT_INVERSE;
    for (int i = 0; i < w->rounds && !w->status; i++) {
        memcpy(w->bytes, w->start, w->size);
        w->status = roperot_apply(w->plan, &at, &w->view, NULL, 1, NULL);
        if (!w->status) w->status = roperot_apply(w->plan, &at, &w->view, NULL, 1, &back);
    }
    return NULL;
}

/* One plan, eight threads, each its own tensor: all get the bits of one thread alone. */
static void shared_plan(const void *arg)
{
    const roperot_config c = config_of(arg);
    roperot_plan *const plan = expect_plan(&c);
    guarded_tensor start = guarded_tensor_plain(ROPEROT_F32, 1, 9, 3, DIM), want = guarded_tensor_clone(&start),
                   own[THREADS];
    pthread_t threads[THREADS];
    worker workers[THREADS];
    worker alone = { plan, want.view, start.memory.data, want.memory.data, start.memory.bytes, 1, 0, "" };
    rotate_often(&alone);
    CHECK(!alone.status, "%s", roperot_last_error());
    for (int i = 0; i < THREADS; i++) {
        own[i] = guarded_tensor_clone(&start);
        workers[i] = (worker){
            plan, own[i].view, start.memory.data, own[i].memory.data, start.memory.bytes, harness_quick() ? 20 : 300,
            0,    ""
        };
        CHECK(!pthread_create(&threads[i], NULL, rotate_often, &workers[i]), "no thread");
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        CHECK(!workers[i].status, "thread %d: status %d", i, workers[i].status);
        guarded_tensor_check_equal(&own[i], &want, "one of eight threads");
        guarded_tensor_close(&own[i]);
    }
    guarded_tensor_close(&start);
    guarded_tensor_close(&want);
    roperot_plan_destroy(plan);
}

/* Two threads on neighbouring channel slices of the same rows: a byte that one rewrites is a byte that the other loses.
 * Rotation there and back is not exact, so the expectation is made by the same calls in one thread. */
typedef struct slice {
    const roperot_plan *plan;
    roperot_tensor view;
    int rounds;
    int32_t status;
} slice;

static void *rotate_slice(void *arg)
{
    slice *const s = arg;
    for (int i = 0; i < s->rounds && !s->status; i++) {
        const roperot_positions at = roperot_positions_offset(i % 200);
        s->status = roperot_apply(s->plan, &at, &s->view, NULL, 1, NULL);
    }
    return NULL;
}

/* The deterministic half: in place, the channels that are not rotated lie in pages that cannot be written. */
typedef struct fenced_call {
    const roperot_plan *plan;
    const roperot_tensor *view;
    int32_t status;
} fenced_call;

static void apply_fenced(void *arg)
{
    fenced_call *const f = arg;
    const roperot_positions at = roperot_positions_offset(11);
    f->status = roperot_apply(f->plan, &at, f->view, NULL, 1, NULL);
}

static void other_channels_are_not_written(const void *arg)
{
    const int32_t dtype = *(const int32_t *)arg;
    const int64_t page = sysconf(_SC_PAGESIZE), half = page / (int64_t)format_bytes(dtype), rows = 6;
    for (int upper = 0; upper < 2; upper++)
        for (int32_t pairing = 1; pairing <= 2; pairing++) {
            roperot_config c = ROPEROT_CONFIG_INIT;
            c.head_dim = (int32_t)(2 * half);
            c.rotary_dim = (int32_t)half;
            c.rotary_offset = upper ? (int32_t)half : 0;
            c.pairing = pairing;
            c.max_positions = 20;
            roperot_plan *const plan = expect_plan(&c);
            const views_layout pages = { VIEWS_BSHD, GUARD_LOW, 0, 0 };
            guarded_tensor x = guarded_tensor_open(dtype, 1, 2, 3, 2 * half, pages), before = guarded_tensor_clone(&x);
            fenced_call f = { plan, &x.view, 0 };
            harness_fault fault;
            for (int64_t i = 0; i < rows; i++)
                CHECK(!mprotect(x.memory.data + (2 * i + !upper) * page, (size_t)page, PROT_READ), "mprotect");
            CHECK(!harness_faults(apply_fenced, &f, &fault), "signal %d: byte %td of the tensor was written",
                  fault.signal, (const unsigned char *)fault.address - x.memory.data);
            CHECK(!f.status && memcmp(x.memory.data, before.memory.data, x.memory.bytes) != 0, "status %d", f.status);
            guarded_tensor_close(&x);
            guarded_tensor_close(&before);
            roperot_plan_destroy(plan);
        }
}

typedef struct slice_case {
    int32_t dtype, pairing, left; /* channels of the left slice */
} slice_case;

static void neighbouring_slices(const void *arg)
{
    const slice_case *const k = arg;
    enum { WIDTH = 2 * DIM };
    roperot_plan *plans[2];
    const int32_t begin[2] = { 0, k->left }, size[2] = { k->left, WIDTH - k->left };
    for (int i = 0; i < 2; i++) {
        roperot_config c = ROPEROT_CONFIG_INIT;
        c.head_dim = WIDTH;
        c.rotary_dim = size[i];
        c.rotary_offset = begin[i];
        c.pairing = k->pairing;
        c.max_positions = ROWS;
        plans[i] = expect_plan(&c);
    }
    guarded_tensor shared = guarded_tensor_plain(k->dtype, 1, 2, 3, WIDTH), want = guarded_tensor_clone(&shared);
    const int rounds = harness_quick() ? 300 : 6000;
    slice slices[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        slice single = { plans[i], want.view, rounds, 0 };
        rotate_slice(&single);
        CHECK(!single.status, "%s", roperot_last_error());
        slices[i] = (slice){ plans[i], shared.view, rounds, 0 };
    }
    for (int i = 0; i < 2; i++) CHECK(!pthread_create(&threads[i], NULL, rotate_slice, &slices[i]), "no thread");
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    CHECK(!slices[0].status && !slices[1].status, "statuses %d %d", slices[0].status, slices[1].status);
    guarded_tensor_check_equal(&shared, &want, "two threads on one row");
    guarded_tensor_close(&shared);
    guarded_tensor_close(&want);
    for (int i = 0; i < 2; i++) roperot_plan_destroy(plans[i]);
}

/* ---- small stacks ------------------------------------------------------------------------------------------------ */

enum { STACK_FACTOR = SANITIZED ? 16 : 1 };

/* A plan and the longest rows in a thread with the least stack there is. */
static void *use_little_stack(void *arg)
{
    worker *const w = arg;
    static unsigned char alternate[1 << 14]; /* an overflow is to be reported under the name of its case */
    const stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
    if (!SANITIZED) sigaltstack(&stack, NULL); /* theirs unmap what they find here when the thread ends */
    const roperot_positions at = roperot_positions_offset(3);
    roperot_config c = ROPEROT_CONFIG_INIT;
    roperot_plan *plan;
    c.head_dim = 65536;
    c.max_positions = 8;
    w->status = roperot_plan_create(&c, &plan);
    if (!w->status) w->status = roperot_apply(plan, &at, &w->view, NULL, 1, NULL);
    if (w->status)
        strncpy(w->sentence, roperot_last_error(), sizeof w->sentence - 1);
    else
        roperot_plan_destroy(plan);
    return NULL;
}

static void least_stack(const void *arg)
{
    (void)arg;
    static float x[65536];
    worker w = { .view = roperot_tensor_shd(x, ROPEROT_F32, 1, 1, 65536) };
    const size_t least = (size_t)PTHREAD_STACK_MIN * STACK_FACTOR;
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    CHECK(!pthread_attr_setstacksize(&attributes, least), "no stack of %zu bytes", least);
    CHECK(!pthread_create(&thread, &attributes, use_little_stack, &w), "no thread");
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    CHECK(!w.status, "%s", w.sentence);
}

typedef struct stacked_call {
    const roperot_plan *plan;
    roperot_positions at;
    const roperot_tensor *src, *dst;
    const roperot_options *options;
    const roperot_table *table;
    int32_t status;
} stacked_call;

static void call_apply(void *arg)
{
    stacked_call *const c = arg;
    c->status = roperot_apply(c->plan, &c->at, c->src, c->dst, 1, c->options);
}

static void call_cos_sin(void *arg)
{
    stacked_call *const c = arg;
    c->status = roperot_cos_sin(c->plan, &c->at, 1, c->table->rows, c->table);
}

/* What the header promises of apply, with every kind of plan and way through it. */
static void stack_of_calls(const void *arg)
{
    enum { PROMISED = 8 << 10 };
    const roperot_config c = config_of(arg);
    roperot_plan *const plan = expect_plan(&c);
    static float rows[40 * DIM];
    const roperot_table table = { sizeof table, 1, rows, rows + DIM / 2, 40, DIM, 1, 0, 0, 0, 0 };
    for (int32_t dtype = ROPEROT_F32; dtype < ROPEROT_DTYPE_END && STACK_IS_USUAL; dtype++)
        for (uint32_t flags = 0; flags < 8; flags++)
            for (int64_t tokens = 1; tokens <= 40; tokens += 39) {
                guarded_tensor x = guarded_tensor_plain(dtype, 1, tokens, 3, DIM), y = guarded_tensor_clone(&x);
                roperot_options o = ROPEROT_OPTIONS_INIT;
                o.flags = flags;
                stacked_call call = { plan, roperot_positions_offset(100), &x.view, NULL, &o, &table, 0 };
                const size_t in_place = stack_used(call_apply, &call);
                call.dst = &y.view;
                const size_t out = stack_used(call_apply, &call), filled = stack_used(call_cos_sin, &call);
                CHECK(!call.status && in_place && out && filled, "status %d", call.status);
                CHECK(in_place <= PROMISED && out <= PROMISED && filled <= PROMISED, "%zu, %zu and %zu bytes", in_place,
                      out, filled);
                guarded_tensor_close(&x), guarded_tensor_close(&y);
            }
    roperot_plan_destroy(plan);
}

/* ---- errors per thread ------------------------------------------------------------------------------------------- */

static void *fail_here(void *arg)
{
    worker *const w = arg;
    const int empty = roperot_last_error()[0] == '\0';
    roperot_plan *plan;
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = -4321;
    w->status = roperot_plan_create(&c, &plan);
    strncpy(w->sentence, empty ? roperot_last_error() : "not empty at first", sizeof w->sentence - 1);
    return NULL;
}

static void errors_per_thread(const void *arg)
{
    (void)arg;
    worker w = { .status = 0 };
    roperot_plan *plan;
    roperot_config c = ROPEROT_CONFIG_INIT;
    pthread_t thread;
    c.head_dim = -1234;
    roperot_plan_create(&c, &plan);
    CHECK(!pthread_create(&thread, NULL, fail_here, &w), "no thread");
    pthread_join(thread, NULL);
    CHECK(strstr(w.sentence, "-4321"), "the other thread says: %s", w.sentence);
    CHECK(strstr(roperot_last_error(), "-1234"), "this thread says: %s", roperot_last_error());
}

/* ---- executors --------------------------------------------------------------------------------------------------- */

typedef struct executor {
    int order; /* 0 forwards, 1 backwards, 2 threads, 3 only task `only` */
    int64_t only, tasks, calls, begin;
} executor;

typedef struct task_call {
    void (*task)(void *arg, int64_t index);
    void *arg;
    int64_t index;
} task_call;

static void *run_task(void *arg)
{
    const task_call *const t = arg;
    t->task(t->arg, t->index);
    return NULL;
}

static void run_tasks(void *ctx, int64_t tasks, void (*task)(void *arg, int64_t index), void *arg)
{
    executor *const e = ctx;
    enum { MOST = 64 };
    e->tasks = tasks;
    e->calls++;
    CHECK(tasks > 1 && tasks <= MOST, "%lld tasks", (long long)tasks);
    if (e->order == 3) {
        if (e->only < tasks) task(arg, e->only);
        return;
    }
    pthread_t threads[MOST];
    task_call calls[MOST];
    for (int64_t i = 0; i < tasks; i++) {
        const int64_t index = e->order == 1 ? tasks - 1 - i : i;
        calls[i] = (task_call){ task, arg, index };
        if (e->order < 2)
            run_task(&calls[i]);
        else
            CHECK(!pthread_create(&threads[i], NULL, run_task, &calls[i]), "no thread");
    }
    for (int64_t i = 0; i < tasks && e->order == 2; i++) pthread_join(threads[i], NULL);
}

typedef struct executor_case {
    int32_t dtype, threads;
    int64_t batch, tokens, heads;
    int out;
} executor_case;

static void rotate_with(const roperot_plan *plan, const guarded_tensor *src, const guarded_tensor *dst,
                        const executor_case *k, executor *e)
{
    const roperot_positions at = roperot_positions_offset(2);
    roperot_options o = ROPEROT_OPTIONS_INIT;
    if (e) {
        o.parallel_for = run_tasks;
        o.ctx = e;
        o.threads = k->threads;
        o.token_begin = e->begin;
    }
    CHECK(!roperot_apply(plan, &at, &src->view, dst ? &dst->view : NULL, 1, &o), "%s", roperot_last_error());
}

/* Each task alone changes bytes that no other changes, and together they change what one thread changes. */
static void tasks_are_disjoint(const roperot_plan *plan, const executor_case *k, const guarded_tensor *start,
                               const guarded_tensor *want, const guarded_tensor *source, int64_t tasks)
{
    guarded_tensor joined = guarded_tensor_clone(start);
    unsigned char *const owner = calloc(start->memory.bytes, 1);
    for (int64_t i = 0; i < tasks; i++) {
        guarded_tensor one = guarded_tensor_clone(start);
        executor e = { 3, i, 0, 0, 0 };
        rotate_with(plan, source ? source : &one, source ? &one : NULL, k, &e);
        for (size_t b = 0; b < start->memory.bytes; b++) {
            if (one.memory.data[b] == start->memory.data[b]) continue;
            CHECK(!owner[b], "byte %zu is written by two tasks", b);
            owner[b] = 1;
            joined.memory.data[b] = one.memory.data[b];
        }
        guarded_tensor_close(&one);
    }
    guarded_tensor_check_equal(&joined, want, "the tasks one by one");
    guarded_tensor_close(&joined);
    free(owner);
}

static void executors(const void *arg)
{
    const executor_case *const k = arg;
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = DIM;
    roperot_plan *const plan = expect_plan(&c);
    guarded_tensor source = guarded_tensor_plain(k->dtype, k->batch, k->tokens, k->heads, DIM);
    guarded_tensor start =
        k->out ? guarded_tensor_plain(k->dtype, k->batch, k->tokens, k->heads, DIM) : guarded_tensor_clone(&source);
    guarded_tensor want = guarded_tensor_clone(&start);
    int64_t tasks = 0;
    rotate_with(plan, k->out ? &source : &want, k->out ? &want : NULL, k, NULL);
    for (int order = 0; order < 3; order++) {
        guarded_tensor got = guarded_tensor_clone(&start);
        executor e = { order, 0, 0, 0, 0 };
        rotate_with(plan, k->out ? &source : &got, k->out ? &got : NULL, k, &e);
        CHECK(e.calls == 1, "parallel_for was called %lld times", (long long)e.calls);
        CHECK(e.tasks <= k->threads, "%lld tasks for %d threads", (long long)e.tasks, k->threads);
        guarded_tensor_check_equal(&got, &want, "through an executor");
        guarded_tensor_close(&got);
        tasks = e.tasks;
    }
    tasks_are_disjoint(plan, k, &start, &want, k->out ? &source : NULL, tasks);
    guarded_tensor_close(&source);
    guarded_tensor_close(&start);
    guarded_tensor_close(&want);
    roperot_plan_destroy(plan);
}

/* Rows of 48 bytes reach the start of a cache line every fourth time: there, and nowhere else, a task may begin. */
static void splits_fall_on_lines(const void *arg)
{
    const int64_t first = *(const int *)arg; /* of the call's tokens */
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = 24;
    roperot_plan *const plan = expect_plan(&c);
    const views_layout pages = { VIEWS_BSHD, GUARD_LOW, 0, 0 };
    guarded_tensor start = guarded_tensor_open(ROPEROT_BF16, 1, 40001, 1, 24, pages);
    const executor_case k = { ROPEROT_BF16, 7, 1, 40001, 1, 0 };
    for (int64_t i = 1; i < 7; i++) {
        guarded_tensor one = guarded_tensor_open(ROPEROT_BF16, 1, 40001, 1, 24, pages);
        memcpy(one.memory.data, start.memory.data, start.memory.bytes);
        executor e = { 3, i, 0, 0, first };
        rotate_with(plan, &one, NULL, &k, &e);
        CHECK(e.tasks == 7, "%lld tasks", (long long)e.tasks);
        size_t b = 0;
        while (b < one.memory.bytes && one.memory.data[b] == start.memory.data[b]) b++;
        CHECK(b < one.memory.bytes && b - b % 48 > 0, "task %lld changes byte %zu first", (long long)i, b);
        CHECK((b - b % 48) % 64 == 0, "task %lld begins at byte %zu, inside a cache line", (long long)i, b - b % 48);
        guarded_tensor_close(&one);
    }
    guarded_tensor_close(&start);
    roperot_plan_destroy(plan);
}

/* The executor that comes with the library: OpenMP's threads, or one task after the other. */
static void own_executor(const void *arg)
{
    (void)arg;
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = DIM;
    roperot_plan *const plan = expect_plan(&c);
    guarded_tensor got = guarded_tensor_plain(ROPEROT_F16, 2, 2000, 5, DIM), want = guarded_tensor_clone(&got);
    const roperot_positions at = roperot_positions_offset(2);
    roperot_options o = ROPEROT_OPTIONS_INIT;
    o.parallel_for = roperot_parallel_openmp;
    o.threads = 6;
    CHECK(!roperot_apply(plan, &at, &want.view, NULL, 1, NULL), "%s", roperot_last_error());
    CHECK(!roperot_apply(plan, &at, &got.view, NULL, 1, &o), "%s", roperot_last_error());
    guarded_tensor_check_equal(&got, &want, "roperot_parallel_openmp");
    guarded_tensor_close(&got);
    guarded_tensor_close(&want);
    roperot_plan_destroy(plan);
}

/* One decode token, or one thread: everything happens here. */
static void small_calls_stay(const void *arg)
{
    (void)arg;
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = DIM;
    roperot_plan *const plan = expect_plan(&c);
    guarded_tensor token = guarded_tensor_plain(ROPEROT_F32, 1, 1, 32, DIM),
                   rows = guarded_tensor_plain(ROPEROT_F32, 1, 4000, 4, DIM);
    executor e = { 0, 0, 0, 0, 0 };
    const executor_case eight = { 1, 8, 1, 1, 32, 0 }, one = { 1, 1, 1, 4000, 4, 0 };
    rotate_with(plan, &token, NULL, &eight, &e);
    CHECK(e.calls == 0, "one token was given to %lld tasks", (long long)e.tasks);
    rotate_with(plan, &rows, NULL, &one, &e);
    CHECK(e.calls == 0, "one thread was given %lld tasks", (long long)e.tasks);
    guarded_tensor_close(&token);
    guarded_tensor_close(&rows);
    roperot_plan_destroy(plan);
}

/* threads 0: as many as there are CPUs, if the call is large enough. */
static void threads_of_machine(const void *arg)
{
    (void)arg;
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = DIM;
    roperot_plan *const plan = expect_plan(&c);
    guarded_tensor rows = guarded_tensor_plain(ROPEROT_F32, 1, 4000, 64, DIM);
    executor e = { 0, 0, 0, 0, 0 };
    const executor_case any = { 1, 0, 1, 4000, 64, 0 };
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    rotate_with(plan, &rows, NULL, &any, &e);
    CHECK(e.calls == (cpus > 1), "parallel_for was called %lld times with %ld CPUs", (long long)e.calls, cpus);
    CHECK(e.tasks <= cpus && (cpus == 1 || e.tasks > 1), "%lld tasks for %ld CPUs", (long long)e.tasks, cpus);
    guarded_tensor_close(&rows);
    roperot_plan_destroy(plan);
}

/* ---- a quarter of the memory ------------------------------------------------------------------------------------- */

/* An attention factor makes two tables of one, which count together: refused before the first is allocated. */
static void two_tables_count(const void *arg)
{
    const int borrowed = *(const int *)arg;
    enum { WIDE = 65536 };
    static uint16_t values[WIDE];
    const int64_t memory = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE), row = WIDE * sizeof(float);
    roperot_table table = ROPEROT_TABLE_INIT; /* one row, again and again */
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = WIDE;
    c.attention_factor = 2;
    c.max_positions = memory / 4 / row * 3 / 4;
    c.angles = borrowed ? ROPEROT_ANGLES_EXACT : ROPEROT_ANGLES_F32;
    table.dtype = ROPEROT_BF16;
    table.cos = values;
    table.sin = values + WIDE / 2;
    table.rows = c.max_positions;
    if (borrowed) c.table = &table;
    roperot_plan *plan;
    watch(borrowed ? 1 : 2); /* the first table, so that a failure takes neither the memory nor the time */
    const int32_t status = roperot_plan_create(&c, &plan);
    unwatch();
    expect_error(status, ROPEROT_ERROR_MEMORY, borrowed ? "copies" : "FULL", "quarter");
}

int main(int argc, char **argv)
{
    static const int no_yes[] = { 0, 1 };
    harness_add(two_tables_count, &no_yes[0], "memory/two-f32-tables");
    harness_add(two_tables_count, &no_yes[1], "memory/two-borrowed-tables");
    static const slice_case slices[] = { { 1, 1, 62 }, { 1, 2, 66 }, { 2, 1, 62 },
                                         { 2, 2, 70 }, { 3, 1, 66 }, { 3, 2, 62 } };
    static const executor_case cases[] = { { 1, 2, 1, 2000, 8, 0 }, { 2, 7, 1, 4001, 8, 0 },  { 3, 8, 700, 1, 33, 0 },
                                           { 1, 3, 5, 331, 7, 1 },  { 2, 64, 1, 5000, 9, 1 }, { 3, 5, 3, 1000, 5, 1 } };
    for (size_t i = 0; i < KINDS; i++) {
        harness_add(allocations_fail, &kinds[i], "allocations-fail/%s", kinds[i].name);
        if (kinds[i].axes == 1)
            harness_add(apply_allocates_nothing, &kinds[i], "apply-allocates-nothing/%s", kinds[i].name);
        harness_add(modes_do_not_matter, &kinds[i], "modes/%s", kinds[i].name);
        harness_add(apply_keeps_control, &kinds[i], "control-register/%s", kinds[i].name);
        harness_add(shared_plan, &kinds[i], "shared-plan/%s", kinds[i].name);
        harness_add(stack_of_calls, &kinds[i], "stack/%s", kinds[i].name);
    }
    harness_add(frequencies_in_modes, NULL, "modes/frequencies");
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++)
        harness_add(neighbouring_slices, &slices[i], "neighbouring-slices/%s/%d", format_name(slices[i].dtype),
                    slices[i].pairing);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        harness_add(executors, &cases[i], "executor/%s/%d-threads", format_name(cases[i].dtype), cases[i].threads);
    static const int32_t dtypes[] = { 1, 2, 3 };
    for (size_t i = 0; i < 3; i++)
        harness_add(other_channels_are_not_written, &dtypes[i], "other-channels/%s", format_name(dtypes[i]));
    harness_add(splits_fall_on_lines, &no_yes[0], "executor/splits-fall-on-lines");
    harness_add(splits_fall_on_lines, &no_yes[1], "executor/splits-fall-on-lines-from-token-1");
    harness_add(own_executor, NULL, "executor/roperot_parallel_openmp");
    harness_add(small_calls_stay, NULL, "executor/small-calls-stay");
    harness_add(threads_of_machine, NULL, "executor/threads-of-machine");
    harness_add(least_stack, NULL, "least-stack");
    harness_add(errors_per_thread, NULL, "errors-per-thread");
    return harness_run(argc, argv, "robust");
}
