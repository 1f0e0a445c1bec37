#!/bin/sh
# Compares this CPU: builds, measures, prints a table, draws plots and leaves a JSON file to send.
#
#   sh scripts/bench.sh            everything, some five minutes
#   sh scripts/bench.sh --quick    the main shapes, under a minute
#   sh scripts/bench.sh --peers    measures other implementations too; exits 1 if one is faster at a shape both have
#   sh scripts/bench.sh --help     all options
#
# Missing Debian packages are installed (it says which). ROPEROT_BUILD names another build directory than build.
set -eu
name=bench.sh
root=$(cd "$(dirname "$0")/.." && pwd)
build=${ROPEROT_BUILD:-build}
# shellcheck source=scripts/common.sh
. "$root/scripts/common.sh"

case $build in /*) die "ROPEROT_BUILD is $build; it must be the name of a directory in the checkout" ;; esac

# --help and a mistyped option are answered before anything is installed or built: 3 says that the options are fine.
if python=$(python_with argparse); then
    status=0
    "$python" "$root/bench/run.py" --check "$@" || status=$?
    [ "$status" -eq 3 ] || exit "$status"
fi

check_checkout
modules="numpy, matplotlib, markdown"
want_native
want python3-matplotlib python_with "$modules"
want python3-markdown python_with "$modules"
install_missing
python=$(python_with "$modules") || die "no Python with $modules was found"
say "building the library and its benchmarks in $build/"
configure "$build" -Dbuildtype=release -Dbench=enabled
compile "$build"
exec "$python" "$root/bench/run.py" --build "$root/$build" "$@"
