#!/bin/sh
# Has this checkout become slower than another commit? Builds both here, measures both, compares ratios only.
#
#   sh scripts/bench-gate.sh [commit]     the commit to compare with, HEAD~1 if none is given
#
# Only shares of the sweep's speed are judged, never times, and one must have fallen below 0.85 of the old one with its
# whole 95 % interval. The runs are short processes that take turns, old and new: a neighbour on a shared machine slows
# some of both, and where the system puts the pages of one process is one sample of many. A library of the same bytes is
# not measured. Exit 77: nothing to compare with.
set -eu
name=bench-gate.sh
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$root/scripts/common.sh"

base=${1:-HEAD~1}
slack=0.85
rounds=6
chosen='^rotate/.*/(avx512|avx2|neon|sve|rvv)/(decode|batch16|prefill128)$'

git -C "$root" rev-parse --quiet --verify "$base^{commit}" >/dev/null || {
    say "SKIP: there is no commit $base here"
    exit 77
}
python=$(python_with "numpy, matplotlib, markdown") || die "no Python with NumPy, matplotlib and Markdown was found"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# prepare <name>: builds what is in $work/<name>
prepare() {
    say "building $1"
    meson setup -Dbuildtype=release -Dtests=disabled -Dtools=disabled "$work/$1/build" "$work/$1" >"$work/log" 2>&1 &&
        ninja -C "$work/$1/build" >"$work/log" 2>&1
}

# measure <name> <round>
measure() {
    mkdir -p "$work/$1-runs"
    "$work/$1/build/bench/roperot-bench" --benchmark_filter="$chosen" --benchmark_context=commit="$1" \
        --benchmark_out="$work/$1-runs/$2.json" --benchmark_out_format=json >"$work/log" 2>&1 || {
        tail -n 5 "$work/log" >&2
        die "roperot-bench of $1 failed"
    }
}

# In turns, so that what a machine does for a minute is in both; each of the two is the first as often as the second.
measure_both() {
    for round in $(seq "$rounds"); do
        order='old new'
        [ $((round % 2)) -eq 0 ] || order='new old'
        for side in $order; do measure "$side" "$round"; done
    done
}

mkdir "$work/old" "$work/new"
git -C "$root" archive "$base" | tar -x -C "$work/old"
(cd "$root" && git ls-files -z | tar --null -T - -c) | tar -x -C "$work/new"
prepare old || {
    say "SKIP: $base does not build here"
    exit 77
}
prepare new || {
    tail -n 20 "$work/log" >&2
    die "this checkout does not build"
}
if cmp -s "$work/old/build/libroperot.so" "$work/new/build/libroperot.so"; then
    say "against $base: the library is the same, byte for byte"
    exit 0
fi
say "measuring $base and this checkout, $rounds times in turns"
measure_both
status=0
"$python" "$root/bench/report.py" --compare --gate "$slack" --out "$work/report" "$work/old-runs" "$work/new-runs" \
    >"$work/log" || status=$?
say "against $base: $(tail -n 1 "$work/log")"
exit "$status"
