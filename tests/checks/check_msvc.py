# SPDX-License-Identifier: MIT
"""Compiles the public header by the rules of MSVC and clang-cl, for every Windows; it must not know what is declared.

usage: check_msvc.py <clang> <include directory> <header_c.c> <header_cc.cc>
No GNU extension, C99 for the header alone, and __declspec(dllimport) where ROPEROT_DLL says that it is a DLL.
"""
import argparse
import subprocess
import sys

TARGETS = ["x86_64", "aarch64", "i686"]
RULES = ["-fms-compatibility", "-fms-extensions", "-fms-compatibility-version=19.29", "-Wall", "-Wextra", "-Wgnu",
         "-Werror", "-pedantic-errors"]


def run(command, text=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        print(f"failed: {' '.join(command)}\n{done.stderr}")
    return done


def check(command, sources, imports):
    """Whether everything compiles, and calls are imports of a DLL only where they should be."""
    c, cc = sources
    done = [run([*command, "-std=c99", "-x", "c", "-fsyntax-only", "-"], "#include <roperot/roperot.h>\n"),
            run([*command, "-std=c++14", "-x", "c++", "-fsyntax-only", cc]),
            run([*command, "-std=c11", "-x", "c", "-S", "-emit-llvm", "-o", "-", c])]
    declared = [line for line in done[-1].stdout.splitlines() if line.startswith("declare") and "@roperot_" in line]
    wrong = [line for line in declared if ("dllimport" in line) != imports]
    for line in wrong:
        print(f"{'not imported from' if imports else 'imported from'} a DLL: {line}")
    return bool(declared) and not wrong and not any(one.returncode for one in done)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("clang", "include", "c", "cc"):
        parser.add_argument(name)
    given = parser.parse_args()
    passed = [check([given.clang, f"--target={target}-pc-windows-msvc", *RULES, "-I", given.include, *define],
                    (given.c, given.cc), bool(define))
              for target in TARGETS for define in ([], ["-DROPEROT_DLL"])]
    print(f"{sum(passed)} of {len(passed)} combinations of target and ROPEROT_DLL compile as they should")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
