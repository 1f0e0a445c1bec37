#!/bin/sh
# Proves on CPUs that this machine is not that every bit is the same: hashes, vocabularies and kernels under qemu.
#
#   sh scripts/test-cross.sh                    every target, about ten minutes
#   sh scripts/test-cross.sh <word> [<word>..]  the targets whose name contains one of the words (riscv64, SVE, s390x)
#
# aarch64 with and without f16 arithmetic, bf16 and SVE (128, 256, 512 bits), RISC-V with vectors of 128, 256 and 512
# bits, big-endian s390x, 32-bit x86 with SSE2, x86-64 without AVX and without AVX-512. One line per target, then
# 'N passed, N failed, N skipped'; output of the tests in build-cross-*/<target>.txt. The exit status is 1 if one failed.
#
# For x86-64 machines with Debian 12. Missing packages are installed (it says which), arm64 libraries after adding that
# architecture to dpkg; other architectures are never added, their programs are static and need no library.
set -eu
name=test-cross.sh
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$root/scripts/common.sh"

[ "${1-}" = --help ] && { sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 0; }
cd "$root"
words=$*
passed=0 failed=0 skipped=0

selected() {
    [ -z "$words" ] && return 0
    for word in $words; do
        case $1 in *"$word"*) return 0 ;; esac
    done
    return 1
}

pass() { say "ok      $*"; passed=$((passed + 1)); }
fail() { say "FAILED  $*"; failed=$((failed + 1)); }
skip() { say "SKIP    $*"; skipped=$((skipped + 1)); }

# ---- what it takes ----------------------------------------------------------------------------------------------------

has_arm64() { [ -e "/usr/lib/aarch64-linux-gnu/pkgconfig/$1.pc" ]; }

want_targets() {
    want qemu-user have qemu-s390x
    want gcc-aarch64-linux-gnu compiles_for aarch64-linux-gnu-gcc
    want libc6-dev-arm64-cross compiles_for aarch64-linux-gnu-gcc
    want clang-16 have clang-16
    want lld-16 have ld.lld-16
    want gcc-riscv64-linux-gnu have riscv64-linux-gnu-gcc
    want libc6-dev-riscv64-cross compiles_for riscv64-linux-gnu-gcc
    want gcc-s390x-linux-gnu have s390x-linux-gnu-gcc
    want libc6-dev-s390x-cross compiles_for s390x-linux-gnu-gcc
    want gcc-i686-linux-gnu have i686-linux-gnu-gcc
    want libc6-dev-i386-cross compiles_for i686-linux-gnu-gcc
    for module in sleef cmocka mpfr; do want "lib$module-dev:arm64" has_arm64 "$module"; done
    case $missing in
        *:arm64*)
            dpkg --print-foreign-architectures | grep -qx arm64 || {
                say "adding the arm64 architecture to dpkg, for the libraries of the aarch64 build"
                as_root dpkg --add-architecture arm64
            }
            ;;
    esac
}

# ---- builds -------------------------------------------------------------------------------------------------------------

# set_up <build directory> <programs> <compiler> <meson options...>: 1, and why in $reason, if it cannot be built.
set_up() {
    directory=$1 programs=$2 compiler=$3
    shift 3
    reason="there is no $compiler"
    have "$compiler" || return 1
    reason="the build failed; $directory/compile.txt or $directory.txt has the output"
    (configure "$directory" -Dbuildtype=release "$@") || return 1
    # shellcheck disable=SC2086 # a list of words
    ninja -C "$directory" $programs >"$directory/compile.txt" 2>&1
}

# ---- targets ------------------------------------------------------------------------------------------------------------

# A program's output shows that it tested what the target is there for: a test that skips an ISA has passed nothing.
shows() { grep -q "^ok .*$1" "$2" && ! grep -q -e '^not ok' -e '^Bail out' "$2"; }

# target <name> <build directory> <ISAs that must be tested> <programs> <command that runs one...>
target() {
    title=$1 directory=$2 wanted=$3 programs=$4
    shift 4
    selected "$title" || return 0
    log=$directory/$(printf '%s' "$title" | tr -c 'a-zA-Z0-9\n' _).txt
    : >"$log"
    from=$(date +%s)
    for program in $programs; do
        "$@" "$directory/$program" >>"$log" 2>&1 || {
            fail "$title: $program; $log has the output"
            return 0
        }
    done
    for isa in $wanted; do
        for line in "rotations $isa: " "$isa "; do
            shows "$line" "$log" || {
                fail "$title: nothing was tested on $isa; $log has the output"
                return 0
            }
        done
    done
    pass "$title ($(grep -c '^ok' "$log") test points, $(($(date +%s) - from)) s)"
}

