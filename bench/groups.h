/* SPDX-License-Identifier: MIT
 * The groups of benchmarks that main registers; it must not know any benchmark. */
#ifndef BENCH_GROUPS_H
#define BENCH_GROUPS_H

void bench_register_rotate(void);    /* rotate/<dtype>/<pairing>/<isa>/<shape> */
void bench_register_growth(void);    /* growth/<dtype>/<pairing>/<isa>/<what>-<how many> */
void bench_register_mrope(void);     /* mrope/<dtype>/<pairing>/<isa>/<cache>-<image|text> */
void bench_register_cold(void);      /* cold/<dtype>/<pairing>/<isa>/<cache>-<kind>-<swept> */
void bench_register_run(void);       /* run/<what>/<dtype>/<isa>/<shape> */
void bench_register_step(void);      /* step/<who>/<dtype>/<pairing> */
void bench_register_naive(void);     /* naive/f32/<pairing>/native/<shape> */
void bench_register_caches(void);    /* cache/<kind>/<positions>/<warm|cold> */
void bench_register_build(void);     /* build/full/<isa>/<positions>, startup/dlopen-plan */
void bench_register_reference(void); /* reference/<loop>/<isa>/<size>/<threads> */
void bench_register_ggml(void);      /* peer/ggml/<dtype>/<pairing>/<shape>, if ggml was found; step/ggml/... */
void bench_register_ggml_chain(void); /* chain/ggml/f32/half/<shape>, if ggml was found */

#endif
