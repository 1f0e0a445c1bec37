/* SPDX-License-Identifier: MIT
 * What several threads may do at once, from the process's first call on; for ThreadSanitizer, and for itself. It must
 * not know how the library keeps what it makes once. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <roperot/roperot.h>

#include "lists.h"
#include "support/assertions.h"
#include "support/guarded_tensor.h"
#include "support/harness.h"

enum { THREADS = 6, DIM = 64 };

/* A case fails in its own thread only: cmocka jumps out of it. The others count. */
static atomic_int wrong, waiting;

static void meet(int threads)
{
    atomic_fetch_add(&waiting, 1);
    while (atomic_load(&waiting) < threads) sched_yield();
}

static void together(void *(*fn)(void *), int threads)
{
    pthread_t thread[THREADS];
    int number[THREADS];
    atomic_store(&waiting, 0);
    atomic_store(&wrong, 0);
    for (int i = 0; i < threads; i++) {
        number[i] = i;
        CHECK(!pthread_create(&thread[i], NULL, fn, &number[i]), "no thread");
    }
    for (int i = 0; i < threads; i++) pthread_join(thread[i], NULL);
    CHECK(!atomic_load(&wrong), "%d calls went wrong", atomic_load(&wrong));
}

/* ---- whatever is found out once per process ---------------------------------------------------------------------- */

/* Plans by AUTO, names of ISAs, a refusal and its sentence: all that looks at the machine, in another order each. */
static void *first_calls(void *arg)
{
    const int number = *(const int *)arg;
    meet(THREADS);
    for (int i = 0; i < 4; i++) {
        roperot_config c = ROPEROT_CONFIG_INIT;
        roperot_plan *plan = NULL;
        c.head_dim = DIM;
        switch ((i + number) % 4) {
        case 0: atomic_fetch_add(&wrong, roperot_isa_best() == 0); break;
        case 1:
            for (int32_t isa = 0; roperot_isa_name(isa); isa++)
                atomic_fetch_add(&wrong, !roperot_isa_reason(isa) || !roperot_build_info());
            break;
        case 2:
            atomic_fetch_add(&wrong, roperot_plan_create(&c, &plan) != ROPEROT_OK);
            roperot_plan_destroy(plan);
            break;
        default:
            c.head_dim = -number - 1;
            atomic_fetch_add(&wrong, roperot_plan_create(&c, &plan) != ROPEROT_ERROR_ARGUMENT);
            char value[16];
            snprintf(value, sizeof value, "%d", c.head_dim);
            atomic_fetch_add(&wrong, !strstr(roperot_last_error(), value));
        }
    }
    return NULL;
}

static void first_calls_race(const void *arg)
{
    (void)arg;
    together(first_calls, THREADS);
}

/* ---- plans that come and go while others are used ---------------------------------------------------------------- */

static roperot_plan *shared;
static int rounds;

static void *come_and_go(void *arg)
{
    const int number = *(const int *)arg;
    float x[2][DIM], want[DIM];
    for (int d = 0; d < DIM; d++) want[d] = (float)(d - 30 + number);
    meet(THREADS);
    for (int i = 0; i < rounds; i++) {
        roperot_config c = ROPEROT_CONFIG_INIT;
        roperot_plan *own = NULL;
        c.head_dim = DIM;
        c.max_positions = 64 + i;
        c.cache = 1 + (i + number) % 2;
        atomic_fetch_add(&wrong, roperot_plan_create(&c, &own) != ROPEROT_OK);
        const roperot_positions at = roperot_positions_offset(i);
        for (int k = 0; k < 2; k++) {
            memcpy(x[k], want, sizeof want);
            const roperot_tensor view = roperot_tensor_shd(x[k], ROPEROT_F32, 1, 1, DIM);
            atomic_fetch_add(&wrong, roperot_apply(k ? own : shared, &at, &view, NULL, 1, NULL) != ROPEROT_OK);
        }
        atomic_fetch_add(&wrong, memcmp(x[0], x[1], sizeof want) != 0);
        roperot_plan_destroy(own);
    }
    return NULL;
}

static void plans_come_and_go(const void *arg)
{
    (void)arg;
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = DIM;
    shared = expect_plan(&c);
    rounds = harness_quick() ? 12 : 60;
    together(come_and_go, THREADS);
    roperot_plan_destroy(shared);
}

/* ---- executors --------------------------------------------------------------------------------------------------- */

enum { IN_ORDER, REVERSED, DELAYED, EXECUTORS };

typedef struct task {
    void (*run)(void *arg, int64_t index);
    void *arg;
    int64_t index;
    int delay;
} task;

static void *run_task(void *arg)
{
    const task *const t = arg;
    const struct timespec pause = { 0, t->delay * 1000000L };
    if (t->delay) nanosleep(&pause, NULL);
    t->run(t->arg, t->index);
    return NULL;
}

/* A thread per task, started in either order; delayed: the first starts last. */
static void executor(void *ctx, int64_t tasks, void (*run)(void *arg, int64_t index), void *arg)
{
    const int how = *(const int *)ctx;
    pthread_t thread[THREADS];
    task list[THREADS];
    if (tasks > THREADS) abort();
    for (int64_t i = 0; i < tasks; i++) {
        const int64_t index = how == REVERSED ? tasks - 1 - i : i;
        list[i] = (task){ run, arg, index, how == DELAYED ? (int)(tasks - i) : 0 };
        if (pthread_create(&thread[i], NULL, run_task, &list[i])) abort();
    }
    for (int64_t i = 0; i < tasks; i++) pthread_join(thread[i], NULL);
}

