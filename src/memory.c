/* SPDX-License-Identifier: MIT
 * Memory for a plan's tables, aligned, in huge pages where there are some; it must not know what is stored in it. */
#define _GNU_SOURCE /* madvise */
#include "memory.h"

#include <stddef.h>
#include <stdlib.h>
#if defined _WIN32
#include <malloc.h>
#elif defined __linux__
#include <sys/mman.h>
#endif

#include "machine.h"
#include "status.h"

enum { CACHE_LINE = 64, HUGE_PAGE = 2 << 20 };

#if defined _WIN32

static void *allocate_aligned(size_t alignment, size_t size)
{
    return _aligned_malloc(size, alignment);
}

static void free_aligned(void *memory)
{
    _aligned_free(memory);
}

#else

static void *allocate_aligned(size_t alignment, size_t size)
{
    return aligned_alloc(alignment, size);
}

static void free_aligned(void *memory)
{
    free(memory);
}

#endif

void *roperot_memory_allocate(int64_t bytes)
{
    if (bytes > PTRDIFF_MAX - HUGE_PAGE) return NULL; /* size_t may have 32 bits and the machine more memory */
    const size_t page = bytes >= HUGE_PAGE ? HUGE_PAGE : CACHE_LINE, size = ((size_t)bytes + page - 1) / page * page;
    void *const data = allocate_aligned(page, size);
#if defined MADV_HUGEPAGE
    if (data && page == HUGE_PAGE) (void)madvise(data, size, MADV_HUGEPAGE); /* a hint: nothing depends on it */
#endif
    return data;
}

void roperot_memory_free(void *memory)
{
    free_aligned(memory);
}

int32_t roperot_memory_check(int64_t bytes, const char *what)
{
    roperot_machine machine;
    roperot_machine_describe(&machine);
    if (bytes <= machine.memory / 4) return ROPEROT_OK;
    return roperot_fail(ROPEROT_ERROR_MEMORY,
                        "%s would take %lld bytes; at most a quarter of this machine's %lld is allowed", what,
                        (long long)bytes, (long long)machine.memory);
}
