# What demo.sh and test.sh share: finding and installing what a build needs; it must not know what they run.
# shellcheck shell=sh

# The caller sets `name`, for messages, and `root`, the checkout.

say() { printf '%s: %s\n' "$name" "$*"; }

die() {
    printf '%s: error: %s\n' "$name" "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Everything that is built lies in the checkout.
check_checkout() {
    [ -w "$root" ] || die "the checkout $root cannot be written by $(id -un): use a copy, or change its owner"
}

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
    log=$root/build-apt.txt
    # Without a network, `update` succeeds and only warns; `install` then cannot find or fetch.
    as_root apt-get update -q >"$log" 2>&1 || die "apt-get update failed: $(grep -m 1 '^E:' "$log" || tail -n 1 "$log")"
    # shellcheck disable=SC2086 # a list of words
    watch "$log" as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing || {
        if grep -qE 'Could not resolve|Failed to fetch|Unable to connect|Could not connect|Temporary failure' "$log"; then
            die "Debian's packages cannot be fetched: is the network up? $log has the whole output"
        fi
        die "apt-get could not install$missing: $(grep -m 1 '^E:' "$log"); $log has the whole output"
    }
    missing=
    hash -r
}

# watch <log> <command...>: runs it with its output in the log, and shows every few seconds how far it is.
watch() {
    watched=$1
    shift
    "$@" >>"$watched" 2>&1 &
    pid=$! seconds=0
    trap 'kill "$pid" 2>/dev/null; exit 130' INT TERM
    while kill -0 "$pid" 2>/dev/null; do
        sleep 1
        seconds=$((seconds + 1))
        [ $((seconds % 10)) -ne 0 ] || say "  $seconds s: $(tail -n 1 "$watched" | cut -c 1-90)"
    done
    trap - INT TERM
    wait "$pid"
}

# Everything that a release build with benchmarks takes, and a Python with NumPy.
want_native() {
    # meson asks it where libraries belong; without it, it says lib64, where Debian's loader does not look.
    if have dpkg; then want dpkg-dev have dpkg-architecture; fi
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

# What mingw64.ini and musl-x86_64.ini name.
want_windows_and_musl() {
    want gcc-mingw-w64-x86-64-win32 have x86_64-w64-mingw32-gcc
    want wine64 have wine
    want wine have wine
    want musl-tools have musl-gcc
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
    check_checkout
    directory=$1
    shift
    log=$root/$directory.txt
    : >"$log"
    if [ -f "$root/$directory/build.ninja" ]; then
        meson setup --reconfigure "$@" "$root/$directory" "$root" >"$log" 2>&1 && return 0
        say "$directory/ is of other versions or options, and is built anew"
        set -- --wipe "$@"
    fi
    meson setup "$@" "$root/$directory" "$root" >"$log" 2>&1 || {
        tail -n 15 "$log" >&2
        die "meson setup failed for $directory/; $directory.txt has the whole output"
    }
}

# compile <build directory> <targets...>: everything, or these.
compile() {
    directory=$1
    shift
    watch "$root/$directory.txt" ninja -C "$root/$directory" "$@" || {
        tail -n 30 "$root/$directory.txt" >&2
        die "the build in $directory/ failed; $directory.txt has the whole output"
    }
}

# The release build that both scripts leave behind.
build_release() {
    say "building the library and its benchmarks in build/"
    configure build -Dbuildtype=release -Dbench=enabled -Dsleef=enabled "$@"
    compile build
}
