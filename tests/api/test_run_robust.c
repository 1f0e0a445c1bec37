/* SPDX-License-Identifier: MIT
 * roperot_run under executors, in several threads, on little stack, with an allocator that notices and in any
 * floating-point mode; it must not know what a job gives. */
#include <errno.h>
#include <fenv.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <roperot/roperot.h>

#include "support/assertions.h"
#include "support/harness.h"

/* ---- allocations, through the linker's --wrap -------------------------------------------------------------------- */

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
int __real_posix_memalign(void **out, size_t alignment, size_t bytes);
int __wrap_posix_memalign(void **out, size_t alignment, size_t bytes);
void __real_free(void *block);
void __wrap_free(void *block);

static atomic_int watched;
static atomic_long allocations; /* while watched; each is refused */

static int refused(void)
{
    if (!atomic_load(&watched)) return 0;
    atomic_fetch_add(&allocations, 1);
    return 1;
}

void *__wrap_malloc(size_t bytes)
{
    return refused() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return refused() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
    return refused() ? NULL : __real_realloc(old, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    return refused() ? NULL : __real_aligned_alloc(alignment, bytes);
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t bytes)
{
    return refused() ? ENOMEM : __real_posix_memalign(out, alignment, bytes);
}

void __wrap_free(void *block)
{
    __real_free(block);
}

/* ---- a layer: more jobs than are kept at hand, every verb among them --------------------------------------------- */

enum { BATCH = 5, TOKENS = 36, LINES = BATCH * TOKENS, HEADS = 3, DIM = 64, JOBS = 5, PAGE_TOKENS = 16, PAGES = 12 };
enum { ROW = HEADS * DIM, SLOTS = PAGES * PAGE_TOKENS, Q8_ROW = HEADS * DIM / 32 * 34 };

/* Everything that a call may write. */
typedef struct memory {
    uint16_t q[LINES * ROW], rotated[LINES * ROW];
    uint8_t keys[SLOTS * ROW], values[SLOTS * Q8_ROW], moved[SLOTS * ROW];
    uint16_t packed[SLOTS * ROW];
    float scale[SLOTS * HEADS];
} memory;

typedef struct layer {
    memory m;
    uint16_t k[LINES * ROW], weight[ROW], bias[ROW];
    float factor[LINES], one_scale;
    int64_t slots[LINES];
    roperot_tensor view[4];
    roperot_norm norm[2];
    roperot_pages pages[4];
    roperot_job job[JOBS];
} layer;

static roperot_pages pages_of(const layer *l, void *data, int32_t dtype, int64_t row)
{
    roperot_pages p = ROPEROT_PAGES_INIT;
    p.dtype = dtype;
    p.data = data;
    p.pages = PAGES;
    p.page_tokens = PAGE_TOKENS;
    p.head_stride = row / HEADS;
    p.token_stride = row;
    p.page_stride = PAGE_TOKENS * row;
    p.slots = l->slots;
    p.slot_batch_stride = TOKENS;
    return p;
}

static void set_norms(layer *l)
{
    for (int i = 0; i < 2; i++) {
        l->norm[i] = (roperot_norm)ROPEROT_NORM_INIT;
        l->norm[i].weight = l->weight;
        l->norm[i].weight_dtype = ROPEROT_BF16;
        l->norm[i].rounding = 2 - i;
    }
    l->norm[1].kind = ROPEROT_NORM_LAYER;
    l->norm[1].flags = ROPEROT_NORM_ALL_HEADS | ROPEROT_NORM_AFTER | ROPEROT_NORM_UNIT_OFFSET;
    l->norm[1].bias = l->bias;
}

static void set_pages(layer *l)
{
    l->pages[0] = pages_of(l, l->m.keys, ROPEROT_E4M3, ROW);
    l->pages[0].scaling = ROPEROT_SCALE_DYNAMIC;
    l->pages[0].scale = l->m.scale;
    l->pages[0].scale_head_stride = 1;
    l->pages[0].scale_token_stride = HEADS;
    l->pages[0].scale_page_stride = PAGE_TOKENS * HEADS;
    l->pages[1] = pages_of(l, l->m.values, ROPEROT_Q8_0, Q8_ROW);
    l->pages[1].channel_stride = 0;
    l->pages[2] = pages_of(l, l->m.moved, ROPEROT_I8, ROW);
    l->pages[2].scale = &l->one_scale;
    l->pages[3] = pages_of(l, l->m.packed, ROPEROT_BF16, ROW);
    l->pages[3].tile = ROPEROT_PAGES_AMX_K;
    l->pages[3].token_stride = l->pages[3].channel_stride = 0;
    l->pages[3].head_stride = PAGE_TOKENS * DIM;
}

static void set_jobs(layer *l)
{
    for (int i = 0; i < JOBS; i++) l->job[i] = (roperot_job)ROPEROT_JOB_INIT;
    l->job[0].src = l->job[0].dst = &l->view[0]; /* q, normed, in place, with a temperature */
    l->job[0].norm = &l->norm[0];
    l->job[0].factor = l->factor;
    l->job[0].factor_batch_stride = TOKENS;
    l->job[1].src = &l->view[1]; /* k into a quantised cache */
    l->job[1].norm = &l->norm[1];
    l->job[1].to = &l->pages[0];
    l->job[2].src = &l->view[1]; /* v */
    l->job[2].flags = ROPEROT_JOB_UNROTATED;
    l->job[2].to = &l->pages[1];
    l->job[3].from = l->job[3].to = &l->pages[2]; /* cached keys turned where they are */
    l->job[3].batch = BATCH, l->job[3].tokens = TOKENS, l->job[3].heads = HEADS, l->job[3].dim = DIM;
    l->job[4].src = &l->view[1]; /* a fused rotation, and packed pages */
    l->job[4].dst = &l->view[2];
    l->job[4].to = &l->pages[3];
}

static layer *layer_open(void)
{
    layer *const l = calloc(1, sizeof *l);
    CHECK(l, "no memory");
    uint32_t state = 1;
    for (int i = 0; i < LINES * ROW; i++) {
        state = state * 1664525u + 1013904223u;
        l->m.q[i] = (uint16_t)(0x3e00 | (state >> 16 & 0x81ff)); /* bf16 of 0.125 to 0.5, either sign */
        l->k[i] = (uint16_t)(0x3f00 | (state >> 8 & 0x80ff));
    }
    for (int i = 0; i < SLOTS * ROW; i++) l->m.moved[i] = (uint8_t)(i * 37 >> 2);
    for (int i = 0; i < ROW; i++) l->weight[i] = (uint16_t)(0x3f80 + i % 40), l->bias[i] = (uint16_t)(0x3c00 + i);
    for (int i = 0; i < LINES; i++) {
        l->factor[i] = 1.0f + (float)(i % 3) / 4;
        l->slots[i] = i % 11 == 7 ? -1 : SLOTS - 1 - i;
    }
    l->one_scale = 0.01f;
    l->view[0] = roperot_tensor_bshd(l->m.q, ROPEROT_BF16, BATCH, TOKENS, HEADS, DIM);
    l->view[1] = roperot_tensor_bshd(l->k, ROPEROT_BF16, BATCH, TOKENS, HEADS, DIM);
    l->view[2] = roperot_tensor_bshd(l->m.rotated, ROPEROT_BF16, BATCH, TOKENS, HEADS, DIM);
    set_norms(l);
    set_pages(l);
    set_jobs(l);
    return l;
}

static roperot_plan *plan_of(int32_t cache)
{
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = DIM;
    c.max_positions = 1 << 12;
    c.cache = cache;
    return expect_plan(&c);
}

static int32_t run(const roperot_plan *plan, layer *l, const roperot_options *o)
{
    const roperot_positions at = roperot_positions_offset(5);
    return roperot_run(plan, &at, l->job, JOBS, o);
}

static const int32_t caches[] = { ROPEROT_CACHE_FULL, ROPEROT_CACHE_FACTORED };

/* ---- executors --------------------------------------------------------------------------------------------------- */

enum { MOST_TASKS = 6, IN_ORDER = 0, REVERSED, THREADED, DELAYED, ONE_ONLY, ORDERS = ONE_ONLY };

typedef struct executor {
    int order;
    int64_t only, tasks;
} executor;

typedef struct task_call {
    void (*task)(void *arg, int64_t index);
    void *arg;
    int64_t index;
    long delay;
} task_call;

static void *call_task(void *arg)
{
    const task_call *const t = arg;
    const struct timespec pause = { 0, t->delay * 1000000L };
    if (t->delay) nanosleep(&pause, NULL);
    t->task(t->arg, t->index);
    return NULL;
}

static void execute(void *ctx, int64_t tasks, void (*task)(void *arg, int64_t index), void *arg)
{
    executor *const e = ctx;
    pthread_t thread[MOST_TASKS];
    task_call list[MOST_TASKS];
    if (tasks > e->tasks) e->tasks = tasks;
    if (tasks > MOST_TASKS) abort();
    for (int64_t i = 0; i < tasks; i++) {
        const int64_t index = e->order == REVERSED || e->order == DELAYED ? tasks - 1 - i : i;
        list[i] = (task_call){ task, arg, index, e->order == DELAYED ? (long)(tasks - i) : 0 };
        if (e->order >= THREADED && e->order < ONE_ONLY) {
            if (pthread_create(&thread[i], NULL, call_task, &list[i])) abort();
        } else if (e->order != ONE_ONLY || index == e->only) {
            call_task(&list[i]);
        }
    }
    for (int64_t i = 0; i < tasks && e->order >= THREADED && e->order < ONE_ONLY; i++) pthread_join(thread[i], NULL);
}

static roperot_options with(executor *e)
{
    roperot_options o = ROPEROT_OPTIONS_INIT;
    o.parallel_for = execute;
    o.ctx = e;
    o.threads = MOST_TASKS;
    o.token_begin = 3;
    return o;
}

static layer *want_of(const roperot_plan *plan)
{
    layer *const want = layer_open();
    roperot_options o = ROPEROT_OPTIONS_INIT;
    o.token_begin = 3;
    CHECK(!run(plan, want, &o), "%s", roperot_last_error());
    return want;
}

static void any_order(const void *arg)
{
    roperot_plan *const plan = plan_of(*(const int32_t *)arg);
    layer *const want = want_of(plan);
    for (int order = 0; order < ORDERS; order++) {
        layer *const got = layer_open();
        executor e = { order, 0, 0 };
        const roperot_options o = with(&e);
        CHECK(!run(plan, got, &o), "%s", roperot_last_error());
        CHECK(e.tasks == MOST_TASKS, "%lld tasks of the %d that the call is worth", (long long)e.tasks, MOST_TASKS);
        CHECK(!memcmp(&got->m, &want->m, sizeof got->m), "order %d changes bits", order);
        free(got);
    }
    free(want);
    roperot_plan_destroy(plan);
}

/* Each task alone changes bytes that no other changes, and together they change what one thread changes. */
static void tasks_are_disjoint(const void *arg)
{
    roperot_plan *const plan = plan_of(*(const int32_t *)arg);
    layer *const want = want_of(plan), *const start = layer_open();
    unsigned char *const joined = malloc(sizeof start->m), *const owner = calloc(sizeof start->m, 1);
    executor none = { ONE_ONLY, -1, 0 };
    const roperot_options alone = with(&none);
    CHECK(!run(plan, start, &alone), "%s", roperot_last_error()); /* the last job, too small for two tasks */
    memcpy(joined, &start->m, sizeof start->m);
    for (int64_t i = 0; i < MOST_TASKS; i++) {
        layer *const one = layer_open();
        executor e = { ONE_ONLY, i, 0 };
        const roperot_options o = with(&e);
        CHECK(!run(plan, one, &o), "%s", roperot_last_error());
        const unsigned char *const after = (const unsigned char *)&one->m, *const before = (unsigned char *)&start->m;
        for (size_t b = 0; b < sizeof one->m; b++) {
            if (after[b] == before[b]) continue;
            CHECK(!owner[b], "byte %zu is written by two tasks", b);
            owner[b] = 1;
            joined[b] = after[b];
        }
        free(one);
    }
    CHECK(!memcmp(joined, &want->m, sizeof want->m), "the tasks one by one give other bits");
    free(joined);
    free(owner);
    free(start);
    free(want);
    roperot_plan_destroy(plan);
}

/* ---- one plan in several threads --------------------------------------------------------------------------------- */

typedef struct worker {
    const roperot_plan *plan;
    const layer *want;
    int rounds, wrong;
} worker;

static void *work(void *arg)
{
    worker *const w = arg;
    roperot_options o = ROPEROT_OPTIONS_INIT;
    o.token_begin = 3;
    for (int i = 0; i < w->rounds; i++) {
        layer *const own = layer_open();
        own->job[1].flags = i % 2 ? 64 : 0; /* a refusal has its sentence in its own thread */
        const int32_t status = run(w->plan, own, &o);
        w->wrong += i % 2 ? status != ROPEROT_ERROR_ARGUMENT || !strstr(roperot_last_error(), "jobs[1].flags is 0x40")
                          : status || memcmp(&own->m, &w->want->m, sizeof own->m) != 0;
        free(own);
    }
    return NULL;
}

static void shared_plan(const void *arg)
{
    enum { THREADS = 4 };
    roperot_plan *const plan = plan_of(*(const int32_t *)arg);
    layer *const want = want_of(plan);
    pthread_t thread[THREADS];
    worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){ plan, want, harness_quick() ? 4 : 20, 0 };
        CHECK(!pthread_create(&thread[i], NULL, work, &workers[i]), "no thread");
    }
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    for (int i = 0; i < THREADS; i++) CHECK(!workers[i].wrong, "%d calls went wrong", workers[i].wrong);
    free(want);
    roperot_plan_destroy(plan);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static void allocates_nothing(const void *arg)
{
    roperot_plan *const plan = plan_of(*(const int32_t *)arg);
    layer *const l = layer_open();
    executor e = { REVERSED, 0, 0 };
    const roperot_options o = with(&e);
    int32_t status[JOBS + 2];
    atomic_store(&allocations, 0);
    atomic_store(&watched, 1);
    status[0] = run(plan, l, NULL);
    status[1] = run(plan, l, &o);
    for (int i = 0; i < JOBS; i++) { /* every job refused in its turn */
        l->job[i].flags ^= 64;
        status[2 + i] = run(plan, l, NULL);
        l->job[i].flags ^= 64;
    }
    atomic_store(&watched, 0);
    CHECK(atomic_load(&allocations) == 0, "%ld allocations", atomic_load(&allocations));
    for (int i = 0; i < JOBS + 2; i++)
        CHECK(status[i] == (i < 2 ? ROPEROT_OK : ROPEROT_ERROR_ARGUMENT), "call %d: status %d", i, status[i]);
    free(l);
    roperot_plan_destroy(plan);
}

