#!/bin/sh
# Proves on CPUs that this machine is not that every bit is the same: hashes, vocabularies and kernels under qemu.
#
#   sh scripts/test-cross.sh                    every target, some twenty minutes
#   sh scripts/test-cross.sh <word> [<word>..]  the targets whose name contains one of the words (riscv64, SVE, 'Windows aarch64')
#
# aarch64 with and without f16 arithmetic, bf16 and SVE (128, 256, 512 bits), RISC-V with vectors of 128, 256 and 512
# bits, big-endian s390x, ppc64le, loongarch64, 32-bit ARM, 32-bit x86 with SSE2, x86-64 without AVX and without AVX-512;
# Windows under wine, WebAssembly in wasmtime, musl; macOS and Windows on ARM are linked only. One line per target, then
# 'N passed, N failed, N skipped'; build-cross-*/<target>.txt has the output. The exit status is 1 if one failed.
#
# For x86-64 machines with Debian 12. Missing packages are installed (it says which), arm64 libraries after adding that
# architecture to dpkg; other architectures are never added, their programs are static and need no library.
set -eu
name=test-cross.sh
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$root/scripts/common.sh"

[ "${1-}" = --help ] && { sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 0; }
check_checkout
cd "$root"
words=$(printf '%s\n' "$@")
passed=0 failed=0 skipped=0

selected() {
    [ -n "$words" ] || return 0
    printf '%s\n' "$words" | while read -r word; do
        case $1 in *"$word"*) return 1 ;; esac
    done && return 1
    return 0
}

pass() { say "ok      $*"; passed=$((passed + 1)); }
fail() { say "FAILED  $*"; failed=$((failed + 1)); }
skip() { say "SKIP    $*"; skipped=$((skipped + 1)); }

# ---- what it takes -------------------------------------------------------------------------------------------------

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
    want gcc-powerpc64le-linux-gnu have powerpc64le-linux-gnu-gcc
    want libc6-dev-ppc64el-cross compiles_for powerpc64le-linux-gnu-gcc
    want gcc-arm-linux-gnueabihf have arm-linux-gnueabihf-gcc
    want libc6-dev-armhf-cross compiles_for arm-linux-gnueabihf-gcc
    want wasi-libc [ -d /usr/lib/wasm32-wasi ]
    want libclang-rt-16-dev-wasm32 [ -d /usr/lib/llvm-16/lib/clang/16/lib/wasi ]
    want llvm-16 have llvm-ar-16
    want_windows_and_musl
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

# zig has compilers and C libraries for what Debian has none for, wasmtime runs WebAssembly: both from PyPI, into
# build-venv-cross/.
want_zig() {
    tools=$root/build-venv-cross/bin
    [ -x "$tools/python-zig" ] && "$tools/python3" -c 'import wasmtime' 2>/dev/null && return 0
    say "installing ziglang and wasmtime from PyPI into build-venv-cross/"
    "$(python_with ensurepip)" -m venv "$root/build-venv-cross" &&
        "$tools/pip" install -q 'ziglang>=0.13' wasmtime
}

# ---- builds --------------------------------------------------------------------------------------------------------

bits='tests/bits/test_hashes tests/bits/test_vocabulary tests/bits/test_refusals tests/bits/test_elementary'
windows_bits=$(printf '%s.exe ' $bits)
kernels=tests/test_kernels
current= reason=

# make_build <compiler> <programs> <meson options...>: builds programs in $current; says why in $reason if it cannot.
make_build() {
    compiler=$1 programs=$2
    shift 2
    reason=
    have "$compiler" || {
        reason="there is no $compiler"
        return 0
    }
    (configure "$current" -Dbuildtype=release -Dbench=disabled "$@") || {
        reason="meson could not set up $current"
        return 0
    }
    # shellcheck disable=SC2086 # a list of words
    ninja -C "$current" $programs >"$current/compile.txt" 2>&1 || reason="the build failed; see $current/compile.txt"
}

# Every build directory and what it is made of. Consecutive targets share one.
build() {
    [ "$current" = "$1" ] && return 0
    current=$1
    case $current in
        *x86_64) make_build cc "$bits $kernels" -Dtests=enabled -Dsleef=enabled ;;
        *aarch64)
            make_build aarch64-linux-gnu-gcc "$bits $kernels" --cross-file cross/aarch64.ini -Dtests=enabled \
                -Dsleef=enabled
            ;;
        *riscv64) make_build clang-16 "$bits" --cross-file cross/riscv64.ini ;;
        *s390x) make_build s390x-linux-gnu-gcc "$bits" --cross-file cross/s390x.ini ;;
        *ppc64le) make_build powerpc64le-linux-gnu-gcc "$bits" --cross-file cross/ppc64le.ini ;;
        *armhf) make_build arm-linux-gnueabihf-gcc "$bits" --cross-file cross/armhf.ini ;;
        *musl) make_build musl-gcc "$bits" --cross-file cross/musl-x86_64.ini ;;
        *mingw64) make_build x86_64-w64-mingw32-gcc "$windows_bits" --cross-file cross/mingw64.ini ;;
        *wasm32) make_build clang-16 "$bits" --cross-file cross/wasm32.ini ;;
        *musl-a64) make_build build-venv-cross/bin/python-zig "$bits" --cross-file cross/musl-aarch64.ini ;;
        *loongarch64) make_build build-venv-cross/bin/python-zig "$bits" --cross-file cross/loongarch64.ini ;;
        *macos-*) make_build build-venv-cross/bin/python-zig "libroperot.0.dylib $bits" --cross-file "cross/${current#build-cross-}.ini" ;;
        *windows-aarch64)
            make_build build-venv-cross/bin/python-zig "libroperot-0.dll $windows_bits" --cross-file cross/windows-aarch64.ini
            ;;
        *i686) make_build i686-linux-gnu-gcc "$bits" --cross-file cross/i686.ini ;;
    esac
}

