#!/usr/bin/env python3
"""Checks that the stripped library is at most so many KiB; it knows nothing of what is inside.

Usage: check_size.py STRIP LIBRARY KIB
"""
import argparse
import os
import subprocess
import sys
import tempfile


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("strip", "library"):
        parser.add_argument(name)
    parser.add_argument("kib", type=int)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stripped = os.path.join(folder, "stripped")
        subprocess.run([given.strip, "-o", stripped, given.library], check=True)
        size = os.path.getsize(stripped)
    print(f"{size / 1024:.1f} KiB stripped; at most {given.kib} are allowed (docs/kernels.md says what takes the room)")
    return size > given.kib * 1024


if __name__ == "__main__":
    sys.exit(main())
