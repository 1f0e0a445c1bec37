/* SPDX-License-Identifier: MIT
 * Overflows on purpose: a sanitized build in which this succeeds would find nothing; it must not know roperot. */
#include <limits.h>

int main(int argc, char **argv)
{
    (void)argv;
    return INT_MAX - 1 + argc * 2 == 0; /* the compiler does not know argc */
}
