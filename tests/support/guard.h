/* SPDX-License-Identifier: MIT
 * Guarded memory: runs and buffers between PROT_NONE pages, with canaries; it must not know what is in it. */
#ifndef ROPEROT_TESTS_GUARD_H
#define ROPEROT_TESTS_GUARD_H

#include <stddef.h>

enum { GUARD_LOW, GUARD_HIGH }; /* the data begins right after a PROT_NONE page, or ends right before one */

/* ---- one buffer -------------------------------------------------------------------------------------------------- */

typedef struct guard_buffer {
    unsigned char *data;
    size_t bytes;
    void *map;
    size_t map_bytes;
} guard_buffer;

/* `bytes` bytes, filled with a canary pattern as is the slack on the side away from the guard. */
guard_buffer guard_buffer_open(size_t bytes, int end);
/* 1 if the slack still holds its canaries. */
int guard_buffer_intact(const guard_buffer *buffer);
void guard_buffer_close(guard_buffer *buffer);

/* The canary byte at an address: depends on it, so that copying a neighbour's canary shows too. */
unsigned char guard_canary(size_t index);

/* ---- many isolated runs ------------------------------------------------------------------------------------------ */

/* Slots of `slot_bytes` (rounded up to pages), every one between PROT_NONE pages, `pitch` bytes apart: a byte touched
 * outside a slot's run, read or written, even with its own value, is a fault when the run is pushed against that end.
 * The same memory is mapped twice: through `fixed` it cannot be written. */
typedef struct guard_arena {
    unsigned char *open, *fixed;
    size_t slots, slot_bytes, pitch;
} guard_arena;

guard_arena guard_arena_open(size_t slots, size_t slot_bytes);
void guard_arena_close(guard_arena *arena);
/* Offset from open or fixed of a run of `bytes` bytes in a slot. */
size_t guard_arena_run(const guard_arena *arena, size_t slot, size_t bytes, int end);
/* Writes canaries into the slack around such a run, up to `reach` bytes; then checks them. */
void guard_arena_mark(const guard_arena *arena, size_t slot, size_t bytes, int end, size_t reach);
int guard_arena_intact(const guard_arena *arena, size_t slot, size_t bytes, int end, size_t reach);

#endif
