#!/usr/bin/env python3
"""Prints, for every rotation kernel of an object file, its widest loop: instructions, data bytes, instructions per 64.

A kernel of columns has two: the loop in the caches, and in NAME_beyond_cache the one with prefetches. Conversions and
repacking have only the latter. Streaming loops are left out. Reads a disassembly only; it does not know what the
instructions cost.

usage: hot_loops.py OBJDUMP OBJECT...

For RISC-V, whose branches are the linker's, OBJDUMP is 'llvm-objdump --mattr=+v' and OBJECT a linked program.
"""
import argparse
import re
import shlex
import subprocess

WIDTH = {"zmm": 64, "ymm": 32, "xmm": 16, "q": 16, "d": 8}
BRANCHES = ("j", "b.", "cbnz", "beq", "bne", "blt", "bge")
STREAMING = ("vmovnt", "movnt", "stnt1")


def functions(objdump, path):
    """Yields (name, [(address, mnemonic, operands)]) for the rotation kernels."""
    command = [*shlex.split(objdump), "-d", "--no-show-raw-insn", path]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for block in re.split(r"\n\n", text):
        head = re.match(r"\s*[0-9a-f]+ <(rotate_\w+)>:", block)
        if head and "_rest_" not in head[1]:  # not what the widest vector leaves over
            lines = re.findall(r"^[ \t]*([0-9a-f]+):[ \t]+(\S+)[ \t]*(.*)$", block, re.M)
            yield head[1], [(int(address, 16), mnemonic, operands) for address, mnemonic, operands in lines]


def stored_bytes(mnemonic, operands):
    """Bytes that a vector store writes; 0 for anything else. SVE counts 16 (a vector of 128 bits)."""
    if mnemonic.startswith(("vmov", "vextract", "vcvtps2ph")) and re.search(r"%[xyz]mm\d+,[^,]*\(", operands):
        width = WIDTH[re.search(r"%([xyz]mm)\d+,[^,]*\([^)]*\)$", operands)[1]]
        return width // 2 if mnemonic == "vcvtps2ph" else width
    if mnemonic in ("str", "stp") and re.match(r"[qd]\d", operands):
        return WIDTH[operands[0]] * (2 if mnemonic == "stp" else 1)
    if mnemonic == "st2":
        return 32 if ".4s" in operands else 16
    if mnemonic in ("st1w", "st1h", "st2w"):
        return {"st1w": 16, "st1h": 16 if ".h" in operands else 8, "st2w": 32}[mnemonic]
    return 0


def moved_bytes(loop):
    """Bytes that a loop writes. A RISC-V store writes as many elements, of its own width, as vsetvli set last."""
    moved, elements = 0, 0
    for _, mnemonic, operands in loop:
        if mnemonic == "vsetvli":
            width, registers = re.search(r"\be(\d+), ?m([1248])\b", operands).groups()
            elements = 128 // int(width) * int(registers)
        store = re.fullmatch(r"vs?se(\d+)\.v", mnemonic)
        moved += elements * int(store[1]) // 8 if store else stored_bytes(mnemonic, operands)
    return moved


def loops(code):
    """Yields the instructions of each innermost loop (a backward branch with no other inside)."""
    index = {address: i for i, (address, _, _) in enumerate(code)}
    for end, (address, mnemonic, operands) in enumerate(code):
        target = re.match(r"(?:[a-z]+\d*, ?)*(?:0x)?([0-9a-f]+) <", operands)
        if not (mnemonic.startswith(BRANCHES) and target and int(target[1], 16) in index):
            continue
        start = index[int(target[1], 16)]
        if int(target[1], 16) < address and not any(m.startswith(BRANCHES) for _, m, _ in code[start:end]):
            yield code[start:end + 1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("objdump", metavar="OBJDUMP", help="a command, with its options")
    parser.add_argument("objects", metavar="OBJECT", nargs="+")
    given = parser.parse_args()
    print(f"{'kernel':66} {'instructions':>12} {'bytes':>6} {'per 64':>7}")
    for path in given.objects:
        for name, code in functions(given.objdump, path):
            best = (0, 0)
            for loop in loops(code):
                if any(m.startswith(STREAMING) for _, m, _ in loop):
                    continue
                moved = moved_bytes(loop)
                if moved > best[0]:
                    best = (moved, len(loop))
            if best[0]:
                print(f"{name:66} {best[1]:12} {best[0]:6} {best[1] * 64 / best[0]:7.1f}")


if __name__ == "__main__":
    main()