# ---- targets -------------------------------------------------------------------------------------------------------

# A program's output shows that it tested what the target is there for: what skips an ISA has passed nothing.
shows() { grep -q "^ok .*$1" "$2" && ! grep -q -e '^not ok' -e '^Bail out' "$2"; }

# tested <log> <ISA...>
tested() {
    output=$1
    shift
    for isa in "$@"; do
        shows "rotations $isa: " "$output" && shows " - $isa " "$output" || return 1
    done
}

# target <title> <build directory> <ISAs that must be tested> <programs> <command that runs one...>
target() {
    title=$1 directory=build-cross-$2 isas=$3 programs=$4
    shift 4
    selected "$title" || return 0
    build "$directory"
    case $reason in
        '') ;;
        'there is no'*) skip "$title: $reason"; return 0 ;;
        *) fail "$title: $reason"; return 0 ;;
    esac
    log=$directory/$(printf '%s' "$title" | tr -c 'a-zA-Z0-9' _).txt
    from=$(date +%s)
    : >"$log"
    for program in $programs; do
        "$@" "$directory/$program" >>"$log" 2>&1 || {
            fail "$title: $program; $log has the output"
            return 0
        }
    done
    # shellcheck disable=SC2086 # a list of words
    if tested "$log" $isas; then
        pass "$title ($(grep -c '^ok' "$log") test points, $(($(date +%s) - from)) s)"
    else
        fail "$title: not everything was tested on $isas; $log has the output"
    fi
}

# links <title> <build directory>: for systems that nothing here can run.
links() {
    selected "$1" || return 0
    build "build-cross-$2"
    case $reason in
        '') pass "$1: library and test programs link; not run" ;;
        'there is no'*) skip "$1: $reason" ;;
        *) fail "$1: $reason" ;;
    esac
}

all_targets() {
    # shellcheck disable=SC2086 # commands with their first arguments
    x86='qemu-x86_64 -cpu' arm='qemu-aarch64 -cpu' riscv='qemu-riscv64 -cpu rv64'
    target 'x86-64, this machine' x86_64 scalar "$bits $kernels" env
    target 'x86-64 without AVX (Nehalem)' x86_64 scalar "$bits $kernels" $x86 Nehalem
    target 'x86-64 with AVX2 (Haswell)' x86_64 'scalar avx2' "$bits $kernels" $x86 Haswell
    target 'aarch64 without f16 arithmetic (cortex-a57)' aarch64 'scalar neon' "$bits $kernels" $arm cortex-a57
    target 'aarch64 with f16 arithmetic (neoverse-n1)' aarch64 'scalar neon' "$bits" $arm neoverse-n1
    target 'aarch64 with bf16, SVE 128' aarch64 'neon sve' "$bits $kernels" $arm max,sve-max-vq=1
    target 'aarch64 with bf16, SVE 256' aarch64 'neon sve' "$bits" $arm max,sve-max-vq=2
    target 'aarch64 with bf16, SVE 512' aarch64 'neon sve' "$bits $kernels" $arm max,sve-max-vq=4
    target 'riscv64 without vectors' riscv64 scalar "$bits" $riscv
    target 'riscv64, RVV 128' riscv64 'scalar rvv' "$bits" $riscv,v=true,vext_spec=v1.0,vlen=128
    target 'riscv64, RVV 256' riscv64 'scalar rvv' "$bits" $riscv,v=true,vext_spec=v1.0,vlen=256
    target 'riscv64, RVV 512' riscv64 'scalar rvv' "$bits" $riscv,v=true,vext_spec=v1.0,vlen=512
    target 's390x, big-endian' s390x scalar "$bits" qemu-s390x
    target 'i686, 32 bits with SSE2' i686 scalar "$bits" qemu-i386 -cpu pentium3,sse2=on
    target 'armhf, 32 bits' armhf scalar "$bits" qemu-arm -cpu max
    target 'ppc64le' ppc64le scalar "$bits" qemu-ppc64le
    target 'loongarch64, musl' loongarch64 scalar "$bits" qemu-loongarch64
    target 'x86-64, musl' musl scalar "$bits" env
    target 'aarch64, musl' musl-a64 'scalar neon sve' "$bits" qemu-aarch64 -cpu max
    target 'Windows x86-64 under wine' mingw64 scalar "$windows_bits" env WINEDEBUG=-all \
        WINEPATH="Z:$(printf '%s' "$root/build-cross-mingw64" | tr / '\\')" wine
    target 'WebAssembly in wasmtime' wasm32 'scalar wasm' "$bits" build-venv-cross/bin/python3 cross/run_wasm.py
    links 'macOS aarch64' macos-aarch64
    links 'macOS x86-64' macos-x86_64
    links 'Windows aarch64' windows-aarch64
}

[ "$(uname -m)" = x86_64 ] || die "the cross files are for x86-64 machines; this is $(uname -m)"
want_native
want_targets
# A compiler that cannot be had skips its targets; the others are still worth running.
(install_missing) || say "going on without"
(want_zig) || say "going on without zig and wasmtime"
ROPEROT_TEST_QUICK=1
export ROPEROT_TEST_QUICK
all_targets
say "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
