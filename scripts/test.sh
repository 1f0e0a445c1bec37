#!/bin/sh
# Runs every test that this machine can run; with --all also other CPUs, compilers, sanitizers and the Python package.
#
#   sh scripts/test.sh                native tests, a few minutes
#   sh scripts/test.sh --all          what CI runs: adds qemu (x86 CPUs, aarch64), musl, wine, clang, sanitizers, no
#                                     SLEEF, fuzzing, ABI, ways to install, reproducible builds, PyTorch
#   sh scripts/test.sh --part <part>  one part of what --all adds, once --all has installed what it needs: aarch64,
#                                     emul, asan, python, clang, builtin, fuzz, consumers, windows, tsan,
#                                     reproducible, musl, abi
#
# Missing Debian packages are installed (it says which); everything else stays inside the checkout: the release build
# in build/, other configurations in build-*/.
set -eu
name=test.sh
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$root/scripts/common.sh"

# The longest first: none of them should be left alone at the end.
parts='aarch64 emul asan python clang builtin fuzz consumers windows tsan reproducible musl abi'

case "$#,${1-}" in
    0, | 1,--all | 2,--part | 2,--part-in-turn) ;;
    *)
        sed -n '2,12s/^# \{0,1\}//p' "$0"
        [ "${1-}" = --help ] && exit 0
        exit 2
        ;;
esac

check_checkout
cd "$root"
started=$(date +%s)

# run_tests <build directory> <what it shows> <meson test arguments...>
run_tests() {
    directory=$1 what=$2
    shift 2
    say "testing $what ($directory/)"
    meson test -C "$directory" --no-rebuild --print-errorlogs --num-processes "$(nproc)" "$@" ||
        die "$what: tests failed; $directory/meson-logs/testlog.txt has all output"
    "$(python_with sys)" scripts/skipped.py "$directory" || die "$what: a test was skipped without a reason"
}

# native <meson options...>
native() {
    install_missing
    build_release -Dtests=enabled "$@"
    run_tests build "the release build" --no-suite emul
}

is_x86() { [ "$(uname -m)" = x86_64 ]; }

has_arm64_modules() {
    for module in "$@"; do
        [ -e "/usr/lib/aarch64-linux-gnu/pkgconfig/$module.pc" ] || return 1
    done
}

want_all() {
    want clang compiles_for clang
    want qemu-user have qemu-x86_64
    want abigail-tools have abidiff
    want gcovr have gcovr
    want python3-venv python_with ensurepip
    # For bench/report.py, which the gate of .ci/run calls.
    want python3-matplotlib python_with "numpy, matplotlib, markdown"
    want python3-markdown python_with "numpy, matplotlib, markdown"
    # For scripts/test-consumers.sh.
    want cmake have cmake
    want make have make
    is_x86 || return 0
    want_windows_and_musl
    if ! have aarch64-linux-gnu-gcc || ! has_arm64_modules sleef cmocka mpfr jansson; then
        if ! dpkg --print-foreign-architectures | grep -qx arm64; then
            say "adding the arm64 architecture to dpkg, for the cross build's libraries"
            as_root dpkg --add-architecture arm64
        fi
        missing="$missing gcc-aarch64-linux-gnu g++-aarch64-linux-gnu libc6-dev-arm64-cross"
        missing="$missing libsleef-dev:arm64 libcmocka-dev:arm64 libmpfr-dev:arm64 libjansson-dev:arm64"
    fi
}

# ---- what --all adds: a function for each part -----------------------------------------------------------------------

# build_and_test <suites> <build directory> <what it shows> <meson options...>
# Thinner sweeps of the same parameters: the release build has swept them whole.
build_and_test() {
    suites=$1 directory=$2 what=$3
    shift 3
    say "building $what in $directory/"
    configure "$directory" -Dtests=enabled -Dbench=disabled "$@"
    compile "$directory"
    ROPEROT_TEST_QUICK=1
    export ROPEROT_TEST_QUICK
    # shellcheck disable=SC2046,SC2086 # lists of words
    run_tests "$directory" "$what" $(printf -- '--suite %s ' $suites) ${without:+--no-suite "$without"}
}
without=
all_suites='unit forced checks examples'

part_emul() { run_tests build "other x86 CPUs under qemu" --suite emul; }

part_clang() {
    CC=clang CXX=clang++
    export CC CXX
    build_and_test "$all_suites" build-clang "clang" -Dwerror=true
}

# UBSan only prints by default, and a printed error fails nothing.
part_asan() {
    build_and_test "$all_suites" build-asan "gcc with ASan and UBSan" -Dbuildtype=debugoptimized \
        -Db_sanitize=address,undefined -Dc_args=-fno-sanitize-recover=all
}

# No AVX: what threads share is made outside the kernels, and they take long to compile.
part_tsan() {
    say "building gcc with ThreadSanitizer in build-tsan/"
    configure build-tsan -Dtests=enabled -Dbench=disabled -Dbuildtype=debugoptimized -Db_sanitize=thread \
        -Davx2=disabled -Davx512=disabled
    compile build-tsan tests/test_threads tests/test_run_robust
    ROPEROT_TEST_QUICK=1
    export ROPEROT_TEST_QUICK
    run_tests build-tsan "gcc with ThreadSanitizer" threads run_robust
}

