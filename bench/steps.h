/* SPDX-License-Identifier: MIT
 * Which lines and pages of a library's code one call executes, counted by stepping a child process through it; it must
 * not know what is called. x86-64 Linux only: elsewhere bench_steps_count says that it cannot. */
#ifndef BENCH_STEPS_H
#define BENCH_STEPS_H

#include <stdint.h>

enum { BENCH_LINE = 64, BENCH_PAGE = 4096 };

/* The code of one shared library in this process. */
typedef struct bench_code {
    uintptr_t load_address, begin, end; /* begin, end: its executable segment, whole pages */
} bench_code;

typedef struct bench_steps {
    int64_t instructions;             /* in the library */
    int lines, pages;                 /* distinct ones of the library in which an instruction began */
    int outside_lines, outside_pages; /* of other libraries (memcpy, function binding); not of the program */
    uint32_t *line_steps;             /* instructions begun in each line from code.begin on; free it */
} bench_steps;

/* NULL: found. `symbol` is any function that the library exports. Else one sentence. */
const char *bench_code_of(const char *symbol, bench_code *code);

/* Forks, and single-steps through call(argument) in the child. What the call needs is best made and called once before:
 * lazily bound symbols and first touches of memory are not part of a footprint. NULL: counted. Else one sentence, and
 * nothing to free. */
const char *bench_steps_count(const bench_code *code, void (*call)(void *), void *argument, bench_steps *steps);

#endif
