# SPDX-License-Identifier: MIT
"""Runs a WASI program with its arguments, the environment and /; the exe_wrapper of wasm32.ini.

usage: run_wasm.py <program.wasm> [argument ...]      (pip install wasmtime)
"""
import sys

import wasmtime


def main():
    linker = wasmtime.Linker(wasmtime.Engine())
    wasi = wasmtime.WasiConfig()
    wasi.argv = sys.argv[1:]
    wasi.inherit_env()
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    wasi.preopen_dir("/", "/")
    store = wasmtime.Store(linker.engine)
    store.set_wasi(wasi)
    linker.define_wasi()
    instance = linker.instantiate(store, wasmtime.Module.from_file(linker.engine, sys.argv[1]))
    try:
        instance.exports(store)["_start"](store)
    except wasmtime.ExitTrap as exited:
        return exited.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
