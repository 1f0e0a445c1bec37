#!/bin/sh
# Builds wheels for machines that are not this one, from one source: the library by zig for each system, put into the
# wheel that meson-python makes here.
#
#   sh scripts/wheels.sh               all of them, into dist/
#   sh scripts/wheels.sh musllinux     those whose name contains the word
#
# manylinux (glibc 2.17) and musllinux for x86-64 and aarch64, Windows and macOS for both. They are built without SLEEF and
# need NumPy only. Each is checked: what the library needs from its system, the tag against auditwheel, and an import where
# this machine can run it (x86-64 natively, aarch64 under qemu, the DLL under wine); what cannot be tried says SKIP.
# Everything it takes is installed into build-wheels/ from PyPI.
set -eu
name=wheels.sh
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$root/scripts/common.sh"

case "$#,${1-}" in
    0,) word= ;;
    1,-*)
        sed -n '2,12s/^# \{0,1\}//p' "$0"
        [ "$1" = --help ] && exit 0
        exit 2
        ;;
    1,*) word=$1 ;;
    *) die "one word at the most; try --help" ;;
esac
check_checkout
want gcc compiles_for cc
want python3-venv python_with ensurepip
want pkg-config have pkg-config
want binutils have readelf
install_missing

work=$root/build-wheels
tools=$work/tools/bin
log=$work/log.txt
passed=0 skipped=0
mkdir -p "$work"
: >"$log"
cd "$root"

step() {
    "$@" >>"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        die "failed: $*; $log has the whole output"
    }
}

say "installing meson, zig and the tools for wheels into build-wheels/tools"
[ -x "$tools/python" ] || step "$(python_with ensurepip)" -m venv "$work/tools"
watch "$log" "$tools/pip" install -q 'meson>=1.5' ninja 'ziglang>=0.17' 'wheel>=0.40' auditwheel meson-python ||
    die "pip failed; $log says why"
PATH=$tools:$PATH
export PATH
printf '#!/bin/sh\nexec "%s/python" -m ziglang "$@"\n' "$tools" >"$tools/zig"
chmod +x "$tools/zig"

say "building this machine's wheel, whose Python files all others share"
rm -rf "$work/native" "$work/pure"
step "$tools/pip" wheel --no-deps --no-build-isolation -w "$work/native" -Csetup-args=-Dsleef=disabled "$root"
native=$(echo "$work"/native/roperot-*.whl)
step "$tools/python" -m wheel unpack -d "$work/pure" "$native"
pure=$(echo "$work"/pure/roperot-*)
rm -f "$pure"/roperot/libroperot*

cross_file() {
    cat <<TXT
[binaries]
c = ['sh', '$root/cross/zig_cc.sh', '$tools/zig', 'cc', '-target', '$1']
ar = ['$tools/zig', 'ar']
[host_machine]
system = '$2'
cpu_family = '$3'
cpu = '$3'
endian = 'little'
TXT
}

# What the library asks of the system, a line each: sonames, DLLs.
needs() {
    case $1 in
        *.dll) "$tools/zig" objdump -p "$1" 2>/dev/null || objdump -p "$1" ;;
        *.dylib) printf '%s\n' 'checked by the linker' ;;
        *) readelf -d "$1" ;;
    esac | sed -n 's/.*DLL Name: //p; s/.*(NEEDED).*\[\(.*\)\]/\1/p'
}

foreign() {
    for library in $(needs "$1"); do
        case $library in
            libc.so* | libm.so* | ld-* | ld.* | KERNEL32.dll | msvcrt.dll | api-ms-win-crt-* | ntdll.dll) ;;
            *) printf '%s ' "$library" ;;
        esac
    done
}

