# SPDX-License-Identifier: MIT
"""Compiles and runs the C programs in README.md as a reader would; it must not know what they do.

usage: check_readme.py <README.md> <include directory> <libroperot.so> <compiler command ...>
Exit status 77 (skipped) without a README or a C block.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("readme", "include", "library"):
        parser.add_argument(name)
    parser.add_argument("compiler", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    if not os.path.exists(given.readme):
        print("SKIP: there is no README.md")
        return 77
    blocks = re.findall(r"^```c\n(.*?)^```", pathlib.Path(given.readme).read_text(), re.S | re.M)
    programs = [block for block in blocks if re.search(r"\bmain\s*\(", block)]
    if not blocks:
        print("SKIP: README.md has no ```c block")
        return 77
    if not programs:
        print(f"none of the {len(blocks)} C blocks of README.md is a program with main()")
        return 1
    folder = os.path.dirname(os.path.abspath(given.library))
    for number, program in enumerate(programs, 1):
        with tempfile.TemporaryDirectory() as temporary:
            source, binary = os.path.join(temporary, "readme.c"), os.path.join(temporary, "readme")
            pathlib.Path(source).write_text(program)
            subprocess.run([*given.compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", "-I", given.include, source,
                            "-o", binary, given.library, "-lm", f"-Wl,-rpath,{folder}"], check=True)
            print(f"program {number} of {len(programs)}:", flush=True)
            subprocess.run([binary], check=True, timeout=60)
    return 0


if __name__ == "__main__":
    sys.exit(main())
