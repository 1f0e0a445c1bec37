/* SPDX-License-Identifier: MIT
 * Jobs as nearly every call brings them, checked in one pass; it must not know how what is wrong is told. */
#ifndef ROPEROT_USUAL_JOBS_H
#define ROPEROT_USUAL_JOBS_H

#include "compiler.h"
#include "jobs.h"

/* Calls of more jobs are not looked at. */
enum { ROPEROT_USUAL_JOBS = 4 };

/* What the jobs write (of each at most dst, to and dynamic scales) and only read (src, slots, static scales). */
typedef struct roperot_touched {
    roperot_extent written[3 * ROPEROT_USUAL_JOBS], read[3 * ROPEROT_USUAL_JOBS];
    int32_t writes, reads;
} roperot_touched;

/* 1: nothing that is written meets anything else. Inline: the fast path has it among its own lines of code. */
static ROPEROT_INLINE int roperot_are_apart(const roperot_touched *all)
{
    int hits = 0;
    for (int32_t i = 0; i < all->writes; i++) {
        const uintptr_t begin = all->written[i].begin, end = all->written[i].end;
        for (int32_t k = i + 1; k < all->writes; k++) {
            ROPEROT_SMALL_LOOP;
            hits |= (begin < all->written[k].end) & (all->written[k].begin < end);
        }
        for (int32_t k = 0; k < all->reads; k++) {
            ROPEROT_SMALL_LOOP;
            hits |= (begin < all->read[k].end) & (all->read[k].begin < end);
        }
    }
    return hits == 0;
}

/* 1: pages that are written are right by themselves for heads of this shape, and `all` has what a job touches of
 * them. */
int roperot_pages_are_usual(const roperot_pages *pages, const int64_t shape[4], roperot_touched *all);

/* 1: everything is right that roperot_jobs_check looks at, and what it fills is filled. 0: the jobs are something else,
 * right or wrong, and nothing is known. */
int roperot_jobs_are_usual(roperot_jobs *jobs);

#endif
