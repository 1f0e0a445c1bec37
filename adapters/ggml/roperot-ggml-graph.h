/* SPDX-License-Identifier: MIT
 * Which nodes of a graph roperot_ggml_run computes as one; it must not know how. For ggml-cpu.c: it reads ggml's own
 * ggml-impl.h. */
#ifndef ROPEROT_GGML_GRAPH_H
#define ROPEROT_GGML_GRAPH_H

#include <string.h>

#include "ggml-cpu-impl.h"
#include "ggml-impl.h"
#include "roperot-ggml.h"

/* The node behind node i that is computed, or n_nodes. */
static inline int roperot_ggml_next(const struct ggml_cgraph *graph, int i)
{
    for (i++; i < graph->n_nodes; i++) {
        const struct ggml_tensor *const node = graph->nodes[i];
        if (!ggml_op_is_empty(node->op) && node->flags & GGML_TENSOR_FLAG_COMPUTE) return i;
    }
    return graph->n_nodes;
}

static inline const struct ggml_tensor *roperot_ggml_node(const struct ggml_cgraph *graph, int i, enum ggml_op op)
{
    return i < graph->n_nodes && graph->nodes[i]->op == op ? graph->nodes[i] : NULL;
}

/* Whether nothing reads node `rope` but the SET_ROWS at `store`, which reads it by a view. */
static inline int roperot_ggml_is_only_stored(const struct ggml_cgraph *graph, int rope, int store)
{
    const struct ggml_tensor *const view = graph->nodes[store]->src[0];
    if (!ggml_node_has_n_uses(graph, rope, 1) || view->flags & GGML_TENSOR_FLAG_OUTPUT) return 0;
    for (int i = rope + 1; i < store; i++)
        if (graph->nodes[i] == view) return ggml_node_get_use_count(graph, i) == 1;
    return 0;
}

/* The chain that begins at node i: its last node, or -1. *rope: where its ROPE is, or -1. */
static inline int roperot_ggml_chain_at(const struct ggml_cgraph *graph, int i, struct roperot_ggml_chain *chain,
                                        int *rope)
{
    const struct ggml_tensor *const first = graph->nodes[i];
    int last = i;
    memset(chain, 0, sizeof *chain);
    *rope = -1;
    if (first->op == GGML_OP_SET_ROWS) {
        chain->store = first;
        return i;
    }
    if (first->op == GGML_OP_RMS_NORM) {
        const int mul = roperot_ggml_next(graph, i);
        last = roperot_ggml_next(graph, mul);
        chain->norm = first;
        chain->mul = roperot_ggml_node(graph, mul, GGML_OP_MUL);
        chain->rope = roperot_ggml_node(graph, last, GGML_OP_ROPE);
        if (!chain->mul || !chain->rope || chain->rope->src[0] != chain->mul) return -1;
        if (chain->mul->src[0] != first && chain->mul->src[1] != first) return -1;
        if (!ggml_node_has_n_uses(graph, i, 1) || !ggml_node_has_n_uses(graph, mul, 1)) return -1;
    } else {
        chain->rope = roperot_ggml_node(graph, i, GGML_OP_ROPE);
        if (!chain->rope) return -1;
    }
    chain->writes = 1;
    *rope = last;
    const int next = roperot_ggml_next(graph, last);
    const struct ggml_tensor *const store = roperot_ggml_node(graph, next, GGML_OP_SET_ROWS);
    const struct ggml_tensor *const rows = store ? store->src[0] : NULL;
    if (!rows || (rows->op != GGML_OP_VIEW && rows->op != GGML_OP_RESHAPE) || rows->src[0] != chain->rope) return last;
    chain->store = store;
    chain->writes = !roperot_ggml_is_only_stored(graph, last, next);
    return next;
}

