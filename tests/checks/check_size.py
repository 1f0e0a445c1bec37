#!/usr/bin/env python3
"""Checks that the stripped library is at most so many KiB; it knows nothing of what is inside.

Usage: check_size.py STRIP LIBRARY KIB
"""
import os
import subprocess
import sys
import tempfile


def main():
    strip, library, most = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with tempfile.TemporaryDirectory() as folder:
        stripped = os.path.join(folder, "stripped")
        subprocess.run([strip, "-o", stripped, library], check=True)
        size = os.path.getsize(stripped)
    print(f"{size / 1024:.1f} KiB stripped; at most {most} are allowed (docs/kernels.md says what takes the room)")
    return size > most * 1024


if __name__ == "__main__":
    sys.exit(main())
