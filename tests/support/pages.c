/* SPDX-License-Identifier: MIT
 * Pages that trap on POSIX systems, Windows and, as far as it has any, WebAssembly; it must not know what for. */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#define _DARWIN_C_SOURCE
#include "support/pages.h"

#if defined _WIN32

#include <windows.h>

size_t pages_bytes(void)
{
    return 65536; /* the grain of reservations; pages are smaller */
}

unsigned char *pages_reserve(size_t bytes)
{
    return VirtualAlloc(NULL, bytes, MEM_RESERVE, PAGE_NOACCESS);
}

int pages_open(unsigned char *at, size_t bytes)
{
    return VirtualAlloc(at, bytes, MEM_COMMIT, PAGE_READWRITE) == NULL;
}

void pages_release(unsigned char *at, size_t bytes)
{
    (void)bytes;
    VirtualFree(at, 0, MEM_RELEASE);
}

#elif defined __wasm__

#include <stdlib.h>

size_t pages_bytes(void)
{
    return 65536;
}

unsigned char *pages_reserve(size_t bytes)
{
    return malloc(bytes);
}

int pages_open(unsigned char *at, size_t bytes)
{
    return (void)at, (void)bytes, 0;
}

void pages_release(unsigned char *at, size_t bytes)
{
    (void)bytes;
    free(at);
}

#else

#include <sys/mman.h>
#include <unistd.h>

size_t pages_bytes(void)
{
    static size_t page;
    if (!page) page = (size_t)sysconf(_SC_PAGESIZE);
    return page;
}

unsigned char *pages_reserve(size_t bytes)
{
    void *const map = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return map == MAP_FAILED ? NULL : map;
}

int pages_open(unsigned char *at, size_t bytes)
{
    return mprotect(at, bytes, PROT_READ | PROT_WRITE);
}

void pages_release(unsigned char *at, size_t bytes)
{
    munmap(at, bytes);
}

#endif