static void any_executor(const void *arg)
{
    int how = *(const int *)arg;
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = DIM;
    roperot_plan *const plan = expect_plan(&c);
    for (int32_t dtype = ROPEROT_F32; dtype < ROPEROT_DTYPE_END; dtype++)
        for (int64_t batch = 1; batch <= 3; batch += 2) {
            guarded_tensor got =
                guarded_tensor_open(dtype, batch, 2001 / batch, 3, DIM, (views_layout){ VIEWS_BSHD, GUARD_LOW, 1, 0 });
            guarded_tensor want = guarded_tensor_clone(&got);
            const roperot_positions at = roperot_positions_offset(7);
            roperot_options o = ROPEROT_OPTIONS_INIT;
            o.token_begin = 3;
            CHECK(!roperot_apply(plan, &at, &want.view, NULL, 1, &o), "%s", roperot_last_error());
            o.parallel_for = executor;
            o.ctx = &how;
            o.threads = THREADS;
            CHECK(!roperot_apply(plan, &at, &got.view, NULL, 1, &o), "%s", roperot_last_error());
            guarded_tensor_check_equal(&got, &want, "through an executor");
            guarded_tensor_close(&got);
            guarded_tensor_close(&want);
        }
    roperot_plan_destroy(plan);
}

/* ---- how a call is split ----------------------------------------------------------------------------------------- */

typedef struct splits {
    int calls;
    int64_t tasks[4];
} splits;

static void counting(void *ctx, int64_t tasks, void (*run)(void *arg, int64_t index), void *arg)
{
    splits *const s = ctx;
    if (s->calls < 4) s->tasks[s->calls] = tasks;
    s->calls++;
    for (int64_t i = 0; i < tasks; i++) run(arg, i);
}

/* The stack of the next calls, filled with what no count, stride or pointer is. */
static __attribute__((noinline)) void spoil_stack(void)
{
    volatile unsigned char bytes[16 << 10];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = 0x11;
}

/* Without a dst there is no line of memory that two tasks could share: as many tasks as asked for. */
static void pages_alone_are_split_evenly(const void *arg)
{
    (void)arg;
    enum { LINES = 33, HEADS = 64, WIDE = 256 };
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = WIDE;
    roperot_plan *const plan = expect_plan(&c);
    guarded_tensor src = guarded_tensor_plain(ROPEROT_F32, 1, LINES, HEADS, WIDE), store = guarded_tensor_clone(&src);
    int32_t slots[LINES];
    for (int i = 0; i < LINES; i++) slots[i] = i;
    roperot_pages to = ROPEROT_PAGES_INIT;
    to.data = store.view.data;
    to.page_tokens = LINES;
    to.token_stride = HEADS * WIDE, to.head_stride = WIDE;
    to.slots = slots, to.slot_type = 1;
    roperot_job job = ROPEROT_JOB_INIT;
    job.src = &src.view, job.to = &to;
    splits seen = { 0 };
    roperot_options o = ROPEROT_OPTIONS_INIT;
    o.parallel_for = counting, o.ctx = &seen, o.threads = LINES;
    const roperot_positions at = roperot_positions_offset(1);
    spoil_stack();
    CHECK(!roperot_run(plan, &at, &job, 1, &o), "%s", roperot_last_error());
    CHECK(seen.calls == 1 && seen.tasks[0] == LINES, "%d calls, the first of %lld tasks", seen.calls,
          (long long)seen.tasks[0]);
    guarded_tensor_close(&src);
    guarded_tensor_close(&store);
    roperot_plan_destroy(plan);
}

/* Small tensors that are not walked with a large one stay in this thread. */
static void groups_are_split_by_their_size(const void *arg)
{
    (void)arg;
    enum { TOKENS = 128, TENSORS = 5 };
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = DIM;
    roperot_plan *const plan = expect_plan(&c);
    guarded_tensor x[TENSORS];
    roperot_tensor view[TENSORS];
    roperot_job job[TENSORS];
    for (int i = 0; i < TENSORS; i++) {
        x[i] = guarded_tensor_plain(ROPEROT_F32, 1, TOKENS, i == 0 ? 16 : 1, DIM);
        view[i] = x[i].view;
        job[i] = (roperot_job)ROPEROT_JOB_INIT;
        job[i].src = job[i].dst = &view[i];
    }
    const roperot_positions at = roperot_positions_offset(1);
    for (int jobs = 0; jobs < 2; jobs++) {
        splits seen = { 0 };
        roperot_options o = ROPEROT_OPTIONS_INIT;
        o.parallel_for = counting, o.ctx = &seen, o.threads = THREADS;
        const int32_t status =
            jobs ? roperot_run(plan, &at, job, TENSORS, &o) : roperot_apply(plan, &at, view, NULL, TENSORS, &o);
        CHECK(!status, "%s", roperot_last_error());
        CHECK(seen.calls == 1 && seen.tasks[0] > 1, "jobs %d: %d calls, the first of %lld tasks", jobs, seen.calls,
              (long long)seen.tasks[0]);
    }
    for (int i = 0; i < TENSORS; i++) guarded_tensor_close(&x[i]);
    roperot_plan_destroy(plan);
}

int main(int argc, char **argv)
{
    static const int executors[EXECUTORS] = { IN_ORDER, REVERSED, DELAYED };
    static const char *const names[EXECUTORS] = { "in-order", "reversed", "delayed" };
    harness_add(first_calls_race, NULL, "first-calls"); /* first: nothing has been called before */
    harness_add(plans_come_and_go, NULL, "plans-come-and-go");
    for (int i = 0; i < EXECUTORS; i++) harness_add(any_executor, &executors[i], "executor/%s", names[i]);
    harness_add(pages_alone_are_split_evenly, NULL, "pages-alone");
    harness_add(groups_are_split_by_their_size, NULL, "groups");
    return harness_run(argc, argv, "threads");
}
