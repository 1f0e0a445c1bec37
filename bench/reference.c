/* SPDX-License-Identifier: MIT
 * The benchmarks reference/<loop>/<isa>/<size>/<threads>: what the machine can do at all; it must not know a rotation.
 */
#include <roperot/roperot.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "duo.h"
#include "groups.h"
#include "isas.h"
#include "measure.h"
#include "stage.h"
#include "sweeps.h"
#include "values.h"

enum { NAME = 96, KIB = 1024 };

typedef enum reference_loop { SWEEP, TWIN, COPY, COPY_STREAM, MEMCPY, READ, WRITE, LOOPS } reference_loop;
static const char *const loop_names[LOOPS] = { "sweep", "twin", "copy", "copy-stream", "memcpy", "read", "write" };

static const size_t sizes[] = { 16 * KIB,   64 * KIB,    256 * KIB,   1024 * KIB, 2048 * KIB,
                                4096 * KIB, 16384 * KIB, 65536 * KIB, 262144 * KIB };
enum { SIZES = sizeof sizes / sizeof sizes[0] };

typedef struct reference_case {
    char name[NAME];
    reference_loop loop;
    int32_t isa;
    size_t bytes; /* all that one call reads, and all that it writes */
    int threads;
} reference_case;

static struct {
    const reference_case *owner;
    const bench_sweeps *sweeps;
    bench_duo *duo;
    char *data, *out;
    volatile float sum; /* so that the compiler keeps the sum that read makes */
} prepared;

/* ---- one call, or one thread's half of it ----------------------------------------------------------------------- */

static void run_loop(const reference_case *c, size_t offset, size_t bytes)
{
    static volatile float one = 1.0f;
    const bench_sweeps *const s = prepared.sweeps;
    char *const data = prepared.data + offset, *const out = prepared.out + offset;
    switch (c->loop) {
    case SWEEP: s->sweep(data, bytes, one); break;
    case TWIN: s->twin(data, bytes, one); break;
    case COPY: s->copy(out, data, bytes); break;
    case COPY_STREAM: s->copy_stream(out, data, bytes); break;
    case MEMCPY: memcpy(out, data, bytes); break;
    case READ: prepared.sum = s->read(data, bytes); break;
    case WRITE: s->write(data, bytes, one); break;
    case LOOPS: break;
    }
}

static void run_half(void *self, int index)
{
    const reference_case *const c = self;
    run_loop(c, (size_t)index * (c->bytes / 2), c->bytes / 2);
}

static void run_calls(void *self, int64_t calls)
{
    const reference_case *const c = self;
    if (c->threads == 2) bench_duo_run(prepared.duo, run_half, self, calls);
    else
        for (int64_t i = 0; i < calls; ++i) run_loop(c, 0, c->bytes);
}

/* ---- preparing and measuring ------------------------------------------------------------------------------------ */

static void release(void)
{
    if (prepared.duo != NULL) bench_duo_close(prepared.duo);
    free(prepared.data);
    free(prepared.out);
    prepared.owner = NULL;
    prepared.duo = NULL;
    prepared.data = prepared.out = NULL;
}

static const char *prepare(const reference_case *c)
{
    bench_stage_enter(release);
    if (prepared.owner == c) return NULL;
    release();
    if (!roperot_isa_usable(c->isa)) return roperot_isa_reason(c->isa);
    prepared.sweeps = bench_sweeps_for(roperot_isa_name(c->isa));
    if (prepared.sweeps == NULL) return "no loops were built for this instruction set";
    if (c->loop == COPY_STREAM && prepared.sweeps->copy_stream == NULL)
        return "this instruction set has no store that bypasses the caches";
    const char *why = NULL;
    if (c->threads == 2) prepared.duo = bench_duo_open(&why);
    if (why != NULL) return why;
    prepared.data = bench_allocate(c->bytes);
    prepared.out = bench_allocate(c->bytes);
    if (prepared.data == NULL || prepared.out == NULL) return "no memory for the buffers";
    bench_fill(prepared.data, c->bytes, ROPEROT_F32);
    prepared.owner = c;
    return NULL;
}

static void run_case(shim_state *state, const void *argument)
{
    const reference_case *const c = argument;
    const char *const why = prepare(c);
    if (why != NULL) {
        shim_skip(state, why);
        return;
    }
    const bench_side side = { run_calls, (void *)(uintptr_t)c, c->threads == 2 };
    bench_times times;
    bench_measure(state, prepared.owner, &side, 1, (bench_refresh){ NULL, NULL }, &times);
    const int one_way = c->loop == READ || c->loop == WRITE;
    bench_report(state, &times, (one_way ? 1.0 : 2.0) * (double)c->bytes);
}

static void register_case(reference_loop loop, int32_t isa, size_t bytes, int threads)
{
    static reference_case cases[LOOPS * ROPEROT_ISAS * SIZES * 2];
    static size_t used;
    reference_case *const c = &cases[used++];
    *c = (reference_case){ .loop = loop, .isa = isa, .bytes = bytes, .threads = threads };
    snprintf(c->name, sizeof c->name, "reference/%s/%s/%zuKiB/%dt", loop_names[loop],
             loop == MEMCPY ? "libc" : roperot_isa_name(isa), bytes / KIB, threads);
    shim_register(c->name, run_case, c);
}

/* memcpy is the C library's affair: it appears once, among the scalar loops. */
static void register_isa(int32_t isa)
{
    for (int threads = 1; threads <= 2; ++threads)
        for (int loop = 0; loop < LOOPS; ++loop)
            for (size_t i = 0; i < SIZES && (loop != MEMCPY || isa == ROPEROT_ISA_SCALAR); ++i)
                register_case((reference_loop)loop, isa, sizes[i], threads);
}

void bench_register_reference(void)
{
    bench_each_isa(register_isa);
}
