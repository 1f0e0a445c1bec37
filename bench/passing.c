/* SPDX-License-Identifier: MIT
 * Memory that is only there to be read; it must not know why.
 */
#include "passing.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 64, PAGE = 4096 };

static struct {
    unsigned char *data;
    size_t bytes;
    volatile uint64_t sum; /* what is read must be wanted by somebody */
} passing;

static void release(void)
{
    free(passing.data);
    passing.data = NULL;
    passing.bytes = 0;
}

const char *bench_passing_reserve(size_t bytes)
{
    static int registered;
    if (bytes <= passing.bytes) return NULL;
    if (!registered) registered = atexit(release) == 0;
    release();
    passing.data = aligned_alloc(PAGE, (bytes + PAGE - 1) / PAGE * PAGE);
    if (passing.data == NULL) return "no memory for the data that passes through the caches";
    memset(passing.data, 1, bytes); /* else all pages would be one page of zeros */
    passing.bytes = bytes;
    return NULL;
}

void bench_passing_read(size_t begin, size_t bytes)
{
    uint64_t sum = 0, word;
    for (size_t i = begin; i < begin + bytes; i += sizeof word) {
        memcpy(&word, passing.data + i, sizeof word);
        sum += word;
    }
    passing.sum += sum;
}

void bench_passing_warm(void *data, size_t bytes)
{
    volatile unsigned char *const p = data;
    for (size_t i = 0; i < bytes; i += LINE) p[i] = p[i];
}
