#!/bin/sh
# Proves that the library is the same bytes from every directory, and hardened where a distribution's flags ask for it.
#
#   sh scripts/test-reproducible.sh           every kernel; some minutes
#   sh scripts/test-reproducible.sh --quick   without vector kernels and release; half a minute
#
# Builds libroperot from two copies of the checkout in build-reproducible/, by meson as release, with debug information
# and with the flags of dpkg-buildflags hardening=+all, and by CMake with debug information; compares, and looks for what
# the flags asked for.
set -eu
name=test-reproducible.sh
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$root/scripts/common.sh"

quick=no meson_options= cmake_options=
case "$#,${1-}" in
    0,) ;;
    1,--quick)
        quick=yes
        for isa in $(sed -n 's/^\([a-z0-9]*\) *|.*/\1/p' "$root/simd/isas.txt"); do
            meson_options="$meson_options -D$isa=disabled"
            cmake_options="$cmake_options -DROPEROT_$(printf '%s' "$isa" | tr a-z A-Z)=OFF"
        done
        ;;
    *)
        sed -n '2,9s/^# \{0,1\}//p' "$0"
        [ "$1" = --help ] && exit 0
        exit 2
        ;;
esac
check_checkout
cd "$root"
# What a compiler cache gives back was compiled elsewhere.
CCACHE_DISABLE=1
export CCACHE_DISABLE
work=$root/build-reproducible
passed=0 skipped=0
rm -rf "$work"
mkdir -p "$work/one" "$work/another/place"
git ls-files -z | xargs -0 cp --parents -t "$work/one"
cp -R "$work/one/." "$work/another/place"

step() {
    "$@" >>"$work/log.txt" 2>&1 || {
        tail -n 15 "$work/log.txt" >&2
        die "failed: $*; build-reproducible/log.txt has the whole output"
    }
}

# An rpath of the build tree would differ; meson and CMake take it out when they install.
# with_meson <copy> <build directory> <options...>: prints the path of the library.
with_meson() {
    source=$work/$1 directory=$work/$1/$2
    shift 2
    # shellcheck disable=SC2086 # a list of words
    step meson setup "$@" $meson_options -Dtests=disabled -Dbench=disabled "$directory" "$source"
    DESTDIR=$directory-root step meson install -C "$directory"
    find "$directory-root" -name 'libroperot.so.*.*.*'
}

with_cmake() {
    source=$work/$1 directory=$work/$1/$2
    shift 2
    # shellcheck disable=SC2086 # a list of words
    step cmake -S "$source" -B "$directory" "$@" $cmake_options
    step cmake --build "$directory" -j "$(nproc)"
    DESTDIR=$directory-root step cmake --install "$directory"
    find "$directory-root" -name 'libroperot.so.*.*.*'
}

ok() { say "ok    $*"; passed=$((passed + 1)); }
skip() { say "SKIP  $*"; skipped=$((skipped + 1)); }

# twice <title> <function> <options...>: leaves the library in $built.
twice() {
    title=$1 way=$2
    shift 2
    slug=$(printf '%s' "$title" | tr -c 'a-z' -)
    built=$("$way" one "build-$slug" "$@") && again=$("$way" another/place "elsewhere-$slug" "$@") || exit 1
    cmp "$built" "$again" || die "$title: two directories, two libraries"
    ! strings -a "$built" | grep -F "$work" >&2 || die "$title: the library names the directory that it was built in"
    ok "$title: the same $(wc -c <"$built") bytes"
}

[ "$quick" = yes ] || twice release with_meson -Dbuildtype=release
twice debugoptimized with_meson -Dbuildtype=debugoptimized
if have cmake; then
    twice 'cmake with debug information' with_cmake -DCMAKE_BUILD_TYPE=RelWithDebInfo
else
    skip 'CMake: there is none'
fi

# has <what> <pattern> <command...>: whether its output shows that the library has it.
has() {
    what=$1 pattern=$2
    shift 2
    "$@" | grep -q "$pattern" || die "the library has no $what"
    ok "hardened: $what"
}

# dpkg maps names of files from the folder that it is asked in, and packages are always built in one of the same name.
flags() { (cd "$1" && DEB_BUILD_MAINT_OPTIONS=hardening=+all dpkg-buildflags --get "$2"); }

as_debian() {
    CFLAGS="$(flags "$work/$1" CFLAGS) $(flags "$work/$1" CPPFLAGS)"
    [ "$(uname -m)" != x86_64 ] || CFLAGS="$CFLAGS -fcf-protection"
    LDFLAGS=$(flags "$work/$1" LDFLAGS)
    export CFLAGS LDFLAGS
    copy=$1
    shift 2
    with_meson "$copy" obj "$@"
}

hardened() {
    twice "a distribution's flags" as_debian -Dbuildtype=plain
    has BIND_NOW 'BIND_NOW\|Flags: NOW' readelf -d "$built"
    has RELRO GNU_RELRO readelf -lW "$built"
    has 'stack protector' __stack_chk_fail nm -D "$built"
    has FORTIFY '_chk@' nm -D "$built"
    [ "$(uname -m)" = x86_64 ] || { skip 'CET is of x86-64'; return 0; }
    # The library gets the note only where the C library's crti.o and crtn.o have it, too: Debian 12's have not.
    find "$work/one/obj" -name '*.o' | while read -r object; do
        readelf -n "$object" 2>/dev/null | grep -q 'IBT, SHSTK' || die "$object has no CET note"
    done
    ok 'hardened: CET, in every object'
}

if have dpkg-buildflags; then hardened; else skip "a distribution's flags: there is no dpkg-buildflags"; fi
say "$passed passed, 0 failed, $skipped skipped"
