/* SPDX-License-Identifier: MIT
 * How deep the stack of a call goes; it must not know what is called. */
#include "support/stack.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

enum { ROOM = 1 << 18, OWN = 512, PAINT = 0xa5 };

typedef struct measurement {
    void (*fn)(void *arg);
    void *arg;
    size_t used;
} measurement;

static _Alignas(1 << 12) unsigned char room[ROOM];

/* What is below this frame, but for the next 512 bytes, in which memset's own frame may lie. Stacks grow downwards
 * wherever the library is built. */
static void *measure(void *arg)
{
    measurement *const m = arg;
    unsigned char here = 0;
    unsigned char *const top = room + ((uintptr_t)&here - (uintptr_t)room) - OWN;
    m->fn(m->arg);
    memset(room, PAINT, (size_t)(top - room));
    m->fn(m->arg);
    const unsigned char *deepest = room;
    while (deepest < top && *deepest == PAINT) deepest++;
    m->used = (size_t)(top - deepest) + OWN;
    return NULL;
}

size_t stack_used(void (*fn)(void *arg), void *arg)
{
    measurement m = { fn, arg, 0 };
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    if (pthread_attr_setstack(&attributes, room, sizeof room) == 0 &&
        pthread_create(&thread, &attributes, measure, &m) == 0)
        pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    return m.used;
}