/* ---- floating-point modes ---------------------------------------------------------------------------------------- */

#if defined __x86_64__
#include <xmmintrin.h>
static uint64_t control(void)
{
    return _mm_getcsr() & ~0x3fu; /* without the sticky flags */
}

static void flush_denormals(void)
{
    _mm_setcsr(_mm_getcsr() | 0x8040);
}
#elif defined __aarch64__
static uint64_t control(void)
{
    uint64_t value;
    __asm__ volatile("mrs %0, fpcr" : "=r"(value));
    return value;
}

static void flush_denormals(void)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(control() | UINT64_C(1) << 24));
}
#else
static uint64_t control(void)
{
    return (uint64_t)fegetround();
}

static void flush_denormals(void)
{
}
#endif

/* The caller's mode stays as it is, and a flag that is raised is never lowered. */
static void keeps_the_mode(const void *arg)
{
    static const int modes[] = { FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO };
    roperot_plan *const plan = plan_of(*(const int32_t *)arg);
    fenv_t usual;
    fegetenv(&usual);
    for (int i = 0; i < 8; i++) {
        layer *const l = layer_open();
        fesetround(modes[i % 4]);
        if (i > 3) flush_denormals();
        feclearexcept(FE_ALL_EXCEPT);
        feraiseexcept(FE_DIVBYZERO | FE_INVALID);
        const uint64_t before = control();
        const int32_t status = run(plan, l, NULL);
        const uint64_t after = control();
        const int raised = fetestexcept(FE_DIVBYZERO | FE_INVALID);
        fesetenv(&usual);
        CHECK(!status, "%s", roperot_last_error());
        CHECK(before == after, "mode %d: 0x%llx became 0x%llx", i, (unsigned long long)before,
              (unsigned long long)after);
        CHECK(raised == (FE_DIVBYZERO | FE_INVALID), "mode %d: a flag was lowered, 0x%x", i, (unsigned)raised);
        free(l);
    }
    roperot_plan_destroy(plan);
}