# skip_all <reason> <target...>
skip_all() {
    why=$1
    shift
    for title in "$@"; do selected "$title" && skip "$title: $why"; done
    return 0
}

any_selected() {
    for title in "$@"; do selected "$title" && return 0; done
    return 1
}

# group <build directory> <programs> <compiler> <meson options> <targets...>: builds once for all of them; 1: all skipped.
group() {
    directory=$1 programs=$2 compiler=$3 options=$4
    shift 4
    any_selected "$@" || return 1
    # shellcheck disable=SC2086 # lists of words
    if set_up "$directory" "$programs" "$compiler" $options; then return 0; fi
    case $reason in
        there*) skip_all "$reason" "$@" ;;
        *) for title in "$@"; do selected "$title" && fail "$title: $reason"; done ;;
    esac
    return 1
}

bits='tests/bits/test_hashes tests/bits/test_vocabulary'

aarch64() {
    d=build-cross-aarch64
    group $d "$bits tests/test_kernels" aarch64-linux-gnu-gcc \
        '--cross-file cross/aarch64.ini -Dtests=enabled -Dsleef=enabled -Dbench=disabled' \
        'aarch64 cortex-a57 (neither f16 arithmetic nor bf16)' 'aarch64 neoverse-n1 (f16 arithmetic)' \
        'aarch64 max (f16, bf16), SVE 128 bits' 'aarch64 max, SVE 256 bits' 'aarch64 max, SVE 512 bits' || return 0
    target 'aarch64 cortex-a57 (neither f16 arithmetic nor bf16)' $d neon "$bits tests/test_kernels" qemu-aarch64 -cpu cortex-a57
    target 'aarch64 neoverse-n1 (f16 arithmetic)' $d neon "$bits" qemu-aarch64 -cpu neoverse-n1
    target 'aarch64 max (f16, bf16), SVE 128 bits' $d 'neon sve' "$bits tests/test_kernels" qemu-aarch64 -cpu max,sve-max-vq=1
    target 'aarch64 max, SVE 256 bits' $d 'neon sve' "$bits" qemu-aarch64 -cpu max,sve-max-vq=2
    target 'aarch64 max, SVE 512 bits' $d 'neon sve' "$bits tests/test_kernels" qemu-aarch64 -cpu max,sve-max-vq=4
}

riscv64() {
    d=build-cross-riscv64
    group $d "$bits" clang-16 '--cross-file cross/riscv64.ini' 'riscv64 without vectors' 'riscv64 RVV 128 bits' \
        'riscv64 RVV 256 bits' 'riscv64 RVV 512 bits' || return 0
    target 'riscv64 without vectors' $d scalar "$bits" qemu-riscv64 -cpu rv64
    for length in 128 256 512; do
        target "riscv64 RVV $length bits" $d 'scalar rvv' "$bits" qemu-riscv64 -cpu "rv64,v=true,vext_spec=v1.0,vlen=$length"
    done
}

others() {
    if group build-cross-s390x "$bits" s390x-linux-gnu-gcc '--cross-file cross/s390x.ini' 's390x (big-endian)'; then
        target 's390x (big-endian)' build-cross-s390x scalar "$bits" qemu-s390x
    fi
    if group build-cross-i686 "$bits" i686-linux-gnu-gcc '--cross-file cross/i686.ini' 'i686 (32 bits, SSE2)'; then
        target 'i686 (32 bits, SSE2)' build-cross-i686 scalar "$bits" qemu-i386 -cpu pentium3,sse2=on
    fi
}

x86_64() {
    d=build-cross-x86_64
    group $d "$bits tests/test_kernels" gcc '-Dtests=enabled -Dsleef=enabled -Dbench=disabled' 'x86-64 this machine' \
        'x86-64 Nehalem (no AVX)' 'x86-64 Haswell (AVX2, no AVX-512)' || return 0
    target 'x86-64 this machine' $d scalar "$bits tests/test_kernels" env
    target 'x86-64 Nehalem (no AVX)' $d scalar "$bits tests/test_kernels" qemu-x86_64 -cpu Nehalem
    target 'x86-64 Haswell (AVX2, no AVX-512)' $d 'scalar avx2' "$bits tests/test_kernels" qemu-x86_64 -cpu Haswell
}

[ "$(uname -m)" = x86_64 ] || die "the cross files are for x86-64 machines; this is $(uname -m)"
want_native
want_targets
# A compiler that cannot be had skips its targets; the others are still worth running.
(install_missing) || say "going on without"
ROPEROT_TEST_QUICK=1
export ROPEROT_TEST_QUICK
x86_64
aarch64
riscv64
others
say "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
