/* SPDX-License-Identifier: MIT
 * What the operating system tells about this machine, asked once per process; it must not know any instruction set. */
#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE /* _SC_PHYS_PAGES, _SC_NPROCESSORS_ONLN */
#include "machine.h"

#include <stdatomic.h>
#if defined _WIN32
#include <windows.h>
#else
#include <unistd.h>
#endif

#include "cpu.h"

#if defined _WIN32

static int64_t physical_memory(void)
{
    MEMORYSTATUSEX status = { .dwLength = sizeof status };
    return GlobalMemoryStatusEx(&status) && status.ullTotalPhys < INT64_MAX ? (int64_t)status.ullTotalPhys : INT64_MAX;
}

static int32_t online_cpus(void)
{
    const DWORD cpus = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
    return cpus < 1 ? 1 : cpus < INT32_MAX ? (int32_t)cpus : INT32_MAX;
}

#elif defined __wasm__

/* An engine tells neither; a module has at most 4 GiB. */
static int64_t physical_memory(void)
{
    return (int64_t)1 << 32;
}

static int32_t online_cpus(void)
{
    return 1;
}

#else

static int64_t physical_memory(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 && pages < INT64_MAX / page ? (int64_t)pages * page : INT64_MAX;
}

static int32_t online_cpus(void)
{
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return cpus < 1 ? 1 : cpus < INT32_MAX ? (int32_t)cpus : INT32_MAX;
}

#endif

static roperot_machine ask(void)
{
    roperot_caches caches = { .core = 512 << 10, .last = 0 };
    roperot_cpu_caches(&caches);
    if (caches.last < caches.core) caches.last = 4 * caches.core;
    return (roperot_machine){ caches.core, caches.last, physical_memory(), online_cpus() };
}

/* One thread stores what it found for the others. Until then they ask for themselves instead of waiting. */
void roperot_machine_describe(roperot_machine *machine)
{
    enum { UNKNOWN, STORING, KNOWN };
    static atomic_int state;
    static roperot_machine known;
    if (atomic_load_explicit(&state, memory_order_acquire) == KNOWN) {
        *machine = known;
        return;
    }
    *machine = ask();
    int expected = UNKNOWN;
    if (!atomic_compare_exchange_strong_explicit(&state, &expected, STORING, memory_order_relaxed,
                                                 memory_order_relaxed))
        return;
    known = *machine;
    atomic_store_explicit(&state, KNOWN, memory_order_release);
}