/* ---- little stack ------------------------------------------------------------------------------------------------ */

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { STACK = 1 << 19 };
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
enum { STACK = 1 << 19 };
#else
enum { STACK = 24 << 10 };
#endif
#else
enum { STACK = 24 << 10 };
#endif

typedef struct little {
    const roperot_plan *plan;
    layer *l;
    int32_t status;
} little;

static void *run_on_little(void *arg)
{
    little *const t = arg;
    t->status = run(t->plan, t->l, NULL);
    return NULL;
}

/* 12 KiB for the call, the rest for what a thread needs itself and for binding functions at their first call. */
static void little_stack(const void *arg)
{
    roperot_plan *const plan = plan_of(*(const int32_t *)arg);
    little t = { plan, layer_open(), -1 };
    const long least = PTHREAD_STACK_MIN; /* 128 KiB on AArch64 */
    const size_t size = least > STACK ? (size_t)least : STACK;
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    CHECK(!pthread_attr_setstacksize(&attributes, size), "%zu bytes of stack are too few for a thread", size);
    CHECK(!pthread_create(&thread, &attributes, run_on_little, &t), "no thread");
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    CHECK(!t.status, "status %d", t.status);
    free(t.l);
    roperot_plan_destroy(plan);
}

int main(int argc, char **argv)
{
    for (int i = 0; i < 2; i++) {
        const char *const cache = i ? "factored" : "full";
        harness_add(any_order, &caches[i], "executor/any-order/%s", cache);
        harness_add(tasks_are_disjoint, &caches[i], "executor/tasks-are-disjoint/%s", cache);
        harness_add(shared_plan, &caches[i], "shared-plan/%s", cache);
        harness_add(allocates_nothing, &caches[i], "allocates-nothing/%s", cache);
        harness_add(keeps_the_mode, &caches[i], "keeps-the-mode/%s", cache);
        harness_add(little_stack, &caches[i], "little-stack/%s", cache);
    }
    return harness_run(argc, argv, "run_robust");
}
