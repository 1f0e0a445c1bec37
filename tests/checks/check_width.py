# SPDX-License-Identifier: MIT
"""Lines of C, C++ and meson that are longer than 120 columns; it must not know what they say.

usage: check_width.py <root> <folder or file> [<folder or file> ...]      relative to the root
"""
import argparse
import pathlib
import sys

WIDTH = 120
KINDS = {".c", ".h", ".cc", ".cpp"}


def files(place):
    if place.is_file():
        return [place]
    return sorted(p for p in place.rglob("*") if p.suffix in KINDS or p.name == "meson.build")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("places", nargs="+")
    given = parser.parse_args()
    read = [path for place in given.places for path in files(given.root / place)]
    long = 0
    for path in read:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if len(line) > WIDTH:
                print(f"{path.relative_to(given.root)}:{number}: {len(line)} columns; at most {WIDTH}")
                long += 1
    print(f"{len(read)} files, {long} lines are too long")
    return 1 if long or not read else 0


if __name__ == "__main__":
    sys.exit(main())
