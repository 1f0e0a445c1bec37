#!/bin/sh
# zig_cc.sh <zig> cc <arguments>: a compiler flag that zig spells in its own way, so that Linux on AArch64 gets its SVE
# kernels; all else passes as it is.
case "$*" in
    *aarch64-linux*)
        for argument; do
            shift
            [ "$argument" != -march=armv8.2-a+sve ] || argument=-mcpu=generic+v8_2a+sve
            set -- "$@" "$argument"
        done
        ;;
esac
exec "$@"
