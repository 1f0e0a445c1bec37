/* SPDX-License-Identifier: MIT
 * Two pinned threads that meet by spinning, because a sleeping thread would take longer to wake than a rotation takes;
 * it must not know what they run. */
#include "duo.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

struct bench_duo {
    pthread_t other;
    cpu_set_t before;
    void (*part)(void *self, int index); /* NULL: the other thread ends */
    void *self;
    _Alignas(64) atomic_llong begun; /* raised by the first thread */
    _Alignas(64) atomic_llong done;  /* follows it in the second */
};

static inline void pause_briefly(void)
{
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#endif
}

static void wait_for(atomic_llong *counter, long long value)
{
    while (atomic_load_explicit(counter, memory_order_acquire) < value) pause_briefly();
}

static void *follow(void *argument)
{
    bench_duo *const duo = argument;
    for (long long turn = 1;; ++turn) {
        wait_for(&duo->begun, turn);
        if (duo->part == NULL) return NULL;
        duo->part(duo->self, 1);
        atomic_store_explicit(&duo->done, turn, memory_order_release);
    }
}

static int pin(pthread_t thread, int cpu)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return pthread_setaffinity_np(thread, sizeof one, &one);
}

/* The n-th CPU of the set, or -1. */
static int nth_cpu(const cpu_set_t *set, int n)
{
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, set) && n-- == 0) return cpu;
    return -1;
}

bench_duo *bench_duo_open(const char **why)
{
    cpu_set_t usable;
    if (pthread_getaffinity_np(pthread_self(), sizeof usable, &usable) != 0 || nth_cpu(&usable, 1) < 0) {
        *why = "needs two CPUs, and this process may use one";
        return NULL;
    }
    bench_duo *const duo = aligned_alloc(64, (sizeof(bench_duo) + 63) / 64 * 64);
    if (duo != NULL) *duo = (bench_duo){ .before = usable };
    if (duo == NULL || pthread_create(&duo->other, NULL, follow, duo) != 0) {
        *why = "the second thread could not be started";
        free(duo);
        return NULL;
    }
    if (pin(pthread_self(), nth_cpu(&usable, 0)) != 0 || pin(duo->other, nth_cpu(&usable, 1)) != 0) {
        *why = "the threads could not be pinned";
        bench_duo_close(duo);
        return NULL;
    }
    return duo;
}

static void begin(bench_duo *duo, void (*part)(void *self, int index), void *self)
{
    duo->part = part;
    duo->self = self;
    atomic_fetch_add_explicit(&duo->begun, 1, memory_order_release);
}

void bench_duo_close(bench_duo *duo)
{
    begin(duo, NULL, NULL);
    pthread_join(duo->other, NULL);
    pthread_setaffinity_np(pthread_self(), sizeof duo->before, &duo->before);
    free(duo);
}

void bench_duo_run(bench_duo *duo, void (*part)(void *self, int index), void *self, int64_t times)
{
    for (int64_t i = 0; i < times; ++i) {
        begin(duo, part, self);
        part(self, 0);
        wait_for(&duo->done, atomic_load_explicit(&duo->begun, memory_order_relaxed));
    }
}
