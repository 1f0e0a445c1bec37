#!/bin/sh
# Builds one program with every way in that docs/install.md names, and compares what it prints: the bits must not depend
# on how the library was built or found.
#
#   sh scripts/test-consumers.sh      find_package after meson and after CMake, FetchContent, add_subdirectory, pkg-config,
#                                     pkg-config --static, meson subproject
#
# Everything is built in build-consumers/. Needs gcc, meson, CMake and make; missing Debian packages are installed.
set -eu
name=test-consumers.sh
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$root/scripts/common.sh"

case "$#,${1-}" in
    0,) ;;
    *)
        sed -n '2,9s/^# \{0,1\}//p' "$0"
        [ "${1-}" = --help ] && exit 0
        exit 2
        ;;
esac
check_checkout
want_native
want cmake have cmake
want make have make
install_missing

work=$root/build-consumers
rm -rf "$work"
mkdir -p "$work/tools"
expected=
passed=0

# step <log> <command...>: what a way in does; its output only where it fails.
step() {
    log=$work/$1.txt
    shift
    "$@" >>"$log" 2>&1 || {
        tail -n 30 "$log" >&2
        die "failed: $*; $log has the whole output"
    }
}

# compare <way> <program> [environment...]: runs the program and compares its hash with those before.
compare() {
    way=$1 program=$2
    shift 2
    found=$(env "$@" "$program" 2>"$work/info.txt") || die "$way: the program failed: $(cat "$work/info.txt")"
    [ -n "$expected" ] || expected=$found
    [ "$found" = "$expected" ] || die "$way: $found, but others print $expected; $(cat "$work/info.txt")"
    passed=$((passed + 1))
    say "ok $way: $found ($(sed 's/.*kernels: //' "$work/info.txt"))"
}

# install_with_meson <name> <options...>
install_with_meson() {
    name_of_build=$1
    shift
    step "$name_of_build" meson setup -Dbuildtype=release -Dtests=disabled -Dbench=disabled -Dlibdir=lib \
        -Dprefix="$work/$name_of_build" "$@" "$work/$name_of_build-build" "$root"
    step "$name_of_build" meson install -C "$work/$name_of_build-build"
}

# cmake_project <way> <log> <cmake options...>: builds tests/consumers/<way>.
cmake_project() {
    way=$1 log_name=$2
    shift 2
    step "$log_name" cmake -S "$root/tests/consumers/$way" -B "$work/$log_name-build" -DCMAKE_BUILD_TYPE=Release "$@"
    step "$log_name" cmake --build "$work/$log_name-build" -j "$(nproc)"
}

# The programs that a build with CMake takes, and no meson among them.
path_without_meson() {
    for tool in cmake make cc gcc ld as ar ranlib nm strip objcopy sh env uname; do
        path=$(command -v "$tool") || continue
        case $path in */.pyenv/shims/*) path=$(pyenv which "$tool") ;; esac
        ln -sf "$path" "$work/tools/$tool"
    done
}

# The header states the version; what cannot read it there must follow.
version=$(sh "$root/scripts/version.sh")
grep -qF "\"version\": \"$version\"" "$root/packaging/vcpkg/vcpkg.json" || die "packaging/vcpkg/vcpkg.json is not of version $version"
head -n 1 "$root/debian/changelog" | grep -qF "($version-" || die "debian/changelog does not open with version $version"

say "installing with meson and with CMake into build-consumers/"
install_with_meson meson-shared
install_with_meson meson-static -Ddefault_library=static -Dsleef=disabled
path_without_meson
step cmake-shared env PATH="$work/tools" cmake -S "$root" -B "$work/cmake-shared-build" -G 'Unix Makefiles' \
    -DCMAKE_INSTALL_PREFIX="$work/cmake-shared" -DCMAKE_INSTALL_LIBDIR=lib
step cmake-shared env PATH="$work/tools" cmake --build "$work/cmake-shared-build" -j "$(nproc)" --target install

for installed in meson-shared meson-static cmake-shared; do
    cmake_project find_package "find-$installed" -DCMAKE_PREFIX_PATH="$work/$installed"
    compare "find_package, installed by $installed" "$work/find-$installed-build/consumer"
done
cmake_project fetch_content fetch-content -DROPEROT_CHECKOUT="$root"
compare 'FetchContent' "$work/fetch-content-build/consumer"
cmake_project add_subdirectory add-subdirectory -DROPEROT_CHECKOUT="$root" -DROPEROT_SLEEF=OFF
compare 'add_subdirectory, without SLEEF' "$work/add-subdirectory-build/consumer"

# compile_with <log> <install> <compiler flags> <pkg-config flags>
compile_with() {
    # shellcheck disable=SC2046,SC2086 # lists of words
    step "$1" cc $3 "$root/tests/consumers/consumer.c" -o "$work/$1" \
        $(PKG_CONFIG_PATH="$work/$2/lib/pkgconfig" pkg-config $4 --cflags --libs roperot)
}
for installed in meson-shared cmake-shared; do
    compile_with "pkg-config-$installed" "$installed" '' ''
    compare "pkg-config, installed by $installed" "$work/pkg-config-$installed" LD_LIBRARY_PATH="$work/$installed/lib"
done
compile_with pkg-config-static meson-static -static --static
compare 'pkg-config --static, a program without any shared library' "$work/pkg-config-static"

mkdir -p "$work/subproject/subprojects"
cp "$root/tests/consumers/meson_subproject/meson.build" "$root/tests/consumers/consumer.c" "$work/subproject"
(cd "$root" && git ls-files -z | xargs -0 cp --parents -t "$(mkdir -p "$work/subproject/subprojects/roperot" &&
    printf '%s' "$work/subproject/subprojects/roperot")")
step subproject meson setup "$work/subproject-build" "$work/subproject"
step subproject ninja -C "$work/subproject-build"
compare 'meson subproject' "$work/subproject-build/consumer"
say "$passed passed, 0 failed"
