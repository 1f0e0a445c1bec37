#!/bin/sh
# clang for wasm32-wasi. Meson puts groups around libraries for everything that calls itself LLD; wasm-ld needs none and
# knows no such option.
for argument; do
    shift
    case $argument in
        -Wl,--start-group | -Wl,--end-group) ;;
        *) set -- "$@" "$argument" ;;
    esac
done
exec clang-16 --target=wasm32-wasi "$@"
