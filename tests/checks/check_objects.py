# SPDX-License-Identifier: MIT
"""Reads the library's machine code and imports: no vector code outside its ISA's file, no fused multiply-add that could
round differently, no output, exit or getenv; it must not know what the code does.

usage: check_objects.py <instructions|imports> <objdump or nm> <libroperot-whole.a>
"""
import argparse
import collections
import re
import subprocess
import sys

# What a member may not contain unless its name matches: registers that need a wider ISA than the baseline's.
REGISTERS = [
    (re.compile(r"%zmm|%k[0-7]\b|%[xy]mm(1[6-9]|2\d|3[01])\b"), re.compile(r"(kernels|extension)_avx512")),
    (re.compile(r"%ymm"), re.compile(r"(kernels|extension)_avx(2|512)")),
    (re.compile(r"\sv[a-z0-9]+\s.*%xmm"), re.compile(r"(kernels|extension)_avx(2|512)")),
    (re.compile(r"\b[zp]\d+\.[bhsd]\b"), re.compile(r"kernels_sve")),
    (re.compile(r"\tv(set[i]?vli?|le\d|se\d|f[a-z]+\.v)"), re.compile(r"kernels_rvv")),
]
# The recipe rounds every product: these round only the sum. The compiler must not make them, nor may intrinsics.
FUSED = re.compile(
    r"\t(vfn?m(add|sub|addsub|subadd)[0-9a-z]*|vdpbf16ps|"  # x86
    r"fn?m(add|sub)|fn?ml[as]|fn?mad|fn?msb|"  # AArch64: scalar, NEON, SVE
    r"vfn?m(acc|sac|add|sub)\.v.|fn?m(add|sub)\.[sd])\s"  # RISC-V
)
# But where the product is exact, fused and separate operations give the same bits: squares of bf16 numbers that are not
# tiny, and 2^16 x.
# (member, function, instruction)
EXACT = [
    (re.compile(r"extension_avx512_fma"), re.compile(""), re.compile(r"vfmadd231ps (%zmm\d+),\1,")),
    (re.compile(r"extension_avx512_fma"), re.compile("^turned_strip"), re.compile(r"vfmadd(132|213|231)ps ")),
    (re.compile(r"extension_avx512_bf16"), re.compile("^sums_by_dot_products$"), re.compile(r"vdpbf16ps (%zmm\d+),\1,")),
]
FORBIDDEN = set("printf vprintf fprintf vfprintf puts putchar putc fputs fputc fwrite perror write stdout stderr "
                "__printf_chk __fprintf_chk __vfprintf_chk exit _exit _Exit quick_exit abort raise signal "
                "setlocale srand rand fesetround "
                # libm decides no bit: these have last bits of their own in every libm.
                "sin cos tan sincos sinf cosf sincosf pow powf exp expf exp2 log logf log2 log10 cbrt fma fmaf".split())
ONLY_IN = {"getenv": "dispatch"}


def members(tool, flag, archive):
    """Yields (member, lines) from objdump -d or nm -u of an archive."""
    output = subprocess.run([tool, flag, archive], check=True, capture_output=True, text=True).stdout
    found = collections.defaultdict(list)
    name = None
    for line in output.splitlines():
        header = re.match(r"(\S+\.o)(:|\s*:?\s+file format)", line)
        if header:
            name = header.group(1)
        elif name:
            found[name].append(line)
    return found


def bad_instructions(objdump, archive):
    found = members(objdump, "-d", archive)
    for member, lines in found.items():
        function = "?"
        for line in lines:
            label = re.match(r"[0-9a-f]+ <(\S+)>:", line)
            if label:
                function = label.group(1)
            for registers, allowed in REGISTERS:
                if registers.search(line) and not allowed.search(member):
                    yield f"{member}, {function}: needs a wider ISA: {line.strip()}"
            exact = any(a.search(member) and b.search(function) and c.search(line) for a, b, c in EXACT)
            if FUSED.search(line) and not exact:
                yield f"{member}, {function}: fused: {line.strip()}"
    if not any("kernels_scalar" in member for member in found):
        yield f"no scalar kernels in {archive}: the check has read nothing"


def bad_imports(nm, archive):
    found = members(nm, "-u", archive)
    for member, lines in found.items():
        for line in lines:
            symbol = line.split()[-1] if line.split() else ""
            if symbol in FORBIDDEN:
                yield f"{member}: imports {symbol}"
            if symbol in ONLY_IN and ONLY_IN[symbol] not in member:
                yield f"{member}: imports {symbol}, which belongs in {ONLY_IN[symbol]}.c"
    if not any("apply" in member for member in found):
        yield f"no apply.c in {archive}: the check has read nothing"


def main():
    kinds = {"instructions": bad_instructions, "imports": bad_imports}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=kinds)
    parser.add_argument("tool", help="objdump or nm")
    parser.add_argument("archive")
    given = parser.parse_args()
    problems = list(kinds[given.what](given.tool, given.archive))
    for problem in problems[:40]:
        print(problem)
    if len(problems) > 40:
        print(f"... and {len(problems) - 40} more")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
