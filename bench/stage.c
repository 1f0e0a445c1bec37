/* SPDX-License-Identifier: MIT
 * Remembers which group of benchmarks is prepared; it must not know any group.
 */
#include "stage.h"

#include <stdlib.h>

static void (*leave_now)(void);

static void leave_last(void)
{
    if (leave_now != NULL) leave_now();
    leave_now = NULL;
}

void bench_stage_enter(void (*leave)(void))
{
    static int registered;
    if (!registered) registered = atexit(leave_last) == 0;
    if (leave_now != leave) leave_last();
    leave_now = leave;
}
