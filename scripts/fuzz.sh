#!/bin/sh
# Fuzzes roperot with clang's libFuzzer, AddressSanitizer and UBSan, from the seed corpora of tests/fuzz/corpus_*.
#
#   sh scripts/fuzz.sh              roperot_apply and roperot_run, for half a minute each
#   sh scripts/fuzz.sh <seconds>    for as long as that together, going on from what earlier runs found in
#                                   build-fuzz/corpus_apply/ and build-fuzz/corpus_run/
#
# Each target compares every result with an oracle of its own (tests/fuzz/fuzz_apply.c, fuzz_run.c). What fails is kept
# as build-fuzz/crash-*; `build-fuzz/tests/fuzz/fuzz_run build-fuzz/crash-<sum>` runs it again. OSS-Fuzz builds the same
# targets: CC, CFLAGS and -Dfuzz_engine="$LIB_FUZZING_ENGINE" decide how.
set -eu
name=fuzz.sh
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$root/scripts/common.sh"

case "${1-60}" in
    *[!0-9]*)
        sed -n '2,10s/^# \{0,1\}//p' "$0"
        [ "$1" = --help ] && exit 0
        exit 2
        ;;
esac
seconds=${1-60}
cd "$root"
want_native
want_tests
want clang compiles_for clang
install_missing
say "building the fuzz targets in build-fuzz/"
# No ISA that this machine lacks: it would only be compiled, slowly.
grep -qw avx512bw /proc/cpuinfo && avx512=auto || avx512=disabled
CC=clang CXX=clang++ configure build-fuzz -Dbuildtype=debugoptimized -Db_lundef=false \
    -Db_sanitize=address,undefined "-Dc_args=-fsanitize=fuzzer-no-link -fno-sanitize-recover=all" \
    -Dfuzz=enabled -Dtests=enabled -Dbench=disabled -Davx512="$avx512"
ninja -C build-fuzz tests/fuzz/fuzz_apply tests/fuzz/fuzz_run >>build-fuzz.txt 2>&1 || {
    tail -n 30 build-fuzz.txt >&2
    die "the build in build-fuzz/ failed; build-fuzz.txt has the whole output"
}

# fuzz <target> <bytes of an input at most>
fuzz() {
    target=$1
    mkdir -p "build-fuzz/corpus_$target"
    say "fuzzing roperot_$target for $((seconds / 2)) s; build-fuzz/$target.txt has all output"
    "build-fuzz/tests/fuzz/fuzz_$target" -max_len="$2" -len_control=0 -max_total_time=$((seconds / 2)) \
        -print_final_stats=1 -artifact_prefix=build-fuzz/ "build-fuzz/corpus_$target" "tests/fuzz/corpus_$target" \
        >"build-fuzz/$target.txt" 2>&1 || {
        grep -vE '^#[0-9]+\s|NEW_FUNC' "build-fuzz/$target.txt" | tail -n 40 >&2
        die "the fuzzer found something"
    }
    grep -E '^# [0-9j]|^stat::number_of_executed_units|^stat::new_units_added' "build-fuzz/$target.txt" || true
}

fuzz apply 600
fuzz run 1200
say "nothing found"