# wheel <name> <zig target> <meson system> <cpu family> <platform tag> <library in the build> <library in the package>
wheel() {
    title=$1 target=$2 system=$3 family=$4 tag=$5 built=$6 file=$7
    case $title in *"$word"*) ;; *) return 0 ;; esac
    build=$work/$title
    # All that the machines of that kind may have: a compiler that lacks one stops here. Apple's and Windows' have no SVE.
    case $system-$family in
        *-x86_64) kernels='-Davx512=enabled -Davx2=enabled' ;;
        linux-aarch64) kernels='-Dneon=enabled -Dsve=enabled' ;;
        *) kernels=-Dneon=enabled ;;
    esac
    cross_file "$target" "$system" "$family" >"$work/$title.ini"
    # shellcheck disable=SC2086 # a list of words
    step meson setup --wipe $kernels --cross-file "$work/$title.ini" -Dbuildtype=release -Dsleef=disabled -Dtests=disabled \
        -Dbench=disabled -Dtools=disabled -Dprefix=/ -Dlibdir=lib -Dbindir=bin "$build" "$root"
    watch "$log" ninja -C "$build" || die "$title: the build failed; $log says why"
    rm -rf "$work/install" "$work/pack" && mkdir "$work/pack"
    step meson install -C "$build" --no-rebuild --strip --destdir "$work/install"
    cp -r "$pure" "$work/pack/"
    cp -L "$work/install/$built" "$work/pack/$(basename "$pure")/roperot/$file"
    alien=$(foreign "$work/install/$built")
    [ -z "$alien" ] || die "$title: the library needs $alien"
    step "$tools/python" -m wheel pack -d "$work/pack" "$work/pack/$(basename "$pure")"
    made=$(echo "$work"/pack/*.whl)
    step "$tools/python" -m wheel tags --remove --platform-tag "$tag" "$made"
    made=$(echo "$work"/pack/*.whl)
    mkdir -p "$root/dist"
    mv "$made" "$root/dist/"
    made=$root/dist/$(basename "$made")
    "try_$system" "$title" "$family" "$tag" "$made"
}

ok() { say "ok    $*"; passed=$((passed + 1)); }
skip() { say "SKIP  $*"; skipped=$((skipped + 1)); }

# A wheel for glibc is what auditwheel says it is; this machine's own is imported, in an environment without SLEEF's name.
try_linux() {
    case $1 in
        manylinux*)
            # The names of both are those of one platform.
            "$tools/python" -m auditwheel show "$4" >"$work/show.txt" 2>&1 || die "$1: auditwheel: $(tail -n 1 "$work/show.txt")"
            grep -q "manylinux_2_\(5\|12\|17\)_$2" "$work/show.txt" || die "$1: $(tr '\n' ' ' <"$work/show.txt")"
            ;;
    esac
    if [ "$1" = "manylinux-$(uname -m)" ]; then
        rm -rf "$work/try"
        step "$(python_with ensurepip)" -m venv "$work/try"
        step "$work/try/bin/pip" install -q "$4"
        (cd / && env -u ROPEROT_LIBRARY "$work/try/bin/python" -c "import roperot, numpy as np
x = np.ones((2, 1, 8), np.float32); roperot.Rope(8).apply_(x); assert x[1, 0, 0] < 0 and 'SLEEF' not in roperot.info()['build']") ||
            die "$1: the wheel does not work"
        ok "$1: imported and tried"
    elif [ "$1" = manylinux-aarch64 ] && have qemu-aarch64 && [ -e /usr/aarch64-linux-gnu/lib/libc.so.6 ]; then
        load_under "$1" aarch64-linux-gnu-gcc qemu-aarch64 -L /usr/aarch64-linux-gnu
    elif [ "$1" = musllinux-x86_64 ] && have musl-gcc; then
        load_under "$1" musl-gcc
    elif [ "$1" = musllinux-aarch64 ] && have qemu-aarch64 && musl_for_arm64; then
        load_under "$1" "$tools/zig-musl" qemu-aarch64 -L "$work/musl-arm64"
    else
        skip "$1: built and inspected; nothing here can load it"
    fi
}

# musl's loader for that machine is in Debian's package, where apt knows the architecture; nothing is installed.
musl_for_arm64() {
    have apt-get && (cd "$work" && apt-get download -q musl:arm64) >>"$log" 2>&1 || return 1
    dpkg-deb -x "$work"/musl_*_arm64.deb "$work/musl-arm64"
    printf '#!/bin/sh\nexec "%s/zig" cc -target aarch64-linux-musl -dynamic "$@"\n' "$tools" >"$tools/zig-musl"
    chmod +x "$tools/zig-musl"
}

# load_under <name> <compiler> [runner...]: a program for that system loads the library by dlopen, as ctypes does.
load_under() {
    loaded=$1 compiler=$2
    shift 2
    have "$compiler" || {
        skip "$loaded: built and inspected; there is no $compiler to load it"
        return 0
    }
    step "$compiler" -O1 "$root/tests/consumers/load.c" -o "$work/load" -ldl
    "$@" "$work/load" "$work/install/$built" >>"$log" 2>&1 || die "$loaded: the library does not load; $log says why"
    ok "$loaded: loaded and tried by a program for that system"
}

try_windows() {
    if [ "$2" = x86_64 ] && have wine && have x86_64-w64-mingw32-gcc; then
        step x86_64-w64-mingw32-gcc -O1 "$root/tests/consumers/load.c" -o "$work/load.exe"
        (cd "$work" && WINEDEBUG=-all wine load.exe "Z:$(echo "$work/install/$built" | tr / '\\')" >>"$log" 2>&1) ||
            die "$1: the DLL does not load; $log says why"
        ok "$1: loaded and tried under wine"
    else
        skip "$1: built, only system DLLs; there is no wine for it here"
    fi
}

try_darwin() { skip "$1: built and linked; nothing here can load it"; }

version=$(sh scripts/version.sh)
major=${version%%.*}
wheel manylinux-x86_64 x86_64-linux-gnu.2.17 linux x86_64 manylinux_2_17_x86_64.manylinux2014_x86_64 \
    "lib/libroperot.so.$version" libroperot.so
wheel manylinux-aarch64 aarch64-linux-gnu.2.17 linux aarch64 manylinux_2_17_aarch64.manylinux2014_aarch64 \
    "lib/libroperot.so.$version" libroperot.so
wheel musllinux-x86_64 x86_64-linux-musl linux x86_64 musllinux_1_1_x86_64 "lib/libroperot.so.$version" libroperot.so
wheel musllinux-aarch64 aarch64-linux-musl linux aarch64 musllinux_1_1_aarch64 "lib/libroperot.so.$version" libroperot.so
wheel windows-x86_64 x86_64-windows-gnu windows x86_64 win_amd64 "bin/libroperot-$major.dll" libroperot.dll
wheel windows-aarch64 aarch64-windows-gnu windows aarch64 win_arm64 "bin/libroperot-$major.dll" libroperot.dll
wheel macos-aarch64 aarch64-macos.11.0 darwin aarch64 macosx_11_0_arm64 "lib/libroperot.$major.dylib" libroperot.dylib
wheel macos-x86_64 x86_64-macos.11.0 darwin x86_64 macosx_11_0_x86_64 "lib/libroperot.$major.dylib" libroperot.dylib
say "$passed passed, 0 failed, $skipped skipped; the wheels are in dist/"
