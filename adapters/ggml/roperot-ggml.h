/* SPDX-License-Identifier: MIT
 * What ggml's CPU backend calls in place of its own ROPE, ROPE_BACK and the norms and stores around them; it must not
 * know how they are computed. */
#ifndef ROPEROT_GGML_H
#define ROPEROT_GGML_H

#ifdef __cplusplus
extern "C" {
#endif

struct ggml_tensor;

/* Of ggml-cpu's own: a call through the linkage table would read a line of code and one of data more. */
#if defined __ELF__ && defined __GNUC__
#pragma GCC visibility push(hidden)
#endif

/* Computes the rows of a ROPE or ROPE_BACK node that ggml gives to thread ith of nth: 1. Or touches nothing and returns
 * 0, and the thread calls ggml's own operator, which then does the very same rows, so that every thread may decide by
 * itself. That is so for what ggml would assert on, what roperot refuses (see docs/ggml.md), and if the environment
 * variable ROPEROT_GGML is "off". Takes no lock and allocates nothing, but for the first call with new parameters,
 * which makes a plan. */
int roperot_ggml_rope(int ith, int nth, struct ggml_tensor *node);

/* Nodes that are computed as one: RMS_NORM and MUL by a weight (or neither), ROPE, SET_ROWS of its rows. */
struct roperot_ggml_chain {
    const struct ggml_tensor *norm, *mul; /* NULL: none */
    const struct ggml_tensor *rope;       /* NULL: SET_ROWS of its own source, a layer's V */
    const struct ggml_tensor *store;      /* NULL: none */
    int writes;                           /* somebody else reads what rope gives */
    int is_placed;                        /* the source stands where rope's result goes, not at its own address */
};

/* How many of `count` (1 or 2) chains of the same tokens roperot_ggml_run had better be asked for: that, 1, or 0, where
 * nodes by themselves are faster. */
int roperot_ggml_wanted(int nth, const struct roperot_ggml_chain *chains, int count);

/* Computes thread ith's part of `count` (1 or 2) chains of the same tokens: 1. Or touches nothing and returns 0. Every
 * thread comes to the same answer, since ggml has no way to take a part of such nodes. roperot-ggml-graph.h finds
 * chains. Locks and allocations: as above. */
int roperot_ggml_run(int ith, int nth, const struct roperot_ggml_chain *chains, int count);

/* Whether the product before a ROPE is to be written in ROPE's place. Asked for products of at least so many tokens:
 * for fewer, it costs more to find out than it saves. */
enum { ROPEROT_GGML_LEAST_PLACED = 16 };
int roperot_ggml_places(void);

#ifdef ROPEROT_GGML_MEASURE
/* For measurements: whose turn this node or these chains are, and how long it took. ROPEROT_GGML is "alternate", or
 * "floors" if the floor shall have turns of its own: what the memory alone costs, or for one token a plain loop; the
 * node is then computed by roperot, untimed. Chains that are ggml's are timed from their first node to their last. */
enum roperot_ggml_side { ROPEROT_GGML_THEIRS, ROPEROT_GGML_OURS, ROPEROT_GGML_FLOOR };
int roperot_ggml_turn(int ith, const struct ggml_tensor *node);
void roperot_ggml_floor(int ith, int nth, const struct ggml_tensor *node);
int roperot_ggml_turn_of_chains(const struct roperot_ggml_chain *chains, int count, int last);
void roperot_ggml_forget(void); /* roperot left the chains, or a part of them, to ggml */
void roperot_ggml_done(int ith, int node);
void roperot_ggml_owe(double nanoseconds); /* spent before, for the next ROPE or chain that is roperot's */
void roperot_ggml_took(int ith, const struct ggml_tensor *node, int side, double nanoseconds);
double roperot_ggml_now(void);
#define ROPEROT_GGML_ROPE(params, node, own)                                                                           \
    do {                                                                                                               \
        int side_ = (params)->use_ref ? ROPEROT_GGML_THEIRS : roperot_ggml_turn((params)->ith, node);                  \
        double begin_ = roperot_ggml_now(), end_ = 0;                                                                  \
        if (side_ == ROPEROT_GGML_FLOOR) {                                                                             \
            roperot_ggml_floor((params)->ith, (params)->nth, node);                                                    \
            end_ = roperot_ggml_now();                                                                                 \
        }                                                                                                              \
        if (!side_ || !roperot_ggml_rope((params)->ith, (params)->nth, node)) {                                        \
            own(params, node);                                                                                         \
            side_ = ROPEROT_GGML_THEIRS;                                                                               \
        }                                                                                                              \
        if (side_ != ROPEROT_GGML_FLOOR) end_ = roperot_ggml_now();                                                    \
        if (!(params)->use_ref) roperot_ggml_took((params)->ith, node, side_, end_ - begin_);                          \
    } while (0)
#define ROPEROT_GGML_DONE(params, node) roperot_ggml_done((params)->ith, node)
#else
#define ROPEROT_GGML_DONE(params, node) ((void)0)
/* In ggml_compute_forward: own is ggml_compute_forward_rope or ggml_compute_forward_rope_back. */
#define ROPEROT_GGML_ROPE(params, node, own)                                                                           \
    do {                                                                                                               \
        if ((params)->use_ref || !roperot_ggml_rope((params)->ith, (params)->nth, node)) own(params, node);            \
    } while (0)
#endif

#if defined __ELF__ && defined __GNUC__
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif
#endif
