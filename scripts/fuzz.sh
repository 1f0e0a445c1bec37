#!/bin/sh
# Fuzzes roperot with clang's libFuzzer, AddressSanitizer and UBSan, from the seed corpus of tests/fuzz/corpus.
#
#   sh scripts/fuzz.sh              for a minute
#   sh scripts/fuzz.sh <seconds>    for as long as that, going on from what earlier runs found in build-fuzz/corpus/
#
# The target compares every result with an oracle of its own (tests/fuzz/fuzz_apply.c). What fails is kept as
# build-fuzz/crash-*; `build-fuzz/tests/fuzz/fuzz_apply build-fuzz/crash-<sum>` runs it again. OSS-Fuzz builds the same
# target: CC, CFLAGS and -Dfuzz_engine="$LIB_FUZZING_ENGINE" decide how.
set -eu
name=fuzz.sh
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$root/scripts/common.sh"

case "${1-60}" in
    *[!0-9]*)
        sed -n '2,9s/^# \{0,1\}//p' "$0"
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
say "building the fuzz target in build-fuzz/"
# No ISA that this machine lacks: it would only be compiled, slowly.
grep -qw avx512bw /proc/cpuinfo && avx512=auto || avx512=disabled
CC=clang CXX=clang++ configure build-fuzz -Dbuildtype=debugoptimized -Db_lundef=false \
    -Db_sanitize=address,undefined "-Dc_args=-fsanitize=fuzzer-no-link -fno-sanitize-recover=all" \
    -Dfuzz=enabled -Dtests=enabled -Dbench=disabled -Davx512="$avx512"
ninja -C build-fuzz tests/fuzz/fuzz_apply >>build-fuzz.txt 2>&1 || {
    tail -n 30 build-fuzz.txt >&2
    die "the build in build-fuzz/ failed; build-fuzz.txt has the whole output"
}
mkdir -p build-fuzz/corpus
say "fuzzing for $seconds s; build-fuzz/log.txt has all output"
build-fuzz/tests/fuzz/fuzz_apply -max_len=600 -len_control=0 -max_total_time="$seconds" -print_final_stats=1 \
    -artifact_prefix=build-fuzz/ build-fuzz/corpus tests/fuzz/corpus >build-fuzz/log.txt 2>&1 || {
    grep -vE '^#[0-9]+\s|NEW_FUNC' build-fuzz/log.txt | tail -n 40 >&2
    die "the fuzzer found something"
}
grep -E '^# [0-9]+ inputs|^stat::number_of_executed_units|^stat::new_units_added' build-fuzz/log.txt || true
say "nothing found"