# Only how coefficients are computed differs.
part_builtin() {
    without=rotations
    build_and_test 'unit checks' build-builtin "the built-in sequences instead of SLEEF" -Dsleef=disabled -Dwerror=true
}

part_musl() { build_and_test unit build-musl "musl" --cross-file cross/musl-x86_64.ini -Dtests=auto; }

part_windows() {
    build_and_test 'unit examples' build-mingw "Windows under wine" --cross-file cross/mingw64.ini -Dtests=auto
}

part_aarch64() { build_and_test "$all_suites" build-aarch64 "aarch64 under qemu" --cross-file cross/aarch64.ini; }

part_consumers() { sh scripts/test-consumers.sh || die "a way in of docs/install.md does not work"; }

part_reproducible() {
    sh scripts/test-reproducible.sh --quick || die "a build is not reproducible, or not hardened"
}

# scripts/coverage.sh has its floor, too, but takes minutes that CI has not.
part_fuzz() { sh scripts/fuzz.sh 60; }

# 77 is a reason why it cannot run here, which it says.
part_abi() {
    status=0
    sh scripts/abi.sh || status=$?
    [ "$status" -eq 0 ] || [ "$status" -eq 77 ] || exit 1
}

# The CPU build where an index offers it by name; elsewhere PyPI's own.
install_torch() {
    wanted=$(sed -n 's/^torch==//p' python/requirements-torch.txt)
    "$venv/bin/pip" install -q "torch==$wanted+cpu" 2>/dev/null ||
        "$venv/bin/pip" install -q "torch==$wanted" || die "pip could not install torch $wanted"
}

part_python() {
    venv=$root/build-venv
    say "installing the pinned versions of python/requirements-*.txt into build-venv/"
    "$(python_with ensurepip)" -m venv "$venv" || die "python3 -m venv failed"
    install_torch
    "$venv/bin/pip" install -q -r python/requirements-test.txt -r python/requirements-torch.txt ||
        die "pip could not install the requirements"
    say "checking types and style of the Python package"
    "$venv/bin/mypy" || die "mypy found errors"
    "$venv/bin/ruff" check || die "ruff found errors"
    "$venv/bin/ruff" format --check || die "ruff would format differently"
    say "testing the Python package in the checkout"
    # Threads of PyTorch that wait would keep from the cores what runs beside this.
    OMP_WAIT_POLICY=passive PYTHONPATH=python ROPEROT_LIBRARY=build/libroperot.so \
        "$venv/bin/python" -m pytest -q python/tests || die "the tests of the Python package failed"
    say "testing the installed wheel"
    "$venv/bin/pip" install -q --force-reinstall --no-deps . || die "pip install . failed"
    (cd / && env -u ROPEROT_LIBRARY "$venv/bin/python" -m roperot info) || die "the installed package does not run"
    grep -q '^Tag: py3-none-' "$venv"/lib/python3*/site-packages/roperot-*.dist-info/WHEEL ||
        die "the wheel is not tagged for every Python 3"
    "$venv/bin/pip" uninstall -q -y roperot
}

# ---- parts side by side ----------------------------------------------------------------------------------------------

# part <name>
part() {
    case $1 in
        aarch64 | windows | musl)
            is_x86 || { say "SKIP $1: its cross file is for x86-64 machines" && return 0; }
            ;;
    esac
    case " $parts " in
        *" $1 "*) "part_$1" ;;
        *) die "there is no part $1; there are: $parts" ;;
    esac
}

# part_in_turn <name>: what it prints goes to a file, and a line to whoever shows the files. 255 tells xargs to begin no
# other part.
part_in_turn() {
    say "$1 begins; build-part-$1.txt has its output" >&2
    status=0
    sh scripts/test.sh --part "$1" >"build-part-$1.txt" 2>&1 || status=$?
    echo "$1 $status $(($(date +%s) - started))"
    [ "$status" -eq 0 ] || exit 255
}

# Reads the lines of part_in_turn, and prints what each part printed when it has ended.
show_parts() {
    failed='' count=0
    while read -r ended status seconds; do
        count=$((count + 1))
        cat "build-part-$ended.txt"
        if [ "$status" -eq 0 ]; then
            say "$ended passed in $seconds s"
        else
            say "$ended failed after $seconds s"
            failed="$failed $ended"
        fi
    done
    [ -z "$failed" ] || die "failed:$failed; see above, or build-part-<name>.txt"
    [ "$count" -eq "$(echo "$parts" | wc -w)" ] || die "only $count parts have come to an end"
}

# Two at a time: each keeps only one core busy for minutes, while it configures, compiles its last kernel, runs its last
# test, fuzzes or installs Python packages.
all_parts() {
    say "testing $parts, two at a time"
    echo "$parts" | tr ' ' '\n' | xargs -P 2 -n 1 sh scripts/test.sh --part-in-turn | show_parts
}

if [ "${1-}" = --part ]; then
    part "$2"
    exit 0
elif [ "${1-}" = --part-in-turn ]; then
    part_in_turn "$2"
    exit 0
fi
want_native
want_tests
if [ "$#" -eq 0 ]; then
    native
else
    want_all
    native -Dwerror=true
    all_parts
fi
say "all passed in $(($(date +%s) - started)) s"
