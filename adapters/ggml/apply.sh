#!/bin/sh
# SPDX-License-Identifier: MIT
# Puts the adapter into a ggml or llama.cpp checkout, or does nothing where it already is. Builds nothing.
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
[ -f "$cpu/ggml-cpu.c" ] || { echo "apply.sh: no src/ggml-cpu/ggml-cpu.c below $1" >&2; exit 2; }
cp "$here/roperot-ggml.cpp" "$here/roperot-ggml.h" "$here/roperot-ggml-measure.h" "$cpu/"

if ! grep -q roperot-ggml "$cpu/ggml-cpu.c"; then
    for op in rope rope_back; do
        call="ggml_compute_forward_$op(params, tensor);"
        [ "$(grep -cF "$call" "$cpu/ggml-cpu.c")" = 1 ] ||
            { echo "apply.sh: $cpu/ggml-cpu.c does not call $call once; place ROPEROT_GGML_ROPE by hand" >&2; exit 1; }
        sed -i "s/ggml_compute_forward_$op(params, tensor);/ROPEROT_GGML_ROPE(params, tensor, ggml_compute_forward_$op);/" \
            "$cpu/ggml-cpu.c"
    done
    sed -i '0,/#include "ops.h"/s//#include "ops.h"\n#include "roperot-ggml.h"/' "$cpu/ggml-cpu.c"
    grep -q 'include "roperot-ggml.h"' "$cpu/ggml-cpu.c" ||
        { echo "apply.sh: $cpu/ggml-cpu.c does not include ops.h; include roperot-ggml.h by hand" >&2; exit 1; }
    # A ggml from before the reference path has no use_ref.
    grep -q use_ref "$cpu/ggml-cpu.c" || sed -i 's/(params)->use_ref/0/' "$cpu/roperot-ggml.h"
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