/* The longest part of one or two chains that roperot takes: its last node, or -1. */
static inline int roperot_ggml_run_most(int ith, int nth, struct roperot_ggml_chain *chains, int count, const int *last,
                                        int rope)
{
    if (count == 2 && roperot_ggml_run(ith, nth, chains, 2)) return last[1];
    if (!chains[0].rope) return -1; /* a SET_ROWS by itself */
    if (chains[0].store && roperot_ggml_run(ith, nth, chains, 1)) return last[0];
    if (!chains[0].norm) return -1; /* a ROPE by itself */
    chains[0].store = NULL;
    chains[0].writes = 1;
    return roperot_ggml_run(ith, nth, chains, 1) ? rope : -1;
}

static inline int roperot_ggml_is_apart(const struct ggml_tensor *a, const struct ggml_tensor *b)
{
    const char *const first = (const char *)a->data, *const second = (const char *)b->data;
    return first + ggml_nbytes(a) <= second || second + ggml_nbytes(b) <= first;
}

/* Whether a view of all of product i is its only reader, and has one reader itself. */
static inline int roperot_ggml_is_only_viewed(const struct ggml_cgraph *graph, int i, const struct ggml_tensor *view)
{
    const struct ggml_tensor *const product = graph->nodes[i];
    if (view->view_src != product || view->view_offs || view->flags & GGML_TENSOR_FLAG_OUTPUT) return 0;
    if (!ggml_is_contiguous(product) || ggml_nelements(view) != ggml_nelements(product)) return 0;
    if (!ggml_node_has_n_uses(graph, i, 1)) return 0;
    while (++i < graph->n_nodes && ggml_op_is_empty(graph->nodes[i]->op))
        if (graph->nodes[i] == view) return ggml_node_get_use_count(graph, i) == 1;
    return 0;
}

/* The ROPE (and the norm before it) that alone reads product i, if the product may be written in ROPE's place; else -1.
 * That place is free while the product is made unless the product itself reads what was there: nothing else is
 * computed, and so nothing else freed, between the two. */
static inline int roperot_ggml_rope_of_product(const struct ggml_cgraph *graph, int i, struct roperot_ggml_chain *chain)
{
    const struct ggml_tensor *const product = graph->nodes[i];
    const int first = roperot_ggml_next(graph, i);
    int last = -1;
    if (first == graph->n_nodes || roperot_ggml_chain_at(graph, first, chain, &last) < 0 || last < 0) return -1;
    const struct ggml_tensor *const rope = chain->rope, *const norm = chain->norm;
    const struct ggml_tensor *const view = (norm ? norm : rope)->src[0];
    if (norm && (chain->store || (norm->data != rope->data && !roperot_ggml_is_apart(norm, rope)))) return -1;
    if (rope->view_src || rope->type != GGML_TYPE_F32 || product->type != GGML_TYPE_F32) return -1;
    if (!ggml_are_same_shape(view, rope) || !ggml_are_same_stride(view, rope)) return -1;
    if (!roperot_ggml_is_apart(rope, product->src[0]) || !roperot_ggml_is_apart(rope, product->src[1])) return -1;
    chain->store = NULL;
    chain->writes = 1;
    return roperot_ggml_is_only_viewed(graph, i, view) ? last : -1;
}

/* ggml_compute_forward. */
typedef void (*roperot_ggml_compute)(struct ggml_compute_params *params, struct ggml_tensor *node);

/* ggml_compute_forward of a node whose source has been written to `data` instead of its own place. */
static inline void roperot_ggml_compute_from(struct ggml_compute_params *params, const struct ggml_tensor *node,
                                             void *data, roperot_ggml_compute compute)
{
    struct ggml_tensor own = *node, x = *node->src[0];
    x.data = data;
    own.src[0] = &x;
    compute(params, &own);
}

