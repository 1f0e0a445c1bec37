/* SPDX-License-Identifier: MIT
 * Jobs as nearly every call brings them, checked in one pass; it must not know how what is wrong is told. */
#ifndef ROPEROT_USUAL_JOBS_H
#define ROPEROT_USUAL_JOBS_H

#include "jobs.h"

/* 1: everything is right that roperot_jobs_check looks at, and what it fills is filled. 0: the jobs are something else,
 * right or wrong, and nothing is known. */
int roperot_jobs_are_usual(roperot_jobs *jobs);

#endif
