/* SPDX-License-Identifier: MIT
 * Guarded memory: runs and buffers between PROT_NONE pages, with canaries; it must not know what is in it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* mmap's flags, memfd_create, sigaltstack */
#endif
#include "support/guard.h"

#include <stdio.h>
#include <stdlib.h>

#include "support/pages.h"

#if defined __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

static size_t round_to_pages(size_t bytes)
{
    const size_t page = pages_bytes();
    return bytes ? (bytes + page - 1) / page * page : page;
}

/* A test that got no memory has tested nothing: stop everything. */
_Noreturn static void no_memory(const char *what)
{
    perror(what);
    exit(97);
}

unsigned char guard_canary(size_t index)
{
    return (unsigned char)(0xa5u ^ (index * 151u) ^ (index >> 8));
}

/* ---- one buffer -------------------------------------------------------------------------------------------------- */

guard_buffer guard_buffer_open(size_t bytes, int end)
{
    const size_t page = pages_bytes(), inner = round_to_pages(bytes), total = inner + 2 * page;
    unsigned char *const map = pages_reserve(total);
    if (!map || pages_open(map + page, inner)) no_memory("a guarded buffer");
    for (size_t i = 0; i < inner; i++) map[page + i] = guard_canary(i);
    return (guard_buffer){ map + page + (end == GUARD_HIGH ? inner - bytes : 0), bytes, map, total };
}

int guard_buffer_intact(const guard_buffer *buffer)
{
    const size_t page = pages_bytes(), inner = buffer->map_bytes - 2 * page;
    const unsigned char *const first = (const unsigned char *)buffer->map + page;
    const size_t from = (size_t)(buffer->data - first);
    for (size_t i = 0; i < inner; i++)
        if ((i < from || i >= from + buffer->bytes) && first[i] != guard_canary(i)) return 0;
    return 1;
}

void guard_buffer_close(guard_buffer *buffer)
{
    if (buffer->map) pages_release(buffer->map, buffer->map_bytes);
    *buffer = (guard_buffer){ NULL, 0, NULL, 0 };
}

/* ---- many isolated runs: on Linux, where everything that uses them runs ------------------------------------------ */

#if defined __linux__

static void *must(void *map, const char *what)
{
    if (map == MAP_FAILED) no_memory(what);
    return map;
}

static unsigned char *map_slots(const guard_arena *arena, int file, int protection)
{
    const size_t page = pages_bytes(), total = arena->slots * arena->pitch + page;
    unsigned char *const map = must(mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), "mmap");
    for (size_t i = 0; i < arena->slots; i++)
        must(mmap(map + page + i * arena->pitch, arena->slot_bytes, protection, MAP_SHARED | MAP_FIXED, file,
                  (off_t)(i * arena->slot_bytes)),
             "mmap of a slot");
    return map + page;
}

guard_arena guard_arena_open(size_t slots, size_t slot_bytes)
{
    const size_t inner = round_to_pages(slot_bytes);
    guard_arena arena = { NULL, NULL, slots, inner, inner + pages_bytes() };
    const int file = memfd_create("roperot-tests", 0);
    if (file < 0 || ftruncate(file, (off_t)(slots * inner))) must(MAP_FAILED, "memfd_create");
    arena.open = map_slots(&arena, file, PROT_READ | PROT_WRITE);
    arena.fixed = map_slots(&arena, file, PROT_READ);
    close(file);
    return arena;
}

void guard_arena_close(guard_arena *arena)
{
    const size_t page = pages_bytes(), total = arena->slots * arena->pitch + page;
    munmap(arena->open - page, total);
    munmap(arena->fixed - page, total);
    *arena = (guard_arena){ NULL, NULL, 0, 0, 0 };
}

size_t guard_arena_run(const guard_arena *arena, size_t slot, size_t bytes, int end)
{
    return slot * arena->pitch + (end == GUARD_HIGH ? arena->slot_bytes - bytes : 0);
}

/* The slack beside a run that a guard page does not watch: before it when pushed high, after it when pushed low. */
static unsigned char *slack(const guard_arena *arena, size_t slot, size_t bytes, int end, size_t *reach)
{
    const size_t room = arena->slot_bytes - bytes;
    if (*reach > room) *reach = room;
    unsigned char *const run = arena->open + guard_arena_run(arena, slot, bytes, end);
    return end == GUARD_HIGH ? run - *reach : run + bytes;
}

void guard_arena_mark(const guard_arena *arena, size_t slot, size_t bytes, int end, size_t reach)
{
    unsigned char *const first = slack(arena, slot, bytes, end, &reach);
    for (size_t i = 0; i < reach; i++) first[i] = guard_canary(i);
}

int guard_arena_intact(const guard_arena *arena, size_t slot, size_t bytes, int end, size_t reach)
{
    const unsigned char *const first = slack(arena, slot, bytes, end, &reach);
    for (size_t i = 0; i < reach; i++)
        if (first[i] != guard_canary(i)) return 0;
    return 1;
}

#endif
