/* SPDX-License-Identifier: MIT
 * What ggml's CPU backend calls in place of its own ROPE and ROPE_BACK; it must not know how they are computed. */
#ifndef ROPEROT_GGML_H
#define ROPEROT_GGML_H

#ifdef __cplusplus
extern "C" {
#endif

struct ggml_tensor;

/* Computes the rows of a ROPE or ROPE_BACK node that ggml gives to thread ith of nth: 1. Or touches nothing and returns
 * 0, and the thread calls ggml's own operator, which then does the very same rows, so that every thread may decide by
 * itself. That is so for what ggml would assert on, what roperot refuses (see docs/ggml.md), and if the environment
 * variable ROPEROT_GGML is "off". Takes no lock and allocates nothing, but for the first call with new parameters,
 * which makes a plan. */
int roperot_ggml_rope(int ith, int nth, struct ggml_tensor *node);

#ifdef ROPEROT_GGML_MEASURE
/* For measurements: whether this node's turn is roperot's, and how long it took. ROPEROT_GGML is "alternate". */
int roperot_ggml_turn(int ith, const struct ggml_tensor *node);
void roperot_ggml_took(int ith, const struct ggml_tensor *node, int ours, double nanoseconds);
double roperot_ggml_now(void);
#define ROPEROT_GGML_ROPE(params, node, own)                                                                           \
    do {                                                                                                               \
        const int ours_ = !(params)->use_ref && roperot_ggml_turn((params)->ith, node);                                \
        const double begin_ = roperot_ggml_now();                                                                      \
        const int done_ = ours_ && roperot_ggml_rope((params)->ith, (params)->nth, node);                              \
        if (!done_) own(params, node);                                                                                 \
        if (!(params)->use_ref) roperot_ggml_took((params)->ith, node, done_, roperot_ggml_now() - begin_);            \
    } while (0)
#else
/* In ggml_compute_forward: own is ggml_compute_forward_rope or ggml_compute_forward_rope_back. */
#define ROPEROT_GGML_ROPE(params, node, own)                                                                           \
    do {                                                                                                               \
        if ((params)->use_ref || !roperot_ggml_rope((params)->ith, (params)->nth, node)) own(params, node);            \
    } while (0)
#endif

#ifdef __cplusplus
}
#endif
#endif
