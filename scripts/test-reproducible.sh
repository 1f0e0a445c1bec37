#!/bin/sh
# Proves that the library is the same bytes from every directory, and hardened where a distribution's flags ask for it.
#
#   sh scripts/test-reproducible.sh
#
# Builds libroperot from two copies of the checkout in build-reproducible/, as release and with debug information, once
# more with the flags of dpkg-buildflags hardening=+all, and compares; some minutes.
set -eu
name=test-reproducible.sh
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$root/scripts/common.sh"

[ "$#" -eq 0 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; [ "$1" = --help ] && exit 0; exit 2; }
cd "$root"
work=$root/build-reproducible
rm -rf "$work"
mkdir -p "$work/one" "$work/another/place"
git ls-files -z | xargs -0 cp --parents -t "$work/one"
cp -R "$work/one/." "$work/another/place"

# library <copy> <build directory> <meson options...>: prints the path of what was built there.
library() {
    copy=$1 directory=$2
    shift 2
    meson setup "$@" -Dtests=disabled -Dbench=disabled "$work/$copy/$directory" "$work/$copy" >"$work/log.txt" 2>&1 &&
        ninja -C "$work/$copy/$directory" >>"$work/log.txt" 2>&1 || {
        tail -n 15 "$work/log.txt" >&2
        die "the build failed; build-reproducible/log.txt has the whole output"
    }
    printf '%s\n' "$work/$copy/$directory"
}

# An rpath of the build tree would differ; meson takes it out when it installs.
installed() {
    DESTDIR=$1-root meson install -C "$1" --quiet >>"$work/log.txt" 2>&1 || die "the installation failed"
    find "$1-root" -name 'libroperot.so.*.*.*'
}

for type in release debugoptimized; do
    say "building twice: $type"
    first=$(installed "$(library one "build-$type" -Dbuildtype=$type)")
    second=$(installed "$(library another/place "elsewhere-$type" -Dbuildtype=$type)")
    cmp "$first" "$second" || die "$type: two directories, two libraries"
    strings -a "$first" | grep -qF "$work" && die "$type: the library names the directory that it was built in"
    say "$type: the same $(wc -c <"$first") bytes"
done

have dpkg-buildflags || { say "SKIP a distribution's flags: there is no dpkg-buildflags"; exit 0; }
say "building with a distribution's flags"
flags() { DEB_BUILD_MAINT_OPTIONS=hardening=+all dpkg-buildflags --get "$1"; }
CFLAGS="$(flags CFLAGS) $(flags CPPFLAGS) $(case $(uname -m) in x86_64) echo -fcf-protection ;; esac)"
LDFLAGS=$(flags LDFLAGS)
export CFLAGS LDFLAGS
hardened=$(installed "$(library one build-hardened -Dbuildtype=plain)")
readelf -d "$hardened" | grep -q 'BIND_NOW\|Flags: NOW' || die "the library is not BIND_NOW"
readelf -lW "$hardened" | grep -q GNU_RELRO || die "the library has no RELRO"
nm -D "$hardened" | grep -q '__stack_chk_fail' || die "the library has no stack protector"
nm -D "$hardened" | grep -q '_chk@' || die "the library is not fortified"
# The library gets the note only where the C library's crti.o and crtn.o have it, too: Debian 12's have not.
if [ "$(uname -m)" = x86_64 ]; then
    find "$work/one/build-hardened" -name '*.o' | while read -r object; do
        readelf -n "$object" 2>/dev/null | grep -q 'IBT, SHSTK' || die "$object has no CET note"
    done
fi
say "BIND_NOW, RELRO, stack protector, FORTIFY and, in every object on x86-64, CET"
