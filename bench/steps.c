/* SPDX-License-Identifier: MIT
 * Steps a forked child through one call with ptrace and counts where it was; it must not know what is called.
 */
#include "steps.h"

#if defined __linux__ && defined __x86_64__

#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OUTSIDE_MOST = 4096, NO_PTRACE = 77 };

typedef struct object_search {
    uintptr_t address; /* of something in the object that is looked for */
    bench_code found;  /* begin 0: none */
} object_search;

/* One instruction, or one line, outside the library. */
typedef struct outside_set {
    uintptr_t line[OUTSIDE_MOST];
    int count;
} outside_set;

/* ---- where the library is ---------------------------------------------------------------------------------------- */

static int look_into(struct dl_phdr_info *object, size_t size, void *argument)
{
    object_search *const search = argument;
    (void)size;
    for (int i = 0; i < object->dlpi_phnum; ++i) {
        const ElfW(Phdr) *const segment = &object->dlpi_phdr[i];
        const uintptr_t begin = object->dlpi_addr + segment->p_vaddr, end = begin + segment->p_memsz;
        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_X) == 0) continue;
        if (search->address < begin || search->address >= end) continue;
        search->found = (bench_code){ object->dlpi_addr, begin / BENCH_PAGE * BENCH_PAGE,
                                      (end + BENCH_PAGE - 1) / BENCH_PAGE * BENCH_PAGE };
        return 1;
    }
    return 0;
}

static bench_code code_around(uintptr_t address)
{
    object_search search = { .address = address };
    dl_iterate_phdr(look_into, &search);
    return search.found;
}

static int contains(const bench_code *code, uintptr_t address)
{
    return address >= code->begin && address < code->end;
}

/* Marks the ends of what is counted; the parent knows their addresses, as the child is its fork. */
__attribute__((noinline)) static void mark_begin(void)
{
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) static void mark_end(void)
{
    __asm__ volatile("nop" ::: "memory");
}

const char *bench_code_of(const char *symbol, bench_code *code)
{
    *code = code_around((uintptr_t)dlsym(RTLD_DEFAULT, symbol));
    if (code->begin == 0) return "the library is not linked as a shared object";
    return contains(code, (uintptr_t)&mark_end) ? "the library is part of this program" : NULL;
}

/* ---- counting ---------------------------------------------------------------------------------------------------- */

static void add_outside(outside_set *set, uintptr_t line)
{
    for (int i = 0; i < set->count; ++i)
        if (set->line[i] == line) return;
    if (set->count < OUTSIDE_MOST) set->line[set->count++] = line;
}

static int distinct_pages(const outside_set *set)
{
    outside_set pages = { .count = 0 };
    for (int i = 0; i < set->count; ++i) add_outside(&pages, set->line[i] * BENCH_LINE / BENCH_PAGE);
    return pages.count;
}

static void sum_up(const bench_code *code, const outside_set *outside, bench_steps *steps)
{
    const size_t lines = (code->end - code->begin) / BENCH_LINE;
    size_t last_page = SIZE_MAX;
    for (size_t line = 0; line < lines; ++line) {
        const size_t page = line * BENCH_LINE / BENCH_PAGE;
        if (steps->line_steps[line] == 0) continue;
        steps->instructions += steps->line_steps[line];
        steps->lines++;
        steps->pages += page != last_page;
        last_page = page;
    }
    steps->outside_lines = outside->count;
    steps->outside_pages = distinct_pages(outside);
}

/* Until mark_end: 1. The child ended, or got a signal that is not a step's: 0. */
static int follow(pid_t child, const bench_code *code, bench_steps *steps, outside_set *outside)
{
    const bench_code own = code_around((uintptr_t)&mark_end);
    int counting = 0, status = 0;
    while (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) == 0 && waitpid(child, &status, 0) == child) {
        struct user_regs_struct at;
        if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) return 0;
        if (ptrace(PTRACE_GETREGS, child, NULL, &at) != 0) return 0;
        if (at.rip == (uintptr_t)&mark_begin) counting = 1;
        if (at.rip == (uintptr_t)&mark_end) return counting;
        if (!counting) continue;
        if (contains(code, at.rip))
            steps->line_steps[(at.rip - code->begin) / BENCH_LINE]++;
        else if (!contains(&own, at.rip))
            add_outside(outside, at.rip / BENCH_LINE);
    }
    return 0;
}

static void be_stepped(void (*call)(void *), void *argument)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(NO_PTRACE);
    raise(SIGSTOP);
    mark_begin();
    call(argument);
    mark_end();
    _exit(0);
}

const char *bench_steps_count(const bench_code *code, void (*call)(void *), void *argument, bench_steps *steps)
{
    static outside_set outside;
    int status = 0;
    *steps = (bench_steps){ .line_steps = calloc((code->end - code->begin) / BENCH_LINE, sizeof *steps->line_steps) };
    if (steps->line_steps == NULL) return "no memory for the counters";
    outside.count = 0;
    const pid_t child = fork();
    if (child == 0) be_stepped(call, argument);
    const int stopped = child > 0 && waitpid(child, &status, 0) == child && WIFSTOPPED(status);
    const int counted = stopped && follow(child, code, steps, &outside);
    if (stopped) kill(child, SIGKILL);
    if (stopped) waitpid(child, &status, 0);
    if (counted) {
        sum_up(code, &outside, steps);
        return NULL;
    }
    free(steps->line_steps);
    return "this system does not let a process step through its child (ptrace)";
}

#else

const char *bench_code_of(const char *symbol, bench_code *code)
{
    (void)symbol;
    (void)code;
    return "code is counted on x86-64 Linux only";
}

const char *bench_steps_count(const bench_code *code, void (*call)(void *), void *argument, bench_steps *steps)
{
    (void)code;
    (void)call;
    (void)argument;
    (void)steps;
    return "code is counted on x86-64 Linux only";
}

#endif
