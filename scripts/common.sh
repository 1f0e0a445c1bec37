# What demo.sh and test.sh share: finding and installing what a build needs; it must not know what they run.
# shellcheck shell=sh

# The caller sets `name`, for messages, and `root`, the checkout.

say() { printf '%s: %s\n' "$name" "$*"; }

die() {
    printf '%s: error: %s\n' "$name" "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        have sudo || die "root rights are needed to install packages: run as root, or install sudo"
        sudo "$@"
    fi
}

missing=

# want <package> <command that succeeds when nothing need be installed...>
want() {
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

has_module() { have pkg-config && pkg-config --exists "$1"; }

compiles_for() { have "$1" && printf 'int main(void) { return 0; }\n' | "$1" -x "${2:-c}" -o /dev/null - ; }

meson_is_new() {
    have meson && meson --version | awk -F. '{ exit !($1 > 1 || ($1 == 1 && ($2 > 0 || $3 >= 1))) }'
}

python_with() {
    for candidate in python3 /usr/bin/python3; do
        if have "$candidate" && "$candidate" -c "import $1" >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

# Installs what `want` found missing; says so first, and asks for root only then.
install_missing() {
    [ -z "$missing" ] && return 0
    have apt-get || die "missing:$missing (Debian's names); install them with this system's package manager and retry"
    say "installing with apt-get:$missing"
    as_root apt-get update -qq || die "apt-get update failed; is the network up?"
    # shellcheck disable=SC2086 # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
        die "apt-get could not install:$missing"
    missing=
    hash -r
}

# Everything that a release build with benchmarks takes, and a Python with NumPy.
want_native() {
    want gcc compiles_for cc
    want libc6-dev compiles_for cc
    want g++ compiles_for c++ c++
    want meson meson_is_new
    want ninja-build have ninja
    want pkg-config have pkg-config
    want libsleef-dev has_module sleef
    want libbenchmark-dev has_module benchmark
    want python3 python_with sys
    want python3-numpy python_with numpy
}

want_tests() {
    want libcmocka-dev has_module cmocka
    want libmpfr-dev has_module mpfr
    want libjansson-dev has_module jansson
    want python3-pytest python_with pytest,numpy
    want python3-hypothesis python_with hypothesis,numpy
}

# configure <build directory> <meson options...>: sets up, or changes the options of what is there.
configure() {
    directory=$1
    shift
    log=$root/$directory.txt
    if [ -f "$root/$directory/build.ninja" ]; then
        meson setup --reconfigure "$@" "$root/$directory" "$root" >"$log" 2>&1 && return 0
        say "$directory/ does not fit any more and is built anew"
        set -- --wipe "$@"
    fi
    meson setup "$@" "$root/$directory" "$root" >"$log" 2>&1 || {
        tail -n 15 "$log" >&2
        die "meson setup failed for $directory/; $directory.txt has the whole output"
    }
}

compile() {
    ninja -C "$root/$1" >>"$root/$1.txt" 2>&1 || {
        tail -n 30 "$root/$1.txt" >&2
        die "the build in $1/ failed; $1.txt has the whole output"
    }
}

# The release build that both scripts leave behind.
build_release() {
    say "building the library and its benchmarks in build/"
    configure build -Dbuildtype=release -Dbench=enabled -Dsleef=enabled "$@"
    compile build
}