/* ROPE, or norm and ROPE, where a product stands in ROPE's place: whether that is all, or but the norm was computed. */
static inline int roperot_ggml_run_placed(struct ggml_compute_params *params, struct roperot_ggml_chain *chain,
                                          int last, roperot_ggml_compute compute)
{
    void *const place = chain->rope->data;
    (void)last;
    if (!chain->norm) {
        roperot_ggml_compute_from(params, chain->rope, place, compute);
        return 1;
    }
    chain->is_placed = 1;
#ifdef ROPEROT_GGML_MEASURE
    roperot_ggml_turn_of_chains(chain, 1, last);
#endif
    if (roperot_ggml_run(params->ith, params->nth, chain, 1)) return 1;
#ifdef ROPEROT_GGML_MEASURE
    roperot_ggml_forget();
#endif
    roperot_ggml_compute_from(params, chain->norm, place, compute);
    return 0;
}

/* A product that only ROPE reads, or a norm and ROPE, is written where ROPE's result goes: ggml's allocator lets
 * nothing work in place behind a view, and reading from one place and writing to another is most of what a prompt costs
 * there. Answers as roperot_ggml_fuse. */
static inline int roperot_ggml_place_product(const struct ggml_cgraph *graph, int i, struct ggml_compute_params params,
                                             roperot_ggml_compute compute)
{
    if (graph->nodes[i]->ne[1] < ROPEROT_GGML_LEAST_PLACED || !roperot_ggml_places()) return 0;
#ifdef ROPEROT_GGML_MEASURE
    const double begin = roperot_ggml_now();
#endif
    struct roperot_ggml_chain chain;
    const int last = roperot_ggml_rope_of_product(graph, i, &chain);
    if (last < 0 || (chain.norm && !roperot_ggml_wanted(params.nth, &chain, 1))) return 0;
    struct ggml_tensor product = *graph->nodes[i];
#ifdef ROPEROT_GGML_MEASURE
    const double end = roperot_ggml_now();
    if (roperot_ggml_turn(params.ith, chain.rope) == ROPEROT_GGML_THEIRS) {
        if (chain.norm) return 0;
        compute(&params, &product);
        ggml_barrier(params.threadpool);
        compute(&params, graph->nodes[last]);
        return last - i;
    }
    roperot_ggml_owe(end - begin);
#endif
    product.data = chain.rope->data;
    compute(&params, &product);
    ggml_barrier(params.threadpool);
    return (roperot_ggml_run_placed(&params, &chain, last, compute) ? last : roperot_ggml_next(graph, i)) - i;
}

/* In ggml_cpu_try_fuse_ops: how many nodes behind node i are done with it, 0: none, and node i is not, either. */
static inline int roperot_ggml_fuse(const struct ggml_cgraph *graph, int i, const struct ggml_compute_params *params,
                                    roperot_ggml_compute compute)
{
    const int ith = params->ith, nth = params->nth;
    struct roperot_ggml_chain chains[2];
    if (graph->nodes[i]->op == GGML_OP_MUL_MAT) return roperot_ggml_place_product(graph, i, *params, compute);
    int rope, none, last[2] = { roperot_ggml_chain_at(graph, i, &chains[0], &rope), -1 };
    if (last[0] < 0) return 0;
    const int next = chains[0].store ? roperot_ggml_next(graph, last[0]) : graph->n_nodes;
    if (roperot_ggml_node(graph, next, GGML_OP_SET_ROWS))
        last[1] = roperot_ggml_chain_at(graph, next, &chains[1], &none);
    if (last[1] < 0 && !chains[0].norm && !(chains[0].rope && chains[0].store)) return 0; /* one node by itself */
    const int count = roperot_ggml_wanted(nth, chains, last[1] < 0 ? 1 : 2);
    if (count == 0) return 0;
#ifdef ROPEROT_GGML_MEASURE
    if (!roperot_ggml_turn_of_chains(chains, count, last[count - 1])) return 0;
#endif
    const int done = roperot_ggml_run_most(ith, nth, chains, count, last, rope);
#ifdef ROPEROT_GGML_MEASURE
    if (done < last[count - 1]) roperot_ggml_forget();
#endif
    return done < 0 ? 0 : done - i;
}

#endif
