/* SPDX-License-Identifier: MIT
 * The loops that roperot is measured against, one table per instruction set; they must not know what a rotation is. */
#ifndef BENCH_SWEEPS_H
#define BENCH_SWEEPS_H

#include <stddef.h>

/* All pointers are 64-byte aligned, all sizes multiples of 64 bytes. `one` is 1.0f, loaded at run time so that no
 * compiler can drop the product: data stays what it was, whatever its element type, unless it spells a NaN in f32. */
typedef struct bench_sweeps {
    const char *isa;
    void (*sweep)(void *data, size_t bytes, float one); /* load, multiply, store, in place: the limit that we claim */
    void (*twin)(void *data, size_t bytes, float one);  /* the same written again, to keep the first one honest */
    void (*copy)(void *to, const void *from, size_t bytes);
    void (*copy_stream)(void *to, const void *from, size_t bytes); /* NULL: no store of this ISA bypasses the caches */
    float (*read)(const void *data, size_t bytes);
    void (*write)(void *data, size_t bytes, float value);
    double (*sincos)(const double *angle, double *sines, double *cosines, ptrdiff_t count); /* SLEEF; NULL: none here */
} bench_sweeps;

/* NULL: this build has no loops for an ISA of that name. Check that the CPU can run them before calling one. */
const bench_sweeps *bench_sweeps_for(const char *isa);

#endif
