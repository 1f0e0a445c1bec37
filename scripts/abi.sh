#!/bin/sh
# Compares what the library exports, names and the layout of every public type, with tests/checks/abi.xml (libabigail).
#
#   sh scripts/abi.sh            fails at any difference
#   sh scripts/abi.sh --write    writes the baseline anew: only for a change of the interface that is meant, in its commit
#
# Exit status 77 and a line that says why where it cannot be compared.
set -eu
name=abi.sh
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$root/scripts/common.sh"

case "$#,${1-}" in
    0, | 1,--write) ;;
    *)
        sed -n '2,7s/^# \{0,1\}//p' "$0"
        [ "${1-}" = --help ] && exit 0
        exit 2
        ;;
esac
cd "$root"
baseline=tests/checks/abi.xml
skip() {
    say "SKIP: $*"
    exit 77
}
have abidw || skip "there is no abidw (Debian: abigail-tools)"
[ "$(uname -m)" = x86_64 ] || skip "the baseline is of x86-64; this is $(uname -m)"
say "building the library with debug information in build-abi/"
# Kernels and their options are no part of the interface.
configure build-abi -Dbuildtype=debug -Dtests=disabled -Dbench=disabled -Dtools=disabled -Dsleef=disabled \
    -Davx2=disabled -Davx512=disabled
compile build-abi
library=$(find build-abi -maxdepth 1 -name 'libroperot.so.*.*.*' -type f)
if [ "${1-}" = --write ]; then
    abidw --headers-dir include/roperot --drop-private-types --no-show-locs --no-corpus-path --no-comp-dir-path \
        "$library" >"$baseline"
    say "$baseline is written"
    exit 0
fi
# 4: a difference, 8: an incompatible one.
status=0
abidiff --headers-dir2 include/roperot --drop-private-types --no-show-locs "$baseline" "$library" || status=$?
[ "$status" -eq 0 ] && say "the interface is the one of $baseline" && exit 0
[ $((status & 8)) -ne 0 ] && die "the interface changed incompatibly: programs that are built would break"
die "the interface grew or changed; if that is meant, run sh scripts/abi.sh --write and commit $baseline with it"
