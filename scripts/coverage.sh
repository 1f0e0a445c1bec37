#!/bin/sh
# How much of src/ and simd/ the unit tests run, and the floor under it.
#
#   sh scripts/coverage.sh      prints the table; fails below the floor
#
# Counted are lines and branches of what this machine can run: AVX-512 only where there is AVX-512. The forced suites
# and qemu run more; they are left out for their time. build-coverage/coverage.txt has every line that is not run.
set -eu
name=coverage.sh
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$root/scripts/common.sh"
lines=96 branches=84

[ "$#" -eq 0 ] || {
    sed -n '2,7s/^# \{0,1\}//p' "$0"
    [ "$1" = --help ] && exit 0
    exit 2
}
cd "$root"
want_native
want_tests
want gcovr have gcovr
install_missing
say "building with coverage in build-coverage/"
grep -qw avx512bw /proc/cpuinfo && avx512=auto || avx512=disabled
configure build-coverage -Dbuildtype=debug -Doptimization=1 -Db_coverage=true -Dtests=enabled -Dbench=disabled \
    -Davx512="$avx512"
compile build-coverage
find build-coverage -name '*.gcda' -delete
say "running the unit tests"
ROPEROT_TEST_QUICK=${ROPEROT_TEST_QUICK:-2} meson test -C build-coverage --no-rebuild --num-processes "$(nproc)" \
    --suite unit --suite forced --suite forced-rest >build-coverage/tests.txt 2>&1 ||
    die "tests failed; build-coverage/meson-logs/testlog.txt has all output"
# A kernel is compiled once per dtype from one line: that any instance ran a line is what counts.
gcovr --root . --filter 'src/' --filter 'simd/' --exclude-throw-branches --gcov-ignore-parse-errors \
    --print-summary --txt build-coverage/coverage.txt --object-directory build-coverage \
    --fail-under-line "$lines" --fail-under-branch "$branches" build-coverage ||
    die "below the floor of $lines % of lines or $branches % of branches; build-coverage/coverage.txt has the rest"
