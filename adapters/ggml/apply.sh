#!/bin/sh
# SPDX-License-Identifier: MIT
# Puts the adapter into a ggml or llama.cpp checkout, or brings its files up to date where it already is. Builds nothing.
#
#     sh adapters/ggml/apply.sh <checkout>
#
# Then configure with -DROPEROT_INCLUDE=<dir of roperot/roperot.h> -DROPEROT_LIBRARY=<libroperot.so or .a>.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# = 1 ] && [ -d "$1" ] || { echo "usage: apply.sh <ggml or llama.cpp checkout>" >&2; exit 2; }
for root in "$1/ggml" "$1"; do
    [ -f "$root/src/ggml-cpu/ggml-cpu.c" ] && break
done
cpu=$root/src/ggml-cpu
source=$cpu/ggml-cpu.c
[ -f "$source" ] || { echo "apply.sh: no src/ggml-cpu/ggml-cpu.c below $1" >&2; exit 2; }
cp "$here/roperot-ggml.cpp" "$here/roperot-ggml.h" "$here/roperot-ggml-graph.h" "$here/roperot-ggml-measure.h" "$cpu/"

# insert <line to find> <how many lines further down> <text>: below it, if the line is there once
insert() {
    [ "$(grep -cF "$1" "$source")" = 1 ] || return 1
    awk -v anchor="$1" -v below="$2" -v text="$3" '{ print } index($0, anchor) { at = NR + below }
        at && NR == at { print text }' "$source" > "$source.new" && mv "$source.new" "$source"
}

if ! grep -q roperot-ggml "$source"; then
    for op in rope rope_back; do
        call="ggml_compute_forward_$op(params, tensor);"
        [ "$(grep -cF "$call" "$source")" = 1 ] ||
            { echo "apply.sh: $source does not call $call once; place ROPEROT_GGML_ROPE by hand" >&2; exit 1; }
        sed -i "s/ggml_compute_forward_$op(params, tensor);/ROPEROT_GGML_ROPE(params, tensor, ggml_compute_forward_$op);/" \
            "$source"
    done
    insert '#include "ops.h"' 0 '#include "roperot-ggml-graph.h"' ||
        { echo "apply.sh: $source does not include ops.h once; include roperot-ggml-graph.h by hand" >&2; exit 1; }
    # A ggml from before the reference path has no use_ref.
    grep -q use_ref "$source" || sed -i 's/(params)->use_ref/0/' "$cpu/roperot-ggml.h"
    insert 'if (ggml_cpu_disable_fusion || cplan->use_ref) {' 2 '
    const int n_roperot = roperot_ggml_fuse(cgraph, node_n, params, ggml_compute_forward);
    if (n_roperot > 0) {
        return n_roperot;
    }' || echo "apply.sh: $source has no place for roperot_ggml_fuse; ROPE alone is roperot's" >&2
    insert 'const int n_fused = ggml_cpu_try_fuse_ops(' 5 '
        ROPEROT_GGML_DONE(&params, node_n);' || :
fi

if ! grep -q roperot-ggml "$cpu/CMakeLists.txt"; then
    anchor='target_include_directories(${GGML_CPU_NAME} PRIVATE . ggml-cpu)'
    grep -qF "$anchor" "$cpu/CMakeLists.txt" ||
        { echo "apply.sh: $cpu/CMakeLists.txt lacks \"$anchor\"; add roperot-ggml.cpp by hand" >&2; exit 1; }
    awk -v anchor="$anchor" '{ print } index($0, anchor) {
        print "    target_sources(${GGML_CPU_NAME} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/ggml-cpu/roperot-ggml.cpp)"
        print "    target_include_directories(${GGML_CPU_NAME} PRIVATE ${ROPEROT_INCLUDE})"
        print "    target_link_libraries(${GGML_CPU_NAME} PRIVATE ${ROPEROT_LIBRARY})"
        print "    target_compile_definitions(${GGML_CPU_NAME} PRIVATE ${ROPEROT_DEFINITIONS})" }' \
        "$cpu/CMakeLists.txt" > "$cpu/CMakeLists.txt.new"
    mv "$cpu/CMakeLists.txt.new" "$cpu/CMakeLists.txt"
fi
echo "roperot is in $cpu"
