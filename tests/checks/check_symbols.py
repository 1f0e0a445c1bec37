# SPDX-License-Identifier: MIT
"""Compares what the shared library exports with a list; it must not know what the symbols do.

usage: check_symbols.py <nm> <libroperot.so> <symbols.txt> <debian/libroperot0.symbols>
"""
import argparse
import pathlib
import subprocess
import sys


def exported(nm, library):
    lines = subprocess.run([nm, "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    names = {line.split()[-1] for line in lines.splitlines() if line.strip()}
    return {name for name in names if not name.startswith("ROPEROT_")}  # the version nodes themselves


def packaged(symbols):
    """The names of a Debian symbols file, whose versions have one @ for nm's two."""
    lines = pathlib.Path(symbols).read_text().splitlines()
    return {line.split()[0].replace("@", "@@") for line in lines if line.startswith(" roperot_")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("nm", "library", "listed", "debian"):
        parser.add_argument(name)
    given = parser.parse_args()
    listed, debian = given.listed, given.debian
    want = set(pathlib.Path(listed).read_text().split())
    got = exported(given.nm, given.library)
    for name in sorted(want ^ packaged(debian)):
        print(f"in only one of {listed} and {debian}: {name}")
        got.discard(name)
    for name in sorted(got - want):
        print(f"exported, but not in {listed}: {name}")
    for name in sorted(want - got):
        print(f"in {listed}, but not exported: {name}")
    return got != want


if __name__ == "__main__":
    sys.exit(main())
